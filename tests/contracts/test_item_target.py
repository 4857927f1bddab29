"""What every target of items promises (``ports.Target``), on the real Medusa."""

from __future__ import annotations

import itertools
import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from math import log2
from typing import Any

import pytest
import requests
from tests.shop_fixtures import CONNECTION, Shop

from crossdock.connectors.medusa.adapter import Medusa
from crossdock.connectors.medusa.hook import MedusaHook
from crossdock.connectors.medusa.items import Items
from crossdock.domain.item import Attribute, Category, Image, Item, Translation, Variant
from crossdock.errors import AnswerLost, Misconfigured, Reject
from crossdock.ports import Found, Outcome, Put
from crossdock.sync.steps import write

pytestmark = pytest.mark.e2e

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def target(shop: Shop) -> Items:
    return Medusa.from_connection(CONNECTION).items


def no_content(ref: str) -> bytes:
    raise AssertionError(f"{ref} was asked for")


def sizes(key: str, *values: str, **changes: Any) -> tuple[Variant, ...]:
    return tuple(
        Variant(
            source_id=f"{key}.{value}", sku=f"{key}-{value}", options=(Attribute(name="Size", value=value),), **changes
        )
        for value in values
    )


def an_item(**changes: Any) -> Item:
    """An item nobody else has, in two sizes."""
    key = f"IT-{next(_numbers)}"
    return Item(**{"number": key, "name": f"Bolt {key}", "variants": sizes(key, "M6", "M8"), **changes})


def changed(item: Item, **changes: Any) -> Item:
    return Item(**{**dict(item), **changes})


def to_put(target: Items, item: Item, op: Any = None, fingerprint: str = "f1", target_id: str | None = None) -> Put:
    payload = b"" if op == "remove" else target.payload(item)
    return Put(item.key, op or ("update" if target_id else "create"), target_id, payload, fingerprint)


def put(
    target: Items, *items: Item, op: Any = None, fingerprint: str = "f1", content: Any = no_content
) -> dict[str, Outcome]:
    """Write and expect success; the outcomes by key."""
    found = target.find([item.key for item in items])
    ids = {key: one.target_id for key, one in found.items()}
    batch = [to_put(target, item, op, fingerprint, ids.get(item.key)) for item in items]
    outcomes = {outcome.key: outcome for outcome in target.put(batch, content)}
    assert set(outcomes) == {item.key for item in items}
    assert [outcome.refused for outcome in outcomes.values() if outcome.refused] == []
    return outcomes


def all_keys(target: Items) -> list[str]:
    pages = target.keys()
    return [key for page in pages for key in page]


FIELDS = (
    "id,title,handle,external_id,status,description,weight,length,width,thumbnail,metadata,*options,*options.values,*variants,*variants.options,*variants.options.option,*variants.inventory_items,"
    "*variants.prices,*categories,*images,*sales_channels,*shipping_profile,type.value"
)


@pytest.fixture
def product(shop: Shop) -> Callable[[str], dict[str, Any]]:
    """The product of a key as the shop's administrator sees it."""

    def look(key: str) -> dict[str, Any]:
        (one,) = shop.get(f"/admin/products?external_id={key}&fields={FIELDS}", shop.admin)["products"]
        return dict(one)

    return look


