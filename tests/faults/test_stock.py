"""Stock between the real ERP and the real shop: what each of them does, in whatever order, and what fails."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from tests.faults import proxy
from tests.faults.stocks import Stocks
from tests.warehouse import today

from crossdock.errors import CrossdockError, Retry, Stop

pytestmark = pytest.mark.e2e

WORLD = Stocks
PUT = r"^POST /admin/erp/stock/batch "


def hamburg(world: Stocks, sku: str) -> float:
    """What is shown there after a run that reads only what was touched."""
    assert world.sync().state == "success"
    return world.shown(sku)["WH-HAM"]


def test_a_web_order_is_taken_off_once_from_the_cart_to_the_door(world: Stocks) -> None:
    sku = world.goods(10)
    order = world.order(sku, 4)
    assert world.shown(sku)["WH-HAM"] == 6
    assert hamburg(world, sku) == 6
    world.take_in(order)
    assert hamburg(world, sku) == 6
    [shipment] = world.hands.shipments(world.sale_of(order))
    world.hands.leave(shipment, 3)
    assert hamburg(world, sku) == 6
    world.buy.send(order, {world.buy.lines(order)[sku]: 3})
    assert hamburg(world, sku) == 6
    [*_, rest] = world.hands.shipments(world.sale_of(order))
    world.hands.leave(rest)
    world.buy.send(order, {world.buy.lines(order)[sku]: 1})
    assert hamburg(world, sku) == 6
    assert world.visible(sku) == 6


def test_goods_that_leave_from_another_place_than_reserved_are_taken_off_there(world: Stocks) -> None:
    sku = world.goods(10, berlin=5)
    order = world.order(sku, 4)
    [reserved] = [
        code for code, free in world.shown(sku).items() if free == {"WH-HAM": 10, "WH-BER": 5}.get(code, 0) - 4
    ]
    other = {"WH-HAM": "WH-BER", "WH-BER": "WH-HAM"}[reserved]
    world.take_in(order)
    world.sync()
    told = world.shown(sku)
    world.buy.send(order, warehouse=other)
    assert world.shown(sku) != told
    world.sync()
    assert world.shown(sku) == told


def test_an_order_that_is_cancelled_is_free_when_the_erp_says_so(world: Stocks) -> None:
    sku = world.goods(10)
    order = world.order(sku, 4)
    world.take_in(order)
    world.sync()
    world.buy.cancel(order)
    assert hamburg(world, sku) == 6
    world.take_in(order)
    assert hamburg(world, sku) == 10


def test_what_came_back_is_free_when_the_erp_has_it(world: Stocks) -> None:
    sku = world.goods(10)
    order = world.order(sku, 4)
    world.take_in(order)
    world.hands.leave(*world.hands.shipments(world.sale_of(order)))
    world.buy.send(order)
    assert hamburg(world, sku) == 6
    back = {world.buy.lines(order)[sku]: 2}
    world.buy.receive(world.buy.ask_return(order, back), back)
    assert hamburg(world, sku) == 6
    world.hands.receive(world.hands.take_back(world.sale_of(order), 2))
    assert hamburg(world, sku) == 8


def test_a_held_order_stays_reserved_in_the_shop(world: Stocks) -> None:
    sku = world.goods(10)
    order = world.order(sku, 4)
    world.buy.mark(order, erp_hold="look at it")
    world.take_in(order)
    assert hamburg(world, sku) == 6
    for step in ("confirm", "process"):
        world.erp.admin.press("sale.sale", step, [world.sale_of(order)])
    assert hamburg(world, sku) == 6


@pytest.mark.parametrize("days", [-30, 0, 60], ids=["overdue", "today", "in two months"])
def test_what_is_promised_is_not_sold_again_whenever_it_is_to_leave(world: Stocks, days: int) -> None:
    sku = world.goods(10)
    world.plan_moves(world.phone(sku, 3), today() + dt.timedelta(days=days))
    assert hamburg(world, sku) == 7


def test_a_sale_that_is_not_processed_takes_nothing_off(world: Stocks) -> None:
    sku = world.goods(10)
    sale = world.phone(sku, 3, process=False)
    assert hamburg(world, sku) == 10
    for step in ("quote", "confirm", "process"):
        world.erp.admin.press("sale.sale", step, [sale])
    assert hamburg(world, sku) == 7


def test_stock_edited_by_hand_comes_back(world: Stocks) -> None:
    sku = world.goods(10)
    world.buy.stock(sku, {"WH-HAM": 99})
    assert hamburg(world, sku) == 10


@pytest.mark.parametrize("when", ["counted", "goods", "shows"])
def test_an_order_that_reaches_the_erp_between_two_readings_is_never_sold_twice(
    world: Stocks, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sku = world.goods(10)
    order = world.order(sku, 4)
    happens(monkeypatch, when, lambda: world.take_in(order))
    assert hamburg(world, sku) <= 6
    assert hamburg(world, sku) == 6


@pytest.mark.parametrize("when", ["counted", "goods", "shows"])
def test_what_is_fulfilled_between_two_readings_is_never_sold_twice(
    world: Stocks, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sku = world.goods(10)
    order = world.order(sku, 4)
    world.take_in(order)
    world.sync()

    def sent() -> None:
        world.hands.leave(*world.hands.shipments(world.sale_of(order)))
        world.buy.send(order)

    world.phone(sku, 1)
    happens(monkeypatch, when, sent)
    assert hamburg(world, sku) <= 5
    assert hamburg(world, sku) == 5


def happens(monkeypatch: pytest.MonkeyPatch, when: str, event: Callable[[], None]) -> None:
    """Once, before the connector's next answer to this call."""
    owner = "crossdock.connectors.medusa.inventory" if when == "shows" else "crossdock.connectors.tryton.stock"
    name, waiting = f"{owner}.Inventory.{when}", [event]
    [module, cls, method] = name.rsplit(".", 2)
    real = getattr(getattr(__import__(module, fromlist=[cls]), cls), method)

    def then(*args: Any) -> Any:
        if waiting:
            waiting.pop()()
        return real(*args)

    monkeypatch.setattr(name, then)


