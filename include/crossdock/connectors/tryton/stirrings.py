"""Whether anything stirs in Tryton: a cheap look at the newest changes, behind the port ``Stirrings``."""

from __future__ import annotations

from collections.abc import Set
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from crossdock.connectors.tryton.reading import ALL, NONE, Rpc, modules

NEWEST = 200
"""Changes of one table that a look tells apart: more of them mean that something stirs in any case."""


class _Table(NamedTuple):
    """``archives``: it has rows that are not active. ``ours``: what we write there ourselves counts as well.

    ``module``: it is there only where this module is active.
    """

    model: str
    archives: bool = False
    ours: bool = True
    module: str | None = None


_SALES = (_Table("sale.sale"), _Table("stock.shipment.out"), _Table("stock.shipment.out.return"))
_MONEY = (_Table("account.invoice"), _Table("account.payment", module="account_payment"))


_TABLES: dict[str, tuple[_Table, ...]] = {
    "customers": (
        # a web order makes an address or a contact of its own: that is no news of an account
        _Table("party.party", archives=True, ours=False),
        _Table("party.address", archives=True, ours=False),
        _Table("party.contact_mechanism", archives=True, ours=False),
        _Table("party.identifier", archives=True, ours=False),
    ),
    "items": (
        _Table("product.template", archives=True),
        _Table("product.product", archives=True),
        _Table("product.identifier"),
        _Table("product.image"),
    ),
    "inventory": (_Table("stock.move"),),
    "prices": (
        # a list price and the list of a party have tables of their own, which nobody may read over RPC
        _Table("product.template", archives=True),
        _Table("product.product", archives=True),
        _Table("party.party", archives=True, ours=False),
        _Table("product.price_list", module="product_price_list"),
        _Table("product.price_list.line", module="product_price_list"),
    ),
    "order_status": (*_SALES, *_MONEY),
    "offline_orders": _SALES,
    # what is paid of an invoice without touching it shows in what its lines are reconciled with
    "invoices": (*_MONEY, _Table("account.move.reconciliation")),
}
"""Where changes show that cannot wait. What else a flow reads (a category, a tax) changes rarely: the DAG finds
it by the clock."""


class Stirrings:
    """The newest rows of the tables of a flow: a call each."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    def now(self) -> datetime:
        """Tryton's clock, by the whole second below."""
        return self._rpc.now()

    def stirred(self, flow: str, since: datetime) -> Set[str]:
        """``stock.move:7@2026-11-26 10:00:00``; nothing for a flow that nobody hurries with."""
        return {
            f"{table.model}:{row['id']}@{row['last_modified_at']}"
            for table in _TABLES.get(flow, ())
            if table.module is None or table.module in self._modules
            for row in self._newest(table, since)
        }

    @cached_property
    def _modules(self) -> frozenset[str]:
        return modules(self._rpc)

    def _newest(self, table: _Table, since: datetime) -> list[dict[str, Any]]:
        domain = [["last_modified_at", ">=", since], *([ALL] if table.archives else []), *self._by(table)]
        rows: list[dict[str, Any]] = self._rpc.call(
            f"model.{table.model}.search_read",
            domain, 0, NEWEST, [["last_modified_at", "DESC"]], ["last_modified_at"],
        )  # fmt: skip
        return rows

    def _by(self, table: _Table) -> list[Any]:
        if table.ours:
            return []
        none = [NONE] if table.archives else []
        return [
            ["OR", ["write_uid", "=", None], ["write_uid", "!=", self._rpc.user], *none],
            ["OR", ["write_uid", "!=", None], ["create_uid", "!=", self._rpc.user], *none],
        ]
