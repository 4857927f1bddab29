"""Pairs: one typed file, and none at all for the first pair."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from crossdock.airflow import pairs as module
from crossdock.errors import Misconfigured


@pytest.fixture
def declare(tmp_path, monkeypatch):
    def write(text):
        path = tmp_path / "crossdock.toml"
        path.write_text(text)
        monkeypatch.setenv("CROSSDOCK_CONFIG", str(path))
        module.pairs.cache_clear()
        return module.pairs()

    yield write
    module.pairs.cache_clear()


def test_without_a_file_there_is_the_default_pair(monkeypatch, tmp_path):
    monkeypatch.setenv("CROSSDOCK_CONFIG", str(tmp_path / "none.toml"))
    module.pairs.cache_clear()
    assert [pair.name for pair in module.pairs()] == ["default"]
    assert module.pairs()[0].suffixed("customers") == "customers"


def test_a_second_pair_has_names_of_its_own(declare):
    _, outlet = declare("[pairs.outlet]\ngo_live = 2026-06-01T00:00:00Z\noverlap_minutes = 10")
    assert outlet.suffixed("crossdock_erp") == "crossdock_erp__outlet"
    assert (outlet.go_live, outlet.overlap) == (datetime(2026, 6, 1, tzinfo=UTC), timedelta(minutes=10))


@pytest.mark.parametrize(
    "text",
    [
        "[pairs.x]\ngo_live = 2026-06-01T00:00:00",
        "[pairs.x]\ncolour = 1",
        "[pairs.'B A D']",
        "pears = 1",
        "= broken",
        "[pairs]\nx = 1",
    ],
)  # fmt: skip
def test_what_does_not_belong_there_is_named(declare, text):
    with pytest.raises(Misconfigured, match=r"crossdock\.toml"):
        declare(text)
