"""What an ERP's warehouses promise (``ports.Warehouses``), on the real Tryton: nothing is promised twice."""

from __future__ import annotations

import datetime as dt
import itertools
import sqlite3
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.contracts.asking import flat, later
from tests.erp_fixtures import CONNECTION, DATABASE, RunningErp
from tests.warehouse import Warehouse, today

from crossdock.connectors.tryton import stock
from crossdock.connectors.tryton.adapter import Tryton
from crossdock.connectors.tryton.stock import Inventory
from crossdock.domain.stock import Goods, Part, Supply
from crossdock.errors import Misconfigured
from crossdock.ports import Window
from sandbox.merchant import KITS, Erp

pytestmark = pytest.mark.e2e

HAM, BER = "WH-HAM", "WH-BER"
A, B = "ordli_A", "ordli_B"
_numbers = itertools.count(1)

Zone = tuple[str, str]
"""A warehouse's code and which of its locations: ``storage``, ``output``, ``input``, ``lost_found``."""


class Stockroom(Warehouse):
    """The warehouse's hands, and what lies in it. What it has looked up once, but for products, it knows."""

    def __init__(self, erp: Erp) -> None:
        super().__init__(erp)
        self._known: dict[str, int] = {}

    def _id(self, model: str, *domain: Any) -> int:
        if model.startswith("product.product"):
            return super()._id(model, *domain)
        name = f"{model} {domain}"
        if name not in self._known:
            self._known[name] = super()._id(model, *domain)
        return self._known[name]

    def product(self, on_hand: float = 0, unit: str = "Unit", sold_in: str | None = None, **fields: Any) -> str:
        """A product nobody else has, so many of it in Hamburg; its SKU."""
        sku = f"STOCK-{next(_numbers):03d}"
        variant = fields.pop("variant", {})
        self._erp.create("product.template", {
            "name": f"Stocked {sku}", "code": sku, "type": "goods", "salable": True,
            "default_uom": self.unit(unit), "sale_uom": self.unit(sold_in or unit),
            "account_category": self._id("product.category", ["name", "=", "Standard rated"]),
            "list_price": Decimal("10.00"), "products": [["create", [variant]]],
            **fields,
        })  # fmt: skip
        if on_hand:
            self.count(sku, on_hand)
        return sku

    def kit(self, **parts: float) -> str:
        """So many of each of these SKUs (``STOCK_001=2``); its SKU."""
        components = [
            {"product": self.id_of(sku.replace("_", "-")), "quantity": float(count), "unit": self.unit("Unit")}
            for sku, count in parts.items()
        ]
        return self.product(type="kit", cost_price_method="fixed", components=[["create", components]])

    def count(self, sku: str, quantity: float, warehouse: str = HAM) -> None:
        """Somebody has counted so many in the storage of a warehouse."""
        inventory = self._erp.create("stock.inventory", {
            "location": self.place((warehouse, "storage")), "company": 1, "date": today(), "empty_quantity": "keep",
            "lines": [["create", [{"product": self.id_of(sku), "quantity": float(quantity)}]]],
        })  # fmt: skip
        self._erp("model.stock.inventory.confirm", inventory)

    def sell(self, sku: str, quantity: float, line: str = A, unit: str | None = None, **fields: Any) -> int:
        """A web order of one line; the sale's id."""
        return self.sell_all((sku, quantity, line, unit), **fields)

    def sell_all(self, *lines: tuple[str, float, str, str | None], **fields: Any) -> int:
        rows = []
        for sku, quantity, line, unit in lines:
            [product] = self._erp("model.product.product.read", [self.id_of(sku)], ["sale_uom"])
            rows.append({
                "type": "line", "product": product["id"], "quantity": float(quantity), "note": line,
                "unit": self.unit(unit) if unit else product["sale_uom"], "unit_price": Decimal("10.0000"),
            })  # fmt: skip
        return self.order(lines=[["create", rows]], **fields)

    def plan(self, sku: str, quantity: float, here: Zone | str, there: Zone | str, **fields: Any) -> int:
        """A move that has not happened; its id."""
        euro = self._id("currency.currency", ["code", "=", "EUR"])
        priced = {"unit_price": Decimal(1), "currency": euro} if isinstance(here, str) or isinstance(there, str) else {}
        return self._erp.create("stock.move", {
            "product": self.id_of(sku), "quantity": float(quantity), "unit": self.unit("Unit"),
            "from_location": self.place(here), "to_location": self.place(there), "company": 1,
            "planned_date": today(), **priced, **fields,
        })[0]  # fmt: skip

    def transfer(self, sku: str, quantity: float, here: Zone | int, there: Zone | int, *steps: str) -> int:
        """A shipment from one location of ours to another, as far as these steps; its id."""
        from_, to = (one if isinstance(one, int) else self.place(one) for one in (here, there))
        [shipment] = self._erp.create("stock.shipment.internal", {
            "company": 1, "from_location": from_, "to_location": to, "planned_start_date": today(),
            "planned_date": today(),
            "moves": [["create", [{
                "product": self.id_of(sku), "quantity": float(quantity), "unit": self.unit("Unit"),
                "from_location": from_, "to_location": to, "company": 1,
            }]]],
        })  # fmt: skip
        self.go_on(shipment, *steps)
        return shipment

    def go_on(self, shipment: int, *steps: str) -> None:
        for step in steps:
            self._erp.press("stock.shipment.internal", step, [shipment])

    def receive(self, sku: str, quantity: float, day: dt.date) -> int:
        """A supplier's shipment on its way to Hamburg; its id."""
        [house] = self._erp.rows("stock.location", [["code", "=", HAM]], "input_location", "storage_location")
        [shipment] = self._erp.create("stock.shipment.in", {
            "supplier": self._id("party.party", ["code", "=", "S0001"]), "company": 1, "planned_date": day,
            "warehouse": house["id"], "warehouse_input": house["input_location"],
            "warehouse_storage": house["storage_location"],
        })  # fmt: skip
        self.plan(sku, quantity, "supplier", (HAM, "input"), shipment=f"stock.shipment.in,{shipment}", planned_date=day)
        return shipment

    def place(self, which: Zone | str) -> int:
        """A zone of a warehouse, or a type of location there is only one of."""
        if isinstance(which, str):
            return self._id("stock.location", ["type", "=", which])
        code, zone = which
        [row] = self._erp.rows("stock.location", [["code", "=", code], ["type", "=", "warehouse"]], f"{zone}_location")
        return int(row[f"{zone}_location"])

    def unit(self, name: str) -> int:
        """A dozen is made when it is first asked for: Tryton does not come with one."""
        found = self._erp.rows("product.uom", [["name", "=", name]], "id")
        return int(found[0]["id"]) if found else self.unit_of(name, 12)

    def unit_of(self, name: str, pieces: int) -> int:
        """A unit of so many pieces."""
        return self._erp.create("product.uom", {
            "name": name, "symbol": name.lower(), "factor": float(pieces), "rate": round(1 / pieces, 12),
            "digits": 0, "rounding": 1.0,
            "category": self._id("product.uom.category", ["name", "=", "Units"]),
        })[0]  # fmt: skip

    def id_of(self, sku: str) -> int:
        return self._id("product.product", ["code", "=", sku], ["active", "in", [True, False]])

    def template_of(self, sku: str) -> int:
        return self._id("product.template", ["code", "=", sku], ["active", "in", [True, False]])


