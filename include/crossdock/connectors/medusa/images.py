"""Pictures of items, uploaded once per content: their file name begins with the SHA-256 of their bytes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from threading import Lock
from typing import Any

from crossdock.connectors.medusa.api import Api, File, for_urls
from crossdock.errors import Reject
from crossdock.ports import Content

MOST = 10 * 1024 * 1024
"""Bytes of one image."""

_KINDS = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF87a": "gif", b"GIF89a": "gif"}


class Images:
    """Uploads of one shop; safe to be used by several threads."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._lock = Lock()
        self._known: dict[str, str] = {}

    def urls(self, refs: Iterable[str], there: Mapping[str, str], content: Content) -> dict[str, str]:
        """The shop's URL of each image. ``there``: by ref, what the product shows already; only others are asked for.

        Raises Reject for what is no image, or too large.
        """
        urls: dict[str, str] = {}
        files: dict[str, File] = {}
        for ref in refs:
            if ref in there:
                urls[ref] = there[ref]
            else:
                files[ref] = _file(ref, content(ref))
        shown = {_digest(url): url for url in there.values()}
        with self._lock:
            self._ensure([file for file in files.values() if _digest(file.name) not in shown])
            return urls | {ref: (shown | self._known)[_digest(file.name)] for ref, file in files.items()}

    def _ensure(self, files: Sequence[File]) -> None:
        new = {_digest(file.name): file for file in files if _digest(file.name) not in self._known}
        if self._api.extension:
            for some in for_urls(list(new)):
                self._keep(self._api.get("/admin/erp/images", {"digest[]": some}))
        for digest in new.keys() - self._known.keys():
            file = new[digest]
            if self._api.extension:
                body = {"digest": digest, "name": file.name, "mime_type": file.mime_type}
                encoded = base64.b64encode(file.content).decode()
                self._keep(self._api.post("/admin/erp/images", {"images": [body | {"content": encoded}]}))
            else:
                self._known[digest] = self._api.upload("/admin/uploads", [file])["files"][0]["url"]

    def _keep(self, answer: Mapping[str, Any]) -> None:
        self._known |= {one["digest"]: one["url"] for one in answer["images"]}


def _digest(name: str) -> str:
    """From a URL or file name: Medusa's file providers put something of their own before or behind the name."""
    last = name.rsplit("/", 1)[-1]
    return next((part for part in last.replace(".", "-").split("-") if len(part) == 64), "")


def _file(ref: str, content: bytes) -> File:
    kind = next((kind for magic, kind in _KINDS.items() if content.startswith(magic)), None)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        kind = "webp"
    if kind is None or len(content) > MOST:
        reason = f"is larger than {MOST >> 20} MB" if kind else "is not a PNG, JPEG, WebP or GIF"
        raise Reject("bad_image", f"The image {ref} {reason}.", "Replace it in the ERP.")
    digest = hashlib.sha256(content).hexdigest()
    return File(f"{digest}.{kind}", content, f"image/{kind}")
