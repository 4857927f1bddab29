"""Prices, the whole way: hands in the ERP's price lists, Airflow's DAG, eyes on the shop as each visitor has it."""

from __future__ import annotations

import subprocess
from decimal import Decimal
from typing import Any

import pytest
from tests.buying import Buying, RunningShop
from tests.e2e.product import Product

from sandbox import merchant, opening
from sandbox.place import VENV

CONTRACT = "C0003"
"""The only account of its price list."""


@pytest.fixture(scope="module")
def goods(product: Product) -> list[str]:
    """SKUs that can be bought; all that prices need is in step and runs by itself."""
    product.only("customers", "items", "inventory")
    for dag in ("customers", "items", "inventory"):
        product.sync(dag)
    product.only("pricing")
    run = product.sync("pricing", "price_members")
    assert run["state"] == "success", run["message"]
    return opening.goods(product.stack)


@pytest.fixture(scope="module")
def running(product: Product) -> RunningShop:
    facts = product.stack.facts()["storefront"]
    return RunningShop(facts["url"], facts["publishable_key"], facts["admin_email"], facts["admin_password"])


@pytest.fixture(scope="module")
def buyer(product: Product, goods: list[str]) -> str:
    """Token of a buyer of the contract's account."""
    email = sorted(product.members(CONTRACT))[0]
    return product.as_buyer(email).headers["Authorization"].removeprefix("Bearer ")


def erp_price(product: Product, sku: str, quantity: int, price_list: int, taxes: bool = False) -> Decimal:
    """The ERP's own price, asked beside everything of ours."""
    [good] = product.erp.rows("product.product", [["code", "=", sku]], "template.account_category.customer_taxes_used")
    context: dict[str, Any] = {"price_list": price_list, "quantity": quantity}
    if taxes:
        context["taxes"] = good["template."]["account_category."]["customer_taxes_used"]
    [row] = product.erp("model.product.product.read", [good["id"]], ["sale_price_uom"], **context)
    return Decimal(row["sale_price_uom"])


def list_of(product: Product, account: str) -> int:
    [row] = product.erp.rows("party.party", [["code", "=", account]], "sale_price_list")
    return int(row["sale_price_list"])


def in_cart(running: RunningShop, sku: str, quantity: int, token: str | None = None) -> Decimal:
    """What one piece costs in a cart."""
    variants = running.get(f"/admin/product-variants?sku={sku}", running.admin)["variants"]
    [region] = running.get("/store/regions", None)["regions"]
    items = [{"variant_id": variants[0]["id"], "quantity": quantity}]
    cart = running.post("/store/carts", {"region_id": region["id"], "items": items}, token)["cart"]
    return Decimal(str(cart["items"][0]["unit_price"]))


def proved(product: Product) -> str:
    """The task that compares both sides of the newest whole run: its state."""
    run_id = product.airflow.trigger("pricing", {})
    product.airflow.wait("pricing", run_id)
    [task] = [one for one in product.airflow.tasks("pricing", run_id) if one["task_id"] == "prove"]
    return str(task["state"])


def test_every_price_of_the_merchant_is_in_the_shop_and_both_sides_say_the_same(product, goods):
    in_step = product.one("SELECT count(*) FROM crossdock.ledger WHERE flow = 'prices' AND target_id IS NOT NULL")
    assert in_step["count"] > 1_500
    lacking = product.query(
        """
        SELECT list || '|' || sku FROM crossdock.price_entry WHERE quantities <> '{}'
        EXCEPT SELECT key FROM crossdock.ledger WHERE flow = 'prices' AND target_id IS NOT NULL
        EXCEPT SELECT key FROM crossdock.parked WHERE flow = 'prices'
        """  # parked: of products that are quarantined
    )
    assert lacking == []
    assert product.query("SELECT 1 FROM crossdock.quarantine WHERE flow LIKE 'price%%' AND resolved_at IS NULL") == []
    assert proved(product) == "success"


