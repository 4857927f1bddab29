"""Products into a real Medusa: the flow ``items`` against a bare client, and from a real Tryton.

``python -m tests.bench.items [--records 10000] [--rounds 3] [--variants 10000,100000]``

First part: the bare client (bare_medusa.py) is tried in several shapes of call on 2,000 products; the one
that costs least then takes turns with the whole flow, both into fresh shops. The flow reads made-up
products of the same content; CPU is the client's, Node's and PostgreSQL's. The target is set on records
per CPU second of the flow's step load, which does what the bare client does; the whole flow is shown
beside it (it also reads, validates and runs Great Expectations, and imports Airflow's hooks and these).

Second part (``--variants ""`` leaves it out): a Tryton on PostgreSQL that was filled by SQL (grow.sql),
read, checked and loaded by the flow, into a fresh shop each time; once per size, nothing is compared.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from tests.bench.bare_medusa import prepare
from tests.bench.erps import big_erp
from tests.bench.measure import WORK, Postgres, Target, Usage, machine, median, run, save
from tests.bench.shops import DATABASE, fresh_shop

from sandbox import shop
from sandbox.postgres import Cluster
from sandbox.service import free_port

_SHAPES = ((500, 1), (200, 1), (100, 1), (500, 2), (200, 2), (100, 2))
"""Products in a call, connections."""
_TRIED_ON = 2_000
_KNOWN_NODE_MS, _KNOWN_PG_MS = 5.0, 0.5
"""systems/medusa.md, section 4: products of one variant at 500 a call, on another machine."""


class Bench:
    """One cluster for shops, stores and the ERP."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def bare(self, records: int, size: int, lanes: int) -> Usage:
        """The bare client into a fresh shop."""
        with fresh_shop(self._cluster, WORK / "shop") as there:
            access = prepare(there.url, there.email, there.password)
            words = [json.dumps(access), str(records), str(size), str(lanes)]
            usage = self._measured("tests.bench.bare_medusa", words, {"node": there.process})
            return self._counted(usage)

    def ours(self, records: int) -> Usage:
        """The flow into a fresh shop, from made-up products."""
        with fresh_shop(self._cluster, WORK / "shop") as there, self._store() as dsn:
            settings = {"dsn": dsn, "count": records, "shop": asdict(there), "servers": {"node": there.process}}
            usage = self._measured("tests.bench.items_ours", [json.dumps(settings)], {"node": there.process})
            return self._counted(usage)

    def real(self, variants: int) -> Usage:
        """The flow from a real Tryton into a fresh shop."""
        with (
            big_erp(self._cluster, variants, WORK) as erp,
            fresh_shop(self._cluster, WORK / "shop") as there,
            self._store() as dsn,
        ):
            servers = {"erp": erp.process, "node": there.process}
            settings = {"dsn": dsn, "erp": {"host": erp.url, "schema": erp.database}, "shop": asdict(there)}
            words = [json.dumps(settings | {"servers": servers})]
            return self._counted(self._measured("tests.bench.items_ours", words, servers, erp.database))

    def _measured(self, module: str, words: list[str], servers: Mapping[str, int], *lasting: str) -> Usage:
        self._cluster.sql("CHECKPOINT")
        postgres = Postgres(self._cluster.dsn("postgres"), [DATABASE, *lasting])
        env = {"AIRFLOW_HOME": str(WORK / "airflow"), "GX_ANALYTICS_ENABLED": "false"}
        return run([sys.executable, "-m", module, *words], postgres, WORK / "candidate.log", env, servers)

    def _counted(self, usage: Usage) -> Usage:
        """What the shop holds, by its own tables."""
        for table, where in (("product", "status = 'published'"), ("product_variant", ""), ("inventory_item", "")):
            condition = " AND ".join(filter(None, ("deleted_at IS NULL", where)))
            usage.said[table] = int(self._cluster.sql(f"SELECT count(*) FROM {table} WHERE {condition}", DATABASE)[0])
        return usage

    @contextmanager
    def _store(self) -> Iterator[str]:
        self._cluster.drop_database("bench")
        yield self._cluster.create_database("bench")
        self._cluster.drop_database("bench")


def _check(name: str, usage: Usage, records: int) -> None:
    """All products, each once, with variant and inventory item. Raises RuntimeError."""
    said = usage.said
    there = {said[table] for table in ("product", "product_variant", "inventory_item")}
    if there != {records} or said.get("books", {}).get("created", records) != records:
        raise RuntimeError(f"{name}: {records} products were to be there, but {said}")


def _check_real(usage: Usage) -> None:
    said = usage.said
    if said["product"] != said["books"]["created"] or said["product_variant"] < said["totals"]["variants"]:
        raise RuntimeError(f"the shop does not hold what the books say: {said}")


