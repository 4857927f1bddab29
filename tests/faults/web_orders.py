"""The flow ``orders`` under fire."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from typing import Any

import psycopg
from tests.buying import HOME, Buying
from tests.faults.task import run_step
from tests.faults.world import STEPS, World
from tests.warehouse import Warehouse

from crossdock.airflow import runtime
from crossdock.airflow.pairs import Pair
from crossdock.store.postgres import approve_target
from crossdock.sync.flows import FLOWS
from sandbox.erp import ORDERS


def _cents(amount: float) -> Decimal:
    return Decimal(str(amount)).quantize(Decimal("0.01"), ROUND_HALF_UP)


@dataclass
class WebOrders(World):
    """A pair with a web shop of its own in the ERP, which went live when it was made: it reads nobody else's orders."""

    flow = "orders"
    batches = r'^POST .*"model\.sale\.sale\.(create|quote|confirm|cancel|write)"'
    """Calls that change the ERP."""

    placed: list[str] = field(default_factory=list)
    web_shop: int = 0

    def keep_apart(self) -> dict[str, str]:
        name = f"Shop of {self.pair}"
        [known] = self.erp.admin.rows("web.shop", [["name", "=", "Medusa"]], "company", "currency", "warehouses")
        [self.web_shop] = self.erp.admin.create(
            "web.shop",
            {
                "name": name,
                "company": known["company"],
                "currency": known["currency"],
                "warehouses": [["add", known["warehouses"]]],
            },
        )
        os.environ["CROSSDOCK_FAULTS_GO_LIVE"] = datetime.now(UTC).isoformat()
        with psycopg.connect(self.store.dsn) as db:  # what comes first has settled, and will have for a day
            db.execute(
                "INSERT INTO crossdock.watermark (pair, flow, until) VALUES (%s, 'customers', %s)",
                (self.pair, datetime.now(UTC) + timedelta(days=1)),
            )
        return {**ORDERS, "orders_shop": name}

    @cached_property
    def buy(self) -> Buying:
        return Buying(self.shop)

    @cached_property
    def sku(self) -> str:
        """For sale in the shop and known to the ERP."""
        sku = self.buy.product(price=12.34)
        unit = self.erp.id_of("product.uom", "Unit")
        self.erp.admin.create("product.template", {
            "name": f"Thing {sku}", "code": sku, "type": "goods", "salable": True, "default_uom": unit,
            "sale_uom": unit, "account_category": self.erp.id_of("product.category", "Standard rated"),
            "products": [["create", [{}]]],
        })  # fmt: skip
        return sku

    # ---- hands on the shop

    def new(self, count: int = 1, **values: Any) -> list[str]:
        """New orders of guests, each with an address of his own, paid in part of the cases; their ids."""
        ids = []
        for number in self.numbers(count):
            address = {**HOME, "address_1": f"Quay {number}"}
            order = self.buy.as_guest(f"{number.lower()}@guests.example", {self.sku: 3}, ship_to=address, **values)
            ids.append(order["id"])
        self.placed += ids
        return ids

    # ---- hands on the ERP, and the way back

    def sell_and_take_back(self, order: str, amount: str) -> None:
        """The order is sent, one piece comes back, and so much is paid back for it."""
        [sale] = self.erp.admin.rows("sale.sale", [["web_id", "=", order]], "party")
        self.warehouse.leave(self.warehouse.shipments(sale["id"])[0])
        back = self.warehouse.take_back(sale["id"], 1, 0)
        self.warehouse.receive(back)
        self.warehouse.pay_back(amount, sale=back, party=sale["party"])

    @cached_property
    def warehouse(self) -> Warehouse:
        return Warehouse(self.erp.admin)

    def tell(self, **params: Any) -> None:
        """A whole run of the way back."""
        name = self.new_run()
        with psycopg.connect(self.store.dsn) as db:
            side = FLOWS["order_status"].target
            approve_target(db, self.pair, side, runtime.fingerprint(side, Pair(name=self.pair)), "tests")
        for step in STEPS[:-1]:
            if not run_step("order_status", step, name, self.pair, **params)[0]:
                break
        run_step("order_status", "settle", name, self.pair, **params)

    def back_in_shop(self, order: str) -> tuple[int, list[str], list[Decimal]]:
        """How many fulfilments, how far its returns are, what was refunded."""
        seen = self.buy.look(order, "id,*fulfillments,*returns")
        refunds = [ref["amount"] for payment in self.buy.payments(order) for ref in payment["refunds"] or ()]
        return len(seen["fulfillments"]), [one["status"] for one in seen["returns"]], sorted(map(_cents, refunds))

    def documents(self, order: str) -> tuple[list[str], list[tuple[str, Decimal]]]:
        """Returns of the order's sale and payments of both, as the ERP has them."""
        [sale] = self.erp.admin.rows("sale.sale", [["web_id", "=", order]], "payments.number", "payments.amount")
        backs = self.erp.admin.rows(
            "sale.sale", [["origin", "=", f"sale.sale,{sale['id']}"]], "number", "payments.number", "payments.amount"
        )
        paid = [(one["number"], one["amount"]) for each in (sale, *backs) for one in each["payments."]]
        return sorted(one["number"] for one in backs), sorted(paid)

    # ---- the truth on both sides, not through any connector

    def in_step(self) -> dict[str, Any]:
        in_erp, in_shop = self.in_erp(), self.in_shop()
        assert in_erp == in_shop, (in_erp, in_shop)
        assert self.payments_in_erp() == self.payments_in_shop()
        return in_erp

    def in_shop(self) -> dict[str, Any]:
        """Order id -> what was charged, pieces, street."""
        told = {}
        for order in self.placed:
            seen = self.buy.look(order, "id,total,credit_line_total,status,*items,*items.detail,*shipping_address")
            if seen["status"] != "canceled":
                pieces = sum(Decimal(str(item["quantity"])) for item in seen["items"])
                total = _cents(seen["total"] + seen["credit_line_total"])  # a refund is no discount
                told[order] = (total, pieces, seen["shipping_address"]["address_1"])
        return told

    def in_erp(self) -> dict[str, Any]:
        """The same as Tryton's own API has it, of sales that are at work. An order that is there twice fails."""
        sales = self.erp.admin.rows(
            "sale.sale", [["web_shop", "=", self.web_shop], ["origin", "=", None]],
            "web_id", "state", "total_amount", "lines.quantity", "lines.product.code", "shipment_address.street",
            "shipment_state",
        )  # fmt: skip
        ids = [sale["web_id"] for sale in sales]
        assert len(set(ids)) == len(ids), f"twice: {ids}"
        live = [sale for sale in sales if sale["state"] in ("processing", "done", "confirmed")]
        told = {
            sale["web_id"]: (
                sale["total_amount"],
                sum(
                    Decimal(str(line["quantity"]))
                    for line in sale["lines."]
                    if (line["product."] or {}).get("code") == self.sku
                ),
                sale["shipment_address."]["street"],
            )
            for sale in live
        }
        return {order: what for order, what in told.items() if what[1]}  # of one that was cancelled nothing is left

    def unfinished(self) -> list[str]:
        """States of sales that are neither processed nor cancelled."""
        sales = self.erp.admin.rows("sale.sale", [["web_shop", "=", self.web_shop]], "state")
        return [sale["state"] for sale in sales if sale["state"] in ("draft", "quotation", "confirmed")]

    def payments_in_shop(self) -> list[tuple[str, Decimal]]:
        """Captured payments and refunds, by id, with their amounts."""
        told = []
        for order in self.placed:
            for payment in self.buy.payments(order):
                if payment["captured_at"]:
                    told.append((payment["id"], _cents(payment["amount"])))
                told += [(one["id"], -_cents(one["amount"]))
                         for one in payment["refunds"] or ()]  # fmt: skip
        return sorted(told)

    def payments_in_erp(self) -> list[tuple[str, Decimal]]:
        known = {one["id"] for order in self.placed for one in self.buy.payments(order)}
        known |= {
            ref["id"] for order in self.placed for one in self.buy.payments(order) for ref in one["refunds"] or ()
        }
        rows = self.erp.admin.rows(
            "account.payment", [["reference", "in", sorted(known)]], "reference", "amount", "kind", "state"
        )  # fmt: skip
        assert {row["state"] for row in rows} <= {"succeeded"}, rows
        sign = {"receivable": 1, "payable": -1}
        return sorted((row["reference"], row["amount"] * sign[row["kind"]]) for row in rows)

    def writes(self) -> int:
        return self.erp_line.seen(self.batches)

    def quarantined(self) -> dict[str, dict[str, Any]]:
        rows = self.query("SELECT * FROM quarantine WHERE pair = %s AND resolved_at IS NULL", self.pair)
        return {row["key"]: row for row in rows if row["key"] in self.placed}
