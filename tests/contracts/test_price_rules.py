"""What an ERP's price rules promise (``ports.PriceRules``), on the real Tryton: they come to its own prices."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from tests.contracts.asking import flat, later
from tests.erp_fixtures import CONNECTION, RunningErp

from crossdock.connectors.tryton.adapter import Tryton
from crossdock.connectors.tryton.prices import Prices
from crossdock.domain.price import BASE, Question
from crossdock.errors import Misconfigured, Reject
from crossdock.ports import Wanted
from crossdock.store.migrations import upgrade
from crossdock.store.prices import PriceBook

pytestmark = pytest.mark.e2e

QUANTITIES = (1, 2, 9, 10, 19, 20, 49, 50, 99, 100, 101, 1000)
TODAY = dt.datetime.now(dt.UTC).date()


@pytest.fixture
def rules(erp: RunningErp) -> Prices:
    return Tryton.from_connection(CONNECTION).prices


@pytest.fixture(scope="module")
def dsn(pg) -> str:
    dsn = pg.create_database("price_rules")
    with psycopg.connect(dsn) as db:
        upgrade(db)
    return dsn


@pytest.fixture
def book(dsn: str, rules: Prices) -> Iterator[PriceBook]:
    with psycopg.connect(dsn) as db:
        yield PriceBook(db, "default", rules, dt.timedelta(minutes=5))


@pytest.fixture(scope="module")
def merchant(erp: RunningErp) -> Merchant:
    return Merchant(erp)


class Merchant:
    """Makes price lists, goods and customers of its own."""

    def __init__(self, erp: RunningErp) -> None:
        self.erp, self.company = erp, erp.admin("model.company.company.search", [], 0, 1, None)[0]

    def price_list(self, *lines: tuple[str, dict[str, Any]], **values: Any) -> int:
        rows = [{"sequence": 10 * place, "formula": formula, **on} for place, (formula, on) in enumerate(lines, 1)]
        base = {"name": "Tested", "company": self.company, "unit": "product_sale", "price": "list_price"}
        [made] = self.erp.admin.create("product.price_list", {**base, "lines": [["create", rows]], **values})
        self.customer(made)
        return made

    def customer(self, price_list: int | None, **values: Any) -> str:
        number, _ = self.erp.account(sale_price_list=price_list, **values)
        return number

    def good(self, price: str | None = "12.34", **values: Any) -> int:
        """A product's black variant."""
        listed = None if price is None else Decimal(price)
        _, template = self.erp.product(list_price=listed, **values)
        return self.erp.rows_of("product.product", "template", template)[0]

    def sku(self, product: int) -> str:
        [row] = self.erp.admin.rows("product.product", [["id", "=", product]], "code")
        return row["code"]

    def cost(self, product: int, amount: str) -> int:
        self.erp.admin("model.product.product.write", [product], {"cost_price": Decimal(amount)})
        return product

    def write(self, model: str, one: int, **values: Any) -> None:
        self.erp.admin(f"model.{model}.write", [one], values)

    def category(self, name: str, parent: int | None = None) -> int:
        [made] = self.erp.admin.create("product.category", {"name": name, "parent": parent})
        return made

    def lines(self, price_list: int) -> list[int]:
        return self.erp.rows_of("product.price_list.line", "price_list", price_list)


def at(book: PriceBook, code: str, sku: str, quantity: int) -> Decimal | None:
    """What the list says here."""
    found = None
    for entry in flat(book.entries(keys=[f"{code}|{sku}"])):
        assert not entry.refused
        for least, amount in zip(entry.quantities, entry.amounts, strict=True):
            found = amount if least <= quantity else found
    return found


def asked_of_the_erp(erp: RunningErp, price_list: int | None, product: int, quantity: int, **context: Any) -> Any:
    """Not through our connector."""
    context |= {"price_list": price_list} if price_list else {}
    [row] = erp.admin("model.product.product.read", [product], ["sale_price_uom"], quantity=quantity, **context)
    return row["sale_price_uom"]


def agree(erp: RunningErp, book: PriceBook, price_list: int, *products: int, quantities: Any = QUANTITIES) -> None:
    """Ours are the ERP's own prices."""
    merchant = Merchant(erp)
    for product in products:
        for quantity in quantities:
            told = at(book, f"list:{price_list}", merchant.sku(product), quantity)
            assert told == asked_of_the_erp(erp, price_list, product, quantity), (product, quantity)


