"""A merchant's catalogue of any size, without a source: product N is always the same product."""

from __future__ import annotations

import random
from collections.abc import Iterator

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
