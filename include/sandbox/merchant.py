"""A merchant worth looking at, told to an empty Tryton over HTTP.

Aldergate Trading sells workwear, tools and fittings from two warehouses of its own and one of a
3PL: 200 variants, three kits of them, 50 B2B accounts ``C0001`` to ``C0050`` with their buyers, price lists with tiers
and contracts, and two years of orders, shipments, invoices, payments and credit notes. The same on
every build; dates are counted back from today. Standard library only.

Calls and types: Tryton 8.0, ``POST /DATABASE/rpc/`` with ``{"id", "method", "params"}``.
"""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import hashlib
import json
import random
import struct
import unicodedata
import urllib.error
import urllib.request
import zlib
from collections import defaultdict
from decimal import Decimal
from typing import Any

CREDENTIALS = {
    "user": "crossdock",
    "password": "crossdock-demo-erp",
    "bearer": "crossdock-demo-erp-rest-key",
    "admin password": "crossdock-demo-admin",
}

CUSTOMERS, BLOCKED, CREDIT_HOLD, TAX_EXEMPT = "Customers", "Blocked", "Credit hold", "Tax exempt"
"""Names of three party categories and one customer tax rule: how this merchant marks its accounts."""

BLOCKED_ACCOUNTS = ("C0041", "C0042")
HELD_ACCOUNTS = ("C0043", "C0044")
ARCHIVED_ACCOUNTS = ("C0045", "C0046")
EXEMPT_ACCOUNTS = ("C0012", "C0025", "C0038")
SHARED_BUYER = ("C0001", "C0002")
"""The first buyer of the first account is a buyer of the second as well."""
GUESTS = "WEB-GUEST"
"""The one party to which the web orders of guests are booked."""
WEB_PAYMENTS = "Web payments"
"""The payment journal of what web shoppers pay; its clearing account holds it until the provider's money comes."""

PLANTED = {
    "C0047": "the account's name holds HTML",
    "C0048": "the same e-mail stands at two contacts",
    "C0049": "a buyer's e-mail is not an e-mail address",
}
"""Records that are bad on purpose: what a quarantine is for. Account number -> what is wrong."""

PLANTED_ITEMS = {"KP001": "its two variants cannot be told apart"}
"""The same for products, by code."""
ARCHIVED_ITEM = "PH001"
KITS = {
    "KIT001": ("Site Starter Kit", {"SH001-YELLOW": 1, "ED001": 1, "NG001-M": 5}),
    "KIT002": ("Fitter's Kit", {"CD001": 1, "HKS001": 2, "NG001-M": 1}),
    "KIT003": ("Visitor Kit", {"SH001-YELLOW": 1, "ED001": 1}),
}
"""Sets put together when they are sold, from goods that are sold singly as well: name, and how many of each."""
GERMAN_ITEMS = {"WJ001": "Arbeitsjacke 1", "ST001": "Sicherheitshose 1", "NG001": "Nitrilhandschuhe 1"}
"""Products that have a German name as well."""

Values = dict[str, Any]


class ErpError(Exception):
    """The ERP refused a call of the seed."""


class Erp:
    """JSON-RPC as the administrator, who says yes to every warning."""

    def __init__(self, url: str, database: str, password: str) -> None:
        self._url, self._password = f"{url}/{database}/rpc/", password
        self._context: Values = {}
        self._log_in()
        self.refresh()

    def _log_in(self) -> None:
        self._authorization: dict[str, str] = {}
        self.user, session, *_ = self._post("common.db.login", ["admin", {"password": self._password}, "en"])
        token = base64.b64encode(f"admin:{self.user}:{session}".encode()).decode()
        self._authorization = {"Authorization": f"Session {token}"}

    def refresh(self) -> None:
        """Take over what the user's preferences say (the company, once there is one)."""
        self._context = self._post("model.res.user.get_preferences", [True, {}])

    def __call__(self, method: str, *params: Any, **context: Any) -> Any:
        while True:
            try:
                return self._logged_in(method, [*params, {**self._context, **context}])
            except _Warning as warning:
                self._logged_in("model.res.user.warning.skip", [str(warning), False, self._context])

    def create(self, model: str, *records: Values, size: int = 50) -> list[int]:
        """Ids of the new records, ``size`` per call (SQLite's parser gives up above about a hundred)."""
        ids: list[int] = []
        for start in range(0, len(records), size):
            ids += self(f"model.{model}.create", list(records[start : start + size]))
        return ids

    def press(self, model: str, button: str, ids: list[int], size: int = 25) -> None:
        """A button of the form, on many records at once."""
        for start in range(0, len(ids), size):
            self(f"model.{model}.{button}", ids[start : start + size])

    def rows(self, model: str, domain: list[Any], *fields: str) -> list[Values]:
        found: list[Values] = self(f"model.{model}.search_read", domain, 0, None, [["id", "ASC"]], list(fields))
        return found

    def id_of(self, model: str, *domain: Any) -> int:
        return int(self(f"model.{model}.search", list(domain), 0, 1, None)[0])

    def wizard(self, name: str, *steps: tuple[Values, str], **context: Any) -> None:
        """Run a wizard through ``(form values, button)`` pairs."""
        session = self(f"wizard.{name}.create", **context)[0]
        for values, button in steps:
            self(f"wizard.{name}.execute", session, values, button, **context)
        self(f"wizard.{name}.delete", session, **context)

    def _logged_in(self, method: str, params: list[Any]) -> Any:
        """Tryton wants a new login of who was silent for five minutes, for some calls."""
        try:
            return self._post(method, params)
        except urllib.error.HTTPError as error:
            if error.code != 401:
                raise
            self._log_in()
            return self._post(method, params)

    def _post(self, method: str, params: list[Any]) -> Any:
        body = json.dumps({"id": 0, "method": method, "params": params}, default=_typed).encode()
        headers = {"Content-Type": "application/json", "Accept-Encoding": "gzip", **self._authorization}
        with urllib.request.urlopen(urllib.request.Request(self._url, body, headers), timeout=600) as response:
            content = response.read()
            if response.headers.get("Content-Encoding") == "gzip":
                content = gzip.decompress(content)
        answer = json.loads(content, object_hook=_untyped)
        if "error" not in answer:
            return answer["result"]
        kind, details = answer["error"][0], answer["error"][1]
        if kind == "UserWarning":
            raise _Warning(details[0])
        raise ErpError(f"{method}: {answer['error']}")


