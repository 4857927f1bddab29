"""How Tryton's tables become stock: zones, units, kits and lines, without a Tryton."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossdock.connectors.tryton import stock_rows
from crossdock.domain.stock import Part

UNIT, DOZEN = {"factor": 1.0, "rate": 1.0}, {"factor": 12.0, "rate": 0.083333333333}
GRAM, POUND = {"factor": 0.001, "rate": 1000.0}, {"factor": 0.45359237, "rate": 2.204622621849}
TODAY = date(2026, 11, 26)

STORAGE, SHELF, OUTPUT, INPUT, ELSEWHERE, OTHER = 11, 12, 13, 14, 90, 91
PLACES = [
    {"id": STORAGE, "parent": 10}, {"id": SHELF, "parent": STORAGE}, {"id": OUTPUT, "parent": 10},
    {"id": INPUT, "parent": 10},
]  # fmt: skip
HOUSE = {"code": "WH", "storage_location": STORAGE, "output_location": OUTPUT, "input_location": INPUT}


def product(code: str = "A", id_: int = 1, unit: Any = UNIT, sale_unit: Any = None, **changes: Any) -> dict[str, Any]:
    template = {
        "active": True, "type": "goods", "consumable": False, "default_uom.": unit, "sale_uom.": sale_unit or unit,
        **changes,
    }  # fmt: skip
    return {"id": id_, "code": code, "active": True, "template": id_, "template.": template}


def move(here: int, there: int, quantity: float = 1.0, planned: date | None = TODAY) -> dict[str, Any]:
    return {
        "from_location": here, "to_location": there, "internal_quantity": quantity, "planned_date": planned,
        "effective_date": None,
    }  # fmt: skip


def component(part: dict[str, Any], quantity: float = 1.0, unit: Any = UNIT, **changes: Any) -> dict[str, Any]:
    return {
        "id": 5, "parent_product": None, "quantity": quantity, "fixed": False, "unit.": unit, "product.": part,
        **changes,
    }  # fmt: skip


def supply(*moves: dict[str, Any], on_hand: float = 10.0, **fields: Any) -> Any:
    houses = stock_rows.warehouses([HOUSE], PLACES)
    [one] = stock_rows.goods(product(**fields), houses, moves, {"WH": on_hand}, TODAY).supplies
    return one


@pytest.mark.parametrize(
    ("here", "there", "outgoing", "incoming"),
    [
        (STORAGE, OUTPUT, 0, 0), (STORAGE, SHELF, 0, 0), (SHELF, ELSEWHERE, 1, 0), (OUTPUT, ELSEWHERE, 1, 0),
        (STORAGE, INPUT, 1, 0), (ELSEWHERE, INPUT, 0, 1), (INPUT, SHELF, 0, 1), (ELSEWHERE, STORAGE, 0, 1),
        (ELSEWHERE, OTHER, 0, 0), (INPUT, ELSEWHERE, 0, 0),
    ],
)  # fmt: skip
def test_what_leaves_and_what_comes(here: int, there: int, outgoing: int, incoming: int) -> None:
    one = supply(move(here, there))
    assert (one.on_hand, one.outgoing, one.incoming) == (10, outgoing, incoming)


def test_a_warehouse_without_zones_of_their_own() -> None:
    house = {**HOUSE, "output_location": STORAGE, "input_location": STORAGE}
    [one] = stock_rows.warehouses([house], PLACES)
    assert (one.roots, one.stock, one.arriving) == ((STORAGE,), {STORAGE, SHELF}, set())


def test_an_output_zone_within_the_storage_is_not_added_up_twice() -> None:
    [one] = stock_rows.warehouses([{**HOUSE, "output_location": SHELF}], PLACES)
    assert one.roots == (STORAGE,)


def test_warehouses_come_by_their_codes() -> None:
    assert [one.code for one in stock_rows.warehouses([HOUSE, {**HOUSE, "code": "AH"}], PLACES)] == ["AH", "WH"]


@pytest.mark.parametrize(
    ("days", "expected"), [((None,), None), ((date(2026, 11, 25),), None), ((TODAY, date(2027, 1, 1)), TODAY)]
)
def test_the_day_of_the_next_receipt(days: tuple[date | None, ...], expected: date | None) -> None:
    assert supply(*(move(ELSEWHERE, INPUT, planned=day) for day in days)).expected == expected


def test_floats_are_no_noise() -> None:
    one = supply(*[move(STORAGE, ELSEWHERE, 0.1)] * 3, on_hand=0.7)
    assert (one.on_hand, one.outgoing) == (Decimal("0.7"), Decimal("0.3"))


@pytest.mark.parametrize(
    ("quantity", "of", "to", "expected"),
    [
        (24, UNIT, DOZEN, "2"), (2, DOZEN, UNIT, "24"), (30, UNIT, DOZEN, "2.5"), (1, UNIT, DOZEN, "0.083333"),
        (1000, GRAM, POUND, "2.204623"), (2, POUND, GRAM, "907.18474"), (7, DOZEN, DOZEN, "7"),
    ],
)  # fmt: skip
def test_units_are_converted_by_their_exact_side(quantity: int, of: Any, to: Any, expected: str) -> None:
    assert stock_rows.converted(Decimal(quantity), of, to) == Decimal(expected)


@given(st.integers(0, 10**9))
def test_a_whole_number_of_dozens_stays_whole(dozens: int) -> None:
    assert stock_rows.sold(float(dozens * 12), product(sale_unit=DOZEN)) == dozens


def test_what_has_no_sale_unit_is_told_in_the_one_it_is_stocked_in() -> None:
    one = product()
    one["template."]["sale_uom."] = None
    assert stock_rows.sold(3.0, one) == 3


def test_of_one_code_what_is_in_use_counts_and_else_the_newest() -> None:
    old, new, gone = product(id_=1), product(id_=2), product(id_=3, active=False)
    assert stock_rows.by_code([gone, new, old])["A"] is new
    assert stock_rows.by_code([product(id_=4, active=False), gone])["A"]["id"] == 4
    assert stock_rows.by_code([product("S", type="service"), product("C", consumable=True)]) == {}


def parts(kit: dict[str, Any], *components: dict[str, Any]) -> tuple[Part, ...]:
    return stock_rows.kit(kit, components).parts


def test_a_kit_is_its_parts_and_equal_ones_add_up() -> None:
    screws, more = component(product("B"), 2.0), component(product("B"), 0.5)
    assert parts(product("K", 9), screws, component(product("A")), more) == (
        Part(sku="A", quantity=Decimal(1)),
        Part(sku="B", quantity=Decimal("2.5")),
    )


def test_the_variants_own_parts_replace_the_products() -> None:
    own = component(product("B"), parent_product=9)
    assert parts(product("K", 9), component(product("A")), own) == (Part(sku="B", quantity=Decimal(1)),)
    assert parts(product("K", 8), component(product("A")), own) == (Part(sku="A", quantity=Decimal(1)),)


def test_parts_are_told_as_they_are_sold_and_per_kit_as_it_is_sold() -> None:
    assert parts(product("K", 9, sale_unit=DOZEN), component(product("A", sale_unit=DOZEN), 6.0)) == (
        Part(sku="A", quantity=Decimal(6)),
    )
    fixed = component(product("A"), 1.0, fixed=True)
    assert parts(product("K", 9, sale_unit=DOZEN), fixed) == (Part(sku="A", quantity=Decimal(1)),)


def test_a_part_without_a_code_is_one_that_nobody_has_and_a_consumable_one_none() -> None:
    nameless, tape = component(product("", 7)), component(product("T", consumable=True))
    assert parts(product("K", 9), nameless, tape) == (Part(sku="product 7", quantity=Decimal(1)),)
    assert parts(product("K", 9), tape) == ()


LINE = {"id": 1, "note": "a\nb", "quantity": 3.0, "unit.": DOZEN, "product.": product()}


def test_a_line_is_counted_in_its_own_unit() -> None:
    assert stock_rows.moved(LINE, [], {"sale.line,1": Decimal(24)}) == 2
    assert stock_rows.moved(LINE, [], {"sale.line,2": Decimal(24)}) is None


@pytest.mark.parametrize(
    ("first", "second", "expected"), [(3, 6, 3), (3, 4, 2), (1, 6, 1), (None, 6, 0), (None, None, None), (0, 6, 0)]
)
def test_a_kit_is_counted_as_all_its_parts_allow(first: int | None, second: int | None, expected: int | None) -> None:
    components = [
        component(product("A"), 3.0, id=1),
        component(product("B"), 6.0, id=2),
        component(product(), 0.0, id=3),
    ]
    given = {1: first, 2: second}
    quantities = {f"sale.line.component,{one}": Decimal(some) for one, some in given.items() if some is not None}
    assert stock_rows.moved({**LINE, "product.": product("K", type="kit")}, components, quantities) == expected


@pytest.mark.parametrize(
    ("note", "line"), [("ordli_1\nDiscount 1.00", "ordli_1"), (" ordli_1 ", "ordli_1"), (None, ""), ("", "")]
)
def test_the_shops_id_is_the_first_line_of_the_note(note: str | None, line: str) -> None:
    assert stock_rows.line_of({"note": note}) == line
