"""Whatever a product is put together from, a change of it is seen, though the template itself stays untouched."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from tests.contracts.asking import flat, later, since
from tests.erp_fixtures import CONNECTION, DATABASE, EAN, PICTURE, RunningErp

from crossdock.connectors.tryton.adapter import Tryton
from crossdock.connectors.tryton.hook import TrytonHook
from crossdock.connectors.tryton.items import Items
from crossdock.domain.item import Attribute, Item, Translation
from crossdock.errors import Misconfigured, Reject
from crossdock.ports import Window
from sandbox import erp as sandbox_erp
from sandbox.merchant import ARCHIVED_ITEM, GERMAN_ITEMS, PLANTED_ITEMS
from sandbox.place import HOST
from sandbox.service import free_port

pytestmark = pytest.mark.e2e

Act = Callable[[RunningErp, int], None]
Seen = Callable[[Item], bool]
OTHER_EAN = "96385074"


@pytest.fixture(scope="module")
def items(erp: RunningErp) -> Items:
    return Tryton.from_connection(CONNECTION).items


@pytest.fixture
def own_tables(erp: RunningErp) -> dict[str, Any]:
    """For a product of its own category, tax category, units and attribute; nobody else has these."""
    admin = erp.admin
    [tax] = admin.create("product.category", {"name": "Own rated", "accounting": True})
    [above] = admin.create("product.category", {"name": "Own department"})
    [category] = admin.create("product.category", {"name": "Own range", "parent": above})
    weights, pieces = (
        admin.rows("product.uom", [["name", "=", name]], "category")[0]["category"] for name in ("Kilogram", "Unit")
    )
    sack, piece = admin.create(
        "product.uom",
        {"name": "Own sack", "symbol": "sk", "category": weights, "factor": 25.0, "rate": 0.04},
        {"name": "Own piece", "symbol": "pc", "category": pieces, "factor": 1.0, "rate": 1.0},
    )
    name = f"trim_{tax}"
    [trim] = admin.create("product.attribute", {
        "name": name, "string": "Trim", "type_": "selection", "selection": "red: Red\nblue: Blue",
    })  # fmt: skip
    [both] = admin.create("product.attribute.set", {"name": "Own set", "attributes": [["add", [trim]]]})
    variants = [{"suffix_code": f"-{one}", "attributes": {name: one}} for one in ("red", "blue")]
    return {
        "account_category": tax, "categories": [["add", [category]]], "weight": 2.0, "weight_uom": sack,
        "sale_uom": piece, "default_uom": piece, "attribute_set": both, "products": [["create", variants]],
    }  # fmt: skip


def write(model: str, **values: Any) -> Act:
    """Write to the template's first row of this model."""

    def act(erp: RunningErp, template: int) -> None:
        erp.admin(f"model.{model}.write", rows(erp, model, template)[:1], values)

    return act


def delete(model: str) -> Act:
    """Delete the template's first row of this model."""

    def act(erp: RunningErp, template: int) -> None:
        erp.admin(f"model.{model}.delete", rows(erp, model, template)[:1])

    return act


def add(model: str, owner: str, **values: Any) -> Act:
    """Another row of this model, of the template or of its first variant."""

    def act(erp: RunningErp, template: int) -> None:
        mine = template if owner == "template" else rows(erp, "product.product", template)[0]
        erp.admin.create(model, {owner: mine, **values})

    return act


def rows(erp: RunningErp, model: str, template: int) -> list[int]:
    if model == "product.template":
        return [template]
    return erp.rows_of(model, "product.template" if model == "product.identifier" else "template", template)


def shared(path: str, **values: Any) -> Act:
    """Write to what the template, and perhaps others, point to."""

    def act(erp: RunningErp, template: int) -> None:
        one, owner = template, "product.template"
        for field in path.split("."):
            found = erp.admin(f"model.{owner}.read", [one], [field])[0][field]
            one, owner = (found[0] if isinstance(found, list) else found), _TARGETS[field]
        erp.admin(f"model.{owner}.write", [one], values)

    return act


