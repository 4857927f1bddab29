"""Crossdock as a candidate in ``bench-inventory``: ``python -m tests.bench.inventory_ours load|delta SETTINGS``.

SETTINGS is JSON. ``load``: all ``skus`` at these ``locations`` through the whole flow into the ``shop`` (url, email,
password), with the ``dsn`` of an empty store and ``servers``: name -> process to watch. Says for each step what
everybody used. ``delta``: ``runs`` runs of ``changes`` SKUs each, of ``skus`` at ``locations``, into a target that
takes everything at once; a store at ``dsn`` whose ledger holds them all. Says the milliseconds of each run.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

import psycopg
from tests.bench.measure import Postgres, session_cpu
from tests.bench.ours import OpenGate
from tests.bench.stocks import LEDGER, LINKS, MadeUpStock, TakesAll

from crossdock.connectors.medusa.adapter import Medusa
from crossdock.quality.gate import ExpectationsGate
from crossdock.store.migrations import upgrade
from crossdock.store.postgres import PostgresStore, approve_target
from crossdock.sync import steps
from crossdock.sync.flows import INVENTORY
from crossdock.sync.run import Run

_STEPS = (steps.extract, steps.validate, steps.transform, steps.load, steps.settle)


def load(settings: Mapping[str, Any]) -> dict[str, Any]:
    shop = settings["shop"]
    given = {"host": shop["url"], "login": shop["email"], "password": shop["password"]}
    os.environ["AIRFLOW_CONN_BENCH_SHOP"] = json.dumps({"conn_type": "medusa", **given})
    imports = time.process_time()
    postgres = Postgres(settings["dsn"])
    with psycopg.connect(settings["dsn"]) as connection:
        _prepare(connection, settings["skus"], LINKS)
        target, gate = Medusa.from_connection("bench_shop").inventory, ExpectationsGate(settings["dsn"])
        source = MadeUpStock(range(1, settings["skus"] + 1), settings["locations"])
        run = Run("default", INVENTORY, "bench", source, target, PostgresStore(connection), gate)
        approve_target(connection, run.pair, run.flow.target, target.fingerprint(), "bench")

        def clocks() -> dict[str, float]:
            servers = {name: session_cpu(process) for name, process in settings["servers"].items()}
            return {"seconds": time.perf_counter(), "client": time.process_time(), "pg": postgres.busy(), **servers}

        spent = {}
        for step in _STEPS:
            before = clocks()
            step(run)
            spent[step.__name__] = {name: value - before[name] for name, value in clocks().items()}
        return {"inner": time.process_time() - imports, "steps": spent, "books": run.books.as_json()}


def delta(settings: Mapping[str, Any]) -> dict[str, Any]:
    changes, locations = settings["changes"], [f"WH-{n}" for n in range(settings["locations"])]
    imports, target, took = time.process_time(), TakesAll(), []
    with psycopg.connect(settings["dsn"]) as connection:
        _prepare(connection, settings["skus"], LINKS, LEDGER)
        connection.execute("ANALYZE")
        approve_target(connection, "default", INVENTORY.target, target.fingerprint(), "bench")
        first = settings["skus"] // 2
        for turn in range(settings["runs"] + 1):
            source = MadeUpStock(range(first, first + changes), locations)
            first += changes if first + 2 * changes < settings["skus"] else 0
            start = time.perf_counter()
            run = Run("default", INVENTORY, f"bench-{turn}", source, target, PostgresStore(connection), OpenGate())
            for step in _STEPS:
                step(run)
            took.append((time.perf_counter() - start) * 1000)
            if run.books.updated != changes:
                raise RuntimeError(f"{changes} SKUs were to be written, but {run.books.as_json()}")
    return {"inner": time.process_time() - imports, "ms": took[1:]}  # the first one warms up


def _prepare(connection: psycopg.Connection[Any], skus: int, *fills: str) -> None:
    upgrade(connection)
    connection.autocommit = True
    for fill in fills:
        connection.execute(fill.format(count=skus).encode())


if __name__ == "__main__":
    print(json.dumps({"load": load, "delta": delta}[sys.argv[1]](json.loads(sys.argv[2]))))
