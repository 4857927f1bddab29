"""A product's row (item_rows.py) to a canonical Item. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from crossdock.connectors.tryton.item_rows import MOST_LEVELS
from crossdock.connectors.tryton.rows import build, decode
from crossdock.domain.item import Attribute, Category, Image, Item, Translation, Variant
from crossdock.errors import Reject

VERSION = "1"
"""Raise it when a row is to be read differently although the fields stay the same."""

_THOUSAND = Decimal(1000)
"""Grams of a kilogram and millimetres of a meter: the base units of Tryton's categories of weight and length."""


class _Unit(Struct):
    name: str
    factor: Decimal
    rate: Decimal


class _Measured(Struct):
    value: Decimal
    unit: _Unit | None


class _Category(Struct):
    id: int
    name: str | None
    parent: _Category | None


class _Property(Struct):
    name: str
    label: str
    type: str
    value: Any


class _Identifier(Struct):
    id: int
    type: str
    code: str
    sequence: int | None


class _Variant(Struct):
    id: int
    code: str | None
    live: bool
    suffix_code: str | None = None
    position: int | None = None
    properties: list[_Property] = []
    identifiers: list[_Identifier] = []


class _Image(Struct):
    id: int
    description: str | None
    sequence: int | None
    version: str


class _Text(Struct):
    language: str
    name: str | None
    description: str


class _Product(Struct):
    id: int
    code: str | None
    number: str
    name: str | None
    type: str
    published: bool
    unit: _Unit
    measured_unit: _Unit
    weight: _Measured | None
    length: _Measured | None
    width: _Measured | None
    height: _Measured | None
    tax_class: str | None
    categories: list[_Category]
    description: str
    variants: list[_Variant]
    images: list[_Image]
    texts: list[_Text]


_ROW = msgspec.json.Decoder(_Product)


def to_item(raw: bytes, option_attributes: Sequence[str]) -> Item:
    """The canonical item. Raises Reject, with the place in Tryton where it can be put right.

    ``option_attributes``: names of the attributes that tell variants apart; none: those of type
    selection. A product that is not for sale is taken out of the shop whatever else is wrong with it.
    """
    product = decode(_ROW, raw, "product")
    if not product.number:
        raise Reject(
            "no_code",
            f"Product {product.id} has no code, and not exactly one variant that has.",
            "Give it a code in Tryton (Products > the product > Code); the next run takes it up.",
        )
    try:
        return _item(product, option_attributes)
    except Reject:
        if product.published and any(variant.live for variant in product.variants):
            raise
        return Item(number=product.number, name=product.number, published=False, parts=tuple(_parts(product)))


def _item(product: _Product, option_attributes: Sequence[str]) -> Item:
    what = f"product {_short(product.number)}"
    resold = product.unit != product.measured_unit
    return build(
        Item,
        what,
        number=product.number,
        name=product.name,
        published=product.published,
        kind="service" if product.type == "service" else "goods",
        description=product.description,
        unit=product.unit.name,
        tax_class=product.tax_class or "",
        weight=_weight(product, what),
        # how long twelve of a thing are depends on how they are packed
        **{name: None if resold else _measure(product, name, what) for name in ("length", "width", "height")},
        categories=_categories(product, what),
        images=tuple(
            build(Image, f"image {one.id} of {what}", ref=f"{one.id}@{one.version}", alt=one.description or "")
            for one in _in_order(product.images)
        ),
        variants=_variants(product, option_attributes, what),
        translations=tuple(
            build(
                Translation,
                f"the name of {what} in {one.language}",
                locale=one.language.replace("_", "-"),
                name=one.name,
                description=one.description,
            )
            for one in sorted(product.texts, key=lambda text: text.language)
            if (one.name, one.description) != (product.name, product.description)
        ),
        parts=tuple(_parts(product)),
    )


_Ordered = TypeVar("_Ordered", _Identifier, _Image)


def _in_order(rows: list[_Ordered]) -> list[_Ordered]:
    """As Tryton shows them: those without a number come first."""
    return sorted(rows, key=lambda row: (row.sequence is not None, row.sequence or 0, row.id))


def _variants(product: _Product, option_attributes: Sequence[str], what: str) -> tuple[Variant, ...]:
    live = [variant for variant in product.variants if variant.live]
    live.sort(key=lambda variant: (variant.position is not None, variant.position or 0, variant.id))
    if uncoded := next((variant for variant in live if not variant.code), None):
        raise Reject(
            "no_variant_code",
            f"Variant {uncoded.id} of {what} has no code.",
            "Give it one in Tryton (Products > Variants > Code).",
        )
    options = _options(live, option_attributes, what)
    made = [_variant(variant, chosen, what) for variant, chosen in zip(live, options, strict=True)]
    taken = {variant.sku for variant in made}
    for variant in sorted(product.variants, key=lambda one: -one.id):  # a code may be used again once it is archived
        if not variant.live and variant.code and variant.code not in taken:
            made.append(build(Variant, what, source_id=str(variant.id), sku=variant.code, live=False))
            taken.add(variant.code)
    return tuple(made)


