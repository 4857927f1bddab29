"""The catalogue, the whole way: hands in the ERP, Airflow's DAG, eyes on the shop as a visitor has it."""

from __future__ import annotations

import urllib.request
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from tests.e2e.product import Product

from sandbox import merchant
from sandbox.buyers import Shop

_VISIBLE = "fields=external_id,title,handle,*variants,*variants.options,*images,*categories"


@pytest.fixture(scope="module")
def first(product: Product) -> dict[str, Any]:
    """The books of the first run: whichever it was, the first that wrote something."""
    product.only("items")
    product.sync("items")
    return product.one(
        "SELECT * FROM crossdock.run WHERE flow = 'items' AND counts ->> 'created' <> '0' ORDER BY id LIMIT 1"
    )


def in_erp(product: Product) -> dict[str, Any]:
    """Code -> name and SKUs of what is for sale."""
    rows = product.erp.rows("product.template", [["salable", "=", True]], "code", "name", "products.code")
    return {
        row["code"]: (row["name"], sorted(variant["code"] for variant in row["products."]))
        for row in rows
        if row["code"] not in merchant.PLANTED_ITEMS
    }


def as_visitor(product: Product, query: str = "") -> list[dict[str, Any]]:
    visitor = Shop(product.shop.url, {"x-publishable-api-key": product.shop.headers["x-publishable-api-key"]})
    return list(visitor.call(f"/store/products?limit=1000&{_VISIBLE}{query}")["products"])


def shown(product: Product) -> dict[str, Any]:
    """The same as a visitor of the shop sees it."""
    return {
        one["external_id"]: (one["title"], sorted(variant["sku"] for variant in one["variants"]))
        for one in as_visitor(product)
    }


def one(product: Product, code: str) -> dict[str, Any]:
    [found] = [one for one in as_visitor(product) if one["external_id"] == code]
    return found


def template(product: Product, code: str) -> int:
    return int(product.erp.id_of("product.template", ["code", "=", code], ["active", "in", [True, False]]))


def variants(product: Product, code: str) -> list[dict[str, Any]]:
    return product.erp.rows("product.product", [["template", "=", template(product, code)]], "code", "attributes")


def test_the_shops_catalogue_is_the_erps(product, first):
    assert first["state"] == "success"
    missed = {one["says"] for one in first["quality"]["expectations"] if not one["success"]}
    assert missed == {"there are products without an image", "there are products in no category"}  # the parcel service
    assert shown(product) == in_erp(product)
    assert first["counts"]["created"] == len(in_erp(product))
    assert first["totals"]["variants"] == sum(len(skus) for _, skus in in_erp(product).values())


def test_the_planted_product_is_quarantined_and_says_what_to_do(product, first):
    rows = product.query(
        "SELECT key, reason, remedy FROM crossdock.quarantine WHERE flow = 'items' AND resolved_at IS NULL"
    )
    assert [row["key"] for row in rows] == list(merchant.PLANTED_ITEMS)
    assert "cannot be told apart" in rows[0]["reason"] and rows[0]["remedy"]


def test_options_barcodes_categories_and_images_are_there(product, first):
    jacket = one(product, "WJ001")
    assert {frozenset(option["value"] for option in variant["options"]) for variant in jacket["variants"]} == {
        frozenset({color.title(), size.upper()}) for color in merchant._COLORS for size in merchant._SIZES[:3]
    }
    assert all(len(variant["ean"]) == 13 for variant in jacket["variants"])
    assert {category["name"] for category in jacket["categories"]} == {"Jackets"}
    [image] = jacket["images"]
    with urllib.request.urlopen(image["url"]) as picture:
        assert picture.status == 200 and picture.read()


def test_a_german_visitor_reads_german_where_the_erp_has_it(product, first):
    german = {item["external_id"]: item["title"] for item in as_visitor(product, "&locale=de-DE")}
    assert merchant.GERMAN_ITEMS.items() <= german.items()
    assert german["SH001"] == in_erp(product)["SH001"][0]


def test_every_sku_is_linked_to_its_variant(product, first):
    links = {row["key"]: row["target_id"] for row in product.query("SELECT key, target_id FROM crossdock.link")}
    there = {variant["sku"]: variant["id"] for item in as_visitor(product) for variant in item["variants"]}
    assert links == there


def test_a_name_changed_in_the_erp_is_the_shops_and_nothing_else_is_touched(product, first):
    before = {item["id"]: item["updated_at"] for item in product.shop.call("/admin/products?limit=1000")["products"]}
    last = product.newest_run("items")
    product.erp("model.product.template.write", [template(product, "SH001")], {"name": "Safety Helmet Ultra"})
    product.sync("items")
    assert product.counted("items", "updated", last) == 1
    assert shown(product)["SH001"][0] == "Safety Helmet Ultra"
    after = {item["id"]: item["updated_at"] for item in product.shop.call("/admin/products?limit=1000")["products"]}
    assert len({key for key in before if before[key] != after[key]}) == 1


