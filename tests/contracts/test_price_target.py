"""What visitors pay in the real shop once the ERP has told it, and what they never get to see."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from tests.buying import Buying
from tests.shop_fixtures import CONNECTION, DATABASE, Refused, Shop, email_of, new_account

from crossdock.connectors.medusa.adapter import Medusa
from crossdock.domain.price import BASE, Price, PriceList, PriceMember, Prices
from crossdock.domain.record import Record
from crossdock.errors import Retry
from crossdock.ports import Found, Outcome, Put, Target, Wanted

pytestmark = pytest.mark.e2e

_numbers = itertools.count(1)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def medusa(shop: Shop) -> Medusa:
    return Medusa.from_connection(CONNECTION)


@pytest.fixture(scope="module")
def buy(shop: Shop) -> Buying:
    return Buying(shop)


@pytest.fixture
def sku(buy: Buying) -> str:
    """An article that the shop's staff has priced at 12.34."""
    return buy.product()


@pytest.fixture
def tell(medusa: Medusa) -> Teller:
    return Teller(medusa)


class Teller:
    """The ERP's side: ``tell(record, ...)`` puts the records of one kind, all of which have to be taken."""

    def __init__(self, medusa: Medusa) -> None:
        self._medusa = medusa

    def target(self, record: Record) -> Target[Any]:
        kinds = {PriceList: "price_lists", Prices: "prices", PriceMember: "price_members"}
        target: Target[Any] = getattr(self._medusa, kinds[type(record)])
        return target

    def outcomes(self, *records: Record, op: Any = "update", fingerprint: str = "f1") -> list[Outcome]:
        target = self.target(records[0])
        batch = [Put(one.key, op, None, b"" if op == "remove" else target.payload(one), fingerprint) for one in records]
        by_key = {outcome.key: outcome for outcome in target.put(batch, no_files)}
        return [by_key[one.key] for one in records]

    def __call__(self, *records: Record, op: Any = "update", fingerprint: str = "f1") -> list[str | None]:
        outcomes = self.outcomes(*records, op=op, fingerprint=fingerprint)
        assert [outcome.refused for outcome in outcomes if outcome.refused] == []
        return [outcome.target_id for outcome in outcomes]

    def list(self, sku: str, amount: str, *members: str, **fields: Any) -> PriceList:
        """A new list with one price, and these accounts see it, and no other one."""
        one = a_list(**fields)
        self(one)
        self(prices(one, sku, amount))
        if members:
            self(*(PriceMember(account=account, lists=(one.code,)) for account in members))
        return one


class Buyer:
    """A logged-in person of an account."""

    def __init__(self, shop: Shop) -> None:
        self.data = new_account()
        shop.put(self.data)
        self.account = str(self.data["code"])
        self.token = shop.set_password(email_of(self.data))


@pytest.fixture
def buyer(shop: Shop) -> Buyer:
    return Buyer(shop)


def all_keys(target: Target[Any]) -> list[str]:
    pages = target.keys()
    return [key for page in pages for key in page]


def no_files(ref: str) -> bytes:
    raise AssertionError(f"a price has no file {ref}")


def a_list(**fields: Any) -> PriceList:
    code = f"list:{next(_numbers)}"
    return PriceList(**{"code": code, "title": f"List {code}", "audience": "accounts"} | fields)


def prices(of: PriceList | str, sku: str, *amounts: str | Price) -> Prices:
    tiers = tuple(one if isinstance(one, Price) else Price(currency="EUR", amount=Decimal(one)) for one in amounts)
    return Prices(list=of if isinstance(of, str) else of.code, sku=sku, prices=tiers)


def tier(amount: str, first: int, last: int | None = None, currency: str = "EUR") -> Price:
    return Price(currency=currency, amount=Decimal(amount), min_quantity=first, max_quantity=last)