class _Warning(Exception):
    """Tryton asks "are you sure?"; the text is the name of the question."""


def _typed(value: Any) -> Values:
    if isinstance(value, Decimal):
        return {"__class__": "Decimal", "decimal": str(value)}
    if isinstance(value, dt.date):
        return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
    if isinstance(value, bytes):
        return {"__class__": "bytes", "base64": base64.b64encode(value).decode()}
    raise TypeError(type(value))


def _untyped(value: Values) -> Any:
    return Decimal(value["decimal"]) if value.get("__class__") == "Decimal" else value


def seed(url: str, database: str) -> None:
    """Make an empty Tryton (modules activated, nothing else) this merchant."""
    work = _Seed(Erp(url, database, CREDENTIALS["admin password"]))
    work.company()
    work.accounting()
    work.integration_user()
    work.catalogue()
    work.warehouses()
    work.price_lists()
    work.parties()
    work.shop()
    work.kits()
    work.oddities()
    work.history()
    work.archive()


_COUNTRIES = {
    "DE": ("Germany", "DEU", "276"), "FR": ("France", "FRA", "250"), "NL": ("Netherlands", "NLD", "528"),
    "ES": ("Spain", "ESP", "724"), "IT": ("Italy", "ITA", "380"), "BE": ("Belgium", "BEL", "056"),
    "AT": ("Austria", "AUT", "040"), "PL": ("Poland", "POL", "616"), "US": ("United States", "USA", "840"),
}  # fmt: skip

# family, department, range, options, from, to, kilograms, reduced tax
_FAMILIES = (
    ("Work Jacket", "Workwear", "Jackets", "color size", 45, 120, 0.9, False),
    ("Safety Trousers", "Workwear", "Trousers", "size", 30, 90, 0.7, False),
    ("Nitrile Gloves", "Safety", "Gloves", "size", 5, 20, 0.1, False),
    ("Safety Helmet", "Safety", "Head", "color", 12, 60, 0.4, False),
    ("Cordless Drill", "Tools", "Power tools", "", 60, 320, 1.8, False),
    ("Hex Key Set", "Tools", "Hand tools", "", 6, 45, 0.3, False),
    ("Hose Coupling", "Fittings", "Hoses", "", 2, 30, 0.15, False),
    ("Copper Cable", "Electrical", "Cables", "", 1, 6, 0.2, False),
    ("LED Floodlight", "Electrical", "Lighting", "", 25, 180, 1.2, False),
    ("Machine Oil", "Chemicals", "Lubricants", "", 4, 25, 0.9, False),
    ("Trade Handbook", "Books", "Manuals", "", 15, 60, 0.5, True),
    ("Ear Defenders", "Safety", "Hearing", "", 8, 70, 0.2, False),
)
_UNITS = {"Copper Cable": "Meter", "Machine Oil": "Liter"}
_COLORS = {"black": (45, 48, 54), "yellow": (240, 200, 40), "orange": (235, 120, 40)}
_SIZES = ("s", "m", "l", "xl")
_VARIANTS = 204

# country -> legal form, calling code, places (postal code, city, street), companies
_PLACES: dict[str, tuple[str, str, tuple[tuple[str, str, str], ...], tuple[str, ...]]] = {
    "DE": (
        "GmbH",
        "+49 30 5550",
        (
            ("10115", "Berlin", "Invalidenstraße"),
            ("50667", "Köln", "Hohe Straße"),
            ("80331", "München", "Sendlinger Straße"),
        ),
        (
            "Nordlicht Technik", "Elbe Montage", "Köhler & Söhne", "Alpenwerk", "Hanse Industriebedarf",
            "Spree Elektro", "Rheintal Werkzeuge",
        ),
    ),
    "FR": (
        "SARL",
        "+33 1 5550 ",
        (
            ("75011", "Paris", "Rue Oberkampf"),
            ("69003", "Lyon", "Rue Paul Bert"),
            ("33000", "Bordeaux", "Cours de l'Argonne"),
        ),
        (
            "Atelier Garonne", "Bâtir Français", "Outillage Lyonnais", "Électro Seine", "Chantiers du Rhône",
            "Mistral Equipement", "Océane Travaux",
        ),
    ),
    "NL": (
        "B.V.",
        "+31 20 555 ",
        (
            ("1012 JS", "Amsterdam", "Damrak"),
            ("3011 AD", "Rotterdam", "Wijnhaven"),
            ("3511 LX", "Utrecht", "Oudegracht"),
        ),
        (
            "Delta Techniek", "Van Dijk Bouw", "Polder Montage", "Zuiderzee Supply", "Maas Installaties",
            "Amstel Veiligheid", "Kade Gereedschap",
        ),
    ),
    "ES": (
        "S.L.",
        "+34 91 555 ",
        (
            ("28001", "Madrid", "Calle de Serrano"),
            ("08003", "Barcelona", "Carrer de la Princesa"),
            ("46002", "València", "Calle de la Paz"),
        ),
        (
            "Sierra Obras", "Levante Industrial", "Nuñez Instalaciones", "María Mar Suministros", "Costa Eléctrica",
            "Meseta Herramientas",
        ),
    ),
    "IT": (
        "S.r.l.",
        "+39 02 555 ",
        (
            ("20121", "Milano", "Via Brera"),
            ("10122", "Torino", "Via Garibaldi"),
            ("40121", "Bologna", "Via Galliera"),
        ),
        (
            "Riva Meccanica", "Officine Po", "Utensili Adriatici", "Vesuvio Impianti", "Lago Forniture",
            "Dolomiti Sicurezza",
        ),
    ),
    "BE": (
        "NV",
        "+32 2 555 ",
        (
            ("1000", "Bruxelles", "Rue Neuve"),
            ("2000", "Antwerpen", "Meir"),
            ("9000", "Gent", "Veldstraat"),
        ),
        (
            "Schelde Industrie", "Ardenne Chantier", "Leie Werken", "Brabant Outils", "Vlaanderen Elektro",
            "Meuse Protection",
        ),
    ),
    "AT": (
        "GmbH",
        "+43 1 5550 ",
        (
            ("1010", "Wien", "Kärntner Straße"),
            ("5020", "Salzburg", "Linzer Gasse"),
            ("8010", "Graz", "Herrengasse"),
        ),
        (
            "Donau Handwerk", "Tauern Bau", "Steirer Werkstatt", "Karwendel Technik", "Wiener Anlagenbau",
            "Inntal Sicherheit",
        ),
    ),
    "PL": (
        "Sp. z o.o.",
        "+48 22 555 ",
        (
            ("00-001", "Warszawa", "ulica Świętokrzyska"),
            ("30-001", "Kraków", "ulica Długa"),
            ("80-001", "Gdańsk", "ulica Długi Targ"),
        ),
        (
            "Wisła Narzędzia", "Bałtyk Montaż", "Tatry Budowa", "Łódź Przemysł", "Odra Instalacje",
        ),
    ),
}  # fmt: skip
_FIRST = ("Anna", "Jonas", "Marta", "Luca", "Claire", "Pieter", "Sofia", "Jakub", "Emma", "Mateo", "Inès", "Felix",
          "Zofia", "Daan", "Giulia", "Hugo", "Lena", "Tomás", "Noor", "Małgorzata")  # fmt: skip