def test_a_new_size_appears_and_an_archived_one_goes_and_comes_back(product, first):
    [small, *_] = variants(product, "ST001")
    attributes = {**small["attributes"], "size": "xl"}
    product.erp.create(
        "product.product",
        {"template": template(product, "ST001"), "suffix_code": "-XL", "attributes": attributes, "position": 9},
    )
    product.sync("items")
    assert "ST001-XL" in shown(product)["ST001"][1]
    [made] = product.shop.call("/admin/product-variants?sku=ST001-XL&fields=*prices")["variants"]
    assert made["prices"] == []  # they come from pricing, which sleeps here
    ids = {variant["sku"]: variant["id"] for variant in one(product, "ST001")["variants"]}
    left = [["remove", product.erp("model.web.shop.search", [], 0, None, None)]]  # as the form does
    product.erp("model.product.product.write", [small["id"]], {"active": False, "web_shops": left})
    product.sync("items")
    assert small["code"] not in shown(product)["ST001"][1] and "ST001-XL" in shown(product)["ST001"][1]
    product.erp("model.product.product.write", [small["id"]], {"active": True})
    product.sync("items")
    assert {variant["sku"]: variant["id"] for variant in one(product, "ST001")["variants"]} == ids


def test_an_archived_product_leaves_the_shop_and_is_the_same_when_it_is_back(product, first):
    before, number, last = one(product, "MO001"), template(product, "MO001"), product.newest_run("items")
    product.erp("model.product.template.write", [number], {"active": False})
    product.sync("items")
    assert product.counted("items", "removed", last) == 1
    assert "MO001" not in shown(product)
    assert product.shop.call(f"/admin/products/{before['id']}")["product"]["status"] == "draft"
    product.erp("model.product.template.write", [number], {"active": True})
    product.sync("items")
    assert one(product, "MO001")["id"] == before["id"]


def test_a_record_broken_in_the_erp_is_quarantined_with_its_remedy_and_leaves_when_it_is_mended(product, first):
    number = template(product, "LF001")
    product.erp("model.product.template.write", [number], {"weight": 0.0})
    product.erp("model.product.template.write", [template(product, "LF002")], {"name": "Floodlight of the others"})
    product.sync("items")
    assert shown(product)["LF002"][0] == "Floodlight of the others"
    row = product.one("SELECT * FROM crossdock.quarantine WHERE key = 'LF001' AND resolved_at IS NULL")
    assert "weight" in row["reason"] and row["remedy"]
    assert "LF001" in shown(product)  # as it was
    product.erp("model.product.template.write", [number], {"weight": 1.4})
    product.sync("items")
    [item] = product.shop.call("/admin/products?external_id=LF001&fields=weight")["products"]
    assert item["weight"] == 1400
    assert not product.query("SELECT 1 FROM crossdock.quarantine WHERE key = 'LF001' AND resolved_at IS NULL")


def test_a_deleted_product_is_unpublished_by_the_next_full_run(product, first):
    [number] = product.erp.create(
        "product.template",
        {"name": "Short-lived", "code": "GONE-1", "type": "goods", "salable": True, "list_price": Decimal(3),
         "default_uom": product.erp.id_of("product.uom", ["name", "=", "Unit"]),
         "sale_uom": product.erp.id_of("product.uom", ["name", "=", "Unit"]), "products": merchant._new({})},
    )  # fmt: skip
    product.sync("items")
    assert "GONE-1" in shown(product)
    product.erp("model.product.template.delete", [number])
    product.sync("items", full=True)
    assert "GONE-1" not in shown(product)
    [item] = product.shop.call("/admin/products?external_id=GONE-1&fields=status")["products"]
    assert item["status"] == "draft"


def test_a_run_with_nothing_to_do_writes_nothing(product, first):
    product.sync("items", full=True)
    run = product.sync("items", full=True)
    counts = {name: count for name, count in run["counts"].items() if count}
    assert counts.keys() <= {"read", "unchanged", "skipped", "quarantined", "taken_up", "repeated"}, counts


def test_nothing_is_there_twice(product, first):
    items = product.shop.call("/admin/products?limit=1000&fields=external_id,variants.sku,variants.inventory_items.*")
    numbers = Counter(item["external_id"] for item in items["products"])
    assert set(numbers.values()) == {1}
    stock = product.shop.call("/admin/inventory-items?limit=1000&fields=sku")["inventory_items"]
    skus = Counter(item["sku"] for item in stock)
    assert set(skus.values()) == {1}
    assert all(len(variant["inventory_items"]) <= 1 for item in items["products"] for variant in item["variants"])