def test_the_merchants_whole_price_lists_come_to_the_erps_own_prices(erp, rules, book):
    book.refresh()
    articles = {one.id: one.sku for one in flat(rules.articles(None))[::5]}
    dated = {one.layer for one in flat(rules.rules(None)) if one.starts_at or one.ends_at}
    entries = {(entry.price_list, entry.sku): entry for entry in flat(book.entries())}
    codes = [code for code in (BASE, *(one.code for one in book.lists())) if "@" not in code and code not in dated]
    questions = [
        Question(code, article, quantity, None)
        for code in codes
        for article in articles
        for quantity in QUANTITIES[1::3]
    ]
    for question, answer in zip(questions, rules.ask(questions), strict=True):
        told = None
        if entry := entries.get((question.layer, articles[question.article])):
            for least, amount in zip(entry.quantities, entry.amounts, strict=True):
                told = amount if least <= question.quantity else told
        assert told == answer, question
    assert len(questions) > 400


def test_the_first_line_that_matches_wins_by_product_category_and_quantity(erp, merchant, book):
    outer = merchant.category("Outer")
    inner = merchant.category("Inner", outer)
    in_it = merchant.good(categories=[["add", [inner]]])
    beside = merchant.good("0.05")
    made = merchant.price_list(
        ("unit_price * 0.5", {"product": in_it, "category": inner, "quantity": 100.0}),
        ("unit_price * 0.925", {"category": outer, "quantity": 9.5}),
        ("(list_price - 1) * 2 / 5", {"quantity": 50.0}),
        ("-cost_price * -1.1 + 0.01", {"product": beside}),
        ("unit_price * 1.00005", {}),
        ("0", {}),
    )
    merchant.cost(beside, "0.0335")
    book.refresh()
    agree(erp, book, made, in_it, beside)


def test_lines_without_a_sequence_come_first_and_the_older_of_two_is_the_first(erp, merchant, book):
    good = merchant.good()
    made = merchant.price_list(
        ("3", {"sequence": None}), ("4", {"sequence": None, "quantity": 5.0}), ("5", {"sequence": -1})
    )
    book.refresh()
    agree(erp, book, made, good)


@pytest.mark.parametrize("price", ["cost_price", None])
def test_a_list_may_start_from_the_cost_price_or_from_nothing(erp, merchant, book, price):
    good = merchant.cost(merchant.good(), "7.7777")
    free = merchant.good(None)
    made = merchant.price_list(
        ("unit_price * 1.25", {"quantity": 10.0}), ("list_price * 0.3333 + cost_price", {}), price=price
    )
    book.refresh()
    agree(erp, book, made, good, free)


def test_what_is_no_sum_of_prices_is_asked_of_the_erp(erp, merchant, book):
    good, heavy = merchant.good(), merchant.good("99.95")
    made = merchant.price_list(
        ("unit_price * 0.9 if unit_price > 50 else unit_price", {"quantity": 10.0}),
        ("unit_price / 3", {"quantity": 5.0}),
        ("unit_price", {}),
    )
    book.refresh()
    agree(erp, book, made, good, heavy)
    [entry] = flat(book.entries(keys=[f"list:{made}|{merchant.sku(good)}"]))
    assert entry.asked == 2


def test_a_good_that_is_sold_in_another_unit_than_it_is_kept_in_is_asked_of_the_erp(erp, merchant, book):
    pair = erp.admin.create("product.uom", {
        "name": "Pair", "symbol": "pr", "category": erp.id_of("product.uom.category", "Units"), "factor": 2.0,
        "rate": 0.5, "rounding": 1.0, "digits": 0,
    })[0]  # fmt: skip
    good = merchant.good(sale_uom=pair)
    made = merchant.price_list(("unit_price * 0.9", {"quantity": 10.0}), ("unit_price", {}))
    book.refresh()
    agree(erp, book, made, good, quantities=(1, 9, 10, 11))


