"""Tryton's flat tables, joined into rows, to items. One small product, changed in one place at a time."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from crossdock.connectors.tryton import item_mapping, item_rows
from crossdock.connectors.tryton.item_rows import Known, Tables, Texts
from crossdock.domain.item import Attribute, Item, Translation
from crossdock.errors import Reject

UNITS = {
    1: {"id": 1, "name": "Unit", "factor": 1.0, "rate": 1.0},
    2: {"id": 2, "name": "Kilogram", "factor": 1.0, "rate": 1.0},
    3: {"id": 3, "name": "Pound", "factor": 0.45359237, "rate": 2.204622621849},
    4: {"id": 4, "name": "Centimeter", "factor": 0.01, "rate": 100.0},
    5: {"id": 5, "name": "Dozen", "factor": 12.0, "rate": 0.083333333333},
    6: {"id": 6, "name": "Seventh", "factor": 0.142857142857, "rate": 7.0},
}
CATEGORIES = {
    1: {"id": 1, "name": "Standard rated", "parent": None},
    8: {"id": 8, "name": "Workwear", "parent": None},
    3: {"id": 3, "name": "Jackets", "parent": 8},
    4: {"id": 4, "name": "<b>Gloves</b>", "parent": 8},
}
ATTRIBUTES = {
    name: {"id": place, "name": name, "string": label, "type_": kind, "selection": selection}
    for place, (name, label, kind, selection) in enumerate((
        ("color", "Color", "selection", "black: Black\nyellow: Light: yellow\n"),
        ("size", "Size", "selection", "s: S\nm: M"),
        ("material", "Material", "char", None),
        ("ce", "CE certified", "boolean", None),
        ("norms", "Norms", "multiselection", "a: EN 1\nb: EN 2"),
        ("pockets", "Pockets", "integer", None),
        ("thickness", "Thickness", "float", None),
        ("rate", "Rate", "numeric", None),
        ("since", "Since", "date", None),
    ))
}  # fmt: skip
KNOWN = Known(UNITS, CATEGORIES, ATTRIBUTES, shops=None)
MOMENT = datetime(2026, 11, 24, 15, 7, 13, 427_553, tzinfo=UTC)
EAN, OTHER_EAN = "4006381333931", "96385074"


def template(**changes: Any) -> dict[str, Any]:
    measures: dict[str, Any] = {name: None for one in item_rows.MEASURES for name in (one, f"{one}_uom")}
    return {
        "id": 7, "code": "WJ1", "name": "Work Jacket", "active": 1, "salable": 1, "type": "goods", "default_uom": 1,
        "sale_uom": 1, "account_category": 1, "categories": [3], "web_shop_description": "<p>Warm.</p>",
        **measures, **changes,
    }  # fmt: skip


def product(number: int, color: str | None = None, **changes: Any) -> dict[str, Any]:
    return {
        "id": number, "template": 7, "code": f"WJ1-{number}", "suffix_code": f"-{number}", "position": None,
        "active": 1, "attributes": {"color": color} if color else None, **changes,
    }  # fmt: skip


PAIR = (product(1, "black"), product(2, "yellow"))


def identifier(number: int, code: str, **changes: Any) -> dict[str, Any]:
    return {"id": number, "product": 1, "type": "ean", "code": code, "sequence": None, **changes}


def image(number: int, **changes: Any) -> dict[str, Any]:
    row = {"id": number, "template": 7, "product": None, "description": None, "sequence": None}
    return {**row, "last_modified_at": MOMENT, **changes}


def joined(
    *products: dict[str, Any],
    identifiers: tuple[dict[str, Any], ...] = (),
    images: tuple[dict[str, Any], ...] = (),
    descriptions: dict[int, str | None] | None = None,
    texts: dict[str, Texts] | None = None,
    known: Known = KNOWN,
    **changes: Any,
) -> item_rows.Joined:
    tables = Tables([template(**changes)], products or PAIR, identifiers, images, descriptions or {})
    [one] = item_rows.join(tables, texts or {}, known)
    return one


def item(*products: dict[str, Any], options: tuple[str, ...] = (), **changes: Any) -> Item:
    return item_mapping.to_item(joined(*products, **changes).row.raw, options)


def refusal(*products: dict[str, Any], options: tuple[str, ...] = (), **changes: Any) -> Reject:
    with pytest.raises(Reject) as caught:
        item(*products, options=options, **changes)
    assert caught.value.remedy
    return caught.value


def test_an_item_is_put_together_from_all_that_belongs_to_it() -> None:
    ours = item(identifiers=(identifier(5, EAN),), images=(image(6, description="Front"),))
    assert (ours.key, ours.name, ours.unit, ours.tax_class) == ("WJ1", "Work Jacket", "Unit", "Standard rated")
    assert ours.published and not ours.gone and ours.kind == "goods" and ours.description == "<p>Warm.</p>"
    assert [[place.name for place in path] for path in ours.categories] == [["Workwear", "Jackets"]]
    assert [(one.sku, one.options, one.barcode) for one in ours.live] == [
        ("WJ1-1", (Attribute(name="Color", value="Black"),), EAN),
        ("WJ1-2", (Attribute(name="Color", value="Light: yellow"),), None),
    ]
    assert [(one.ref, one.alt) for one in ours.images] == [("6@2026-11-24T15:07:13.427553+00:00", "Front")]
    parts = ("template:7=WJ1", "product:1", "identifier:5", "product:2", "image:6", "category:3", "category:8")
    assert ours.parts == parts


def test_a_service() -> None:
    assert item(type="service").kind == "service"


def test_a_product_without_anything() -> None:
    ours = item(product(1), account_category=None, categories=[], web_shop_description=None, sale_uom=None)
    assert (ours.tax_class, ours.categories, ours.description, ours.unit) == ("", (), "", "Unit")
    assert ours.live[0].options == () and ours.live[0].attributes == ()


# ---- who is for sale


@pytest.mark.parametrize("changes", [{"active": 0}, {"salable": 0}])
def test_a_template_that_is_withdrawn(changes: dict[str, int]) -> None:
    ours = item(**changes)
    assert ours.gone and not ours.published and ours.live == ()
    assert not joined(**changes).for_sale


def test_a_product_whose_variants_are_all_archived() -> None:
    assert item(product(1, active=0), product(2, active=0)).gone


def test_only_what_is_in_the_shop_is_live() -> None:
    known = KNOWN._replace(shops=frozenset({4}))
    ours = item(product(1, web_shops=[4, 5]), product(2, web_shops=[5]), known=known)
    assert [(one.sku, one.live) for one in ours.variants] == [("WJ1-1", True), ("WJ1-2", False)]


@pytest.mark.parametrize("wrong", [{"name": "<b>"}, {"weight": -1.0, "weight_uom": 2}, {"categories": [4]}])
def test_a_withdrawn_product_is_taken_out_whatever_is_wrong_with_it(wrong: dict[str, Any]) -> None:
    refusal(**wrong)
    ours = item(active=0, **wrong)
    assert (ours.gone, ours.name, ours.parts[0]) == (True, "WJ1", "template:7=WJ1")


def test_an_archived_variant_may_have_the_code_of_another() -> None:
    variants = (product(1, active=0, code="A"), product(2, code="A"), product(3, active=0, code=None))
    assert [(one.source_id, one.live) for one in item(*variants).variants] == [("2", True)]


# ---- codes


@pytest.mark.parametrize(
    ("products", "key"),
    [
        ((product(1),), "WJ1-1"),
        ((product(1, active=0), product(2)), "WJ1-2"),
        ((product(1, active=0),), "WJ1-1"),
        ((product(1), product(2)), ""),
        ((product(1, active=0), product(2, active=0)), ""),
        ((product(1, code=None),), ""),
    ],
)
def test_without_a_code_the_only_variant_has_one(products: tuple[dict[str, Any], ...], key: str) -> None:
    row = joined(*products, code=None).row
    assert row.key == key
    if key:
        ours = item_mapping.to_item(row.raw, ())
        assert ours.key == key and ours.parts[:2] == ("template:7=", f"product:1={products[0]['code']}")
    else:
        assert refusal(*products, code=None).code == "no_code"


def test_a_variant_without_a_code() -> None:
    fault = refusal(product(1, "black"), product(2, "yellow", code=None))
    assert (fault.code, fault.reason) == ("no_variant_code", "Variant 2 of product WJ1 has no code.")


# ---- options and attributes


def test_options_are_the_selections_in_the_order_of_their_names() -> None:
    given = {"size": "s", "color": "black", "material": "wool"}
    ours = item(product(1, attributes=given), product(2, attributes={**given, "size": "m"}))
    assert [[one.value for one in variant.options] for variant in ours.live] == [["Black", "S"], ["Black", "M"]]
    assert ours.live[0].attributes == (Attribute(name="Material", value="wool"),)


def test_options_are_those_that_are_named() -> None:
    given = {"size": "s", "color": "black"}
    variants = (
        product(1, attributes={**given, "material": "wool"}),
        product(2, attributes={**given, "material": "silk"}),
    )
    ours = item(*variants, options=("material",))
    assert [variant.options for variant in ours.live] == [
        (Attribute(name="Material", value="wool"),), (Attribute(name="Material", value="silk"),)
    ]  # fmt: skip
    assert [one.name for one in ours.live[0].attributes] == ["Color", "Size"]


def test_variants_that_nothing_but_their_code_tells_apart() -> None:
    ours = item(product(1), product(2, suffix_code=None))
    assert [variant.options for variant in ours.live] == [
        (Attribute(name="Variant", value="-1"),), (Attribute(name="Variant", value="WJ1-2"),)
    ]  # fmt: skip


def test_a_lone_variant_needs_no_options() -> None:
    ours = item(product(1, "black"), product(2, "yellow", active=0))
    assert ours.live[0].options == () and ours.live[0].attributes == (Attribute(name="Color", value="Black"),)


def test_a_variant_that_lacks_an_option() -> None:
    fault = refusal(product(1, "black"), product(2, attributes={"size": "s"}))
    assert fault.code == "option_missing"
    assert fault.reason == "Variant WJ1-1 of product WJ1 has no Size, which its other variants have."


def test_two_variants_that_are_alike() -> None:
    fault = refusal(product(1, "black"), product(2, "black"))
    assert fault.code == "contradictory"
    assert fault.reason == "Product WJ1: the variants WJ1-1 and WJ1-2 cannot be told apart by their options."


def test_variants_are_in_tryton_s_order() -> None:
    variants = product(1, "black", position=2), product(2, "yellow", position=1), product(3, "pink")
    assert [one.source_id for one in item(*variants).live] == ["3", "2", "1"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("material", "wool", "wool"),
        ("ce", True, "yes"),
        ("ce", False, "no"),
        ("norms", ["a", "b"], "EN 1, EN 2"),
        ("color", "mauve", "mauve"),
        ("pockets", 4, "4"),
        ("thickness", 1.50, "1.5"),
        ("rate", Decimal("2.50"), "2.5"),
        ("since", datetime(2026, 2, 28).date(), "2026-02-28"),  # noqa: DTZ001 - only the day
        ("forgotten", "what no definition knows", "what no definition knows"),
    ],
)
def test_attributes_are_said_by_their_labels(name: str, value: Any, said: str) -> None:
    [attribute] = item(product(1, attributes={name: value})).live[0].attributes
    assert attribute == Attribute(name=ATTRIBUTES.get(name, {"string": name})["string"], value=said)


@pytest.mark.parametrize("value", [None, "", []])
def test_an_empty_attribute_is_none(value: Any) -> None:
    assert item(product(1, attributes={"norms": value})).live[0].attributes == ()


def test_an_attribute_that_holds_html() -> None:
    fault = refusal(product(1, attributes={"material": "<b>wool</b>"}))
    assert fault.reason == (
        "Attribute material of variant WJ1-1 of product WJ1: value holds HTML where plain text belongs."
    )


# ---- barcodes


@pytest.mark.parametrize(
    ("codes", "barcode"),
    [
        ([("ean", EAN)], EAN),
        ([("ean", OTHER_EAN)], OTHER_EAN),
        ([("isbn", "978-3-16-148410-0")], "9783161484100"),
        ([("isbn", "3-16-148410-X"), ("ean", EAN)], EAN),
        ([], None),
    ],
)
def test_the_first_gtin_is_the_barcode(codes: list[tuple[str, str]], barcode: str | None) -> None:
    given = tuple(identifier(place, code, type=kind) for place, (kind, code) in enumerate(codes, 1))
    assert item(product(1), identifiers=given).live[0].barcode == barcode


def test_identifiers_are_in_tryton_s_order() -> None:
    given = identifier(1, EAN, sequence=2), identifier(2, OTHER_EAN, sequence=1)
    assert item(product(1), identifiers=given).live[0].barcode == OTHER_EAN


def test_a_barcode_with_a_wrong_check_digit() -> None:
    fault = refusal(product(1), identifiers=(identifier(1, "4006381333932"),))
    assert fault.reason == "Variant WJ1-1 of product WJ1: barcode is not a GTIN: its check digit is wrong."


# ---- measures


@pytest.mark.parametrize(
    ("value", "unit", "grams"),
    [
        (0.9, 2, "900"),
        (1.1, 2, "1100"),
        (1.0, 3, "453.59237"),
        (7.0, 6, "1000"),
        (5e-05, 2, "0.05"),
        (1e6, 2, "1000000000"),
    ],
)
def test_weights_are_exact(value: float, unit: int, grams: str) -> None:
    weight = item(weight=value, weight_uom=unit).weight
    assert str(weight) == grams


def test_lengths_are_in_millimetres() -> None:
    ours = item(length=12.5, length_uom=4, width=3.0, width_uom=4, height=None)
    assert (ours.length, ours.width, ours.height) == (125, 30, None)


def test_what_is_sold_by_the_dozen_weighs_twelve_times_as_much_and_is_of_unknown_length() -> None:
    ours = item(sale_uom=5, weight=0.25, weight_uom=2, length=10.0, length_uom=4)
    assert (ours.unit, ours.weight, ours.length) == ("Dozen", 3000, None)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"weight": 0.0, "weight_uom": 2}, "The weight of product WJ1 is 0 Kilogram."),
        ({"weight": -2.5, "weight_uom": 2}, "The weight of product WJ1 is -2.5 Kilogram."),
        ({"weight": 1.0, "weight_uom": None}, "The weight of product WJ1 is 1 without a unit."),
        ({"height": 0.0, "height_uom": 4}, "The height of product WJ1 is 0 Centimeter."),
    ],
)
def test_measures_that_cannot_be(changes: dict[str, Any], reason: str) -> None:
    fault = refusal(**changes)
    assert fault.code.startswith("invalid_") and fault.reason == reason


# ---- texts and images


@pytest.mark.parametrize(
    ("descriptions", "said"),
    [({1: "Warm.", 2: "Warm."}, "Warm."), ({1: "Warm.", 2: "Cold."}, ""), ({1: "Warm.", 2: None}, ""), ({}, "")],
)
def test_without_a_description_the_one_of_all_its_variants_counts(descriptions: dict[int, Any], said: str) -> None:
    assert item(web_shop_description=None, descriptions=descriptions).description == said


def test_translations_are_those_that_differ() -> None:
    def text(name: str) -> Texts:
        return Texts({7: {"id": 7, "name": name, "web_shop_description": "<p>Warm.</p>"}}, {})

    ours = item(texts={"pt_BR": text("Jaqueta"), "de": text("Arbeitsjacke"), "fr": text("Work Jacket")})
    assert ours.translations == (
        Translation(locale="de", name="Arbeitsjacke", description="<p>Warm.</p>"),
        Translation(locale="pt-BR", name="Jaqueta", description="<p>Warm.</p>"),
    )


def test_images_are_in_tryton_s_order_without_those_of_withdrawn_variants() -> None:
    given = (
        image(1, sequence=2), image(2, sequence=1), image(3), image(4, product=2), image(5, product=1),
    )  # fmt: skip
    ours = item(product(1), product(2, active=0), images=given)
    assert [one.ref.split("@")[0] for one in ours.images] == ["3", "5", "2", "1"]


# ---- bad rows


@pytest.mark.parametrize(
    ("changes", "code", "reason"),
    [
        ({"name": None}, "invalid_name", "Product WJ1: name"),
        ({"name": "Tab\u0007bell"}, "invalid_name", "Product WJ1: name holds control characters"),
        ({"code": "<i>"}, "invalid_number", "Product <i>: number holds HTML"),
        ({"web_shop_description": "<script>x</script>"}, "invalid_description", "active content"),
        ({"categories": [4]}, "invalid_name", "Category 4 of product WJ1: name holds HTML"),
        ({"images": (image(1, description="<b>"),)}, "invalid_alt", "Image 1 of product WJ1: alt holds HTML"),
        (
            {"texts": {"de": Texts({7: {"id": 7, "name": "<b>", "web_shop_description": ""}}, {})}},
            "invalid_name",
            "The name of product WJ1 in de: name holds HTML",
        ),
    ],
)
def test_bad_rows_say_what_is_wrong(changes: dict[str, Any], code: str, reason: str) -> None:
    fault = refusal(**changes)
    assert fault.code == code
    assert reason in fault.reason


@pytest.mark.parametrize("raw", [b"", b"<html>", b"[]", b'{"id": 5}', b'{"id": 5, "name": "\xff\xfe"}'])
def test_garbage_is_a_reject_too(raw: bytes) -> None:
    with pytest.raises(Reject, match="unreadable"):
        item_mapping.to_item(raw, ())


# ---- the row's bytes


def test_bytes_stay_the_same_whatever_order_tryton_answers_in() -> None:
    given: dict[str, Any] = {
        "identifiers": (identifier(1, EAN), identifier(2, OTHER_EAN)), "images": (image(1), image(2)),
        "categories": [3, 8],
    }  # fmt: skip
    variants = tuple(product(n, attributes={"color": "black", "size": "s", "norms": ["b", "a"]}) for n in (1, 2))

    def shuffled(rows: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        return tuple(dict(reversed(row.items())) for row in reversed(rows))

    backwards = {
        "identifiers": shuffled(given["identifiers"]),
        "images": shuffled(given["images"]),
        "categories": [8, 3],
    }
    turned = tuple({**row, "attributes": dict(reversed(row["attributes"].items()))} for row in shuffled(variants))
    assert joined(*turned, **backwards).row == joined(*variants, **given).row
    assert joined(*variants, **{**given, "categories": [3]}).row != joined(*variants, **given).row


def test_sqlite_and_postgresql_give_the_same_bytes() -> None:
    booleans = tuple({**one, "active": True} for one in PAIR)
    assert joined(*booleans, active=True, salable=True).row == joined(*PAIR).row


@pytest.mark.parametrize("table", ["units", "categories", "attributes"])
def test_a_row_says_what_other_tables_say(table: str) -> None:
    renamed = {
        one: {**row, "name": f"{row['name']} 2", "string": "Label 2"} for one, row in getattr(KNOWN, table).items()
    }
    assert joined(known=KNOWN._replace(**{table: renamed})).row != joined().row


def test_a_category_that_has_just_been_deleted_is_left_out() -> None:
    assert json.loads(joined(categories=[3, 99]).row.raw)["categories"] == json.loads(joined().row.raw)["categories"]
