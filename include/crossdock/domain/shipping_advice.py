"""What a third party's warehouse says that it has sent."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, ClassVar

from pydantic import Field

from crossdock.domain.record import FilledText, PlainText, Record, Value


class AdviceLine(Value):
    """So many pieces left, in the unit in which they were ordered."""

    sku: FilledText
    quantity: Annotated[Decimal, Field(gt=0)]


class ShippingAdvice(Record):
    """One shipment of the ERP that has left a 3PL's warehouse, the unit of the flow ``shipping_advice``.

    ``number``: the ERP's, under which the warehouse was told to send it. ``carrier``: as the warehouse calls it.
    Each SKU stands in one line.
    """

    COLUMNS: ClassVar[dict[str, str]] = {"number": "text", "lines": "integer", "pieces": "numeric"}

    number: FilledText
    carrier: PlainText = ""
    sent_on: date
    tracking_numbers: tuple[FilledText, ...] = ()
    lines: Annotated[tuple[AdviceLine, ...], Field(min_length=1)]

    @property
    def key(self) -> str:
        return self.number

    def columns(self) -> tuple[Any, ...]:
        return (self.number, len(self.lines), sum((line.quantity for line in self.lines), Decimal(0)))
