"""Inventory advices of 3PLs (X12 846): what is read, and what is not believed."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from crossdock.connectors.threepl.inventory_advice import InventoryAdvice
from crossdock.connectors.threepl.x12_846 import inventory_advice
from crossdock.errors import Reject

CAME = datetime(2026, 11, 24, 12, tzinfo=UTC)
BODY = (
    "BIA*00*MB*4711*20261124*0600",
    "N1*WH*FULFILFAST",
    "LIN*1*VN*WJ001-BLACK-S*UP*012345678905",
    "QTY*33*9*EA",
    "QTY*17*12*EA",
    "LIN**UP*012345678912*SK*NG001",
    "QTY*17*0",
    "CTT*2",
)


def text(*transactions: tuple[str, ...], control: str = "000000001", kind: str = "846") -> str:
    isa = f"ISA*00*{'':10}*00*{'':10}*ZZ*{'FULFILFAST':15}*ZZ*{'ALDERGATE':15}*261124*1200*U*00401*{control}*0*P*>"
    sets = [
        segment
        for place, body in enumerate(transactions, 1)
        for segment in (f"ST*{kind}*{place:04}", *body, f"SE*{len(body) + 2}*{place:04}")
    ]
    rest = ["GS*IB*A*B*20261124*1200*1*X*004010", *sets, f"GE*{len(transactions)}*1", f"IEA*1*{control}"]
    return "".join(f"{segment}~\n" for segment in (isa, *rest))


def read(content: str, zone: str = "UTC") -> InventoryAdvice:
    return inventory_advice(content, ZoneInfo(zone), CAME)


def refused(content: str) -> Reject:
    with pytest.raises(Reject) as caught:
        read(content)
    assert caught.value.remedy
    return caught.value


def changed(old: str, new: str) -> tuple[str, ...]:
    body = tuple(segment.replace(old, new) for segment in BODY)
    assert body != BODY
    return body


def test_what_is_on_hand_counts_not_what_is_available() -> None:
    advice = read(text(BODY))
    assert {sku: f"{one.on_hand:f}" for sku, one in advice.stated.items()} == {"WJ001-BLACK-S": "12", "NG001": "0"}
    assert (advice.whole, advice.dated, advice.control) == (True, True, {"FULFILFAST/000000001"})


@pytest.mark.parametrize(("purpose", "whole"), [("05", True), ("15", True), ("04", False)])
def test_the_purpose_says_whether_it_is_the_whole_stock(purpose: str, whole: bool) -> None:
    assert read(text(changed("BIA*00", f"BIA*{purpose}"))).whole is whole


def test_transactions_of_a_file_are_put_together() -> None:
    other = ("BIA*00*MB*4712*20261124*0700", "LIN**SK*ST001", "QTY*17*5")
    advice = read(text(BODY, other))
    assert set(advice.stated) == {"WJ001-BLACK-S", "NG001", "ST001"}
    assert advice.made_at == datetime(2026, 11, 24, 7, tzinfo=UTC)
    assert advice.stated["NG001"].at == datetime(2026, 11, 24, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("old", "new", "zone", "at"),
    [
        ("MB", "DD", "America/Chicago", "2026-11-24T12:00:00+00:00"),
        ("*20261124*0600", "*20261124*060030", "UTC", "2026-11-24T06:00:30+00:00"),
        ("*20261124*0600", "*20261124", "Europe/Berlin", "2026-11-23T23:00:00+00:00"),
        ("N1*WH*FULFILFAST", "DTM*007*20261123*1800", "Europe/Berlin", "2026-11-23T17:00:00+00:00"),
        ("N1*WH*FULFILFAST", "DTM*007*20261123*1800*UT", "Europe/Berlin", "2026-11-23T18:00:00+00:00"),
        ("N1*WH*FULFILFAST", "DTM*036*20270101", "UTC", "2026-11-24T06:00:00+00:00"),
        ("*20261124*0600", "*20991124*0600", "UTC", "2026-11-24T12:00:00+00:00"),
    ],
)
def test_when_it_was_counted(old: str, new: str, zone: str, at: str) -> None:
    assert read(text(changed(old, new)), zone).made_at == datetime.fromisoformat(at)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("QTY*17*12", "QTY*17*-12", "invalid_quantity"),
        ("QTY*17*12", "QTY*17*NaN", "invalid_quantity"),
        ("QTY*17*12", "QTY*17*1000000000", "invalid_quantity"),
        ("QTY*17*12", "QTY*02*12", "no_on_hand"),
        ("QTY*17*12*EA", "QTY*17*12*CA", "unit"),
        ("*SK*", "*BP*", "no_sku"),
        ("*SK*NG001", "*SK*WJ001-BLACK-S", "duplicate_sku"),
        ("CTT*2", "CTT*3", "wrong_count"),
        ("BIA*00", "BIA*25", "unknown_purpose"),
        ("BIA*00", "BIA*13", "unknown_purpose"),
        ("BIA*00", "BGN*00", "no_heading"),
        ("20261124", "261124", "invalid_date"),
        ("20261124", "20261324", "invalid_date"),
        ("*0600", "*2500", "invalid_date"),
        ("*0600", "*6", "invalid_date"),
    ],
)
def test_a_file_that_is_wrong_in_one_place_is_refused(old: str, new: str, code: str) -> None:
    assert refused(text(changed(old, new))).code == code


def test_the_whole_stock_and_changes_in_one_file_are_refused() -> None:
    assert refused(text(BODY, ("BIA*04*MB*1*20261124", "LIN**SK*X", "QTY*17*1"))).code == "unknown_purpose"


@pytest.mark.parametrize("cut", [0, 3, 105, 140, 200, 300, -2, -12, -24])
def test_a_truncated_file_is_not_believed(cut: int) -> None:
    assert refused(text(BODY)[:cut]).code in ("no_x12", "truncated")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (text(BODY).replace("SE*10", "SE*11"), "wrong_count"),
        (text(BODY).replace("GE*1*", "GE*2*"), "wrong_count"),
        (text(BODY).replace("IEA*1*000000001", "IEA*1*000000002"), "wrong_control"),
        (text(BODY) * 2, "duplicate_interchange"),
        (text(BODY, kind="945"), "unknown_transaction"),
    ],
)
def test_a_file_whose_envelopes_are_wrong_is_not_believed(content: str, code: str) -> None:
    assert refused(content).code == code
