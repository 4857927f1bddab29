"""What the sales of a batch refer to in Tryton: accounts, addresses, products, taxes. Few calls for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, tzinfo
from functools import cached_property
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from crossdock.connectors.tryton.order_mapping import CENT, Document, Rules, SaleLine, address_name, folded
from crossdock.connectors.tryton.reading import ALL, Record, modules, table
from crossdock.connectors.tryton.reading import Rpc as Reader
from crossdock.domain.order import Order, Place
from crossdock.errors import Misconfigured, Reject


class Rpc(Reader, Protocol):
    """Calls that change something as well; their errors are told in hook.py."""

    @property
    def address(self) -> str:
        """Which database of which Tryton this is."""

    def write(self, method: str, *params: Any, **context: Any) -> Any:
        """Change something."""


class Names(Protocol):
    """What the connection's settings say about orders (hook.py)."""

    web_shop: str | None
    orders_shop: str | None
    guest_account: str
    tax_codes: Mapping[str, str] | None
    shipping_product: str | None
    registered_shoppers: str
    payment_journal: str | None
    credit_hold_category: str


PARTY = (
    "code", "active", "addresses", "customer_payment_term", "sale_invoice_method", "sale_shipment_method",
    "categories.name",
)  # fmt: skip
ADDRESS = (
    "party", "party_name", "street", "postal_code", "city", "country", "invoice", "delivery", "write_date",
)  # fmt: skip
PRODUCT = ("code", "sale_uom", "salable", "active")


def missing(rpc: Reader) -> list[str]:
    """What orders need and Tryton has not, in sentences for people."""
    names: Names = rpc.settings
    wanted = [
        ("web.shop", "name", names.orders_shop, "no order can be written"),
        ("party.party", "code", names.guest_account, "orders of guests cannot be booked"),
        ("product.product", "code", names.shipping_product, "shipping cannot be booked"),
        ("account.payment.journal", "name", names.payment_journal, "payments are not booked"),
        *(
            ("account.tax", "name", tax, f"orders with {code} are refused")
            for code, tax in (names.tax_codes or {}).items()
        ),
    ]
    active = modules(rpc)
    said = [
        f"Module {module} is not active: {meaning}."
        for module, meaning in (
            ("web_shop", "no order can be written"),
            ("sale_amendment", "orders that change are refused once they are in process"),
            ("account_payment", "payments are not booked"),
        )
        if module not in active
    ]
    for model, field, value, meaning in wanted:
        known = (model != "web.shop" or "web_shop" in active) and (
            "payment" not in model or "account_payment" in active
        )
        if value and known and not table(rpc, model, [[field, "=", value]], [field]):
            said.append(f"{model} {value!r} is missing: {meaning}.")
    return said


class Company:
    """What does not change while a task runs: the shop, the company, its modules, taxes and currencies."""

    def __init__(self, rpc: Rpc) -> None:
        self.rpc = rpc

    @property
    def settings(self) -> Names:
        names: Names = self.rpc.settings
        return names

    @cached_property
    def rules(self) -> Rules:
        return Rules(self.settings.tax_codes or {}, self.settings.shipping_product)

    @cached_property
    def shop(self) -> Record:
        """The web shop under which sales are kept. Raises Misconfigured when there is none of this name."""
        name = self.settings.orders_shop or self.settings.web_shop
        if not name:
            raise Misconfigured("Web orders need the setting orders_shop: the name of a web shop in Tryton.")
        shops = table(self.rpc, "web.shop", [["name", "=", name]], ["company", "warehouses", "guest_party"])
        if not shops:
            raise Misconfigured(f"Tryton has no web shop {name!r}. Make it there, or correct the setting orders_shop.")
        if not shops[0]["warehouses"]:
            raise Misconfigured(f"The web shop {name!r} has no warehouse in Tryton: add the one its orders leave from.")
        return shops[0]

    @cached_property
    def zone(self) -> tzinfo:
        [company] = table(self.rpc, "company.company", [["id", "=", self.shop["company"]]], ["timezone"])
        return ZoneInfo(company["timezone"]) if company["timezone"] else UTC

    @cached_property
    def modules(self) -> frozenset[str]:
        return modules(self.rpc)

    @cached_property
    def processes_later(self) -> bool:
        """Whether Tryton's people want confirmed sales to wait: then they have a queue worker, which forgets none."""
        [setting] = table(self.rpc, "sale.configuration", [], ["sale_process_after"])[:1] or [{}]
        return bool(setting.get("sale_process_after"))

    @cached_property
    def currencies(self) -> dict[str, Record]:
        return {row["code"]: row for row in table(self.rpc, "currency.currency", [], ["code", "rounding"])}

    @cached_property
    def countries(self) -> dict[str, int]:
        return {row["code"]: row["id"] for row in table(self.rpc, "country.country", [], ["code"])}

    @cached_property
    def taxes(self) -> dict[str, Record]:
        """Those that the settings name. Raises Misconfigured for one that Tryton has not."""
        wanted = sorted(set(self.rules.taxes.values()))
        where = [["name", "in", wanted], ["company", "=", self.shop["company"]], ["parent", "=", None]]
        found = {row["name"]: row for row in table(self.rpc, "account.tax", where, ["name", "rate", "type"])}
        if missing := [name for name in wanted if name not in found]:
            raise Misconfigured(f"Tryton has no tax {missing[0]!r}: correct the setting tax_codes.")
        return found

    @property
    def tax_ids(self) -> dict[str, int]:
        return {name: row["id"] for name, row in self.taxes.items()}

    @property
    def rates(self) -> dict[str, Any]:
        """Of the taxes in percent; the others are left to Tryton."""
        return {name: row["rate"] if row["type"] == "percentage" else 0 * CENT for name, row in self.taxes.items()}

    def currency(self, order: Order) -> Record:
        """Raises Reject when Tryton does not know the order's currency."""
        try:
            return self.currencies[order.currency]
        except KeyError:
            raise Reject(
                "unknown_currency",
                f"The order is in {order.currency}, a currency that Tryton does not have.",
                "Add the currency and its rates in Tryton, then replay.",
            ) from None


