"""The three flows of prices through whole runs: what is told when, what waits, what is held and why."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import psycopg
import pytest
from tests.engine.conftest import SYSTEMS, World
from tests.fakes import MemoryTarget
from tests.pricing import MemoryRules

from crossdock.domain.price import BASE, Prices
from crossdock.errors import Reject, Stop
from crossdock.ports import Wanted
from crossdock.store.price_sources import SOURCES
from crossdock.store.prices import PriceBook
from crossdock.sync import price_proof
from crossdock.sync.flow import Flow
from crossdock.sync.flows import PRICE_LISTS, PRICE_MEMBERS, PRICES

DAY = timedelta(days=1)


class MemoryPrices(MemoryTarget):
    """Whatever it is told, by key."""

    def payload(self, record) -> bytes:
        return record.model_dump_json(exclude={"parts"}).encode()


SYSTEMS |= {flow.name: (lambda: None, MemoryPrices) for flow in (PRICE_LISTS, PRICES, PRICE_MEMBERS)}


class Side(World):
    """One of the flows; each task opens the book anew, as in Airflow."""

    def __init__(self, dsn: str, flow: Flow, rules: MemoryRules) -> None:
        super().__init__(dsn, flow=flow)
        self.rules, self._book = rules, psycopg.connect(dsn)

    def _as_task(self, *given):
        self.erp = SOURCES[self.flow.name](PriceBook(self._book, "default", self.rules, timedelta(minutes=5)))
        return super()._as_task(*given)

    def close(self) -> None:
        super().close()
        self._book.close()


class Pricing:
    """The DAG: an ERP's rules, the shop, and what it knows of accounts and goods."""

    def __init__(self, dsn: str) -> None:
        self.rules = MemoryRules()
        self.lists, self.prices, self.members = (
            Side(dsn, flow, self.rules) for flow in (PRICE_LISTS, PRICES, PRICE_MEMBERS)
        )
        self.db = psycopg.connect(dsn, options="-c search_path=crossdock", autocommit=True)
        self.book = PriceBook(psycopg.connect(dsn), "default", self.rules, timedelta(minutes=5))

    def knows(self, *skus: str, accounts: tuple[str, ...] = ()) -> None:
        for sku in skus:
            self.db.execute(
                "INSERT INTO link VALUES ('default', 'variant', %s, 'items', %s, %s)", (sku, sku, f"variant-{sku}")
            )
        for account in accounts:
            self.db.execute(
                """
                INSERT INTO ledger (pair, flow, key, source_id, target_id, run_id)
                VALUES ('default', 'customers', %s, %s, %s, 0)
                """,
                (account, account, f"group-{account}"),
            )

    def run(self, name: str | None = None):
        """Books of the three flows."""
        return [side.sync(name)[1] for side in (self.lists, self.prices, self.members)]

    def later(self) -> None:
        """Hours pass: what was read before lies outside the overlap."""
        self.rules.ahead += timedelta(hours=6)
        self.run()

    def told(self, code: str, sku: str) -> list[tuple[int, int | None, Decimal]]:
        """The tiers that the shop was told last."""
        told = self.prices.shop.records.get(f"{code}|{sku}")
        if not told or not told.payload:
            return []
        prices = Prices.model_validate_json(told.payload).prices
        return [(price.min_quantity, price.max_quantity, price.amount) for price in prices]

    def close(self) -> None:
        for one in (self.lists, self.prices, self.members):
            one.close()


@pytest.fixture
def pricing(clean) -> Iterator[Pricing]:
    pricing = Pricing(clean)
    yield pricing
    pricing.close()
    pricing.db.close()
    pricing.book._db.close()


def test_lists_come_before_their_prices_and_both_before_their_members(pricing):
    rules = pricing.rules
    rules.rule("base", BASE)
    rules.layer("list:7")
    rules.rule("1", "list:7", list_factor=Decimal("0.9"), min_quantity=10)
    rules.article("A")
    rules.member("C1", "list:7")
    pricing.knows("A", accounts=("C1",))
    lists, prices, members = pricing.run()
    assert (lists.created, prices.created, members.created) == (1, 2, 1)
    assert pricing.told(BASE, "A") == [(1, None, Decimal(10))]
    assert pricing.told("list:7", "A") == [(10, None, Decimal(9))]


def test_what_is_early_waits_for_its_variant_and_its_account(pricing):
    rules = pricing.rules
    rules.rule("base", BASE)
    rules.layer("list:7")
    rules.article("A")
    rules.member("C1", "list:7")
    lists, prices, members = pricing.run()
    assert (lists.created, prices.waiting, members.waiting) == (1, 1, 1)
    pricing.knows("A", accounts=("C1",))
    _, prices, members = pricing.run()
    assert (prices.created, members.created) == (1, 1)


