"""What has become of a web order in the ERP, for the shop to show: status, shipments, what came back, money."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AwareDatetime, Field

from crossdock.domain.order import Id, Money, Quantity
from crossdock.domain.record import FilledText, PlainText, Record, Value


class Parcel(Value):
    """A package on its way. ``url``: where the carrier shows it, if we know."""

    tracking_number: FilledText
    url: Annotated[str, Field(pattern=r"^https?://", max_length=1000)] | None = None


class Part(Value):
    """So many of a line of the web order, identified by the shop's id of the line."""

    line: Id
    quantity: Quantity


class Shipment(Value):
    """One shipment of the ERP. ``number`` is its natural key; ``warehouse`` the ERP's code of where it leaves.

    ``open``: not yet sent. ``sent``: handed to the carrier. ``delivered``: the ERP says that it arrived.
    """

    number: FilledText
    warehouse: FilledText
    status: Literal["open", "sent", "delivered", "cancelled"]
    carrier: PlainText = ""
    sent_on: date | None = None
    parts: tuple[Part, ...] = ()
    parcels: tuple[Parcel, ...] = ()


class Return(Value):
    """Goods that have come back to the ERP's ``warehouse``: all that came of this return so far.

    ``number``: the ERP's. ``web_id``: the shop's id of the return, None for one that was born in the ERP.
    """

    number: FilledText
    web_id: Id | None = None
    warehouse: FilledText
    parts: Annotated[tuple[Part, ...], Field(min_length=1)]


class CreditNote(Value):
    """What the ERP has credited of the order. ``amount`` is positive, taxes included, in the order's currency."""

    number: FilledText
    on: date
    amount: Annotated[Money, Field(gt=0)]


class Refund(Value):
    """Money the ERP has paid back. ``number``: the ERP's; ``amount`` is positive, in the order's currency.

    ``web_id``: the shop's id of the refund if it was born there; it may also be a word that a person wrote there.
    ``by_shop``: to be given back the way it was paid; else the money took a way that the shop knows nothing of.
    """

    number: FilledText
    web_id: Id | None = None
    on: date
    amount: Annotated[Money, Field(gt=0)]
    by_shop: bool


class OrderStatus(Record):
    """One web order as the ERP sees it, the unit of the flow ``order_status``.

    ``state``: ``held`` waits for a person in the ERP, ``open`` for the warehouse. ``promised``: the day on which all of
    it is planned to leave. ``booked_at``: when the ERP's order was made, UTC.
    """

    COLUMNS: ClassVar[dict[str, str]] = {
        "number": "text",
        "booked_at": "timestamptz",
        "state": "text",
        "shipments": "integer",
        "sent": "integer",
        "pieces": "numeric",
    }

    web_id: Id
    number: FilledText
    booked_at: AwareDatetime
    state: Literal["held", "open", "partly sent", "sent", "cancelled", "problem"]
    promised: date | None = None
    shipments: tuple[Shipment, ...] = ()
    returns: tuple[Return, ...] = ()
    credit_notes: tuple[CreditNote, ...] = ()
    refunds: tuple[Refund, ...] = ()

    @property
    def key(self) -> str:
        return self.web_id

    @property
    def born(self) -> datetime:
        return self.booked_at

    @property
    def sent(self) -> tuple[Shipment, ...]:
        """Shipments that have left."""
        return tuple(one for one in self.shipments if one.status in ("sent", "delivered"))

    def columns(self) -> tuple[Any, ...]:
        pieces = sum((part.quantity for one in self.sent for part in one.parts), Decimal(0))
        return (self.number, self.booked_at, self.state, len(self.shipments), len(self.sent), pieces)
