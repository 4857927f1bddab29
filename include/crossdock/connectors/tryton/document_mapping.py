"""A sale's or an invoice's row, as JSON-RPC returns it, to a canonical Document. Pure functions.

The classes are question and answer at once: the fields to ask for are read off them. Fields: trytond 8.0, modules
sale, account_invoice, account_payment, stock, stock_package_shipping, product.

Tryton does not keep what a product was called on the day of the document: a line bears the code that its product has
when it is read, retired or not. Its number of a document is no key: see documents.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec
from msgspec import Struct, field

from crossdock.connectors.tryton import status_mapping
from crossdock.connectors.tryton.rows import Amount, Day, Moment, build, decode, fields
from crossdock.domain.document import Document, DocumentLine, Status

VERSION = "1"
"""Raise it when a row is to be read differently although the fields stay the same."""

SALE, INVOICE = "sale.sale", "account.invoice"
WITHDRAWN = ("draft", "quotation")
"""States of a sale that is no order, or is none any more."""

_LEFT = ("shipped", "done", "received")
_LINE, _TITLE = 255, 2_000
"""The most characters of a reference and of a line's title."""


class _Unit(Struct):
    name: str | None


class _Product(Struct):
    id: int
    code: str | None
    name: str | None
    active: bool
    replaced_by: int | None


class _Line(Struct):
    id: int
    sequence: int | None
    type: str
    description: str | None
    quantity: Decimal | None
    unit_price: Amount | None
    amount: Amount | None
    unit: _Unit | None = field(name="unit.")
    product: _Product | None = field(name="product.")


class _Changed(Struct):
    id: int
    last_modified_at: Moment


class _ChangedLine(_Line, kw_only=True):
    last_modified_at: Moment


class _Party(Struct):
    code: str | None


class _Currency(Struct):
    code: str


class _Document(Struct):
    id: int
    number: str | None
    state: str
    reference: str | None
    untaxed_amount: Amount
    tax_amount: Amount
    total_amount: Amount
    last_modified_at: Moment
    party: _Party = field(name="party.")
    currency: _Currency = field(name="currency.")


class _Shipment(status_mapping.Parcels, kw_only=True):
    last_modified_at: Moment
    packages: list[_Changed] = field(name="packages.")


class _Return(_Changed, kw_only=True):
    state: str


class _Sale(_Document, kw_only=True):
    sale_date: Day | None
    shipment_state: str
    origin: str | None
    lines: list[_ChangedLine] = field(name="lines.")
    shipments: list[_Shipment] = field(name="shipments.")
    shipment_returns: list[_Return] = field(name="shipment_returns.")


class _InvoiceLine(_Line, kw_only=True):
    origin: str | None


class _Origin(Struct):
    origin: str | None


class _Settling(Struct):
    id: int
    move: _Origin = field(name="move.")


class _Due(_Changed, kw_only=True):
    maturity_date: Day | None
    payments: list[_Changed] = field(name="payments.", default_factory=list)


class _Invoice(_Document, kw_only=True):
    invoice_date: Day
    amount_to_pay: Amount
    cancel_move: _Origin | None = field(name="cancel_move.")
    lines: list[_InvoiceLine] = field(name="lines.")
    lines_to_pay: list[_Due] = field(name="lines_to_pay.")
    payment_lines: list[_Changed] = field(name="payment_lines.")
    reconciliation_lines: list[_Settling] = field(name="reconciliation_lines.")


class _Beside(Struct):
    """What documents.py found beside the row.

    ``made_of``: numbers of the sales or invoices it comes from, ``ordered_as``: what the buyer called these sales.
    ``successors``: id of a product that is retired -> code of the one named in its place.
    """

    made_of: list[str]
    ordered_as: list[str]
    successors: dict[str, str]


class _SaleRow(_Sale, kw_only=True):
    beside: _Beside


class _InvoiceRow(_Invoice, kw_only=True):
    beside: _Beside


SALE_FIELDS, INVOICE_FIELDS = fields(_Sale), fields(_Invoice)
"""What to ask of ``sale.sale`` and of ``account.invoice``. Payments of what is due exist with account_payment only."""

_SALE = msgspec.json.Decoder(_SaleRow, strict=False)  # SQLite says 1 where PostgreSQL says true
_INVOICE = msgspec.json.Decoder(_InvoiceRow, strict=False)


def key(number: str, source_id: int) -> str:
    """The natural key of a document, as ``Document.key`` has it."""
    return f"{number}/{source_id}"


