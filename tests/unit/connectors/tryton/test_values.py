"""Tryton's typed JSON, there and back."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from crossdock.connectors.tryton import values


@pytest.mark.parametrize(
    "value",
    [
        Decimal("12.3400"),
        datetime(2026, 11, 24, 14, 26, 39, 861825, tzinfo=UTC),
        date(2026, 2, 28),
        timedelta(hours=3, milliseconds=5),
        b"\x00PNG\xff",
        "Köln",
        None,
        {"lines": [{"quantity": 1.5}]},
    ],
)
def test_there_and_back(value: Any) -> None:
    assert values.loads(values.dumps({"value": value})) == {"value": value}


def test_every_instant_is_told_in_utc() -> None:
    berlin = timezone(timedelta(hours=1))
    said = json.loads(values.dumps(datetime(2026, 1, 1, 0, 30, tzinfo=berlin)))
    assert (said["year"], said["hour"], said["minute"]) == (2025, 23, 30)


@pytest.mark.parametrize("value", [datetime(2026, 1, 1), object()])  # noqa: DTZ001
def test_what_means_nothing_is_refused(value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        values.dumps([value])
