"""Medusa's placed orders behind the port ``Source[Order]``. Needs the ERP extension (include/storefront)."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from crossdock.connectors.medusa import order_mapping
from crossdock.connectors.medusa.api import Api, chunks
from crossdock.domain.order import Order
from crossdock.errors import Misconfigured, Reject, Retry
from crossdock.ports import Placed, Row, Window

_PAGE = 100
"""Orders in one call: more of them take longer each, and their ids make the URL too long."""

_IDS = 10_000
"""Ids in one call: the shop looks for all that changed every time."""
_EVER = datetime(2000, 1, 1, tzinfo=UTC)


class Orders:
    """Every placed order, cancelled ones included; drafts are none. What is read: order_mapping.py.

    Accounts are told by what the extension's server code wrote into the order. A stock Medusa gives the order of a
    guest who types a buyer's e-mail to that buyer, so nothing is read from it.
    """

    name = "Medusa"

    def __init__(self, api: Api) -> None:
        self._api = api

    @property
    def version(self) -> str:
        """Changes with the fields, the mapping and the settings."""
        read = "\n".join((*_FIELDS, "", *self._on_account))
        return f"{order_mapping.VERSION}-{hashlib.sha256(read.encode()).hexdigest()[:12]}"

    def now(self) -> datetime:
        """The shop's clock, by the whole second below."""
        return self._api.now()

    def changed(self, window: Window) -> Iterator[Sequence[Row]]:
        """Pages by id. What changed after the window is read as well: the row is as it is now."""
        self._check()
        since = {"since": window.since.astimezone(UTC).isoformat()} if window.since else {}
        after = ""
        while ids := self._api.get("/admin/erp/orders/changed", {**since, "after": after, "limit": _IDS})["ids"]:
            yield from self._rows(ids)
            after = ids[-1]

    def read(self, keys: Collection[str]) -> Iterator[Sequence[Row]]:
        """These orders, by id."""
        self._check()
        yield from self._rows(sorted(keys))

    def parts(self) -> Iterator[Sequence[str]]:
        """None: an order is never deleted, and all of it is read at once."""
        yield from ()

    def placed(self, window: Window) -> Iterator[Sequence[Placed]]:
        """By what was authorised for them. Not due: cancelled, without a payment, edited, or touched since."""
        since, until = (time.astimezone(UTC).isoformat() for time in (window.since or _EVER, window.until))
        asked, after = {"since": since, "until": until, "limit": _IDS}, ""
        while page := self._api.get("/admin/erp/orders/placed", {**asked, "after": after})["orders"]:
            yield [Placed(one["id"], Decimal(one["worth"]), one["due"]) for one in page]
            after = page[-1]["id"]

    def parse(self, raw: bytes) -> Order:
        """See order_mapping.py."""
        return order_mapping.to_order(raw, self._on_account)

    def content(self, ref: str) -> bytes:
        """Orders have no files. Raises Reject."""
        raise Reject("no_file", f"Orders have no file {ref}.", "Nothing.")

    @property
    def _on_account(self) -> tuple[str, ...]:
        return self._api.settings.on_account_providers or ()

    def _check(self) -> None:
        if not self._api.extension:
            raise Misconfigured(
                "This Medusa has no ERP extension: it cannot tell orders of logged-in buyers from those of guests who "
                "typed a buyer's e-mail. Install it (include/storefront/README.md), or do not run the flow orders."
            )

    def _rows(self, ids: Sequence[str]) -> Iterator[Sequence[Row]]:
        for some in chunks(ids, _PAGE):
            # Medusa ignores filters it does not know and answers all orders: who did not ask for them gets none
            found = self._api.get("/admin/orders", {"id[]": some, "limit": _PAGE, "fields": ",".join(_FIELDS)})
            asked = {order["id"]: order for order in found["orders"] if order["id"] in set(some)}
            more = self._api.get("/admin/erp/orders", {"id[]": list(asked)})["orders"] if asked else ()
            changes = {one["id"]: one for one in more}
            if missing := asked.keys() - changes.keys():
                raise Retry(f"Medusa's extension says nothing of {len(missing)} of {len(asked)} orders.")
            yield [_row(order, changes[id_]) for id_, order in sorted(asked.items()) if not order["is_draft_order"]]


def _row(order: Mapping[str, Any], more: Mapping[str, Any]) -> Row:
    raw = order_mapping.stable({**order, **more})
    return Row(order["id"], str(order["custom_display_id"] or order["display_id"]), raw)


def _fields(shape: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Names for Medusa's ``fields``; relations whole, since it leaves out some decimals that are asked for singly."""
    for name, inner in shape.items():
        if inner is None and not path:
            yield name
        elif inner is not None and name != "metadata":
            yield f"*{path}{name}"
            yield from _fields(inner, f"{path}{name}.")


_FIELDS = ("is_draft_order", "metadata", *_fields(order_mapping.SHAPE))
