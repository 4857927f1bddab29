"""Counts as CSV: what is read, and what is not believed."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from crossdock.connectors.threepl.inventory_advice import InventoryAdvice
from crossdock.connectors.threepl.inventory_csv import inventory_advice
from crossdock.errors import Reject

CAME = datetime(2026, 11, 24, 12, tzinfo=UTC)
MODIFIED = datetime(2026, 11, 24, 11, tzinfo=UTC)


def read(text: str, zone: str = "UTC") -> InventoryAdvice:
    return inventory_advice(text, ZoneInfo(zone), MODIFIED, CAME)


def refused(text: str) -> Reject:
    with pytest.raises(Reject) as caught:
        read(text)
    assert "Until then the counts before it stay." in caught.value.remedy
    return caught.value


def on_hand(text: str) -> dict[str, str]:
    return {sku: f"{one.on_hand:f}" for sku, one in read(text).stated.items()}


@pytest.mark.parametrize(
    "text",
    [
        "sku,quantity\nA,3\nB,0\n",
        "sku;quantity\r\nA;3\r\nB;0\r\n",
        'Quantity\tname\t"SKU"\n3\tScrew, small\tA\n0\tNut\tB\n',
        '"sku","quantity"\n"A","3"\n\n"B"," 0 "\n',
        "sku;quantity;;\nA;3;;\nB;0;;\n;;;\n",
        "sku;quantity\nA;3\nB;0\n#rows;2\n",
        "sku;quantity\nA;3\nA;3\nB;0\n#rows;3\n",
    ],
)
def test_counts_are_read_whatever_the_delimiter(text: str) -> None:
    assert on_hand(text) == {"A": "3", "B": "0"}


@pytest.mark.parametrize(
    ("said", "meant"), [("1.5", "1.5"), ("1,5", "1.5"), ("12,25", "12.25"), ("0,125", "0.125"), ("1000", "1000")]
)
def test_a_decimal_comma_or_point_is_read_where_it_can_be_no_other(said: str, meant: str) -> None:
    assert on_hand(f"sku;quantity\nA;{said}\n") == {"A": meant}


@pytest.mark.parametrize(
    "said",
    [
        "1.500",
        "1,500",
        "12.345,5",
        "1,234,567",
        "-3",
        "+3",
        "NaN",
        "inf",
        "1e3",
        "",
        "three",
        "=1+1",
        "1 000",
        "٣",
        "0x3",
    ],
)
def test_a_quantity_that_has_to_be_guessed_refuses_the_file(said: str) -> None:
    assert refused(f'sku;quantity\nA;"{said}"\nB;1\n').code == "invalid_quantity"


@pytest.mark.parametrize("said", ["1000000000", "999999999999999"])
def test_a_quantity_that_cannot_be_refuses_the_file(said: str) -> None:
    assert refused(f"sku;quantity\nA;{said}\n").code == "invalid_quantity"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "truncated"),
        ("\n\n", "truncated"),
        ("sku;quantity\nA;12", "truncated"),
        ("article;stock\nA;12\n", "no_csv"),
        ("sku;quantity;quantity\nA;12;1\n", "no_csv"),
        ("sku;quantity;unit;unit\nA;12;EA;EA\n", "no_csv"),
        ("sku;quantity\nA;1\0\n", "no_csv"),
        ('sku;quantity\nA;"12\nB;3\n', "no_csv"),
        ('sku;quantity\n"A"x;12\n', "no_csv"),
        ("sku;quantity;unit\nA;12\n", "wrong_columns"),
        ("sku,quantity\nA,1,5\n", "wrong_columns"),
        ("sku;quantity\nA;1\nA;2\n", "duplicate_sku"),
        ("sku;quantity\n;1\n", "invalid_sku"),
        ('sku;quantity\n"=HYPERLINK(""http://x"")";1\n', "invalid_sku"),
        ("sku;quantity\n<b>A</b>;1\n", "invalid_sku"),
        (f"sku;quantity\n{'A' * 256};1\n", "invalid_sku"),
        ("sku;quantity\nA\x07;1\n", "invalid_sku"),
        (f"sku;quantity\n{'A' * 200_000};1\n", "no_csv"),
        ("sku;quantity;unit\nA;1;CS\n", "unit"),
        ("sku;quantity\nA;1\n#rows;2\n", "wrong_count"),
        ("sku;quantity\nA;1\n#rows;\n", "wrong_count"),
        ("sku;quantity\nA;1\n#rows;1\nB;1\n", "wrong_count"),
        ("sku;quantity;counted_at\nA;1;24.11.2026\n", "invalid_date"),
        ("sku;quantity;counted_at\nA;1;0001-01-01T00:00:00+14:00\n", "invalid_date"),
    ],
)
def test_a_file_that_is_wrong_in_one_place_is_refused_with_the_place(text: str, code: str) -> None:
    assert refused(text).code == code


def test_the_line_is_named() -> None:
    assert refused("sku;quantity\nA;1\nB;many\n").reason == "Line 3: B: the quantity many is not a plain number."


@pytest.mark.parametrize(
    ("told", "zone", "at"),
    [
        ("2026-11-24T06:00:00Z", "Europe/Berlin", "2026-11-24T06:00:00+00:00"),
        ("2026-11-24 06:00", "Europe/Berlin", "2026-11-24T05:00:00+00:00"),
        ("2026-11-24", "America/Chicago", "2026-11-24T06:00:00+00:00"),
        ("2026-10-25T02:30:00", "Europe/Berlin", "2026-10-25T00:30:00+00:00"),
        ("2099-01-01T00:00:00Z", "UTC", "2026-11-24T12:00:00+00:00"),
        ("", "UTC", "2026-11-24T11:00:00+00:00"),
    ],
)
def test_when_it_was_counted(told: str, zone: str, at: str) -> None:
    advice = read(f"sku;quantity;counted_at\nA;1;{told}\n", zone)
    assert advice.stated["A"] == (Decimal(1), datetime.fromisoformat(at)) and advice.made_at.isoformat() == at
    assert advice.dated is bool(told)


def test_a_file_was_made_when_the_last_of_it_was_counted() -> None:
    advice = read("sku;quantity;counted_at\nA;1;2026-11-20\nB;1;2026-11-23\n")
    assert advice.made_at == datetime(2026, 11, 23, tzinfo=UTC)
    assert advice.stated["A"].at == datetime(2026, 11, 20, tzinfo=UTC)
    assert not read("sku;quantity;counted_at\nA;1;2026-11-20\nB;1;\n").dated
