"""From "order placed" in the shop to the sale at work in the ERP, on a running demo: ``make bench-freshness``.

``python -m tests.bench.freshness [--orders 30]``

Orders of guests are placed one after the other, at odd moments of the DAGs' two minutes; the ERP is asked four times
a second. Hint and poll are as the demo has them. The clock starts when the shop has answered "placed".
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import time

from tests.bench.measure import WORK, Target, machine, save
from tests.buying import Buying, RunningShop

from sandbox import opening
from sandbox.demo import FACTS
from sandbox.erp import CREDENTIALS
from sandbox.merchant import Erp
from sandbox.supervisor import DEMO

_PATIENCE = 300


def main() -> int:
    """Place, wait, tell; 1 when the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--orders", type=int, default=30)
    options = parser.parse_args()
    facts = json.loads(FACTS.read_text())
    there = facts["storefront"]
    buy = Buying(RunningShop(there["url"], there["publishable_key"], there["admin_email"], there["admin_password"]))
    erp = Erp(facts["erp"]["url"], facts["erp"]["database"], CREDENTIALS["admin password"])
    goods, luck, took = opening.goods(DEMO), random.Random(4), list[float]()
    for number in range(options.orders):
        time.sleep(luck.uniform(0, 20))
        order = buy.as_guest(f"fresh{number}@guests.example", {luck.choice(goods): 1})
        placed = time.perf_counter()
        wanted = [["web_id", "=", order["id"]], ["state", "in", ["processing", "done"]]]
        while not erp("model.sale.sale.search_count", wanted):
            if time.perf_counter() - placed > _PATIENCE:
                raise RuntimeError(f"order {order['id']} is not in the ERP after {_PATIENCE} s")
            time.sleep(0.25)
        took.append(time.perf_counter() - placed)
        print(f"{number + 1:3}  {took[-1]:5.1f} s  load {os.getloadavg()[0]:.1f}", flush=True)
    p50, p95 = statistics.median(took), statistics.quantiles(took, n=20)[-1]
    target = Target("seconds from placed to the sale in the ERP, p95", p95, at_most=15)
    WORK.mkdir(parents=True, exist_ok=True)
    save(WORK / "freshness.json", conditions=machine(), seconds=took, p50=p50, p95=p95, targets=[target])
    print(f"\n{len(took)} orders: p50 {p50:.1f} s, p95 {p95:.1f} s, longest {max(took):.1f} s\n{target.line()}")
    return 0 if target.met else 1


if __name__ == "__main__":
    sys.exit(main())
