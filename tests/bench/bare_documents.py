"""The cheapest way to bring Tryton's invoices into the shop: ``python -m tests.bench.bare_documents FILE``.

No ledger, no checks, no reading back, nothing but the calls: pages of invoices with the fields the flow reads, one
question more where a page has credit notes, and batches of documents as the shop's extension takes them. FILE is
JSON: the ``erp`` (url, database), the ``shop`` (url, token), ``months`` as pairs of dates, ``page`` documents in an
answer of the ERP, ``size`` in a call to the shop, ``dsn`` and ``servers`` to watch.
"""

from __future__ import annotations

import base64
import gzip
import json
import sys
import time
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from tests.bench.bare_medusa import Caller
from tests.bench.measure import Watch

from crossdock.connectors.tryton.document_mapping import INVOICE_FIELDS
from sandbox.erp import CREDENTIALS
from sandbox.merchant import CUSTOMERS

Row = dict[str, Any]

_LINE = "account.invoice.line"
_GZIP = b"\x1f\x8b"
_encode = msgspec.json.Encoder().encode


class _Answer(msgspec.Struct):
    result: Any = None
    error: Any = None


_answer = msgspec.json.Decoder(_Answer).decode


class Tryton(Caller):
    """One session, over one connection that stays open.

    Compressed answers cost least: a long one that is not, Tryton sends piece by piece, value after value.
    """

    def __init__(self, url: str, database: str) -> None:
        super().__init__(url)
        self._path, self._context = f"/{database}/rpc/", Row()
        self._headers["Accept-Encoding"] = "gzip"
        user, password = CREDENTIALS["user"], CREDENTIALS["password"]
        id_, session, *_ = self.ask("common.db.login", user, {"password": password}, "en", bare=True)
        token = base64.b64encode(f"{user}:{id_}:{session}".encode()).decode()
        self._headers["Authorization"] = f"Session {token}"
        self._context = self.ask("model.res.user.get_preferences", True)

    def ask(self, method: str, *params: Any, bare: bool = False) -> Any:
        """The result, values as they travel. Raises RuntimeError for an error."""
        body = {"id": 0, "method": method, "params": params if bare else [*params, self._context]}
        content = self.call("POST", self._path, _encode(body))
        answer = _answer(gzip.decompress(content) if content.startswith(_GZIP) else content)
        if answer.error:
            raise RuntimeError(f"{method}: {answer.error}")
        return answer.result


def _pages(erp: Tryton, months: list[list[str]], size: int) -> Iterator[list[Row]]:
    found = erp.ask("model.party.category.search", [["name", "=", CUSTOMERS]], 0, None, None)
    ours = [["party.categories", "child_of", found, "parent"], ["number", "!=", None], ["type", "=", "out"],
            ["state", "in", ["posted", "paid", "cancelled"]]]  # fmt: skip
    for since, until in months:
        which = [*ours, ["invoice_date", ">=", _asked(since)], ["invoice_date", "<", _asked(until)]]
        start = 0
        while page := erp.ask(
            "model.account.invoice.search_read", which, start, size, [["id", "DESC"]], list(INVOICE_FIELDS)
        ):
            yield page
            if len(page) < size:
                break
            start += size


def _asked(day: str) -> Row:
    of = date.fromisoformat(day)
    return {"__class__": "date", "year": of.year, "month": of.month, "day": of.day}


def _credited(erp: Tryton, page: list[Row]) -> dict[str, str]:
    """Reference to a line of an invoice -> number of that invoice, for the lines that credit notes were made of."""
    origins = {line["origin"] for row in page for line in row["lines."] if line["origin"]}
    if not origins:
        return {}
    which = [["id", "in", [int(one.partition(",")[2]) for one in origins]]]
    rows = erp.ask(f"model.{_LINE}.search_read", which, 0, None, None, ["invoice.number"])
    return {f"{_LINE},{row['id']}": row["invoice."]["number"] for row in rows}


def _document(row: Row, credited: dict[str, str]) -> Row:
    total, due = row["total_amount"]["decimal"], [one["maturity_date"] for one in row["lines_to_pay."]]
    lines = sorted(row["lines."], key=lambda line: (line["sequence"] or 0, line["id"]))
    changed = [row, *row["lines_to_pay."], *row["payment_lines."]]
    return {
        "key": f"{row['number']}/{row['id']}",
        "fingerprint": "1",
        "number": row["number"],
        "kind": "credit_note" if total.startswith("-") else "invoice",
        "account": row["party."]["code"],
        "made_on": _day(row["invoice_date"]),
        "due_on": max((_day(one) for one in due if one), default=None),
        "currency": row["currency."]["code"],
        "net": row["untaxed_amount"]["decimal"],
        "tax": row["tax_amount"]["decimal"],
        "total": total,
        "open": row["amount_to_pay"]["decimal"],
        "status": _status(row, Decimal(total), Decimal(row["amount_to_pay"]["decimal"])),
        "reference": row["reference"] or "",
        "belongs_to": list(dict.fromkeys(credited[line["origin"]] for line in lines if line["origin"])),
        "lines": [_line(line) for line in lines],
        "parcels": [],
        "file": f"account.invoice,{row['id']}",
        "changed_at": max(_moment(one["last_modified_at"]) for one in changed),
    }


def _line(line: Row) -> Row:
    return {
        "sku": line["product."]["code"],
        "title": line["product."]["name"],
        "quantity": str(line["quantity"]),
        "unit": line["unit."]["name"],
        "price": line["unit_price"]["decimal"],
        "net": line["amount"]["decimal"],
        "successor": None,
    }


def _status(row: Row, total: Decimal, left: Decimal) -> str:
    if row["state"] == "paid" or not left:
        own = f"account.invoice,{row['id']}"
        by = [one["move."]["origin"] for one in row["reconciliation_lines."]]
        credit = total > 0 and by and all(one and one != own for one in by)
        return "credited" if credit else "paid"
    return "partly paid" if abs(left) < abs(total) else "open"


def _day(given: Row) -> str:
    return f"{given['year']}-{given['month']:02}-{given['day']:02}"


def _moment(given: Row) -> str:
    clock = f"{given['hour']:02}:{given['minute']:02}:{given['second']:02}.{given['microsecond']:06}Z"
    return f"{_day(given)}T{clock}"


def main(file: str) -> None:
    given = json.loads(Path(file).read_text())
    erp = Tryton(given["erp"]["url"], given["erp"]["database"])
    shop = given["shop"]
    imports, written = time.process_time(), 0

    def send(some: list[Row]) -> int:
        body = _encode({"flow": "invoices", "documents": some})
        caller = Caller(shop["url"], shop["token"])  # a new one: Node hangs up after five idle seconds
        outcomes = json.loads(caller.call("POST", "/admin/erp/documents/batch", body))["outcomes"]
        if other := [one for one in outcomes if one.get("outcome") != "created"]:
            raise RuntimeError(f"{len(other)} of {len(outcomes)} documents were not created: {other[0]}")
        return len(outcomes)

    def work() -> None:
        nonlocal written
        waiting: list[Row] = []
        for page in _pages(erp, given["months"], given["page"]):
            credited = _credited(erp, page)
            waiting += [_document(row, credited) for row in page]
            while len(waiting) >= given["size"]:
                written += send(waiting[: given["size"]])
                del waiting[: given["size"]]
        if waiting:
            written += send(waiting)

    used = Watch(given["dsn"], given["servers"]).used(work)
    print(json.dumps({"imports": imports, "used": used, "written": written}))


if __name__ == "__main__":
    main(*sys.argv[1:])
