"""A merchant's catalogue of any size, without a source: product N is always the same product."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice

import msgspec

from crossdock.domain.item import Attribute, Category, Item, Variant
from crossdock.ports import Row, Window

_GOODS = ("Hammer", "Spanner", "Drill bit", "Screw", "Bracket", "Chisel", "Clamp", "File", "Gauge", "Hinge", "Pliers")
_STUFF = ("steel", "brass", "oak", "nylon", "zinc", "chrome vanadium", "stainless", "galvanised", "hardened", "forged")
_SIZES = ("M4", "M5", "M6", "M8", "M10", "M12", "M16", "M20")
SIZE = "Size"
"""The option every product has."""
CATEGORIES = tuple(f"{what} {number}" for what in ("Range", "Use") for number in range(20))
"""All names; a product stands in two of them."""
KINDS = ("Tools", "Fasteners", "Fittings")


class Product:
    """One product with one variant: what a bare client sends, and what our source reads."""

    def __init__(self, number: int) -> None:
        rng = random.Random(number)
        goods, stuff = rng.choice(_GOODS), rng.choice(_STUFF)
        self.id = number
        self.code = f"B{number:07d}"
        self.name = f"{goods}, {stuff}, no. {number}"
        words = " ".join(rng.choice(_STUFF) for _ in range(16))
        self.description = f"<p>{goods} of {stuff}, for the workshop. {words} {words}"[:196] + "</p>"
        self.size = rng.choice(_SIZES)
        self.ean = _ean(number)
        self.grams = rng.randrange(1, 20_000)
        self.categories = (CATEGORIES[rng.randrange(20)], CATEGORIES[20 + rng.randrange(20)])
        self.kind = rng.choice(KINDS)


def products(count: int) -> Iterator[Product]:
    """The first so many."""
    return map(Product, range(1, count + 1))


def _ean(number: int) -> str:
    """With its check digit."""
    digits = f"40{number:010d}"
    total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits))
    return f"{digits}{-total % 10}"


_read = msgspec.json.Decoder().decode
_PER_PAGE = 1_000


class CatalogueSource:
    """Implements ``ports.Source`` of items: the same products, made while they are read."""

    name = "Catalogue"
    version = "1"

    def __init__(self, count: int) -> None:
        self._count = count

    def now(self) -> datetime:
        return datetime.now(UTC)

    def changed(self, window: Window) -> Iterator[Sequence[Row]]:
        goods = products(self._count)
        while page := list(islice(goods, _PER_PAGE)):
            yield [Row(one.code, str(one.id), msgspec.json.encode(vars(one))) for one in page]

    def read(self, keys: Collection[str]) -> Iterator[Sequence[Row]]:
        return iter(())

    def parts(self) -> Iterator[Sequence[str]]:
        yield list(map(str, range(1, self._count + 1)))

    def content(self, ref: str) -> bytes:
        raise AssertionError("these products have no images")

    def parse(self, raw: bytes) -> Item:
        row = _read(raw)
        variant = Variant(
            source_id=str(row["id"]),
            sku=row["code"],
            options=(Attribute(name=SIZE, value=row["size"]),),
            barcode=row["ean"],
        )
        return Item(
            number=row["code"],
            name=row["name"],
            description=row["description"],
            unit="Unit",
            tax_class=row["kind"],
            weight=Decimal(row["grams"]),
            categories=tuple((Category(source_id=name, name=name),) for name in row["categories"]),
            variants=(variant,),
            parts=(str(row["id"]),),
        )
