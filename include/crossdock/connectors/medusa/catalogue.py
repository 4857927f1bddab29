"""Reading the shop's products."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from crossdock.connectors.medusa.api import Api, for_urls

Json = dict[str, Any]

_WHOLE = (
    "id,external_id,handle,status,metadata,sales_channels.id,shipping_profile.id,"
    "variants.id,variants.sku,variants.metadata,variants.manage_inventory,"
    "variants.inventory_items.inventory_item_id,variants.price_set_link.price_set_id"
)
_FULL = (
    f"{_WHOLE},title,description,weight,length,width,height,thumbnail,type_id,categories.id,"
    "images.id,images.url,images.rank,options.id,options.title,options.values.id,options.values.value,"
    "variants.title,variants.ean,variants.upc,variants.barcode,variants.allow_backorder,variants.variant_rank,"
    "variants.options.id"
)
_MANY = 10_000
_PAGE = 1000


class Catalogue:
    """Products, variants and inventory items, looked up by what Crossdock knows of them."""

    def __init__(self, api: Api) -> None:
        self._api = api

    @property
    def is_empty(self) -> bool:
        """True when the shop has no product at all."""
        return not self._api.get("/admin/products", {"limit": 1, "fields": "id"})["count"]

    def products(self, ids: Collection[str]) -> dict[str, Json]:
        """All that is compared, by id."""
        return {one["id"]: one for one in self._read("products", "id", ids, _FULL)}

    def ours(self, keys: Collection[str]) -> dict[str, Json]:
        """What says whether a product is whole, by the ERP's key; of two the one made first."""
        found: dict[str, Json] = {}
        for product in self._read("products", "external_id", keys, _WHOLE):
            known = found.setdefault(product["external_id"], product)
            if product["id"] < known["id"]:
                found[product["external_id"]] = product
        return found

    def handles(self, handles: Collection[str]) -> dict[str, Json]:
        """Id and external_id by handle."""
        return {one["handle"]: one for one in self._read("products", "handle", handles, "id,handle,external_id")}

    def holders(self, skus: Collection[str]) -> dict[str, Json]:
        """The product (id, external_id, handle) that holds a SKU, by SKU."""
        fields = "id,sku,product.id,product.external_id,product.handle"
        return {one["sku"]: one["product"] for one in self._read("product-variants", "sku", skus, fields)}

    def inventory_items(self, skus: Collection[str]) -> dict[str, str]:
        """Ids by SKU."""
        return {one["sku"]: one["id"] for one in self._read("inventory-items", "sku", skus, "id,sku")}

    def keys(self) -> Iterator[list[str]]:
        """What each product is known by: the ERP's key, or the handle of those that people made."""
        offset = 0
        params = {"fields": "id,external_id,handle", "limit": _PAGE, "order": "id"}
        while page := self._api.get("/admin/products", {**params, "offset": offset})["products"]:
            yield [one["external_id"] or one["handle"] for one in page]
            offset += len(page)

    def _read(self, path: str, name: str, values: Collection[str], fields: str) -> Iterator[Json]:
        for some in for_urls(values):
            answer: Mapping[str, Any] = self._api.get(
                f"/admin/{path}", {f"{name}[]": some, "fields": fields, "limit": _MANY}
            )
            for one in answer[path.replace("-", "_").removeprefix("product_")]:
                yield _without_gaps(one)


def _without_gaps(product: Json) -> Json:
    """Medusa leaves out links that lead nowhere."""
    if "external_id" in product:
        product.setdefault("shipping_profile", None)
        for name in ("sales_channels", "variants"):
            product[name] = [one for one in product.get(name) or () if one]
        for variant in product["variants"]:
            variant.setdefault("price_set_link", None)
            variant["inventory_items"] = [one for one in variant.get("inventory_items") or () if one]
    return product
