"""The smallest source of accounts that keeps every promise of its port: a dictionary."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime

from crossdock.domain.customer import Account
from crossdock.ports import Row, Window


class MemorySource:
    """Accounts by number, each with the time of its last change; rows are JSON."""

    name = "Memory"
    version = "1"

    def __init__(self, page: int = 2) -> None:
        self._page = page
        self._rows: dict[str, tuple[datetime, Row]] = {}
        self._parts: dict[str, tuple[str, ...]] = {}

    def put(self, account: Account) -> None:
        """The account as it is from now on."""
        self.put_raw(account.number, account.model_dump_json().encode(), account.parts)

    def put_raw(self, number: str, raw: bytes, parts: tuple[str, ...] = ()) -> None:
        """A row that may be anything."""
        self._rows[number] = self.now(), Row(number, f"id of {number}", raw)
        self._parts[number] = parts

    def drop(self, number: str) -> None:
        """The account is no customer any more."""
        del self._rows[number], self._parts[number]

    def forget_part(self, number: str, part: str) -> None:
        """Something that belongs to the account is deleted behind its back: its time of change stays."""
        changed, row = self._rows[number]
        account = self.parse(row.raw)
        left = account.model_copy(
            update={
                "buyers": tuple(buyer for buyer in account.buyers if f"contact:{buyer.source_id}" != part),
                "parts": tuple(one for one in account.parts if one != part),
            }
        )
        self._rows[number] = changed, row._replace(raw=left.model_dump_json().encode())
        self._parts[number] = left.parts

    def now(self) -> datetime:
        return datetime.now(UTC)

    def changed(self, window: Window) -> Iterator[Sequence[Row]]:
        yield from self._pages([r for at, r in self._rows.values() if window.since is None or at >= window.since])

    def read(self, keys: Collection[str]) -> Iterator[Sequence[Row]]:
        yield from self._pages([row for _, row in self._rows.values() if row.key in keys])

    def parts(self) -> Iterator[Sequence[str]]:
        yield [part for parts in self._parts.values() for part in parts]

    def parse(self, raw: bytes) -> Account:
        return Account.model_validate_json(raw)

    def _pages(self, rows: list[Row]) -> Iterator[Sequence[Row]]:
        for start in range(0, len(rows), self._page):
            yield rows[start : start + self._page]
