"""Warehouse shipping advices, X12 transaction set 945, as 3PLs send them. Pure functions.

Versions 004010 and later. An interchange is judged before anything in it is believed: its delimiters are those of its
own header, and every envelope says how much it holds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from pydantic import ValidationError

from crossdock.domain.record import faults
from crossdock.domain.shipping_advice import AdviceLine, ShippingAdvice
from crossdock.errors import Reject

_HEADER = 106
"""Characters of an ISA segment: the only one of fixed length."""

_SKUS = ("SK", "VN", "IN", "PN")
"""Qualifiers of a product's number that is the merchant's own, the best first."""

_PACKAGE, _REFERENCE = "CP", "2I"
"""Qualifiers of a package's number (MAN), and of a reference (N9), that is the carrier's tracking number."""


class Refusal(NamedTuple):
    """A transaction that is wrong: its control number, and why."""

    transaction: str
    reject: Reject


@dataclass(frozen=True)
class _Segment:
    tag: str
    elements: tuple[str, ...]

    def __getitem__(self, place: int) -> str:
        """The element of this number, counted from 1 as X12 does; "" where there is none."""
        return self.elements[place - 1] if place <= len(self.elements) else ""


def advices(text: str) -> list[ShippingAdvice | Refusal]:
    """What one file says, transaction by transaction. Raises Reject when the file as a whole cannot be believed."""
    found: list[ShippingAdvice | Refusal] = []
    seen: set[str] = set()
    for transaction in _transactions(text):
        number = transaction[0][2]
        try:
            advice = _advice(transaction)
            if advice.number in seen:
                raise Reject(
                    "duplicate_shipment",
                    f"Shipment {advice.number} is advised twice in one file.",
                    "Ask the warehouse which of the two is right.",
                )
        except Reject as reject:
            found.append(Refusal(number, reject))
        else:
            seen.add(advice.number)
            found.append(advice)
    return found


# ---------------------------------------------------------------- envelopes


def _transactions(text: str) -> Iterator[list[_Segment]]:
    segments = _segments(text)
    controls: set[str] = set()
    while segments:
        interchange, segments = _until(segments, "ISA", "IEA")
        header, *groups, trailer = interchange
        if header[13] in controls:
            raise _unbelievable("duplicate_interchange", f"Interchange {header[13]} stands in the file twice.")
        controls.add(header[13])
        count = 0
        while groups:
            group, groups = _until(groups, "GS", "GE")
            start, *sets, end = group
            number = 0
            while sets:
                transaction, sets = _until(sets, "ST", "SE")
                _check("SE", transaction[-1], len(transaction), transaction[0][2])
                if transaction[0][1] != "945":
                    raise _unbelievable(
                        "unknown_transaction", f"Transaction set {transaction[0][1]} is no shipping advice (945)."
                    )
                number += 1
                yield transaction
            _check("GE", end, number, start[6])
            count += 1
        _check("IEA", trailer, count, header[13])


def _segments(text: str) -> list[_Segment]:
    """By the delimiters that the header itself shows."""
    text = text.lstrip("\ufeff \r\n\t")
    if not text.startswith("ISA") or len(text) < _HEADER:
        raise _unbelievable("no_x12", "The file does not begin with a whole ISA segment.")
    element, terminator = text[3], text[_HEADER - 1]
    if text[:_HEADER].count(element) != 16 or element.isalnum() or terminator.isalnum():
        raise _unbelievable("no_x12", "The ISA segment has not 16 elements in 106 characters.")
    *whole, rest = text.split(terminator)
    if rest.strip():
        raise _unbelievable("truncated", "The file ends in the middle of a segment.")
    parts = (segment.strip("\r\n").split(element) for segment in whole)
    return [_Segment(tag.strip(), tuple(part.strip() for part in elements)) for tag, *elements in parts if tag.strip()]


def _until(segments: Sequence[_Segment], start: str, end: str) -> tuple[list[_Segment], list[_Segment]]:
    """The first envelope, and what comes after it."""
    if segments[0].tag != start:
        raise _unbelievable("wrong_order", f"{segments[0].tag} stands where {start} belongs.")
    for place, segment in enumerate(segments):
        if segment.tag == start and place:
            break
        if segment.tag == end:
            return list(segments[: place + 1]), list(segments[place + 1 :])
    raise _unbelievable("truncated", f"{end} is missing.")


def _check(what: str, trailer: _Segment, count: int, control: str) -> None:
    """A trailer says how much its envelope holds, and repeats its header's number."""
    if trailer[1] != str(count) and trailer[1].lstrip("0") != str(count):
        raise _unbelievable("wrong_count", f"{what} of {control} says {trailer[1] or 'nothing'}, there are {count}.")
    if trailer[2] != control:
        raise _unbelievable("wrong_control", f"{what} says number {trailer[2] or 'none'}, its header {control}.")


