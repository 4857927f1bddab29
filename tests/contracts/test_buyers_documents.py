"""What buyers see of their account's documents in the real shop, and what nobody else does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
import requests
from tests.buying import Buying
from tests.documents import SECOND, a_credit_note, a_line, an_invoice, an_order, later, put
from tests.shop_fixtures import CONNECTION, Refused, Shop, a_buyer, email_of, new_account

from crossdock.connectors.medusa.adapter import Medusa
from crossdock.connectors.medusa.documents import Documents
from crossdock.domain.document import Document
from crossdock.domain.price import Price, PriceList, PriceMember, Prices
from crossdock.ports import Put

pytestmark = pytest.mark.e2e

_numbers = itertools.count(1)
PDF = b"%PDF-1.7\n" + bytes(range(256))
HOSTILE = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>\'"&amp;{{7*7}}'


class Buyer:
    """A logged-in person of an account, alone in it if nothing else is said."""

    def __init__(self, shop: Shop, data: dict[str, Any] | None = None) -> None:
        self.data = data or new_account()
        self._shop = shop
        shop.put(self.data)
        self.account = str(self.data["code"])
        self.token = shop.set_password(email_of(self.data))

    def get(self, path: str = "", **query: Any) -> Any:
        asked = "&".join(f"{name}={quote(str(value))}" for name, value in query.items())
        return self._shop.get(f"/store/erp/documents{path}{'?' if asked else ''}{asked}", self.token)

    def numbers(self, **query: Any) -> list[str]:
        return [one["number"] for one in self.get(**query)["documents"]]

    def reorder(self, id_: str, **body: Any) -> Any:
        return self._shop.post(f"/store/erp/documents/{id_}/reorder", body, self.token)


@pytest.fixture(scope="module")
def medusa(shop: Shop) -> Medusa:
    return Medusa.from_connection(CONNECTION)


@pytest.fixture(scope="module")
def invoices(medusa: Medusa) -> Documents:
    return medusa.invoices


@pytest.fixture(scope="module")
def buy(shop: Shop) -> Buying:
    return Buying(shop)


@pytest.fixture
def buyer(shop: Shop) -> Buyer:
    return Buyer(shop)


@pytest.fixture
def told(medusa: Medusa) -> Callable[..., str]:
    """Puts a document into the shop; its id there."""

    def tell(one: Document, **how: Any) -> str:
        target = medusa.offline_orders if one.kind == "order" else medusa.invoices
        [outcome] = put(target, one, **how)
        assert outcome.refused is None and outcome.target_id
        return outcome.target_id

    return tell


def refused(status: int) -> pytest.RaisesExc[Refused]:
    return pytest.raises(Refused, check=lambda error: error.status == status)


# ---------------------------------------------------------------- browsing


def test_a_buyer_sees_a_document_as_the_erp_has_it(buyer: Buyer, told: Callable[..., str], buy: Buying) -> None:
    sku = buy.product()
    order = an_order(buyer.account, status="sent", reference="PO 1")
    one = an_invoice(
        buyer.account, belongs_to=(order.number, "elsewhere"), open=Decimal("19.05"), status="partly paid",
        lines=(
            a_line(sku=sku, quantity=Decimal("0.5"), price=Decimal("25.0001")),
            a_line(sku="RETIRED-1", successor="NEW-1"), a_line(sku=None, title="Assembly, as agreed"),
            a_line(sku=None, title="Thank you", quantity=None, price=Decimal(0), net=Decimal(0)),
        ),
    )  # fmt: skip
    order_id, id_ = told(order), told(one)
    [listed] = buyer.get(kind="invoice")["documents"]
    assert listed == {
        "id": id_, "number": one.number, "kind": "invoice", "account": buyer.account, "currency": "EUR",
        "status": "partly paid", "reference": "", "made_on": "2026-03-01", "due_on": "2026-03-31", "net": "100",
        "tax": "19", "total": "119", "open": "19.05", "overdue": True, "has_file": True,
    }  # fmt: skip
    document = buyer.get(f"/{id_}")["document"]
    assert listed.items() <= document.items()
    assert document["related"] == [{"id": order_id, "kind": "order", "number": order.number}]
    assert [line["quantity"] for line in document["lines"]] == ["0.5", "10", "10", None]
    assert (
        document["lines"][0]["price"] == "25.0001" and document["lines"][0]["variant"]["id"] == buy.variant(sku)["id"]
    )
    assert [line["variant"] for line in document["lines"][1:]] == [None] * 3
    assert document["lines"][1]["successor"] == "NEW-1"
    assert [one["id"] for one in buyer.get(f"/{order_id}")["document"]["related"]] == [id_]
    inner = {"file", "fingerprint", "words", "changed_at", "removed", "flow", "key"}
    assert not inner & (document.keys() | listed.keys())


def test_the_newest_comes_first_page_by_page(buyer: Buyer, told: Callable[..., str]) -> None:
    days = [date(2026, 1, 1) + timedelta(days=n) for n in range(7)]
    documents = [an_invoice(buyer.account, made_on=day) for day in days]
    for one in documents:
        told(one)
    expected = [one.number for one in reversed(documents)]
    pages = [buyer.get(limit=3, offset=offset) for offset in (0, 3, 6, 9)]
    assert [one["number"] for page in pages for one in page["documents"]] == expected
    assert {page["count"] for page in pages} == {7}


def test_filters_and_search(buyer: Buyer, told: Callable[..., str]) -> None:
    order = an_order(
        buyer.account, made_on=date(2025, 12, 31), reference="Baustelle Köln", lines=(a_line(sku="X_100%"),)
    )
    paid = an_invoice(
        buyer.account, status="paid", open=Decimal(0), lines=(a_line(title="Hex Bolt ÄÖ"), a_line(sku=None))
    )
    back = a_credit_note(buyer.account, made_on=date(2026, 4, 1), belongs_to=(paid.number,))
    for one in (order, paid, back):
        told(one)
    found = buyer.numbers
    assert found(kind="order") == [order.number]
    assert found(kind="credit_note", status="open") == [back.number]
    assert buyer.get("?kind=order&kind=invoice")["count"] == 2
    assert found(status="paid") == [paid.number]
    assert found(**{"from": "2026-03-01", "until": "2026-04-01"}) == [paid.number]
    assert found(q="hex äö bolt") == [paid.number] == found(q=paid.number.lower(), kind="invoice")
    assert found(q=paid.number) == [back.number, paid.number]
    assert found(q="baustelle") == [order.number] == found(q="x_100%")
    assert found(q="x_10_%") == [] == found(q="x%1") == found(q="\\")
    assert found(account=buyer.account, q="bolt") and found(account="OTHER") == []


@pytest.mark.parametrize(
    "query",
    [
        "kind=bill", "status=x", "from=2026-13-01", "until=yesterday", "limit=0", "limit=1000", "offset=-1",
        "q=" + "x" * 201, "kind[a][b]=order", "account[$ne]=x", "q[]=a&q[]=b",
    ],
)  # fmt: skip
def test_odd_questions_are_refused_and_never_answered_with_more(buyer: Buyer, query: str) -> None:
    with refused(400):
        buyer.get(f"?{query}")


def test_the_balance_is_by_account_and_currency_and_follows_payments(buyer: Buyer, told: Callable[..., str]) -> None:
    one = an_invoice(buyer.account)
    told(one)
    told(an_invoice(buyer.account, due_on=date(2099, 1, 1), open=Decimal("10.10"), total=Decimal("10.10")))
    told(a_credit_note(buyer.account, open=Decimal("-19.05")))
    told(an_invoice(buyer.account, currency="USD", open=Decimal(5), due_on=None))
    told(an_order(buyer.account))

    def balance() -> list[tuple[str, ...]]:
        return [tuple(row.values()) for row in buyer.get("/balance")["balance"]]

    dollars = (buyer.account, "USD", "5", "0")
    assert balance() == [(buyer.account, "EUR", "110.05", "119"), dollars]
    told(later(one, open=Decimal(0), status="paid"), fingerprint="f2")
    assert balance() == [(buyer.account, "EUR", "-8.95", "0"), dollars]


# ---------------------------------------------------------------- nobody else


PATHS = ("", "/balance", "/{id}", "/{id}/file")


def test_guests_and_ended_tokens_get_nothing(shop: Shop, buyer: Buyer, told: Callable[..., str]) -> None:
    id_ = told(an_invoice(buyer.account))
    header, payload, signature = buyer.token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "==="))
    forged = base64.urlsafe_b64encode(json.dumps({**claims, "exp": 1}).encode()).decode().rstrip("=")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    tokens = [
        None,
        "x",
        f"{header}.{forged}.{signature}",
        f"{unsigned}.{payload}.",
        f"{header}.{payload}.{signature[:-4]}",
    ]
    for token, path in itertools.product(tokens, PATHS):
        with refused(401):
            shop.get(f"/store/erp/documents{path.format(id=id_)}", token)
    for token in tokens:
        with refused(401):
            shop.post(f"/store/erp/documents/{id_}/reorder", {}, token)


def test_an_expired_token_gets_nothing(shop: Shop, buyer: Buyer, told: Callable[..., str]) -> None:
    """Signed by the shop itself, and too old."""
    id_ = told(an_invoice(buyer.account))

    def signed(**changes: Any) -> str:
        header, payload, _ = buyer.token.split(".")
        claims = {**json.loads(base64.urlsafe_b64decode(payload + "===")), **changes}
        body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        mark = hmac.digest(shop.given.jwt.encode(), f"{header}.{body}".encode(), hashlib.sha256)
        return f"{header}.{body}.{base64.urlsafe_b64encode(mark).decode().rstrip('=')}"

    assert shop.get(f"/store/erp/documents/{id_}", signed())["document"]["id"] == id_
    for path in PATHS:
        with refused(401):
            shop.get(f"/store/erp/documents{path.format(id=id_)}", signed(exp=int(time.time()) - 1))


def test_another_accounts_document_and_one_that_is_none_are_answered_alike(
    shop: Shop, buyer: Buyer, told: Callable[..., str]
) -> None:
    stranger, shopper = Buyer(shop), shop.sign_up(f"documents{next(_numbers)}@example.com")
    id_ = told(an_invoice(buyer.account))
    told(an_invoice(stranger.account))
    for token in (stranger.token, shopper):
        for method, path in (("GET", ""), ("GET", "/file"), ("POST", "/reorder")):
            answers = set()
            for asked in (id_, "erpdoc_" + "0" * 32, "x", "%00", "..%2f", "'; drop table erp_document; --"):
                with pytest.raises(Refused) as answer:
                    shop.call(method, f"/store/erp/documents/{asked}{path}", {} if method == "POST" else None, token)
                if asked != "%00":
                    answers.add(str(answer.value))
            assert answers == {'404 {"type":"not_found","message":"You have no such document"}'}
    assert shop.get("/store/erp/documents", shopper)["count"] == 0
    assert shop.get("/store/erp/documents/balance", shopper) == {"balance": []}
    assert shop.get(f"/store/erp/documents?account={buyer.account}", stranger.token)["documents"] == []
    assert {one["account"] for one in stranger.get()["documents"]} == {stranger.account}


def test_a_related_document_of_another_account_is_not_named(shop: Shop, buyer: Buyer, told: Callable[..., str]) -> None:
    other = Buyer(shop)
    order = an_order(other.account)
    told(order)
    id_ = told(an_invoice(buyer.account, belongs_to=(order.number,)))
    assert buyer.get(f"/{id_}")["document"]["related"] == []


def test_a_document_moves_with_its_account(shop: Shop, buyer: Buyer, told: Callable[..., str]) -> None:
    other, one = Buyer(shop), an_invoice(buyer.account)
    id_ = told(one)
    assert told(later(one, account=other.account), fingerprint="f2") == id_
    assert other.numbers() == [one.number] and buyer.numbers() == []
    with refused(404):
        buyer.get(f"/{id_}")


def test_what_is_removed_is_seen_by_nobody(buyer: Buyer, invoices: Documents, told: Callable[..., str]) -> None:
    one = an_invoice(buyer.account)
    id_ = told(one)
    put(invoices, later(one), op="remove", fingerprint="gone")
    assert buyer.get()["count"] == 0 and buyer.get("/balance") == {"balance": []}
    for path in (f"/{id_}", f"/{id_}/file"):
        with refused(404):
            buyer.get(path)


def test_all_buyers_of_an_account_see_it_until_they_are_dismissed(shop: Shop, told: Callable[..., str]) -> None:
    data = new_account()
    mail = f"second@{data['code'].lower()}.example"
    data["buyers"].append(a_buyer(mail, "b2"))
    first = Buyer(shop, data)
    second = shop.set_password(mail)
    one = an_invoice(first.account)
    told(one)
    assert first.numbers() == [one.number]
    assert shop.get("/store/erp/documents", second)["count"] == 1
    shop.put({**data, "buyers": data["buyers"][:1], "fingerprint": "2"})
    with refused(401):
        shop.get("/store/erp/documents", second)
    assert shop.get("/store/erp/documents", shop.set_password(mail))["count"] == 0
    assert first.numbers() == [one.number]


@pytest.mark.parametrize("status", ["blocked", "archived"])
def test_a_closed_account_shows_nothing(shop: Shop, told: Callable[..., str], status: str) -> None:
    buyer = Buyer(shop)
    told(an_invoice(buyer.account))
    shop.put({**buyer.data, "status": status, "fingerprint": "2"})
    with refused(401):
        buyer.get()
    with refused(401):
        shop.login(email_of(buyer.data), "correct horse")


def test_of_several_accounts_the_open_ones_are_seen(shop: Shop, told: Callable[..., str]) -> None:
    one, other = new_account(), new_account()
    other["buyers"] = one["buyers"]
    shop.put(other)
    buyer = Buyer(shop, one)
    first, second = an_invoice(one["code"]), an_invoice(other["code"])
    ids = [told(first), told(second)]
    assert sorted(buyer.numbers()) == sorted([first.number, second.number])
    assert buyer.numbers(account=other["code"]) == [second.number]
    assert [row["account"] for row in buyer.get("/balance")["balance"]] == sorted([one["code"], other["code"]])
    shop.put({**other, "status": "blocked", "fingerprint": "2"})
    buyer.token = shop.login(email_of(one), "correct horse")
    assert buyer.numbers() == [first.number] and buyer.numbers(account=other["code"]) == []
    assert [row["account"] for row in buyer.get("/balance")["balance"]] == [one["code"]]
    for path in ("", "/file"):
        with refused(404):
            buyer.get(f"/{ids[1]}{path}")


def test_a_group_that_staff_adds_somebody_to_shows_him_nothing(
    shop: Shop, buyer: Buyer, told: Callable[..., str]
) -> None:
    """Nor does what a shopper writes about himself: accounts come from the ERP alone."""
    told(an_invoice(buyer.account))
    email = f"friend{next(_numbers)}@example.com"
    token = shop.sign_up(email, company_name=f"Company {buyer.account}")
    [group] = shop.sql(f"SELECT group_id FROM erp_account WHERE code = '{buyer.account}'")
    body = {"add": [shop.customer(email)["id"]]}
    shop.post(f"/admin/customer-groups/{group}/customers", body, shop.admin)
    shop.post("/store/customers/me", {"metadata": {"erp_account": buyer.account}}, token)
    assert shop.get("/store/erp/documents", token)["count"] == 0


def test_a_buyer_who_deletes_himself_is_out(shop: Shop, buyer: Buyer, told: Callable[..., str]) -> None:
    told(an_invoice(buyer.account))
    shop.call("DELETE", f"/admin/customers/{shop.customer(email_of(buyer.data))['id']}", token=shop.admin)
    with refused(401):
        buyer.get()


def test_admin_routes_are_the_administrators(shop: Shop, buyer: Buyer, told: Callable[..., str]) -> None:
    told(an_invoice(buyer.account))
    paths = [("GET", ""), ("GET", "/wishes"), *(("POST", f"/{one}") for one in ("batch", "find", "control", "files"))]
    for token in (None, buyer.token):
        for method, path in paths:
            with refused(401):
                body = {"flow": "invoices"} if method == "POST" else None
                shop.call(method, f"/admin/erp/documents{path}?flow=invoices", body, token)


# ---------------------------------------------------------------- printed documents


def ask_file(shop: Shop, buyer: Buyer, id_: str) -> requests.Response:
    headers = {
        "x-publishable-api-key": shop.credentials["publishable_key"], "Authorization": f"Bearer {buyer.token}"
    }  # fmt: skip
    return shop.session.get(f"{shop.url}/store/erp/documents/{id_}/file", headers=headers, timeout=60)


def waiting(target: Documents) -> dict[str, str]:
    """Wishes by what they are for."""
    return {wish.ref: wish.id for page in target.wishes() for wish in page}


def test_a_printed_document_is_ordered_delivered_and_saved(
    shop: Shop, buyer: Buyer, invoices: Documents, told: Callable[..., str]
) -> None:
    one = an_invoice(buyer.account, number="R/2026 <7>\r\nX: y\"", source_id=str(next(_numbers)))  # fmt: skip
    id_ = told(one)
    assert [ask_file(shop, buyer, id_).status_code for _ in range(3)] == [202] * 3
    assert list(waiting(invoices)).count(str(one.file)) == 1
    invoices.deliver(waiting(invoices)[str(one.file)], PDF)
    answer = ask_file(shop, buyer, id_)
    assert (answer.status_code, answer.content) == (200, PDF)
    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="R-2026-7-X-y-.pdf"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert one.file not in waiting(invoices)


def test_a_changed_document_drops_its_print(
    shop: Shop, buyer: Buyer, invoices: Documents, told: Callable[..., str]
) -> None:
    one = an_invoice(buyer.account)
    id_ = told(one)
    ask_file(shop, buyer, id_)
    invoices.deliver(waiting(invoices)[str(one.file)], PDF)
    told(later(one, status="paid"), fingerprint="f2")
    assert shop.sql(f"SELECT count(*) FROM erp_document_file WHERE document_id = '{id_}'") == ["0"]
    assert ask_file(shop, buyer, id_).status_code == 202


def test_a_print_of_what_a_document_was_before_is_not_kept(
    shop: Shop, buyer: Buyer, invoices: Documents, told: Callable[..., str]
) -> None:
    """It was being printed when the document changed."""
    one = an_invoice(buyer.account)
    id_ = told(one)
    ask_file(shop, buyer, id_)
    wish = waiting(invoices)[str(one.file)]
    told(later(one, status="paid"), fingerprint="f2")
    invoices.deliver(wish, PDF)
    assert ask_file(shop, buyer, id_).status_code == 202
    assert waiting(invoices)[str(one.file)] != wish


def test_what_the_erp_has_no_print_of_is_said(
    shop: Shop, buyer: Buyer, invoices: Documents, told: Callable[..., str]
) -> None:
    without, one = an_invoice(buyer.account, file=None), an_invoice(buyer.account)
    assert ask_file(shop, buyer, told(without)).status_code == 404
    id_ = told(one)
    ask_file(shop, buyer, id_)
    invoices.deliver(waiting(invoices)[str(one.file)], None)
    assert ask_file(shop, buyer, id_).status_code == 404 and one.file not in waiting(invoices)
    shop.sql(f"UPDATE erp_document_file SET delivered_at = now() - interval '2 hours' WHERE document_id = '{id_}'")
    assert ask_file(shop, buyer, id_).status_code == 202


def test_an_account_waits_for_twenty_at_a_time(
    shop: Shop, buyer: Buyer, invoices: Documents, told: Callable[..., str]
) -> None:
    ids = [told(an_invoice(buyer.account)) for _ in range(22)]
    assert [ask_file(shop, buyer, id_).status_code for id_ in ids] == [202] * 20 + [429] * 2
    assert ask_file(shop, buyer, ids[0]).status_code == 202


# ---------------------------------------------------------------- ordering again


def cart(shop: Shop, buyer: Buyer, id_: str) -> dict[str, tuple[int, float]]:
    """Quantity and price by SKU, as the buyer sees his cart."""
    items = shop.get(f"/store/carts/{id_}", buyer.token)["cart"]["items"]
    return {item["variant_sku"]: (item["quantity"], item["unit_price"]) for item in items}


def lines_of(*skus: str, quantity: str = "2", **fields: Any) -> tuple[Any, ...]:
    return tuple(a_line(sku=sku, quantity=Decimal(quantity), price=Decimal("0.01"), **fields) for sku in skus)


def test_what_was_bought_is_bought_again_at_todays_price_of_this_buyer(
    shop: Shop, medusa: Medusa, buyer: Buyer, buy: Buying, told: Callable[..., str]
) -> None:
    first, second = buy.product(price=10), buy.product(price=20, stock=5)
    contract = PriceList(code=f"again:{next(_numbers)}", title="Contract", audience="accounts")
    for record in (
        contract,
        Prices(list=contract.code, sku=first, prices=(Price(currency="EUR", amount=Decimal("7.5")),)),
        PriceMember(account=buyer.account, lists=(contract.code,)),
    ):
        target: Any = {"PriceList": medusa.price_lists, "Prices": medusa.prices, "PriceMember": medusa.price_members}[
            type(record).__name__
        ]
        [outcome] = target.put([Put(record.key, "create", None, target.payload(record), "f")], lambda ref: b"")
        assert outcome.refused is None
    id_ = told(an_order(buyer.account, lines=lines_of(first, second, first)))
    answer = buyer.reorder(id_)
    assert answer["skipped"] == []
    assert answer["added"] == [{"sku": first, "quantity": 4}, {"sku": second, "quantity": 2}]
    assert cart(shop, buyer, answer["cart_id"]) == {first: (4, 7.5), second: (2, 20)}
    seen = shop.get(f"/store/carts/{answer['cart_id']}", buyer.token)["cart"]
    assert seen["metadata"] == {"erp_account": buyer.account}
    with refused(401):
        shop.get(f"/store/carts/{answer['cart_id']}")


def test_what_cannot_be_bought_is_said_and_why(shop: Shop, buyer: Buyer, buy: Buying, told: Callable[..., str]) -> None:
    good, scarce, none_left, draft, withdrawn, unpriced, elsewhere, metres = (
        buy.product(), buy.product(stock=3), buy.product(stock=0), *(buy.product() for _ in range(5)),
    )  # fmt: skip
    admin = shop.admin
    product = buy.variant(draft)["product_id"]
    shop.post(f"/admin/products/{product}", {"status": "draft"}, admin)
    place, roll = (buy.variant(one)["product_id"] for one in (elsewhere, metres))
    price_set = buy.variant(unpriced)["price_set_link"]["price_set_id"]
    shop.sql(f"""UPDATE product_variant SET metadata = '{{"erp": {{"withdrawn": true}}}}' WHERE sku = '{withdrawn}'""")
    shop.sql(f"UPDATE product_sales_channel SET deleted_at = now() WHERE product_id = '{place}'")
    shop.sql(f"DELETE FROM price WHERE price_set_id = '{price_set}'")
    shop.sql(f"""UPDATE product SET metadata = '{{"erp": {{"unit": "Meter"}}}}' WHERE id = '{roll}'""")
    lines = (
        *lines_of(good, unit="Unit"), *lines_of(scarce, quantity="5"), *lines_of(none_left), *lines_of(draft),
        *lines_of(withdrawn, successor=good), *lines_of(unpriced), *lines_of(elsewhere), *lines_of(metres, unit="Roll"),
        *lines_of("NO-SUCH-SKU", successor="NEW-SKU"), *lines_of(good, quantity="0.5"), *lines_of(good, quantity="-1"),
        a_line(sku=None, title=HOSTILE), a_line(sku=None, quantity=None), *lines_of(metres, unit="Meter"),
    )  # fmt: skip
    answer = buyer.reorder(told(an_order(buyer.account, lines=lines)))
    assert {one["sku"]: one["quantity"] for one in answer["added"]} == {good: 2, scarce: 3, metres: 2}
    said = {(one["sku"], one["quantity"]): (one["reason"], one["successor"]) for one in answer["skipped"]}
    assert said == {
        (scarce, "2"): ("no_stock", None),
        (none_left, "2"): ("no_stock", None),
        (draft, "2"): ("not_sold", None),
        (withdrawn, "2"): ("not_sold", good),
        (unpriced, "2"): ("no_price", None),
        (elsewhere, "2"): ("not_sold", None),
        (metres, "2"): ("other_unit", None),
        ("NO-SUCH-SKU", "2"): ("unknown", "NEW-SKU"),
        (good, "0.5"): ("fraction", None),
        (good, "-1"): ("returned", None),
        (None, "10"): ("free_text", None),
    }
    assert cart(shop, buyer, answer["cart_id"]) == {good: (2, 12.34), scarce: (3, 12.34), metres: (2, 12.34)}


def test_nothing_to_buy_makes_no_cart(shop: Shop, buyer: Buyer, told: Callable[..., str]) -> None:
    carts = shop.sql("SELECT count(*) FROM cart")
    answer = buyer.reorder(told(a_credit_note(buyer.account)))
    assert (answer["cart_id"], answer["added"]) == (None, [])
    assert [one["reason"] for one in answer["skipped"]] == ["returned"]
    assert shop.sql("SELECT count(*) FROM cart") == carts


def test_into_a_cart_of_his_own_and_nobody_elses(
    shop: Shop, buyer: Buyer, buy: Buying, told: Callable[..., str]
) -> None:
    sku = buy.product(stock=5)
    id_ = told(an_order(buyer.account, lines=lines_of(sku)))
    own = buyer.reorder(id_)["cart_id"]
    again = buyer.reorder(id_, cart_id=own)
    assert again["cart_id"] == own and cart(shop, buyer, own) == {sku: (4, 12.34)}
    assert buyer.reorder(id_, cart_id=own)["skipped"][0] == {
        "sku": sku, "title": "Bolt M6", "quantity": "1", "reason": "no_stock", "successor": None,
    }  # fmt: skip
    assert cart(shop, buyer, own) == {sku: (5, 12.34)}
    region = shop.get("/admin/regions?limit=1", shop.admin)["regions"][0]["id"]
    guests = shop.post("/store/carts", {"region_id": region})["cart"]["id"]
    stranger = Buyer(shop)
    others = stranger.reorder(told(an_order(stranger.account, lines=lines_of(buy.product()))))["cart_id"]
    for foreign in (guests, others, "cart_x"):
        with refused(404):
            buyer.reorder(id_, cart_id=foreign)
    with refused(404):
        buyer.reorder(id_, region_id="reg_x")
    assert buyer.reorder(id_, region_id=region)["skipped"] == []


def test_what_belongs_to_another_account_of_his_is_not_bought_for_this_one(
    shop: Shop, buy: Buying, told: Callable[..., str]
) -> None:
    one, other = new_account(), new_account()
    other["buyers"] = one["buyers"]
    buyer = Buyer(shop, one)
    shop.put(other)
    id_ = told(an_order(other["code"], lines=lines_of(buy.product())))
    with pytest.raises(Refused, match=f"you buy for {one['code']}"):
        buyer.reorder(id_)
    shop.post("/store/erp/accounts/active", {"code": other["code"]}, buyer.token)
    made = buyer.reorder(id_)["cart_id"]
    seen = shop.get(f"/store/carts/{made}", buyer.token)["cart"]
    assert seen["metadata"] == {"erp_account": other["code"]}


def test_what_medusa_refuses_stops_nothing_else(
    shop: Shop, buyer: Buyer, buy: Buying, told: Callable[..., str]
) -> None:
    """What is in the way shows only when it is put into a cart."""
    good, odd = buy.product(), buy.product()
    trigger = f"""
        CREATE OR REPLACE FUNCTION odd_line() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN IF new.variant_sku = '{odd}' THEN RAISE EXCEPTION 'odd'; END IF; RETURN new; END $$;
        CREATE TRIGGER odd_line BEFORE INSERT ON cart_line_item FOR EACH ROW EXECUTE FUNCTION odd_line();
    """
    shop.sql(trigger)
    try:
        answer = buyer.reorder(told(an_order(buyer.account, lines=lines_of(odd, good))))
    finally:
        shop.sql("DROP TRIGGER odd_line ON cart_line_item")
    assert answer["added"] == [{"sku": good, "quantity": 2}]
    assert [(one["sku"], one["reason"]) for one in answer["skipped"]] == [(odd, "refused")]
    assert cart(shop, buyer, answer["cart_id"]) == {good: (2, 12.34)}


def test_hostile_words_are_words(buyer: Buyer, told: Callable[..., str]) -> None:
    one = an_invoice(buyer.account, reference="a' OR 1=1 --", lines=(a_line(title=HOSTILE),))
    id_ = told(later(one, 2 * SECOND))
    document = buyer.get(f"/{id_}")["document"]
    assert document["lines"][0]["title"] == HOSTILE and document["reference"] == "a' OR 1=1 --"
    assert buyer.numbers(q="' OR 1=1") == [one.number] and buyer.numbers(q="' OR 2=2") == []
