"""Stock into a real Medusa, and a small change among much stock.

``python -m tests.bench.inventory [--skus 10000] [--rounds 3] [--runs 9]``

First part: the first load of all SKUs at the shop's three locations. The bare client (bare_inventory.py) is tried in
several shapes of call; the one that costs least then takes turns with the whole flow, both into a shop without levels.
The flow reads made-up figures; CPU is the client's, Node's and PostgreSQL's. The target is set on levels per CPU second
of the flow's step load, which does what the bare client does, though it also looks what is there and adds up
reservations; the whole flow is shown beside it.

Second part: the milliseconds of a run of 100 changed SKUs, all five steps, on a store that holds 1,000 SKUs at ten
locations, and on one that holds 100,000: source and target take no time, PostgreSQL is real.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tests.bench.bare_medusa import Caller
from tests.bench.measure import WORK, Postgres, Target, Usage, machine, median, run, save
from tests.bench.shops import DATABASE, Shop, fresh_shop
from tests.bench.stocks import SHOP

from sandbox import shop
from sandbox.postgres import Cluster
from sandbox.service import free_port

_SHAPES = ((500, 1), (1_000, 1), (3_000, 1), (1_000, 2))
"""Levels in a call, connections."""
_TRIED_ON = 2_000
_SMALL, _LARGE, _LOCATIONS, _CHANGES = 1_000, 100_000, 10, 100


class Bench:
    """One shop for the first part, emptied between candidates."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def bare(self, there: Shop, skus: int, size: int, lanes: int) -> Usage:
        """Nothing but the calls."""
        credentials = json.dumps({"email": there.email, "password": there.password}).encode()
        login = Caller(there.url).call("POST", "/auth/user/emailpass", credentials)
        locations = self._cluster.sql("SELECT id FROM stock_location ORDER BY id", DATABASE)
        access = {"url": there.url, "token": json.loads(login)["token"], "locations": locations}
        words = [json.dumps(access), str(skus), str(size), str(lanes)]
        return self._checked(self._measured("tests.bench.bare_inventory", words, there), skus)

    def ours(self, there: Shop, skus: int) -> Usage:
        """The whole flow."""
        codes = self._cluster.sql("SELECT metadata ->> 'erp_code' FROM stock_location ORDER BY 1", DATABASE)
        dsn = self._store()
        settings = {"dsn": dsn, "skus": skus, "locations": codes, "shop": asdict(there)}
        words = ["load", json.dumps(settings | {"servers": {"node": there.process}})]
        usage = self._checked(self._measured("tests.bench.inventory_ours", words, there), skus)
        if usage.said["books"]["updated"] != skus:
            raise RuntimeError(f"{skus} SKUs were to be written, but {usage.said['books']}")
        return usage

    def delta(self, skus: int, runs: int) -> list[float]:
        """Milliseconds of each run."""
        settings = {"dsn": self._store(), "skus": skus, "locations": _LOCATIONS, "changes": _CHANGES, "runs": runs}
        words = ["delta", json.dumps(settings)]
        usage = self._measured("tests.bench.inventory_ours", words, None)
        return list(usage.said["ms"])

    def _measured(self, module: str, words: list[str], there: Shop | None) -> Usage:
        if there:
            self._cluster.sql("TRUNCATE inventory_level", DATABASE)
        self._cluster.sql("CHECKPOINT")
        postgres = Postgres(self._cluster.dsn("postgres"), [DATABASE])
        env = {"AIRFLOW_HOME": str(WORK / "airflow"), "GX_ANALYTICS_ENABLED": "false"}
        servers = {"node": there.process} if there else {}
        return run([sys.executable, "-m", module, *words], postgres, WORK / "candidate.log", env, servers)

    def _checked(self, usage: Usage, skus: int) -> Usage:
        [levels] = self._cluster.sql("SELECT count(*) FROM inventory_level WHERE stocked_quantity > 0", DATABASE)
        if int(levels) != skus * 3:
            raise RuntimeError(f"{skus * 3} levels were to be there, but {levels} are")
        return usage

    def _store(self) -> str:
        self._cluster.drop_database("bench")
        return self._cluster.create_database("bench")


