"""What a person is shown of a change."""

from __future__ import annotations

import json

import pytest

from crossdock.sync.changes import changes, in_words, version


def between(old, new, apart=()):
    return [tuple(one) for one in changes(None if old is None else json.dumps(old), json.dumps(new), apart)]


def test_only_what_differs_is_shown_by_its_path():
    old = {"name": "Bolt", "price": {"amount": "10.00", "currency": "EUR"}, "live": True}
    new = {"name": "Bolt", "price": {"amount": "0.10", "currency": "EUR"}, "live": False}
    assert between(old, new) == [("price.amount", "10.00", "0.10"), ("live", "true", "false")]


def test_parts_are_called_by_what_tells_them_apart_not_by_their_place():
    main, depot = {"location": "MAIN", "sellable": 5}, {"location": "DEPOT", "sellable": 2}
    assert between({"levels": [main, depot]}, {"levels": [depot, {**main, "sellable": 0}]}) == [
        ("levels[MAIN].sellable", "5", "0")
    ]
    assert between({"levels": [main]}, {"levels": [main, depot]}) == [
        ("levels[DEPOT].location", None, "DEPOT"),
        ("levels[DEPOT].sellable", None, "2"),
    ]


def test_parts_that_nothing_tells_apart_are_counted():
    assert between([{"n": 1}, {"n": 1}], [{"n": 1}, {"n": 2}]) == [("[2].n", "1", "2")]


def test_lists_of_words_are_shown_whole():
    assert between({"tags": ["a", "b"]}, {"tags": ["b"]}) == [("tags", "a, b", "b")]


def test_numbers_stay_as_they_are_written():
    assert [tuple(one) for one in changes('{"a": 1.10}', '{"a": 1.1}')] == [("a", "1.10", "1.1")]


def test_what_was_told_may_not_be_known():
    assert between(None, {"a": 1}) == [("a", None, "1")]


def test_fields_that_change_by_themselves_are_nobodys_business():
    old = {"as_of": 1, "levels": [{"location": "MAIN", "as_of": 1, "sellable": 5}]}
    new = {"as_of": 2, "levels": [{"location": "MAIN", "as_of": 2, "sellable": 5}]}
    assert between(old, new, ["as_of"]) == [] and between(old, new)
    one, two = (version("update", json.dumps(payload), ["as_of"]) for payload in (old, new))
    assert one == two != version("update", json.dumps(new))
    assert version("remove", "") != version("update", "")


def test_it_stays_short():
    found = between({}, {f"field {n}": "x" * 1_000 for n in range(50)})
    assert len(found) == 21 and found[-1] == ("and 30 more", None, None)
    assert all(len(new) == 120 for _, _, new in found[:-1])


@pytest.mark.parametrize("payload", ["no JSON", "[" * 100_000, '"text"', "null"])
def test_whatever_a_target_is_told_can_be_shown(payload):
    assert changes("before", payload) and version("update", payload)


@pytest.mark.parametrize(
    ("op", "found", "words"),
    [
        ("update", [["a", "1", "2"], ["b", None, ""]], "a: 1 → 2; b: (none) → (empty)"),
        ("update", [["a", "1", "2"], ["and 3 more", None, None]], "a: 1 → 2; and 3 more"),
        ("create", [["a", None, "2"]], "new: a: (none) → 2"),
        ("remove", [], "withdrawn"),
        ("update", [], "written again"),
    ],
)
def test_it_is_one_line_for_people(op, found, words):
    assert in_words(op, found) == words


def test_it_can_be_said_without_the_values():
    assert in_words("update", [["email", "a@b.example", "c@d.example"]], values=False) == "email"
