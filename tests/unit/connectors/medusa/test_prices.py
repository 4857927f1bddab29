"""Prices as Medusa is told them, and what its answers mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from crossdock.connectors.medusa.prices import ListPrices, PriceLists, PriceMembers
from crossdock.domain.price import Price, PriceList, PriceMember, Prices
from crossdock.errors import AnswerLost, Misconfigured
from crossdock.ports import Put, Wanted


class Api:
    """Answers by path, and what was asked."""

    extension: str | None = "0.1.0"

    def __init__(self, **answers: Any) -> None:
        self._answers = answers
        self.asked: list[tuple[str, Any]] = []

    def get(self, path: str, params: Mapping[str, Any] | None = None, *, token: str | None = None) -> Any:
        self.asked.append((path, {**(params or {}), "token": token}))
        return self._answers[path.rpartition("/")[2].replace("-", "_")]

    def post(self, path: str, body: Any) -> Any:
        self.asked.append((path, body))
        return self._answers[path.rpartition("/")[2]]


def put(key: str, payload: bytes = b"", op: Any = "update") -> Put:
    return Put(key, op, None, payload, "f1")


def no_files(ref: str) -> bytes:
    raise AssertionError(ref)


STORE = {"stores": [{"supported_currencies": [{"currency_code": "eur", "is_default": True}]}]}
REGIONS = {"regions": [{"id": "reg_1", "currency_code": "usd"}, {"id": "reg_2", "currency_code": "eur"}]}


def test_prices_are_told_as_decimals_by_currency_and_quantity():
    record = Prices(
        list="list:7",
        sku="A|1",
        prices=(
            Price(currency="USD", amount=Decimal("8.10")),
            Price(currency="EUR", amount=Decimal("1E+2"), min_quantity=10),
            Price(currency="EUR", amount=Decimal("1E-7"), max_quantity=9),
        ),
    )
    assert json.loads(ListPrices(Api()).payload(record)) == {
        "list": "list:7",
        "sku": "A|1",
        "prices": [
            {"currency": "EUR", "amount": "0.0000001", "min": 1, "max": 9},
            {"currency": "EUR", "amount": "100", "min": 10, "max": None},
            {"currency": "USD", "amount": "8.10", "min": 1, "max": None},
        ],
    }


def test_moments_are_told_in_utc():
    starts = datetime(2026, 12, 1, 0, 30, tzinfo=timezone(timedelta(hours=1)))
    record = PriceList(code="list:7@2026-12-01", title="Winter", audience="accounts", rank=2, starts_at=starts)
    assert json.loads(PriceLists(Api()).payload(record)) == {
        "code": "list:7@2026-12-01",
        "title": "Winter",
        "audience": "accounts",
        "rank": 2,
        "starts_at": "2026-11-30T23:30:00.000000Z",
        "ends_at": None,
        "tax_inclusive": False,
    }


def test_the_order_of_an_accounts_lists_says_nothing():
    one, other = (PriceMember(account="A", lists=lists) for lists in (("x", "y"), ("y", "x")))
    assert PriceMembers(Api()).payload(one) == PriceMembers(Api()).payload(other)


@pytest.mark.parametrize(
    ("target", "key", "told"),
    [
        (PriceLists, "list:7", {"code": "list:7"}),
        (PriceMembers, "A-1", {"account": "A-1", "lists": []}),
        (ListPrices, "list:7|A|1", {"list": "list:7", "sku": "A|1", "prices": []}),
    ],
)
def test_what_is_withdrawn_is_told_by_its_key(target: Any, key: str, told: dict[str, Any]):
    answer = {"outcomes": [{"key": key, "id": None}]}
    api = Api(lists=answer, members=answer, prices=answer)
    (outcome,) = target(api).put([put(key, op="remove")], no_files)
    assert outcome.refused is None
    ((_, body),) = api.asked
    assert list(body.values()) == [[{**told, "fingerprint": "f1"}]]


def test_a_record_that_the_answer_leaves_out_may_have_been_written():
    with pytest.raises(AnswerLost, match="1 of 2 records"):
        PriceMembers(Api(members={"outcomes": [{"key": "A", "id": "g"}]})).put(
            [put("A", b"{}"), put("B", b"{}")], no_files
        )


@pytest.mark.parametrize("target", [PriceLists, PriceMembers, ListPrices])
def test_a_stock_medusa_takes_no_prices(target: Any):
    api = Api()
    api.extension = None
    for call in (
        lambda: target(api).put([], no_files),
        lambda: target(api).find(["A"]),
        lambda: list(target(api).keys()),
    ):
        with pytest.raises(Misconfigured, match="no ERP extension"):
            call()


def test_prices_are_asked_in_the_regions_of_the_main_currency():
    answers = {"answers": [{"amount": "5.005", "tax_inclusive": False}, {"amount": None, "tax_inclusive": False}, None]}
    api = Api(stores=STORE, regions=REGIONS, quotes=answers)
    one, unpriced, unknown = Wanted("A", "X", 10), Wanted(None, "Y", 1), Wanted(None, "Z", 1)
    assert ListPrices(api).quotes([one, unpriced, unknown]) == {one: Decimal("5.005"), unpriced: None}
    _, body = api.asked[-1]
    assert body["questions"][0] == {"account": "A", "sku": "X", "quantity": 10, "region": "reg_2"}


def test_a_guest_is_shown_what_the_public_interface_says():
    price = {"raw_calculated_amount": {"value": "9.99"}, "is_calculated_price_tax_inclusive": False}
    variants = {"variants": [{"sku": "X", "calculated_price": price}, {"sku": "Y", "calculated_price": None}]}
    api = Api(stores=STORE, regions=REGIONS, product_variants=variants)
    assert ListPrices(api).shown(["X", "Y", "Z"]) == {"X": Decimal("9.99"), "Y": None}
    _, params = api.asked[-1]
    assert params["token"] == ""


def test_prices_with_taxes_cannot_be_compared():
    answers = {"answers": [{"amount": "5", "tax_inclusive": True}]}
    with pytest.raises(Misconfigured, match="tax inclusive pricing"):
        ListPrices(Api(stores=STORE, regions=REGIONS, quotes=answers)).quotes([Wanted(None, "X", 1)])


def test_a_shop_without_a_region_in_its_main_currency_is_not_set_up():
    with pytest.raises(Misconfigured, match="no region where its main currency"):
        ListPrices(Api(stores=STORE, regions={"regions": []})).quotes([Wanted(None, "X", 1)])
