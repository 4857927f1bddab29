"""Price lists, their prices and their members through the ERP extension (include/storefront): one call for a batch.

A stock Medusa will not do: its price rows have no natural key, and creating the same price twice makes two of them, of
which the lower one is sold. How lists, ranks and members are said in Medusa: include/storefront/src/lib/price-lists.js.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Generic, TypeVar
from zlib import crc32

import msgspec

from crossdock.connectors.medusa.api import Api, Shop, chunks, for_urls
from crossdock.domain.price import PriceList, PriceMember, Prices
from crossdock.domain.record import Record
from crossdock.errors import AnswerLost, Misconfigured, Reject
from crossdock.ports import Content, Found, Outcome, Put, Wanted

log = logging.getLogger(__name__)

_R = TypeVar("_R", bound=Record)
Json = dict[str, Any]

_PATH = "/admin/erp/prices"
_ASKED = 2_000
"""Keys and questions in one call."""
_CARTS = 50
"""Carts in one call: each takes the shop 0.1 s."""


class _Target(Shop, Generic[_R]):
    """What the three kinds of record have in common."""

    version = "prices-1"
    lanes = 1
    path: str
    name_of_all: str

    @property
    def _extension(self) -> Api:
        """The shop. Raises Misconfigured without the extension."""
        if not self._api.extension:
            raise Misconfigured(
                "This Medusa has no ERP extension: prices cannot be written safely, since Medusa keeps every price "
                "that is sent twice. Install it (include/storefront/README.md), or do not run the DAG pricing."
            )
        return self._api

    def put(self, batch: Sequence[Put], content: Content) -> Iterable[Outcome]:
        """One transaction in the shop for the whole batch; what is not fit is refused, the rest is written."""
        answer = self._extension.post(self.path, {self.name_of_all: [self._told(put) for put in batch]})
        outcomes = {outcome["key"]: outcome for outcome in answer["outcomes"]}
        if missing := [put.key for put in batch if put.key not in outcomes]:
            raise AnswerLost(f"Medusa's answer says nothing of {len(missing)} of {len(batch)} records.")
        return [_outcome(put, outcomes[put.key]) for put in batch]

    def _told(self, put: Put) -> Json:
        said = self._withdrawn(put.key) if put.op == "remove" else msgspec.json.decode(put.payload)
        return {**said, "fingerprint": put.fingerprint}

    def _withdrawn(self, key: str) -> Json:
        raise NotImplementedError

    def find(self, keys: Collection[str]) -> dict[str, Found]:
        """By key."""
        raise NotImplementedError

    def match(self, records: Sequence[_R]) -> dict[str, Found | Reject]:
        """By key: no part of one can belong to another."""
        return dict(self.find([record.key for record in records]))


class PriceLists(_Target[PriceList]):
    """One price list of Medusa for each; ``remove`` makes it a draft, which nobody sees."""

    path = f"{_PATH}/lists"
    name_of_all = "lists"
    batch = 500

    def payload(self, record: PriceList) -> bytes:
        """As src/lib/price-schema.js of the extension reads it."""
        return msgspec.json.encode(
            {
                "code": record.code,
                "title": record.title,
                "audience": record.audience,
                "rank": record.rank,
                "starts_at": _moment(record.starts_at),
                "ends_at": _moment(record.ends_at),
                "tax_inclusive": record.tax_inclusive,
            }
        )

    def _withdrawn(self, key: str) -> Json:
        return {"code": key}

    def find(self, keys: Collection[str]) -> dict[str, Found]:
        """By code."""
        return _found(self._extension, self.path, "lists", "code", keys)

    def keys(self) -> Iterator[Sequence[str]]:
        """All lists; of those that people made the id."""
        return _all(self._extension, self.path, "lists", "code")


class PriceMembers(_Target[PriceMember]):
    """The rules of Medusa's price lists; an account leaves and enters lists in one moment."""

    path = f"{_PATH}/members"
    name_of_all = "members"
    batch = 500

    def payload(self, record: PriceMember) -> bytes:
        """As src/lib/price-schema.js of the extension reads it."""
        return msgspec.json.encode({"account": record.account, "lists": sorted(record.lists)})

    def _withdrawn(self, key: str) -> Json:
        return {"account": key, "lists": []}

    def find(self, keys: Collection[str]) -> dict[str, Found]:
        """By account."""
        return _found(self._extension, self.path, "members", "account", keys)

    def keys(self) -> Iterator[Sequence[str]]:
        """All accounts of which it was ever said which lists they see."""
        return _all(self._extension, self.path, "members", "account")


