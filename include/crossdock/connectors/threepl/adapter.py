"""The files of a 3PL behind the port ``Source[ShippingAdvice]``."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from crossdock.connectors.threepl.x12 import Refusal, advices
from crossdock.domain.shipping_advice import ShippingAdvice
from crossdock.errors import Reject, Retry
from crossdock.ports import Row, Window

SUFFIXES = (".945", ".x12", ".edi")
STILL = timedelta(seconds=10)
"""A file that was changed since may be half there: it is left for the next run."""

_UNREADABLE = b"unreadable "


class Folder(Protocol):
    """What is used of ``airflow.sdk.ObjectStoragePath``, a file in it likewise."""

    def iterdir(self) -> Iterator[Any]:
        """What lies in it."""


class ThreePl:
    """One warehouse that sends files. What it serves: ``shipping_advice``."""

    def __init__(self, inbox: Folder, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.shipping_advice = Advices(inbox, clock)

    @classmethod
    def from_connection(cls, conn_id: str) -> ThreePl:
        """The warehouse of an Airflow connection of type ``crossdock_3pl``."""
        from crossdock.connectors.threepl.hook import ThreePlHook

        return cls(ThreePlHook(conn_id).inbox)


class Advices:
    """The shipping advices in all files of the inbox (X12 945), the newest of each shipment.

    A row belongs to its shipment, not to its file: what is sent again, in whatever file, is the same row. What cannot
    be believed is a row without a key, under the name of its file. Files are only read; who wants them away moves
    them: what they said has been taken.
    """

    name = "3PL"
    version = "1"

    def __init__(self, inbox: Folder, clock: Callable[[], datetime]) -> None:
        self._inbox = inbox
        self._clock = clock

    def now(self) -> datetime:
        """So long ago that every file of then has come whole."""
        return self._clock() - STILL

    def changed(self, window: Window) -> Iterator[Sequence[Row]]:
        """A page for each file that came in the window, oldest first: the last row of a shipment counts."""
        for file in self._files(window):
            yield list(_rows(file))

    def read(self, keys: Collection[str]) -> Iterator[Sequence[Row]]:
        """Looked for in all files."""
        found = {
            row.key: row
            for page in self.changed(Window(None, self.now()))
            for row in page
            if row.key in keys and row.key
        }
        if found:
            yield list(found.values())

    def parts(self) -> Iterator[Sequence[str]]:
        """None: an advice whose file is gone stays true."""
        return iter(())

    def parse(self, raw: bytes) -> ShippingAdvice:
        """Raises Reject, naming the file, for what could not be believed."""
        if raw.startswith(_UNREADABLE):
            raise Reject(*json.loads(raw.removeprefix(_UNREADABLE)))
        return ShippingAdvice.model_validate_json(raw)

    def content(self, ref: str) -> bytes:
        """Advices refer to no files."""
        raise Reject("no_file", f"A shipping advice refers to a file {ref}.", "This is a defect: report it.")

    def _files(self, window: Window) -> list[Any]:
        """Those that came in the window, oldest first."""
        try:
            files = [(_came(file.stat()), file.name, file) for file in self._inbox.iterdir() if _is_advice(file)]
        except OSError as error:
            raise _away(error) from error
        files.sort(key=lambda one: one[:2])
        return [file for came, _, file in files if (not window.since or came >= window.since) and came < window.until]


def _is_advice(file: Any) -> bool:
    return bool(file.name.lower().endswith(SUFFIXES) and file.is_file())


def _came(stat: Any) -> datetime:
    """The later of when it was modified and, where that is told, when it was moved here."""
    moments = [stat.st_mtime, stat.get("created")]
    return max(
        one if isinstance(one, datetime) else datetime.fromtimestamp(one, UTC)
        for one in moments
        if isinstance(one, int | float | datetime)
    )


def _rows(file: Any) -> Iterator[Row]:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise _away(error) from error
    try:
        said = advices(content.decode())
    except UnicodeDecodeError:
        unreadable = Reject("no_x12", "The file is no text in UTF-8.", "Ask the warehouse to send it again.")
        yield _refused(file.name, "", unreadable)
    except Reject as reject:
        yield _refused(file.name, "", reject)
    else:
        for one in said:
            if isinstance(one, Refusal):
                yield _refused(file.name, one.transaction, one.reject)
            else:
                yield Row(one.key, one.key, one.model_dump_json(exclude={"parts"}).encode())


def _refused(file: str, transaction: str, reject: Reject) -> Row:
    where = f"File {file}, transaction {transaction}" if transaction else f"File {file}"
    told = json.dumps([reject.code, f"{where}: {reject.reason}", reject.remedy])
    return Row("", f"{file}#{transaction}" if transaction else file, _UNREADABLE + told.encode())


def _away(error: OSError) -> Retry:
    return Retry(f"The warehouse's inbox cannot be read ({error.strerror or type(error).__name__}).")
