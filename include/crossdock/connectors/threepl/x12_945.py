"""Warehouse shipping advices, X12 transaction set 945, as 3PLs send them. Pure functions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from pydantic import ValidationError

from crossdock.connectors.threepl.x12 import SHIPPING_ADVICE, SKUS, Segment, interchanges
from crossdock.domain.record import faults
from crossdock.domain.shipping_advice import AdviceLine, ShippingAdvice
from crossdock.errors import Reject

_PACKAGE, _REFERENCE = "CP", "2I"
"""Qualifiers of a package's number (MAN), and of a reference (N9), that is the carrier's tracking number."""


class Refusal(NamedTuple):
    """A transaction that is wrong: its control number, and why."""

    transaction: str
    reject: Reject


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


def _transactions(text: str) -> list[Sequence[Segment]]:
    """All of them that are advices; the whole file is judged first."""
    sets = [one for interchange in interchanges(text) for one in interchange.transactions]
    return [one for one in sets if one[0][1] == SHIPPING_ADVICE]


def _advice(transaction: Sequence[Segment]) -> ShippingAdvice:
    by_tag: defaultdict[str, list[Segment]] = defaultdict(list)
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


def _sku(line: Segment) -> str:
    """Qualifiers and numbers stand in pairs, at 7 and at 17."""
    numbers = {line[place]: line[place + 1] for place in (17, 7) if line[place]}
    for qualifier in SKUS:
        if numbers.get(qualifier):
            return numbers[qualifier]
    raise _bad("no_sku", f"A W12 names its product by none of {', '.join(SKUS)}.")


def _tracking(transaction: Sequence[Segment]) -> Iterator[str]:
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
