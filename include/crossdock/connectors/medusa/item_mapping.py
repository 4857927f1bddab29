"""A canonical item as Medusa is told it, still without Medusa's ids. Pure functions.

Measures leave the decimals here: Medusa's JSON has floats only. Prices are never mentioned.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from crossdock.domain.item import Attribute, Item, Variant
from crossdock.errors import Reject

NO_OPTION = ("Default option", "Default option value")
"""Medusa wants an option for every product; this is the one its own dashboard gives."""

OWNABLE = ("attributes", "barcodes", "categories", "description", "images", "measures", "tax_class", "translations")
"""What a shop may keep for itself (setting ``shop_fields``). Title, options, variants and status are the ERP's."""

MEASURES = ("weight", "length", "width", "height")
BARCODES = ("ean", "upc", "barcode")
_BARCODE = {8: "ean", 12: "upc", 13: "ean", 14: "barcode"}


def payload(item: Item, shop_fields: Collection[str] = ()) -> bytes:
    """The item as JSON without what the shop owns; the same item gives the same bytes. Raises Reject."""
    options = _options(item)
    said: dict[str, Any] = {
        "external_id": item.key,
        "handle": handle(item.key),
        "title": item.name,
        "status": "published",
        "unit": item.unit,
        "options": options,
        "variants": [_variant(item, rank, one, shop_fields) for rank, one in enumerate(item.variants)],
    }
    if "description" not in shop_fields:
        said["description"] = item.description
    if "measures" not in shop_fields:
        said |= {name: _number(getattr(item, name)) for name in MEASURES}
    if "tax_class" not in shop_fields:
        said["type"] = item.tax_class
    if "categories" not in shop_fields:
        said["categories"] = [[{"id": one.source_id, "name": one.name} for one in path] for path in item.categories]
    if "images" not in shop_fields:
        said["images"] = [{"ref": image.ref, "alt": image.alt} for image in item.images]
    if "translations" not in shop_fields:
        said["translations"] = [
            {"locale": one.locale, "title": one.name, "description": one.description} for one in item.translations
        ]
    return msgspec.json.encode(said, order="deterministic")


def handle(key: str, words: str | None = None) -> str:
    """A part of a URL made of ``words`` (without: of the key); different keys never have the same one without words."""
    slug = _slug(key if words is None else words)
    if words is None and slug.upper() != key:
        return "-".join(filter(None, (slug, hashlib.sha256(key.encode()).hexdigest()[:8])))
    return slug


def _slug(words: str) -> str:
    ascii_only = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only.lower()).strip("-")


def _number(measure: Decimal | None) -> float | None:
    return None if measure is None else float(measure)


def _options(item: Item) -> list[dict[str, Any]]:
    values: dict[str, dict[str, None]] = {}
    for variant in item.live:
        for name, value in _told_apart_by(variant).items():
            values.setdefault(name, {})[value] = None
    return [{"title": title, "values": list(some)} for title, some in values.items()]


def _told_apart_by(variant: Variant) -> dict[str, str]:
    return named(variant.options, variant.sku) or dict([NO_OPTION])


def named(attributes: Sequence[Attribute], sku: str) -> dict[str, str]:
    """Attributes by name. Raises Reject when two have the same one."""
    by_name = {one.name: one.value for one in attributes}
    if len(by_name) < len(attributes):
        raise Reject(
            "attribute_twice",
            f"Two attributes of the variant {sku} have the same name.",
            "Give the attributes different names in the ERP.",
        )
    return by_name


def _variant(item: Item, rank: int, variant: Variant, shop_fields: Collection[str]) -> dict[str, Any]:
    options = _told_apart_by(variant) if variant.live else {}
    said: dict[str, Any] = {
        "source_id": variant.source_id,
        "sku": variant.sku,
        "title": " / ".join(one.value for one in variant.options) or item.name,
        "options": options,
        "manage_inventory": item.kind == "goods",
        "rank": rank,
        "live": variant.live,
    }
    if "attributes" not in shop_fields:
        said["attributes"] = named(variant.attributes, variant.sku)
    if "barcodes" not in shop_fields:
        said |= dict.fromkeys(BARCODES)
        if variant.barcode:
            said[_BARCODE[len(variant.barcode)]] = variant.barcode
    return said
