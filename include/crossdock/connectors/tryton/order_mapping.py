"""A web order as the sales Tryton is to have. Pure functions.

One sale for the order, one with negative quantities for each return, one for what is sent instead. What was
charged is a fact: Tryton's prices have four digits, so a line whose amount no such price gives becomes two, and
what the taxes leave over becomes a rounding line.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, tzinfo
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from typing import Any, NamedTuple

from crossdock.domain.order import Line, Order, Place, Return
from crossdock.errors import Reject

VERSION = 2
CENT = Decimal("0.01")
ROUNDING = "rounding"
"""The id of the line that makes the total the one charged."""

_PRICE = Decimal("0.0001")
_PER_LINE, _MOST = Decimal("0.01"), Decimal("0.05")


class Rules(NamedTuple):
    """What the connection's settings say: the shop's tax code -> Tryton's tax, the SKU that shipping is booked as."""

    taxes: Mapping[str, str]
    shipping: str | None


class SaleLine(NamedTuple):
    """A line of a sale. ``line``: the shop's id of what it is of; ``taxes``: names of Tryton's taxes."""

    line: str
    sku: str | None
    quantity: Decimal
    unit_price: Decimal
    taxes: tuple[str, ...] = ()
    title: str = ""
    discount: str = ""

    @property
    def note(self) -> str:
        """The shop's id comes first: by it the line is known again."""
        return "\n".join(filter(None, (self.line, self.discount)))


class Document(NamedTuple):
    """One sale as it should be. ``charged`` None: nobody was charged this total, nothing to compare."""

    web_id: str
    order: Order
    reference: str
    lines: tuple[SaleLine, ...]
    charged: Decimal | None
    cancelled: bool
    origin: bool = False

    @property
    def takes_back(self) -> bool:
        return all(line.quantity < 0 for line in self.lines)


def sale_of(order: Order, rules: Rules, cent: Decimal = CENT) -> Document:
    """The order's own sale. ``cent``: the currency's smallest amount. Raises Reject."""
    reference = f"#{order.number}" + (f" / {order.po_number}" if order.po_number else "")
    lines = tuple(_lines(order.lines, rules, cent))
    return Document(order.web_id, order, reference, lines, rounded(order.charged, cent), order.cancelled)


def returns_of(order: Order, rules: Rules, cent: Decimal = CENT) -> Iterator[Document]:
    """A sale for each return, at the prices of what comes back, and for what is sent instead. Raises Reject.

    Those that were born in the ERP are there.
    """
    instead = (line for one in order.returns for line in one.instead)
    sold = list(_lines((*order.lines, *instead), rules, cent))
    for one in order.returns:
        if one.erp_number:
            continue
        cancelled = one.status == "cancelled"
        back = tuple(_back(one, sold))
        if back:
            yield Document(one.id, order, f"#{order.number} {one.kind}", back, None, cancelled, origin=True)
        if one.instead:
            lines = tuple(_lines(one.instead, rules, cent))
            name = f"#{order.number} {one.kind}, sent instead"
            yield Document(f"{one.id}/instead", order, name, lines, None, cancelled, origin=True)


def _back(one: Return, sold: Sequence[SaleLine]) -> Iterator[SaleLine]:
    for part in one.lines:
        left = part.quantity
        for line in sold:
            if line.line == part.line and left > 0:
                taken = min(left, line.quantity)
                left -= taken
                yield line._replace(quantity=-taken, discount="")
        if left > 0:
            raise Reject(
                "returned_too_much",
                f"Return {one.id} brings back {part.quantity} of line {part.line}: more than was sold.",
                "Correct the return in the shop.",
            )


def _lines(lines: Iterable[Line], rules: Rules, cent: Decimal) -> Iterator[SaleLine]:
    for line in lines:
        taxes = tuple(_tax(tax.code, rules) for tax in line.taxes)
        sku = line.sku or (rules.shipping if line.kind == "shipping" else None)
        discount = f"Discount {rounded(line.discount, cent)}" if line.discount else ""
        for quantity, price in split(line.quantity, rounded(line.net, cent), cent):
            yield SaleLine(line.id, sku, quantity, price, taxes, line.title, discount)


def _tax(code: str, rules: Rules) -> str:
    try:
        return rules.taxes[code]
    except KeyError:
        raise Reject(
            "unmapped_tax",
            f"The shop's tax {code!r} is not in the setting tax_codes of the ERP's connection.",
            f"Add '{code}=NAME OF THE TAX IN TRYTON' to it, then replay.",
        ) from None


def split(quantity: Decimal, amount: Decimal, cent: Decimal = CENT) -> list[tuple[Decimal, Decimal]]:
    """Quantities and unit prices of four digits that come to exactly this amount."""
    price = (amount / quantity).quantize(_PRICE)
    if rounded(quantity * price, cent) == amount:
        return [(quantity, price)]
    most = quantity - 1
    if rounded(most * price, cent) > amount >= 0:  # the last piece would have a price below zero
        price = (amount / quantity).quantize(_PRICE, ROUND_DOWN)
    return [(most, price), (Decimal(1), amount - rounded(most * price, cent))]