@pytest.fixture(scope="module")
def inventory(erp: RunningErp) -> Inventory:
    return Tryton.from_connection(CONNECTION).inventory


@pytest.fixture(scope="module")
def room(erp: RunningErp) -> Stockroom:
    return Stockroom(erp.admin)


def supplies(inventory: Inventory, sku: str) -> dict[str, Supply]:
    [goods] = inventory.goods([sku])
    return {one.warehouse: one for one in goods.supplies}


def books(inventory: Inventory, sku: str, warehouse: str = HAM) -> tuple[int, int, int]:
    """On hand, outgoing, incoming."""
    one = supplies(inventory, sku)[warehouse]
    return int(one.on_hand), int(one.outgoing), int(one.incoming)


def counted(inventory: Inventory, room: Stockroom, sale: int, *lines: str) -> dict[str, int]:
    found = inventory.counted({room.web_id(sale): lines or (A, B)})
    return {line: int(quantity) for line, quantity in found.items()}


def touched(inventory: Inventory, since: dt.datetime) -> set[str]:
    return set(flat(inventory.touched(Window(since, inventory.now()))))


def in_days(days: int) -> dt.date:
    return today() + dt.timedelta(days=days)


# ------------------------------------------------------------ on hand and on its way


def test_what_lies_in_each_warehouse(inventory, room):
    sku = room.product(10)
    room.count(sku, 4, BER)
    assert {code: int(one.on_hand) for code, one in supplies(inventory, sku).items()} == {HAM: 10, BER: 4, "WH-3PL": 0}


