"""Tryton's party, as JSON-RPC returns it, to a canonical Account. Pure functions.

The classes below are question and answer at once: ``FIELDS`` is read off them, so nothing is asked
that is not used. Fields: trytond 8.0, modules party, account, account_invoice, sale, sale_price_list.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec
from msgspec import Struct, field

from crossdock.connectors.tryton.rows import build, decode, fields
from crossdock.domain.customer import Account, Address, Buyer, Terms
from crossdock.errors import Reject

VERSION = "1"
"""Raise it when a row is to be read differently although the fields stay the same."""

_PHONES = ("phone", "mobile")
_ROLE = re.compile(r"\s*\([^()]*\)\s*$")


class Names(NamedTuple):
    """What this Tryton calls things: party categories and a customer tax rule."""

    blocked: str
    credit_hold: str
    tax_exempt: str


class _Coded(Struct):
    code: str | None


class _Named(Struct):
    name: str | None


class _PriceList(Struct):
    id: int
    name: str | None


class _Delay(Struct):
    months: int
    weeks: int
    days: int
    day: int | None


class _Instalment(Struct):
    relativedeltas: list[_Delay] = field(name="relativedeltas.")


class _PaymentTerm(Struct):
    name: str | None
    lines: list[_Instalment] = field(name="lines.")


class _Place(Struct):
    id: int
    party_name: str | None
    street: str | None
    postal_code: str | None
    city: str | None
    invoice: bool
    delivery: bool
    country: _Coded | None = field(name="country.")
    subdivision: _Named | None = field(name="subdivision.")


class _Contact(Struct):
    id: int
    type: str
    value: str
    name: str | None
    invoice: bool
    delivery: bool


class _Part(Struct):
    id: int


class _Party(Struct):
    id: int
    code: str | None
    name: str | None
    active: bool
    categories: list[_Named] = field(name="categories.")
    tax_identifier: _Coded | None = field(name="tax_identifier.")
    customer_payment_term: _PaymentTerm | None = field(name="customer_payment_term.")
    sale_price_list: _PriceList | None = field(name="sale_price_list.")
    customer_currency: _Coded | None = field(name="customer_currency.")
    customer_tax_rule: _Named | None = field(name="customer_tax_rule.")
    addresses: list[_Place] = field(name="addresses.")
    contact_mechanisms: list[_Contact] = field(name="contact_mechanisms.")
    identifiers: list[_Part] = field(name="identifiers.")


FIELDS = fields(_Party)
"""What to ask of ``party.party``."""

_ROW = msgspec.json.Decoder(_Party, strict=False)  # SQLite says 1 where PostgreSQL says true


def to_account(raw: bytes, names: Names) -> Account:
    """The canonical account. Raises Reject, with the place in Tryton where it can be put right.

    Access is taken away whatever else is wrong: an archived or blocked party whose details cannot be
    read is an account without any.
    """
    party = decode(_ROW, raw, "party")
    blocked = names.blocked in {category.name for category in party.categories}
    try:
        return _account(party, names, blocked)
    except Reject:
        if party.code and (blocked or not party.active):
            return Account(
                number=party.code, name=party.code, active=party.active, blocked=blocked, parts=_parts(party)
            )
        raise


def _account(party: _Party, names: Names, blocked: bool) -> Account:
    account = f"account {party.code or f'of party {party.id}'}"
    categories = {category.name for category in party.categories}
    return build(
        Account,
        account,
        number=party.code,
        name=party.name,
        active=party.active,
        blocked=blocked,
        credit_hold=names.credit_hold in categories,
        tax_id=party.tax_identifier.code if party.tax_identifier else None,
        tax_exempt=bool(party.customer_tax_rule and party.customer_tax_rule.name == names.tax_exempt),
        terms=_terms(party.customer_payment_term, account),
        price_list=f"{party.sale_price_list.id} {party.sale_price_list.name}" if party.sale_price_list else None,
        currency=party.customer_currency.code if party.customer_currency else None,
        buyers=_buyers(party.contact_mechanisms, account),
        addresses=tuple(_address(place, account) for place in party.addresses),
        parts=_parts(party),
    )


def _terms(term: _PaymentTerm | None, account: str) -> Terms | None:
    """A month counts 30 days, a fixed day of the month ("end of month") another 30: the longest it can be."""
    if term is None:
        return None
    delays = [
        sum(30 * one.months + 7 * one.weeks + one.days + (30 if one.day else 0) for one in line.relativedeltas)
        for line in term.lines
    ]
    return build(Terms, f"payment term of {account}", name=term.name, days=max(delays, default=0))


def _buyers(contacts: list[_Contact], account: str) -> tuple[Buyer, ...]:
    """The persons among the contacts: e-mails that no document is sent to.

    An e-mail marked for invoices or deliveries is a mailbox for these, not somebody who orders.
    """
    phones = {_person(contact.name): contact.value for contact in reversed(contacts) if contact.type in _PHONES}
    buyers: dict[str, Buyer] = {}
    for contact in contacts:
        if contact.type != "email" or contact.invoice or contact.delivery:
            continue
        person = _person(contact.name)
        buyer = build(
            Buyer,
            f"contact mechanism {contact.id} of {account}",
            source_id=str(contact.id),
            email=contact.value,
            name=person,
            phone=phones.get(person, "") if person else "",
        )
        if other := buyers.get(buyer.email):
            raise Reject(
                "duplicate_email",
                f"Contact mechanisms {other.source_id} and {buyer.source_id} of {account} hold the same e-mail.",
                "Keep one of them active in Tryton (Parties > the party > Contact Mechanisms).",
            )
        buyers[buyer.email] = buyer
    return tuple(buyers.values())


def _person(name: str | None) -> str:
    """``Anna Berg (Purchasing)`` is Anna Berg."""
    return _ROLE.sub("", name or "")


def _address(place: _Place, account: str) -> Address:
    return build(
        Address,
        f"address {place.id} of {account}",
        source_id=str(place.id),
        name=place.party_name or "",
        street=", ".join(line for line in (place.street or "").splitlines() if line.strip()),
        postal_code=place.postal_code or "",
        city=place.city or "",
        subdivision=(place.subdivision.name if place.subdivision else None) or "",
        country=place.country.code if place.country else None,
        invoice=place.invoice,
        delivery=place.delivery,
    )


def _parts(party: _Party) -> tuple[str, ...]:
    parts = [f"party:{party.id}={party.code or ''}"]
    parts += [f"address:{place.id}" for place in party.addresses]
    parts += [f"contact:{contact.id}" for contact in party.contact_mechanisms]
    parts += [f"identifier:{part.id}" for part in party.identifiers]
    return tuple(parts)
