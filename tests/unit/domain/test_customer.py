"""What an account must look like, whatever ERP it comes from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from crossdock.domain.customer import Account, Address, Buyer, Terms


def account(**fields) -> Account:
    return Account(**{"number": "C-100", "name": "Acme", **fields})


def fault(**fields) -> str:
    with pytest.raises(ValidationError) as error:
        account(**fields)
    return error.value.errors()[0]["msg"]


def test_the_number_is_the_key():
    assert account().key == "C-100"


def test_white_space_is_folded():
    assert account(name="  Acme\t\n GmbH ").name == "Acme GmbH"


def test_names_are_compared_composed():
    assert account(name="Cafe\u0301").name == "Caf\u00e9"


@pytest.mark.parametrize("name", ["<b>Acme</b>", "Acme <br>", "A &amp; B", "<script>alert(1)</script>", "&#60;"])
def test_html_is_refused(name):
    assert "HTML" in fault(name=name)


@pytest.mark.parametrize("name", ["Smith & Sons", "a < b", "Müller & Söhne 🌳", "شركة", "R&D; Labs"])
def test_plain_names_of_all_the_world_are_fine(name):
    assert account(name=name).name == name


@pytest.mark.parametrize("name", ["Ac\x00me", "Ac\x07me", "\ud800"])
def test_control_characters_and_broken_unicode_are_refused(name):
    with pytest.raises(ValidationError):
        account(name=name)


@pytest.mark.parametrize("name", ["", "   ", "x" * 256])
def test_a_name_says_something_and_not_too_much(name):
    with pytest.raises(ValidationError):
        account(name=name)


def test_emails_are_lower_case():
    assert Buyer(source_id="1", email=" Anna@Acme.Example ").email == "anna@acme.example"


@pytest.mark.parametrize(
    "email",
    ["", "anna", "a@acme", "a@@b.example", "a b@b.example", "a@b..example", "<a@b.example>", "x" * 250 + "@b.example"],
)
def test_what_is_not_an_email_is_refused(email):
    with pytest.raises(ValidationError, match="not an e-mail"):
        Buyer(source_id="1", email=email)


def test_one_email_stands_once_in_an_account():
    twice = (Buyer(source_id="1", email="a@b.example"), Buyer(source_id="2", email="A@b.example"))
    assert "same e-mail" in fault(buyers=twice)


@pytest.mark.parametrize(
    ("fields", "may"),
    [({}, True), ({"active": False}, False), ({"blocked": True}, False), ({"credit_hold": True}, True)],
)  # fmt: skip
def test_who_may_log_in(fields, may):
    assert account(**fields).may_log_in is may


def test_the_staged_columns_fit_their_names():
    record = account(
        buyers=(Buyer(source_id="1", email="a@b.example"),),
        addresses=(Address(source_id="1"),),
        terms=Terms(name="Net 30", days=30),
    )
    assert dict(zip(Account.COLUMNS, record.columns(), strict=True)) == {
        "number": "C-100", "name": "Acme", "active": True, "blocked": False, 
        "buyers": 1, "addresses": 1, "unplaced_addresses": 1, "terms_days": 30,
    }  # fmt: skip


def test_unknown_fields_are_refused():
    assert "Extra inputs" in fault(colour="red")


@given(st.text(max_size=60))
def test_any_text_is_either_a_name_or_refused_with_a_reason(text):
    try:
        name = account(name=text).name
    except ValidationError as error:
        assert error.errors()[0]["msg"]
    else:
        assert name == " ".join(name.split()) and "\x00" not in name
        assert account(name=name).name == name
