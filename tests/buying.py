"""Hands of shoppers and of the shop's staff: a real Medusa's orders, as they come about, over its own API."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import requests
from tests.shop_fixtures import Refused

HOME = {
    "first_name": "Gus", "last_name": "Guest", "address_1": "Elbchaussee 5", "address_2": "", "postal_code": "22765",
    "city": "Hamburg", "province": "", "country_code": "de", "phone": "+49 40 1234",
}  # fmt: skip
"""Where a guest wants it sent, if nothing else is said."""

_numbers = itertools.count(1)

Json = dict[str, Any]
Lines = Mapping[str, float]
"""How many of what: by SKU where something is bought, by line id where it is bought already."""


class Calls(Protocol):
    """What is needed of a shop: ``shop_fixtures.Shop`` has it, and so has ``RunningShop``."""

    @property
    def admin(self) -> str:
        """The administrator's token."""

    def get(self, path: str, token: str | None = None) -> Any: ...

    def post(self, path: str, body: Any = None, token: str | None = None) -> Any: ...


@dataclass
class RunningShop:
    """A shop of which only the address and an administrator are known, such as the demo's."""

    url: str
    publishable_key: str
    email: str
    password: str
    session: requests.Session = field(default_factory=requests.Session)

    @cached_property
    def admin(self) -> str:
        return self.login(self.email, self.password, "user")

    def login(self, email: str, password: str, actor: str = "customer") -> str:
        return str(self.post(f"/auth/{actor}/emailpass", {"email": email, "password": password})["token"])

    def get(self, path: str, token: str | None = None) -> Any:
        return self._call("GET", path, None, token)

    def post(self, path: str, body: Any = None, token: str | None = None) -> Any:
        return self._call("POST", path, {} if body is None else body, token)

    def _call(self, method: str, path: str, body: Any, token: str | None) -> Any:
        headers = {"x-publishable-api-key": self.publishable_key}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        answer = self.session.request(method, self.url + path, json=body, headers=headers, timeout=60)
        if not answer.ok:
            raise Refused(answer.status_code, answer.text)
        return answer.json()


