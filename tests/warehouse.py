"""Hands of the warehouse: sales of the web shop in a real Tryton, and what becomes of them there."""

from __future__ import annotations

import datetime as dt
import itertools
from decimal import Decimal
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.merchant import GUESTS, WEB_PAYMENTS, Erp

_numbers = itertools.count(1)

Json = dict[str, Any]


def today() -> dt.date:
    """By the merchant's wall calendar."""
    return dt.datetime.now(ZoneInfo("Europe/Berlin")).date()


class Warehouse:
    """``order`` makes a sale; the other hands take its id, or a shipment's."""

    def __init__(self, erp: Erp) -> None:
        self._erp = erp

    def order(self, *lines: tuple[str, float], web_id: str | None = None, confirm: bool = True, **fields: Any) -> int:
        """A guest's order of the first product, so many of it for each of the shop's line ids; the sale's id."""
        [address] = self._erp.rows("party.address", [["party", "=", self._guest]], "id")[:1]
        [sale] = self._erp.create("sale.sale", {
            "company": 1, "currency": self._id("currency.currency", ["code", "=", "EUR"]), "party": self._guest,
            "invoice_address": address["id"], "shipment_address": address["id"],
            "warehouse": self._id("stock.location", ["code", "=", "WH-HAM"]),
            "web_shop": self._id("web.shop", ["name", "=", "Medusa"]),
            "web_id": web_id or f"order_{next(_numbers):05d}",
            "sale_date": today(), "carrier": self.carrier("DHL"), "shipment_cost_method": None,
            "invoice_method": "fulfillment", "shipment_method": "order",
            "lines": [["create", [self.line(note, quantity) for note, quantity in lines]]],
            **fields,
        })  # fmt: skip
        self._erp.press("sale.sale", "quote", [sale])
        if confirm:
            self._erp.press("sale.sale", "confirm", [sale])
            self._erp.press("sale.sale", "process", [sale])
        return sale

    def line(self, note: str, quantity: float) -> Json:
        """A line as the importer makes it: the shop's line id is the first line of its note."""
        product, unit = self._product
        return {
            "type": "line", "product": product, "quantity": quantity, "unit": unit, "unit_price": Decimal("10.0000"),
            "note": note,
        }  # fmt: skip

    def web_id(self, sale: int) -> str:
        return str(self._sale(sale, "web_id")["web_id"])

    def lines(self, sale: int) -> list[int]:
        return sorted(self._sale(sale, "lines")["lines"])

    def shipments(self, sale: int) -> list[int]:
        """Oldest first."""
        return sorted(self._sale(sale, "shipments")["shipments"])

    def number(self, shipment: int) -> str:
        [row] = self._erp("model.stock.shipment.out.read", [shipment], ["number"])
        return str(row["number"])

    def pick(self, shipment: int, *quantities: float) -> None:
        """All of it, or of its first lines only so many each: the rest waits in another shipment."""
        moves = self._moves(shipment, "inventory_moves")
        for move, quantity in zip(moves, quantities, strict=False):
            self._erp("model.stock.move.write", [move], {"quantity": quantity})
        for step in ("assign_force", "pick"):
            self._erp.press("stock.shipment.out", step, [shipment])

    def pack(self, shipment: int) -> None:
        """A package without a number that holds all of it closes the shipment."""
        if not self._erp.rows("stock.package", [["shipment", "=", f"stock.shipment.out,{shipment}"]], "id"):
            self.parcel(shipment)
        self._erp.press("stock.shipment.out", "pack", [shipment])

    def parcel(self, shipment: int, tracking_number: str | None = None, move: int | None = None) -> int:
        """A package of one of the shipment's moves, else of all of them; its id."""
        moves = self._moves(shipment, "outgoing_moves")
        held = moves if move is None else [moves[move]]
        types = self._erp.rows("stock.package.type", [], "id")
        kind = types[0]["id"] if types else self._erp.create("stock.package.type", {"name": "Box"})[0]
        return self._erp.create("stock.package", {
            "type": kind, "shipment": f"stock.shipment.out,{shipment}", "moves": [["add", held]],
            "shipping_reference": tracking_number,
        })[0]  # fmt: skip

    def leave(self, shipment: int, *quantities: float, on_the_way: bool = False) -> None:
        """Through the door: done, or only shipped."""
        self.pick(shipment, *quantities)
        self.pack(shipment)
        self._erp.press("stock.shipment.out", "ship" if on_the_way else "do", [shipment])

    def arrive(self, shipment: int) -> None:
        self._erp.press("stock.shipment.out", "do", [shipment])

    def cancel(self, shipment: int) -> None:
        self._erp.press("stock.shipment.out", "cancel", [shipment])

    def give_up(self, sale: int) -> None:
        """What was cancelled will not be sent at all."""
        [row] = self._erp("model.sale.sale.read", [sale], ["lines.moves.state"])
        moves = [move["id"] for line in row["lines."] for move in line["moves."] if move["state"] == "cancelled"]
        form = {"ask": {"recreate_moves": [], "ignore_moves": moves, "domain_moves": moves}}
        active = {"active_model": "sale.sale", "active_id": sale, "active_ids": [sale]}
        self._erp.wizard("sale.handle.shipment.exception", ({}, "ask"), (form, "handle"), **active)

    def take_back(self, sale: int, *quantities: float, confirm: bool = True) -> int:
        """Somebody in the ERP makes a return of all of it, or of its first lines only so many each; its sale's id."""
        active = {"active_model": "sale.sale", "active_id": sale, "active_ids": [sale]}
        self._erp.wizard("sale.return_sale", ({}, "return_"), **active)
        made = max(row["id"] for row in self._erp.rows("sale.sale", [["origin", "=", f"sale.sale,{sale}"]], "id"))
        for line, quantity in zip(self.lines(made), quantities, strict=False):
            self._erp("model.sale.line.write", [line], {"quantity": -quantity})
        if confirm:
            self._erp("model.sale.sale.write", [made], {"shipment_cost_method": None, "sale_date": today()})
            for step in ("quote", "confirm", "process"):
                self._erp.press("sale.sale", step, [made])
        return made

    def receive(self, sale: int, *quantities: float) -> str:
        """What a return brings is there: all of it, or only so many each; the return shipment's number."""
        [row] = self._erp("model.sale.sale.read", [sale], ["shipment_returns.state", "shipment_returns.incoming_moves"])
        [shipment] = [one for one in row["shipment_returns."] if one["state"] == "draft"]
        for move, quantity in zip(sorted(shipment["incoming_moves"]), quantities, strict=False):
            self._erp("model.stock.move.write", [move], {"quantity": quantity})
        for step in ("receive", "do"):
            self._erp.press("stock.shipment.out.return", step, [shipment["id"]])
        self._erp.press("sale.sale", "process", [sale])
        [done] = self._erp("model.stock.shipment.out.return.read", [shipment["id"]], ["number"])
        return str(done["number"])

    def post(self, sale: int) -> str:
        """The sale's open invoice or credit note is posted; its number."""
        [row] = self._erp("model.sale.sale.read", [sale], ["invoices.state"])
        return self._post([one["id"] for one in row["invoices."] if one["state"] == "draft"])

    def credit(self, sale: int) -> str:
        """Somebody credits the sale's invoice as a whole; the credit note's number."""
        [row] = self._erp("model.sale.sale.read", [sale], ["invoices"])
        active = {"active_model": "account.invoice", "active_id": row["invoices"][0], "active_ids": row["invoices"]}
        form = {"start": {"with_refund": False, "invoice_date": today()}}
        before = self._drafts()
        self._erp.wizard("account.invoice.credit", (form, "credit"), **active)
        return self._post(sorted(self._drafts() - before))

    def pay_back(self, amount: str, sale: int | None = None, note: str | None = None, **values: Any) -> str:
        """Money goes back, for a sale or for a credit note (by its number); the payment's number."""
        given: Json = {
            "company": 1, "journal": self._id("account.payment.journal", ["name", "=", WEB_PAYMENTS]),
            "kind": "payable", "party": self._guest, "amount": Decimal(amount), "date": today(),
            "origin": f"sale.sale,{sale}" if sale else None, **values,
        }  # fmt: skip
        if note:
            [invoice] = self._erp.rows("account.invoice", [["number", "=", note]], "lines_to_pay")
            given["line"] = invoice["lines_to_pay"][0]
        [payment] = self._erp.create("account.payment", given)
        for step in ("submit", "approve"):
            self._erp.press("account.payment", step, [payment])
        active = {"active_model": "account.payment", "active_id": payment, "active_ids": [payment]}
        self._erp.wizard("account.payment.process", ({}, "process"), **active)
        self._erp.press("account.payment", "succeed", [payment])
        [row] = self._erp("model.account.payment.read", [payment], ["number"])
        return str(row["number"])

    def _post(self, invoices: list[int]) -> str:
        self._erp("model.account.invoice.write", invoices, {"invoice_date": today()})
        self._erp.press("account.invoice", "validate_invoice", invoices)
        self._erp.press("account.invoice", "post", invoices)
        [row] = self._erp("model.account.invoice.read", invoices, ["number"])
        return str(row["number"])

    def _drafts(self) -> set[int]:
        return {row["id"] for row in self._erp.rows("account.invoice", [["state", "=", "draft"]], "id")}

    def write(self, model: str, row: int, **values: Any) -> None:
        self._erp(f"model.{model}.write", [row], values)

    def move(self, shipment: int, place: int = 0) -> int:
        """The id of an outgoing move."""
        return self._moves(shipment, "outgoing_moves")[place]

    def carrier(self, name: str) -> int:
        return self._id("carrier", ["party.name", "=", name])

    def _moves(self, shipment: int, which: str) -> list[int]:
        [row] = self._erp("model.stock.shipment.out.read", [shipment], [which])
        return sorted(row[which])

    def _sale(self, sale: int, field: str) -> Json:
        [row] = self._erp("model.sale.sale.read", [sale], [field])
        return dict(row)

    def _id(self, model: str, *domain: Any) -> int:
        return self._erp.id_of(model, *domain)

    @cached_property
    def _guest(self) -> int:
        return self._id("party.party", ["code", "=", GUESTS])

    @cached_property
    def _product(self) -> tuple[int, int]:
        goods = [["type", "=", "goods"], ["salable", "=", True], ["default_uom.name", "=", "Unit"]]
        [product, *_] = self._erp.rows("product.product", goods, "sale_uom")
        return product["id"], product["sale_uom"]
