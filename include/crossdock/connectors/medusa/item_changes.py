"""What has to be done to a product of the shop so that it says what the ERP says. Pure functions.

``wanted`` is a payload (item_mapping.py) and what its names mean in this shop, ``there`` the product as
catalogue.py reads it. What the payload does not mention is the shop's own and is not looked at. Nothing is
deleted: a variant that is no longer sold stays, marked withdrawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crossdock.connectors.medusa.item_mapping import BARCODES, MEASURES, NO_OPTION
from crossdock.connectors.medusa.translations import Texts

Json = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """A payload and what its names mean in this shop."""

    said: Mapping[str, Any]
    fingerprint: str
    sales_channel: str
    shipping_profile: str
    type: str | None = None
    categories: Sequence[str] = ()
    images: Sequence[Mapping[str, str]] = ()
    """``{ref, url, alt}``, in order."""
    texts: Texts = field(default_factory=dict)

    @property
    def translates(self) -> bool:
        """False when translations are the shop's own."""
        return "translations" in self.said

    @property
    def variants(self) -> list[Mapping[str, Any]]:
        """Those the shop must have."""
        return [variant for variant in self.said["variants"] if variant["live"]]


@dataclass
class Changes:
    """In the order in which Medusa wants to be told."""

    add_options: list[Json] = field(default_factory=list)
    add_values: dict[str, list[str]] = field(default_factory=dict)
    """By option."""
    unpriced: list[str] = field(default_factory=list)
    """Variants without a price set, left by a server that was killed: no price would ever hold. Made anew."""
    renamed: dict[str, str] = field(default_factory=dict)
    """Inventory item -> its new SKU."""
    product: Json = field(default_factory=dict)
    option_titles: list[str] | None = None
    """Given when an option goes: those that stay."""
    variants: list[Json] = field(default_factory=list)
    """All that the product has, or none: Medusa deletes those that are not named."""
    create: list[Json] = field(default_factory=list)
    unstocked: dict[str, str] = field(default_factory=dict)
    """Variant -> SKU, where the inventory item is missing."""
    drop_values: dict[str, list[str]] = field(default_factory=dict)
    """Option -> values that no variant has any more."""
    links: dict[str, str] = field(default_factory=dict)
    """SKU -> variant, of those that are there already."""
    metadata: Json = field(default_factory=dict)
    """The mark of a product that is done."""

    @property
    def later(self) -> bool:
        """True when the mark must wait for more than one call."""
        return bool(self.create or self.unstocked or self.drop_values)


def new_product(wanted: Wanted, orphans: Mapping[str, str] | None = None) -> Json:
    """What creates it; it is not done (``mark``) before it is translated. ``orphans``: SKU -> an inventory item."""
    said = wanted.said
    done = mark(wanted)
    if wanted.texts:
        del done["erp"]["fingerprint"]
    variants = [_new_variant(variant, orphans or {}) for variant in wanted.variants]
    return _fields(wanted) | {
        "handle": said["handle"],
        "options": said["options"] or [{"title": NO_OPTION[0], "values": [NO_OPTION[1]]}],
        "variants": variants,
        "sales_channels": [{"id": wanted.sales_channel}],
        "shipping_profile_id": wanted.shipping_profile,
        "metadata": done,
        **({"categories": [{"id": one} for one in wanted.categories]} if "categories" in said else {}),
        **({"images": [{"url": one["url"]} for one in wanted.images]} if "images" in said else {}),
    }


def mark(wanted: Wanted, variants: int | None = None) -> Json:
    """The metadata of a product that is done. ``variants``: how many of its variants are the ERP's."""
    erp = {
        "fingerprint": wanted.fingerprint,
        "unit": wanted.said["unit"],
        "variants": len(wanted.variants) if variants is None else variants,
    }
    if wanted.texts:
        erp["languages"] = sorted(wanted.texts)
    if "images" in wanted.said:
        erp["images"] = [dict(one) for one in wanted.images]
    return {"erp": erp}


def withdrawal(there: Mapping[str, Any], fingerprint: str) -> Json:
    """What unpublishes a product, {} if that is done."""
    erp = {**_erp(there), "fingerprint": fingerprint}
    if there["status"] == "draft" and erp == _erp(there):
        return {}
    return {"id": there["id"], "status": "draft", "metadata": {"erp": erp}}


def is_whole(there: Mapping[str, Any], sales_channel: str, shipping_profile: str) -> bool:
    """False for what a server left that was killed while it made or changed a product."""
    ours = [variant for variant in there["variants"] if _erp(variant)]
    return (
        len(ours) == _erp(there).get("variants")
        and all(variant["price_set_link"] for variant in ours)
        and all(_is_stocked(variant) for variant in ours if not _erp(variant).get("withdrawn"))
        and sales_channel in {channel["id"] for channel in there["sales_channels"]}
        and bool(there["shipping_profile"])
        and there["shipping_profile"]["id"] == shipping_profile
    )


