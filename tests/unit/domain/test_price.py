"""What a list, its prices and its spans of time may be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from crossdock.domain.price import BASE, Price, PriceList, PriceMember, Prices, spans

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def tier(least: int = 1, most: int | None = None, amount: str = "9.99", currency: str = "EUR") -> Price:
    return Price(currency=currency, amount=Decimal(amount), min_quantity=least, max_quantity=most)


def prices(*tiers: Price) -> Prices:
    return Prices(list="list:7", sku="A", prices=tiers)


def test_tiers_of_a_currency_do_not_overlap() -> None:
    assert prices(tier(10), tier(1, 9), tier(1, currency="USD")).columns()[2:4] == (3, 2)
    for wrong in ([tier(1), tier(10)], [tier(1, 10), tier(10)], [tier(5, 4)]):
        with pytest.raises(ValidationError):
            prices(*wrong)


def test_nothing_costs_less_than_nothing() -> None:
    with pytest.raises(ValidationError):
        tier(amount="-0.01")


def test_prices_need_their_variant_and_their_list_unless_everybody_has_it() -> None:
    assert prices().needs == {("variant", "A"), ("price_lists", "list:7")}
    assert Prices(list=BASE, sku="A").needs == {("variant", "A")}
    assert prices().gone and not prices(tier()).gone


def test_doubts_are_what_a_person_has_to_approve() -> None:
    assert Prices(list=BASE, sku="A", prices=(tier(),), why="below its cost price").doubt == "below its cost price"


def test_members_need_their_account_and_all_their_lists() -> None:
    member = PriceMember(account="C1", lists=("list:7", "list:7@first"))
    assert member.needs == {("customers", "C1"), ("price_lists", "list:7"), ("price_lists", "list:7@first")}
    assert PriceMember(account="C1").gone


def test_a_list_ends_after_it_starts_and_is_not_the_base() -> None:
    def made(**other: Any) -> PriceList:
        return PriceList(**{"code": "list:7", "title": "Trade", "audience": "accounts", **other})

    assert made().key == "list:7"
    for wrong in ({"code": BASE}, {"code": "a|b"}, {"starts_at": NOW, "ends_at": NOW}, {"rank": -1}):
        with pytest.raises(ValidationError):
            made(**wrong)


def told(*dated: tuple[datetime | None, datetime | None]) -> list[tuple[datetime | None, datetime | None]]:
    first, *others = spans("list:7", dated, NOW)
    assert (first.code, first.starts_at, first.ends_at) == ("list:7", None, None)
    assert len({one.code for one in others}) == len(others)
    return [(one.starts_at, one.ends_at) for one in others]


def test_dates_cut_time_into_spans_in_each_of_which_something_else_holds() -> None:
    a, b, c, d = (NOW + n * DAY for n in (1, 2, 3, 4))
    assert told() == []
    assert told((a, c), (b, d)) == [(a, b), (b, c), (c, d)]
    assert told((a, b), (c, d)) == [(a, b), (c, d)]
    assert told((None, b), (c, None)) == [(None, b), (c, None)]
    assert told((a, None), (a, None)) == [(a, None)]


def test_what_is_over_has_no_list() -> None:
    assert told((NOW - 3 * DAY, NOW - DAY), (None, NOW)) == []
    assert told((NOW - 3 * DAY, NOW + DAY)) == [(NOW - 3 * DAY, NOW + DAY)]