class Eyes:
    """What somebody sees: on the page of the article, and in his cart."""

    def __init__(self, shop: Shop, buy: Buying) -> None:
        self._shop, self._buy = shop, buy

    def page(self, sku: str, token: str | None = None, region: str | None = None) -> float | None:
        path = f"/store/product-variants?sku={sku}&fields=sku,*calculated_price&region_id={region or self.region}"
        (one,) = self._shop.get(path, token)["variants"]
        price = one.get("calculated_price")
        return price and float(price["calculated_amount"])

    def cart(self, sku: str, quantity: int = 1, token: str | None = None) -> float:
        item = {"variant_id": self._buy.variant(sku)["id"], "quantity": quantity}
        cart = self._shop.post("/store/carts", {"region_id": self.region, "items": [item]}, token)["cart"]
        return float(cart["items"][0]["unit_price"])

    def both(self, sku: str, token: str | None = None) -> float | None:
        page = self.page(sku, token)
        assert page == self.cart(sku, 1, token)
        return page

    @property
    def region(self) -> str:
        return self._buy._europe


@pytest.fixture
def see(shop: Shop, buy: Buying) -> Eyes:
    return Eyes(shop, buy)


def rows(shop: Shop, sku: str) -> list[str]:
    """The live price rows of an article, in all lists."""
    return shop.sql(
        f"""SELECT coalesce(e.code, 'base'), p.currency_code, p.amount, p.min_quantity, p.max_quantity
            FROM product_variant v JOIN product_variant_price_set s ON s.variant_id = v.id AND s.deleted_at IS NULL
            JOIN price p USING (price_set_id) LEFT JOIN erp_price_list e ON e.list_id = p.price_list_id
            WHERE v.sku = '{sku}' AND p.deleted_at IS NULL ORDER BY 1, 2, 4 NULLS FIRST, 3"""
    )


def everything(shop: Shop) -> list[str]:
    """All that prices are made of, each row with what it was written by."""
    return [
        line
        for table in ("price", "price_list", "price_list_rule", "price_set", "erp_price_list", "erp_price_member")
        for line in shop.sql(f"SELECT '{table}', xmin, t.* FROM {table} t ORDER BY 3")
    ]


# ---------------------------------------------------------------- which price wins


def test_the_variants_own_price_is_everybodys(tell: Teller, see: Eyes, buyer: Buyer, sku: str) -> None:
    tell(prices(BASE, sku, "9.99"))
    assert see.both(sku) == see.both(sku, buyer.token) == 9.99


def test_a_contract_wins_however_dear_it_is(tell: Teller, see: Eyes, shop: Shop, sku: str) -> None:
    """Dearer than the group's price, than a public sale and than the list price."""
    in_group, with_contract = Buyer(shop), Buyer(shop)
    group = tell.list(sku, "8.00", in_group.account, rank=1)
    tell.list(sku, "3.00", audience="everybody")
    contract = tell.list(sku, "20.00", rank=2)
    tell(PriceMember(account=with_contract.account, lists=(group.code, contract.code)))
    assert see.both(sku) == 3.00
    assert see.both(sku, in_group.token) == 8.00
    assert see.both(sku, with_contract.token) == 20.00


def test_a_public_list_of_a_higher_rank_wins_too(tell: Teller, see: Eyes, buyer: Buyer, sku: str) -> None:
    tell.list(sku, "8.00", buyer.account, rank=1)
    first = tell.list(sku, "15.00", audience="everybody", rank=2)
    assert see.both(sku) == see.both(sku, buyer.token) == 15.00
    tell(first.model_copy(update={"rank": 0}))
    assert see.both(sku) == 15.00
    assert see.both(sku, buyer.token) == 8.00


def test_a_list_for_everybody_holds_in_a_new_region(tell: Teller, see: Eyes, shop: Shop, sku: str) -> None:
    tell.list(sku, "5.00", audience="everybody", rank=1)
    country = "se"
    body = {"name": "Sweden", "currency_code": "eur", "countries": [country], "payment_providers": []}
    region = shop.post("/admin/regions", body, shop.admin)["region"]["id"]
    try:
        deadline = time.monotonic() + 10
        while see.page(sku, region=region) != 5.00 and time.monotonic() < deadline:
            time.sleep(0.05)  # the shop hears of its new region by an event
        assert see.page(sku, region=region) == 5.00
    finally:
        shop.call("DELETE", f"/admin/regions/{region}", token=shop.admin)


