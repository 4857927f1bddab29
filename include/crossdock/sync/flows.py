"""The flows this package runs. To add a domain, start here."""

from __future__ import annotations

from datetime import timedelta

from crossdock.domain.customer import Account
from crossdock.domain.item import Item
from crossdock.sync.flow import Flow

CUSTOMERS = Flow(
    name="customers",
    unit="account",
    record=Account,
    source="erp",
    target="storefront",
    losses=("gone", "blocked"),
    totals=("buyers", "addresses"),
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

FLOWS = {flow.name: flow for flow in (CUSTOMERS, ITEMS)}
