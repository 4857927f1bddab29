"""What can be sold of a SKU, and where: from what warehouses hold to what the shop may promise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import ROUND_FLOOR, Decimal
from typing import Annotated, Any, ClassVar

from pydantic import AwareDatetime, Field, model_validator

from crossdock.domain.order import Id
from crossdock.domain.record import FilledText, Need, Record, Value

Amount = Annotated[Decimal, Field(allow_inf_nan=False)]


class Supply(Value):
    """A SKU in one warehouse, by the warehouse's own books, in the SKU's own unit.

    ``on_hand``: physically there. ``outgoing``: every open outgoing move of any planned date, assigned ones too.
    ``incoming``: open receipts, which nobody may count on; ``expected`` the day of the next one.
    """

    warehouse: FilledText
    on_hand: Amount
    outgoing: Amount = Decimal(0)
    incoming: Amount = Decimal(0)
    expected: date | None = None

    @property
    def free(self) -> Decimal:
        """F of design.md section 6; below zero when more is promised than there is."""
        return self.on_hand - self.outgoing


class Part(Value):
    """So many of a component go into one kit."""

    sku: FilledText
    quantity: Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]


class Goods(Value):
    """A SKU as the ERP knows it: in its warehouses, or, a kit, put together from others.

    ``backorder``: whether it may be sold when there is none; None: the ERP does not say, the shop's own word stays.
    """

    sku: FilledText
    supplies: tuple[Supply, ...] = ()
    parts: tuple[Part, ...] = ()
    backorder: bool | None = None


class Count(Value):
    """What a warehouse of a third party has counted at ``counted_at``: so many on hand of a SKU."""

    sku: FilledText
    on_hand: Amount
    counted_at: AwareDatetime


class Rule(Value):
    """Which warehouses feed a location of the shop, and how much of what is free there.

    ``location`` is the shop's, by its ERP code. ``feed``: the connection of a 3PL whose files count what lies in the
    warehouse, in place of the ERP; the feed is stale when nothing has come for ``fresh_hours``: then ``stale_buffer``
    pieces more are kept back. ``cap``: never show more than that.
    """

    location: FilledText
    warehouses: Annotated[tuple[FilledText, ...], Field(min_length=1, strict=False)]
    share: Annotated[Decimal, Field(ge=0, le=1, strict=False)] = Decimal(1)
    buffer: Annotated[int, Field(ge=0)] = 0
    cap: Annotated[int, Field(ge=0)] | None = None
    feed: FilledText | None = None
    fresh_hours: Annotated[int, Field(ge=1)] = 26
    stale_buffer: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _one_warehouse_of_a_feed(self) -> Rule:
        if self.feed and len(self.warehouses) > 1:
            raise ValueError("a feed counts one warehouse")
        return self

    def sellable(self, free: Decimal, stale: bool = False) -> int:
        """``max(0, floor(F x share) - buffer)``, not above the cap (design.md section 6)."""
        whole = int((free * self.share).to_integral_value(ROUND_FLOOR))
        some = max(0, whole - self.buffer - (self.stale_buffer if stale else 0))
        return some if self.cap is None else min(some, self.cap)


class Level(Value):
    """A SKU at one location of the shop. ``sellable``: what the ERP has left for it, web orders it knows taken off."""

    location: FilledText
    sellable: Annotated[int, Field(ge=0)]
    incoming: Annotated[int, Field(ge=0)] = 0
    expected: date | None = None


class Reserved(Value):
    """A line of a web order for which the shop keeps back ``quantity`` pieces of a SKU at one of its locations.

    ``fulfilled``: so many of the line have left, as far as the shop knows.
    """

    order: Id
    line: Id
    location: FilledText
    quantity: Amount
    fulfilled: Amount = Decimal(0)


class Counted(Value):
    """A line of a web order of which the levels have taken off ``quantity``, whether it is still open or has left.

    What the shop reserves beyond that is a sale the ERP does not know yet.
    """

    line: Id
    quantity: Amount


class Stock(Record):
    """All levels of one SKU, the unit of the flow ``inventory``.

    The shop keeps ``stocked = sellable + what it still reserves for counted lines``; it moves ``stocked`` itself with
    each fulfilment, so the shop says whether it is ``in_step``. ``as_of``: by the ERP's clock; not part of what is
    compared. ``sold_out``: nothing of it can be sold at any location.
    """

    COLUMNS: ClassVar[dict[str, str]] = {"levels": "integer", "pieces": "bigint", "sold_out": "boolean"}

    sku: FilledText
    levels: tuple[Level, ...]
    counted: tuple[Counted, ...] = ()
    backorder: bool | None = None
    as_of: AwareDatetime
    shown: bool

    @property
    def key(self) -> str:
        return self.sku

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({("variant", self.sku)})

    @property
    def in_step(self) -> bool:
        return self.shown

    @property
    def sellable(self) -> int:
        """At all locations together."""
        return sum(level.sellable for level in self.levels)

    def columns(self) -> tuple[Any, ...]:
        return (len(self.levels), self.sellable, self.sellable == 0)


def uncounted(reserved: Iterable[Reserved], counted: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """By location: what the shop reserves for lines, beyond what the ERP's figures have taken off for them.

    Of a counted line as much is covered as has not been fulfilled in the shop yet.
    """
    rest: dict[str, Decimal] = {}
    left: dict[str, Decimal] = {}
    for one in reserved:
        covered = left.setdefault(one.line, max(Decimal(0), counted.get(one.line, Decimal(0)) - one.fulfilled))
        taken = min(covered, one.quantity)
        left[one.line] = covered - taken
        if one.quantity > taken:
            rest[one.location] = rest.get(one.location, Decimal(0)) + one.quantity - taken
    return rest


def is_stale(counted_at: datetime | None, now: datetime, rule: Rule) -> bool:
    """Whether the feed of this rule has not been heard of for longer than its freshness allows."""
    return counted_at is None or (now - counted_at).total_seconds() > rule.fresh_hours * 3600
