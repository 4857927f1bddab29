"""What a target of orders promises (``ports.Target``), on the real Tryton."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from tests.contracts.asking import flat
from tests.erp_fixtures import CONNECTION, RunningErp
from tests.warehouse import Warehouse

from crossdock.connectors.tryton.adapter import Tryton
from crossdock.connectors.tryton.hook import TrytonHook
from crossdock.connectors.tryton.orders import Orders
from crossdock.domain.order import Line, Order, Payment, Place, Refund, Return, Returned, Tax
from crossdock.errors import AnswerLost, Misconfigured, Reject, Retry
from crossdock.ports import Found, Outcome, Put
from sandbox import erp as sandbox_erp
from sandbox.merchant import ARCHIVED_ACCOUNTS, ARCHIVED_ITEM, GUESTS, HELD_ACCOUNTS

pytestmark = pytest.mark.e2e

VAT19, VAT7 = Tax(code="VAT19", rate=Decimal(19)), Tax(code="VAT7", rate=Decimal(7))
BERLIN_NEW_YEAR = datetime(2025, 12, 31, 23, 30, tzinfo=UTC)
HOME = Place(name="Jane Guest", street="Rosenweg 3, 2nd floor", postal_code="50667", city="Köln", country="DE")
DRILL, GLOVES, BOOK = "CD001", "NG001-S", "TH001"
ACCOUNT, HELD, ARCHIVED = "C0004", HELD_ACCOUNTS[0], ARCHIVED_ACCOUNTS[0]
_ids = itertools.count(1)
Json = dict[str, Any]


@pytest.fixture
def connect(erp: RunningErp, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Orders]:
    """A target by a connection whose extras say how web orders are booked, and ``more``."""

    def made(**more: Any) -> Orders:
        connection = json.loads(os.environ["AIRFLOW_CONN_" + CONNECTION.upper()])
        connection["extra"] |= sandbox_erp.ORDERS | more
        monkeypatch.setenv("AIRFLOW_CONN_ORDERS_TEST", json.dumps(connection))
        return Tryton.from_connection("orders_test").orders

    return made


@pytest.fixture
def target(connect: Callable[..., Orders]) -> Orders:
    return connect()


@pytest.fixture
def warehouse(erp: RunningErp) -> Warehouse:
    return Warehouse(erp.admin)


def a_line(quantity: int | str = 1, net: str = "10.00", sku: str | None = DRILL, **more: Any) -> Line:
    given = {"id": f"ordli_t{next(_ids)}", "kind": "item", "title": "A thing", "taxes": (VAT19,), **more}
    return Line(sku=sku, quantity=Decimal(quantity), net=Decimal(net), **given)


def an_order(*lines: Line, charged: str | None = None, **more: Any) -> Order:
    """A guest's order of a drill, if nothing else is said; charged what the lines come to."""
    number = next(_ids)
    lines = lines or (a_line(),)
    given = {
        "web_id": f"order_t{number}", "number": f"{number}", "placed_at": datetime.now(UTC), "currency": "EUR",
        "settlement": "paid", "email": "jane@guest.example", "ship_to": HOME, "lines": lines, **more,
    }  # fmt: skip
    order = Order(charged=Decimal(0), **given)
    return order.model_copy(
        update={"charged": Decimal(charged) if charged else order.computed.quantize(Decimal("0.01"))}
    )


def changed(order: Order, **changes: Any) -> Order:
    """The order as it is later; charged what it comes to then."""
    later = order.model_copy(update=changes)
    return later.model_copy(update={"charged": later.computed.quantize(Decimal("0.01"))})


def no_content(ref: str) -> bytes:
    raise AssertionError(f"{ref} was asked for")


def tell(target: Orders, *orders: Order) -> list[Outcome]:
    puts = [Put(one.key, "remove" if one.gone else "create", None, target.payload(one), "f1") for one in orders]
    outcomes = {outcome.key: outcome for outcome in target.put(puts, no_content)}
    return [outcomes[one.key] for one in orders]


def put(target: Orders, *orders: Order) -> list[Outcome]:
    """Write and expect success."""
    outcomes = tell(target, *orders)
    assert [one.refused for one in outcomes if one.refused] == []
    return outcomes


def refusal(target: Orders, order: Order) -> Reject:
    [outcome] = tell(target, order)
    assert outcome.refused
    return outcome.refused


@pytest.fixture
def sale(erp: RunningErp) -> Callable[..., Json]:
    """The sale of an order, or of a return by its id, as Tryton has it."""
    fields = (
        "state", "number", "reference", "comment", "sale_date", "total_amount", "untaxed_amount", "party.code",
        "invoice_state", "shipment_state", "shipment_address.party_name", "shipment_address.rec_name", "payment_term",
        "payment_term.name", "currency.code", "origin", "description", "invoice_address",
        "lines.note", "lines.quantity", "lines.unit_price", "lines.product.code", "lines.taxes", "lines.description",
        "shipments.state", "shipments.outgoing_moves.quantity", "shipment_returns.state",
        "payments.kind", "payments.amount", "payments.state", "payments.reference",
    )  # fmt: skip

    def read(order: Order | str) -> Json:
        key = order if isinstance(order, str) else order.key
        [row] = erp.admin.rows("sale.sale", [["web_id", "=", key]], *fields)
        row["lines."].sort(key=lambda line: line["id"])
        return row

    return read


def quantities(sale: Json) -> dict[str, float]:
    """By the shop's id of the line."""
    found: dict[str, float] = {}
    for line in sale["lines."]:
        key = line["note"].partition("\n")[0]
        found[key] = found.get(key, 0) + line["quantity"]
    return found


