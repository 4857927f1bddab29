"""Something to buy: what has a price, and enough of it in stock. Standard library only."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from sandbox.buyers import Shop
from sandbox.stack import Stack

PRODUCTS = 12
PLENTY = 20
_LEVELS = "variants.inventory_items.inventory.location_levels.stocked_quantity"


def goods(stack: Stack) -> list[str]:
    """SKUs of the first products that have a price, and of which there is plenty."""
    facts = stack.facts()
    shop = Shop(facts["storefront"]["url"])
    admin = shop.log_in("user", facts["storefront"]["admin_email"], facts["storefront"]["admin_password"])
    fields = "id,variants.id,variants.sku,variants.prices.amount," + _LEVELS
    asked = {"fields": fields, "limit": PRODUCTS, "order": "handle", "status[]": "published"}
    products = admin.call(f"/admin/products?{urlencode(asked)}")["products"]
    return [
        one["sku"] for product in products for one in product["variants"] if one["prices"] and _stocked(one) >= PLENTY
    ]


def _stocked(variant: dict[str, Any]) -> float:
    levels = [level for item in variant["inventory_items"] for level in item["inventory"]["location_levels"]]
    return sum(level["stocked_quantity"] for level in levels)
