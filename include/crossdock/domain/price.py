"""Prices as a shop keeps them: lists (layers) of prices, and which account sees which list.

A visitor sees, per variant, the price of the highest ranked list among those that fit and say something of it, else
the variant's own price (``BASE``).
"""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AwareDatetime, Field, model_validator

from crossdock.domain.customer import AccountNumber
from crossdock.domain.item import Sku
from crossdock.domain.record import FilledText, Need, PlainText, Record, Value

BASE = "base"
"""The list of the variants' own prices, which every visitor has. It is no PriceList record."""

ListCode = Annotated[FilledText, Field(max_length=64, pattern=r"^[^|]+$")]
Amount = Annotated[Decimal, Field(ge=0, max_digits=20, decimal_places=8)]


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
    audience: Literal["everybody", "accounts"]
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
    currency do not overlap; a quantity that none of them holds has no price in this list.
    """

    COLUMNS: ClassVar[dict[str, str]] = {
        "list": "text",
        "sku": "text",
        "tiers": "integer",
        "currencies": "integer",
        "lowest": "numeric",
        "highest": "numeric",
        "gone": "boolean",
    }

    list: ListCode
    sku: Sku
    prices: tuple[Price, ...] = ()
    why: PlainText = ""

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
            self.gone,
        )


class PriceMember(Record):
    """Which lists an account sees, the unit of the flow ``price_members``. No ``lists``: only what everybody sees."""

    COLUMNS: ClassVar[dict[str, str]] = {"account": "text", "lists": "integer", "gone": "boolean"}

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
        return (self.account, len(self.lists), self.gone)
