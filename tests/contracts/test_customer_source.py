"""What every source of accounts promises (``ports.Source``), on a dictionary and on the real Tryton."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import pytest
from tests.contracts.asking import flat, later, since
from tests.erp_fixtures import CONNECTION, RunningErp
from tests.fakes import MemorySource

from crossdock.connectors.tryton.adapter import Tryton
from crossdock.domain.customer import Account
from crossdock.ports import CustomerSource


class Case(NamedTuple):
    """A source, and what happens on its side."""

    source: CustomerSource
    new: Callable[[], str]
    """An account with two buyers and an address; its number."""
    rename: Callable[[str, str], None]
    archive: Callable[[str], None]
    leave: Callable[[str], None]
    """It is no customer any more, or deleted."""
    dismiss: Callable[[str], None]
    """Its first buyer is deleted, with nothing else touched."""
    spoil: Callable[[str], None]
    """Its record becomes one that cannot be a canonical account."""


@pytest.fixture(params=["memory", pytest.param("tryton", marks=pytest.mark.e2e)])
def case(request: pytest.FixtureRequest) -> Case:
    return memory() if request.param == "memory" else tryton(request.getfixturevalue("erp"))


def memory() -> Case:
    source, numbers = MemorySource(), itertools.count(1)

    def new() -> str:
        number = f"M{next(numbers)}"
        buyers = [{"source_id": f"{number}-{name}", "email": f"{name}@{number}.example"} for name in ("ada", "ben")]
        addresses = [{"source_id": "1", "city": "Hamburg", "invoice": True}]
        source.put(number, number=number, name=number, buyers=buyers, addresses=addresses)
        return number

    return Case(
        source,
        new,
        rename=lambda number, name: source.change(number, name=name),
        archive=lambda number: source.change(number, active=False),
        leave=source.drop,
        dismiss=source.dismiss,
        spoil=lambda number: source.change(number, name="<b>"),
    )


def tryton(erp: RunningErp) -> Case:
    party: dict[str, int] = {}

    def new() -> str:
        number, party[number] = erp.account()
        return number

    def write(number: str, **values: object) -> None:
        erp.admin("model.party.party.write", [party[number]], values)

    def dismiss(number: str) -> None:
        erp.admin("model.party.contact_mechanism.delete", erp.children(party[number], "party.contact_mechanism")[:1])

    customers = erp.id_of("party.category", "Customers")
    return Case(
        Tryton.from_connection(CONNECTION).customers,
        new,
        rename=lambda number, name: write(number, name=name),
        archive=lambda number: write(number, active=False),
        leave=lambda number: write(number, categories=[["remove", [customers]]]),
        dismiss=dismiss,
        spoil=lambda number: write(number, name="<b>"),
    )


def account(case: Case, number: str) -> Account:
    [row] = flat(case.source.read([number]))
    return case.source.parse(row.raw)


def test_from_the_beginning_everything_is_read(case: Case) -> None:
    numbers = {case.new() for _ in range(5)}
    rows = since(case.source, None)
    assert numbers <= rows.keys()
    for number in numbers:
        ours = case.source.parse(rows[number].raw)
        assert ours.key == number and rows[number].source_id
        assert len(ours.buyers) == 2 and len(ours.addresses) == 1 and ours.may_log_in


def test_an_archived_account_is_still_read_and_says_so(case: Case) -> None:
    number = case.new()
    moment = later(case.source)
    case.archive(number)
    assert case.source.parse(since(case.source, moment)[number].raw).gone
    assert account(case, number).gone
    assert set(account(case, number).parts) <= set(flat(case.source.parts()))


def test_who_is_no_customer_any_more_is_gone(case: Case) -> None:
    number = case.new()
    parts = set(account(case, number).parts)
    case.leave(number)
    assert number not in since(case.source, None)
    assert flat(case.source.read([number])) == []
    assert not parts & set(flat(case.source.parts()))


def test_a_part_that_is_deleted_behind_the_back_of_its_account_is_missed(case: Case) -> None:
    number = case.new()
    before = account(case, number)
    case.dismiss(number)
    assert set(before.parts) - set(flat(case.source.parts())) == {f"contact:{before.buyers[0].source_id}"}
    assert account(case, number).buyers == before.buyers[1:]
