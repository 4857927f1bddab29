"""Orders between the real shop and the real ERP, when each of them fails, and when a task is killed."""

from __future__ import annotations

import random
import re
import threading
import time
from contextlib import suppress

import pytest
from tests.faults import proxy
from tests.faults.web_orders import WebOrders
from tests.faults.world import STEPS

from crossdock.errors import AnswerLost, BadCredentials, CrossdockError, Retry, Stop

pytestmark = pytest.mark.e2e

WORLD = WebOrders
CHANGED = r"^GET /admin/erp/orders/changed"
ROWS = r"^GET /admin/orders\?"
STORE = "crossdock.store.postgres.PostgresStore."
PUT = "crossdock.connectors.tryton.orders.Orders.put"

WRITES = {
    "address": r'"model\.party\.address\.create"',
    "create": r'"model\.sale\.sale\.create"',
    "quote": r'"model\.sale\.sale\.quote"',
    "confirm": r'"model\.sale\.sale\.confirm"',
    "payment": r'"model\.sale\.sale\.write".*"payments"',
    "payment-done": r'"model\.account\.payment\.succeed"',
}
"""Every kind of call that changes the ERP when an order comes in."""


# ---------------------------------------------------------------- the shop


@pytest.mark.parametrize(
    ("fault", "match", "error"),
    [
        pytest.param(proxy.reset, CHANGED, Retry, id="away"),
        pytest.param(proxy.late(4), ROWS, Retry, id="slow"),
        pytest.param(proxy.answer(401), CHANGED, BadCredentials, id="401"),
        pytest.param(proxy.answer(429, Retry_After="600"), CHANGED, Retry, id="429"),
        pytest.param(proxy.answer(500), ROWS, Retry, id="500"),
        pytest.param(proxy.answer(200, b"<html>maintenance</html>"), ROWS, Retry, id="garbage"),
        pytest.param(proxy.cut_json, ROWS, Retry, id="truncated-json"),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_a_shop_that_fails_leaves_the_erp_as_it_is_and_the_next_run_heals(
    world: WebOrders, fault: proxy.Fault, match: str, error: type[CrossdockError], monkeypatch: pytest.MonkeyPatch
) -> None:
    [order] = world.new()
    before = world.in_erp(), world.watermark(), world.writes()
    with world.shop_line.fault(fault, match), pytest.raises(CrossdockError) as caught:
        world.sync()
    assert type(caught.value) is error
    assert (world.in_erp(), world.watermark(), world.writes()) == before
    monkeypatch.undo()
    assert order in world.heals()


def test_an_order_placed_while_the_shop_is_read_is_there_after_the_next_run(world: WebOrders) -> None:
    news: list[str] = []
    world.new()
    with world.shop_line.fault(proxy.meanwhile(lambda: news.extend(world.new())), ROWS, times=1):
        assert world.sync().state == "success"
    assert set(news) <= set(world.heals())


# ---------------------------------------------------------------- the ERP


@pytest.mark.parametrize("call", WRITES)
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(proxy.lose_answer, id="connection-lost"),
        pytest.param(proxy.instead(504), id="504-of-a-gateway"),
        pytest.param(proxy.cut_json, id="truncated-json"),
    ],
)
def test_a_call_whose_answer_is_lost_is_not_carried_out_twice(world: WebOrders, fault: proxy.Fault, call: str) -> None:
    orders = world.new(2)
    world.buy.capture(orders[0])
    with world.erp_line.fault(fault, WRITES[call], times=1):
        try:
            world.sync()
        except Retry:
            world.sync()
        assert not world.erp_line._times, f"there was no call {call}"
    assert set(orders) <= set(world.heals()) and world.unfinished() == []


@pytest.mark.parametrize("call", WRITES)
def test_a_call_that_the_erp_never_hears_of_is_made_by_the_next_run(world: WebOrders, call: str) -> None:
    orders = world.new(2)
    world.buy.capture(orders[1])
    with world.erp_line.fault(proxy.reset, WRITES[call]), pytest.raises(AnswerLost):
        world.sync()
    assert set(orders) <= set(world.heals()) and world.unfinished() == []


@pytest.mark.parametrize("call", ["create", "confirm", "payment"])
@pytest.mark.usefixtures("impatient")
def test_a_call_that_arrives_after_its_repetition_changes_nothing(world: WebOrders, call: str) -> None:
    [order] = world.new()
    world.buy.capture(order)
    with world.erp_line.fault(proxy.late(4), WRITES[call], times=1):
        try:
            world.sync()
        except Retry:
            world.sync()
        time.sleep(5)
    assert order in world.heals() and world.unfinished() == []