def test_nothing_new_writes_nothing_and_so_does_a_full_run(pricing):
    rules = pricing.rules
    rules.rule("base", BASE)
    rules.article("A", "19.99", cost_price=Decimal(5))
    pricing.knows("A")
    pricing.run()
    calls = len(pricing.prices.shop.calls)
    pricing.later()
    _, books = pricing.prices.sync(full=True)
    assert (books.unchanged, len(pricing.prices.shop.calls)) == (1, calls)


def test_a_price_that_ends_is_taken_back(pricing):
    rules = pricing.rules
    rules.rule("base", BASE)
    rules.layer("list:7")
    rules.fixed("1", "list:7", "9", article="id-A")
    rules.article("A")
    rules.member("C1", "list:7")
    pricing.knows("A", accounts=("C1",))
    pricing.run()
    del rules.kept["rule"]["1"]
    _, books, _ = pricing.run()
    assert (books.removed, pricing.told("list:7", "A")) == (1, [])
    rules.fixed("1", "list:7", "8", article="id-A")
    pricing.run()
    assert pricing.told("list:7", "A") == [(1, None, Decimal(8))]


def test_a_list_that_nobody_has_any_more_ends_with_its_prices_and_members(pricing):
    rules = pricing.rules
    rules.layer("list:7")
    rules.rule("1", "list:7")
    rules.article("A")
    rules.member("C1", "list:7")
    pricing.knows("A", accounts=("C1",))
    pricing.run()
    rules.member("C1")
    assert [books.removed for books in pricing.run()] == [1, 1, 1]


def test_a_season_that_is_over_ends_by_itself_for_its_members_too(pricing):
    rules = pricing.rules
    rules.layer("list:7")
    rules.rule("1", "list:7", 2)
    rules.fixed("season", "list:7", "9", 1, starts_at=rules.now() - DAY, ends_at=rules.now() + DAY)
    rules.article("A")
    rules.member("C1", "list:7")
    pricing.knows("A", accounts=("C1",))
    pricing.run()
    rules.ahead = 2 * DAY
    lists, prices, members = pricing.run()
    assert (lists.removed, prices.removed, members.updated) == (1, 1, 1)


def test_a_run_that_breaks_off_after_reading_leaves_nothing_out(pricing):
    rules = pricing.rules
    rules.rule("base", BASE)
    rules.article("A")
    pricing.knows("A")
    pricing.run()
    pricing.later()
    rules.article("A", "11")
    broken = pricing.prices.run("broken")
    pricing.prices.step(broken, "extract")
    with pytest.raises(Stop):
        pricing.prices.step(broken, "settle")
    pricing.prices.sync()
    assert pricing.told(BASE, "A") == [(1, None, Decimal(11))]


def test_an_account_whose_list_cannot_be_given_is_quarantined_alone(pricing):
    rules = pricing.rules
    rules.layer("list:7")
    rules.member("C1", "list:7", refused="It has taxes of its own.")
    rules.member("C2", "list:7")
    pricing.knows(accounts=("C1", "C2"))
    *_, members = pricing.run()
    assert (members.created, members.quarantined) == (1, 1)


def test_a_price_that_the_erp_cannot_say_is_quarantined_and_what_was_told_stays(pricing):
    rules = pricing.rules
    rules.rule("base", BASE)
    rules.article("A")
    pricing.knows("A")
    pricing.run()
    rules.rule("base", BASE, asked=True)
    rules.answers[BASE, "id-A", 1] = Reject("formula", "It divides by zero.", "Mend it.")
    _, books, _ = pricing.run()
    assert books.quarantined == 1
    assert pricing.told(BASE, "A") == [(1, None, Decimal(10))]


def doubts(pricing: Pricing) -> dict[str, str]:
    return {entry.sku: entry.doubt for page in pricing.book.entries() for entry in page if entry.doubt}


def test_zero_below_cost_and_great_moves_are_doubted(pricing):
    rules = pricing.rules
    rules.rule("base", BASE)
    for sku in ("zero", "loss", "up", "down", "tier", "fine"):
        rules.article(sku, "10", cost_price=Decimal(5))
    pricing.knows("zero", "loss", "up", "down", "tier", "fine")
    pricing.run()
    assert doubts(pricing) == {}
    rules.article("zero", "0", cost_price=Decimal(5))
    rules.article("loss", "4.99", cost_price=Decimal(5))
    rules.article("up", "15.10", cost_price=Decimal(5))
    rules.article("down", "4", cost_price=Decimal(3))
    rules.article("fine", "15", cost_price=Decimal(5))
    rules.fixed("tier", BASE, "4", -1, article="id-tier", min_quantity=100)
    rules.article("tier", "10", cost_price=Decimal(1))
    pricing.book.refresh()
    assert doubts(pricing) == {
        "zero": "a price of zero",
        "loss": "below its cost price",
        "up": "moves by 51 %",
        "down": "moves by 60 %",
        "tier": "moves by 60 %",
    }


