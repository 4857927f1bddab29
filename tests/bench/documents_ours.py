"""The flow ``invoices`` as a candidate in ``bench-backfill``: ``python -m tests.bench.documents_ours FILE``.

FILE is JSON: the ``erp`` (url, database), the ``shop`` (url, email, password), ``months`` as pairs of dates, the
``dsn`` of an empty store, ``accounts`` by number, which count as told to the shop, and ``servers`` to watch. Each month
is a run of its own, as in a backfill: all steps, then the proof. Says what everybody used for all months, and for all
months once more; for each step the seconds and the CPU of client, ERP and Node; and the client's CPU in the target's
``payload`` and ``put`` alone.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

import psycopg
from tests.bench.measure import Watch, cpu_of, session
from tests.bench.ours import megabytes

from crossdock.connectors.medusa.adapter import Medusa
from crossdock.connectors.tryton.adapter import Tryton
from crossdock.domain.document import Document
from crossdock.ports import Content, Outcome, Put
from crossdock.quality.gate import ExpectationsGate
from crossdock.store.migrations import upgrade
from crossdock.store.postgres import PostgresStore, approve_target
from crossdock.sync import document_proof, steps
from crossdock.sync.flows import INVOICES
from crossdock.sync.run import Request, Run
from sandbox.erp import CREDENTIALS

_STEPS = (steps.extract, steps.validate, steps.transform, steps.load, steps.settle, document_proof.prove)
_TOLD = """
    INSERT INTO crossdock.ledger (pair, flow, key, source_id, target_id, raw_hash, canon_hash, run_id)
        SELECT 'default', 'customers', code, code, code, md5(code)::uuid, md5(code)::uuid, 0
        FROM unnest(%s::text[]) code
    """
"""As the flow ``customers`` would have left it."""


class _Timed:
    """A target, and the CPU seconds of its ``payload`` and ``put``, each in the thread that called."""

    def __init__(self, target: Any) -> None:
        self._target, self._spent = target, list[float]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    @property
    def cpu(self) -> float:
        return sum(self._spent)

    def payload(self, record: Document) -> bytes:
        start = time.thread_time()
        told: bytes = self._target.payload(record)
        self._spent.append(time.thread_time() - start)
        return told

    def put(self, batch: Sequence[Put], content: Content) -> list[Outcome]:
        start = time.thread_time()
        outcomes = list(self._target.put(batch, content))
        self._spent.append(time.thread_time() - start)
        return outcomes


def _systems(given: dict[str, Any]) -> tuple[Any, _Timed]:
    erp, shop = given["erp"], given["shop"]
    os.environ["AIRFLOW_CONN_BENCH_ERP"] = json.dumps({
        "conn_type": "tryton", "host": erp["url"], "schema": erp["database"], "login": CREDENTIALS["user"],
        "password": CREDENTIALS["password"], "extra": {"bearer": CREDENTIALS["bearer"]},
    })  # fmt: skip
    os.environ["AIRFLOW_CONN_BENCH_SHOP"] = json.dumps(
        {"conn_type": "medusa", "host": shop["url"], "login": shop["email"], "password": shop["password"]}
    )
    return Tryton.from_connection("bench_erp").invoices, _Timed(Medusa.from_connection("bench_shop").invoices)


class _Backfill:
    """All months, one after the other; ``written``: documents, ``steps``: what each used in all of them."""

    def __init__(self, given: dict[str, Any], store: PostgresStore, source: Any, target: _Timed) -> None:
        self._months = [(date.fromisoformat(since), date.fromisoformat(until)) for since, until in given["months"]]
        self._processes = {name: session(leader) for name, leader in given["servers"].items()}
        self._store, self._source, self._target = store, source, target
        self._gate = ExpectationsGate(given["dsn"])
        self.forget()

    def forget(self) -> None:
        self.written, self.steps = 0, defaultdict[str, dict[str, float]](lambda: defaultdict(float))

    def __call__(self) -> None:
        for dates in self._months:
            asked = Request(dates=dates)
            name = f"bench {time.time_ns()}"
            run = Run(
                "default", INVOICES, name, self._source, self._target, self._store, self._gate, asked, asked.scope
            )
            for step in _STEPS:
                before = self._clocks()
                step(run)
                for clock, value in self._clocks().items():
                    self.steps[step.__name__][clock] += value - before[clock]
            self.written += run.books.created + run.books.updated

    def _clocks(self) -> dict[str, float]:
        servers = {name: cpu_of(processes) for name, processes in self._processes.items()}
        return {"seconds": time.perf_counter(), "client": time.process_time(), **servers}


def main(file: str) -> None:
    import_module("crossdock.quality.suites")  # and Great Expectations, which the gate imports with its first batch
    given = json.loads(Path(file).read_text())
    source, target = _systems(given)
    watch = Watch(given["dsn"], given["servers"])
    with psycopg.connect(given["dsn"]) as connection:
        upgrade(connection)
        connection.autocommit = True
        connection.execute(_TOLD, [given["accounts"]])
        connection.execute("ANALYZE")
        approve_target(connection, "default", INVOICES.target, target.fingerprint(), "bench")
        backfill = _Backfill(given, PostgresStore(connection), source, target)
        said = {"imports": time.process_time(), "bare_mb": megabytes("VmRSS")}
        said |= {"used": watch.used(backfill), "written": backfill.written, "steps": backfill.steps}
        said["target"] = target.cpu
        backfill.forget()
        said |= {"used_again": watch.used(backfill), "written_again": backfill.written}
        print(json.dumps(said | {"peak_mb": megabytes("VmHWM")}))


if __name__ == "__main__":
    main(*sys.argv[1:])
