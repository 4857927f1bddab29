"""Items as Medusa is told them, and the difference from what it has."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from crossdock.connectors.medusa.api import for_urls
from crossdock.connectors.medusa.item_changes import Wanted, changes, is_whole, new_product
from crossdock.connectors.medusa.item_mapping import OWNABLE, handle, payload
from crossdock.domain.item import Attribute, Category, Image, Item, Translation, Variant
from crossdock.errors import Reject


def size(value: str, **more: Any) -> Variant:
    fields = {"source_id": value, "sku": f"B-{value}", "options": (Attribute(name="Size", value=value),)}
    return Variant(**{**fields, **more})


def bolt(**changes: Any) -> Item:
    return Item(**{"number": "B", "name": "Bolt", "variants": (size("M6"), size("M8")), **changes})


def said(item: Item, *shop_fields: str) -> dict[str, Any]:
    read: dict[str, Any] = msgspec.json.decode(payload(item, shop_fields))
    return read


def wanted(item: Item, fingerprint: str = "f1") -> Wanted:
    return Wanted(said(item), fingerprint, "channel", "profile")


def in_the_shop(item: Item, fingerprint: str = "f1") -> dict[str, Any]:
    """The product Medusa makes of ``new_product``, as it is read."""
    body = new_product(wanted(item, fingerprint))
    options = [
        {
            "id": f"opt {one['title']}",
            "title": one["title"],
            "values": [{"id": f"{one['title']}={v}", "value": v} for v in one["values"]],
        }
        for one in body["options"]
    ]
    variants = [
        {
            **one,
            "id": f"id {one['sku']}",
            "options": [{"id": f"{title}={value}"} for title, value in one["options"].items()],
            "inventory_items": [{"inventory_item_id": f"stock {one['sku']}"}] if one["manage_inventory"] else [],
            "price_set_link": {"price_set_id": "p"},
            "allow_backorder": False,
        }
        for one in body["variants"]
    ]
    return {
        **body,
        "id": "prod",
        "options": options,
        "variants": variants,
        "images": [],
        "categories": [],
        "shipping_profile": {"id": "profile"},
    }


def test_the_same_item_gives_the_same_bytes_without_prices():
    item = bolt(weight=Decimal("2.50"), categories=((Category(source_id="1", name="Fasteners"),),))
    assert payload(item) == payload(item.model_copy(deep=True))
    assert b"price" not in payload(item)
    assert said(item)["weight"] == 2.5
    assert [one["prices"] for one in new_product(wanted(item))["variants"]] == [[], []]


@pytest.mark.parametrize("name", OWNABLE)
def test_the_shops_fields_are_not_mentioned(name):
    item = bolt(
        description="x",
        tax_class="x",
        weight=Decimal(1),
        images=(Image(ref="x"),),
        translations=(Translation(locale="de-DE", name="x"),),
    )
    assert payload(item, [name]) != payload(item)
    assert set(said(item, *OWNABLE)) == {"external_id", "handle", "title", "status", "unit", "options", "variants"}
    assert set(said(item, *OWNABLE)["variants"][0]) == {
        "source_id", "sku", "title", "options", "manage_inventory", "rank", "live",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("code", "field"),
    [("96385074", "ean"), ("4006381333931", "ean"), ("036000291452", "upc"), ("10614141000415", "barcode")],
)
def test_barcodes_by_their_length(code, field):
    (variant,) = said(bolt(variants=(size("M6", barcode=code),)))["variants"]
    assert {name: variant[name] for name in ("ean", "upc", "barcode") if variant[name]} == {field: code}


def test_handles_of_different_keys_differ():
    keys = ["AB-1", "ab-1", "AB 1", "AB/1", "AB--1", "ÄB-1", "AB-1-", "/", "产品"]
    handles = [handle(key) for key in keys]
    assert handles[0] == "ab-1"
    assert len(set(handles)) == len(keys)
    assert all(one.strip("-") == one != "" and "--" not in one and one.isascii() for one in handles)


def test_two_attributes_of_one_name_are_refused():
    twice = (Attribute(name="Size", value="1"), Attribute(name="Size", value="2"))
    for field in ("options", "attributes"):
        with pytest.raises(Reject, match="attribute_twice"):
            payload(bolt(variants=(size("M6", **{field: twice}),)))


def test_what_is_as_it_should_be_needs_nothing():
    there = in_the_shop(bolt())
    done = changes(wanted(bolt()), there)
    assert (done.product, done.variants, done.later) == ({}, [], False)
    assert is_whole(there, "channel", "profile")
    assert not is_whole(there, "another", "profile")
    assert not is_whole({**there, "shipping_profile": None}, "channel", "profile")


def test_one_field_is_one_field_and_the_fingerprint():
    done = changes(wanted(bolt(name="Screw"), "f2"), in_the_shop(bolt()))
    assert set(done.product) == {"title", "metadata"}
    assert (done.product["title"], done.product["metadata"]["erp"]["fingerprint"], done.variants) == ("Screw", "f2", [])


def test_when_one_variant_changes_all_are_named_and_none_has_a_price():
    done = changes(wanted(bolt(variants=(size("M6", barcode="96385074"), size("M8")))), in_the_shop(bolt()))
    assert done.variants == [{"id": "id B-M6", "ean": "96385074"}, {"id": "id B-M8"}]


def test_a_new_size_gets_the_fingerprint_last():
    done = changes(wanted(bolt(variants=(size("M6"), size("M8"), size("M10"))), "f2"), in_the_shop(bolt()))
    assert done.add_values == {"opt Size": ["M10"]}
    assert [one["sku"] for one in done.create] == ["B-M10"]
    assert (done.later, "metadata" in done.product, done.metadata["erp"]["variants"]) == (True, False, 3)


def test_a_withdrawn_variant_the_shop_never_had_is_not_made():
    done = changes(wanted(bolt(variants=(size("M6"), size("M8"), size("M10", live=False)))), in_the_shop(bolt()))
    assert (done.product, done.variants, done.create) == ({}, [], [])


def test_an_obsolete_option_goes_with_all_variants_told_apart_anew():
    two = (Attribute(name="Size", value="M6"), Attribute(name="Finish", value="zinc"))
    before = bolt(
        variants=(size("M6", options=two), size("M8", options=(two[0], Attribute(name="Finish", value="raw"))))
    )
    after = bolt(variants=(size("M6"),))
    done = changes(wanted(after, "f2"), in_the_shop(before))
    assert done.option_titles == ["Size"]
    assert [one["options"] for one in done.variants] == [{"Size": "M6"}, {"Size": "M6 (B-M8)"}]
    assert done.add_values == {"opt Size": ["M6 (B-M8)"]}


def test_a_variant_made_anew_in_the_erp_takes_over_its_sku():
    done = changes(wanted(bolt(variants=(size("M6", source_id="new"), size("M8")))), in_the_shop(bolt()))
    assert done.create == []
    assert done.variants[0]["metadata"]["erp"]["source_id"] == "new"


def test_a_renamed_sku_renames_what_is_in_stock():
    done = changes(wanted(bolt(variants=(size("M6", sku="NEW"), size("M8")))), in_the_shop(bolt()))
    assert done.renamed == {"stock B-M6": "NEW"}
    assert done.links == {"NEW": "id B-M6", "B-M8": "id B-M8"}


def test_urls_hold_what_proxies_let_through():
    keys = [f"KEY {n:040d}" for n in range(1000)]
    parts = list(for_urls(keys))
    assert [key for part in parts for key in part] == keys
    assert 1 < len(parts) < 15
    assert list(for_urls([])) == []
