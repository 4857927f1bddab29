"""Prices computed set-wise against an independent opinion, on a real PostgreSQL."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest
from tests.pricing import MemoryRules

from crossdock.domain.price import BASE
from crossdock.errors import Reject
from crossdock.store.prices import PriceBook

DAY = timedelta(days=1)
NOW = datetime.now(UTC)


class Desk:
    """An ERP's rules, the book that follows them, and what a shop makes of it."""

    def __init__(self, dsn: str) -> None:
        self.erp = MemoryRules()
        self.db = psycopg.connect(dsn)
        self.book = PriceBook(self.db, "default", self.erp, timedelta(minutes=5))

    def look(self) -> None:
        """Remember what the book says now: for many questions."""
        self._tiers = {
            (entry.price_list, entry.sku): Tiers(zip(entry.quantities, entry.amounts, strict=True))
            for page in self.book.entries()
            for entry in page
        }
        self._lists, self._members = self.book.lists(), {one.account: one.lists for one in self.book.members()}

    def price(self, account: str | None, sku: str, quantity: int, at: datetime) -> Decimal | None:
        """What the visitor pays in the shop: the highest list that he sees, that holds, and that says something."""
        own = self._members[account] if account else ()
        seen = [one for one in self._lists if one.audience == "everybody" or one.code in own]
        holds = [one for one in seen if (one.starts_at or at) <= at and (one.ends_at is None or at < one.ends_at)]
        for code in [*(one.code for one in sorted(holds, key=lambda one: -one.rank)), BASE]:
            amount = self._tiers.get((code, sku), Tiers()).get(quantity)
            if amount is not None:
                return amount
        return None

    def tiers(self, code: str, sku: str) -> Tiers:
        found = [entry for page in self.book.entries(keys=[f"{code}|{sku}"]) for entry in page]
        return Tiers(zip(found[0].quantities, found[0].amounts, strict=True) if found else ())


class Tiers(list):
    def get(self, quantity: int) -> Decimal | None:
        return next((amount for least, amount in reversed(self) if least <= quantity), None)


@pytest.fixture
def desk(clean) -> Iterator[Desk]:
    desk = Desk(clean)
    yield desk
    desk.db.close()


def test_the_list_price_is_what_everybody_pays(desk):
    desk.erp.rule("1", BASE)
    desk.erp.article("A", "9.99")
    desk.book.refresh()
    assert desk.tiers(BASE, "A") == [(1, Decimal("9.99"))]
    desk.look()
    assert desk.price(None, "A", 7, NOW) == Decimal("9.99")


def test_the_first_line_that_fits_wins_even_against_better_prices_from_more_pieces_on(desk):
    desk.erp.layer("list:1")
    desk.erp.member("C1", "list:1")
    desk.erp.article("A", "10", categories=["tools"])
    desk.erp.fixed("1", "list:1", "7", 1, min_quantity=50, category="tools")
    desk.erp.fixed("2", "list:1", "9", 2, min_quantity=10)
    desk.erp.fixed("3", "list:1", "8", 3, min_quantity=20)
    desk.book.refresh()
    assert desk.tiers("list:1", "A") == [(10, Decimal(9)), (50, Decimal(7))]


def test_a_half_is_rounded_to_the_even_digit_as_the_erp_does(desk):
    for sku, price in (("A", "0.0005"), ("B", "0.0015"), ("C", "-0.0005"), ("D", "12.3457")):
        desk.erp.article(sku, price)
    desk.erp.rule("1", BASE, list_factor=Decimal("0.5") / 5)
    desk.book.refresh()
    now = datetime.now(UTC)
    for sku in "ABCD":
        assert desk.tiers(BASE, sku) == [(1, desk.erp.price(None, sku, 1, now))]


def test_a_gross_price_loses_its_tax_and_without_a_simple_tax_the_erp_is_asked(desk):
    desk.erp.rule("1", BASE, list_factor=Decimal("1.19"), gross=True)
    desk.erp.article("A", "24.95", tax_rate=Decimal("0.07"))
    desk.erp.article("B", "24.95")
    desk.erp.answers[BASE, "id-B", 1] = Decimal("20.01")
    desk.book.refresh()
    assert desk.tiers(BASE, "A") == [(1, Decimal("27.7481"))]
    assert desk.tiers(BASE, "B") == [(1, Decimal("20.01"))]
    [[entry]] = desk.book.entries(keys=["base|B"])
    assert entry.asked == 1


