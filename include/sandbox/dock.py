"""The demo's 3PL: a folder into which FulfilFast puts its files, the first of them a count of all that lies there.

Standard library only.
"""

from __future__ import annotations

import csv
import os
import time
from pathlib import Path

from sandbox.erp import CREDENTIALS
from sandbox.merchant import Erp

WAREHOUSE = "WH-3PL"
RULES = """
[[pairs.default.stock]]
location = "WH-HAM"
warehouses = ["WH-HAM"]

[[pairs.default.stock]]
location = "WH-BER"
warehouses = ["WH-BER"]

[[pairs.default.stock]]
location = "WH-3PL"
warehouses = ["WH-3PL"]
feed = "crossdock_3pl"
stale_buffer = 5
"""
"""For ``crossdock.toml``."""


def first_count(inbox: Path, url: str, database: str) -> None:
    """What the ERP believes to lie at the 3PL, as the 3PL would say it; only into an empty folder."""
    inbox.mkdir(parents=True, exist_ok=True)
    if any(inbox.iterdir()):
        return
    erp = Erp(url, database, CREDENTIALS["admin password"])
    [place] = erp.rows("stock.location", [["code", "=", WAREHOUSE]], "storage_location")
    goods = {row["id"]: row["code"] for row in erp.rows("product.product", [["code", "!=", None]], "code")}
    context = {"locations": [place["storage_location"]], "with_childs": True}
    counted = erp("model.product.product.read", sorted(goods), ["quantity"], **context)
    file = inbox / "fulfilfast-first.csv"
    with file.open("w", newline="", encoding="utf-8") as out:
        lines = csv.writer(out)
        lines.writerow(["sku", "quantity"])
        lines.writerows([goods[row["id"]], f"{row['quantity']:.0f}"] for row in counted if row["quantity"])
    earlier = time.time() - 60
    os.utime(file, (earlier, earlier))
