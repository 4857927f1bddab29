"""Prices as a shop keeps them, and the rules of an ERP they come from.

A visitor sees, per variant, the price of the highest ranked list among those that fit and say something of it, else
the variant's own price (``BASE``). A layer of rules becomes one list with what always holds, and one list, ranked
above it, for each span of time in which dated rules hold: staged ahead, the shop changes by itself at midnight.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import AwareDatetime, Field, model_validator

from crossdock.domain.customer import AccountNumber
from crossdock.domain.item import Sku
from crossdock.domain.record import FilledText, Need, PlainText, Record, Value

BASE = "base"
"""The list of the variants' own prices, which every visitor has. It is no PriceList record."""

ListCode = Annotated[FilledText, Field(max_length=64, pattern=r"^[^|]+$")]
Amount = Annotated[Decimal, Field(ge=0, max_digits=20, decimal_places=8)]
Audience = Literal["everybody", "accounts"]
"""Who may see a list at all. "accounts": only its members, and nobody while it has none."""


class Price(Value):
    """The price of one piece when ``min_quantity`` to ``max_quantity`` of them are bought, both included.

    ``amount``: in the currency's major unit, net of tax, or gross where the list is ``tax_inclusive``.
    """

    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    amount: Amount
    min_quantity: Annotated[int, Field(ge=1)] = 1
    max_quantity: Annotated[int, Field(ge=1)] | None = None


class PriceList(Record):
    """One list of the shop, the unit of the flow ``price_lists``: one layer of the ERP in one span of time.

    ``code`` is the natural key: ``list:7``, ``list:7@2026-12-01``. ``audience`` "accounts": only members see it, also
    while it has none. Among the lists that fit a visitor the highest ``rank`` wins, whatever the amounts are. It holds
    from ``starts_at`` (included) to ``ends_at`` (excluded), UTC. ``active`` False: withdrawn.
    """

    COLUMNS: ClassVar[dict[str, str]] = {
        "code": "text",
        "audience": "text",
        "rank": "integer",
        "starts_at": "timestamptz",
        "ends_at": "timestamptz",
    }

    code: ListCode
    title: FilledText
    audience: Audience
    rank: Annotated[int, Field(ge=0)] = 0
    starts_at: AwareDatetime | None = None
    ends_at: AwareDatetime | None = None
    tax_inclusive: bool = False
    active: bool = True

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> PriceList:
        if self.code == BASE:
            raise ValueError(f"the code {BASE} belongs to the variants' own prices")
        if self.starts_at and self.ends_at and self.starts_at >= self.ends_at:
            raise ValueError("ends before it starts")
        return self

    @property
    def key(self) -> str:
        return self.code

    @property
    def gone(self) -> bool:
        return not self.active

    def columns(self) -> tuple[Any, ...]:
        return (self.code, self.audience, self.rank, self.starts_at, self.ends_at)


class Prices(Record):
    """All that one list says of one SKU, the unit of the flow ``prices``. No ``prices``: nothing (any more).

    ``why``: the reason for which a person has to approve it first ("" none): what ``doubt`` says. The tiers of a
    currency do not overlap; a quantity that none of them holds has no price in this list. ``asked``: so many of the
    tiers were not computed here but asked of the ERP.
    """

    COLUMNS: ClassVar[dict[str, str]] = {
        "list": "text",
        "sku": "text",
        "tiers": "integer",
        "currencies": "integer",
        "lowest": "numeric",
        "highest": "numeric",
        "asked": "integer",
    }

    list: ListCode
    sku: Sku
    prices: tuple[Price, ...] = ()
    why: PlainText = ""
    asked: int = 0

    @model_validator(mode="after")
    def _tiers_do_not_overlap(self) -> Prices:
        tiers = sorted(self.prices, key=lambda price: (price.currency, price.min_quantity))
        for tier in tiers:
            if tier.max_quantity is not None and tier.max_quantity < tier.min_quantity:
                raise ValueError(f"a tier from {tier.min_quantity} ends at {tier.max_quantity}")
        for tier, after in pairwise(tiers):
            if tier.currency == after.currency and (
                tier.max_quantity is None or tier.max_quantity >= after.min_quantity
            ):
                raise ValueError(f"the tiers from {tier.min_quantity} and {after.min_quantity} overlap")
        return self

    @property
    def key(self) -> str:
        return f"{self.list}|{self.sku}"

    @property
    def needs(self) -> frozenset[Need]:
        variant: Need = ("variant", self.sku)
        return frozenset({variant} if self.list == BASE else {variant, ("price_lists", self.list)})

    @property
    def gone(self) -> bool:
        return not self.prices

    @property
    def doubt(self) -> str:
        """Why a person has to approve it first; "" when nothing speaks against it."""
        return self.why

    def columns(self) -> tuple[Any, ...]:
        amounts = [price.amount for price in self.prices]
        return (
            self.list,
            self.sku,
            len(self.prices),
            len({price.currency for price in self.prices}),
            min(amounts, default=None),
            max(amounts, default=None),
            self.asked,
        )


