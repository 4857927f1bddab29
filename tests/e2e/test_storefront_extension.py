"""The ERP extension of the real shop: who gets in, at which prices, and what a stranger cannot get."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
import requests
from tests.shop_fixtures import DATABASE, Refused, Shop, a_buyer, email_of, new_account

pytestmark = pytest.mark.e2e

LIST_PRICE, CONTRACT_PRICE = 100, 70


@pytest.fixture(scope="module")
def variant(shop: Shop) -> str:
    """A product every visitor can buy at the list price."""
    profile = shop.get("/admin/shipping-profiles", shop.admin)["shipping_profiles"][0]["id"]
    channel = shop.get("/admin/sales-channels", shop.admin)["sales_channels"][0]["id"]
    product = {
        "title": "Pump", "handle": "pump", "status": "published", "shipping_profile_id": profile,
        "sales_channels": [{"id": channel}], "options": [{"title": "Size", "values": ["M"]}],
        "variants": [
            {
                "title": "M", "sku": "PUMP-M", "options": {"Size": "M"}, "manage_inventory": False,
                "prices": [{"currency_code": "eur", "amount": LIST_PRICE}],
            }
        ],
    }  # fmt: skip
    return str(shop.post("/admin/products", product, shop.admin)["product"]["variants"][0]["id"])


@pytest.fixture
def contract(shop: Shop, variant: str) -> Callable[[dict[str, Any]], None]:
    """Gives an account, already written, its own price."""

    def give(account: dict[str, Any], amount: int = CONTRACT_PRICE) -> None:
        (group,) = shop.sql(f"SELECT group_id FROM erp_account WHERE code = '{account['code']}'")
        prices = {
            "title": account["code"], "description": "contract", "type": "override", "status": "active",
            "rules": {"customer.groups.id": [group]},
            "prices": [{"variant_id": variant, "currency_code": "eur", "amount": amount}],
        }  # fmt: skip
        shop.post("/admin/price-lists", prices, shop.admin)

    return give


@pytest.fixture
def new_cart(shop: Shop, variant: str) -> Callable[..., dict[str, Any]]:
    """Opens a cart with one pump."""
    region = shop.get("/admin/regions", shop.admin)["regions"][0]["id"]

    def open_cart(token: str | None = None, **fields: Any) -> dict[str, Any]:
        items = [{"variant_id": variant, "quantity": 1}]
        return dict(shop.post("/store/carts", {"region_id": region, "items": items, **fields}, token)["cart"])

    return open_cart


ADDRESS = {
    "first_name": "A",
    "last_name": "B",
    "address_1": "X 1",
    "city": "Y",
    "postal_code": "1",
    "country_code": "de",
}


def check_out(shop: Shop, cart: str, token: str | None = None) -> dict[str, Any]:
    """From a filled cart to an order, seen with the administrator's eyes."""
    pay(shop, cart, token)
    order = shop.post(f"/store/carts/{cart}/complete", None, token)["order"]["id"]
    fields = "email,metadata,customer.id,customer.has_account,*customer.groups,items.unit_price"
    return dict(shop.get(f"/admin/orders/{order}?fields={fields}", shop.admin)["order"])


def pay(shop: Shop, cart: str, token: str | None) -> None:
    """Everything but the order."""
    shop.post(f"/store/carts/{cart}", {"shipping_address": ADDRESS, "billing_address": ADDRESS}, token)
    option = shop.get(f"/store/shipping-options?cart_id={cart}", token)["shipping_options"][0]["id"]
    shop.post(f"/store/carts/{cart}/shipping-methods", {"option_id": option}, token)
    collection = shop.post("/store/payment-collections", {"cart_id": cart}, token)["payment_collection"]["id"]
    provider = {"provider_id": "pp_system_default"}
    shop.post(f"/store/payment-collections/{collection}/payment-sessions", provider, token)


def prices(cart: dict[str, Any]) -> list[float]:
    return [item["unit_price"] for item in cart["items"]]


def refused(status: int) -> pytest.RaisesExc[Refused]:
    return pytest.raises(Refused, check=lambda error: error.status == status)


# ------------------------------------------------------------------ login


