"""After a lost answer a shop may still be at work: what is there must stand still before it is judged."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from crossdock.errors import Retry

_T = TypeVar("_T")

_STILL, _LONGEST, _AWAY = 3.0, 60.0, 10.0
"""Seconds: without change, a shop has stopped working on a call; it is waited for no longer; it may not answer."""


def wait_until_still(look: Callable[[], _T], is_done: Callable[[_T], bool]) -> None:
    """Look again and again until nothing moves any more, or all is done. A shop that is away is not waited for long."""
    began = since = time.monotonic()
    seen: _T | None = None
    while True:
        now = time.monotonic()
        try:
            found = look()
        except Retry:
            if now - began > _AWAY:
                return
        else:
            if found != seen:
                seen, since = found, now
            if now - since > _STILL or is_done(found):
                return
        if now - began > _LONGEST:
            return
        time.sleep(0.5)
