"""Made-up web orders of guests: three lines and freight each, an address of their own, nothing paid yet."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from crossdock.domain.order import Order
from crossdock.errors import Reject
from crossdock.ports import Row, Window

PAGE = 100
PLACED = datetime(2026, 11, 1, 10, tzinfo=UTC)
FREIGHT = Decimal("5.90")


def orders(count: int, goods: Sequence[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """``goods``: SKU and net price of what is rated at 19 %."""
    for number in range(count):
        chosen = [goods[(number + step) % len(goods)] for step in (0, 7, 13)]
        tax = [{"code": "VAT19", "rate": "19"}]
        lines = [
            {"id": f"line_{number}_{place}", "kind": "item", "sku": sku, "title": sku, "quantity": "2",
             "net": str(2 * Decimal(price)), "taxes": tax}
            for place, (sku, price) in enumerate(chosen)
        ]  # fmt: skip
        lines.append({"id": f"ship_{number}", "kind": "shipping", "title": "Standard", "quantity": "1",
                      "net": str(FREIGHT), "taxes": tax})  # fmt: skip
        net = sum(Decimal(line["net"]) for line in lines)
        yield {
            "web_id": f"order_bench_{number:06d}", "number": str(number), "placed_at": PLACED.isoformat(),
            "email": f"guest{number}@guests.example", "currency": "EUR", "charged": str(net * Decimal("1.19")),
            "settlement": "authorised", "lines": lines,
            "ship_to": {"name": f"Guest {number}", "street": f"Quay {number}", "postal_code": "20457",
                        "city": "Hamburg", "country": "DE"},
        }  # fmt: skip


class Orders:
    """They as a ``Source[Order]`` without a shop."""

    name = "Memory"
    version = "1"

    def __init__(self, count: int, goods: Sequence[tuple[str, str]]) -> None:
        self._count, self._goods = count, goods

    def now(self) -> datetime:
        return datetime.now(UTC)

    def changed(self, window: Window) -> Iterator[Sequence[Row]]:
        rows = [
            Row(order["web_id"], order["number"], json.dumps(order).encode())
            for order in orders(self._count, self._goods)
        ]
        for start in range(0, len(rows), PAGE):
            yield rows[start : start + PAGE]

    def read(self, keys: Collection[str]) -> Iterator[Sequence[Row]]:
        for page in self.changed(Window(None, self.now())):
            yield [row for row in page if row.key in keys]

    def parts(self) -> Iterator[Sequence[str]]:
        yield []

    def parse(self, raw: bytes) -> Order:
        return Order.model_validate_json(raw)

    def content(self, ref: str) -> bytes:
        raise Reject("no_file", f"There is no file {ref}.", "Give none.")