def test_a_formula_that_fails_spoils_the_prices_it_makes_and_no_other(erp, merchant, rules, book):
    cheap, dear = merchant.good("1"), merchant.good("2")
    made = merchant.price_list(("10 / (unit_price - 1)", {}))
    book.refresh()
    said = {entry.sku: entry for entry in flat(book.entries()) if entry.price_list == f"list:{made}"}
    assert "Correct the formula" in said[merchant.sku(cheap)].refused
    assert said[merchant.sku(dear)].amounts == [Decimal(10)]
    for line in merchant.lines(made):
        merchant.erp.admin("model.product.price_list.line.delete", [line])


def test_gross_prices_become_net_by_the_goods_own_taxes(erp, merchant, book):
    reduced = erp.id_of("product.category", "Reduced rated")
    good, book_ = merchant.good("17.77"), merchant.good("17.77", account_category=reduced)
    made = merchant.price_list(("unit_price * 1.19", {}), tax_included=True)
    book.refresh()
    for product, name in ((good, "VAT 19%"), (book_, "VAT 7%")):
        [tax] = erp.admin("model.account.tax.search", [["name", "=", name], ["parent", "=", None]], 0, 1, None)
        own = asked_of_the_erp(erp, made, product, 1, taxes=[tax])
        assert at(book, f"list:{made}", merchant.sku(product), 1) == own
    assert own == Decimal("19.7629")


def test_an_account_whose_taxes_are_not_everybodys_gets_no_gross_prices(erp, merchant, rules):
    rule = erp.id_of("account.tax.rule", "Tax exempt")
    made = merchant.price_list(("unit_price", {}), tax_included=True)
    number = merchant.customer(made, customer_tax_rule=rule)
    [member] = [one for one in flat(rules.members(None)) if one.account == number]
    assert "without taxes" in member.refused


def test_days_are_the_merchants_and_both_included(erp, merchant, book):
    good = merchant.good("20")
    today, day = TODAY, dt.timedelta(days=1)
    made = merchant.price_list(
        ("11", {"start_date": today + 2 * day, "end_date": today + 3 * day}),
        ("12", {"start_date": today + 3 * day, "quantity": 10.0}),
        ("13", {"end_date": today + 3 * day, "quantity": 50.0}),
        ("unit_price if unit_price > 10 else 10", {}),
    )
    book.refresh()
    code, sku = f"list:{made}", merchant.sku(good)
    spans = [one for one in book.lists() if one.code.startswith(f"{code}@")]
    for days in range(7):
        for quantity in (1, 10, 50):
            moment = dt.datetime.combine(today + days * day, dt.time(12), dt.UTC)
            [span] = [
                one.code for one in spans
                if (one.starts_at or moment) <= moment and (one.ends_at is None or moment < one.ends_at)
            ] or [code]  # fmt: skip
            told = at(book, span, sku, quantity) or at(book, code, sku, quantity)
            own = asked_of_the_erp(erp, made, good, quantity, date=today + days * day)
            assert told == own, (days, quantity)


def test_everybody_has_the_shops_list_else_the_companys_default_else_list_prices(erp, merchant, rules, altered):
    assert rules.layers()[0].code == BASE
    assert [one.words for one in flat(rules.rules(None)) if one.layer == BASE] == ["the list price"]
    retail = erp.id_of("product.price_list", "Web retail (VAT incl.)")
    altered(extra={"orders_shop": "Medusa"})
    shops = Tryton.from_connection(CONNECTION).prices
    shops.basis()
    assert f"list:{retail}" not in {one.code for one in shops.layers()}
    assert [one.gross for one in flat(shops.rules(None)) if one.layer == BASE] == [True]
    number = merchant.customer(retail)
    assert [one.layers for one in flat(shops.members(None)) if one.account == number] == [[]]
    altered(extra={"orders_shop": "No such shop"})
    with pytest.raises(Misconfigured):
        Tryton.from_connection(CONNECTION).prices.basis()


def test_an_account_without_a_list_has_the_companys_default(erp, merchant, rules):
    number = merchant.customer(None)
    trade = erp.id_of("product.price_list", "Trade")
    before = rules.basis()
    try:
        merchant.write("sale.configuration", 1, sale_price_list=trade)
        assert rules.basis() != before
        assert [one.layers for one in flat(rules.members(None)) if one.account == number] == [[]]
        other = merchant.customer(merchant.price_list(("unit_price", {})))
        assert [one.layers for one in flat(rules.members(None)) if one.account == other] != [[]]
    finally:
        merchant.write("sale.configuration", 1, sale_price_list=None)


