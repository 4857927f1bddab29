"""B2B accounts, their buyers and addresses.

Guests have no record here: their orders are booked to the one receivable account of the shop.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, field_validator

from crossdock.domain.record import FilledText, PlainText, Record, Value

_EMAIL = re.compile(r"[^@\s<>()\[\],;:\"\\]+@[^@\s<>()\[\],;:\"\\]+\.[^@\s<>()\[\],;:\"\\.]{2,}")


def _email(value: str) -> str:
    value = value.strip().lower()
    if len(value) > 254 or not _EMAIL.fullmatch(value) or ".." in value:
        raise ValueError("is not an e-mail address")
    return value


Email = Annotated[str, AfterValidator(_email)]
"""Lower case: storefronts compare e-mails by the letter."""

AccountNumber = Annotated[FilledText, Field(max_length=64)]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
"""ISO 3166-1 alpha-2, upper case."""


class Buyer(Value):
    """A person who may log in to the shop and order on the account."""

    source_id: str
    email: Email
    name: PlainText = ""
    phone: PlainText = ""


class Address(Value):
    """A place of the account. ``street`` may hold several lines, joined by a comma."""

    source_id: str
    name: PlainText = ""
    street: PlainText = ""
    postal_code: Annotated[PlainText, Field(max_length=32)] = ""
    city: PlainText = ""
    subdivision: PlainText = ""
    country: Country | None = None
    invoice: bool = False
    delivery: bool = False


class Terms(Value):
    """Payment terms: the ERP's name, and the days until the last instalment is due."""

    name: FilledText
    days: Annotated[int, Field(ge=0, le=3660)]


class Account(Record):
    """One B2B account of the ERP, the unit of the flow ``customers``.

    ``active`` False: archived in the ERP. ``blocked``: nobody may log in. ``credit_hold``: buyers
    may log in, their orders are held. ``price_list`` is the ERP's id and name of the list that
    prices this account; its prices belong to the flow ``pricing``.
    """

    COLUMNS: ClassVar[dict[str, str]] = {
        "number": "text",
        "name": "text",
        "active": "boolean",
        "blocked": "boolean",
        "buyers": "integer",
        "addresses": "integer",
        "unplaced_addresses": "integer",
        "terms_days": "integer",
    }

    number: AccountNumber
    name: FilledText
    active: bool = True
    blocked: bool = False
    credit_hold: bool = False
    tax_id: Annotated[PlainText, Field(max_length=64)] | None = None
    tax_exempt: bool = False
    terms: Terms | None = None
    price_list: FilledText | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    buyers: tuple[Buyer, ...] = ()
    addresses: tuple[Address, ...] = ()

    @field_validator("buyers")
    @classmethod
    def _each_email_once(cls, buyers: tuple[Buyer, ...]) -> tuple[Buyer, ...]:
        emails = [buyer.email for buyer in buyers]
        if len(set(emails)) < len(emails):
            raise ValueError("the same e-mail stands at two contacts of this account")
        return buyers

    @property
    def key(self) -> str:
        return self.number

    @property
    def gone(self) -> bool:
        return not self.active

    @property
    def may_log_in(self) -> bool:
        """Whether this account's buyers get in."""
        return self.active and not self.blocked

    def columns(self) -> tuple[Any, ...]:
        return (
            self.number,
            self.name,
            self.active,
            self.blocked,
            len(self.buyers),
            len(self.addresses),
            sum(address.country is None for address in self.addresses),
            self.terms.days if self.terms else None,
        )
