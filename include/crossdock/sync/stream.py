"""``inventory`` without waiting for a DAG run: a look at ERP and shop four times a second, and a pass over what is new.

A pass is a run of the same flow by the same steps, with its own account and the flow's one lease, so nothing that a run
promises is given up. Only the quality gate lets everything through, and full readings are left to the DAG. Once a
minute it is an ordinary run, which reads the window with its overlap and moves the watermark; in between it is one for
the SKUs that were touched.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from threading import Event

from crossdock.errors import Retry
from crossdock.ports import Shelf, Stirrings, Warehouses, Window
from crossdock.sync import steps
from crossdock.sync.news import Clock, News
from crossdock.sync.run import Request, Run, Verdict

PAUSE = 0.25
"""Seconds between two looks."""
BUSY = 0.25
"""Seconds until it is asked again whether another run is still at work."""
WHOLE = 60.0
"""Seconds between two ordinary runs; as many again may the next one wait for a moment at which nothing is touched."""
TAIL = timedelta(seconds=2)
"""The shop's transactions are short."""
ABSENCE = 60.0
"""Seconds between two tries while a system is away, in the end."""
NAME = "stream/"
"""How the names of its runs begin."""

log = logging.getLogger(__name__)


class OpenGate:
    """Lets every batch through: the DAG ``inventory`` looks at the same records with its suite."""

    def check(self, suite: str, relation: str, count: int) -> Verdict:
        """No objection."""
        return Verdict()


@dataclass(frozen=True)
class Sides:
    """The systems, newly connected, and ``begin``: a run between them by its name."""

    warehouses: Warehouses
    shelf: Shelf
    stirrings: Stirrings
    begin: Callable[[str, Request], Run]


class Stream:
    """``name`` is one that no other stream has had. ``holder``: the name of the run at work on the flow, or ""."""

    def __init__(self, name: str, connect: Callable[[], Sides], holder: Callable[[], str]) -> None:
        self._name, self._connect, self._holder = name, connect, holder
        self._lately: _Lately | None = None
        self._whole_at = 0.0
        self._passes = self._written = 0

    def follow(self, until: datetime, stop: Event) -> str:
        """Look and pass until then, or until ``stop``; what was done, in a line.

        A system that is away is waited for, ever longer. Raises Stop when a person has to act.
        """
        tries = 0
        while not stop.is_set() and (left := (until - datetime.now(UTC)).total_seconds()) > 0:
            try:
                pause, tries = self.step(), 0
            except Retry as error:
                self._lately, tries = None, tries + 1
                pause = error.after or min(ABSENCE, 2.0**tries)
                log.warning("The stream goes on in %.0f s: %s", pause, error)
            stop.wait(min(pause, left))
        return f"{self._passes} passes, {self._written} SKUs written"

    def step(self) -> float:
        """One look, a pass if there is anything new; the seconds until the next. Raises Retry or Stop."""
        if at_work := self._holder():
            if not at_work.startswith(NAME):
                return BUSY
            self._leave(at_work)
        now = time.monotonic()
        if self._lately and now < self._whole_at + WHOLE and (touched := self._lately.touched()):
            self._pass(self._lately.sides, Request(keys=tuple(sorted(touched))))
        elif self._lately is None or now >= self._whole_at:
            self._whole_at = now + WHOLE
            sides = self._connect()
            self._lately = _Lately(sides)
            self._pass(sides, Request())
        return PAUSE

    def _pass(self, sides: Sides, request: Request) -> None:
        self._passes += 1
        run = sides.begin(f"{NAME}{self._name}/{self._passes}", request)
        run.flow = replace(run.flow, full_every=None, overlap_every=None)
        if run.store.watermark(run) is None:
            raise Retry(f"{run}: the DAG inventory comes first, and has not settled yet.")
        try:
            if steps.extract(run):
                steps.transform(run)
                steps.load(run)
        except Exception:
            with suppress(Exception):
                steps.settle(run)
            raise
        if steps.settle(run).state == "drained":  # another run was quicker: what was touched is read by the next one
            self._lately = None
        self._written += run.books.created + run.books.updated

    def _leave(self, name: str) -> None:
        """Close what a stream that was killed has left open: what it has confirmed stays, the rest is read again."""
        run = self._connect().begin(name, Request())
        log.warning("%s: a stream was ended amid a pass (%s); its books are closed", run, name)
        with suppress(Exception):
            steps.settle(run)
        self._lately = None


class _Lately:
    """What has been touched since the last look."""

    def __init__(self, sides: Sides) -> None:
        self.sides = sides
        self._news = News(sides.stirrings)
        self._news.since("inventory")
        self._clock = Clock(sides.shelf)
        self._looked = self._clock.now()

    def touched(self) -> Set[str]:
        """These SKUs, with all that shares goods with them. What the stream itself wrote in the shop is no news."""
        skus: set[str] = set()
        if since := self._news.since("inventory"):
            skus.update(*self.sides.warehouses.touched(Window(since, datetime.now(UTC))))
        now = self._clock.now()
        skus.update(*self.sides.shelf.touched(Window(self._looked - TAIL, now)))
        self._looked = now
        return self.sides.warehouses.family(skus) if skus else skus