def stocked_as(inventory_item: str) -> Json:
    """A variant's link to what is kept in stock of it."""
    return {"inventory_item_id": inventory_item, "required_quantity": 1}


def fingerprint_of(there: Mapping[str, Any]) -> str | None:
    """What the ERP last said of it."""
    fingerprint: str | None = _erp(there).get("fingerprint")
    return fingerprint


def links_of(there: Mapping[str, Any]) -> dict[str, str]:
    """Its variants that the ERP sells, by SKU."""
    return {
        variant["sku"]: variant["id"]
        for variant in there["variants"]
        if _erp(variant) and not _erp(variant).get("withdrawn")
    }


def languages_of(there: Mapping[str, Any]) -> list[str]:
    """Into which it was translated from here."""
    languages: list[str] = _erp(there).get("languages", [])
    return languages


def images_of(there: Mapping[str, Any]) -> dict[str, str]:
    """The URLs it shows, by what the ERP calls the images."""
    urls = {image["url"] for image in there["images"]}
    return {image["ref"]: image["url"] for image in _erp(there).get("images", ()) if image["url"] in urls}


def changes(wanted: Wanted, there: Mapping[str, Any], our_categories: Iterable[str] = ()) -> Changes:
    """The difference. ``our_categories``: Medusa's ids of those the ERP knows; others are the shop's."""
    done = Changes()
    done.unpriced = [one["id"] for one in there["variants"] if _erp(one) and not one["price_set_link"]]
    there = {**there, "variants": [one for one in there["variants"] if one["id"] not in done.unpriced]}
    matched = _match(wanted.said["variants"], there["variants"])
    ours = {variant["id"] for variant in there["variants"] if variant["id"] in matched or _erp(variant)}
    done.create = [_new_variant(one, {}) for one in wanted.variants if one["source_id"] not in _sources(matched)]
    done.metadata = mark(wanted, len(ours) + len(done.create))
    done.links = {matched[id_]["sku"]: id_ for id_ in matched if matched[id_]["live"]}
    _product(done, wanted, there, set(our_categories))
    options = _options(done, wanted, there, matched)
    _variants(done, there, matched, ours, options)
    if not done.later and done.metadata != {"erp": _erp(there)}:
        done.product["metadata"] = done.metadata
    return done


def _erp(owner: Mapping[str, Any]) -> Json:
    mark = (owner["metadata"] or {}).get("erp")
    return mark if isinstance(mark, dict) else {}


def _is_stocked(variant: Mapping[str, Any]) -> bool:
    return not variant["manage_inventory"] or bool(variant["inventory_items"])


def _fields(wanted: Wanted) -> Json:
    said = wanted.said
    fields = {name: said[name] for name in ("external_id", "title", "status", "description", *MEASURES) if name in said}
    if "type" in said:
        fields["type_id"] = wanted.type
    if "images" in said:
        fields["thumbnail"] = wanted.images[0]["url"] if wanted.images else None
    return fields


def _product(done: Changes, wanted: Wanted, there: Mapping[str, Any], our_categories: set[str]) -> None:
    for name, value in _fields(wanted).items():
        if (there.get(name) or None) != (value or None):
            done.product[name] = value
    channels = [channel["id"] for channel in there["sales_channels"]]
    if wanted.sales_channel not in channels:
        done.product["sales_channels"] = [{"id": one} for one in (*channels, wanted.sales_channel)]
    if (there["shipping_profile"] or {}).get("id") != wanted.shipping_profile:
        done.product["shipping_profile_id"] = wanted.shipping_profile
    if "categories" in wanted.said:
        now = [one["id"] for one in there["categories"]]
        to_be = [*(one for one in now if one not in our_categories), *wanted.categories]
        if set(now) != set(to_be):
            done.product["categories"] = [{"id": one} for one in to_be]
    if "images" in wanted.said:
        ids = {image["url"]: image["id"] for image in there["images"]}
        urls = [image["url"] for image in wanted.images]
        if urls != [image["url"] for image in sorted(there["images"], key=lambda image: image["rank"])]:
            done.product["images"] = [{"url": url} | ({"id": ids[url]} if url in ids else {}) for url in urls]


