"""What came of sales later: their returns, what was sent instead, credit notes, money paid back. Read only.

Facts (Tryton 8.0): a return sale bears ``origin``, the reference of the sale it is of, and the lines' notes, but no web
id. A credit note is an invoice of a return sale, or was made of an invoice: then its lines are of the invoice's lines.
A payment is of a sale (module sale_payment) or of a line to pay, whose move is the invoice's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from crossdock.connectors.tryton import status_mapping
from crossdock.connectors.tryton.reading import Record, Rpc, modules, raw, table

_SALE, _INVOICE, _LINE = "sale.sale", "account.invoice", "account.invoice.line"


class Returns:
    """For orders' sales, as status_mapping.py reads them."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    def of(self, orders: Sequence[Record]) -> dict[int, dict[str, list[Record]]]:
        """By the order's sale: ``later`` sales, ``credit_notes``, ``refunds``, as JSON-RPC returns them."""
        found: dict[int, dict[str, list[Record]]] = {
            order["id"]: {"later": [], "credit_notes": [], "refunds": []} for order in orders
        }
        owners = {_reference(_SALE, order["id"]): order["id"] for order in orders}
        newest, later = list(owners), []
        while newest:
            sales = raw(self._rpc, _SALE, [["origin", "in", newest]], status_mapping.LATER_FIELDS)
            sales = [sale for sale in sales if _reference(_SALE, sale["id"]) not in owners]
            owners |= {_reference(_SALE, sale["id"]): owners[sale["origin"]] for sale in sales}
            newest = [_reference(_SALE, sale["id"]) for sale in sales]
            later += sales
        for sale in later:
            found[owners[_reference(_SALE, sale["id"])]]["later"].append(sale)
        invoices = self._invoices([*orders, *later], owners)
        for order, note in self._credit_notes(invoices):
            found[order]["credit_notes"].append(note)
        for order, refund in self._refunds(owners, invoices):
            found[order]["refunds"].append(refund)
        return found

    def touched(self, since: datetime, changed: list[Any]) -> set[int]:
        """The orders' sales of which something came lately. ``changed``: the clause for sales that did."""
        late = ["last_modified_at", ">=", since]
        rows = table(self._rpc, _SALE, [["origin", "like", f"{_SALE},%"], changed], ["id"])
        sales = {row["id"] for row in rows}
        notes = table(self._rpc, _INVOICE, [["type", "=", "out"], late], ["total_amount", "lines.origin"])
        lines = {line["origin"] for note in notes if note["total_amount"] < 0 for line in note["lines."]}
        invoices: set[int] = set()
        if self._pays:
            for row in table(self._rpc, "account.payment", [["kind", "=", "payable"], late], _OF):
                sales |= _ids([row["origin"]], _SALE)
                invoices |= _ids([_move(row)], _INVOICE)
        lines |= {line["origin"] for line in self._lines("invoice", invoices)}
        lines |= {line["origin"] for line in self._lines("id", _ids(lines, _LINE))}
        sold = _ids(lines, "sale.line")
        if sold:
            sales |= {row["sale"] for row in table(self._rpc, "sale.line", [["id", "in", sorted(sold)]], ["sale"])}
        return self._orders_of(sales)

    def _orders_of(self, sales: Collection[int]) -> set[int]:
        """Up to the sales that they came of."""
        found, asked = set(sales), set(sales)
        while asked:
            rows = table(self._rpc, _SALE, [["id", "in", sorted(asked)]], ["origin"])
            asked = _ids((row["origin"] for row in rows), _SALE) - found
            found |= asked
        return found

    def _invoices(self, sales: Sequence[Record], owners: Mapping[str, int]) -> dict[int, int]:
        """Invoice -> the order's sale; with those that credit an invoice."""
        sold = {
            _reference("sale.line", line["id"]): owners[_reference(_SALE, sale["id"])]
            for sale in sales
            if sale["invoice_state"] not in ("none", "pending")
            for line in sale["lines."]
        }
        found: dict[int, int] = {}
        while sold:
            lines = [line for line in self._lines("origin", sold) if line["invoice"]]
            found |= {line["invoice"]: sold[line["origin"]] for line in lines}
            sold = {_reference(_LINE, line["id"]): sold[line["origin"]] for line in lines}
        return found

    def _lines(self, field: str, among: Collection[Any]) -> list[Record]:
        return table(self._rpc, _LINE, [[field, "in", sorted(among)]], ["invoice", "origin"]) if among else []

    def _credit_notes(self, invoices: Mapping[int, int]) -> Iterator[tuple[int, Record]]:
        """Those that are posted."""
        if invoices:
            where = [["id", "in", sorted(invoices)], ["number", "!=", None], ["state", "in", ["posted", "paid"]]]
            for row in raw(self._rpc, _INVOICE, where, status_mapping.INVOICE_FIELDS):
                if row["total_amount"]["decimal"].startswith("-"):
                    yield invoices[row["id"]], row

    def _refunds(self, sales: Mapping[str, int], invoices: Mapping[int, int]) -> Iterator[tuple[int, Record]]:
        """What was paid back for these sales or invoices."""
        if not self._pays:
            return
        credited = {_reference(_INVOICE, invoice): order for invoice, order in invoices.items()}
        of = [["origin", "in", sorted(sales)], *([["line.move.origin", "in", sorted(credited)]] if credited else [])]
        where = [["kind", "=", "payable"], ["state", "=", "succeeded"], ["OR", *of]]
        for row in raw(self._rpc, "account.payment", where, (*status_mapping.PAYMENT_FIELDS, *_OF)):
            order = sales.get(row["origin"] or "") or credited.get(_move(row) or "")
            if order is not None:
                yield order, {name: value for name, value in row.items() if name not in ("origin", "line.")}

    @cached_property
    def _pays(self) -> bool:
        """Whether payments can be of sales."""
        return "sale_payment" in modules(self._rpc)


_OF = ("origin", "line.move.origin")
"""What a payment is of."""


def _move(payment: Record) -> str | None:
    """What the move is of that the payment pays."""
    origin: str | None = ((payment["line."] or {}).get("move.") or {}).get("origin")
    return origin


def _reference(model: str, id_: int) -> str:
    return f"{model},{id_}"


def _ids(references: Iterable[str | None], model: str) -> set[int]:
    """Of references those to this model."""
    return {int(one.split(",")[1]) for one in references if one and one.startswith(f"{model},")}
