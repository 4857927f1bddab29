"""What the real Medusa lists of a day, to compare it with the ERP: another way than the orders themselves go."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from tests.buying import Buying
from tests.shop_fixtures import CONNECTION, Shop

from crossdock.connectors.medusa.adapter import Medusa
from crossdock.ports import Placed, Window

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def buy(shop: Shop) -> Buying:
    return Buying(shop)


def listed(order: str, until: datetime) -> Placed | None:
    window = Window(until - timedelta(hours=1), until)
    found = {one.key: one for page in Medusa.from_connection(CONNECTION).orders.placed(window) for one in page}
    return found.get(order)


def now() -> datetime:
    """A moment that comes after whatever has been done."""
    time.sleep(0.01)
    return datetime.now(UTC)


def test_an_order_is_due_at_what_was_authorised(buy: Buying) -> None:
    before = now()
    order = buy.as_guest("proof1@guests.example", {buy.product(12.34): 3})
    one = listed(order["id"], now())
    assert one and one.due and abs(one.worth - Decimal(str(order["total"]))) < Decimal("0.01")
    assert listed(order["id"], before) is None


def test_what_was_touched_since_is_not_due_yet(buy: Buying) -> None:
    order = buy.as_guest("proof2@guests.example", {buy.product(): 1})["id"]
    placed = now()
    buy.capture(order)
    captured = now()
    told = [listed(order, moment) for moment in (placed, captured)]
    assert [one and one.due for one in told] == [False, True]


def test_cancelled_unpaid_and_edited_orders_are_not_due(buy: Buying) -> None:
    sku = buy.product()
    cancelled = buy.as_guest("proof3@guests.example", {sku: 1})["id"]
    buy.cancel(cancelled)
    unpaid = buy.by_hand("proof4@guests.example", {sku: 1})["id"]
    edited = buy.as_guest("proof5@guests.example", {sku: 1})["id"]
    buy.edit(edited, add={sku: 1})
    moment = now()
    assert [(one := listed(order, moment)) and one.due for order in (cancelled, unpaid, edited)] == [False] * 3
