"""Goods that come back and money that is paid back, between the real shop and the real ERP, when answers are lost."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.faults import proxy
from tests.faults.web_orders import WebOrders

from crossdock.errors import Retry

pytestmark = pytest.mark.e2e

WORLD = WebOrders

BACK = {
    "fulfilment": "^POST /admin/orders/[^/]+/fulfillments",
    "return": "^POST /admin/erp/orders/[^/]+/returns",
    "refund": "^POST /admin/erp/orders/[^/]+/refunds",
    "metadata": "^POST /admin/orders/[^/?]+[?]",
}
"""Every kind of call that changes the shop when goods were sent, came back and were paid back."""


@pytest.mark.parametrize("call", BACK)
@pytest.mark.parametrize("fault", [pytest.param(proxy.lose_answer, id="lost"), pytest.param(proxy.reset, id="unheard")])
def test_what_begins_in_the_erp_is_told_once_and_never_comes_back(
    world: WebOrders, fault: proxy.Fault, call: str
) -> None:
    [order] = world.new()
    world.buy.capture(order)
    world.sync()
    world.sell_and_take_back(order, "4.00")
    before = world.documents(order)
    with world.shop_line.fault(fault, BACK[call], times=1):
        try:
            world.tell()
        except Retry:
            world.tell()
        assert not world.shop_line._times, f"there was no call {call}"
    for _ in range(2):
        assert world.back_in_shop(order) == (1, ["received"], [Decimal("4.00")])
        world.sync(keys=[order], force=True)
        assert world.documents(order) == before
        world.tell(keys=[order], force=True)


def test_what_begins_in_the_shop_is_not_told_to_it(world: WebOrders) -> None:
    [order] = world.new()
    world.buy.capture(order)
    world.sync()
    world.tell()
    [line] = world.buy.lines(order).values()
    world.buy.send(order, {line: 2})
    made = world.buy.ask_return(order, {line: 1})
    world.buy.receive(made, {line: 1})
    world.buy.refund(order, 4)
    for _ in range(2):
        world.sync(keys=[order], force=True)
        before = world.documents(order)
        world.tell(keys=[order], force=True)
        assert world.back_in_shop(order) == (1, ["received"], [Decimal("4.00")])
        assert world.documents(order) == before and len(before[0]) == 1
