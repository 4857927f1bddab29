"""Loaders as candidates: ``python -m tests.bench.loaders ours|serial URL DSN CALLS LIMIT``.

``ours``: the engine's load step on a real store, whose outbox its own earlier steps have filled, with a
target that calls through ``SystemHook``, as every connector does. LIMIT is the connection's
``requests_per_second``: "" where nobody knows it. ``serial``: Airflow's HttpHook in a loop, from memory.
Both say how long the writing took, from its first line to its last; starting the process is no part of it.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec
import psycopg
from airflow.providers.http.hooks.http import HttpHook
from tests.bench.catalogue import CatalogueSource, Product, products
from tests.bench.ours import OpenGate

from crossdock.connectors.hook import HttpSettings, SystemHook, lost
from crossdock.domain.item import Item
from crossdock.ports import Content, Found, Outcome, Put
from crossdock.store.migrations import upgrade
from crossdock.store.postgres import PostgresStore, approve_target
from crossdock.sync import steps
from crossdock.sync.flows import ITEMS
from crossdock.sync.run import Run

CONNECTION = "bench_paced"
BATCH = 50
LANES = 8


class PacedHook(SystemHook):
    """Calls to the slow system."""

    hook_name = "Paced"

    @cached_property
    def settings(self) -> HttpSettings:
        return self.read_settings(HttpSettings)

    def post(self, path: str, body: Any) -> dict[str, Any]:
        response = self.send("POST", path, f"POST {path}", writes=path == "/batch", data=msgspec.json.encode(body))
        if response.status_code != 200:
            lost(f"{response.status_code} from {path}", writes=True)
        answer: dict[str, Any] = msgspec.json.decode(response.content)
        return answer


class PacedTarget:
    """Implements ``ports.Target`` of items."""

    name = "Paced"
    version = "1"
    batch = BATCH
    lanes = LANES

    def __init__(self, hook: PacedHook) -> None:
        self._hook = hook

    def fingerprint(self) -> str:
        return "paced"

    def payload(self, record: Item) -> bytes:
        return msgspec.json.encode({"title": record.name, "description": record.description})

    def put(self, batch: Sequence[Put], content: Content) -> Iterable[Outcome]:
        rows = [{"key": put.key, "fingerprint": put.fingerprint, "payload": msgspec.Raw(put.payload)} for put in batch]
        answer = self._hook.post("/batch", rows)
        return [Outcome(put.key, answer[put.key]) for put in batch]

    def find(self, keys: Collection[str]) -> dict[str, Found]:
        return {key: Found(key, fingerprint) for key, fingerprint in self._hook.post("/find", list(keys)).items()}

    def match(self, records: Sequence[Item]) -> Mapping[str, Found]:
        return {}

    def keys(self) -> Iterator[Sequence[str]]:
        return iter(())


def _ours(dsn: str, records: int) -> dict[str, Any]:
    with psycopg.connect(dsn) as connection:
        upgrade(connection)
        connection.autocommit = True
        target = PacedTarget(PacedHook(http_conn_id=CONNECTION))
        run = Run("default", ITEMS, "bench", CatalogueSource(records), target, PostgresStore(connection), OpenGate())
        approve_target(connection, "default", "storefront", target.fingerprint(), "bench")
        steps.extract(run)
        steps.validate(run)
        steps.transform(run)
        start, cpu = time.perf_counter(), time.process_time()
        steps.load(run)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        steps.settle(run)
        return {"seconds": seconds, "load_cpu": cpu, "created": run.books.created}


def _row(product: Product) -> dict[str, Any]:
    told = {"title": product.name, "description": product.description}
    return {"key": product.code, "fingerprint": product.code, "payload": told}


def _serial(records: int) -> dict[str, Any]:
    rows = list(map(_row, products(records)))
    hook = HttpHook(method="POST", http_conn_id=CONNECTION)
    start, cpu = time.perf_counter(), time.process_time()
    for first in range(0, records, BATCH):
        body = json.dumps(rows[first : first + BATCH])
        hook.run("/batch", data=body, headers={"Content-Type": "application/json"})
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return {"seconds": seconds, "load_cpu": cpu, "created": records}


def main(candidate: str, url: str, dsn: str, calls: str, limit: str = "") -> None:
    extra = {"requests_per_second": float(limit)} if limit else {}
    os.environ[f"AIRFLOW_CONN_{CONNECTION.upper()}"] = json.dumps({"conn_type": "http", "host": url, "extra": extra})
    gc.freeze()
    records = int(calls) * BATCH
    print(json.dumps(_ours(dsn, records) if candidate == "ours" else _serial(records)))


if __name__ == "__main__":
    main(*sys.argv[1:])
