"""One row per product, joined from Tryton's flat tables. Pure functions.

What other tables say about a product (names of categories, units, attributes) is put into its row, so
that a change there changes the row. Fields: trytond 8.0, modules product, sale, account_product,
product_attribute, product_image, product_measurements, web_shop.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, NamedTuple

from crossdock.connectors.tryton.reading import Record
from crossdock.connectors.tryton.rows import stable
from crossdock.ports import Row

MEASURES = ("weight", "length", "width", "height")
TEMPLATE = (
    "code", "name", "active", "salable", "type", "default_uom", "sale_uom", "account_category", "categories",
    "web_shop_description", *MEASURES, *(f"{measure}_uom" for measure in MEASURES),
)  # fmt: skip
PRODUCT = ("template", "code", "suffix_code", "position", "active", "attributes")
LISTED = "web_shops"
"""The field of a product that names the shops it is in; asked for only where a shop is named in the settings."""
IDENTIFIER = ("product", "type", "code", "sequence")
IMAGE = ("template", "product", "description", "sequence", "last_modified_at")
UNIT = ("name", "factor", "rate")
CATEGORY = ("name", "parent")
ATTRIBUTE = ("name", "string", "type_", "selection")
TEXT = ("name", "web_shop_description")

MOST_LEVELS = 50
"""Of categories below each other; one more is read, so that what is too deep, or goes round in circles, is seen."""

BARCODES = ("ean", "isbn", "ismn")
"""Types of identifiers whose codes may be GTINs. Those without a type are anything."""


class Known(NamedTuple):
    """The small tables: units and categories by id, attributes by name. ``shops`` None: no shop is named."""

    units: Mapping[int, Record]
    categories: Mapping[int, Record]
    attributes: Mapping[str, Record]
    shops: Set[int] | None


class Texts(NamedTuple):
    """What is said in another language: templates by id, descriptions of variants by id."""

    templates: Mapping[int, Record]
    descriptions: Mapping[int, str | None]


class Tables(NamedTuple):
    """All that belongs to one page of templates; ``descriptions`` of variants, where the template has none."""

    templates: Sequence[Record]
    products: Sequence[Record]
    identifiers: Sequence[Record]
    images: Sequence[Record]
    descriptions: Mapping[int, str | None]


class Joined(NamedTuple):
    """A product's row. ``for_sale``: at least one variant of it is live."""

    row: Row
    for_sale: bool


def named(keys: Iterable[str]) -> tuple[list[Any], list[Any]]:
    """The clauses for the templates with these codes, and for the variants whose templates have no code."""
    codes = sorted(keys)
    return ["code", "in", codes], [["code", "in", codes], UNCODED]


UNCODED = ["template.code", "in", [None, ""]]
"""The clause for variants whose template has no code."""


def live(product: Record, template: Record, known: Known) -> bool:
    """Whether a variant can be bought in the shop."""
    if not (product["active"] and template["active"] and template["salable"]):
        return False
    return known.shops is None or not known.shops.isdisjoint(product[LISTED])


def join(tables: Tables, texts: Mapping[str, Texts], known: Known) -> list[Joined]:
    """The rows of a page; ``texts`` by language."""
    products, identifiers, images = (
        _by(tables.products, "template"), _by(tables.identifiers, "product"), _by(tables.images, "template"),
    )  # fmt: skip
    joined = []
    for template in tables.templates:
        variants = products[template["id"]]
        sold = [one["id"] for one in variants if live(one, template, known)]
        number = template["code"] or _lone_code(variants)
        row = {
            **{name: template[name] for name in ("id", "code", "name", "type")},
            "number": number,
            "published": bool(template["active"] and template["salable"]),
            "unit": _unit(template["sale_uom"] or template["default_uom"], known),
            "measured_unit": _unit(template["default_uom"], known),
            **{name: _measure(template, name, known) for name in MEASURES},
            "tax_class": _name(known.categories, template["account_category"]),
            "categories": [_category(one, known) for one in template["categories"] if one in known.categories],
            "description": _description(template, [tables.descriptions.get(one) for one in sold]),
            "variants": [
                _variant(one, identifiers[one["id"]], known) if one["id"] in sold else _withdrawn(one)
                for one in variants
            ],
            "images": [_image(one) for one in images[template["id"]] if one["product"] in (None, *sold)],
            "texts": [_text(template, language, said, sold) for language, said in texts.items()],
        }
        joined.append(Joined(Row(number, str(template["id"]), stable(row)), bool(sold)))
    return joined


def _description(template: Record, descriptions: Iterable[str | None]) -> str:
    """The template's own, else the one that all its variants share."""
    shared = {text or "" for text in descriptions}
    return template["web_shop_description"] or (shared.pop() if len(shared) == 1 else "")


def _by(rows: Iterable[Record], owner: str) -> defaultdict[int, list[Record]]:
    found: defaultdict[int, list[Record]] = defaultdict(list)
    for row in rows:
        found[row[owner]].append(row)
    return found


def _lone_code(products: Sequence[Record]) -> str:
    """The code of the only variant; active ones count first."""
    candidates = [product for product in products if product["active"]] or products
    return (candidates[0]["code"] or "") if len(candidates) == 1 else ""


def _variant(product: Record, identifiers: list[Record], known: Known) -> Record:
    return {
        **{name: product[name] for name in ("id", "code", "suffix_code", "position")},
        "live": True,
        "properties": [
            _property(name, value, known)
            for name, value in sorted((product["attributes"] or {}).items())
            if value not in (None, "", [])
        ],
        "identifiers": [{name: one[name] for name in ("id", "type", "code", "sequence")} for one in identifiers],
    }


def _withdrawn(product: Record) -> Record:
    return {"id": product["id"], "code": product["code"], "live": False}


def _property(name: str, value: Any, known: Known) -> Record:
    """An attribute's value by the labels that people see. A value no definition knows stays as it is."""
    attribute = known.attributes.get(name, {"string": name, "type_": "char", "selection": None})
    if attribute["type_"] in ("selection", "multiselection"):
        lines = (line.split(":", 1) for line in (attribute["selection"] or "").splitlines() if ":" in line)
        labels = {key.strip(): label.strip() for key, label in lines}
        chosen = value if isinstance(value, list) else [value]
        value = ", ".join(labels.get(str(one), str(one)) for one in chosen)
    return {"name": name, "label": attribute["string"], "type": attribute["type_"], "value": value}


def _image(image: Record) -> Record:
    return {
        **{name: image[name] for name in ("id", "description", "sequence")},
        "version": version(image["last_modified_at"]),
    }


def version(moment: Any) -> str:
    """A time of change in words, to the microsecond."""
    return str(moment.isoformat(timespec="microseconds"))


def _text(template: Record, language: str, said: Texts, sold: Iterable[int]) -> Record:
    own = said.templates.get(template["id"], template)
    descriptions = [said.descriptions.get(variant) for variant in sold]
    return {"language": language, "name": own["name"], "description": _description(own, descriptions)}


def _unit(one: int, known: Known) -> Record:
    return {name: known.units[one][name] for name in UNIT}


def _measure(template: Record, name: str, known: Known) -> Record | None:
    value, unit = template[name], template[f"{name}_uom"]
    return None if value is None else {"value": value, "unit": _unit(unit, known) if unit else None}


def _category(one: int, known: Known, levels: int = MOST_LEVELS) -> Record:
    category = known.categories[one]
    above = category["parent"] if levels else None
    return {"id": one, "name": category["name"], "parent": _category(above, known, levels - 1) if above else None}


def _name(table: Mapping[int, Record], one: int | None) -> str | None:
    return table[one]["name"] if one else None
