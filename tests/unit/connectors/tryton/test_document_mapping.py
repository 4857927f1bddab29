"""Sales and invoices of Tryton, as 8.0 answers them, to documents."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from crossdock.connectors.tryton import document_mapping
from crossdock.domain.document import Document, DocumentLine
from crossdock.domain.order_status import Parcel
from crossdock.errors import Reject

DAY = {"__class__": "date", "year": 2026, "month": 11, "day": 24}
LATER = {**DAY, "month": 12}


def at(hour: int) -> dict[str, Any]:
    return {"__class__": "datetime", **DAY, "hour": hour, "minute": 0, "second": 0, "microsecond": 7}


def money(amount: str) -> dict[str, str]:
    return {"__class__": "Decimal", "decimal": amount}


def line(id_: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": id_, "sequence": None, "type": "line", "description": None, "quantity": 2.0,
        "unit_price": money("10.0000"), "amount": money("20.00"), "unit.": {"id": 1, "name": "Unit"},
        "product.": {"id": 5, "code": "A-1", "name": "Anvil", "active": 1, "replaced_by": None},
        "origin": None, "last_modified_at": at(1), **changes,
    }  # fmt: skip


BESIDE: dict[str, Any] = {"made_of": [], "ordered_as": [], "successors": {}}
COMMON = {
    "id": 7, "number": "N7", "reference": None, "untaxed_amount": money("20.00"), "tax_amount": money("3.80"),
    "total_amount": money("23.80"), "last_modified_at": at(2), "party.": {"id": 3, "code": "C0001"},
    "currency.": {"id": 1, "code": "EUR"}, "lines.": [line(1)], "beside": BESIDE,
}  # fmt: skip


def order(**changes: Any) -> Document:
    sale = {
        **COMMON, "state": "processing", "sale_date": DAY, "shipment_state": "waiting", "origin": None,
        "shipments.": [], "shipment_returns.": [], **changes,
    }  # fmt: skip
    return document_mapping.to_order(json.dumps(sale).encode(), {"dhl": "https://dhl.example/{number}"})


def invoice(**changes: Any) -> Document:
    row = {
        **COMMON, "state": "posted", "invoice_date": DAY, "amount_to_pay": money("23.80"), "cancel_move.": None,
        "lines_to_pay.": [], "payment_lines.": [], "reconciliation_lines.": [], **changes,
    }  # fmt: skip
    return document_mapping.to_invoice(json.dumps(row).encode())


def shipment(id_: int, state: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": id_, "state": state, "shipping_reference": None,
        "carrier.": {"id": 1, "party.": {"id": 2, "name": "DHL"}}, "root_packages.": [], "packages.": [],
        "last_modified_at": at(1), **changes,
    }  # fmt: skip


def settling(*origins: str) -> list[dict[str, Any]]:
    return [{"id": place, "move.": {"id": place, "origin": origin}} for place, origin in enumerate(origins)]


def test_what_is_found_beside_the_row_is_not_asked_for() -> None:
    for fields in (document_mapping.SALE_FIELDS, document_mapping.INVOICE_FIELDS):
        assert "lines.product.code" in fields and not [name for name in fields if "successors" in name]
    assert "lines.origin" in document_mapping.INVOICE_FIELDS


def test_the_key_holds_the_id_because_a_number_may_come_twice() -> None:
    assert order().key == invoice().key == document_mapping.key("N7", 7) == "N7/7"
    assert (order().number, order().source_id) == ("N7", "7")


def test_lines_come_in_the_order_in_which_they_are_printed() -> None:
    lines = [line(3, sequence=2), line(4, sequence=1), line(9), line(8)]
    titled = [{**one, "description": str(one["id"])} for one in lines]
    assert [one.title for one in order(**{"lines.": titled}).lines] == [f"Anvil\n{id_}" for id_ in (8, 9, 4, 3)]


def test_remarks_have_no_quantity_and_sums_in_between_are_left_out() -> None:
    lines = [
        line(1, type="title", description="Part one", **{"product.": None}),
        line(2, type="subtotal", description="Subtotal", amount=money("20.00"), **{"product.": None}),
        line(3, type="comment", description=" ", **{"product.": None}),
        line(4, description="Work", quantity=0.3, **{"product.": None, "unit.": None}),
    ]
    assert order(**{"lines.": lines}).lines == (
        DocumentLine(title="Part one", unit="Unit"),
        DocumentLine(title="Work", quantity=Decimal("0.3"), price=Decimal(10), net=Decimal(20)),
    )


def test_goods_without_a_code_are_told_by_name_and_retired_ones_with_their_successor() -> None:
    nameless = {"id": 6, "code": "", "name": "Bucket", "active": 0, "replaced_by": None}
    retired = {"id": 5, "code": "A-1", "name": "Anvil", "active": 0, "replaced_by": 8}
    lines = [line(1, **{"product.": nameless}), line(2, **{"product.": retired})]
    ours = order(**{"lines.": lines, "beside": {**BESIDE, "successors": {"5": "A-2"}}}).lines
    assert [(one.sku, one.title, one.successor) for one in ours] == [(None, "Bucket", None), ("A-1", "Anvil", "A-2")]


def test_what_is_too_long_is_cut_rather_than_refused() -> None:
    ours = invoice(**{
        "lines.": [line(1, description="x" * 3000)], "beside": {**BESIDE, "ordered_as": ["PO-123456789"] * 40},
    })  # fmt: skip
    assert len(ours.lines[0].title) == 2000 and len(ours.reference) == 255 and ours.reference.endswith("…")


@pytest.mark.parametrize(
    ("state", "shipped", "shipments", "said"),
    [
        ("confirmed", "none", [], "open"),
        ("processing", "waiting", ["waiting"], "open"),
        ("processing", "none", [], "open"),
        ("processing", "partially shipped", ["done", "waiting"], "partly sent"),
        ("processing", "sent", ["done"], "sent"),
        ("processing", "exception", ["done", "cancelled"], "partly sent"),
        ("processing", "exception", ["cancelled"], "open"),
        ("done", "none", ["cancelled"], "cancelled"),
        ("done", "none", [], "sent"),
        ("cancelled", "none", [], "cancelled"),
    ],
)
def test_how_far_an_order_is(state: str, shipped: str, shipments: list[str], said: str) -> None:
    sent = [shipment(place, one) for place, one in enumerate(shipments)]
    assert order(state=state, shipment_state=shipped, **{"shipments.": sent}).status == said


@pytest.mark.parametrize("state", ["draft", "quotation"])
def test_an_order_that_is_none_any_more_is_withdrawn_even_without_a_date(state: str) -> None:
    ours = order(state=state, sale_date=None)
    assert ours.gone and ours.parts == () and ours.made_on == date(2026, 11, 24)


def test_an_order_without_a_date_is_refused() -> None:
    with pytest.raises(Reject, match="made_on"):
        order(sale_date=None)


def test_parcels_of_all_shipments_each_once() -> None:
    package = {"id": 1, "shipping_reference": "T1, T2"}
    ours = order(**{"shipments.": [
        shipment(1, "done", **{"root_packages.": [package]}), shipment(2, "done", shipping_reference="T2"),
        shipment(3, "done", shipping_reference="T3", **{"carrier.": None}),
    ]})  # fmt: skip
    told = [Parcel(tracking_number=one, url=f"https://dhl.example/{one}") for one in ("T1", "T2")]
    assert ours.parcels == (*told, Parcel(tracking_number="T3"))


@pytest.mark.parametrize(
    ("total", "left", "said"),
    [
        ("23.80", "23.80", "open"),
        ("23.80", "3.80", "partly paid"),
        ("23.80", "0", "paid"),
        ("0", "0", "paid"),
        ("-23.80", "-23.80", "open"),
        ("-23.80", "-3.80", "partly paid"),
    ],
)
def test_how_far_an_invoice_is_paid(total: str, left: str, said: str) -> None:
    ours = invoice(total_amount=money(total), amount_to_pay=money(left))
    assert (ours.status, ours.open) == (said, Decimal(left))
    assert ours.kind == ("credit_note" if total.startswith("-") else "invoice")


@pytest.mark.parametrize(
    ("origins", "said"),
    [
        (["account.invoice,8"], "credited"),
        (["account.invoice,8", "account.invoice,9"], "credited"),
        (["account.invoice,8", "account.invoice,7"], "paid"),
        (["account.statement,8"], "paid"),
        ([""], "paid"),
        ([], "paid"),
    ],
)
def test_credited_is_what_credit_notes_alone_have_settled(origins: list[str], said: str) -> None:
    ours = {"state": "paid", "amount_to_pay": money("0"), "reconciliation_lines.": settling(*origins)}
    assert invoice(**ours).status == said
    assert invoice(**ours, total_amount=money("-23.80")).status == "paid"


@pytest.mark.parametrize(
    ("origin", "said"),
    [("account.invoice,8", "credited"), ("account.invoice,7", "cancelled"), (None, "cancelled")],
)
def test_cancelled_by_a_credit_note_is_credited(origin: str | None, said: str) -> None:
    move = {"id": 1, "origin": origin}
    assert invoice(state="cancelled", amount_to_pay=money("0"), **{"cancel_move.": move}).status == said
    assert invoice(state="cancelled", amount_to_pay=money("0")).status == "cancelled"


def test_it_is_as_new_as_the_newest_of_what_it_is_put_together_from() -> None:
    moment = datetime(2026, 11, 24, tzinfo=UTC, microsecond=7)
    due = {"id": 1, "maturity_date": LATER, "last_modified_at": at(3), "payments.": []}
    assert invoice().changed_at == order().changed_at == moment.replace(hour=2)
    assert invoice(**{"lines_to_pay.": [due]}).changed_at == moment.replace(hour=3)
    paid = {**due, "payments.": [{"id": 1, "last_modified_at": at(5)}]}
    assert invoice(**{"lines_to_pay.": [paid]}).changed_at == moment.replace(hour=5)
    assert invoice(**{"payment_lines.": [{"id": 1, "last_modified_at": at(4)}]}).changed_at == moment.replace(hour=4)
    sent = shipment(1, "done", last_modified_at=at(6), **{"packages.": [{"id": 1, "last_modified_at": at(7)}]})
    assert order(**{"shipments.": [sent]}).changed_at == moment.replace(hour=7)
    assert order(**{"lines.": [line(1, last_modified_at=at(9))]}).changed_at == moment.replace(hour=9)


def test_the_last_due_date_counts_and_payments_need_not_be_known() -> None:
    due = [
        {"id": id_, "maturity_date": day, "last_modified_at": at(1)} for id_, day in ((1, DAY), (2, LATER), (3, None))
    ]
    assert invoice(**{"lines_to_pay.": due}).due_on == date(2026, 12, 24)
    assert invoice().due_on is None


def test_the_buyers_own_reference_is_the_orders_where_the_invoice_has_none() -> None:
    beside = {**BESIDE, "made_of": ["S1", "S2"], "ordered_as": ["PO-1", "PO-2"]}
    assert invoice(beside=beside).reference == "PO-1, PO-2"
    assert invoice(beside=beside, reference="R").reference == "R"
    assert invoice(beside=beside).belongs_to == ("S1", "S2")


def test_what_is_no_such_row_is_refused() -> None:
    for bad in ({"lines.": None}, {"total_amount": None}, {"currency.": None}):
        with pytest.raises(Reject, match="not what Tryton sends"):
            invoice(**bad)
    with pytest.raises(Reject, match="account"):
        order(**{"party.": {"id": 1, "code": None}})
