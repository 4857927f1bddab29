"""Hands of the office: what a merchant sells by phone, invoices, credits and is paid, in a real Tryton."""

from __future__ import annotations

from decimal import Decimal
from functools import cached_property
from typing import Any

from tests.erp_fixtures import RunningErp
from tests.warehouse import Json, Warehouse, today

_SALE, _INVOICE = "sale.sale", "account.invoice"


class Office:
    """One account's business. ``order`` and ``invoice`` make documents; the other hands take their ids."""

    def __init__(self, erp: RunningErp, **account: Any) -> None:
        self._running, self._erp = erp, erp.admin
        self.warehouse = Warehouse(erp.admin)
        self.account, self.party = erp.account(**account)

    def order(self, *lines: Json, confirm: bool = True, **fields: Any) -> int:
        """A phone order, five of a product at 10.00 by default; the sale's id."""
        [sale] = self._erp.create(_SALE, {
            "company": 1, "currency": self.currency("EUR"), "party": self.party, "invoice_address": self._address,
            "shipment_address": self._address, "warehouse": self._id("stock.location", ["code", "=", "WH-HAM"]),
            "carrier": self.warehouse.carrier("DHL"), "shipment_cost_method": None, "sale_date": today(),
            "invoice_method": "fulfillment", "shipment_method": "order",
            "lines": [["create", list(lines) or [self.line(5)]]], **fields,
        })  # fmt: skip
        self._erp.press(_SALE, "quote", [sale])
        if confirm:
            self._erp.press(_SALE, "confirm", [sale])
            self._erp.press(_SALE, "process", [sale])
        return sale

    def line(self, quantity: float, price: str = "10.0000", **values: Any) -> Json:
        """Of a sale: a product, at 19 % VAT."""
        line = self.warehouse.line("", quantity)
        return {**line, "note": None, "unit_price": Decimal(price), "taxes": [["add", [self._tax]]], **values}

    def invoiced_line(self, quantity: float = 1, price: str = "100.0000", **values: Any) -> Json:
        """Of an invoice: a service, free text, at 19 % VAT."""
        return {
            "type": "line", "description": "Assembly", "quantity": quantity, "unit_price": Decimal(price),
            "account": self._revenue, "taxes": [["add", [self._tax]]], **values,
        }  # fmt: skip

    def invoice(self, *lines: Json, post: bool = True, **fields: Any) -> int:
        """An invoice of 119.00 by default; its id."""
        [invoice] = self._erp.create(_INVOICE, {
            "company": 1, "type": "out", "party": self.party, "invoice_address": self._address,
            "currency": self.currency("EUR"), "journal": self._id("account.journal", ["type", "=", "revenue"]),
            "account": self._receivable, "invoice_date": today(),
            "lines": [["create", list(lines) or [self.invoiced_line()]]], **fields,
        })  # fmt: skip
        if post:
            self.post(invoice)
        return invoice

    def post(self, *invoices: int) -> None:
        self._erp.press(_INVOICE, "validate_invoice", list(invoices))
        self._erp.press(_INVOICE, "post", list(invoices))

    def invoices(self, sale: int) -> list[int]:
        [row] = self._erp(f"model.{_SALE}.read", [sale], ["invoices"])
        return sorted(row["invoices"])

    def pay(self, invoice: int, amount: str) -> None:
        """So much comes in over the bank, and is booked with the invoice."""
        form = {
            "payee": self.party, "amount": Decimal(amount), "company": 1, "date": today(), "description": "Paid",
            "currency": self._read(invoice, "currency"), "invoice_account": self._receivable,
            "payment_method": self._id("account.invoice.payment.method", ["name", "=", "Bank transfer"]),
        }  # fmt: skip
        due = self._erp.rows("account.move.line", [["id", "in", self._read(invoice, "lines_to_pay")]], "debit")
        whole = {self._read(invoice, "amount_to_pay"), *(line["debit"] for line in due)}
        ask = [] if Decimal(amount) in whole else [({"ask": {"type": "partial"}}, "pay")]
        self._erp.wizard("account.invoice.pay", ({"start": form}, "choice"), *ask, **_active(_INVOICE, invoice))

    def payment(self, invoice: int, amount: str) -> int:
        """A payment of what is due is on its way; its id."""
        [payment] = self._erp.create("account.payment", {
            "company": 1, "journal": self._id("account.payment.journal", ["name", "=", "Web payments"]),
            "kind": "receivable", "party": self.party, "amount": Decimal(amount), "date": today(),
            "line": self._read(invoice, "lines_to_pay")[0],
        })  # fmt: skip
        self._erp.press("account.payment", "submit", [payment])
        return payment

    def credit(self, invoice: int, quantity: float | None = None, refund: bool = False) -> int:
        """All of it, or so many of its first line; with ``refund`` it cancels the invoice. The credit note's id."""
        form = {"start": {"with_refund": refund, "invoice_date": today()}}
        self._erp.wizard("account.invoice.credit", (form, "credit"), **_active(_INVOICE, invoice))
        [made] = self._erp.rows(_INVOICE, [["origin_invoices", "=", invoice]], "lines")[-1:]
        if quantity is not None:
            self._erp("model.account.invoice.line.write", made["lines"][:1], {"quantity": -quantity})
        if not refund:
            self.post(made["id"])
        return int(made["id"])

    def settle(self, *invoices: int) -> None:
        """Invoice and credit note are reconciled with each other."""
        lines = [line for one in invoices for line in self._read(one, "lines_to_pay")]
        active = {"active_model": "account.move.line", "active_id": lines[0], "active_ids": lines}
        self._erp.wizard("account.move.reconcile_lines", ({}, "reconcile"), **active)

    def settle_first(self, invoice: int, other: int) -> None:
        """Only what is due first of the invoice is reconciled with another's."""
        lines = [self._read(one, "lines_to_pay")[0] for one in (invoice, other)]
        active = {"active_model": "account.move.line", "active_id": lines[0], "active_ids": lines}
        self._erp.wizard("account.move.reconcile_lines", ({}, "reconcile"), **active)

    def unsettle(self, invoice: int) -> None:
        """It was a mistake: nothing is reconciled with it any more."""
        lines = self._read(invoice, "lines_to_pay")
        active = {"active_model": "account.move.line", "active_id": lines[0], "active_ids": lines}
        self._erp.wizard("account.move.unreconcile_lines", ({}, "unreconcile"), **active)

    def cancel(self, invoice: int) -> None:
        """Only some companies may do that with an invoice that is posted."""
        self._erp("model.company.company.write", [1], {"cancel_invoice_out": True})
        try:
            self._erp.press(_INVOICE, "cancel", [invoice])
        finally:
            self._erp("model.company.company.write", [1], {"cancel_invoice_out": False})

    def number(self, document: int, model: str = _INVOICE) -> str:
        [row] = self._erp(f"model.{model}.read", [document], ["number"])
        return str(row["number"])

    def goods(self, unit: str = "Unit") -> tuple[str, int]:
        """A new product, sold in this unit; its SKU and id."""
        code, template = self._running.product(
            name="Tested goods", default_uom=self.unit(unit), sale_uom=self.unit(unit), attribute_set=None,
            products=[["create", [{}]]],
        )  # fmt: skip
        return code, self._id("product.product", ["template", "=", template])

    def unit(self, name: str) -> int:
        return self._id("product.uom", ["name", "=", name])

    def currency(self, code: str) -> int:
        return self._id("currency.currency", ["code", "=", code])

    def term(self, name: str, *days: int) -> int:
        """Equal parts, due after so many days each."""
        part = {"ratio": 1 / Decimal(len(days)), "divisor": Decimal(len(days))}
        lines = [
            {"type": "percent_on_total", **part, "relativedeltas": [["create", [{"days": after}]]]}
            for after in days[:-1]
        ]
        lines.append({"type": "remainder", "relativedeltas": [["create", [{"days": days[-1]}]]]})
        return self._erp.create("account.invoice.payment_term", {"name": name, "lines": [["create", lines]]})[0]

    def write(self, model: str, row: int, **values: Any) -> None:
        self._erp(f"model.{model}.write", [row], values)

    def _read(self, invoice: int, field: str) -> Any:
        [row] = self._erp(f"model.{_INVOICE}.read", [invoice], [field])
        return row[field]

    def _id(self, model: str, *domain: Any) -> int:
        return self._erp.id_of(model, *domain)

    @cached_property
    def _address(self) -> int:
        return self._id("party.address", ["party", "=", self.party])

    @cached_property
    def _tax(self) -> int:
        return self._id("account.tax", ["name", "=", "VAT 19%"])

    @cached_property
    def _receivable(self) -> int:
        return self._id("account.account", ["type.receivable", "=", True], ["party_required", "=", True])

    @cached_property
    def _revenue(self) -> int:
        return self._id("account.account", ["type.revenue", "=", True], ["closed", "!=", True])


def _active(model: str, row: int) -> Json:
    return {"active_model": model, "active_id": row, "active_ids": [row]}