def test_a_buyer_sets_a_password_from_the_reset_mail_and_buys_at_the_contract_price(shop, contract, new_cart):
    account = new_account()
    shop.put(account)
    contract(account)
    email = email_of(account)
    with refused(401):
        shop.login(email, "")
    shop.post("/auth/customer/emailpass/reset-password", {"identifier": email.upper()})
    mail = shop.mailbox.wait_for(email, "password")
    link = re.search(r"(http\S+)#token=(\S+)", mail["text"])
    assert "<form>" in shop.session.get(link[1]).text
    shop.post("/auth/customer/emailpass/update", {"password": "correct horse"}, link[2])
    with refused(401):  # the link works once
        shop.post("/auth/customer/emailpass/update", {"password": "other"}, link[2])
    token = shop.login(email.title(), "correct horse")
    assert [a["code"] for a in shop.get("/store/erp/accounts", token)["accounts"]] == [account["code"]]
    order = check_out(shop, new_cart(token)["id"], token)
    assert prices(order) == [CONTRACT_PRICE]
    assert order["metadata"]["erp_account"] == account["code"]


def test_history_causes_no_mail(shop):
    before = len(shop.mailbox.mails())
    shop.put(new_account(), new_account())
    time.sleep(0.5)
    assert len(shop.mailbox.mails()) == before


def test_blocked_and_archived_accounts_are_refused_and_come_back(shop, contract, new_cart):
    account = new_account()
    email = email_of(account)
    shop.put(account)
    contract(account)
    token = shop.set_password(email)
    cart = new_cart(token)
    for status in ("blocked", "archived"):
        shop.put({**account, "status": status})
        assert shop.groups(email) == []
        with refused(401):
            shop.get("/store/customers/me", token)
        with refused(401):
            shop.login(email, "correct horse")
        with refused(401):
            shop.post("/auth/token/refresh", None, token)
        with refused(401):
            check_out(shop, cart["id"], token)
    shop.put(account)
    with refused(401):  # the old session stays dead
        shop.get("/store/customers/me", token)
    token = shop.login(email, "correct horse")
    assert prices(check_out(shop, cart["id"], token)) == [CONTRACT_PRICE]


def test_a_blocked_buyer_gets_no_reset_mail(shop):
    account = new_account()
    shop.put({**account, "status": "blocked"})
    shop.post("/auth/customer/emailpass/reset-password", {"identifier": email_of(account)})
    time.sleep(1)
    assert not [mail for mail in shop.mailbox.mails() if email_of(account) in mail["to"]]


def test_a_dismissed_buyer_loses_session_group_addresses_and_prices(shop, contract, new_cart):
    account = new_account()
    email = email_of(account)
    shop.put(account)
    contract(account)
    token = shop.set_password(email)
    cart = new_cart(token)["id"]
    assert [a["address_1"] for a in shop.get("/store/customers/me", token)["customer"]["addresses"]] == ["Kai 1"]
    shop.put({**account, "buyers": []})
    with refused(401):
        shop.get("/store/customers/me", token)
    token = shop.login(email, "correct horse")  # he is an ordinary shopper now
    assert shop.get("/store/erp/accounts", token)["accounts"] == []
    assert shop.get("/store/customers/me", token)["customer"]["addresses"] == []
    assert shop.groups(email) == []
    order = check_out(shop, cart, token)
    assert prices(order) == [LIST_PRICE]
    assert "erp_account" not in order["metadata"]


# ------------------------------------------------------------------ takeover


def forged(account: dict[str, Any]) -> dict[str, Any]:
    return {
        "company_name": account["name"],
        "metadata": {"erp_account": account["code"], "tax_id": "DE999999999", "own": "1"},
    }


