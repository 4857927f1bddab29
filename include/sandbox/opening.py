"""Something to buy: a dozen products get the ERP's list price, until a DAG writes prices.

Standard library only.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from sandbox.buyers import Shop
from sandbox.erp import CREDENTIALS
from sandbox.merchant import Erp
from sandbox.stack import Stack

PRODUCTS = 12
PLENTY = 20
_LEVELS = "variants.inventory_items.inventory.location_levels.stocked_quantity"


def open_shop(stack: Stack) -> list[str]:
    """Price the first products whose variants have no price yet; the SKUs of which there is plenty, to be bought."""
    facts = stack.facts()
    shop = Shop(facts["storefront"]["url"])
    admin = shop.log_in("user", facts["storefront"]["admin_email"], facts["storefront"]["admin_password"])
    fields = "id,variants.id,variants.sku,variants.prices.amount," + _LEVELS
    asked = {"fields": fields, "limit": PRODUCTS, "order": "handle", "status[]": "published"}
    products = admin.call(f"/admin/products?{urlencode(asked)}")["products"]
    prices = _list_prices(Erp(facts["erp"]["url"], facts["erp"]["database"], CREDENTIALS["admin password"]))
    skus = []
    for product in products:
        bare = [one for one in product["variants"] if not one["prices"] and one["sku"] in prices]
        update = [{"id": one["id"], "prices": [{"currency_code": "eur", "amount": prices[one["sku"]]}]} for one in bare]
        if update:
            admin.call(f"/admin/products/{product['id']}/variants/batch", {"update": update})
        skus += [
            one["sku"] for one in product["variants"] if (one["prices"] or one in bare) and _stocked(one) >= PLENTY
        ]
    return skus


def _stocked(variant: dict[str, Any]) -> float:
    levels = [level for item in variant["inventory_items"] for level in item["inventory"]["location_levels"]]
    return sum(level["stocked_quantity"] for level in levels)


def _list_prices(erp: Erp) -> dict[str, float]:
    rows = erp.rows("product.product", [["salable", "=", True], ["code", "!=", None]], "code", "list_price_used")
    return {row["code"]: float(row["list_price_used"]) for row in rows if row["list_price_used"]}
