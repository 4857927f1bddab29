"""Orders placed in the shop, as they are to be booked in the ERP.

What the shopper was charged is a fact: every amount here is the shop's own, of any precision, in the order's
currency. How it becomes amounts of the ERP is the ERP connector's business.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AwareDatetime, Field, model_validator

from crossdock.domain.customer import AccountNumber, Country, Email
from crossdock.domain.record import FilledText, Need, PlainText, Record, Value

Id = Annotated[FilledText, Field(max_length=100)]
"""An id of the shop; it is kept in the ERP, where it makes a repeat visible."""

Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Money = Annotated[Decimal, Field(max_digits=20, decimal_places=8)]
"""An amount in the order's currency, not rounded."""

Quantity = Annotated[Decimal, Field(gt=0, max_digits=16, decimal_places=6)]


class Place(Value):
    """Where the goods or the invoice go. ``street`` may hold several lines, joined by a comma."""

    name: PlainText = ""
    company: PlainText = ""
    street: PlainText = ""
    postal_code: Annotated[PlainText, Field(max_length=32)] = ""
    city: PlainText = ""
    subdivision: PlainText = ""
    country: Country | None = None
    phone: PlainText = ""


class Tax(Value):
    """A tax that was charged on a line: the shop's code, its rate in percent."""

    code: FilledText
    rate: Annotated[Decimal, Field(ge=0, le=100)]


class Line(Value):
    """What was bought, or charged beside it.

    ``net`` is what was charged for all of it, discounts taken off, taxes left out; ``discount`` (positive) is
    what was taken off, for people. ``sku`` None: a shipping method or another charge that is no product of the ERP.
    """

    id: Id
    kind: Literal["item", "shipping", "charge"]
    sku: FilledText | None = None
    title: PlainText = ""
    quantity: Quantity
    net: Money
    discount: Money = Decimal(0)
    taxes: tuple[Tax, ...] = ()


class Refund(Value):
    """Money given back. ``amount`` is positive. ``erp_number``: that of the ERP's payment, if the ERP began it."""

    id: Id
    amount: Annotated[Money, Field(gt=0)]
    at: AwareDatetime
    erp_number: PlainText = ""


class Payment(Value):
    """Money the shopper has authorised or paid, over one provider; what was cancelled is not here.

    ``captured`` of ``authorised`` has been paid, ``refunds`` given back of it.
    """

    id: Id
    provider: FilledText
    authorised: Annotated[Money, Field(ge=0)]
    captured: Annotated[Money, Field(ge=0)] = Decimal(0)
    captured_at: AwareDatetime | None = None
    refunds: tuple[Refund, ...] = ()


class Returned(Value):
    """So many of a line, identified by its id: one of the order, or one that was sent instead (an exchange)."""

    line: Id
    quantity: Quantity


class Return(Value):
    """Goods that come back (``lines``), and for an exchange or a claim those sent instead (``instead``).

    ``erp_number``: the ERP's number of the return, if it was born there.
    """

    id: Id
    kind: Literal["return", "exchange", "claim"] = "return"
    status: Literal["requested", "received", "cancelled"]
    lines: tuple[Returned, ...] = ()
    instead: tuple[Line, ...] = ()
    erp_number: PlainText = ""


Settlement = Literal["paid", "authorised", "on account", "unpaid"]
"""How the order is paid, or will be."""


class Order(Record):
    """One order of the shop, the unit of the flow ``orders``.

    ``web_id`` is the shop's id, ``number`` what shopper and shop call it. ``account``: the B2B account of a buyer who
    was logged in, None for everybody else. ``shopper``: the shop's id of a registered B2C customer. ``charged`` is the
    total the shopper was charged, goods, shipping and taxes. ``held``: why the shop wants a person to look at it first.
    """

    COLUMNS: ClassVar[dict[str, str]] = {
        "number": "text",
        "placed_at": "timestamptz",
        "currency": "text",
        "charged": "numeric",
        "deviation": "numeric",
        "lines": "integer",
        "guest": "boolean",
        "cancelled": "boolean",
        "settlement": "text",
    }

    web_id: Id
    number: FilledText
    placed_at: AwareDatetime
    cancelled: bool = False
    account: AccountNumber | None = None
    shopper: Id | None = None
    email: Email | None = None
    phone: PlainText = ""
    currency: Currency
    charged: Money
    tax_included: bool = False
    settlement: Settlement
    held: PlainText = ""
    po_number: PlainText = ""
    note: PlainText = ""
    ship_to: Place | None = None
    bill_to: Place | None = None
    lines: Annotated[tuple[Line, ...], Field(min_length=1)]
    payments: tuple[Payment, ...] = ()
    returns: tuple[Return, ...] = ()

    @model_validator(mode="after")
    def _each_line_once(self) -> Order:
        ids = [line.id for line in (*self.lines, *(line for one in self.returns for line in one.instead))]
        if len(set(ids)) < len(ids):
            raise ValueError("the same line id stands at two lines")
        if unknown := {part.line for one in self.returns for part in one.lines} - set(ids):
            raise ValueError(f"a return names lines that the order has not: {', '.join(sorted(unknown))}")
        return self

    @property
    def key(self) -> str:
        return self.web_id

    @property
    def gone(self) -> bool:
        return self.cancelled

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({("customers", self.account)} if self.account else ())

    @property
    def born(self) -> datetime:
        return self.placed_at

    @property
    def early(self) -> str:
        return "not paid yet" if self.settlement == "unpaid" else ""

    @property
    def computed(self) -> Decimal:
        """What the lines add up to, taxes on top, not rounded."""
        return sum(
            (line.net * (1 + sum((tax.rate for tax in line.taxes), Decimal(0)) / 100) for line in self.lines),
            Decimal(0),
        )

    def columns(self) -> tuple[Any, ...]:
        return (
            self.number,
            self.placed_at,
            self.currency,
            self.charged,
            abs(self.charged - self.computed),
            len(self.lines),
            self.account is None,
            self.cancelled,
            self.settlement,
        )