_TARGETS = {
    "categories": "product.category", "parent": "product.category", "account_category": "product.category",
    "sale_uom": "product.uom", "attribute_set": "product.attribute.set", "attributes": "product.attribute",
}  # fmt: skip


def put_in(field: str, model: str, name: str, *, many: bool = False) -> Act:
    def act(erp: RunningErp, template: int) -> None:
        one = erp.id_of(model, name)
        write("product.template", **{field: [["add", [one]]] if many else one})(erp, template)

    return act


def weigh_in(unit: str) -> Act:
    def act(erp: RunningErp, template: int) -> None:
        write("product.template", weight_uom=erp.id_of("product.uom", unit))(erp, template)

    return act


def measure(erp: RunningErp, template: int) -> None:
    write("product.template", length=2.5, length_uom=erp.id_of("product.uom", "Foot"))(erp, template)


def image_of(item: Item) -> str:
    return item.images[0].ref


@pytest.mark.parametrize(
    ("act", "seen"),
    [
        pytest.param(write("product.template", name="New"), lambda i: i.name == "New", id="rename"),
        pytest.param(write("product.template", active=False), lambda i: i.gone, id="archived"),
        pytest.param(write("product.template", salable=False), lambda i: i.gone, id="not-salable"),
        pytest.param(
            write("product.template", web_shop_description="<p>Fine.</p>"),
            lambda i: i.description == "<p>Fine.</p>",
            id="description",
        ),
        pytest.param(weigh_in("Pound"), lambda i: i.weight == Decimal("226.796185"), id="weight-unit"),
        pytest.param(write("product.template", weight=1.25), lambda i: i.weight == 1250, id="weight"),
        pytest.param(measure, lambda i: i.length == 762, id="length"),
        pytest.param(
            put_in("account_category", "product.category", "Reduced rated"),
            lambda i: i.tax_class == "Reduced rated",
            id="tax-category",
        ),
        pytest.param(
            put_in("categories", "product.category", "Jackets", many=True),
            lambda i: [place.name for place in i.categories[0]] == ["Workwear", "Jackets"],
            id="category",
        ),
        pytest.param(
            add("product.product", "template", suffix_code="-ORANGE", attributes={"color": "orange"}),
            lambda i: [v.options[0].value for v in i.live] == ["Orange", "Black", "Yellow"],
            id="variant",
        ),
        pytest.param(write("product.product", active=False), lambda i: len(i.live) == 1, id="variant-archived"),
        pytest.param(write("product.product", suffix_code="-X"), lambda i: i.names[0].endswith("-X"), id="sku"),
        pytest.param(write("product.product", position=9), lambda i: i.names[0].endswith("-YELLOW"), id="position"),
        pytest.param(
            write("product.product", attributes={"color": "orange", "material": "wool", "ce_certified": True}),
            lambda i: (
                i.live[0].options == (Attribute(name="Color", value="Orange"),)
                and i.live[0].attributes
                == (Attribute(name="CE certified", value="yes"), Attribute(name="Material", value="wool"))
            ),
            id="attributes",
        ),
        pytest.param(write("product.identifier", code=OTHER_EAN), lambda i: i.live[0].barcode == OTHER_EAN, id="ean"),
        pytest.param(
            write("product.identifier", type="mpn"), lambda i: i.live[0].barcode is None, id="no-ean-any-more"
        ),
        pytest.param(
            add("product.identifier", "product", type="ean", code=OTHER_EAN, sequence=0),
            lambda i: i.live[0].barcode == EAN and len([p for p in i.parts if p.startswith("identifier")]) == 3,
            id="ean-added",
        ),
        pytest.param(
            add("product.image", "template", image=PICTURE, web_shop=True, description="Back", sequence=1),
            lambda i: [image.alt for image in i.images] == ["", "Back"],
            id="image-added",
        ),
        pytest.param(write("product.image", web_shop=False), lambda i: not i.images, id="image-withdrawn"),
    ],
)
def test_a_change_is_seen(items: Items, erp: RunningErp, act: Act, seen: Seen) -> None:
    number, template = erp.product()
    bystander, _ = erp.product()
    moment = later(items)

    act(erp, template)

    changed = since(items, moment)
    assert seen(items.parse(changed[number].raw))
    assert bystander not in changed


