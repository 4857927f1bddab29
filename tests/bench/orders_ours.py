"""The flow ``orders`` as a candidate in ``bench-orders``: ``python -m tests.bench.orders_ours ACCESS COUNT DSN``."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from datetime import timedelta

import psycopg
from tests.bench.ours import megabytes
from tests.bench.web_orders import PLACED, Orders

from crossdock.connectors.tryton.adapter import Tryton
from crossdock.quality.gate import ExpectationsGate
from crossdock.store.migrations import upgrade
from crossdock.store.postgres import PostgresStore, approve_target
from crossdock.sync import flows, steps
from crossdock.sync.run import Run
from sandbox.erp import CREDENTIALS, ORDERS

_STEPS = (steps.extract, steps.validate, steps.transform, steps.load, steps.settle)


def main(given: str, count: str, dsn: str) -> None:
    access, imports, bare = json.loads(given), time.process_time(), megabytes("VmRSS")
    os.environ["AIRFLOW_CONN_BENCH_ERP"] = json.dumps({
        "conn_type": "tryton", "host": access["url"], "schema": access["database"], "login": CREDENTIALS["user"],
        "password": CREDENTIALS["password"], "extra": {"bearer": CREDENTIALS["bearer"], **ORDERS},
    })  # fmt: skip
    with psycopg.connect(dsn) as connection:
        upgrade(connection)
        connection.autocommit = True
        target, source = Tryton.from_connection("bench_erp").orders, Orders(int(count), access["goods"])
        flow, store = replace(flows.ORDERS, after=""), PostgresStore(connection)
        run = Run("default", flow, "bench", source, target, store, ExpectationsGate(dsn))
        run.go_live = PLACED - timedelta(days=1)
        approve_target(connection, run.pair, run.flow.target, target.fingerprint(), "bench")
        spent = {}
        for step in _STEPS:
            start, cpu = time.perf_counter(), time.process_time()
            step(run)
            spent[step.__name__] = [time.perf_counter() - start, time.process_time() - cpu]
        said = {"imports": imports, "inner": time.process_time() - imports, "bare_mb": bare, "steps": spent}
        print(json.dumps(said | {"peak_mb": megabytes("VmHWM"), "books": run.books.as_json()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
