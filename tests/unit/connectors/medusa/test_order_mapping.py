"""Medusa's order, read: amounts to the last digit, odd values, and what no order can be."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from crossdock.connectors.medusa.order_mapping import stable, to_order
from crossdock.domain.order import Order
from crossdock.errors import Reject

NOON = "2026-11-24T12:00:00.000Z"


def vat(rate: float = 19, **changes: Any) -> dict[str, Any]:
    return {"code": f"VAT{rate}", "description": None, "rate": rate, **changes}


def an_item(number: int = 1, **changes: Any) -> dict[str, Any]:
    item = {"id": f"ordli_{number}", "title": "Bolt", "variant_sku": f"B-{number}", "quantity": 1, "unit_price": 10}
    return {**item, "is_tax_inclusive": False, "adjustments": [], "tax_lines": [vat()], **changes}


def a_shipping(number: int = 1, **changes: Any) -> dict[str, Any]:
    method = {"id": f"ordsm_{number}", "name": "Standard", "amount": 5.9, "is_tax_inclusive": False}
    return {**method, "adjustments": [], "tax_lines": [vat()], **changes}


def a_payment(number: int = 1, amount: float = 11.9, **changes: Any) -> dict[str, Any]:
    payment = {"id": f"pay_{number}", "provider_id": "pp_stripe", "amount": amount, "canceled_at": None}
    return {**payment, "captures": [], "refunds": [], **changes}


def moved(amount: float, number: int = 1, at: str = NOON) -> dict[str, Any]:
    return {"id": f"moved_{number}", "amount": amount, "created_at": at}


def a_return(number: int = 1, line: str = "ordli_1", **changes: Any) -> dict[str, Any]:
    items = [{"item_id": line, "quantity": 1}]
    return {"id": f"return_{number}", "status": "requested", "items": items, **changes}


def a_swap(*lines: str, **changes: Any) -> dict[str, Any]:
    swap = {"id": "oexc_1", "kind": "exchange", "return_id": "return_1", "cancelled": False}
    return {**swap, "lines": list(lines), **changes}


def said(*payments: dict[str, Any], paid_at: str = "2026-11-24T11:59:59Z", **changes: Any) -> dict[str, Any]:
    """What Medusa says of an order: one bolt for 10.00 and 19 % of a guest."""
    return {
        "id": "order_1", "display_id": 1042, "custom_display_id": None, "status": "pending", "created_at": NOON,
        "currency_code": "eur", "email": "gus@guests.example", "metadata": None, "edited": False, "swaps": [],
        "later_shipping": [], "customer": {"id": "cus_1", "has_account": False}, "shipping_address": None,
        "billing_address": None, "items": [an_item()], "shipping_methods": [], "credit_lines": [], "returns": [],
        "payment_collections": [{"created_at": paid_at, "payments": list(payments)}], **changes,
    }  # fmt: skip


def read(*payments: dict[str, Any], on_account: tuple[str, ...] = (), **changes: Any) -> Order:
    return to_order(stable(said(*payments, **changes)), on_account)


def refused(**changes: Any) -> Reject:
    with pytest.raises(Reject) as refusal:
        read(**changes)
    assert "gus" not in str(refusal.value) and "guests.example" not in str(refusal.value)
    return refusal.value


def test_a_plain_order() -> None:
    order = read(a_payment())
    assert (order.web_id, order.number, order.currency, order.email) == ("order_1", "1042", "EUR", "gus@guests.example")
    assert order.placed_at == datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert (order.account, order.shopper, order.ship_to, order.bill_to, order.phone) == (None, None, None, None, "")
    assert order.charged == order.computed == Decimal("11.90") and order.settlement == "authorised"


def test_a_number_of_the_shops_own_making_is_the_number() -> None:
    assert read(custom_display_id="DE-7").number == "DE-7"


class TestAmounts:
    def test_are_never_floats(self) -> None:
        order = read(items=[an_item(unit_price=0.1, quantity=3, tax_lines=[])])
        assert order.lines[0].net == Decimal("0.3") and order.charged == Decimal("0.30")

    def test_fractions_of_a_quantity(self) -> None:
        [line] = read(items=[an_item(unit_price=3.33, quantity=0.125)]).lines
        assert (line.quantity, line.net) == (Decimal("0.125"), Decimal("0.41625"))

    def test_taxes_come_off_inclusive_prices_and_inclusive_discounts(self) -> None:
        off = {"amount": 2.38, "is_tax_inclusive": True}
        [line] = read(items=[an_item(unit_price=11.9, is_tax_inclusive=True, adjustments=[off])]).lines
        assert (line.net, line.discount) == (8, 2)

    def test_an_exclusive_discount_on_an_inclusive_price(self) -> None:
        off = {"amount": 2, "is_tax_inclusive": None}
        [line] = read(items=[an_item(unit_price=11.9, is_tax_inclusive=True, adjustments=[off])]).lines
        assert (line.net, line.discount) == (8, 2)

    def test_two_taxes_are_added_up(self) -> None:
        order = read(items=[an_item(tax_lines=[vat(7), vat(2.5)])])
        assert [(tax.code, tax.rate) for tax in order.lines[0].taxes] == [("VAT2.5", Decimal("2.5")), ("VAT7", 7)]
        assert order.charged == Decimal("10.95")

    def test_a_discount_on_freight(self) -> None:
        [_, line] = read(shipping_methods=[a_shipping(adjustments=[{"amount": 5.9}])]).lines
        assert (line.kind, line.sku, line.net, line.discount) == ("shipping", None, 0, Decimal("5.9"))

    @pytest.mark.parametrize(
        ("currency", "price", "charged"), [("eur", 9.995, "10.00"), ("jpy", 9.5, "10"), ("kwd", 9.9995, "10.000")]
    )
    def test_what_can_be_paid_depends_on_the_currency(self, currency: str, price: float, charged: str) -> None:
        order = read(a_payment(amount=price), currency_code=currency, items=[an_item(unit_price=price, tax_lines=[])])
        assert str(order.charged) == str(order.payments[0].authorised) == charged

    def test_credit_from_the_start_lowers_what_is_charged(self) -> None:
        credits = [{"amount": 4, "metadata": None}, {"amount": 3, "metadata": {"created_in_version": 2}}]
        assert read(credit_lines=credits).charged == Decimal("7.90")


class TestCharged:
    def test_is_what_was_authorised_when_it_was_placed(self) -> None:
        assert read(a_payment(amount=11.8)).charged == Decimal("11.80")
        assert read(a_payment(amount=5), a_payment(2, amount=6.89)).charged == Decimal("11.89")

    def test_is_what_the_lines_come_to_once_it_was_edited(self) -> None:
        assert read(a_payment(amount=11.8), edited=True).charged == Decimal("11.90")

    def test_is_not_what_was_cancelled_or_came_later(self) -> None:
        assert read(a_payment(amount=1, canceled_at=NOON)).charged == Decimal("11.90")
        assert read(a_payment(amount=1), paid_at="2026-11-24T12:00:01Z").charged == Decimal("11.90")


class TestSettlement:
    def test_follows_the_money(self) -> None:
        assert read().settlement == "unpaid"
        assert read(a_payment(captures=[moved(11.89)])).settlement == "authorised"
        assert read(a_payment(captures=[moved(11.9)])).settlement == "paid"
        assert read(a_payment(captures=[moved(6), moved(5.9, 2)])).settlement == "paid"
        assert read(a_payment(captures=[moved(11.9)], refunds=[moved(11.9)])).settlement == "paid"
        assert read(a_payment(canceled_at=NOON)).settlement == "unpaid"

    def test_what_costs_nothing_is_paid(self) -> None:
        assert read(items=[an_item(unit_price=0)]).settlement == "paid"

    def test_payments_that_are_rounded_one_by_one_may_lack_a_cent_each(self) -> None:
        halves = [a_payment(n, amount=5.9481, captures=[moved(5.9481)]) for n in (1, 2)]
        assert read(*halves, items=[an_item(unit_price=9.997)]).settlement == "paid"

    def test_a_promise_is_no_money(self) -> None:
        order = read(a_payment(captures=[moved(11.9)]), on_account=("pp_stripe",))
        assert (order.settlement, order.payments, order.charged) == ("on account", (), Decimal("11.90"))


def test_payments_say_when_and_how_much() -> None:
    captures = [moved(2, 2, "2026-11-24T14:00:00Z"), moved(1.504, 1, "2026-11-24T13:00:00+01:00")]
    [payment] = read(a_payment(captures=captures, refunds=[moved(0.001), moved(1, 2)])).payments
    assert (payment.captured, payment.captured_at) == (Decimal("3.50"), datetime(2026, 11, 24, 14, tzinfo=UTC))
    assert [(refund.id, refund.amount) for refund in payment.refunds] == [("moved_2", Decimal("1.00"))]


class TestLines:
    def test_what_was_taken_out_is_none(self) -> None:
        order = read(items=[an_item(), an_item(2, quantity=0)])
        assert [line.id for line in order.lines] == ["ordli_1"]

    def test_come_by_id_whatever_is_in_them(self) -> None:
        cheap = an_item(2, adjustments=[{"amount": 1}])
        assert [line.id for line in read(items=[cheap, an_item()]).lines] == ["ordli_1", "ordli_2"]

    def test_without_a_sku_it_is_a_charge(self) -> None:
        lines = read(items=[an_item(variant_sku=None), an_item(2, variant_sku="")]).lines
        assert [(line.kind, line.sku) for line in lines] == [("charge", None)] * 2

    def test_a_tax_without_a_code_goes_by_its_name(self) -> None:
        [line] = read(items=[an_item(tax_lines=[vat(code=None, description="Sales tax")])]).lines
        assert line.taxes[0].code == "Sales tax"
        assert refused(items=[an_item(tax_lines=[vat(code=None)])]).code == "invalid_code"

    def test_an_order_without_any_is_none(self) -> None:
        assert refused(items=[an_item(quantity=0)]).code == "invalid_lines"


class TestReturns:
    @pytest.mark.parametrize(
        ("medusa", "ours"),
        [
            ("requested", "requested"),
            ("partially_received", "requested"),
            ("received", "received"),
            ("canceled", "cancelled"),
        ],
    )
    def test_say_how_far_they_are(self, medusa: str, ours: str) -> None:
        [back] = read(returns=[a_return(status=medusa)]).returns
        assert (back.status, back.kind, back.lines[0].line) == (ours, "return", "ordli_1")

    def test_what_staff_has_only_begun_is_none(self) -> None:
        assert read(returns=[a_return(status="open")], swaps=[a_swap()]).returns == ()
        assert read(swaps=[a_swap(return_id=None)]).returns == ()

    def test_an_exchange_takes_its_lines_and_its_freight_along(self) -> None:
        order = read(
            a_payment(),
            items=[an_item(), an_item(2)],
            shipping_methods=[a_shipping(), a_shipping(2, amount=1)],
            swaps=[a_swap("ordli_2")],
            later_shipping=[{"method": "ordsm_2", "of": "oexc_1"}],
            returns=[a_return()],
        )
        assert [line.id for line in order.lines] == ["ordli_1", "ordsm_1"]
        assert [line.id for line in order.returns[0].instead] == ["ordli_2", "ordsm_2"]

    def test_freight_of_a_plain_return_is_charged_with_it(self) -> None:
        later = [{"method": "ordsm_1", "of": "return_1"}]
        order = read(shipping_methods=[a_shipping()], later_shipping=later, returns=[a_return()])
        assert [line.kind for line in order.lines] == ["item"]
        assert [line.id for line in order.returns[0].instead] == ["ordsm_1"]

    def test_an_exchange_for_which_nothing_comes_back_goes_by_its_own_id(self) -> None:
        [back] = read(items=[an_item(), an_item(2)], swaps=[a_swap("ordli_2", return_id=None)]).returns
        assert (back.id, back.status, back.lines, back.instead[0].net) == ("oexc_1", "received", (), 10)

    def test_goods_of_an_exchange_may_come_back_too(self) -> None:
        swapped = {"items": [an_item(), an_item(2)], "swaps": [a_swap("ordli_2")]}
        order = read(**swapped, returns=[a_return(), a_return(2, line="ordli_2")])
        assert [(back.id, back.lines[0].line) for back in order.returns] == [
            ("return_1", "ordli_1"),
            ("return_2", "ordli_2"),
        ]

    def test_what_comes_back_must_have_been_sent(self) -> None:
        assert "ordli_9" in refused(returns=[a_return(line="ordli_9")]).reason

    def test_what_the_erp_began_says_so(self) -> None:
        [told, own] = read(
            returns=[a_return() | {"metadata": {"erp_return": "R7"}}, a_return(2) | {"metadata": None}]
        ).returns
        assert (told.erp_number, own.erp_number) == ("R7", "")


class TestOddValues:
    @pytest.mark.parametrize(
        ("metadata", "po_number", "note", "held"),
        [
            ({}, "", "", ""),
            ({"po_number": 77, "note": None, "erp_hold": False}, "77", "", ""),
            ({"po_number": " PO\t7 ", "note": ["a"], "erp_hold": True}, "PO 7", "['a']", "The shop asks to look at it"),
            (
                {"note": "a\nb\x00 <i>c</i> &amp; <3 \U0001fae8", "erp_hold": "fraud?"},
                "",
                "a b < i>c< /i> & amp; <3",
                "f",
            ),
        ],
    )
    def test_metadata_may_hold_anything(self, metadata: dict[str, Any], po_number: str, note: str, held: str) -> None:
        order = read(metadata=metadata)
        assert order.po_number == po_number and order.note.removesuffix("\U0001fae8").strip() == note
        assert order.held.startswith(held) and bool(order.held) == bool(held)

    def test_a_shopper_is_registered_and_no_buyer(self) -> None:
        known = {"id": "cus_1", "has_account": True}
        assert read(customer=known).shopper == "cus_1"
        buyer = read(customer=known, metadata={"erp_account": "C-1"})
        assert (buyer.account, buyer.shopper) == ("C-1", None)
        assert read(customer=None).shopper is None

    def test_an_address_may_lack_anything(self) -> None:
        bare = read(shipping_address={"country_code": "de", "first_name": None}, billing_address={"phone": "1"})
        assert bare.ship_to and (bare.ship_to.country, bare.ship_to.name, bare.ship_to.street) == ("DE", "", "")
        assert bare.bill_to and (bare.bill_to.country, bare.phone) == (None, "1")

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"email": "gus at guests.example"}, "invalid_email"),
            ({"currency_code": "euro"}, "invalid_currency"),
            ({"shipping_address": {"country_code": "germany"}}, "invalid_country"),
            ({"shipping_address": {"city": "gus" * 100}}, "invalid_city"),
            ({"items": [an_item(unit_price=1e15)]}, "invalid_net"),
            ({"items": [an_item(unit_price=1e300)]}, "too_large"),
            ({"items": [an_item(tax_lines=[vat(101)])]}, "invalid_rate"),
            ({"items": [an_item(quantity="gus")]}, "unreadable"),
            ({"items": [an_item(), an_item()]}, "contradictory"),
        ],
    )
    def test_what_cannot_be_is_refused_by_name(self, changes: dict[str, Any], code: str) -> None:
        assert refused(**changes).code == code

    @pytest.mark.parametrize("raw", [b"", b"{}", b"[1]", b"\xff", b'{"id": 1}'])
    def test_a_row_that_is_none_is_refused(self, raw: bytes) -> None:
        with pytest.raises(Reject, match="unreadable"):
            to_order(raw)


def test_bytes_do_not_depend_on_the_order_of_medusas_lists_nor_on_what_is_not_read() -> None:
    items = [an_item(), an_item(2)]
    one = stable(said(items=items, updated_at="now", summary={"x": 1}))
    other = stable(dict(reversed(list(said(items=items[::-1], updated_at="then").items()))))
    assert one == other
    assert msgspec.json.decode(one).keys() == said().keys()
