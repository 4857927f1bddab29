"""The folder into which a warehouse puts its files. They are only read, never moved or deleted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from crossdock.errors import Reject, Retry

STILL = timedelta(seconds=10)
"""A file that was changed since may be half there: it is left for the next run."""

LARGEST = 64 * 2**20
"""Bytes. Whatever is larger is no file of a warehouse, and is not read."""

_MODIFIED = ("mtime", "LastModified", "last_modified", "created")
"""Names that file systems have for it: fsspec's own, S3, Azure; memory has but the last."""


class Folder(Protocol):
    """What is used of ``airflow.sdk.ObjectStoragePath``."""

    @property
    def fs(self) -> Any:
        """The file system of fsspec it is in."""

    @property
    def path(self) -> str:
        """Its place there."""


@dataclass(frozen=True)
class File:
    """A file as it was listed. ``came``: the later of when it was modified and, where that is told, moved here."""

    path: str
    size: int
    modified: datetime
    came: datetime

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """``.945``, in small letters."""
        return "." + self.name.lower().rpartition(".")[2]


class Inbox:
    """Raises Retry when the folder is away, whatever the driver of its file system calls that."""

    def __init__(self, folder: Folder, clock: Callable[[], datetime]) -> None:
        self._folder = folder
        self.clock = clock

    def now(self) -> datetime:
        """So long ago that every file of then has come whole."""
        return self.clock() - STILL

    def files(self) -> list[File]:
        """All that lie in it now, the first that came first."""
        try:
            self._folder.fs.invalidate_cache()
            listed = self._folder.fs.ls(self._folder.path, detail=True)
        except Exception as error:
            raise _away(error) from error
        files = [_file(one) for one in listed if one["type"] == "file"]
        return sorted(files, key=lambda one: (one.came, one.name))

    def read(self, file: File) -> bytes:
        """Raises Reject for one that is too large, Retry for one that has changed since it was listed."""
        if file.size > LARGEST:
            raise Reject(
                "too_large",
                f"The file has {file.size // 2**20} MB, more than {LARGEST // 2**20}; it was not read.",
                "Ask the warehouse what it has sent, and take the file away.",
            )
        try:
            with self._folder.fs.open(file.path, "rb") as opened:
                content: bytes = opened.read(file.size + 1)
        except Exception as error:
            raise _away(error) from error
        if len(content) != file.size:
            raise Retry(f"File {file.name} has changed while it was read.")
        return content


def _file(listed: Mapping[str, Any]) -> File:
    modified = next((_moment(listed[name]) for name in _MODIFIED if listed.get(name)), datetime.min.replace(tzinfo=UTC))
    came = max(modified, _moment(listed["created"])) if listed.get("created") else modified
    return File(str(listed["name"]), int(listed["size"] or 0), modified, came)


def _moment(told: datetime | float) -> datetime:
    if isinstance(told, datetime):
        return told.astimezone(UTC) if told.tzinfo else told.replace(tzinfo=UTC)
    return datetime.fromtimestamp(told, UTC)


def _away(error: Exception) -> Retry:
    said = getattr(error, "strerror", None) or type(error).__name__
    return Retry(f"The warehouse's inbox cannot be read ({said}).")
