"""Prices between the real Tryton and the real Medusa: what visitors pay, what is proved, what hands in the shop do."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.buying import Buying
from tests.erp_fixtures import CONNECTION as ERP
from tests.erp_fixtures import RunningErp, running_erp
from tests.faults.world import Store
from tests.shop_fixtures import CONNECTION as SHOP
from tests.shop_fixtures import Shop

from crossdock.connectors.medusa.adapter import Medusa
from crossdock.connectors.tryton.adapter import Tryton
from crossdock.errors import Stop
from crossdock.ports import Wanted
from crossdock.quality.gate import ExpectationsGate
from crossdock.store.postgres import PostgresStore, approve_target
from crossdock.store.price_sources import SOURCES
from crossdock.store.prices import PriceBook
from crossdock.sync import price_proof, steps
from crossdock.sync.flows import CUSTOMERS, FLOWS, ITEMS
from crossdock.sync.run import Request, Run

pytestmark = pytest.mark.e2e

PAIR = "priced"
PRICING = ("price_lists", "prices", "price_members")


class Between:
    """One pair: the DAG's steps, one after the other."""

    def __init__(self, dsn: str, erp: RunningErp, shop: Shop) -> None:
        self.dsn, self.erp, self.shop = dsn, erp, shop
        self.tryton, self.medusa = Tryton.from_connection(ERP), Medusa.from_connection(SHOP)
        self._names = itertools.count(1)
        self.last = ""

    def book(self, connection: Any) -> PriceBook:
        return PriceBook(connection, PAIR, self.tryton.prices, timedelta(minutes=5))

    def sync(self, flow: str, name: str, plan: int | None = None, **request: Any) -> Run:
        with psycopg.connect(self.dsn) as own, psycopg.connect(self.dsn) as other:
            source = SOURCES[flow](self.book(other)) if flow in SOURCES else getattr(self.tryton, flow)
            store, gate = PostgresStore(own), ExpectationsGate(self.dsn)
            run = Run(
                PAIR, FLOWS[flow], name, source, getattr(self.medusa, flow), store, gate, Request(plan=plan, **request)
            )
            for step in (steps.extract, steps.validate, steps.transform, steps.load):
                if not step(run):
                    break
            settled = steps.settle(run)
        if settled.state == "planned":  # other tests were here before
            self.sync(flow, f"{name}, applied", plan=run.id)
            return self.sync(flow, f"{name}, and what waits", **request)
        assert settled.state == "success", settled.line
        return run

    def pricing(self, **request: Any) -> dict[str, Run]:
        self.last = f"run-{next(self._names)}"
        return {flow: self.sync(flow, self.last, **request) for flow in PRICING}

    def prove(self) -> str:
        with psycopg.connect(self.dsn) as connection:
            return price_proof.prove(self.book(connection), self.tryton.prices, self.medusa.prices, self.last)


@pytest.fixture(scope="module")
def erp(session: Path) -> Iterator[RunningErp]:
    """The merchant as he is: what other tests leave in theirs would be priced here."""
    with running_erp(session / "erp of prices") as erp:
        yield erp


@pytest.fixture(scope="module")
def between(erp: RunningErp, shop: Shop, store: Store) -> Iterator[Between]:
    """Customers and items are in the shop, and every price."""
    between = Between(store.dsn, erp, shop)
    with psycopg.connect(store.dsn) as db:
        approve_target(db, PAIR, "storefront", between.medusa.prices.fingerprint(), "tests")
    for flow in (CUSTOMERS.name, ITEMS.name):
        between.sync(flow, "first")
    between.pricing()
    yield between


def test_all_prices_of_the_merchant_are_told_and_what_both_sides_say_is_the_same(between):
    with psycopg.connect(between.dsn, options="-c search_path=crossdock") as db:
        [told] = db.execute(
            "SELECT count(*) FROM ledger WHERE (pair, flow) = (%s, 'prices') AND target_id IS NOT NULL", (PAIR,)
        ).fetchone()
        lacking = db.execute(
            """
            SELECT list || '|' || sku
            FROM price_entry
            WHERE pair = %(pair)s AND quantities <> '{}' AND refused = ''
            EXCEPT SELECT key FROM ledger WHERE (pair, flow) = (%(pair)s, 'prices') AND target_id IS NOT NULL
            EXCEPT SELECT key FROM parked WHERE (pair, flow) = (%(pair)s, 'prices')
            EXCEPT SELECT key FROM held WHERE (pair, flow) = (%(pair)s, 'prices')
            """,
            {"pair": PAIR},
        ).fetchall()
    assert told > 1_000 and lacking == []
    assert "all as the ERP says" in between.prove()


