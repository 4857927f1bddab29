"""Stock put together from Tryton's flat tables. Pure functions.

A quantity of a move is its ``internal_quantity``: in the product's default unit, as Tryton itself adds them up. What
is told is in the unit in which the product is sold, one of which is one piece in the shop. Fields: trytond 8.0, modules
product, product_kit, sale, stock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from crossdock.connectors.tryton.reading import Record
from crossdock.domain.stock import Goods, Part, Supply

UNIT = ("factor", "rate")
PRODUCT = (
    "code", "active", "template", "template.active", "template.type", "template.consumable",
    *(f"template.{unit}.{field}" for unit in ("default_uom", "sale_uom") for field in UNIT),
)  # fmt: skip
MOVE = ("product", "state", "from_location", "to_location", "internal_quantity", "planned_date", "effective_date")
GONE = ("product", "to_location", "internal_quantity", "effective_date", "last_modified_at")
COMPONENT = (
    "parent_template", "parent_product", "quantity", "fixed", *(f"unit.{field}" for field in UNIT),
    *(f"product.{field}" for field in PRODUCT),
)  # fmt: skip
KIT = ("product.code", "parent_product.code", "parent_template.products.code")
LINE = (
    "sale", "note", "quantity", *(f"unit.{field}" for field in UNIT), *(f"product.{field}" for field in PRODUCT),
)  # fmt: skip
LINE_COMPONENT = (
    "line", "quantity", *(f"unit.{field}" for field in UNIT), *(f"product.{field}" for field in PRODUCT),
)  # fmt: skip
WAREHOUSE = ("code", "storage_location", "output_location", "input_location")

OPEN = ("staging", "draft", "assigned")
"""States of moves that have not happened yet, and may."""
KITS = "kit"
"""The type of products that are put together from others when they are sold."""

_NOTHING = Decimal(0)


class Warehouse(NamedTuple):
    """Where goods lie that can be sold: in storage, or picked and in the output zone. ``arriving``: in the input zone.

    Picking moves goods from storage to the output zone while the move to the customer stays open: only the two together
    count them once. ``roots``: the topmost of these locations.
    """

    code: str
    roots: tuple[int, ...]
    stock: Set[int]
    arriving: Set[int]

    def leaves(self, move: Record) -> bool:
        return move["from_location"] in self.stock and move["to_location"] not in self.stock

    def arrives(self, move: Record) -> bool:
        """A receipt is two moves, the second of which is made when the first is done."""
        here, there = move["from_location"], move["to_location"]
        return here not in self.stock and (
            there in self.stock or (there in self.arriving and here not in self.arriving)
        )


def warehouses(rows: Iterable[Record], locations: Sequence[Record]) -> tuple[Warehouse, ...]:
    """In the order of their codes. ``locations``: with those within them."""
    above = {row["id"]: row["parent"] for row in locations}
    chains = {one: set(_chain(one, above)) for one in above}
    found = []
    for row in rows:
        zones = {row["storage_location"], row["output_location"]}
        stock = {one for one, chain in chains.items() if chain & zones}
        arriving = {one for one, chain in chains.items() if row["input_location"] in chain} - stock
        roots = tuple(sorted(one for one in zones if not (chains[one] - {one}) & zones))
        found.append(Warehouse(row["code"], roots, stock, arriving))
    return tuple(sorted(found, key=lambda one: one.code))


def _chain(one: int | None, above: Mapping[int, int | None]) -> Iterable[int]:
    while one is not None:
        yield one
        one = above.get(one)


def connected(row: Record) -> set[str]:
    """A component of a kit, and the kits that it is of: the SKUs of KIT's row."""
    own = [row["parent_product."]] if row["parent_product."] else row["parent_template."]["products."]
    return {one["code"] for one in (row["product."], *own) if one["code"]}


def kept(product: Record) -> bool:
    """Whether stock is kept of it: a service has none, nobody counts what is consumable."""
    template = product["template."]
    return template["type"] != "service" and not template["consumable"]


def by_code(products: Iterable[Record]) -> dict[str, Record]:
    """Codes of archived products may be in use again: what is in use counts, else the newest."""
    ranked = sorted(products, key=lambda one: (bool(one["active"] and one["template."]["active"]), one["id"]))
    return {one["code"]: one for one in ranked if kept(one)}