def _unbelievable(code: str, reason: str) -> Reject:
    return Reject(code, reason, "Ask the warehouse to send the file again; nothing of it was taken.")


# ---------------------------------------------------------------- one advice


def _advice(transaction: Sequence[_Segment]) -> ShippingAdvice:
    by_tag: defaultdict[str, list[_Segment]] = defaultdict(list)
    for segment in transaction:
        by_tag[segment.tag].append(segment)
    what = by_tag["W06"]
    if len(what) != 1:
        raise _bad("no_shipment", f"W06 stands {len(what)} times in it, not once.")
    pieces: defaultdict[str, Decimal] = defaultdict(Decimal)
    for line in by_tag["W12"]:
        pieces[_sku(line)] += _quantity(line[3], "W12-03")
    if total := next((one[1] for one in by_tag["W03"]), ""):
        shipped = sum(pieces.values(), Decimal(0))
        if _quantity(total, "W03-01") != shipped:
            raise _bad("wrong_total", f"W03 says {total} pieces, its lines add up to {shipped:f}.")
    try:
        return ShippingAdvice(
            number=what[0][2],
            carrier=next((one[2] or one[3] for one in by_tag["W27"]), ""),
            sent_on=_day(what[0][3]),
            tracking_numbers=tuple(dict.fromkeys(_tracking(transaction))),
            lines=tuple(AdviceLine(sku=sku, quantity=quantity) for sku, quantity in pieces.items() if quantity),
        )
    except ValidationError as error:
        raise _bad("invalid", f"{faults(error)}.") from None


def _sku(line: _Segment) -> str:
    """Qualifiers and numbers stand in pairs, at 7 and at 17."""
    numbers = {line[place]: line[place + 1] for place in (17, 7) if line[place]}
    for qualifier in _SKUS:
        if numbers.get(qualifier):
            return numbers[qualifier]
    raise _bad("no_sku", f"A W12 names its product by none of {', '.join(_SKUS)}.")


def _tracking(transaction: Sequence[_Segment]) -> Iterator[str]:
    """Of packages, two in a segment, and of references."""
    for segment in transaction:
        if segment.tag == "MAN":
            yield from (segment[place + 1] for place in (1, 4) if segment[place] == _PACKAGE and segment[place + 1])
        elif segment.tag == "N9" and segment[1] == _REFERENCE and segment[2]:
            yield segment[2]


def _quantity(said: str, where: str) -> Decimal:
    try:
        quantity = Decimal(said)
    except InvalidOperation:
        raise _bad("invalid_quantity", f"{where} is {said or 'empty'}, not a number.") from None
    if not quantity.is_finite() or quantity < 0:
        raise _bad("invalid_quantity", f"{where} is {said}.")
    return quantity


def _day(said: str) -> date:
    try:
        return date.fromisoformat(said if len(said) == 8 else "")
    except ValueError:
        raise _bad("invalid_date", f"W06-03 is {said or 'empty'}, not a day as YYYYMMDD.") from None


def _bad(code: str, reason: str) -> Reject:
    return Reject(code, reason, "Ask the warehouse to correct it and send it again.")
