"""What a target of shipping advices promises (``ports.Target``), on the real Tryton and its warehouse."""

from __future__ import annotations

import datetime as dt
import json
import os
from decimal import Decimal
from typing import Any

import pytest
from tests.contracts.asking import flat
from tests.erp_fixtures import CONNECTION, RunningErp
from tests.warehouse import Warehouse, today

from crossdock.connectors.tryton.adapter import Tryton
from crossdock.connectors.tryton.advices import Advices
from crossdock.domain.order_status import OrderStatus
from crossdock.domain.shipping_advice import AdviceLine, ShippingAdvice
from crossdock.errors import Reject
from crossdock.ports import Found, Outcome, Put
from sandbox import erp as sandbox_erp

pytestmark = pytest.mark.e2e

A, B = "ordli_A", "ordli_B"
YESTERDAY = today() - dt.timedelta(days=1)


@pytest.fixture
def tryton(erp: RunningErp, monkeypatch: pytest.MonkeyPatch) -> Tryton:
    connection = json.loads(os.environ["AIRFLOW_CONN_" + CONNECTION.upper()])
    connection["extra"] |= sandbox_erp.ORDERS
    monkeypatch.setenv("AIRFLOW_CONN_ADVICES_TEST", json.dumps(connection))
    return Tryton.from_connection("advices_test")


@pytest.fixture
def target(tryton: Tryton) -> Advices:
    return tryton.shipping_advice


@pytest.fixture
def warehouse(erp: RunningErp) -> Warehouse:
    return Warehouse(erp.admin)


@pytest.fixture
def sku(erp: RunningErp, warehouse: Warehouse) -> str:
    [product] = erp.admin("model.product.product.read", [warehouse._product[0]], ["code"])
    return str(product["code"])


def advice(number: str, **lines: float) -> ShippingAdvice:
    return ShippingAdvice(
        number=number,
        carrier="dhl",
        sent_on=YESTERDAY,
        tracking_numbers=("TRACK1", "TRACK2"),
        lines=tuple(AdviceLine(sku=sku, quantity=Decimal(quantity)) for sku, quantity in lines.items()),
    )


def put(target: Advices, *told: ShippingAdvice, op: Any = "create") -> list[Outcome]:
    puts = [Put(one.key, op, None, target.payload(one), "f") for one in told]
    return list(target.put(puts, lambda ref: b""))


def status(tryton: Tryton, warehouse: Warehouse, sale: int) -> OrderStatus:
    [row] = flat(tryton.order_status.read([warehouse.web_id(sale)]))
    return tryton.order_status.parse(row.raw)


def refused(outcomes: list[Outcome]) -> Reject:
    [outcome] = outcomes
    assert outcome.refused
    return outcome.refused


def test_all_of_it_leaves_and_the_shop_is_told_how(tryton, target, warehouse, sku):
    sale = warehouse.order((A, 5), (B, 2))
    [shipment] = warehouse.shipments(sale)
    number = warehouse.number(shipment)
    assert put(target, advice(number, **{sku: 7})) == [Outcome(number, str(shipment))]
    ours = status(tryton, warehouse, sale)
    [sent] = ours.shipments
    assert (ours.state, sent.status, sent.carrier, sent.sent_on) == ("sent", "sent", "DHL", YESTERDAY)
    assert [parcel.tracking_number for parcel in sent.parcels] == ["TRACK1", "TRACK2"]
    assert {part.line: part.quantity for part in sent.parts} == {A: 5, B: 2}


def test_of_less_the_rest_waits_in_another_shipment(tryton, target, warehouse, sku):
    sale = warehouse.order((A, 5), (B, 2))
    [first] = warehouse.shipments(sale)
    put(target, advice(warehouse.number(first), **{sku: 3}))
    ours = status(tryton, warehouse, sale)
    told = [(one.status, {part.line: int(part.quantity) for part in one.parts}) for one in ours.shipments]
    assert (ours.state, told) == ("partly sent", [("sent", {A: 3}), ("open", {A: 2, B: 2})])
    [_, second] = warehouse.shipments(sale)
    put(target, advice(warehouse.number(second), **{sku: 4}))
    assert status(tryton, warehouse, sale).state == "sent"


def test_twice_is_once(erp, tryton, target, warehouse, sku):
    sale = warehouse.order((A, 5))
    [first] = warehouse.shipments(sale)
    told = advice(warehouse.number(first), **{sku: 3})
    once = put(target, told)
    before = status(tryton, warehouse, sale), erp.admin.rows("stock.shipment.out", [["id", "=", first]], "write_date")
    assert put(target, told, op="update") == once
    after = status(tryton, warehouse, sale), erp.admin.rows("stock.shipment.out", [["id", "=", first]], "write_date")
    assert before == after


