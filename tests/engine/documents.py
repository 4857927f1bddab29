"""Documents by their dates: an ERP and a shop in memory, and what the tests say of them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from tests.fakes import MemorySource, MemoryTarget

from crossdock.domain.document import Document
from crossdock.errors import Reject
from crossdock.ports import Content, Control, Outcome, Put, Row, Wish

JANUARY, FEBRUARY = (date(2025, 1, 1), date(2025, 2, 1)), (date(2025, 2, 1), date(2025, 3, 1))
YEAR = (date(2025, 1, 1), date(2026, 1, 1))


class MemoryInvoices(MemorySource):
    """Invoices by id; a change is a newer state of one. ``windows``: what was read by date."""

    record = Document

    def __init__(self) -> None:
        super().__init__()
        self.windows: list[tuple[date, date]] = []
        self.read_by_name: list[set[str]] = []
        self.prints: dict[str, bytes | Exception] = {}
        self.owed: dict[str, Decimal] = {}

    def put(self, source_id: str, **fields: Any) -> None:
        now = self._clock()
        self.rows[source_id] = now, fields | {"changed_at": now.isoformat()}

    def dated(self, since: date, until: date) -> Iterator[Sequence[Row]]:
        self.windows.append((since, until))
        rows = [(i, f) for i, (_, f) in self.rows.items() if since <= date.fromisoformat(f["made_on"]) < until]
        for i, fields in sorted(rows, key=lambda row: row[1]["made_on"], reverse=True):
            yield [Row(fields["number"], i, json.dumps({"id": i, **fields}).encode())]

    def read(self, keys: Collection[str]) -> Iterator[Sequence[Row]]:
        self.read_by_name.append(set(keys))
        yield from super().read(keys)

    def content(self, ref: str) -> bytes:
        told = self.prints.get(ref)
        if told is None:
            raise Reject("no_file", f"There is no print of {ref}.", "Print it in the ERP.")
        if isinstance(told, Exception):
            raise told
        return told

    def parts_of(self, source_id: str, fields: dict[str, Any]) -> list[str]:
        return []

    def control(self, since: date | None, until: date | None, without: Collection[str]) -> Any:
        return add_up((fields for _, fields in self.rows.values()), since, until, without)

    def receivables(self) -> dict[str, Decimal]:
        return self.owed


class MemoryShelf(MemoryTarget):
    """Documents by number: an older state never displaces a newer one. ``writes``: state after state of each."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: dict[str, list[str]] = defaultdict(list)
        self.wished: dict[str, str] = {}
        self.delivered: dict[str, bytes | None] = {}
        self.refuses_prints: dict[str, Exception] = {}

    def payload(self, record: Document) -> bytes:  # type: ignore[override]
        return record.model_dump_json(exclude={"parts"}).encode()

    def put(self, batch: Sequence[Put], content: Content) -> Iterable[Outcome]:
        newer = [put for put in batch if self._state(put.key) <= json.loads(put.payload)["changed_at"]]
        super().put(newer, content)
        for put in newer:
            self.writes[put.key].append(json.loads(put.payload)["changed_at"])
        return [
            Outcome(put.key, self.records[put.key].target_id, note=None if put in newer else "a newer one is there")
            for put in batch
        ]

    def _state(self, key: str) -> str:
        return str(json.loads(self.records[key].payload)["changed_at"]) if key in self.records else ""

    def shown(self, key: str) -> dict[str, Any]:
        return dict(json.loads(self.records[key].payload))

    def control(self, since: date | None, until: date | None, without: Collection[str]) -> Any:
        return add_up(map(self.shown, self.records), since, until, without)

    def wishes(self) -> Iterator[Sequence[Wish]]:
        yield [Wish(id, ref) for id, ref in self.wished.items()]

    def deliver(self, id: str, content: bytes | None) -> None:
        if content is not None and id in self.refuses_prints:
            raise self.refuses_prints[id]
        self.delivered[id] = content
        self.wished.pop(id, None)


def add_up(
    documents: Iterable[dict[str, Any]], since: date | None, until: date | None, without: Collection[str]
) -> Any:
    found: dict[tuple[str, str], Control] = {}
    for one in documents:
        made_on = date.fromisoformat(one["made_on"])
        if one.get("withdrawn") or one["number"] in without:
            continue
        if (since and made_on < since) or (until and made_on >= until):
            continue
        account, before = (one["account"], one["currency"]), Control(0, Decimal(0), Decimal(0))
        before = found.get(account, before)
        found[account] = Control(
            before.count + 1, before.total + Decimal(one["total"]), before.open + Decimal(one["open"] or 0)
        )
    return found


def invoice(world: Any, number: str, made_on: str = "2025-01-15", total: str = "119.00", **fields: Any) -> None:
    """One that is not paid."""
    world.erp.put(
        number,
        number=number,
        **{
            "kind": "invoice",
            "account": "C-1",
            "made_on": made_on,
            "currency": "EUR",
            "net": total,
            "tax": "0",
            "total": total,
            "open": total,
            "status": "open",
        }
        | fields,
    )


def pay(world: Any, number: str) -> None:
    world.erp.change(number, open="0", status="paid")


def know(world: Any, account: str = "C-1") -> None:
    """The shop has this account."""
    world.query(
        """
        INSERT INTO ledger (pair, flow, key, source_id, target_id, run_id)
        VALUES (%s, 'customers', %s, '1', 'id-1', 1) RETURNING 1""",
        world.pair,
        account,
    )


def when(world: Any, point: str, act: Callable[[], None]) -> None:
    """Something happens once, in the middle of the next reading of ``point`` (dated, changed)."""
    read = getattr(world.erp, point)

    def once(*args: Any) -> Iterator[Sequence[Row]]:
        pages = list(read(*args))
        setattr(world.erp, point, read)
        act()
        yield from pages

    setattr(world.erp, point, once)