def _match(said: Sequence[Mapping[str, Any]], there: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The shop's variants the ERP speaks of, by id: first by the ERP's own id, then by SKU."""
    matched: dict[str, Mapping[str, Any]] = {}
    by_source = {_erp(variant).get("source_id"): variant["id"] for variant in there if _erp(variant)}
    rest = []
    for variant in said:
        if variant["source_id"] in by_source:
            matched[by_source[variant["source_id"]]] = variant
        else:
            rest.append(variant)
    by_sku = {variant["sku"]: variant["id"] for variant in there if variant["id"] not in matched}
    return matched | {by_sku[variant["sku"]]: variant for variant in rest if variant["sku"] in by_sku}


def _sources(matched: Mapping[str, Mapping[str, Any]]) -> set[str]:
    return {variant["source_id"] for variant in matched.values()}


def _options(
    done: Changes, wanted: Wanted, there: Mapping[str, Any], matched: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, str]] | None:
    """By variant, what it is to be told apart by; None: as it is."""
    titles = {
        value["id"]: (option["title"], value["value"]) for option in there["options"] for value in option["values"]
    }
    now = {v["id"]: dict(titles[o["id"]] for o in v["options"] if o["id"] in titles) for v in there["variants"]}
    named = [option["title"] for option in wanted.said["options"]]
    if not named:
        return None
    taken = [variant["options"] for variant in wanted.variants]
    to_be: dict[str, dict[str, str]] = {}
    for variant in there["variants"]:
        spoken_of = matched.get(variant["id"])
        if spoken_of and spoken_of["live"]:
            to_be[variant["id"]] = spoken_of["options"]
            continue
        suffix = f"({variant['sku'] or variant['id']})"
        kept = {title: now[variant["id"]].get(title, suffix) for title in named}
        if kept in taken:
            kept[named[0]] = f"{kept[named[0]]} {suffix}"
        taken.append(kept)
        to_be[variant["id"]] = kept
    _values(done, there, [*to_be.values(), *(one["options"] for one in done.create)])
    if any(option["title"] not in named for option in there["options"]):
        done.option_titles = named
    return None if to_be == now else to_be


def _values(done: Changes, there: Mapping[str, Any], told_apart: Sequence[Mapping[str, str]]) -> None:
    options = {option["title"]: option for option in there["options"]}
    for title in told_apart[0] if told_apart else ():
        values = list(dict.fromkeys(one[title] for one in told_apart))
        if title not in options:
            done.add_options.append({"title": title, "values": values, "is_exclusive": True})
            continue
        there_already = {value["value"]: value["id"] for value in options[title]["values"]}
        if missing := [value for value in values if value not in there_already]:
            done.add_values[options[title]["id"]] = missing
        if unused := [id_ for value, id_ in there_already.items() if value not in values]:
            done.drop_values[options[title]["id"]] = unused


def _variants(
    done: Changes,
    there: Mapping[str, Any],
    matched: Mapping[str, Mapping[str, Any]],
    ours: set[str],
    options: Mapping[str, dict[str, str]] | None,
) -> None:
    differing = []
    for variant in there["variants"]:
        said = matched.get(variant["id"])
        fields: Json = {}
        if said and said["live"]:
            fields = _live(said, variant)
            if fields["manage_inventory"] and not variant["inventory_items"]:
                done.unstocked[variant["id"]] = said["sku"]
        elif variant["id"] in ours:
            mark = _erp(variant) | ({"source_id": said["source_id"]} if said else {}) | {"withdrawn": True}
            fields = {"manage_inventory": True, "allow_backorder": False, "metadata": _marked(variant, mark)}
        fields = {name: value for name, value in fields.items() if variant.get(name) != value}
        if "sku" in fields:
            done.renamed |= {item["inventory_item_id"]: fields["sku"] for item in variant["inventory_items"]}
        differing.append({"id": variant["id"], **fields, **({"options": options[variant["id"]]} if options else {})})
    if any(len(fields) > 1 for fields in differing):
        done.variants = differing


def _live(said: Mapping[str, Any], there: Mapping[str, Any] | None = None) -> Json:
    mark = {name: value for name, value in _erp(there).items() if name != "withdrawn"} if there else {}
    mark |= {name: said[name] for name in ("source_id", "attributes") if name in said}
    return {
        "sku": said["sku"],
        "title": said["title"],
        "manage_inventory": said["manage_inventory"],
        "variant_rank": said["rank"],
        "metadata": _marked(there, mark),
        **{name: said[name] for name in BARCODES if name in said},
    }


def _marked(there: Mapping[str, Any] | None, mark: Json) -> Json:
    return {**((there["metadata"] if there else None) or {}), "erp": mark}


def _new_variant(said: Mapping[str, Any], orphans: Mapping[str, str]) -> Json:
    variant = _live(said) | {"options": said["options"], "prices": []}
    if said["manage_inventory"] and said["sku"] in orphans:
        variant["inventory_items"] = [stocked_as(orphans[said["sku"]])]
    return variant