def shipped(sale: Json) -> list[float]:
    return sorted(move["quantity"] for one in sale["shipments."] for move in one["outgoing_moves."])


# ------------------------------------------------------------------ booked


def test_a_guests_order_becomes_a_sale_in_process_to_the_cent(target, sale):
    order = an_order(
        a_line(2, "120.00"), a_line(3, "10.00", GLOVES), a_line(1, "28.50", BOOK, taxes=(VAT7,)),
        a_line(kind="shipping", sku=None, net="5.80", title="DHL"), phone="+49 30 1", note="Ring twice",
    )  # fmt: skip
    [outcome] = put(target, order)
    booked = sale(order)
    assert outcome == Outcome(order.key, str(booked["id"]))
    assert (booked["state"], booked["total_amount"], booked["party."]["code"]) == ("processing", order.charged, GUESTS)
    assert [line["product."]["code"] for line in booked["lines."]] == [DRILL, GLOVES, BOOK, "SHIP"]
    assert [line["note"] for line in booked["lines."]] == [line.id for line in order.lines]
    assert booked["shipment_address."]["party_name"] == "Jane Guest"
    assert booked["comment"] == "jane@guest.example\n+49 30 1\nRing twice"
    assert booked["reference"] == f"#{order.number}" and booked["shipment_state"] == "waiting"
    assert target.find([order.key, "nobody"]) == {order.key: Found(str(booked["id"]), None)}
    assert target.match([order, an_order()]).keys() == {order.key}
    assert order.key in flat(target.keys())


def test_guests_at_the_same_address_share_it_and_no_party_is_made(target, erp, sale):
    parties = erp.admin("model.party.party.search_count", [])
    place = HOME.model_copy(update={"street": f"Gasse {next(_ids)}"})
    same = place.model_copy(update={"street": f"  {place.street.upper()} ", "city": "KÖLN"})
    first, second = an_order(ship_to=place), an_order(ship_to=same)
    put(target, first, second)
    third = an_order(ship_to=place)
    neighbour = an_order(ship_to=place.model_copy(update={"name": "John Guest"}))
    put(target, third, neighbour)
    addresses = [sale(one)["shipment_address."]["id"] for one in (first, second, third, neighbour)]
    assert len(set(addresses[:3])) == 1 and addresses[3] != addresses[0]
    assert erp.admin("model.party.party.search_count", []) == parties


def test_a_guests_invoice_goes_to_the_billing_address(target, sale):
    bill_to = HOME.model_copy(update={"name": "Jane's Mother", "street": "Allee 1"})
    order = an_order(bill_to=bill_to)
    put(target, order)
    assert sale(order)["invoice_address"] != sale(order)["shipment_address."]["id"]


def test_a_business_order_is_booked_to_its_account_with_the_buyers_number_and_the_accounts_terms(target, erp, sale):
    order = an_order(account=ACCOUNT, po_number="PO-77", settlement="on account", ship_to=None)
    put(target, order)
    booked = sale(order)
    assert (booked["party."]["code"], booked["state"]) == (ACCOUNT, "processing")
    assert booked["reference"] == f"#{order.number} / PO-77"
    assert booked["payment_term."]["name"] == "Net 14"


def test_a_business_order_goes_to_the_accounts_own_address_where_it_is_known(target, erp, sale):
    number, party = erp.account()
    [known] = erp.children(party, "party.address")
    place = Place(name="Ada Roth", company="Tested", street="KAI  1", city="Hamburg")
    elsewhere = place.model_copy(update={"street": "Kai 2", "country": "NL"})
    first, second, third = (an_order(account=number, ship_to=one) for one in (place, elsewhere, elsewhere))
    put(target, first)
    put(target, second, third)
    assert sale(first)["shipment_address."]["id"] == known
    assert sale(second)["shipment_address."]["id"] == sale(third)["shipment_address."]["id"] != known
    assert sale(second)["invoice_address"] == known


def test_a_discount_is_in_the_price_and_said_on_the_line(target, sale):
    order = an_order(a_line(2, "90.00", discount=Decimal("10.00")))
    put(target, order)
    [line] = sale(order)["lines."]
    assert line["unit_price"] == 45 and line["note"].splitlines()[1] == "Discount 10.00"


def test_an_amount_that_no_price_gives_is_booked_to_the_cent_on_two_lines(target, sale):
    net = 5000 * Decimal("2.49") / Decimal("1.19")
    order = an_order(a_line(5000, f"{net:.6f}"), charged="12450.00", tax_included=True)
    put(target, order)
    booked = sale(order)
    assert [line["quantity"] for line in booked["lines."]] == [4999, 1, 1]
    assert booked["total_amount"] == 12450
    assert booked["untaxed_amount"] == Decimal("10462.18") + Decimal("0.01")
    assert shipped(booked) == [1, 4999]


def test_a_rest_of_rounding_is_a_line_of_its_own_and_stays_when_told_again(target, sale):
    order = an_order(a_line(1, "10.00"), a_line(1, "10.00"), charged="23.82")
    put(target, order)
    booked = sale(order)
    assert booked["lines."][-1]["unit_price"] == Decimal("0.02") and booked["lines."][-1]["note"] == "rounding"
    assert booked["total_amount"] == Decimal("23.82")
    put(target, order)
    assert sale(order) == booked


def test_what_the_lines_do_not_explain_is_refused_with_both_figures_and_leaves_nothing(target, erp):
    order = an_order(a_line(2, "20.00"), charged="25.00")
    refused = refusal(target, order)
    assert refused.code == "total_mismatch"
    assert "charged 25.00 EUR, Tryton computes 23.80" in refused.reason
    assert f"2 x 10.0000 + VAT 19% ({DRILL})" in refused.reason
    assert erp.admin.rows("sale.sale", [["web_id", "=", order.key]], "state") == []