def test_an_erp_that_cannot_say_a_price_spoils_this_price_alone(desk):
    desk.erp.rule("1", BASE, asked=True)
    desk.erp.article("A")
    desk.erp.article("B")
    desk.erp.answers = {
        (BASE, "id-A", 1): Decimal(3),
        (BASE, "id-B", 1): Reject("formula", "division by zero", "Mend."),
    }
    desk.book.refresh()
    [[a, b]] = desk.book.entries()
    assert (a.amounts, a.refused) == ([Decimal(3)], "")
    assert "division by zero" in b.refused


def test_dated_lines_make_lists_of_their_own_staged_ahead(desk):
    desk.erp.layer("list:1")
    desk.erp.member("C1", "list:1")
    desk.erp.article("A")
    desk.erp.article("B")
    desk.erp.rule("always", "list:1", 2)
    desk.erp.fixed("season", "list:1", "6", 1, article="id-A", starts_at=NOW + DAY, ends_at=NOW + 3 * DAY)
    desk.erp.fixed("over", "list:1", "1", 0, ends_at=NOW - DAY)
    desk.book.refresh()
    always, season = desk.book.lists()
    assert (always.code, always.starts_at, always.rank) == ("list:1", None, 2)
    assert (season.starts_at, season.ends_at, season.rank) == (NOW + DAY, NOW + 3 * DAY, 3)
    assert desk.tiers(season.code, "A") == [(1, Decimal(6))] and desk.tiers(season.code, "B") == []
    desk.look()
    assert [desk.price("C1", "A", 1, NOW + n * DAY) for n in (0, 1, 2, 3)] == [10, 6, 6, 10]


def test_a_season_that_is_over_takes_its_list_with_it(desk):
    desk.erp.layer("list:1")
    desk.erp.member("C1", "list:1")
    desk.erp.article("A")
    desk.erp.fixed("season", "list:1", "6", starts_at=NOW - DAY, ends_at=NOW + DAY)
    desk.book.refresh()
    [_, season] = desk.book.lists()
    assert season.code in desk.book.members()[0].lists
    desk.erp.ahead = 2 * DAY
    desk.book.refresh()
    assert [one.code for one in desk.book.lists()] == ["list:1"]
    assert desk.tiers(season.code, "A") == []


def test_a_list_that_nobody_has_is_not_computed_until_somebody_has(desk):
    desk.erp.layer("list:1")
    desk.erp.article("A")
    desk.erp.rule("1", "list:1")
    desk.book.refresh()
    assert desk.book.lists() == [] and list(desk.book.entries()) == []
    desk.erp.member("C1", "list:1")
    desk.book.refresh()
    assert desk.tiers("list:1", "A") == [(1, Decimal(10))]
    desk.erp.member("C1")
    desk.book.refresh()
    assert desk.book.lists() == [] and desk.tiers("list:1", "A") == []


def test_a_change_touches_what_it_changes_and_nothing_else(desk):
    desk.erp.layer("list:1")
    desk.erp.member("C1", "list:1")
    for number in range(20):
        desk.erp.article(f"A{number}", categories=["tools" if number % 2 else "safety"])
    desk.erp.rule("all", "list:1", 9)
    desk.erp.rule("tools", "list:1", 5, category="tools", list_factor=Decimal("0.9"))
    desk.erp.rule("base", BASE)
    desk.book.refresh()
    first = desk.erp.now()
    desk.erp.fixed("one", "list:1", "5", article="id-A3")
    desk.book.refresh()
    assert [entry.sku for page in desk.book.entries(since=first) for entry in page] == ["A3"]
    second = desk.erp.now()
    del desk.erp.kept["rule"]["tools"]
    desk.erp.article("A4", "11", categories=["safety"])
    desk.book.refresh()
    changed = {(entry.price_list, entry.sku) for page in desk.book.entries(since=second) for entry in page}
    tools = {("list:1", f"A{number}") for number in range(1, 20, 2) if number != 3}
    assert changed == tools | {("list:1", "A4"), (BASE, "A4")}
    third = desk.erp.now()
    desk.book.refresh(everything=True)
    assert list(desk.book.entries(since=third)) == []


def test_what_was_found_changed_is_told_until_the_watermark_has_passed_it(desk):
    desk.erp.rule("base", BASE)
    desk.erp.article("A")
    before = desk.erp.now()
    desk.book.refresh()
    desk.book.refresh()
    assert [entry.sku for page in desk.book.entries(since=before) for entry in page] == ["A"]


