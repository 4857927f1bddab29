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
from crossdock.domain.order_status import OrderStatus, Parcel, Part, Shipment
from crossdock.errors import Misconfigured, Reject

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
