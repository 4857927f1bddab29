"""Orders, invoices and credit notes of Tryton, behind the ports ``Source[Document]``, ``Dated`` and ``Controlled``.

A number is no key. Tryton has no constraint on it, neither on ``sale.sale`` nor on ``account.invoice`` (8.0, seen: two
posted invoices with one number). It comes from a sequence; each kind of document and each fiscal year may have its own,
and a year renewed with *Reset Sequences* gets copies that begin at 1 again, with the prefix of the old ones. The key is
number and id, ``INV-2026-00012/98``: readable, and it stays, since neither changes once the document has a number.
``read`` takes the number alone as well, and then gives every document that bears it.
"""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Protocol

import msgspec

from crossdock.connectors.tryton import document_mapping
from crossdock.connectors.tryton.document_mapping import INVOICE, SALE, key
from crossdock.connectors.tryton.order_references import Rpc
from crossdock.connectors.tryton.reading import Record, modules, pages, parts, table
from crossdock.connectors.tryton.rows import stable
from crossdock.domain.document import Document
from crossdock.errors import Reject
from crossdock.ports import Control, Controls, Row, Window

PAGE = 200
"""Documents in one answer."""

FLAT = 2_000
"""Documents in one answer of a few numbers each."""

Clauses = list[Any]

_FIGURES = ("number", "state", "party.code", "currency.code", "total_amount")
_REPLACING = ("code", "active", "replaced_by")
_KEY = re.compile(r"(?P<number>.+)/(?P<id>\d{1,9})")
_REF = re.compile(r"(?P<model>[a-z.]+),(?P<id>\d{1,9})")


class Names(Protocol):
    """What the connection's settings say about documents (hook.py)."""

    guest_account: str

    @property
    def tracking_urls(self) -> Mapping[str, str] | None:
        """Carrier's name in lower case -> URL with ``{number}``."""


class Origins(NamedTuple):
    """What a document was made of: numbers of sales or invoices, and what the buyer called them."""

    made_of: list[str]
    ordered_as: list[str]


