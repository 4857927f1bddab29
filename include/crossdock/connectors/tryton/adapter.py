"""Tryton behind the ERP ports."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol

import msgspec

from crossdock.connectors.tryton import mapping
from crossdock.connectors.tryton.advices import Advices
from crossdock.connectors.tryton.documents import Invoices, OfflineOrders
from crossdock.connectors.tryton.items import Items
from crossdock.connectors.tryton.order_references import Rpc
from crossdock.connectors.tryton.order_status import Statuses
from crossdock.connectors.tryton.orders import Orders
from crossdock.connectors.tryton.prices import Prices
from crossdock.connectors.tryton.reading import ALL, NONE, numbers, parts
from crossdock.connectors.tryton.rows import stable
from crossdock.connectors.tryton.stirrings import Stirrings
from crossdock.connectors.tryton.stock import Inventory
from crossdock.domain.customer import Account
from crossdock.errors import Misconfigured, Reject, Stop
from crossdock.ports import Row, Window

PAGE = 500
"""Parties in one answer: with more, an answer is no faster, only later (measured)."""


class Names(Protocol):
    """What the connection's settings say about customers (hook.py)."""

    customer_category: str
    blocked_category: str
    credit_hold_category: str
    tax_exempt_rule: str
    model_fields_set: set[str]


class Tryton:
    """One company in one Tryton database. It serves every flow of the ERP's side."""

    def __init__(self, rpc: Rpc) -> None:
        self.customers = Customers(rpc)
        self.items = Items(rpc)
        self.prices = Prices(rpc, lambda: self.customers.members)
        self.orders = Orders(rpc)
        self.order_status = Statuses(rpc)
        self.shipping_advice = Advices(rpc)
        self.offline_orders = OfflineOrders(rpc, lambda: self.customers.members)
        self.invoices = Invoices(rpc, lambda: self.customers.members)
        self.stirrings = Stirrings(rpc)
        self.inventory = Inventory(rpc)

    @classmethod
    def from_connection(cls, conn_id: str, connection: Any = None) -> Tryton:
        """The ERP of an Airflow connection of type ``tryton``; ``connection``: if it is known."""
        from crossdock.connectors.tryton.hook import TrytonHook

        hook = TrytonHook(conn_id)
        if connection is not None:
            hook.connection = connection
        return cls(hook)


class Customers:
    """The parties of the customers' category, archived ones included: a ``Source[Account]``.

    A party that leaves the category is gone from ``read`` and ``parts``. What belongs to a party has
    its own time of change: each is asked for.
    """

    name = "Tryton"

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    @cached_property
    def version(self) -> str:
        """Changes with the fields, the mapping and the names in the settings."""
        read = "\n".join((*mapping.FIELDS, *self._names))
        return f"{mapping.VERSION}-{hashlib.sha256(read.encode()).hexdigest()[:12]}"

    def now(self) -> datetime:
        """Tryton's clock, by the whole second below."""
        return self._rpc.now()

    def changed(self, window: Window) -> Iterator[Sequence[Row]]:
        """Pages by id. What changed after the window is read as well: the row is as it is now."""
        return self._pages(_changed_since(window.since) if window.since else [])

    def read(self, keys: Collection[str]) -> Iterator[Sequence[Row]]:
        """These accounts, by number."""
        numbers = sorted(keys)
        for start in range(0, len(numbers), PAGE):
            yield from self._pages(["code", "in", numbers[start : start + PAGE]])

    def parts(self) -> Iterator[Sequence[str]]:
        """``party:7=C0001``, ``address:8``, ``contact:9``, ``identifier:10``: what is active, and all parties.

        A party's part holds its number: an account that is renumbered misses the old one.
        """
        yield from numbers(self._rpc, "party.party", "party", [self.members, ALL])
        for model, kind in (
            ("party.address", "address"),
            ("party.contact_mechanism", "contact"),
            ("party.identifier", "identifier"),
        ):
            yield from parts(self._rpc, model, kind, [[f"party.{self.members[0]}", *self.members[1:]]])

    def parse(self, raw: bytes) -> Account:
        """See mapping.py."""
        return mapping.to_account(raw, self._names)

    def content(self, ref: str) -> bytes:
        """Accounts have no files."""
        raise Reject("no_file", f"An account refers to a file {ref}.", "This is a defect: report it.")

    @cached_property
    def _names(self) -> mapping.Names:
        settings: Names = self._rpc.settings
        return mapping.Names(settings.blocked_category, settings.credit_hold_category, settings.tax_exempt_rule)

    @cached_property
    def members(self) -> list[Any]:
        """The clause for parties of the customers' category or one below it.

        A category that is named in the settings and not in Tryton would silently make everybody no
        customer, or nobody blocked: Misconfigured.
        """
        settings: Names = self._rpc.settings
        named = {settings.customer_category} | {
            getattr(settings, name) for name in ("blocked_category", "credit_hold_category")
            if name in settings.model_fields_set
        }  # fmt: skip
        rows = self._rpc.call(
            "model.party.category.search_read", [["name", "in", sorted(named)]], 0, None, None, ["name"]
        )
        if missing := sorted(named - {row["name"] for row in rows}):
            raise Misconfigured(
                f"Tryton has no party category {missing[0]!r}. Create it there (Parties > Configuration > Categories) "
                "and put the parties in it, or name the right one in the connection's settings."
            )
        customers = [row["id"] for row in rows if row["name"] == settings.customer_category]
        return ["categories", "child_of", customers, "parent"]

    def _pages(self, which: list[Any]) -> Iterator[Sequence[Row]]:
        last = 0
        while True:
            domain = [self.members, ALL, ["id", ">", last], *([which] if which else [])]
            content = self._rpc.ask(
                "model.party.party.search_read", domain, 0, PAGE, [["id", "ASC"]], list(mapping.FIELDS)
            )
            page = [_row(raw) for raw in msgspec.json.decode(content, type=list[msgspec.Raw])]
            if page:
                yield page
            if len(page) < PAGE:
                return
            ahead = max((int(row.source_id) for row in page if row.source_id), default=last)
            if ahead == last:
                raise Stop(f"Tryton's parties after id {last} cannot be read: {PAGE} rows, none of them JSON.")
            last = ahead


def _row(raw: msgspec.Raw) -> Row:
    """Bytes that mean the same on every reading; a row that is no JSON goes on as it came, without a key."""
    try:
        party = msgspec.json.decode(raw)
        return Row(key=party["code"] or "", source_id=str(party["id"]), raw=stable(party))
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        return Row(key="", source_id="", raw=bytes(raw))


def _changed_since(since: datetime) -> list[Any]:
    """Parties that changed themselves, or through anything an account is put together from.

    ``last_modified_at`` is the start of the transaction: the overlap of the windows is for that.
    """
    own = ["last_modified_at", ">=", since]
    lists = [[name, "where", [own, ALL]] for name in ("addresses", "contact_mechanisms", "identifiers")]
    # kept per company, in tables of their own; and what they point to, for its name and days
    paths = (
        "categories",
        "sale_price_lists",
        "sale_price_lists.sale_price_list",
        "payment_terms",
        "payment_terms.customer_payment_term",
        "payment_terms.customer_payment_term.lines",
        "payment_terms.customer_payment_term.lines.relativedeltas",
        "accounts",
        "accounts.customer_tax_rule",
        "customer_currencies",
    )
    clauses = [own, *lists, *([f"{path}.last_modified_at", ">=", since] for path in paths)]
    return ["OR", *clauses, NONE]
