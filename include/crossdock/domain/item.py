"""Products and their variants. Prices have no place here: the flow ``pricing`` writes them all."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from crossdock.domain.record import FilledText, PlainText, Record, Value

MOST_VARIANTS = 2_048
"""More variants than that are no product a person can choose from (Shopify's limit, too)."""

_ACTIVE = re.compile(r"<\s*(?:script|iframe|object|embed)\b|\bon\w+\s*=\s*[\"']|javascript:", re.IGNORECASE)


def _description(value: str) -> str:
    if any(unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn") and c not in "\t\n\r" for c in value):
        raise ValueError("holds control characters or broken Unicode")
    if _ACTIVE.search(value):
        raise ValueError("holds active content (a script, a frame, an event handler)")
    return value.strip()


def _gtin(value: str) -> str:
    """https://ref.gs1.org/standards/genspecs/ 7.9.1: weights 3 and 1 from the right, modulo 10."""
    if not value.isascii() or not value.isdigit() or len(value) not in (8, 12, 13, 14):
        raise ValueError("is not a GTIN: 8, 12, 13 or 14 digits")
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(value[:-1])))
    if (10 - total % 10) % 10 != int(value[-1]):
        raise ValueError("is not a GTIN: its check digit is wrong")
    return value


Number = Annotated[FilledText, Field(max_length=100)]
Sku = Annotated[FilledText, Field(max_length=100)]
Gtin = Annotated[str, AfterValidator(_gtin)]
"""EAN-8, UPC-A, EAN-13 or GTIN-14, check digit proved."""

RichText = Annotated[str, AfterValidator(_description), Field(max_length=100_000)]
"""Text with mark-up but nothing that runs, several lines."""

Measure = Annotated[Decimal, Field(gt=0, le=Decimal("1e9"))]


class Attribute(Value):
    """A property by its label: Color, yellow."""

    name: FilledText
    value: FilledText


class Category(Value):
    """A place in the catalogue. ``source_id`` stays when it is renamed."""

    source_id: str
    name: FilledText


class Image(Value):
    """A picture. ``ref`` is what the source gives its bytes for, and changes with them."""

    ref: str
    alt: PlainText = ""


class Translation(Value):
    """Name and description in another language (``locale``: BCP 47, ``de-DE``)."""

    locale: Annotated[str, Field(pattern=r"^[a-z]{2,3}(-([A-Z]{2}|[0-9]{3}))?$")]
    name: FilledText
    description: RichText = ""


class Variant(Value):
    """What is sold. ``options`` tell it from the product's other variants; ``source_id`` stays when the SKU changes.

    ``live`` False: archived, or taken out of the shop.
    """

    source_id: str
    sku: Sku
    live: bool = True
    options: tuple[Attribute, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    barcode: Gtin | None = None


class Item(Record):
    """A product of the ERP with all its variants, the unit of the flow ``items``.

    ``published`` False: archived, not for sale, or taken out of the shop. ``weight`` in grams, the other
    measures in millimetres, of one sales unit (``unit``). ``kind`` "service": nothing to keep in stock.
    ``categories``: one path each, from the root. ``tax_class``: the ERP's name of it.
    """

    COLUMNS: ClassVar[dict[str, str]] = {
        "number": "text",
        "name": "text",
        "published": "boolean",
        "variants": "integer",
        "images": "integer",
        "categories": "integer",
        "weight": "numeric",
        "tax_class": "text",
    }

    number: Number
    name: FilledText
    published: bool = True
    kind: Literal["goods", "service"] = "goods"
    description: RichText = ""
    unit: PlainText = ""
    tax_class: PlainText = ""
    weight: Measure | None = None
    length: Measure | None = None
    width: Measure | None = None
    height: Measure | None = None
    categories: tuple[tuple[Category, ...], ...] = ()
    images: Annotated[tuple[Image, ...], Field(max_length=250)] = ()
    variants: Annotated[tuple[Variant, ...], Field(max_length=MOST_VARIANTS)] = ()
    translations: tuple[Translation, ...] = ()

    @model_validator(mode="after")
    def _variants_can_be_told_apart(self) -> Item:
        skus = [variant.sku for variant in self.variants]
        if len(set(skus)) < len(skus):
            raise ValueError("two of its variants have the same SKU")
        live = [variant for variant in self.variants if variant.live]
        seen: dict[tuple[Attribute, ...], str] = {}
        for variant in live:
            if [one.name for one in variant.options] != [one.name for one in live[0].options]:
                raise ValueError(f"the variants {live[0].sku} and {variant.sku} do not have the same options")
            if other := seen.get(variant.options):
                raise ValueError(f"the variants {other} and {variant.sku} cannot be told apart by their options")
            seen[variant.options] = variant.sku
        return self

    @property
    def key(self) -> str:
        return self.number

    @property
    def gone(self) -> bool:
        return not self.published or not self.live

    @property
    def live(self) -> tuple[Variant, ...]:
        """The variants that are for sale."""
        return tuple(variant for variant in self.variants if variant.live)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(variant.sku for variant in self.live)

    def columns(self) -> tuple[Any, ...]:
        return (
            self.number,
            self.name,
            self.published,
            len(self.live),
            len(self.images),
            len(self.categories),
            self.weight,
            self.tax_class,
        )