def test_what_a_list_is_silent_of_costs_what_it_costs_elsewhere(
    tell: Teller, see: Eyes, buyer: Buyer, buy: Buying, sku: str
) -> None:
    other = buy.product(price=7)
    tell.list(sku, "5.00", buyer.account)
    assert see.both(other, buyer.token) == 7


def test_tiers_are_what_a_cart_costs(tell: Teller, see: Eyes, shop: Shop, buyer: Buyer, sku: str) -> None:
    one = tell.list(sku, "1", buyer.account)
    tell(prices(BASE, sku, tier("10", 1, 9), tier("8.5", 10)))
    tell(prices(one, sku, tier("7.77", 1, 9), tier("7", 10, 99), tier("5.005", 100)))
    by_quantity = {1: 7.77, 9: 7.77, 10: 7, 99: 7, 100: 5.005}
    assert {quantity: see.cart(sku, quantity, buyer.token) for quantity in by_quantity} == by_quantity
    assert {quantity: see.cart(sku, quantity) for quantity in (9, 10)} == {9: 10, 10: 8.5}
    assert see.page(sku, buyer.token) == 7.77

    cart = shop.post("/store/carts", {"region_id": see.region, "items": [see_item(see, sku, 1)]}, buyer.token)["cart"]
    path = f"/store/carts/{cart['id']}/line-items/{cart['items'][0]['id']}"
    changed = shop.post(path, {"quantity": 100}, buyer.token)["cart"]
    assert changed["items"][0]["unit_price"] == 5.005


def see_item(see: Eyes, sku: str, quantity: int) -> dict[str, Any]:
    return {"variant_id": see._buy.variant(sku)["id"], "quantity": quantity}


def test_a_quantity_between_two_tiers_has_no_price_in_the_list(tell: Teller, see: Eyes, buyer: Buyer, sku: str) -> None:
    one = tell.list(sku, "1", buyer.account)
    tell(prices(one, sku, tier("7", 10, 19), tier("5", 30)))
    assert [see.cart(sku, quantity, buyer.token) for quantity in (9, 10, 25, 30)] == [12.34, 7, 12.34, 5]


def test_dates_are_staged_ahead(tell: Teller, see: Eyes, buyer: Buyer, sku: str) -> None:
    now = datetime.now(UTC)
    always = tell.list(sku, "8.00", rank=1)
    later = tell.list(sku, "4.00", rank=2, starts_at=now + HOUR)
    past = tell.list(sku, "2.00", rank=3, starts_at=now - 2 * HOUR, ends_at=now - HOUR)
    tell(PriceMember(account=buyer.account, lists=(always.code, later.code, past.code)))
    assert see.both(sku, buyer.token) == 8.00
    tell(later.model_copy(update={"starts_at": now - HOUR, "ends_at": now + HOUR}))
    assert see.both(sku, buyer.token) == 4.00


def test_a_list_ends_at_the_moment_before(tell: Teller, shop: Shop) -> None:
    one = a_list(starts_at=datetime(2030, 1, 1, tzinfo=UTC), ends_at=datetime(2030, 2, 1, tzinfo=UTC))
    (id_,) = tell(one)
    assert shop.sql(f"SELECT starts_at, ends_at FROM price_list WHERE id = '{id_}'") == [
        "2030-01-01 00:00:00+00|2030-01-31 23:59:59.999999+00"
    ]


def test_a_variant_without_a_price_set_gets_one(tell: Teller, see: Eyes, shop: Shop, buy: Buying, sku: str) -> None:
    """Medusa would answer 200 and forget the price."""
    shop.sql(f"DELETE FROM product_variant_price_set WHERE variant_id = '{buy.variant(sku)['id']}'")
    assert see.page(sku) is None
    tell(prices(BASE, sku, "6.50"))
    assert see.both(sku) == 6.50


# ---------------------------------------------------------------- who sees what


def test_a_list_without_members_is_nobodys(tell: Teller, see: Eyes, buyer: Buyer, sku: str) -> None:
    one = tell.list(sku, "1.00", rank=3)
    assert see.both(sku) == see.both(sku, buyer.token) == 12.34
    tell(PriceMember(account=buyer.account, lists=(one.code,)))
    assert see.both(sku, buyer.token) == 1.00
    tell(PriceMember(account=buyer.account), op="remove")
    assert see.both(sku) == see.both(sku, buyer.token) == 12.34