def to_order(raw: bytes, tracking_urls: Mapping[str, str]) -> Document:
    """A sale. Raises Reject. ``tracking_urls``: carrier's name in lower case -> URL with ``{number}``."""
    sale = decode(_SALE, raw, "sale")
    what = f"sale {sale.number or sale.id}"
    packages = [package for one in sale.shipments for package in one.packages]
    changed = _newest([sale, *sale.lines, *sale.shipments, *packages, *sale.shipment_returns])
    withdrawn = sale.state in WITHDRAWN
    parcels = [parcel for one in sale.shipments for parcel in status_mapping.parcels(what, one, tracking_urls)]
    return build(
        Document,
        what,
        number=sale.number,
        source_id=str(sale.id),
        kind="order",
        account=sale.party.code,
        made_on=sale.sale_date.date() if sale.sale_date else changed.date() if withdrawn else None,
        currency=sale.currency.code,
        net=sale.untaxed_amount.decimal,
        tax=sale.tax_amount.decimal,
        total=sale.total_amount.decimal,
        status=_sent(sale),
        reference=_cut(sale.reference or "", _LINE),
        belongs_to=tuple(sale.beside.made_of),
        lines=tuple(_lines(sale.lines, sale.beside.successors, what)),
        parcels=tuple(dict.fromkeys(parcels)),
        file=f"{SALE},{sale.id}",
        changed_at=changed,
        withdrawn=withdrawn,
        parts=() if withdrawn else (f"sale:{sale.id}",),
    )


def to_invoice(raw: bytes) -> Document:
    """An invoice or a credit note, which is below zero. Raises Reject."""
    invoice = decode(_INVOICE, raw, "invoice")
    what = f"invoice {invoice.number or invoice.id}"
    due = [one.maturity_date.date() for one in invoice.lines_to_pay if one.maturity_date]
    payments = [payment for one in invoice.lines_to_pay for payment in one.payments]
    return build(
        Document,
        what,
        number=invoice.number,
        source_id=str(invoice.id),
        kind="credit_note" if invoice.total_amount.decimal < 0 else "invoice",
        account=invoice.party.code,
        made_on=invoice.invoice_date.date(),
        due_on=max(due, default=None),
        currency=invoice.currency.code,
        net=invoice.untaxed_amount.decimal,
        tax=invoice.tax_amount.decimal,
        total=invoice.total_amount.decimal,
        open=invoice.amount_to_pay.decimal,
        status=_settled(invoice),
        reference=_cut(invoice.reference or ", ".join(invoice.beside.ordered_as), _LINE),
        belongs_to=tuple(invoice.beside.made_of),
        lines=tuple(_lines(invoice.lines, invoice.beside.successors, what)),
        file=f"{INVOICE},{invoice.id}",
        changed_at=_newest([invoice, *invoice.lines_to_pay, *invoice.payment_lines, *payments]),
        parts=(f"invoice:{invoice.id}",),
    )


def _newest(rows: Sequence[_Document | _Changed | _ChangedLine | _Shipment]) -> datetime:
    return max(row.last_modified_at.time() for row in rows)


def _sent(sale: _Sale) -> Status:
    """By Tryton's state of the shipments; where that says nothing, by the shipments.

    After a person has given up what was cancelled it is ``none`` if nothing else was sold, as it is of services.
    """
    if sale.state == "cancelled":
        return "cancelled"
    shipments = [*(one.state for one in sale.shipments), *(one.state for one in sale.shipment_returns)]
    match sale.shipment_state:
        case "sent":
            return "sent"
        case "partially shipped":
            return "partly sent"
        case "exception" if any(state in _LEFT for state in shipments):
            return "partly sent"
        case "none" if sale.state == "done":
            return "cancelled" if shipments else "sent"
        case _:
            return "open"


def _settled(invoice: _Invoice) -> Status:
    """A payment's move is of the invoice it pays, a credit note's of the credit note: so is one that cancels by it."""
    total, left = invoice.total_amount.decimal, invoice.amount_to_pay.decimal
    if invoice.state == "cancelled":
        return "credited" if invoice.cancel_move and _is_credit(invoice.cancel_move, invoice) else "cancelled"
    if invoice.state == "paid" or not left:
        by = [_is_credit(one.move, invoice) for one in invoice.reconciliation_lines]
        return "credited" if total > 0 and by and all(by) else "paid"
    return "partly paid" if abs(left) < abs(total) else "open"


def _is_credit(move: _Origin, invoice: _Invoice) -> bool:
    return (move.origin or "").startswith(f"{INVOICE},") and move.origin != f"{INVOICE},{invoice.id}"


def _lines(lines: Iterable[_Line], successors: Mapping[str, str], what: str) -> Iterator[DocumentLine]:
    """As they are printed. A sum in between is none: its figure would count twice."""
    for line in sorted(lines, key=lambda line: (line.sequence is not None, line.sequence or 0, line.id)):
        goods = line.type == "line"
        title = _title(line)
        if not goods and (not title or line.type == "subtotal"):
            continue
        yield build(
            DocumentLine,
            f"line {line.id} of {what}",
            sku=line.product.code or None if line.product else None,
            title=title,
            quantity=line.quantity if goods else None,
            unit=(line.unit.name if line.unit else None) or "",
            price=line.unit_price.decimal if goods and line.unit_price else Decimal(0),
            net=line.amount.decimal if goods and line.amount else Decimal(0),
            successor=successors.get(str(line.product.id)) if line.product else None,
        )


def _title(line: _Line) -> str:
    """The product's name, and what was written beside it."""
    said = [line.product.name if line.product else None, (line.description or "").strip()]
    return _cut("\n".join(part for part in said if part), _TITLE)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
