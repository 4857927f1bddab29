"""What shoppers paid and got back, as payments in Tryton (module ``account_payment``).

A payment is known by its reference, the shop's id; a refund that the ERP began, by the ERP's number. What has been
booked of it is added up before anything is created, so a capture in parts becomes a payment for each part, and a
repeat none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from crossdock.connectors.tryton.order_mapping import rounded
from crossdock.connectors.tryton.order_references import Company
from crossdock.connectors.tryton.reading import Record, table
from crossdock.domain.order import Order
from crossdock.errors import Reject

PAYMENT = ("number", "reference", "kind", "amount", "state", "origin")
_OPEN = ("draft", "submitted", "approved", "processing")
_BOOKED = ("confirmed", "processing", "done")


class _Money(NamedTuple):
    reference: str
    kind: str
    amount: Decimal
    at: datetime
    erp_number: str = ""


class Payments:
    """Books what is missing, for all orders of a batch."""

    def __init__(self, company: Company) -> None:
        self._company, self._rpc = company, company.rpc
        self.refused: dict[str, Reject] = {}

    def settle(self, orders: Sequence[Order], sales: Mapping[str, Record]) -> dict[str, str]:
        """What could not be booked, in words, by web id. What Tryton refuses goes to ``refused``."""
        try:
            return self._settle(orders, sales)
        except Reject as refusal:
            if len(orders) == 1:
                self.refused[orders[0].web_id] = refusal
                return {}
            return {key: note for order in orders for key, note in self.settle([order], sales).items()}

    def _settle(self, orders: Sequence[Order], sales: Mapping[str, Record]) -> dict[str, str]:
        money = {order.web_id: list(_moved(order, self._cent(order))) for order in orders if order.web_id in sales}
        moved = {order.web_id: order for order in orders if money.get(order.web_id)}
        if not moved:
            return {}
        if "account_payment" not in self._company.modules:
            return dict.fromkeys(moved, "payments are not booked: Tryton's module account_payment is not active")
        journals = self._journals()
        notes = {
            key: f"payments are not booked: the setting payment_journal names no journal in {order.currency}"
            for key, order in moved.items()
            if sales[key]["currency"] not in journals
        }
        stamps = self._stamps([sales[key]["id"] for key in moved if key not in notes])
        references = {one.reference for key in moved if key not in notes for one in money[key]}
        booked = self._read(["reference", "in", sorted(references)]) if references else []
        ours = self._ours({one.erp_number for some in money.values() for one in some if one.erp_number})
        new: dict[int, list[dict[str, Any]]] = {}
        for key, order in moved.items():
            if key in notes:
                continue
            sale = sales[key]
            for one in money[key]:
                if one.erp_number in ours:
                    continue
                there = [row for row in booked if (row["reference"], row["kind"]) == one[:2]]
                left = one.amount - sum(row["amount"] for row in there if row["state"] != "failed")
                if left > 0:
                    values = self._values(one, left, order, sale, journals[sale["currency"]])
                    new.setdefault(sale["id"] if values["origin"] else 0, []).append(values)
                elif left < 0:
                    notes[key] = f"payment {one.reference}: Tryton has {-left} {order.currency} more than the shop"
        if new:
            self._create(new, stamps)
            booked = self._read(["reference", "in", sorted(references)])
        self._succeed([row for row in booked if row["state"] in _OPEN])
        self._attach(booked, {one.reference: sales[key] for key in moved for one in money[key]})
        return notes

    def _ours(self, numbers: Collection[str]) -> set[str]:
        """Of these the payments that were born here."""
        if not numbers:
            return set()
        rows = self._read([["number", "in", sorted(numbers)], ["kind", "=", "payable"], ["state", "!=", "failed"]])
        return {row["number"] for row in rows}

    def _stamps(self, sales: list[int]) -> dict[str, str]:
        """When each was written last, as Tryton compares it (``_timestamp``). Read before payments are looked for."""
        rows = table(self._rpc, "sale.sale", [["id", "in", sales]], ["_timestamp"]) if sales else []
        return {f"sale.sale,{row['id']}": row["_timestamp"] for row in rows}

    def _create(self, new: Mapping[int, list[dict[str, Any]]], stamps: Mapping[str, str]) -> None:
        """As lines of their sales: a call that arrives after its repetition finds the sale changed and is refused.

        Nothing else keeps a payment from being booked twice. 0: those of sales that may not have them yet.
        """
        actions: list[Any] = []
        for sale, payments in new.items():
            if sale:
                actions += [[sale], {"payments": [["create", [{**one, "origin": None} for one in payments]]]}]
        if actions:
            self._rpc.write("model.sale.sale.write", *actions, _timestamp=dict(stamps))
        if new.get(0):
            self._rpc.write("model.account.payment.create", new[0])

    def _succeed(self, payments: Sequence[Record]) -> None:
        """From whatever state they are in."""
        states = {row["id"]: row["state"] for row in payments}
        self._press("submit", [one for one, state in states.items() if state == "draft"])
        payable = {row["id"] for row in payments if row["kind"] == "payable"}
        self._press("approve", [one for one in payable if states[one] in ("draft", "submitted")])
        waiting = [one for one, state in states.items() if state != "processing"]
        if waiting:
            wizard, context = "wizard.account.payment.process", {"active_model": "account.payment"}
            session, *_ = self._rpc.write(f"{wizard}.create")
            active = {**context, "active_id": waiting[0], "active_ids": waiting}
            self._rpc.write(f"{wizard}.execute", session, {}, "process", **active)
            self._rpc.write(f"{wizard}.delete", session)
        self._press("succeed", list(states))

    def _attach(self, booked: Iterable[Record], sales: Mapping[str, Record]) -> None:
        """To sales that were quotations when they were paid."""
        for row in booked:
            sale = sales[row["reference"]]
            if self._origin(sale) and not row["origin"]:
                self._rpc.write("model.account.payment.write", [row["id"]], {"origin": self._origin(sale)})

    def _origin(self, sale: Record) -> str | None:
        """A paid quotation would be confirmed by Tryton (module sale_payment), held or not: it gets none."""
        if "sale_payment" in self._company.modules and sale["state"] in _BOOKED:
            return f"sale.sale,{sale['id']}"
        return None

    def _values(self, one: _Money, amount: Decimal, order: Order, sale: Record, journal: int) -> dict[str, Any]:
        return {
            "company": self._company.shop["company"],
            "journal": journal,
            "kind": one.kind,
            "party": sale["party"],
            "amount": amount,
            "date": one.at.astimezone(self._company.zone).date(),
            "reference": one.reference,
            "origin": self._origin(sale),
        }

    def _press(self, button: str, which: list[int]) -> None:
        if which:
            self._rpc.write(f"model.account.payment.{button}", which)

    def _read(self, which: list[Any]) -> list[Record]:
        return table(self._rpc, "account.payment", [["company", "=", self._company.shop["company"]], which], PAYMENT)

    def _journals(self) -> dict[int, int]:
        """By currency: of each a journal of the same name."""
        where = [["name", "=", self._company.settings.payment_journal], ["company", "=", self._company.shop["company"]]]
        return {row["currency"]: row["id"] for row in table(self._rpc, "account.payment.journal", where, ["currency"])}

    def _cent(self, order: Order) -> Decimal:
        cent: Decimal = self._company.currency(order)["rounding"]
        return cent


def _moved(order: Order, cent: Decimal) -> Iterable[_Money]:
    for payment in order.payments:
        if payment.captured:
            at = payment.captured_at or order.placed_at
            yield _Money(payment.id, "receivable", rounded(payment.captured, cent), at)
        for refund in payment.refunds:
            yield _Money(refund.id, "payable", rounded(refund.amount, cent), refund.at, refund.erp_number)