def test_other_accounts_and_guests_never_get_a_negotiated_price(
    tell: Teller, see: Eyes, shop: Shop, buyer: Buyer, sku: str
) -> None:
    stranger, shopper = Buyer(shop), shop.sign_up(f"shopper{next(_numbers)}@example.com")
    tell.list(sku, "1.11", buyer.account)
    assert see.both(sku, buyer.token) == 1.11
    assert [see.both(sku, token) for token in (None, stranger.token, shopper)] == [12.34] * 3
    email = email_of(buyer.data)
    body = {"region_id": see.region, "email": email, "items": [see_item(see, sku, 1)]}
    assert shop.post("/store/carts", body)["cart"]["items"][0]["unit_price"] == 12.34


def test_raw_prices_cannot_be_asked_for(tell: Teller, see: Eyes, shop: Shop, buyer: Buyer, sku: str) -> None:
    one = tell.list(sku, "1.11", buyer.account)
    (group,) = shop.sql(f"SELECT group_id FROM erp_account WHERE code = '{buyer.account}'")
    fields = [
        "*variants.prices", "variants.prices.amount", "*variants.price_set", "*variants.price_set.prices",
        "*variants.price_set_link.price_set.prices", "variants.price_set_link.price_set.prices.amount",
        "+variants.prices.price_rules.value", "*variants.price_set.prices.price_list",
    ]  # fmt: skip
    for token, field in itertools.product((None, Buyer(shop).token), fields):
        for path in ("products", "product-categories", "collections"):
            with pytest.raises(Refused) as refused:
                shop.get(f"/store/{path}?fields={field}", token)
            assert refused.value.status == 400
    for field in ("*prices", "*price_set.prices", "*product.variants.prices"):
        with pytest.raises(Refused):
            shop.get(f"/store/product-variants?fields={field}")
    for asked in (f"customer[groups][0][id]={group}", f"customer.groups.id={group}", f"groups[]={group}"):
        path = f"/store/product-variants?sku={sku}&fields=*calculated_price&region_id={see.region}&{asked}"
        with pytest.raises(Refused):
            shop.get(path)
    assert one.code not in str(shop.get(f"/store/product-variants?sku={sku}&fields=*,*product,*product.variants"))


def test_price_lists_are_the_administrators(tell: Teller, shop: Shop, buyer: Buyer, sku: str) -> None:
    tell.list(sku, "1.11", buyer.account)
    ours = ("", "/lists", "/members", "/find", "/quotes", "/carts")
    for token in (None, buyer.token):
        for path in ("/admin/price-lists", *(f"/admin/erp/prices{one}" for one in ours)):
            for method in ("GET", "POST"):
                with pytest.raises(Refused) as refused:
                    shop.call(method, path, {} if method == "POST" else None, token=token)
                assert refused.value.status == 401
        for path in ("/store/price-lists", "/store/prices", "/store/erp/prices", "/store/erp/prices/lists"):
            with pytest.raises(Refused) as refused:
                shop.get(path, token)
            assert refused.value.status in (401, 404)


def test_a_login_that_has_ended_sees_what_guests_see(
    tell: Teller, see: Eyes, shop: Shop, buyer: Buyer, sku: str
) -> None:
    tell.list(sku, "1.11", buyer.account)
    assert see.both(sku, buyer.token) == 1.11
    shop.put({**buyer.data, "status": "blocked"})
    assert see.both(sku, buyer.token) == 12.34
    shop.put({**buyer.data, "buyers": []})
    assert see.both(sku, buyer.token) == 12.34


def test_a_closed_account_keeps_its_lists_for_when_it_opens(
    tell: Teller, see: Eyes, shop: Shop, buyer: Buyer, sku: str
) -> None:
    tell.list(sku, "1.11", buyer.account)
    shop.put({**buyer.data, "status": "archived"})
    shop.put(buyer.data)
    token = shop.login(email_of(buyer.data), "correct horse")
    assert see.both(sku, token) == 1.11


