"""How tables of Tryton are read, whatever the domain: flat, by id, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

IDS = 2_000
"""Ids in one answer: on SQLite more of them take longer each (measured)."""

ALL = ["active", "in", [True, False]]
NONE = ["active", "in", []]
"""Tryton adds ``active = true`` to every list of clauses in which ``active`` does not stand: to a domain
(hence ALL), to the one below a ``where``, and to each ``OR`` (hence NONE, an alternative that never holds)."""

Record = dict[str, Any]


class Rpc(Protocol):
    """The calls; their errors are told in hook.py."""

    @property
    def settings(self) -> Any:
        """What the connection says (hook.py)."""

    @property
    def user(self) -> int:
        """Our own user's id there."""

    @property
    def company(self) -> int:
        """The id of the company that the connection is for, else our own user's."""

    def call(self, method: str, *params: Any, **context: Any) -> Any:
        """Ask; Python values."""

    def ask(self, method: str, *params: Any, **context: Any) -> bytes:
        """Ask; JSON."""

    def now(self) -> datetime:
        """Tryton's clock."""


def table(rpc: Rpc, model: str, domain: Sequence[Any], fields: Sequence[str], **context: Any) -> list[Record]:
    """All rows, by id."""
    found: list[Record] = rpc.call(
        f"model.{model}.search_read", list(domain), 0, None, [["id", "ASC"]], list(fields), **context
    )
    return found


def modules(rpc: Rpc) -> frozenset[str]:
    """The names of those that are active."""
    return frozenset(row["name"] for row in table(rpc, "ir.module", [["state", "=", "activated"]], ["name"]))


def raw(rpc: Rpc, model: str, domain: Sequence[Any], fields: Sequence[str]) -> list[Record]:
    """As ``table``, values as they travel."""
    content = rpc.ask(f"model.{model}.search_read", list(domain), 0, None, [["id", "ASC"]], list(fields))
    rows: list[Record] = msgspec.json.decode(content)
    return rows


def pages(
    rpc: Rpc, model: str, domain: Sequence[Any], fields: Sequence[str], size: int, **context: Any
) -> Iterator[list[Record]]:
    """Rows by id, so many at a time: what is added or removed meanwhile shifts nothing."""
    last = 0
    while True:
        after = [*domain, ["id", ">", last]]
        page: list[Record] = rpc.call(
            f"model.{model}.search_read", after, 0, size, [["id", "ASC"]], list(fields), **context
        )
        if page:
            yield page
        if len(page) < size:
            return
        last = page[-1]["id"]


def numbers(rpc: Rpc, model: str, kind: str, domain: Sequence[Any]) -> Iterator[list[str]]:
    """Parts that hold the record's code: ``party:7=C0001``."""
    for page in pages(rpc, model, domain, ["code"], IDS):
        yield [f"{kind}:{row['id']}={row['code'] or ''}" for row in page]


def ids(rpc: Rpc, model: str, domain: Sequence[Any]) -> Iterator[list[int]]:
    """Ids alone: ten times faster than rows."""
    last = 0
    while True:
        found: list[int] = rpc.call(f"model.{model}.search", [*domain, ["id", ">", last]], 0, IDS, [["id", "ASC"]])
        if found:
            yield found
        if len(found) < IDS:
            return
        last = found[-1]


def parts(rpc: Rpc, model: str, kind: str, domain: Sequence[Any]) -> Iterator[list[str]]:
    """Parts that are ids alone: ``address:8``."""
    for page in ids(rpc, model, domain):
        yield [f"{kind}:{one}" for one in page]