def test_one_bad_order_does_not_stop_the_other_nineteen(target, erp):
    bad = an_order(a_line(sku="NO-SUCH"))
    orders = [*(an_order() for _ in range(10)), bad, *(an_order() for _ in range(9))]
    outcomes = tell(target, *orders)
    [refused] = [one.refused for one in outcomes if one.refused]
    assert refused.code == "unknown_sku" and "'NO-SUCH'" in refused.reason
    states = erp.admin.rows("sale.sale", [["web_id", "in", [one.key for one in orders]]], "state")
    assert [row["state"] for row in states] == ["processing"] * 19


def test_an_order_that_tryton_itself_refuses_does_not_stop_the_others(target, sale):
    half = an_order(a_line("1.5", "10.00"))
    good = an_order()
    first, second = tell(target, half, good)
    assert first.refused and first.refused.code == "refused" and first.target_id is None
    assert second.refused is None and sale(good)["state"] == "processing"


# ------------------------------------------------------------------ exactly once


def test_twice_is_the_same_as_once(target, sale):
    orders = [an_order(payments=(a_payment("10.00"),)), an_order(account=HELD)]
    once = put(target, *orders)
    booked = [sale(one) for one in orders]
    assert put(target, *orders) == once
    assert [sale(one) for one in orders] == booked