def test_an_account_leaves_a_list_and_enters_another_in_one_moment(
    tell: Teller, medusa: Medusa, buyer: Buyer, sku: str
) -> None:
    one, other = tell.list(sku, "1.00", buyer.account), tell.list(sku, "2.00")
    over = threading.Event()
    seen: set[Decimal | None] = set()

    def watch() -> None:
        mine = Medusa.from_connection(CONNECTION).prices
        wanted = Wanted(buyer.account, sku, 1)
        while not over.is_set():
            seen.add(mine.quotes([wanted])[wanted])

    watcher = threading.Thread(target=watch)
    watcher.start()
    for code in (other.code, one.code) * 20:
        tell(PriceMember(account=buyer.account, lists=(code,)))
    over.set()
    watcher.join()
    assert seen == {Decimal(1), Decimal(2)}


def test_a_withdrawn_list_is_nobodys_until_it_comes_back(tell: Teller, see: Eyes, buyer: Buyer, sku: str) -> None:
    one = tell.list(sku, "1.00", buyer.account)
    ids = tell(one)
    assert tell(one, op="remove", fingerprint="gone") == ids
    assert see.both(sku, buyer.token) == 12.34
    assert tell(one) == ids
    assert see.both(sku, buyer.token) == 1.00


def test_the_shop_knows_from_the_beginning_what_lists_go_by(shop: Shop) -> None:
    """Else a server that has priced a cart already would charge guests' prices in carts, and show the right ones."""
    assert shop.sql("SELECT attribute FROM price_list_rule WHERE price_list_id = 'plist_erp' ORDER BY 1") == [
        "customer.groups.id",
        "region_id",
    ]


# ---------------------------------------------------------------- what is written


def test_what_was_put_is_found_with_its_fingerprint(
    tell: Teller, medusa: Medusa, shop: Shop, buyer: Buyer, sku: str
) -> None:
    one = a_list()
    member, some = PriceMember(account=buyer.account, lists=(one.code,)), prices(one, sku, "1")
    own = prices(BASE, sku, "2")
    for record in (one, some, own, member):
        (id_,) = tell(record, fingerprint="f7")
        target = tell.target(record)
        assert target.find([record.key, "no|such"]) == {record.key: Found(str(id_), "f7")}
        assert target.match([record]) == target.find([record.key])
        assert all_keys(target).count(record.key) == 1
    unsaid = prices(one, sku)
    tell(unsaid)
    assert medusa.prices.find([unsaid.key]) == {}


def test_what_people_made_is_found_without_a_fingerprint(medusa: Medusa, shop: Shop, sku: str) -> None:
    assert medusa.prices.find([f"{BASE}|{sku}"])[f"{BASE}|{sku}"].fingerprint is None
    body = {"title": "Summer", "description": "by hand", "status": "draft"}
    made = shop.post("/admin/price-lists", body, shop.admin)["price_list"]["id"]
    assert made in all_keys(medusa.price_lists)
    assert f"{BASE}|{sku}" in all_keys(medusa.prices)


def test_told_again_nothing_is_written(tell: Teller, shop: Shop, buyer: Buyer, sku: str) -> None:
    one, public = a_list(rank=2), a_list(audience="everybody", rank=1, ends_at=datetime(2040, 1, 1, tzinfo=UTC))
    some = prices(one, sku, tier("7.50", 1, 9), tier("5", 10), tier("8", 1, None, "USD"))
    member = PriceMember(account=buyer.account, lists=(one.code, public.code))

    def all_of_it() -> None:
        tell(one, public)
        tell(some, prices(BASE, sku, "9"))
        tell(member)

    all_of_it()
    before = everything(shop)
    all_of_it()
    assert everything(shop) == before


def test_so_many_changed_prices_are_so_many_written_rows(tell: Teller, shop: Shop, buy: Buying) -> None:
    skus = [buy.product() for _ in range(6)]
    one = a_list()
    tell(one)
    tell(*(prices(one, sku, "5") for sku in skus))
    before = set(everything(shop))
    tell(*(prices(one, sku, "6" if n < 2 else "5") for n, sku in enumerate(skus)))
    changed = set(everything(shop)) - before
    assert len(changed) == 2
    assert {line.split("|")[0] for line in changed} == {"price"}
    tell(prices(one, skus[0], tier("6", 1, 9), tier("5", 10)))
    assert rows(shop, skus[0]) == ["base|eur|12.34||", f"{one.code}|eur|6|1|9", f"{one.code}|eur|5|10|"]
    tell(prices(one, skus[0], tier("5", 10)), fingerprint="f2")
    assert rows(shop, skus[0]) == ["base|eur|12.34||", f"{one.code}|eur|5|10|"]