def lose(erp: RunningErp, template: int) -> None:
    """Taken out of its category, from the category's form."""
    shared("categories", templates=[["remove", [template]]])(erp, template)


def move(erp: RunningErp, template: int) -> None:
    shared("categories", parent=erp.id_of("product.category", "Tools"))(erp, template)


@pytest.mark.parametrize(
    ("act", "seen"),
    [
        pytest.param(
            shared("categories.parent", name="Renamed department"),
            lambda i: i.categories[0][0].name == "Renamed department",
            id="category-renamed",
        ),
        pytest.param(move, lambda i: [place.name for place in i.categories[0]] == ["Tools", "Own range"], id="moved"),
        pytest.param(lose, lambda i: i.categories == (), id="category-left"),
        pytest.param(
            shared("account_category", name="Renamed rate"),
            lambda i: i.tax_class == "Renamed rate",
            id="tax-category-renamed",
        ),
        pytest.param(
            shared("sale_uom", name="Renamed piece"),
            lambda i: i.unit == "Renamed piece",
            id="unit-renamed",
        ),
        pytest.param(
            shared("attribute_set.attributes", string="Piping"),
            lambda i: i.live[0].options[0] == Attribute(name="Piping", value="Red"),
            id="attribute-renamed",
        ),
        pytest.param(
            shared("attribute_set.attributes", selection="red: Crimson\nblue: Blue"),
            lambda i: i.live[0].options[0] == Attribute(name="Trim", value="Crimson"),
            id="value-renamed",
        ),
    ],
)
def test_a_change_of_what_many_share_is_seen(
    items: Items, erp: RunningErp, own_tables: dict[str, Any], act: Act, seen: Seen
) -> None:
    number, template = erp.product(**own_tables)
    before = item(items, number)
    assert before.weight == 50_000 and before.names == (f"{number}-red", f"{number}-blue")
    moment = later(items)
    act(erp, template)
    assert not seen(before)
    assert seen(items.parse(since(items, moment)[number].raw))


def window(items: Items) -> Window:
    return Window(None, items.now())


def item(items: Items, number: str) -> Item:
    [row] = flat(items.read([number]))
    return items.parse(row.raw)


@pytest.mark.parametrize(
    ("model", "kind", "seen"),
    [
        ("product.identifier", "identifier", lambda i: i.live[0].barcode is None),
        ("product.image", "image", lambda i: not i.images),
        ("product.product", "product", lambda i: len(i.live) == 1),
    ],
)
def test_what_is_deleted_is_missed(items: Items, erp: RunningErp, model: str, kind: str, seen: Seen) -> None:
    number, template = erp.product()
    before = item(items, number)
    delete(model)(erp, template)
    missed = set(before.parts) - set(flat(items.parts()))
    assert kind in {part.split(":")[0] for part in missed}
    assert seen(item(items, number)) and not seen(before)


def test_what_is_sold_by_the_half_dozen_weighs_six_times_as_much(items: Items, erp: RunningErp) -> None:
    category = erp.admin.rows("product.uom", [["name", "=", "Unit"]], "category")[0]["category"]
    [six] = erp.admin.create("product.uom", {
        "name": "Half dozen", "symbol": "hd", "category": category, "factor": 6.0, "rate": 0.166666666667,
    })  # fmt: skip
    number, template = erp.product()
    moment = later(items)
    write("product.template", sale_uom=six)(erp, template)
    ours = items.parse(since(items, moment)[number].raw)
    assert (ours.unit, ours.weight) == ("Half dozen", 3000)


