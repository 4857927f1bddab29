"""A sale's row, as JSON-RPC returns it, to a canonical OrderStatus. Pure functions.

The classes are question and answer at once: ``FIELDS`` is read off them. Fields: trytond 8.0, modules sale, stock,
stock_package_shipping, web_shop, account_invoice, account_payment.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Literal
from urllib.parse import quote

import msgspec
from msgspec import Struct, field

from crossdock.connectors.tryton.rows import Amount, Day, Moment, build, decode, fields
from crossdock.domain.order_status import CreditNote, OrderStatus, Parcel, Part, Refund, Return, Shipment
from crossdock.errors import Reject

VERSION = "2"
"""Raise it when a row is to be read differently although the fields stay the same."""

State = Literal["held", "open", "partly sent", "sent", "cancelled", "problem"]
Sent = Literal["open", "sent", "delivered", "cancelled"]

SHIPMENTS = "stock.shipment.out"
RETURNS = "stock.shipment.out.return"

_BACK = ("received", "done")
_AN_ID = re.compile(r"[\w-]{1,100}")


class _Move(Struct):
    id: int
    state: str
    quantity: Decimal
    unit: int
    shipment: str | None
    planned_date: Day | None


class _Line(Struct):
    id: int
    note: str | None
    unit: int | None
    quantity: Decimal | None
    moves: list[_Move] = field(name="moves.")


class _Warehouse(Struct):
    code: str | None


class _Party(Struct):
    name: str | None


class _Carrier(Struct):
    party: _Party = field(name="party.")


class _Package(Struct):
    id: int
    shipping_reference: str | None


class Parcels(Struct):
    """What is read of a shipment (``stock.shipment.out``) for its parcels."""

    id: int
    state: str
    shipping_reference: str | None
    carrier: _Carrier | None = field(name="carrier.")
    root_packages: list[_Package] = field(name="root_packages.")


class _Shipment(Parcels, kw_only=True):
    number: str | None
    effective_date: Day | None
    warehouse: _Warehouse = field(name="warehouse.")


class _ShipmentReturn(Struct):
    id: int
    number: str | None
    state: str
    warehouse: _Warehouse = field(name="warehouse.")


class _Later(Struct):
    id: int
    number: str | None
    web_id: str | None
    origin: str | None
    currency: int
    invoice_state: str
    lines: list[_Line] = field(name="lines.")
    shipments: list[_Shipment] = field(name="shipments.")
    shipment_returns: list[_ShipmentReturn] = field(name="shipment_returns.")


class _Sale(_Later, kw_only=True):
    web_id: str
    state: str
    shipment_state: str
    create_date: Moment


class _Invoice(Struct):
    id: int
    number: str | None
    invoice_date: Day | None
    total_amount: Amount
    currency: int


class _Journal(Struct):
    name: str | None


class _Payment(Struct):
    id: int
    number: str
    reference: str | None
    date: Day
    amount: Amount
    currency: int
    journal: _Journal = field(name="journal.")


class _Row(_Sale, kw_only=True):
    """``handed_over``: ids of the shipments that were said to be shipped before they were done.

    ``later``: the sales that came of this one: its returns, and what is sent instead.
    """

    handed_over: list[int]
    later: list[_Later]
    credit_notes: list[_Invoice]
    refunds: list[_Payment]


FIELDS = fields(_Sale)
"""What to ask of ``sale.sale`` for an order."""
LATER_FIELDS, INVOICE_FIELDS, PAYMENT_FIELDS = fields(_Later), fields(_Invoice), fields(_Payment)
"""And for what came of it: of ``sale.sale``, ``account.invoice`` and ``account.payment``."""

_ROW = msgspec.json.Decoder(_Row)


def to_status(raw: bytes, tracking_urls: Mapping[str, str], journal: str | None = None) -> OrderStatus:
    """The canonical status. Raises Reject.

    ``tracking_urls``: carrier's name in lower case -> URL with ``{number}``. ``journal``: the name of the payment
    journals of what the shop's payment providers move. Lines without the shop's id in their note were added in the
    ERP: the shop has no line for them. Credit notes and refunds in another currency than the order's are left out.
    """
    sale = decode(_ROW, raw, "sale")
    order = f"sale {sale.number or sale.id}"
    live = [
        move
        for line in sale.lines
        for move in line.moves
        if move.state != "cancelled" and not (move.shipment or "").startswith(f"{RETURNS},")
    ]
    sales = (sale, *sale.later)
    statuses = {f"{SHIPMENTS},{one.id}": _status(one, sale.handed_over) for each in sales for one in each.shipments}
    waiting = [move for move in live if statuses.get(move.shipment or "", "open") == "open"]
    return build(
        OrderStatus,
        order,
        web_id=sale.web_id,
        number=sale.number,
        booked_at=sale.create_date.time(),
        state=_state(sale, live, waiting),
        promised=_latest(waiting),
        shipments=tuple(
            _shipment(one, statuses[f"{SHIPMENTS},{one.id}"], each, tracking_urls)
            for each in sales
            for one in each.shipments
            if one.number
        ),
        returns=tuple(back for each in sales for back in _returns(each, sale.id)),
        credit_notes=tuple(
            build(
                CreditNote,
                f"credit note {one.number}",
                number=one.number,
                on=one.invoice_date.date(),
                amount=-one.total_amount.decimal,
            )
            for one in sale.credit_notes
            if one.invoice_date and one.currency == sale.currency
        ),
        refunds=tuple(
            build(
                Refund,
                f"payment {one.number}",
                number=one.number,
                web_id=one.reference if _AN_ID.fullmatch(one.reference or "") else None,
                on=one.date.date(),
                amount=one.amount.decimal,
                by_shop=journal is not None and one.journal.name == journal,
            )
            for one in sale.refunds
            if one.currency == sale.currency
        ),
    )


def _state(sale: _Sale, live: list[_Move], waiting: list[_Move]) -> State:
    """What the ERP's two states mean together.

    A shipment that is cancelled leaves the sale in exception until a person says whether its goods are sent after
    """
    if sale.state in ("draft", "quotation"):
        return "held"
    if sale.state == "cancelled":
        return "cancelled"
    if sale.shipment_state == "exception":
        return "problem"
    if not live:
        wanted = any(line.quantity for line in sale.lines) and not any(line.moves for line in sale.lines)
        return "cancelled" if not wanted else "sent" if sale.state == "done" else "open"
    if not waiting:
        return "sent"
    return "open" if len(waiting) == len(live) else "partly sent"


def _status(shipment: _Shipment, handed_over: list[int]) -> Sent:
    """``done`` alone says that the goods left: not everybody tells Tryton first that they are on their way."""
    match shipment.state:
        case "shipped":
            return "sent"
        case "done":
            return "delivered" if shipment.id in handed_over else "sent"
        case "cancelled":
            return "cancelled"
        case _:
            return "open"


def _latest(waiting: list[_Move]) -> date | None:
    """The last day; None when one of the moves has none."""
    days = [move.planned_date.date() if move.planned_date else None for move in waiting]
    known = [day for day in days if day]
    return max(known) if known and len(known) == len(days) else None


def _shipment(shipment: _Shipment, status: Sent, sale: _Later, tracking_urls: Mapping[str, str]) -> Shipment:
    """``effective_date`` is the day it left, unless Tryton was told of both: then it is the day it arrived."""
    what = f"shipment {shipment.number} of sale {sale.number}"
    return build(
        Shipment,
        what,
        number=shipment.number,
        warehouse=shipment.warehouse.code,
        status=status,
        carrier=_carrier(shipment),
        sent_on=shipment.effective_date.date() if shipment.effective_date and status == "sent" else None,
        parts=_parts({f"{SHIPMENTS},{shipment.id}"}, sale, what),
        parcels=parcels(what, shipment, tracking_urls),
    )


def _returns(sale: _Later, order: int) -> Iterator[Return]:
    """What has come back of a return that the shop knows is one; of others each shipment is one of its own."""
    back = [one for one in sale.shipment_returns if one.number and one.state in _BACK]
    web_id = sale.web_id if sale.id != order else None
    for some in [back] if web_id and back else [[one] for one in back]:
        number = (sale.number if web_id else None) or some[0].number
        what = f"return {number}"
        parts = _parts({f"{RETURNS},{one.id}" for one in some}, sale, what)
        if parts:
            yield build(Return, what, number=number, web_id=web_id, warehouse=some[0].warehouse.code, parts=parts)


def _parts(shipments: Collection[str | None], sale: _Later, what: str) -> tuple[Part, ...]:
    """By line of the shop: one of them may be several lines of the sale."""
    pieces: defaultdict[str, Decimal] = defaultdict(Decimal)
    for line in sale.lines:
        if not (id_ := _line_id(line)):
            continue
        for move in line.moves:
            if move.shipment not in shipments or move.state == "cancelled" or not move.quantity:
                continue
            if move.unit != line.unit:
                raise Reject(
                    "foreign_unit",
                    f"A move of {what} counts in another unit than the line that was sold.",
                    "Give the move the line's unit in Tryton; the next run takes it up.",
                )
            pieces[id_] += move.quantity
    return tuple(build(Part, what, line=line, quantity=quantity) for line, quantity in sorted(pieces.items()))


def _line_id(line: _Line) -> str:
    """The note's first line, unless these are words."""
    first = (line.note or "").strip().partition("\n")[0].strip()
    return "" if " " in first else first


def parcels(what: str, shipment: Parcels, tracking_urls: Mapping[str, str]) -> tuple[Parcel, ...]:
    """With the URL where the carrier shows each. ``what`` is for messages."""
    carrier = _carrier(shipment)
    return tuple(
        build(Parcel, what, tracking_number=number, url=_url(carrier, number, tracking_urls))
        for number in _references(shipment)
    )


def _carrier(shipment: Parcels) -> str:
    return (shipment.carrier.party.name if shipment.carrier else None) or ""


def _references(shipment: Parcels) -> list[str]:
    """Of the packages, else of the shipment; several stand in one field with commas between them."""
    packages = ",".join(package.shipping_reference or "" for package in shipment.root_packages)
    said = packages if packages.strip(", ") else shipment.shipping_reference or ""
    return list(dict.fromkeys(number for part in said.split(",") if (number := part.strip())))


def _url(carrier: str, number: str, tracking_urls: Mapping[str, str]) -> str | None:
    template = tracking_urls.get(carrier.lower())
    return template.replace("{number}", quote(number, safe="")) if template else None
