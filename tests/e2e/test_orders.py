"""Web orders, the whole way and back: shoppers in the real shop, Airflow's DAG, people at work in the real ERP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from tests.asset_events import asset_events
from tests.buying import HOME, Buying, RunningShop
from tests.e2e.product import Product

from sandbox import merchant, opening

ORDER_FIELDS = "fields=id,status,metadata,fulfillment_status,*fulfillments,*fulfillments.labels,*fulfillments.items"


@pytest.fixture(scope="module")
def goods(product: Product) -> list[str]:
    """SKUs that can be bought; all that orders need is in step and runs by itself."""
    product.only("customers", "items", "pricing", "inventory")
    for dag, flow in (("customers", ""), ("items", ""), ("pricing", "prices"), ("inventory", "")):
        product.sync(dag, flow)
    skus = opening.goods(product.stack)
    product.only("customers", "orders")
    product.sync("orders")
    return skus


@pytest.fixture(scope="module")
def running(product: Product) -> RunningShop:
    facts = product.stack.facts()["storefront"]
    return RunningShop(facts["url"], facts["publishable_key"], facts["admin_email"], facts["admin_password"])


@pytest.fixture(scope="module")
def buy(running: RunningShop, goods: list[str]) -> Buying:
    return Buying(running)


@pytest.fixture(scope="module")
def buyers(product: Product, goods: list[str]) -> dict[str, str]:
    """Account -> token of one of its buyers, logged in."""
    tokens = {}
    for code in ("C0003", "C0005"):
        email = sorted(product.members(code))[0]
        tokens[code] = product.as_buyer(email).headers["Authorization"].removeprefix("Bearer ")
    return tokens


def sale(product: Product, order: str) -> dict[str, Any]:
    """The one sale of an order, as the ERP has it."""
    [found] = product.erp.rows(
        "sale.sale", [["web_id", "=", order]],
        "number", "state", "total_amount", "reference", "party.code", "shipment_address.party_name",
        "shipment_address.street", "payment_term.name", "shipments.state", "comment",
    )  # fmt: skip
    return found


def synced(product: Product, order: str) -> dict[str, Any]:
    row = product.sync("orders", keys=[order])
    assert row["state"] == "success", row["message"]
    return sale(product, order)


def cents(amount: Any) -> Decimal:
    return Decimal(str(amount)).quantize(Decimal("0.01"))


def ship(product: Product, order: str, tracking: str, pieces: float | None = None) -> None:
    """Somebody in the warehouse sends the open shipment, or so many pieces of its first line."""
    [found] = product.erp.rows("sale.sale", [["web_id", "=", order]], "shipments.state")
    [shipment] = [one["id"] for one in found["shipments."] if one["state"] in ("waiting", "draft")]
    if pieces is not None:
        moves = product.erp("model.stock.shipment.out.read", [shipment], ["inventory_moves"])[0]["inventory_moves"]
        product.erp("model.stock.move.write", moves[:1], {"quantity": pieces})
        for move in moves[1:]:
            product.erp("model.stock.move.write", [move], {"quantity": 0.0})
    product.erp("model.stock.shipment.out.write", [shipment], {"shipping_reference": tracking})
    for button in ("assign_force", "pick", "pack", "do"):
        product.erp(f"model.stock.shipment.out.{button}", [shipment])
    product.erp("model.sale.sale.process", [found["id"]])


def back(product: Product, order: str) -> None:
    """The way back has run: another run may have been at work on it."""
    while True:
        run_id = product.airflow.trigger("orders", {})
        product.airflow.wait("orders", run_id)
        ended = product.one("SELECT state FROM crossdock.run WHERE flow = 'order_status' AND airflow_run = %s", run_id)
        if ended["state"] != "drained":
            return
        time.sleep(1)


def test_the_orders_of_before_go_live_stay_history(product: Product, goods: list[str]) -> None:
    rows = product.query("SELECT key FROM crossdock.ledger WHERE flow IN ('orders', 'order_status')")
    assert not [row for row in rows if row["key"].startswith("order_history")]
    assert product.query("SELECT 1 FROM crossdock.quarantine WHERE flow IN ('orders', 'order_status')") == []


def test_a_guests_order_is_booked_on_the_one_receivable_account_with_his_own_address(
    product: Product, buy: Buying, goods: list[str]
) -> None:
    home = {**HOME, "first_name": "Greta", "last_name": "Gast", "address_1": "Deichstraße 7"}
    order = buy.as_guest("greta@guests.example", {goods[0]: 2, goods[1]: 1}, ship_to=home)
    booked = synced(product, order["id"])
    assert booked["party."]["code"] == merchant.GUESTS
    assert booked["shipment_address."]["party_name"] == "Greta Gast"
    assert booked["shipment_address."]["street"] == "Deichstraße 7"
    assert "greta@guests.example" in booked["comment"]
    assert booked["total_amount"] == cents(order["total"]) and booked["state"] == "processing"


def test_stock_is_looked_at_again_when_orders_have_been_written_and_only_then(
    product: Product, buy: Buying, goods: list[str]
) -> None:
    order = buy.as_guest("gerd@guests.example", {goods[0]: 1})["id"]
    asked = by_orders(product)
    synced(product, order)
    assert by_orders(product) > asked
    product.wait_until_idle("orders")
    asked = by_orders(product)
    synced(product, order)
    assert by_orders(product) == asked


def by_orders(product: Product) -> int:
    """The last hint by which `orders` has woken `inventory`."""
    events = asset_events(product.stack, "crossdock_hint_inventory")
    return max((one["id"] for one in events if one["dag"] == "orders"), default=0)


def test_two_buyers_of_two_accounts_each_order_on_their_own(
    product: Product, buy: Buying, buyers: dict[str, str], goods: list[str]
) -> None:
    for code, token in buyers.items():
        order = buy.as_buyer(token, {goods[0]: 5}, po_number=f"PO-{code}")
        booked = synced(product, order["id"])
        assert booked["party."]["code"] == code and f"PO-{code}" in booked["reference"]
        assert booked["total_amount"] == cents(order["total"]) and booked["payment_term."]


def test_an_order_is_in_the_erp_by_itself_within_moments(product: Product, buy: Buying, goods: list[str]) -> None:
    placed = time.monotonic()
    order = buy.as_guest("gus@guests.example", {goods[0]: 1})
    while not product.erp("model.sale.sale.search_count", [["web_id", "=", order["id"]], ["state", "=", "processing"]]):
        assert time.monotonic() - placed < 90, "neither hint nor poll has brought it"
        time.sleep(0.5)


@pytest.fixture
def two_schedulers(product: Product) -> Iterator[None]:
    """Airflow's scheduler a second time, as for high availability."""
    [first] = [one for one in product.stack.airflow.services() if one.name == "airflow scheduler"]
    alive = "/jobs?job_type=SchedulerJob&is_alive=true"
    second = replace(
        first,
        log=first.log.with_name("second-scheduler.log"),
        ready=lambda: product.airflow.call("GET", alive)["total_entries"] == 2,
    ).start()
    try:
        second.wait()
        yield
    finally:
        second.stop()


