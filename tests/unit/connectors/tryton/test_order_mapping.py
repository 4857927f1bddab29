"""A web order as sales: amounts to the cent, taxes by name, the day on the company's calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossdock.connectors.tryton import order_mapping
from crossdock.connectors.tryton.order_mapping import Rules, SaleLine, changes, rest, returns_of, sale_of, split, total
from crossdock.domain.order import Line, Order, Place, Return, Returned, Tax
from crossdock.errors import Reject

RULES = Rules({"VAT19": "VAT 19%", "VAT7": "VAT 7%"}, "SHIP")
RATES = {"VAT 19%": Decimal("0.19"), "VAT 7%": Decimal("0.07")}
VAT19 = Tax(code="VAT19", rate=Decimal(19))
BERLIN = ZoneInfo("Europe/Berlin")


def line(name: str = "a", quantity: int | str = 1, net: str = "10.00", **more: Any) -> Line:
    given = {"id": name, "kind": "item", "sku": "BOLT", "taxes": (VAT19,), **more}
    return Line(quantity=Decimal(quantity), net=Decimal(net), **given)


def order(*lines: Line, charged: str = "0", **more: Any) -> Order:
    given = {
        "web_id": "order_1", "number": "1042", "placed_at": datetime(2026, 5, 4, 12, tzinfo=UTC), "currency": "EUR",
        "settlement": "paid", **more,
    }  # fmt: skip
    return Order(charged=Decimal(charged), lines=lines or (line(),), **given)


def sold(*lines: SaleLine) -> Decimal:
    return sum((order_mapping.rounded(one.quantity * one.unit_price) for one in lines), Decimal(0))


def test_three_for_ten_is_one_line() -> None:
    assert split(Decimal(3), Decimal("10.00")) == [(3, Decimal("3.3333"))]


def test_five_thousand_pieces_whose_amount_no_price_of_four_digits_gives_become_two_lines() -> None:
    amount = order_mapping.rounded(5000 * Decimal("2.49") / Decimal("1.19"))
    assert amount == Decimal("10462.18")
    assert split(Decimal(5000), amount) == [(4999, Decimal("2.0924")), (1, Decimal("2.27"))]


def test_the_last_piece_is_never_worth_less_than_nothing() -> None:
    assert split(Decimal(5000), Decimal("2.76")) == [(4999, Decimal("0.0005")), (1, Decimal("0.26"))]


@given(st.decimals("0.01", 100_000, places=2), st.integers(1, 20_000))
def test_a_split_comes_to_the_cent(amount: Decimal, quantity: int) -> None:
    parts = split(Decimal(quantity), amount)
    assert sum(part for part, _ in parts) == quantity
    assert sum((order_mapping.rounded(part * price) for part, price in parts), Decimal(0)) == amount
    assert all(price >= 0 and price == price.quantize(Decimal("0.0001")) for _, price in parts)


def test_what_was_not_rounded_is_rounded_line_by_line() -> None:
    document = sale_of(order(line("a", 3, "10.004"), line("b", 1, "2.115")), RULES)
    assert [one.unit_price for one in document.lines] == [Decimal("3.3333"), Decimal("2.12")]


def test_a_currency_without_cents_is_booked_in_whole_units() -> None:
    document = sale_of(order(line("a", 3, "1000.4"), charged="1190.476"), RULES, Decimal(1))
    assert sold(*document.lines) == 1000 and document.charged == 1190


def test_shipping_is_booked_as_the_product_of_the_settings_and_another_charge_as_none() -> None:
    lines = (line("s", kind="shipping", sku=None, title="DHL"), line("g", kind="charge", sku=None, title="Gift wrap"))
    assert [one.sku for one in sale_of(order(*lines), RULES).lines] == ["SHIP", None]
    assert [one.sku for one in sale_of(order(*lines), RULES._replace(shipping=None)).lines] == [None, None]


def test_a_tax_that_is_not_mapped_is_named_with_the_setting() -> None:
    with pytest.raises(Reject, match=r"'VAT16'.*tax_codes.*VAT16=NAME") as refused:
        sale_of(order(line(taxes=(Tax(code="VAT16", rate=Decimal(16)),))), RULES)
    assert refused.value.code == "unmapped_tax"


def test_the_note_of_a_line_begins_with_the_shops_id_and_says_the_discount() -> None:
    [one] = sale_of(order(line("item_1", discount=Decimal("1.5"))), RULES).lines
    assert one.note == "item_1\nDiscount 1.50"


def test_the_reference_is_the_number_and_the_buyers_own_behind_it() -> None:
    assert sale_of(order(), RULES).reference == "#1042"
    assert sale_of(order(po_number="PO-77"), RULES).reference == "#1042 / PO-77"


def test_the_total_is_computed_as_tryton_does_it() -> None:
    lines = sale_of(order(line("a", 3, "10.00"), line("b", 1, "0.05", taxes=())), RULES).lines
    assert total(lines, RATES) == Decimal("11.95")


def test_a_rest_of_a_cent_a_line_becomes_a_rounding_line_without_tax() -> None:
    document = sale_of(order(line("a"), line("b"), charged="23.82"), RULES)
    rounding = rest(document, Decimal("23.80"))
    assert rounding == SaleLine("rounding", None, Decimal(1), Decimal("0.02"), title="Rounding")
    assert rest(document, Decimal("23.82")) is None
    with pytest.raises(Reject, match=r"charged 23.82 EUR, Tryton computes 23.79.*1 x 10.0000 \+ VAT 19% \(BOLT\)"):
        rest(document, Decimal("23.79"))


def test_a_rest_above_five_cents_is_no_rounding_however_many_lines_there_are() -> None:
    document = sale_of(order(*(line(f"l{n}") for n in range(20)), charged="238.06"), RULES)
    with pytest.raises(Reject) as refused:
        rest(document, Decimal("238.00"))
    assert refused.value.code == "total_mismatch"


@pytest.mark.parametrize(
    ("placed", "day"),
    [
        (datetime(2026, 12, 31, 22, 59, tzinfo=UTC), date(2026, 12, 31)),
        (datetime(2026, 12, 31, 23, 0, tzinfo=UTC), date(2027, 1, 1)),
        (datetime(2026, 3, 28, 22, 59, tzinfo=UTC), date(2026, 3, 28)),
        (datetime(2026, 3, 29, 21, 59, tzinfo=UTC), date(2026, 3, 29)),
        (datetime(2026, 3, 29, 22, 0, tzinfo=UTC), date(2026, 3, 30)),
        (datetime(2026, 10, 25, 22, 59, tzinfo=UTC), date(2026, 10, 25)),
    ],
)
def test_the_day_is_the_companys(placed: datetime, day: date) -> None:
    assert order_mapping.day(order(placed_at=placed), BERLIN) == day


def test_a_return_takes_back_at_the_prices_of_the_order() -> None:
    back = Return(id="ret_1", status="received", lines=(Returned(line="a", quantity=Decimal(5000)),))
    bought = order(line("a", 5000, "10462.18"), returns=(back,))
    [document] = returns_of(bought, RULES)
    assert (document.web_id, document.origin, document.charged) == ("ret_1", True, None)
    assert sold(*document.lines) == Decimal("-10462.18")
    assert [one.quantity for one in document.lines] == [-4999, -1]


def test_what_is_sent_instead_is_a_sale_of_its_own() -> None:
    back = Return(
        id="ret_1", kind="exchange", status="requested", lines=(Returned(line="a", quantity=Decimal(1)),),
        instead=(line("new", 2, "20.00"),),
    )  # fmt: skip
    first, second = returns_of(order(line("a"), returns=(back,)), RULES)
    assert [first.web_id, second.web_id] == ["ret_1", "ret_1/instead"]
    assert [one.quantity for one in (*first.lines, *second.lines)] == [-1, 2]


def test_more_than_was_sold_cannot_come_back() -> None:
    back = Return(id="ret_1", status="received", lines=(Returned(line="a", quantity=Decimal(2)),))
    with pytest.raises(Reject, match="ret_1 brings back 2"):
        list(returns_of(order(line("a", 1), returns=(back,)), RULES))


def test_addresses_are_the_same_whatever_their_case_white_space_and_commas() -> None:
    assert order_mapping.folded("Rosenweg 3,\n2nd floor ", None) == order_mapping.folded("ROSENWEG  3 2nd Floor", "")
    assert order_mapping.folded("Rosenweg 3") != order_mapping.folded("Rosenweg 31")


def test_a_parcel_goes_to_a_person_at_a_company() -> None:
    assert order_mapping.address_name(Place(name="Jane", company="Acme")) == "Acme, Jane"
    assert order_mapping.address_name(Place(name="Acme", company="Acme")) == "Acme"


def there(number: int, note: str, quantity: float, price: str, product: int = 1, taxes: tuple[int, ...] = (19,)) -> Any:
    row = {"id": number, "note": note, "quantity": quantity, "unit_price": Decimal(price)}
    return {**row, "product": product, "taxes": list(taxes)}


def test_lines_are_known_by_the_shops_id_and_those_of_people_are_left_alone() -> None:
    wanted = [
        SaleLine("a", "BOLT", Decimal(2), Decimal("5.0000"), ("VAT 19%",)),
        SaleLine("n", "BOLT", Decimal(1), Decimal(1)),
    ]
    rows = [
        there(1, "a\nDiscount 1.00", 2.0, "5.0"),
        there(2, "b", 1.0, "7"),
        there(3, "", 1.0, "0"),
        there(4, "c", 0.0, "1"),
    ]
    found = changes(wanted, rows, {"BOLT": {"id": 1}}, {"VAT 19%": 19})
    assert [(one.there and one.there["id"], one.wanted and one.wanted.line) for one in found] == [
        (None, "n"),
        (2, None),
    ]


def test_another_product_under_the_same_id_is_another_line() -> None:
    wanted = [SaleLine("a", "BOLT", Decimal(1), Decimal(1))]
    found = changes(wanted, [there(1, "a", 1.0, "1", product=2)], {"BOLT": {"id": 1}}, {})
    assert [(one.there and one.there["id"], one.wanted and one.wanted.sku) for one in found] == [
        (None, "BOLT"),
        (1, None),
    ]


def test_goods_that_were_sent_instead_come_back_at_their_own_price() -> None:
    swap = Return(id="r1", kind="exchange", status="received", instead=(line("n", 3, "12.00"),),
                  lines=(Returned(line="a", quantity=Decimal(1)),))  # fmt: skip
    again = Return(id="r2", status="received", lines=(Returned(line="n", quantity=Decimal(2)),))
    documents = {one.web_id: one for one in returns_of(order(line("a"), returns=(swap, again)), RULES)}
    assert set(documents) == {"r1", "r1/instead", "r2"}
    assert [(one.line, one.quantity, one.unit_price) for one in documents["r2"].lines] == [("n", -2, 4)]


def test_a_return_that_was_born_in_the_erp_is_there() -> None:
    back = Return(id="r1", status="received", erp_number="R7", lines=(Returned(line="a", quantity=Decimal(1)),))
    assert list(returns_of(order(line("a"), returns=(back,)), RULES)) == []