def test_who_registered_first_under_a_buyers_e_mail_gets_nothing(shop, contract, new_cart):
    account = new_account()
    email = email_of(account)
    shop.put({**account, "buyers": []})
    contract(account)
    token = shop.sign_up(email, "stranger's choice", **forged(account))
    assert "erp_account" not in shop.customer(email)["metadata"]
    shop.post("/store/customers/me/addresses", {**ADDRESS, "is_default_shipping": True}, token)
    cart = new_cart(token)
    shop.post("/auth/customer/emailpass/reset-password", {"identifier": email})
    reset = shop.mailbox.wait_for(email, "password")["text"].split("#token=")[1].split()[0]

    (outcome,) = shop.put(account)
    assert outcome["outcome"] == "updated"
    assert "login taken over" in outcome["notes"][0]
    with refused(401):
        shop.login(email, "stranger's choice")
    with refused(401):
        shop.get("/store/customers/me", token)
    for path in ("/auth/token/refresh", "/auth/session", "/auth/mfa/factors"):
        with refused(401):
            shop.post(path, None, token)
    with refused(401):
        shop.post("/auth/customer/emailpass/update", {"password": "again"}, reset)
    with refused(401):
        shop.get(f"/store/carts/{cart['id']}", token)
    assert prices(new_cart(token)) == [LIST_PRICE]  # to the shop he is a visitor again

    customer = shop.customer(email)
    assert customer["metadata"] == {"own": "1", "tax_id": "DE999999999", "erp_account": account["code"]}
    assert [a["address_1"] for a in customer["addresses"] if a["is_default_shipping"]] == ["Kai 1"]
    token = shop.set_password(email)
    assert prices(new_cart(token)) == [CONTRACT_PRICE]
    assert shop.put(account)[0]["notes"] == []


def test_other_ways_to_sit_on_a_buyers_e_mail(shop):
    half, crossed, capitals = new_account(), new_account(), new_account()
    # registered, but no customer made: the identity and its password wait
    half_token = shop.post("/auth/customer/emailpass/register", {"email": email_of(half), "password": "mine"})["token"]
    # one's own identity under a customer who bears the buyer's e-mail
    own = shop.post("/auth/customer/emailpass/register", {"email": "evil@evil.example", "password": "mine"})["token"]
    shop.post("/store/customers", {"email": email_of(crossed)}, own)
    crossed_token = shop.login("evil@evil.example", "mine")
    # the same mailbox in other letters
    shouted = email_of(capitals).upper()
    register = shop.post("/auth/customer/emailpass/register", {"email": shouted, "password": "mine"})
    shop.post("/store/customers", {"email": shouted}, register["token"])
    shouted_token = shop.login(shouted, "mine")

    outcomes = shop.put(half, crossed, capitals)
    assert all("taken over" in outcome["notes"][0] for outcome in outcomes)
    for token in (crossed_token, shouted_token):
        with refused(401):
            shop.get("/store/customers/me", token)
    for email in (email_of(half), "evil@evil.example", shouted):
        with refused(401):
            shop.login(email, "mine")
    for token in (half_token, own, register["token"]):
        with pytest.raises(Refused):
            shop.post("/auth/token/refresh", None, token)
    with pytest.raises(Refused):
        shop.post("/store/customers", {"email": "x@evil.example"}, half_token)
    assert shop.set_password(email_of(capitals))
    assert shop.groups(email_of(capitals)) == [f"erp:account:{capitals['code']}"]
    shop.set_password(email_of(half))


def test_an_administrator_who_is_also_a_buyer_keeps_his_password(shop):
    account = new_account()
    invite = shop.post("/admin/invites", {"email": email_of(account)}, shop.admin)["invite"]["token"]
    login = {"email": email_of(account), "password": "the admin's own"}
    token = shop.post("/auth/user/emailpass/register", login)["token"]
    shop.post(f"/admin/invites/accept?token={invite}", {"email": email_of(account)}, token)
    shop.put(account)
    assert shop.login(email_of(account), "the admin's own", "user")
    assert shop.get("/store/erp/accounts", shop.login(email_of(account), "the admin's own"))["accounts"]


def test_an_identity_of_another_kind_of_user_is_for_a_person_to_sort_out(shop):
    account, good = new_account(), new_account()
    login = {"email": email_of(account), "password": "a vendor's own"}
    shop.post("/auth/vendor/emailpass/register", login)
    where = f"id IN (SELECT auth_identity_id FROM provider_identity WHERE entity_id = '{email_of(account)}')"
    shop.sql(f"""UPDATE auth_identity SET app_metadata = '{{"vendor_id": "v1"}}' WHERE {where}""")
    outcomes = shop.put(account, good)
    assert [outcome["outcome"] for outcome in outcomes] == ["refused", "created"]
    assert "another kind of user" in outcomes[0]["reason"]