class _Documents(ABC):
    """Documents of one company that belong to parties of the customers' category, guests' account left out.

    ``members`` gives the clause for these parties (adapter.py).
    """

    name = "Tryton"

    model: ClassVar[str]
    part: ClassVar[str]
    made_on: ClassVar[str]
    """The field with the document's own date."""
    fields: ClassVar[tuple[str, ...]]

    def __init__(self, rpc: Rpc, members: Callable[[], Clauses]) -> None:
        self._rpc = rpc
        self._members = members

    @cached_property
    def version(self) -> str:
        """Changes with the fields, the mapping and the settings."""
        urls = (f"{carrier}={url}" for carrier, url in sorted((self._settings.tracking_urls or {}).items()))
        read = "\n".join((*self._fields, self._settings.guest_account, *urls))
        return f"{document_mapping.VERSION}-{hashlib.sha256(read.encode()).hexdigest()[:12]}"

    def now(self) -> datetime:
        """Tryton's clock, by the whole second below."""
        return self._rpc.now()

    def changed(self, window: Window) -> Iterator[Sequence[Row]]:
        """Pages by id. What changed after the window is read as well: the row is as it is now."""
        which = [self._changed_since(window.since)] if window.since else []
        last = 0
        while page := self._page([*which, ["id", ">", last]], [["id", "ASC"]]):
            yield self._rows(page)
            if len(page) < PAGE:
                return
            last = page[-1]["id"]

    def dated(self, since: date, until: date) -> Iterator[Sequence[Row]]:
        """By the document's own date, newest first; of one day the newest id first."""
        which: Clauses = [[self.made_on, ">=", since], [self.made_on, "<", until]]
        after: Clauses = []
        while page := self._page([*which, *after], [[self.made_on, "DESC"], ["id", "DESC"]]):
            yield self._rows(page)
            if len(page) < PAGE:
                return
            day, last = _day(page[-1][self.made_on]), page[-1]["id"]
            after = [["OR", [self.made_on, "<", day], [[self.made_on, "=", day], ["id", "<", last]]]]

    def read(self, keys: Collection[str]) -> Iterator[Sequence[Row]]:
        """These documents, by key or by number."""
        wanted = sorted(keys)
        for start in range(0, len(wanted), PAGE):
            some = wanted[start : start + PAGE]
            ids = [int(found["id"]) for one in some if (found := _KEY.fullmatch(one))]
            page = self._page([["OR", ["id", "in", ids], ["number", "in", some]]], [["id", "ASC"]], size=None)
            asked = set(some)
            yield self._rows(
                row for row in page if not asked.isdisjoint((row["number"], key(row["number"], row["id"])))
            )

    def parts(self) -> Iterator[Sequence[str]]:
        """``sale:7`` or ``invoice:7``: those that are there and not withdrawn."""
        return parts(self._rpc, self.model, self.part, [*self._ours, *self._live])

    @abstractmethod
    def parse(self, raw: bytes) -> Document:
        """See document_mapping.py."""

    def content(self, ref: str) -> bytes:
        """The printed document: ODT, or what Tryton converts it to. The first time it takes up to a few seconds."""
        found = _REF.fullmatch(ref)
        rows: list[Record] = []
        if found and found["model"] == self.model:
            rows = table(self._rpc, self.model, [*self._ours, *self._live, ["id", "=", int(found["id"])]], ["id"])
        if not rows:
            raise Reject(
                "no_document",
                f"{ref} is not, or no more, a document of an account in Tryton.",
                "Nothing: the next run takes up what is there now.",
            )
        id_ = rows[0]["id"]
        printed = self._rpc.write(f"report.{self.model}.execute", [id_], {"model": self.model, "id": id_, "ids": [id_]})
        return bytes(printed[1])

    def control(self, since: date | None, until: date | None, without: Collection[str]) -> Controls:
        """Added up from the documents' own figures, without lines; ``without``: keys."""
        day = ([[self.made_on, ">=", since]] if since else []) + ([[self.made_on, "<", until]] if until else [])
        left_out = set(without)
        found: defaultdict[tuple[str, str], Control] = defaultdict(lambda: Control(0, Decimal(0), Decimal(0)))
        which = [*self._ours, *self._live, *day]
        due = self._due(which)
        for page in pages(self._rpc, self.model, which, _FIGURES, FLAT):
            for row in self._shown(page):
                if key(row["number"], row["id"]) in left_out:
                    continue
                place = row["party."]["code"], row["currency."]["code"]
                so_far = found[place]
                found[place] = Control(
                    so_far.count + 1, so_far.total + row["total_amount"], so_far.open + due.get(row["id"], 0)
                )
        return dict(found)

    @abstractmethod
    def _changed_since(self, since: datetime) -> Clauses: ...

    @property
    @abstractmethod
    def _kind(self) -> Clauses:
        """The clauses for those that are, or may have been, documents of this flow."""

    @property
    @abstractmethod
    def _live(self) -> Clauses:
        """The clauses for those that are not withdrawn."""

    @abstractmethod
    def _origins(self, page: Sequence[Record]) -> Iterator[Origins]:
        """Of each of these rows."""

    def _shown(self, page: Iterable[Record]) -> list[Record]:
        """Of these rows those that are documents."""
        return list(page)

    def _due(self, which: Clauses) -> Mapping[int, Decimal]:
        """By id what is still to be paid of documents; nothing of those that are no invoices."""
        return {}

    @cached_property
    def _settings(self) -> Names:
        settings: Names = self._rpc.settings
        return settings

    @cached_property
    def _fields(self) -> tuple[str, ...]:
        """Payments of what is due are left out where no module makes any."""
        pays = "account_payment" in modules(self._rpc)
        return tuple(name for name in self.fields if pays or ".payments." not in name)

    @cached_property
    def _ours(self) -> Clauses:
        field, *members = self._members()
        return [
            ["company", "=", self._rpc.company],
            ["number", "not in", [None, ""]],
            [f"party.{field}", *members],
            ["party.code", "not in", [None, "", self._settings.guest_account]],
            *self._kind,
        ]

    def _page(self, which: Clauses, order: Clauses, size: int | None = PAGE) -> list[Record]:
        content = self._rpc.ask(
            f"model.{self.model}.search_read", [*self._ours, *which], 0, size, order, list(self._fields)
        )
        page: list[Record] = msgspec.json.decode(content)
        return page

    def _rows(self, page: Iterable[Record]) -> list[Row]:
        shown = self._shown(page)
        successors = self._successors(shown)
        for row, origins in zip(shown, self._origins(shown), strict=True):
            known = {str(one): successors[one] for one in sorted(_products(row)) if one in successors}
            row["beside"] = {**origins._asdict(), "successors": known}
        return [Row(key(row["number"], row["id"]), str(row["id"]), stable(row)) for row in shown]

    def _successors(self, page: Iterable[Record]) -> dict[int, str]:
        """Id of a retired product -> the code of the one named in its place, at the end of the chain."""
        retired = {
            one["id"]: one["replaced_by"]
            for row in page for line in row["lines."] if (one := line["product."]) and _replaced(one)
        }  # fmt: skip
        known: dict[int, Record] = {}
        asked = set(retired.values())
        while asked:
            some = [["id", "in", sorted(asked)], ["active", "in", [True, False]]]
            known |= {one["id"]: one for one in table(self._rpc, "product.product", some, _REPLACING)}
            asked = {one["replaced_by"] for one in known.values() if _replaced(one)} - known.keys()
        ends = {product: _end(by, known) for product, by in retired.items()}
        return {product: end["code"] for product, end in ends.items() if end and end["code"]}


