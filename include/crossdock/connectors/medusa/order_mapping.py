"""An order as Medusa has it (orders.py reads it) to a canonical Order. Pure functions.

What Medusa 2.18.0 means by its figures (seen; @medusajs/utils, totals):
- Nothing it sends of a line's totals is what was bought: a line's ``subtotal`` and ``total`` shrink when a return is
  received, the order's with them, and grow by what an exchange sends. So amounts are worked out here as Medusa does
  it, from unit price, quantity, adjustments and rates, for the quantity that was ordered.
- It does not round, neither lines nor totals nor payments.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from pydantic import ValidationError

from crossdock.domain.order import Line, Order, Payment, Place, Refund, Return, Returned, Settlement, Tax
from crossdock.domain.record import Value
from crossdock.errors import Reject

VERSION = "2"
"""Raise it when a row is to be read differently although the fields stay the same."""

SHAPE: dict[str, Any] = {
    "id": None, "display_id": None, "custom_display_id": None, "status": None, "created_at": None,
    "currency_code": None, "email": None, "metadata": {"erp_account": None, "erp_hold": None, "po_number": None,
                                                       "note": None},
    "customer": {"id": None, "has_account": None},
    **{
        place: dict.fromkeys(
            ("first_name", "last_name", "company", "address_1", "address_2", "postal_code", "city", "province",
             "country_code", "phone")
        )
        for place in ("shipping_address", "billing_address")
    },
    "items": {
        **dict.fromkeys(("id", "title", "variant_sku", "quantity", "unit_price", "is_tax_inclusive")),
        "adjustments": dict.fromkeys(("amount", "is_tax_inclusive")),
        "tax_lines": dict.fromkeys(("code", "description", "rate")),
    },
    "shipping_methods": {
        **dict.fromkeys(("id", "name", "amount", "is_tax_inclusive")),
        "adjustments": dict.fromkeys(("amount", "is_tax_inclusive")),
        "tax_lines": dict.fromkeys(("code", "description", "rate")),
    },
    "credit_lines": {"amount": None, "metadata": {"created_in_version": None}},
    "payment_collections": {
        "created_at": None,
        "payments": {
            **dict.fromkeys(("id", "provider_id", "amount", "canceled_at")),
            "captures": dict.fromkeys(("id", "amount", "created_at")),
            "refunds": {**dict.fromkeys(("id", "amount", "created_at")), "metadata": {"erp_refund": None}},
        },
    },
    "returns": {
        **dict.fromkeys(("id", "status")),
        "metadata": {"erp_return": None},
        "items": dict.fromkeys(("item_id", "quantity")),
    },
}  # fmt: skip
"""What is read of an order. A dictionary is a relation; of metadata these keys are kept."""

_NO_DIGITS = (
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF",
)  # fmt: skip
_MINOR = dict.fromkeys(_NO_DIGITS, 0) | dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3)
"""Digits of an amount that can be paid, where they are not two (ISO 4217)."""

_EIGHT = Decimal("1E-8")
_MARK_UP = re.compile(r"<(?=[/A-Za-z])|&(?=[a-z#])")


class _Adjustment(Struct):
    amount: Decimal
    is_tax_inclusive: bool | None = False


class _TaxLine(Struct):
    rate: Decimal
    code: str | None = None
    description: str | None = None


class _Item(Struct):
    id: str
    title: str | None
    quantity: Decimal
    unit_price: Decimal
    variant_sku: str | None = None
    is_tax_inclusive: bool = False
    adjustments: list[_Adjustment] = []
    tax_lines: list[_TaxLine] = []


class _Shipping(Struct):
    id: str
    name: str | None
    amount: Decimal
    is_tax_inclusive: bool = False
    adjustments: list[_Adjustment] = []
    tax_lines: list[_TaxLine] = []


class _Address(Struct):
    first_name: str | None = None
    last_name: str | None = None
    company: str | None = None
    address_1: str | None = None
    address_2: str | None = None
    postal_code: str | None = None
    city: str | None = None
    province: str | None = None
    country_code: str | None = None
    phone: str | None = None


class _Moved(Struct):
    id: str
    amount: Decimal
    created_at: datetime
    metadata: dict[str, Any] | None = None


class _Payment(Struct):
    id: str
    provider_id: str
    amount: Decimal
    canceled_at: datetime | None = None
    captures: list[_Moved] = []
    refunds: list[_Moved] = []


class _Collection(Struct):
    created_at: datetime
    payments: list[_Payment] = []


class _Credit(Struct):
    amount: Decimal
    metadata: dict[str, Any] | None = None

    @property
    def from_the_start(self) -> bool:
        """Not one that was written with a refund."""
        return not (self.metadata or {}).get("created_in_version")


class _Returned(Struct):
    item_id: str
    quantity: Decimal


class _Return(Struct):
    id: str
    status: str
    metadata: dict[str, Any] | None = None
    items: list[_Returned] = []


class _Swap(Struct):
    id: str
    kind: str
    return_id: str | None
    cancelled: bool
    lines: list[str]


class _Later(Struct):
    method: str
    of: str


class _Customer(Struct):
    id: str
    has_account: bool = False


class _Order(Struct):
    id: str
    display_id: int
    status: str
    created_at: datetime
    currency_code: str
    edited: bool
    swaps: list[_Swap]
    later_shipping: list[_Later]
    custom_display_id: str | None = None
    email: str | None = None
    metadata: dict[str, Any] | None = None
    customer: _Customer | None = None
    shipping_address: _Address | None = None
    billing_address: _Address | None = None
    items: list[_Item] = []
    shipping_methods: list[_Shipping] = []
    credit_lines: list[_Credit] = []
    payment_collections: list[_Collection] = []
    returns: list[_Return] = []

    @property
    def number(self) -> str:
        return self.custom_display_id or str(self.display_id)


_ROW = msgspec.json.Decoder(_Order)
_STABLE = msgspec.json.Encoder(order="deterministic")
_V = TypeVar("_V", bound=Value)


def stable(order: dict[str, Any]) -> bytes:
    """What ``SHAPE`` names of the order; the same bytes as long as that is the same: lists come in any order."""
    kept = {name: order[name] for name in ("edited", "swaps", "later_shipping")}
    return _STABLE.encode(_pruned(order, SHAPE) | kept)


def _pruned(value: Any, shape: dict[str, Any] | None) -> Any:
    if shape is None or value is None:
        return value
    if isinstance(value, list):
        return sorted((_pruned(one, shape) for one in value), key=_STABLE.encode)
    return {name: _pruned(value[name], inner) for name, inner in shape.items() if name in value}


def to_order(raw: bytes, on_account: Collection[str] = ()) -> Order:
    """The canonical order. Raises Reject for what the shop's order cannot be.

    ``on_account``: providers whose payments are promises to pay an invoice, and no money.

    ``charged`` is what was authorised when the order was placed. A confirmed edit makes that history (Medusa cancels
    the authorisation, or asks for the difference in a payment of its own): from then on it is what the order's lines
    come to, as it is for an order without a payment. Rounded to what can be paid in the currency.
    """
    try:
        order = _ROW.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Reject(
            "unreadable",
            f"The row is not what Medusa sends for an order: {error}.",
            "Replay it; if it stays so, something between Medusa and Crossdock spoils its answers.",
        ) from None
    what = f"order {order.number}"
    try:
        return _order(order, on_account, what)
    except ArithmeticError:
        raise Reject(
            "too_large",
            f"An amount of {what} is beyond all sense.",
            "Correct it in Medusa (Orders > the order), or discard this entry.",
        ) from None


def _order(order: _Order, on_account: Collection[str], what: str) -> Order:
    later = {line for swap in order.swaps for line in swap.lines} | {one.method for one in order.later_shipping}
    lines = [
        *(_item(item, what) for item in _by_id(order.items) if item.quantity > 0 and item.id not in later),
        *(_shipping(one, what) for one in _by_id(order.shipping_methods) if one.id not in later),
    ]
    metadata = order.metadata or {}
    account = metadata.get("erp_account")
    payments = [one for collection in order.payment_collections for one in collection.payments if not one.canceled_at]
    charged = _charged(order, lines)
    known = order.customer if order.customer and order.customer.has_account else None
    addresses = [one for one in (order.billing_address, order.shipping_address) if one]
    return _build(
        Order,
        what,
        web_id=order.id,
        number=order.number,
        placed_at=order.created_at.astimezone(UTC),
        cancelled=order.status == "canceled",
        account=account,
        shopper=known.id if known and not account else None,
        email=order.email or None,
        phone=next((_typed(one.phone) for one in addresses if one.phone), ""),
        currency=order.currency_code.upper(),
        charged=charged,
        tax_included=any(item.is_tax_inclusive for item in order.items),
        settlement=_settlement(payments, charged, order.currency_code, on_account),
        held=_held(metadata.get("erp_hold")),
        po_number=_typed(metadata.get("po_number")),
        note=_cut(_typed(metadata.get("note"))),
        ship_to=_place(order.shipping_address, what),
        bill_to=_place(order.billing_address, what),
        lines=tuple(lines),
        payments=tuple(
            _payment(one, order.currency_code, what) for one in _by_id(payments) if one.provider_id not in on_account
        ),
        returns=tuple(_returns(order, what)),
    )


def _charged(order: _Order, lines: Iterable[Line]) -> Decimal:
    placed = [
        payment.amount
        for collection in order.payment_collections
        if collection.created_at <= order.created_at
        for payment in collection.payments
        if not payment.canceled_at
    ]
    if placed and not order.edited:
        return payable(sum(placed, Decimal(0)), order.currency_code)
    total = sum((_gross(line) for line in lines), Decimal(0))
    given = sum((one.amount for one in order.credit_lines if one.from_the_start), Decimal(0))
    return payable(total - given, order.currency_code)


_Identified = TypeVar("_Identified", _Item, _Shipping, _Payment)


def _by_id(rows: Iterable[_Identified]) -> list[_Identified]:
    return sorted(rows, key=lambda row: row.id)


def _gross(line: Line) -> Decimal:
    return line.net * (1 + sum((tax.rate for tax in line.taxes), Decimal(0)) / 100)


def _settlement(
    payments: Collection[_Payment], charged: Decimal, currency: str, on_account: Collection[str]
) -> Settlement:
    if any(payment.provider_id in on_account for payment in payments):
        return "on account"
    captured = [payable(_captured(payment), currency) for payment in payments]
    if charged - sum(captured, Decimal(0)) <= max(len(captured) - 1, 0) * _unit(currency):  # each is rounded by itself
        return "paid"
    return "authorised" if payments else "unpaid"


def _item(item: _Item, what: str) -> Line:
    net, off = _amounts(item.unit_price * item.quantity, item)
    return _build(
        Line,
        f"a line of {what}",
        id=item.id,
        kind="item" if item.variant_sku else "charge",
        sku=item.variant_sku or None,
        title=_cut(_typed(item.title)),
        quantity=item.quantity,
        net=net,
        discount=off,
        taxes=_taxes(item.tax_lines, what),
    )


def _shipping(method: _Shipping, what: str) -> Line:
    net, off = _amounts(method.amount, method)
    return _build(
        Line,
        f"the shipping of {what}",
        id=method.id,
        kind="shipping",
        title=_cut(_typed(method.name)),
        quantity=Decimal(1),
        net=net,
        discount=off,
        taxes=_taxes(method.tax_lines, what),
    )


def _amounts(price: Decimal, of: _Item | _Shipping) -> tuple[Decimal, Decimal]:
    """What was charged without taxes, and what had been taken off."""
    divisor = 1 + sum((tax.rate for tax in of.tax_lines), Decimal(0)) / 100
    off = sum(
        (one.amount / divisor if one.is_tax_inclusive else one.amount for one in of.adjustments),
        Decimal(0),
    )
    net = (price / divisor if of.is_tax_inclusive else price) - off
    return net.quantize(_EIGHT, ROUND_HALF_UP), off.quantize(_EIGHT, ROUND_HALF_UP)


def _taxes(lines: list[_TaxLine], what: str) -> tuple[Tax, ...]:
    return tuple(
        _build(Tax, f"a tax of {what}", code=line.code or line.description or "", rate=line.rate)
        for line in sorted(lines, key=lambda line: (line.code or "", line.rate))
    )


def _payment(payment: _Payment, currency: str, what: str) -> Payment:
    captures = sorted(payment.captures, key=lambda one: (one.created_at, one.id))
    return _build(
        Payment,
        f"a payment of {what}",
        id=payment.id,
        provider=payment.provider_id,
        authorised=payable(payment.amount, currency),
        captured=payable(_captured(payment), currency),
        captured_at=captures[-1].created_at.astimezone(UTC) if captures else None,
        refunds=tuple(
            _build(
                Refund,
                f"a refund of {what}",
                id=one.id,
                amount=payable(one.amount, currency),
                at=one.created_at.astimezone(UTC),
                erp_number=(one.metadata or {}).get("erp_refund") or "",
            )
            for one in sorted(payment.refunds, key=lambda one: (one.created_at, one.id))
            if payable(one.amount, currency) > 0
        ),
    )


_STATUS = {"requested": "requested", "partially_received": "requested", "received": "received", "canceled": "cancelled"}


def _returns(order: _Order, what: str) -> Iterator[Return]:
    """Returns with what goes out for them, and swaps for which nothing comes back; not what staff only drafts."""
    swaps = {swap.return_id or swap.id: swap for swap in order.swaps}
    items = {item.id: item for item in order.items}
    backs = {one.id: one for one in order.returns}
    for id_ in sorted({*backs, *swaps}):
        back, swap = backs.get(id_), swaps.get(id_)
        status = _STATUS.get(back.status, "") if back else "received"
        instead = [items[line] for line in (swap.lines if swap else ()) if line in items and items[line].quantity > 0]
        if not status or not (back or instead):
            continue
        sent = [_item(one, what) for one in instead]
        if swap and swap.kind == "claim" and not back:  # what is replaced is paid already, and stays with the shopper
            sent = [line.model_copy(update={"discount": line.discount + line.net, "net": Decimal(0)}) for line in sent]
        owners = {id_, swap.id} if swap else {id_}
        methods = {one.method for one in order.later_shipping if one.of in owners}
        yield _build(
            Return,
            f"return {id_} of {what}",
            id=id_,
            kind=swap.kind if swap else "return",
            erp_number=((back.metadata if back else None) or {}).get("erp_return") or "",
            status="cancelled" if swap and swap.cancelled else status,
            lines=tuple(
                _build(Returned, f"return {id_} of {what}", line=one.item_id, quantity=one.quantity)
                for one in sorted(back.items if back else (), key=lambda one: one.item_id)
            ),
            instead=(*sent, *(_shipping(one, what) for one in _by_id(order.shipping_methods) if one.id in methods)),
        )


def _place(address: _Address | None, what: str) -> Place | None:
    if address is None:
        return None
    return _build(
        Place,
        f"an address of {what}",
        name=_typed(" ".join(filter(None, (address.first_name, address.last_name)))),
        company=_typed(address.company),
        street=", ".join(filter(None, (_typed(address.address_1), _typed(address.address_2)))),
        postal_code=_typed(address.postal_code),
        city=_typed(address.city),
        subdivision=_typed(address.province),
        country=(address.country_code or "").upper() or None,
        phone=_typed(address.phone),
    )


def _captured(payment: _Payment) -> Decimal:
    return sum((one.amount for one in payment.captures), Decimal(0))


def payable(amount: Decimal, currency: str) -> Decimal:
    """Rounded to what can be paid in the currency."""
    return amount.quantize(_unit(currency), ROUND_HALF_UP)


def _unit(currency: str) -> Decimal:
    return Decimal(1).scaleb(-_MINOR.get(currency.upper(), 2))


def _held(said: Any) -> str:
    if said is True:
        return "The shop asks to look at it first."
    return _cut(_typed(said)) if said else ""


def _typed(value: Any) -> str:
    """A shopper's words. What he types does not hold up his order: what no ERP can keep is dropped, mark-up is none."""
    words = "".join(
        one if one.isprintable() or one.isspace() or unicodedata.category(one) not in ("Cc", "Cs", "Co", "Cn") else ""
        for one in ("" if value is None else str(value))
    )
    return _MARK_UP.sub(lambda found: f"{found[0]} ", " ".join(words.split()))


def _cut(words: str, most: int = 255) -> str:
    return words if len(words) <= most else f"{words[: most - 1]}…"


def _build(model: type[_V], what: str, **given: Any) -> _V:
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
            "Correct it in Medusa (Orders > the order), or enter the order in the ERP by hand and discard this entry.",
        ) from None