def test_nothing_a_shopper_writes_marks_him_or_his_order(shop, new_cart):
    token = shop.sign_up("plain@private.example", **forged(new_account()))
    shop.post("/store/customers/me", {"metadata": {"erp_account": "X", "erp_x": 1}}, token)
    shop.post("/store/customers/me/addresses", {**ADDRESS, "metadata": {"erp_address": "a1"}}, token)
    customer = shop.customer("plain@private.example")
    assert customer["metadata"] == {"tax_id": "DE999999999", "own": "1"}
    assert not [address for address in customer["addresses"] if address["metadata"]]
    cart = new_cart(token, metadata={"erp_account": "X", "po_number": "7"})
    shop.post(f"/store/carts/{cart['id']}", {"metadata": {"erp_account": "X"}}, token)
    order = check_out(shop, cart["id"], token)
    assert order["metadata"] == {"po_number": "7"}


def test_claims_are_for_a_person_to_judge(shop):
    account = new_account()
    shop.put(account)
    domain = email_of(account).split("@")[1]
    shop.sign_up(f"colleague@{domain}")
    shop.sign_up("someone@gmail.com", company_name=account["name"], metadata={"vat": "DE1"})
    shop.sign_up("nobody@elsewhere.example")
    claims, after = [], ""
    while after is not None:
        page = shop.get(f"/admin/erp/claims?limit=1&after={after}", shop.admin)
        claims, after = claims + page["claims"], page["next"]
    ours = {
        (c["email"], c["evidence"], c["value"]) for c in claims if c["email"].split("@")[1] in (domain, "gmail.com")
    }
    assert ours == {
        (f"colleague@{domain}", "e-mail domain", domain),
        ("someone@gmail.com", "company name", account["name"]),
        ("someone@gmail.com", "tax id", "DE1"),
    }
    assert "nobody@elsewhere.example" not in {claim["email"] for claim in claims}


# ------------------------------------------------------------------ guests


@pytest.mark.parametrize("spelling", [str.lower, str.title, str.upper])
def test_a_guest_with_a_buyers_e_mail_pays_and_stays_a_guest(shop, contract, new_cart, variant, spelling):
    account = new_account()
    email = email_of(account)
    shop.put(account)
    contract(account)
    buyer = shop.customer(email)["id"]

    at_once = new_cart(email=spelling(email))
    assert prices(at_once) == [LIST_PRICE]
    later = new_cart()
    shop.post(f"/store/carts/{later['id']}", {"email": spelling(email)})
    changed = new_cart(email="someone@else.example")
    shop.post(f"/store/carts/{changed['id']}", {"email": spelling(email)})
    for cart in (at_once, later, changed):
        shop.post(f"/store/carts/{cart['id']}/line-items", {"variant_id": variant, "quantity": 2})
        order = check_out(shop, cart["id"])
        assert prices(order) == [LIST_PRICE]
        assert order["email"].lower() == email
        assert order["customer"]["id"] != buyer
        assert (order["customer"]["has_account"], order["customer"]["groups"]) == (False, [])
        assert "erp_account" not in (order["metadata"] or {})
    token = shop.set_password(email)
    assert shop.get("/store/orders", token)["orders"] == []


def test_a_guests_cart_becomes_the_buyers_by_login(shop, contract, new_cart):
    account = new_account()
    shop.put(account)
    contract(account)
    cart = new_cart(email=email_of(account))["id"]
    token = shop.set_password(email_of(account))
    assert prices(shop.post(f"/store/carts/{cart}/customer", None, token)["cart"]) == [CONTRACT_PRICE]
    for stranger in (None, shop.sign_up(f"x{cart}@private.example".lower())):
        with refused(401):
            shop.get(f"/store/carts/{cart}", stranger)
        with refused(401):
            shop.post(f"/store/carts/{cart}/complete", None, stranger)
    assert check_out(shop, cart, token)["metadata"]["erp_account"] == account["code"]
    with refused(401):  # nor afterwards
        shop.get(f"/store/carts/{cart}")


def test_raw_prices_are_hidden(shop, variant):
    for fields in ("*variants.prices", "variants.price_set.prices.amount", "+variants.prices.price_rules.value"):
        with refused(400):
            shop.get(f"/store/products?fields={fields}")
    region = shop.get("/store/regions")["regions"][0]["id"]
    assert shop.get(f"/store/products?region_id={region}&fields=title,*variants.calculated_price")["products"]


# ------------------------------------------------------------------ several accounts