class ListPrices(_Target[Prices]):
    """Rows of Medusa's prices. The target's id of a record is that of the variant."""

    path = _PATH
    name_of_all = "prices"
    batch = 1000

    def payload(self, record: Prices) -> bytes:
        """As src/lib/price-schema.js of the extension reads it."""
        tiers = sorted(record.prices, key=lambda price: (price.currency, price.min_quantity))
        prices = [
            {"currency": t.currency, "amount": f"{t.amount:f}", "min": t.min_quantity, "max": t.max_quantity}
            for t in tiers
        ]
        return msgspec.json.encode({"list": record.list, "sku": record.sku, "prices": prices})

    def _withdrawn(self, key: str) -> Json:
        code, _, sku = key.partition("|")
        return {"list": code, "sku": sku, "prices": []}

    def find(self, keys: Collection[str]) -> dict[str, Found]:
        """By list and SKU; a SKU of which a list says nothing is not there."""
        return {
            price["key"]: Found(price["id"], price["fingerprint"])
            for some in chunks(keys, _ASKED)
            for price in self._extension.post(f"{_PATH}/find", {"keys": some})["prices"]
        }

    def keys(self) -> Iterator[Sequence[str]]:
        """Of all lists of the ERP, and of the variants' own prices whoever made them."""
        after: str | None = ""
        while after is not None:
            page = self._extension.get(_PATH, {"after": after, "limit": 10_000})
            yield page["keys"]
            after = page["next"]

    # ------------------------------------------------------------ proof

    def quotes(self, wanted: Sequence[Wanted]) -> Mapping[Wanted, Decimal | None]:
        """By Medusa's own pricing, as it is asked for a cart. See ``ports.Quotes``."""
        return self._answers(f"{_PATH}/quotes", wanted, _ASKED)

    def carts(self, wanted: Sequence[Wanted]) -> Mapping[Wanted, Decimal | None]:
        """By real carts of buyers who exist for a moment only, which keeps ``quotes`` honest. Slow: for a sample.

        What Medusa lets nobody put into a cart (out of stock, no price) has no answer.
        """
        by_visitor = sorted(wanted, key=lambda one: one.account or "")  # one cart takes several of his questions
        return self._answers(f"{_PATH}/carts", by_visitor, _CARTS)

    def shown(self, skus: Sequence[str]) -> Mapping[str, Decimal | None]:
        """What the public interface shows a guest. See ``ports.Shown``; a SKU that is not for sale has no answer."""
        prices: dict[str, Decimal | None] = {}
        fields = {"fields": "sku,*calculated_price", "limit": 1000, "region_id": self._regions[0]}
        for some in for_urls(skus):
            for variant in self._api.get("/store/product-variants", {**fields, "sku[]": some}, token="")["variants"]:
                price = variant.get("calculated_price")
                prices[variant["sku"]] = price and _net(
                    price["raw_calculated_amount"]["value"], price["is_calculated_price_tax_inclusive"]
                )
        return prices

    def _answers(self, path: str, wanted: Sequence[Wanted], size: int) -> dict[Wanted, Decimal | None]:
        answers: dict[Wanted, Decimal | None] = {}
        for start in range(0, len(wanted), size):
            some = wanted[start : start + size]
            questions = [{**one._asdict(), "region": self._region(one)} for one in some]
            said = self._extension.post(path, {"questions": questions})["answers"]
            for one, answer in zip(some, said, strict=True):
                if answer and "reason" in answer:
                    log.warning("%s: no cart with %d of %s: %s", self.name, one.quantity, one.sku, answer["reason"])
                elif answer:
                    amount = answer["amount"]
                    answers[one] = None if amount is None else _net(amount, answer["tax_inclusive"])
        return answers

    def _region(self, wanted: Wanted) -> str:
        """Every region has its turn, the same one for all articles of a visitor: they are asked for at once."""
        visitor = f"{wanted.account} {wanted.quantity}".encode()
        return self._regions[crc32(visitor) % len(self._regions)]

    @cached_property
    def _regions(self) -> list[str]:
        """Ids of those where the main currency is paid. Raises Misconfigured when there is none."""
        store = self._api.get("/admin/stores", {"fields": "*supported_currencies"})["stores"][0]
        main = next((one["currency_code"] for one in store["supported_currencies"] if one["is_default"]), None)
        regions = self._api.get("/admin/regions", {"fields": "id,currency_code", "order": "id", "limit": 1000})
        ids = [str(region["id"]) for region in regions["regions"] if region["currency_code"] == main]
        if not ids:
            raise Misconfigured(f"Medusa has no region where its main currency ({main}) is paid. Make one there.")
        return ids


def _outcome(put: Put, answer: Mapping[str, Any]) -> Outcome:
    if reason := answer.get("reason"):
        refusal = Reject("refused_by_shop", f"Medusa says: {reason}.", "Correct it in the ERP, or in the shop.")
        return Outcome(put.key, put.target_id, refused=refusal)
    return Outcome(put.key, answer["id"] or put.target_id)


def _found(api: Api, path: str, name: str, key: str, keys: Collection[str]) -> dict[str, Found]:
    return {
        one[key]: Found(one["id"], one["fingerprint"])
        for some in for_urls(keys)
        for one in api.get(path, {"code[]": some})[name]
    }


def _all(api: Api, path: str, name: str, key: str) -> Iterator[list[str]]:
    after = ""
    while page := [one[key] for one in api.get(path, {"after": after, "limit": 10_000})[name]]:
        yield page
        after = page[-1]


def _moment(when: datetime | None) -> str | None:
    return None if when is None else f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def _net(amount: str, tax_inclusive: bool) -> Decimal:
    """Raises Misconfigured for a price with taxes in it: it cannot be compared with the ERP's."""
    if tax_inclusive:
        raise Misconfigured(
            "Medusa takes prices in its main currency to have the taxes in them, the ERP's are without. Change the "
            "currency's tax inclusive pricing in the shop's settings."
        )
    return Decimal(amount)