def test_two_schedulers_at_once_book_each_order_once(
    product: Product, two_schedulers: None, buy: Buying, goods: list[str]
) -> None:
    orders, at_work = [], set()
    deadline = time.monotonic() + 600
    while len(at_work) < 2 or len(orders) < 6:
        assert time.monotonic() < deadline, "one of them does all the work"
        orders.append(buy.as_guest(f"guest{len(orders)}@schedulers.example", {goods[1]: 1})["id"])
        runs = [product.airflow.trigger("orders", {}) for _ in range(2)]
        for run in runs:
            product.airflow.wait("orders", run)
        at_work |= queued_by(product, runs)
    product.sync("orders", keys=orders)
    sales = product.erp.rows("sale.sale", [["web_id", "in", orders]], "web_id", "state", "shipments")
    assert sorted(one["web_id"] for one in sales) == sorted(orders)
    assert all(one["state"] == "processing" and len(one["shipments"]) == 1 for one in sales)


def queued_by(product: Product, runs: list[str]) -> set[int]:
    """The schedulers that have given tasks of these runs to be done."""
    query = "SELECT DISTINCT queued_by_job_id FROM task_instance WHERE run_id = ANY(%s) AND queued_by_job_id > 0"
    with psycopg.connect(product.stack.cluster.dsn("airflow")) as db:
        return {row[0] for row in db.execute(query, [runs])}