def _line(name: str, records: int, usages: list[Usage]) -> str:
    wall = min(usage.wall for usage in usages)
    cpu, postgres = median(usages, lambda usage: usage.cpu), median(usages, lambda usage: usage.postgres)
    return (
        f"{name:20} {median(usages, lambda u: u.client):7.2f} {median(usages, lambda u: u.servers['node']):7.2f} "
        f"{postgres:8.2f} {cpu:7.2f} {records / cpu:10.1f} {wall:8.1f} {records / wall:8.0f}"
    )


def _per_step(said: Mapping[str, Any]) -> Iterator[str]:
    books, totals = said["books"], said["totals"]
    yield f"read {books['read']}, created {books['created']} products with {totals['variants']} variants: {books}"
    yield f"{'step':10}  seconds   rows/s   client      erp     node postgres  (CPU s)"
    for name, used in said["steps"].items():
        rows = books["created"] if name in ("transform", "load", "settle") else books["read"]
        parts = " ".join(f"{used.get(who, 0):8.2f}" for who in ("client", "erp", "node", "pg"))
        yield f"{name:10} {used['seconds']:8.2f} {rows / max(used['seconds'], 0.001):8.0f} {parts}"
    yield f"memory above the bare process: {said['peak_mb'] - said['bare_mb']:.0f} MB"


def _load(usage: Usage) -> float:
    """CPU seconds of the step load, all of them."""
    return sum(spent for name, spent in usage.said["steps"]["load"].items() if name != "seconds")


def _targets(records: int, results: Mapping[str, list[Usage]]) -> list[Target]:
    ours, bare = median(results["ours"], _load), median(results["bare"], lambda usage: usage.cpu)
    node, pg = (median(results["bare"], what) for what in (lambda u: u.servers["node"], lambda u: u.postgres))
    return [
        Target("records per CPU second of the step load, as a share of the bare client's", bare / ours, at_least=0.9),
        Target("bare: Node's CPU ms per product", node / records * 1000, at_most=_KNOWN_NODE_MS * 1.25),
        Target("bare: PostgreSQL's CPU ms per product", pg / records * 1000, at_most=_KNOWN_PG_MS * 1.25),
    ]


def main() -> int:
    """Run both parts, print tables and verdict; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--variants", default="10000,100000", help="sizes of the real ERP, empty for none")
    options = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    shop.install()
    conditions = machine() | {"records": options.records, "rounds": options.rounds}
    shapes: dict[str, Usage] = {}
    results: dict[str, list[Usage]] = {"bare": [], "ours": []}
    real: dict[str, Usage] = {}
    targets: list[Target] = []
    loads = []
    cluster = Cluster(WORK / "postgres-items", free_port(), "bench").start()
    try:
        bench = Bench(cluster)
        if options.rounds:
            for size, lanes in _SHAPES:
                usage = shapes[f"{size} x {lanes}"] = bench.bare(_TRIED_ON, size, lanes)
                _check("bare", usage, _TRIED_ON)
                print(
                    f"bare, {size} a call, {lanes} connections: {usage.cpu / _TRIED_ON * 1000:.2f} CPU ms", flush=True
                )
            size, lanes = min(_SHAPES, key=lambda shape: shapes[f"{shape[0]} x {shape[1]}"].cpu)
            conditions["shape"] = [size, lanes]
        for turn in range(1, options.rounds + 1):
            for name, usage in (
                ("bare", bench.bare(options.records, size, lanes)),
                ("ours", bench.ours(options.records)),
            ):
                _check(name, usage, options.records)
                results[name].append(usage)
                print(f"round {turn}: {name}: {usage.cpu:.2f} CPU s, {usage.wall:.1f} s", flush=True)
            loads.append(os.getloadavg()[0])
        if options.rounds:
            targets = _targets(options.records, results)
            print(f"\n{options.records} products, load {' '.join(f'{load:.1f}' for load in loads)}")
            print(f"{'CPU s':20}  client    node postgres   total  per CPU s  wall s  per s (min of rounds)")
            print("\n".join(_line(name, options.records, usages) for name, usages in results.items()))
            print("the step load alone: " + " ".join(f"{_load(usage):.2f}" for usage in results["ours"]))
            print("\n".join(_per_step(results["ours"][-1].said)), flush=True)
        for variants in filter(None, options.variants.split(",")):
            usage = real[variants] = bench.real(int(variants))
            _check_real(usage)
            print(f"\nfrom Tryton, {variants} variants more, load {os.getloadavg()[0]:.1f}, {usage.wall:.0f} s")
            print("\n".join(_per_step(usage.said)), flush=True)
    finally:
        cluster.remove()
    conditions["loads"] = loads
    save(WORK / "items.json", conditions=conditions, shapes=shapes, results=results, real=real, targets=targets)
    print("\n".join(["", *(target.line() for target in targets)]))
    return 0 if all(target.met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