def _options(live: list[_Variant], names: Sequence[str], what: str) -> list[dict[str, Attribute]]:
    """For each variant the attributes that tell it from the others, by name."""
    if len(live) < 2:
        return [{} for _ in live]
    properties = [{one.name: one for one in variant.properties} for variant in live]
    have = {name: one for some in properties for name, one in some.items()}
    telling = [name for name in (names or sorted(have)) if name in have and (names or have[name].type == "selection")]
    if not telling:
        return [
            {"": build(Attribute, what, name="Variant", value=variant.suffix_code or variant.code)} for variant in live
        ]
    for variant, own in zip(live, properties, strict=True):
        if missing := [have[name].label for name in telling if name not in own]:
            raise Reject(
                "option_missing",
                f"Variant {variant.code} of {what} has no {' and no '.join(missing)}, which its other variants have.",
                "Fill it in in Tryton (Products > Variants > Attributes).",
            )
    return [{name: _attribute(own[name], what) for name in telling} for own in properties]


def _variant(variant: _Variant, options: dict[str, Attribute], what: str) -> Variant:
    where = f"variant {_short(variant.code)} of {what}"
    return build(
        Variant,
        where,
        source_id=str(variant.id),
        sku=variant.code,
        options=tuple(options.values()),
        attributes=tuple(_attribute(one, where) for one in variant.properties if one.name not in options),
        barcode=next(filter(None, map(_gtin, _in_order(variant.identifiers))), None),
    )


def _gtin(identifier: _Identifier) -> str | None:
    """The code, if it is one; whether its check digit is right is for the model to say."""
    code = re.sub(r"[\s-]", "", identifier.code)
    return code if code.isdigit() and len(code) in (8, 12, 13, 14) else None


def _attribute(one: _Property, what: str) -> Attribute:
    value = one.value
    if one.type == "boolean":
        value = "yes" if value else "no"
    elif one.type in ("integer", "float", "numeric"):
        try:
            value = str(_plain(Decimal(str(value))))
        except (ArithmeticError, ValueError):
            raise Reject(
                "invalid_attribute",
                f"Attribute {one.name} of {what} is not a number, or too large.",
                "Correct it in Tryton (Products > Variants > Attributes).",
            ) from None
    return build(Attribute, f"attribute {one.name} of {what}", name=one.label, value=str(value))


def _categories(product: _Product, what: str) -> tuple[tuple[Category, ...], ...]:
    for category in product.categories:
        places = [place.id for place in _path(category)]
        if len(places) > MOST_LEVELS:
            below = "itself" if len(set(places)) < len(places) else f"more than {MOST_LEVELS} others"
            raise Reject(
                "invalid_categories",
                f"The category {category.id} of {what} is below {below}.",
                "Move it in Tryton (Products > Categories).",
            )
    paths = (
        tuple(
            build(Category, f"category {place.id} of {what}", source_id=str(place.id), name=place.name)
            for place in _path(category)
        )
        for category in product.categories
    )
    return tuple(sorted(paths, key=lambda path: [(place.name, place.source_id) for place in path]))


def _path(category: _Category) -> list[_Category]:
    """From the root."""
    return [*(_path(category.parent) if category.parent else []), category]


def _weight(product: _Product, what: str) -> Decimal | None:
    """Of one unit that is sold; Tryton keeps that of one unit that is stocked."""
    weight = _measure(product, "weight", what)
    if weight is None or product.unit == product.measured_unit:
        return weight
    try:
        return _plain(weight * _size(product.unit) / _size(product.measured_unit))
    except ArithmeticError:
        raise Reject(
            "invalid_unit",
            f"The weight of {what} cannot be told: so many {product.measured_unit.name} are no {product.unit.name}.",
            "Correct the factor and rate of these units in Tryton (Products > Configuration > Units of Measure).",
        ) from None


def _measure(product: _Product, name: str, what: str) -> Decimal | None:
    """In grams, or millimetres."""
    measured: _Measured | None = getattr(product, name)
    if measured is None:
        return None
    with suppress(ArithmeticError):  # no number, or beyond what decimals can hold
        if measured.unit and measured.value > 0:
            return _plain(measured.value * _size(measured.unit) * _THOUSAND)
    raise Reject(
        f"invalid_{name}",
        f"The {name} of {what} is {_told(measured.value)} {measured.unit.name if measured.unit else 'without a unit'}.",
        "Correct it in Tryton (Products > Measurements), or leave it empty.",
    )


def _size(unit: _Unit) -> Decimal:
    """How many base units it is. Tryton keeps this and its inverse, both rounded: the shorter one is exact."""
    return unit.factor if _places(unit.factor) <= _places(unit.rate) else 1 / unit.rate


def _told(value: Decimal) -> str:
    try:
        return str(_plain(value))
    except ArithmeticError:
        return str(value)


def _short(name: str | None) -> str:
    """What a reason calls a record whose name may be of any length."""
    return (name or "")[:100]


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _plain(value: Decimal) -> Decimal:
    """Without zeros at the end, without an exponent: equal numbers look the same."""
    return Decimal(f"{round(value, 6).normalize():f}")


def _parts(product: _Product) -> Iterator[str]:
    yield f"template:{product.id}={product.code or ''}"
    for variant in product.variants:
        yield f"product:{variant.id}" if product.code else f"product:{variant.id}={variant.code or ''}"
        yield from (f"identifier:{one.id}" for one in variant.identifiers)
    yield from (f"image:{image.id}" for image in product.images)
    yield from sorted({f"category:{place.id}" for category in product.categories for place in _path(category)})
