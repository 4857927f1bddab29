"""A sale of Tryton, as 8.0 answers it, to the status of a web order."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from crossdock.connectors.tryton import status_mapping
from crossdock.domain.order_status import OrderStatus, Parcel, Part
from crossdock.errors import Reject

URLS = {"dhl": "https://dhl.example/{number}"}
DAY = {"__class__": "date", "year": 2026, "month": 11, "day": 24}
BOOKED = {"__class__": "datetime", **DAY, "hour": 22, "minute": 40, "second": 37, "microsecond": 5}


def move(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": number, "state": "draft", "quantity": 2.0, "unit": 1, "shipment": "stock.shipment.out,7",
        "planned_date": DAY, **changes,
    }  # fmt: skip


def line(number: int, *moves: dict[str, Any], note: str | None = "ordli_A") -> dict[str, Any]:
    return {"id": number, "note": note, "unit": 1, "quantity": 2.0, "moves.": list(moves)}


def shipment(id_: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": id_, "number": f"S{id_}", "state": "waiting", "effective_date": None, "shipping_reference": None,
        "warehouse.": {"id": 1, "code": "WH-HAM"}, "carrier.": {"id": 1, "party.": {"id": 2, "name": "DHL"}},
        "root_packages.": [], **changes,
    }  # fmt: skip


def raw(**changes: Any) -> bytes:
    sale = {
        "id": 5, "number": "101", "web_id": "order_1", "state": "processing", "shipment_state": "waiting",
        "create_date": BOOKED, "lines.": [line(1, move(11))], "shipments.": [shipment(7)], "handed_over": [],
        "origin": None, "currency": 1, "invoice_state": "none", "shipment_returns.": [], "later": [],
        "credit_notes": [], "refunds": [],
    }  # fmt: skip
    return json.dumps({**sale, **changes}).encode()


def status(**changes: Any) -> OrderStatus:
    return status_mapping.to_status(raw(**changes), URLS)


def refusal(**changes: Any) -> Reject:
    with pytest.raises(Reject) as caught:
        status(**changes)
    return caught.value


def test_nothing_is_asked_that_is_not_used() -> None:
    assert "shipments.root_packages.shipping_reference" in status_mapping.FIELDS
    assert "handed_over" not in status_mapping.FIELDS


def test_an_open_order() -> None:
    ours = status()
    assert (ours.key, ours.number, ours.state, ours.promised) == ("order_1", "101", "open", date(2026, 11, 24))
    assert ours.born == datetime(2026, 11, 24, 22, 40, 37, 5, tzinfo=UTC)
    assert ours.shipments[0].parts == (Part(line="ordli_A", quantity=Decimal(2)),)


def test_split_over_two_warehouses() -> None:
    ours = status(**{
        "lines.": [line(1, move(11), move(12, shipment="stock.shipment.out,8", quantity=0.5))],
        "shipments.": [
            shipment(7, state="done", effective_date=DAY),
            shipment(8, **{"warehouse.": {"id": 2, "code": "WH-BER"}, "carrier.": None}),
        ],
    })  # fmt: skip
    assert ours.state == "partly sent"
    assert [(one.warehouse, one.status, one.carrier, one.sent_on) for one in ours.shipments] == [
        ("WH-HAM", "sent", "DHL", date(2026, 11, 24)),
        ("WH-BER", "open", "", None),
    ]
    assert ours.shipments[1].parts[0].quantity == Decimal("0.5")


@pytest.mark.parametrize(
    ("states", "said"),
    [
        (("draft", "none"), "held"),
        (("quotation", "none"), "held"),
        (("confirmed", "none"), "open"),
        (("processing", "exception"), "problem"),
        (("cancelled", "none"), "cancelled"),
    ],
)
def test_the_sales_own_states(states: tuple[str, str], said: str) -> None:
    assert status(state=states[0], shipment_state=states[1]).state == said


def test_a_sale_of_services_alone_is_sent_when_it_is_done() -> None:
    nothing = {"lines.": [line(1)], "shipments.": []}
    assert status(**nothing).state == "open"
    assert status(**nothing, state="done", shipment_state="none").state == "sent"


def test_a_sale_of_services_alone_that_was_cancelled_is_cancelled() -> None:
    nothing = {"lines.": [line(1) | {"quantity": 0.0}, line(2) | {"quantity": None}], "shipments.": []}
    assert status(**nothing, state="done", shipment_state="none").state == "cancelled"


def back(id_: int, **changes: Any) -> dict[str, Any]:
    return {"id": id_, "number": f"R{id_}", "state": "done", "warehouse.": {"id": 1, "code": "WH-HAM"}, **changes}


def test_goods_that_came_back_without_a_sale_of_their_own_are_a_return_and_leave_the_state_as_it_is() -> None:
    moves = [move(11, state="done"), move(12, state="done", shipment="stock.shipment.out.return,9", quantity=1.0)]
    ours = status(**{
        "lines.": [line(1, *moves)], "shipments.": [shipment(7, state="done")],
        "shipment_returns.": [back(9), back(10, state="draft"), back(11)],
    })  # fmt: skip
    assert ours.state == "sent" and [part.quantity for part in ours.shipments[0].parts] == [2]
    assert [(one.number, one.web_id, one.parts[0].quantity) for one in ours.returns] == [("R9", None, 1)]


def test_credit_notes_and_refunds_in_another_currency_are_left_out() -> None:
    amount = {"__class__": "Decimal", "decimal": "-5.00"}
    note = {"id": 1, "number": "G1", "invoice_date": DAY, "total_amount": amount, "currency": 1}
    paid = {
        "id": 1, "number": "P1", "reference": "two words", "date": DAY, "amount": {**amount, "decimal": "5.00"},
        "currency": 1, "journal.": {"id": 1, "name": "Web"},
    }  # fmt: skip
    ours = status(credit_notes=[note, {**note, "currency": 2}], refunds=[paid, {**paid, "currency": 2}])
    assert [(one.number, one.amount) for one in ours.credit_notes] == [("G1", 5)]
    assert [(one.number, one.amount, one.web_id, one.by_shop) for one in ours.refunds] == [("P1", 5, None, False)]
    assert status_mapping.to_status(raw(refunds=[paid]), URLS, "Web").refunds[0].by_shop


def test_moves_without_a_shipment_or_with_one_without_a_number_are_open() -> None:
    ours = status(**{
        "lines.": [line(1, move(11), move(12, shipment=None), move(13, shipment="stock.shipment.out,8"))],
        "shipments.": [shipment(7, state="done"), shipment(8, number=None, state="draft")],
    })  # fmt: skip
    assert ours.state == "partly sent" and [one.number for one in ours.shipments] == ["S7"]


def test_no_day_is_promised_while_one_move_has_none() -> None:
    assert status(**{"lines.": [line(1, move(11), move(12, planned_date=None))]}).promised is None


def test_packages_count_before_the_shipments_own_number() -> None:
    packages = [{"id": 1, "shipping_reference": "P1, P2"}, {"id": 2, "shipping_reference": None}]
    ours = status(**{"shipments.": [shipment(7, shipping_reference="S", **{"root_packages.": packages})]})
    assert [parcel.tracking_number for parcel in ours.shipments[0].parcels] == ["P1", "P2"]
    ours = status(**{"shipments.": [shipment(7, shipping_reference="S/1", **{"root_packages.": packages[1:]})]})
    assert ours.shipments[0].parcels == (Parcel(tracking_number="S/1", url="https://dhl.example/S%2F1"),)


def test_moves_of_no_pieces_and_cancelled_ones_are_no_part() -> None:
    moves = (move(11, quantity=0.0), move(12, state="cancelled"), move(13, quantity=1.0))
    assert status(**{"lines.": [line(1, *moves)]}).shipments[0].parts[0].quantity == 1


def test_another_unit_than_was_sold_is_refused() -> None:
    said = refusal(**{"lines.": [line(1, move(11, unit=2))]})
    assert said.code == "foreign_unit" and "shipment S7 of sale 101" in said.reason


def test_a_warehouse_without_a_code_is_refused_by_name_of_the_shipment() -> None:
    said = refusal(**{"shipments.": [shipment(7, **{"warehouse.": {"id": 1, "code": None}})]})
    assert said.code == "invalid_warehouse" and "hipment S7" in said.reason


def test_what_is_no_sale_is_refused() -> None:
    assert refusal(**{"lines.": None}).code == "unreadable"
