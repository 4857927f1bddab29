"""What can be sold where, put together from the ERP, the warehouses of third parties and the shop itself.

The one source that has several sides. What happens between its readings makes a figure too small, never too large:
lines of web orders that the ERP counts are read first and once more at the end, in between open moves, then what is on
hand. Whatever the shop reserves beyond what was counted both times stays reserved, and ``put`` adds up the reservations
in the moment of writing.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import cached_property
from itertools import chain, islice
from typing import TypeVar

from crossdock.domain.stock import (
    Count,
    Counted,
    Goods,
    Level,
    Part,
    Reserved,
    Rule,
    Stock,
    Supply,
    is_stale,
    uncounted,
)
from crossdock.errors import Misconfigured, Reject, Retry
from crossdock.ports import Feed, Row, Shelf, Warehouses, Window

_T = TypeVar("_T")

log = logging.getLogger(__name__)

VERSION = "1"
"""Raise it when the same facts are to be put together differently."""
NAMED = 20
"""SKUs that the log names when everything was compared."""
PAGE = 500
"""SKUs read at a time, with all that shares goods with them."""


@dataclass(frozen=True)
class Terms:
    """How the figure of one level came about, for people."""

    rule: Rule
    supplies: tuple[Supply, ...]
    stale: bool
    elsewhere: Decimal
    """What the shop reserves for kits of it, or for other kits of its parts, beyond what the ERP has counted."""
    level: Level


@dataclass
class Facts:
    """What was read of a family of SKUs."""

    as_of: datetime
    reserved: Mapping[str, Sequence[Reserved]] = field(default_factory=dict)
    counted: Mapping[str, Decimal] = field(default_factory=dict)
    goods: Mapping[str, Goods] = field(default_factory=dict)


class Availability:
    """A ``Source[Stock]`` of an ERP's warehouses, feeds by their connection, and the shop that is to show it.

    Without rules each warehouse feeds the location of the shop that has its code.
    """

    def __init__(
        self, warehouses: Warehouses, shelf: Shelf, rules: Sequence[Rule] = (), feeds: Mapping[str, Feed] | None = None
    ) -> None:
        self._warehouses, self._shelf, self._feeds = warehouses, shelf, feeds or {}
        self._rules = tuple(rules)
        self._counts: dict[str, Mapping[str, Count] | None] = {}
        self._away: dict[str, str] = {}
        self._as_of = datetime.now(UTC)
        self._late: list[str] = []

    @property
    def name(self) -> str:
        return self._warehouses.name

    @property
    def version(self) -> str:
        """Changes with the ERP's mapping and with every rule: then everything is read anew."""
        rules = json.dumps([rule.model_dump(mode="json") for rule in self._rules])
        return f"{VERSION}-{self._warehouses.version}-{hashlib.sha256(rules.encode()).hexdigest()[:8]}"

    def now(self) -> datetime:
        """The clock that is behind: what either side changed since is read again."""
        return min(self._warehouses.now(), self._shelf.now())

    def changed(self, window: Window) -> Iterator[Sequence[Row]]:
        """Each SKU that anybody touched; all of them when the window has no beginning."""
        if window.since is None:
            pages: Iterable[Sequence[str]] = self._warehouses.skus()
        else:
            sides: tuple[Warehouses | Shelf, ...] = (self._warehouses, self._shelf)
            pages = chain(
                chain.from_iterable(side.touched(window) for side in sides),
                *(self._of_feed(name, lambda feed: feed.touched(window)) for name in self._feeds),
            )
        seen: set[str] = set()
        self._late.clear()
        for some in _some(chain.from_iterable(pages)):
            yield self._rows(some, seen)
        if window.since is None:
            late = ", ".join(self._late[:NAMED])
            log.info(
                "of %d SKUs compared %d were not shown as they are: %s", len(seen), len(self._late), late or "none"
            )
        for name in self._feeds:
            refused = self._of_feed(name, lambda feed: feed.refused(window))
            yield [Row("", f"{name}: {row.source_id}", row.raw) for row in refused]

    def _of_feed(self, name: str, ask: Callable[[Feed], Iterator[_T]]) -> Iterator[_T]:
        """Nothing while its folder is away: what it would have said is found when everything is read."""
        try:
            yield from ask(self._feeds[name])
        except Retry as error:
            log.warning("%s: %s", name, error)

    def read(self, keys: Collection[str]) -> Iterator[Sequence[Row]]:
        """These SKUs, and nothing else."""
        for some in _some(keys):
            yield self._rows(some, set(), family=False)

    def parts(self) -> Iterator[Sequence[str]]:
        """None: a SKU that the ERP gives up is withdrawn by the flow items; nobody can buy it any more."""
        return iter(())

    def parse(self, raw: bytes) -> Stock:
        """What the shop shows already has the moment of this reading."""
        told = json.loads(raw)
        if "refused" in told:
            raise Reject(*told["refused"])
        return Stock.model_validate_json(json.dumps({"as_of": self._as_of.isoformat(), **told}))

    def content(self, ref: str) -> bytes:
        raise Reject("no_file", f"Stock refers to a file {ref}.", "This is a defect: report it.")

    def explain(self, sku: str) -> tuple[Stock | None, Sequence[Terms], Facts]:
        """The stock of a SKU with every term of it; None when the ERP keeps no stock of it."""
        facts = self._facts([sku])
        if sku not in facts.goods:
            return None, (), facts
        terms = self._terms(facts.goods[sku], facts)
        stock = self._stock(sku, terms, facts)
        return stock.model_copy(update={"shown": bool(self._shelf.shows([stock]))}), terms, facts

    def _rows(self, skus: Collection[str], seen: set[str], family: bool = True) -> list[Row]:
        """What shares goods with them comes along, each SKU once in a run."""
        wanted = set(skus) - seen
        if not wanted:
            return []
        facts = self._facts(wanted)
        if family:
            wanted |= facts.goods.keys() - seen
        seen |= wanted
        stocks = [
            self._stock(sku, self._terms(facts.goods[sku], facts), facts) for sku in sorted(wanted & facts.goods.keys())
        ]
        shown = self._shelf.shows(stocks) if stocks else frozenset()
        self._late += [stock.sku for stock in stocks if stock.sku not in shown]
        return [_row(stock.model_copy(update={"shown": stock.sku in shown})) for stock in stocks]

    def _facts(self, skus: Collection[str]) -> Facts:
        self._as_of = self._warehouses.now()
        family = self._warehouses.family(skus)
        reserved = self._shelf.reserved(family)
        lines: dict[str, set[str]] = defaultdict(set)
        for one in chain.from_iterable(reserved.values()):
            lines[one.order].add(one.line)
        before = self._warehouses.counted(lines) if lines else {}
        goods = {one.sku: one for one in self._warehouses.goods(family)}
        after = self._warehouses.counted(lines) if lines else {}
        counted = {line: min(before[line], after[line]) for line in before.keys() & after.keys()}
        return Facts(self._as_of, reserved, counted, self._as_fed(goods))

    def _as_fed(self, goods: Mapping[str, Goods]) -> Mapping[str, Goods]:
        """In a warehouse that a feed counts, on hand is what it counted, less what has left since."""
        for rule in self._rules:
            if rule.feed is None:
                continue
            counts, [warehouse] = self._counted_by(rule.feed), rule.warehouses
            if counts is None:
                continue
            since = {sku: counts[sku].counted_at for sku in goods if sku in counts}
            shipped = self._warehouses.shipped(warehouse, since) if since else {}
            goods = {sku: _fed(one, warehouse, counts.get(sku), shipped) for sku, one in goods.items()}
        return goods

    def _counted_by(self, feed: str) -> Mapping[str, Count] | None:
        """None when its files cannot be read, or none of them believed."""
        if feed not in self._feeds:
            raise Misconfigured(f"A rule for stock names the feed {feed}, but there is no such connection.")
        if feed not in self._counts:
            try:
                self._counts[feed] = self._feeds[feed].counts()
            except Retry as error:
                log.warning("%s: %s What it feeds in the shop stays as it is.", feed, error)
                self._counts[feed], self._away[feed] = None, str(error)
        return self._counts[feed]

    def silent(self) -> Mapping[str, str]:
        """Feeds that cannot be read, and those that have not been heard of for as long as their rule allows."""
        told, now = {}, self.now()
        for rule in self._rules:
            if rule.feed is None:
                continue
            if self._counted_by(rule.feed) is None:
                told[rule.feed] = f"{self._away[rule.feed]} {rule.location} stays as it is."
            elif is_stale(heard := self._feeds[rule.feed].heard_at(), now, rule):
                told[rule.feed] = (
                    f"nothing has come since {heard:%Y-%m-%d %H:%M} UTC. Its last figures count on, less "
                    f"{rule.stale_buffer} pieces of each SKU. Ask the warehouse for a new file."
                )
        return told

    @cached_property
    def _known_rules(self) -> tuple[Rule, ...]:
        """Without rules, each location is fed by the warehouse of the same code."""
        locations = self._shelf.locations()
        if missing := sorted({rule.location for rule in self._rules} - set(locations)):
            raise Misconfigured(
                f"A rule for stock names the location {missing[0]}, which the shop does not have (metadata erp_code of "
                f"its stock locations: {', '.join(sorted(locations)) or 'none'})."
            )
        return self._rules or tuple(Rule(location=one, warehouses=(one,)) for one in sorted(locations))

    def _terms(self, goods: Goods, facts: Facts) -> list[Terms]:
        """Nothing is said of a location none of whose warehouses the ERP has, or whose feed cannot be read."""
        parts = [facts.goods[part.sku] for part in goods.parts if part.sku in facts.goods]
        there = {one.warehouse for some in (goods, *parts) for one in some.supplies}
        return [
            self._term(goods, rule, facts)
            for rule in self._known_rules
            if there.intersection(rule.warehouses) and not (rule.feed and self._counted_by(rule.feed) is None)
        ]

    def _term(self, goods: Goods, rule: Rule, facts: Facts) -> Terms:
        stale = rule.feed is not None and is_stale(self._feeds[rule.feed].heard_at(), facts.as_of, rule)
        elsewhere = _elsewhere(goods.sku, facts).get(rule.location, Decimal(0))
        if goods.parts:
            kits = min(self._kits(part, goods.sku, rule, facts, stale) for part in goods.parts)
            return Terms(rule, (), stale, elsewhere, Level(location=rule.location, sellable=max(0, kits)))
        supplies = tuple(one for one in goods.supplies if one.warehouse in rule.warehouses)
        level = Level(
            location=rule.location,
            sellable=max(0, rule.sellable(_free(supplies), stale) - _ceiling(elsewhere)),
            incoming=max(0, _floor(sum((one.incoming for one in supplies), Decimal(0)))),
            expected=min((one.expected for one in supplies if one.expected), default=None),
        )
        return Terms(rule, supplies, stale, elsewhere, level)

    def _kits(self, part: Part, kit: str, rule: Rule, facts: Facts, stale: bool) -> int:
        """So many kits a part is enough for, less what the shop has sold of it otherwise, unknown to the ERP."""
        if part.sku not in facts.goods:
            return 0
        supplies = [one for one in facts.goods[part.sku].supplies if one.warehouse in rule.warehouses]
        sold = uncounted(facts.reserved.get(part.sku, ()), facts.counted).get(rule.location, Decimal(0))
        sold += _elsewhere(part.sku, facts, but=kit).get(rule.location, Decimal(0))
        return _floor((rule.sellable(_free(supplies), stale) - sold) / part.quantity)

    def _stock(self, sku: str, terms: Sequence[Terms], facts: Facts) -> Stock:
        lines = sorted({one.line for one in facts.reserved.get(sku, ()) if one.line in facts.counted})
        return Stock(
            sku=sku,
            levels=tuple(term.level for term in terms),
            counted=tuple(Counted(line=line, quantity=facts.counted[line]) for line in lines),
            backorder=facts.goods[sku].backorder,
            as_of=facts.as_of,
            shown=False,
        )


