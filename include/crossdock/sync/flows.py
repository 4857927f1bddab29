"""The flows this package runs. To add a domain, start here."""

from __future__ import annotations

from crossdock.domain.customer import Account
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

FLOWS = {flow.name: flow for flow in (CUSTOMERS,)}
