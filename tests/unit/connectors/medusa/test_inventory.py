"""What is said of stock, and what is made of the shop's answers; they are played."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from crossdock.connectors.medusa.inventory import Inventory
from crossdock.domain.stock import Counted, Level, Stock
from crossdock.errors import AnswerLost, Misconfigured, Reject, Retry
from crossdock.ports import Outcome, Put, Window

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


class Api:
    """Answers every POST with ``answer`` or raises it."""

    extension: str | None = "1"

    def __init__(self, answer: dict[str, Any] | Exception | None = None) -> None:
        self.answer = answer or {}
        self.posted: list[tuple[str, Any]] = []

    def post(self, path: str, body: Any) -> dict[str, Any]:
        self.posted.append((path, body))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def stock(sku: str = "BOLT", **changes: Any) -> Stock:
    levels = (Level(location="WH-HAM", sellable=5, incoming=40, expected=date(2026, 12, 7)),)
    return Stock(**{"sku": sku, "levels": levels, "as_of": NOON, "shown": False, **changes})


def put(api: Api, *stocks: Stock) -> list[Outcome]:
    target = Inventory(api)  # type: ignore[arg-type]
    return list(target.put([Put(one.sku, "update", "t", target.payload(one), "f1") for one in stocks], content))


def content(ref: str) -> bytes:
    raise AssertionError(ref)


def test_figures_are_said_with_their_moment_and_what_they_have_counted():
    said = json.loads(Inventory(Api()).payload(stock(counted=(Counted(line="l1", quantity=Decimal("2.50")),))))
    assert said == {
        "sku": "BOLT",
        "as_of": "2026-11-26T12:00:00+00:00",
        "backorder": None,
        "levels": [{"location": "WH-HAM", "sellable": 5, "incoming": 40, "expected": "2026-12-07"}],
        "counted": [{"line": "l1", "quantity": "2.50"}],
    }


def test_each_sku_is_put_with_its_fingerprint():
    api = Api({"outcomes": [{"sku": "BOLT", "id": "iitem_1", "outcome": "written"}]})
    assert put(api, stock()) == [Outcome("BOLT", "iitem_1")]
    [(path, body)] = api.posted
    assert path == "/admin/erp/stock/batch"
    assert [one["fingerprint"] for one in body["stocks"]] == ["f1"]


def test_a_refusal_says_what_to_do():
    answer = {"sku": "BOLT", "id": None, "outcome": "refused", "code": "unknown_sku", "reason": "there is none"}
    [outcome] = put(Api({"outcomes": [answer]}), stock())
    assert outcome.refused
    assert (outcome.refused.code, outcome.refused.reason) == ("unknown_sku", "Medusa says: there is none.")
    assert "flow items" in outcome.refused.remedy


@pytest.mark.parametrize("code", ["no_inventory_item", "shared_inventory", "unknown_location", "invalid"])
def test_for_every_refusal_there_is_a_remedy(code):
    answer = {"sku": "BOLT", "id": "iitem_1", "outcome": "refused", "code": code, "reason": "no"}
    [outcome] = put(Api({"outcomes": [answer]}), stock())
    assert outcome.refused
    assert outcome.refused.remedy


def test_a_busy_shop_is_asked_again_later():
    with pytest.raises(Retry, match="busy") as raised:
        put(Api(Reject("conflict", "Others are at work on this stock.", "Wait.")), stock())
    assert not isinstance(raised.value, AnswerLost), "nothing was kept"


def test_a_batch_the_shop_cannot_read_is_refused_as_a_whole():
    with pytest.raises(Reject, match="too_large"):
        put(Api(Reject("too_large", "Too much.", "Less.")), stock())


def test_an_answer_that_leaves_a_sku_out_is_a_lost_one():
    with pytest.raises(AnswerLost, match="1 of 2"):
        put(Api({"outcomes": [{"sku": "BOLT", "id": "i", "outcome": "written"}]}), stock(), stock("NUT"))


def test_a_lost_answer_to_a_question_is_no_lost_writing():
    with pytest.raises(Retry) as raised:
        Inventory(Api(AnswerLost("gone"))).shows([stock()])
    assert not isinstance(raised.value, AnswerLost)


CALLS: tuple[Callable[[Inventory], object], ...] = (
    lambda one: list(one.touched(Window(NOON, NOON))),
    lambda one: one.reserved(["BOLT"]),
    lambda one: one.shows([stock()]),
    lambda one: one.put([Put("BOLT", "update", None, one.payload(stock()), "f1")], content),
    lambda one: one.find(["BOLT"]),
    lambda one: list(one.keys()),
)


@pytest.mark.parametrize("call", CALLS)
def test_without_the_extension_nothing_is_read_or_written(call):
    api = Api()
    api.extension = None
    with pytest.raises(Misconfigured, match="no ERP extension"):
        call(Inventory(api))  # type: ignore[arg-type]
