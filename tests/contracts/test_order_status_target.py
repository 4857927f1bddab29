"""What a target of order statuses promises (``ports.Target``), on the real Medusa."""

from __future__ import annotations

import datetime as dt
import itertools
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from tests.buying import Buying
from tests.shop_fixtures import CONNECTION, Refused, Shop

from crossdock.connectors.medusa.adapter import Medusa
from crossdock.connectors.medusa.order_status import Statuses
from crossdock.domain.order import Order
from crossdock.domain.order_status import CreditNote, OrderStatus, Parcel, Part, Refund, Return, Shipment
from crossdock.errors import AnswerLost, Reject
from crossdock.ports import Found, Outcome, Put
from crossdock.sync.steps import write

pytestmark = pytest.mark.e2e

BOOKED = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
URL = "https://dhl.example/T1"

_numbers = itertools.count(1)


@pytest.fixture
def target(shop: Shop) -> Statuses:
    return Medusa.from_connection(CONNECTION).order_status


@pytest.fixture(scope="session")
def buy(shop: Shop) -> Buying:
    return Buying(shop)


@pytest.fixture
def sku(buy: Buying) -> str:
    """Nine of it in Hamburg, none in Berlin, where the shop keeps count of it as well."""
    new = buy.product(stock=9)
    buy.stock(new, {"WH-BER": 9})
    return new


