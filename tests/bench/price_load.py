"""Negotiated prices into a real Medusa: this package's targets against a bare client of Medusa's own API.

``python -m tests.bench.price_load [--rounds 3] [--lists 20] [--prices 1000] [--accounts 1000]``

The bare client (price_load_bare.py) is tried in several shapes of call; the one that costs least then takes turns with
the targets (price_load_ours.py), each into a fresh shop that has the variants and accounts already. It makes lists, and
prices in them, and names who sees them; it does not look whether they are there already, which the targets do. CPU is
the client's after its imports, Node's and PostgreSQL's.

Beside it, without a rival: the same told again, some prices changed, all of them withdrawn.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from tests.bench.bare_medusa import Caller, prepare
from tests.bench.measure import WORK, Postgres, Target, Usage, machine, median, run, save
from tests.bench.shops import DATABASE, Shop, fresh_shop

from sandbox import shop
from sandbox.postgres import Cluster
from sandbox.service import free_port

_SHAPES = ((580, 1), (1000, 1), (1000, 2))
"""Prices in the call that makes the list (580 is what a stock Medusa takes), connections; the rest in batches."""
_LATER = ("again", "changed", "gone")


class Bench:
    """One cluster, and how much there is to be written."""

    def __init__(self, cluster: Cluster, lists: int, prices: int, accounts: int) -> None:
        self._cluster = cluster
        self._size = {"lists": lists, "prices": prices, "accounts": accounts}

    @property
    def entries(self) -> int:
        """Prices in all lists."""
        return self._size["lists"] * self._size["prices"]

    def bare(self, size: int, lanes: int) -> Usage:
        """The bare client."""
        with self._stocked() as (there, access):
            usage = self._measured("tests.bench.price_load_bare", there, access | {"size": size, "lanes": lanes})
        return self._counted(usage)

    def ours(self) -> Usage:
        """The targets."""
        with self._stocked() as (there, access):
            usage = self._measured("tests.bench.price_load_ours", there, access | {"shop": asdict(there)})
        if usage.said["there"] != self.entries:
            raise RuntimeError(f"ours: {self.entries} prices were to be there, but {usage.said['there']}")
        return usage

    @contextmanager
    def _stocked(self) -> Iterator[tuple[Shop, dict[str, Any]]]:
        """A fresh shop with the variants and accounts, and what a client has to know of it."""
        with fresh_shop(self._cluster, WORK / "shop") as there:
            access = prepare(there.url, there.email, there.password)
            caller = Caller(there.url, access["token"])
            skus = [f"SKU-{number:05d}" for number in range(self._size["prices"])]
            for start in range(0, len(skus), 500):
                create = [_product(sku, access) for sku in skus[start : start + 500]]
                caller.call("POST", "/admin/products/batch?fields=id", json.dumps({"create": create}).encode())
            accounts = [_account(number) for number in range(self._size["accounts"])]
            for start in range(0, len(accounts), 500):
                body = {"accounts": accounts[start : start + 500]}
                caller.call("POST", "/admin/erp/accounts/batch", json.dumps(body).encode())
            self._cluster.sql("VACUUM ANALYZE", DATABASE)
            yield there, {"url": there.url, "token": access["token"], "skus": skus, **self._size}

    def _measured(self, module: str, there: Shop, given: dict[str, Any]) -> Usage:
        self._cluster.sql("CHECKPOINT")
        postgres = Postgres(self._cluster.dsn("postgres"), [DATABASE])
        settings = WORK / "price_load.settings.json"
        settings.write_text(json.dumps(given | {"node": there.process, "dsn": self._cluster.dsn("postgres")}))
        env = {"AIRFLOW_HOME": str(WORK / "airflow"), "GX_ANALYTICS_ENABLED": "false"}
        argv = [sys.executable, "-m", module, str(settings)]
        return run(argv, postgres, WORK / "candidate.log", env, {"node": there.process})

    def _counted(self, usage: Usage) -> Usage:
        """All lists with all prices, and all accounts in them, each once. Raises RuntimeError."""
        there = self._cluster.sql(
            """
            SELECT count(*), count(DISTINCT (price_set_id, price_list_id)), (
                SELECT count(*) FROM price_list_rule r, jsonb_array_elements(r.value) WHERE r.deleted_at IS NULL)
            FROM price WHERE price_list_id IS NOT NULL AND deleted_at IS NULL
            """,
            DATABASE,
        )
        if there != [f"{self.entries}|{self.entries}|{self._size['accounts']}"]:
            raise RuntimeError(f"bare: {self.entries} prices and {self._size['accounts']} members, but {there}")
        return usage


def _product(sku: str, access: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": sku, "handle": sku.lower(), "status": "published", "options": [{"title": "Size", "values": ["M"]}],
        "sales_channels": [{"id": access["channel"]}], "shipping_profile_id": access["profile"],
        "variants": [{"title": "M", "sku": sku, "options": {"Size": "M"}, "prices": []}],
    }  # fmt: skip


def _account(number: int) -> dict[str, Any]:
    code = f"A-{number:05d}"
    return {"code": code, "name": code, "status": "active", "fingerprint": "1", "buyers": [], "addresses": []}


def _cpu(usage: Usage) -> float:
    """CPU seconds of the load, without interpreter start and imports."""
    return sum(usage.said["load"][who] for who in ("client", "node", "pg"))


def _line(name: str, entries: int, usages: list[Usage]) -> str:
    parts = [median(usages, lambda u, who=who: u.said["load"][who]) for who in ("client", "node", "pg")]  # type: ignore[misc]
    cpu = median(usages, _cpu)
    seconds = min(usage.said["load"]["seconds"] for usage in usages)
    figures = " ".join(f"{part:8.2f}" for part in parts)
    return f"{name:8} {figures} {cpu:8.2f} {entries / cpu:10.0f} {seconds:8.1f} {entries / seconds:8.0f}"


def main() -> int:
    """Run it, print the table and the verdict; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lists", type=int, default=20)
    parser.add_argument("--prices", type=int, default=1000, help="in each list")
    parser.add_argument("--accounts", type=int, default=1000, help="in all, each in one list")
    options = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    shop.install()
    conditions = machine() | vars(options)
    shapes: dict[str, Usage] = {}
    results: dict[str, list[Usage]] = {"bare": [], "ours": []}
    loads = []
    cluster = Cluster(WORK / "postgres-price-load", free_port(), "bench").start()
    try:
        bench = Bench(cluster, options.lists, options.prices, options.accounts)
        for size, lanes in _SHAPES:
            usage = shapes[f"{size} x {lanes}"] = bench.bare(size, lanes)
            each = _cpu(usage) / bench.entries * 1000
            print(f"bare, {size} prices a list, {lanes} connections: {each:.3f} CPU ms each", flush=True)
        size, lanes = min(_SHAPES, key=lambda shape: _cpu(shapes[f"{shape[0]} x {shape[1]}"]))
        conditions["shape"] = [size, lanes]
        for turn in range(1, options.rounds + 1):
            for name, usage in (("bare", bench.bare(size, lanes)), ("ours", bench.ours())):
                results[name].append(usage)
                print(f"round {turn}: {name}: {_cpu(usage):.2f} CPU s", flush=True)
            loads.append(os.getloadavg()[0])
    finally:
        cluster.remove()
    print(f"\n{bench.entries} prices, load {' '.join(f'{load:.1f}' for load in loads)}")
    print("CPU s      client     node postgres    total  per CPU s   wall s    per s (min of rounds)")
    print("\n".join(_line(name, bench.entries, usages) for name, usages in results.items()))
    for name in _LATER:
        used = results["ours"][-1].said[name]
        print(f"{name:8} " + " ".join(f"{who} {value:.2f}" for who, value in used.items()))
    bare, ours = median(results["bare"], _cpu), median(results["ours"], _cpu)
    targets = [Target("prices per CPU second, as a share of the bare client's", bare / ours, at_least=0.85)]
    conditions["loads"] = loads
    save(WORK / "price_load.json", conditions=conditions, shapes=shapes, results=results, targets=targets)
    print("\n".join(["", *(target.line() for target in targets)]))
    return 0 if all(target.met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
