"""Crossdock as a candidate in ``bench-resync``: ``python -m tests.bench.resync_ours WHAT URL DSN RUNS``.

``seed`` fills the ledger as a run that wrote every record would have left it. ``everything`` is a run
with nothing to do that reads all records and all ids (``Param full``, or the first of a new mapping).
``rows`` reads all records too, because the source says they may have changed, but no ids: those are not
due (``Flow.parts_every``). ``changes`` is RUNS runs, each with 100 other records that did change, through
all five steps into a target that takes everything at once.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
from tests.bench.ours import OpenGate, megabytes
from tests.bench.source import PagesSource

from crossdock.domain.customer import Account
from crossdock.ports import Content, Found, Outcome, Put, Row, Window
from crossdock.store.migrations import upgrade
from crossdock.store.postgres import PostgresStore, approve_target
from crossdock.sync import steps
from crossdock.sync.flows import CUSTOMERS
from crossdock.sync.run import Request, Run

CHANGES = 100
_BY_THE_HOUR = replace(CUSTOMERS, parts_every=timedelta(hours=1))
_FILL = """
    INSERT INTO crossdock.ledger (pair, flow, key, source_id, target_id, raw_hash, canon_hash, parts, run_id)
    SELECT pair, flow, w.key, w.source_id, w.key, w.raw_hash, w.canon_hash, w.parts, id
    FROM crossdock.wide_{run} w, crossdock.run WHERE id = {run}"""


class TakesAll:
    """Implements ``ports.Target`` of accounts, and counts what it is asked."""

    name = "Nowhere"
    version = "1"
    batch = 100
    lanes = 1

    def __init__(self) -> None:
        self.written = 0

    def fingerprint(self) -> str:
        return "nowhere"

    def payload(self, record: Account) -> bytes:
        return record.name.encode()

    def put(self, batch: Sequence[Put], content: Content) -> Iterable[Outcome]:
        self.written += len(batch)
        return [Outcome(put.key, put.key) for put in batch]

    def find(self, keys: Collection[str]) -> dict[str, Found]:
        return {}

    def match(self, records: Sequence[Account]) -> Mapping[str, Found]:
        return {}

    def keys(self) -> Iterator[Sequence[str]]:
        return iter(())


class _Changes(PagesSource):
    """Its window holds ``CHANGES`` records of the first page, each run others, with a new postal code."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.turn = 0

    def changed(self, window: Window) -> Iterator[Sequence[Row]]:
        page = next(iter(super().changed(window)))
        first = self.turn * CHANGES % len(page)
        told = f'"postal_code":"{self.turn:02d}'.encode()
        yield [
            Row(row.key, row.source_id, row.raw.replace(b'"postal_code":"', told, 1))
            for row in page[first : first + CHANGES]
        ]


def _seed(connection: psycopg.Connection[Any], run: Run) -> None:
    upgrade(connection)
    approve_target(connection, run.pair, run.flow.target, run.target.fingerprint(), "bench")
    connection.autocommit = True
    steps.extract(run)
    connection.execute(_FILL.format(run=run.id).encode())
    run.store.advance_watermark(run)
    run.store.finish(run, "success", "seeded")


def _whole(run: Run) -> None:
    if steps.extract(run):
        steps.validate(run)
        steps.transform(run)
        steps.load(run)
    steps.settle(run)


def main(what: str, url: str, dsn: str, runs: str = "1") -> None:
    with psycopg.connect(dsn) as connection:
        target, source = TakesAll(), _Changes(url) if what == "changes" else PagesSource(url)
        flow = _BY_THE_HOUR if what in ("rows", "changes") else CUSTOMERS
        request = Request(full=what == "everything")
        imports, bare = time.process_time(), megabytes("VmRSS")
        books = []
        for turn in range(int(runs)):
            store: Any = PostgresStore(connection)
            run = Run("default", flow, f"{what} {turn}", source, target, store, OpenGate(), request)
            if isinstance(source, _Changes):
                source.turn = turn
            if what == "seed":
                _seed(connection, run)
            else:
                _whole(run)
            books.append(run.books.as_json())
        inner = time.process_time() - imports
    said = {"imports": imports, "inner": inner, "bare_mb": bare, "peak_mb": megabytes("VmHWM")}
    print(json.dumps(said | {"written": target.written, "books": books}))


if __name__ == "__main__":
    main(*sys.argv[1:])
