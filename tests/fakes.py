"""The smallest sources and targets that keep every promise of their ports: dictionaries.

The contract suites keep them honest; the engine's tests run on them. Attributes play the faults.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from crossdock.domain.customer import Account
from crossdock.domain.item import Item
from crossdock.domain.record import Record
from crossdock.errors import AnswerLost, Reject, Retry
from crossdock.ports import Content, Found, Outcome, Put, Row, Window


class MemorySource:
    """Accounts by source id, each with the time of its last change; their fields may be anything.

    ``ahead`` turns its clock on. ``away`` is raised when it is asked for the time, ``unreadable`` when
    it is asked for records by key.
    """

    name = "Memory"
    version = "1"
    record: type[Record] = Account

    def __init__(self) -> None:
        self.rows: dict[str, tuple[datetime, dict[str, Any]]] = {}
        self.ahead = timedelta()
        self.away: Exception | None = None
        self.unreadable: Exception | None = None

    def put(self, source_id: str, **fields: Any) -> None:
        """The account as it is from now on."""
        self.rows[source_id] = self._clock(), fields

    def change(self, source_id: str, **fields: Any) -> None:
        """Some of its fields are different from now on."""
        self.put(source_id, **self.rows[source_id][1] | fields)

    def dismiss(self, source_id: str) -> None:
        """Its first buyer is deleted behind its back: its time of change stays."""
        changed, fields = self.rows[source_id]
        self.rows[source_id] = changed, fields | {"buyers": fields["buyers"][1:]}

    def drop(self, source_id: str) -> None:
        """It is no customer any more, or deleted."""
        del self.rows[source_id]

    def now(self) -> datetime:
        if self.away:
            raise self.away
        return self._clock()

    def _clock(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def changed(self, window: Window) -> Iterator[Sequence[Row]]:
        yield from _pages([_row(i, f) for i, (at, f) in self.rows.items() if not window.since or at >= window.since])

    def read(self, keys: Collection[str]) -> Iterator[Sequence[Row]]:
        if self.unreadable:
            raise self.unreadable
        yield from _pages([_row(i, fields) for i, (_, fields) in self.rows.items() if fields["number"] in keys])

    def parts(self) -> Iterator[Sequence[str]]:
        yield []
        yield [part for source_id, (_, fields) in self.rows.items() for part in self.parts_of(source_id, fields)]

    def content(self, ref: str) -> bytes:
        raise Reject("no_file", f"There is no file {ref}.", "Give none.")

    def parse(self, raw: bytes) -> Any:
        fields = json.loads(raw)
        source_id = fields.pop("id")
        if not fields["number"]:
            raise Reject("no_number", f"record {source_id} has no number.", "Number it.")
        return self.record.model_validate_json(json.dumps(fields | {"parts": self.parts_of(source_id, fields)}))

    def parts_of(self, source_id: str, fields: dict[str, Any]) -> list[str]:
        contacts = (f"contact:{buyer['source_id']}" for buyer in fields.get("buyers", ()))
        return [f"party:{source_id}={fields['number']}", *contacts]


class MemoryItems(MemorySource):
    """Products, likewise."""

    record = Item

    def content(self, ref: str) -> bytes:
        return ref.encode()

    def parts_of(self, source_id: str, fields: dict[str, Any]) -> list[str]:
        variants = (f"product:{variant['source_id']}" for variant in fields.get("variants", ()))
        return [f"template:{source_id}={fields['number']}", *variants]


def _row(source_id: str, fields: dict[str, Any]) -> Row:
    return Row(fields["number"], source_id, json.dumps({"id": source_id, **fields}).encode())


def _pages(rows: list[Row]) -> Iterator[Sequence[Row]]:
    """Three rows each; the second one is empty."""
    yield rows[:3]
    yield []
    for start in range(3, len(rows), 3):
        yield rows[start : start + 3]


class Told(NamedTuple):
    """What a target was last told of an account. ``payload`` "": it was removed."""

    target_id: str
    payload: str
    fingerprint: str


class MemoryTarget:
    """Accounts by number, and every call that reached it.

    It refuses a batch that holds one of ``refuses``, loses its next ``loses`` answers, and is away
    after ``away_after`` calls.
    """

    name = "Memory"
    version = "1"
    batch = 4
    lanes = 1

    def __init__(self) -> None:
        self.records: dict[str, Told] = {}
        self.calls: list[list[str]] = []
        self.refuses: set[str] = set()
        self.loses = 0
        self.away_after: int | None = None

    def fingerprint(self) -> str:
        return "memory://shop"

    def payload(self, record: Account) -> bytes:
        buyers = sorted(buyer.email for buyer in record.buyers) if record.may_log_in else []
        return json.dumps({"name": record.name, "open": record.may_log_in, "buyers": buyers}).encode()

    def put(self, batch: Sequence[Put], content: Content) -> Iterable[Outcome]:
        if self.away_after is not None and len(self.calls) >= self.away_after:
            raise Retry("the shop is away")
        self.calls.append([put.key for put in batch])
        if bad := self.refuses & {put.key for put in batch}:
            raise Reject("refused", f"{len(bad)} records are refused.", "Mend them.")
        for put in batch:
            target_id = self.records[put.key].target_id if put.key in self.records else f"id-{put.key}"
            payload = "" if put.op == "remove" else put.payload.decode()
            self.records[put.key] = Told(target_id, payload, put.fingerprint)
        if self.loses:
            self.loses -= 1
            raise AnswerLost("no answer")
        return [Outcome(put.key, self.records[put.key].target_id) for put in batch]

    def find(self, keys: Collection[str]) -> dict[str, Found]:
        there = {key: self.records[key] for key in keys if key in self.records}
        return {key: Found(told.target_id, told.fingerprint) for key, told in there.items()}

    def match(self, records: Sequence[Account]) -> dict[str, Found | Reject]:
        return dict(self.find([record.key for record in records]))

    def keys(self) -> Iterator[Sequence[str]]:
        yield list(self.records)

    def buyers(self, key: str) -> set[str]:
        """For the tests: who may buy on this account."""
        payload = self.records[key].payload
        return set(json.loads(payload)["buyers"]) if payload else set()


class MemoryCatalogue(MemoryTarget):
    """Products by number. ``strangers``: SKU -> the id of a product that somebody made there by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.strangers: dict[str, str] = {}

    def payload(self, record: Item) -> bytes:  # type: ignore[override]
        skus = [variant.sku for variant in record.live]
        return json.dumps({"name": record.name, "skus": skus, "images": [one.ref for one in record.images]}).encode()

    def put(self, batch: Sequence[Put], content: Content) -> Iterable[Outcome]:
        for put in batch:
            if put.target_id and put.key not in self.records:  # adopted
                self.records[put.key] = Told(put.target_id, "", "")
        for outcome in super().put(batch, content):
            payload = self.records[outcome.key].payload
            yield outcome._replace(links=_links(payload))

    def find(self, keys: Collection[str]) -> dict[str, Found]:
        return {
            key: found._replace(links=_links(self.records[key].payload)) for key, found in super().find(keys).items()
        }

    def match(self, records: Sequence[Item]) -> dict[str, Found | Reject]:  # type: ignore[override]
        answers: dict[str, Found | Reject] = dict(self.find([record.key for record in records]))
        for record in records:
            owners = {self.strangers[sku] for sku in record.names if sku in self.strangers}
            if len(owners) == 1:
                answers[record.key] = Found(owners.pop(), None)
            elif owners:
                answers[record.key] = Reject("sku_taken", "Its SKUs belong to several products.", "Join them.")
        return answers

    def keys(self) -> Iterator[Sequence[str]]:
        yield [*self.records, *set(self.strangers.values())]


def _links(payload: str) -> dict[str, str]:
    return {sku: f"variant-{sku}" for sku in json.loads(payload)["skus"]} if payload else {}