def test_a_doubt_compares_with_what_was_told_not_with_what_was_held(pricing):
    rules = pricing.rules
    rules.rule("base", BASE)
    rules.article("A", "10")
    pricing.knows("A")
    pricing.run()
    rules.article("A", "100")
    pricing.book.refresh()
    rules.article("A", "101")
    pricing.book.refresh()
    assert doubts(pricing) == {"A": "moves by 910 %"}
    rules.article("A", "10")
    pricing.book.refresh()
    assert doubts(pricing) == {}


def test_what_was_told_below_its_cost_once_may_move_there(pricing):
    rules = pricing.rules
    rules.rule("base", BASE)
    rules.article("A", "4", cost_price=Decimal(5))
    pricing.knows("A")
    pricing.book.refresh()
    assert doubts(pricing) == {"A": "below its cost price"}
    pricing.prices.sync(force=True)
    rules.article("A", "3.90", cost_price=Decimal(5))
    pricing.book.refresh()
    assert doubts(pricing) == {}


# ---------------------------------------------------------------- proof


class Window:
    """A shop that asks what it was told, unless a test says otherwise."""

    def __init__(self, rules: MemoryRules) -> None:
        self._rules, self.wrong, self.leaks = rules, {}, {}

    def quotes(self, wanted):
        return {**self._rules.quotes(wanted), **{one: price for one, price in self.wrong.items() if one in wanted}}

    def shown(self, skus):
        return {
            one.sku: price for one, price in self.quotes([Wanted(None, sku, 1) for sku in skus]).items()
        } | self.leaks

    def carts(self, wanted):
        return self.quotes(wanted)


@pytest.fixture
def told(pricing) -> Pricing:
    rules = pricing.rules
    rules.rule("base", BASE)
    rules.layer("list:7")
    rules.fixed("1", "list:7", "8", min_quantity=5, article="id-A")
    rules.article("A")
    rules.member("C1", "list:7")
    pricing.knows("A", accounts=("C1",))
    pricing.run("run-1")
    return pricing


def prove(pricing: Pricing, shop: Window, run: str = "run-1") -> str:
    return price_proof.prove(pricing.book, pricing.rules, shop, run)


def test_the_proof_asks_at_both_sides_of_each_tier_as_account_and_as_guest(told):
    asked = set(told.book.sample("run-1", 100, 0))
    assert {Wanted("C1", "A", 5), Wanted("C1", "A", 4), Wanted(None, "A", 5), Wanted(None, "A", 1)} <= asked
    assert "all as the ERP says" in prove(told, Window(told.rules))


def test_a_wrong_price_fails_the_proof_with_both_figures(told):
    shop = Window(told.rules)
    shop.wrong[Wanted("C1", "A", 5)] = Decimal("7.5")
    with pytest.raises(Stop, match=r"C1 is asked for 7.5 by the shop's pricing for each of 5 x A, the ERP says 8"):
        prove(told, shop)


def test_a_leak_to_guests_fails_the_proof(told):
    shop = Window(told.rules)
    shop.leaks["A"] = Decimal(8)
    with pytest.raises(Stop, match="a guest is asked for 8 by the public shop"):
        prove(told, shop)


def test_what_the_erp_has_changed_since_is_left_to_the_next_run(told):
    shop = Window(told.rules)
    shop.wrong = {Wanted("C1", "A", 5): Decimal(8), Wanted("C1", "A", 6): Decimal(8)}
    told.rules.fixed("1", "list:7", "7", min_quantity=5, article="id-A")
    prove(told, shop)
    told.rules.member("C1")
    prove(told, shop)


def test_what_is_held_or_waits_is_not_proved(told):
    shop = Window(told.rules)
    shop.wrong[Wanted("C1", "A", 5)] = Decimal("7.5")
    told.db.execute(
        "INSERT INTO held (pair, flow, key, reason, run_id) VALUES ('default', 'prices', 'list:7|A', '', 0)"
    )
    prove(told, shop)


# ---------------------------------------------------------------- explain


def test_the_winning_rule_and_why_the_others_lose(pricing):
    rules = pricing.rules
    rules.rule("base", BASE)
    rules.layer("list:7")
    rules.fixed("few", "list:7", "9", 3)
    rules.fixed("many", "list:7", "8", 2, min_quantity=50)
    rules.fixed("over", "list:7", "1", 1, ends_at=rules.now() - DAY)
    rules.fixed("next", "list:7", "2", 1, starts_at=rules.now() + DAY)
    rules.article("A")
    rules.member("C1", "list:7")
    pricing.book.refresh()
    steps = {step.words: step for step in pricing.book.explain("C1", "A", 10, rules.now())}
    assert (steps["rule few"].wins, steps["rule few"].amount) == (True, Decimal(9))
    why = {words: step.why for words, step in steps.items() if not step.wins}
    assert why["rule many"] == "only from 50 pieces on"
    assert why["rule over"].startswith("over since") and why["rule next"].startswith("only from 2")
    assert why["rule base"] == "list:7 comes first"
    [guest] = pricing.book.explain(None, "A", 10, rules.now())
    assert (guest.words, guest.wins, guest.amount) == ("rule base", True, Decimal(10))
