"""Stock levels of the shop by location, both ways: ``Target[Stock]`` and ``Shelf``.

Needs the ERP extension (include/storefront): Medusa's own API takes levels as absolute figures, so what is reserved,
fulfilled or cancelled between reading and writing would be lost or counted twice. What is written: src/lib/stock.js.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec

from crossdock.connectors.medusa.api import Shop, chunks, for_urls
from crossdock.domain.stock import Reserved, Stock
from crossdock.errors import AnswerLost, Misconfigured, Reject, Retry
from crossdock.ports import Content, Found, Outcome, Put, Window

Json = dict[str, Any]

_ASKED = 1_000
"""Stocks or SKUs in one question; the shop takes no more."""
_PAGE = 10_000
"""SKUs in one answer."""

_REMEDIES = {
    "unknown_sku": "Let the flow items bring the product to the shop, or correct the SKU; then replay.",
    "no_inventory_item": "Trigger the flow items with its product as key and force, which makes the inventory item; "
    "then replay.",
    "shared_inventory": "Give the variant an inventory item of its own in the shop, of which it needs one piece; then "
    "replay.",
    "unknown_location": "Write the ERP's code of the warehouse as erp_code into the metadata of exactly one stock "
    "location of the shop; then replay.",
    "invalid": "This is a defect: report it.",
}


class Inventory(Shop):
    """What is in stock of each SKU at every location, and what the shop keeps back of it for its orders.

    A level bears the moment of the figure (``as_of``), its fingerprint and the day of the next receipt (``expected``)
    in ``metadata.erp``, where visitors can read the latter.
    """

    version = "inventory-1"
    batch = 500
    lanes = 1

    # ------------------------------------------------------------ the shelf

    def now(self) -> datetime:
        """The shop's clock, by the whole second below."""
        return self._api.now()

    def locations(self) -> Collection[str]:
        """Of stock locations with an ``erp_code`` in their metadata. Raises Misconfigured when two have the same."""
        params = {"fields": "id,metadata", "limit": 1_000}
        places = self._api.get("/admin/stock-locations", params)["stock_locations"]
        codes = sorted(code for place in places if (code := (place["metadata"] or {}).get("erp_code")))
        if twice := [code for code, following in pairwise(codes) if code == following]:
            raise Misconfigured(
                f"Several stock locations of the shop have the erp_code {twice[0]}: leave it to one of them (metadata)."
            )
        return codes

    def touched(self, window: Window) -> Iterator[Sequence[str]]:
        """What this connector itself has written since is left out, unless somebody changed it afterwards.

        A variant that changed in any way counts too. What changed after the window is named as well.
        """
        self._check()
        if window.since is None:
            raise ValueError("what was touched since the beginning is everything: ask for it")
        asked, after = {"since": window.since.astimezone(UTC).isoformat(), "limit": _PAGE}, ""
        while skus := self._api.get("/admin/erp/stock/touched", {**asked, "after": after})["skus"]:
            yield skus
            after = skus[-1]

    def reserved(self, skus: Collection[str]) -> Mapping[str, Sequence[Reserved]]:
        """For lines of orders, at the ERP's locations; of one line in the order in which ``put`` covers them."""
        self._check()
        found: dict[str, list[Reserved]] = {}
        for some in chunks(skus, _ASKED):
            for one in self._ask("reserved", {"skus": some})["reserved"]:
                quantities = {name: Decimal(one[name]) for name in ("quantity", "fulfilled")}
                reserved = Reserved(order=one["order"], line=one["line"], location=one["location"], **quantities)
                found.setdefault(one["sku"], []).append(reserved)
        return found

    def shows(self, stocks: Sequence[Stock]) -> Set[str]:
        """Also those of which ``put`` would leave what is there: no longer sold, or shown by a later figure."""
        self._check()
        shown: set[str] = set()
        for start in range(0, len(stocks), _ASKED):
            asked = {"stocks": [_said(stock) for stock in stocks[start : start + _ASKED]]}
            shown.update(self._ask("compare", asked)["shown"])
        return shown

    # ------------------------------------------------------------ the target

    def payload(self, record: Stock) -> bytes:
        """As JSON; see src/lib/stock-schema.js."""
        return msgspec.json.encode(_said(record), order="deterministic")

    def put(self, batch: Sequence[Put], content: Content) -> Iterable[Outcome]:
        """All in one transaction of the shop, in which reservations are added up and nothing is fulfilled.

        A level is made at each of the ERP's locations. ``remove`` changes nothing: the flow items withdraws variants.
        Raises Retry when the shop is too busy; nothing was kept then.
        """
        self._check()
        removed = [put for put in batch if put.op == "remove"]
        puts = [put for put in batch if put.op != "remove"]
        outcomes = [Outcome(put.key, put.target_id) for put in removed]
        if not puts:
            return outcomes
        stocks = [{**msgspec.json.decode(put.payload), "fingerprint": put.fingerprint} for put in puts]
        try:
            answer = self._api.post("/admin/erp/stock/batch", {"stocks": stocks})
        except Reject as refusal:
            if refusal.code == "conflict":
                raise Retry(f"{self.name} is busy with this stock: {refusal.reason}") from None
            raise
        answered = {one["sku"]: one for one in answer["outcomes"]}
        if missing := [put.key for put in puts if put.key not in answered]:
            raise AnswerLost(f"Medusa's answer says nothing of {len(missing)} of {len(puts)} SKUs.")
        return outcomes + [_outcome(put, answered[put.key]) for put in puts]

    def find(self, keys: Collection[str]) -> dict[str, Found]:
        """SKUs with an inventory item, by its id; the fingerprint of the last ``put``, whoever came after it."""
        self._check()
        return {
            one["sku"]: Found(one["id"], one["fingerprint"])
            for some in for_urls(keys)
            for one in self._api.get("/admin/erp/stock", {"sku[]": some})["stocks"]
        }

    def match(self, records: Sequence[Stock]) -> dict[str, Found]:
        """By SKU."""
        return self.find([record.key for record in records])

    def keys(self) -> Iterator[Sequence[str]]:
        """SKUs of which levels were written from here."""
        self._check()
        after = ""
        while page := self._api.get("/admin/erp/stock", {"after": after, "limit": _PAGE})["stocks"]:
            yield [one["sku"] for one in page]
            after = page[-1]["sku"]

    # ------------------------------------------------------------ calls

    def _ask(self, path: str, body: Json) -> Json:
        """A question too long for a URL. Raises Retry, Misconfigured."""
        try:
            return self._api.post(f"/admin/erp/stock/{path}", body)
        except AnswerLost as error:
            raise Retry(str(error)) from None
        except Reject as refusal:
            raise Misconfigured(f"Medusa does not answer {path}: {refusal.reason}") from None

    def _check(self) -> None:
        if not self._api.extension:
            raise Misconfigured(
                "This Medusa has no ERP extension: its own API overwrites stock without regard to what is reserved or "
                "fulfilled meanwhile. Install it (include/storefront/README.md), or do not run the flow inventory."
            )


def _said(stock: Stock) -> Json:
    return {
        "sku": stock.sku,
        "as_of": stock.as_of.astimezone(UTC).isoformat(),
        "backorder": stock.backorder,
        "levels": [
            {
                "location": level.location,
                "sellable": level.sellable,
                "incoming": level.incoming,
                "expected": level.expected.isoformat() if level.expected else None,
            }
            for level in stock.levels
        ],
        "counted": [{"line": one.line, "quantity": f"{one.quantity:f}"} for one in stock.counted],
    }


def _outcome(put: Put, answer: Mapping[str, Any]) -> Outcome:
    if answer["outcome"] == "refused":
        code = answer["code"]
        refusal = Reject(code, f"Medusa says: {answer['reason']}.", _REMEDIES[code])
        return Outcome(put.key, put.target_id, refused=refusal)
    return Outcome(put.key, answer["id"] or put.target_id or put.key, note=_NOTES.get(answer["outcome"]))


_NOTES = {
    "late": "The shop shows a later figure already.",
    "withdrawn": "No longer sold: its levels are left as they are.",
}
