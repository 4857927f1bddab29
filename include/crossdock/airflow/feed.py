"""The ERP's changes wake the DAGs: one look at the ERP every quarter of a second, however many DAGs wait for it.

``assets.watched`` puts a ``Feed`` on the hint of each domain; Airflow's triggerer runs them, those of one pair on one
shared stream (Airflow 3.3, airflow/triggers/shared_stream.py). What triggers say is passed on once a second
(airflow/jobs/triggerer_job_runner.py): stock, which is in a hurry, goes through the door of the shop's hints, where
that is open. Only hints: what is read is decided by the watermark, so nothing is kept here. A feed that begins, or
finds the ERP again, wakes every domain once.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Hashable, Set
from itertools import cycle
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from crossdock.airflow.door import FEED, knock
from crossdock.airflow.pairs import pair_named
from crossdock.airflow.runtime import stirrings, system
from crossdock.errors import Retry
from crossdock.sync.news import News

PAUSE = 0.25
"""Seconds between two looks."""
HURRY, OTHERS = 0.15, 0.05
"""At most so much of the time is the ERP busy with looks at stock, and at the rest: a long look has a long pause."""
ABSENCE = 60.0
"""Seconds between two tries while the ERP is away, in the end."""
REFUSAL = 300.0
"""Seconds between two tries while a person has to act: it refuses us, or there is no such connection."""

_HURRIED = "inventory"
_OTHERS = ("customers", "items", "prices", "order_status", "offline_orders", "invoices")
"""They take turns."""
_WAKES = {
    "inventory": "inventory",
    "customers": "customers",
    "items": "items",
    "prices": "pricing",
    "order_status": "customers",
    "offline_orders": "offline_orders",
    "invoices": "offline_orders",
}
"""Flow -> the domain whose hint it gives. ``orders`` is woken in its turn when ``customers`` has settled."""
_RESTS = {"inventory": 2.0, "customers": 15.0, "items": 15.0, "pricing": 30.0, "offline_orders": 15.0}
"""Seconds after a hint before the same domain gets another: runs would only queue up."""

log = logging.getLogger(__name__)


class Feed(BaseEventTrigger):
    """Fires when something that ``domain`` reads has changed in the ERP of ``pair``."""

    def __init__(self, pair: str, domain: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.pair, self.domain = pair, domain

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow keeps it."""
        return f"{__name__}.{type(self).__name__}", {"pair": self.pair, "domain": self.domain}

    def shared_stream_key(self) -> Hashable:
        """One stream for each pair."""
        return __name__, self.pair

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[Set[str]]:
        """The domains to be woken, each time there are any. It never ends, and fails only by a defect."""
        watch = Watch(kwargs["pair"])
        while True:
            woken, pause = await asyncio.to_thread(watch.look)  # hooks are synchronous
            if woken:
                yield woken
            await asyncio.sleep(pause)

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Set[str]]) -> AsyncIterator[TriggerEvent]:
        """Those of them that wake this domain."""
        async for woken in shared_stream:
            if self.domain in woken:
                yield TriggerEvent(None)  # type: ignore[no-untyped-call]

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Alone, where streams are not shared."""
        async for event in self.filter_shared_stream(self.open_shared_stream({"pair": self.pair})):
            yield event


class Watch:
    """Looks at the ERP of one pair, and says whom to wake and when to look again."""

    def __init__(self, pair: str) -> None:
        self._pair = pair
        self._news: News | None = None
        self._turns = cycle(_OTHERS)
        self._next_turn = -math.inf
        self._due: set[str] = set()
        self._woken_at: dict[str, float] = {}
        self._tries = 0
        self._shut_until = -math.inf

    def look(self) -> tuple[Set[str], float]:
        """The domains still to be woken now, and the seconds until the next look. Never raises: it is tried again."""
        try:
            pause = max(PAUSE, self._ask(_HURRIED, HURRY))
            if time.monotonic() >= self._next_turn:
                self._next_turn = self._ask(next(self._turns), OTHERS) + time.monotonic()
            return self._still(self._woken()), pause
        except Exception as error:
            return frozenset(), self._failed(error)

    def _ask(self, flow: str, share: float) -> float:
        """Seconds for which the ERP is then left alone with this."""
        if self._news is None:
            self._news = News(stirrings(system("erp", pair_named(self._pair))))
            self._due |= set(_WAKES.values())
            self._tries = 0
            log.info("Changes in the ERP of pair %s wake the DAGs.", self._pair)
        began = time.monotonic()
        if self._news.since(flow):
            self._due.add(_WAKES[flow])
        took = time.monotonic() - began
        return took / share - took

    def _woken(self) -> Set[str]:
        now = time.monotonic()
        woken = {one for one in self._due if now - self._woken_at.get(one, -math.inf) >= _RESTS[one]}
        self._due -= woken
        self._woken_at |= dict.fromkeys(woken, now)
        return woken

    def _still(self, woken: Set[str]) -> Set[str]:
        """Without what Airflow has been told directly. A door that is shut is not tried for a while.

        Where stock is streamed nobody is told of it.
        """
        now = time.monotonic()
        if _HURRIED not in woken or now < self._shut_until or (pair := pair_named(self._pair)).stream:
            return woken
        if knock(pair, f"{FEED}.{_HURRIED}"):
            return woken - {_HURRIED}
        self._shut_until = now + ABSENCE
        return woken

    def _failed(self, error: Exception) -> float:
        """Said once. The connection is read anew: a person may have corrected it."""
        self._news = None
        self._tries += 1
        if self._tries == 1:
            log.warning("Changes in the ERP of pair %s wake no DAG; they run by the clock: %s", self._pair, error)
        return min(ABSENCE, 2.0 ** (self._tries - 1)) if isinstance(error, Retry) else REFUSAL
