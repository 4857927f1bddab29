"""Whether a system has anything new for a flow, although changes may show late."""

from __future__ import annotations

import time
from collections.abc import Set
from datetime import datetime, timedelta

from crossdock.ports import Stirrings

TAIL = timedelta(seconds=10)
"""A change that shows so long after it was made is still noticed here; a later one is found by the flow's overlap."""


class News:
    """Looks at flows of one system, time and again: what one look has shown is no news in the next.

    The system is asked for its clock once, and not at all after a failure: make another one then.
    """

    def __init__(self, system: Stirrings) -> None:
        self._system = system
        self._began, self._at = system.now(), time.monotonic()
        self._seen: dict[str, Set[str]] = {}
        self._looked: dict[str, datetime] = {}

    def of(self, flow: str) -> bool:
        """Whether anything has changed since the last look at this flow; the first looks back by TAIL.

        Raises as the port.
        """
        now = self._began + timedelta(seconds=time.monotonic() - self._at)
        marks = self._system.stirred(flow, self._looked.get(flow, now) - TAIL)
        new = bool(marks - self._seen.get(flow, frozenset()))
        self._seen[flow], self._looked[flow] = marks, now
        return new
