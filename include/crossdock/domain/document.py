"""Orders, invoices and credit notes born in the ERP, as the buyers of their account see them in the shop."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AwareDatetime, Field

from crossdock.domain.customer import AccountNumber
from crossdock.domain.order import Currency, Money
from crossdock.domain.order_status import Parcel
from crossdock.domain.record import FilledText, Need, PlainText, Record, Value

Kind = Literal["order", "invoice", "credit_note"]

Status = Literal["open", "partly sent", "sent", "partly paid", "paid", "credited", "cancelled"]
"""``open``: nothing sent (an order), nothing paid (an invoice). ``credited``: nothing is left of it by credit notes."""


class DocumentLine(Value):
    """One line, as it is printed. ``sku`` None: free text, a charge, or goods that are no product of the ERP any more.

    ``quantity`` may be a fraction, and is negative for what was taken back; ``unit``: the ERP's name of the unit.
    ``price`` of one, not rounded, and ``net`` of all, without taxes. A line without a quantity is a remark.
    ``successor``: the SKU that the ERP names in place of this one.
    """

    sku: FilledText | None = None
    title: Annotated[str, Field(max_length=2000)]
    quantity: Annotated[Decimal, Field(max_digits=16, decimal_places=6)] | None = None
    unit: PlainText = ""
    price: Annotated[Decimal, Field(max_digits=20, decimal_places=8)] = Decimal(0)
    net: Money = Decimal(0)
    successor: FilledText | None = None


class Document(Record):
    """One document, the unit of the flows ``offline_orders`` (kind ``order``) and ``invoices`` (the others).

    ``number`` is the ERP's own, what people call it. Not every ERP gives a number only once (another year, another
    kind of document): from one that may not, ``source_id`` says which of those with this number is meant, and is part
    of the natural key. ``made_on``: its own date, by the ERP's calendar. ``due_on``: when the last of it is due.
    Amounts are in ``currency``; those of a credit note are negative. ``open``: what is still to be paid (an invoice)
    or not yet given back (a credit note, negative); None for an order. ``reference``: the buyer's own.
    ``belongs_to``: numbers of the orders or invoices it was made of. ``file``: what ``Source.content`` gives the
    printed document for, None where the ERP has none. ``changed_at``: the state of the ERP this was read from, UTC:
    an older one never displaces a newer one in the shop. ``withdrawn``: it is to be shown no more.
    """

    COLUMNS: ClassVar[dict[str, str]] = {
        "kind": "text",
        "account": "text",
        "made_on": "date",
        "due_on": "date",
        "year": "integer",
        "currency": "text",
        "net": "numeric",
        "tax": "numeric",
        "total": "numeric",
        "open": "numeric",
        "lines": "integer",
        "lines_net": "numeric",
        "deviation": "numeric",
        "lines_deviation": "numeric",
    }

    number: FilledText
    source_id: FilledText | None = None
    kind: Kind
    account: AccountNumber
    made_on: date
    due_on: date | None = None
    currency: Currency
    net: Money
    tax: Money
    total: Money
    open: Money | None = None
    status: Status
    reference: PlainText = ""
    belongs_to: tuple[FilledText, ...] = ()
    lines: tuple[DocumentLine, ...] = ()
    parcels: tuple[Parcel, ...] = ()
    file: FilledText | None = None
    changed_at: AwareDatetime
    withdrawn: bool = False

    @property
    def key(self) -> str:
        return f"{self.number}/{self.source_id}" if self.source_id else self.number

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({("customers", self.account)})

    @property
    def gone(self) -> bool:
        return self.withdrawn

    @property
    def moment(self) -> datetime:
        return self.changed_at

    def columns(self) -> tuple[Any, ...]:
        lines_net = sum((line.net for line in self.lines), Decimal(0))
        return (
            self.kind, self.account, self.made_on, self.due_on, self.made_on.year, self.currency, self.net, self.tax,
            self.total, self.open, len(self.lines), lines_net, abs(self.net + self.tax - self.total),
            abs(lines_net - self.net),
        )  # fmt: skip