def test_a_guest_and_a_buyer_pay_what_the_erp_asks_of_each_at_every_quantity(product, goods, running, buyer):
    retail = product.erp.id_of("product.price_list", ["name", "=", "Web retail (VAT incl.)"])
    contract = list_of(product, CONTRACT)
    for quantity in (1, 49, 50):
        guest, own = in_cart(running, goods[0], quantity), in_cart(running, goods[0], quantity, buyer)
        assert guest == erp_price(product, goods[0], quantity, retail, taxes=True)
        assert own == erp_price(product, goods[0], quantity, contract)
        assert own != guest


def test_a_line_that_is_added_in_the_erp_holds_in_the_shop_after_the_next_run(product, goods, running, buyer):
    contract = list_of(product, CONTRACT)
    [good] = product.erp("model.product.product.search", [["code", "=", goods[1]]], 0, 1, None)
    before, last = in_cart(running, goods[1], 1), product.newest_run("prices")
    own = (in_cart(running, goods[1], 1, buyer) * Decimal("0.9")).quantize(Decimal("0.01"))
    line = {"price_list": contract, "sequence": 0, "product": good, "formula": str(own)}
    [made] = product.erp.create("product.price_list.line", line)
    product.sync("pricing", "prices")
    assert product.counted("prices", "created", last) + product.counted("prices", "updated", last) > 0
    assert in_cart(running, goods[1], 1, buyer) == own
    assert in_cart(running, goods[1], 1) == before
    product.erp("model.product.price_list.line.delete", [made])
    product.sync("pricing", "prices")
    assert in_cart(running, goods[1], 1, buyer) != own


def test_a_price_that_moves_a_lot_is_held_and_what_the_shop_has_stays(product, goods, running):
    sku = goods[2]
    [good] = product.erp.rows("product.product", [["code", "=", sku]], "template")
    [template] = product.erp.rows("product.template", [["id", "=", good["template"]]], "list_price")
    before = in_cart(running, sku, 1)
    product.erp("model.product.template.write", [template["id"]], {"list_price": template["list_price"] * 3})
    try:
        product.sync("pricing", "prices")
        assert in_cart(running, sku, 1) == before
        [held] = product.query("SELECT reason FROM crossdock.held WHERE key = %s", f"base|{sku}")
        assert held["reason"] == "moves by 200 %"
    finally:
        product.erp("model.product.template.write", [template["id"]], {"list_price": template["list_price"]})
    product.sync("pricing", "prices")
    assert product.query("SELECT 1 FROM crossdock.held WHERE flow = 'prices'") == []


def test_a_price_that_somebody_changes_in_the_shop_is_seen_and_healed_by_force(product, goods, running):
    sku = goods[3]
    price = in_cart(running, sku, 1)
    Buying(running).sell(sku, float(price) + 1)
    done = subprocess.run(
        [VENV / "bin" / "crossdock", "explain", "price", sku],
        env=product.stack.airflow.env(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"{price.normalize():f} each" in done.stdout and f"{(price + 1).normalize():f} each" in done.stdout
    product.sync("pricing", "prices", keys=[f"base|{sku}"], force=True)
    assert in_cart(running, sku, 1) == price


def test_why_a_price_is_what_it_is_is_told_with_the_winning_rule_and_the_losers(product, goods):
    done = subprocess.run(
        [VENV / "bin" / "crossdock", "explain", "price", goods[0], "--account", CONTRACT, "--quantity", "10"],
        env=product.stack.airflow.env(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = done.stdout
    assert "wins" in said and "only from 50 pieces on" in said and "comes first" in said
    prices = [line.partition(": ")[2] for line in said.splitlines() if " says: " in line]
    assert len(prices) == 2 and prices[0] == prices[1]


def test_what_an_account_pays_changes_with_its_list(product, goods, running, buyer):
    contract, trade = list_of(product, CONTRACT), product.erp.id_of("product.price_list", ["name", "=", "Trade"])
    party = product.party(CONTRACT)
    product.erp("model.party.party.write", [party], {"sale_price_list": trade})
    try:
        product.sync("pricing", "price_members")
        assert in_cart(running, goods[0], 20, buyer) == erp_price(product, goods[0], 20, trade)
    finally:
        product.erp("model.party.party.write", [party], {"sale_price_list": contract})
    product.sync("pricing", "price_members")
    assert in_cart(running, goods[0], 20, buyer) == erp_price(product, goods[0], 20, contract)
    assert CONTRACT not in merchant.BLOCKED_ACCOUNTS
