"""Titles and descriptions in other languages, where the shop has Medusa's translation module and speaks them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from threading import Lock

from crossdock.connectors.medusa.api import Api, for_urls, parts

log = logging.getLogger(__name__)

_MANY = 10_000

Texts = Mapping[str, Mapping[str, str]]
"""By the shop's code of the language: ``{title, description}``; "" is no translation."""


class Translations:
    """Asks the shop once which languages it has; safe to be asked by several threads."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._lock = Lock()
        self._codes: list[str] | None = None

    def texts(self, said: Iterable[Mapping[str, str]]) -> dict[str, Mapping[str, str]]:
        """Those the shop can show. The ERP's ``de`` is the shop's first ``de-...``."""
        texts: dict[str, Mapping[str, str]] = {}
        for one in said:
            code = _same(one["locale"], self._languages())
            if code:
                texts[code] = {"title": one["title"], "description": one["description"]}
        return texts

    def put(self, products: Mapping[str, Texts], ours: Mapping[str, Collection[str]]) -> None:
        """Write what differs, by product. ``ours``: languages written before, which go when they are wanted no more."""
        there = {}
        for some in for_urls(list(products)):
            params = {"reference_id[]": some, "limit": _MANY}
            for one in self._api.get("/admin/translations", params)["translations"]:
                there[one["reference_id"], one["locale_code"]] = one
        create, update = [], []
        for product, texts in products.items():
            for code, text in texts.items():
                known = there.get((product, code))
                body = {"reference": "product", "reference_id": product, "locale_code": code, "translations": text}
                if known is None:
                    create.append(body)
                elif known["translations"] != text:
                    update.append({"id": known["id"], "translations": text})
        delete = [
            one["id"]
            for (product, code), one in there.items()
            if code in ours.get(product, ()) and code not in products[product]
        ]
        for verb, bodies in (("create", create), ("update", update), ("delete", delete)):
            for part in parts(bodies):
                self._api.post("/admin/translations/batch", {verb: part})

    def _languages(self) -> list[str]:
        with self._lock:
            if self._codes is None:
                self._codes = self._read() if self._api.knows("/admin/locales") else []
                if not self._codes:
                    log.info("This Medusa has no languages (feature flag translation): translations are not written.")
            return self._codes

    def _read(self) -> list[str]:
        (store, *_) = self._api.get("/admin/stores", {"fields": "id,supported_locales.locale_code"})["stores"]
        return [one["locale_code"] for one in store["supported_locales"] or ()]


def _same(locale: str, codes: Collection[str]) -> str | None:
    if locale in codes:
        return locale
    return next((code for code in codes if code.split("-")[0] == locale), None)
