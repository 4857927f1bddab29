"""What this package needs of Medusa's REST API, and what both ways of writing accounts share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import quote

import msgspec

from crossdock.connectors.medusa import mapping
from crossdock.domain.customer import Account
from crossdock.errors import Reject
from crossdock.ports import Found

_T = TypeVar("_T")

BODY = 1_800_000
"""Bytes of one call: Medusa takes 2 MB on its batch routes."""


class File(NamedTuple):
    """What is uploaded."""

    name: str
    content: bytes
    mime_type: str


class Choices(Protocol):
    """What a connection says of items and orders."""

    @property
    def sales_channel(self) -> str | None:
        """Its name; None: the store's default."""

    @property
    def shipping_profile(self) -> str | None:
        """Its name; None: the one of type default."""

    @property
    def shop_fields(self) -> tuple[str, ...] | None:
        """What of an item the shop owns (``item_mapping.OWNABLE``)."""

    @property
    def on_account_providers(self) -> tuple[str, ...] | None:
        """Payment providers whose payments are promises to pay an invoice."""


class Api(Protocol):
    """The calls; their errors are told in hook.py."""

    @property
    def settings(self) -> Choices:
        """The connection's."""

    @property
    def address(self) -> str:
        """Host, port and path of the shop."""

    @property
    def extension(self) -> str | None:
        """The version of the ERP extension, None on a stock Medusa."""

    def now(self) -> datetime:
        """The shop's clock, UTC."""

    def get(self, path: str, params: Mapping[str, Any] | None = None, *, token: str | None = None) -> dict[str, Any]:
        """Read, as the administrator or with a customer's ``token`` ("" for a guest)."""

    def knows(self, path: str) -> bool:
        """Whether the shop has this route."""

    def post(self, path: str, body: Any, *, token: str | None = None) -> dict[str, Any]:
        """Write, as the administrator or with a customer's ``token`` ("" for none)."""

    def delete(self, path: str) -> dict[str, Any]:
        """Remove."""

    def upload(self, path: str, files: Sequence[File]) -> dict[str, Any]:
        """Send files."""


class Shop:
    """One Medusa: what all that is written to it has in common."""

    name = "Medusa"

    def __init__(self, api: Api) -> None:
        self._api = api

    def fingerprint(self) -> str:
        """The shop's address and the id of its store."""
        return f"medusa {self._api.address} {self._api.get('/admin/stores')['stores'][0]['id']}"


class Accounts(Shop):
    """One Medusa as a home of B2B accounts."""

    lanes = 1

    def payload(self, record: Account) -> bytes:
        """See mapping.py."""
        return mapping.payload(record)

    def find(self, keys: Collection[str]) -> dict[str, Found]:
        """By account number."""
        raise NotImplementedError

    def match(self, records: Sequence[Account]) -> dict[str, Found]:
        """An account is there when its number is: no part of it can belong to another one."""
        return self.find([record.key for record in records])


def for_urls(items: Collection[str], room: int = 6000) -> Iterator[list[str]]:
    """The items, so many at a time as go into one URL (proxies end them at 8 kB)."""
    return _filled(items, lambda item: len(quote(item)) + 20, room)


def parts(bodies: Collection[Any]) -> Iterator[list[Any]]:
    """As many at a time as one call takes. Raises Reject for one that is too large alone."""
    return _filled(bodies, _length, BODY)


def _length(body: Any) -> int:
    length = len(msgspec.json.encode(body)) + 1
    if length > BODY:
        raise Reject("too_large", f"It takes {length:,} bytes, Medusa reads 2 MB.", "Shorten its description.")
    return length


def _filled(items: Iterable[_T], size_of: Callable[[_T], int], room: int) -> Iterator[list[_T]]:
    some: list[_T] = []
    free = room
    for item in items:
        size = size_of(item)
        if some and size > free:
            yield some
            some, free = [], room
        some.append(item)
        free -= size
    if some:
        yield some


def chunks(items: Collection[str], size: int) -> Iterator[list[str]]:
    """The items, ``size`` at a time."""
    rest = list(items)
    for start in range(0, len(rest), size):
        yield rest[start : start + size]