def test_a_category_that_is_deleted_is_missed(items: Items, erp: RunningErp) -> None:
    [category] = erp.admin.create("product.category", {"name": "Passing fashion"})
    number, _ = erp.product(categories=[["add", [category]]])
    before = item(items, number)
    erp.admin("model.product.category.delete", [category])
    assert set(before.parts) - set(flat(items.parts())) == {f"category:{category}"}
    assert item(items, number).categories == ()


def test_an_image_that_is_replaced_has_another_reference(items: Items, erp: RunningErp) -> None:
    number, template = erp.product()
    before = image_of(item(items, number))
    assert items.content(before).startswith(b"\xff\xd8\xff")
    moment = later(items)
    write("product.image", image=PICTURE)(erp, template)
    after = image_of(items.parse(since(items, moment)[number].raw))
    assert after != before and after.split("@")[0] == before.split("@")[0]
    with pytest.raises(Reject, match="image_gone"):
        items.content(before)
    delete("product.image")(erp, template)
    with pytest.raises(Reject, match="image_gone"):
        items.content(after)


def test_a_template_with_another_code_is_another_item(items: Items, erp: RunningErp) -> None:
    number, template = erp.product()
    before = item(items, number)
    write("product.template", code=f"{number}N")(erp, template)
    assert flat(items.read([number])) == []
    assert set(before.parts) - set(flat(items.parts())) == {f"template:{template}={number}"}


# ---- keys


def uncoded(*suffixes: str, **values: Any) -> dict[str, Any]:
    """A template that has no code of its own."""
    products = [
        {"suffix_code": suffix, "attributes": {"color": color}}
        for suffix, color in zip(suffixes, ("black", "yellow"), strict=False)
    ]
    return {"code": None, "products": [["create", products]], **values}


def test_a_template_without_a_code_has_that_of_its_variant(items: Items, erp: RunningErp) -> None:
    _, template = erp.product(**uncoded("LONE-1"))
    [row] = flat(items.read(["LONE-1"]))
    ours = items.parse(row.raw)
    assert (row.key, row.source_id, ours.key, ours.names) == ("LONE-1", str(template), "LONE-1", ("LONE-1",))
    assert set(ours.parts) <= set(flat(items.parts()))
    write("product.product", suffix_code="LONE-2")(erp, template)
    assert len(set(ours.parts) - set(flat(items.parts()))) == 1


def test_a_template_without_a_code_and_with_two_variants_is_rejected(items: Items, erp: RunningErp) -> None:
    _, template = erp.product(**uncoded("PAIR-1", "PAIR-2"))
    assert flat(items.read(["PAIR-1"])) == []
    [row] = [row for row in flat(items.changed(window(items))) if row.source_id == str(template)]
    assert row.key == ""
    with pytest.raises(Reject, match="no_code"):
        items.parse(row.raw)
    write("product.template", active=False)(erp, template)
    assert str(template) not in {row.source_id for row in flat(items.changed(window(items)))}


def test_raw_material_is_read_as_withdrawn_whatever_is_wrong_with_it(items: Items, erp: RunningErp) -> None:
    number, _ = erp.product(salable=False, name="<i>Resin</i>", weight=-1.0)
    assert item(items, number).gone and item(items, number).name == number
    _, uncoded_ = erp.product(**uncoded("RESIN-1", "RESIN-2", salable=False))
    assert str(uncoded_) not in {row.source_id for row in flat(items.changed(window(items)))}


def archive(erp: RunningErp, template: int) -> None:
    """With its variants: they would keep their codes."""
    erp.admin("model.product.product.write", rows(erp, "product.product", template), {"active": False})
    erp.admin("model.product.template.write", [template], {"active": False})


