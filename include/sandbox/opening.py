"""Something to buy: a dozen products get the ERP's list price and stock, until DAGs write both.

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
_STOCK = {"WH-HAM": 200, "WH-BER": 80, "WH-3PL": 50}


def open_shop(stack: Stack) -> list[str]:
    """Price and stock the first products whose variants have no price yet; the SKUs that can be bought."""
    facts = stack.facts()
    shop = Shop(facts["storefront"]["url"])
    admin = shop.log_in("user", facts["storefront"]["admin_email"], facts["storefront"]["admin_password"])
    fields = "id,variants.id,variants.sku,variants.prices.amount,variants.inventory_items.inventory_item_id"
    asked = {"fields": fields, "limit": PRODUCTS, "order": "handle", "status[]": "published"}
    products = admin.call(f"/admin/products?{urlencode(asked)}")["products"]
    prices = _list_prices(Erp(facts["erp"]["url"], facts["erp"]["database"], CREDENTIALS["admin password"]))
    stocked: list[dict[str, Any]] = []
    skus = []
    for product in products:
        bare = [one for one in product["variants"] if not one["prices"] and one["sku"] in prices]
        update = [{"id": one["id"], "prices": [{"currency_code": "eur", "amount": prices[one["sku"]]}]} for one in bare]
        if update:
            admin.call(f"/admin/products/{product['id']}/variants/batch", {"update": update})
        stocked += [item for one in bare for item in one["inventory_items"]]
        skus += [one["sku"] for one in product["variants"] if one["prices"] or one in bare]
    places = {
        one["id"]: (one["metadata"] or {}).get("erp_code")
        for one in admin.call("/admin/stock-locations?fields=id,metadata")["stock_locations"]
    }
    levels = [
        {"inventory_item_id": item["inventory_item_id"], "location_id": place, "stocked_quantity": _STOCK[code]}
        for item in stocked
        for place, code in places.items()
        if code in _STOCK
    ]
    if levels:
        admin.call("/admin/inventory-items/location-levels/batch", {"create": levels})
    return skus


def _list_prices(erp: Erp) -> dict[str, float]:
    rows = erp.rows("product.product", [["salable", "=", True], ["code", "!=", None]], "code", "list_price_used")
    return {row["code"]: float(row["list_price_used"]) for row in rows if row["list_price_used"]}
