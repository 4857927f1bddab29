"""What the shop may promise, whatever happens in which order."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stock_world import MemoryShelf, MemoryWarehouses, World

from crossdock.airflow import explained
from crossdock.domain.stock import Count, Reserved, Rule, uncounted
from crossdock.errors import Misconfigured, Reject, Retry
from crossdock.ports import Window
from crossdock.sync.availability import Availability


class Shop:
    """A world with its availability; ``sync`` is what a run does."""

    def __init__(self, rules: tuple[Rule, ...] = (), **world: object) -> None:
        self.world = World(**world)  # type: ignore[arg-type]
        self.shelf = MemoryShelf(self.world)
        self.feeds: dict[str, Counts] = {}
        self.rules = rules

    @property
    def source(self) -> Availability:
        return Availability(MemoryWarehouses(self.world), self.shelf, self.rules, self.feeds)

    def sync(self, since: datetime | None = None) -> list[str]:
        """Put what is not shown; the SKUs that were written."""
        source = self.source
        stocks = [
            source.parse(row.raw)
            for page in source.changed(Window(since, self.world.tick()))
            for row in page
            if row.key
        ]
        late = [stock for stock in stocks if not stock.shown]
        for stock in late:
            self.world.between()
            self.shelf.write(stock)
        return [stock.sku for stock in late]

    def available(self, sku: str = "A", location: str = "HAM") -> int:
        return self.world.available(sku, location)


class Counts:
    """A feed in memory."""

    def __init__(self, heard_at: datetime | None, **counts: Count) -> None:
        self.heard, self.by_sku = heard_at, counts
        self.away: Exception | None = None

    def touched(self, window):
        if self.away:
            raise self.away
        yield list(self.by_sku)

    def counts(self):
        if self.away:
            raise self.away
        return self.by_sku

    def heard_at(self):
        return self.heard

    def refused(self, window):
        yield from ()


@pytest.fixture
def shop() -> Shop:
    shop = Shop()
    shop.world.receive("A", "HAM", 10)
    shop.world.receive("A", "BER", 4)
    shop.sync()
    return shop


def test_what_is_free_is_shown_where_it_lies(shop):
    assert (shop.available(), shop.available("A", "BER")) == (10, 4)


def test_a_web_order_is_taken_off_once_whether_or_not_the_erp_has_it(shop):
    line = shop.world.order("A", "HAM", 3)
    assert shop.available() == 7
    shop.sync()
    assert shop.available() == 7
    shop.world.take_in(line, "HAM")
    shop.sync()
    assert shop.available() == 7
    shop.world.ship(0, 3)
    shop.sync()
    assert shop.available() == 7
    shop.world.fulfil(line, "HAM", 3)
    shop.sync()
    assert shop.available() == 7


def test_goods_that_leave_from_another_place_than_reserved_are_taken_off_there(shop):
    line = shop.world.order("A", "HAM", 3)
    shop.world.take_in(line, "BER")
    shop.sync()
    assert (shop.available(), shop.available("A", "BER")) == (10, 1)
    shop.world.ship(0, 3)
    shop.world.fulfil(line, "BER", 3)
    shop.sync()
    assert (shop.available(), shop.available("A", "BER")) == (10, 1)


def test_a_part_that_was_sent_is_not_counted_twice(shop):
    line = shop.world.order("A", "HAM", 5)
    shop.world.take_in(line, "HAM")
    shop.world.ship(0, 2)
    shop.sync()
    assert shop.available() == 5
    shop.world.fulfil(line, "HAM", 2)
    shop.sync()
    assert shop.available() == 5


def test_pieces_added_by_an_edit_stay_reserved_until_the_erp_knows_them(shop):
    line = shop.world.order("A", "HAM", 5)
    shop.world.take_in(line, "HAM")
    shop.world.lines[line].quantity = shop.world.lines[line].reserved = 7
    shop.world.touch("A")
    shop.sync()
    assert shop.available() == 3


def test_an_order_cancelled_in_the_shop_is_free_when_the_erp_says_so(shop):
    line = shop.world.order("A", "HAM", 5)
    shop.world.take_in(line, "HAM")
    shop.sync()
    shop.world.cancel_in_shop(line)
    shop.sync()
    assert shop.available() == 5
    shop.world.cancel_in_erp(line)
    shop.sync()
    assert shop.available() == 10


def test_stock_edited_by_hand_comes_back(shop):
    shop.world.edit_by_hand("A", "HAM", 99)
    assert shop.sync() == ["A"]
    assert shop.available() == 10


def test_what_was_edited_behind_everybodys_back_is_named_when_everything_is_compared(shop, caplog):
    shop.world.stocked["A", "HAM"] = 99
    with caplog.at_level("INFO"):
        shop.sync()
        shop.sync()
    assert [record.getMessage() for record in caplog.records] == [
        "of 1 SKUs compared 1 were not shown as they are: A",
        "of 1 SKUs compared 0 were not shown as they are: none",
    ]


def test_what_the_shop_shows_already_reads_the_same_each_time(shop):
    first, second = (
        [row.raw for page in shop.source.changed(Window(None, shop.world.tick())) for row in page] for _ in "12"
    )
    assert first == second
    shop.world.edit_by_hand("A", "HAM", 99)
    first, second = (
        [row.raw for page in shop.source.changed(Window(None, shop.world.tick())) for row in page] for _ in "12"
    )
    assert first != second


def test_more_promised_than_there_is_shows_nothing(shop):
    shop.world.phone("A", "HAM", 12)
    shop.sync()
    assert shop.available() == 0


def test_a_rule_shares_keeps_back_and_caps():
    rules = (
        Rule(location="HAM", warehouses=("HAM", "BER"), share=Decimal("0.5"), buffer=2),
        Rule(location="BER", warehouses=("HAM", "BER"), share=Decimal("0.5"), cap=4),
    )
    shop = Shop(rules)
    shop.world.receive("A", "HAM", 10)
    shop.world.receive("A", "BER", 5)
    shop.sync()
    assert (shop.available(), shop.available("A", "BER")) == (5, 4)


def test_a_rule_for_a_location_that_the_shop_lacks_says_so():
    shop = Shop((Rule(location="NYC", warehouses=("HAM",)),))
    shop.world.receive("A", "HAM", 10)
    with pytest.raises(Misconfigured, match="NYC"):
        shop.sync()


def test_a_location_without_a_warehouse_of_its_code_is_left_alone():
    shop = Shop()
    shop.world.stocked["A", "NYC"] = 7
    shop.world.receive("A", "HAM", 10)
    shop.shelf.locations = lambda: ("HAM", "BER", "NYC")  # type: ignore[method-assign]
    shop.sync()
    assert shop.available("A", "NYC") == 7


def test_new_rules_are_another_version():
    assert Shop().source.version != Shop((Rule(location="HAM", warehouses=("HAM",), buffer=1),)).source.version


def test_a_kit_is_worth_as_many_as_its_scarcest_part_allows():
    shop = Shop(kits={"KIT": {"A": 2, "B": 1}})
    shop.world.receive("A", "HAM", 9)
    shop.world.receive("B", "HAM", 5)
    shop.sync()
    assert [shop.available(sku) for sku in ("KIT", "A", "B")] == [4, 9, 5]


def test_kits_that_share_a_part_do_not_sell_it_twice():
    shop = Shop(kits={"KIT": {"A": 2}, "BOX": {"A": 3}})
    shop.world.receive("A", "HAM", 12)
    shop.sync()
    assert [shop.available(sku) for sku in ("KIT", "BOX", "A")] == [6, 4, 12]
    line = shop.world.order("KIT", "HAM", 3)
    shop.sync()
    assert [shop.available(sku) for sku in ("KIT", "BOX", "A")] == [3, 2, 6]
    shop.world.take_in(line, "HAM")
    shop.sync()
    assert [shop.available(sku) for sku in ("KIT", "BOX", "A")] == [3, 2, 6]


NOW = datetime(2026, 11, 1, tzinfo=UTC)


def counted(quantity: int, at: datetime = NOW) -> Count:
    return Count(sku="A", on_hand=Decimal(quantity), counted_at=at)


FED = Rule(location="BER", warehouses=("BER",), feed="3pl", stale_buffer=3)


def test_a_feed_counts_in_place_of_the_erp():
    shop = Shop((FED,))
    shop.feeds["3pl"] = Counts(NOW, A=counted(20))
    shop.world.receive("A", "BER", 5)
    shop.world.phone("A", "BER", 2)
    shop.sync()
    assert shop.available("A", "BER") == 18


def test_a_feed_that_has_fallen_silent_keeps_its_figures_and_something_back():
    shop = Shop((FED,))
    shop.feeds["3pl"] = Counts(NOW - timedelta(days=3), A=counted(20))
    shop.world.receive("A", "BER", 0)
    shop.sync()
    assert shop.available("A", "BER") == 17


def test_a_feed_that_cannot_be_read_leaves_its_location_alone_and_the_others_go_on():
    shop = Shop((FED, Rule(location="HAM", warehouses=("HAM",))))
    shop.feeds["3pl"] = Counts(NOW, A=counted(20))
    shop.world.receive("A", "HAM", 5)
    shop.sync()
    shop.feeds["3pl"].away = Retry("The folder is away.")
    since = shop.world.clock
    shop.world.receive("A", "HAM", 2)
    shop.sync(since)
    assert (shop.available(), shop.available("A", "BER")) == (7, 20)
    assert shop.source.silent() == {"3pl": "The folder is away. BER stays as it is."}


def test_who_has_fallen_silent_is_named_and_since_when():
    shop = Shop((FED,))
    shop.feeds["3pl"] = Counts(NOW - timedelta(days=3), A=counted(20))
    [said] = shop.source.silent().values()
    assert "since 2026-10-29 00:00 UTC" in said and "less 3 pieces" in said
    shop.feeds["3pl"].heard = NOW
    assert shop.source.silent() == {}


def test_a_rule_that_names_an_unknown_feed_says_so():
    shop = Shop((FED,))
    shop.world.receive("A", "BER", 0)
    with pytest.raises(Misconfigured, match="3pl"):
        shop.sync()


def test_a_file_that_was_refused_is_a_row_that_is_refused(shop):
    with pytest.raises(Reject, match="shrunken"):
        shop.source.parse(b'{"refused": ["shrunken", "The file is shrunken.", "Ask."]}')


def test_an_explanation_names_every_term(shop):
    shop.world.order("A", "HAM", 3)
    stock, terms, facts = shop.source.explain("A")
    assert stock and [level.sellable for level in stock.levels] == [4, 10] == [term.level.sellable for term in terms]
    assert [one.quantity for one in facts.reserved["A"]] == [3] and not facts.counted


def test_the_explanation_reads_like_a_bill():
    shop = Shop((Rule(location="HAM", warehouses=("HAM",), buffer=2, share=Decimal("0.5")),))
    shop.world.receive("A", "HAM", 20)
    shop.world.phone("A", "HAM", 4)
    known, new = shop.world.order("A", "HAM", 2), shop.world.order("A", "HAM", 1)
    shop.world.take_in(known, "HAM")
    lines = list(explained.stock(shop.source, "A"))
    assert lines == [
        "HAM: 4 can be bought now",
        "  HAM: 20 on hand - 6 outgoing = 14 free",
        "  sellable: x share 0.5 - buffer 2 = 5",
        f"  reserved 2 for order {shop.world.lines[known].order}: the ERP has counted 2",
        f"  reserved 1 for order {shop.world.lines[new].order}: not in the ERP yet",
        "  - 1 of web orders that the ERP has not counted yet",
        "The shop shows something else: the next run writes it.",
    ]
    shop.sync()
    assert list(explained.stock(shop.source, "A"))[-1] == "The shop shows it like this."
    assert "keeps no stock" in next(explained.stock(Availability(Nothing(shop.world), shop.shelf), "Z"))


class Nothing(MemoryWarehouses):
    def goods(self, skus):
        return ()


def test_reservations_of_one_line_share_what_is_counted():
    def reserved(location: str, quantity: int, fulfilled: int = 0) -> Reserved:
        return Reserved(
            order="o", line="l", location=location, quantity=Decimal(quantity), fulfilled=Decimal(fulfilled)
        )

    assert uncounted([reserved("HAM", 2), reserved("BER", 3)], {"l": Decimal(4)}) == {"BER": 1}
    assert uncounted([reserved("HAM", 2, 2), reserved("BER", 3, 2)], {"l": Decimal(4)}) == {"BER": 3}
    assert uncounted([reserved("HAM", 2)], {}) == {"HAM": 2}


def anything(world: World, chance: random.Random) -> None:
    """One of the things that happen to stock."""
    sku = chance.choice(("A", "B", *world.kits))
    place, other, quantity = chance.choice(world.places), chance.choice(world.places), chance.randint(1, 4)
    lines = sorted(world.lines)
    line = chance.choice(lines) if lines else ""
    happens = ["order", "phone", "receive", "ship", "ship", "edit"]
    if line:
        happens += ["take in", "take in", "fulfil", "fulfil", "cancel", "cancel in ERP"]
    match chance.choice(happens):
        case "order":
            world.order(sku, place, quantity)
        case "phone":
            world.phone(sku, place, quantity)
        case "receive":
            world.receive("A" if sku in world.kits else sku, place, quantity)
        case "ship":
            world.ship(chance.randint(0, 9), quantity)
        case "edit":
            world.edit_by_hand(sku, place, quantity)
        case "take in":
            world.take_in(line, place)
        case "fulfil":
            world.fulfil(line, other, quantity)
        case "cancel":
            world.cancel_in_shop(line)
        case "cancel in ERP":
            world.cancel_in_erp(line)


def right(shop: Shop) -> dict[tuple[str, str], int]:
    """What each visitor should see, by the ERP's figures and the orders it does not know, as one would do on paper."""
    world, seen = shop.world, {}
    taken = {
        line.id: min(
            (
                sum(m.quantity for m in world.moves if (m.line, m.sku) == (line.id, part) and m.state != "cancelled")
                // each
                for part, each in world.kits.get(line.sku, {line.sku: 1}).items()
            )
        )
        for line in world.lines.values()
    }
    unknown: dict[tuple[str, str], int] = {}
    for line in world.lines.values():
        rest = max(0, line.reserved - max(0, taken[line.id] - line.fulfilled))
        unknown[line.sku, line.location] = unknown.get((line.sku, line.location), 0) + rest

    def sold_of(part: str, place: str, but: str) -> int:
        others = (kit for kit in world.kits if kit != but)
        in_kits = sum(unknown.get((kit, place), 0) * world.kits[kit].get(part, 0) for kit in others)
        return unknown.get((part, place), 0) + in_kits

    for place in world.places:
        free = {
            sku: max(
                0,
                world.on_hand[sku, place]
                - sum(m.quantity for m in world.moves if (m.sku, m.warehouse, m.state) == (sku, place, "open")),
            )
            for sku in ("A", "B")
        }
        for sku in free:
            in_kits = sum(unknown.get((kit, place), 0) * parts.get(sku, 0) for kit, parts in world.kits.items())
            seen[sku, place] = max(0, free[sku] - in_kits) - unknown.get((sku, place), 0)
        for kit, parts in world.kits.items():
            fit = min((free[part] - sold_of(part, place, kit)) // each for part, each in parts.items())
            seen[kit, place] = max(0, fit) - unknown.get((kit, place), 0)
    return seen


def shown(shop: Shop) -> dict[tuple[str, str], int]:
    return {place: shop.world.available(*place) for place in right(shop)}


@settings(max_examples=300, deadline=None)
@given(st.randoms(use_true_random=False), st.booleans())
def test_after_any_story_the_shop_is_right(chance, kits):
    """Whatever happens before, between and while it is read: once all is quiet every figure is exact."""
    shop = Shop(kits={"KIT": {"A": 2, "B": 1}, "BOX": {"A": 3}} if kits else {})
    for sku in ("A", "B"):
        for place in shop.world.places:
            shop.world.receive(sku, place, 10)
    shop.sync()
    since = shop.world.clock
    for _ in range(chance.randint(1, 8)):
        for _ in range(chance.randint(0, 3)):
            anything(shop.world, chance)
        shop.world.between = lambda: anything(shop.world, chance) if chance.random() < 0.3 else None
        began = shop.world.clock
        shop.sync(since)
        shop.world.between = lambda: None
        since = began
    shop.sync(since)
    assert shown(shop) == right(shop)
    assert shop.sync(since) == []


@settings(max_examples=300, deadline=None)
@given(st.randoms(use_true_random=False))
def test_what_happens_while_it_is_read_never_promises_more_than_there_was(chance):
    """One thing happens at one point of the reading: no figure is above all that were right meanwhile."""
    shop = Shop()
    for sku in ("A", "B"):
        for place in shop.world.places:
            shop.world.receive(sku, place, chance.randint(0, 10))
    shop.sync()
    since = shop.world.clock
    for _ in range(chance.randint(0, 8)):
        anything(shop.world, chance)
    when, points, before = chance.randint(1, 7), 0, right(shop)  # the last one: before the first figure is written

    def happens() -> None:
        nonlocal points
        points += 1
        if points == when:
            anything(shop.world, chance)

    shop.world.between = happens
    late = shop.sync(since)
    after = right(shop)
    for (sku, place), seen in shown(shop).items():
        if sku in late and shop.world.stocked[sku, place] == _last_written(shop, sku, place):
            assert seen <= max(before[sku, place], after[sku, place])


def _last_written(shop: Shop, sku: str, place: str) -> int:
    """What the run left there, unless a person or a fulfilment moved it afterwards."""
    return shop.shelf.written.get((sku, place), -1)
