"""Stock made up for benchmarks, of SKUs that a shop and a store were told of by SQL."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from crossdock.domain.stock import Level, Stock
from crossdock.errors import Reject
from crossdock.ports import Content, Found, Outcome, Put, Row, Window

_PAGE = 500

SHOP = """
    INSERT INTO product (id, title, handle, status)
        SELECT 'prod_' || n, 'Thing ' || n, 'thing-' || n, 'published' FROM generate_series(1, {count}) n;
    INSERT INTO product_variant (id, title, sku, product_id, manage_inventory)
        SELECT 'variant_' || n, 'M', 'SKU-' || lpad(n::text, 6, '0'), 'prod_' || n, true
        FROM generate_series(1, {count}) n;
    INSERT INTO inventory_item (id, sku)
        SELECT 'iitem_' || n, 'SKU-' || lpad(n::text, 6, '0') FROM generate_series(1, {count}) n;
    INSERT INTO product_variant_inventory_item (id, variant_id, inventory_item_id)
        SELECT 'pvitem_' || n, 'variant_' || n, 'iitem_' || n FROM generate_series(1, {count}) n;
    """
"""So many products of one variant, with inventory items and without levels."""

LINKS = """
    INSERT INTO crossdock.link (pair, kind, key, flow, owner, target_id)
        SELECT 'default', 'variant', 'SKU-' || lpad(n::text, 6, '0'), 'items', n, 'variant_' || n
        FROM generate_series(1, {count}) n
    """
LEDGER = """
    INSERT INTO crossdock.ledger (pair, flow, key, source_id, target_id, raw_hash, canon_hash, run_id)
        SELECT 'default', 'inventory', 'SKU-' || lpad(n::text, 6, '0'), n, 'iitem_' || n, md5(n::text)::uuid,
               md5(n::text)::uuid, 0
        FROM generate_series(1, {count}) n
    """
"""As a run that wrote every SKU would have left it."""


def sku(number: int) -> str:
    """Of the shop's and the store's SKUs the n-th, from 1."""
    return f"SKU-{number:06d}"


class MadeUpStock:
    """A ``Source[Stock]``: these SKUs, at each of these locations another figure, none of them shown yet."""

    name = "Made up"
    version = "1"

    def __init__(self, numbers: Iterable[int], locations: Sequence[str]) -> None:
        self.numbers, self._locations = list(numbers), locations

    def now(self) -> datetime:
        return datetime.now(UTC)

    def changed(self, window: Window) -> Iterator[Sequence[Row]]:
        as_of = self.now()
        for start in range(0, len(self.numbers), _PAGE):
            yield [self._row(number, as_of) for number in self.numbers[start : start + _PAGE]]

    def read(self, keys: Collection[str]) -> Iterator[Sequence[Row]]:
        yield [self._row(number, self.now()) for number in self.numbers if sku(number) in keys]

    def parts(self) -> Iterator[Sequence[str]]:
        return iter(())

    def parse(self, raw: bytes) -> Stock:
        return Stock.model_validate_json(raw)

    def content(self, ref: str) -> bytes:
        raise Reject("no_file", f"There is no file {ref}.", "Nothing.")

    def _row(self, number: int, as_of: datetime) -> Row:
        levels = tuple(
            Level(location=one, sellable=1 + (number + place) % 90) for place, one in enumerate(self._locations)
        )
        stock = Stock(sku=sku(number), levels=levels, as_of=as_of, shown=False)
        return Row(stock.sku, str(number), stock.model_dump_json(exclude={"parts"}).encode())


class TakesAll:
    """A ``Target[Stock]`` that has everything done at once."""

    name = "Nowhere"
    version = "1"
    batch = 500
    lanes = 1

    def fingerprint(self) -> str:
        return "nowhere"

    def payload(self, record: Stock) -> bytes:
        return record.sku.encode()

    def put(self, batch: Sequence[Put], content: Content) -> Iterable[Outcome]:
        return [Outcome(put.key, put.key) for put in batch]

    def find(self, keys: Collection[str]) -> dict[str, Found]:
        return {}

    def match(self, records: Sequence[Any]) -> dict[str, Found]:
        return {}

    def keys(self) -> Iterator[Sequence[str]]:
        return iter(())
