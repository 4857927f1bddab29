"""One warehouse of a third party, by the files it sends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Any

from crossdock.connectors.threepl.advices import Advices
from crossdock.connectors.threepl.counts import Counts
from crossdock.connectors.threepl.inbox import Folder, Inbox


class ThreePl:
    """What it serves: ``shipping_advice`` (a source), ``inventory`` (a feed). ``zone``: of times that name none."""

    def __init__(
        self, inbox: Folder, clock: Callable[[], datetime] = lambda: datetime.now(UTC), zone: tzinfo = UTC
    ) -> None:
        files = Inbox(inbox, clock)
        self.shipping_advice = Advices(files)
        self.inventory = Counts(files, zone)

    @classmethod
    def from_connection(cls, conn_id: str, connection: Any = None) -> ThreePl:
        """The warehouse of an Airflow connection of type ``crossdock_3pl``; ``connection``: if it is known."""
        from crossdock.connectors.threepl.hook import ThreePlHook

        hook = ThreePlHook(conn_id)
        if connection is not None:
            hook.connection = connection
        return cls(hook.inbox, zone=hook.zone)
