"""Stock, end to end: hands on the real ERP, files of the 3PL, a visitor's view of the real shop, Airflow in between."""

from __future__ import annotations

import os
import subprocess
import time
from typing import Any

import pytest
from tests.buying import Buying, RunningShop
from tests.e2e.product import Product
from tests.warehouse import Warehouse, today

from crossdock.connectors.threepl.inbox import STILL
from sandbox import opening
from sandbox.place import VENV


@pytest.fixture(scope="module")
def goods(product: Product) -> list[str]:
    """SKUs that can be bought, at their places."""
    product.only("customers", "items", "pricing", "inventory", "orders")
    for dag, flow in (("customers", ""), ("items", ""), ("pricing", "prices"), ("inventory", ""), ("orders", "")):
        product.sync(dag, flow)
    product.only("customers", "inventory", "orders")
    return opening.goods(product.stack)


@pytest.fixture(scope="module")
def shop(product: Product) -> RunningShop:
    facts = product.stack.facts()["storefront"]
    return RunningShop(facts["url"], facts["publishable_key"], facts["admin_email"], facts["admin_password"])


@pytest.fixture(scope="module")
def buy(shop: RunningShop) -> Buying:
    return Buying(shop)


def visible(shop: RunningShop, buy: Buying, sku: str) -> float:
    """What a visitor is told of it, at all places together."""
    variant = buy.variant(sku)
    fields = "id,variants.id,variants.manage_inventory,+variants.inventory_quantity"
    found = shop.get(f"/store/products/{variant['product_id']}?fields={fields}")["product"]["variants"]
    return float(next(one for one in found if one["id"] == variant["id"])["inventory_quantity"])


def levels(product: Product, sku: str) -> dict[str, dict[str, Any]]:
    """By the warehouse's code, as staff sees it."""
    places = product.shop.call("/admin/stock-locations?limit=100&fields=id,metadata")["stock_locations"]
    codes = {one["id"]: (one["metadata"] or {}).get("erp_code") for one in places}
    [item] = product.shop.call(f"/admin/inventory-items?sku={sku}&fields=id,*location_levels")["inventory_items"]
    return {codes[level["location_id"]]: level for level in item["location_levels"]}


def free(product: Product, sku: str) -> dict[str, float]:
    """On hand less what is to leave, as Tryton's own API says: by warehouse."""
    [found] = product.erp.rows("product.product", [["code", "=", sku]], "id")
    told = {}
    for place in product.erp.rows("stock.location", [["type", "=", "warehouse"]], "code", "storage_location"):
        context = {"locations": [place["storage_location"]], "with_childs": True}
        [row] = product.erp("model.product.product.read", [found["id"]], ["quantity"], **context)
        moves = product.erp.rows(
            "stock.move",
            [["product", "=", found["id"]], ["state", "in", ["draft", "assigned"]],
             ["from_location", "child_of", [place["storage_location"]], "parent"]],
            "internal_quantity",
        )  # fmt: skip
        told[place["code"]] = row["quantity"] - sum(move["internal_quantity"] for move in moves)
    return told


def test_every_sku_shows_what_is_free_in_each_warehouse(product: Product, goods: list[str]) -> None:
    for sku in goods[:5]:
        expected = {code: max(0.0, some) for code, some in free(product, sku).items() if code != "WH-3PL"}
        shown = {code: level["stocked_quantity"] for code, level in levels(product, sku).items()}
        assert {code: shown[code] for code in expected} == expected, sku


