"""Whether a system has anything new for a flow, although changes may show late."""

from __future__ import annotations

import time
from collections.abc import Set
from datetime import datetime, timedelta
from typing import Protocol

from crossdock.ports import Stirrings

TAIL = timedelta(seconds=10)
"""A change that shows so long after it was made is still noticed here; a later one is found by the flow's overlap."""


class Clocked(Protocol):
    def now(self) -> datetime:
        """By its own clock, UTC."""


class News:
    """Looks at flows of one system, time and again: what one look has shown is no news in the next.

    The system is asked for its clock once: make another one when it has been away.
    """

    def __init__(self, system: Stirrings) -> None:
        self._system = system
        self._clock = Clock(system)
        self._seen: dict[str, Set[str]] = {}
        self._looked: dict[str, datetime] = {}

    def since(self, flow: str) -> datetime | None:
        """From when on there is something new of this flow, by the system's clock; None when there is nothing.

        The first look goes back by TAIL. Raises as the port.
        """
        now = self._clock.now()
        since = self._looked.get(flow, now) - TAIL
        marks = self._system.stirred(flow, since)
        new = bool(marks - self._seen.get(flow, frozenset()))
        self._seen[flow], self._looked[flow] = marks, now
        return since if new else None


class Clock:
    """Another system's clock, which is asked once."""

    def __init__(self, system: Clocked) -> None:
        self._began, self._at = system.now(), time.monotonic()

    def now(self) -> datetime:
        return self._began + timedelta(seconds=time.monotonic() - self._at)