@pytest.mark.parametrize("call", ["create", "confirm", "payment"])
@pytest.mark.parametrize("seconds", [0.05, 0.4])
def test_an_erp_that_dies_in_the_middle_of_a_batch_has_every_order_once_when_it_is_back(
    world: WebOrders, call: str, seconds: float
) -> None:
    orders = world.new(3)
    world.buy.capture(orders[0])

    def dies(send: proxy.Send) -> proxy.Answer | None:
        threading.Timer(seconds, world.erp.kill).start()
        return send()

    with world.erp_line.fault(dies, WRITES[call], times=1), suppress(Retry):
        world.sync()
    time.sleep(seconds)
    world.erp.restart()
    assert set(orders) <= set(world.heals()) and world.unfinished() == []


# ---------------------------------------------------------------- the task, the store, the operator

KILLED = [
    pytest.param("extract", STORE + "close_stage", id="extract"),
    pytest.param("validate", STORE + "save_quality", id="validate"),
    pytest.param("transform", STORE + "count_decisions", id="transform"),
    pytest.param("load", PUT, id="load-before-the-send"),
    pytest.param("load", STORE + "confirm", id="load-after-the-send"),
]


@pytest.mark.parametrize(("step", "function"), KILLED)
def test_a_killed_task_fails_its_run_and_the_next_one_loses_and_doubles_nothing(
    world: WebOrders, step: str, function: str
) -> None:
    orders = world.new(2)
    world.buy.capture(orders[0])
    name = world.until_killed(step, function)
    with pytest.raises(Stop):
        world.step("settle", name)
    assert set(orders) <= set(world.heals()) and world.unfinished() == []


@pytest.mark.parametrize(("step", "function"), KILLED)
def test_a_killed_task_that_is_tried_again_finishes_its_run(world: WebOrders, step: str, function: str) -> None:
    orders = world.new(1)
    name = world.until_killed(step, function)
    for again in STEPS[STEPS.index(step) :]:
        assert world.step(again, name)
    assert set(orders) <= set(world.in_step()) and world.unfinished() == []


def test_two_runs_at_once_post_each_order_once(world: WebOrders) -> None:
    orders = world.new(2)
    ended: list[str] = []
    runs = [threading.Thread(target=lambda: ended.append(world.sync().state)) for _ in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert sorted(ended) in (["drained", "success"], ["success", "success"])
    assert set(orders) <= set(world.in_step())


def test_an_operator_who_runs_everything_again_changes_nothing(world: WebOrders) -> None:
    world.new()
    before = world.heals()
    keys = list(before)
    for request in ({"full": True}, {"keys": keys, "force": True}, {"full": True, "force": True}):
        assert world.sync(**request).state == "success"
        assert world.in_step() == before and world.unfinished() == []


def test_after_the_ledger_is_lost_nothing_is_posted_twice(world: WebOrders) -> None:
    world.new()
    before = world.heals()
    world.query("DELETE FROM ledger WHERE pair = %s RETURNING 1", world.pair)
    assert world.sync(full=True).state == "success"
    assert world.in_step() == before
    assert world.books["created"] == 0


# ---------------------------------------------------------------- everything at once


def test_orders_edited_cancelled_captured_and_refunded_under_a_bad_line_end_equal_to_the_cent(
    alone: WebOrders,
) -> None:
    """Every fourth call to the ERP is lost, after it or before it was carried out."""
    luck = random.Random(11)

    def bad(send: proxy.Send) -> proxy.Answer | None:
        chance = luck.random()
        if chance < 0.12:
            return None
        told = send()
        return None if chance < 0.25 else told

    def storm() -> None:
        with alone.erp_line.fault(bad, "|".join(WRITES.values())):
            for _ in range(40):
                try:
                    if alone.sync().state == "success" and not alone.books["pending"]:
                        return
                except CrossdockError as error:
                    assert isinstance(error, Retry), error
        raise AssertionError("it never got through")

    orders = alone.new(8)
    storm()
    for order in orders[:4]:
        alone.buy.capture(order)
    alone.buy.cancel(orders[7])
    storm()
    alone.buy.refund(orders[0])
    alone.buy.refund(orders[1], 5)
    alone.buy.edit(orders[4], add={alone.sku: 2})
    storm()
    told = alone.heals()
    assert set(told) >= set(orders[:7]) and orders[7] not in told
    assert alone.quarantined() == {} and alone.unfinished() == []
    assert re.search("account.payment", " ".join(alone.erp_line.calls))