def told_apart(product: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Options by SKU."""
    return {
        variant["sku"]: {option["option"]["title"]: option["value"] for option in variant["options"]}
        for variant in product["variants"]
    }


def withdrawn(product: dict[str, Any]) -> set[str]:
    return {v["sku"] for v in product["variants"] if (v["metadata"] or {}).get("erp", {}).get("withdrawn")}


def ids(product: dict[str, Any]) -> dict[str, str]:
    return {variant["sku"]: variant["id"] for variant in product["variants"]}


def test_what_was_put_is_found_with_its_fingerprint_and_links(target, product):
    one, other, absent = an_item(), an_item(kind="service"), an_item()
    outcomes = put(target, one, other)
    assert target.find([one.key, other.key, absent.key]) == {
        key: Found(outcomes[key].target_id, "f1", outcomes[key].links) for key in (one.key, other.key)
    }
    assert outcomes[one.key].links == ids(product(one.key))
    assert {one.key, other.key} <= set(all_keys(target))
    assert product(one.key)["status"] == "published"
    assert [v["manage_inventory"] for v in product(other.key)["variants"]] == [False, False]


def test_twice_is_the_same_as_once(target, product):
    item = an_item()
    first = put(target, item)
    before = product(item.key)
    assert put(target, item) == first
    (again,) = target.put([to_put(target, item)], no_content)  # as if nobody knew of it
    assert again == first[item.key]
    assert product(item.key) == before


def test_removed_is_withdrawn_not_deleted(target, product):
    item = an_item()
    first = put(target, item)
    before = product(item.key)
    assert put(target, item, op="remove", fingerprint="gone")[item.key].target_id == first[item.key].target_id
    assert product(item.key)["status"] == "draft"
    assert target.find([item.key])[item.key].fingerprint == "gone"
    assert put(target, item) == first
    assert ids(product(item.key)) == ids(before)
    assert product(item.key)["status"] == "published"


def test_removing_what_is_not_there_is_no_fault(target):
    (outcome,) = target.put([Put(an_item().key, "remove", None, b"", "gone")], no_content)
    assert outcome.refused is None
    (outcome,) = target.put([Put(an_item().key, "remove", "prod_gone", b"", "gone")], no_content)
    assert outcome.refused is None


@pytest.mark.parametrize("how", ["archived", "gone from the record"])
def test_a_withdrawn_variant_stays_and_may_return(target, product, how):
    item = an_item()
    m6, m8 = item.variants
    before = ids(product_of := put(target, item) and product(item.key))
    less = (m6, m8.model_copy(update={"live": False})) if how == "archived" else (m6,)
    outcomes = put(target, changed(item, variants=less), fingerprint="f2")
    after = product(item.key)
    assert withdrawn(after) == {m8.sku}
    assert ids(after) == before
    assert outcomes[item.key].links == {m6.sku: before[m6.sku]}
    assert told_apart(after) == told_apart(product_of)
    assert target.find([item.key])[item.key] == Found(after["id"], "f2", outcomes[item.key].links)
    put(target, item, fingerprint="f3")
    assert withdrawn(product(item.key)) == set()
    assert ids(product(item.key)) == before


def test_a_new_size(target, product):
    item = an_item()
    put(target, item)
    more = changed(item, variants=(*item.variants, *sizes(item.key, "M10")))
    outcomes = put(target, more, fingerprint="f2")
    after = product(item.key)
    assert told_apart(after) == {f"{item.key}-{size}": {"Size": size} for size in ("M6", "M8", "M10")}
    assert outcomes[item.key].links == ids(after)
    assert all(variant["inventory_items"] for variant in after["variants"])
    assert target.find([item.key])[item.key].fingerprint == "f2"


def test_a_new_dimension_and_back(target, product):
    item = an_item()
    before = ids(put(target, item) and product(item.key))
    two = changed(
        item,
        variants=tuple(
            variant.model_copy(update={"options": (*variant.options, Attribute(name="Finish", value=finish))})
            for variant, finish in zip(item.variants, ("zinc", "brass"), strict=True)
        ),
    )
    put(target, two, fingerprint="f2")
    assert told_apart(product(item.key)) == {
        item.variants[0].sku: {"Size": "M6", "Finish": "zinc"},
        item.variants[1].sku: {"Size": "M8", "Finish": "brass"},
    }
    put(target, item, fingerprint="f3")
    after = product(item.key)
    assert [option["title"] for option in after["options"]] == ["Size"]
    assert ids(after) == before
    assert target.find([item.key])[item.key].fingerprint == "f3"


def test_a_new_variant_in_the_place_of_a_withdrawn_one(target, product):
    item = an_item()
    put(target, item)
    successor = Variant(source_id=f"{item.key}.new", sku=f"{item.key}-M8B", options=item.variants[1].options)
    put(target, changed(item, variants=(item.variants[0], successor)), fingerprint="f2")
    after = product(item.key)
    assert withdrawn(after) == {item.variants[1].sku}
    assert told_apart(after)[successor.sku] == {"Size": "M8"}
    assert told_apart(after)[item.variants[1].sku] != {"Size": "M8"}


def test_a_renamed_option_value_leaves_no_old_one(target, product):
    item = an_item()
    put(target, item)
    renamed = item.variants[1].model_copy(update={"options": (Attribute(name="Size", value="M8 long"),)})
    put(target, changed(item, variants=(item.variants[0], renamed)), fingerprint="f2")
    (option,) = product(item.key)["options"]
    assert {value["value"] for value in option["values"]} == {"M6", "M8 long"}


def test_a_renamed_sku_is_the_same_variant(target, shop, product):
    item = an_item()
    before = put(target, item)[item.key].links
    new = item.variants[0].model_copy(update={"sku": f"{item.key}-RENAMED"})
    outcomes = put(target, changed(item, variants=(new, item.variants[1])), fingerprint="f2")
    assert outcomes[item.key].links == {
        new.sku: before[item.variants[0].sku],
        item.variants[1].sku: before[item.variants[1].sku],
    }
    items = shop.get(f"/admin/inventory-items?sku={new.sku}", shop.admin)["inventory_items"]
    assert len(items) == 1


def test_prices_are_left_alone(target, shop, product):
    item = an_item()
    put(target, item)
    there = product(item.key)
    prices = [{"currency_code": "eur", "amount": 12.5}, {"currency_code": "eur", "amount": 11, "min_quantity": 10}]
    variants = [{"id": variant["id"], "prices": prices} for variant in there["variants"]]
    shop.post(f"/admin/products/{there['id']}/variants/batch", {"update": variants}, shop.admin)
    before = {v["sku"]: sorted((p["id"], p["amount"]) for p in v["prices"]) for v in product(item.key)["variants"]}
    first, second = item.variants
    steps = (
        changed(item, name="Renamed"),
        changed(item, variants=(first.model_copy(update={"barcode": "4006381333931"}), second)),
        changed(item, variants=(first, second, *sizes(item.key, "M12"))),
        changed(item, variants=(second,)),
        item,
    )
    for step, now in enumerate(steps):
        put(target, now, fingerprint=f"f{step + 2}")
        after = {v["sku"]: sorted((p["id"], p["amount"]) for p in v["prices"]) for v in product(item.key)["variants"]}
        assert {sku: after[sku] for sku in before} == before
    put(target, item, op="remove", fingerprint="gone")
    assert {len(v["prices"]) for v in product(item.key)["variants"]} == {0, 2}


def test_the_fields_of_an_item(target, product):
    item = an_item(
        name="Bolt & nut",
        description="<p>Two\nlines</p>",
        unit="Piece",
        tax_class="Reduced rated",
        weight=Decimal("12.50"),
        length=Decimal("40"),
    )
    first, second = item.variants
    first = first.model_copy(update={"barcode": "96385074", "attributes": (Attribute(name="Thread", value="fine"),)})
    put(target, changed(item, variants=(first, second.model_copy(update={"barcode": "036000291452"}))))
    there = product(item.key)
    assert (there["title"], there["description"], there["type"]) == (
        "Bolt & nut",
        "<p>Two\nlines</p>",
        {"value": "Reduced rated"},
    )
    assert (there["weight"], there["length"], there["width"]) == (12.5, 40, None)
    m6, m8 = sorted(there["variants"], key=lambda variant: variant["variant_rank"])
    assert (m6["ean"], m6["upc"], m8["ean"], m8["upc"]) == ("96385074", None, None, "036000291452")
    assert m6["metadata"] == {"erp": {"source_id": f"{item.key}.M6", "attributes": {"Thread": "fine"}}}
    assert there["metadata"]["erp"]["unit"] == "Piece"
    put(target, item, fingerprint="f2")
    put(target, changed(item, description="", weight=None, tax_class=""), fingerprint="f3")
    there = product(item.key)
    assert (there["description"] or "", there["weight"], there["type"]) == ("", None, None)
    assert {variant["ean"] for variant in there["variants"]} == {None}


def test_an_item_without_options_gets_them_later(target, product):
    item = an_item(variants=())
    bare = Variant(source_id=f"{item.key}.1", sku=item.key)
    put(target, changed(item, variants=(bare,)))
    before = ids(product(item.key))
    sized = bare.model_copy(update={"options": (Attribute(name="Size", value="M6"),)})
    put(target, changed(item, variants=(sized, *sizes(item.key, "M8"))), fingerprint="f2")
    after = product(item.key)
    assert told_apart(after) == {item.key: {"Size": "M6"}, f"{item.key}-M8": {"Size": "M8"}}
    assert ids(after)[item.key] == before[item.key]


def test_goods_and_services_change_places(target, product):
    item = an_item(kind="service")
    put(target, item)
    put(target, changed(item, kind="goods"), fingerprint="f2")
    assert [bool(variant["inventory_items"]) for variant in product(item.key)["variants"]] == [True, True]
    assert target.find([item.key])[item.key].fingerprint == "f2"
    put(target, item, fingerprint="f3")
    assert [variant["manage_inventory"] for variant in product(item.key)["variants"]] == [False, False]
    put(target, changed(item, kind="goods"), fingerprint="f4")
    assert target.find([item.key])[item.key].fingerprint == "f4"


# ------------------------------------------------------------------ categories and images


def test_categories_follow_the_erp(target, shop, product):
    root, child = (Category(source_id=f"{next(_numbers)}", name=name) for name in ("Fasteners", "Bolts"))
    twin = Category(source_id=f"{next(_numbers)}", name="Bolts")
    item = an_item(categories=((root, child), (root, twin)))
    put(target, item)
    before = product(item.key)["categories"]
    assert sorted(one["name"] for one in before) == ["Bolts", "Bolts"]
    assert len({one["handle"] for one in before}) == 2
    own = shop.post("/admin/product-categories", {"name": f"Sale {item.key}", "is_active": True}, shop.admin)
    own_id = own["product_category"]["id"]
    there = product(item.key)
    more = [{"id": one["id"]} for one in before] + [{"id": own_id}]
    shop.post(f"/admin/products/{there['id']}", {"categories": more}, shop.admin)
    fresh = Medusa.from_connection(CONNECTION).items
    renamed = child.model_copy(update={"name": "Screws"})
    put(fresh, changed(item, categories=((renamed,),)), fingerprint="f2")
    after = {one["id"]: one for one in product(item.key)["categories"]}
    (kept,) = set(after) - {own_id}
    assert own_id in after
    assert (after[kept]["name"], after[kept]["parent_category_id"]) == ("Screws", None)
    assert kept in {one["id"] for one in before}


def picture(seed: str) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + seed.encode()


@pytest.fixture(params=["extension", "stock"])
def either(request: pytest.FixtureRequest, shop: Shop) -> Items:
    """With and without the ERP extension."""
    hook = MedusaHook(CONNECTION)
    if request.param == "stock":
        hook.__dict__["extension"] = None
    return Items(hook)


def test_images_are_uploaded_once_and_in_order(either, shop, product):
    item = an_item()
    asked: list[str] = []

    def content(ref: str) -> bytes:
        asked.append(ref)
        return picture(f"{item.key} {ref[0]}")

    a, b, again = (Image(ref=ref, alt=f"alt {ref}") for ref in ("a1", "b1", "a2"))
    put(either, changed(item, images=(a, b)), content=content)
    there = product(item.key)
    urls = [image["url"] for image in sorted(there["images"], key=lambda image: image["rank"])]
    assert asked == ["a1", "b1"]
    assert there["thumbnail"] == urls[0]
    assert [requests.get(url, timeout=10).content for url in urls] == [
        picture(f"{item.key} a"),
        picture(f"{item.key} b"),
    ]
    put(either, changed(item, images=(b, a)), content=content, fingerprint="f2")
    put(either, changed(item, images=(b, again)), content=content, fingerprint="f3")  # other ref, same bytes
    assert asked == ["a1", "b1", "a2"]
    there = product(item.key)
    assert [image["url"] for image in sorted(there["images"], key=lambda image: image["rank"])] == urls[::-1]
    assert there["thumbnail"] == urls[1]
    assert there["metadata"]["erp"]["images"][0] == {"ref": "b1", "url": urls[1], "alt": "alt b1"}
    put(either, item, fingerprint="f4")
    assert (product(item.key)["images"], product(item.key)["thumbnail"]) == ([], None)


@pytest.mark.parametrize("content", [b"<svg/>", b"", picture("x" * (10 << 20))], ids=["svg", "empty", "too large"])
def test_a_bad_image_stops_its_item_only(target, content):
    bad, good = an_item(images=(Image(ref="x7"),)), an_item()
    outcomes = {one.key: one for one in target.put([to_put(target, bad), to_put(target, good)], lambda _: content)}
    assert outcomes[bad.key].refused.code == "bad_image"
    assert "x7" in outcomes[bad.key].refused.reason
    assert outcomes[good.key].refused is None


# ------------------------------------------------------------------ who owns what


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, shop: Shop) -> Callable[..., Items]:
    """A target with other settings."""

    def build(**extra: Any) -> Items:
        connection = json.loads(os.environ[f"AIRFLOW_CONN_{CONNECTION.upper()}"])
        extra = connection["extra"] | extra
        monkeypatch.setenv("AIRFLOW_CONN_OTHER_SHOP", json.dumps({**connection, "extra": extra}))
        return Items(MedusaHook("other_shop"))

    return build


def test_what_the_shop_owns_is_never_written(configured, target, shop, product):
    owned = configured(shop_fields="attributes, barcodes,categories,description,images,measures,tax_class,translations")
    assert owned.version != target.version
    category = Category(source_id=f"{next(_numbers)}", name="Not for this shop")
    item = an_item(
        description="ERP", weight=Decimal(5), tax_class="Not for this shop", categories=((category,),),
        images=(Image(ref="never"),),
    )  # fmt: skip
    first = item.variants[0].model_copy(
        update={"barcode": "4012345678901", "attributes": (Attribute(name="A", value="B"),)}
    )
    item = changed(item, variants=(first, item.variants[1]))
    put(owned, item)
    there = product(item.key)
    assert (there["description"], there["weight"], there["type"], there["categories"], there["images"]) == (
        None,
        None,
        None,
        [],
        [],
    )
    types = shop.get("/admin/product-types?fields=value&limit=100", shop.admin)["product_types"]
    assert "Not for this shop" not in {one["value"] for one in types}
    own = {"description": "the shop's", "weight": 7, "images": [{"url": "https://x.example/a.png"}]}
    shop.post(f"/admin/products/{there['id']}", own, shop.admin)
    put(owned, changed(item, name="Renamed"), fingerprint="f2")
    there = product(item.key)
    assert (there["title"], there["description"], there["weight"]) == ("Renamed", "the shop's", 7)
    assert [image["url"] for image in there["images"]] == ["https://x.example/a.png"]
    assert {(v["ean"], str(v["metadata"]["erp"].get("attributes"))) for v in there["variants"]} == {(None, "None")}


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ({"shop_fields": "description, price"}, "price"),
        ({"sales_channel": "No such channel"}, "Web shop"),
        ({"shipping_profile": "No such profile"}, "Default Shipping Profile"),
    ],
)
def test_a_wrong_setting_is_named_with_what_there_is(configured, extra, named):
    batch = [to_put(configured(), an_item())]
    with pytest.raises(Misconfigured, match=named):
        configured(**extra).put(batch, no_content)


def test_the_sales_channel_of_the_connection(configured, shop, product):
    channel = shop.post("/admin/sales-channels", {"name": "Second shop"}, shop.admin)["sales_channel"]["id"]
    item = an_item()
    put(configured(), item)
    second = configured(sales_channel="Second shop")
    assert second.version != configured().version
    assert second.find([item.key])[item.key].fingerprint is None
    put(second, item)
    assert channel in {one["id"] for one in product(item.key)["sales_channels"]}
    assert len(product(item.key)["sales_channels"]) == 2
    assert second.find([item.key])[item.key].fingerprint == "f1"


# ------------------------------------------------------------------ what is there already


def by_hand(shop: Shop, handle: str, *skus: str, **fields: Any) -> str:
    """A product that a person made in the shop; its id."""
    body = {
        "title": f"Hand-made {handle}", "handle": handle, "options": [{"title": "Kind", "values": list(skus)}],
        "variants": [{"title": sku, "sku": sku, "options": {"Kind": sku}, "prices": []} for sku in skus], **fields,
    }  # fmt: skip
    return str(shop.post("/admin/products", body, shop.admin)["product"]["id"])


def test_match(target, shop):
    known, made_here, new, split, taken = (an_item() for _ in range(5))
    put(target, known)
    hand_made = by_hand(shop, f"hand-{made_here.key.lower()}", *made_here.names, "EXTRA-1")
    by_hand(shop, "split-1", split.names[0])
    by_hand(shop, "split-2", split.names[1])
    by_hand(shop, "foreign", taken.names[0], external_id="somebody else's")
    records = [known, made_here, new, split, taken]
    matched = target.match(records)
    assert set(matched) == {record.key for record in records} - {new.key}
    assert matched[known.key] == target.find([known.key])[known.key]
    assert matched[made_here.key] == Found(hand_made, None)
    for record, handle in ((split, "split-1"), (taken, "foreign")):
        refusal = matched[record.key]
        assert isinstance(refusal, Reject)
        assert (refusal.code, handle in refusal.reason, record.names[0] in refusal.reason) == ("sku_taken", True, True)
    assert f"hand-{made_here.key.lower()}" in all_keys(target)


def test_two_records_do_not_adopt_the_same_product(target, shop):
    one, other = an_item(), an_item()
    by_hand(shop, f"both-{one.key.lower()}", one.names[0], other.names[0])
    assert {refusal.code for refusal in target.match([one, other]).values()} == {"sku_taken"}


def test_a_hand_made_product_is_adopted(target, shop, product):
    item = an_item()
    handle = f"hand-{item.key.lower()}"
    hand_made = by_hand(shop, handle, *item.names, "EXTRA-2", description="by hand", metadata={"note": "mine"})
    before = shop.get(f"/admin/products/{hand_made}?fields=variants.id,variants.sku", shop.admin)["product"]
    (outcome,) = target.put([to_put(target, item, target_id=hand_made)], no_content)
    assert outcome.refused is None
    there = product(item.key)
    assert (there["id"], there["handle"], there["title"], there["status"]) == (
        hand_made,
        handle,
        item.name,
        "published",
    )
    assert there["metadata"]["note"] == "mine"
    assert ids(there) == ids(before)
    assert {sku: told_apart(there)[sku] for sku in item.names} == {
        f"{item.key}-{size}": {"Size": size} for size in ("M6", "M8")
    }
    assert withdrawn(there) == set()  # a variant the ERP never spoke of is not its business
    assert outcome.links == {sku: ids(there)[sku] for sku in item.names}
    assert target.find([item.key])[item.key] == Found(hand_made, "f1", outcome.links)


def test_somebody_elses_sku_or_handle_stops_one_of_many_at_once(target, shop, calls):
    sku, handle, *good = (an_item() for _ in range(20))
    by_hand(shop, "sku-holder", sku.names[0])
    by_hand(shop, handle.key.lower(), "UNRELATED")
    outcomes = {one.key: one for one in target.put([to_put(target, item) for item in (sku, *good, handle)], no_content)}
    refused = {key: one.refused.code for key, one in outcomes.items() if one.refused}
    assert refused == {sku.key: "sku_taken", handle.key: "handle_taken"}
    assert "sku-holder" in outcomes[sku.key].refused.reason
    assert set(target.find([item.key for item in good])) == {item.key for item in good}
    assert len([path for path in calls if "/products/batch" in path]) == 2


def test_what_cannot_be_repaired_is_not_sent_twice(target, calls):
    """The engine halves a refused batch: about 1.5 log2 n calls for one culprit."""
    barcode = {"barcode": "5901234123457"}
    put(target, an_item(variants=sizes("BAR", "M6", **barcode)))
    bad = an_item(variants=sizes(f"BAR-{next(_numbers)}", "M6", **barcode))
    batch = [to_put(target, item) for item in (*(an_item() for _ in range(63)), bad)]
    calls.clear()
    outcomes = list(write(target, batch, no_content))
    assert [one.key for one in outcomes if one.refused] == [bad.key]
    assert len([path for path in calls if "/products/batch" in path]) <= 1.7 * log2(64) + 2


@pytest.fixture
def calls(target: Items, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of what is written."""
    paths: list[str] = []
    post = target._api.post

    def counted(path: str, body: Any, **more: Any) -> dict[str, Any]:
        paths.append(path)
        return post(path, body, **more)

    monkeypatch.setattr(target._api, "post", counted)
    return paths


# ------------------------------------------------------------------ halves


def test_an_orphaned_inventory_item_is_used_again(target, shop, product):
    item, other = an_item(), an_item()
    for sku in item.names:
        shop.post("/admin/inventory-items", {"sku": sku}, shop.admin)
    put(target, item, other)
    assert all(len(variant["inventory_items"]) == 1 for variant in product(item.key)["variants"])
    grown = changed(item, variants=(*item.variants, *sizes(item.key, "M16")))
    shop.post("/admin/inventory-items", {"sku": f"{item.key}-M16"}, shop.admin)
    put(target, grown, fingerprint="f2")
    assert target.find([item.key])[item.key].fingerprint == "f2"


HALVES = {
    "no variants": "DELETE FROM product_variant WHERE product_id = '{id}'",
    "no inventory items": "DELETE FROM product_variant_inventory_item WHERE variant_id IN ({variants})",
    "no prices": "DELETE FROM product_variant_price_set WHERE variant_id IN ({variants})",
    "no channel": "DELETE FROM product_sales_channel WHERE product_id = '{id}'",
    "no shipping profile": "DELETE FROM product_shipping_profile WHERE product_id = '{id}'",
    "one variant": "DELETE FROM product_variant WHERE id = '{one}'",
    "variants only": "DELETE FROM product_variant_inventory_item WHERE variant_id IN ({variants});"
    "DELETE FROM product_variant_price_set WHERE variant_id IN ({variants})",
}


@pytest.mark.parametrize("op", ["create", "update"])
@pytest.mark.parametrize("half", HALVES)
def test_what_a_killed_server_left_half_done_is_completed(target, shop, product, half, op):
    """Medusa's workflows neither go on nor undo after a restart."""
    item, whole = an_item(), an_item()
    first = put(target, item)[item.key].target_id
    there = product(item.key)
    variants = ", ".join(f"'{variant['id']}'" for variant in there["variants"])
    for statement in HALVES[half].format(id=there["id"], variants=variants, one=there["variants"][0]["id"]).split(";"):
        shop.sql(statement)
    assert target.find([item.key])[item.key].fingerprint is None
    batch = [to_put(target, item, op, target_id=first if op == "update" else None), to_put(target, whole)]
    outcomes = {one.key: one for one in target.put(batch, no_content)}
    assert [one.refused for one in outcomes.values() if one.refused] == []
    assert outcomes[item.key].target_id == first
    assert target.find([item.key])[item.key] == Found(first, "f1", outcomes[item.key].links)
    assert set(outcomes[item.key].links) == set(item.names)
    after = product(item.key)
    assert all(len(one["inventory_items"]) == 1 for one in after["variants"])
    prices = [{"id": one["id"], "prices": [{"currency_code": "eur", "amount": 4}]} for one in after["variants"]]
    shop.post(f"/admin/products/{first}/variants/batch", {"update": prices}, shop.admin)
    assert [[price["amount"] for price in one["prices"]] for one in product(item.key)["variants"]] == [[4], [4]]


def test_a_product_that_was_deleted_in_the_shop_is_made_again(target, shop):
    item = an_item()
    first = put(target, item)[item.key].target_id
    shop.call("DELETE", f"/admin/products/{first}", token=shop.admin)
    (outcome,) = target.put([to_put(target, item, target_id=first)], no_content)
    assert outcome.refused is None
    assert target.find([item.key])[item.key] == Found(outcome.target_id, "f1", outcome.links)


def test_an_answer_that_is_lost_is_waited_for(target, monkeypatch):
    """The server is still at work when the connection breaks."""
    items = [an_item() for _ in range(40)]
    post = target._api.post
    senders: list[threading.Thread] = []

    def lossy(path: str, body: Any, **more: Any) -> dict[str, Any]:
        if "create" not in body:
            return post(path, body, **more)
        senders.append(threading.Thread(target=post, args=(path, body)))
        senders[0].start()
        raise AnswerLost("cut")

    monkeypatch.setattr(target._api, "post", lossy)
    with pytest.raises(AnswerLost):
        target.put([to_put(target, item) for item in items], no_content)
    found = target.find([item.key for item in items])
    assert {key: one.fingerprint for key, one in found.items()} == {item.key: "f1" for item in items}
    senders[0].join()


def test_a_refusal_after_a_lost_answer_proves_nothing(target, shop, monkeypatch):
    """The first try may still be at work; who comes later, and knows of no lost answer, believes it."""
    item, answers = an_item(), [AnswerLost("cut"), Reject("invalid", "It exists.", "Wait.")]
    post = target._api.post

    def failing(path: str, body: Any, **more: Any) -> dict[str, Any]:
        if "create" not in body:
            return post(path, body, **more)
        raise answers[0] if len(answers) == 1 else answers.pop(0)

    monkeypatch.setattr(target._api, "post", failing)
    monkeypatch.setattr("crossdock.connectors.medusa.stillness._STILL", 0.1)
    for _ in range(2):
        with pytest.raises(AnswerLost):
            target.put([to_put(target, item)], no_content)
    with pytest.raises(Reject):
        Items(target._api).put([to_put(target, item)], no_content)


# ------------------------------------------------------------------ size and order


def test_more_than_one_call_holds(target):
    items = [an_item(description="x" * 90_000) for _ in range(45)]
    assert len(put(target, *items)) == 45
    longer = [changed(item, description="y" * 90_000) for item in items]
    assert len(put(target, *longer, fingerprint="f2")) == 45
    assert {one.fingerprint for one in target.find([item.key for item in items]).values()} == {"f2"}


def test_many_at_once_in_two_lanes(target):
    items = [an_item() for _ in range(120)]
    category = Category(source_id=f"{next(_numbers)}", name="Both lanes")
    items = [changed(item, categories=((category,),), tax_class=f"New class {item.key[-1]}") for item in items]
    with ThreadPoolExecutor(target.lanes) as pool:
        halves = list(pool.map(lambda some: put(target, *some), (items[::2], items[1::2])))
    assert {key for half in halves for key in half} == {item.key for item in items}
    assert len(target.find([item.key for item in items])) == 120


def test_payload_is_pure_and_fingerprint_stable(target):
    item = an_item()
    assert target.payload(item) == target.payload(item.model_copy(deep=True))
    assert target.fingerprint() == target.fingerprint() != ""


def test_translations_are_shown_to_visitors(target, shop, product):
    german = Translation(locale="de", name="Schraube", description="<p>gut</p>")
    klingon = Translation(locale="tlh", name="never shown")
    item = an_item(description="<p>good</p>", translations=(german, klingon))

    def shown(locale: str) -> tuple[str, str]:
        path = f"/store/products?handle={product(item.key)['handle']}&fields=title,description&locale={locale}"
        (one,) = shop.get(path)["products"]
        return one["title"], one["description"]

    put(target, item)
    assert target.find([item.key])[item.key].fingerprint == "f1"
    assert shown("de-DE") == ("Schraube", "<p>gut</p>")
    assert shown("en-GB") == (item.name, "<p>good</p>")
    new = german.model_copy(update={"name": "Bolzen", "description": ""})
    put(target, changed(item, translations=(new,)), fingerprint="f2")
    assert shown("de-DE") == ("Bolzen", "<p>good</p>")
    own = {"reference": "product", "reference_id": product(item.key)["id"], "locale_code": "en-GB"}
    shop.post("/admin/translations/batch", {"create": [own | {"translations": {"title": "Shop's own"}}]}, shop.admin)
    put(target, changed(item, translations=()), fingerprint="f3")
    assert shown("de-DE")[0] == item.name
    assert shown("en-GB")[0] == "Shop's own"
