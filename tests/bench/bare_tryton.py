"""The cheapest way to bring web orders into Tryton: ``python -m tests.bench.bare_tryton ACCESS COUNT SIZE [plain]``.

No ledger, no checks, no looking up, nothing but the calls: addresses, sales, quote, confirm, each for a batch.
ACCESS is JSON: ``url``, ``database``, and ``goods`` (SKU and net price). ``plain``: without freight, and to the
address that the guests' account has.
"""

from __future__ import annotations

import json
import sys
import time
from decimal import Decimal
from itertools import islice
from typing import Any

from tests.bench.web_orders import PLACED, orders

from sandbox.erp import CREDENTIALS
from sandbox.merchant import GUESTS, Erp


def main(given: str, count: str, size: str, plain: str = "") -> None:
    access = json.loads(given)
    erp, imports = Erp(access["url"], access["database"], CREDENTIALS["admin password"]), time.process_time()
    goods = [(sku, price) for sku, price in access["goods"]]
    rows = erp.rows(
        "product.product", [["code", "in", [sku for sku, _ in goods]]],
        "code", "sale_uom", "account_category.customer_taxes",
    )  # fmt: skip
    product = {row["code"]: row for row in rows}
    tax = rows[0]["account_category."]["customer_taxes"]
    [guest] = erp.rows("party.party", [["code", "=", GUESTS]], "addresses")
    [shop] = erp.rows("web.shop", [["name", "=", "Medusa"]], "company", "currency", "warehouses")
    country = erp.id_of("country.country", ["code", "=", "DE"])
    unit = erp.id_of("product.uom", ["name", "=", "Unit"])

    def address(order: dict[str, Any]) -> dict[str, Any]:
        place = order["ship_to"]
        return {"party": guest["id"], "party_name": place["name"], "street_unstructured": place["street"],
                "postal_code": place["postal_code"], "city": place["city"], "country": country}  # fmt: skip

    def line(one: dict[str, Any]) -> dict[str, Any]:
        of = product.get(one.get("sku", ""))
        quantity = Decimal(one["quantity"])
        return {
            "type": "line", "product": of and of["id"], "quantity": float(quantity),
            "unit": of["sale_uom"] if of else unit, "unit_price": Decimal(one["net"]) / quantity,
            "taxes": [["add", tax]], "description": one["title"],
        }  # fmt: skip

    def sale(order: dict[str, Any], at: int) -> dict[str, Any]:
        return {
            "company": shop["company"], "currency": shop["currency"], "party": guest["id"], "invoice_address": at,
            "shipment_address": at, "warehouse": shop["warehouses"][0], "web_shop": shop["id"],
            "web_id": order["web_id"], "sale_date": PLACED.date(), "invoice_method": "fulfillment",
            "shipment_method": "order", "shipment_cost_method": None,
            "lines": [["create", [line(one) for one in order["lines"] if "sku" in one or not plain]]],
        }  # fmt: skip

    todo, done, start = orders(int(count), goods), 0, time.perf_counter()
    while batch := list(islice(todo, int(size))):
        if plain:
            places = guest["addresses"][:1] * len(batch)
        else:
            places = erp("model.party.address.create", [address(order) for order in batch])
        sales = erp("model.sale.sale.create", [sale(*pair) for pair in zip(batch, places, strict=True)])
        erp("model.sale.sale.quote", sales)
        erp("model.sale.sale.confirm", sales)
        done += len(sales)
    inner = time.process_time() - imports
    print(json.dumps({"inner": inner, "created": done, "seconds": time.perf_counter() - start}))


if __name__ == "__main__":
    main(*sys.argv[1:])