def test_one_account_is_active_and_the_buyer_chooses_it(shop, contract, new_cart):
    one, other, foreign = new_account(), new_account(), new_account()
    email = email_of(one)
    other["buyers"] = [a_buyer(email)]
    other["addresses"][0]["address_1"] = "Elsewhere 9"
    shop.put(one, other, foreign)
    contract(one, 70)
    contract(other, 60)
    token = shop.set_password(email)
    cart = new_cart(token)
    assert prices(cart) == [70]

    accounts = shop.post("/store/erp/accounts/active", {"code": other["code"]}, token)["accounts"]
    assert [(a["code"], a["active"]) for a in accounts] == [(one["code"], False), (other["code"], True)]
    assert shop.groups(email) == [f"erp:account:{other['code']}"]
    assert shop.customer(email)["company_name"] == other["name"]
    assert [a["address_1"] for a in shop.customer(email)["addresses"]] == ["Elsewhere 9"]
    again = shop.get(f"/store/carts/{cart['id']}", token)["cart"]
    assert (prices(again), again["metadata"]) == ([60], {"erp_account": other["code"]})
    shop.post(f"/store/carts/{cart['id']}", {"metadata": {"erp_account": one["code"]}}, token)
    order = check_out(shop, cart["id"], token)
    assert (prices(order), order["metadata"]["erp_account"]) == ([60], other["code"])

    for code in (foreign["code"], "nonsense", None):
        with refused(404):
            shop.post("/store/erp/accounts/active", {"code": code}, token)
    with refused(401):
        shop.get("/store/erp/accounts")

    shop.put({**other, "status": "blocked"})  # the other account carries him
    assert shop.groups(email) == [f"erp:account:{one['code']}"]
    assert shop.get("/store/customers/me", token)
    with refused(404):
        shop.post("/store/erp/accounts/active", {"code": other["code"]}, token)
    shop.put(other)
    assert shop.groups(email) == [f"erp:account:{one['code']}"]


def test_a_payment_providers_call_makes_no_order_for_a_closed_account(shop, contract, new_cart, tmp_path):
    """It completes the cart by the workflow, past the routes of carts."""
    account = new_account()
    shop.put(account)
    contract(account)
    token = shop.set_password(email_of(account))
    cart = new_cart(token)["id"]
    pay(shop, cart, token)
    shop.put({**account, "status": "blocked"})
    script = tmp_path / "provider.js"
    script.write_text(
        "module.exports.default = ({ container, args: [id] }) => container.resolve('workflows')"
        ".run('complete-cart', { input: { id } }).catch((error) => console.log('refused:', error.message))"
    )
    assert "refused: The account of this cart has changed" in medusa(shop, "exec", str(script), cart)
    assert shop.sql(f"SELECT count(*) FROM order_cart WHERE cart_id = '{cart}'") == ["0"]


def test_a_cart_that_cannot_be_priced_anew_can_be_changed_but_not_ordered(shop, contract, new_cart, variant):
    account = new_account()
    shop.put(account)
    contract(account)
    token = shop.set_password(email_of(account))
    cart = new_cart(token)
    pay(shop, cart["id"], token)
    (product,) = shop.sql(f"SELECT product_id FROM product_variant WHERE id = '{variant}'")
    shop.post(f"/admin/products/{product}", {"status": "draft"}, shop.admin)
    shop.put({**account, "buyers": []})
    token = shop.login(email_of(account), "correct horse")
    assert prices(shop.get(f"/store/carts/{cart['id']}", token)["cart"]) == [CONTRACT_PRICE]
    with refused(400):
        shop.post(f"/store/carts/{cart['id']}/complete", None, token)
    shop.post(f"/admin/products/{product}", {"status": "published"}, shop.admin)
    assert prices(shop.get(f"/store/carts/{cart['id']}", token)["cart"]) == [LIST_PRICE]


# ------------------------------------------------------------------ items


