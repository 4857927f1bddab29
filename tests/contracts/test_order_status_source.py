"""What a source of order statuses promises (``ports.Source``), on the real Tryton, with a warehouse at work in it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from tests.contracts.asking import flat, later, since
from tests.erp_fixtures import CONNECTION, RunningErp
from tests.warehouse import Warehouse, today

from crossdock.connectors.tryton.adapter import Tryton
from crossdock.connectors.tryton.order_status import Statuses
from crossdock.domain.order_status import CreditNote, OrderStatus, Parcel, Part, Refund, Return, Shipment
from crossdock.errors import Misconfigured, Reject
from sandbox.merchant import WEB_PAYMENTS

pytestmark = pytest.mark.e2e

URLS = {"tracking_urls": "DHL=https://dhl.example/?id={number}&l=de, ups=https://ups.example/{number}"}
A, B = "ordli_A", "ordli_B"


@pytest.fixture
def source(erp: RunningErp) -> Statuses:
    return Tryton.from_connection(CONNECTION).order_status


@pytest.fixture
def warehouse(erp: RunningErp) -> Warehouse:
    return Warehouse(erp.admin)


def status(source: Statuses, warehouse: Warehouse, sale: int) -> OrderStatus:
    [row] = flat(source.read([warehouse.web_id(sale)]))
    return source.parse(row.raw)


def parts(shipment: Shipment) -> dict[str, int]:
    return {part.line: int(part.quantity) for part in shipment.parts}


def test_a_confirmed_order_is_open_with_all_of_it_in_one_shipment(source, warehouse):
    sale = warehouse.order((A, 5), (B, 2))
    [shipment] = warehouse.shipments(sale)
    ours = status(source, warehouse, sale)
    assert (ours.key, ours.state, ours.promised) == (warehouse.web_id(sale), "open", today())
    assert abs(ours.booked_at - source.now()) < dt.timedelta(minutes=1)
    assert ours.shipments == (
        Shipment(
            number=warehouse.number(shipment),
            warehouse="WH-HAM",
            status="open",
            carrier="DHL",
            parts=(Part(line=A, quantity=Decimal(5)), Part(line=B, quantity=Decimal(2))),
        ),
    )


def test_what_could_not_be_picked_waits_in_another_shipment(source, warehouse):
    sale = warehouse.order((A, 5), (B, 2))
    [first] = warehouse.shipments(sale)
    warehouse.leave(first, 3)
    ours = status(source, warehouse, sale)
    assert (ours.state, ours.promised) == ("partly sent", today())
    assert [(one.status, parts(one)) for one in ours.shipments] == [("sent", {A: 3, B: 2}), ("open", {A: 2})]
    warehouse.leave(warehouse.shipments(sale)[1])
    ours = status(source, warehouse, sale)
    assert (ours.state, ours.promised) == ("sent", None)
    assert [(one.status, one.sent_on) for one in ours.shipments] == [("sent", today())] * 2


def test_kits_are_sent_as_often_as_all_their_parts_are(source, warehouse, erp):
    """KIT001: a helmet, ear defenders, five pairs of gloves."""
    kit = erp.admin.id_of("product.product", ["code", "=", "KIT001"])
    sale = warehouse.order(lines=[["create", [{**warehouse.line(A, 3), "product": kit}, warehouse.line(B, 1)]]])
    [first] = warehouse.shipments(sale)
    ours = status(source, warehouse, sale)
    assert (ours.state, ours.promised, parts(ours.shipments[0])) == ("open", today(), {A: 3, B: 1})
    [row] = erp.admin("model.stock.shipment.out.read", [first], ["inventory_moves.product.code"])
    codes = [move["product."]["code"] for move in sorted(row["inventory_moves."], key=lambda move: move["id"])]
    picked = {"SH001-YELLOW": 3, "ED001": 3, "NG001-M": 11}
    warehouse.leave(first, *(picked.get(code, 1) for code in codes))
    ours = status(source, warehouse, sale)
    assert [(one.status, parts(one)) for one in ours.shipments] == [("sent", {A: 2, B: 1}), ("open", {A: 1})]
    assert ours.state == "partly sent"
    warehouse.leave(warehouse.shipments(sale)[1])
    ours = status(source, warehouse, sale)
    assert (ours.state, [parts(one) for one in ours.shipments]) == ("sent", [{A: 2, B: 1}, {A: 1}])
    assert flat(source.read([warehouse.web_id(sale)])) == flat(source.read([warehouse.web_id(sale)]))


def test_the_same_product_on_two_lines_is_told_by_line_and_pieces_of_one_line_add_up(source, warehouse):
    sale = warehouse.order((A, 4), (f"{A}\nrounding", 1), (B, 2), ("added by the ERP's people", 7), ("", 9))
    [shipment] = status(source, warehouse, sale).shipments
    assert parts(shipment) == {A: 5, B: 2}


def test_done_is_delivered_only_where_tryton_was_told_before_that_it_is_on_its_way(source, warehouse):
    sale = warehouse.order((A, 1))
    [shipment] = warehouse.shipments(sale)
    warehouse.leave(shipment, on_the_way=True)
    ours = status(source, warehouse, sale)
    assert (ours.state, ours.shipments[0].status) == ("sent", "sent")
    warehouse.arrive(shipment)
    ours = status(source, warehouse, sale)
    assert (ours.state, ours.shipments[0].status) == ("sent", "delivered")


def test_each_package_is_a_parcel_with_its_carriers_url(source, warehouse, altered):
    altered(extra=URLS)
    source = Tryton.from_connection(CONNECTION).order_status
    sale = warehouse.order((A, 1), (B, 1))
    [shipment] = warehouse.shipments(sale)
    warehouse.pick(shipment)
    warehouse.parcel(shipment, "00 1/2", move=0)
    warehouse.parcel(shipment, "002", move=1)
    [ours] = status(source, warehouse, sale).shipments
    assert ours.parcels == (
        Parcel(tracking_number="00 1/2", url="https://dhl.example/?id=00%201%2F2&l=de"),
        Parcel(tracking_number="002", url="https://dhl.example/?id=002&l=de"),
    )


def test_without_numbers_on_packages_those_of_the_shipment_count(source, warehouse):
    sale = warehouse.order((A, 1))
    [shipment] = warehouse.shipments(sale)
    warehouse.write("stock.shipment.out", shipment, shipping_reference=" 1Z9, 1Z8,1Z9 ")
    warehouse.leave(shipment)
    [ours] = status(source, warehouse, sale).shipments
    assert [(one.tracking_number, one.url) for one in ours.parcels] == [("1Z9", None), ("1Z8", None)]


def test_a_quotation_is_held(source, warehouse):
    assert status(source, warehouse, warehouse.order((A, 1), confirm=False)).state == "held"


def test_a_cancelled_sale(source, warehouse, erp):
    sale = warehouse.order((A, 1), confirm=False)
    erp.admin.press("sale.sale", "cancel", [sale])
    assert status(source, warehouse, sale).state == "cancelled"


def test_a_cancelled_shipment_is_a_problem_until_a_person_says_what_is_to_become_of_it(source, warehouse):
    sale = warehouse.order((A, 1))
    [shipment] = warehouse.shipments(sale)
    warehouse.cancel(shipment)
    ours = status(source, warehouse, sale)
    assert (ours.state, ours.shipments[0].status, ours.shipments[0].parts) == ("problem", "cancelled", ())
    warehouse.give_up(sale)
    assert status(source, warehouse, sale).state == "cancelled"


def test_given_up_in_part_is_sent(source, warehouse):
    sale = warehouse.order((A, 5))
    warehouse.leave(warehouse.shipments(sale)[0], 3)
    warehouse.cancel(warehouse.shipments(sale)[1])
    assert status(source, warehouse, sale).state == "problem"
    warehouse.give_up(sale)
    assert status(source, warehouse, sale).state == "sent"


def test_the_promised_day_is_the_last_one(source, warehouse):
    sale = warehouse.order((A, 5))
    warehouse.leave(warehouse.shipments(sale)[0], 3)
    day = today() + dt.timedelta(days=9)
    warehouse.write("stock.shipment.out", warehouse.shipments(sale)[1], planned_date=day)
    assert status(source, warehouse, sale).promised == day


def test_an_amended_sale_has_another_shipment(source, warehouse, erp):
    sale = warehouse.order((A, 5), (B, 2))
    [before] = status(source, warehouse, sale).shipments
    warehouse.write("sale.line", warehouse.lines(sale)[0], quantity=3.0)
    erp.admin.press("sale.amendment", "validate_amendment", erp.admin.create("sale.amendment", {"sale": sale}))
    ours = status(source, warehouse, sale)
    assert (ours.state, [parts(one) for one in ours.shipments]) == ("open", [{A: 3, B: 2}])
    assert ours.shipments[0].number != before.number


@pytest.fixture
def sent(warehouse: Warehouse) -> int:
    """A sale of five and two, all of it gone and invoiced."""
    sale = warehouse.order((A, 5), (B, 2))
    warehouse.leave(warehouse.shipments(sale)[0])
    return sale


def test_a_return_made_in_the_erp_is_told_once_its_goods_are_there(source, warehouse, sent):
    back = warehouse.take_back(sent, 2, 0)
    assert status(source, warehouse, sent).returns == ()
    number = warehouse.receive(back)
    ours = status(source, warehouse, sent)
    assert ours.returns == (Return(number=number, warehouse="WH-HAM", parts=(Part(line=A, quantity=Decimal(2)),)),)
    assert ours.state == "sent" and [parts(one) for one in ours.shipments] == [{A: 5, B: 2}]


def test_what_comes_back_in_parts_is_a_return_each(source, warehouse, sent):
    back = warehouse.take_back(sent, 4, 0)
    numbers = [warehouse.receive(back, 3), warehouse.receive(back)]
    told = status(source, warehouse, sent).returns
    assert [(one.number, [int(part.quantity) for part in one.parts]) for one in told] == [
        (numbers[0], [3]),
        (numbers[1], [1]),
    ]


def test_a_return_of_the_shop_is_told_under_the_shops_id_with_all_that_came_of_it(source, warehouse, sent):
    back = warehouse.order((A, -4), origin=f"sale.sale,{sent}", web_id=f"return_{sent}")
    warehouse.receive(back, 3)
    warehouse.receive(back)
    [told] = status(source, warehouse, sent).returns
    assert (told.web_id, [int(part.quantity) for part in told.parts]) == (f"return_{sent}", [4])


def test_what_is_sent_instead_is_a_shipment_of_the_order_and_may_come_back(source, warehouse, sent):
    instead = warehouse.order(("ordli_N", 2), origin=f"sale.sale,{sent}", web_id=f"exchange_{sent}/instead")
    warehouse.leave(warehouse.shipments(instead)[0])
    number = warehouse.receive(warehouse.take_back(instead, 1))
    ours = status(source, warehouse, sent)
    assert [(one.status, parts(one)) for one in ours.shipments] == [("sent", {A: 5, B: 2}), ("sent", {"ordli_N": 2})]
    assert [(one.number, one.web_id, one.parts[0].line) for one in ours.returns] == [(number, None, "ordli_N")]


def test_credit_notes_are_told_whether_they_come_of_a_return_or_of_an_invoice(source, warehouse, sent):
    warehouse.post(sent)
    assert status(source, warehouse, sent).credit_notes == ()
    back = warehouse.take_back(sent, 2, 0)
    warehouse.receive(back)
    assert status(source, warehouse, sent).credit_notes == ()
    first, second = warehouse.post(back), warehouse.credit(sent)
    assert status(source, warehouse, sent).credit_notes == (
        CreditNote(number=first, on=today(), amount=Decimal("20.00")),
        CreditNote(number=second, on=today(), amount=Decimal("70.00")),
    )


def test_money_paid_back_is_told_for_the_sale_its_return_and_its_credit_note(source, warehouse, sent, altered):
    altered(extra={"payment_journal": WEB_PAYMENTS})
    source = Tryton.from_connection(CONNECTION).order_status
    warehouse.post(sent)
    back = warehouse.take_back(sent, 2, 0)
    warehouse.receive(back)
    note = warehouse.post(back)
    numbers = [
        warehouse.pay_back("1.00", sale=sent, reference="ref_1"),
        warehouse.pay_back("2.00", sale=back, reference="by hand, sorry"),
        warehouse.pay_back("3.00", note=note),
    ]
    made = {"on": today(), "by_shop": True}
    assert sorted(status(source, warehouse, sent).refunds, key=lambda one: one.amount) == [
        Refund(number=numbers[0], web_id="ref_1", amount=Decimal(1), **made),
        Refund(number=numbers[1], amount=Decimal(2), **made),
        Refund(number=numbers[2], amount=Decimal(3), **made),
    ]


def test_money_that_went_another_way_is_none_of_the_shops_to_give_back(source, warehouse, sent):
    warehouse.pay_back("1.00", sale=sent)
    assert [one.by_shop for one in status(source, warehouse, sent).refunds] == [False]


LATER: dict[str, Callable[[Warehouse, int, int], Any]] = {
    "received": lambda hands, sale, back: hands.receive(back),
    "the invoice credited": lambda hands, sale, back: hands.credit(sale),
    "paid back": lambda hands, sale, back: hands.pay_back("1.00", sale=sale),
    "paid back for the return": lambda hands, sale, back: hands.pay_back("1.00", sale=back),
}


@pytest.mark.parametrize("what", LATER)
def test_what_comes_of_an_order_later_is_a_change_of_it(source, warehouse, sent, what):
    warehouse.post(sent)
    other, back = warehouse.order((A, 5)), warehouse.take_back(sent, 2, 0)
    before = status(source, warehouse, sent)
    moment = later(source)
    LATER[what](warehouse, sent, back)
    rows = since(source, moment)
    assert source.parse(rows[warehouse.web_id(sent)].raw) != before
    assert warehouse.web_id(other) not in rows


def test_the_credit_note_of_a_return_and_what_is_paid_for_it_are_changes_of_the_order(source, warehouse, sent):
    back = warehouse.take_back(sent, 2, 0)
    warehouse.receive(back)
    moment = later(source)
    note = warehouse.post(back)
    assert source.parse(since(source, moment)[warehouse.web_id(sent)].raw).credit_notes
    moment = later(source)
    warehouse.pay_back("3.00", note=note)
    assert source.parse(since(source, moment)[warehouse.web_id(sent)].raw).refunds


def test_bytes_stay_the_same_while_nothing_comes_of_it(source, warehouse, sent):
    warehouse.post(sent)
    warehouse.receive(warehouse.take_back(sent, 2, 1))
    warehouse.credit(sent)
    warehouse.pay_back("1.00", sale=sent)
    key = warehouse.web_id(sent)
    assert flat(source.read([key])) == flat(source.read([key])) == [since(source, None)[key]]


CHANGES: dict[str, Callable[[Warehouse, int, int], Any]] = {
    "a line's note": lambda hands, sale, shipment: hands.write("sale.line", hands.lines(sale)[0], note="ordli_C"),
    "a move": lambda hands, sale, shipment: hands.write(
        "stock.move", hands.move(shipment), planned_date=today() + dt.timedelta(days=3)
    ),
    "a package more": lambda hands, sale, shipment: hands.parcel(shipment, "T1"),
    "the carrier": lambda hands, sale, shipment: hands.write(
        "stock.shipment.out", shipment, carrier=hands.carrier("UPS")
    ),
    "on its way": lambda hands, sale, shipment: hands.leave(shipment, on_the_way=True),
    "done": lambda hands, sale, shipment: hands.leave(shipment),
    "part of it left": lambda hands, sale, shipment: hands.leave(shipment, 3),
    "cancelled": lambda hands, sale, shipment: hands.cancel(shipment),
}


@pytest.mark.parametrize("what", CHANGES)
def test_every_change_is_seen_and_old_ones_are_not(source, warehouse, what):
    sale, other = warehouse.order((A, 5)), warehouse.order((A, 5))
    [shipment] = warehouse.shipments(sale)
    before = status(source, warehouse, sale)
    moment = later(source)
    CHANGES[what](warehouse, sale, shipment)
    rows = since(source, moment)
    assert source.parse(rows[warehouse.web_id(sale)].raw) != before
    assert warehouse.web_id(other) not in rows


def test_a_number_given_to_a_package_after_it_left_is_seen(source, warehouse):
    sale = warehouse.order((A, 1))
    [shipment] = warehouse.shipments(sale)
    warehouse.pick(shipment)
    package = warehouse.parcel(shipment)
    warehouse.pack(shipment)
    warehouse.arrive(shipment)
    moment = later(source)
    warehouse.write("stock.package", package, shipping_reference="LATE")
    [ours] = source.parse(since(source, moment)[warehouse.web_id(sale)].raw).shipments
    assert [parcel.tracking_number for parcel in ours.parcels] == ["LATE"]


def test_bytes_stay_the_same_while_nothing_changes(source, warehouse):
    sale = warehouse.order((A, 3), (B, 3))
    warehouse.leave(warehouse.shipments(sale)[0], 2, 1)
    key = warehouse.web_id(sale)
    first = since(source, None)[key]
    assert flat(source.read([key])) == [first] == [since(source, None)[key]]
    assert first.source_id == str(sale)


def test_returns_and_orders_of_other_channels_are_none_of_its_business(source, warehouse):
    sale = warehouse.order((A, 5))
    back = warehouse.order((A, -1), origin=f"sale.sale,{sale}", web_id="return_1")
    offline = warehouse.order((A, 1), web_shop=None, web_id=None)
    rows = since(source, None)
    assert warehouse.web_id(sale) in rows and "return_1" not in rows
    assert {str(back), str(offline)}.isdisjoint(row.source_id for row in rows.values())
    assert flat(source.read(["return_1", "nobody's"])) == [] == flat(source.read([])) == flat(source.parts())


@pytest.mark.parametrize("setting", ["orders_shop", "web_shop"])
def test_only_the_orders_of_the_settings_shop_are_read(warehouse, altered, erp, setting):
    [other] = erp.admin.create("web.shop", {
        "name": f"Other {setting}", "company": 1,
        "currency": erp.admin.id_of("currency.currency", ["code", "=", "EUR"]),
        "warehouses": [["add", [erp.admin.id_of("stock.location", ["code", "=", "WH-HAM"])]]],
    })  # fmt: skip
    ours, theirs = warehouse.order((A, 1), web_shop=other), warehouse.order((A, 1))
    altered(extra={setting: f"Other {setting}"})
    source = Tryton.from_connection(CONNECTION).order_status
    assert set(since(source, None)) == {warehouse.web_id(ours)}
    assert flat(source.read([warehouse.web_id(theirs)])) == []


def test_a_shop_that_is_not_there_stops_the_run(altered, erp):
    altered(extra={"orders_shop": "Nirgendwo"})
    source = Tryton.from_connection(CONNECTION).order_status
    with pytest.raises(Misconfigured, match="Nirgendwo"):
        flat(source.read(["order_1"]))


@pytest.mark.parametrize("urls", ["DHL", "DHL=dhl.example/{number}", "DHL=https://dhl.example", "=https://x/{number}"])
def test_urls_that_lead_nowhere_stop_the_run(altered, erp, urls):
    altered(extra={"tracking_urls": urls})
    with pytest.raises(Misconfigured, match="tracking_urls"):
        Tryton.from_connection(CONNECTION).order_status.parse(b"{}")


def test_a_bad_row_travels_with_the_good_ones(source, warehouse):
    good, bad = warehouse.order((A, 1)), warehouse.order((A, 1), web_id="<b>bad</b>")
    rows = since(source, None)
    assert source.parse(rows[warehouse.web_id(good)].raw)
    with pytest.raises(Reject, match="web_id"):
        source.parse(rows[warehouse.web_id(bad)].raw)


def test_the_version_follows_the_settings(source, altered):
    before = source.version
    altered(extra=URLS)
    assert Tryton.from_connection(CONNECTION).order_status.version != before == source.version
