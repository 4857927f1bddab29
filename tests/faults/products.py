"""The flow ``items`` under fire."""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.erp_fixtures import PICTURE
from tests.faults.world import World

from crossdock.connectors.tryton.reading import ALL

_numbers = itertools.count(1)

FIELDS = (
    "id,external_id,title,status,description,metadata,*categories,*images,*options,*sales_channels,"
    "*variants,*variants.options,*variants.options.option,*variants.inventory_items,*variants.prices,"
    "variants.price_set_link.price_set_id"
)


class Shown(NamedTuple):
    """What a shopper sees of a product."""

    title: str
    description: str
    categories: list[str]
    images: int
    variants: dict[str, Any]
    """SKU -> the ERP's id, what it is told apart by, EAN."""


@dataclass
class Products(World):
    """A pair with a web shop of its own in the ERP: nobody else's products are for sale there."""

    flow = "items"
    batches = "^POST /admin/products/batch"

    web_shop: int = 0
    category: int = 0
    known: str = ""
    """A product that is in the shop."""

    def keep_apart(self) -> dict[str, str]:
        admin, name = self.erp.admin, f"Shop of {self.pair}"
        [there] = admin.rows("web.shop", [["name", "=", "Medusa"]], "company", "currency", "warehouses")
        given = {"company": there["company"], "currency": there["currency"]}
        [self.web_shop] = admin.create("web.shop", {
            "name": name, **given, "warehouses": [["add", there["warehouses"]]],
        })  # fmt: skip
        self.category = self.new_category(f"Range of {self.pair}")
        return {"web_shop": name}

    # ---- hands on the ERP

    def new(
        self, count: int = 1, colors: tuple[str, ...] = ("black", "yellow"), pictures: bool = True, **values: Any
    ) -> list[str]:
        """New products, each in these colors, with a picture and a category; their codes."""
        numbers, unit = self.numbers(count), self.erp.id_of("product.uom", "Unit")
        alike = {
            "type": "goods", "salable": True, "default_uom": unit, "sale_uom": unit,
            "account_category": self.erp.id_of("product.category", "Standard rated"),
            "attribute_set": self.erp.id_of("product.attribute.set", "Goods"),
            "categories": [["add", [self.category]]],
        }  # fmt: skip
        ids = self.erp.admin.create("product.template", *({
            "name": f"Bolt {number}", "code": number, "web_shop_description": f"<p>Of {number}.</p>", **alike,
            "products": [["create", [self.variant(number, color) for color in colors]]], **values,
        } for number in numbers), size=30)  # fmt: skip
        if pictures:
            self.erp.admin.create("product.image", *map(self.image, ids))
        self.known = self.known or numbers[0]
        return numbers

    def add_variants(self, number: str, count: int) -> None:
        """Without attributes: they are told apart by their codes."""
        template, first = self.template(number), len(self.variants(number))
        self.erp.admin.create("product.product", *(
            {"template": template, "suffix_code": f"-V{first + n}", "web_shops": [["add", [self.web_shop]]]}
            for n in range(count)
        ), size=64)  # fmt: skip

    def new_known(self) -> str:
        """A new product that is in the shop."""
        [number] = self.new()
        assert self.sync().state == "success"
        return number

    def variant(self, number: str, color: str) -> dict[str, Any]:
        identifier = {"type": "ean", "code": _ean(next(_numbers))}
        return {
            "suffix_code": f"-{color.upper()}", "attributes": {"color": color},
            "web_shops": [["add", [self.web_shop]]], "identifiers": [["create", [identifier]]],
        }  # fmt: skip

    def image(self, template: int) -> dict[str, Any]:
        """A picture of one color, which no other has."""
        color = (next(_numbers) * 7919 % 2**24).to_bytes(3, "big")
        return {"template": template, "web_shop": True, "image": PICTURE[:13] + color + PICTURE[16:]}

    def new_category(self, name: str) -> int:
        return self.erp.admin.create("product.category", {"name": name})[0]

    def template(self, number: str) -> int:
        return self.erp.admin.id_of("product.template", ["code", "=", number], ALL)

    def change(self, number: str, **values: Any) -> None:
        self.erp.admin("model.product.template.write", [self.template(number)], values)

    def rename(self, number: str, name: str) -> None:
        self.change(number, name=name)

    def add_color(self, number: str, color: str = "orange") -> None:
        self.change(number, products=[["create", [self.variant(number, color)]]])

    def archive_color(self, number: str, place: int = 0) -> None:
        """One of its variants is taken out of the shop and archived: Tryton wants the one before the other."""
        [variant] = self.variants(number)[place : place + 1]
        self.unlist(variant)
        self.erp.admin("model.product.product.write", [variant], {"active": False})

    def unlist(self, *variants: int) -> None:
        self.erp.admin("model.web.shop.write", [self.web_shop], {"products": [["remove", list(variants)]]})

    def variants(self, number: str) -> list[int]:
        return self.erp.rows_of("product.product", "template", self.template(number))

    def delete(self, number: str) -> None:
        template = self.template(number)
        self.unlist(*self.variants(number))
        self.erp.admin("model.product.image.delete", self.erp.rows_of("product.image", "template", template))
        self.erp.admin("model.product.template.delete", [template])

    def rename_known(self) -> None:
        self.rename(self.known, f"Renamed {self.new_run()}")

    def widen(self, number: str, color: str | None = "orange") -> None:
        """Another name, description and EAN, a picture more, a color more."""
        self.change(number, name=f"Wider {self.new_run()}", web_shop_description="<p>Wider.</p>")
        [variant, *_] = self.variants(number)
        identifiers = self.erp.rows_of("product.identifier", "product", variant)
        self.erp.admin("model.product.identifier.write", identifiers, {"code": _ean(next(_numbers))})
        self.add_image(number)
        if color:
            self.add_color(number, color)

    def widen_known(self) -> None:
        self.widen(self.new_known())

    def add_image(self, number: str) -> None:
        self.erp.admin.create("product.image", self.image(self.template(number)))

    def archive(self, number: str) -> None:
        self.change(number, active=False)

    # ---- the truth on both sides, not through any connector

    def in_step(self) -> dict[str, Any]:
        in_erp, in_shop = self.in_erp(), self.in_shop()
        assert in_erp
        different = {
            number: (in_shop.get(number), in_erp.get(number))
            for number in sorted(in_erp.keys() | in_shop.keys())
            if in_shop.get(number) != in_erp.get(number)
        }
        assert different == {}, different
        return in_shop

    def in_erp(self) -> dict[str, Shown]:
        """The products that are for sale, by code."""
        admin = self.erp.admin
        templates = admin.rows(
            "product.template", [["code", "like", f"{self.pair.upper()}-%"], ["salable", "=", True]],
            "code", "name", "web_shop_description", "categories.name",
            "products.code", "products.suffix_code", "products.attributes", "products.web_shops",
            "products.identifiers.code",
        )  # fmt: skip
        shown = {}
        images = Counter(
            row["template"] for row in admin.rows("product.image", [["web_shop", "=", True]], "template", "product")
        )
        for template in templates:
            live = [one for one in template["products."] if self.web_shop in one["web_shops"]]
            if live:
                shown[template["code"]] = Shown(
                    unicodedata.normalize("NFC", template["name"]),
                    template["web_shop_description"] or "",
                    sorted(one["name"] for one in template["categories."]),
                    images[template["id"]],
                    {
                        one["code"]: (
                            str(one["id"]),
                            _told_apart_by(one) if len(live) > 1 else {},
                            next((each["code"] for each in one["identifiers."]), None),
                        )
                        for one in live
                    },
                )
        return shown

    def in_shop_only(self) -> dict[str, Shown]:
        """What is for sale in the shop, whatever else is there."""
        return {one["external_id"]: _shown(one) for one in self.products() if one["status"] == "published"}

    def in_shop(self) -> dict[str, Shown]:
        """The same as the shop's own API has it; and nothing stands twice, is half there or belongs to nobody."""
        products = self.products()
        assert max(Counter(one["external_id"] for one in products).values(), default=1) == 1, "a product stands twice"
        skus = Counter(variant["sku"] for product in products for variant in product["variants"])
        assert max(skus.values(), default=1) == 1, "a SKU stands twice"
        linked = Counter()
        for product in products:
            ours = [variant for variant in product["variants"] if _mark(variant)]
            assert _mark(product)["variants"] == len(ours), product["external_id"]
            assert len(product["sales_channels"]) == 1
            for variant in ours:
                assert variant["price_set_link"], f"{variant['sku']} can have no price"
                [item] = variant["inventory_items"]
                linked[item["inventory_item_id"]] += 1
        assert max(linked.values(), default=1) == 1, "variants share an inventory item"
        orphans = [one["sku"] for one in self.inventory_items() if one["id"] not in linked]
        assert orphans == [], orphans
        assert len(linked) == sum(skus.values())
        return {one["external_id"]: _shown(one) for one in products if one["status"] == "published"}

    def products(self) -> list[dict[str, Any]]:
        """All that the shop has of our products."""
        prefix = f"{self.pair.upper()}-"
        ids = [
            one["id"] for one in self.listed("products", "fields=id,external_id,handle")
            if (one["external_id"] or "").startswith(prefix)
        ]  # fmt: skip
        found: list[dict[str, Any]] = []
        for start in range(0, len(ids), 100):
            query = "&".join(f"id[]={one}" for one in ids[start : start + 100])
            found += self.shop.get(f"/admin/products?limit=100&fields={FIELDS}&{query}", self.shop.admin)["products"]
        return found

    def product(self, number: str) -> dict[str, Any]:
        """One of them."""
        [one] = [product for product in self.products() if product["external_id"] == number]
        return one

    def prices(self, number: str) -> dict[str, Any]:
        """Ids and amounts by SKU."""
        return {
            one["sku"]: sorted((price["id"], price["amount"]) for price in one["prices"])
            for one in self.product(number)["variants"]
        }

    # ---- somebody else at work in the shop

    def by_hand(self, handle: str, sku: str) -> str:
        """A product that a person makes; its id."""
        body = {
            "title": "Hand-made", "handle": handle, "options": [{"title": "Kind", "values": ["one"]}],
            "variants": [{"title": sku, "sku": sku, "options": {"Kind": "one"}, "prices": []}],
        }  # fmt: skip
        return str(self.shop.post("/admin/products", body, self.shop.admin)["product"]["id"])

    def inventory_items(self) -> list[dict[str, Any]]:
        """All that the shop keeps in stock of our products."""
        prefix = f"{self.pair.upper()}-"
        return [one for one in self.listed("inventory-items", "fields=id,sku") if one["sku"].startswith(prefix)]


def _told_apart_by(variant: dict[str, Any]) -> dict[str, str]:
    if color := (variant["attributes"] or {}).get("color"):
        return {"Color": color.title()}
    return {"Variant": variant["suffix_code"]}


def _shown(product: dict[str, Any]) -> Shown:
    return Shown(
        product["title"],
        product["description"] or "",
        sorted(one["name"] for one in product["categories"]),
        len(product["images"]),
        {
            variant["sku"]: (
                _mark(variant)["source_id"],
                {
                    one["option"]["title"]: one["value"]
                    for one in variant["options"]
                    if one["option"]["title"] != "Default option"
                },
                variant["ean"],
            )
            for variant in product["variants"]
            if not _mark(variant).get("withdrawn")
        },
    )


def _mark(owner: dict[str, Any]) -> dict[str, Any]:
    """What Crossdock keeps at a product or variant of the shop; {} if that is not ours."""
    mark: dict[str, Any] = (owner["metadata"] or {}).get("erp") or {}
    return mark


def _ean(number: int) -> str:
    body = f"29{number:010d}"
    return body + str(-sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(body)) % 10)
