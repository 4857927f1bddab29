"""What products hang on, by name: sales channel, shipping profile, product types (Medusa's home of tax rates).

Medusa accepts an unknown id of these in silence, so every id comes from a look-up here.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from threading import Lock
from typing import Any

from crossdock.connectors.medusa.api import Api
from crossdock.errors import Misconfigured, Reject

log = logging.getLogger(__name__)

_ALL = 10_000


class References:
    """Looked up once; safe to be asked by several threads."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._lock = Lock()
        self._channel: str | None = None
        self._profile: str | None = None
        self._types: dict[str, str] | None = None

    @property
    def sales_channel(self) -> str:
        """Id of the channel that the connection names, or the store's default. Raises Misconfigured."""
        with self._lock:
            if self._channel is None:
                self._channel = self._find_channel(self._api.settings.sales_channel)
            return self._channel

    @property
    def shipping_profile(self) -> str:
        """Id of the profile that the connection names, or the one of type default. Raises Misconfigured."""
        with self._lock:
            if self._profile is None:
                self._profile = self._find_profile(self._api.settings.shipping_profile)
            return self._profile

    def types(self, names: Collection[str]) -> dict[str, str]:
        """Ids of the product types of these names; one that is missing is made."""
        with self._lock:
            if self._types is None:
                self._types = self._read_types()
            for name in sorted(set(names) - self._types.keys()):
                self._types[name] = self._make_type(name)
            return {name: self._types[name] for name in names}

    def _read_types(self) -> dict[str, str]:
        return {one["value"]: one["id"] for one in self._list("product-types", "product_types")}

    def _make_type(self, name: str) -> str:
        try:
            made = self._api.post("/admin/product-types", {"value": name})["product_type"]["id"]
        except Reject:
            there = self._read_types()  # an answer was lost, or another process has made it in the meantime
            if name not in there:
                raise
            return there[name]
        log.warning(
            "Product type %r is new in Medusa: if it is not taxed at the default rate, give it its tax rate "
            "there (Settings > Tax regions).",
            name,
        )
        return str(made)

    def _find_channel(self, name: str | None) -> str:
        channels = self._list("sales-channels", "sales_channels")
        default = self._api.get("/admin/stores")["stores"][0].get("default_sales_channel_id")
        for channel in channels:
            if channel["name"] == name or (name is None and channel["id"] == default):
                return str(channel["id"])
        raise _missing("sales channel", name, [channel["name"] for channel in channels])

    def _find_profile(self, name: str | None) -> str:
        profiles = self._list("shipping-profiles", "shipping_profiles")
        for profile in profiles:
            if profile["name"] == name or (name is None and profile["type"] == "default"):
                return str(profile["id"])
        raise _missing("shipping profile", name, [profile["name"] for profile in profiles])

    def _list(self, path: str, entity: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._api.get(f"/admin/{path}", {"limit": _ALL})[entity]
        return rows


def _missing(what: str, name: str | None, there: list[str]) -> Misconfigured:
    wanted = f"no {what} {name!r}" if name else f"no default {what}"
    setting = what.replace(" ", "_")
    return Misconfigured(
        f"Medusa has {wanted}. Set {setting} of the connection to one of: {', '.join(sorted(there)) or '(none)'}."
    )