class Buying:
    """``buy.as_guest(email, {sku: quantity})`` places an order; the other hands take the order's id."""

    def __init__(self, shop: Calls) -> None:
        self._shop = shop

    # what there is to buy

    def product(self, price: float = 12.34, tax_class: str | None = None, stock: float | None = None) -> str:
        """A product nobody else has, of one variant; its SKU. ``stock`` None: not counted, else so many in Hamburg."""
        sku = f"BUY-{next(_numbers):04d}"
        product = {
            "title": f"Thing {sku}", "handle": sku.lower(), "status": "published",
            "shipping_profile_id": self._first("shipping-profiles"), "sales_channels": [{"id": self._channel}],
            "options": [{"title": "Size", "values": ["M"]}],
            "variants": [
                {
                    "title": "M", "sku": sku, "options": {"Size": "M"}, "manage_inventory": False,
                    "prices": [{"currency_code": "eur", "amount": price}],
                }
            ],
        }  # fmt: skip
        if tax_class:
            types = self._shop.get("/admin/product-types?limit=100", self._shop.admin)["product_types"]
            product["type_id"] = next(one["id"] for one in types if one["value"] == tax_class)
        self._admin("/admin/products", product)
        if stock is not None:
            self.sell(sku, price, {"WH-HAM": stock})
        return sku

    def sell(self, sku: str, price: float, stock: Mapping[str, float] | None = None, region: str | None = None) -> None:
        """Make a variant that is there sellable: its price in euro, and what lies where (by the warehouse's code).

        ``region``: only there; in a tax inclusive one the price has the taxes in it.
        """
        variant = self.variant(sku)
        if not variant.get("price_set_link"):
            raise LookupError(f"{sku} has no price set: Medusa would take a price and forget it")
        path = f"/admin/products/{variant['product_id']}/variants/{variant['id']}"
        prices = [{"currency_code": "eur", "amount": price, **({"rules": {"region_id": region}} if region else {})}]
        self._admin(path, {"prices": prices, **({"manage_inventory": True} if stock else {})})
        if stock:
            self.stock(sku, stock)

    def stock(self, sku: str, levels: Mapping[str, float]) -> None:
        """So many lie there now, by the warehouse's code."""
        items = self._shop.get(f"/admin/inventory-items?sku={sku}&fields=id,*location_levels", self._shop.admin)
        found = items["inventory_items"]
        item = found[0] if found else self._inventory_item(sku)
        there = {level["location_id"] for level in item.get("location_levels") or ()}
        for code, quantity in levels.items():
            place = self._locations[code]
            path = f"/admin/inventory-items/{item['id']}/location-levels"
            if place in there:
                self._admin(f"{path}/{place}", {"stocked_quantity": quantity})
            else:
                self._admin(path, {"location_id": place, "stocked_quantity": quantity})

    def variant(self, sku: str) -> Json:
        fields = "id,sku,product_id,title,price_set_link.price_set_id"
        (one,) = self._shop.get(f"/admin/product-variants?sku={sku}&fields={fields}", self._shop.admin)["variants"]
        return dict(one)

    def discount(self, percent: float | None = None, amount: float | None = None) -> str:
        """A code that takes so much off the items, in percent or in euro in all."""
        code = f"SAVE{next(_numbers):04d}"
        method = {"target_type": "items", "allocation": "across"}
        kind = (
            {"type": "percentage", "value": percent}
            if percent is not None
            else {"type": "fixed", "value": amount, "currency_code": "eur"}
        )
        body = {"code": code, "type": "standard", "status": "active", "application_method": {**method, **kind}}
        self._admin("/admin/promotions", body)
        return code

    def tax_inclusive_region(self) -> str:
        """A region whose prices (``sell``) have the taxes in them: Slovenia, at 22 %; its id."""
        for region in self._regions:
            if region["name"] == "Slovenia":
                return str(region["id"])
        body = {
            "name": "Slovenia", "currency_code": "eur", "countries": ["si"], "automatic_taxes": True,
            "payment_providers": ["pp_system_default"], "is_tax_inclusive": True,
        }  # fmt: skip
        region = self._admin("/admin/regions", body)["region"]
        rate = {"rate": 22, "name": "VAT 22 %", "code": "VAT22"}
        tax = {"country_code": "si", "provider_id": "tp_system", "default_tax_rate": rate}
        self._admin("/admin/tax-regions", tax)
        fields = "fields=id,service_zones.id,service_zones.geo_zones.*"
        option = self._shop.get(f"/admin/shipping-options?{fields},service_zone.id", self._shop.admin)
        zone = option["shipping_options"][0]["service_zone"]["id"]
        self._open_zone(zone)
        self._regions.append(region)
        return str(region["id"])

    # buying

    def as_guest(self, email: str | None, lines: Lines, **choices: Any) -> Json:
        """An order of somebody who is not logged in; ``choices`` as ``order``."""
        return self.order(lines, email=email, **choices)

    def as_buyer(self, token: str, lines: Lines, **choices: Any) -> Json:
        """An order of whom the token belongs to, with or without an account."""
        return self.order(lines, token=token, **choices)

    def order(self, lines: Lines, **choices: Any) -> Json:
        """Fills a cart and completes it: the order, as the store's API shows it. Choices as ``cart``."""
        token = choices.get("token")
        return self.complete(self.cart(lines, **choices), token)

    def cart(
        self,
        lines: Lines,
        *,
        email: str | None = None,
        token: str | None = None,
        ship_to: Mapping[str, Any] = HOME,
        bill_to: Mapping[str, Any] | None = None,
        po_number: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        code: str | None = None,
        freight: str = "Standard",
        region: str | None = None,
        separately: bool = False,
    ) -> str:
        """A cart that lacks nothing but a payment; its id. ``separately``: each single piece is a line of its own."""
        marks = {**(metadata or {}), **({"po_number": po_number} if po_number else {})}
        items = [{"variant_id": self.variant(sku)["id"], "quantity": quantity} for sku, quantity in lines.items()]
        if separately:
            items = [
                {"variant_id": item["variant_id"], "quantity": 1, "metadata": {"piece": number}}
                for item in items
                for number in range(int(item["quantity"]))
            ]
        body = {
            "region_id": region or self._europe, "items": items, "shipping_address": dict(ship_to),
            "billing_address": dict(bill_to or ship_to),
            **({"email": email} if email else {}), **({"metadata": marks} if marks else {}),
            **({"promo_codes": [code]} if code else {}),
        }  # fmt: skip
        cart = str(self._shop.post("/store/carts", body, token)["cart"]["id"])
        options = self._shop.get(f"/store/shipping-options?cart_id={cart}", token)["shipping_options"]
        option = next(one["id"] for one in options if one["name"] == freight)
        self._shop.post(f"/store/carts/{cart}/shipping-methods", {"option_id": option}, token)
        return cart

    def complete(self, cart: str, token: str | None = None, provider: str = "pp_system_default") -> Json:
        """Pays and places; what Medusa refuses because it is busy with another checkout is done again."""
        collection = self._shop.post("/store/payment-collections", {"cart_id": cart}, token)["payment_collection"]
        path = f"/store/payment-collections/{collection['id']}/payment-sessions"
        self._shop.post(path, {"provider_id": provider}, token)
        for again in range(5):
            try:
                answer = self._shop.post(f"/store/carts/{cart}/complete", None, token)
            except Refused as refused:
                if "Timed-out acquiring lock" not in str(refused) or again == 4:
                    raise
                time.sleep(1)
            else:
                if answer["type"] != "order":
                    raise Refused(200, str(answer))
                return dict(answer["order"])
        raise AssertionError("not reached")

    def by_hand(self, email: str, lines: Lines, extras: Mapping[str, float] | None = None, **fields: Any) -> Json:
        """An order that staff types in, unpaid. ``extras``: charges that are no product (gift wrap), by title."""
        items = [{"variant_id": self.variant(sku)["id"], "quantity": quantity} for sku, quantity in lines.items()]
        items += [{"title": title, "unit_price": price, "quantity": 1} for title, price in (extras or {}).items()]
        draft = self.draft(email, items, **fields)
        return dict(self._admin(f"/admin/draft-orders/{draft}/convert-to-order", {})["order"])

    def draft(self, email: str, items: list[Json], **fields: Any) -> str:
        """A draft order; its id."""
        body = {
            "email": email, "region_id": self._europe, "sales_channel_id": self._channel, "items": items,
            "shipping_address": HOME, "billing_address": HOME, "shipping_methods": [], **fields,
        }  # fmt: skip
        return str(self._admin("/admin/draft-orders", body)["draft_order"]["id"])

    # what becomes of an order

    def look(self, order: str, fields: str = "*items,*items.detail,*shipping_methods") -> Json:
        """The order, as staff sees it."""
        return dict(self._shop.get(f"/admin/orders/{order}?fields={fields}", self._shop.admin)["order"])

    def lines(self, order: str) -> dict[str, str]:
        """The ids of the order's lines by SKU; of two of one SKU, the last."""
        return {item["variant_sku"]: item["id"] for item in self.look(order)["items"]}

    def payments(self, order: str) -> list[Json]:
        payments = "payment_collections.payments"
        found = self.look(order, f"id,*{payments},*{payments}.captures,*{payments}.refunds")
        return [payment for one in found["payment_collections"] for payment in one["payments"] or ()]

    def capture(self, order: str, amount: float | None = None, payment: int = 0) -> None:
        """Take the money of one of its payments: what is left of it, or so much."""
        one = self.payments(order)[payment]
        taken = sum(capture["amount"] for capture in one["captures"])
        body = {"amount": amount if amount is not None else round(one["amount"] - taken, 8)}
        self._admin(f"/admin/payments/{one['id']}/capture", body)

    def mark_paid(self, order: str) -> None:
        """What the order still asks for has come some other way. An order typed in by hand asks for all of it."""
        collections = self.look(order, "id,total,*payment_collections")["payment_collections"]
        waiting = [one["id"] for one in collections if one["status"] == "not_paid"]
        if not collections:
            body = {"order_id": order, "amount": self.look(order, "id,total")["total"]}
            waiting = [self._admin("/admin/payment-collections", body)["payment_collection"]["id"]]
        for one in waiting:
            self._admin(f"/admin/payment-collections/{one}/mark-as-paid", {"order_id": order})

    def refund(self, order: str, amount: float | None = None, payment: int = 0) -> None:
        """Give money back."""
        body = {} if amount is None else {"amount": amount}
        self._admin(f"/admin/payments/{self.payments(order)[payment]['id']}/refund", body)

    def cancel(self, order: str) -> None:
        self._admin(f"/admin/orders/{order}/cancel", {})

    def mark(self, order: str, **metadata: Any) -> None:
        """What staff or the shop's server writes into the order's metadata."""
        self._admin(f"/admin/orders/{order}", {"metadata": metadata})

    def edit(self, order: str, add: Lines | None = None, change: Lines | None = None) -> None:
        """``add`` by SKU, ``change`` by line id to a new quantity (0: take it out); confirmed at once."""
        self._admin("/admin/order-edits", {"order_id": order})
        path = f"/admin/order-edits/{order}"
        if add:
            items = [{"variant_id": self.variant(sku)["id"], "quantity": quantity} for sku, quantity in add.items()]
            self._admin(f"{path}/items", {"items": items})
        for line, quantity in (change or {}).items():
            self._admin(f"{path}/items/item/{line}", {"quantity": quantity})
        self._admin(f"{path}/request", {})
        self._admin(f"{path}/confirm", {})

    def send(self, order: str, lines: Lines | None = None, warehouse: str = "WH-HAM") -> str:
        """Pack and ship all of it, or so much by line id; the id of the fulfilment."""
        if lines is None:
            lines = {item["id"]: item["quantity"] for item in self.look(order)["items"]}
        items = [{"id": line, "quantity": quantity} for line, quantity in lines.items()]
        body = {"items": items, "location_id": self._locations[warehouse]}
        path = f"/admin/orders/{order}/fulfillments"
        before = {one["id"] for one in self.look(order, "id,*fulfillments")["fulfillments"]}
        made = self._admin(f"{path}?fields=id,*fulfillments", body)["order"]["fulfillments"]
        (new,) = {one["id"] for one in made} - before
        self._admin(f"{path}/{new}/shipments", {"items": items, "labels": []})
        return str(new)

    def ask_return(self, order: str, lines: Lines) -> str:
        """Goods are to come back, by line id; the return's id."""
        body = {"order_id": order, "location_id": self._locations["WH-HAM"]}
        made = str(self._admin("/admin/returns", body)["return"]["id"])
        self._admin(f"/admin/returns/{made}/request-items", {"items": _by_id(lines)})
        self._admin(f"/admin/returns/{made}/request", {})
        return made

    def receive(self, made: str, lines: Lines) -> None:
        """What was announced as a return has come."""
        path = f"/admin/returns/{made}"
        self._admin(f"{path}/receive", {})
        self._admin(f"{path}/receive-items", {"items": _by_id(lines)})
        self._admin(f"{path}/receive/confirm", {})

    def drop_return(self, made: str) -> None:
        """It does not come back after all."""
        self._admin(f"/admin/returns/{made}/cancel", {})

    def exchange(
        self, order: str, back: Lines, instead: Lines, freight: float | None = None, freight_back: float | None = None
    ) -> Json:
        """``back`` by line id for ``instead`` by SKU; requested. With ``return_id``, for ``receive``."""
        made = self._admin("/admin/exchanges", {"order_id": order})["exchange"]
        freights = {"outbound": freight, "inbound": freight_back}
        return self._swap(f"/admin/exchanges/{made['id']}", back, instead, "exchange", freights)

    def claim(self, order: str, wrong: Lines, instead: Lines, back: bool = True) -> Json:
        """The same because something was ``wrong`` with it; ``back`` False: the shopper need not send it back."""
        made = self._admin("/admin/claims", {"order_id": order, "type": "replace"})["claim"]
        path = f"/admin/claims/{made['id']}"
        self._admin(f"{path}/claim-items", {"items": _by_id(wrong)})
        return self._swap(path, wrong if back else {}, instead, "claim")

    def _swap(
        self, path: str, back: Lines, instead: Lines, kind: str, freights: Mapping[str, float | None] | None = None
    ) -> Json:
        if back:
            body = {"items": _by_id(back), "location_id": self._locations["WH-HAM"]}
            self._admin(f"{path}/inbound/items", body)
        items = [{"variant_id": self.variant(sku)["id"], "quantity": quantity} for sku, quantity in instead.items()]
        self._admin(f"{path}/outbound/items", {"items": items})
        for way, amount in (freights or {}).items():
            if amount is not None:
                option = {"shipping_option_id": self._first("shipping-options"), "custom_amount": amount}
                self._admin(f"{path}/{way}/shipping-method", option)
        self._admin(f"{path}/request", {})
        return dict(self._shop.get(path, self._shop.admin)[kind])

    # the shop's own

    def _admin(self, path: str, body: Any) -> Any:
        return self._shop.post(path, body, self._shop.admin)

    def _first(self, path: str) -> str:
        return str(self._shop.get(f"/admin/{path}", self._shop.admin)[path.replace("-", "_")][0]["id"])

    @cached_property
    def _channel(self) -> str:
        return self._first("sales-channels")

    @cached_property
    def _regions(self) -> list[Json]:
        return list(self._shop.get("/admin/regions", self._shop.admin)["regions"])

    @cached_property
    def _europe(self) -> str:
        return next(str(region["id"]) for region in self._regions if region["name"] == "Europe")

    @cached_property
    def _locations(self) -> dict[str, str]:
        """The warehouses' ids by the ERP's codes."""
        rows = self._shop.get("/admin/stock-locations?limit=100&fields=id,metadata", self._shop.admin)
        return {(row["metadata"] or {}).get("erp_code", row["id"]): row["id"] for row in rows["stock_locations"]}

    def _inventory_item(self, sku: str) -> Json:
        made = self._admin("/admin/inventory-items", {"sku": sku})["inventory_item"]
        variant = self.variant(sku)
        path = f"/admin/products/{variant['product_id']}/variants/{variant['id']}/inventory-items"
        self._admin(path, {"inventory_item_id": made["id"], "required_quantity": 1})
        return dict(made)

    def _open_zone(self, zone: str) -> None:
        """Freight goes to Slovenia too."""
        sets = self._shop.get(
            "/admin/stock-locations?limit=100&fields=id,fulfillment_sets.id,fulfillment_sets.service_zones.id,"
            "*fulfillment_sets.service_zones.geo_zones",
            self._shop.admin,
        )
        for place in sets["stock_locations"]:
            for one in place["fulfillment_sets"]:
                for there in one["service_zones"]:
                    if there["id"] == zone:
                        known = [{"type": "country", "country_code": g["country_code"]} for g in there["geo_zones"]]
                        body = {"geo_zones": [*known, {"type": "country", "country_code": "si"}]}
                        self._admin(f"/admin/fulfillment-sets/{one['id']}/service-zones/{zone}", body)


def _by_id(lines: Lines) -> list[Json]:
    return [{"id": line, "quantity": quantity} for line, quantity in lines.items()]
