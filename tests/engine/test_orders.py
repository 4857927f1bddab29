"""What is particular about orders: go-live, what is not due yet, accounts that come first."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from tests.engine.conftest import SYSTEMS, World
from tests.fakes import MemorySource, MemoryTarget

from crossdock.domain.order import Order
from crossdock.errors import Misconfigured, Retry, Stop
from crossdock.ports import Placed, Row, Window
from crossdock.store.reports import journey
from crossdock.sync.flows import ORDERS

GO_LIVE = datetime(2026, 6, 1, tzinfo=UTC)


class MemoryOrders(MemorySource):
    """Orders by id; what a test leaves out is filled in."""

    record = Order

    def order(self, web_id: str, **fields) -> None:
        line = {"id": "line-1", "kind": "item", "sku": "A-1", "quantity": "2", "net": "10.00"}
        order = {"web_id": web_id, "number": web_id.removeprefix("order_"), "placed_at": "2026-06-02T10:00:00Z"}
        order |= {"currency": "EUR", "charged": "10.00", "settlement": "paid", "lines": [line]}
        self.rows[web_id] = self._clock(), order | fields

    def _rows(self, wanted) -> Iterator[Sequence[Row]]:
        yield [
            Row(web_id, fields["number"], json.dumps(fields).encode())
            for web_id, (at, fields) in self.rows.items()
            if wanted(web_id, at)
        ]

    def changed(self, window: Window) -> Iterator[Sequence[Row]]:
        yield from self._rows(lambda _, at: at < window.until and (not window.since or at >= window.since))

    def read(self, keys: Collection[str]) -> Iterator[Sequence[Row]]:
        yield from self._rows(lambda web_id, _: web_id in keys)

    def parts(self) -> Iterator[Sequence[str]]:
        yield []

    def parse(self, raw: bytes) -> Order:
        return Order.model_validate_json(raw)

    def placed(self, window: Window) -> Iterator[Sequence[Placed]]:
        for [*rows] in self._rows(lambda *_: True):
            orders = [self.parse(row.raw) for row in rows]
            yield [
                Placed(one.key, one.charged, not one.early and not one.gone)
                for one in orders
                if window.since <= one.placed_at < window.until
            ]


class MemorySales(MemoryTarget):
    """Sales by web id."""

    def payload(self, record: Order) -> bytes:  # type: ignore[override]
        return json.dumps({"number": record.number, "charged": str(record.charged)}).encode()

    def worth(self, keys: Collection[str]) -> dict[str, Decimal]:
        there = {key: self.records[key] for key in keys if key in self.records}
        return {key: Decimal(json.loads(told.payload)["charged"]) for key, told in there.items()}


SYSTEMS["orders"] = (MemoryOrders, MemorySales)


class Orders(World):
    """The pair's customers have settled just now, unless a test says otherwise; C-1 is an account of theirs."""

    go_live: datetime | None = GO_LIVE

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn, flow=ORDERS)
        self._eyes.execute("UPDATE target SET side = 'erp'")
        self.customers_settled(datetime.now(UTC) + timedelta(seconds=5))

    def customers_settled(self, until: datetime) -> None:
        self._eyes.execute(
            """INSERT INTO watermark (pair, flow, until) VALUES ('default', 'customers', %s)
            ON CONFLICT (pair, flow) DO UPDATE SET until = excluded.until""",
            (until,),
        )

    def account(self, number: str) -> None:
        self._eyes.execute(
            """INSERT INTO ledger (pair, flow, key, source_id, target_id, run_id)
            VALUES ('default', 'customers', %s, '1', 'group-1', 0)""",
            (number,),
        )

    def _as_task(self, name, request, scope):
        return replace(super()._as_task(name, request, scope), go_live=self.go_live)

    def sales(self) -> set[str]:
        return set(self.shop.records)


@pytest.fixture
def orders(clean) -> Iterator[Orders]:
    world = Orders(clean)
    yield world
    world.close()


def test_an_order_is_posted_once_however_often_it_is_read(orders):
    orders.erp.order("order_1")
    _, books = orders.sync()
    assert (books.created, orders.sales()) == (1, {"order_1"})
    orders.sync(full=True)
    _, books = orders.sync(keys=("order_1",))
    assert books.unchanged == 1 and len(orders.shop.calls) == 1


def test_orders_from_before_go_live_are_never_posted_whatever_is_asked(orders):
    orders.erp.order("order_1", placed_at="2026-05-31T23:59:59Z")
    orders.erp.order("order_2", placed_at="2026-06-01T00:00:00Z")
    _, books = orders.sync()
    assert books.skipped == {"before go-live": 1} and orders.sales() == {"order_2"}
    for request in ({"full": True}, {"full": True, "force": True}, {"keys": ("order_1",), "force": True}):
        _, books = orders.sync(**request)
        assert books.skipped == {"before go-live": 1} and orders.sales() == {"order_2"}


def test_after_the_ledger_is_lost_orders_are_adopted_and_history_stays_out(orders):
    orders.erp.order("order_1", placed_at="2026-05-31T23:59:59Z")
    orders.erp.order("order_2")
    orders.sync()
    orders.query("DELETE FROM ledger WHERE flow = 'orders' RETURNING 1")
    settled, books = orders.sync(full=True)
    assert settled.state == "success" and (books.created, books.updated) == (0, 1)
    assert orders.sales() == {"order_2"} and books.skipped == {"before go-live": 1}


