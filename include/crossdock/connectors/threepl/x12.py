"""The envelopes of X12 files. Pure functions.

Versions 004010 and later. An interchange is judged before anything in it is believed: its delimiters are those of its
own header, and every envelope says how much it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from crossdock.errors import Reject

SKUS = ("SK", "VN", "IN", "PN")
"""Qualifiers of a product's number that is the merchant's own, the best first."""

_HEADER = 106
"""Characters of an ISA segment: the only one of fixed length."""

SHIPPING_ADVICE, INVENTORY_ADVICE = "945", "846"
_KNOWN = {SHIPPING_ADVICE: "shipping advice", INVENTORY_ADVICE: "inventory advice"}


@dataclass(frozen=True)
class Segment:
    """``segment[1]`` is its first element, as X12 counts; "" where there is none."""

    tag: str
    elements: tuple[str, ...]

    def __getitem__(self, place: int) -> str:
        return self.elements[place - 1] if place <= len(self.elements) else ""


@dataclass(frozen=True)
class Interchange:
    """``control``: its sender and number; no sender gives one twice. A transaction is all from its ST to its SE."""

    control: str
    transactions: Sequence[Sequence[Segment]]


def sets(text: str) -> frozenset[str]:
    """Which transaction sets a file seems to hold, whole or not: ``{"945"}``."""
    return frozenset(re.findall(r"[^A-Za-z0-9 ]\s{0,2}ST[^A-Za-z0-9\s](\d{3})[^A-Za-z0-9\s]", text))


def interchanges(text: str) -> list[Interchange]:
    """All that a file holds. Raises Reject when it cannot be believed."""
    segments = _segments(text)
    found: dict[str, Interchange] = {}
    at = 0
    while at < len(segments):
        header, end = segments[at], _end(segments, at, len(segments), "ISA", "IEA")
        control = f"{header[6]}/{header[13]}"
        if control in found:
            raise unbelievable("duplicate_interchange", f"Interchange {header[13]} stands in the file twice.")
        groups = list(_groups(segments, at + 1, end))
        _check("IEA", segments[end], len(groups), header[13])
        found[control] = Interchange(control, [one for group in groups for one in group])
        at = end + 1
    return list(found.values())


def _groups(segments: Sequence[Segment], at: int, limit: int) -> Iterator[list[Sequence[Segment]]]:
    """The transactions of each group."""
    while at < limit:
        end = _end(segments, at, limit, "GS", "GE")
        transactions = list(_transactions(segments, at + 1, end))
        _check("GE", segments[end], len(transactions), segments[at][6])
        yield transactions
        at = end + 1


def _transactions(segments: Sequence[Segment], at: int, limit: int) -> Iterator[Sequence[Segment]]:
    while at < limit:
        end = _end(segments, at, limit, "ST", "SE")
        transaction = segments[at : end + 1]
        _check("SE", transaction[-1], len(transaction), transaction[0][2])
        if transaction[0][1] not in _KNOWN:
            known = ", nor ".join(f"{name} ({code})" for code, name in _KNOWN.items())
            raise unbelievable("unknown_transaction", f"Transaction set {transaction[0][1]} is no {known}.")
        yield transaction
        at = end + 1


def _segments(text: str) -> list[Segment]:
    """By the delimiters that the header itself shows."""
    text = text.lstrip("\ufeff \r\n\t")
    if not text.startswith("ISA") or len(text) < _HEADER:
        raise unbelievable("no_x12", "The file does not begin with a whole ISA segment.")
    element, terminator = text[3], text[_HEADER - 1]
    if text[:_HEADER].count(element) != 16 or element.isalnum() or terminator.isalnum():
        raise unbelievable("no_x12", "The ISA segment has not 16 elements in 106 characters.")
    *whole, rest = text.split(terminator)
    if rest.strip():
        raise unbelievable("truncated", "The file ends in the middle of a segment.")
    parts = (segment.strip("\r\n").split(element) for segment in whole)
    return [Segment(tag.strip(), tuple(part.strip() for part in elements)) for tag, *elements in parts if tag.strip()]


def _end(segments: Sequence[Segment], at: int, limit: int, start: str, end: str) -> int:
    """Where the envelope ends that begins here."""
    if segments[at].tag != start:
        raise unbelievable("wrong_order", f"{segments[at].tag} stands where {start} belongs.")
    for place in range(at + 1, limit):
        if segments[place].tag == start:
            break
        if segments[place].tag == end:
            return place
    raise unbelievable("truncated", f"{end} is missing.")


def _check(what: str, trailer: Segment, count: int, control: str) -> None:
    """A trailer says how much its envelope holds, and repeats its header's number."""
    if trailer[1] != str(count) and trailer[1].lstrip("0") != str(count):
        raise unbelievable("wrong_count", f"{what} of {control} says {trailer[1] or 'nothing'}, there are {count}.")
    if trailer[2] != control:
        raise unbelievable("wrong_control", f"{what} says number {trailer[2] or 'none'}, its header {control}.")


def unbelievable(code: str, reason: str) -> Reject:
    """A file of which nothing is taken."""
    return Reject(code, reason, "Ask the warehouse to send the file again; nothing of it was taken.")
