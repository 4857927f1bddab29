"""What every target of items promises (``ports.Target``), on the real Medusa."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from tests.shop_fixtures import CONNECTION, Shop

from crossdock.connectors.medusa.adapter import Medusa
from crossdock.connectors.medusa.items import Items
from crossdock.domain.item import Attribute, Item, Variant
from crossdock.ports import Found, Outcome, Put

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
    "id,title,handle,external_id,status,description,weight,thumbnail,metadata,*options,*options.values,*variants,*variants.options,*variants.options.option,*variants.inventory_items,"
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
