"""Calls at a pace the other side can bear. Knows nothing of any system; every connector may use it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

_TOLERANCE = 2
"""So many calls may be made up for after a stall, at once."""
_START = 20.0
"""Calls a second to begin with where no limit is known ..."""
_GROWTH = 1.5
"""... and so many more after each that was accepted: about 100 a second after one second."""
_FIRST_CUT, _CUT = 0.85, 0.93
"""The share of the observed pace that is kept at the first refusal, and at later ones. The first share is
smaller: what was observed by then holds the burst that many systems allow."""
_RECOVERY = 50.0
"""Seconds without a refusal after which the pace is twice as high. It rises with their square: hardly at
all where it was just refused, quickly where the refusal was a whim."""
_FEW = 5
"""The observed pace is that of the last second, or of so many calls if they took longer."""
_SLOWEST = 0.1
_BREATH = 1.0
"""The pause after a refusal that does not say how long."""


class Pacer:
    """Spaces calls to one system. One per session; threads share it.

    A known limit is kept evenly (GCRA), and time lost in a stall is made up for by a call or two. An
    unknown one is looked for: the pace doubles quickly until a call is refused, which a system without a
    limit never does, then stays below what was accepted and rises slowly. A refusal's own
    ``Retry-After`` holds up every thread, and however many calls are refused together count once.
    """

    def __init__(
        self,
        per_second: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._known = per_second is not None
        self._pace = per_second or _START
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._due = self._free = float("-inf")  # the next call, if evenly spaced; the end of a refusal's pause
        self._searching = per_second is None
        self._accepted: deque[float] = deque()

    @property
    def pace(self) -> float:
        """Calls a second at the moment."""
        if self._known or self._searching:
            return self._pace
        calm = max(0.0, self._clock() - self._free)
        return self._pace * (1 + (calm / _RECOVERY) ** 2)

    def wait(self) -> None:
        """Until the next call may be sent."""
        while pause := self._pause():
            self._sleep(pause)

    def _pause(self) -> float:
        """0: the call's turn is now, and taken."""
        with self._lock:
            now, gap = self._clock(), 1 / self.pace
            turn = max(self._free, self._due - _TOLERANCE * gap)
            if turn > now:
                return turn - now
            self._due = max(self._due, now) + gap
            return 0

    def accepted(self) -> None:
        """The last call was taken."""
        if self._known:
            return
        with self._lock:
            now = self._clock()
            self._accepted.append(now)
            while len(self._accepted) > _FEW and self._accepted[0] < now - 1:
                self._accepted.popleft()
            if self._searching:
                self._pace += _GROWTH

    def refused(self, after: float | None = None) -> None:
        """The last call came too early (429). ``after``: the seconds we were asked to wait."""
        with self._lock:
            now = self._clock()
            if not self._known and now >= self._free:  # else it was sent before the pause began
                cut = _FIRST_CUT if self._searching else _CUT
                self._pace, self._searching = max(_SLOWEST, cut * min(self.pace, self._observed(now))), False
            self._free = max(self._free, now + (_BREATH if after is None else after))
            self._due = max(self._due, self._free)

    def _observed(self, now: float) -> float:
        begin = min(self._accepted[0], now - 1) if self._accepted else now - 1
        return len(self._accepted) / (now - begin)