def test_of_what_never_lay_anywhere_there_is_none(inventory, room):
    sku = room.product()
    assert {(one.on_hand, one.outgoing) for one in supplies(inventory, sku).values()} == {(0, 0)}


def test_fewer_than_none_are_told_as_they_are(inventory, room):
    sku = room.product(2)
    room.leave(room.shipments(room.sell(sku, 5))[0])
    assert books(inventory, sku) == (-3, 0, 0)


def test_a_shipment_is_taken_off_once_in_whatever_state_it_is(inventory, room, erp):
    sku = room.product(10)
    sale = room.sell(sku, 3)
    [shipment] = room.shipments(sale)
    seen = []

    def look() -> None:
        [supply] = [one for one in supplies(inventory, sku).values() if one.warehouse == HAM]
        seen.append((supply.free, counted(inventory, room, sale)))

    look()
    for step in ("draft", "wait", "assign_force", "pick", "pack", "ship", "do"):
        if step == "pack":
            room.pack(shipment)
        else:
            erp.admin.press("stock.shipment.out", step, [shipment])
        look()
    assert seen == [(Decimal(7), {A: 3})] * 8
    assert books(inventory, sku) == (7, 0, 0)


def test_what_is_picked_is_still_there_and_still_promised(inventory, room):
    sku = room.product(10)
    room.pick(room.shipments(room.sell(sku, 3))[0])
    assert books(inventory, sku) == (10, 3, 0)


@pytest.mark.parametrize("days", [-30, 0, 30])
def test_overdue_and_future_shipments_are_taken_off_as_well(inventory, room, days):
    sku = room.product(10)
    sale = room.sell(sku, 3)
    for shipment in room.shipments(sale):
        room.write("stock.shipment.out", shipment, planned_date=in_days(days))
    assert books(inventory, sku) == (10, 3, 0)


def test_a_part_has_left_and_the_rest_waits(inventory, room):
    sku = room.product(10)
    sale = room.sell(sku, 5)
    room.leave(room.shipments(sale)[0], 2)
    assert books(inventory, sku) == (8, 3, 0)
    assert counted(inventory, room, sale) == {A: 5}


def test_a_cancelled_shipment_gives_everything_back(inventory, room):
    sku = room.product(10)
    sale = room.sell(sku, 5)
    room.leave(room.shipments(sale)[0], 2)
    room.cancel(room.shipments(sale)[1])
    assert books(inventory, sku) == (8, 0, 0)
    assert counted(inventory, room, sale) == {A: 2}


def test_goods_picked_for_a_cancelled_shipment_are_back_in_storage(inventory, room):
    sku = room.product(10)
    [shipment] = room.shipments(room.sell(sku, 5))
    room.pick(shipment)
    room.cancel(shipment)
    assert books(inventory, sku) == (10, 0, 0)


def test_what_is_done_with_a_day_to_come_is_gone_already(inventory, room, erp):
    sku = room.product(10)
    [shipment] = room.shipments(room.sell(sku, 3))
    room.write("stock.shipment.out", shipment, effective_date=in_days(2))
    room.leave(shipment)
    assert supplies(inventory, sku)[HAM].free == 7


def test_a_transfer_leaves_one_warehouse_and_comes_to_the_other(inventory, room):
    sku = room.product(10)
    shipment = room.transfer(sku, 4, (HAM, "storage"), (BER, "storage"))
    seen = []
    for step in ("wait", "assign_force", "pack", "ship", "do"):
        room.go_on(shipment, step)
        seen.append((books(inventory, sku), books(inventory, sku, BER)))
    planned, on_its_way, there = ((10, 4, 0), (0, 0, 4)), ((6, 0, 0), (0, 0, 4)), ((6, 0, 0), (4, 0, 0))
    assert seen == [planned, planned, planned, on_its_way, there]


def test_a_move_within_the_storage_changes_nothing_and_goods_in_its_corners_count(room, erp):
    sku, storage = room.product(10), room.place((HAM, "storage"))
    [shelf] = erp.admin.create("stock.location", {"name": "Shelf", "type": "storage", "parent": storage})
    inventory = Tryton.from_connection(CONNECTION).inventory
    shipment = room.transfer(sku, 4, storage, shelf, "wait")
    assert books(inventory, sku) == (10, 0, 0)
    room.go_on(shipment, "assign_force", "do")
    assert books(inventory, sku) == (10, 0, 0)
    room.plan(sku, 3, (HAM, "storage"), "customer", from_location=shelf)
    assert books(inventory, sku) == (10, 3, 0)


