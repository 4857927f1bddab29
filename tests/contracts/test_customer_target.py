"""What every target of accounts promises (``ports.Target``), on a dictionary and on the real Medusa, both ways."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from tests.fakes import MemoryTarget
from tests.shop_fixtures import CONNECTION, Shop

from crossdock.connectors.medusa.extension import ExtensionCustomers
from crossdock.connectors.medusa.hook import MedusaHook
from crossdock.connectors.medusa.stock import StockCustomers
from crossdock.domain.customer import Account, Address, Buyer
from crossdock.ports import CustomerTarget, Put

_numbers = itertools.count(1)


class Case(NamedTuple):
    target: CustomerTarget
    buyers: Callable[[str], set[str]]
    """The e-mails of those who may buy on an account now, seen from the outside."""


@pytest.fixture(
    params=["memory", pytest.param("extension", marks=pytest.mark.e2e), pytest.param("stock", marks=pytest.mark.e2e)]
)
def case(request: pytest.FixtureRequest) -> Case:
    if request.param == "memory":
        memory = MemoryTarget()
        return Case(memory, memory.buyers)
    shop: Shop = request.getfixturevalue("shop")

    def buyers(key: str) -> set[str]:
        path = f"/admin/customers?groups[name]=erp:account:{key}&fields=email"
        return {customer["email"] for customer in shop.get(path, shop.admin)["customers"]}

    connectors = {"extension": ExtensionCustomers, "stock": StockCustomers}
    return Case(connectors[request.param](MedusaHook(CONNECTION)), buyers)


def an_account(**changes: Any) -> Account:
    number = f"CT-{next(_numbers)}"
    buyers = tuple(Buyer(source_id=f"{n}", email=f"buyer{n}@{number.lower()}.example", name="Ada Roth") for n in (1, 2))
    address = Address(source_id="9", street="Kai 1, Gate 2", city="Hamburg", country="DE", invoice=True)
    return Account(number=number, name=f"Company {number}", buyers=buyers, addresses=(address,), **changes)


def no_files(ref: str) -> bytes:
    raise AssertionError(f"an account has no file {ref}")


def put(case: Case, *accounts: Account, op: Any = "create", fingerprint: str = "f1") -> dict[str, str]:
    """Write and expect success; the target's ids by key."""
    found = case.target.find([account.key for account in accounts])
    batch = [
        Put(one.key, op, found[one.key].target_id if one.key in found else None, case.target.payload(one), fingerprint)
        for one in accounts
    ]
    outcomes = list(case.target.put(batch, no_files))
    assert {outcome.key for outcome in outcomes} == {account.key for account in accounts}
    assert [outcome.refused for outcome in outcomes if outcome.refused] == []
    return {outcome.key: str(outcome.target_id) for outcome in outcomes}


def all_keys(case: Case) -> list[str]:
    pages = case.target.keys()
    return [key for page in pages for key in page]


def emails(account: Account) -> set[str]:
    return {buyer.email for buyer in account.buyers}


def without(account: Account, email: str) -> Account:
    return account.model_copy(update={"buyers": tuple(buyer for buyer in account.buyers if buyer.email != email)})


def test_what_was_put_is_found_with_its_fingerprint(case: Case) -> None:
    one, other, absent = an_account(), an_account(), an_account()
    ids = put(case, one, other)
    found = case.target.find([one.key, other.key, absent.key])
    assert {key: (item.target_id, item.fingerprint) for key, item in found.items()} == {
        one.key: (ids[one.key], "f1"),
        other.key: (ids[other.key], "f1"),
    }
    assert {one.key, other.key} <= set(all_keys(case))
    assert case.buyers(one.key) == emails(one)


def test_twice_is_the_same_as_once(case: Case) -> None:
    account = an_account()
    assert put(case, account) == put(case, account)
    assert case.buyers(account.key) == emails(account)
    assert all_keys(case).count(account.key) == 1


def test_a_dismissed_buyer_leaves_and_may_return(case: Case) -> None:
    account = an_account()
    put(case, account)
    put(case, without(account, account.buyers[0].email), op="update", fingerprint="f2")
    assert case.buyers(account.key) == {account.buyers[1].email}
    assert case.target.find([account.key])[account.key].fingerprint == "f2"
    put(case, account, op="update")
    assert case.buyers(account.key) == emails(account)


@pytest.mark.parametrize("closed", [{"blocked": True}, {"active": False}])
def test_nobody_buys_on_a_closed_account_until_it_is_open_again(case: Case, closed: dict[str, bool]) -> None:
    account = an_account()
    put(case, account)
    put(case, account.model_copy(update=closed), op="update", fingerprint="f2")
    assert case.buyers(account.key) == set()
    put(case, account, op="update", fingerprint="f3")
    assert case.buyers(account.key) == emails(account)


def test_removed_is_withdrawn_not_deleted(case: Case) -> None:
    account = an_account()
    ids = put(case, account)
    assert put(case, account, op="remove", fingerprint="gone") == ids
    assert case.buyers(account.key) == set()
    assert case.target.find([account.key])[account.key].fingerprint == "gone"
    assert put(case, account, op="update") == ids
    assert case.buyers(account.key) == emails(account)


def test_removing_what_is_not_there_is_no_fault(case: Case) -> None:
    key = an_account().key
    (outcome,) = case.target.put([Put(key, "remove", None, b"", "gone")], no_files)
    assert outcome.refused is None


def test_a_buyer_of_two_accounts_stays_when_one_is_closed(case: Case) -> None:
    one = an_account()
    other = an_account().model_copy(update={"buyers": one.buyers})
    put(case, one, other)
    put(case, one.model_copy(update={"blocked": True}), op="update", fingerprint="f2")
    assert case.buyers(one.key) == set()
    assert case.buyers(other.key) == emails(one)


def test_payload_is_pure_and_fingerprint_stable(case: Case) -> None:
    account = an_account()
    assert case.target.payload(account) == case.target.payload(account.model_copy(deep=True))
    assert case.target.fingerprint() == case.target.fingerprint() != ""
    assert case.target.batch >= 1
