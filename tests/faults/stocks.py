"""The flow ``inventory`` under fire, with web orders on their way into the ERP."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import psycopg
from tests.faults.task import run_step
from tests.faults.web_orders import WebOrders
from tests.faults.world import STEPS
from tests.warehouse import Warehouse, today

from crossdock.airflow import runtime
from crossdock.airflow.pairs import Pair
from crossdock.store.postgres import approve_target

PLACES = ("WH-HAM", "WH-BER")


@dataclass
class Stocks(WebOrders):
    """Each test has a SKU of its own, for sale in the shop and lying in the ERP's warehouses."""

    flow = "inventory"
    batches = r"^POST /admin/erp/stock/batch "
    """Calls that change the shop."""

    def new(self, count: int = 1, **values: Any) -> list[str]:
        """Nothing is older than this pair: what others have touched before is not read."""
        pair = Pair(name=self.pair)
        version = f"{runtime.availability(pair).version}/{runtime.system('storefront', pair).inventory.version}"
        with psycopg.connect(self.store.dsn) as db:
            db.execute(
                """
                INSERT INTO crossdock.watermark (pair, flow, until, full_at, full_version)
                VALUES (%s, 'inventory', now() + interval '5 minutes', now(), %s)
                """,
                (self.pair, version),
            )
            approve_target(db, self.pair, "erp", runtime.fingerprint("erp", pair), "tests")
        return []

    def goods(self, hamburg: float = 10, berlin: float = 0) -> str:
        """A new SKU; so many of it lie there, and the shop shows it."""
        sku = self.buy.product(price=10, stock=0)
        unit = self.erp.id_of("product.uom", "Unit")
        self.erp.admin.create("product.template", {
            "name": f"Thing {sku}", "code": sku, "type": "goods", "salable": True, "default_uom": unit,
            "sale_uom": unit, "account_category": self.erp.id_of("product.category", "Standard rated"),
            "products": [["create", [{}]]],
        })  # fmt: skip
        with psycopg.connect(self.store.dsn) as db:
            db.execute(
                "INSERT INTO crossdock.link VALUES (%s, 'variant', %s, 'items', %s, %s)",
                (self.pair, sku, sku, self.buy.variant(sku)["id"]),
            )
        for code, quantity in zip(PLACES, (hamburg, berlin), strict=True):
            if quantity:
                self.count(sku, code, quantity)
        self.sync(keys=[sku])
        assert self.shown(sku) == {"WH-HAM": hamburg, "WH-BER": berlin, "WH-3PL": 0}
        return sku

    # ---- hands on the ERP

    def product(self, sku: str) -> int:
        return int(self.erp.admin.id_of("product.product", ["code", "=", sku]))

    @cached_property
    def hands(self) -> Warehouse:
        return Warehouse(self.erp.admin)

    def count(self, sku: str, code: str, quantity: float) -> None:
        """Somebody counts what lies there."""
        admin = self.erp.admin
        [place] = admin.rows("stock.location", [["code", "=", code]], "storage_location", "lost_found_location")
        line = {"product": self.product(sku), "quantity": quantity}
        made = admin.create("stock.inventory", {
            "location": place["storage_location"], "empty_quantity": "keep", "date": today(),
            "lines": [["create", [line]]],
        })  # fmt: skip
        admin("model.stock.inventory.confirm", made)

    def phone(self, sku: str, quantity: float, process: bool = True, **fields: Any) -> int:
        """Somebody orders by phone; the sale's id."""
        admin = self.erp.admin
        [party] = admin.rows("party.party", [["code", "=", "C0001"]], "addresses")
        sale = {
            "company": 1, "currency": admin.id_of("currency.currency", ["code", "=", "EUR"]), "party": party["id"],
            "invoice_address": party["addresses"][0], "shipment_address": party["addresses"][0],
            "warehouse": admin.id_of("stock.location", ["code", "=", "WH-HAM"]), "sale_date": today(),
            "carrier": self.hands.carrier("DHL"), "shipment_cost_method": None, "invoice_method": "manual",
            "shipment_method": "order",
            "lines": [["create", [{
                "type": "line", "product": self.product(sku), "quantity": quantity, "unit_price": 10,
                "unit": self.erp.id_of("product.uom", "Unit"),
            }]]],
            **fields,
        }  # fmt: skip
        [made] = admin.create("sale.sale", sale)
        if process:
            for step in ("quote", "confirm", "process"):
                admin.press("sale.sale", step, [made])
        return int(made)

    def plan_moves(self, sale: int, day: dt.date) -> None:
        """The goods of a sale are to leave on that day."""
        [row] = self.erp.admin("model.sale.sale.read", [sale], ["lines.moves", "shipments"])
        moves = [move for line in row["lines."] for move in line["moves"]]
        self.erp.admin("model.stock.shipment.out.write", row["shipments"], {"planned_date": day})
        self.erp.admin("model.stock.move.write", moves, {"planned_date": day})

    def sale_of(self, order: str) -> int:
        [row] = self.erp.admin.rows("sale.sale", [["web_id", "=", order], ["web_shop", "=", self.web_shop]], "id")
        return int(row["id"])

    # ---- orders and runs

    def order(self, sku: str, quantity: float) -> str:
        """A guest buys so many; the order's id."""
        [number] = self.numbers(1)
        return str(self.buy.as_guest(f"{number.lower()}@guests.example", {sku: quantity})["id"])

    def take_in(self, *orders: str) -> None:
        """The flow ``orders`` brings them into the ERP."""
        name = self.new_run()
        for step in STEPS:
            run_step("orders", step, name, self.pair, keys=list(orders))

    # ---- eyes on the shop

    def writes(self) -> int:
        return self.shop_line.seen(self.batches)

    def shown(self, sku: str) -> dict[str, float]:
        """What can be bought of it, by the warehouse's code, as staff sees it."""
        path = f"/admin/inventory-items?sku={sku}&fields=id,*location_levels"
        [item] = self.shop.get(path, self.shop.admin)["inventory_items"]
        codes = {place: code for code, place in self.buy._locations.items()}
        return {
            codes[level["location_id"]]: level["stocked_quantity"] - level["reserved_quantity"]
            for level in item["location_levels"]
        }

    def visible(self, sku: str) -> float:
        """What a visitor is told."""
        variant = self.buy.variant(sku)
        fields = "id,variants.id,variants.manage_inventory,+variants.inventory_quantity"
        product = self.shop.get(f"/store/products/{variant['product_id']}?fields={fields}")["product"]
        [one] = product["variants"]
        return float(one["inventory_quantity"])
