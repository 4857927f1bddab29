"""What became of web orders in Tryton, behind the port ``Source[OrderStatus]``."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol

import msgspec

from crossdock.connectors.tryton import status_mapping
from crossdock.connectors.tryton.reading import Record, Rpc, table
from crossdock.connectors.tryton.rows import stable
from crossdock.connectors.tryton.status_mapping import SHIPMENTS
from crossdock.domain.order_status import OrderStatus
from crossdock.errors import Misconfigured, Reject
from crossdock.ports import Row, Window

PAGE = 200
"""Sales in one answer."""

_ORDERS: list[Any] = [
    ["web_shop", "!=", None],
    ["web_id", "not in", [None, ""]],
    ["number", "not in", [None, ""]],
    ["OR", ["origin", "=", None], ["origin", "not like", "sale.sale,%"]],
]
"""Sales of a web shop that have got their number. Returns, and what is sent instead, come from another sale."""


class Names(Protocol):
    """What the connection's settings say about orders (hook.py)."""

    orders_shop: str | None
    web_shop: str | None

    @property
    def tracking_urls(self) -> Mapping[str, str] | None:
        """Carrier's name in lower case -> URL with ``{number}``."""


class Statuses:
    """The sales of the web shop, cancelled ones included: a ``Source[OrderStatus]``.

    Lines, moves, shipments and packages have their own times of change: each is asked for. What a carrier or a
    warehouse is called is told with the next change of the shipment.
    """

    name = "Tryton"

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    @cached_property
    def version(self) -> str:
        """Changes with the fields, the mapping and the settings."""
        urls = (f"{carrier}={url}" for carrier, url in sorted(self._urls.items()))
        read = "\n".join((*status_mapping.FIELDS, self._shop or "", *urls))
        return f"{status_mapping.VERSION}-{hashlib.sha256(read.encode()).hexdigest()[:12]}"

    def now(self) -> datetime:
        """Tryton's clock, by the whole second below."""
        return self._rpc.now()

    def changed(self, window: Window) -> Iterator[Sequence[Row]]:
        """Pages by id. What changed after the window is read as well: the row is as it is now."""
        return self._pages([_changed_since(window.since)] if window.since else [])

    def read(self, keys: Collection[str]) -> Iterator[Sequence[Row]]:
        """These orders, by the shop's id."""
        wanted = sorted(keys)
        for start in range(0, len(wanted), PAGE):
            yield from self._pages([["web_id", "in", wanted[start : start + PAGE]]])

    def parts(self) -> Iterator[Sequence[str]]:
        """None: nothing of a sale that has its number disappears without a change of the sale or of a shipment."""
        return iter(())

    def parse(self, raw: bytes) -> OrderStatus:
        """See status_mapping.py."""
        return status_mapping.to_status(raw, self._urls)

    def content(self, ref: str) -> bytes:
        """Orders have no files."""
        raise Reject("no_file", f"An order refers to a file {ref}.", "This is a defect: report it.")

    @cached_property
    def _settings(self) -> Names:
        settings: Names = self._rpc.settings
        return settings

    @property
    def _urls(self) -> Mapping[str, str]:
        return self._settings.tracking_urls or {}

    @property
    def _shop(self) -> str | None:
        return self._settings.orders_shop or self._settings.web_shop

    @cached_property
    def _ours(self) -> list[Any]:
        """The clauses for the sales of the settings' shop, else of any. Raises Misconfigured when it is not there."""
        if not self._shop:
            return _ORDERS
        shops = table(self._rpc, "web.shop", [["name", "=", self._shop]], ["name"])
        if not shops:
            raise Misconfigured(
                f"Tryton has no web shop {self._shop!r}. Make it there, or correct the connection's settings."
            )
        return [*_ORDERS, ["web_shop", "in", [shop["id"] for shop in shops]]]

    def _pages(self, which: list[Any]) -> Iterator[Sequence[Row]]:
        last = 0
        while True:
            domain = [*self._ours, ["id", ">", last], *which]
            content = self._rpc.ask(
                "model.sale.sale.search_read", domain, 0, PAGE, [["id", "ASC"]], list(status_mapping.FIELDS)
            )
            sales: list[Record] = msgspec.json.decode(content)
            if sales:
                handed_over = self._handed_over(sales)
                yield [_row(sale, handed_over) for sale in sales]
            if len(sales) < PAGE:
                return
            last = sales[-1]["id"]

    def _handed_over(self, sales: Sequence[Record]) -> set[int]:
        """Ids of the shipments that are done and were shipped before, by Tryton's own log of transitions."""
        done = [f"{SHIPMENTS},{one['id']}" for sale in sales for one in sale["shipments."] if one["state"] == "done"]
        if not done:
            return set()
        shipped = [["resource", "in", done], ["event", "=", "transition"], ["target", "=", "state:shipped"]]
        return {int(row["resource"].split(",")[1]) for row in table(self._rpc, "ir.model.log", shipped, ["resource"])}


def _row(sale: Record, handed_over: set[int]) -> Row:
    ours = sorted(one["id"] for one in sale["shipments."] if one["id"] in handed_over)
    return Row(key=sale["web_id"], source_id=str(sale["id"]), raw=stable({**sale, "handed_over": ours}))


def _changed_since(since: datetime) -> list[Any]:
    """Sales that changed themselves, or through what they consist of.

    ``last_modified_at`` is the start of the transaction: the overlap of the windows is for that.
    """
    paths = ("", "lines.", "lines.moves.", "shipments.", "shipments.packages.")
    return ["OR", *([f"{path}last_modified_at", ">=", since] for path in paths)]