def _load(usage: Usage) -> float:
    """CPU seconds of the step load, all of them."""
    return sum(spent for name, spent in usage.said["steps"]["load"].items() if name != "seconds")


def _line(name: str, levels: int, usages: list[Usage]) -> str:
    cpu = median(usages, lambda usage: usage.cpu)
    return (
        f"{name:20} {median(usages, lambda u: u.client):7.2f} {median(usages, lambda u: u.servers['node']):7.2f} "
        f"{median(usages, lambda u: u.postgres):8.2f} {cpu:7.2f} {levels / cpu:10.0f} "
        f"{min(usage.wall for usage in usages):8.1f}"
    )


def _per_step(said: Mapping[str, Any]) -> str:
    lines = [f"{'step':10}  seconds   client     node postgres  (CPU s)"]
    for name, used in said["steps"].items():
        parts = " ".join(f"{used[who]:8.2f}" for who in ("client", "node", "pg"))
        lines.append(f"{name:10} {used['seconds']:8.2f} {parts}")
    return "\n".join(lines)


def main() -> int:
    """Run both parts, print tables and verdict; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--skus", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    shop.install()
    conditions = machine() | vars(options)
    results: dict[str, list[Usage]] = {"bare": [], "ours": []}
    loads, targets = [], []
    cluster = Cluster(WORK / "postgres-inventory", free_port(), "bench").start()
    try:
        bench = Bench(cluster)
        if options.rounds:
            with fresh_shop(cluster, WORK / "shop") as there:
                cluster.sql(SHOP.format(count=options.skus), DATABASE)
                cluster.sql("VACUUM ANALYZE", DATABASE)
                tried = {shape: bench.bare(there, _TRIED_ON, *shape).cpu for shape in _SHAPES}
                for (size, lanes), cpu in tried.items():
                    print(f"bare, {size} a call, {lanes} connections: {cpu / _TRIED_ON / 3 * 1000:.3f} CPU ms a level")
                shape = conditions["shape"] = min(tried, key=lambda one: tried[one])
                for turn in range(1, options.rounds + 1):
                    results["bare"].append(bench.bare(there, options.skus, *shape))
                    results["ours"].append(bench.ours(there, options.skus))
                    loads.append(os.getloadavg()[0])
                    print(f"round {turn}: " + ", ".join(f"{k} {v[-1].cpu:.2f} CPU s" for k, v in results.items()))
            levels = options.skus * 3
            print(f"\n{levels} levels, load {' '.join(f'{load:.1f}' for load in loads)}")
            print(f"{'CPU s':20}  client    node postgres   total  per CPU s  wall s (min)")
            print("\n".join(_line(name, levels, usages) for name, usages in results.items()))
            print("the step load alone: " + " ".join(f"{_load(usage):.2f}" for usage in results["ours"]))
            print(_per_step(results["ours"][-1].said), flush=True)
            share = median(results["bare"], lambda usage: usage.cpu) / median(results["ours"], _load)
            name = "levels per CPU second of the step load, as a share of the bare client's"
            targets.append(Target(name, share, at_least=0.85))
        took = {skus: bench.delta(skus, options.runs) for skus in (_SMALL, _LARGE)}
        for skus, ms in took.items():
            spread = f"{min(ms):.0f} to {max(ms):.0f}"
            print(f"{_CHANGES} of {skus * _LOCATIONS} cells: {statistics.median(ms):.0f} ms a run ({spread})")
        small, large = (statistics.median(took[skus]) for skus in (_SMALL, _LARGE))
        targets.append(Target("a run of 100 SKUs at 1M cells, in runs at 10k cells", large / small, at_most=5))
    finally:
        cluster.remove()
    conditions["loads"] = loads
    save(WORK / "inventory.json", conditions=conditions, results=results, delta=took, targets=targets)
    print("\n".join(["", *(target.line() for target in targets)]))
    return 0 if all(target.met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
