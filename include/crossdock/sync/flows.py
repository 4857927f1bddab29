"""The flows this package runs. To add a domain, start here."""

from __future__ import annotations

from datetime import timedelta

from crossdock.domain.customer import Account
from crossdock.domain.document import Document
from crossdock.domain.item import Item
from crossdock.domain.order import Order
from crossdock.domain.order_status import OrderStatus
from crossdock.domain.price import PriceList, PriceMember, Prices
from crossdock.domain.shipping_advice import ShippingAdvice
from crossdock.domain.stock import Stock
from crossdock.sync.flow import Brake, Flow

CUSTOMERS = Flow(
    name="customers",
    unit="account",
    record=Account,
    source="erp",
    target="storefront",
    losses=("gone", "blocked"),
    totals=("buyers", "addresses"),
    personal=True,
)

ITEMS = Flow(
    name="items",
    unit="product",
    record=Item,
    source="erp",
    target="storefront",
    losses=("gone",),
    totals=("variants", "images"),
    parts_every=timedelta(hours=1),
    links="variant",
)

PRICE_LISTS = Flow(
    name="price_lists",
    unit="list",
    record=PriceList,
    source="erp",
    target="storefront",
    losses=("gone",),
    in_dag="pricing",
)

PRICES = Flow(
    name="prices",
    unit="price",
    record=Prices,
    source="erp",
    target="storefront",
    losses=("gone",),
    totals=("tiers", "asked"),
    in_dag="pricing",
)

PRICE_MEMBERS = Flow(
    name="price_members",
    unit="membership",
    record=PriceMember,
    source="erp",
    target="storefront",
    losses=("gone",),
    totals=("lists",),
    plan_first=False,
    in_dag="pricing",
)

ORDERS = Flow(
    name="orders",
    unit="order",
    record=Order,
    source="storefront",
    target="erp",
    losses=("cancelled",),
    totals=("lines", "charged"),
    personal=True,
    go_live=True,
    after="customers",
    plan_first=False,
)

ORDER_STATUS = Flow(
    name="order_status",
    unit="order",
    record=OrderStatus,
    source="erp",
    target="storefront",
    totals=("sent", "pieces"),
    go_live=True,
    plan_first=False,
    in_dag="orders",
)

SHIPPING_ADVICE = Flow(
    name="shipping_advice",
    unit="advice",
    record=ShippingAdvice,
    source="3pl",
    target="erp",
    totals=("pieces",),
    plan_first=False,
    in_dag="orders",
)

INVENTORY = Flow(
    name="inventory",
    unit="SKU",
    record=Stock,
    source="erp",
    target="storefront",
    losses=("sold_out",),
    totals=("levels", "pieces"),
    brake=Brake(at_least=20),
    apart=("as_of", "counted"),
    overlap_every=timedelta(minutes=1),
    full_every=timedelta(hours=1),
    plan_first=False,
)

OFFLINE_ORDERS = Flow(
    name="offline_orders",
    unit="order",
    record=Document,
    source="erp",
    target="storefront",
    totals=("total",),
    parts_every=timedelta(hours=1),
    begins=timedelta(days=31),
    plan_first=False,
    personal=True,
)

INVOICES = Flow(
    name="invoices",
    unit="document",
    record=Document,
    source="erp",
    target="storefront",
    totals=("total", "open"),
    parts_every=timedelta(hours=1),
    begins=timedelta(days=31),
    plan_first=False,
    in_dag="offline_orders",
    personal=True,
)

FLOWS = {
    flow.name: flow
    for flow in (
        CUSTOMERS, ITEMS, PRICE_LISTS, PRICES, PRICE_MEMBERS, INVENTORY, ORDERS, ORDER_STATUS, SHIPPING_ADVICE,
        OFFLINE_ORDERS, INVOICES,
    )
}  # fmt: skip
