"""Counts of a warehouse as CSV. Pure functions.

UTF-8, with or without BOM; comma, semicolon or tab. The first line names the columns, in any order, in any case::

    sku;quantity;counted_at
    WJ001-BLACK-S;12;2026-11-24T06:00:00Z
    #rows;1

``sku`` and ``quantity`` (on hand) have to be there, ``counted_at`` (ISO 8601) and ``unit`` may be, all others are
passed over. Every line ends with a line break, the last one too. A last line ``#rows`` with how many there are proves
that nothing is missing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import datetime, time, tzinfo

from crossdock.connectors.threepl.inventory_advice import Book, InventoryAdvice, wrong

TRAILER = "#rows"
_NEEDED = {"sku", "quantity"}
_KNOWN = _NEEDED | {"counted_at", "unit"}


def inventory_advice(text: str, zone: tzinfo, modified: datetime, came: datetime) -> InventoryAdvice:
    """What one file says. ``modified`` counts where it does not say when. Raises Reject for the whole file."""
    if "\0" in text:
        raise wrong("no_csv", "The file holds NUL bytes.")
    if not text.strip():
        raise wrong("truncated", "The file is empty.")
    if not text.endswith(("\n", "\r")):
        raise wrong("truncated", "The last line does not end with a line break.")
    book, sealed = Book(zone, came), False
    dates: list[datetime | None] = []
    names, rows = _table(text)
    for place, row in rows:
        if sealed:
            raise wrong("wrong_count", f"Line {place} comes after the line {TRAILER}.")
        if row[0].lower() == TRAILER:
            if [one for one in row[1:] if one] != [str(len(dates))]:
                raise wrong("wrong_count", f"The line {TRAILER} says otherwise than the {len(dates)} rows there are.")
            sealed = True
            continue
        if len(row) < len(names) or any(row[len(names) :]):
            raise wrong("wrong_columns", f"Line {place} has {len(row)} columns, the first one {len(names)}.")
        cell = dict(zip(names, row, strict=False))
        told = cell.get("counted_at", "")
        dates.append(_moment(book, f"Line {place}", told) if told else None)
        book.add(f"Line {place}", cell["sku"], cell["quantity"], cell.get("unit", ""), dates[-1] or modified)
    made_at = max((one or modified for one in dates), default=modified)
    return InventoryAdvice(book.stated, made_at, dated=bool(dates) and None not in dates, sealed=sealed)


def _table(text: str) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """The names of the columns, and the rows with their lines."""
    first = text.lstrip("\r\n").splitlines()[0]
    for delimiter in ",;\t":
        names = [name.strip().strip('"').strip().lower() for name in first.split(delimiter)]
        if names.count("sku") == 1 and names.count("quantity") == 1:
            break
    else:
        raise wrong(
            "no_csv",
            "The first line does not name the columns sku and quantity, once each, between commas, semicolons or tabs.",
        )
    if twice := sorted(name for name in _KNOWN if names.count(name) > 1):
        raise wrong("no_csv", f"The first line names the column {twice[0]} twice.")
    while not names[-1]:
        names.pop()
    rows = _rows(text, delimiter)
    next(rows)
    return names, rows


def _rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader: Iterator[Sequence[str]] = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    place = 0
    try:
        for place, row in enumerate(reader, 1):
            if any(cells := [cell.strip() for cell in row]):
                yield place, cells
    except csv.Error as error:
        raise wrong("no_csv", f"After line {place}: {error}.") from None


def _moment(book: Book, where: str, told: str) -> datetime:
    try:
        said = datetime.fromisoformat(told)
    except ValueError:
        raise wrong("invalid_date", f"{where}: counted_at is {told[:30]}, not as 2026-11-24T06:00:00Z.") from None
    return book.moment(
        f"{where}: counted_at", said.date(), time(said.hour, said.minute, said.second, tzinfo=said.tzinfo)
    )