def test_a_list_is_taken_away_in_one_call(tell: Teller, shop: Shop, buy: Buying) -> None:
    """Medusa's own deletion is quadratic and holds up the whole shop: 264 s for 5,000."""
    skus = [buy.product() for _ in range(6)]
    one = a_list()
    tell(one)
    tell(*(prices(one, sku, tier("5", 1, 9), tier("4", 10)) for sku in skus))
    tell(*(prices(one, sku) for sku in skus[:3]), op="remove")
    assert [len(rows(shop, sku)) for sku in skus] == [1, 1, 1, 3, 3, 3]


def test_what_others_made_of_a_price_is_put_right(tell: Teller, see: Eyes, shop: Shop, buy: Buying, sku: str) -> None:
    """A price of the staff for one region, and the same price twice: Medusa sells the lower one."""
    one, variant = tell.list(sku, "5.00"), buy.variant(sku)["id"]
    (id_,) = tell(one)
    again = {"create": [{"variant_id": variant, "currency_code": "eur", "amount": 4}]}
    shop.post(f"/admin/price-lists/{id_}/prices/batch", again, shop.admin)
    buy.sell(sku, 3, region=see.region)
    assert rows(shop, sku) == ["base|eur|3||", f"{one.code}|eur|4||", f"{one.code}|eur|5||"]
    tell(prices(one, sku, "5.00"), prices(BASE, sku, "9"))
    assert rows(shop, sku) == ["base|eur|9||", f"{one.code}|eur|5||"]
    assert see.both(sku) == 9


def test_what_others_made_of_a_list_is_put_right(tell: Teller, see: Eyes, shop: Shop, buyer: Buyer, sku: str) -> None:
    one = tell.list(sku, "5.00", buyer.account, rank=1)
    (id_,) = tell(one)
    edit = {"status": "draft", "rules": {}}
    shop.post(f"/admin/price-lists/{id_}", edit, shop.admin)
    assert see.both(sku) == 12.34
    tell(one)
    assert see.both(sku) == 12.34
    assert see.both(sku, buyer.token) == 5.00
    shop.call("DELETE", f"/admin/price-lists/{id_}", token=shop.admin)
    assert tell.target(one).find([one.key]) == {}
    assert tell(one) != [id_]
    tell(prices(one, sku, "5.00"))
    assert see.both(sku) == 12.34
    assert see.both(sku, buyer.token) == 5.00


# ---------------------------------------------------------------- refusals


def test_one_bad_record_refuses_only_itself(tell: Teller, shop: Shop, buyer: Buyer, sku: str) -> None:
    one = a_list()
    tell(one)
    said = tell.outcomes(
        prices(one, "no such"), prices(one, "none", "1"), prices("nowhere", sku, "1"), prices(one, sku, "2")
    )
    assert [outcome.refused and outcome.refused.reason for outcome in said] == [
        None,
        "Medusa says: the shop has no such SKU.",
        "Medusa says: the shop has no such list.",
        None,
    ]
    assert rows(shop, sku) == ["base|eur|12.34||", f"{one.code}|eur|2||"]

    good = PriceMember(account=buyer.account, lists=(one.code,))
    members = (PriceMember(account="nobody", lists=(one.code,)), good, PriceMember(account="gone"))
    said = tell.outcomes(*members)
    assert [outcome.refused and outcome.refused.reason for outcome in said] == [
        "Medusa says: the shop has no such account.",
        None,
        None,
    ]
    (refused,) = tell.outcomes(PriceMember(account=buyer.account, lists=(one.code, "nowhere")))
    assert refused.refused
    assert refused.refused.reason == "Medusa says: the shop has no list nowhere."
    assert tell.target(good).find([good.key])[good.key].fingerprint == "f1"