@pytest.fixture(scope="module")
def hoses(shop: Shop) -> dict[str, str]:
    """Variants by SKU of a product of which the ERP sells only one of two lengths."""
    body = {
        "title": "Hose", "handle": "hose", "status": "published",
        "sales_channels": [{"id": shop.get("/admin/sales-channels", shop.admin)["sales_channels"][0]["id"]}],
        "shipping_profile_id": shop.get("/admin/shipping-profiles", shop.admin)["shipping_profiles"][0]["id"],
        "options": [{"title": "Length", "values": ["2 m", "5 m"]}],
        "variants": [
            {
                "title": length, "sku": f"HOSE-{length[0]}", "options": {"Length": length}, "manage_inventory": False,
                "prices": [{"currency_code": "eur", "amount": LIST_PRICE}],
            }
            for length in ("2 m", "5 m")
        ],
    }  # fmt: skip
    variants = shop.post("/admin/products", body, shop.admin)["product"]["variants"]
    return {variant["sku"]: variant["id"] for variant in variants}


@pytest.fixture
def withdraw(shop: Shop, hoses: dict[str, str]) -> Iterator[Callable[[], None]]:
    """Takes the long hose out of the assortment, as the connector does."""
    path = f"/admin/products/{shop.get('/admin/products?handle=hose&fields=id', shop.admin)['products'][0]['id']}"

    def mark(erp: dict[str, Any]) -> None:
        shop.post(f"{path}/variants/{hoses['HOSE-5']}", {"metadata": {"erp": erp}}, shop.admin)

    yield lambda: mark({"source_id": "5", "withdrawn": True})
    mark({"source_id": "5"})


@pytest.mark.parametrize(
    "question",
    [
        "products?handle=hose",
        "products?handle=hose&fields=title,variants.sku",
        "products?handle=hose&fields=variants.title,variants.sku",
        "product-variants?sku[]=HOSE-2&sku[]=HOSE-5",
        "product-variants?sku[]=HOSE-2&sku[]=HOSE-5&fields=sku",
    ],
)
def test_a_withdrawn_variant_is_not_shown(shop, hoses, withdraw, question):
    before = json.dumps(shop.get(f"/store/{question}"))
    assert ("HOSE-2" in before, "HOSE-5" in before) == (True, True)
    withdraw()
    after = json.dumps(shop.get(f"/store/{question}"))
    assert ("HOSE-2" in after, "HOSE-5" in after, hoses["HOSE-5"] in after) == (True, False, False)


def test_a_withdrawn_variant_is_not_found_alone(shop, hoses, withdraw):
    withdraw()
    with refused(404):
        shop.get(f"/store/product-variants/{hoses['HOSE-5']}")
    assert shop.get(f"/store/product-variants/{hoses['HOSE-2']}")["variant"]["sku"] == "HOSE-2"
    fields = "fields=variants.sku"
    (hose,) = shop.get(f"/admin/products?handle=hose&{fields}", shop.admin)["products"]
    assert {one["sku"] for one in hose["variants"]} == {"HOSE-2", "HOSE-5"}
    (hose,) = [shop.get(f"/store/products/{hose['id']}?{fields}")["product"]]
    assert [one["sku"] for one in hose["variants"]] == ["HOSE-2"]


def test_a_withdrawn_variant_is_not_bought(shop, new_cart, hoses, withdraw):
    ready = new_cart(items=[{"variant_id": hoses["HOSE-5"], "quantity": 1}], email="hose@guest.example")["id"]
    pay(shop, ready, None)
    open_cart = new_cart()["id"]
    withdraw()
    item = {"variant_id": hoses["HOSE-5"], "quantity": 1}
    for call in (
        lambda: new_cart(items=[item]),
        lambda: shop.post(f"/store/carts/{open_cart}/line-items", item),
        lambda: shop.post(f"/store/carts/{ready}/complete"),
    ):
        with pytest.raises(Refused, match=r"400 .*No longer sold: Hose \(HOSE-5\)"):
            call()
    (line,) = shop.get(f"/store/carts/{ready}")["cart"]["items"]
    shop.call("DELETE", f"/store/carts/{ready}/line-items/{line['id']}")
    shop.post(f"/store/carts/{ready}/line-items", {**item, "variant_id": hoses["HOSE-2"]})


def test_what_is_unpublished_is_not_bought(shop, new_cart, variant):
    (product,) = shop.sql(f"SELECT product_id FROM product_variant WHERE id = '{variant}'")
    shop.post(f"/admin/products/{product}", {"status": "draft"}, shop.admin)
    try:
        with pytest.raises(Refused, match=r"400 .*No longer sold: Pump"):
            new_cart()
    finally:
        shop.post(f"/admin/products/{product}", {"status": "published"}, shop.admin)


