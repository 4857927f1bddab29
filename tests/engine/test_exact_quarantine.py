"""Exactly the bad records are set aside, however many they are and whoever finds them; all others are loaded.

The quality gate is the real one, Great Expectations on the store's PostgreSQL.
"""

from __future__ import annotations

import random
from math import log2

import pytest
from tests.engine.conftest import World

from crossdock.quality.gate import ExpectationsGate
from crossdock.sync.flows import CUSTOMERS, ITEMS

INVALID, SHORT, HEAVY = {"name": "<b>Bolt</b>"}, {"name": "x"}, {"weight": 30_000_001}
"""What pydantic refuses; what Great Expectations finds."""


@pytest.fixture(params=[CUSTOMERS, ITEMS], ids=lambda flow: flow.name)
def proved(request, clean, monkeypatch):
    """A world whose gate is real, and whose pages and batches are as large as those of real systems."""
    monkeypatch.setattr("tests.fakes._pages", lambda rows: (rows[n : n + 500] for n in range(0, len(rows), 500)))
    world = World(clean, flow=request.param)
    world.gate, world.shop.batch = ExpectationsGate(clean), 500
    yield world
    world.close()


def record(world, n, **fields):
    variants = {"variants": [{"source_id": f"{n}-1", "sku": f"N-{n}-1"}]} if world.flow is ITEMS else {}
    world.erp.put(str(n), **{"number": f"N-{n}", "name": f"Record {n}", **variants, **fields})


def planted(world, kinds, bad):
    """These many bad records among more good ones, anywhere; what is wrong with each, by number."""
    total = 2 * bad + 1000
    places = random.Random(bad).sample(range(total), bad)
    wrong = {n: kinds[place % len(kinds)] for place, n in enumerate(places)}
    for n in range(total):
        record(world, n, **wrong.get(n, {}))
    return {f"N-{n}": what for n, what in wrong.items()}, {f"N-{n}" for n in range(total) if n not in wrong}


def found(world):
    return dict(world.query("SELECT key, code FROM quarantine WHERE resolved_at IS NULL"))


CODES = {"<b>Bolt</b>": "invalid", "x": "name_too_short", None: "too_heavy"}


@pytest.mark.parametrize("bad", [1, 21, 500, 5000])
@pytest.mark.parametrize("by", ["pydantic", "great expectations", "both"])
def test_exactly_the_bad_ones_are_quarantined_and_all_others_loaded(proved, by, bad):
    gate = (SHORT, HEAVY) if proved.flow is ITEMS else (SHORT,)
    kinds = {"pydantic": (INVALID,), "great expectations": gate, "both": (INVALID, *gate)}[by]
    wrong, good = planted(proved, kinds, bad)
    settled, books = proved.sync()
    assert settled.state == "success"
    assert (books.read, books.quarantined, books.created) == (len(wrong) + len(good), bad, len(good))
    assert found(proved) == {key: CODES[what.get("name")] for key, what in wrong.items()}
    assert proved.shop.records.keys() == good
    assert {key for (key,) in proved.query("SELECT key FROM ledger WHERE target_id IS NOT NULL")} == good


def test_the_bad_ones_stay_until_they_are_mended(proved):
    wrong, good = planted(proved, (INVALID, SHORT), 21)
    proved.sync()
    assert proved.sync()[1].quarantined == 21
    mended, *rest = sorted(wrong)
    record(proved, int(mended.removeprefix("N-")))
    books = proved.sync()[1]
    assert (books.created, books.quarantined) == (1, 20)
    assert found(proved).keys() == set(rest) and proved.shop.records.keys() == good | {mended}


@pytest.mark.parametrize("place", [0, 1, 249, 250, 333, 499])
def test_one_record_that_the_target_refuses_never_stops_499(proved, place):
    for n in range(500):
        record(proved, n)
    keys = sorted(f"N-{n}" for n in range(500))
    proved.shop.refuses = {keys[place]}
    books = proved.sync()[1]
    assert (books.created, books.quarantined) == (499, 1)
    assert found(proved) == {keys[place]: "refused"}
    assert len(proved.shop.calls) <= 1.7 * log2(500) + 2
    assert proved.shop.records.keys() == set(keys) - {keys[place]}


def test_twenty_one_that_the_target_refuses_are_found_one_by_one(proved):
    for n in range(500):
        record(proved, n)
    refused = proved.shop.refuses = {f"N-{n}" for n in random.Random(21).sample(range(500), 21)}
    books = proved.sync()[1]
    assert (books.created, books.quarantined) == (479, 21) and found(proved).keys() == refused
