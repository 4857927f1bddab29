"""Web orders behind the port ``Target[Order]``: one sale each, whatever happens on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property

from crossdock.connectors.tryton import order_mapping
from crossdock.connectors.tryton.order_books import Books, pages
from crossdock.connectors.tryton.order_mapping import Document, returns_of, sale_of
from crossdock.connectors.tryton.order_payments import Payments
from crossdock.connectors.tryton.order_references import Company, References, Rpc
from crossdock.connectors.tryton.reading import table
from crossdock.domain.order import Order
from crossdock.errors import Reject
from crossdock.ports import Content, Found, Outcome, Put

PAGE = 2_000


class Orders:
    """Sales of one web shop, known by ``web_shop`` and ``web_id``, which Tryton keeps unique.

    ``put`` looks first and goes on from what is there, so it does not matter how often it is called, nor where it
    was interrupted.
    """

    name = "Tryton"
    batch = 20
    """Five times cheaper than one at a time; with more, a batch that is refused costs more than it saves (measured)."""
    lanes = 1

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._company = Company(rpc)

    @cached_property
    def version(self) -> str:
        """Changes with the mapping and the settings it follows."""
        names = self._company.settings
        taxes = sorted((names.tax_codes or {}).items())
        said = (names.orders_shop, names.web_shop, names.guest_account, names.shipping_product, names.payment_journal)
        told = repr((*said, names.registered_shoppers, *taxes))
        return f"{order_mapping.VERSION}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"

    def fingerprint(self) -> str:
        """Tryton's address, the database and the company."""
        return f"{self._rpc.address} company {self._company.shop['company']}"

    def payload(self, record: Order) -> bytes:
        """The order itself. Raises Reject when a tax of it has no name in Tryton."""
        sale_of(record, self._company.rules)
        list(returns_of(record, self._company.rules))
        return record.model_dump_json().encode()

    def put(self, batch: Sequence[Put], content: Content) -> Iterable[Outcome]:
        """See ``ports.Target``: nothing is refused for the others' sake. ``remove`` cancels."""
        orders, refused = [], {}
        for put in batch:
            order = Order.model_validate_json(put.payload)
            orders.append(order.model_copy(update={"cancelled": True}) if put.op == "remove" else order)
        documents: dict[str, list[Document]] = {}
        for order in orders:
            try:
                self._company.currency(order)
                documents[order.key] = _documents(order, self._company)
            except Reject as refusal:
                refused[order.key] = refusal
        kept = [order for order in orders if order.key in documents]
        books = Books(self._company, References(self._company, [one for some in documents.values() for one in some]))
        books.settle([some[0] for some in documents.values()])
        later = [
            (some[0].web_id, one) for some in documents.values() for one in some[1:] if some[0].web_id in books.sales
        ]
        if later:
            origins = {one.web_id: books.sales[key]["id"] for key, one in later}
            books.settle([one for _, one in later], origins)
        payments = Payments(self._company)
        unpaid = payments.settle(kept, books.sales)
        refused |= payments.refused | books.refused
        return [_outcome(order, refused, documents.get(order.key, []), books, unpaid) for order in orders]

    def find(self, keys: Collection[str]) -> dict[str, Found]:
        """Which orders have a sale. How far it has come only ``put`` can tell, so no fingerprint is given."""
        where = [["web_shop", "=", self._company.shop["id"]], ["web_id", "in", sorted(keys)]]
        rows = table(self._rpc, "sale.sale", where, ["web_id"]) if keys else []
        return {row["web_id"]: Found(str(row["id"]), None) for row in rows}

    def worth(self, keys: Collection[str]) -> Mapping[str, Decimal]:
        """The totals of those orders' sales; what is only a draft is not booked."""
        where = [["web_shop", "=", self._company.shop["id"]], ["web_id", "in", sorted(keys)], ["state", "!=", "draft"]]
        rows = table(self._rpc, "sale.sale", where, ["web_id", "total_amount"]) if keys else []
        return {row["web_id"]: row["total_amount"] for row in rows}

    def match(self, records: Sequence[Order]) -> Mapping[str, Found | Reject]:
        """Those that have a sale: they are carried on."""
        return self.find([record.key for record in records])

    def keys(self) -> Iterator[Sequence[str]]:
        """The shop's ids of all orders it has; returns are no orders."""
        yield from pages(self._rpc, self._company.shop["id"], PAGE)


def _documents(order: Order, company: Company) -> list[Document]:
    """The order's sale first."""
    known = company.currencies.get(order.currency)
    cent = known["rounding"] if known else order_mapping.CENT
    return [sale_of(order, company.rules, cent), *returns_of(order, company.rules, cent)]


def _outcome(
    order: Order, refused: Mapping[str, Reject], documents: Sequence[Document], books: Books, unpaid: Mapping[str, str]
) -> Outcome:
    ids = [order.key, *(one.web_id for one in documents[1:])]
    notes = [note for key in ids for note in books.notes.get(key, [])]
    notes += [unpaid[order.key]] if order.key in unpaid else []
    sale = books.sales.get(order.key)
    return Outcome(
        order.key,
        str(sale["id"]) if sale else None,
        next((refused[key] for key in ids if key in refused), None),
        "; ".join(notes) or None,
    )