def test_shipments_and_tracking_come_back_in_parts_and_once(product: Product, buy: Buying, goods: list[str]) -> None:
    order = buy.as_guest("gina@guests.example", {goods[0]: 3})["id"]
    synced(product, order)
    ship(product, order, "00340TEST1", pieces=2.0)
    back(product, order)
    back(product, order)
    seen = product.shop.call(f"/store/orders/{order}?{ORDER_FIELDS}")["order"]
    [first] = seen["fulfillments"]
    assert [label["tracking_number"] for label in first["labels"]] == ["00340TEST1"] and first["shipped_at"]
    assert [item["quantity"] for item in first["items"]] == [2]
    assert seen["metadata"]["erp_number"] == sale(product, order)["number"]
    ship(product, order, "00340TEST2")
    back(product, order)
    seen = product.shop.call(f"/store/orders/{order}?{ORDER_FIELDS}")["order"]
    labels = sorted(label["tracking_number"] for one in seen["fulfillments"] for label in one["labels"])
    assert labels == ["00340TEST1", "00340TEST2"] and seen["fulfillment_status"] == "shipped"


def test_an_order_cancelled_in_the_shop_is_cancelled_in_the_erp(
    product: Product, buy: Buying, goods: list[str]
) -> None:
    order = buy.as_guest("gerd@guests.example", {goods[1]: 1})["id"]
    synced(product, order)
    buy.cancel(order)
    booked = synced(product, order)
    assert not [one for one in booked["shipments."] if one["state"] not in ("cancelled",)]
    assert booked["state"] in ("cancelled", "done")


def test_an_edit_before_shipping_amends_the_sale_and_one_after_it_is_a_conflict(
    product: Product, buy: Buying, goods: list[str]
) -> None:
    order = buy.as_guest("gabi@guests.example", {goods[0]: 2})["id"]
    synced(product, order)
    [line] = buy.lines(order).values()
    buy.edit(order, change={line: 4})
    assert synced(product, order)["total_amount"] == cents(buy.look(order, "id,total")["total"])
    ship(product, order, "00340TEST3")
    buy.edit(order, change={line: 1})
    synced(product, order)
    [row] = product.query(
        "SELECT code, remedy FROM crossdock.quarantine WHERE flow = 'orders' AND key = %s AND resolved_at IS NULL",
        order,
    )
    assert row["code"] == "conflict" and row["remedy"]


def test_captured_money_and_refunds_are_payments_in_the_erp_once(
    product: Product, buy: Buying, goods: list[str]
) -> None:
    order = buy.as_guest("gitta@guests.example", {goods[0]: 1})["id"]
    buy.capture(order)
    synced(product, order)
    buy.refund(order, 1)
    synced(product, order)
    synced(product, order)
    [payment] = buy.payments(order)
    ids = [payment["id"], *(one["id"] for one in payment["refunds"])]
    rows = product.erp.rows("account.payment", [["reference", "in", ids]], "kind", "amount")
    booked = sorted((row["kind"], row["amount"]) for row in rows)
    assert booked == [("payable", Decimal("1.00")), ("receivable", cents(payment["amount"]))]


def test_the_proof_of_completeness_compares_both_sides_in_every_run(product: Product, goods: list[str]) -> None:
    """Orders of the last minutes are not due yet; the words tell that shop and ERP were asked."""
    said, deadline = "", time.monotonic() + 300
    while "order records of" not in said:
        assert time.monotonic() < deadline, "no run of orders has proved anything"
        run_id = product.airflow.trigger("orders", {})
        assert product.airflow.wait("orders", run_id) == "success"
        states = {task["task_id"]: task["state"] for task in product.airflow.tasks("orders", run_id)}
        if states["to_erp.settle"] == "success":  # not drained by a run that was at work
            assert states["to_erp.prove"] == "success"
            said = product.airflow.log("orders", run_id, "to_erp.prove")
    assert "in Tryton, worth" in said