def test_prices_with_taxes_go_only_where_the_shop_takes_them_so(tell: Teller, sku: str) -> None:
    one = a_list(tax_inclusive=True)
    tell(one)
    (outcome,) = tell.outcomes(prices(one, sku, "1"))
    assert outcome.refused
    assert (
        outcome.refused.reason == "Medusa says: prices in EUR are without taxes in this shop, and these are with them."
    )


@pytest.mark.parametrize(
    ("path", "name", "record", "reason"),
    [
        ("", "prices", {"list": "base", "sku": "X", "prices": [{"currency": "eur"}]}, "prices.0.currency"),
        ("", "prices", {"list": "base", "sku": "X", "prices": [{"amount": "1e3"}]}, "prices.0.amount"),
        ("", "prices", {"list": "base", "sku": "X", "prices": [{"amount": "-1"}]}, "prices.0.amount"),
        ("", "prices", {"list": "base", "sku": "X", "prices": [{"max": 5}, {"min": 5}]}, "overlap"),
        ("", "prices", {"list": "base", "sku": "X", "prices": [{"min": 3, "max": 2}]}, "overlap"),
        ("", "prices", {"list": "base", "sku": "X\0", "prices": []}, "sku"),
        ("", "prices", None, "expected object"),
        ("/lists", "lists", {"code": "base", "title": "x"}, "variants' own"),
        ("/lists", "lists", {"code": "a|b", "title": "x"}, "code"),
        ("/members", "members", {"account": "A", "lists": "all"}, "lists"),
    ],
)
def test_what_cannot_be_read_is_named(shop: Shop, path: str, name: str, record: Any, reason: str) -> None:
    whole = {"currency": "EUR", "amount": "1", "min": 1, "max": None}
    defaults = {
        "lists": {"audience": "accounts", "rank": 0, "starts_at": None, "ends_at": None, "tax_inclusive": False}
    }
    if record:
        record = {"fingerprint": "1", **defaults.get(name, {}), **record}
    if record and "prices" in record:
        record["prices"] = [{**whole, **price} for price in record["prices"]]
    (outcome,) = shop.post(f"/admin/erp/prices{path}", {name: [record]}, shop.admin)["outcomes"]
    assert reason in outcome["reason"]


def test_a_record_that_comes_twice_is_taken_once(shop: Shop, sku: str) -> None:
    record = {"list": "base", "sku": sku, "fingerprint": "1", "prices": []}
    said = shop.post("/admin/erp/prices", {"prices": [record, record]}, shop.admin)["outcomes"]
    assert sorted(str(outcome.get("reason")) for outcome in said) == ["None", "it occurs twice in this batch"]


# ---------------------------------------------------------------- several writers, and none that finishes


def test_writers_at_the_same_moment_make_nothing_twice(tell: Teller, shop: Shop, buy: Buying) -> None:
    skus = [buy.product() for _ in range(5)]
    one = a_list(audience="everybody", rank=1)

    def write(number: int) -> None:
        mine = Teller(Medusa.from_connection(CONNECTION))
        mine(one)
        mine(*(prices(one, sku, tier(f"{number}", 1, 9), tier("1", 10)) for sku in skus))
        mine(*(prices(BASE, sku, "9") for sku in skus))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(2, 10)))
    assert [len(rows(shop, sku)) for sku in skus] == [3] * 5
    assert (
        len({rows(shop, sku)[1] for sku in skus}) == 5 or len({rows(shop, sku)[1].split("|")[2] for sku in skus}) == 1
    )
    assert shop.sql(f"SELECT count(*) FROM price_list WHERE metadata ->> 'erp_list' = '{one.code}'") == ["1"]


def test_a_shop_killed_in_the_middle_has_the_whole_batch_or_nothing(tell: Teller, shop: Shop, buy: Buying) -> None:
    skus = [buy.product() for _ in range(5)]
    one = a_list()
    tell(one)
    batch = [prices(one, sku, "5") for sku in skus] + [prices(BASE, sku, "9") for sku in skus]
    lost: list[Exception] = []

    def send() -> None:
        try:
            tell(*batch)
        except Retry as error:
            lost.append(error)

    sender = threading.Thread(target=send)
    with held(shop, f"SELECT id FROM price_set WHERE id = '{price_set(shop, skus[-1])}' FOR UPDATE"):
        sender.start()
        waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'asked as materialized'"
        while not shop.sql(waiting):
            time.sleep(0.02)
        assert shop.server.process
        shop.server.process.send_signal(signal.SIGKILL)
        shop.server.process.wait()
    sender.join()
    shop.restart()
    assert lost
    assert [len(rows(shop, sku)) for sku in skus] == [1] * 5
    assert all(rows(shop, sku) == ["base|eur|12.34||"] for sku in skus)
    tell(*batch)
    assert [rows(shop, sku) for sku in skus] == [["base|eur|9||", f"{one.code}|eur|5||"]] * 5