def _formula(m: Merchant, good: int, made: int, account: str) -> None:
    m.write("product.price_list.line", m.lines(made)[0], formula="2")


def _line(m: Merchant, good: int, made: int, account: str) -> None:
    m.erp.admin.create("product.price_list.line", {"price_list": made, "formula": "1"})


def _kind(m: Merchant, good: int, made: int, account: str) -> None:
    m.write("product.price_list", made, price="cost_price")


def _variants_price(m: Merchant, good: int, made: int, account: str) -> None:
    m.write("product.product", good, list_price=Decimal(7))


def _products_price(m: Merchant, good: int, made: int, account: str) -> None:
    [row] = m.erp.admin.rows("product.product", [["id", "=", good]], "template")
    m.write("product.template", row["template"], list_price=Decimal(8))


def _cost(m: Merchant, good: int, made: int, account: str) -> None:
    m.cost(good, "5")


def _accounts_list(m: Merchant, good: int, made: int, account: str) -> None:
    m.write("party.party", m.erp.id_of("party.party", f"Tested {account}"), sale_price_list=made)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("rule", _formula), ("rule", _line), ("rule", _kind), ("article", _variants_price),
        ("article", _products_price), ("article", _cost), ("member", _accounts_list),
    ],
)  # fmt: skip
def test_each_change_is_read(merchant, rules, kind, change):
    read = {"rule": rules.rules, "article": rules.articles, "member": rules.members}[kind]
    good, made, number = merchant.good(), merchant.price_list(("unit_price", {})), merchant.customer(None)
    rules.basis()
    moment = later(rules)
    assert not [one for one in flat(read(moment)) if one.id != BASE]
    change(merchant, good, made, number)
    rules.basis()
    assert [one for one in flat(read(moment)) if one.id != BASE]


def test_what_is_deleted_or_archived_is_not_there_any_more(merchant, rules, book):
    good, made = merchant.good(), merchant.price_list(("unit_price", {}), ("1", {}))
    book.refresh()
    sku, first = merchant.sku(good), merchant.lines(made)[0]
    assert at(book, f"list:{made}", sku, 1) == Decimal("12.34")
    merchant.erp.admin("model.product.price_list.line.delete", [first])
    book.refresh()
    assert at(book, f"list:{made}", sku, 1) == Decimal(1)
    merchant.write("product.product", good, active=False)
    book.refresh()
    assert at(book, f"list:{made}", sku, 1) is None


def test_a_category_that_is_moved_below_another_changes_the_basis(merchant, rules):
    outer, inner = merchant.category("Above"), merchant.category("Below")
    before = rules.basis()
    assert rules.basis() == before
    later(rules)
    merchant.write("product.category", inner, parent=outer)
    assert rules.basis() != before


def test_a_price_is_quoted_live_for_an_account_and_for_guests(erp, merchant, rules):
    good = merchant.good("10")
    sku = merchant.sku(good)
    number = merchant.customer(merchant.price_list(("unit_price * 0.8", {"quantity": 5.0}), ("unit_price * 0.9", {})))
    wanted = [
        Wanted(None, sku, 1), Wanted(number, sku, 1), Wanted(number, sku, 5), Wanted("nobody", sku, 1),
        Wanted(number, "no such SKU", 1),
    ]  # fmt: skip
    assert rules.quotes(wanted) == dict(zip(wanted, (Decimal(10), Decimal(9), Decimal(8)), strict=False))


def test_a_question_that_fails_is_answered_for_the_others(merchant, rules):
    cheap, dear = merchant.good("1"), merchant.good("2")
    made = merchant.price_list(("10 / (unit_price - 1)", {}))
    rules.basis()
    bad, good = rules.ask([Question(f"list:{made}", str(one), 1, None) for one in (cheap, dear)])
    assert isinstance(bad, Reject) and good == Decimal(10)
    for line in merchant.lines(made):
        merchant.erp.admin("model.product.price_list.line.delete", [line])
