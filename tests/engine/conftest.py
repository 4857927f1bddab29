"""An ERP and a shop on dicts, a real PostgreSQL between them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from crossdock.domain.customer import Account
from crossdock.errors import AnswerLost, Reject, Retry, Stop
from crossdock.ports import Found, Outcome, Put, Row
from crossdock.store.migrations import upgrade
from crossdock.store.postgres import PostgresStore, approve_target
from crossdock.sync import steps
from crossdock.sync.flow import Flow
from crossdock.sync.flows import CUSTOMERS
from crossdock.sync.run import Request, Run, Verdict

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Erp:
    """Accounts by source id, each with the time of its last change."""

    name = "memory ERP"
    version = "1"

    def __init__(self) -> None:
        self.rows: dict[str, tuple[datetime, dict]] = {}
        self.clock = NOON
        self.fault: Exception | None = None
        self.unreadable: Exception | None = None

    def put(self, source_id: str, **fields) -> None:
        self.clock += timedelta(seconds=1)
        self.rows[source_id] = (self.clock, fields)

    def now(self):
        if self.fault:
            raise self.fault
        self.clock += timedelta(seconds=1)
        return self.clock

    def _row(self, source_id):
        fields = self.rows[source_id][1]
        return Row(fields.get("number") or "", source_id, json.dumps({"id": source_id, **fields}).encode())

    def changed(self, window):
        since = window.since or datetime.min.replace(tzinfo=UTC)
        found = [self._row(i) for i, (at, _) in sorted(self.rows.items()) if since <= at < window.until]
        yield from (found[:3], [], found[3:])

    def read(self, keys):
        if self.unreadable:
            raise self.unreadable
        yield [self._row(i) for i, (_, fields) in self.rows.items() if fields.get("number") in keys]

    def parts(self):
        yield []
        yield [part for source_id, (_, fields) in self.rows.items() for part in self._parts_of(source_id, fields)]

    @staticmethod
    def _parts_of(source_id, fields):
        contacts = (f"contact:{buyer['source_id']}" for buyer in fields.get("buyers", ()))
        return [f"party:{source_id}={fields.get('number')}", *contacts]

    def parse(self, raw):
        fields = json.loads(raw)
        source_id = fields.pop("id")
        if not fields.get("number"):
            raise Reject("no_number", f"record {source_id} has no number.", "Number it.")
        fields["parts"] = self._parts_of(source_id, fields)
        return Account.model_validate_json(json.dumps(fields))


class Shop:
    """What it was told, by account number. ``refuses``, ``loses`` and ``away_after`` calls play the faults."""

    name = "memory shop"
    version = "1"
    batch = 4

    def __init__(self) -> None:
        self.records: dict[str, tuple[str, str, str]] = {}
        self.calls: list[list[str]] = []
        self.refuses: set[str] = set()
        self.loses = 0
        self.away_after: int | None = None

    def fingerprint(self):
        return "memory://shop"

    def payload(self, record):
        return json.dumps({"name": record.name, "open": record.may_log_in}).encode()

    def put(self, batch: list[Put]):
        if self.away_after is not None and len(self.calls) >= self.away_after:
            raise Retry("the shop is away")
        self.calls.append([put.key for put in batch])
        if bad := self.refuses & {put.key for put in batch}:
            raise Reject("refused", f"{len(bad)} records are refused.", "Mend them.")
        for put in batch:
            before = self.records.get(put.key)
            target_id = before[0] if before else f"id-{put.key}"
            self.records[put.key] = (target_id, "" if put.op == "remove" else put.payload.decode(), put.fingerprint)
        if self.loses:
            self.loses -= 1
            raise AnswerLost("no answer")
        return [Outcome(put.key, self.records[put.key][0]) for put in batch]

    def find(self, keys):
        return {key: Found(self.records[key][0], self.records[key][2]) for key in keys if key in self.records}

    def keys(self):
        yield list(self.records)


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
        self.erp, self.shop, self.gate = Erp(), Shop(), Gate()
        self._tasks = psycopg.connect(dsn)
        self._eyes = psycopg.connect(dsn, options="-c search_path=crossdock", autocommit=True)
        with psycopg.connect(dsn) as db:
            approve_target(db, pair, "storefront", self.shop.fingerprint(), "tests")
        self.names = itertools.count(1)

    def run(self, name: str | None = None, scope: str = "*", **request) -> Run:
        return self._as_task(name or f"run-{next(self.names)}", Request(**request), scope)

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
        self.erp.clock += timedelta(hours=6)
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
def world(dsn) -> Iterator[World]:
    with psycopg.connect(dsn, options="-c search_path=crossdock") as db:
        db.execute("""
            TRUNCATE run, lease, watermark, ledger, outbox, quarantine, parked, held, target, review
            RESTART IDENTITY""")
    world = World(dsn)
    yield world
    world.close()