def test_what_is_written_off_or_sent_back_to_the_supplier_leaves(inventory, room):
    sku = room.product(10)
    room.plan(sku, 1, (HAM, "storage"), (HAM, "lost_found"))
    room.plan(sku, 2, (HAM, "storage"), "supplier")
    assert books(inventory, sku) == (10, 3, 0)


def test_nobody_counts_on_a_receipt_before_it_is_put_away(inventory, room, erp):
    sku = room.product(10)
    shipment = room.receive(sku, 6, in_days(5))
    supply = supplies(inventory, sku)[HAM]
    assert (supply.free, supply.incoming, supply.expected) == (10, 6, in_days(5))
    for step, expected in (("receive", (10, 0, 6)), ("do", (16, 0, 0))):
        erp.admin.press("stock.shipment.in", step, [shipment])
        assert books(inventory, sku) == expected


def test_the_next_receipt_is_the_first_that_is_not_overdue(inventory, room):
    sku = room.product()
    room.plan(sku, 1, "supplier", (HAM, "input"), planned_date=in_days(-3))
    supply = supplies(inventory, sku)[HAM]
    assert (supply.incoming, supply.expected) == (1, None)
    for days in (9, 4):
        room.plan(sku, 1, "supplier", (HAM, "input"), planned_date=in_days(days))
    assert supplies(inventory, sku)[HAM].expected == in_days(4)


def test_an_order_by_phone_is_taken_off(inventory, room):
    sku = room.product(10)
    room.sell(sku, 3, web_shop=None, web_id=None)
    assert books(inventory, sku) == (10, 3, 0)


def test_a_move_in_another_unit(inventory, room):
    sku = room.product(100)
    room.plan(sku, 2, (HAM, "storage"), "customer", unit=room.unit("Dozen"))
    assert books(inventory, sku) == (100, 24, 0)


def test_a_product_sold_by_the_dozen_is_counted_by_the_dozen(inventory, room):
    sku = room.product(30, sold_in="Dozen")
    sale = room.sell(sku, 2)
    assert (supplies(inventory, sku)[HAM].on_hand, supplies(inventory, sku)[HAM].outgoing) == (Decimal("2.5"), 2)
    assert counted(inventory, room, sale) == {A: 2}
    other = room.sell(sku, 12, unit="Unit")
    assert counted(inventory, room, other) == {A: 12}
    assert supplies(inventory, sku)[HAM].outgoing == 3


# ------------------------------------------------------------ web orders


def test_a_held_order_is_neither_taken_off_nor_counted(inventory, room):
    sku = room.product(10)
    sale = room.sell(sku, 3, confirm=False)
    assert books(inventory, sku) == (10, 0, 0)
    assert counted(inventory, room, sale) == {}


def test_neither_is_one_that_is_confirmed_and_not_processed_yet(inventory, room):
    sku = room.product(10)
    sale = room.sell(sku, 3, confirm=False)
    room.write("sale.sale", sale, state="confirmed")
    assert books(inventory, sku) == (10, 0, 0)
    assert counted(inventory, room, sale) == {}


def test_each_line_is_counted_by_the_shops_id_and_pieces_of_one_add_up(inventory, room):
    sku, other = room.product(10), room.product(10)
    sale = room.sell_all(
        (sku, 3, A, None), (sku, 1, f"{A}\nDiscount 1.00", None), (other, 2, B, None), (sku, 1, "a word of ours", None)
    )
    assert counted(inventory, room, sale) == {A: 4, B: 2}
    assert counted(inventory, room, sale, B, "unknown") == {B: 2}


def test_of_an_order_that_is_not_there_nothing_is_counted(inventory):
    assert inventory.counted({"order_unknown": ["ordli_unknown"]}) == {} == inventory.counted({})


def test_a_cancelled_order_is_not_counted(inventory, room):
    sku = room.product(10)
    sale = room.sell(sku, 3)
    room.cancel(room.shipments(sale)[0])
    assert counted(inventory, room, sale) == {}