class OfflineOrders(_Documents):
    """Sales that were not placed in a web shop, from their confirmation on, those cancelled later included.

    What comes back of a web order is that order's business: a return made in Tryton has no web shop, but the order as
    its origin. A sale that was confirmed and is a draft again is withdrawn. Tryton's log says what was confirmed.
    """

    model, part = SALE, "sale"
    made_on = "sale_date"
    fields = document_mapping.SALE_FIELDS

    def parse(self, raw: bytes) -> Document:
        """See document_mapping.py."""
        return document_mapping.to_order(raw, self._settings.tracking_urls or {})

    @property
    def _kind(self) -> Clauses:
        offline = [
            "OR",
            ["origin", "=", None],
            ["origin", "not like", f"{SALE},%"],
            ["origin.web_shop", "=", None, SALE],
        ]
        return [["web_shop", "=", None], offline]

    @property
    def _live(self) -> Clauses:
        return [["state", "not in", list(document_mapping.WITHDRAWN)]]

    def _changed_since(self, since: datetime) -> Clauses:
        """``last_modified_at`` is the start of the transaction: the overlap of the windows is for that."""
        paths = ("", "lines.", "shipments.", "shipments.packages.", "shipment_returns.")
        return ["OR", *([f"{path}last_modified_at", ">=", since] for path in paths)]

    def _shown(self, page: Iterable[Record]) -> list[Record]:
        rows = list(page)
        doubtful = [f"{SALE},{row['id']}" for row in rows if row["state"] in (*document_mapping.WITHDRAWN, "cancelled")]
        if not doubtful:
            return rows
        confirmed = [["resource", "in", doubtful], ["event", "=", "transition"], ["target", "=", "state:confirmed"]]
        known = {row["resource"] for row in table(self._rpc, "ir.model.log", confirmed, ["resource"])}
        never = set(doubtful) - known
        return [row for row in rows if f"{SALE},{row['id']}" not in never]

    def _origins(self, page: Sequence[Record]) -> Iterator[Origins]:
        origins = _ids((row["origin"] for row in page), SALE)
        sales = _by_id(table(self._rpc, SALE, [["id", "in", sorted(origins)]], ["number"]) if origins else ())
        for row in page:
            sale = sales.get(_id(row["origin"], SALE))
            yield Origins([sale["number"]] if sale and sale["number"] else [], [])


