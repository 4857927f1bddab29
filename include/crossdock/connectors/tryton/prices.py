"""Tryton's price lists behind the ports ``PriceRules`` and ``Quotes``."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal, Protocol
from zoneinfo import ZoneInfo

from crossdock.connectors.tryton import price_mapping
from crossdock.connectors.tryton.reading import ALL, Record, Rpc, ids, modules, pages, table
from crossdock.domain.price import BASE, Article, Layer, Member, Question, Rule
from crossdock.errors import Misconfigured, Reject
from crossdock.ports import Wanted

PAGE = 2_000
_ASKED = 500
"""Products in one question for prices."""


class Names(Protocol):
    """What the connection's settings say that has to do with prices (hook.py)."""

    web_shop: str | None
    orders_shop: str | None


class Prices:
    """The price lists of the company. What everybody sees: the web shop's list, else the company's default list, else

    list prices. ``members``: the clause for parties that are customers.
    """

    name = "Tryton"

    def __init__(self, rpc: Rpc, members: Callable[[], list[Any]]) -> None:
        self._rpc = rpc
        self._members = members

    @property
    def version(self) -> str:
        """Changes with the fields and the mapping."""
        fields = (
            price_mapping.LIST, price_mapping.LINE, price_mapping.ARTICLE, price_mapping.TEMPLATE, price_mapping.PARTY,
        )  # fmt: skip
        read = "\n".join(name for some in fields for name in some)
        return f"{price_mapping.VERSION}-{hashlib.sha256(read.encode()).hexdigest()[:12]}"

    def now(self) -> datetime:
        """Tryton's clock, by the whole second below."""
        return self._rpc.now()

    def basis(self) -> str:
        """Which list everybody has, the categories with their taxes, the company's zone."""
        self._forget()
        stamps = [
            (row["id"], str(row["last_modified_at"]))
            for model in ("product.category", "account.tax")
            for row in table(self._rpc, model, [ALL] if model == "account.tax" else [], ["last_modified_at"])
        ]
        said = (self.version, stamps, self._base, self._default, str(self._zone), self._shop_name)
        return hashlib.sha256(repr(said).encode()).hexdigest()[:32]

    def layers(self) -> Sequence[Layer]:
        """``BASE``, and each list but the one that everybody has."""
        currency = self._company["currency."]["code"]
        own = [one for one in self._lists.values() if one["id"] != self._base]
        return [
            Layer(BASE, "Everybody", "everybody", 0, currency),
            *(Layer(f"list:{one['id']}", one["name"], "accounts", 1, currency) for one in own),
        ]

    def rules(self, since: datetime | None) -> Iterator[Sequence[Rule]]:
        """The lines; where everybody pays list prices, that as well."""
        yield [] if self._base else [price_mapping.list_price()]
        if not self._lists:
            return
        fields = (*price_mapping.LINE, *(price_mapping.DATES if self._dated else ()))
        touched = ["OR", *([f"{path}last_modified_at", ">=", since] for path in ("", "price_list."))]
        domain = [self._ours, *([touched] if since else [])]
        for page in pages(self._rpc, "product.price_list.line", domain, fields, PAGE):
            # a line of a list that was made since the lists were read comes with the next reading
            yield [
                price_mapping.to_rule(line, self._lists, self._base, self._zone)
                for line in page
                if line["price_list"] in self._lists
            ]

    def articles(self, since: datetime | None) -> Iterator[Sequence[Article]]:
        """Variants that are for sale in the shop."""
        own = ["last_modified_at", ">=", since]
        paths = ("template", "list_prices", "template.list_prices", "cost_prices")
        touched = ["OR", own, *([f"{path}.{own[0]}", *own[1:]] for path in paths)]
        domain = [*self._for_sale, *([touched] if since else [])]
        for page in pages(self._rpc, "product.product", domain, price_mapping.ARTICLE, PAGE):
            wanted = ["id", "in", sorted({row["template"] for row in page})]
            templates = _by_id(table(self._rpc, "product.template", [ALL, wanted], price_mapping.TEMPLATE))
            yield [
                price_mapping.to_article(
                    row, templates[row["template"]], self._categories, self._rates, self._company["id"]
                )
                for row in page
                if row["template"] in templates
            ]

    def members(self, since: datetime | None) -> Iterator[Sequence[Member]]:
        """Customers, each with its list."""
        fields = price_mapping.PARTY if self._sells_by_lists else ("code", "customer_tax_rule")
        own = ["last_modified_at", ">=", since]
        lists = ("sale_price_lists", "sale_price_lists.sale_price_list") if self._sells_by_lists else ()
        paths = ("categories", "accounts", *lists)
        touched = ["OR", own, *([f"{path}.{own[0]}", *own[1:]] for path in paths)]
        domain = [*self._customers, *([touched] if since else [])]
        for page in pages(self._rpc, "party.party", domain, fields, PAGE):
            yield [self._member(party) for party in page]

    def ids(self, kind: Literal["rule", "article", "member"]) -> Iterator[Sequence[str]]:
        """Ids alone are read fast."""
        if kind == "rule":
            yield [] if self._base else [BASE]
            if not self._lists:
                return
        model, domain = {
            "rule": ("product.price_list.line", [self._ours]),
            "article": ("product.product", self._for_sale),
            "member": ("party.party", self._customers),
        }[kind]
        for page in ids(self._rpc, model, domain):
            yield list(map(str, page))

    def ask(self, questions: Sequence[Question]) -> Sequence[Decimal | Reject | None]:
        """``sale_price_uom`` of each article, for many of them at once where list, quantity and day are the same."""
        groups = defaultdict(set)
        for one in questions:
            groups[one.layer, one.quantity, one.at].add(int(one.article))
        answers: dict[Question, Decimal | Reject | None] = {}
        for (code, quantity, at), products in groups.items():
            price_list = self._base if code == BASE else int(code.removeprefix("list:"))
            for product, price in self._prices(price_list, quantity, at, products).items():
                answers[Question(code, str(product), quantity, at)] = price
        return [answers.get(one) for one in questions]

    def quotes(self, wanted: Sequence[Wanted]) -> Mapping[Wanted, Decimal | None]:
        """By the party's list as it is now."""
        self._forget()
        accounts = sorted({one.account for one in wanted if one.account})
        lists: dict[str | None, int | None] = {None: self._base}
        parties = [party for page in self._parties(accounts) for party in page]
        for party in parties:
            if not self._member(party).refused:
                lists[party["code"]] = party.get("sale_price_list") or self._default or self._base
        skus = ["code", "in", sorted({one.sku for one in wanted})]
        products = {
            row["code"]: row["id"] for row in table(self._rpc, "product.product", [*self._for_sale, skus], ["code"])
        }
        groups = defaultdict(set)
        for one in wanted:
            if one.account in lists and one.sku in products:
                groups[lists[one.account], one.quantity].add(products[one.sku])
        told = {
            (price_list, quantity): self._prices(price_list, quantity, None, some)
            for (price_list, quantity), some in groups.items()
        }
        found: dict[Wanted, Decimal | None] = {}
        for one in wanted:
            if one.account in lists and one.sku in products:
                answer = told[lists[one.account], one.quantity].get(products[one.sku])
                if not isinstance(answer, Reject):
                    found[one] = answer
        return found

    def _prices(
        self, price_list: int | None, quantity: int, at: datetime | None, products: set[int]
    ) -> dict[int, Decimal | Reject | None]:
        context: dict[str, Any] = {"quantity": quantity}
        if price_list:
            context["price_list"] = price_list
        if at:
            context["date"] = at.astimezone(self._zone).date()
        gross = price_list is not None and self._lists[price_list]["tax_included"]
        found: dict[int, Decimal | Reject | None] = {}
        for taxes, some in (self._by_taxes(products) if gross else {(): sorted(products)}).items():
            for start in range(0, len(some), _ASKED):
                found |= self._read(some[start : start + _ASKED], context | ({"taxes": list(taxes)} if taxes else {}))
        return found

    def _read(self, products: list[int], context: dict[str, Any]) -> dict[int, Decimal | Reject | None]:
        """A formula that fails for one product fails the whole question: it is halved until that one is alone."""
        try:
            rows = self._rpc.call("model.product.product.read", products, ["sale_price_uom"], **context)
        except Misconfigured as error:
            if len(products) == 1:
                return {products[0]: Reject("no_price", str(error), "Correct the formula in Tryton.")}
            middle = len(products) // 2
            return self._read(products[:middle], context) | self._read(products[middle:], context)
        return {row["id"]: row["sale_price_uom"] for row in rows}

    def _by_taxes(self, products: set[int]) -> dict[tuple[int, ...], list[int]]:
        fields = ["template.account_category"]
        groups = defaultdict(list)
        for row in table(self._rpc, "product.product", [ALL, ["id", "in", sorted(products)]], fields):
            category = row["template."]["account_category"]
            taxes = self._categories[category]["customer_taxes_used"] if category else ()
            groups[tuple(taxes)].append(row["id"])
        return dict(groups)

    def _member(self, party: Record) -> Member:
        party = {"sale_price_list": None, **party}
        return price_mapping.to_member(party, self._lists, self._base, self._default)

    def _parties(self, accounts: Sequence[str]) -> Iterator[list[Record]]:
        fields = price_mapping.PARTY if self._sells_by_lists else ("code", "customer_tax_rule")
        yield from pages(self._rpc, "party.party", [*self._customers, ["code", "in", list(accounts)]], fields, PAGE)

    # ---- what is read once per reading

    def _forget(self) -> None:
        for name in ("_lists", "_categories", "_rates", "_base", "_default", "_company"):
            self.__dict__.pop(name, None)

    @cached_property
    def _settings(self) -> Names:
        settings: Names = self._rpc.settings
        return settings

    @cached_property
    def _modules(self) -> frozenset[str]:
        return modules(self._rpc)

    @property
    def _sells_by_lists(self) -> bool:
        return "sale_price_list" in self._modules

    @property
    def _dated(self) -> bool:
        return "product_price_list_dates" in self._modules

    @cached_property
    def _company(self) -> Record:
        [company] = table(self._rpc, "company.company", [["id", "=", self._rpc.company]], ["currency.code", "timezone"])
        return company

    @property
    def _zone(self) -> tzinfo:
        name = self._company["timezone"]
        return ZoneInfo(name) if name else UTC

    @property
    def _ours(self) -> list[Any]:
        return ["price_list", "in", sorted(self._lists)]

    @cached_property
    def _lists(self) -> dict[int, Record]:
        """Archived ones too: an account that has one still gets its prices."""
        if not self._sells_by_lists:
            return {}
        domain = [ALL, ["company", "=", self._company["id"]]]
        return _by_id(table(self._rpc, "product.price_list", domain, price_mapping.LIST))

    @cached_property
    def _default(self) -> int | None:
        """The company's default list."""
        if not self._sells_by_lists:
            return None
        [row] = self._rpc.call("model.sale.configuration.read", [1], ["sale_price_list"])
        found: int | None = row["sale_price_list"]
        return found

    @property
    def _shop_name(self) -> str | None:
        return self._settings.orders_shop or self._settings.web_shop

    @cached_property
    def _base(self) -> int | None:
        """The list that everybody has: the shop's, else the company's default."""
        if self._shop_name and self._sells_by_lists:
            shops = table(self._rpc, "web.shop", [["name", "=", self._shop_name]], ["sale_price_list"])
            if not shops:
                raise Misconfigured(
                    f"Tryton has no web shop {self._shop_name!r}. Make it there, or correct the connection's settings."
                )
            if own := shops[0]["sale_price_list"]:
                return int(own)
        return self._default

    @property
    def _for_sale(self) -> list[Any]:
        clauses: list[Any] = [["template.salable", "=", True], ["template.active", "=", True]]
        clauses += [["active", "=", True], ["code", "not in", [None, ""]]]
        if self._settings.web_shop:
            clauses.append(["web_shops", "where", [["name", "=", self._settings.web_shop]]])
        return clauses

    @property
    def _customers(self) -> list[Any]:
        return [self._members(), ["active", "=", True], ["code", "not in", [None, ""]]]

    @cached_property
    def _categories(self) -> dict[int, Record]:
        return _by_id(table(self._rpc, "product.category", [], price_mapping.CATEGORY))

    @cached_property
    def _rates(self) -> dict[int, Decimal | None]:
        taxes = _by_id(table(self._rpc, "account.tax", [ALL], price_mapping.TAX))
        return {
            one: price_mapping.simple_rate([taxes[tax] for tax in row["customer_taxes_used"]])
            for one, row in self._categories.items()
        }


def _by_id(rows: list[Record]) -> dict[int, Record]:
    return {row["id"]: row for row in rows}
