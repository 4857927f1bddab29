"""Whatever claims to be an item: it is one that a shop can be told, or the faulty fields are named."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from crossdock.connectors.medusa import item_mapping
from crossdock.domain.item import Item
from crossdock.domain.record import faults
from crossdock.errors import Reject

GOOD: dict[str, Any] = {
    "number": "WJ1", "name": "Work Jacket", "published": True, "kind": "goods", "description": "<p>Warm.</p>",
    "unit": "Unit", "tax_class": "Standard", "weight": "500", "length": "10.5", "width": None, "height": None,
    "categories": [[{"source_id": "1", "name": "Workwear"}, {"source_id": "2", "name": "Jackets"}]],
    "images": [{"ref": "6@1", "alt": "Front"}],
    "variants": [
        {"source_id": "1", "sku": "WJ1-S", "live": True, "options": [{"name": "Size", "value": "S"}],
         "attributes": [{"name": "Material", "value": "cotton"}], "barcode": "4006381333931"},
        {"source_id": "2", "sku": "WJ1-M", "live": True, "options": [{"name": "Size", "value": "M"}],
         "attributes": [], "barcode": None},
    ],
    "translations": [{"locale": "de-DE", "name": "Arbeitsjacke", "description": ""}],
    "parts": ["template:7=WJ1"],
}  # fmt: skip


def judged(value: Any) -> Item | str:
    """The item, or what is wrong with it; and what a shop would be told of it is told or refused with a reason."""
    try:
        item = Item.model_validate_json(json.dumps(value))
    except ValidationError as error:
        said = faults(error)
        assert said.strip() and all(": " in one for one in said.split("; "))
        return said
    assert Item.model_validate_json(item.model_dump_json()) == item
    assert len(item.columns()) == len(Item.COLUMNS)
    try:
        payload = item_mapping.payload(item)
    except Reject as refusal:
        assert refusal.reason and refusal.remedy
        return refusal.reason
    assert msgspec.json.decode(payload)["external_id"] == item.key
    assert item_mapping.payload(item) == payload
    return item


def changed(path: tuple[Any, ...], value: Any) -> Any:
    whole: Any = json.loads(json.dumps(GOOD))
    place = whole
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return whole


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] + [place for step, inner in steps for place in places(inner, (*path, step))]


WHERE = places(GOOD)[1:]


def test_the_good_one_is_good() -> None:
    assert isinstance(judged(GOOD), Item)


@pytest.mark.parametrize("path", WHERE, ids=lambda path: ".".join(map(str, path)))
def test_anything_of_another_type_is_refused_by_the_name_of_its_field(path: tuple[Any, ...]) -> None:
    for wrong in ({"a": 1}, [{"a": 1}], 7.5, [7.5]):
        said = judged(changed(path, wrong))
        if isinstance(said, str):
            assert str(path[0]) in said
        else:
            assert path[0] in ("weight", "length", "width", "height") and wrong == 7.5


@pytest.mark.parametrize(
    ("path", "value", "word"),
    [
        (("weight",), value, "weight")
        for value in ("0", "-1", "NaN", "Infinity", "1e10", "x", "", "0x10", 0, -0.5, 1e300, "1000000000.01")
    ]
    + [
        (("variants", 1, "sku"), "WJ1-S", "same SKU"),
        (("variants", 1, "options"), [{"name": "Size", "value": "S"}], "told apart"),
        (("variants", 1, "options"), [], "same options"),
        (("variants", 1, "options"), [{"name": "size", "value": "M"}], "same options"),
        (("variants", 0, "attributes"), [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}], "same name"),
        (("variants", 0, "barcode"), "4006381333932", "check digit"),
        (("variants", 0, "barcode"), "", "GTIN"),
        (("variants", 0, "barcode"), "\uff14006381333931", "GTIN"),
        (("translations", 0, "locale"), "german", "locale"),
        (("kind",), "assets", "kind"),
        (("images",), [{"ref": str(n), "alt": ""} for n in range(251)], "images"),
        (("surprise",), 1, "surprise"),
        (("description",), "x" * 10_000_000, "description"),
        (("number",), "\u200b" * 101, "number"),
    ],
)
def test_what_no_product_can_have(path: tuple[Any, ...], value: Any, word: str) -> None:
    said = judged(changed(path, value))
    assert isinstance(said, str) and word in said and len(said) < 500


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(WHERE), ANY_JSON)
def test_anything_anywhere(path: tuple[Any, ...], value: Any) -> None:
    judged(changed(path, value))


@settings(max_examples=200, deadline=None)
@given(ANY_JSON)
def test_any_json(value: Any) -> None:
    assert isinstance(judged(value), str)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), min_size=1, max_size=4))
def test_any_codes_and_option_values(pairs: list[tuple[str, str]]) -> None:
    """Numbers and SKUs of any signs: the handle is never empty, and never the same for two."""
    variants = [
        {"source_id": str(n), "sku": sku, "options": [{"name": "Size", "value": value}]}
        for n, (sku, value) in enumerate(pairs)
    ]
    judged({"number": pairs[0][0], "name": "Bolt", "variants": variants})
    items = {pair[0] for pair in pairs if pair[0]}
    handles = [item_mapping.handle(key) for key in items]
    assert all(handles) and len(set(handles)) == len(items)
