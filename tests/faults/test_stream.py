"""Stock that is streamed from the real ERP into the real shop."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from tests.faults import proxy
from tests.faults.stocks import Stocks

from crossdock.airflow.pairs import Pair
from crossdock.airflow.runtime import open_stream

pytestmark = pytest.mark.e2e

WORLD = Stocks
_numbers = itertools.count(1)


@contextmanager
def streaming(world: Stocks) -> Iterator[Future[str]]:
    """The stream is at work until the end of the block; its line is told then."""
    stop = threading.Event()

    def follow() -> str:
        with open_stream(Pair(name=world.pair), f"tests/{next(_numbers)}") as stream:
            return stream.follow(datetime.now(UTC) + timedelta(minutes=10), stop)

    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(follow)
        try:
            yield told
        finally:
            stop.set()


def until(holds: Callable[[], bool], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.1)
    return holds()


def test_what_is_counted_ordered_and_shipped_in_the_erp_is_shown_at_once(world: Stocks) -> None:
    sku, other = world.goods(10), world.goods(10, berlin=5)
    with streaming(world) as told:
        world.count(sku, "WH-HAM", 7)
        assert until(lambda: world.shown(sku)["WH-HAM"] == 7)
        world.phone(other, 3)
        assert until(lambda: world.shown(other)["WH-HAM"] == 7)
        order = world.order(sku, 2)
        assert world.shown(sku)["WH-HAM"] == 5
        world.take_in(order)
        world.hands.leave(*world.hands.shipments(world.sale_of(order)))
        world.count(other, "WH-BER", 1)
        assert until(lambda: world.shown(other)["WH-BER"] == 1)
        assert world.shown(sku)["WH-HAM"] == 5
    assert told.result().endswith("SKUs written")


def test_stock_edited_in_the_shop_comes_back_at_once(world: Stocks) -> None:
    sku = world.goods(10)
    with streaming(world):
        world.buy.stock(sku, {"WH-HAM": 99})
        assert until(lambda: world.shown(sku)["WH-HAM"] == 10)


def test_a_shop_that_was_away_is_caught_up_with(world: Stocks) -> None:
    sku = world.goods(10)
    with streaming(world) as told:
        with world.shop_line.fault(proxy.instead(503), world.batches):
            world.count(sku, "WH-HAM", 7)
            time.sleep(3)
        assert until(lambda: world.shown(sku)["WH-HAM"] == 7)
    told.result()