def test_a_code_may_be_used_again(items: Items, erp: RunningErp) -> None:
    number, old = erp.product()
    archive(erp, old)
    _, new = erp.product(code=number)
    moment = later(items)
    write("product.template", name="Old, renamed")(erp, old)
    for found in (flat(items.read([number])), [since(items, moment)[number]]):
        assert [row.source_id for row in found] == [str(new)]
    archive(erp, new)
    moment = later(items)
    write("product.template", name="Old, renamed again")(erp, old)
    for found in (flat(items.read([number])), [since(items, moment)[number]]):
        assert [row.source_id for row in found] == [str(new)]


def test_two_products_for_sale_with_one_code_are_both_read(items: Items, erp: RunningErp) -> None:
    number, first = erp.product()
    variants = [{"suffix_code": "-OTHER", "attributes": {"color": "black"}}]
    _, second = erp.product(code=number, products=[["create", variants]])
    assert {row.source_id for row in flat(items.read([number]))} == {str(first), str(second)}
    write("product.template", active=False)(erp, second)


# ---- the web shop, options, languages: what the settings say


@pytest.fixture
def with_settings(altered: Callable[..., None]) -> Callable[..., Items]:
    def connect(**extra: Any) -> Items:
        altered(extra={**json.loads(os.environ["AIRFLOW_CONN_" + CONNECTION.upper()])["extra"], **extra})
        return Tryton.from_connection(CONNECTION).items

    return connect


def test_only_what_is_in_the_web_shop_is_for_sale(with_settings: Any, erp: RunningErp) -> None:
    [shop] = erp.admin.create("web.shop", {
        "name": "Own shop", "company": erp.admin.rows("company.company", [], "party")[0]["id"],
        "currency": erp.id_of("currency.currency", "Euro"),
    })  # fmt: skip
    items = with_settings(web_shop="Own shop")
    number, template = erp.product()
    black, yellow = erp.rows_of("product.product", "template", template)
    assert item(items, number).gone

    moment = later(items)
    erp.admin("model.product.product.write", [black], {"web_shops": [["add", [shop]]]})
    ours = items.parse(since(items, moment)[number].raw)
    assert ours.names == (f"{number}-BLACK",) and [v.live for v in ours.variants] == [True, False]

    moment = later(items)
    erp.admin("model.web.shop.write", [shop], {"products": [["add", [yellow]]]})
    assert len(items.parse(since(items, moment)[number].raw).live) == 2

    moment = later(items)
    erp.admin("model.web.shop.write", [shop], {"products": [["remove", [black, yellow]]]})
    assert items.parse(since(items, moment)[number].raw).gone


def test_the_demos_goods_are_in_its_web_shop(with_settings: Any) -> None:
    items = with_settings(web_shop="Medusa")
    assert not item(items, "WJ001").gone and item(items, "SHIP").gone


def test_options_are_the_attributes_that_are_named(with_settings: Any, erp: RunningErp) -> None:
    variants = [
        {"suffix_code": f"-{color}", "attributes": {"color": color, "material": material}}
        for color, material in (("black", "wool"), ("yellow", "silk"))
    ]
    number, _ = erp.product(products=[["create", variants]])
    ours = item(with_settings(option_attributes="material"), number)
    assert [v.options for v in ours.live] == [
        (Attribute(name="Material", value="wool"),), (Attribute(name="Material", value="silk"),)
    ]  # fmt: skip
    assert ours.live[0].attributes == (Attribute(name="Color", value="Black"),)


def test_names_in_other_languages(with_settings: Any, erp: RunningErp) -> None:
    items = with_settings(languages="de")
    for number, name in GERMAN_ITEMS.items():
        ours = item(items, number)
        assert ours.translations == (Translation(locale="de", name=name, description=ours.description),)
    number, template = erp.product()
    assert item(items, number).translations == ()
    moment = later(items)
    variant = rows(erp, "product.product", template)
    erp.admin("model.product.template.write", [template], {"name": "Probe"}, language="de")
    erp.admin("model.product.product.write", variant, {"description": "Von hier."}, language="de")
    ours = items.parse(since(items, moment)[number].raw)
    assert ours.name == f"Tested {number}" and ours.description == f"Of {number}."
    assert ours.translations == (Translation(locale="de", name="Probe", description="Von hier."),)


