"""Calls at a pace the other side can bear. Knows nothing of any system; every connector may use it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

_REMEMBERED = 20
"""So many calls tell the pace at which we were refused."""
_STEP = 1.0
"""An accepted pace grows by so many calls a second, each second."""
_SLOWEST = 0.1
_BREATH = 1.0
"""The pause after a refusal that does not say how long."""


class Pacer:
    """Spaces calls to one system. One per session; threads share it.

    With a known limit, calls are spaced by it (GCRA without burst: a limit that others use as well is
    best approached evenly). Without one, calls are not spaced until the system refuses one; then the
    pace is halved, and grows again by one call a second each second (AIMD). A refusal's own
    ``Retry-After`` is always waited for.
    """

    def __init__(
        self,
        per_second: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._known = per_second is not None
        self._pace = per_second
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = float("-inf")
        self._calls: deque[float] = deque(maxlen=_REMEMBERED)

    @property
    def pace(self) -> float | None:
        """Calls a second at the moment; None: as fast as they come."""
        return self._pace

    def wait(self) -> None:
        """Until the next call may be sent."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._next)
            self._next = turn + (1 / self._pace if self._pace else 0)
            self._calls.append(turn)
        if turn > now:
            self._sleep(turn - now)

    def accepted(self) -> None:
        """The last call was taken."""
        with self._lock:
            if self._pace and not self._known:
                self._pace += _STEP / self._pace

    def refused(self, after: float | None = None) -> None:
        """The last call came too early (429). ``after``: the seconds we were asked to wait."""
        with self._lock:
            now = self._clock()
            if not self._known:
                self._pace = max(_SLOWEST, (self._pace or self._observed(now)) / 2)
            self._next = max(self._next, now + (_BREATH if after is None else after))

    def _observed(self, now: float) -> float:
        span = now - self._calls[0] if self._calls else 0
        return len(self._calls) / max(span, _BREATH)
