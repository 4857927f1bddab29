"""Products over Medusa's own Admin API, so that its workflows and events run; a stock Medusa will do.

https://docs.medusajs.com/api/admin, measured and verified on 2.18.0. Nothing is deleted, no price is ever mentioned.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import msgspec

from crossdock.connectors.medusa import item_changes, item_mapping
from crossdock.connectors.medusa.api import Api, Shop, parts
from crossdock.connectors.medusa.catalogue import Catalogue
from crossdock.connectors.medusa.categories import Categories
from crossdock.connectors.medusa.images import Images
from crossdock.connectors.medusa.item_changes import Changes, Json, Wanted, stocked_as
from crossdock.connectors.medusa.references import References
from crossdock.connectors.medusa.stillness import wait_until_still
from crossdock.connectors.medusa.translations import Translations
from crossdock.domain.item import Item
from crossdock.errors import AnswerLost, Reject
from crossdock.ports import NO_LINKS, Content, Found, Outcome, Put

log = logging.getLogger(__name__)

_ANSWER = "id,external_id,variants.id,variants.sku"


class Items(Shop):
    """Products with their variants. ``remove`` unpublishes; a variant that is no longer sold is marked withdrawn."""

    batch = 250
    lanes = 2

    def __init__(self, api: Api) -> None:
        super().__init__(api)
        self._catalogue = Catalogue(api)
        self._references = References(api)
        self._categories = Categories(api)
        self._images = Images(api)
        self._unsure: set[str] = set()
        self._translations = Translations(api)

    @cached_property
    def version(self) -> str:
        """With the settings by which products are written."""
        given = self._api.settings
        return "/".join(
            ("items-1", given.sales_channel or "", given.shipping_profile or "", *(given.shop_fields or ()))
        )

    def payload(self, record: Item) -> bytes:
        """See item_mapping.py."""
        return item_mapping.payload(record, self._api.settings.shop_fields or ())

    def find(self, keys: Collection[str]) -> dict[str, Found]:
        """By external id; one that is only half there has no fingerprint."""
        return {key: self._found(product) for key, product in self._catalogue.ours(keys).items()}

    def match(self, records: Sequence[Item]) -> Mapping[str, Found | Reject]:
        """Ours by external id; made by people by SKU."""
        if self._catalogue.is_empty:
            return {}
        matched: dict[str, Found | Reject] = dict(self.find([record.key for record in records]))
        unknown = [record for record in records if record.key not in matched]
        holders = self._catalogue.holders([sku for record in unknown for sku in record.names])
        claims: dict[str, list[str]] = {}
        for record in unknown:
            held = {sku: holders[sku] for sku in record.names if sku in holders}
            products = {product["id"]: product for product in held.values()}
            if len(products) > 1 or any(product["external_id"] for product in products.values()):
                matched[record.key] = _sku_taken(held)
            for product in products if record.key not in matched else ():
                matched[record.key] = Found(product, None)
                claims.setdefault(product, []).append(record.key)
        for keys in claims.values():
            if len(keys) > 1:
                matched |= dict.fromkeys(keys, _claimed_twice(keys))
        return matched

    def keys(self) -> Iterator[Sequence[str]]:
        """External ids; of products that people made, the handle."""
        return self._catalogue.keys()

    def put(self, batch: Sequence[Put], content: Content) -> Iterable[Outcome]:
        """Changes first, then what is new.

        Once an answer was lost, a refusal of the same records proves nothing: the shop may still be at work
        on the first try. It is then told as AnswerLost, and judged when the step is tried again.
        """
        keys = {put.key for put in batch}
        try:
            outcomes = self._write(batch, content)
            refusal = next((one.refused for one in outcomes if one.refused and one.key in self._unsure), None)
        except AnswerLost:
            self._unsure.update(keys)
            self._wait_until_still(batch)
            raise
        except Reject as error:
            if not keys & self._unsure:
                raise
            refusal = error
        if refusal:
            raise AnswerLost(f"Medusa's answer to an earlier try was lost, and this one is refused: {refusal.reason}")
        self._unsure.difference_update(keys)
        return outcomes

    def _write(self, batch: Sequence[Put], content: Content) -> list[Outcome]:
        there = self._catalogue.products([put.target_id for put in batch if put.target_id])
        ours = self._catalogue.ours([put.key for put in batch if put.op == "remove" and put.target_id not in there])
        outcomes: list[Outcome] = []
        wanted: dict[str, Wanted] = {}
        updates: list[tuple[Put, Json]] = []
        creates: list[Put] = []
        said = {put.key: msgspec.json.decode(put.payload) for put in batch if put.op != "remove"}
        categories = self._categories.ids(path for one in said.values() for path in one.get("categories", ()))
        types = self._references.types({one["type"] for one in said.values() if one.get("type")})
        for put in batch:
            product = there.get(put.target_id or "") or ours.get(put.key)
            if put.op == "remove":
                if product:
                    updates.append((put, product))
                else:
                    outcomes.append(Outcome(put.key, put.target_id))
                continue
            try:
                wanted[put.key] = self._wanted(put, said[put.key], product, categories, types, content)
            except Reject as refusal:
                outcomes.append(Outcome(put.key, put.target_id, refused=refusal))
                continue
            if product:
                updates.append((put, product))
            else:
                creates.append(put)
        outcomes += self._update(updates, wanted)
        outcomes += self._create(creates, wanted)
        return outcomes

    def _wanted(
        self,
        put: Put,
        said: Mapping[str, Any],
        there: Json | None,
        categories: Mapping[str, str],
        types: Mapping[str, str],
        content: Content,
    ) -> Wanted:
        shown = item_changes.images_of(there) if there else {}
        urls = self._images.urls([image["ref"] for image in said.get("images", ())], shown, content)
        return Wanted(
            said=said,
            fingerprint=put.fingerprint,
            sales_channel=self._references.sales_channel,
            shipping_profile=self._references.shipping_profile,
            type=types[said["type"]] if said.get("type") else None,
            categories=list(dict.fromkeys(categories[path[-1]["id"]] for path in said.get("categories", ()) if path)),
            images=[{**image, "url": urls[image["ref"]]} for image in said.get("images", ())],
            texts=self._translations.texts(said.get("translations", ())),
        )

    # ------------------------------------------------------------ new ones

    def _create(self, puts: Sequence[Put], wanted: Mapping[str, Wanted]) -> list[Outcome]:
        """One call; when it is refused, what stands in the way is looked for and the rest is sent once more."""
        try:
            return self._send_new(puts, wanted, {})
        except Reject as refusal:
            ours = self._catalogue.ours([put.key for put in puts])
            rest = [put for put in puts if put.key not in ours]
            refused = self._belonging_to_others(rest, wanted)
            new = [put for put in rest if put.key not in refused]
            skus = [variant["sku"] for put in new for variant in wanted[put.key].variants]
            orphans = self._catalogue.inventory_items(skus)
            if not (ours or refused or orphans):
                raise refusal
        products = self._catalogue.products([product["id"] for product in ours.values()])
        there = [(put, products[ours[put.key]["id"]]) for put in puts if put.key in ours]
        return list(refused.values()) + self._update(there, wanted) + self._send_new(new, wanted, orphans)

    def _belonging_to_others(self, puts: Sequence[Put], wanted: Mapping[str, Wanted]) -> dict[str, Outcome]:
        """Those of which a SKU or the handle is taken by a product that is not theirs."""
        skus = {put.key: [variant["sku"] for variant in wanted[put.key].variants] for put in puts}
        holders = self._catalogue.holders([sku for some in skus.values() for sku in some])
        handles = self._catalogue.handles([wanted[put.key].said["handle"] for put in puts])
        refused = {}
        for put in puts:
            held = {sku: holders[sku] for sku in skus[put.key] if sku in holders}
            handle = wanted[put.key].said["handle"]
            if refusal := _sku_taken(held) if held else _handle_taken(handle) if handle in handles else None:
                refused[put.key] = Outcome(put.key, None, refused=refusal)
        return refused

    def _send_new(self, puts: Sequence[Put], wanted: Mapping[str, Wanted], orphans: Mapping[str, str]) -> list[Outcome]:
        outcomes = []
        bodies = [item_changes.new_product(wanted[put.key], orphans) for put in puts]
        for some in parts(bodies):
            for product in self._batch("create", some)["created"]:
                links = {variant["sku"]: variant["id"] for variant in product["variants"]}
                outcomes.append(Outcome(product["external_id"], product["id"], links=links))
        ids = {one.key: str(one.target_id) for one in outcomes if wanted[one.key].texts}
        self._translations.put({id_: wanted[key].texts for key, id_ in ids.items()}, {})
        marks = [{"id": id_, "metadata": item_changes.mark(wanted[key])} for key, id_ in ids.items()]
        self._send_changes(marks)
        return outcomes

    # ------------------------------------------------------------ changes

    def _update(self, pairs: Sequence[tuple[Put, Json]], wanted: Mapping[str, Wanted]) -> list[Outcome]:
        """As few calls as possible; of a product that takes several, the fingerprint comes with the last."""
        ours = self._categories.are_ours(category["id"] for _, there in pairs for category in there["categories"])
        refused: dict[str, Outcome] = {}
        bodies: list[Json] = []
        plans: dict[str, Changes] = {}
        for put, there in pairs:
            if put.op == "remove":
                bodies += filter(None, [item_changes.withdrawal(there, put.fingerprint)])
                continue
            plan = plans[put.key] = item_changes.changes(wanted[put.key], there, ours)
            with _refusing(put, refused):
                bodies += filter(None, [self._prepare(plan, there)])
        spoken_of = [(there, wanted[put.key]) for put, there in pairs if put.key in plans]
        before = {there["id"]: item_changes.languages_of(there) for there, one in spoken_of if one.translates}
        texts = {there["id"]: one.texts for there, one in spoken_of if one.texts or before.get(there["id"])}
        self._translations.put(texts, before)
        self._send_changes(bodies)
        for put, there in pairs:
            if put.key in plans and put.key not in refused:
                with _refusing(put, refused):
                    self._finish(plans[put.key], there["id"])
        done = {put.key: there["id"] for put, there in pairs if put.key not in refused}
        marks = [
            {"id": done[key], "metadata": plan.metadata} for key, plan in plans.items() if plan.later and key in done
        ]
        self._send_changes(marks)
        return list(refused.values()) + [
            Outcome(key, id_, links=plans[key].links if key in plans else NO_LINKS) for key, id_ in done.items()
        ]

    def _prepare(self, plan: Changes, there: Json) -> Json:
        """What must be there before the product is written; then, what is written of it."""
        product = f"/admin/products/{there['id']}"
        options = {option["title"]: option["id"] for option in there["options"]}
        if plan.add_options or plan.add_values:
            more = [
                {"product_option_id": option, "add": [{"value": value} for value in values]}
                for option, values in plan.add_values.items()
            ]
            answer = self._api.post(
                f"{product}/options/batch?fields=id,options.id,options.title", {"add": plan.add_options, "update": more}
            )
            options |= {option["title"]: option["id"] for option in answer["product"]["options"]}
        if plan.unpriced:
            self._api.post(f"{product}/variants/batch", {"delete": plan.unpriced})
        for item, sku in plan.renamed.items():
            self._api.post(f"/admin/inventory-items/{item}", {"sku": sku})
        body = dict(plan.product)
        if plan.option_titles is not None:
            body["option_ids"] = [options[title] for title in plan.option_titles]
        if plan.variants:
            body["variants"] = plan.variants
        return {"id": there["id"], **body} if body else {}

    def _finish(self, plan: Changes, product: str) -> None:
        """What can only be done once the product is written."""
        skus = [variant["sku"] for variant in plan.create if variant["manage_inventory"]]
        items = self._catalogue.inventory_items([*skus, *plan.unstocked.values()])
        if plan.create:
            for variant in plan.create:
                if variant["manage_inventory"] and variant["sku"] in items:
                    variant["inventory_items"] = [stocked_as(items[variant["sku"]])]
            path = f"/admin/products/{product}/variants/batch?fields=id,sku"
            for made in self._api.post(path, {"create": plan.create})["created"]:
                plan.links[made["sku"]] = made["id"]
        if plan.unstocked:
            create = [
                {"variant_id": variant} | stocked_as(items.get(sku) or self._inventory_item(sku))
                for variant, sku in plan.unstocked.items()
            ]
            self._api.post(f"/admin/products/{product}/variants/inventory-items/batch", {"create": create})
        if plan.drop_values:
            drop = [{"product_option_id": one, "remove": values} for one, values in plan.drop_values.items()]
            self._api.post(f"/admin/products/{product}/options/batch", {"update": drop})

    def _inventory_item(self, sku: str) -> str:
        return str(self._api.post("/admin/inventory-items", {"sku": sku})["inventory_item"]["id"])

    def _send_changes(self, bodies: Sequence[Json]) -> None:
        for some in parts(bodies):
            self._batch("update", some)

    # ------------------------------------------------------------ calls

    def _batch(self, verb: str, bodies: Sequence[Json]) -> dict[str, Any]:
        return self._api.post(f"/admin/products/batch?fields={_ANSWER}", {verb: bodies})

    def _wait_until_still(self, batch: Sequence[Put]) -> None:
        """A server whose answer was lost may still be at work: what is there must stand still before it is judged."""
        told = {put.key: put.fingerprint for put in batch}
        wait_until_still(
            lambda: self._catalogue.ours(told),
            lambda found: told == {key: self._found(one).fingerprint for key, one in found.items()},
        )

    def _is_whole(self, product: Json) -> bool:
        return item_changes.is_whole(product, self._references.sales_channel, self._references.shipping_profile)

    def _found(self, product: Json) -> Found:
        fingerprint = item_changes.fingerprint_of(product) if self._is_whole(product) else None
        return Found(product["id"], fingerprint, item_changes.links_of(product))


@contextmanager
def _refusing(put: Put, refused: dict[str, Outcome]) -> Iterator[None]:
    """A call for one product is refused: that is the product's own fault."""
    try:
        yield
    except Reject as refusal:
        refused[put.key] = Outcome(put.key, put.target_id, refused=refusal)


def _sku_taken(held: Mapping[str, Json]) -> Reject:
    products = {product["handle"]: sku for sku, product in held.items()}
    where = ", ".join(f"{sku} on the product {handle!r}" for handle, sku in sorted(products.items()))
    return Reject(
        "sku_taken",
        f"The shop has the SKU {where}.",
        "Rename or delete that variant in the shop, or correct the SKU in the ERP, then replay.",
    )


def _handle_taken(handle: str) -> Reject:
    return Reject(
        "handle_taken",
        f"The shop has another product under the handle {handle!r}.",
        "Change that product's handle in the shop, then replay.",
    )


def _claimed_twice(keys: Sequence[str]) -> Reject:
    return Reject(
        "sku_taken",
        f"The products {', '.join(sorted(keys))} of the ERP have their SKUs on one and the same product of the shop.",
        "Split that product in the shop, or give it the external id of the one it is.",
    )