def test_what_the_settings_say_is_part_of_the_version(with_settings: Any, items: Items) -> None:
    asked = (
        {"web_shop": "Medusa"},
        {"option_attributes": "size"},
        {"option_attributes": "size,color"},
        {"languages": "de"},
    )
    versions = [
        with_settings(**{"web_shop": "", "option_attributes": "", "languages": "", **extra}).version for extra in asked
    ]
    assert len({items.version, *versions}) == 5


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"web_shop": "Nowhere"}, "no web shop 'Nowhere'"),
        ({"option_attributes": "color, colour"}, "no product attribute 'colour'"),
        ({"languages": "de,tlh"}, "no translatable language 'tlh'"),
    ],
)
def test_a_name_that_is_not_there_stops_everything(with_settings: Any, extra: dict[str, str], said: str) -> None:
    items = with_settings(**extra)
    for ask in (items.read(["WJ001"]), items.changed(window(items))):
        with pytest.raises(Misconfigured, match=said):
            next(iter(ask))


def test_the_test_button_counts_what_is_for_sale(with_settings: Any, erp: RunningErp) -> None:
    with_settings(web_shop="Medusa")
    works, said = TrytonHook(CONNECTION).test_connection()
    assert works and "Web shop 'Medusa' is there" in said
    with_settings(web_shop="Nowhere")
    works, said = TrytonHook(CONNECTION).test_connection()
    assert not works and "Web shop 'Nowhere' is missing: nothing is for sale" in said


# ---- the demo's catalogue, pages, restarts


def test_the_demos_catalogue(items: Items) -> None:
    found = {row.key: row for row in flat(items.changed(window(items)))}
    demo = {key: row for key, row in found.items() if int(row.source_id) <= 98}
    assert len(demo) == 98
    for key in PLANTED_ITEMS:
        with pytest.raises(Reject, match="KP001-A and KP001-B cannot be told apart"):
            items.parse(demo.pop(key).raw)
    everything = {key: items.parse(row.raw) for key, row in demo.items()}
    assert [key for key, one in everything.items() if one.gone] == [ARCHIVED_ITEM]
    assert sum(len(one.live) for one in everything.values()) == 208
    jacket = everything["WJ001"]
    assert jacket.live[1].options == (Attribute(name="Color", value="Black"), Attribute(name="Size", value="M"))
    assert (jacket.weight, jacket.kind, everything["SHIP"].kind) == (900, "goods", "service")


def test_pages_shift_nothing(erp: RunningErp, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Tryton.from_connection(CONNECTION).items
    rows_, parts = flat(whole.changed(window(whole))), flat(whole.parts())
    monkeypatch.setattr("crossdock.connectors.tryton.items.PAGE", 7)
    monkeypatch.setattr("crossdock.connectors.tryton.reading.IDS", 7)
    paged = Tryton.from_connection(CONNECTION).items
    pages = list(paged.changed(window(paged)))
    assert set(flat(pages)) == set(rows_) and len(pages) > 12
    assert flat(paged.parts()) == parts
    keys = [row.key for row in rows_ if row.key][:30]
    assert {row.key for row in flat(paged.read(keys))} == set(keys)


def test_bytes_stay_the_same_when_tryton_is_restarted(items: Items, altered: Any, session: Any) -> None:
    port = free_port()
    second = sandbox_erp.service(session / "erp", DATABASE, port).start()
    try:
        second.wait()
        before = flat(items.changed(window(items)))
        altered(host=f"http://{HOST}:{port}")
        restarted = Tryton.from_connection(CONNECTION).items
        assert flat(restarted.changed(window(restarted))) == before
    finally:
        second.stop()