def test_an_amended_order_counts_as_it_is_now(inventory, room, erp):
    sku = room.product(10)
    sale = room.sell(sku, 5)
    room.write("sale.line", room.lines(sale)[0], quantity=2.0)
    erp.admin.press("sale.amendment", "validate_amendment", erp.admin.create("sale.amendment", {"sale": sale}))
    assert books(inventory, sku) == (10, 2, 0)
    assert counted(inventory, room, sale) == {A: 2}


def test_what_came_back_had_left_and_lies_in_the_warehouse_once_it_is_put_away(inventory, room, erp):
    sku = room.product(10)
    sale = room.sell(sku, 5)
    room.leave(room.shipments(sale)[0])
    back = room.sell(sku, -2, origin=f"sale.sale,{sale}")
    assert (books(inventory, sku), counted(inventory, room, sale)) == ((5, 0, 2), {A: 5})
    [row] = erp.admin("model.sale.sale.read", [back], ["shipment_returns"])
    for step, expected in (("receive", (5, 0, 2)), ("do", (7, 0, 0))):
        erp.admin.press("stock.shipment.out.return", step, row["shipment_returns"])
        assert (books(inventory, sku), counted(inventory, room, sale)) == (expected, {A: 5})


def test_what_is_sent_instead_is_counted_as_of_the_order(inventory, room):
    sku, other = room.product(10), room.product(10)
    sale = room.sell(sku, 1)
    room.leave(room.shipments(sale)[0])
    instead = room.sell(other, 2, line=B, origin=f"sale.sale,{sale}", web_id=f"{room.web_id(sale)}/instead")
    assert room.shipments(instead)
    assert counted(inventory, room, sale) == {A: 1, B: 2}


def test_only_orders_of_the_settings_shop_are_counted(room, altered):
    sale = room.sell(room.product(10), 3)
    altered(extra={"orders_shop": "Medusa"})
    assert counted(Tryton.from_connection(CONNECTION).inventory, room, sale) == {A: 3}
    altered(extra={"orders_shop": "Nirgendwo"})
    with pytest.raises(Misconfigured, match="Nirgendwo"):
        counted(Tryton.from_connection(CONNECTION).inventory, room, sale)


# ------------------------------------------------------------ kits


def parts_of(goods: Iterable[Goods]) -> dict[str, tuple[Part, ...]]:
    return {one.sku: one.parts for one in goods}


def test_what_lies_there_is_the_same_whether_one_is_asked_for_or_many(inventory, room):
    skus = [room.product(quantity) for quantity in (10, 3, 0, 7)]
    room.count(skus[0], 4, "WH-BER")
    sale = room.sell(skus[3], 3)
    [shipment] = room.shipments(sale)
    room.pick(shipment)
    many = {one.sku: one.supplies for one in inventory.goods(skus)}
    assert {sku: next(iter(inventory.goods([sku]))).supplies for sku in skus} == many
    assert sum(supply.on_hand for supply in many[skus[0]]) == 14 and sum(one.on_hand for one in many[skus[3]]) == 7


def test_the_demos_kits_are_put_together_from_goods_in_stock(inventory):
    for kit, (_, parts) in KITS.items():
        [goods] = inventory.goods([kit])
        assert {part.sku: part.quantity for part in goods.parts} == parts and goods.supplies == ()
    lying = {one.sku: sum(supply.on_hand for supply in one.supplies) for one in inventory.goods(KITS["KIT001"][1])}
    assert set(lying) == set(KITS["KIT001"][1]) and min(lying.values()) > 100
    assert inventory.family(["KIT003"]) == {*KITS, *(part for _, parts in KITS.values() for part in parts)}


@pytest.mark.parametrize("few", [stock.FEW, 0])
def test_a_family_is_all_that_kits_connect(inventory, room, monkeypatch, few):
    monkeypatch.setattr(stock, "FEW", few)
    a, b, c, alone = (room.product(10) for _ in range(4))
    first = room.kit(**{a.replace("-", "_"): 1, b.replace("-", "_"): 2})
    second = room.kit(**{b.replace("-", "_"): 1, c.replace("-", "_"): 1})
    whole = {a, b, c, first, second}
    assert [inventory.family([one]) for one in (a, b, second)] == [whole] * 3
    assert inventory.family([alone, "unknown"]) == {alone, "unknown"}


