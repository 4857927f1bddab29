"""What this package needs of Medusa's REST API, and what both ways of writing accounts share."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

from crossdock.connectors.medusa import mapping
from crossdock.domain.customer import Account
from crossdock.ports import Found


class Api(Protocol):
    """The calls; their errors are told in hook.py."""

    @property
    def address(self) -> str:
        """Host, port and path of the shop."""

    @property
    def extension(self) -> str | None:
        """The version of the ERP extension, None on a stock Medusa."""

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Read."""

    def post(self, path: str, body: Any, *, token: str | None = None) -> dict[str, Any]:
        """Write, as the administrator or with a customer's ``token`` ("" for none)."""

    def delete(self, path: str) -> dict[str, Any]:
        """Remove."""


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


def chunks(items: Collection[str], size: int) -> Iterator[list[str]]:
    """The items, ``size`` at a time."""
    rest = list(items)
    for start in range(0, len(rest), size):
        yield rest[start : start + size]
