"""Inventory advices, X12 transaction set 846, as 3PLs send them. Pure functions.

What counts is the quantity on hand (QTY01 17). What is available for sale (33) is not: open orders have been taken off
it, and are taken off again by the ERP's own. Element 353 (BIA01) says whether the set is the whole stock or what has
changed of it; either way quantities are those there are, not differences.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, tzinfo

from crossdock.connectors.threepl.inventory_advice import Book, InventoryAdvice, wrong
from crossdock.connectors.threepl.x12 import INVENTORY_ADVICE, SKUS, Segment, interchanges, unbelievable

_WHOLE, _CHANGES = ("00", "05", "15", "22"), ("04",)
"""Original, replacement, sent again, information copy; change."""

_ON_HAND = "17"
_EFFECTIVE = "007"
"""Of the dates in the heading (DTM01), the one that is meant; without it that of BIA counts."""

_UTC = ("UT", "GM")


def inventory_advice(text: str, zone: tzinfo, came: datetime) -> InventoryAdvice:
    """What one file says, all its transactions together. Raises Reject for the whole file."""
    found = interchanges(text)
    sets = [one for each in found for one in each.transactions if one[0][1] == INVENTORY_ADVICE]
    if not sets:
        raise unbelievable("unknown_transaction", f"No inventory advice ({INVENTORY_ADVICE}) is in it.")
    purposes = {_heading(one)[1] for one in sets}
    if len({purpose in _CHANGES for purpose in purposes}) > 1 or not purposes <= {*_WHOLE, *_CHANGES}:
        raise wrong(
            "unknown_purpose",
            f"BIA01 is {', '.join(sorted(purposes))}.",
            f"Ask the warehouse for its whole stock ({_WHOLE[0]}) or for new counts of what has changed "
            f"({_CHANGES[0]}), not both in a file.",
        )
    book, moments = Book(zone, came), []
    for one in sets:
        moments.append(_moment(book, one))
        _take(book, one, moments[-1])
    return InventoryAdvice(
        book.stated,
        max(moments),
        dated=True,
        whole=not purposes & {*_CHANGES},
        control=frozenset(each.control for each in found),
    )


def _heading(transaction: Sequence[Segment]) -> Segment:
    found = [segment for segment in transaction if segment.tag == "BIA"]
    if len(found) != 1:
        raise wrong("no_heading", f"BIA stands {len(found)} times in transaction {transaction[0][2]}, not once.")
    return found[0]


def _take(book: Book, transaction: Sequence[Segment], at: datetime) -> None:
    lines = list(_lines(transaction))
    for line, *details in lines:
        where = f"LIN {line[1]}".rstrip()
        numbers = {line[place]: line[place + 1] for place in range(len(line.elements), 1, -1) if line[place]}
        sku = next((numbers[one] for one in SKUS if numbers.get(one)), "")
        if not sku:
            raise wrong("no_sku", f"{where} names its product by none of {', '.join(SKUS)}.")
        counted = [segment for segment in details if segment.tag == "QTY" and segment[1] == _ON_HAND]
        if not counted:
            raise wrong(
                "no_on_hand",
                f"{where} does not say what is on hand of {sku} (QTY01 {_ON_HAND}).",
                "Ask the warehouse to send that quantity, orders not taken off.",
            )
        for one in counted:
            book.add(where, sku, one[2], one[3], at)
    for total in transaction:
        if total.tag == "CTT" and total[1].lstrip("0") not in ("", str(len(lines))):
            raise unbelievable("wrong_count", f"CTT says {total[1]} lines, there are {len(lines)}.")


def _lines(transaction: Sequence[Segment]) -> Iterator[list[Segment]]:
    """LIN, each with all that comes up to the next."""
    line: list[Segment] = []
    for segment in transaction:
        if segment.tag == "LIN":
            if line:
                yield line
            line = []
        if line or segment.tag == "LIN":
            line.append(segment)
    if line:
        yield line


def _moment(book: Book, transaction: Sequence[Segment]) -> datetime:
    heading = _heading(transaction)
    told, where = (heading[4], heading[5], ""), "BIA"
    for segment in transaction:
        if segment.tag == "LIN":
            break
        if segment.tag == "DTM" and segment[1] == _EFFECTIVE:
            told, where = (segment[2], segment[3], segment[4]), "DTM"
    day, hour, zone = told
    try:
        if not (len(day) == 8 and day.isdigit() and len(hour) in (0, 4, 6, 7, 8) and (hour + "0").isdigit()):
            raise ValueError
        when = time.fromisoformat(hour[:6]) if hour else time.min
        on = date.fromisoformat(day)
    except ValueError:
        raise wrong("invalid_date", f"{where} says {day or 'nothing'} {hour}, not YYYYMMDD and HHMM.".strip()) from None
    return book.moment(where, on, when.replace(tzinfo=UTC) if zone in _UTC else when)