@pytest.mark.parametrize("call", ["create", "quote", "confirm"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_answer_lost_at_any_call_is_made_good_by_the_next(target, sale, monkeypatch, call, when):
    orders = [an_order(), an_order()]
    hook, write = TrytonHook, TrytonHook.write

    def lose(self: TrytonHook, method: str, *params: Any, **context: Any) -> Any:
        if method != f"model.sale.sale.{call}":
            return write(self, method, *params, **context)
        if when == "after":
            write(self, method, *params, **context)
        raise AnswerLost("no answer")

    with monkeypatch.context() as patch, pytest.raises(AnswerLost):
        patch.setattr(hook, "write", lose)
        tell(target, *orders)
    put(target, *orders)
    for order in orders:
        assert (sale(order)["state"], sale(order)["total_amount"]) == ("processing", order.charged)
        assert len(sale(order)["shipments."]) == 1


def test_a_sale_that_tryton_forgot_to_process_is_processed_unless_it_is_to_wait(target, connect, erp, sale):
    orders = [an_order(), an_order(held="a look first")]
    put(target, *orders)
    held = sale(orders[1])["id"]
    erp.admin("model.sale.sale.write", [held], {"state": "confirmed"})  # as its server leaves it that dies here
    later = orders[1].model_copy(update={"held": ""})
    erp.admin(
        "model.sale.configuration.write", [1], {"sale_process_after": {"__class__": "timedelta", "seconds": 3600}}
    )
    try:
        put(connect(), later)
        assert sale(later)["state"] == "confirmed"
    finally:
        erp.admin("model.sale.configuration.write", [1], {"sale_process_after": None})
    put(target, orders[0], later)
    assert [len(sale(one)["shipments."]) for one in (orders[0], later)] == [1, 1]
    assert sale(later)["state"] == "processing"


def test_a_draft_that_was_made_with_other_lines_is_put_right(target, sale, monkeypatch):
    order = an_order(a_line(2, "20.00"), a_line(1, "5.00", GLOVES))
    write = TrytonHook.write

    def lose(self: TrytonHook, method: str, *params: Any, **context: Any) -> Any:
        if method == "model.sale.sale.quote":
            raise AnswerLost("no answer")
        return write(self, method, *params, **context)

    with monkeypatch.context() as patch, pytest.raises(AnswerLost):
        patch.setattr(TrytonHook, "write", lose)
        tell(target, order)
    later = changed(order, lines=(order.lines[0].model_copy(update={"quantity": Decimal(1), "net": Decimal(10)}),))
    put(target, later)
    assert (sale(order)["state"], sale(order)["total_amount"]) == ("processing", later.charged)


def test_the_same_order_from_two_threads_at_once_is_one_sale(connect, sale):
    targets = [connect(), connect()]
    orders = [an_order() for _ in range(3)]

    def insist(target: Orders) -> list[Outcome]:
        for _ in range(10):
            try:
                return put(target, *orders)
            except Retry:
                continue
        raise AssertionError("ten times in vain")

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(insist, targets)
    assert [one.target_id for one in first] == [one.target_id for one in second]
    put(targets[0], *orders)  # SQLite, which locks nothing, lets a shipment be made twice: that is made good
    for order in orders:
        assert sale(order)["state"] == "processing" and len(sale(order)["shipments."]) == 1


# ------------------------------------------------------------------ changed


def edited(order: Order, *lines: Line) -> Order:
    return changed(order, lines=lines)


def with_quantity(line: Line, quantity: int) -> Line:
    return line.model_copy(update={"quantity": Decimal(quantity), "net": line.net / line.quantity * quantity})


def test_before_it_is_shipped_more_fewer_new_and_removed_lines_are_followed(target, sale):
    a, b, c = a_line(2, "20.00"), a_line(3, "15.00", GLOVES), a_line(1, "7.00", BOOK, taxes=(VAT7,))
    order = an_order(a, b)
    put(target, order)
    for lines in (
        (with_quantity(a, 5), b),
        (with_quantity(a, 1), b),
        (with_quantity(a, 1), b, c),
        (with_quantity(a, 1), c),
    ):
        later = edited(order, *lines)
        put(target, later)
        booked = sale(order)
        assert booked["total_amount"] == later.charged and booked["state"] == "processing"
        wanted = {line.id: float(line.quantity) for line in lines}
        assert {key: quantity for key, quantity in quantities(booked).items() if quantity} == wanted
        assert shipped(booked) == sorted(wanted.values())
        put(target, later)
        assert sale(order) == booked


def test_a_line_added_by_hand_in_tryton_stays(target, erp, sale):
    order = an_order(account=HELD)
    put(target, order)
    held = sale(order)["id"]
    erp.admin("model.sale.sale.draft", [held])
    gift = {"type": "line", "quantity": 1.0, "unit_price": Decimal(0), "description": "A gift"}
    erp.admin("model.sale.sale.write", [held], {"lines": [["create", [gift]]]})
    put(target, order)
    assert sale(order)["lines."][-1]["description"] == "A gift" and sale(order)["state"] == "quotation"


@pytest.mark.parametrize("call", ["sale.sale.write", "sale.amendment.validate_amendment"])
@pytest.mark.parametrize("number", [1, 2])
def test_an_edit_is_carried_on_from_any_half(target, sale, monkeypatch, call, number):
    a, b, c = a_line(2, "20.00"), a_line(3, "15.00", GLOVES), a_line(1, "7.00", BOOK)
    order = an_order(a, b)
    put(target, order)
    later = edited(order, with_quantity(a, 1), c)
    left, write = [number], TrytonHook.write

    def lose(self: TrytonHook, method: str, *params: Any, **context: Any) -> Any:
        answer = write(self, method, *params, **context)
        if method == f"model.{call}":
            left[0] -= 1
            if left[0] == 0:
                raise AnswerLost("no answer")
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(TrytonHook, "write", lose)
        with suppress(AnswerLost):
            tell(target, later)
    put(target, later)
    booked = sale(order)
    assert (booked["state"], booked["total_amount"], shipped(booked)) == ("processing", later.charged, [1, 1])


def test_what_is_reserved_is_let_go_before_it_is_changed(target, erp, sale):
    a = a_line(5, "50.00")
    order = an_order(a)
    put(target, order)
    erp.admin("model.stock.shipment.out.assign_force", [sale(order)["shipments."][0]["id"]])
    put(target, edited(order, with_quantity(a, 2)))
    assert shipped(sale(order)) == [2] and sale(order)["shipments."][0]["state"] == "waiting"


def test_what_was_sent_cannot_be_changed_and_a_way_out_is_said(target, warehouse, sale):
    a, b = a_line(2, "20.00"), a_line(3, "15.00", GLOVES)
    order = an_order(a, b)
    put(target, order)
    warehouse.leave(sale(order)["shipments."][0]["id"])
    refused = refusal(target, edited(order, with_quantity(a, 1), b))
    assert refused.code == "conflict" and "is done in Tryton" in refused.reason and "return" in refused.remedy
    assert quantities(sale(order)) == {a.id: 2, b.id: 3}


def test_a_line_that_still_waits_may_change_when_another_was_sent(target, warehouse, sale):
    a, b = a_line(2, "20.00"), a_line(3, "15.00", GLOVES)
    order = an_order(a, b)
    put(target, order)
    first = sale(order)["shipments."][0]["id"]
    warehouse.leave(first, 2, 0)
    put(target, edited(order, a, with_quantity(b, 1)))
    assert quantities(sale(order)) == {a.id: 2, b.id: 1}
    assert shipped(sale(order)) == [1, 2]


def to(order: Order, street: str) -> Order:
    return order.model_copy(update={"ship_to": HOME.model_copy(update={"street": street})})


@pytest.mark.parametrize("held", ["", "a look first"])
def test_before_it_is_shipped_a_new_delivery_address_is_followed(target, erp, sale, held):
    order = an_order(held=held)
    put(target, order)
    put(target, to(order, "Lindenweg 9"))
    booked = sale(order)
    assert "Lindenweg 9" in booked["shipment_address."]["rec_name"]
    assert booked["state"] == ("quotation" if held else "processing")
    ships = [one["id"] for one in booked["shipments."]]
    addresses = [
        row["delivery_address"]
        for row in erp.admin.rows("stock.shipment.out", [["id", "in", ships]], "delivery_address")
    ]
    assert addresses == [booked["shipment_address."]["id"]] * (not held)
    put(target, to(order, "Lindenweg 9"))
    assert sale(order) == booked


def test_an_address_that_a_person_corrected_in_tryton_stays_and_that_is_said(target, erp, sale):
    order = to(an_order(), f"Tippfehlerweg {next(_ids)}")
    put(target, order)
    address = sale(order)["shipment_address."]["id"]
    erp.admin("model.party.address.write", [address], {"street_unstructured": "Richtiger Weg 1"})
    [outcome] = put(target, order)
    assert sale(order)["shipment_address."]["id"] == address and "a person" in (outcome.note or "")


def test_what_is_on_its_way_gets_no_other_address(target, warehouse, sale):
    order = an_order()
    put(target, order)
    warehouse.leave(sale(order)["shipments."][0]["id"])
    assert refusal(target, to(order, "Lindenweg 10")).code == "conflict"


# ------------------------------------------------------------------ cancelled


def cancelled(order: Order) -> Order:
    return order.model_copy(update={"cancelled": True})


def test_an_order_cancelled_before_it_was_written_is_never_written(target, erp):
    order = cancelled(an_order())
    [outcome] = put(target, order)
    assert outcome.target_id is None
    assert erp.admin.rows("sale.sale", [["web_id", "=", order.key]], "state") == []


def test_a_quotation_is_cancelled(target, sale):
    order = an_order(held="paid by somebody else")
    put(target, order)
    for _ in range(2):
        put(target, cancelled(order))
        assert sale(order)["state"] == "cancelled"


@pytest.mark.parametrize("step", ["waiting", "assigned", "picked", "packed"])
def test_an_order_of_which_nothing_was_sent_is_taken_back_to_nothing(target, erp, warehouse, sale, step):
    order = an_order(a_line(2, "20.00"), a_line(kind="shipping", sku=None, net="5.80"), payments=(a_payment("10.00"),))
    put(target, order)
    shipment = sale(order)["shipments."][0]["id"]
    if step == "assigned":
        erp.admin("model.stock.shipment.out.assign_force", [shipment])
    elif step != "waiting":
        warehouse.pick(shipment)
    if step == "packed":
        warehouse.pack(shipment)
    [outcome] = put(target, cancelled(order))
    booked = sale(order)
    assert (booked["state"], booked["total_amount"]) == ("done", 0)
    assert (booked["shipment_state"], booked["invoice_state"]) == ("none", "none")
    assert [one["state"] for one in booked["shipments."]] == ["cancelled"]
    assert not any(quantities(booked).values()) and booked["description"] == "Cancelled in the web shop"
    assert ("put the goods back" in (outcome.note or "")) == (step in ("picked", "packed"))
    put(target, cancelled(order))
    assert sale(order) == booked
    status = Tryton.from_connection("orders_test").order_status
    assert [status.parse(row.raw).state for row in flat(status.read([order.key]))] == ["cancelled"]


@pytest.mark.parametrize("call", ["stock.shipment.out.cancel", "sale.sale.write", "sale.amendment.validate_amendment"])
def test_a_cancellation_is_carried_on_from_any_half(target, warehouse, sale, monkeypatch, call):
    order = an_order(a_line(2, "20.00"), a_line(1, "20.00", GLOVES))
    put(target, order)
    warehouse.pick(sale(order)["shipments."][0]["id"])
    write = TrytonHook.write

    def lose(self: TrytonHook, method: str, *params: Any, **context: Any) -> Any:
        answer = write(self, method, *params, **context)
        if method == f"model.{call}":
            raise AnswerLost("no answer")
        return answer

    with monkeypatch.context() as patch, pytest.raises(AnswerLost):
        patch.setattr(TrytonHook, "write", lose)
        tell(target, cancelled(order))
    put(target, cancelled(order))
    assert (sale(order)["state"], sale(order)["shipment_state"]) == ("done", "none")


def test_what_was_sent_cannot_be_cancelled(target, warehouse, sale):
    order = an_order()
    put(target, order)
    warehouse.leave(sale(order)["shipments."][0]["id"], on_the_way=True)
    refused = refusal(target, cancelled(order))
    assert refused.code == "conflict" and "is shipped in Tryton" in refused.reason
    assert sale(order)["total_amount"] == order.charged


def test_an_order_of_a_kit_is_booked_and_what_becomes_of_it_in_the_shop_is_for_a_person(target, sale):
    order = an_order(a_line(2, "80.00", "KIT001"), a_line(1, "20.00", GLOVES))
    put(target, order)
    booked = sale(order)
    assert (booked["state"], booked["total_amount"], len(booked["shipments."])) == ("processing", order.charged, 1)
    put(target, order)
    assert sale(order) == booked
    edited = changed(order, lines=(order.lines[0],))
    for later in (cancelled(order), edited):
        refused = refusal(target, later)
        assert refused.code == "conflict" and "holds a kit" in refused.reason
        assert sale(order) == booked


# ------------------------------------------------------------------ money


def a_payment(captured: str, *refunds: str, **more: Any) -> Payment:
    number, now = next(_ids), datetime.now(UTC)
    given = tuple(Refund(id=f"ref_{number}_{n}", amount=Decimal(one), at=now) for n, one in enumerate(refunds))
    amount = Decimal(captured)
    return Payment(**{
        "id": f"pay_t{number}", "provider": "card", "authorised": amount, "captured": amount, "captured_at": now,
        "refunds": given, **more,
    })  # fmt: skip


def money(sale: Json) -> dict[str, Decimal]:
    found = {"receivable": Decimal(0), "payable": Decimal(0)}
    for one in sale["payments."]:
        assert one["state"] == "succeeded"
        found[one["kind"]] += one["amount"]
    return found


def test_captures_and_refunds_are_booked_once_each(target, sale):
    payment = a_payment("11.90")
    order = an_order(payments=(payment,))
    put(target, order)
    assert money(sale(order)) == {"receivable": Decimal("11.90"), "payable": 0}
    refunds = a_payment("11.90", "4.00", "1.50").refunds
    back = order.model_copy(update={"payments": (payment.model_copy(update={"refunds": refunds}),)})
    for _ in range(2):
        put(target, back)
        assert money(sale(order)) == {"receivable": Decimal("11.90"), "payable": Decimal("5.50")}
        assert sorted(one["reference"] for one in sale(order)["payments."]) == [
            payment.id,
            *(one.id for one in refunds),
        ]


def test_a_capture_in_parts_becomes_a_payment_for_each_part(target, sale):
    payment = a_payment("5.00")
    order = an_order(payments=(payment,))
    put(target, order)
    put(target, order.model_copy(update={"payments": (payment.model_copy(update={"captured": Decimal("11.90")}),)}))
    assert sorted(one["amount"] for one in sale(order)["payments."]) == [Decimal("5.00"), Decimal("6.90")]


def test_what_is_only_authorised_is_no_money_yet(target, sale):
    order = an_order(payments=(a_payment("0", authorised=Decimal("11.90")),), settlement="authorised")
    put(target, order)
    assert sale(order)["payments."] == []


@pytest.mark.parametrize("call", ["create", "submit", "process", "succeed"])
def test_payments_are_carried_on_from_any_half(target, sale, monkeypatch, call):
    order = an_order(payments=(a_payment("11.90", "2.00"),))
    write = TrytonHook.write

    def lose(self: TrytonHook, method: str, *params: Any, **context: Any) -> Any:
        answer = write(self, method, *params, **context)
        names = (f"model.account.payment.{call}", f"wizard.account.payment.{call}.execute")
        if method in names or (call, method) == ("create", "model.sale.sale.write"):
            raise AnswerLost("no answer")
        return answer

    with monkeypatch.context() as patch, pytest.raises(AnswerLost):
        patch.setattr(TrytonHook, "write", lose)
        tell(target, order)
    put(target, order)
    assert money(sale(order)) == {"receivable": Decimal("11.90"), "payable": Decimal("2.00")}


def test_a_paid_order_that_is_held_is_not_confirmed_by_its_payment_which_is_attached_later(target, sale, erp):
    payment = a_payment("11.90")
    order = an_order(payments=(payment,), held="the address looks odd")
    [outcome] = put(target, order)
    assert sale(order)["state"] == "quotation" and "the address looks odd" in (outcome.note or "")
    [booked] = erp.admin.rows("account.payment", [["reference", "=", payment.id]], "state", "origin")
    assert (booked["state"], booked["origin"]) == ("succeeded", None)
    [cron] = erp.admin.rows("ir.cron", [["method", "=", "sale.sale|payment_confirm"]], "method")
    erp.admin("model.ir.cron.run_once", [cron["id"]])
    assert sale(order)["state"] == "quotation"
    put(target, order.model_copy(update={"held": ""}))
    assert sale(order)["state"] == "processing"
    assert money(sale(order)) == {"receivable": Decimal("11.90"), "payable": 0}


def test_a_held_orders_payment_that_was_left_with_its_quotation_does_not_confirm_it(target, sale, erp, monkeypatch):
    payment = a_payment("11.90")
    order = an_order(payments=(payment,), held="the address looks odd")
    write = TrytonHook.write

    def lose(self: TrytonHook, method: str, *params: Any, **context: Any) -> Any:
        if method == "model.account.payment.write":
            raise AnswerLost("no answer")
        return write(self, method, *params, **context)

    with monkeypatch.context() as patch, pytest.raises(AnswerLost):
        patch.setattr(TrytonHook, "write", lose)
        tell(target, order)
    put(target, order)
    [booked] = erp.admin.rows("account.payment", [["reference", "=", payment.id]], "state", "origin")
    assert (booked["state"], booked["origin"], sale(order)["state"]) == ("succeeded", None, "quotation")


def test_a_refund_that_the_erp_began_is_not_booked_again_unless_it_failed(target, sale, erp, warehouse):
    payment = a_payment("11.90")
    order = an_order(payments=(payment,))
    put(target, order)
    booked = sale(order)
    party = erp.admin.rows("sale.sale", [["id", "=", booked["id"]]], "party")[0]["party"]
    number = warehouse.pay_back("4.00", sale=booked["id"], party=party)
    told = Refund(id="ref_told", amount=Decimal(4), at=datetime.now(UTC), erp_number=number)
    back = order.model_copy(update={"payments": (payment.model_copy(update={"refunds": (told,)}),)})
    for _ in range(2):
        put(target, back)
        assert money(sale(order))["payable"] == 4
    [known] = erp.admin.rows("account.payment", [["number", "=", number]], "id")
    erp.admin.press("account.payment", "fail", [known["id"]])
    put(target, back)
    [anew] = erp.admin.rows("account.payment", [["reference", "=", "ref_told"]], "amount", "state")
    assert (anew["amount"], anew["state"]) == (4, "succeeded")


def test_payments_without_a_journal_are_said_and_the_order_is_booked(connect, sale):
    order = an_order(payments=(a_payment("11.90"),))
    [outcome] = put(connect(payment_journal=None), order)
    assert "payment_journal" in (outcome.note or "")
    assert sale(order)["state"] == "processing" and sale(order)["payments."] == []


# ------------------------------------------------------------------ returned


def a_return(line: Line, quantity: int, **more: Any) -> Return:
    given = {"id": f"ret_t{next(_ids)}", "status": "requested", **more}
    return Return(lines=(Returned(line=line.id, quantity=Decimal(quantity)),), **given)


def test_a_return_is_a_sale_that_takes_back_at_the_same_price(target, sale):
    line = a_line(3, "30.00")
    order = an_order(line)
    put(target, order)
    back = a_return(line, 2)
    for one in (back, back.model_copy(update={"status": "received"})):
        put(target, order.model_copy(update={"returns": (one,)}))
        booked = sale(back.id)
        assert (booked["state"], booked["total_amount"]) == ("processing", Decimal("-23.80"))
        assert booked["origin"] == f"sale.sale,{sale(order)['id']}"
        assert quantities(booked) == {line.id: -2} and len(booked["shipment_returns."]) == 1
    assert back.id not in flat(target.keys())
    assert quantities(sale(order)) == {line.id: 3}


def test_an_exchange_sends_other_goods_instead(target, sale):
    line, other = a_line(1, "30.00"), a_line(2, "40.00", GLOVES)
    order = an_order(line)
    exchange = a_return(line, 1, kind="exchange", instead=(other,))
    for _ in range(2):
        put(target, order.model_copy(update={"returns": (exchange,)}))
        assert sale(exchange.id)["total_amount"] == Decimal("-35.70")
        instead = sale(f"{exchange.id}/instead")
        assert (instead["total_amount"], instead["state"]) == (Decimal("47.60"), "processing")
        assert shipped(instead) == [2]


def test_goods_of_an_exchange_come_back_at_their_own_price(target, sale):
    line, other = a_line(1, "30.00"), a_line(2, "40.00", GLOVES)
    exchange = a_return(line, 1, kind="exchange", status="received", instead=(other,))
    again = a_return(other, 1)
    order = an_order(line)
    for _ in range(2):
        put(target, order.model_copy(update={"returns": (exchange, again)}))
        booked = sale(again.id)
        assert (booked["total_amount"], quantities(booked)) == (Decimal("-23.80"), {other.id: -1})
        assert booked["origin"] == f"sale.sale,{sale(order)['id']}" and booked["state"] == "processing"


def test_a_return_that_was_born_in_the_erp_is_not_booked_again(target, erp):
    line = a_line(2, "20.00")
    order, back = an_order(line), a_return(line, 1, status="received", erp_number="R7")
    put(target, order.model_copy(update={"returns": (back,)}))
    assert erp.admin.rows("sale.sale", [["web_id", "=", back.id]], "state") == []


def test_a_return_that_is_called_off_is_taken_back(target, sale):
    line = a_line(2, "20.00")
    order = an_order(line)
    back = a_return(line, 2)
    put(target, order.model_copy(update={"returns": (back,)}))
    off = order.model_copy(update={"returns": (back.model_copy(update={"status": "cancelled"}),)})
    for _ in range(2):
        put(target, off)
        assert sale(back.id)["total_amount"] == 0 and sale(back.id)["shipment_returns."] == []
    other = a_return(line, 1, status="cancelled")
    put(target, order.model_copy(update={"returns": (other,)}))


# ------------------------------------------------------------------ whose


def test_an_account_on_credit_hold_gets_a_quotation(target, sale):
    order = an_order(account=HELD)
    [outcome] = put(target, order)
    assert sale(order)["state"] == "quotation" and sale(order)["total_amount"] == order.charged
    assert f"account {HELD} is on credit hold" in (outcome.note or "")


def test_goods_come_back_whether_the_account_is_on_hold_or_not(target, erp, sale):
    line = a_line(2, "20.00")
    order = an_order(line, account=HELD)
    put(target, order)
    erp.admin("model.sale.sale.confirm", [sale(order)["id"]])
    back = a_return(line, 1)
    put(target, order.model_copy(update={"returns": (back,)}))
    assert sale(back.id)["state"] == "processing"


def test_an_account_archived_since_is_booked_and_held(target, sale):
    order = an_order(account=ARCHIVED, ship_to=None)
    [outcome] = put(target, order)
    assert (sale(order)["party."]["code"], sale(order)["state"]) == (ARCHIVED, "quotation")
    assert "archived" in (outcome.note or "")


def test_an_account_that_is_not_there_is_never_guessed(target, erp):
    refused = refusal(target, an_order(account="C9999"))
    assert refused.code == "unknown_account" and "C9999" in refused.reason


def test_a_registered_shopper_gets_a_party_where_the_merchant_wants_it(connect, erp, sale):
    target, shopper = connect(registered_shoppers="party"), f"cus_t{next(_ids)}"
    first, second = an_order(shopper=shopper), an_order(shopper=shopper)
    put(target, first, second)
    put(target, an_order(shopper=shopper))
    [party] = erp.admin.rows("party.party", [["code", "=", f"WEB-{shopper}"]], "name", "contact_mechanisms.value")
    assert sale(first)["party."]["code"] == sale(second)["party."]["code"] == f"WEB-{shopper}"
    assert party["name"] == "Jane Guest" and party["contact_mechanisms."][0]["value"] == "jane@guest.example"
    like_guests = an_order(shopper=shopper)
    put(connect(), like_guests)
    assert sale(like_guests)["party."]["code"] == GUESTS


def test_a_product_archived_since_is_booked(target, sale):
    order = an_order(a_line(sku=ARCHIVED_ITEM))
    put(target, order)
    assert sale(order)["state"] == "processing"


def test_what_was_booked_does_not_mind_that_its_product_was_renamed_or_taken_from_sale(target, erp, sale):
    code, template = erp.product()
    a, b = a_line(2, "20.00", f"{code}-BLACK"), a_line(1, "10.00", f"{code}-YELLOW")
    order = an_order(a, b)
    put(target, order)
    products = erp.rows_of("product.product", "template", template)
    erp.admin("model.product.product.write", products[:1], {"suffix_code": "-RENAMED"})
    erp.admin("model.product.template.write", [template], {"salable": False})
    paid = order.model_copy(update={"payments": (a_payment("11.90"),)})
    put(target, paid)
    assert quantities(sale(order)) == {a.id: 2, b.id: 1} and len(sale(order)["payments."]) == 1
    put(target, paid.model_copy(update={"returns": (a_return(b, 1),)}))
    assert refusal(target, an_order(a_line(sku=f"{code}-YELLOW"))).code == "not_salable"


def test_the_shops_own_guest_party_is_never_booked_to(connect, erp):
    shop = erp.id_of("web.shop", "Medusa")
    erp.admin("model.web.shop.write", [shop], {"guest_party": erp.admin.id_of("party.party", ["code", "=", GUESTS])})
    try:
        with pytest.raises(Misconfigured, match="guest party"):
            tell(connect(), an_order())
    finally:
        erp.admin("model.web.shop.write", [shop], {"guest_party": None})


# ------------------------------------------------------------------ odd


def test_a_question_that_tryton_asks_before_it_confirms_holds_this_order_alone(target, sale, monkeypatch):
    asked, good = an_order(), an_order()
    write = TrytonHook.write

    def ask(self: TrytonHook, method: str, *params: Any, **context: Any) -> Any:
        if method == "model.sale.sale.confirm" and sale(asked)["id"] in params[0]:
            raise Reject("warning", "Tryton asks: over the credit limit?", "A person has to answer that in Tryton.")
        return write(self, method, *params, **context)

    monkeypatch.setattr(TrytonHook, "write", ask)
    first, _ = put(target, asked, good)
    assert (sale(asked)["state"], sale(good)["state"]) == ("quotation", "processing")
    assert first.note == "stays a quotation: Tryton asks: over the credit limit?"


def test_a_payment_that_is_refused_does_not_stop_those_of_other_orders(target, sale):
    bad = an_order(payments=(a_payment("11.90"),))
    good = an_order(payments=(a_payment("11.90"),))
    write = TrytonHook.write

    def refuse(self: TrytonHook, method: str, *params: Any, **context: Any) -> Any:
        if bad.payments[0].id in repr(params):
            raise Reject("refused", "The period is closed.", "Open it.")
        return write(self, method, *params, **context)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrytonHook, "write", refuse)
        first, second = tell(target, bad, good)
    assert first.refused and first.target_id and second.refused is None
    assert sale(bad)["payments."] == [] and len(sale(good)["payments."]) == 1
    put(target, bad)
    assert len(sale(bad)["payments."]) == 1


def test_a_tax_that_is_not_mapped_is_refused_before_anything_is_sent(target):
    with pytest.raises(Reject, match="VAT16") as refused:
        target.payload(an_order(a_line(taxes=(Tax(code="VAT16", rate=Decimal(16)),))))
    assert refused.value.code == "unmapped_tax"


def test_a_currency_is_booked_as_it_is_or_refused(target, sale):
    dollars = an_order(currency="USD")
    put(target, dollars)
    assert sale(dollars)["currency."]["code"] == "USD" and sale(dollars)["total_amount"] == dollars.charged
    assert refusal(target, an_order(currency="CHF")).code == "unknown_currency"


def test_an_order_of_new_years_eve_in_berlin_belongs_to_the_new_year(target, sale):
    order = an_order(placed_at=BERLIN_NEW_YEAR)
    put(target, order)
    assert sale(order)["sale_date"]["year"] == 2026 and sale(order)["sale_date"]["day"] == 1


def test_odd_names_long_streets_and_missing_parts_do_no_harm(target, sale):
    places = [
        Place(
            name="Zoë 🦊 👩‍👩‍👧 von und zu Łódź", street="Straße " * 28, postal_code="50667", city="Köln", country="DE"
        ),
        Place(street="Somewhere 1", city="Nowhere"),
        Place(
            name="n" * 255, street="s" * 255, postal_code="9" * 32, city="c" * 255, subdivision="Bavaria", country="DE"
        ),
    ]
    orders = [an_order(ship_to=place, phone="☎ none", note="“Quote” 🎁") for place in places]
    put(target, *orders)
    put(target, *orders)
    assert [sale(one)["state"] for one in orders] == ["processing"] * 3
    assert sale(orders[0])["shipment_address."]["party_name"] == places[0].name


def test_a_country_that_tryton_has_not_is_refused(target):
    refused = refusal(target, an_order(ship_to=HOME.model_copy(update={"country": "NZ"})))
    assert refused.code == "unknown_country" and "NZ" in refused.reason


def test_what_is_missing_in_tryton_is_said_by_the_test_button_and_by_the_first_order(connect):
    connect()
    assert TrytonHook("orders_test").test_connection()[0]
    connect(tax_codes="VAT19=VAT 20%", guest_account="NOBODY", payment_journal="None", shipping_product="NONE")
    fine, text = TrytonHook("orders_test").test_connection()
    assert not fine
    for name in ("VAT 20%", "NOBODY", "'None'", "NONE"):
        assert name in text
    with pytest.raises(Misconfigured, match="VAT 20%"):
        tell(connect(tax_codes="VAT19=VAT 20%"), an_order())
    with pytest.raises(Misconfigured, match="NOBODY"):
        tell(connect(guest_account="NOBODY"), an_order())
    with pytest.raises(Misconfigured, match="orders_shop"):
        list(connect(orders_shop=None).keys())


def test_the_fingerprint_names_address_database_and_company(target, erp):
    assert target.fingerprint() == f"tryton {erp.url} erp company 1"


@pytest.mark.parametrize("held", ["", "the address looks odd"])
def test_a_payment_that_is_told_late_and_was_told_again_meanwhile_is_refused(target, erp, monkeypatch, held):
    order = an_order(payments=(a_payment("11.90"),), held=held)
    write, held_up = TrytonHook.write, []

    def late(self: TrytonHook, method: str, *params: Any, **context: Any) -> Any:
        if method == "model.sale.sale.write":
            held_up.append((params, context))
            raise AnswerLost("no answer")
        return write(self, method, *params, **context)

    with monkeypatch.context() as patch, pytest.raises(AnswerLost):
        patch.setattr(TrytonHook, "write", late)
        put(target, order)
    put(target, order)
    [(params, context)] = held_up
    with pytest.raises(Retry, match="changing the same record"):
        target._rpc.write("model.sale.sale.write", *params, **context)
    rows = erp.admin.rows("account.payment", [["reference", "=", order.payments[0].id]], "state")
    assert [row["state"] for row in rows] == ["succeeded"]


def test_it_says_what_its_orders_are_worth(target):
    one, two = an_order(), an_order(a_line(3, "30.00"))
    put(target, one, two)
    assert target.worth([one.key, two.key, "order_unheard_of"]) == {one.key: one.charged, two.key: two.charged}
