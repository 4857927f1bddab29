"""What became of web orders in Tryton, behind the port ``Source[OrderStatus]``."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol

import msgspec

from crossdock.connectors.tryton import kits, status_mapping
from crossdock.connectors.tryton.order_returns import Returns
from crossdock.connectors.tryton.reading import Record, Rpc, modules, table
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
    payment_journal: str | None

    @property
    def tracking_urls(self) -> Mapping[str, str] | None:
        """Carrier's name in lower case -> URL with ``{number}``."""


class Statuses:
    """The sales of the web shop, cancelled ones included: a ``Source[OrderStatus]``.

    With each comes what came of it: its returns, whoever made them, what was sent instead, its credit notes and what
    was paid back. All of these have their own times of change: each is asked for. What a carrier or a warehouse is
    called is told with the next change of the shipment.
    """

    name = "Tryton"

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._returns = Returns(rpc)

    @cached_property
    def version(self) -> str:
        """Changes with the fields, the mapping and the settings."""
        urls = (f"{carrier}={url}" for carrier, url in sorted(self._urls.items()))
        read = "\n".join((*status_mapping.FIELDS, self._shop or "", self._settings.payment_journal or "", *urls))
        return f"{status_mapping.VERSION}-{hashlib.sha256(read.encode()).hexdigest()[:12]}"

    def now(self) -> datetime:
        """Tryton's clock, by the whole second below."""
        return self._rpc.now()

    def changed(self, window: Window) -> Iterator[Sequence[Row]]:
        """Pages by id. What changed after the window is read as well: the row is as it is now."""
        if window.since is None:
            return self._pages([])
        late = _changed_since(window.since)
        return self._pages([["OR", late, ["id", "in", sorted(self._returns.touched(window.since, late))]]])

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
        return status_mapping.to_status(raw, self._urls, self._settings.payment_journal)

    def content(self, ref: str) -> bytes:
        """Orders have no files."""
        raise Reject("no_file", f"An order refers to a file {ref}.", "This is a defect: report it.")

    @cached_property
    def _sells_kits(self) -> bool:
        return "product_kit" in modules(self._rpc)

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
                yield self._rows(sales)
            if len(sales) < PAGE:
                return
            last = sales[-1]["id"]

    def _rows(self, sales: Sequence[Record]) -> list[Row]:
        """With all that came of them."""
        more = self._returns.of(sales)
        if self._sells_kits:
            kits.fill(self._rpc, [each for sale in sales for each in (sale, *more[sale["id"]]["later"])])
        shipments = {
            sale["id"]: [one["id"] for each in (sale, *more[sale["id"]]["later"]) for one in each["shipments."]
                         if one["state"] == "done"]
            for sale in sales
        }  # fmt: skip
        handed_over = self._handed_over([one for some in shipments.values() for one in some])
        return [
            Row(
                key=sale["web_id"],
                source_id=str(sale["id"]),
                raw=stable({
                    **sale, **more[sale["id"]], "handed_over": sorted(handed_over.intersection(shipments[sale["id"]])),
                }),
            )
            for sale in sales
        ]  # fmt: skip

    def _handed_over(self, done: Sequence[int]) -> set[int]:
        """Of the shipments that are done, those that were shipped before, by Tryton's own log of transitions."""
        if not done:
            return set()
        among = [f"{SHIPMENTS},{one}" for one in done]
        shipped = [["resource", "in", among], ["event", "=", "transition"], ["target", "=", "state:shipped"]]
        return {int(row["resource"].split(",")[1]) for row in table(self._rpc, "ir.model.log", shipped, ["resource"])}


def _changed_since(since: datetime) -> list[Any]:
    """Sales that changed themselves, or through what they consist of.

    ``last_modified_at`` is the start of the transaction: the overlap of the windows is for that.
    """
    paths = ("", "lines.", "lines.moves.", "shipments.", "shipments.packages.", "shipment_returns.")
    return ["OR", *([f"{path}last_modified_at", ">=", since] for path in paths)]
