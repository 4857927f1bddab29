"""An ERP and a shop in memory, a real PostgreSQL between them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from tests.engine.documents import MemoryInvoices, MemoryShelf, know
from tests.fakes import MemoryCatalogue, MemoryItems, MemorySource, MemoryTarget

from crossdock.errors import Retry, Stop
from crossdock.store.migrations import upgrade
from crossdock.store.postgres import PostgresStore, approve_target
from crossdock.sync import steps
from crossdock.sync.flow import Flow
from crossdock.sync.flows import CUSTOMERS, INVOICES, ITEMS
from crossdock.sync.run import Request, Run, Verdict

SYSTEMS = {"customers": (MemorySource, MemoryTarget), "items": (MemoryItems, MemoryCatalogue)}
SYSTEMS["invoices"] = (MemoryInvoices, MemoryShelf)


class Gate:
    """Lets everything through until told otherwise, and remembers what it was shown."""

    def __init__(self) -> None:
        self.verdict = Verdict()
        self.shown: list[int] = []

    def check(self, suite, relation, count):
        self.shown.append(count)
        return self.verdict


class World:
    """One pair, run step by step as the DAG does."""

    def __init__(self, dsn: str, pair: str = "default", flow: Flow = CUSTOMERS) -> None:
        self.dsn, self.pair, self.flow = dsn, pair, flow
        self.erp, self.shop, self.gate = SYSTEMS[flow.name][0](), SYSTEMS[flow.name][1](), Gate()
        self._tasks = psycopg.connect(dsn)
        self._eyes = psycopg.connect(dsn, options="-c search_path=crossdock", autocommit=True)
        with psycopg.connect(dsn) as db:
            approve_target(db, pair, "storefront", self.shop.fingerprint(), "tests")
        self.names = itertools.count(1)

    def run(self, name: str | None = None, scope: str = "", **request) -> Run:
        asked = Request(**request)
        return self._as_task(name or f"run-{next(self.names)}", asked, scope or asked.scope)

    def _as_task(self, name: str, request: Request, scope: str) -> Run:
        store = PostgresStore(self._tasks)
        return Run(self.pair, self.flow, name, self.erp, self.shop, store, self.gate, request, scope)

    def step(self, run: Run, step: str):
        """One task: it knows the run by its name, and nothing else."""
        again = self._as_task(run.airflow_run, run.request, run.scope)
        try:
            return getattr(steps, step)(again)
        finally:
            run.id, run.books = again.id, again.books

    def sync(self, name: str | None = None, **request):
        """A whole run as Airflow would drive it. Returns how it ended and its books."""
        run = self.run(name, **request)
        try:
            go = True
            for step in ("extract", "validate", "transform", "load"):
                go = go and self.step(run, step)
        except (Retry, Stop):
            with pytest.raises(Stop):
                self.step(run, "settle")
            raise
        settled = self.step(run, "settle")
        return settled, run.books

    def steps(self, run: Run, *names: str) -> None:
        for name in names:
            self.step(run, name)

    def later(self) -> None:
        """Hours pass, with one idle run: what was read before now lies outside the overlap."""
        self.erp.ahead += timedelta(hours=6)
        self.sync()

    def query(self, text: str, *values):
        return self._eyes.execute(text, values).fetchall()

    def close(self) -> None:
        self._tasks.close()
        self._eyes.close()


@pytest.fixture(scope="session")
def dsn(pg) -> str:
    dsn = pg.create_database("engine")
    with psycopg.connect(dsn) as db:
        upgrade(db)
    return dsn


@pytest.fixture
def world(clean) -> Iterator[World]:
    world = World(clean)
    yield world
    world.close()


@pytest.fixture
def catalogue(clean) -> Iterator[World]:
    """The same with products."""
    world = World(clean, flow=ITEMS)
    yield world
    world.close()


@pytest.fixture
def archive(clean) -> Iterator[World]:
    """The same with invoices, of an account that the shop has."""
    world = World(clean, flow=INVOICES)
    know(world)
    yield world
    world.close()


@pytest.fixture
def clean(dsn) -> str:
    with psycopg.connect(dsn, options="-c search_path=crossdock") as db:
        db.execute("""
            TRUNCATE run, lease, watermark, ledger, outbox, quarantine, parked, held, target, review, link,
                     override, acceptance, question, price_state, price_layer, price_rule, price_article, price_member,
                     price_list, price_entry
            RESTART IDENTITY""")
    return dsn