def _elsewhere(sku: str, facts: Facts, but: str = "") -> dict[str, Decimal]:
    """By location: how much of this part the shop has sold in kits that the ERP has not counted yet."""
    sold: dict[str, Decimal] = defaultdict(Decimal)
    for kit in facts.goods.values():
        for part in kit.parts:
            if part.sku == sku and kit.sku != but:
                for location, quantity in uncounted(facts.reserved.get(kit.sku, ()), facts.counted).items():
                    sold[location] += quantity * part.quantity
    return sold


def _fed(goods: Goods, warehouse: str, count: Count | None, shipped: Mapping[str, Decimal]) -> Goods:
    """A warehouse that has not counted a SKU has none of it."""
    there = {one.warehouse: one for one in goods.supplies}
    books = there.get(warehouse, Supply(warehouse=warehouse, on_hand=Decimal(0)))
    on_hand = Decimal(0) if count is None else count.on_hand - shipped.get(goods.sku, Decimal(0))
    there[warehouse] = books.model_copy(update={"on_hand": on_hand})
    return goods.model_copy(update={"supplies": tuple(there.values())})


def _free(supplies: Iterable[Supply]) -> Decimal:
    return sum((one.free for one in supplies), Decimal(0))


def _floor(quantity: Decimal) -> int:
    return int(quantity.to_integral_value(ROUND_FLOOR))


def _ceiling(quantity: Decimal) -> int:
    return int(quantity.to_integral_value(ROUND_CEILING))


def _row(stock: Stock) -> Row:
    """What is in step reads the same each time; what is not never does, so that it is always written."""
    told = stock.model_dump_json(exclude={"parts", "as_of"} if stock.shown else {"parts"})
    return Row(stock.sku, stock.sku, told.encode())


def _some(skus: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(skus)
    while page := list(islice(rest, PAGE)):
        yield page
