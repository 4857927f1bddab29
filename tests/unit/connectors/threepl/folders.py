"""A folder in memory whose files came when the test says, and what warehouses put into it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from crossdock.connectors.threepl.adapter import ThreePl
from crossdock.connectors.threepl.counts import Counts
from crossdock.ports import Window

START = datetime(2026, 11, 24, 6, tzinfo=UTC)


def csv(stock: Mapping[str, int], at: datetime | None = None, trailer: bool = False) -> str:
    head, told = ("sku;quantity;counted_at\n", f";{at.isoformat()}") if at else ("sku;quantity\n", "")
    end = f"#rows;{len(stock)}\n" if trailer else ""
    return head + "".join(f"{sku};{pieces}{told}\n" for sku, pieces in stock.items()) + end


def x12(stock: Mapping[str, int], at: datetime, control: int, purpose: str = "00") -> str:
    lines = [segment for sku, pieces in stock.items() for segment in (f"LIN**SK*{sku}", f"QTY*17*{pieces}")]
    body = [f"BIA*{purpose}*MB*1*{at:%Y%m%d}*{at:%H%M%S}", *lines]
    segments = [
        f"ISA*00*{'':10}*00*{'':10}*ZZ*{'FULFILFAST':15}*ZZ*{'ALDERGATE':15}*261124*1200*U*00401*{control:09}*0*P*>",
        "GS*IB*A*B*20261124*1200*1*X*004010",
        "ST*846*0001",
        *body,
        f"SE*{len(body) + 2}*0001",
        "GE*1*1",
        f"IEA*1*{control:09}",
    ]
    return "".join(f"{segment}~" for segment in segments)


class Folder:
    """Also the clock: an hour goes by with each file. ``opened``: names of the files that were read."""

    path = "inbox"

    def __init__(self) -> None:
        self.fs = self
        self.held: dict[str, tuple[bytes, datetime]] = {}
        self.opened: list[str] = []
        self.away: Exception | None = None
        self.clock = START

    def feed(self) -> Counts:
        return ThreePl(self, lambda: self.clock).inventory

    def put(self, name: str, content: str | bytes = "", hours: float = 1) -> datetime:
        """When it came."""
        self.clock += timedelta(hours=hours)
        self.held[name] = content if isinstance(content, bytes) else content.encode(), self.clock
        self.clock += timedelta(minutes=1)
        return self.held[name][1]

    def window(self, hours: float | None = None) -> Window:
        return Window(None if hours is None else self.clock - timedelta(hours=hours), self.clock)

    def invalidate_cache(self) -> None:
        pass

    def ls(self, path: str, detail: bool) -> list[dict[str, Any]]:
        if self.away:
            raise self.away
        return [
            {"name": f"{path}/{name}", "size": len(content), "type": "file", "mtime": came.timestamp()}
            for name, (content, came) in self.held.items()
        ]

    def open(self, path: str, mode: str) -> io.BytesIO:
        name = path.rpartition("/")[2]
        self.opened.append(name)
        return io.BytesIO(self.held[name][0])