def test_kits_are_worth_what_their_parts_allow(product: Product, goods: list[str]) -> None:
    kits = product.erp.rows("product.product", [["template.type", "=", "kit"]], "code")
    assert kits
    for kit in kits:
        parts = product.erp.rows(
            "product.component", [["parent_template.products.code", "=", kit["code"]]], "product.code", "quantity"
        )
        fits = min(int(max(0, free(product, one["product."]["code"])["WH-HAM"]) // one["quantity"]) for one in parts)
        assert levels(product, kit["code"])["WH-HAM"]["stocked_quantity"] == fits


def test_selling_in_both_shipping_and_cancelling_moves_the_number_once(
    product: Product, goods: list[str], shop: RunningShop, buy: Buying
) -> None:
    sku, hands = goods[0], Warehouse(product.erp)
    before = visible(shop, buy, sku)
    order = buy.as_guest("stock@guests.example", {sku: 2})["id"]
    assert visible(shop, buy, sku) == before - 2
    product.sync("orders", keys=[order])
    product.sync("inventory")
    assert visible(shop, buy, sku) == before - 2
    [sale] = product.erp.rows("sale.sale", [["web_id", "=", order]], "shipments")
    hands.leave(*sale["shipments"])
    product.sync("inventory")
    product.sync("orders", keys=[order])
    product.sync("inventory")
    assert visible(shop, buy, sku) == before - 2
    assert (
        levels(product, sku)["WH-HAM"]["reserved_quantity"] + levels(product, sku)["WH-BER"]["reserved_quantity"] == 0
    )


def test_good_and_bad_files_of_the_3pl(product: Product, goods: list[str], shop: RunningShop, buy: Buying) -> None:
    lines = (product.stack.inbox / "fulfilfast-first.csv").read_text().splitlines()[1:]
    counts = dict(line.split(",") for line in lines)
    shown = {sku: levels(product, sku)["WH-3PL"]["stocked_quantity"] for sku in goods if sku in counts}
    sku = next(sku for sku, some in shown.items() if some)
    expected = shown[sku] + 37 - int(counts[sku])
    drop(product, "fulfilfast-2.csv", {**counts, sku: "37"})
    product.sync("inventory")
    assert levels(product, sku)["WH-3PL"]["stocked_quantity"] == max(0, expected)
    drop(product, "fulfilfast-3.csv", {sku: "0"})
    product.sync("inventory")
    assert levels(product, sku)["WH-3PL"]["stocked_quantity"] == max(0, expected)
    [row] = product.query(
        "SELECT reason, remedy FROM crossdock.quarantine WHERE flow = 'inventory' AND resolved_at IS NULL"
        " AND strpos(source_id, 'fulfilfast-3') > 0"
    )
    assert "fulfilfast-3.csv" in row["reason"]


def drop(product: Product, name: str, counts: dict[str, str]) -> None:
    """A file of the warehouse that has been there long enough to be whole."""
    lines = ["sku,quantity", *map(",".join, counts.items())]
    (product.stack.inbox / name).write_text("".join(f"{line}\n" for line in lines))
    time.sleep(STILL.total_seconds() + 1)


def test_stock_edited_in_the_shop_comes_back(product: Product, goods: list[str], buy: Buying) -> None:
    before = levels(product, goods[2])["WH-HAM"]["stocked_quantity"]
    buy.stock(goods[2], {"WH-HAM": 4711})
    product.sync("inventory")
    assert levels(product, goods[2])["WH-HAM"]["stocked_quantity"] == before


def test_explain_stock_tells_every_term(product: Product, goods: list[str]) -> None:
    env = {**os.environ, **product.stack.airflow.env()}
    said = subprocess.run(
        [VENV / "bin" / "crossdock", "explain", "stock", goods[0]], env=env, capture_output=True, text=True, check=True
    ).stdout
    assert "WH-HAM: " in said and " on hand - " in said and "counted by crossdock_3pl" in said
    assert said.rstrip().endswith("The shop shows it like this.")


def test_a_move_in_the_erp_wakes_the_shop(product: Product, goods: list[str]) -> None:
    """By the change feed and the ordinary DAG, without anybody's doing."""
    sku = goods[3]
    before = levels(product, sku)["WH-HAM"]["stocked_quantity"]
    receive(product, sku, 7)
    deadline = time.monotonic() + 240
    while (now := levels(product, sku)["WH-HAM"]["stocked_quantity"]) == before and time.monotonic() < deadline:
        time.sleep(0.5)
    assert now == before + 7


def receive(product: Product, sku: str, more: int) -> None:
    """Somebody counts again in Hamburg and finds more."""
    erp = product.erp
    [place] = erp.rows("stock.location", [["code", "=", "WH-HAM"]], "storage_location")
    [found] = erp.rows("product.product", [["code", "=", sku]], "id")
    context = {"locations": [place["storage_location"]], "with_childs": True}
    [row] = erp("model.product.product.read", [found["id"]], ["quantity"], **context)
    line = {"product": found["id"], "quantity": row["quantity"] + more}
    made = erp.create("stock.inventory", {
        "location": place["storage_location"], "empty_quantity": "keep", "date": today(),
        "lines": [["create", [line]]],
    })  # fmt: skip
    erp("model.stock.inventory.confirm", made)


def test_the_books_close_and_are_shown(product: Product, goods: list[str]) -> None:
    run = product.sync("inventory", full=True)
    assert (run["state"], run["counts"].get("updated", 0)) == ("success", 0)
    [told] = product.query("SELECT count(*) FROM crossdock.ledger WHERE flow = 'inventory' AND NOT removed")
    assert run["counts"]["read"] >= told["count"] > 150