class References:
    """Read for one batch. What is missing of addresses and shoppers is made, each once."""

    def __init__(self, company: Company, documents: Sequence[Document]) -> None:
        self.company = company
        orders = list({document.order.web_id: document.order for document in documents}.values())
        self._rpc, self._settings = company.rpc, company.settings
        self.products = self._read_products({line.sku for one in documents for line in one.lines if line.sku})
        self._parties = self._read_parties({self._settings.guest_account, *map(self._code, orders)})
        self._make_shoppers(orders)
        self._addresses = self._read_addresses(orders)

    def product(self, line: SaleLine) -> Record | None:
        """Archived ones, too; None for a charge that is no product. Raises Reject for one that cannot be booked."""
        if line.sku is None:
            return None
        found = self.products.get(line.sku)
        if found is None:
            raise Reject(
                "unknown_sku",
                f"Tryton has no product {line.sku!r}.",
                "Give the product this code in Tryton, or correct the SKU in the shop; then replay.",
            )
        if not found["salable"] and line.quantity > 0:
            raise Reject(
                "not_salable", f"Product {line.sku!r} is not salable in Tryton.", "Mark it salable there, then replay."
            )
        return found

    def party(self, order: Order) -> Record:
        """Raises Reject for an account that is not there: it is never guessed."""
        code = self._code(order)
        try:
            party = self._parties[code]
        except KeyError:
            if code == self._settings.guest_account:
                raise Misconfigured(
                    f"Tryton has no party {code!r} to book the orders of guests to. Make it, or name another in the "
                    "setting guest_account."
                ) from None
            raise Reject(
                "unknown_account",
                f"Tryton has no party with the number {code!r}.",
                "Create it there or correct the account in the shop; then replay.",
            ) from None
        if party["id"] == self.company.shop["guest_party"]:
            raise Misconfigured(
                f"Party {code!r} is the guest party of Tryton's web shop, whose sales Tryton does not let through. "
                "Take it out there, or name another party in the setting guest_account."
            )
        return party

    def is_guest(self, order: Order) -> bool:
        return not order.account

    def held(self, order: Order) -> str:
        """Why the sale stays a quotation; "" if nothing speaks against it."""
        party = self.party(order)
        if order.held:
            return f"held by the shop: {order.held}"
        if not party["active"]:
            return f"account {party['code']} is archived"
        if any(one["name"] == self._settings.credit_hold_category for one in party["categories."]):
            return f"account {party['code']} is on credit hold"
        return ""

    def is_for(self, order: Order, address: int) -> bool:
        """Whether this is the address that the order names; so is any if it names none, or its account is gone."""
        place = order.ship_to
        if not (place and _said(place)) or self._code(order) not in self._parties:
            return True
        return address in self._matches(order, place)

    def ship_to(self, order: Order) -> int:
        """The address's id: after ``make_addresses``."""
        return self._place(order, order.ship_to, "delivery")

    def bill_to(self, order: Order) -> int:
        if not self.is_guest(order):
            return self._place(order, None, "invoice")
        return self._place(order, order.bill_to or order.ship_to, "invoice")

    def address(self, which: int) -> Record | None:
        """One of those read for this batch."""
        return next((row for row in self._addresses if row["id"] == which), None)

    def make_addresses(self, orders: Iterable[Order]) -> None:
        """All that are not there yet, in one call."""
        wanted: dict[Any, dict[str, Any]] = {}
        for order in orders:
            party = self.party(order)
            for place in self._places(order):
                if self._match(order, place) is None:
                    values = self._address_values(party["id"], place)
                    wanted.setdefault(_key(values, values["street_unstructured"]), values)
        if wanted:
            made = self._rpc.write("model.party.address.create", list(wanted.values()))
            self._addresses += table(self._rpc, "party.address", [["id", "in", made]], ADDRESS)

    def check_countries(self, order: Order) -> None:
        """Raises Reject for one that Tryton does not have."""
        for place in self._places(order):
            if place.country and place.country not in self.company.countries:
                raise Reject(
                    "unknown_country",
                    f"Tryton does not have the country {place.country}.",
                    "Add it in Tryton (Administration > Countries), then replay.",
                )

    def _places(self, order: Order) -> list[Place]:
        places = (order.ship_to, order.bill_to) if self.is_guest(order) else (order.ship_to,)
        return [place for place in places if place and _said(place)]

    def _place(self, order: Order, place: Place | None, kind: str) -> int:
        if place and _said(place):
            matched = self._match(order, place)
            if matched is not None:
                return matched
        party = self.party(order)
        own = [row for row in self._addresses if row["party"] == party["id"] and row["id"] in party["addresses"]]
        fitting = next((row for row in own if row[kind]), own[0] if own else None)
        if fitting is None:
            raise Reject(
                "no_address",
                f"Account {party['code']} has no address in Tryton, and the order none either.",
                "Give the account an address, then replay.",
            )
        return int(fitting["id"])

    def _match(self, order: Order, place: Place) -> int | None:
        return next(iter(self._matches(order, place)), None)

    def _matches(self, order: Order, place: Place) -> list[int]:
        """For an account the place counts, for guests the person as well."""
        party = self.party(order)
        values = self._address_values(party["id"], place)
        first = 1 if self.is_guest(order) else 2
        wanted = _key(values, values["street_unstructured"])[first:]
        return [
            row["id"]
            for row in self._addresses
            if row["party"] == party["id"] and _key(row, row["street"])[first:] == wanted
        ]

    def _address_values(self, party: int, place: Place) -> dict[str, Any]:
        return {
            "party": party,
            "party_name": address_name(place),
            "street_unstructured": place.street.replace(", ", "\n"),
            "postal_code": place.postal_code,
            "city": ", ".join(filter(None, (place.city, place.subdivision))),
            "country": self.company.countries.get(place.country or ""),
            "delivery": True,
            "invoice": False,
        }

    def _code(self, order: Order) -> str:
        if order.account:
            return order.account
        if order.shopper and self._settings.registered_shoppers == "party":
            return f"WEB-{order.shopper}"
        return self._settings.guest_account

    def _read_parties(self, codes: Iterable[str]) -> dict[str, Record]:
        rows = table(self._rpc, "party.party", [ALL, ["code", "in", sorted(codes)]], PARTY)
        return {row["code"]: row for row in rows}

    def _make_shoppers(self, orders: Iterable[Order]) -> None:
        """Registered shoppers become parties by their number, which is unique in Tryton."""
        new: dict[str, dict[str, Any]] = {}
        guests = self._parties.get(self._settings.guest_account)
        for order in orders:
            code = self._code(order)
            if order.account or code == self._settings.guest_account or code in self._parties:
                continue
            place = order.bill_to or order.ship_to or Place()
            contacts = [("email", order.email), ("phone", order.phone or place.phone)]
            new[code] = {
                "code": code,
                "name": address_name(place) or code,
                "customer_payment_term": guests["customer_payment_term"] if guests else None,
                "contact_mechanisms": [
                    ["create", [{"type": kind, "value": value} for kind, value in contacts if value]]
                ],
            }
        if new:
            try:
                self._rpc.write("model.party.party.create", list(new.values()))
            except Reject:
                if not self._read_parties(new):
                    raise
            self._parties |= self._read_parties(new)

    def _read_addresses(self, orders: Sequence[Order]) -> list[Record]:
        """All of an account; of guests, who may have very many, those with the postal codes in question."""
        guests = self._parties.get(self._settings.guest_account)
        accounts = [row["id"] for row in self._parties.values() if row is not guests]
        which: list[Any] = [["party", "in", accounts]]
        if guests:
            codes = {place.postal_code or None for order in orders for place in self._places(order)} | {""}
            first = guests["addresses"][:1]
            which.append(
                [["party", "=", guests["id"]], ["OR", ["postal_code", "in", list(codes)], ["id", "in", first]]]
            )
        return table(self._rpc, "party.address", ["OR", *which], ADDRESS)

    def _read_products(self, skus: set[str]) -> dict[str, Record]:
        """By code. Codes of archived products may be in use again: those in use come last and win."""
        rows = table(self._rpc, "product.product", [ALL, ["code", "in", sorted(skus)]], PRODUCT) if skus else []
        return {row["code"]: row for row in sorted(rows, key=lambda row: (bool(row["active"]), row["id"]))}


def _said(place: Place) -> bool:
    return bool(place.street or place.postal_code or place.city)


def _key(row: Mapping[str, Any], street: str | None) -> tuple[Any, ...]:
    """What makes an address: whose, for whom, where."""
    texts = folded(row["party_name"], street, row["postal_code"], row["city"])
    return row["party"], *texts, row["country"]