def test_a_pair_without_go_live_is_refused(orders):
    orders.go_live = None
    orders.erp.order("order_1")
    with pytest.raises(Misconfigured, match="go_live"):
        orders.step(orders.run(), "extract")
    assert orders.shop.calls == []


def test_an_unpaid_order_comes_when_it_is_paid(orders):
    orders.erp.order("order_1", settlement="unpaid")
    _, books = orders.sync()
    assert books.skipped == {"not paid yet": 1} and orders.sales() == set()
    orders.erp.order("order_1", settlement="authorised")
    orders.sync()
    assert orders.sales() == {"order_1"}


def test_an_order_in_the_erp_goes_on_when_its_payment_is_withdrawn(orders):
    orders.erp.order("order_1")
    orders.sync()
    orders.erp.order("order_1", settlement="unpaid", charged="9.99")
    _, books = orders.sync()
    assert books.updated == 1 and not books.skipped


def test_an_order_waits_for_its_account_and_is_never_guessed(orders):
    orders.erp.order("order_1", account="C-1")
    orders.erp.order("order_2")
    _, books = orders.sync()
    assert books.waiting == 1 and orders.sales() == {"order_2"}
    [(key, needs)] = orders.query("SELECT key, needs FROM parked")
    assert (key, needs) == ("order_1", ["customers:C-1"])
    assert journey(orders._eyes, "default", "orders", "1")["waiting"]
    orders.account("C-1")
    _, books = orders.sync()
    assert books.created == 1 and orders.sales() == {"order_1", "order_2"}


def test_an_order_cancelled_before_it_was_posted_is_never_posted(orders):
    orders.erp.order("order_1", cancelled=True)
    _, books = orders.sync()
    assert sum(books.skipped.values()) == 1 and orders.sales() == set()


def test_an_order_cancelled_after_it_was_posted_is_cancelled_in_the_erp(orders):
    orders.erp.order("order_1")
    orders.sync()
    orders.erp.order("order_1", cancelled=True)
    _, books = orders.sync()
    assert books.removed == 1 and orders.shop.records["order_1"].payload == ""


def test_no_window_ends_later_than_that_of_the_customers(orders):
    seen = datetime.now(UTC) - timedelta(minutes=3)
    orders.customers_settled(seen)
    orders.erp.order("order_1")
    orders.sync()
    assert orders.sales() == set()
    [(until,)] = orders.query("SELECT until FROM watermark WHERE flow = 'orders'")
    assert until == seen
    orders.customers_settled(datetime.now(UTC) + timedelta(seconds=5))
    orders.sync()
    assert orders.sales() == {"order_1"}


def test_customers_that_are_stuck_do_not_hold_up_guests(orders):
    orders.customers_settled(datetime.now(UTC) - timedelta(minutes=11))
    orders.erp.order("order_1")
    orders.erp.order("order_2", account="C-9")
    _, books = orders.sync()
    assert orders.sales() == {"order_1"} and books.waiting == 1


def test_before_customers_have_ever_settled_nothing_is_read(orders):
    orders.query("DELETE FROM watermark RETURNING 1")
    with pytest.raises(Retry, match="customers has not settled yet"):
        orders.step(orders.run(), "extract")


def test_control_totals_are_exact(orders):
    orders.erp.order("order_1", charged="0.10")
    orders.erp.order("order_2", charged="0.20")
    orders.sync()
    [(totals,)] = orders.query("SELECT totals FROM run ORDER BY id DESC LIMIT 1")
    assert (totals["charged"], totals["lines"]) == ("0.30", 2)


def test_an_order_is_found_by_its_number(orders):
    orders.erp.order("order_1", number="1042")
    orders.sync()
    [row] = journey(orders._eyes, "default", "orders", "1042")["ledger"]
    assert row["target_id"] == "id-order_1"


def an_hour_ago() -> str:
    return (datetime.now(UTC) - timedelta(hours=1)).isoformat()


def test_the_proof_tells_count_and_sum_of_both_sides(orders):
    orders.erp.order("order_1", placed_at=an_hour_ago(), charged="10.004")
    orders.erp.order("order_2", placed_at=an_hour_ago(), account="C-9")
    orders.erp.order("order_3", placed_at=an_hour_ago(), settlement="unpaid")
    orders.sync()
    said = orders.step(orders.run(), "prove")
    assert "2 order records" in said and "worth 20.00: 1 in Memory, worth 10.00, 1 set aside" in said


def test_an_order_that_is_neither_in_the_erp_nor_set_aside_fails_the_proof(orders):
    orders.erp.order("order_1", placed_at=an_hour_ago())
    orders.sync()
    del orders.shop.records["order_1"]
    with pytest.raises(Stop, match=r"1 are missing \(order_1\)"):
        orders.step(orders.run(), "prove")


def test_an_order_of_another_worth_in_the_erp_fails_the_proof(orders):
    orders.erp.order("order_1", placed_at=an_hour_ago())
    orders.sync()
    told = orders.shop.records["order_1"]
    orders.shop.records["order_1"] = told._replace(payload=told.payload.replace("10.00", "10.02"))
    with pytest.raises(Stop, match=r"1 are worth something else there \(order_1\)"):
        orders.step(orders.run(), "prove")