@pytest.fixture
def writes(target: Statuses, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The last words of the paths that are posted to."""
    made: list[str] = []
    post = target._api.post

    def spy(path: str, body: Any, **more: Any) -> dict[str, Any]:
        made.append(path.split("?")[0].rsplit("/", 1)[1])
        return post(path, body, **more)

    monkeypatch.setattr(target._api, "post", spy)
    return made


def number() -> str:
    return f"SHP-{next(_numbers):04d}"


def sent(lines: dict[str, float], status: Any = "sent", **fields: Any) -> Shipment:
    """A shipment from Hamburg with so many of these lines."""
    parts = tuple(Part(line=line, quantity=Decimal(str(quantity))) for line, quantity in lines.items())
    defaults = {"number": number(), "warehouse": "WH-HAM", "carrier": "DHL"}
    return Shipment(**{**defaults, "status": status, "parts": parts, **fields})


def a_status(order: str, *shipments: Shipment, state: Any = "partly sent", **fields: Any) -> OrderStatus:
    return OrderStatus(
        **{"web_id": order, "number": "4711", "booked_at": BOOKED, "state": state, "shipments": shipments, **fields}
    )


def changed(shipment: Shipment, **fields: Any) -> Shipment:
    return Shipment(**{**dict(shipment), **fields})


def no_content(ref: str) -> bytes:
    raise AssertionError(f"{ref} was asked for")


def tell(target: Statuses, *statuses: OrderStatus, fingerprint: str = "f1") -> list[Outcome]:
    batch = [Put(one.key, "update", None, target.payload(one), fingerprint) for one in statuses]
    return list(target.put(batch, no_content))


def told(target: Statuses, status: OrderStatus, fingerprint: str = "f1") -> str | None:
    """Expects success; the note."""
    [outcome] = tell(target, status, fingerprint=fingerprint)
    assert outcome.refused is None and outcome.target_id == status.key
    return outcome.note


def refusal(target: Statuses, status: OrderStatus) -> Reject:
    [outcome] = tell(target, status)
    assert outcome.refused is not None
    assert target.find([status.key])[status.key].fingerprint is None
    return outcome.refused


def look(shop: Shop, order: str) -> dict[str, Any]:
    """The order as the shopper sees it who holds its link."""
    fields = "id,metadata,status,fulfillment_status,*items,*items.detail,*fulfillments,*fulfillments.labels"
    return dict(shop.get(f"/store/orders/{order}?fields={fields}")["order"])


def live(shop: Shop, order: str) -> list[dict[str, Any]]:
    return [one for one in look(shop, order)["fulfillments"] if not one["canceled_at"]]


def test_the_shopper_sees_number_status_and_the_promised_day(target, shop, buy, sku):
    order = buy.as_guest("a@guest.example", {sku: 2})["id"]
    told(target, a_status(order, state="open", promised=dt.date(2026, 12, 1)))
    marks = {"erp_number": "4711", "erp_status": "open", "erp_promised": "2026-12-01", "erp_fingerprint": "f1"}
    assert look(shop, order)["metadata"] == marks
    assert target.find([order, "order_nobodys"]) == {order: Found(order, "f1")}
    assert target.match([a_status(order), a_status("order_nobodys")]) == {order: Found(order, "f1")}
    told(target, a_status(order, state="held"), fingerprint="f2")
    assert look(shop, order)["metadata"] == {"erp_number": "4711", "erp_status": "held", "erp_fingerprint": "f2"}


def test_keys_are_orders_that_bear_a_number_of_the_erp(target, buy, sku):
    known, other = (buy.as_guest("a@guest.example", {sku: 1})["id"] for _ in range(2))
    told(target, a_status(known, state="open"))
    pages = target.keys()
    keys = {key for page in pages for key in page}
    assert known in keys and other not in keys


def test_a_part_is_sent_with_its_tracking_and_then_the_rest_from_another_place(target, shop, buy, sku):
    order = buy.as_guest("a@guest.example", {sku: 5})["id"]
    line = buy.lines(order)[sku]
    parcels = (Parcel(tracking_number="T1", url=URL), Parcel(tracking_number="T2"))
    first = sent({line: 2}, parcels=parcels)
    told(target, a_status(order, first))
    [fulfilment] = live(shop, order)
    assert fulfilment["shipped_at"] and fulfilment["metadata"] == {"erp_shipment": first.number}
    assert {label["tracking_number"]: label["tracking_url"] for label in fulfilment["labels"]} == {"T1": URL, "T2": ""}
    rest = sent({line: 3}, warehouse="WH-BER")
    told(target, a_status(order, first, rest, state="sent"), fingerprint="f2")
    seen = look(shop, order)
    assert {one["metadata"]["erp_shipment"] for one in seen["fulfillments"]} == {first.number, rest.number}
    assert seen["items"][0]["detail"]["shipped_quantity"] == 5
    levels = shop.get(f"/admin/inventory-items?sku={sku}&fields=*location_levels", shop.admin)["inventory_items"][0]
    assert sorted(one["stocked_quantity"] for one in levels["location_levels"]) == [6, 7]


def test_twice_is_the_same_as_once_and_writes_nothing(target, shop, buy, sku, writes):
    order = buy.as_guest("a@guest.example", {sku: 5})["id"]
    status = a_status(order, sent({buy.lines(order)[sku]: 2}, parcels=(Parcel(tracking_number="T1", url=URL),)))
    told(target, status)
    assert writes == ["fulfillments", "shipments", order]
    before = look(shop, order)
    writes.clear()
    told(target, status)
    assert writes == [] and look(shop, order) == before


def test_of_many_orders_each_gets_its_own(target, shop, buy, sku):
    orders = [buy.as_guest("a@guest.example", {sku: 1})["id"] for _ in range(3)]
    unknown = a_status("order_nobodys", state="open")
    statuses = [a_status(order, state="open", number=f"N{place}") for place, order in enumerate(orders)]
    outcomes = {outcome.key: outcome for outcome in tell(target, *statuses[:1], unknown, *statuses[1:])}
    assert outcomes["order_nobodys"].refused.code == "unknown_order"
    assert [look(shop, order)["metadata"]["erp_number"] for order in orders] == ["N0", "N1", "N2"]


def test_the_same_product_on_two_lines_goes_by_line(target, shop, buy, sku):
    order = buy.as_guest("a@guest.example", {sku: 2}, separately=True)["id"]
    first, second = sorted(item["id"] for item in look(shop, order)["items"])
    told(target, a_status(order, sent({second: 1})))
    shipped = {item["id"]: item["detail"]["shipped_quantity"] for item in look(shop, order)["items"]}
    assert shipped == {first: 0, second: 1}


def test_killed_between_fulfilment_and_shipment_it_goes_on(target, shop, buy, sku, writes):
    order = buy.as_guest("a@guest.example", {sku: 2})["id"]
    line = buy.lines(order)[sku]
    shipment = sent({line: 2}, parcels=(Parcel(tracking_number="T1", url=URL),))
    body = {
        "items": [{"id": line, "quantity": 2}],
        "location_id": buy._locations["WH-HAM"],
        "metadata": {"erp_shipment": shipment.number},
    }
    shop.post(f"/admin/orders/{order}/fulfillments", body, shop.admin)
    told(target, a_status(order, shipment, state="sent"))
    assert writes == ["shipments", order]
    [fulfilment] = live(shop, order)
    assert fulfilment["shipped_at"] and fulfilment["labels"][0]["tracking_number"] == "T1"


@pytest.mark.parametrize("step", ["fulfillments", "shipments", "mark-as-delivered", "order"])
@pytest.mark.parametrize("carried_out", [True, False])
def test_an_answer_is_lost_and_nothing_is_told_twice(target, shop, buy, sku, monkeypatch, step, carried_out):
    order = buy.as_guest("a@guest.example", {sku: 5})["id"]
    status = a_status(order, sent({buy.lines(order)[sku]: 2}, "delivered", parcels=(Parcel(tracking_number="T1"),)))
    post, lost = target._api.post, []

    def losing(path: str, body: Any, **more: Any) -> dict[str, Any]:
        last = path.split("?")[0].rsplit("/", 1)[1]
        if last != (order if step == "order" else step) or lost:
            return post(path, body, **more)
        lost.append(path)
        if carried_out:
            post(path, body, **more)
        raise AnswerLost("cut")

    monkeypatch.setattr(target._api, "post", losing)
    monkeypatch.setattr("crossdock.connectors.medusa.stillness._STILL", 0.3)
    batch = [Put(order, "update", None, target.payload(status), "f1")]
    [outcome] = write(target, batch, no_content)
    assert lost and outcome.refused is None
    [fulfilment] = live(shop, order)
    assert fulfilment["delivered_at"] and len(fulfilment["labels"]) == 1
    assert look(shop, order)["items"][0]["detail"]["shipped_quantity"] == 2
    assert target.find([order])[order].fingerprint == "f1"


def test_a_refusal_after_a_lost_answer_proves_nothing(target, buy, sku, monkeypatch):
    order = buy.as_guest("a@guest.example", {sku: 5})["id"]
    status = a_status(order, sent({buy.lines(order)[sku]: 2}))
    answers = [AnswerLost("cut"), Reject("invalid", "Timed-out acquiring lock.", "Wait.")]

    def failing(path: str, body: Any, **more: Any) -> dict[str, Any]:
        raise answers[0] if len(answers) == 1 else answers.pop(0)

    monkeypatch.setattr(target._api, "post", failing)
    monkeypatch.setattr("crossdock.connectors.medusa.stillness._STILL", 0.1)
    for _ in range(2):
        with pytest.raises(AnswerLost):
            tell(target, status)


def test_two_at_once_tell_the_shopper_once(target, shop, buy, sku, monkeypatch):
    monkeypatch.setattr("crossdock.connectors.medusa.stillness._STILL", 0.3)
    order = buy.as_guest("a@guest.example", {sku: 5})["id"]
    status = a_status(order, sent({buy.lines(order)[sku]: 2}))
    batch = [Put(order, "update", None, target.payload(status), "f1")]
    targets = [target, *(Medusa.from_connection(CONNECTION).order_status for _ in range(2))]
    with ThreadPoolExecutor(3) as pool:
        outcomes = [one for some in pool.map(lambda one: list(write(one, batch, no_content)), targets) for one in some]
    assert [outcome.refused for outcome in outcomes] == [None] * 3
    [fulfilment] = live(shop, order)
    assert fulfilment["shipped_at"]
    assert look(shop, order)["items"][0]["detail"]["shipped_quantity"] == 2


def test_the_shop_itself_fulfils_a_shipment_once(shop, buy, sku):
    order = buy.as_guest("a@guest.example", {sku: 5})["id"]

    def fulfil(metadata: Any, token: str | None) -> None:
        items = [{"id": buy.lines(order)[sku], "quantity": 1}]
        body = {"items": items, "location_id": buy._locations["WH-HAM"], "metadata": metadata}
        shop.post(f"/admin/orders/{order}/fulfillments", body, token)

    shipment = {"erp_shipment": number()}
    fulfil(shipment, shop.admin)
    with pytest.raises(Refused, match="409"):
        fulfil(shipment, shop.admin)
    with pytest.raises(Refused, match="401"):
        fulfil(shipment, None)
    fulfil(None, shop.admin)
    fulfil(None, shop.admin)
    assert len(live(shop, order)) == 3


def test_delivered_is_told_once(target, shop, buy, sku, writes):
    order = buy.as_guest("a@guest.example", {sku: 1})["id"]
    shipment = sent({buy.lines(order)[sku]: 1})
    told(target, a_status(order, shipment, state="sent"))
    arrived = a_status(order, changed(shipment, status="delivered"), state="sent")
    writes.clear()
    told(target, arrived, fingerprint="f2")
    told(target, arrived, fingerprint="f2")
    assert writes == ["mark-as-delivered", order]
    assert live(shop, order)[0]["delivered_at"]


def test_a_tracking_number_that_comes_late_is_kept_where_the_shopper_sees_it_without_a_second_mail(
    target, shop, buy, sku, writes
):
    order = buy.as_guest("a@guest.example", {sku: 1})["id"]
    shipment = sent({buy.lines(order)[sku]: 1})
    told(target, a_status(order, shipment, state="sent"))
    writes.clear()
    late = changed(shipment, parcels=(Parcel(tracking_number="T1", url=URL),))
    note = told(target, a_status(order, late, state="sent"), fingerprint="f2")
    assert note and "T1" in note and writes == [order]
    parcel = {"shipment": shipment.number, "carrier": "DHL", "number": "T1", "url": URL}
    assert look(shop, order)["metadata"]["erp_parcels"] == [parcel]


def test_a_shipment_of_what_was_not_bought_in_the_shop_is_noted(target, buy, sku, writes):
    order = buy.as_guest("a@guest.example", {sku: 1})["id"]
    shipment = sent({})
    assert shipment.number in (told(target, a_status(order, shipment, state="sent")) or "")
    assert writes == [order]


def test_a_shipment_cancelled_before_it_left_is_taken_back_and_may_leave_after_all(target, shop, buy, sku):
    order = buy.as_guest("a@guest.example", {sku: 2})["id"]
    line = buy.lines(order)[sku]
    shipment = sent({line: 2})
    body = {
        "items": [{"id": line, "quantity": 2}],
        "location_id": buy._locations["WH-HAM"],
        "metadata": {"erp_shipment": shipment.number},
    }
    shop.post(f"/admin/orders/{order}/fulfillments", body, shop.admin)
    told(target, a_status(order, changed(shipment, status="cancelled", parts=()), state="problem"))
    assert live(shop, order) == []
    told(target, a_status(order, shipment, state="sent"), fingerprint="f2")
    assert [one["metadata"] for one in live(shop, order)] == [{"erp_shipment": shipment.number}]


def test_a_shipment_cancelled_after_the_shopper_was_told_is_a_conflict(target, buy, sku):
    order = buy.as_guest("a@guest.example", {sku: 2})["id"]
    shipment = sent({buy.lines(order)[sku]: 2})
    told(target, a_status(order, shipment))
    [outcome] = tell(target, a_status(order, changed(shipment, status="cancelled"), state="problem"))
    assert outcome.refused.code == "conflict" and shipment.number in outcome.refused.reason


def test_more_than_the_shop_can_fulfil_is_a_conflict_with_both_figures_and_the_rest_is_told(target, shop, buy, sku):
    other = buy.product()
    order = buy.as_guest("a@guest.example", {sku: 5, other: 1})["id"]
    lines = buy.lines(order)
    buy.edit(order, change={lines[sku]: 3})
    said = refusal(target, a_status(order, sent({lines[sku]: 4}), sent({lines[other]: 1}), state="sent"))
    assert said.code == "conflict" and "holds 4 of" in said.reason and " 3 of it" in said.reason and sku in said.reason
    assert [one["shipped_at"] is not None for one in live(shop, order)] == [True]
    assert look(shop, order)["metadata"]["erp_status"] == "sent"


def test_two_shipments_of_one_line_may_not_exceed_it_together(target, shop, buy, sku):
    order = buy.as_guest("a@guest.example", {sku: 5})["id"]
    line = buy.lines(order)[sku]
    said = refusal(target, a_status(order, sent({line: 3}), sent({line: 3}), state="sent"))
    assert said.code == "conflict" and " 2 of it" in said.reason
    assert look(shop, order)["items"][0]["detail"]["fulfilled_quantity"] == 3


def test_a_line_that_the_shop_does_not_know_is_a_conflict(target, buy, sku):
    order = buy.as_guest("a@guest.example", {sku: 1})["id"]
    assert "ordli_X" in refusal(target, a_status(order, sent({"ordli_X": 1}))).reason


def test_what_the_erp_has_sent_is_fulfilled_from_a_place_where_the_shop_has_nothing_free(target, shop, buy):
    sku = buy.product(stock=9)
    buy.stock(sku, {"WH-BER": 0})
    order = buy.as_guest("a@guest.example", {sku: 5})["id"]
    line = buy.lines(order)[sku]
    first = sent({line: 2}, warehouse="WH-BER")
    told(target, a_status(order, first))
    told(target, a_status(order, first, sent({line: 3}), state="sent"), "f2")
    assert [item["detail"]["fulfilled_quantity"] for item in look(shop, order)["items"]] == [5]


def test_a_warehouse_without_a_location_is_named(target, shop, buy, sku):
    order = buy.as_guest("a@guest.example", {sku: 1})["id"]
    said = refusal(target, a_status(order, sent({buy.lines(order)[sku]: 1}, warehouse="WH-MOON")))
    assert said.code == "unknown_location" and "WH-MOON" in said.reason
    assert live(shop, order) == []


def test_a_location_where_the_shop_keeps_no_stock_of_it_is_named(target, buy, sku):
    order = buy.as_guest("a@guest.example", {sku: 1})["id"]
    said = refusal(target, a_status(order, sent({buy.lines(order)[sku]: 1}, warehouse="WH-3PL")))
    assert said.code == "no_level" and "WH-3PL" in said.reason and sku in said.reason


def test_stock_that_is_counted_only_since_the_order_was_placed_lacks_a_reservation(target, buy):
    new = buy.product()
    order = buy.as_guest("a@guest.example", {new: 1})["id"]
    buy.sell(new, 12.34, {"WH-HAM": 5})
    said = refusal(target, a_status(order, sent({buy.lines(order)[new]: 1})))
    assert said.code == "no_reservation" and new in said.reason and "Reservations" in said.remedy


def test_a_part_of_a_piece_cannot_be_said(target):
    with pytest.raises(Reject, match="part_of_a_piece"):
        target.payload(a_status("order_1", sent({"ordli_1": 0.5})))


def test_cancelled_in_the_erp_and_not_paid_it_is_cancelled_in_the_shop(target, shop, buy, sku, writes):
    order = buy.as_guest("a@guest.example", {sku: 2})["id"]
    told(target, a_status(order, state="cancelled"))
    told(target, a_status(order, state="cancelled"))
    assert writes == [order, "cancel"]
    seen = look(shop, order)
    assert (seen["status"], seen["metadata"]["erp_status"]) == ("canceled", "cancelled")
    assert target.find([order])[order].fingerprint == "f1"


def test_an_order_is_whole_only_once_the_shop_has_cancelled_it_too(target, buy, sku):
    order = buy.as_guest("a@guest.example", {sku: 2})["id"]
    buy.mark(order, erp_status="cancelled", erp_fingerprint="f1")  # killed before the call that cancels
    assert target.find([order])[order].fingerprint is None
    told(target, a_status(order, state="cancelled"))
    assert target.find([order])[order].fingerprint == "f1"


def test_money_that_was_taken_is_not_given_back_unasked(target, shop, buy, sku):
    order = buy.as_guest("a@guest.example", {sku: 2})["id"]
    buy.capture(order, 5)
    said = refusal(target, a_status(order, state="cancelled"))
    assert said.code == "conflict" and " 5.00 is paid" in said.reason
    assert (look(shop, order)["status"], buy.payments(order)[0]["refunds"]) == ("pending", [])
    assert look(shop, order)["metadata"]["erp_status"] == "cancelled"


def test_cancelled_in_the_erp_after_the_shop_fulfilled_by_hand_is_a_conflict(target, buy, sku):
    order = buy.as_guest("a@guest.example", {sku: 2})["id"]
    buy.send(order, {buy.lines(order)[sku]: 1})
    assert refusal(target, a_status(order, state="cancelled")).code == "conflict"


def test_cancelled_in_the_shop_it_takes_no_more_notes(target, buy, sku, writes):
    order = buy.as_guest("a@guest.example", {sku: 2})["id"]
    buy.cancel(order)
    note = told(target, a_status(order, state="cancelled"))
    assert writes == [] and note and "cancelled in the shop" in note


def test_sent_by_the_erp_after_the_shop_cancelled_is_a_conflict(target, buy, sku):
    order = buy.as_guest("a@guest.example", {sku: 2})["id"]
    line = buy.lines(order)[sku]
    buy.cancel(order)
    assert refusal(target, a_status(order, sent({line: 2}), state="sent")).code == "conflict"


def test_an_order_typed_in_without_a_way_of_shipping_is_sent_all_the_same(target, shop, buy, sku):
    order = buy.by_hand("a@guest.example", {sku: 2})["id"]
    told(target, a_status(order, sent({buy.lines(order)[sku]: 2}), state="sent"))
    assert live(shop, order)[0]["shipped_at"]


def test_payload_is_pure_and_says_nothing_of_what_has_not_left(target, buy):
    opened = sent({"ordli_1": 1}, "open")
    assert target.payload(a_status("order_1", opened)) == target.payload(a_status("order_1"))
    assert target.fingerprint() == Medusa.from_connection(CONNECTION).order_status.fingerprint()


# ------------------------------------------------------------------ what came back, and money


@pytest.fixture
def kept(buy: Buying, sku: str) -> tuple[str, str]:
    """An order of five, paid and sent, and its line."""
    order = buy.as_guest("a@guest.example", {sku: 5})["id"]
    buy.capture(order)
    buy.send(order)
    return order, buy.lines(order)[sku]


def came_back(line: str, quantity: int, **fields: Any) -> Return:
    given = {"number": f"R-{next(_numbers)}", "warehouse": "WH-HAM", **fields}
    return Return(parts=(Part(line=line, quantity=Decimal(quantity)),), **given)


def paid_back(amount: str, **fields: Any) -> Refund:
    given = {"number": f"P-{next(_numbers)}", "on": BOOKED.date(), "by_shop": True, **fields}
    return Refund(amount=Decimal(amount), **given)


def returns(shop: Shop, order: str) -> list[tuple[str, float, Any]]:
    """Status, received quantity and metadata of each return."""
    fields = "fields=id,*returns,*returns.items"
    found = shop.get(f"/admin/orders/{order}?{fields}", shop.admin)["order"]["returns"]
    return [(one["status"], sum(item["received_quantity"] for item in one["items"]), one["metadata"]) for one in found]


def goods_of_exchange(buy: Buying, order: str, line: str) -> tuple[str, str]:
    """One of the line is exchanged for something else: the exchange's return, and the line of what is sent instead."""
    other = buy.product()
    swap = buy.exchange(order, {line: 1}, {other: 1})
    return str(swap["return_id"]), buy.lines(order)[other]


def refunds(buy: Buying, order: str) -> list[float]:
    return sorted(one["amount"] for payment in buy.payments(order) for one in payment["refunds"] or ())


def in_erp_already(shop: Shop, order: str) -> Order:
    """The order as the flow orders reads it back."""
    source = Medusa.from_connection(CONNECTION).orders
    [[row]] = source.read([order])
    return source.parse(row.raw)


def test_goods_that_came_back_to_the_erp_are_a_received_return_in_the_shop_once(target, shop, buy, kept, writes, sku):
    order, line = kept
    back = came_back(line, 2)
    status = a_status(order, state="sent", returns=(back,))
    told(target, status)
    assert returns(shop, order) == [("received", 2, {"erp_return": back.number})]
    told(target, status)
    assert writes == ["returns", order]
    levels = shop.get(f"/admin/inventory-items?sku={sku}&fields=*location_levels", shop.admin)["inventory_items"][0]
    assert sorted(one["stocked_quantity"] for one in levels["location_levels"]) == [6, 9]
    [seen] = in_erp_already(shop, order).returns
    assert (seen.status, seen.erp_number) == ("received", back.number)


def test_each_return_of_the_erp_is_one(target, shop, buy, kept):
    order, line = kept
    first, second = came_back(line, 2), came_back(line, 1)
    told(target, a_status(order, state="sent", returns=(first,)))
    told(target, a_status(order, state="sent", returns=(first, second)), fingerprint="f2")
    assert sorted(received for _, received, _ in returns(shop, order)) == [1, 2]


def test_what_was_sent_and_came_back_in_between_is_told_at_once(target, shop, buy, sku):
    order = buy.as_guest("a@guest.example", {sku: 5})["id"]
    line = buy.lines(order)[sku]
    told(target, a_status(order, sent({line: 5}), state="sent", returns=(came_back(line, 5),)))
    assert [(status, received) for status, received, _ in returns(shop, order)] == [("received", 5)]


def test_a_return_announced_in_the_shop_is_received_once_all_of_it_has_come(target, shop, buy, kept, writes):
    order, line = kept
    made = buy.ask_return(order, {line: 3})
    for quantity, there in ((1, ("requested", 0, None)), (3, ("received", 3, None)), (3, ("received", 3, None))):
        back = came_back(line, quantity, number="R-7", web_id=made)
        told(target, a_status(order, state="sent", returns=(back,)), fingerprint=f"f{quantity}")
        assert returns(shop, order) == [there]
    assert writes == [order, "returns", order]
    assert in_erp_already(shop, order).returns[0].erp_number == ""


def test_what_was_sent_in_an_exchange_is_fulfilled_and_may_come_back(target, shop, buy, kept):
    order, line = kept
    swap, other = goods_of_exchange(buy, order, line)
    back = (came_back(line, 1, web_id=swap), came_back(other, 1))
    told(target, a_status(order, sent({other: 1}), state="sent", returns=back))
    assert [one[:2] for one in returns(shop, order)] == [("received", 1)] * 2
    [first, second] = sorted(in_erp_already(shop, order).returns, key=lambda one: one.erp_number)
    assert (first.id, first.kind, second.lines[0].line) == (swap, "exchange", other)


def test_more_than_was_sent_does_not_come_back(target, shop, kept):
    order, line = kept
    said = refusal(target, a_status(order, state="sent", returns=(came_back(line, 3), came_back(line, 3))))
    assert said.code == "conflict" and " 2 of it" in said.reason
    assert len(returns(shop, order)) == 1


def test_while_staff_changes_the_order_its_return_waits(target, shop, buy, kept):
    order, line = kept
    shop.post("/admin/order-edits", {"order_id": order}, shop.admin)
    status = a_status(order, state="sent", returns=(came_back(line, 1),))
    assert "Another change" in refusal(target, status).reason
    shop.call("DELETE", f"/admin/order-edits/{order}", token=shop.admin)
    told(target, status)
    assert [status for status, _, _ in returns(shop, order)] == ["received"]


@pytest.mark.parametrize("step", ["request", "receive"])
def test_a_return_that_was_left_half_done_is_ended(target, shop, buy, kept, step):
    order, line = kept
    back = came_back(line, 2)
    note, items = f"Return {back.number} of the ERP", {"items": [{"id": line, "quantity": 2}]}
    body = {"order_id": order, "location_id": buy._locations["WH-HAM"], "internal_note": note}
    made = shop.post("/admin/returns", {**body, "metadata": {"erp_return": back.number}}, shop.admin)["return"]["id"]
    shop.post(f"/admin/returns/{made}/request-items", items, shop.admin)
    if step == "receive":
        shop.post(f"/admin/returns/{made}/request", {}, shop.admin)
        shop.post(f"/admin/returns/{made}/receive", {"internal_note": note}, shop.admin)
        shop.post(f"/admin/returns/{made}/receive-items", items, shop.admin)
    told(target, a_status(order, state="sent", returns=(back,)))
    assert returns(shop, order) == [("received", 2, {"erp_return": back.number})]


def test_money_paid_back_in_the_erp_is_refunded_once_and_named(target, shop, buy, kept, writes):
    order, _ = kept
    refund, elsewhere = paid_back("4.50"), paid_back("1.00", by_shop=False)
    note = CreditNote(number="G-1", on=BOOKED.date(), amount=Decimal("4.50"))
    status = a_status(order, state="sent", refunds=(refund, elsewhere), credit_notes=(note,))
    told(target, status)
    told(target, status)
    assert writes == ["refunds", order] and refunds(buy, order) == [4.5]
    marks, day = look(shop, order)["metadata"], BOOKED.date().isoformat()
    assert marks["erp_credit_notes"] == [{"number": "G-1", "date": day, "amount": "4.50"}]
    assert [(one["number"], one["amount"]) for one in marks["erp_refunds"]] == [
        (refund.number, "4.50"),
        (elsewhere.number, "1.00"),
    ]
    [[seen]] = [payment.refunds for payment in in_erp_already(shop, order).payments]
    assert (seen.amount, seen.erp_number) == (Decimal("4.50"), refund.number)


def test_a_refund_that_the_erp_has_from_the_shop_is_not_told_again(target, shop, buy, kept, writes):
    order, _ = kept
    buy.refund(order, 3)
    [known] = [one["id"] for payment in buy.payments(order) for one in payment["refunds"]]
    told(target, a_status(order, state="sent", refunds=(paid_back("3.00", web_id=known),)))
    assert writes == [order] and refunds(buy, order) == [3]
    assert "erp_refunds" not in look(shop, order)["metadata"]


def test_all_that_was_paid_goes_back_over_several_payments(target, shop, buy, sku):
    order = buy.as_guest("a@guest.example", {sku: 3})["id"]
    buy.capture(order)
    buy.edit(order, change={buy.lines(order)[sku]: 4})
    buy.mark_paid(order)
    total = sum(round(payment["amount"], 2) for payment in buy.payments(order))
    told(target, a_status(order, state="open", refunds=(paid_back(f"{total:.2f}"),)))
    assert len(refunds(buy, order)) == 2 and abs(sum(refunds(buy, order)) - total) < 0.01


def test_more_than_was_paid_is_not_given_back(target, buy, kept):
    order, _ = kept
    said = refusal(target, a_status(order, state="sent", refunds=(paid_back("500.00"),)))
    assert said.code == "conflict" and "500.00" in said.reason and refunds(buy, order) == []


def test_paid_back_and_cancelled_in_the_erp_it_is_both_in_the_shop(target, shop, buy, sku):
    order = buy.as_guest("a@guest.example", {sku: 2})["id"]
    buy.capture(order)
    paid = round(buy.payments(order)[0]["amount"], 2)
    told(target, a_status(order, state="cancelled", refunds=(paid_back(f"{paid:.2f}"),)))
    assert look(shop, order)["status"] == "canceled"
    assert abs(sum(refunds(buy, order)) - paid) < 0.01


@pytest.mark.parametrize("step", ["returns", "refunds"])
@pytest.mark.parametrize("carried_out", [True, False])
def test_goods_and_money_come_back_once_when_an_answer_is_lost(target, shop, buy, kept, monkeypatch, step, carried_out):
    order, line = kept
    status = a_status(order, state="sent", returns=(came_back(line, 2),), refunds=(paid_back("4.50"),))
    post, lost = target._api.post, []

    def losing(path: str, body: Any, **more: Any) -> dict[str, Any]:
        if not path.endswith(f"/{step}") or lost:
            return post(path, body, **more)
        lost.append(path)
        if carried_out:
            post(path, body, **more)
        raise AnswerLost("cut")

    monkeypatch.setattr(target._api, "post", losing)
    monkeypatch.setattr("crossdock.connectors.medusa.stillness._STILL", 0.3)
    [outcome] = write(target, [Put(order, "update", None, target.payload(status), "f1")], no_content)
    assert lost and outcome.refused is None
    assert [one[:2] for one in returns(shop, order)] == [("received", 2)] and refunds(buy, order) == [4.5]


def test_calls_that_come_late_or_together_change_nothing(shop, buy, kept):
    order, line = kept
    path = f"/admin/erp/orders/{order}"
    back = {"number": "R", "location_id": buy._locations["WH-HAM"], "items": [{"id": line, "quantity": 2}]}
    calls = [(f"{path}/returns", back), (f"{path}/refunds", {"number": "P", "amount": "4.50"})] * 4

    def call(one: tuple[str, Any]) -> None:
        with suppress(Refused):  # a lock that was not to be had in time
            shop.post(*one, shop.admin)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, calls))
    for one in calls[:2]:
        shop.post(*one, shop.admin)
    assert [one[:2] for one in returns(shop, order)] == [("received", 2)] and refunds(buy, order) == [4.5]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("returns", {}),
        ("returns", {"number": "R", "items": []}),
        ("returns", {"number": "R", "items": [{"id": "ordli_1", "quantity": -1}]}),
        ("refunds", {"number": "P", "amount": "-1"}),
        ("refunds", {"amount": "1"}),
    ],
)
def test_only_administrators_say_what_came_back_and_only_in_full(shop, path, body):
    with pytest.raises(Refused, match="400"):
        shop.post(f"/admin/erp/orders/order_1/{path}", body, shop.admin)
    with pytest.raises(Refused, match="401"):
        shop.post(f"/admin/erp/orders/order_1/{path}", body)