def test_a_kit_is_counted_as_often_as_all_its_parts_are_there(inventory, room):
    a, b = room.product(10), room.product(10)
    kit = room.kit(**{a.replace("-", "_"): 1, b.replace("-", "_"): 2})
    sale = room.sell_all((kit, 3, A, None), (a, 1, B, None))
    assert (books(inventory, a), books(inventory, b)) == ((10, 4, 0), (10, 6, 0))
    assert counted(inventory, room, sale) == {A: 3, B: 1}
    [shipment] = room.shipments(sale)
    room.leave(shipment)
    assert (books(inventory, a), books(inventory, b)) == ((6, 0, 0), (4, 0, 0))
    assert counted(inventory, room, sale) == {A: 3, B: 1}


def test_a_kit_of_which_a_part_was_cancelled_counts_no_more_than_is_whole(inventory, room, erp):
    a, b = room.product(10), room.product(10)
    kit = room.kit(**{a.replace("-", "_"): 1, b.replace("-", "_"): 2})
    sale = room.sell(kit, 3)
    [shipment] = room.shipments(sale)
    moves = erp.admin.rows("stock.move", [["shipment", "=", f"stock.shipment.out,{shipment}"]], "product", "quantity")
    room.write("stock.move", next(one["id"] for one in moves if one["product"] == room.id_of(b)), quantity=4.0)
    assert counted(inventory, room, sale) == {A: 2}


def test_the_parts_of_a_variant_replace_those_of_its_product_and_units_are_converted(inventory, room, erp):
    a, b = room.product(10), room.product(10, sold_in="Dozen")
    kit = room.kit(**{a.replace("-", "_"): 1})
    assert parts_of(inventory.goods([kit])) == {kit: (Part(sku=a, quantity=Decimal(1)),)}
    own = {"product": room.id_of(b), "quantity": 6.0, "unit": room.unit("Unit"), "parent_product": room.id_of(kit)}
    room.write("product.template", room.template_of(kit), components=[["create", [own, dict(own)]]])
    assert parts_of(inventory.goods([kit])) == {kit: (Part(sku=b, quantity=Decimal(1)),)}


def test_without_the_module_there_are_no_kits_and_nothing_of_it_is_asked(room, monkeypatch):
    inventory = Tryton.from_connection(CONNECTION).inventory
    sku = room.product(10)
    sale = room.sell(sku, 3)
    rpc, asked = inventory._rpc, []
    real = rpc.call
    answers: dict[str, Any] = {"model.ir.module.search_read": []}

    def call(method: str, *params: Any, **context: Any) -> Any:
        asked.append(method)
        return answers[method] if method in answers else real(method, *params, **context)

    monkeypatch.setattr(rpc, "call", call)
    moment = inventory.now() - dt.timedelta(minutes=1)
    assert inventory.family([sku]) == {sku} and sku in touched(inventory, moment)
    assert books(inventory, sku) == (10, 3, 0) and counted(inventory, room, sale) == {A: 3}
    assert not [method for method in asked if "component" in method]


# ------------------------------------------------------------ which SKUs


def test_every_variant_that_is_for_sale_and_counted_has_a_sku(inventory, room):
    sku, kit = room.product(), room.kit(**{room.product().replace("-", "_"): 1})
    others = {
        room.product(type="service"), room.product(consumable=True), room.product(salable=False),
        room.product(active=False), room.product(variant={"active": False}),
    }  # fmt: skip
    every = flat(inventory.skus())
    assert {sku, kit, *KITS} <= set(every) and not others & set(every)
    assert len(every) == len(set(every)) and "SHIP" not in every and None not in every


def test_services_and_what_nobody_counts_give_nothing(inventory, room):
    assert list(inventory.goods([room.product(type="service"), room.product(consumable=True), "unknown"])) == []
    assert list(inventory.goods([])) == []


def test_a_product_without_a_code_disturbs_nobody(inventory, room):
    sku = room.product(10)
    moment = later(inventory)
    nameless = room.product(code=None, name="Nameless")
    room.count(sku, 9)
    assert touched(inventory, moment) == {sku}
    assert list(inventory.goods([nameless])) == [] and "" not in flat(inventory.skus())


def test_what_is_archived_is_told_as_it_is_unless_its_code_is_in_use_again(inventory, room, erp):
    sku = room.product(10)
    old = room.id_of(sku)
    room.write("product.template", room.template_of(sku), active=False)
    room.write("product.product", old, active=False)
    assert books(inventory, sku) == (10, 0, 0)
    erp.admin.create("product.template", {
        "name": "Successor", "code": sku, "type": "goods", "salable": True, "default_uom": room.unit("Unit"),
        "sale_uom": room.unit("Unit"), "products": [["create", [{}]]],
    })  # fmt: skip
    assert books(inventory, sku) == (0, 0, 0)


