"""Stock through whole runs on the real store: the shop, which moves it too, says what is in step."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.engine.conftest import World
from tests.fakes import MemorySource
from tests.stock_world import MemoryShelf, MemoryWarehouses
from tests.stock_world import World as Stocks

from crossdock.domain.stock import Rule
from crossdock.sync.availability import Availability
from crossdock.sync.flows import CUSTOMERS, INVENTORY


class Hall(World):
    """One SKU after another in two warehouses, and a shop that knows the variants it was told of."""

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn, flow=CUSTOMERS)
        self.flow, self.stocks = INVENTORY, Stocks()
        self.shop = MemoryShelf(self.stocks)
        self.rules: tuple[Rule, ...] = ()

    def _as_task(self, *args):
        self.erp = Availability(MemoryWarehouses(self.stocks), self.shop, self.rules)
        return super()._as_task(*args)

    def variants(self, *skus: str) -> None:
        for sku in skus:
            self._eyes.execute(
                "INSERT INTO link VALUES ('default', 'variant', %s, 'items', %s, %s)", (sku, sku, f"variant-{sku}")
            )

    def opened(self, *skus: str, each: int = 10) -> None:
        """In the shop with what the ERP has."""
        self.variants(*skus)
        for sku in skus:
            self.stocks.receive(sku, "HAM", each)
        self.sync()
        self.shop.puts.clear()

    def available(self, sku: str) -> int:
        return self.stocks.available(sku, "HAM")


@pytest.fixture
def hall(clean) -> Iterator[Hall]:
    hall = Hall(clean)
    yield hall
    hall.close()


def test_stock_comes_into_the_shop_and_nothing_is_written_twice(hall):
    hall.variants("A")
    hall.stocks.receive("A", "HAM", 10)
    _, books = hall.sync()
    assert (books.updated, hall.available("A")) == (1, 10)
    for _ in range(2):
        _, books = hall.sync()
        assert (books.created, books.updated) == (0, 0)
    assert hall.shop.puts == ["A"]


def test_only_what_was_touched_is_written(hall):
    hall.opened("A", "B", "C")
    hall.stocks.phone("B", "HAM", 4)
    _, books = hall.sync()
    assert (books.updated, hall.shop.puts, hall.available("B")) == (1, ["B"], 6)


def test_a_sku_without_a_variant_waits_for_it(hall):
    hall.stocks.receive("A", "HAM", 10)
    _, books = hall.sync()
    assert (books.waiting, books.created) == (1, 0)
    hall.variants("A")
    _, books = hall.sync()
    assert (books.updated, hall.available("A")) == (1, 10)


def test_within_a_minute_only_what_is_new_is_read_and_the_overlap_again_after_it(hall):
    hall.opened("A", "B")
    for _ in range(90):
        hall.stocks.tick()
    hall.sync()
    [[before]] = hall.query("SELECT until FROM watermark WHERE flow = 'inventory'")
    hall.stocks.phone("A", "HAM", 4)
    hall.stocks.phone("B", "HAM", 1)
    at, sku = hall.stocks.touched.pop()
    hall.stocks.touched.append((at - timedelta(seconds=20), sku))  # its transaction was long
    assert hall.sync()[1].updated == 1 and (hall.available("A"), hall.available("B")) == (6, 10)
    assert hall.query("SELECT until FROM watermark WHERE flow = 'inventory'") == [(before,)]
    for _ in range(60):
        hall.stocks.tick()
    assert hall.sync()[1].updated == 1 and hall.available("B") == 9
    assert hall.query("SELECT until FROM watermark WHERE flow = 'inventory'") > [(before,)]


def test_the_same_edit_by_hand_is_healed_again_and_again(hall):
    hall.opened("A")
    for _ in range(3):
        hall.stocks.edit_by_hand("A", "HAM", 99)
        _, books = hall.sync()
        assert (books.updated, hall.available("A")) == (1, 10)


def test_stock_edited_behind_everybodys_back_is_found_when_everything_is_compared(hall):
    hall.opened("A")
    hall.stocks.touched.clear()
    hall.stocks.stocked["A", "HAM"] = 99
    hall.sync()
    assert hall.available("A") == 99
    hall.query("UPDATE watermark SET full_at = full_at - interval '2 hours' RETURNING 1")
    _, books = hall.sync()
    assert (books.updated, hall.available("A")) == (1, 10)


def test_a_new_rule_reaches_every_sku_in_the_next_run(hall):
    hall.opened("A", "B")
    hall.stocks.touched.clear()
    hall.rules = (Rule(location="HAM", warehouses=("HAM",), buffer=3),)
    _, books = hall.sync()
    assert (books.updated, hall.available("A"), hall.available("B")) == (2, 7, 7)
    assert hall.sync()[1].updated == 0


def test_many_that_sell_out_at_once_are_held(hall):
    hall.opened(*(f"S{number}" for number in range(40)))
    for number in range(30):
        hall.stocks.phone(f"S{number}", "HAM", 10)
    hall.stocks.phone("S39", "HAM", 4)
    _, books = hall.sync()
    assert (books.held, books.updated, hall.shop.puts) == (30, 1, ["S39"])
    assert hall.available("S0") == 10


def test_an_answer_that_was_lost_costs_one_more_writing(hall):
    hall.opened("A")
    hall.stocks.phone("A", "HAM", 4)
    run = hall.run()
    hall.steps(run, "extract", "validate", "transform")
    batch = list(hall._as_task(run.airflow_run, run.request, "*").store.batches(_resumed(hall, run), 10))
    assert len(batch) == 1
    hall.steps(run, "load", "settle")
    assert (run.books.updated, hall.available("A")) == (1, 6)


def _resumed(hall: Hall, run):
    again = hall._as_task(run.airflow_run, run.request, "*")
    again.store.resume(again)
    return again


def test_a_run_that_comes_late_does_not_undo_what_was_written_since(hall):
    hall.opened("A")
    hall.stocks.phone("A", "HAM", 4)
    late = hall.run("late")
    hall.steps(late, "extract", "validate", "transform")
    hall.stocks.phone("A", "HAM", 4)
    told = hall._as_task("late", late.request, "*")
    told.store.resume(told)
    [puts] = told.store.batches(told, 10)
    hall.shop.write(_newest(hall))
    hall.shop.put(puts, hall.erp.content)
    assert hall.available("A") == 2


def _newest(hall: Hall):
    source = Availability(MemoryWarehouses(hall.stocks), hall.shop)
    [[row]] = source.read(["A"])
    return source.parse(row.raw)


def test_another_flow_is_not_read_whole_by_the_clock(world):
    assert isinstance(world.erp, MemorySource)
    world.erp.put("1", number="C-1", name="One")
    world.sync()
    world.later()
    assert world.sync()[1].came_in == 0
