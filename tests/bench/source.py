"""The benchmark's accounts as a Source, the way a connector is written."""

from __future__ import annotations

import http.client
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec

from crossdock.domain.customer import Account
from crossdock.ports import Row, Window


class _Key(msgspec.Struct, gc=False):
    id: int
    number: str


class _Wire(_Key, gc=False):
    name: str
    active: bool
    blocked: bool
    credit_hold: bool
    tax_id: str
    tax_exempt: bool
    terms: str
    terms_days: int
    price_list: str
    currency: str
    buyer_email: str
    buyer_name: str
    buyer_phone: str
    street: str
    postal_code: str
    city: str
    subdivision: str
    country: str
    delivery: bool


_split = msgspec.json.Decoder(list[msgspec.Raw]).decode
_keys = msgspec.json.Decoder(list[_Key]).decode
_ids = msgspec.json.Decoder(list[int]).decode
_wire = msgspec.json.Decoder(_Wire).decode


def bodies(url: str, path: str) -> Iterator[bytes]:
    """The bodies of all pages, over one connection."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    page = 0
    while True:
        connection.request("GET", f"/{path}?page={page}")
        body = connection.getresponse().read()
        if body == b"[]":
            connection.close()
            return
        yield body
        page += 1


class PagesSource:
    """Implements ``ports.Source`` of accounts."""

    name = "Pages"
    version = "1"

    def __init__(self, url: str) -> None:
        self._url = url

    def now(self) -> datetime:
        return datetime.now(UTC)

    def changed(self, window: Window) -> Iterator[Sequence[Row]]:
        for body in bodies(self._url, "accounts"):
            yield [Row(k.number, str(k.id), bytes(raw)) for k, raw in zip(_keys(body), _split(body), strict=True)]

    def read(self, keys: Collection[str]) -> Iterator[Sequence[Row]]:
        return iter(())

    def parts(self) -> Iterator[Sequence[str]]:
        for body in bodies(self._url, "ids"):
            yield list(map(str, _ids(body)))

    def content(self, ref: str) -> bytes:
        raise AssertionError("accounts have no files")

    def parse(self, raw: bytes) -> Account:
        wire = _wire(raw)
        source_id = str(wire.id)
        return Account.model_validate(
            {
                "number": wire.number,
                "name": wire.name,
                "active": wire.active,
                "blocked": wire.blocked,
                "credit_hold": wire.credit_hold,
                "tax_id": wire.tax_id,
                "tax_exempt": wire.tax_exempt,
                "terms": {"name": wire.terms, "days": wire.terms_days},
                "price_list": wire.price_list,
                "currency": wire.currency,
                "buyers": (_buyer(source_id, wire),),
                "addresses": (_address(source_id, wire),),
                "parts": (source_id,),
            }
        )


def _buyer(source_id: str, wire: _Wire) -> dict[str, Any]:
    return {"source_id": source_id, "email": wire.buyer_email, "name": wire.buyer_name, "phone": wire.buyer_phone}


def _address(source_id: str, wire: _Wire) -> dict[str, Any]:
    return {
        "source_id": source_id,
        "name": wire.name,
        "street": wire.street,
        "postal_code": wire.postal_code,
        "city": wire.city,
        "subdivision": wire.subdivision,
        "country": wire.country,
        "delivery": wire.delivery,
    }
