"""What every source promises (``ports.Source``), whatever it is a source of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import ModuleType

import pytest
from pydantic import ValidationError
from tests.contracts import test_customer_source, test_item_source
from tests.contracts.asking import flat, later, since

from crossdock.domain.record import Record
from crossdock.errors import Reject

Case = test_customer_source.Case | test_item_source.Case


@pytest.fixture(params=["customers", "items"])
def suite(request: pytest.FixtureRequest) -> ModuleType:
    return {"customers": test_customer_source, "items": test_item_source}[request.param]


@pytest.fixture(params=["memory", pytest.param("tryton", marks=pytest.mark.e2e)])
def case(request: pytest.FixtureRequest, suite: ModuleType) -> Case:
    made: Case = suite.memory() if request.param == "memory" else suite.tryton(request.getfixturevalue("erp"))
    return made


def record(case: Case, number: str) -> Record:
    [row] = flat(case.source.read([number]))
    return case.source.parse(row.raw)


def test_it_says_who_it_is(case: Case) -> None:
    assert case.source.name and case.source.version == case.source.version


def test_its_clock_is_in_utc_and_about_right(case: Case) -> None:
    now = case.source.now()
    assert now.tzinfo is UTC
    assert abs(datetime.now(UTC) - now) < timedelta(seconds=5)


def test_a_window_holds_what_changed_in_it(case: Case) -> None:
    changed, untouched = case.new(), case.new()
    moment = later(case.source)
    case.rename(changed, "Renamed")
    rows = since(case.source, moment)
    assert changed in rows and untouched not in rows
    assert case.source.parse(rows[changed].raw).name == "Renamed"


def test_an_old_change_is_not_read_again(case: Case) -> None:
    number = case.new()
    assert number not in since(case.source, later(case.source))


def test_bytes_stay_the_same_while_nothing_changes(case: Case) -> None:
    number = case.new()
    first = since(case.source, None)[number]
    assert flat(case.source.read([number])) == [first] == [since(case.source, None)[number]]


def test_exactly_what_is_asked_for_is_read(case: Case) -> None:
    numbers = [case.new() for _ in range(3)]
    assert {row.key for row in flat(case.source.read([*numbers[:2], "no one's number"]))} == set(numbers[:2])
    assert flat(case.source.read([])) == []


def test_every_part_is_listed(case: Case) -> None:
    number = case.new()
    parts = flat(case.source.parts())
    assert set(record(case, number).parts) <= set(parts)
    assert len(set(parts)) == len(parts)


def test_a_bad_row_travels_with_the_good_ones(case: Case) -> None:
    good, bad = case.new(), case.new()
    case.spoil(bad)
    rows = since(case.source, None)
    assert case.source.parse(rows[good].raw).key == good
    with pytest.raises((Reject, ValidationError)):
        case.source.parse(rows[bad].raw)