@pytest.mark.parametrize("quantity", [5, 3])
@pytest.mark.parametrize("until", ["written", "assigned", "picked", "packed", "shipped", "done"])
def test_it_goes_on_from_wherever_it_was_left(erp, tryton, target, warehouse, sku, until, quantity):
    sale = warehouse.order((A, 5))
    [shipment] = warehouse.shipments(sale)
    [move] = warehouse._moves(shipment, "inventory_moves")
    warehouse.write("stock.move", move, quantity=float(quantity))
    steps = {"assigned": "assign_force", "picked": "pick", "packed": "pack", "shipped": "ship", "done": "do"}
    for state, button in steps.items():
        if until == "written":
            break
        if state != "shipped" or until == "shipped":
            erp.admin.press("stock.shipment.out", button, [shipment])
        if state == until:
            break
    assert put(target, advice(warehouse.number(shipment), **{sku: quantity}))[0].refused is None
    sent, *rest = status(tryton, warehouse, sale).shipments
    assert (sent.status, [int(part.quantity) for part in sent.parts]) == ("sent", [quantity])
    assert [parcel.tracking_number for parcel in sent.parcels] == ["TRACK1", "TRACK2"]
    assert [int(part.quantity) for one in rest for part in one.parts] == ([] if quantity == 5 else [2])


def test_what_is_not_in_stock_has_left_nevertheless(tryton, target, warehouse, sku):
    sale = warehouse.order((A, 90_000))
    [shipment] = warehouse.shipments(sale)
    assert put(target, advice(warehouse.number(shipment), **{sku: 80_000}))[0].refused is None
    assert [one.status for one in status(tryton, warehouse, sale).shipments] == ["sent", "open"]


def test_more_than_was_asked_for_is_a_conflict_with_both_figures(tryton, target, warehouse, sku):
    sale = warehouse.order((A, 5))
    [shipment] = warehouse.shipments(sale)
    number = warehouse.number(shipment)
    refusal = refused(put(target, advice(number, **{sku: 6})))
    assert (refusal.code, refusal.reason) == (
        "conflict",
        f"Shipment {number}: 6 of {sku} have left, but 5 were asked for.",
    )
    assert "1 of NOBODY have left, but 0 were asked for" in refused(put(target, advice(number, NOBODY=1))).reason
    assert status(tryton, warehouse, sale).state == "open"


def test_other_quantities_than_those_that_have_left_are_a_conflict(target, warehouse, sku):
    [shipment] = warehouse.shipments(warehouse.order((A, 5)))
    number = warehouse.number(shipment)
    put(target, advice(number, **{sku: 3}))
    refusal = refused(put(target, advice(number, **{sku: 5}), op="update"))
    assert (refusal.code, refusal.reason) == (
        "conflict",
        f"Shipment {number}: Tryton has it as done with 3 of {sku}, but 5 of {sku} have left.",
    )


def test_a_correction_of_the_tracking_numbers_alone_is_taken(tryton, target, warehouse, sku):
    sale = warehouse.order((A, 5))
    [shipment] = warehouse.shipments(sale)
    told = advice(warehouse.number(shipment), **{sku: 5})
    put(target, told)
    put(target, told.model_copy(update={"tracking_numbers": ("TRACK3",)}), op="update")
    [sent] = status(tryton, warehouse, sale).shipments
    assert [parcel.tracking_number for parcel in sent.parcels] == ["TRACK3"]


def test_what_was_cancelled_is_a_conflict(target, warehouse, sku):
    [shipment] = warehouse.shipments(warehouse.order((A, 5)))
    warehouse.cancel(shipment)
    refusal = refused(put(target, advice(warehouse.number(shipment), **{sku: 5})))
    assert refusal.code == "conflict" and "cancelled in Tryton" in refusal.reason


def test_an_unknown_number_stops_no_other(target, warehouse, sku):
    [shipment] = warehouse.shipments(warehouse.order((A, 5)))
    known = advice(warehouse.number(shipment), **{sku: 5})
    unknown, done = put(target, advice("NOBODY-1", **{sku: 5}), known)
    assert unknown.refused and unknown.refused.code == "unknown_shipment" and "NOBODY-1" in unknown.refused.reason
    assert done == Outcome(known.key, str(shipment))
    assert known.key in flat(target.keys())


def test_nothing_is_brought_back(target, warehouse, sku):
    told = advice(warehouse.number(warehouse.shipments(warehouse.order((A, 1)))[0]), **{sku: 1})
    put(target, told)
    assert [one.refused for one in target.put([Put(told.key, "remove", "7", b"", "")], lambda ref: b"")] == [None]


def test_shipments_are_found_by_number(tryton, target, warehouse, sku):
    [shipment] = warehouse.shipments(warehouse.order((A, 1)))
    told = advice(warehouse.number(shipment), **{sku: 1})
    assert target.find([told.key, "NOBODY-1"]) == target.match([told]) == {told.key: Found(str(shipment), None)}


def test_one_approval_is_for_all_that_is_written_to_tryton(tryton, target):
    assert target.fingerprint() == tryton.orders.fingerprint()
