"""Medusa behind the storefront ports."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any

from crossdock.connectors.medusa.api import Api
from crossdock.connectors.medusa.documents import Documents
from crossdock.connectors.medusa.extension import ExtensionCustomers
from crossdock.connectors.medusa.inventory import Inventory
from crossdock.connectors.medusa.items import Items
from crossdock.connectors.medusa.order_status import Statuses
from crossdock.connectors.medusa.orders import Orders
from crossdock.connectors.medusa.prices import ListPrices, PriceLists, PriceMembers
from crossdock.connectors.medusa.stock import StockCustomers

log = logging.getLogger(__name__)


class Medusa:
    """One Medusa shop. It serves ``customers``, ``items``, ``inventory``, prices, orders and the buyers' history."""

    def __init__(self, api: Api) -> None:
        self._api = api

    @classmethod
    def from_connection(cls, conn_id: str, connection: Any = None) -> Medusa:
        """The shop of an Airflow connection of type ``medusa``; ``connection``: if it is known."""
        from crossdock.connectors.medusa.hook import MedusaHook

        hook = MedusaHook(conn_id)
        if connection is not None:
            hook.connection = connection
        return cls(hook)

    @cached_property
    def customers(self) -> ExtensionCustomers | StockCustomers:
        """B2B accounts: in batches where the ERP extension is installed, else one by one."""
        if self._api.extension:
            return ExtensionCustomers(self._api)
        log.warning(
            "This Medusa has no ERP extension (include/storefront): accounts are written one by one, blocked buyers "
            "can still log in at guest prices, and a guest who types a buyer's e-mail sees that buyer's prices."
        )
        return StockCustomers(self._api)

    @cached_property
    def items(self) -> Items:
        """Products with their variants."""
        return Items(self._api)

    @cached_property
    def inventory(self) -> Inventory:
        """Stock by location, and what is kept back of it for orders."""
        return Inventory(self._api)

    @cached_property
    def orders(self) -> Orders:
        """What was ordered, for the ERP."""
        return Orders(self._api)

    @cached_property
    def order_status(self) -> Statuses:
        """What becomes of orders in the ERP."""
        return Statuses(self._api)

    @cached_property
    def price_lists(self) -> PriceLists:
        """Layers of prices."""
        return PriceLists(self._api)

    @cached_property
    def prices(self) -> ListPrices:
        """What each list says of each SKU."""
        return ListPrices(self._api)

    @cached_property
    def price_members(self) -> PriceMembers:
        """Which lists an account sees."""
        return PriceMembers(self._api)

    @cached_property
    def offline_orders(self) -> Documents:
        """Orders that were not placed in the shop, for the buyers of their account."""
        return Documents(self._api, "offline_orders")

    @cached_property
    def invoices(self) -> Documents:
        """Invoices and credit notes, for the buyers of their account."""
        return Documents(self._api, "invoices")
