"""Documents of an ERP, and hands to put them into a shop."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from crossdock.connectors.medusa.documents import Documents
from crossdock.domain.document import Document, DocumentLine
from crossdock.ports import Outcome, Put

_numbers = itertools.count(1)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def a_line(**fields: Any) -> DocumentLine:
    line = {"sku": "BOLT-M6", "title": "Bolt M6", "quantity": Decimal("10"), "unit": "Unit", "price": Decimal("1.25")}
    return DocumentLine(**line | {"net": Decimal("12.50")} | fields)


def an_invoice(account: str, **fields: Any) -> Document:
    """Over 119, all of it open, that nobody else has."""
    invoice = {
        "number": f"INV-{next(_numbers):05d}", "kind": "invoice", "account": account, "made_on": date(2026, 3, 1),
        "due_on": date(2026, 3, 31), "currency": "EUR", "net": Decimal(100), "tax": Decimal(19), "total": Decimal(119),
        "open": Decimal(119), "status": "open", "lines": (a_line(),), "file": f"account.invoice,{next(_numbers)}",
        "changed_at": NOON,
    }  # fmt: skip
    return Document(**invoice | fields)


def an_order(account: str, **fields: Any) -> Document:
    return an_invoice(account, **{"kind": "order", "due_on": None, "open": None, "file": None} | fields)


def a_credit_note(account: str, **fields: Any) -> Document:
    """Over -119, not given back yet."""
    amounts = {"net": Decimal(-100), "tax": Decimal(-19), "total": Decimal(-119), "open": Decimal(-119)}
    back = a_line(quantity=Decimal(-10), net=Decimal("-12.50"))
    return an_invoice(account, **{"kind": "credit_note", "lines": (back,), **amounts} | fields)


def no_files(ref: str) -> bytes:
    raise AssertionError(f"nobody asked for {ref}")


def to_put(target: Documents, one: Document, op: Any = "create", fingerprint: str = "f1") -> Put:
    return Put(one.key, op, None, target.payload(one), fingerprint)


def put(target: Documents, *documents: Document, op: Any = "create", fingerprint: str = "f1") -> list[Outcome]:
    by_key = {o.key: o for o in target.put([to_put(target, one, op, fingerprint) for one in documents], no_files)}
    return [by_key[one.key] for one in documents]


def later(one: Document, by: timedelta = SECOND, **changes: Any) -> Document:
    return one.model_copy(update={"changed_at": one.changed_at + by, **changes})
