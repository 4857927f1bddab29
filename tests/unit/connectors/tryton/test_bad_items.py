"""Whatever stands in Tryton: an item, or a refusal that says what is wrong with which field of which record."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from crossdock.connectors.tryton import item_mapping, item_rows
from crossdock.connectors.tryton.item_rows import Known, Tables
from crossdock.domain.item import MOST_VARIANTS, Item
from crossdock.domain.record import faults
from crossdock.errors import Reject

UNIT = {"id": 1, "name": "Unit", "factor": 1.0, "rate": 1.0}
KILO = {"id": 2, "name": "Kilogram", "factor": 1.0, "rate": 1.0}
COLOR = {"id": 1, "name": "color", "string": "Color", "type_": "selection", "selection": "a:Azure\nb:Black"}
KNOWN = Known({1: UNIT, 2: KILO}, {3: {"id": 3, "name": "Tools", "parent": None}}, {"color": COLOR}, shops=None)

CODE = "WJ1"
MEGABYTES = 10 * 1024 * 1024


def template(**changes: Any) -> dict[str, Any]:
    measures: dict[str, Any] = {name: None for one in item_rows.MEASURES for name in (one, f"{one}_uom")}
    return {
        "id": 7, "code": CODE, "name": "Work Jacket", "active": 1, "salable": 1, "type": "goods", "default_uom": 1,
        "sale_uom": 1, "account_category": 3, "categories": [3], "web_shop_description": "<p>Warm.</p>",
        **measures, **changes,
    }  # fmt: skip


def product(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": number, "template": 7, "code": f"{CODE}-{number}", "suffix_code": f"-{number}", "position": None,
        "active": 1, "attributes": {"color": "ab"[number % 2]}, **changes,
    }  # fmt: skip


PAIR = (product(1), product(2))


def row(*products: dict[str, Any], known: Known = KNOWN, **changes: Any) -> bytes:
    """As the source reads it, of these variants and a template with these changes."""
    identifiers = changes.pop("identifiers", ())
    [one] = item_rows.join(Tables([template(**changes)], products or PAIR, identifiers, (), {}), {}, known)
    return one.row.raw


def fields() -> dict[str, Any]:
    """A good row, to be spoiled."""
    good: dict[str, Any] = json.loads(row(weight=1.5, weight_uom=2))
    return good


def judged(raw: bytes) -> Item | str:
    """The item, or why there is none: as the engine sees it. Any other exception is a defect."""
    try:
        item = item_mapping.to_item(raw, ())
    except Reject as refusal:
        assert refusal.code and refusal.remedy
        reason = refusal.reason
    except ValidationError as error:
        reason = faults(error)
    else:
        assert Item.model_validate_json(item.model_dump_json()) == item  # it survives the stage
        item.model_dump_json().encode()
        return item
    assert reason.strip() and len(reason) < 1_000
    reason.encode()  # it can be kept
    return reason


BAD = {
    "control": "Bolt\x07", "nul": "Bo\x00lt", "escape": "\x1b[31mBolt", "delete": "Bolt\x7f", "c1": "Bolt\x9b",
    "half a character": "Bolt \ud83d", "other half": "\udc00", "no character": "Bolt \ufffe", "private": "Bolt \ue000",
    "unassigned": "\U000e0fff", "html": "<b>Bolt</b>", "entity": "Bolt &lt; Nut", "script": "<script>x()</script>",
    "too long": "x" * 256, "megabytes": "x" * MEGABYTES, "empty": "", "blank": " \t\n", "no-break": "\u00a0\u2003",
}  # fmt: skip
FINE = {
    "emoji": "Bolt 🔩👩‍🔧🏳️‍🌈", "right to left": "מברג חשמלי", "marks": "Bolt \u200f\u202e", "zero width": "Bo\u200blt",
    "byte order mark": "\ufeffBolt", "quotes": "12\" 'bolt' `x` \\", "signs": "a < b & c > d", "path": "../etc/passwd",
    "sql": "'; DROP TABLE product;--", "symbols": "★☆★", "combining": "Z̷a̷l̷g̷o̷", "ligature": "ﬁtting", "formula": "=1+1",
    "percent": "%s %n {0} ${x}", "number": "0012", "lines": "Bolt\r\n M6", "long": "x" * 100,
}  # fmt: skip


def spoilt(path: tuple[Any, ...], value: Any) -> bytes:
    """A good row with another value at this place."""
    whole = place = fields()
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return json.dumps(whole).encode()


PLACES: dict[tuple[Any, ...], str] = {
    ("name",): "name",
    ("number",): "number",
    ("unit", "name"): "unit",
    ("tax_class",): "tax_class",
    ("categories", 0, "name"): "category 3",
    ("variants", 0, "code"): "variant",
    ("variants", 0, "properties", 0, "value"): "attribute color",
    ("variants", 0, "properties", 0, "label"): "attribute color",
}
MAY_BE_EMPTY = (("unit", "name"), ("tax_class",))


@pytest.mark.parametrize("text", FINE)
@pytest.mark.parametrize("path", PLACES, ids=lambda path: ".".join(map(str, path)))
def test_texts_that_people_write_are_taken(path: tuple[Any, ...], text: str) -> None:
    raw = spoilt(path, FINE[text])
    if path[-1] == "label":  # the label of an option is the same at all variants
        raw = json.dumps(json.loads(raw) | {"variants": json.loads(raw)["variants"][:1]}).encode()
    assert isinstance(judged(raw), Item)


@pytest.mark.parametrize("text", BAD)
@pytest.mark.parametrize("path", PLACES, ids=lambda path: ".".join(map(str, path)))
def test_texts_that_nobody_can_show_are_refused_by_name(path: tuple[Any, ...], text: str) -> None:
    said = judged(spoilt(path, BAD[text]))
    if path in MAY_BE_EMPTY and not BAD[text].strip():
        assert isinstance(said, Item)
        return
    assert isinstance(said, str) and len(said) < 400
    if text in ("half a character", "other half"):
        assert "not what Tryton sends" in said
    else:
        assert PLACES[path] in said.lower() or (path == ("number",) and "has no code" in said)
        assert CODE in said or path == ("number",)


# ---- measures


@pytest.mark.parametrize(
    ("value", "grams"),
    [(1e-3, 1), (1, 1000), (1.23456789, 1234.56789), (999_999, 999_999_000), ("2.5", 2500), (5e-324, None), (0, None),
     (-0.0, None), (-1, None), (1e7, None), (1e300, None), (10**400, None), ("NaN", None),
     ("Infinity", None), ("-Infinity", None), ("sNaN", None), ("1e999999999", None), ("1e-999999999", None),
     (math.nan, None), (math.inf, None), (True, None), ([], None), ({}, None), ("heavy", None), (None, None)],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
@pytest.mark.parametrize("measure", item_rows.MEASURES)
def test_measures(measure: str, value: Any, grams: float | None) -> None:
    unit = {"name": "Kilogram", "factor": 1, "rate": 1}
    said = judged(spoilt((measure,), {"value": value, "unit": unit}))
    if grams is None:
        assert isinstance(said, str)
        assert measure in said or "not what Tryton sends" in said
    else:
        assert isinstance(said, Item) and float(getattr(said, measure)) == grams


@pytest.mark.parametrize(
    ("factor", "rate"),
    [(0, 0), (-1, -1), (1e-300, 1e300), (1e300, 1e-300), ("NaN", "NaN"), ("Infinity", 0), (0, 1), (1, 0), (None, None)],
    ids=lambda value: str(value)[:20],
)
@pytest.mark.parametrize("place", ["weight", "unit"])
def test_units_that_cannot_be(place: str, factor: Any, rate: Any) -> None:
    unit = {"name": "Odd", "factor": factor, "rate": rate}
    path, value = (("weight",), {"value": 1, "unit": unit}) if place == "weight" else (("unit",), unit)
    said = judged(spoilt(path, value))
    assert isinstance(said, Item) or "weight" in said or "not what Tryton sends" in said


def test_a_measure_without_a_unit() -> None:
    said = judged(row(weight=1.0))
    assert isinstance(said, str) and "without a unit" in said and CODE in said


# ---- variants


def many(count: int) -> bytes:
    whole = fields()
    first = whole["variants"][0]
    properties = [{**first["properties"][0], "type": "char"}]
    whole["variants"] = [
        {**first, "id": n, "code": f"{CODE}-{n}", "suffix_code": f"-{n}", "properties": properties}
        for n in range(1, count + 1)
    ]
    return json.dumps(whole).encode()


@pytest.mark.parametrize("count", [1, 2, MOST_VARIANTS])
def test_as_many_variants_as_a_person_can_choose_from(count: int) -> None:
    said = judged(many(count))
    assert isinstance(said, Item) and len(said.live) == count


@pytest.mark.parametrize("count", [MOST_VARIANTS + 1, 20_000])
def test_more_variants_than_that(count: int) -> None:
    said = judged(many(count))
    assert isinstance(said, str) and "variants" in said and CODE in said


@pytest.mark.parametrize(
    ("variants", "words"),
    [
        ((product(1), product(3)), ("WJ1-1", "WJ1-3", "told apart")),
        ((product(1), product(2, attributes={})), ("WJ1-2", "Color")),
        ((product(1), product(2, attributes=None)), ("WJ1-2", "Color")),
        ((product(1), product(2, code="WJ1-1")), ("WJ1", "same SKU")),
        ((product(1), product(2, code="wj1-1 ")), ()),
        ((product(1), product(2, code=" WJ1-1")), ("WJ1", "same SKU")),
        ((product(1), product(2, code=None)), ("Variant 2", "no code")),
        ((product(1), product(2, code="")), ("Variant 2", "no code")),
        ((product(1), product(2, code="x" * 101)), ("Variant", "sku")),
        ((product(1, attributes=None), product(2, attributes=None, suffix_code="-1")), ("told apart",)),
        ((product(1, attributes=None), product(2, attributes=None, suffix_code=None)), ()),
        ((product(1, attributes={"unheard": "of"}), product(2)), ("WJ1-1", "Color")),
    ],
)
def test_variants_that_contradict_each_other(variants: tuple[dict[str, Any], ...], words: tuple[str, ...]) -> None:
    said = judged(row(*variants))
    assert isinstance(said, Item) if not words else isinstance(said, str)
    assert all(word in str(said) for word in words)


KINDS = (
    "char", "selection", "multiselection", "boolean", "integer", "float", "numeric", "date", "datetime", "timedelta",
    "unheard of",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "value",
    [None, "", [], {}, 0, 1, -1, 1.5, 1e300, True, False, "a", "NaN", "1e999999999", ["a", "b"], [None], [[]],
     {"__class__": "date", "year": 2026}, "x" * 300, "<b>x</b>", "\x00", 10**400],
    ids=lambda value: repr(value)[:30],
)  # fmt: skip
def test_attributes_of_every_type(kind: str, value: Any) -> None:
    finish = {"id": 2, "name": "finish", "string": "Finish", "type_": kind, "selection": "a:Zinc\nb:Brass\nnonsense"}
    known = KNOWN._replace(attributes={**KNOWN.attributes, "finish": finish})
    said = judged(row(product(1, attributes={"color": "a", "finish": value}), product(2), known=known))
    if isinstance(said, str):
        assert CODE in said or "not what Tryton sends" in said


# ---- barcodes


@pytest.mark.parametrize(
    ("code", "barcode"),
    [("4006381333931", "4006381333931"), ("4 006381-333931", "4006381333931"), ("96385074", "96385074"), ("", None),
     ("ABC", None), ("123", None), ("3-16-148410-X", None), ("4006381333932", "refused"), ("0" * 13, "0" * 13),
     ("٤٠٠٦٣٨١٣٣٣٩٣١", "refused"), ("9" * 10_000, None), ("\u200b4006381333931", None)],
)  # fmt: skip
def test_barcodes(code: str, barcode: str | None) -> None:
    identifiers = ({"id": 5, "product": 1, "type": "ean", "code": code, "sequence": None},)
    said = judged(row(identifiers=identifiers))
    if barcode == "refused":
        assert isinstance(said, str) and "barcode" in said and "WJ1-1" in said and "GTIN" in said
    else:
        assert isinstance(said, Item)
        assert {one.barcode for one in said.live} == {barcode, None}


# ---- descriptions


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("x" * 100_000, ""), ("<p>Two\r\n\tlines &amp; an <em>entity</em></p>", ""), ("🔩" * 1000, ""),
        ("a < b > c", ""),
        ("\u202eright to left", ""), ("<p>one", ""), ("x" * MEGABYTES, "100000"), ("x" * 100_001, "100000"),
        ("<script>alert(1)</script>", "active"), ("< SCRIPT src=x>", "active"), ("<img src=x onerror='x()'>", "active"),
        ("<a href='javascript:x()'>", "active"), ("<iframe src=x>", "active"), ("<object>", "active"),
        ("\x00", "control"), ("a\x0bb", "control"), ("\ud800", "not what Tryton sends"),
    ],
    ids=lambda value: repr(value)[:25],
)  # fmt: skip
def test_descriptions(text: str, word: str) -> None:
    said = judged(spoilt(("description",), text))
    if word:
        assert isinstance(said, str) and word in said and ("description" in said or "Tryton" in said)
    else:
        assert isinstance(said, Item) and said.description == text.strip()


# ---- categories


def categories(*parents: int | None) -> Known:
    """Category 1, 2, ... with these parents."""
    return KNOWN._replace(
        categories={n: {"id": n, "name": f"Level {n}", "parent": up} for n, up in enumerate(parents, 1)}
    )


@pytest.mark.parametrize("parents", [(1, None, None), (2, 1, None), (2, 3, 1)], ids=["itself", "each other", "three"])
def test_categories_that_go_round_in_circles(parents: tuple[int | None, ...]) -> None:
    said = judged(row(known=categories(*parents), categories=[1]))
    assert isinstance(said, str) and "category" in said and CODE in said and "below itself" in said


@pytest.mark.parametrize("depth", [1, 50])
def test_categories_below_each_other(depth: int) -> None:
    said = judged(row(known=categories(None, *range(1, depth)), categories=[depth], account_category=None))
    assert isinstance(said, Item) and [len(path) for path in said.categories] == [depth]


@pytest.mark.parametrize("depth", [51, 200, 5_000])
def test_categories_deeper_than_anybody_can_mean(depth: int) -> None:
    said = judged(row(known=categories(None, *range(1, depth)), categories=[depth], account_category=None))
    assert isinstance(said, str) and "category" in said and CODE in said and "50" in said


def test_a_category_that_was_deleted_meanwhile() -> None:
    said = judged(row(categories=[3, 99]))
    assert isinstance(said, Item) and len(said.categories) == 1


# ---- rows that are none


@pytest.mark.parametrize(
    "raw",
    [b"", b"null", b"7", b'"text"', b"[]", b"{}", b"[{}]", b"\xff\xfe", b"{" * 100_000, b"[" * 100_000, b"nul", b"NaN",
     b'{"id": 1e400}', b'{"id":7,"number":"A"', b"\x00", b"<html>", row()[:-20], row() + b"x", b"\xef\xbb\xbf" + row()],
    ids=lambda raw: repr(raw[:20]),
)  # fmt: skip
def test_what_is_no_row(raw: bytes) -> None:
    said = judged(raw)
    assert isinstance(said, str) and "not what Tryton sends for a product" in said


TEXTS = [text for text in BAD.values() if len(text) < 1000]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([*FINE.values(), *TEXTS])
ANY_JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=6
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] + [place for step, inner in steps for place in places(inner, (*path, step))]


WHERE = places(fields())[1:]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(WHERE), ANY_JSON), min_size=1, max_size=3))
def test_anything_anywhere_in_a_row(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    whole = fields()
    for path, value in changes:
        place = whole
        try:
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = value
        except (TypeError, KeyError, IndexError, AttributeError):
            continue  # an earlier change has taken this place away
    judged(json.dumps(whole).encode())


@settings(max_examples=200, deadline=None)
@given(st.binary())
@example(b"")
def test_any_bytes(raw: bytes) -> None:
    judged(raw)


@settings(max_examples=200, deadline=None)
@given(ANY_JSON)
def test_any_json(value: Any) -> None:
    judged(json.dumps(value).encode())