class PriceMember(Record):
    """Which lists an account sees, the unit of the flow ``price_members``. No ``lists``: only what everybody sees."""

    COLUMNS: ClassVar[dict[str, str]] = {"account": "text", "lists": "integer"}

    account: AccountNumber
    lists: tuple[ListCode, ...] = ()

    @property
    def key(self) -> str:
        return self.account

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({("customers", self.account), *(("price_lists", code) for code in self.lists)})

    @property
    def gone(self) -> bool:
        return not self.lists

    def columns(self) -> tuple[Any, ...]:
        return (self.account, len(self.lists))


# ---------------------------------------------------------------- what prices are computed from


class Layer(NamedTuple):
    """Rules that belong together: an ERP's price list, a customer group, a contract; ``BASE`` is one, too.

    Of the layers of an account the highest ``rank`` that says something wins, as with lists.
    """

    code: str
    title: str
    audience: Audience
    rank: int
    currency: str


class Rule(NamedTuple):
    """What a layer says of an article, of a category and all below it, or of everything (both None).

    Of the rules of a layer that fit, the lowest ``place`` wins, then the largest ``min_quantity``, then the ``id``.
    The price is ``list_factor`` x list price + ``cost_factor`` x cost price + ``constant``; ``asked``: the ERP has to
    be asked for it instead. ``gross``: it contains the article's taxes. It holds from ``starts_at`` (included) to
    ``ends_at`` (excluded). ``words``: what people know it by.
    """

    id: str
    layer: str
    place: int
    article: str | None
    category: str | None
    min_quantity: int
    starts_at: datetime | None
    ends_at: datetime | None
    list_factor: Decimal
    cost_factor: Decimal
    constant: Decimal
    asked: bool
    gross: bool
    words: str


class Article(NamedTuple):
    """A variant for sale, and what its prices are computed from. ``categories``: with all above them.

    ``tax_rate`` 0.19: what is in a gross price; None: not that simple, a gross price of it has to be asked for.
    ``asked``: so has any price of it.
    """

    id: str
    sku: str
    categories: list[str]
    list_price: Decimal | None
    cost_price: Decimal | None
    tax_rate: Decimal | None
    asked: bool


class Member(NamedTuple):
    """An account and its layers. ``refused``: why they cannot be given to it, "" when they can."""

    id: str
    account: str
    layers: list[str]
    refused: str


class Question(NamedTuple):
    """What does the ERP ask for one of so many pieces? ``at`` None: now."""

    layer: str
    article: str
    quantity: int
    at: datetime | None


class Span(NamedTuple):
    """A layer in one span of time. Without ends: what its undated rules say; else what any rule says then."""

    code: str
    layer: str
    starts_at: datetime | None
    ends_at: datetime | None


def spans(layer: str, dated: Iterable[tuple[datetime | None, datetime | None]], now: datetime) -> Iterator[Span]:
    """The lists a layer is told as, given the dates of its dated rules: half-open, disjoint, none that has ended.

    A span keeps its code for as long as its start does.
    """
    yield Span(layer, layer, None, None)
    dates = set(dated)
    borders = sorted({moment for pair in dates for moment in pair if moment})
    for start, end in pairwise([None, *borders, None]):
        alive = any((s is None or (start and s <= start)) and (e is None or (end and e >= end)) for s, e in dates)
        if alive and (end is None or end > now):
            since = f"{start.astimezone(UTC):%Y-%m-%dT%H:%M}" if start else "first"
            yield Span(f"{layer}@{since}", layer, start, end)