@contextmanager
def held(shop: Shop, statement: str) -> Iterator[None]:
    """What another session holds as long as the block runs."""
    with psycopg.connect(shop.postgres.dsn(DATABASE)) as connection:
        connection.execute(statement)
        yield


def price_set(shop: Shop, sku: str) -> str:
    (one,) = shop.sql(
        f"""SELECT s.price_set_id FROM product_variant v JOIN product_variant_price_set s ON s.variant_id = v.id
            WHERE v.sku = '{sku}'"""
    )
    return one


# ---------------------------------------------------------------- the proof


def test_three_ways_to_ask_for_a_price_agree(
    tell: Teller, medusa: Medusa, see: Eyes, buyer: Buyer, buy: Buying, sku: str
) -> None:
    one, dear = tell.list(sku, "1", buyer.account), buy.product(price=99.99)
    tell(prices(one, sku, tier("7.77", 1, 9), tier("5.005", 10)))
    asked = [
        Wanted(account, article, quantity)
        for account in (None, buyer.account)
        for article, quantity in ((sku, 9), (sku, 10), (dear, 1))
    ]
    quotes = medusa.prices.quotes(asked)
    assert medusa.prices.carts(asked) == quotes
    assert {one: float(amount or 0) for one, amount in quotes.items()} == {
        one: see.cart(one.sku, one.quantity, buyer.token if one.account else None) for one in asked
    }
    assert quotes[Wanted(buyer.account, sku, 10)] == Decimal("5.005")
    assert medusa.prices.shown([sku, dear, "no such"]) == {sku: Decimal("12.34"), dear: Decimal("99.99")}


def test_what_the_shop_does_not_know_has_no_answer(
    medusa: Medusa, shop: Shop, buy: Buying, buyer: Buyer, sku: str
) -> None:
    bare = buy.product()
    shop.sql(f"UPDATE price SET deleted_at = now() WHERE price_set_id = '{price_set(shop, bare)}'")
    asked = [Wanted("nobody", sku, 1), Wanted(None, "no such", 1), Wanted(buyer.account, bare, 1)]
    assert medusa.prices.quotes(asked) == {asked[2]: None}
    assert medusa.prices.carts(asked) == {}
    assert medusa.prices.shown([bare]) == {bare: None}


def test_a_cart_that_medusa_refuses_is_no_answer(medusa: Medusa, buy: Buying) -> None:
    scarce = buy.product(price=5, stock=1)
    asked = [Wanted(None, scarce, 1), Wanted(None, scarce, 2)]
    assert medusa.prices.quotes(asked) == dict.fromkeys(asked, Decimal(5))
    assert medusa.prices.carts(asked) == {asked[0]: Decimal(5)}


def test_the_proof_leaves_nothing_behind(tell: Teller, medusa: Medusa, shop: Shop, buyer: Buyer, sku: str) -> None:
    tell.list(sku, "1", buyer.account)

    def there() -> list[str]:
        return shop.sql(
            """SELECT (SELECT count(*) FROM cart), (SELECT count(*) FROM customer),
                 (SELECT count(*) FROM customer_group_customer)"""
        )

    before = there()
    medusa.prices.carts([Wanted(buyer.account, sku, 1), Wanted(None, sku, 1)])
    assert there() == before


@pytest.fixture(autouse=True)
def _alone(shop: Shop) -> Iterator[None]:
    """Lists for everybody would be seen by other tests' shoppers."""
    yield
    shop.sql(
        """UPDATE price_list SET status = 'draft'
           WHERE id IN (SELECT list_id FROM erp_price_list WHERE audience = 'everybody')"""
    )
