"""Tryton's products behind the port ``Source[Item]``."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from threading import Lock
from typing import Any, NoReturn, Protocol, TypeVar

from crossdock.connectors.tryton import item_mapping, item_rows
from crossdock.connectors.tryton.item_rows import Joined, Known, Tables, Texts
from crossdock.connectors.tryton.reading import ALL, Record, Rpc, ids, numbers, pages, parts, table
from crossdock.domain.item import Item
from crossdock.errors import Misconfigured, Reject
from crossdock.ports import Row, Window

_T = TypeVar("_T", int, str)

PAGE = 500
"""Templates in one page: more of them take longer each (measured)."""

_BARCODES = ["type", "in", list(item_rows.BARCODES)]
_SHOWN = ["web_shop", "=", True]


class Names(Protocol):
    """What the connection's settings say about items (hook.py)."""

    web_shop: str | None
    option_attributes: str | None
    languages: str | None


class Items:
    """The product templates with their variants, archived and not salable ones included: a ``Source[Item]``.

    What belongs to a template has its own time of change: each table is asked. The small tables
    (units, categories, attributes) are read anew for every page.
    """

    name = "Tryton"

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._one_at_a_time = Lock()

    @cached_property
    def version(self) -> str:
        """Changes with the fields, the mapping and the settings."""
        rows = (item_rows.TEMPLATE, self._product, item_rows.IDENTIFIER, item_rows.IMAGE, item_rows.BARCODES)
        said = (self._settings.web_shop or "", *self._options, "", *self._languages)
        read = "\n".join((*(name for fields in rows for name in fields), *said))
        return f"{item_mapping.VERSION}-{hashlib.sha256(read.encode()).hexdigest()[:12]}"

    def now(self) -> datetime:
        """Tryton's clock, by the whole second below."""
        return self._rpc.now()

    def changed(self, window: Window) -> Iterator[Sequence[Row]]:
        """Pages by id. What changed after the window is read as well: the row is as it is now."""
        self._check()
        touched = self._touched(window.since) if window.since else None
        if touched is None:
            for page in pages(self._rpc, "product.template", [ALL], item_rows.TEMPLATE, PAGE):
                yield self._rows(page)
        else:
            for chunk in _chunks(touched):
                yield self._rows(self._templates(chunk))

    def read(self, keys: Collection[str]) -> Iterator[Sequence[Row]]:
        """These items, by code: the template's, or where it has none that of its variant."""
        self._check()
        asked = set(keys)
        for chunk in _chunks(asked):
            yield [row for row in self._rows(self._templates(self._named(chunk))) if row.key in asked]

    def parts(self) -> Iterator[Sequence[str]]:
        """``template:7=WJ001``, ``product:8``, ``identifier:9``, ``image:10``, ``category:3``: all there are.

        A template's part holds its code: an item that gets another one misses the old. Where the template
        has none, its variants' parts hold theirs.
        """
        rpc = self._rpc
        yield from numbers(rpc, "product.template", "template", [ALL])
        yield from numbers(rpc, "product.product", "product", [ALL, item_rows.UNCODED])
        yield from parts(rpc, "product.product", "product", [ALL, ["template.code", "not in", [None, ""]]])
        yield from parts(rpc, "product.identifier", "identifier", [_BARCODES])
        yield from parts(rpc, "product.image", "image", [_SHOWN])
        yield from parts(rpc, "product.category", "category", [])

    def parse(self, raw: bytes) -> Item:
        """See item_mapping.py."""
        return item_mapping.to_item(raw, self._options)

    def content(self, ref: str) -> bytes:
        """The bytes of an image: a JPEG, whatever was given to Tryton. May be called from several threads."""
        number, _, version = ref.partition("@")
        with self._one_at_a_time:
            found = table(self._rpc, "product.image", [["id", "=", int(number)]], ["image", "last_modified_at"])
        if not found or item_rows.version(found[0]["last_modified_at"]) != version:
            raise Reject(
                "image_gone",
                f"Image {number} has been deleted or changed in Tryton since the product was read.",
                "Nothing: the next run takes up what is there now.",
            )
        return bytes(found[0]["image"])

    @cached_property
    def _settings(self) -> Names:
        settings: Names = self._rpc.settings
        return settings

    @cached_property
    def _options(self) -> tuple[str, ...]:
        return _listed(self._settings.option_attributes)

    @cached_property
    def _languages(self) -> tuple[str, ...]:
        return _listed(self._settings.languages)

    @cached_property
    def _product(self) -> tuple[str, ...]:
        return (*item_rows.PRODUCT, item_rows.LISTED) if self._settings.web_shop else item_rows.PRODUCT

    def _touched(self, since: datetime) -> set[int] | None:
        """Templates that changed themselves or through what belongs to them; None: any of them.

        What many share is changed rarely, and from its own form: a category's loses a template, a
        shop's withdraws a variant, without a trace at these.
        """
        own = ["last_modified_at", ">=", since]
        shared = [("product.category", []), ("product.attribute", []), ("product.uom", [ALL])]
        if self._settings.web_shop:
            shared.append(("web.shop", [ALL]))
        for model, domain in shared:
            if self._rpc.call(f"model.{model}.search", [own, *domain], 0, 1, None):
                return None
        templates = {one for page in ids(self._rpc, "product.template", [ALL, own]) for one in page}
        templates |= self._owners("product.product", "template", [ALL, own])
        templates |= self._owners("product.image", "template", [own])
        for chunk in _chunks(self._owners("product.identifier", "product", [own])):
            templates |= self._owners("product.product", "template", [ALL, ["id", "in", chunk]])
        return templates

    def _owners(self, model: str, owner: str, domain: list[Any]) -> set[int]:
        return {row[owner] for page in pages(self._rpc, model, domain, [owner], PAGE) for row in page}

    def _templates(self, which: Collection[int]) -> list[Record]:
        return self._by_ids("product.template", sorted(which), item_rows.TEMPLATE)

    def _named(self, keys: Collection[str]) -> set[int]:
        """Ids of the templates that have these keys, and of some more."""
        by_template, by_product = item_rows.named(keys)
        found = {one for page in ids(self._rpc, "product.template", [ALL, by_template]) for one in page}
        return found | self._owners("product.product", "template", [ALL, *by_product])

    def _rows(self, templates: list[Record]) -> list[Row]:
        """The page's rows.

        Codes are not unique: a template that is archived leaves its code to the next one. Of those that
        are not for sale, one that shares its code gives no row, unless it is the newest of them and none
        is for sale. One without a code that is not for sale is of no interest.
        """
        joined = self._joined(templates)
        idle = {one.row.key for one in joined if not one.for_sale and one.row.key}
        if idle and (twins := self._named(idle) - set(_ids(templates))):
            joined += [one for one in self._joined(self._templates(twins)) if one.row.key in idle]
        sold = {one.row.key for one in joined if one.for_sale}
        newest = {one.row.key: one for one in sorted(joined, key=lambda one: int(one.row.source_id))}
        return [
            one.row for one in joined
            if one.for_sale or (one.row.key and one.row.key not in sold and newest[one.row.key] is one)
        ]  # fmt: skip

    def _joined(self, templates: list[Record]) -> list[Joined]:
        which, known = _ids(templates), self._known()
        products = table(self._rpc, "product.product", [ALL, ["template", "in", which]], self._product)
        by_id = _by_id(templates)
        live = [one for one in products if item_rows.live(one, by_id[one["template"]], known)]
        identifiers = table(
            self._rpc, "product.identifier", [_BARCODES, ["product", "in", _ids(live)]], item_rows.IDENTIFIER
        )
        images = table(self._rpc, "product.image", [_SHOWN, ["template", "in", which]], item_rows.IMAGE)
        undescribed = {template["id"] for template in templates if not template["web_shop_description"]}
        spoken = [one["id"] for one in live if one["template"] in undescribed]
        texts = {
            language: Texts(
                _by_id(self._by_ids("product.template", which, item_rows.TEXT, language=language)),
                self._descriptions(spoken, language=language),
            )
            for language in self._languages
        }
        return item_rows.join(
            Tables(templates, products, identifiers, images, self._descriptions(spoken)), texts, known
        )

    def _descriptions(self, products: list[int], **context: Any) -> dict[int, str | None]:
        """Of variants, by id: not read with the rest because a translated text costs as much as all of that."""
        rows = self._by_ids("product.product", products, ["description"], **context) if products else []
        return {row["id"]: row["description"] for row in rows}

    def _by_ids(self, model: str, which: list[int], fields: Sequence[str], **context: Any) -> list[Record]:
        return table(self._rpc, model, [ALL, ["id", "in", which]], fields, **context)

    def _known(self) -> Known:
        """Read after the templates, so that whatever they point to is known."""
        return Known(
            units=_by_id(table(self._rpc, "product.uom", [ALL], item_rows.UNIT)),
            categories=_by_id(table(self._rpc, "product.category", [], item_rows.CATEGORY)),
            attributes={row["name"]: row for row in table(self._rpc, "product.attribute", [], item_rows.ATTRIBUTE)},
            shops=self._shops,
        )

    @cached_property
    def _shops(self) -> frozenset[int] | None:
        name = self._settings.web_shop
        shops = table(self._rpc, "web.shop", [["name", "=", name]], ["name"]) if name else []
        return frozenset(shop["id"] for shop in shops) if name else None

    def _check(self) -> None:
        """Raises Misconfigured for a name in the settings that Tryton does not know.

        It would silently make nothing for sale, or variants indistinguishable.
        """
        if self._shops is not None and not self._shops:
            _missing("web shop", self._settings.web_shop)
        for what, model, field, domain, given in (
            ("product attribute", "product.attribute", "name", [], self._options),
            ("translatable language", "ir.lang", "code", [["translatable", "=", True]], self._languages),
        ):
            there = {row[field] for row in table(self._rpc, model, domain, [field])} if given else set()
            for name in given:
                if name not in there:
                    _missing(what, name)


def _missing(what: str, name: str | None) -> NoReturn:
    raise Misconfigured(f"Tryton has no {what} {name!r}. Make it there, or correct the connection's settings.")


def _listed(names: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (names or "").split(",") if name.strip())


def _chunks(some: Collection[_T]) -> Iterator[list[_T]]:
    """In order, a page's worth at a time."""
    every = sorted(some)
    for start in range(0, len(every), PAGE):
        yield every[start : start + PAGE]


def _ids(rows: list[Record]) -> list[int]:
    return [row["id"] for row in rows]


def _by_id(rows: list[Record]) -> dict[int, Record]:
    return {row["id"]: row for row in rows}
