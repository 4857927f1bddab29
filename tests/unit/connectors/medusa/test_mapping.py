"""Accounts as Medusa is told them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crossdock.connectors.medusa import mapping
from crossdock.connectors.medusa.api import chunks
from crossdock.domain.customer import Account, Address, Buyer, Terms
from crossdock.errors import without_emails


def told(**fields: Any) -> dict[str, Any]:
    return dict(json.loads(mapping.payload(Account(number="C-1", name="Acme", **fields))))


def test_everything_an_account_has():
    account = told(
        credit_hold=True,
        tax_id="DE123",
        tax_exempt=True,
        terms=Terms(name="30 days net", days=30),
        price_list="Trade",
        currency="EUR",
        buyers=(Buyer(source_id="7", email="Ada@Acme.example", name="Ada Maria Roth", phone="+49 40 1"),),
        addresses=(
            Address(
                source_id="9", name="Yard", street="Kai 1, Gate 2, Hall 3", postal_code="20457", city="Hamburg",
                subdivision="Hamburg", country="DE", invoice=True,
            ),
        ),
    )  # fmt: skip
    assert account == {
        "code": "C-1",
        "name": "Acme",
        "status": "active",
        "credit_hold": True,
        "tax_id": "DE123",
        "tax_exempt": True,
        "terms": {"name": "30 days net", "days": 30},
        "price_list": "Trade",
        "currency": "EUR",
        "buyers": [
            {
                "external_id": "7",
                "email": "ada@acme.example",
                "first_name": "Ada Maria",
                "last_name": "Roth",
                "phone": "+49 40 1",
            }
        ],
        "addresses": [
            {
                "external_id": "9",
                "name": "Yard",
                "address_1": "Kai 1",
                "address_2": "Gate 2, Hall 3",
                "postal_code": "20457",
                "city": "Hamburg",
                "province": "Hamburg",
                "country_code": "de",
                "invoice": True,
                "delivery": False,
            }
        ],
    }


def test_what_an_account_does_not_have_is_null_not_empty():
    account = told(buyers=(Buyer(source_id="7", email="a@b.example"),), addresses=(Address(source_id="9"),))
    assert {account[name] for name in ("tax_id", "terms", "price_list", "currency")} == {None}
    assert {account["buyers"][0][name] for name in ("first_name", "last_name", "phone")} == {None}
    assert {value for value in account["addresses"][0].values() if not isinstance(value, bool)} == {"9", None}


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, "active"),
        ({"blocked": True}, "blocked"),
        ({"active": False}, "archived"),
        ({"active": False, "blocked": True}, "archived"),
        ({"credit_hold": True}, "active"),
    ],
)
def test_status(fields: dict[str, bool], status: str):
    assert told(**fields)["status"] == status


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("", (None, None)),
        ("Roth", (None, "Roth")),
        ("Ada Roth", ("Ada", "Roth")),
        ("Ada Maria Roth", ("Ada Maria", "Roth")),
        ("Roth, Ada Maria", ("Ada Maria", "Roth")),
    ],
)
def test_names(name: str, parts: tuple[str | None, str | None]):
    assert mapping.split_name(name) == parts


def test_the_same_account_gives_the_same_bytes():
    account = Account(number="C-1", name="Acme", terms=Terms(name="Net", days=0))
    assert mapping.payload(account) == mapping.payload(account.model_copy(deep=True))


def test_chunks():
    assert list(chunks({"a": 1, "b": 2, "c": 3}, 2)) == [["a", "b"], ["c"]]
    assert list(chunks([], 2)) == []


def test_no_e_mail_reaches_a_log():
    told = 'Customer with email: ada@acme.example, has_account: true. Key (email)=(ada@acme.example) "ada@acme.example"'
    assert "acme" not in without_emails(told)
