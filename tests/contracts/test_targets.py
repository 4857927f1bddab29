"""What the dictionary that the engine's tests run on promises of items, the real shop keeps as well."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from tests.contracts.test_item_target import an_item, changed, no_content, put, sizes, to_put
from tests.fakes import MemoryCatalogue
from tests.shop_fixtures import CONNECTION, Shop

from crossdock.connectors.medusa.adapter import Medusa
from crossdock.errors import Reject
from crossdock.ports import Found, Put

_numbers = itertools.count(1)


class Case(NamedTuple):
    target: Any
    by_hand: Callable[[str], str]
    """Somebody makes a product with this SKU in the shop; its id."""


@pytest.fixture(params=["memory", pytest.param("medusa", marks=pytest.mark.e2e)])
def case(request: pytest.FixtureRequest) -> Case:
    if request.param == "memory":
        memory = MemoryCatalogue()

        def remember(sku: str) -> str:
            return memory.strangers.setdefault(sku, f"by-hand-{sku}")

        return Case(memory, remember)
    shop: Shop = request.getfixturevalue("shop")

    def make(sku: str) -> str:
        handle = f"by-hand-{next(_numbers)}"
        variant = {"title": "One", "sku": sku, "options": {"A": "B"}, "prices": []}
        body = {"title": handle, "handle": handle, "options": [{"title": "A", "values": ["B"]}], "variants": [variant]}
        return str(shop.post("/admin/products", body, shop.admin)["product"]["id"])

    return Case(Medusa.from_connection(CONNECTION).items, make)


def test_what_was_put_is_found_with_its_fingerprint_and_a_link_for_each_sku(case: Case) -> None:
    item = an_item()
    outcome = put(case.target, item)[item.key]
    assert outcome.links.keys() == set(item.names)
    assert case.target.find([item.key, "nobody"]) == {item.key: Found(outcome.target_id, "f1", outcome.links)}
    assert item.key in {key for page in case.target.keys() for key in page}  # noqa: SIM118 - a port, no dictionary


def test_twice_is_the_same_as_once(case: Case) -> None:
    item = an_item()
    assert put(case.target, item) == put(case.target, item)


def test_a_size_more_keeps_the_links_of_the_others(case: Case) -> None:
    item = an_item()
    before = put(case.target, item)[item.key].links
    more = changed(item, variants=sizes(item.key, "M6", "M8", "M10"))
    after = put(case.target, more, fingerprint="f2")[item.key].links
    assert after.keys() == {*before, f"{item.key}-M10"} and before.items() <= after.items()


def test_removed_is_found_again_and_comes_back_as_the_same(case: Case) -> None:
    item = an_item()
    before = put(case.target, item)[item.key]
    assert put(case.target, item, op="remove", fingerprint="gone")[item.key].target_id == before.target_id
    assert case.target.find([item.key])[item.key].fingerprint == "gone"
    assert put(case.target, item, fingerprint="f3")[item.key] == before


def test_removing_what_is_not_there_is_no_fault(case: Case) -> None:
    [outcome] = case.target.put([Put("NOBODY", "remove", None, b"", "gone")], no_content)
    assert outcome.refused is None


def test_a_product_is_matched_by_its_number_and_by_the_skus_of_what_people_made(case: Case) -> None:
    ours, known, other, new = an_item(), an_item(), an_item(), an_item()
    put(case.target, ours)
    by_hand = case.by_hand(known.names[0])
    for sku in other.names:
        case.by_hand(sku)
    answers = case.target.match([ours, known, other, new])
    assert answers[ours.key].fingerprint == "f1"
    assert answers[known.key] == Found(by_hand, None)
    assert isinstance(answers[other.key], Reject) and answers[other.key].code == "sku_taken"
    assert new.key not in answers


def test_what_people_made_is_adopted_and_keeps_its_id(case: Case) -> None:
    item = an_item()
    by_hand = case.by_hand(item.names[0])
    [outcome] = case.target.put([to_put(case.target, item, target_id=by_hand)], no_content)
    assert outcome.target_id == by_hand and outcome.links.keys() == set(item.names)
    assert case.target.find([item.key])[item.key].fingerprint == "f1"