def rounded(amount: Decimal, cent: Decimal = CENT) -> Decimal:
    """As Tryton rounds amounts."""
    return (amount / cent).quantize(Decimal(1), ROUND_HALF_EVEN) * cent


def total(lines: Iterable[SaleLine], rates: Mapping[str, Decimal], cent: Decimal = CENT) -> Decimal:
    """What Tryton will make of them: amounts rounded per line, taxes per tax."""
    net, bases = Decimal(0), dict.fromkeys(rates, Decimal(0))
    for line in lines:
        amount = rounded(line.quantity * line.unit_price, cent)
        net += amount
        for tax in line.taxes:
            bases[tax] += amount
    return net + sum((rounded(base * rates[tax], cent) for tax, base in bases.items()), Decimal(0))


def rest(document: Document, booked: Decimal) -> SaleLine | None:
    """The line that makes up for what the rounding of taxes left; None if nothing is left.

    Raises Reject when it is more than rounding can explain.
    """
    if document.charged is None or document.charged == booked:
        return None
    left, lines = document.charged - booked, sum(line.line != ROUNDING for line in document.lines)
    if abs(left) > min(_PER_LINE * lines, _MOST):
        raise Reject(
            "total_mismatch",
            f"The shopper was charged {document.charged} {document.order.currency}, Tryton computes {booked}. "
            f"The lines: {computation(document)}.",
            "Compare the tax rates of shop and Tryton and the lines; correct what is wrong, then replay.",
        )
    return SaleLine(ROUNDING, None, Decimal(1), left, title="Rounding")


def computation(document: Document) -> str:
    """Line by line, for people: ``2 x 10.0000 + VAT 19% (WJ001), ...``."""
    return ", ".join(
        f"{line.quantity.normalize():f} x {line.unit_price:f}"
        + "".join(f" + {tax}" for tax in line.taxes)
        + f" ({line.sku or line.line})"
        for line in document.lines
    )


def day(order: Order, zone: tzinfo) -> date:
    """The day it was placed, on the company's calendar."""
    return order.placed_at.astimezone(zone).date()


def comment(order: Order) -> str:
    """Who to ask, and what the shopper asked for."""
    phones = dict.fromkeys((order.phone, *(place.phone for place in (order.ship_to, order.bill_to) if place)))
    said = (order.email, *phones, order.note)
    return "\n".join(line for line in said if line)


def address_name(place: Place) -> str:
    """The name on the parcel: a person, a company, or both."""
    return ", ".join(dict.fromkeys(filter(None, (place.company, place.name))))


def folded(*texts: str | None) -> tuple[str, ...]:
    """For comparing: neither case nor white space nor commas make another address."""
    return tuple(
        " ".join(re.split(r"[\s,]+", unicodedata.normalize("NFKC", text or "").casefold())).strip() for text in texts
    )


def line_values(line: SaleLine, product: Mapping[str, Any] | None, taxes: Mapping[str, int]) -> dict[str, Any]:
    """What ``sale.line`` is created with."""
    return {
        "type": "line",
        "product": product["id"] if product else None,
        "unit": product["sale_uom"] if product else None,
        "quantity": float(line.quantity),
        "unit_price": line.unit_price,
        "taxes": [["add", [taxes[name] for name in line.taxes]]],
        "description": line.title or line.sku or line.line,
        "note": line.note,
    }


class Change(NamedTuple):
    """What has to become of a line of Tryton (``there``), or which one is missing; ``wanted`` None: nothing of it."""

    there: Mapping[str, Any] | None
    wanted: SaleLine | None


def changes(
    wanted: Iterable[SaleLine],
    there: Iterable[Mapping[str, Any]],
    products: Mapping[str, Any],
    taxes: Mapping[str, int],
) -> list[Change]:
    """How the lines there differ from those wanted. Lines without an id were added by people and stay."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for one in sorted(there, key=lambda row: row["id"]):
        rows.setdefault((one["note"] or "").partition("\n")[0], []).append(one)
    found: list[Change] = []
    for line in wanted:
        mine = rows.get(line.line, [])
        row: Mapping[str, Any] | None = mine.pop(0) if mine else None
        known = line.sku is None or line.sku in products  # else its code has changed since
        if row and known and row["product"] != (products[line.sku]["id"] if line.sku else None):
            mine.append(row)
            row = None
        if row is None or not _same(line, row, taxes):
            found.append(Change(row, line))
    found += [Change(one, None) for key, left in rows.items() for one in left if key and one["quantity"]]
    return found


def _same(line: SaleLine, row: Mapping[str, Any], taxes: Mapping[str, int]) -> bool:
    return (
        Decimal(str(row["quantity"])) == line.quantity
        and row["unit_price"] == line.unit_price
        and set(row["taxes"]) == {taxes[name] for name in line.taxes}
    )
