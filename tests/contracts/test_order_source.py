"""Orders as they come from the real Medusa: what was bought, by whom, what became of it; ``Orders`` keeps its port."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec
import pytest
from tests.buying import HOME, Buying
from tests.contracts.asking import flat, later, since
from tests.shop_fixtures import CONNECTION, Refused, Shop, email_of, new_account

from crossdock.connectors.medusa.adapter import Medusa
from crossdock.connectors.medusa.hook import MedusaHook
from crossdock.domain.order import Order
from crossdock.errors import Misconfigured, Reject
from crossdock.ports import Row, Source, Window

pytestmark = pytest.mark.e2e

_guests = itertools.count(1)


@pytest.fixture(scope="module")
def buy(shop: Shop) -> Buying:
    return Buying(shop)


@pytest.fixture(scope="module")
def bolt(buy: Buying) -> str:
    """12.34 at 19 %."""
    return buy.product(12.34)


@pytest.fixture(scope="module")
def book(buy: Buying) -> str:
    """5.55 at 7 %."""
    return buy.product(5.55, "Reduced rated")


@pytest.fixture
def source(shop: Shop) -> Source[Order]:
    return Medusa.from_connection(CONNECTION).orders


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, shop: Shop) -> Callable[..., Source[Order]]:
    """The source with other settings."""

    def build(**extra: Any) -> Source[Order]:
        connection = json.loads(os.environ[f"AIRFLOW_CONN_{CONNECTION.upper()}"])
        connection["extra"] |= extra
        monkeypatch.setenv("AIRFLOW_CONN_OTHER_SHOP", json.dumps(connection))
        return Medusa.from_connection("other_shop").orders

    return build


@pytest.fixture
def order(buy: Buying, bolt: str, book: str) -> str:
    """Three bolts and two books of a guest, not paid yet."""
    return str(buy.as_guest(guest(), {bolt: 3, book: 2})["id"])


@pytest.fixture
def sent(buy: Buying, order: str) -> str:
    """The same, paid and shipped."""
    buy.capture(order)
    buy.send(order)
    return order


def guest() -> str:
    return f"guest{next(_guests)}@guests.example"


def read(source: Source[Order], order: str) -> Order:
    return source.parse(row(source, order).raw)


def row(source: Source[Order], order: str) -> Row:
    [found] = flat(source.read([order]))
    return found


def by_sku(order: Order) -> dict[str | None, tuple[Decimal, Decimal]]:
    """Quantity and net of each line."""
    return {line.sku or line.kind: (line.quantity, line.net) for line in order.lines}


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


def money(amount: str) -> Decimal:
    return Decimal(amount)


# who bought


def test_a_guest_is_nobodys_account(source: Source[Order], buy: Buying, bolt: str, book: str) -> None:
    email = guest()
    elsewhere = {**HOME, "first_name": "Ina", "company": "Hof GmbH", "address_1": "Weg 1", "address_2": "Haus B"}
    placed = buy.as_guest(email, {bolt: 3, book: 2}, po_number="PO-77", bill_to=elsewhere)
    ours = read(source, placed["id"])
    assert (ours.account, ours.shopper, ours.email) == (None, None, email)
    assert (
        (ours.web_id, ours.number) == (placed["id"], str(placed["display_id"])) == (ours.key, row(source, ours.key)[1])
    )
    assert ours.po_number == "PO-77" and ours.phone == "+49 40 1234" and ours.currency == "EUR"
    assert ours.ship_to and ours.bill_to
    assert (ours.ship_to.name, ours.ship_to.street, ours.ship_to.city) == ("Gus Guest", "Elbchaussee 5", "Hamburg")
    assert (ours.bill_to.name, ours.bill_to.company) == ("Ina Guest", "Hof GmbH")
    assert (ours.bill_to.street, ours.bill_to.country) == ("Weg 1, Haus B", "DE")
    assert abs(datetime.now(UTC) - ours.placed_at) < timedelta(minutes=1)
    assert by_sku(ours) == {bolt: (3, money("37.02")), book: (2, money("11.10")), "shipping": (1, money("5.9"))}
    assert {line.sku: [(tax.code, tax.rate) for tax in line.taxes] for line in ours.lines} == {
        bolt: [("VAT19", 19)],
        book: [("VAT7", 7)],
        None: [("VAT19", 19)],
    }
    assert ours.charged == cents(ours.computed) == cents(Decimal(str(placed["total"]))) == money("62.95")
    assert ours.settlement == "authorised" and not ours.cancelled and not ours.held and not ours.tax_included


def test_a_buyer_who_is_logged_in_buys_on_his_account(
    source: Source[Order], shop: Shop, buy: Buying, bolt: str
) -> None:
    account = new_account()
    shop.put(account)
    token = shop.set_password(email_of(account))
    ours = read(source, buy.as_buyer(token, {bolt: 1})["id"])
    assert (ours.account, ours.shopper, ours.email) == (account["code"], None, email_of(account))
    assert ours.needs == {("customers", account["code"])}
    cart = buy.cart({bolt: 1}, token=token)
    shop.post(f"/store/carts/{cart}", {"metadata": None}, token)
    assert read(source, buy.complete(cart, token)["id"]).account == account["code"]


def test_who_empties_his_carts_metadata_does_not_rid_himself_of_a_hold(
    source: Source[Order], shop: Shop, buy: Buying, bolt: str
) -> None:
    cart = buy.cart({bolt: 1}, email=guest(), metadata={"note": "ring", "gift": "yes"})
    shop.sql(f"""update cart set metadata = metadata || '{{"erp_hold": "Looks like fraud"}}' where id = '{cart}'""")
    for sent in (None, {"erp_hold": ""}, {"erp_hold": None}, {"gift": ""}):
        shop.post(f"/store/carts/{cart}", {"metadata": sent})
    ours = read(source, buy.complete(cart)["id"])
    assert (ours.held, ours.note) == ("Looks like fraud", "ring")
    assert "gift" not in buy.look(ours.web_id, "metadata")["metadata"]


def test_what_staff_types_in_for_a_buyer_is_his_accounts_if_he_has_but_one(
    source: Source[Order], shop: Shop, buy: Buying, bolt: str
) -> None:
    account, second = new_account(), new_account()
    shop.put(account)
    assert read(source, buy.by_hand(email_of(account), {bolt: 1})["id"]).account == account["code"]
    shop.put({**second, "buyers": account["buyers"]})
    assert read(source, buy.by_hand(email_of(account), {bolt: 1})["id"]).account is None
    said = buy.by_hand(email_of(account), {bolt: 1}, metadata={"erp_account": second["code"]})
    assert read(source, said["id"]).account == second["code"]
    assert read(source, buy.by_hand(guest(), {bolt: 1})["id"]).account is None


def test_who_registered_himself_is_a_shopper(source: Source[Order], shop: Shop, buy: Buying, bolt: str) -> None:
    email = guest()
    token = shop.sign_up(email)
    ours = read(source, buy.as_buyer(token, {bolt: 1})["id"])
    assert (ours.account, ours.shopper) == (None, shop.customer(email)["id"])


def test_nobody_forges_what_only_the_server_says(source: Source[Order], shop: Shop, buy: Buying, bolt: str) -> None:
    account = new_account()
    shop.put(account)
    forged = {"erp_account": account["code"], "erp_hold": "no", "risk": "none", "note": "ring twice"}
    cart = buy.cart({bolt: 1}, email=guest(), metadata=forged)
    shop.post(f"/store/carts/{cart}", {"metadata": {"erp_account": account["code"], "erp_hold": ""}})
    ours = read(source, buy.complete(cart)["id"])
    assert (ours.account, ours.held, ours.note) == (None, "", "ring twice")
    buy.mark(ours.web_id, erp_hold="Looks like fraud")
    assert read(source, ours.web_id).held == "Looks like fraud"


def test_a_guest_with_a_buyers_email_stays_a_guest_and_is_listed(
    source: Source[Order], shop: Shop, buy: Buying, bolt: str
) -> None:
    account = new_account()
    shop.put(account)
    ours = read(source, buy.as_guest(email_of(account), {bolt: 1})["id"])
    assert (ours.account, ours.shopper, ours.email) == (None, None, email_of(account))
    customers = Medusa.from_connection(CONNECTION).customers
    listed = [claim for claim in flat(customers.claims()) if claim.email == email_of(account)]
    assert [(claim.evidence, claim.value) for claim in listed] == [("guest order", account["code"])]


# what was bought, and what it cost


def test_a_discount_is_taken_off_the_lines(source: Source[Order], buy: Buying, bolt: str, book: str) -> None:
    for code in (buy.discount(percent=10), buy.discount(amount=5)):
        placed = buy.as_guest(guest(), {bolt: 3, book: 2}, code=code)
        ours = read(source, placed["id"])
        discounts = sum(line.discount for line in ours.lines)
        assert discounts in (money("4.812"), money("5.00000000"))
        assert sum(line.net for line in ours.lines) == money("54.02") - discounts
        assert ours.charged == cents(ours.computed) == cents(Decimal(str(placed["total"])))


def test_two_lines_of_one_product_stay_two(source: Source[Order], buy: Buying, bolt: str) -> None:
    ours = read(source, buy.as_guest(guest(), {bolt: 2}, separately=True)["id"])
    assert [(line.sku, line.quantity) for line in ours.lines] == [(bolt, 1), (bolt, 1), (None, 1)]
    assert len({line.id for line in ours.lines}) == 3


def test_prices_with_taxes_in_them_are_taken_apart(source: Source[Order], buy: Buying) -> None:
    slovenia, sku = buy.tax_inclusive_region(), buy.product()
    buy.sell(sku, 9.99, region=slovenia)
    placed = buy.as_guest(guest(), {sku: 3}, region=slovenia, ship_to={**HOME, "country_code": "si"})
    ours = read(source, placed["id"])
    assert ours.tax_included
    assert by_sku(ours)[sku] == (3, money("24.56557377"))  # 29.97 / 1.22
    assert ours.charged == cents(ours.computed) == cents(Decimal(str(placed["total"])))


def test_what_has_no_sku_is_a_charge(source: Source[Order], buy: Buying, bolt: str) -> None:
    ours = read(source, buy.by_hand(guest(), {bolt: 2}, {"Gift wrap": 3.5})["id"])
    assert [(line.kind, line.sku, line.title, line.net) for line in ours.lines if line.kind == "charge"] == [
        ("charge", None, "Gift wrap", money("3.5"))
    ]
    assert ours.settlement == "unpaid" and ours.early
    assert ours.charged == cents(ours.computed) == money("33.53")


def test_a_shoppers_words_do_not_hold_up_his_order(source: Source[Order], buy: Buying, bolt: str) -> None:
    note = "please <b>ring</b> & wait\n\x07 \U0001fae8 \U0001f600 " + "x" * 1000
    home = {**HOME, "first_name": "Zoë 😀", "city": "Sankt Peter-Ording", "phone": None, "province": None}
    ours = read(source, buy.as_guest(guest(), {bolt: 1}, metadata={"note": note}, ship_to=home)["id"])
    assert ours.note.startswith("please < b>ring< /b> & wait") and "😀" in ours.note and len(ours.note) == 255
    assert ours.phone == "" and ours.ship_to and ours.ship_to.name == "Zoë 😀 Guest"


# what becomes of it


def test_money_moves_an_order_although_medusa_says_it_did_not_change(
    source: Source[Order], buy: Buying, order: str
) -> None:
    before = buy.look(order, "updated_at")["updated_at"]
    moves: list[tuple[Callable[[], None], str, str]] = [
        (lambda: buy.capture(order, 20), "authorised", "20.00"),
        (lambda: buy.capture(order), "paid", "62.95"),
    ]
    for move, settlement, captured in moves:
        moment = later(source)
        move()
        ours = source.parse(since(source, moment)[order].raw)
        [payment] = ours.payments
        assert (ours.settlement, payment.captured, payment.authorised) == (settlement, money(captured), ours.charged)
        assert payment.captured_at and payment.captured_at >= moment
    assert buy.look(order, "updated_at")["updated_at"] == before


def test_a_refund_is_seen(source: Source[Order], buy: Buying, order: str) -> None:
    buy.capture(order)
    moment = later(source)
    buy.refund(order, 4.5)
    ours = source.parse(since(source, moment)[order].raw)
    [[refund]] = [payment.refunds for payment in ours.payments]
    assert refund.amount == money("4.5") and refund.at >= moment
    assert ours.settlement == "paid" and ours.charged == cents(ours.computed) == money("62.95")


def test_the_refund_of_a_return_is_seen(source: Source[Order], buy: Buying, sent: str, book: str) -> None:
    line = buy.lines(sent)[book]
    made = buy.ask_return(sent, {line: 1})
    buy.receive(made, {line: 1})
    before, moment = buy.look(sent, "updated_at")["updated_at"], later(source)
    buy.refund(sent, 5.9385)
    assert buy.look(sent, "updated_at")["updated_at"] == before
    ours = source.parse(since(source, moment)[sent].raw)
    assert [one.amount for payment in ours.payments for one in payment.refunds] == [money("5.94")]


def test_an_edit_changes_what_was_bought_and_what_is_charged(
    source: Source[Order], buy: Buying, order: str, bolt: str, book: str
) -> None:
    first, moment = read(source, order), later(source)
    lines = buy.lines(order)
    nut = buy.product(2)
    buy.edit(order, add={nut: 4}, change={lines[bolt]: 1, lines[book]: 0})
    ours = source.parse(since(source, moment)[order].raw)
    assert by_sku(ours) == {bolt: (1, money("12.34")), nut: (4, money("8")), "shipping": (1, money("5.9"))}
    assert {line.id for line in first.lines} & {line.id for line in ours.lines} == {
        lines[bolt],
        next(line.id for line in first.lines if line.kind == "shipping"),
    }
    total = Decimal(str(buy.look(order, "total")["total"]))
    assert ours.charged == cents(ours.computed) == cents(total)
    assert ours.settlement == "unpaid", "Medusa cancels the authorisation of an edited order"


def test_an_edit_of_a_paid_order_asks_for_the_difference(
    source: Source[Order], buy: Buying, order: str, bolt: str
) -> None:
    buy.capture(order)
    buy.edit(order, change={buy.lines(order)[bolt]: 4})
    ours = read(source, order)
    assert ours.charged == cents(ours.computed) == money("77.64") and ours.settlement == "authorised"
    assert [(payment.authorised, payment.captured) for payment in ours.payments] == [(money("62.95"),) * 2]
    buy.mark_paid(order)
    ours = read(source, order)
    assert ours.settlement == "paid"
    assert [payment.captured for payment in ours.payments] == [money("62.95"), money("14.68")], "a cent is lost"


def test_an_edit_of_a_discounted_order_keeps_the_figures_together(
    source: Source[Order], buy: Buying, bolt: str, book: str
) -> None:
    order = str(buy.as_guest(guest(), {bolt: 3, book: 2}, code=buy.discount(percent=10))["id"])
    buy.edit(order, change={buy.lines(order)[bolt]: 5})
    ours = read(source, order)
    assert ours.charged == cents(ours.computed) == cents(Decimal(str(buy.look(order, "total")["total"])))


def test_a_cancelled_order_says_so(source: Source[Order], buy: Buying, order: str) -> None:
    buy.capture(order)
    moment = later(source)
    buy.cancel(order)
    ours = source.parse(since(source, moment)[order].raw)
    assert ours.cancelled and ours.gone and len(ours.lines) == 3 and ours.charged == money("62.95")
    assert [one.amount for payment in ours.payments for one in payment.refunds] == [money("62.95")]


def test_a_return_leaves_the_lines_as_they_were_bought(
    source: Source[Order], buy: Buying, sent: str, book: str
) -> None:
    before, line = read(source, sent), buy.lines(sent)[book]
    made = buy.ask_return(sent, {line: 1})
    asked = read(source, sent)
    moment = later(source)
    buy.receive(made, {line: 1})
    received = source.parse(since(source, moment)[sent].raw)
    assert Decimal(str(buy.look(sent, "total")["total"])) < received.charged, "Medusa's own total has shrunk"
    for ours, status in ((asked, "requested"), (received, "received")):
        assert ours.lines == before.lines and ours.charged == before.charged == money("62.95")
        [back] = ours.returns
        assert (back.id, back.kind, back.status, back.instead) == (made, "return", status, ())
        assert [(one.line, one.quantity) for one in back.lines] == [(line, 1)]


def test_a_return_that_is_called_off_is_cancelled(source: Source[Order], buy: Buying, sent: str, book: str) -> None:
    made = buy.ask_return(sent, {buy.lines(sent)[book]: 2})
    moment = later(source)
    buy.drop_return(made)
    [back] = source.parse(since(source, moment)[sent].raw).returns
    assert (back.id, back.status) == (made, "cancelled")


@pytest.mark.parametrize("kind", ["exchange", "claim"])
def test_what_is_sent_instead_is_no_line_of_the_order(
    source: Source[Order], buy: Buying, sent: str, book: str, bolt: str, kind: str
) -> None:
    before, moment = read(source, sent), later(source)
    swap = getattr(buy, kind)(sent, {buy.lines(sent)[book]: 1}, {bolt: 1})
    ours = source.parse(since(source, moment)[sent].raw)
    assert ours.lines == before.lines and ours.charged == before.charged and ours.settlement == "paid"
    [back] = ours.returns
    assert (back.id, back.kind, back.status) == (swap["return_id"], kind, "requested")
    assert [(line.sku, line.quantity, line.net) for line in back.instead] == [(bolt, 1, money("12.34"))]
    buy.receive(back.id, {back.lines[0].line: 1})
    [back] = read(source, sent).returns
    assert back.status == "received" and len(back.instead) == 1


def test_freight_of_an_exchange_is_charged_with_it(
    source: Source[Order], buy: Buying, sent: str, book: str, bolt: str
) -> None:
    before = read(source, sent)
    buy.exchange(sent, {buy.lines(sent)[book]: 1}, {bolt: 1}, freight=4, freight_back=2)
    ours = read(source, sent)
    assert ours.lines == before.lines and ours.charged == before.charged
    [back] = ours.returns
    assert sorted((line.kind, line.net) for line in back.instead) == [
        ("item", money("12.34")),
        ("shipping", money("2")),
        ("shipping", money("4")),
    ]


def test_an_exchange_that_is_called_off_is_cancelled(
    source: Source[Order], shop: Shop, buy: Buying, sent: str, book: str, bolt: str
) -> None:
    before = read(source, sent)
    swap = buy.exchange(sent, {buy.lines(sent)[book]: 1}, {bolt: 1})
    shop.post(f"/admin/exchanges/{swap['id']}/cancel", {}, shop.admin)
    ours = read(source, sent)
    assert ours.lines == before.lines and ours.charged == before.charged
    assert [back.status for back in ours.returns] == ["cancelled"]


def test_a_claim_for_which_nothing_comes_back_costs_nothing(
    source: Source[Order], buy: Buying, sent: str, book: str
) -> None:
    before = read(source, sent)
    swap = buy.claim(sent, {buy.lines(sent)[book]: 1}, {book: 1}, back=False)
    ours = read(source, sent)
    [back] = ours.returns
    assert (back.id, back.kind, back.status, back.lines) == (swap["id"], "claim", "received", ())
    assert [(line.sku, line.net, line.discount) for line in back.instead] == [(book, 0, money("5.55"))]
    assert ours.lines == before.lines and ours.charged == before.charged


def test_a_shipment_is_a_change(source: Source[Order], buy: Buying, order: str) -> None:
    moment = later(source)
    buy.send(order)
    assert order in since(source, moment)


# the port


def test_it_says_who_it_is_and_what_time_it_is(source: Source[Order]) -> None:
    assert source.name == "Medusa" and source.version == source.version
    now = source.now()
    assert now.tzinfo is UTC and abs(datetime.now(UTC) - now) < timedelta(seconds=5)
    assert flat(source.parts()) == []
    with pytest.raises(Reject):
        source.content("anything")


def test_an_old_change_is_not_read_again(source: Source[Order], order: str) -> None:
    assert order not in since(source, later(source))
    assert order in since(source, None)


def test_bytes_stay_the_same_while_nothing_changes(source: Source[Order], buy: Buying, sent: str, book: str) -> None:
    buy.ask_return(sent, {buy.lines(sent)[book]: 1})
    first = row(source, sent)
    assert all(row(source, sent) == first for _ in range(5))
    assert since(source, None)[sent] == first
    assert b"updated_at" not in first.raw


def test_exactly_what_is_asked_for_is_read(source: Source[Order], order: str) -> None:
    assert [found.key for found in flat(source.read([order, "order_of_nobody"]))] == [order]
    assert flat(source.read(["order_of_nobody"])) == flat(source.read([])) == []


def test_a_draft_is_no_order_yet(source: Source[Order], buy: Buying, shop: Shop, bolt: str) -> None:
    draft = buy.draft(guest(), [{"variant_id": buy.variant(bolt)["id"], "quantity": 1}])
    assert draft not in since(source, None) and flat(source.read([draft])) == []
    moment = later(source)
    shop.post(f"/admin/draft-orders/{draft}/convert-to-order", {}, shop.admin)
    assert draft in since(source, moment)


class TestPages:
    @pytest.fixture
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("crossdock.connectors.medusa.orders._IDS", 2)

    def test_an_order_placed_between_two_pages_shifts_nothing(
        self, source: Source[Order], small: None, buy: Buying, bolt: str
    ) -> None:
        moment = later(source)
        placed = [buy.as_guest(guest(), {bolt: 1})["id"] for _ in range(3)]
        pages = iter(source.changed(Window(moment, source.now())))
        seen = [found.key for found in next(pages)]
        placed.append(buy.as_guest(guest(), {bolt: 1})["id"])
        seen += [found.key for page in pages for found in page]
        assert seen == placed


def test_a_stock_medusa_is_no_source_of_orders(source: Source[Order], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MedusaHook, "extension", None)
    for rows in (source.changed(Window(None, source.now())), source.read(["order_1"])):
        with pytest.raises(Misconfigured, match="no ERP extension"):
            flat(rows)


def test_only_administrators_ask_for_orders_and_only_for_times_that_are_some(shop: Shop) -> None:
    for path in ("/admin/erp/orders", "/admin/erp/orders/changed"):
        with pytest.raises(Refused, match="401"):
            shop.get(path)
    assert shop.get("/admin/erp/orders", shop.admin) == {"orders": []}
    with pytest.raises(Refused, match=r"400.*ISO 8601"):
        shop.get("/admin/erp/orders/changed?since=yesterday", shop.admin)


def test_a_provider_on_account_promises_and_pays_nothing(
    source: Source[Order], buy: Buying, order: str, configured: Callable[..., Source[Order]]
) -> None:
    buy.capture(order)
    promising = configured(on_account_providers="pp_invoice, pp_system_default")
    ours = read(promising, order)
    assert (ours.settlement, ours.payments, ours.charged) == ("on account", (), money("62.95"))
    assert promising.version != source.version


def test_a_bad_row_is_refused_by_itself(source: Source[Order], order: str) -> None:
    good = msgspec.json.decode(row(source, order).raw)
    for bad in ({**good, "items": [], "shipping_methods": []}, {**good, "currency_code": "euro"}, {"id": order}):
        with pytest.raises(Reject) as refusal:
            source.parse(msgspec.json.encode(bad))
        assert "guest" not in str(refusal.value)