def test_every_kind_of_visitor_pays_the_erps_price_of_every_sku_at_every_border_of_a_tier(between):
    """All distinct sets of lists and a guest; 500 of it in real carts. A list that leaks is a price of another."""
    with psycopg.connect(between.dsn) as connection:
        book = between.book(connection)
        every = connection.execute(
            """
            WITH visitor AS (
                SELECT DISTINCT ON (layers) account FROM crossdock.price_member WHERE pair = %(pair)s AND refused = ''
                UNION ALL
                SELECT NULL
            ),
            border AS (
                SELECT DISTINCT sku, greatest(least - step.back, 1) AS quantity
                FROM crossdock.price_entry
                CROSS JOIN unnest(array_append(quantities, 1)) AS least
                CROSS JOIN (VALUES (0), (1)) AS step (back)
                WHERE pair = %(pair)s
            )
            SELECT account, sku, quantity FROM visitor CROSS JOIN border
            """,
            {"pair": PAIR},
        ).fetchall()
        wanted = book.in_step([Wanted(*row) for row in every])
    erp = {one: price for one, price in between.tryton.prices.quotes(wanted).items() if price is not None}
    shop = between.medusa.prices.quotes(list(erp))
    assert len(erp) > 5_000 and len({one.account for one in erp}) > 8
    assert {one: (price, shop[one]) for one, price in erp.items() if shop[one] != price} == {}
    some, buy = random.Random(6).sample(sorted(erp, key=str), 500), Buying(between.shop)
    for sku in {one.sku for one in some}:
        buy.stock(sku, {"WH-HAM": 100_000})
    carts = between.medusa.prices.carts(some)
    assert {one: (erp[one], carts.get(one)) for one in some if carts.get(one) != erp[one]} == {}


def test_nothing_new_is_not_told_again(between):
    books = between.pricing(full=True)["prices"].books
    assert (books.created, books.updated, books.removed) == (0, 0, 0)


def test_a_price_changed_by_hand_in_the_shop_fails_the_proof_with_both_figures_and_force_heals_it(between):
    sku = between.erp.admin.rows("product.product", [["code", "like", "WJ001%"]], "code")[0]["code"]
    own = between.tryton.prices.quotes([Wanted(None, sku, 1)])[Wanted(None, sku, 1)]
    between.sync("prices", "told again", keys=(f"base|{sku}",), force=True)
    between.last = "told again"
    assert "all as the ERP says" in between.prove()
    Buying(between.shop).sell(sku, float(own) + 1)
    with pytest.raises(
        Stop, match=rf"a guest is asked for {(own + 1).normalize():f} .* the ERP says {own.normalize():f}"
    ):
        between.prove()
    between.sync("prices", "healed", keys=(f"base|{sku}",), force=True)
    assert "all as the ERP says" in between.prove()


def test_an_account_that_changes_its_list_pays_by_the_other_one(between):
    party = between.erp.admin.id_of("party.party", ["code", "=", "C0007"])
    [before] = between.erp.admin.rows("party.party", [["id", "=", party]], "sale_price_list")
    gold = between.erp.id_of("product.price_list", "Gold dealer")
    between.erp.admin("model.party.party.write", [party], {"sale_price_list": gold})
    try:
        books = between.pricing()["price_members"].books
        assert books.updated == 1
        assert "all as the ERP says" in between.prove()
    finally:
        between.erp.admin("model.party.party.write", [party], {"sale_price_list": before["sale_price_list"]})


def test_a_formula_that_nobody_here_understands_is_asked_told_and_proved(between):
    made = between.erp.admin.create("product.price_list.line", {
        "price_list": between.erp.id_of("product.price_list", "Trade"), "sequence": 1, "quantity": 500.0,
        "formula": "unit_price * 0.6 if unit_price > 50 else unit_price * 0.65",
    })  # fmt: skip
    try:
        run = between.pricing()["prices"]
        assert run.totals["asked"] > 100
        assert "all as the ERP says" in between.prove()
    finally:
        between.erp.admin("model.product.price_list.line.delete", made)
    books = between.pricing()["prices"].books
    assert books.updated > 100
    assert "all as the ERP says" in between.prove()


def test_prices_are_those_of_the_erp_to_the_fourth_digit(between):
    with psycopg.connect(between.dsn) as connection:
        book = between.book(connection)
        wanted = book.in_step(book.sample(between.last, 0, 60))
    erp = between.tryton.prices.quotes(wanted)
    shop = between.medusa.prices.quotes(wanted)
    assert len(wanted) > 50
    assert {one: shop[one] for one in wanted} == {one: erp[one] for one in wanted}
    assert all(isinstance(price, Decimal) for price in shop.values())