def test_an_article_with_another_sku_leaves_the_old_one_without_a_price(desk):
    desk.erp.rule("base", BASE)
    desk.erp.article("A")
    desk.book.refresh()
    desk.erp.put("article", desk.erp.kept["article"]["id-A"][1]._replace(sku="B"))
    desk.book.refresh()
    assert desk.tiers(BASE, "A") == [] and desk.tiers(BASE, "B") == [(1, Decimal(10))]


def test_what_appears_without_having_been_touched_is_read_all_the_same(desk):
    desk.erp.rule("base", BASE)
    desk.erp.article("A")
    desk.book.refresh()
    desk.erp.article("B")
    _, row = desk.erp.kept["article"]["id-B"]
    desk.erp.kept["article"]["id-B"] = NOW - DAY, row
    desk.book.refresh()
    assert desk.tiers(BASE, "B") == [(1, Decimal(10))]


def test_another_basis_reads_everything_again(desk):
    desk.erp.rule("base", BASE)
    desk.erp.article("A")
    desk.book.refresh()
    old, row = desk.erp.kept["article"]["id-A"]
    desk.erp.kept["article"]["id-A"] = old - DAY, row._replace(list_price=Decimal(12))
    desk.book.refresh()
    assert desk.tiers(BASE, "A") == [(1, Decimal(10))]
    desk.erp.settled = "another"
    desk.book.refresh()
    assert desk.tiers(BASE, "A") == [(1, Decimal(12))]


@pytest.mark.parametrize("seed", range(12))
def test_any_rules_come_to_what_an_independent_opinion_says_and_so_does_any_change_of_them(desk, seed):
    rng = random.Random(seed)
    erp, days = desk.erp, [NOW + n * DAY for n in (-9, -2, 3, 8)]
    layers = [BASE, *(f"list:{n}" for n in range(5))]
    for number, code in enumerate(layers[1:]):
        erp.layer(code, 1 + number % 2)
    skus, categories = [f"S{n}" for n in range(8)], ["x", "y", "z"]

    def any_article(sku: str) -> None:
        price = rng.choice((None, f"{rng.randrange(1, 9999) / 100}", f"{rng.randrange(1, 99999) / 10000}"))
        held = rng.sample(categories, rng.randrange(3))
        cost = rng.choice((None, Decimal(rng.randrange(1, 999)) / 100))
        erp.article(sku, price, categories=held, cost_price=cost, tax_rate=Decimal("0.19"))

    def any_rule(number: int) -> None:
        first, last = sorted(rng.sample(range(4), 2))
        dates = rng.choice(
            ((None, None), (None, None), (days[first], days[last]), (days[first], None), (None, days[last]))
        )
        place = rng.randrange(1, 5)
        erp.rule(
            f"r{number:02d}", rng.choice(layers), place,
            article=rng.choice((None, None, f"id-{rng.choice(skus)}")), category=rng.choice((None, *categories)),
            min_quantity=rng.choice((1, 1, 5, 10, 50)), starts_at=dates[0], ends_at=dates[1],
            list_factor=rng.choice((Decimal(0), Decimal("0.85"), Decimal("1.005"))),
            cost_factor=rng.choice((Decimal(0), Decimal("1.2"))), constant=Decimal(rng.randrange(1, 500)) / 1000,
            gross=rng.random() < 0.2,
        )  # fmt: skip

    def any_member(number: int) -> None:
        own = [rng.choice(layers[1::2]), rng.choice(layers[2::2])][: rng.randrange(3)]
        erp.member(f"C{number}", *own)

    def agree() -> None:
        desk.look()
        for account in (None, "C0", "C1", "C2"):
            for sku in skus:
                for quantity in (1, 4, 5, 9, 10, 49, 50, 500):
                    for at in (NOW, NOW + 2.5 * DAY, NOW + 4 * DAY, NOW + 9 * DAY):
                        question = (account, sku, quantity, at)
                        assert desk.price(*question) == erp.price(*question), question

    for sku in skus:
        any_article(sku)
    for number in range(25):
        any_rule(number)
    for number in range(3):
        any_member(number)
    desk.book.refresh()
    agree()
    for _ in range(3):
        any_article(rng.choice(skus))
        any_rule(rng.randrange(30))
        any_member(rng.randrange(3))
        erp.kept["rule"].pop(rng.choice(list(erp.kept["rule"])))
        desk.book.refresh()
    agree()
    before = erp.now()
    desk.book.refresh(everything=True)
    assert list(desk.book.entries(since=before)) == []
