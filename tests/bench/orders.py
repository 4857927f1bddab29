"""Web orders into a real Tryton: the flow ``orders`` against a bare batch client.

``python -m tests.bench.orders [--records 1000] [--rounds 3]``

Both take turns, each on a fresh copy of the demo's merchant (SQLite, as in the sandbox), with the same orders of
guests: three lines, freight, an address of their own. CPU is the client's and the ERP's; PostgreSQL's, which only
the flow has (the store), is counted in. The bare client looks nothing up and checks nothing; ``plain``
is the same without addresses and freight, to be compared with what was measured so.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

from tests.bench.measure import WORK, Postgres, Target, Usage, machine, median, run, save

from sandbox import erp
from sandbox.merchant import Erp
from sandbox.place import HOST
from sandbox.postgres import Cluster
from sandbox.service import free_port

_KNOWN = 0.08
"""CPU seconds per order of three lines in batches of 20: systems/tryton.md, section 4.4."""
_SIZE = 20


@contextmanager
def _fresh_erp() -> Iterator[tuple[str, int]]:
    """Its URL and process."""
    port, folder = free_port(), WORK / "erp-orders"
    erp.fresh(folder, "bench")
    server = erp.service(folder, "bench", port).start()
    try:
        server.wait()
        assert server.process
        yield f"http://{HOST}:{port}", server.process.pid
    finally:
        server.stop()


def _access(url: str) -> tuple[str, Erp]:
    there = Erp(url, "bench", erp.CREDENTIALS["admin password"])
    rows = there.rows(
        "product.product",
        [["type", "=", "goods"], ["salable", "=", True], ["account_category.name", "=", "Standard rated"]],
        "code", "list_price_used",
    )  # fmt: skip
    goods = [(row["code"], str(Decimal(row["list_price_used"]).quantize(Decimal("0.01")))) for row in rows[:30]]
    return json.dumps({"url": url, "database": "bench", "goods": goods}), there


def _check(name: str, there: Erp, records: int, usage: Usage) -> None:
    domain = [["web_id", "like", "order_bench_%"], ["state", "=", "processing"]]
    found = there("model.sale.sale.search_count", domain)
    if found != records:
        raise RuntimeError(f"{name}: {records} sales were to be at work, {found} are: {usage.said}")


def main() -> int:
    """Run the rounds, print the table and the verdict; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    erp.install()
    conditions, results = machine(), {"plain": list[Usage](), "bare": list[Usage](), "ours": list[Usage]()}
    cluster = Cluster(WORK / "postgres-orders", free_port(), "bench").start()
    env = {"AIRFLOW_HOME": str(WORK / "airflow"), "GX_ANALYTICS_ENABLED": "false"}
    try:
        for turn in range(1, options.rounds + 1):
            for name in results:
                cluster.drop_database("bench")
                dsn = cluster.create_database("bench")
                with _fresh_erp() as (url, process):
                    access, there = _access(url)
                    last = {"plain": [str(_SIZE), name], "bare": [str(_SIZE)], "ours": [dsn]}[name]
                    module = "tests.bench.orders_ours" if name == "ours" else "tests.bench.bare_tryton"
                    words = [sys.executable, "-m", module, access, str(options.records), *last]
                    postgres = Postgres(cluster.dsn("postgres"))
                    usage = run(words, postgres, WORK / "candidate.log", env, {"erp": process})
                    _check(name, there, options.records, usage)
                results[name].append(usage)
                print(
                    f"round {turn}: {name}: {usage.cpu / options.records * 1000:.1f} CPU ms an order "
                    f"(client {usage.client:.1f} s, ERP {usage.servers['erp']:.1f} s, "
                    f"PostgreSQL {usage.postgres:.1f} s), "
                    f"{options.records / usage.wall:.1f} orders/s, load {os.getloadavg()[0]:.1f}",
                    flush=True,
                )
                if name == "ours":
                    print("        " + ", ".join(f"{step} {s:.1f} s" for step, (s, _) in usage.said["steps"].items()))
    finally:
        cluster.remove()
    plain, bare, ours = (median(usages, lambda usage: usage.cpu) / options.records for usages in results.values())
    targets = [
        Target("CPU of an order, times the bare client's", ours / bare, at_most=1.3),
        Target("plain: CPU seconds of an order", plain, at_most=_KNOWN * 1.25),
    ]
    save(WORK / "orders.json", conditions=conditions, results=results, targets=targets)
    print("\n".join(["", *(target.line() for target in targets)]))
    return 0 if all(target.met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
