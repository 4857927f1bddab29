"""The store's database crashes, whatever is on its way."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from tests.erp_fixtures import RunningErp
from tests.faults import proxy
from tests.faults.accounts import Accounts
from tests.faults.conftest import a_world
from tests.faults.products import Products
from tests.faults.world import STEPS, Store, World
from tests.shop_fixtures import Shop

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module", params=[Accounts, Products])
def world(request: pytest.FixtureRequest, erp: RunningErp, shop: Shop, store: Store) -> Iterator[World]:
    yield from a_world(request.param, "crashes", erp, shop, store)


@pytest.mark.parametrize("step", STEPS[:-1])
def test_a_database_that_crashed_between_two_steps_costs_nothing(world: World, step: str) -> None:
    world.new(2)
    name, before = world.new_run(), world.writes()
    done, to_do = STEPS[: STEPS.index(step) + 1], STEPS[STEPS.index(step) + 1 :]
    for one in done:
        assert world.step(one, name)
    world.store.crash()
    assert world.query(f"SELECT count(*) FROM wide_{world.last_run()['id']}") == [{"count": 0}]
    for one in to_do:
        assert world.step(one, name)
    assert world.last_run()["state"] == "success" and world.books["created"] == 2
    assert world.writes() - before == 1
    world.in_step()


def test_a_database_that_crashed_after_the_shop_was_told_costs_nothing(world: World) -> None:
    world.new(2)
    name, before = world.new_run(), world.writes()
    for step in STEPS[:3]:
        assert world.step(step, name)
    crash = proxy.meanwhile(world.store.crash)
    with world.shop_line.fault(crash, world.batches, times=1), pytest.raises(psycopg.OperationalError):
        world.step("load", name)
    for step in STEPS[3:]:
        assert world.step(step, name)
    assert world.writes() - before == 1 and world.books["created"] == 2
    world.in_step()