def test_more_skus_than_one_answer_holds(inventory, room, monkeypatch):
    moment = later(inventory)
    skus = [room.product(number) for number in (1, 2, 3)]
    sales = [room.sell(sku, 1) for sku in skus]
    lines = {room.web_id(sale): [A] for sale in sales}
    whole = inventory.counted({order: some for order, some in list(lines.items())[:1]})
    assert whole == {A: 1}
    monkeypatch.setattr("crossdock.connectors.tryton.stock.PAGE", 2)
    monkeypatch.setattr("crossdock.connectors.tryton.stock.ROWS", 1)
    assert {one.sku: int(one.supplies[-1].on_hand) for one in inventory.goods(skus)} == dict(
        zip(skus, (1, 2, 3), strict=True)
    )
    assert inventory.counted(lines) == {A: 3}
    assert touched(inventory, moment) == set(skus)


# ------------------------------------------------------------ what wakes a SKU

CHANGES: dict[str, Callable[[Stockroom, str, int, int], Any]] = {
    "a stock inventory": lambda room, sku, *_: room.count(sku, 77),
    "a move planned": lambda room, sku, *_: room.plan(sku, 1, "supplier", (HAM, "input")),
    "an order by phone": lambda room, sku, *_: room.sell(sku, 1, web_shop=None, web_id=None),
    "a web order": lambda room, sku, *_: room.sell(sku, 1),
    "a line's note": lambda room, sku, first, _: room.write("sale.line", room.lines(first)[0], note="ordli_C"),
    "a sale": lambda room, sku, first, _: room.write("sale.sale", first, comment="Ring twice."),
    "a shipment picked": lambda room, sku, first, _: room.pick(room.shipments(first)[0]),
    "a shipment gone": lambda room, sku, first, _: (
        room.pack(room.shipments(first)[0]),
        room.arrive(room.shipments(first)[0]),
    ),
    "a shipment cancelled": lambda room, sku, _, second: room.cancel(room.shipments(second)[0]),
    "part of a kit": lambda room, sku, *_: room.kit(**{sku.replace("-", "_"): 1}),
    "the variant": lambda room, sku, *_: room.write("product.product", room.id_of(sku), description="Blue."),
    "the product": lambda room, sku, *_: room.write("product.template", room.template_of(sku), consumable=True),
    "archived": lambda room, sku, *_: room.write("product.template", room.template_of(sku), active=False),
}


def test_every_change_is_seen_and_old_ones_are_not(inventory, room):
    sku, other = room.product(10), room.product()
    first, second = room.sell(sku, 3), room.sell(sku, 1)
    missed = []
    for what, change in CHANGES.items():
        moment = later(inventory)
        change(room, sku, first, second)
        seen = inventory.family(touched(inventory, moment))
        if sku not in seen or other in seen:
            missed.append(what)
    assert missed == []
    assert touched(inventory, later(inventory)) == set()


def test_an_amendment_that_deletes_moves_is_seen(inventory, room, erp):
    sku = room.product(10)
    sale = room.sell(sku, 3)
    moment = later(inventory)
    room.write("sale.line", room.lines(sale)[0], quantity=0.0)
    erp.admin.press("sale.amendment", "validate_amendment", erp.admin.create("sale.amendment", {"sale": sale}))
    assert (touched(inventory, moment), books(inventory, sku)) == ({sku}, (10, 0, 0))


def test_a_kits_part_that_changes_or_is_taken_out_is_seen(inventory, room, erp):
    a, b = room.product(10), room.product(10)
    kit = room.kit(**{a.replace("-", "_"): 1, b.replace("-", "_"): 2})
    rows = erp.admin.rows("product.component", [["parent_template", "=", room.template_of(kit)]], "product")
    moment = later(inventory)
    room.write("product.template", room.template_of(kit), components=[["write", [rows[0]["id"]], {"quantity": 2.0}]])
    assert kit in touched(inventory, moment)
    moment = later(inventory)
    room.write("product.template", room.template_of(kit), components=[["delete", [rows[0]["id"]]]])
    assert kit in touched(inventory, moment)