def test_what_is_fulfilled_or_ordered_between_reading_and_writing_is_not_lost(world: Stocks) -> None:
    sku = world.goods(20)
    known, other = world.order(sku, 4), world.order(sku, 1)
    world.take_in(known, other)
    world.phone(sku, 2)
    name = world.new_run()
    for step in ("extract", "validate", "transform"):
        assert world.step(step, name)
    world.buy.send(known)
    world.buy.cancel(other)
    world.order(sku, 3)
    world.step("load", name)
    world.step("settle", name)
    assert world.shown(sku)["WH-HAM"] == 20 - 4 - 1 - 2 - 3  # the ERP has not heard that one was cancelled
    world.take_in(other)
    assert hamburg(world, sku) == 20 - 4 - 2 - 3


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(proxy.lose_answer, id="connection-lost"),
        pytest.param(proxy.instead(504), id="504-of-a-gateway"),
        pytest.param(proxy.cut_json, id="truncated-json"),
    ],
)
def test_a_lost_answer_leaves_the_figure_right(world: Stocks, fault: proxy.Fault) -> None:
    sku = world.goods(10)
    world.phone(sku, 3)
    with world.shop_line.fault(fault, PUT, times=1):
        try:
            world.sync()
        except Retry:
            world.sync()
        assert not world.shop_line._times, "nothing was written"
    assert world.shown(sku)["WH-HAM"] == 7


def test_an_old_figure_that_arrives_late_changes_nothing(world: Stocks) -> None:
    sku = world.goods(10)
    world.phone(sku, 3)
    old = world.new_run()
    for step in ("extract", "validate", "transform"):
        world.step(step, old)
    kept: list[Any] = []
    with world.shop_line.fault(_swallow(kept), PUT, times=1), pytest.raises(CrossdockError):
        world.step("load", old)
    with pytest.raises(CrossdockError):
        world.step("settle", old)
    world.phone(sku, 2)
    assert hamburg(world, sku) == 5
    [send] = kept
    send()
    assert world.shown(sku)["WH-HAM"] == 5


def _swallow(kept: list[Any]) -> proxy.Fault:
    def fault(send: proxy.Send) -> proxy.Answer | None:
        kept.append(send)
        return None

    return fault


@pytest.mark.parametrize(
    ("step", "function"),
    [
        ("extract", "crossdock.store.postgres.PostgresStore.close_stage"),
        ("transform", "crossdock.store.postgres.PostgresStore.to_outbox"),
        ("load", "crossdock.store.postgres.PostgresStore.confirm"),
        ("settle", "crossdock.store.postgres.PostgresStore.merge"),
    ],
)
def test_a_task_that_is_killed_leaves_work_to_the_next_run(world: Stocks, step: str, function: str) -> None:
    sku = world.goods(10)
    world.phone(sku, 3)
    name = world.until_killed(step, function)
    with pytest.raises(Stop):
        world.step("settle", name)
    assert hamburg(world, sku) == 7


def test_two_runs_at_once_write_once(world: Stocks) -> None:
    sku = world.goods(10)
    world.phone(sku, 3)
    first, second = world.new_run(), world.new_run()
    assert world.step("extract", first)
    assert not world.step("extract", second)
    before = world.writes()
    for step in ("validate", "transform", "load"):
        world.step(step, first)
    assert world.step("settle", first).again
    assert world.step("settle", second).state == "drained"
    assert (world.writes() - before, world.shown(sku)["WH-HAM"]) == (1, 7)