def test_an_image_is_kept_once_and_shown_to_everybody(shop):
    content = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
    digest = hashlib.sha256(content).hexdigest()
    image = {"digest": digest, "name": f"{digest}.png", "mime_type": "image/png"}
    body = {"images": [{**image, "content": base64.b64encode(content).decode()}]}
    first = shop.post("/admin/erp/images", body, shop.admin)
    assert shop.post("/admin/erp/images", body, shop.admin) == first
    assert shop.get(f"/admin/erp/images?digest[]={digest}&digest[]=no", shop.admin) == first
    assert len(list((shop.server.log.parent / "shop-files").glob(f"*{digest}*"))) == 1
    answer = requests.get(first["images"][0]["url"], timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"], answer.content) == (200, "image/png", content)
    for path in ("no-such.png", "..%2Fshop.log"):
        assert requests.get(f"{shop.url}/erp/files/{path}", timeout=10).status_code == 404
    for wrong in ({"images": [{**body["images"][0], "digest": "0" * 64}]}, {"images": [{"digest": digest}]}, {}):
        with refused(400):
            shop.post("/admin/erp/images", wrong, shop.admin)
    with refused(401):
        shop.post("/admin/erp/images", body)


# ------------------------------------------------------------------ the batch


def test_addresses_keep_in_step_and_the_shoppers_own_stay(shop):
    account = new_account()
    email = email_of(account)
    shop.put(account)
    token = shop.set_password(email)
    shop.post("/store/customers/me/addresses", {**ADDRESS, "address_1": "My own"}, token)
    (before,) = [a["id"] for a in shop.customer(email)["addresses"] if a["address_1"] == "Kai 1"]
    moved = {**account["addresses"][0], "address_1": "Kai 2"}
    second = {**account["addresses"][0], "external_id": "a2", "address_1": "Depot"}
    shop.put({**account, "addresses": [moved, second]})
    after = {a["address_1"]: a for a in shop.customer(email)["addresses"]}
    assert set(after) == {"My own", "Kai 2", "Depot"}
    assert after["Kai 2"]["id"] == before
    assert after["Kai 2"]["is_default_billing"]
    shop.put({**account, "addresses": [second]})
    assert {a["address_1"] for a in shop.customer(email)["addresses"]} == {"My own", "Depot"}


def test_one_bad_account_stops_nobody(shop):
    good, bad, worse = new_account(), new_account(buyers=[a_buyer("not an address")]), new_account(name="\x00")
    outcomes = shop.put(good, bad, worse, {"code": "T-nothing"})
    assert [outcome["outcome"] for outcome in outcomes] == ["created", "refused", "refused", "refused"]
    assert "email" in outcomes[1]["reason"]
    assert shop.groups(email_of(good))


def test_data_the_database_refuses_stops_only_its_account(shop):
    good, bad = new_account(), new_account(name="\ud800")
    outcomes = shop.put(good, bad)
    assert [outcome["outcome"] for outcome in outcomes] == ["created", "refused"]
    assert "surrogate" in outcomes[1]["reason"]


def test_the_same_again_changes_nothing_and_drift_is_repaired(shop):
    account = new_account()
    assert [shop.put(account)[0]["outcome"] for _ in range(3)] == ["created", "unchanged", "unchanged"]
    customer = shop.customer(email_of(account))
    shop.sign_up("stranger@private.example")
    stranger = shop.customer("stranger@private.example")
    group = customer["groups"][0]["id"]
    change = {"add": [stranger["id"]], "remove": [customer["id"]]}
    shop.post(f"/admin/customer-groups/{group}/customers", change, shop.admin)
    assert shop.put(account)[0]["outcome"] == "updated"
    assert shop.groups(email_of(account)) == [f"erp:account:{account['code']}"]
    assert shop.groups(stranger["email"]) == []


def test_a_large_batch_fits_and_a_larger_one_is_refused_whole(shop):
    accounts = [new_account(name="N" * 250) for _ in range(600)]
    for account in accounts:
        account["addresses"] *= 1
        account["addresses"] += [{**account["addresses"][0], "external_id": f"x{n}"} for n in range(9)]
    assert len(json.dumps(accounts)) > 1_000_000
    assert {outcome["outcome"] for outcome in shop.put(*accounts)} == {"created"}
    with refused(413):
        shop.post("/admin/erp/accounts/batch", {"accounts": ["x" * 11_000_000]}, shop.admin)
    with refused(400):
        shop.post("/admin/erp/accounts/batch", {"accounts": [{}] * 1001}, shop.admin)


def test_two_equal_batches_at_once(shop):
    accounts = [new_account() for _ in range(40)]
    answers: list[list[dict[str, Any]]] = []

    def send() -> None:
        client = replace(shop, session=requests.Session())
        answers.append(client.put(*accounts))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    for of_one in zip(*answers, strict=True):
        assert sorted(outcome["outcome"] for outcome in of_one) == ["created", "unchanged", "unchanged", "unchanged"]
    assert_complete(shop, accounts)


def test_killed_in_mid_batch_and_sent_again(shop):
    accounts = [new_account() for _ in range(300)]

    def send() -> None:
        with pytest.raises(requests.ConnectionError):
            shop.put(*accounts)

    sender = threading.Thread(target=send)
    with psycopg.connect(shop.postgres.dsn(DATABASE)) as obstacle:  # the batch gets as far as the addresses
        obstacle.execute("LOCK TABLE customer_address IN EXCLUSIVE MODE")
        sender.start()
        waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'customer_address'"
        while not shop.sql(waiting):
            time.sleep(0.05)
        shop.server.process.send_signal(signal.SIGKILL)
        shop.server.process.wait()
    sender.join()
    shop.server.start().wait()
    codes = ", ".join(f"'{account['code']}'" for account in accounts)
    assert shop.sql(f"SELECT count(*) FROM customer_group WHERE metadata ->> 'erp_account' IN ({codes})") == ["0"]
    shop.put(*accounts)
    assert_complete(shop, accounts)
    assert {outcome["outcome"] for outcome in shop.put(*accounts)} == {"unchanged"}


def assert_complete(shop: Shop, accounts: list[dict[str, Any]]) -> None:
    """One group, one customer, one login, one membership, one address for each."""
    codes = ", ".join(f"'{account['code']}'" for account in accounts)
    emails = ", ".join(f"'{email_of(account)}'" for account in accounts)
    counts = shop.sql(f"""
        SELECT count(*) FROM customer_group WHERE metadata ->> 'erp_account' IN ({codes})
        UNION ALL SELECT count(*) FROM customer WHERE email IN ({emails})
        UNION ALL SELECT count(*) FROM provider_identity WHERE entity_id IN ({emails})
        UNION ALL SELECT count(*) FROM customer_group_customer m JOIN customer c ON c.id = customer_id
            WHERE c.email IN ({emails})
        UNION ALL SELECT count(*) FROM customer_address a JOIN customer c ON c.id = customer_id
            WHERE c.email IN ({emails})""")
    assert counts == [str(len(accounts))] * 5


def test_read_back(shop):
    account = new_account()
    (outcome,) = shop.put(account)
    expected = {"code": account["code"], "id": outcome["id"], "fingerprint": "1", "status": "active"}
    assert shop.get(f"/admin/erp/accounts?code[]={account['code']}&code[]=no", shop.admin)["accounts"] == [expected]
    accounts, after = [], ""
    while page := shop.get(f"/admin/erp/accounts?limit=400&after={after}", shop.admin)["accounts"]:
        accounts, after = accounts + page, page[-1]["code"]
    codes = [one["code"] for one in accounts]
    assert expected in accounts
    assert codes == sorted(set(codes))
    assert shop.get("/admin/erp", shop.admin)["version"]
    for path in ("/admin/erp", "/admin/erp/accounts", "/admin/erp/claims"):
        with refused(401):
            shop.get(path)


def test_the_cached_template_was_made_from_these_sources(shop):
    done = medusa(shop, "db:migrate", "--execute-safe-links")
    assert "Migrations completed" in done
    assert not re.search(r"Migration2\d+|storefront/src/migration-scripts", done)


def medusa(shop: Shop, *arguments: str) -> str:
    """Run Medusa's command line on the shop's database; what it says."""
    done = subprocess.run(
        ["node", "node_modules/@medusajs/cli/cli.js", *arguments],
        cwd=shop.server.cwd, env={**os.environ, **shop.server.env}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout
