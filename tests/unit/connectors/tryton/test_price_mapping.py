"""Formulas and lines of Tryton's price lists as rules."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from crossdock.connectors.tryton.price_mapping import (
    Affine,
    affine,
    simple_rate,
    to_article,
    to_member,
    to_rule,
)
from crossdock.domain.price import BASE

LISTS = {
    7: {"id": 7, "name": "Trade", "price": "list_price", "tax_included": False},
    8: {"id": 8, "name": "Retail", "price": "cost_price", "tax_included": True},
}


def line(**other: Any) -> dict[str, Any]:
    base = {"id": 33, "price_list": 7, "sequence": 10, "category": None, "product": None, "quantity": None}
    return {**base, "formula": "unit_price * 0.9", **other}


@pytest.mark.parametrize(
    ("formula", "come_to"),
    [
        ("unit_price", ("1", "0", "0")),
        ("unit_price * 0.9", ("0.9", "0", "0")),
        ("0.9*unit_price", ("0.9", "0", "0")),
        ("(cost_price * 1.20)", ("0", "1.20", "0")),
        (" 19.99 ", ("0", "0", "19.99")),
        ("-unit_price * -2 + 1", ("2", "0", "1")),
        ("unit_price / 8 - 1_000", ("0.125", "0", "-1000")),
        ("(list_price + cost_price) / 2", ("0.5", "0.5", "0")),
        ("list_price - (cost_price - 3) * 2", ("1", "-2", "6")),
        ("1e2", ("0", "0", "100")),
    ],
)
def test_a_sum_of_prices_is_evaluated_here(formula: str, come_to: tuple[str, str, str]) -> None:
    assert affine(formula, "list_price") == Affine(*map(Decimal, come_to))


@pytest.mark.parametrize(
    "formula",
    [
        "unit_price / 3", "unit_price if unit_price > 5 else 5", "unit_price * cost_price", "unit_price ** 2",
        "round(unit_price)", "weight * 2", "2 / unit_price", "unit_price / 0", "unit_price * True", "unit_price *",
        "", "Decimal('3')", "unit_price % 5", "9" * 30 + " * 9",
    ],
)  # fmt: skip
def test_anything_else_is_asked_of_tryton(formula: str) -> None:
    assert affine(formula, "list_price") is None


def test_a_list_may_have_no_unit_price() -> None:
    assert affine("unit_price", None) is None
    assert affine("list_price", None) == Affine(Decimal(1), Decimal(0), Decimal(0))
    assert affine("unit_price", "cost_price") == Affine(Decimal(0), Decimal(1), Decimal(0))


def test_a_line_becomes_a_rule_of_its_list() -> None:
    rule = to_rule(line(product=5, category=4, quantity=9.5), LISTS, None, UTC)
    assert (rule.id, rule.layer, rule.article, rule.category) == ("33", "list:7", "5", "4")
    assert (rule.min_quantity, rule.list_factor, rule.asked, rule.gross) == (10, Decimal("0.9"), False, False)
    assert rule.words == "Trade, line 10: unit_price * 0.9"


def test_the_list_that_everybody_has_is_the_base() -> None:
    rule = to_rule(line(price_list=8), LISTS, 8, UTC)
    assert (rule.layer, rule.gross, rule.cost_factor) == (BASE, True, Decimal("0.9"))


def test_the_order_of_lines_is_by_sequence_then_by_age_and_without_a_sequence_first() -> None:
    lines = [line(id=9, sequence=None), line(id=10, sequence=-5), line(id=1, sequence=10), line(id=2, sequence=10)]
    places = [to_rule(one, LISTS, None, UTC).place for one in lines]
    assert places == sorted(places)


@pytest.mark.parametrize(("given", "least"), [(None, 1), (0.0, 1), (0.5, 1), (1.0, 1), (2.0, 2), (9.01, 10)])
def test_a_quantity_that_is_no_whole_number_holds_from_the_next_one_on(given: float | None, least: int) -> None:
    assert to_rule(line(quantity=given), LISTS, None, UTC).min_quantity == least


def test_days_begin_and_end_at_the_merchants_midnight() -> None:
    days = {"start_date": date(2026, 12, 1), "end_date": date(2026, 12, 24)}
    rule = to_rule(line(**days), LISTS, None, ZoneInfo("Europe/Berlin"))
    assert rule.starts_at == datetime(2026, 11, 30, 23, tzinfo=UTC)
    assert rule.ends_at == datetime(2026, 12, 24, 23, tzinfo=UTC)


def test_an_article_stands_in_its_categories_and_all_above_them_also_where_they_go_round() -> None:
    categories = {1: {"parent": 2}, 2: {"parent": 3}, 3: {"parent": 1}, 9: {"parent": None}}
    template = {
        "categories": [1], "account_category": 9, "default_uom": 1, "sale_uom": 1,
        "list_prices.": [{"company": None, "list_price": Decimal(5)}, {"company": 4, "list_price": Decimal(6)}],
    }  # fmt: skip
    product = {"id": 5, "code": "A", "list_prices.": [{"company": 3, "list_price": Decimal(1)}], "cost_prices.": []}
    article = to_article(product, template, categories, {9: Decimal("0.19")}, 4)
    assert article.categories == ["1", "2", "3", "9"]
    assert (article.list_price, article.cost_price) == (Decimal(6), None)
    assert (article.tax_rate, article.asked) == (Decimal("0.19"), False)
    assert to_article(product, {**template, "sale_uom": 2}, categories, {}, 4).asked


def test_taxes_are_simple_as_long_as_they_are_percentages_that_always_hold() -> None:
    tax = {
        "type": "percentage", "rate": Decimal("0.19"), "start_date": None, "end_date": None, "childs": [],
        "update_unit_price": False,
    }  # fmt: skip
    assert simple_rate([]) == 0
    assert simple_rate([tax, {**tax, "rate": Decimal("0.02")}]) == Decimal("0.21")
    for odd in ({"type": "fixed"}, {"start_date": date(2026, 1, 1)}, {"childs": [1]}, {"update_unit_price": True}):
        assert simple_rate([tax, {**tax, **odd}]) is None


def test_an_account_has_its_own_list_else_the_default_else_what_everybody_has() -> None:
    party = {"id": 5, "code": "C1", "sale_price_list": None, "customer_tax_rule": 3}
    assert to_member(party, LISTS, 8, None).layers == []
    assert to_member(party, LISTS, 8, 7).layers == ["list:7"]
    assert to_member({**party, "sale_price_list": 8}, LISTS, 8, 7).layers == []
    gross = to_member({**party, "sale_price_list": 8}, LISTS, None, None)
    assert "without taxes" in gross.refused
    assert to_member({**party, "sale_price_list": 8, "customer_tax_rule": None}, LISTS, None, None).refused == ""