def sold(quantity: float | Decimal, product: Record) -> Decimal:
    """So many of the product's default unit, in the unit in which it is sold."""
    template = product["template."]
    return converted(_decimal(quantity), template["default_uom."], _sale_unit(template))


def converted(quantity: Decimal, of: Record, to: Record) -> Decimal:
    """From one unit to another of the same category."""
    return quantity if of == to else round(quantity * _size(of) / _size(to), 6)


def goods(
    product: Record, warehouses: Iterable[Warehouse], moves: Iterable[Record], on_hand: Mapping[str, float], today: date
) -> Goods:
    """What is there of a product, by its ``moves`` that are open or have a date to come, and by what lies there."""
    mine = list(moves)
    return Goods(
        sku=product["code"],
        supplies=tuple(_supply(product, one, mine, on_hand.get(one.code, 0.0), today) for one in warehouses),
    )


def _supply(product: Record, warehouse: Warehouse, moves: Sequence[Record], on_hand: float, today: date) -> Supply:
    """What is overdue says nothing about the day it will come."""
    coming = [move for move in moves if warehouse.arrives(move)]
    days = [move["effective_date"] or move["planned_date"] for move in coming if move["internal_quantity"]]
    return Supply(
        warehouse=warehouse.code,
        on_hand=sold(on_hand, product),
        outgoing=sold(_total(move for move in moves if warehouse.leaves(move)), product),
        incoming=sold(_total(coming), product),
        expected=min((day for day in days if day and day >= today), default=None),
    )


def _total(moves: Iterable[Record]) -> Decimal:
    return sum((_decimal(move["internal_quantity"]) for move in moves), _NOTHING)


def kit(product: Record, components: Sequence[Record]) -> Goods:
    """What one of it, as it is sold, is put together from. ``components``: of its template.

    Those of the variant replace those of the template. Of what goes into a parcel once, however many kits there are,
    each kit is taken to need its own. A part without a code is one that nobody has.
    """
    own = [one for one in components if one["parent_product"] == product["id"]]
    used = own or [one for one in components if one["parent_product"] is None]
    template = product["template."]
    per = converted(Decimal(1), _sale_unit(template), template["default_uom."])
    parts: defaultdict[str, Decimal] = defaultdict(Decimal)
    for one in used:
        part = one["product."]
        if kept(part):
            needed = converted(_decimal(one["quantity"]), one["unit."], _sale_unit(part["template."]))
            parts[part["code"] or f"product {part['id']}"] += needed if one["fixed"] else needed * per
    return Goods(
        sku=product["code"],
        parts=tuple(Part(sku=sku, quantity=quantity) for sku, quantity in sorted(parts.items()) if quantity > 0),
    )


def line_of(row: Record) -> str:
    """The shop's id of a sale's line: the first line of its note."""
    return str((row["note"] or "").strip().partition("\n")[0].strip())


def moved(line: Record, components: Sequence[Record], quantities: Mapping[str, Decimal]) -> Decimal | None:
    """How many of a sale's line there are moves for, in the line's unit; None: for none of it.

    ``quantities``: by the moves' origin, in default units. Of a kit as many as every part is there for.
    """
    if not components:
        own = quantities.get(f"sale.line,{line['id']}")
        return None if own is None else converted(own, line["product."]["template."]["default_uom."], line["unit."])
    shares = [_share(one, quantities) for one in components if one["quantity"]]
    known = [share for share in shares if share is not None]
    if not known:
        return None
    return round(_decimal(line["quantity"]) * min(_NOTHING if one is None else one for one in shares), 6)


def _share(component: Record, quantities: Mapping[str, Decimal]) -> Decimal | None:
    quantity = quantities.get(f"sale.line.component,{component['id']}")
    if quantity is None:
        return None
    default = component["product."]["template."]["default_uom."]
    return quantity / converted(_decimal(component["quantity"]), component["unit."], default)


def _sale_unit(template: Record) -> Record:
    unit: Record = template["sale_uom."] or template["default_uom."]
    return unit


def _size(unit: Record) -> Decimal:
    """How many base units it is. Tryton keeps this and its inverse, both rounded: the shorter one is exact."""
    factor, rate = _decimal(unit["factor"]), _decimal(unit["rate"])
    return factor if len(factor.as_tuple().digits) <= len(rate.as_tuple().digits) else 1 / rate


def _decimal(quantity: float | Decimal) -> Decimal:
    return Decimal(str(quantity)).normalize()
