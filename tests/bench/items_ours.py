"""Crossdock as a candidate in ``bench-items``: ``python -m tests.bench.items_ours SETTINGS``.

SETTINGS is JSON: ``dsn`` of an empty store, ``count`` products of the catalogue or the ``erp`` to read
(host, schema), the ``shop`` to write (url, email, password), and ``servers``: name -> process to watch.
Says for each step of the flow what everybody used: seconds, own CPU, PostgreSQL's, the servers'.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

import psycopg
from tests.bench.catalogue import CatalogueSource
from tests.bench.measure import Postgres, session_cpu
from tests.bench.ours import megabytes

from crossdock.connectors.medusa.adapter import Medusa
from crossdock.connectors.tryton.adapter import Tryton
from crossdock.quality.gate import ExpectationsGate
from crossdock.store.migrations import upgrade
from crossdock.store.postgres import PostgresStore, approve_target
from crossdock.sync import steps
from crossdock.sync.flows import ITEMS
from crossdock.sync.run import Run
from sandbox.erp import CREDENTIALS

_STEPS = (steps.extract, steps.validate, steps.transform, steps.load, steps.settle)


def _connection(name: str, **fields: Any) -> str:
    os.environ[f"AIRFLOW_CONN_{name.upper()}"] = json.dumps(fields)
    return name


def _source(settings: Mapping[str, Any]) -> Any:
    if "count" in settings:
        return CatalogueSource(settings["count"])
    extra = {"bearer": CREDENTIALS["bearer"]}
    given = {"login": CREDENTIALS["user"], "password": CREDENTIALS["password"], "extra": extra}
    return Tryton.from_connection(_connection("bench_erp", conn_type="tryton", **settings["erp"], **given)).items


def _target(shop: Mapping[str, Any]) -> Any:
    given = {"host": shop["url"], "login": shop["email"], "password": shop["password"]}
    return Medusa.from_connection(_connection("bench_shop", conn_type="medusa", **given)).items


def main(given: str) -> None:
    settings = json.loads(given)
    imports, bare = time.process_time(), megabytes("VmRSS")
    postgres = Postgres(settings["dsn"])
    with psycopg.connect(settings["dsn"]) as connection:
        upgrade(connection)
        connection.autocommit = True
        target, gate = _target(settings["shop"]), ExpectationsGate(settings["dsn"])
        run = Run("default", ITEMS, "bench", _source(settings), target, PostgresStore(connection), gate)
        approve_target(connection, run.pair, run.flow.target, target.fingerprint(), "bench")

        def clocks() -> dict[str, float]:
            servers = {name: session_cpu(process) for name, process in settings["servers"].items()}
            return {"seconds": time.perf_counter(), "client": time.process_time(), "pg": postgres.busy(), **servers}

        spent = {}
        for step in _STEPS:
            before = clocks()
            step(run)
            spent[step.__name__] = {name: value - before[name] for name, value in clocks().items()}
        inner = time.process_time() - imports
        said = {"imports": imports, "inner": inner, "bare_mb": bare, "peak_mb": megabytes("VmHWM"), "steps": spent}
        print(json.dumps(said | {"books": run.books.as_json(), "totals": run.totals}))


if __name__ == "__main__":
    main(*sys.argv[1:])
