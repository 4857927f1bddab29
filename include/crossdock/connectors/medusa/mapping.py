"""A canonical account as Medusa is told it. Pure functions; the shapes are those of the ERP extension
(include/storefront/src/lib/schema.js), from which the stock REST calls take what they need."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from crossdock.domain.customer import Account, Address, Buyer

Status = Literal["active", "blocked", "archived"]

GROUP = "erp:account:"
"""The name of an account's customer group is this and the account number."""


def payload(account: Account) -> bytes:
    """The account as JSON; the same account gives the same bytes."""
    return msgspec.json.encode(
        {
            "code": account.number,
            "name": account.name,
            "status": _status(account),
            "credit_hold": account.credit_hold,
            "tax_id": account.tax_id,
            "tax_exempt": account.tax_exempt,
            "terms": account.terms and {"name": account.terms.name, "days": account.terms.days},
            "price_list": account.price_list,
            "currency": account.currency,
            "buyers": [_buyer(buyer) for buyer in account.buyers],
            "addresses": [_address(address) for address in account.addresses],
        },
        order="deterministic",
    )


def split_name(name: str) -> tuple[str | None, str | None]:
    """First and last name: ``Anna Maria Roth`` and ``Roth, Anna Maria`` give the same; one word is a last name."""
    if ", " in name:
        last, first = name.split(", ", 1)
    else:
        first, _, last = name.rpartition(" ")
    return first or None, last or None


def _status(account: Account) -> Status:
    if not account.active:
        return "archived"
    return "blocked" if account.blocked else "active"


def _buyer(buyer: Buyer) -> dict[str, Any]:
    first, last = split_name(buyer.name)
    return {
        "external_id": buyer.source_id,
        "email": buyer.email,
        "first_name": first,
        "last_name": last,
        "phone": buyer.phone or None,
    }


def _address(address: Address) -> dict[str, Any]:
    line_1, _, line_2 = address.street.partition(", ")
    return {
        "external_id": address.source_id,
        "name": address.name or None,
        "address_1": line_1 or None,
        "address_2": line_2 or None,
        "postal_code": address.postal_code or None,
        "city": address.city or None,
        "province": address.subdivision or None,
        "country_code": address.country.lower() if address.country else None,
        "invoice": address.invoice,
        "delivery": address.delivery,
    }
