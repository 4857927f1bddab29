"""Whatever people type into Tryton's forms is in the shop as it is in the ERP, or in quarantine with a reason."""

from __future__ import annotations

from typing import Any

import pytest
from tests.faults.products import Products

from crossdock.domain.item import MOST_VARIANTS

pytestmark = pytest.mark.e2e

WORLD = Products

TAKEN: dict[str, dict[str, Any]] = {
    "emoji": {"name": "Bolt 🔩👩‍🔧🏳️‍🌈"},
    "right to left": {"name": "מברג חשמלי M6"},
    "right-to-left mark": {"name": "Bolt \u200fM6\u200e"},
    "zero width": {"name": "Bo\u200blt"},
    "combining": {"name": "Cafe\u0301 Bo\u0308lt"},
    "quotes": {"name": "12\" 'bolt' `x` \\ \u201cM6\u201d"},
    "signs": {"name": "a < b & c > d"},
    "sql": {"name": "'; DROP TABLE product;--"},
    "json": {"name": '{"name": null}'},
    "template": {"name": "{{7*7}} ${x} %s {0}"},
    "formula": {"name": "=1+1"},
    "255": {"name": "x" * 255},
    "255 emoji": {"name": "🔩" * 255},
    "symbols": {"name": "★☆★"},
    "dots": {"name": "..."},
    "number": {"name": "0012"},
    "same name": {"name": "Twin"},
    "its twin": {"name": "Twin"},
    "same slug": {"name": "Twín!"},
    "description of 100,000": {"web_shop_description": "d" * 100_000},
    "description of emoji": {"web_shop_description": "🔩" * 50_000},
    "mark-up": {"web_shop_description": "<p>One &amp; two<br>\n<strong>three</p>"},
    "no description": {"web_shop_description": None},
    "ten grams": {"weight": 0.01},
    "two decimals": {"weight": 0.33},
}
CODES = ("A 1", "A-1", "A_1", "A/1", "Å1", "a-1", "★", "☆", "A%1", 'A"1', "A'1", "A&1", "A?b=1#c", "A\\1")
"""Written as they are, most have the same slug."""
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "html": ({"name": "<b>Bolt</b>"}, "HTML"),
    "entity": ({"name": "Bolt &lt; nut"}, "HTML"),
    "256": ({"name": "x" * 256}, "255"),
    "private use": ({"name": "Bolt \ue000"}, "control"),
    "script": ({"web_shop_description": "<script>alert(1)</script>"}, "active content"),
    "handler": ({"web_shop_description": "<img src=x onerror='alert(1)'>"}, "active content"),
    "100,001": ({"web_shop_description": "d" * 100_001}, "100000"),
    "no weight": ({"weight": 0.0}, "weight"),
    "one letter": ({"name": "x"}, "fewer than two letters"),
    "too heavy": ({"weight": 30_001.0}, "30 tonnes"),
    "twins": ({}, "told apart"),
}


def test_what_people_type_is_shown_or_refused_with_a_reason_and_never_stops_the_others(world: Products) -> None:
    kilogram = world.erp.id_of("product.uom", "Kilogram")
    good: list[str] = []
    taken: dict[str, str] = {}
    refused: dict[str, str] = {}
    for what, values in {**TAKEN, **{what: values for what, (values, _) in REFUSED.items()}}.items():
        if "weight" in values:
            values = {**values, "weight_uom": kilogram}
        [number] = world.new(**values)
        (taken if what in TAKEN else refused)[number] = what
        if len(taken) % 4 == 0:
            good += world.new()
    for suffix in CODES:
        [number] = world.numbers(1)
        world.new(code=f"{number}{suffix}")
        taken[f"{number}{suffix}"] = suffix
    [twins] = [number for number, what in refused.items() if what == "twins"]
    world.erp.admin("model.product.product.write", world.variants(twins), {"attributes": {"color": "black"}})
    assert world.sync().state == "success"
    quarantined = world.quarantined()
    in_erp, in_shop = world.in_erp(), world.in_shop()
    for number in (*good, *taken):
        assert number not in quarantined, (taken.get(number), quarantined[number]["reason"])
        assert in_shop[number] == in_erp[number], taken.get(number)
    assert quarantined.keys() == refused.keys()
    for number, what in refused.items():
        assert REFUSED[what][1] in quarantined[number]["reason"], what
        assert quarantined[number]["remedy"] and number not in in_shop
    for number in refused:  # put right, each is taken up
        world.change(number, name="Put right", web_shop_description=None, weight=None, weight_uom=None)
    world.erp.admin("model.product.product.write", world.variants(twins)[:1], {"attributes": {"color": "yellow"}})
    world.heals()
    assert world.quarantined() == {}


@pytest.mark.parametrize(
    "names",
    [("Bolts & Nuts", "Bolts, Nuts", "bolts nuts"), ("★", "☆", "Ж"), ("x" * 255, "Å" * 255)],
    ids=["slug", "symbols", "long"],
)
def test_categories_whose_names_make_the_same_slug_stay_apart(world: Products, names: tuple[str, ...]) -> None:
    numbers = {world.new(categories=[["add", [world.new_category(name)]]])[0]: name for name in names}
    assert world.sync().state == "success"
    assert {number: world.in_shop()[number].categories for number in numbers} == {
        number: [name] for number, name in numbers.items()
    }


def test_a_product_in_2048_variants_is_sold_and_one_in_2049_is_refused(world: Products) -> None:
    [number] = world.new(colors=())
    world.add_variants(number, MOST_VARIANTS)
    [good] = world.new()
    assert world.sync().state == "success"
    in_erp = world.in_erp()
    assert world.in_shop()[number] == in_erp[number] and world.in_shop()[good] == in_erp[good]
    world.add_variants(number, 1)
    [other] = world.new()
    assert world.sync().state == "success"
    assert "variants" in world.quarantined()[number]["reason"]
    assert world.in_shop()[number] == in_erp[number] and other in world.in_shop()
