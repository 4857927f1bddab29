"""An ERP and a shop with stock, in memory: what moves in one of them moves as it does in the real ones.

``between`` is called at each point of a reading where the world may go on.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from crossdock.domain.stock import Goods, Part, Reserved, Stock, Supply, uncounted
from crossdock.errors import Reject
from crossdock.ports import Content, Found, Outcome, Put, Window


@dataclass
class Move:
    """Pieces that leave a warehouse, for a line of a web order or for somebody on the phone."""

    sku: str
    warehouse: str
    quantity: int
    line: str = ""
    state: str = "open"


@dataclass
class Line:
    """A line of a web order in the shop: reserved at one location, fulfilled from any."""

    order: str
    id: str
    sku: str
    location: str
    quantity: int
    reserved: int
    fulfilled: int = 0
    open: bool = True


@dataclass
class World:
    """Both sides and their clock, which goes on by itself."""

    places: tuple[str, ...] = ("HAM", "BER")
    kits: dict[str, dict[str, int]] = field(default_factory=dict)
    on_hand: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    moves: list[Move] = field(default_factory=list)
    stocked: dict[tuple[str, str], int] = field(default_factory=dict)
    lines: dict[str, Line] = field(default_factory=dict)
    touched: list[tuple[datetime, str]] = field(default_factory=list)
    between: Callable[[], None] = lambda: None
    clock: datetime = datetime(2026, 11, 1, tzinfo=UTC)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def tick(self) -> datetime:
        self.clock += timedelta(seconds=1)
        return self.clock

    def touch(self, sku: str) -> None:
        self.touched.append((self.tick(), sku))

    # ---- the ERP

    def receive(self, sku: str, warehouse: str, quantity: int) -> None:
        self.on_hand[sku, warehouse] += quantity
        self.touch(sku)

    def phone(self, sku: str, warehouse: str, quantity: int) -> None:
        self._move(sku, warehouse, quantity, "")

    def take_in(self, line: str, warehouse: str) -> None:
        """The web order becomes a processed sale: its goods are to leave this warehouse."""
        one = self.lines[line]
        if one.open and not any(move.line == line for move in self.moves):
            self._move(one.sku, warehouse, one.quantity - one.fulfilled, line)

    def _move(self, sku: str, warehouse: str, quantity: int, line: str) -> None:
        for part, each in self.kits.get(sku, {sku: 1}).items():
            self.moves.append(Move(part, warehouse, quantity * each, line))
            self.touch(part)

    def ship(self, index: int, quantity: int) -> None:
        """A part may stay behind, as another move."""
        open_moves = [move for move in self.moves if move.state == "open"]
        if open_moves:
            move = open_moves[index % len(open_moves)]
            sent = min(quantity, move.quantity)
            if sent < move.quantity:
                self.moves.append(Move(move.sku, move.warehouse, move.quantity - sent, move.line))
            move.quantity, move.state = sent, "done"
            self.on_hand[move.sku, move.warehouse] -= sent
            self.touch(move.sku)

    def cancel_in_erp(self, line: str) -> None:
        for move in self.moves:
            if move.line == line and move.state == "open":
                move.state = "cancelled"
                self.touch(move.sku)

    # ---- the shop

    def order(self, sku: str, location: str, quantity: int) -> str:
        number = next(self._numbers)
        line = f"line_{number}"
        self.lines[line] = Line(f"order_{number}", line, sku, location, quantity, quantity)
        self.touch(sku)
        return line

    def fulfil(self, line: str, location: str, quantity: int) -> None:
        one = self.lines[line]
        quantity = min(quantity, one.reserved)
        one.reserved -= quantity
        one.fulfilled += quantity
        self.stocked[one.sku, location] = self.stocked.get((one.sku, location), 0) - quantity
        self.touch(one.sku)

    def cancel_in_shop(self, line: str) -> None:
        one = self.lines[line]
        if one.open and not one.fulfilled:
            one.open, one.reserved = False, 0
            self.touch(one.sku)

    def edit_by_hand(self, sku: str, location: str, quantity: int) -> None:
        self.stocked[sku, location] = quantity
        self.touch(sku)

    def available(self, sku: str, location: str) -> int:
        """What a visitor sees there."""
        reserved = sum(one.reserved for one in self.lines.values() if (one.sku, one.location) == (sku, location))
        return self.stocked.get((sku, location), 0) - reserved


class MemoryWarehouses:
    """The ERP of a ``World`` behind the port ``Warehouses``."""

    name, version = "Memory", "1"

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> datetime:
        return self._world.tick()

    def touched(self, window: Window) -> Iterator[Sequence[str]]:
        yield [sku for at, sku in self._world.touched if window.since is None or at >= window.since]

    def skus(self) -> Iterator[Sequence[str]]:
        yield sorted({sku for sku, _ in self._world.on_hand} | self._world.kits.keys())

    def family(self, skus: Collection[str]) -> set[str]:
        kits, whole, before = self._world.kits, set(skus), set[str]()
        while whole != before:
            before = set(whole)
            whole |= {part for sku in before for part in kits.get(sku, ())}
            whole |= {kit for kit, parts in kits.items() if before & parts.keys()}
        return whole

    def counted(self, lines: Mapping[str, Collection[str]]) -> Mapping[str, Decimal]:
        self._world.between()
        told = {}
        for line in {line for some in lines.values() for line in some}:
            sku = self._world.lines[line].sku
            parts = self._world.kits.get(sku, {sku: 1})
            moves = [move for move in self._world.moves if move.line == line]
            if moves:
                sums = [
                    sum(move.quantity for move in moves if move.sku == part and move.state != "cancelled") // each
                    for part, each in parts.items()
                ]
                told[line] = Decimal(min(sums))
        return told

    def goods(self, skus: Collection[str]) -> Iterable[Goods]:
        self._world.between()
        outgoing: dict[tuple[str, str], int] = defaultdict(int)
        for move in self._world.moves:
            if move.state == "open":
                outgoing[move.sku, move.warehouse] += move.quantity
        self._world.between()
        for sku in sorted(skus):
            if sku in self._world.kits:
                parts = self._world.kits[sku].items()
                yield Goods(sku=sku, parts=tuple(Part(sku=part, quantity=Decimal(each)) for part, each in parts))
                continue
            yield Goods(
                sku=sku,
                supplies=tuple(
                    Supply(
                        warehouse=place,
                        on_hand=Decimal(self._world.on_hand[sku, place]),
                        outgoing=Decimal(outgoing[sku, place]),
                    )
                    for place in self._world.places
                ),
            )

    def shipped(self, warehouse: str, since: Mapping[str, datetime]) -> Mapping[str, Decimal]:
        return {}


class MemoryShelf:
    """The shop of a ``World`` behind the ports ``Shelf`` and ``Target[Stock]``; ``puts`` counts what was written."""

    name, version, batch, lanes = "Memory", "1", 100, 1

    def __init__(self, world: World) -> None:
        self._world = world
        self.puts: list[str] = []
        self.as_of: dict[str, datetime] = {}
        self.written: dict[tuple[str, str], int] = {}

    def now(self) -> datetime:
        return self._world.tick()

    def locations(self) -> Collection[str]:
        return self._world.places

    def touched(self, window: Window) -> Iterator[Sequence[str]]:
        yield from ()

    def reserved(self, skus: Collection[str]) -> Mapping[str, Sequence[Reserved]]:
        self._world.between()
        told: dict[str, list[Reserved]] = defaultdict(list)
        for one in self._world.lines.values():
            if one.sku in skus and one.reserved:
                told[one.sku].append(
                    Reserved(
                        order=one.order,
                        line=one.id,
                        location=one.location,
                        quantity=Decimal(one.reserved),
                        fulfilled=Decimal(one.fulfilled),
                    )
                )
        return told

    def shows(self, stocks: Sequence[Stock]) -> set[str]:
        self._world.between()
        return {
            stock.sku
            for stock in stocks
            if all(self._world.stocked.get(place) == level for place, level in self._levels(stock).items())
        }

    def _levels(self, stock: Stock) -> dict[tuple[str, str], int]:
        counted = {one.line: one.quantity for one in stock.counted}
        reserved = self.reserved_now(stock.sku)
        rest = uncounted(reserved, counted)
        levels = {}
        for level in stock.levels:
            all_of_it = sum(one.quantity for one in reserved if one.location == level.location)
            covered = all_of_it - rest.get(level.location, Decimal(0))
            levels[stock.sku, level.location] = level.sellable + int(covered)
        return levels

    def reserved_now(self, sku: str) -> Sequence[Reserved]:
        between, self._world.between = self._world.between, lambda: None
        try:
            return self.reserved([sku]).get(sku, ())
        finally:
            self._world.between = between

    def write(self, stock: Stock) -> None:
        """In one moment, like the extension's transaction; what is older than the last word changes nothing."""
        if stock.as_of >= self.as_of.get(stock.sku, stock.as_of):
            self.as_of[stock.sku] = stock.as_of
            self._world.stocked |= (levels := self._levels(stock))
            self.written |= levels
            self._world.touch(stock.sku)
        self.puts.append(stock.sku)

    def fingerprint(self) -> str:
        return "memory://shop"

    def payload(self, record: Stock) -> bytes:
        return record.model_dump_json(exclude={"parts"}).encode()

    def put(self, batch: Sequence[Put], content: Content) -> Iterable[Outcome]:
        for put in batch:
            self.write(Stock.model_validate_json(put.payload))
        return [Outcome(put.key, put.key) for put in batch]

    def find(self, keys: Collection[str]) -> dict[str, Found]:
        return {key: Found(key, None) for key in keys}

    def match(self, records: Sequence[Stock]) -> dict[str, Found | Reject]:
        return dict(self.find([record.sku for record in records]))

    def keys(self) -> Iterator[Sequence[str]]:
        yield sorted({sku for sku, _ in self._world.stocked})