class Invoices(_Documents):
    """Invoices and credit notes to customers that have been posted, whatever became of them, web orders' included.

    What is still to be paid changes without the invoice: by lines of moves that are reconciled or put off, by payments.
    """

    model, part = INVOICE, "invoice"
    made_on = "invoice_date"
    fields = document_mapping.INVOICE_FIELDS

    def parse(self, raw: bytes) -> Document:
        """See document_mapping.py."""
        return document_mapping.to_invoice(raw)

    def receivables(self) -> Mapping[str, Decimal]:
        """What Tryton's books say that each account owes, in the company's currency; none of those that owe nothing."""
        field, *members = self._members()
        which = [[field, *members], ["code", "!=", self._settings.guest_account], ["active", "in", [True, False]]]
        found: dict[str, Decimal] = {}
        for page in pages(self._rpc, "party.party", [*which, ["receivable", "!=", 0]], ("code", "receivable"), FLAT):
            found |= {row["code"]: row["receivable"] for row in page}
        return found

    def _due(self, which: Clauses) -> Mapping[int, Decimal]:
        """Of those that are settled nothing is due, and Tryton takes long to say so (8.0.12: all lines are read)."""
        posted = pages(self._rpc, self.model, [*which, ["state", "=", "posted"]], ("amount_to_pay",), FLAT)
        return {row["id"]: row["amount_to_pay"] for page in posted for row in page}

    @property
    def _kind(self) -> Clauses:
        return [["type", "=", "out"], ["state", "in", ["posted", "paid", "cancelled"]]]

    @property
    def _live(self) -> Clauses:
        return []

    def _changed_since(self, since: datetime) -> Clauses:
        """``last_modified_at`` is the start of the transaction: the overlap of the windows is for that."""
        paths = ["", "lines.", "move.lines.", "additional_moves.lines.", "payment_lines."]
        if any(".payments." in name for name in self._fields):
            paths += ["move.lines.payments.", "additional_moves.lines.payments."]
        return ["OR", *([f"{path}last_modified_at", ">=", since] for path in paths)]

    def _origins(self, page: Sequence[Record]) -> Iterator[Origins]:
        """From the lines: an invoice's are of lines of sales, a credit note's of such lines or of lines of invoices."""
        origins = {line["origin"] for row in page for line in row["lines."]}
        sold, invoiced = _ids(origins, "sale.line"), _ids(origins, f"{INVOICE}.line")
        of = ("number", "reference")
        sales = _by_id(self._parents("sale.line", "sale", sold, of))
        invoices = _by_id(self._parents(f"{INVOICE}.line", "invoice", invoiced, of))
        for row in page:
            lines = sorted(row["lines."], key=lambda line: line["id"])
            found = [
                parent
                for line in lines
                for known, model, name in ((sales, "sale.line", "sale."), (invoices, f"{INVOICE}.line", "invoice."))
                if (parent := (known.get(_id(line["origin"], model)) or {}).get(name))
            ]
            yield Origins(*(list(dict.fromkeys(one[name] for one in found if one[name])) for name in of))

    def _parents(self, model: str, name: str, lines: Collection[int], of: Sequence[str]) -> list[Record]:
        fields = [f"{name}.{one}" for one in of]
        return table(self._rpc, model, [["id", "in", sorted(lines)]], fields) if lines else []


def _replaced(product: Record) -> bool:
    return not product["active"] and bool(product["replaced_by"])


def _end(product: int, known: Mapping[int, Record]) -> Record | None:
    """Of the chain that begins with this one."""
    while (row := known.get(product)) and _replaced(row):
        product = row["replaced_by"]
    return row


def _day(given: Record) -> date:
    return date(given["year"], given["month"], given["day"])


def _products(row: Record) -> set[int]:
    return {line["product."]["id"] for line in row["lines."] if line["product."]}


def _by_id(rows: Iterable[Record]) -> dict[int | None, Record]:
    return {row["id"]: row for row in rows}


def _id(reference: str | None, model: str) -> int | None:
    """Of a reference to this model."""
    return int(reference.split(",")[1]) if reference and reference.startswith(f"{model},") else None


def _ids(references: Iterable[str | None], model: str) -> set[int]:
    """Of references those to this model."""
    return {found for one in references if (found := _id(one, model)) is not None}
