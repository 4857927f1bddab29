"""Tryton's parties, as 8.0 answered them, to accounts. One answer, one file in ``answers``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crossdock.connectors.tryton import mapping, rows
from crossdock.domain.customer import Account, Terms
from crossdock.errors import Reject

NAMES = mapping.Names(blocked="Blocked", credit_hold="Credit hold", tax_exempt="Tax exempt")


def answer(name: str, /, **changes: Any) -> bytes:
    row = json.loads((Path(__file__).parent / "answers" / f"{name}.json").read_bytes())
    return json.dumps({**row, **changes}).encode()


def account(name: str, /, **changes: Any) -> Account:
    return mapping.to_account(answer(name, **changes), NAMES)


def refusal(name: str, /, **changes: Any) -> Reject:
    with pytest.raises(Reject) as caught:
        account(name, **changes)
    return caught.value


def test_an_account_is_put_together_from_all_that_belongs_to_it() -> None:
    ours = account("contract_customer")
    assert (ours.key, ours.name, ours.tax_id) == ("C0001", "Nordlicht Technik GmbH", "DE123529193")
    assert ours.terms == Terms(name="Net 30", days=30)
    assert ours.price_list == "4 Contract C0001"
    assert ours.active and ours.may_log_in and not ours.credit_hold and not ours.tax_exempt
    assert [(a.street, a.city, a.country, a.invoice, a.delivery) for a in ours.addresses][:2] == [
        ("Invalidenstraße 1", "Berlin", "DE", True, False),
        ("Hohe Straße 11, Dock 1", "Köln", "DE", False, True),
    ]
    assert {"party:5=C0001", "address:5", "contact:1", "identifier:2"} < set(ours.parts)


def test_buyers_are_the_persons_among_the_contacts() -> None:
    ours = account("contract_customer")
    assert [buyer.name for buyer in ours.buyers] == ["Luca García", "Inès Huber", "Tomás Bakker"]
    assert ours.buyers[0].phone == "+49 30 55500011" and ours.buyers[1].phone == ""
    assert not any(buyer.email.startswith("invoices@") for buyer in ours.buyers)


@pytest.mark.parametrize("usage", ["invoice", "delivery"])
def test_a_mailbox_for_documents_is_nobody(usage: str) -> None:
    contact = {"id": 9, "type": "email", "value": "a@b.example", "name": "Anna Berg", "invoice": 0, "delivery": 0}
    assert len(account("contract_customer", **{"contact_mechanisms.": [contact]}).buyers) == 1
    assert account("contract_customer", **{"contact_mechanisms.": [{**contact, usage: 1}]}).buyers == ()


def test_marks_of_the_merchant() -> None:
    assert account("blocked_customer").blocked
    assert account("held_customer").credit_hold and account("held_customer").may_log_in
    assert account("archived_customer").gone
    assert account("exempt_customer").tax_exempt


@pytest.mark.parametrize(("name", "gone"), [("archived_customer", True), ("blocked_customer", False)])
def test_access_is_taken_away_whatever_else_is_wrong(name: str, gone: bool) -> None:
    contact = {"id": 9, "type": "email", "value": "no mail", "name": "", "invoice": 0, "delivery": 0}
    ours = account(name, **{"name": "<b>Bad</b>", "contact_mechanisms.": [contact]})
    assert (ours.gone, ours.may_log_in, ours.buyers, ours.name) == (gone, False, (), ours.number)


def test_a_party_with_nothing_but_a_name() -> None:
    ours = account("bare_customer")
    assert (ours.terms, ours.price_list, ours.tax_id, ours.currency) == (None, None, None, None)
    assert (ours.buyers, ours.addresses) == ((), ())


@pytest.mark.parametrize(
    ("delays", "days"),
    [
        ([], 0),
        ([{"days": 14}], 14),
        ([{"weeks": 2}, {"days": 3}], 17),
        ([{"months": 1, "day": 31}], 60),
    ],
)
def test_days_until_the_last_instalment(delays: list[dict[str, int]], days: int) -> None:
    none = {"months": 0, "weeks": 0, "days": 0, "day": None}
    instalments = [{"relativedeltas.": []}, {"relativedeltas.": [{**none, **delay} for delay in delays]}]
    terms = account("contract_customer", **{"customer_payment_term.": {"name": "T", "lines.": instalments}}).terms
    assert terms is not None and terms.days == days


def test_html_in_a_name() -> None:
    fault = refusal("planted_html")
    assert fault.code == "invalid_name"
    assert fault.reason == "Account C0047: name holds HTML where plain text belongs."


def test_the_same_email_twice() -> None:
    fault = refusal("planted_duplicate")
    assert fault.code == "duplicate_email"
    assert "332 and 338" in fault.reason and "C0048" in fault.reason


def test_an_email_that_is_none() -> None:
    fault = refusal("planted_email")
    assert fault.code == "invalid_email"
    assert fault.reason == "Contact mechanism 339 of account C0049: email is not an e-mail address."


@pytest.mark.parametrize("name", ["planted_duplicate", "planted_email"])
def test_refusals_hold_no_personal_data(name: str) -> None:
    said = str(refusal(name))
    contacts = json.loads(answer(name))["contact_mechanisms."]
    assert not any(contact["value"] in said or (contact["name"] or "?") in said for contact in contacts)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"code": None}, "invalid_number"),
        ({"code": "  "}, "invalid_number"),
        ({"name": None}, "invalid_name"),
        ({"name": "Tab\u0007bell"}, "invalid_name"),
        ({"name": 5}, "unreadable"),
        ({"addresses.": None}, "unreadable"),
        ({"customer_currency.": {"code": "Euro"}}, "invalid_currency"),
    ],
)
def test_bad_rows_say_what_is_wrong(changes: dict[str, Any], code: str) -> None:
    fault = refusal("contract_customer", **changes)
    assert fault.code == code
    assert fault.reason and fault.remedy


@pytest.mark.parametrize("raw", [b"", b"<html>", b"[]", b'{"id": 5}', b'{"id": 5, "name": "\xff\xfe"}'])
def test_garbage_is_a_reject_too(raw: bytes) -> None:
    with pytest.raises(Reject, match="unreadable"):
        mapping.to_account(raw, NAMES)


def test_bytes_stay_the_same_whatever_order_tryton_answers_in() -> None:
    row = json.loads(answer("contract_customer"))
    shuffled = dict(reversed(row.items()))
    shuffled["addresses."] = [dict(reversed(place.items())) for place in reversed(row["addresses."])]
    assert rows.stable(shuffled) == rows.stable(row)
    assert rows.stable({**row, "name": "Other"}) != rows.stable(row)


def test_only_what_is_used_is_asked_for() -> None:
    assert len(set(mapping.FIELDS)) == len(mapping.FIELDS) == 31
    assert not any("last_modified_at" in name or "write_date" in name for name in mapping.FIELDS)
