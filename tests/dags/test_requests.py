"""What a person may ask of a run, and what cannot be done together."""

from __future__ import annotations

from datetime import date

import pytest

from crossdock.airflow.defaults import DATES, PARAMS
from crossdock.airflow.runtime import request
from crossdock.errors import Misconfigured
from crossdock.sync.run import Request


def asked(**params):
    return request({name: param.resolve() for name, param in (PARAMS | DATES).items()} | params)


def test_a_run_that_nobody_asks_anything_of_is_an_ordinary_one():
    assert asked() == Request() == request({"mode": "apply", "force": False})


def test_dates_are_a_window_of_its_own():
    window = asked(since="2025-01-01", until="2025-02-01")
    assert window.dates == (date(2025, 1, 1), date(2025, 2, 1)) and window.scope == "2025-01-01/2025-02-01"
    assert request({"mode": "apply", "force": True}, (date(2025, 1, 1), date(2025, 2, 1))).dates == window.dates


def test_a_plan_of_dates_is_applied_with_the_same_dates():
    assert asked(since="2025-01-01", until="2025-02-01", plan=7).scope == "2025-01-01/2025-02-01"


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"since": "2025-01-01"}, "both since and until"),
        ({"until": "2025-01-01"}, "both since and until"),
        ({"since": "January", "until": "2025-02-01"}, "both since and until"),
        ({"since": "2025-02-01", "until": "2025-02-01"}, "no day from 2025-02-01"),
        ({"since": "2025-01-01", "until": "2025-02-01", "full": True}, "reads in one way"),
        ({"since": "2025-01-01", "until": "2025-02-01", "keys": ["I-1"]}, "reads in one way"),
    ],
)
def test_what_cannot_be_done_says_what_can(params, says):
    with pytest.raises(Misconfigured, match=says):
        asked(**params)