_LAST = ("Berg", "Keller", "Moreau", "Rossi", "de Vries", "García", "Nowak", "Peeters", "Huber", "Lefèvre", "Conti",
         "Bakker", "Torres", "Kowalska", "Janssens", "Gruber", "Wagner", "Fontaine", "Ricci")  # fmt: skip
_ROLES = ("Purchasing", "Site manager", "", "Workshop")


class _Seed:
    """The steps, in order; what a later step needs is kept on the instance."""

    def __init__(self, erp: Erp) -> None:
        self.erp = erp
        self.today = dt.date.today()  # noqa: DTZ011 - the merchant's wall calendar
        self.random = random.Random(7)

    def company(self) -> None:
        erp = self.erp
        cent = Decimal("0.01")
        currencies = erp.create("currency.currency", *(
            {"name": name, "code": code, "numeric_code": number, "symbol": symbol, "digits": 2, "rounding": cent}
            for name, code, number, symbol in (("Euro", "EUR", "978", "€"), ("US Dollar", "USD", "840", "$"))
        ))  # fmt: skip
        self.euro = currencies[0]
        rates = zip(currencies, (Decimal(1), Decimal("1.09")), strict=True)
        first = dt.date(2020, 1, 1)
        erp.create("currency.currency.rate", *({"currency": c, "date": first, "rate": rate} for c, rate in rates))
        codes = erp.create("country.country", *(
            {"name": name, "code": code, "code3": code3, "code_numeric": number}
            for code, (name, code3, number) in _COUNTRIES.items()
        ))  # fmt: skip
        self.country = dict(zip(_COUNTRIES, codes, strict=True))
        self.english = erp.id_of("ir.lang", ["code", "=", "en"])
        [self.self_party] = erp.create("party.party", {
            "name": "Aldergate Trading GmbH", "code": "ALDERGATE", "lang": self.english,
            "identifiers": _new({"type": "eu_vat", "code": _vat("DE", 13669597)}),
            "addresses": _new(self._address("DE", "20457", "Hamburg", "Hafenstraße 12")),
        })  # fmt: skip
        [self.ours] = erp.create(
            "company.company", {"party": self.self_party, "currency": self.euro, "timezone": "Europe/Berlin"}
        )
        erp("model.res.user.write", [erp.user], {"companies": [["add", [self.ours]]], "company": self.ours})
        erp.refresh()

    def accounting(self) -> None:
        erp, ours = self.erp, self.ours
        charts = erp.rows("account.account.template", [["parent", "=", None]], "name")
        chart = next((c for c in charts if "universal" in c["name"].lower()), charts[0])["id"]

        def account(*domain: Any) -> int:
            return erp.id_of("account.account", ["company", "=", ours], ["closed", "!=", True], *domain)

        session = erp("wizard.account.create_chart.create")[0]
        step = "wizard.account.create_chart.execute"
        erp(step, session, {"account": {"account_template": chart, "company": ours}}, "create_account")
        self.receivable = account(["type.receivable", "=", True], ["party_required", "=", True])
        revenue, expense = account(["type.revenue", "=", True]), account(["type.expense", "=", True])
        payable = account(["type.payable", "=", True], ["party_required", "=", True])
        properties = {
            "company": ours, "account_receivable": self.receivable, "account_payable": payable,
            "category_account_expense": expense, "category_account_revenue": revenue,
        }  # fmt: skip
        erp(step, session, {"properties": properties}, "create_properties")
        tax_account, cash = account(["code", "=", "6.3.6"]), account(["code", "=", "1.1.1"])

        for year in range(self.today.year - 2, self.today.year + 3):
            self._fiscal_year(year)
        erp("model.account.fiscalyear.create_period", erp("model.account.fiscalyear.search", [], 0, None, None))
        taxes = erp.create("account.tax", *(
            {"name": name, "description": name, "type": "percentage", "rate": rate, "company": ours,
             "invoice_account": tax_account, "credit_note_account": tax_account}
            for name, rate in (("VAT 19%", Decimal("0.19")), ("VAT 7%", Decimal("0.07")))
        ))  # fmt: skip
        self.standard_rated, self.reduced_rated = erp.create("product.category", *(
            {"name": name, "accounting": True, "account_expense": expense, "account_revenue": revenue,
             "customer_taxes": [["add", [tax]]]}
            for name, tax in zip(("Standard rated", "Reduced rated"), taxes, strict=True)
        ))  # fmt: skip
        [self.exempt] = erp.create("account.tax.rule", {
            "name": TAX_EXEMPT, "kind": "sale", "company": ours,
            "lines": _new(*({"origin_tax": tax, "tax": None} for tax in taxes)),
        })  # fmt: skip
        names = {0: "Immediate", 14: "Net 14", 30: "Net 30"}
        ids = erp.create("account.invoice.payment_term", *(
            {"name": name, "lines": _new({"type": "remainder", "relativedeltas": _new({"days": days})})}
            for days, name in names.items()
        ))  # fmt: skip
        self.terms = dict(zip(names, ids, strict=True))
        journal = erp.id_of("account.journal", ["type", "=", "cash"])
        self.paid_by = erp.create("account.invoice.payment.method", *(
            {"name": name, "company": ours, "journal": journal, "credit_account": cash, "debit_account": cash}
            for name in ("Bank transfer", "Card (web shop)")
        ))  # fmt: skip
        [kind] = erp.rows("account.account", [["id", "=", cash]], "type", "parent")
        [clearing] = erp.create("account.account", {
            "name": "Web payments on their way", "code": "1.1.9", "company": ours, "type": kind["type"],
            "parent": kind["parent"], "reconcile": True,
        })  # fmt: skip
        erp.create("account.payment.journal", {
            "name": WEB_PAYMENTS, "company": ours, "currency": self.euro, "process_method": "manual",
            "clearing_account": clearing, "clearing_journal": journal,
        })  # fmt: skip
        methods = {"sale_invoice_method": "fulfillment", "sale_shipment_method": "order"}
        erp("model.sale.configuration.write", [1], methods)

    def _fiscal_year(self, year: int) -> None:
        erp, ours = self.erp, self.ours
        types = {row["name"]: row["id"] for row in erp.rows("ir.sequence.type", [], "name")}
        invoicing = {"sequence_type": types["Invoice"], "company": ours, "padding": 5}
        moves, invoices, credits = erp.create(
            "ir.sequence.strict",
            {"name": f"{year} moves", "sequence_type": types["Account Move"], "company": ours},
            {"name": f"{year} invoices", "prefix": f"INV-{year}-", **invoicing},
            {"name": f"{year} credit notes", "prefix": f"CN-{year}-", **invoicing},
        )
        sequences = {"in_invoice_sequence": invoices, "in_credit_note_sequence": credits,
                     "out_invoice_sequence": invoices, "out_credit_note_sequence": credits}  # fmt: skip
        erp.create("account.fiscalyear", {
            "name": str(year), "company": ours, "start_date": dt.date(year, 1, 1), "end_date": dt.date(year, 12, 31),
            "move_sequence": moves, "invoice_sequences": _new({"company": ours, **sequences}),
        })  # fmt: skip

    def integration_user(self) -> None:
        """What Crossdock logs in as: the rights of the six domains, not an administrator."""
        groups = self.erp.rows("res.group", [["name", "in", [
            "Party Administration", "Product Administration", "Sales", "Sales Administrator", "Stock",
            "Stock Administration", "Stock Force Assignment", "Accounting", "Payment", "Payment Approval",
            "Sale Amendment",
        ]]], "name")  # fmt: skip
        [user] = self.erp.create("res.user", {
            "name": "Crossdock", "login": CREDENTIALS["user"], "password": CREDENTIALS["password"],
            "companies": [["add", [self.ours]]], "company": self.ours, "groups": [["add", [g["id"] for g in groups]]],
        })  # fmt: skip
        key = {"user": user, "application": "rest", "key": CREDENTIALS["bearer"], "state": "validated"}
        self.erp.create("res.user.application", key)

    def catalogue(self) -> None:
        erp = self.erp
        departments = list(dict.fromkeys(family[1] for family in _FAMILIES))
        ids = erp.create("product.category", *({"name": name} for name in departments))
        self.category = dict(zip(departments, ids, strict=True))
        ranges = [family[2] for family in _FAMILIES]
        ids = erp.create("product.category", *({"name": f[2], "parent": self.category[f[1]]} for f in _FAMILIES))
        self.category.update(zip(ranges, ids, strict=True))
        self.attributes = erp.create(
            "product.attribute",
            {"name": "color", "string": "Color", "type_": "selection", "selection": _selection(_COLORS, str.title)},
            {"name": "size", "string": "Size", "type_": "selection", "selection": _selection(_SIZES, str.upper)},
            {"name": "material", "string": "Material", "type_": "char"},
            {"name": "ce_certified", "string": "CE certified", "type_": "boolean"},
        )
        [self.attribute_set] = erp.create(
            "product.attribute.set", {"name": "Goods", "attributes": [["add", self.attributes]]}
        )
        self.unit = {row["name"]: row["id"] for row in erp.rows("product.uom", [], "name")}
        templates: list[Values] = []
        variants = 0
        while variants < _VARIANTS:
            family = _FAMILIES[len(templates) % len(_FAMILIES)]
            templates.append(self._template(family, len(templates) // len(_FAMILIES) + 1, variants))
            variants += len(templates[-1]["products"][0][1])
        ids = erp.create("product.template", *templates, size=15)
        [self.shipping] = erp.create("product.template", {
            "name": "Parcel shipping", "code": "SHIP", "type": "service", "default_uom": self.unit["Unit"],
            "salable": True, "sale_uom": self.unit["Unit"], "list_price": Decimal("6.90"),
            "account_category": self.standard_rated, "products": _new({}),
        })  # fmt: skip
        colors = list(_COLORS.values())
        erp.create("product.image", *(
            {"template": template, "web_shop": True, "description": values["name"],
             "image": _picture(colors[number % 3], number % len(_FAMILIES))}
            for number, (template, values) in enumerate(zip(ids, templates, strict=True))
        ))  # fmt: skip
        self.goods = erp.rows(
            "product.product", [["type", "=", "goods"]],
            "code", "list_price_used", "sale_uom", "account_category.customer_taxes",
        )  # fmt: skip

    def _template(self, family: tuple[Any, ...], series: int, first: int) -> Values:
        name, department, range_, options, low, high, weight, reduced = family
        price = Decimal(self.random.randint(low * 100, high * 100)) / 100
        unit = self.unit[_UNITS.get(name, "Unit")]
        products = []
        for number, chosen in enumerate(_variants(options)):
            material = self.random.choice(("steel", "cotton", "ABS", "copper"))
            products.append({
                "suffix_code": "".join(f"-{value.upper()}" for value in chosen.values()) or None, "position": number,
                "attributes": {**chosen, "material": material, "ce_certified": department == "Safety"},
                "description": f"{name}, series {series}: made for daily professional use.",
                "identifiers": _new({"type": "ean", "code": _ean(first + number)}),
                "cost_price": (price * Decimal("0.55")).quantize(Decimal("0.0001")),
            })  # fmt: skip
        return {
            "name": f"{name} {series}", "code": f"{''.join(word[0] for word in name.split()).upper()}{series:03d}",
            "type": "goods", "default_uom": unit, "sale_uom": unit, "salable": True, "list_price": price,
            "cost_price_method": "fixed", "account_category": self.reduced_rated if reduced else self.standard_rated,
            "categories": [["add", [self.category[range_]]]], "attribute_set": self.attribute_set,
            "weight": weight, "weight_uom": self.unit["Kilogram"],
            "web_shop_description": f"<p>{name}, series {series}.</p>", "products": _new(*products),
        }  # fmt: skip

    def warehouses(self) -> None:
        erp = self.erp
        [service] = erp.rows("product.product", [["template", "=", self.shipping]], "code")
        carriers = erp.create("party.party", *(
            {"name": name, "code": f"CARRIER-{name}", "lang": self.english} for name in ("DHL", "UPS")
        ))  # fmt: skip
        self.carriers = erp.create("carrier", *(
            {"party": party, "carrier_product": service["id"], "carrier_cost_method": "product"} for party in carriers
        ))  # fmt: skip
        [logistics] = erp.create("party.party", {
            "name": "FulfilFast Logistics B.V.", "code": "3PL-FULFILFAST", "lang": self.english,
            "addresses": _new(self._address("NL", "3087 BM", "Rotterdam", "Waalhaven 1")),
        })  # fmt: skip
        rotterdam = erp.id_of("party.address", ["party", "=", logistics])
        hamburg, berlin = erp.create(
            "party.address",
            {"party": self.self_party, **self._address("DE", "20457", "Hamburg", "Hafenstraße 14, Tor 2")},
            {"party": self.self_party, **self._address("DE", "12681", "Berlin", "Landsberger Allee 366")},
        )
        [main] = erp.rows("stock.location", [["type", "=", "warehouse"]], "storage_location", "lost_found_location")
        named = {"name": "Hamburg", "code": "WH-HAM", "address": hamburg}
        erp("model.stock.location.write", [main["id"]], named)
        self.warehouse = {main["id"]: main["storage_location"]}
        for name, code, address in (("Berlin", "WH-BER", berlin), ("FulfilFast Rotterdam", "WH-3PL", rotterdam)):
            parts = erp.create("stock.location", *(
                {"name": f"{name} {part}", "code": f"{code}-{part[:3].upper()}", "type": "storage"}
                for part in ("input", "output", "storage")
            ))  # fmt: skip
            [warehouse] = erp.create("stock.location", {
                "name": name, "code": code, "type": "warehouse", "address": address, "input_location": parts[0],
                "output_location": parts[1], "storage_location": parts[2],
                "lost_found_location": main["lost_found_location"],
            })  # fmt: skip
            erp("model.stock.location.write", parts, {"parent": warehouse})
            self.warehouse[warehouse] = parts[2]
        # Hamburg keeps everything, Berlin every second, the 3PL every third variant; one in twenty is out of stock
        self.stocked = [
            [good for place, good in enumerate(self.goods) if place % 20 and place % step == 0] for step in (1, 2, 3)
        ]
        for storage, goods in zip(self.warehouse.values(), self.stocked, strict=True):
            erp("model.stock.inventory.confirm", erp.create("stock.inventory", {
                "location": storage, "company": self.ours, "date": self.today - dt.timedelta(days=760),
                "empty_quantity": "keep",
                "lines": _new(*(
                    {"product": good["id"], "quantity": float(self.random.randint(900, 4000))} for good in goods
                )),
            }))  # fmt: skip

    def price_lists(self) -> None:
        category, today = self.category, self.today
        self.trade = self._price_list(
            "Trade",
            ("unit_price * 0.70", {"category": category["Safety"], "quantity": 100.0}),
            ("unit_price * 0.78", {"category": category["Safety"], "quantity": 20.0}),
            ("unit_price * 0.80", {"quantity": 100.0}),
            ("unit_price * 0.85", {"quantity": 20.0}),
            ("unit_price * 0.90", {}),
        )
        self.gold = self._price_list(
            "Gold dealer",
            ("(cost_price * 1.20)", {"category": category["Tools"], "quantity": 50.0}),
            ("unit_price * 0.72", {"quantity": 50.0}),
            ("unit_price * 0.80", {}),
        )
        self.retail = self._price_list("Web retail (VAT incl.)", ("unit_price * 1.19", {}), tax_included=True)
        season = {"start_date": today - dt.timedelta(days=30), "end_date": today + dt.timedelta(days=60)}
        self.contracts = []
        for number in range(1, 7):
            agreed = [
                (str((good["list_price_used"] * Decimal("0.61")).quantize(Decimal("0.01"))), {"product": good["id"]})
                for good in self.random.sample(self.goods, 5)
            ]
            self.contracts.append(self._price_list(
                f"Contract C{number:04d}", *agreed,
                ("unit_price * 0.75", {"category": category["Workwear"], **season}),
                ("unit_price * 0.82", {"quantity": 50.0}),
                ("unit_price * 0.88", {}),
            ))  # fmt: skip

    def _price_list(self, name: str, *lines: tuple[str, Values], tax_included: bool = False) -> int:
        rows = [{"sequence": 10 * place, "formula": formula, **on} for place, (formula, on) in enumerate(lines, 1)]
        [made] = self.erp.create("product.price_list", {
            "name": name, "company": self.ours, "unit": "product_sale", "price": "list_price",
            "tax_included": tax_included, "lines": _new(*rows),
        })  # fmt: skip
        return made

    def parties(self) -> None:
        erp = self.erp
        names = (CUSTOMERS, BLOCKED, CREDIT_HOLD, "Suppliers")
        marks = dict(zip(names, erp.create("party.category", *({"name": name} for name in names)), strict=True))
        companies = [  # one country after the other, so that neighbours differ
            (country, place, name)
            for row in range(7)
            for country, (*_, names) in _PLACES.items()
            for place, name in enumerate(names)
            if place == row
        ]
        accounts = [self._account(number, *company, marks) for number, company in enumerate(companies, 1)]
        self._plant({account["code"]: account for account in accounts})
        self.accounts = erp.create("party.party", *accounts)
        [self.guests] = erp.create("party.party", {
            "name": "Web shop guests", "code": GUESTS, "lang": self.english, "customer_payment_term": self.terms[0],
            "sale_price_list": self.retail,
            "addresses": _new({**self._address("DE", "20457", "Hamburg", "Hafenstraße 12"), "invoice": True,
                               "delivery": True}),
        })  # fmt: skip
        erp.create("party.party", *(
            {"name": name, "code": code, "lang": self.english, "categories": [["add", [marks["Suppliers"]]]],
             "addresses": _new(self._address(country, postal_code, city, street)),
             "contact_mechanisms": _new({"type": "email", "value": f"sales@{_slug(name)}.example", "name": "Sales"})}
            for name, code, country, postal_code, city, street in (
                ("Ruhr Schutzkleidung AG", "S0001", "DE", "44137", "Dortmund", "Westenhellweg 3"),
                ("Great Lakes Tooling Inc.", "S0002", "US", "48226", "Detroit", "Woodward Avenue 500"),
            )
        ))  # fmt: skip

    def _account(self, number: int, country: str, place: int, company: str, marks: dict[str, int]) -> Values:
        form, calling, places, _ = _PLACES[country]
        code, name, domain = f"C{number:04d}", f"{company} {form}", _slug(company)
        postal_code, city, street = places[place % len(places)]
        addresses = [{
            **self._address(country, postal_code, city, f"{street} {number}"), "invoice": True,
            "delivery": number % 3 == 0,
        }]  # fmt: skip
        for depot in range(1, 2 + number % 3):
            postal_code, city, street = places[(place + depot) % len(places)]
            addresses.append({
                **self._address(country, postal_code, city, f"{street} {10 * depot + number}\nDock {depot}"),
                "party_name": f"{company} depot {city}", "delivery": True, "invoice": False,
            })  # fmt: skip
        contacts: list[Values] = []
        for place_ in range(2 + number % 3):
            first = _FIRST[(3 * number + 7 * place_) % len(_FIRST)]
            last = _LAST[(5 * number + 3 * place_) % len(_LAST)]
            role = _ROLES[(number + place_) % len(_ROLES)]
            person = f"{first} {last} ({role})" if role else f"{first} {last}"
            contacts.append({"type": "email", "value": f"{_slug(f'{first}.{last}')}@{domain}.example", "name": person})
            if place_ == 0:
                contacts.append({"type": "phone", "value": f"{calling}{number:03d}1", "name": person})
        contacts += [
            {"type": "email", "value": f"invoices@{domain}.example", "name": "Accounts payable", "invoice": True},
            {"type": "phone", "value": f"{calling}{number:03d}0", "name": "Switchboard"},
            {"type": "website", "value": f"https://www.{domain}.example"},
        ]
        categories = [CUSTOMERS]
        categories += [BLOCKED] if code in BLOCKED_ACCOUNTS else []
        categories += [CREDIT_HOLD] if code in HELD_ACCOUNTS else []
        general = self.gold if number % 5 == 0 else self.trade
        return {
            "name": name, "code": code, "lang": self.english,
            "categories": [["add", [marks[category] for category in categories]]],
            "addresses": _new(*addresses),
            "contact_mechanisms": _new(*contacts),
            "identifiers": _new({"type": "eu_vat", "code": _vat(country, 12345000 + 7919 * number)},
                                {"type": None, "code": f"CRM-{9000 + number}"}),
            "customer_payment_term": self.terms[30 if number % 2 else 14],
            "customer_tax_rule": self.exempt if code in EXEMPT_ACCOUNTS else None,
            "sale_price_list": self.contracts[number - 1] if number <= len(self.contracts) else general,
        }  # fmt: skip

    def _plant(self, accounts: dict[str, Values]) -> None:
        """A buyer of two accounts, and the records of ``PLANTED``."""

        def contacts(code: str) -> list[Values]:
            made: list[Values] = accounts[code]["contact_mechanisms"][0][1]
            return made

        first, second = (contacts(code) for code in SHARED_BUYER)
        second.append(dict(first[0]))
        html, twice, broken = PLANTED
        accounts[html]["name"] = f"<b>{accounts[html]['name']}</b>"
        contacts(twice).append({**contacts(twice)[0], "name": "Purchasing (shared mailbox)"})
        contacts(broken)[0]["value"] = contacts(broken)[0]["value"].replace("@", " at ")

    def shop(self) -> None:
        [self.web_shop] = self.erp.create("web.shop", {
            "name": "Medusa", "company": self.ours, "currency": self.euro, "sale_price_list": self.retail,
            "warehouses": [["add", list(self.warehouse)]], "products": [["add", [good["id"] for good in self.goods]]],
            "categories": [["add", list(self.category.values())]], "attributes": [["add", self.attributes]],
        })  # fmt: skip

    def kits(self) -> None:
        erp, unit = self.erp, self.unit["Unit"]
        goods = {good["code"]: good for good in self.goods}
        price = {code: good["list_price_used"] for code, good in goods.items()}
        erp.create("product.template", *(
            {"name": name, "code": code, "type": "kit", "cost_price_method": "fixed", "default_uom": unit,
             "sale_uom": unit, "salable": True, "account_category": self.standard_rated,
             "list_price": sum((price[part] * count for part, count in parts.items()), Decimal(0)),
             "categories": [["add", [self.category["Safety"]]]],
             "web_shop_description": f"<p>{name}: all in one box.</p>",
             "components": _new(*(
                 {"product": goods[part]["id"], "quantity": float(count), "unit": unit}
                 for part, count in parts.items()
             )),
             "products": _new({"web_shops": [["add", [self.web_shop]]]})}
            for code, (name, parts) in KITS.items()
        ))  # fmt: skip

    def oddities(self) -> None:
        """Products that nobody ever ordered: the one of ``PLANTED_ITEMS``, an archived one; and some German names."""
        erp, unit = self.erp, self.unit["Unit"]
        common = {
            "type": "goods", "default_uom": unit, "sale_uom": unit, "salable": True,
            "attribute_set": self.attribute_set, "account_category": self.standard_rated,
            "categories": [["add", [self.category["Workwear"]]]],
        }  # fmt: skip
        [twins] = PLANTED_ITEMS
        alike = {"attributes": {"color": "black"}, "web_shops": [["add", [self.web_shop]]]}
        _, archived = erp.create(
            "product.template",
            {**common, "name": "Knee Pads", "code": twins, "list_price": Decimal("12.50"),
             "products": _new({**alike, "suffix_code": "-A"}, {**alike, "suffix_code": "-B"})},
            {**common, "name": "Petroleum Headlamp", "code": ARCHIVED_ITEM, "list_price": Decimal("39.00"),
             "products": _new({})},
        )  # fmt: skip
        erp("model.product.template.write", [archived], {"active": False})
        erp("model.ir.lang.write", [erp.id_of("ir.lang", ["code", "=", "de"])], {"translatable": True})
        for code, name in GERMAN_ITEMS.items():
            template = erp.id_of("product.template", ["code", "=", code])
            erp("model.product.template.write", [template], {"name": name}, language="de")

    def history(self) -> None:
        """Two years of business, step by step over all orders at once: one call is cheap per order, not per call."""
        erp = self.erp
        orders = [self._order(number) for number in range(_ORDERS)]
        self._sell(orders)
        shipped = orders[: _ORDERS - _UNTOUCHED]
        self._ship(shipped)
        invoices = self._invoice(shipped)
        self._collect([(invoice, order) for invoice, order in invoices if order["number"] % 3 and not order["open"]])
        self._credit([(invoice, order) for invoice, order in invoices if order["number"] % 12 == 5])
        erp.press("account.invoice", "process", [invoice for invoice, _ in invoices])
        erp.press("sale.sale", "process", [order["sale"] for order in shipped])

    def _order(self, number: int) -> Values:
        web, warehouse = number % 10 == 9, self.random.choice((0, 0, 1, 2))
        goods = self.random.sample(self.stocked[warehouse], self.random.randint(1, 4))
        sizes = (1, 2) if web else (1, 5, 20, 50, 120)
        return {
            "number": number, "web": web, "warehouse": list(self.warehouse)[warehouse],
            "party": self.guests if web else self.random.choice(self.accounts),
            "date": self.today - dt.timedelta(days=int(730 * (1 - number / _ORDERS)) + 1),
            "open": number >= _ORDERS - 12,
            "lines": [(good, float(self.random.choice(sizes))) for good in goods],
            "carrier": self.random.choice(self.carriers),
            "channel": self.random.choice(("phone", "e-mail", "in person", "EDI")),
            "tracking": f"00340{self.random.randrange(10**10):010d}",
        }  # fmt: skip

    def _sell(self, orders: list[Values]) -> None:
        erp = self.erp
        party = {row["id"]: row for row in erp.rows(
            "party.party", [["id", "in", [*self.accounts, self.guests]]], "sale_price_list", "customer_payment_term",
            "customer_tax_rule", "addresses.invoice", "addresses.delivery",
        )}  # fmt: skip
        prices = self._prices((party[o["party"]]["sale_price_list"], q, g) for o in orders for g, q in o["lines"])

        def sale(order: Values) -> Values:
            buyer = party[order["party"]]

            def at(kind: str) -> int:
                return next((int(a["id"]) for a in buyer["addresses."] if a[kind]), buyer["addresses."][0]["id"])

            origin = (
                {"web_shop": self.web_shop, "web_id": f"order_history_{order['number']:05d}",
                 "reference": f"#{1000 + order['number']}"}
                if order["web"] else
                {"reference": f"PO-{20000 + order['number']}", "description": f"By {order['channel']}"}
            )  # fmt: skip
            return {
                **origin, "company": self.ours, "currency": self.euro, "party": order["party"],
                "invoice_address": at("invoice"), "shipment_address": at("delivery"), "warehouse": order["warehouse"],
                "price_list": buyer["sale_price_list"], "payment_term": buyer["customer_payment_term"],
                "sale_date": order["date"], "carrier": order["carrier"], "shipment_cost_method": None,
                "invoice_method": "fulfillment", "shipment_method": "order",
                "lines": _new(*(
                    {"type": "line", "product": good["id"], "quantity": quantity, "unit": good["sale_uom"],
                     "unit_price": prices[buyer["sale_price_list"], quantity, good["id"]],
                     "taxes": [["add", [] if buyer["customer_tax_rule"] else _taxes(good)]]}
                    for good, quantity in order["lines"]
                )),
            }  # fmt: skip

        sales = erp.create("sale.sale", *(sale(order) for order in orders), size=25)
        for order, made in zip(orders, sales, strict=True):
            order["sale"] = made
        erp.press("sale.sale", "quote", sales)
        confirmed = sales[:-_QUOTATIONS]
        erp.press("sale.sale", "confirm", confirmed)
        erp.press("sale.sale", "process", confirmed)

    def _prices(self, wanted: Any) -> dict[tuple[int, float, int], Decimal]:
        """The ERP's own unit prices, one call per price list, quantity and taxes."""
        groups: dict[Any, set[int]] = defaultdict(set)
        for price_list, quantity, good in wanted:
            groups[price_list, quantity, tuple(_taxes(good))].add(good["id"])
        return {
            (price_list, quantity, row["id"]): row["sale_price_uom"]
            for (price_list, quantity, taxes), goods in groups.items()
            for row in self.erp(
                "model.product.product.read", sorted(goods), ["sale_price_uom"],
                price_list=price_list, quantity=quantity, taxes=list(taxes),
            )
        }  # fmt: skip

    def _ship(self, orders: list[Values]) -> None:
        """Every order is picked, most are sent, some in two parts: the rest waits in a second shipment."""
        erp = self.erp
        shipments = {row["id"]: row["shipments."] for row in erp(
            "model.sale.sale.read", [order["sale"] for order in orders], ["shipments.inventory_moves.quantity"]
        )}  # fmt: skip
        picked: list[int] = []
        sent: list[int] = []
        details: list[Any] = []
        partial: list[Any] = []
        for order in orders:
            for shipment in shipments[order["sale"]]:
                picked.append(shipment["id"])
                if not order["open"] or order["number"] % 2:
                    sent.append(shipment["id"])
                day = order["date"] + dt.timedelta(days=1)
                details += [[shipment["id"]], {"effective_date": day, "shipping_reference": order["tracking"]}]
                move = shipment["inventory_moves."][0]
                if order["number"] % 7 == 3 and move["quantity"] > 1:
                    partial += [[move["id"]], {"quantity": float(int(move["quantity"] / 2))}]
        erp("model.stock.shipment.out.write", *details)
        erp("model.stock.move.write", *partial)
        erp.press("stock.shipment.out", "assign_force", picked)
        erp.press("stock.shipment.out", "pick", picked)
        erp.press("stock.shipment.out", "pack", sent)
        erp.press("stock.shipment.out", "do", sent)
        erp.press("sale.sale", "process", [order["sale"] for order in orders])

    def _invoice(self, orders: list[Values]) -> list[tuple[int, Values]]:
        erp = self.erp
        by_sale = {order["sale"]: order for order in orders}
        invoices = [
            (invoice["id"], by_sale[row["id"]])
            for row in erp("model.sale.sale.read", list(by_sale), ["invoices.state"])
            for invoice in row["invoices."]
            if invoice["state"] == "draft"
        ]
        invoices.sort(key=lambda pair: pair[1]["number"])
        days = [order["date"] + dt.timedelta(days=1) for _, order in invoices]
        dated = [([i], {"invoice_date": day}) for (i, _), day in zip(invoices, days, strict=True)]
        erp("model.account.invoice.write", *(part for pair in dated for part in pair))
        for year in sorted({day.year for day in days}):
            self._post([i for (i, _), day in zip(invoices, days, strict=True) if day.year == year])
        return invoices

    def _post(self, invoices: list[int]) -> None:
        """Post invoices of one year, whose due dates may be long past.

        Tryton asks about each such date after it has done most of the work, and wants the call again; the
        name of the question is known, so it is answered beforehand. It starts all over again, too,
        whenever it needs a lock it does not have, as for each year's sequences: so one year at a time,
        and what can be done without locks (to validate) before.
        """
        names = (hashlib.md5(f"account.invoice,{invoice}".encode()).hexdigest() for invoice in invoices)
        yes = ({"user": self.erp.user, "name": f"{name}.invoice_payment_term", "always": False} for name in names)
        self.erp.create("res.user.warning", *yes)
        self.erp.press("account.invoice", "validate_invoice", invoices, size=50)
        self.erp.press("account.invoice", "post", invoices, size=60)

    def _collect(self, invoices: list[tuple[int, Values]]) -> None:
        """Paid twenty days later, the cautious ones not yet."""
        ids = [invoice for invoice, _ in invoices]
        due = {row["id"]: row for row in self.erp("model.account.invoice.read", ids, ["amount_to_pay"])}
        for invoice, order in invoices:
            form = {
                "payee": order["party"], "amount": due[invoice]["amount_to_pay"], "currency": self.euro,
                "company": self.ours, "payment_method": self.paid_by[order["web"]], "description": "Payment",
                "date": min(self.today, order["date"] + dt.timedelta(days=20)), "invoice_account": self.receivable,
            }  # fmt: skip
            self.erp.wizard("account.invoice.pay", ({"start": form}, "choice"), **_active(invoice))

    def _credit(self, invoices: list[tuple[int, Values]]) -> None:
        erp, day = self.erp, self.today
        for invoice, _ in invoices:
            form = {"with_refund": False, "invoice_date": day}
            erp.wizard("account.invoice.credit", ({"start": form}, "credit"), **_active(invoice))
        notes = erp("model.account.invoice.search", [["type", "=", "out"], ["state", "=", "draft"]], 0, None, None)
        erp("model.account.invoice.write", notes, {"invoice_date": day})
        self._post(notes)

    def archive(self) -> None:
        """Last, because an archived party takes no part in business any more."""
        gone = self.erp("model.party.party.search", [["code", "in", list(ARCHIVED_ACCOUNTS)]], 0, None, None)
        self.erp("model.party.party.write", gone, {"active": False})

    def _address(self, country: str, postal_code: str, city: str, street: str) -> Values:
        place = {"postal_code": postal_code, "city": city, "country": self.country[country]}
        return {"street_unstructured": street, **place}


_ORDERS, _QUOTATIONS, _UNTOUCHED = 100, 3, 6
"""Of the orders, the last few are only quotations, or confirmed and not yet touched by the warehouse."""


def _new(*records: Values) -> list[Any]:
    """The value of a one-to-many field that creates these records."""
    return [["create", list(records)]] if records else []


def _active(invoice: int) -> Values:
    return {"active_model": "account.invoice", "active_id": invoice, "active_ids": [invoice]}


def _taxes(good: Values) -> list[int]:
    taxes: list[int] = good["account_category."]["customer_taxes"]
    return taxes


def _variants(options: str) -> list[dict[str, str]]:
    colors = [{"color": color} for color in _COLORS] if "color" in options else [{}]
    sizes = [{"size": size} for size in _SIZES[:3]] if "size" in options else [{}]
    return [{**color, **size} for color in colors for size in sizes]


def _selection(values: Any, label: Any) -> str:
    return "\n".join(f"{value}: {label(value)}" for value in values)


def _slug(text: str) -> str:
    """Letters a mailbox or a domain can carry."""
    plain = text.translate(str.maketrans({"ß": "ss", "ł": "l", "Ł": "l", "ø": "o"}))
    ascii_ = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode().lower()
    return "".join(c if c.isalnum() or c == "." else "-" for c in ascii_).replace("---", "-")


def _luhn(digits: str) -> int:
    """The digit that, appended, makes the number pass Luhn's check."""
    total = sum(sum(divmod(int(d) * (2 - place % 2), 10)) for place, d in enumerate(reversed(digits)))
    return -total % 10


def _vat(country: str, number: int) -> str:
    """A VAT id that is well formed and passes the check digit of its country (and belongs to nobody we know)."""
    digits = f"{number:08d}"
    if country == "DE":
        product = 10
        for digit in digits:
            product = 2 * ((int(digit) + product) % 10 or 10) % 11
        return f"DE{digits}{(11 - product) % 10}"
    if country == "FR":
        siren = f"{digits}{_luhn(digits)}"
        return f"FR{(12 + 3 * (int(siren) % 97)) % 97:02d}{siren}"
    if country == "BE":
        return f"BE{digits}{97 - number % 97:02d}"
    if country == "ES":
        return f"ESB{digits[1:]}{_luhn(digits[1:])}"
    if country == "IT":
        office = f"{digits[1:]}015"
        return f"IT{office}{_luhn(office)}"
    if country == "AT":
        return f"ATU{digits[1:]}{(6 - int(digits[-1]) + _luhn(digits[1:-1])) % 10}"
    weights, end = ((9, 8, 7, 6, 5, 4, 3, 2), "B01") if country == "NL" else ((6, 5, 7, 2, 3, 4, 5, 6, 7), "")
    digits = digits if country == "NL" else f"{digits}5"
    check = sum(weight * int(digit) for weight, digit in zip(weights, digits, strict=True)) % 11
    return f"{country}{digits}{check}{end}" if check < 10 else _vat(country, number + 1)


def _ean(number: int) -> str:
    body = f"40{number:010d}"
    return body + str(-sum(int(d) * (3 if place % 2 else 1) for place, d in enumerate(body)) % 10)


def _picture(color: tuple[int, int, int], pattern: int, size: int = 240) -> bytes:
    """A PNG: a soft gradient of the color with a lighter band whose place tells the families apart."""
    rows = bytearray()
    for y in range(size):
        shade = 30 + y * 60 // size
        plain, light = (bytes(min(255, part + shade + more) for part in color) for more in (0, 60))
        band = (pattern * 40 - y) % size
        line = (plain * size + light * 40 + plain * size)[3 * (size - band) :][: 3 * size]
        rows += b"\0" + line

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(rows))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
