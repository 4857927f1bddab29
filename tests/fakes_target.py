"""The smallest target of accounts that keeps every promise of its port: a dictionary."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from crossdock.domain.customer import Account
from crossdock.ports import Found, Outcome, Put


class MemoryTarget:
    """Accounts by number: who may buy on them now, and the fingerprint of what was last said."""

    name = "Memory"
    version = "1"
    batch = 2

    def __init__(self) -> None:
        self._buyers: dict[str, set[str]] = {}
        self._fingerprints: dict[str, str] = {}

    def fingerprint(self) -> str:
        return "memory"

    def payload(self, record: Account) -> bytes:
        return "\n".join(sorted(buyer.email for buyer in record.buyers) if record.may_log_in else ()).encode()

    def put(self, batch: Sequence[Put]) -> Iterable[Outcome]:
        for put in batch:
            self._buyers[put.key] = set() if put.op == "remove" else set(put.payload.decode().split())
            self._fingerprints[put.key] = put.fingerprint
            yield Outcome(put.key, f"id of {put.key}")

    def find(self, keys: Collection[str]) -> dict[str, Found]:
        return {key: Found(f"id of {key}", self._fingerprints[key]) for key in keys if key in self._fingerprints}

    def keys(self) -> Iterator[Sequence[str]]:
        yield list(self._fingerprints)

    def buyers(self, key: str) -> set[str]:
        """For the tests: who may buy on this account."""
        return self._buyers[key]
