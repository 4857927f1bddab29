"""What a warehouse says it holds, in whatever format. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from crossdock.domain.record import FilledText
from crossdock.errors import Reject

TOO_MANY = Decimal(10**9)
"""No warehouse holds so many of anything: a file that says so is not believed."""

_PLAIN = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,6})?")
_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}[.,][0-9]{3}")
_PACKAGES = frozenset(
    ("bx", "ca", "cs", "ct", "ctn", "dz", "pf", "pk", "pl", "box", "carton", "case", "dozen", "pack", "pallet")
)
"""Units of X12 (element 355), and words, for more than one piece."""

_SKU: TypeAdapter[str] = TypeAdapter(FilledText)


class Stated(NamedTuple):
    """So many of a SKU were on hand at this moment."""

    on_hand: Decimal
    at: datetime


@dataclass(frozen=True)
class InventoryAdvice:
    """One file. ``whole``: what it does not name is not there; else it only says what has changed.

    ``made_at``: the newest moment it speaks of. ``dated``: it says so itself. ``control``: numbers that no other file
    has. ``sealed``: its end says that it is the end, beyond what its format asks for.
    """

    stated: Mapping[str, Stated]
    made_at: datetime
    dated: bool
    whole: bool = True
    sealed: bool = False
    control: frozenset[str] = frozenset()


@dataclass
class Book:
    """Takes down line by line what a file states. ``latest``: when it came; nothing in it can be newer."""

    zone: tzinfo
    latest: datetime
    stated: dict[str, Stated] = field(default_factory=dict)

    def add(self, where: str, sku: str, quantity: str, unit: str, at: datetime) -> None:
        """Raises Reject, naming the place, for what no warehouse means."""
        name = _sku(sku, where)
        if unit.lower() in _PACKAGES:
            raise wrong("unit", f"{where}: {name} is counted in {unit}.", "Ask the warehouse to count single pieces.")
        said = Stated(_quantity(quantity, f"{where}: {name}"), at)
        if self.stated.setdefault(name, said) != said:
            raise wrong(
                "duplicate_sku",
                f"{where}: {name} was counted before in this file, otherwise.",
                "Ask the warehouse for one line a SKU, of all its places together, and one file a warehouse.",
            )

    def moment(self, where: str, day: date, hour: time) -> datetime:
        """In UTC; of an hour that the clock strikes twice, the earlier one. What is to come is taken for now."""
        try:
            told = datetime.combine(day, hour, hour.tzinfo or self.zone).astimezone(UTC)
        except OverflowError:
            raise wrong("invalid_date", f"{where} is {day.isoformat()}.") from None
        return min(told, self.latest)


def wrong(code: str, reason: str, remedy: str = "Ask the warehouse to correct it and send it again.") -> Reject:
    """A file of which nothing is taken: the counts before it stay."""
    return Reject(code, reason, f"{remedy} Until then the counts before it stay.")


def _sku(said: str, where: str) -> str:
    if said.startswith(("=", "@")):
        raise wrong("invalid_sku", f"{where}: the SKU is a formula.")
    try:
        return _SKU.validate_python(said)
    except ValidationError:
        raise wrong("invalid_sku", f"{where}: the SKU is empty or no plain text of at most 255 characters.") from None


def _quantity(said: str, where: str) -> Decimal:
    """``1.5`` and ``1,5`` are one and a half; ``1.500`` may be a thousand and is not guessed."""
    plain = said.replace(",", ".")
    if not _PLAIN.fullmatch(plain) or _THOUSANDS.fullmatch(said):
        raise wrong("invalid_quantity", f"{where}: the quantity {said[:30] or 'is empty, it'} is not a plain number.")
    if (quantity := Decimal(plain)) >= TOO_MANY:
        raise wrong("invalid_quantity", f"{where}: the quantity {said} cannot be.")
    return quantity
