"""The real Tryton and the real Medusa with a line to each, and a world between them.

A test module says which kind of world it is about: ``WORLD = Accounts``.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.erp_fixtures import CONNECTION as ERP
from tests.erp_fixtures import RunningErp
from tests.faults.proxy import Line
from tests.faults.world import Store, World
from tests.shop_fixtures import CONNECTION as SHOP
from tests.shop_fixtures import Shop

from crossdock.airflow import runtime
from crossdock.airflow.pairs import Pair
from crossdock.store.migrations import upgrade
from crossdock.store.postgres import approve_target
from crossdock.sync.flows import FLOWS
from sandbox.postgres import Cluster
from sandbox.service import free_port

_pairs = itertools.count(1)


@pytest.fixture(scope="session")
def store(session: Path) -> Iterator[Store]:
    cluster = Cluster(session / "faults", free_port(), password="test-only", durable=False).start()
    dsn = cluster.create_database("store")
    # what was committed must be there after a crash: the sandbox is faster, and may lose its last second
    cluster.sql("ALTER DATABASE store SET synchronous_commit = on")
    with psycopg.connect(dsn) as db:
        upgrade(db)
    yield Store(cluster, dsn)
    cluster.remove()


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest, erp: RunningErp, shop: Shop, store: Store) -> Iterator[World]:
    yield from a_world(request.module.WORLD, "faults", erp, shop, store)


@pytest.fixture
def alone(request: pytest.FixtureRequest, erp: RunningErp, shop: Shop, store: Store) -> Iterator[World]:
    """A pair for one test: for many records, or a watermark that others had better not see."""
    yield from a_world(request.module.WORLD, "alone", erp, shop, store)


@pytest.fixture
def impatient(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hooks that wait three seconds for an answer, and one for a system that wants us to slow down."""
    monkeypatch.setattr("crossdock.connectors.hook.PATIENCE", 1)
    for side in ("ERP", "STOREFRONT"):
        name = f"AIRFLOW_CONN_CROSSDOCK_{side}__{world.pair.upper()}"
        connection = json.loads(os.environ[name])
        connection["extra"]["timeout"] = 3
        monkeypatch.setenv(name, json.dumps(connection))


def a_world(kind: type[World], name: str, erp: RunningErp, shop: Shop, store: Store) -> Iterator[World]:
    """It has one record, which is in the shop already."""
    world = kind(f"{name}{next(_pairs)}", erp, shop, store, Line(erp.url), Line(shop.url))
    setting = world.keep_apart()
    with pytest.MonkeyPatch.context() as patch:
        for side, line, given in (("ERP", world.erp_line, ERP), ("STOREFRONT", world.shop_line, SHOP)):
            connection = json.loads(os.environ[f"AIRFLOW_CONN_{given.upper()}"])
            extra = connection["extra"] | (setting if side == "ERP" else {})
            patch.setenv(
                f"AIRFLOW_CONN_CROSSDOCK_{side}__{world.pair.upper()}",
                json.dumps({**connection, "host": line.url, "extra": extra}),
            )
        patch.setenv("AIRFLOW_CONN_CROSSDOCK_DB", store.dsn.replace("postgresql://", "postgres://"))
        with psycopg.connect(store.dsn) as db:
            side = FLOWS[kind.flow].target
            approve_target(db, world.pair, side, runtime.fingerprint(side, Pair(name=world.pair)), "tests")
        world.new()
        if world.sync().state == "planned":  # other tests were here before: what is there is shown first
            world.sync(plan=world.last_run()["id"])
            world.sync()  # a plan leaves the watermark alone
        yield world
    for line in (world.erp_line, world.shop_line):
        line.close()