def test_a_unit_that_changes_wakes_all_that_are_sold_in_it(inventory, room):
    pack = room.unit_of("Pack", 6)
    sku = room.product(24, sold_in="Pack")
    moment = later(inventory)
    room.write("product.uom", pack, symbol="pck")
    assert touched(inventory, moment) == {sku}
    assert supplies(inventory, sku)[HAM].on_hand == 4


def test_a_move_of_a_long_transaction_is_seen_within_the_overlap(inventory, room, session: Path):
    """Its time of change is the start of the transaction, which was before the watermark."""
    sku = room.product(10)
    watermark = later(inventory)
    move = room.plan(sku, 3, (HAM, "storage"), "customer")
    began = (watermark - dt.timedelta(seconds=90)).strftime("%Y-%m-%d %H:%M:%S.000000")
    database = sqlite3.connect(session / "erp" / f"{DATABASE}.sqlite", timeout=60)
    with database:
        database.execute("UPDATE stock_move SET create_date = ?, write_date = NULL WHERE id = ?", (began, move))
    database.close()
    assert touched(inventory, watermark) == set()
    assert sku in touched(inventory, watermark - dt.timedelta(minutes=5))


def test_without_a_beginning_everything_is_touched(inventory):
    assert flat(inventory.touched(Window(None, inventory.now()))) == flat(inventory.skus())


# ------------------------------------------------------------ what has left since it was counted


def test_only_what_left_since_is_gone(inventory, room):
    sku, other = room.product(10), room.product(10)
    for one, quantity in ((sku, 3), (other, 2)):
        room.leave(room.shipments(room.sell(one, quantity))[0])
    room.sell(sku, 5)
    now = inventory.now()
    hour, day = dt.timedelta(hours=1), dt.timedelta(days=1)
    assert inventory.shipped(HAM, {sku: now - hour, other: now - hour}) == {sku: 3, other: 2}
    assert inventory.shipped(HAM, {sku: now - hour, other: now + hour}) == {sku: 3}
    assert inventory.shipped(BER, {sku: now - hour}) == {} == inventory.shipped(HAM, {})
    assert inventory.shipped(HAM, {sku: now - 3 * day, "unknown": now - day}) == {sku: 3}


def test_what_is_moved_about_or_comes_in_is_not_gone_but_what_goes_elsewhere_is(inventory, room, erp):
    sku = room.product(10)
    since = inventory.now()
    erp.admin.press("stock.shipment.in", "receive", [room.receive(sku, 6, today())])
    room.transfer(sku, 5, (HAM, "storage"), (HAM, "output"), "wait", "assign_force", "do")
    room.transfer(sku, 4, (HAM, "storage"), (BER, "storage"), "wait", "assign_force", "pack", "ship")
    assert inventory.shipped(HAM, {sku: since}) == {sku: 4}


def test_what_left_days_ago_is_not_gone_again_when_it_is_written_again(inventory, room):
    """As Tryton does with moves of which it corrects the cost."""
    sku = room.product(10)
    [shipment] = room.shipments(room.sell(sku, 2))
    room.write("stock.shipment.out", shipment, effective_date=in_days(-3))
    room.leave(shipment)
    since = inventory.now() - dt.timedelta(hours=1)
    assert inventory.shipped(HAM, {sku: since}) == {}
    assert inventory.shipped(HAM, {sku: since - dt.timedelta(days=2)}) == {sku: 2}


def test_a_warehouse_that_is_not_there_stops_the_run(inventory, room):
    with pytest.raises(Misconfigured, match=r"WH-NOWHERE.*WH-3PL, WH-BER, WH-HAM"):
        inventory.shipped("WH-NOWHERE", {room.product(): inventory.now()})


def test_two_warehouses_of_one_code_stop_the_run(room, erp):
    names = ("storage", "input", "output")
    zones = erp.admin.create("stock.location", *({"name": f"Twin {name}", "type": "storage"} for name in names))
    [twin] = erp.admin.create("stock.location", {
        "name": "Twin", "type": "warehouse", "code": HAM, "lost_found_location": room.place((HAM, "lost_found")),
        **{f"{name}_location": zone for name, zone in zip(names, zones, strict=True)},
    })  # fmt: skip
    try:
        with pytest.raises(Misconfigured, match=HAM):
            list(Tryton.from_connection(CONNECTION).inventory.goods([room.product()]))
    finally:
        room.write("stock.location", twin, active=False)
