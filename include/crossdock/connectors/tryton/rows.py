"""Rows that mean the same on every reading, and canonical records built of them. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec
from pydantic import ValidationError

from crossdock.domain.record import Value
from crossdock.errors import Reject

_V = TypeVar("_V", bound=Value)
_S = TypeVar("_S", bound=msgspec.Struct)


class Day(msgspec.Struct):
    """A date as it travels."""

    year: int
    month: int
    day: int

    def date(self) -> date:
        """Of the company's calendar."""
        return date(self.year, self.month, self.day)


class Moment(Day):
    """A time as it travels: UTC, without saying so."""

    hour: int
    minute: int
    second: int
    microsecond: int

    def time(self) -> datetime:
        """Aware, UTC."""
        return datetime(
            self.year, self.month, self.day, self.hour, self.minute, self.second, self.microsecond, tzinfo=UTC
        )


class Amount(msgspec.Struct):
    """A number as it travels, exactly."""

    decimal: Decimal


_STABLE = msgspec.json.Encoder(order="deterministic")


def stable(row: Any) -> bytes:
    """The row's bytes, the same as long as its content is.

    Tryton's own are not: names come in the order of a set, which changes with every start of the
    server, and equal rows of a list in any order.
    """
    return _STABLE.encode(_sorted(row))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(part) for name, part in value.items()}
    if isinstance(value, list):
        return sorted(map(_sorted, value), key=lambda part: part["id"]) if _are_rows(value) else value
    return value


def _are_rows(values: list[Any]) -> bool:
    return all(isinstance(value, dict) and isinstance(value.get("id"), int) for value in values)


def decode(decoder: msgspec.json.Decoder[_S], raw: bytes, what: str) -> _S:
    """The row, typed. Raises Reject for what is none."""
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Reject(
            "unreadable",
            f"The row is not what Tryton sends for a {what}: {error}.",
            "Replay it; if it stays so, something between Tryton and Crossdock spoils its answers.",
        ) from None


def fields(struct: type[msgspec.Struct]) -> tuple[str, ...]:
    """What to ask Tryton for, so that the answer is such a row: nothing that is not used."""
    return tuple(sorted(_fields(struct)))


def _fields(struct: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    hints = get_type_hints(struct)
    for one in msgspec.structs.fields(struct):
        if one.encode_name.endswith("."):
            [rows] = [part for part in get_args(hints[one.name]) or [hints[one.name]] if part is not type(None)]
            yield from _fields(rows, prefix + one.encode_name)
        else:
            yield prefix + one.name


def build(model: type[_V], what: str, **given: Any) -> _V:
    """The model, or a Reject that names the place and the field, but no value."""
    try:
        return model(**given)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        name = str(fault["loc"][0]) if fault["loc"] else ""
        said = fault["msg"].removeprefix("Value error, ")
        raise Reject(
            f"invalid_{name}" if name else "contradictory",
            f"{what[0].upper()}{what[1:]}: {name} {said}." if name else f"{what[0].upper()}{what[1:]}: {said}.",
            "Correct it in Tryton; the next run takes it up.",
        ) from None
