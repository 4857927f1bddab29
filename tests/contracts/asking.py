"""How the contract suites ask a source."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from crossdock.ports import Row, Source, Window

T = TypeVar("T")


def flat(pages: Iterable[Sequence[T]]) -> list[T]:
    return [one for page in pages for one in page]


def since(source: Source[Any], moment: datetime | None) -> dict[str, Row]:
    """What changed from this moment on, by key."""
    return {row.key: row for row in flat(source.changed(Window(moment, source.now())))}


def later(source: Source[Any]) -> datetime:
    """The source's clock once it has moved on: what happened before is not at or after this."""
    before = source.now()
    while (now := source.now()) <= before:
        time.sleep(0.05)
    return now
