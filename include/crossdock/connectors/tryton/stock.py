"""Tryton's stock behind the port ``Warehouses``."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from functools import cached_property
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from crossdock.connectors.tryton import stock_rows
from crossdock.connectors.tryton.reading import ALL, Record, Rpc, modules, pages, table
from crossdock.connectors.tryton.stock_rows import KITS, OPEN, Warehouse
from crossdock.domain.stock import Goods
from crossdock.errors import Misconfigured
from crossdock.ports import Window

VERSION = "1"
"""Raise it when the same stock is to be read differently although the fields stay the same."""
PAGE = 500
"""Products, lines or orders asked for at a time."""
ROWS = 2_000
"""Rows in one answer."""
FEW = 200
"""Components of kits: so many are read at once, of more those that are asked for, round by round."""
LATE = timedelta(minutes=5)
"""A time of change is the start of the transaction: a long one is seen that much later."""

_RETURNS = "stock.shipment.out.return,"
_SALABLE: list[Any] = [
    ["template.active", "=", True],
    ["template.salable", "=", True],
    ["template.type", "!=", "service"],
    ["template.consumable", "=", False],
    ["code", "not in", [None, ""]],
]


class Names(Protocol):
    """What the connection's settings say about stock (hook.py)."""

    orders_shop: str | None
    web_shop: str | None


class Inventory:
    """What lies in the warehouses of one company, by their codes.

    On hand is what lies in a warehouse's storage and, picked already, in its output zone; outgoing is every open move
    from there to elsewhere. Kits are those of the module product_kit, if it is active. The tree of locations is read
    once.
    """

    name = "Tryton"

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._few_kits = True
        self._products_read: dict[str, Record] = {}

    @cached_property
    def version(self) -> str:
        """Changes with the fields and the mapping."""
        rows = (
            stock_rows.PRODUCT, stock_rows.MOVE, stock_rows.GONE, stock_rows.COMPONENT, stock_rows.LINE,
            stock_rows.LINE_COMPONENT, stock_rows.WAREHOUSE,
        )  # fmt: skip
        read = "\n".join(name for fields in rows for name in fields)
        return f"{VERSION}-{hashlib.sha256(read.encode()).hexdigest()[:12]}"

    def now(self) -> datetime:
        """Tryton's clock, by the whole second below."""
        return self._rpc.now()

    def touched(self, window: Window) -> Iterator[Sequence[str]]:
        """By moves, lines of sales, and products with their units and components: one call for each of the three.

        A stock inventory is seen by the moves it makes. A move that is deleted leaves no trace but at the sale's line.
        Of a component that changes the kit is told: the parts are its family.
        """
        if window.since is None:
            yield from self.skus()
            return
        late = ["last_modified_at", ">=", window.since]
        which = self._products("stock.move", [self._ours, late])
        which |= self._products(
            "sale.line", [["product", "!=", None], ["OR", late, ["sale.last_modified_at", *late[1:]]]]
        )
        paths = ["", "template.", "template.default_uom.", "template.sale_uom."]
        paths += ["components.", "template.components."] if self._has_kits else []
        changed = ["OR", *([f"{path}last_modified_at", *late[1:]] for path in paths)]
        first, *rest = list(_chunks(which)) or [[]]
        for where in (["OR", changed, ["id", "in", first]], *(["id", "in", chunk] for chunk in rest)):
            yield from self._codes([where], active_test=False)

    def skus(self) -> Iterator[Sequence[str]]:
        """The codes of all variants that are for sale and of which stock is kept."""
        yield from self._codes(_SALABLE)

    def family(self, skus: Collection[str]) -> Set[str]:
        """All that are connected by kits: what is sold of one takes from the others."""
        found, new = set(skus), set(skus)
        every = self._every_kit() if new and self._has_kits else []
        while new and self._has_kits:
            kits = self._kits_with(new) if every is None else [kit for kit in every if kit & new]
            new = {one for kit in kits for one in kit} - found
            found |= new
        return found

    def _every_kit(self) -> list[set[str]] | None:
        """A component with the kits that need it, each; None when there are more than FEW."""
        if self._few_kits:
            rows: list[Record] = self._rpc.call(
                "model.product.component.search_read",
                [["parent_template.type", "=", KITS]], 0, FEW + 1, [["id", "ASC"]], list(stock_rows.KIT),
            )  # fmt: skip
            self._few_kits = len(rows) <= FEW
        return [stock_rows.connected(row) for row in rows] if self._few_kits else None

    def _kits_with(self, skus: Collection[str]) -> Iterator[set[str]]:
        for chunk in _chunks(skus):
            kits = [
                ["parent_product.code", "in", chunk],
                ["parent_product.components.product.code", "in", chunk],
                ["parent_template.products.code", "in", chunk],
                ["parent_template.components.product.code", "in", chunk],
            ]
            where = [["parent_template.type", "=", KITS], ["OR", *kits]]
            for row in table(self._rpc, "product.component", where, stock_rows.KIT):
                yield stock_rows.connected(row)

    def counted(self, lines: Mapping[str, Collection[str]]) -> Mapping[str, Decimal]:
        """By moves, whatever the sale's state: a quotation has none. Of a kit as many as all its parts are there for.

        What is sent instead of something is a sale that comes from the order's. What came back had left.
        """
        found: defaultdict[str, Decimal] = defaultdict(Decimal)
        for orders in _chunks(lines):
            missing = {line for order in orders for line in lines[order]}
            where: list[Any] = [*self._orders, ["sale.web_id", "in", orders]]
            while missing and (rows := self._lines(where)):
                asked = [row for row in rows if stock_rows.line_of(row) in missing]
                missing -= {stock_rows.line_of(row) for row in asked}
                for line, quantity in self._moved(asked):
                    found[line] += quantity
                where = [["sale.origin", "in", sorted({f"sale.sale,{row['sale']}" for row in rows})]]
        return found

    def goods(self, skus: Collection[str]) -> Iterable[Goods]:
        """Open moves before what is on hand. Archived products as well, unless another one has their code."""
        self._products_read = {}
        for chunk in _chunks(skus):
            products = self._by_code(chunk)
            self._products_read |= products
            kits = [one for one in products.values() if one["template."]["type"] == KITS]
            simple = {one["id"]: one for one in products.values() if one["template."]["type"] != KITS}
            yield from self._kits(kits)
            yield from self._simple(simple)

    def shipped(self, warehouse: str, since: Mapping[str, datetime]) -> Mapping[str, Decimal]:
        """Too much rather than too little.

        A move has a time of change, which changes again when its cost does, and the day the goods left, as somebody has
        said: it counts unless one of these is surely before the moment. Raises Misconfigured for an unknown warehouse.
        """
        place = self._warehouse(warehouse)
        found: defaultdict[str, Decimal] = defaultdict(Decimal)
        for skus in _chunks(since):
            products = {sku: self._products_read[sku] for sku in skus if sku in self._products_read}
            if unread := [sku for sku in skus if sku not in products]:
                products |= self._by_code(unread)
            by_id = {one["id"]: one for one in products.values()}
            first = min(since[sku] for sku in skus)
            where = [
                self._ours,
                ["product", "in", sorted(by_id)],
                ["state", "=", "done"],
                ["effective_date", ">=", self._day_before(first)],
                ["last_modified_at", ">=", first - LATE],
                ["from_location", "child_of", list(place.roots), "parent"],
            ]
            for page in pages(self._rpc, "stock.move", where, stock_rows.GONE, ROWS) if by_id else ():
                for move in page:
                    product = by_id[move["product"]]
                    moment = since[product["code"]]
                    if (
                        move["to_location"] not in place.stock
                        and move["last_modified_at"] >= moment - LATE
                        and move["effective_date"] >= self._day_before(moment)
                    ):
                        found[product["code"]] += stock_rows.sold(move["internal_quantity"], product)
        return found

    # ------------------------------------------------------------ what does not change while a task runs

    @cached_property
    def _settings(self) -> Names:
        settings: Names = self._rpc.settings
        return settings

    @property
    def _ours(self) -> list[Any]:
        return ["company", "=", self._rpc.company]

    @cached_property
    def _zone(self) -> tzinfo:
        [company] = table(self._rpc, "company.company", [["id", "=", self._rpc.company]], ["timezone"])
        return ZoneInfo(company["timezone"]) if company["timezone"] else UTC

    @cached_property
    def _has_kits(self) -> bool:
        return "product_kit" in modules(self._rpc)

    @cached_property
    def _warehouses(self) -> tuple[Warehouse, ...]:
        """Those that have a code. Raises Misconfigured for two of one code."""
        where = [["type", "=", "warehouse"], ["code", "not in", [None, ""]]]
        rows = table(self._rpc, "stock.location", where, stock_rows.WAREHOUSE)
        codes = [row["code"] for row in rows]
        if twice := sorted({code for code in codes if codes.count(code) > 1}):
            raise Misconfigured(f"Tryton has several warehouses of the code {twice[0]!r}. Give each its own.")
        zones = sorted({row[zone] for row in rows for zone in stock_rows.WAREHOUSE[1:]})
        within = [ALL, ["parent", "child_of", zones, "parent"]]
        return stock_rows.warehouses(rows, table(self._rpc, "stock.location", within, ["parent"]) if zones else [])

    def _warehouse(self, code: str) -> Warehouse:
        for one in self._warehouses:
            if one.code == code:
                return one
        known = ", ".join(one.code for one in self._warehouses) or "none"
        raise Misconfigured(f"A rule for stock names the warehouse {code}, which Tryton does not have ({known}).")

    @cached_property
    def _orders(self) -> list[Any]:
        """The clauses for lines of the settings' shop, else of any. Raises Misconfigured when it is not there."""
        name = self._settings.orders_shop or self._settings.web_shop
        if not name:
            return [["sale.web_shop", "!=", None]]
        shops = table(self._rpc, "web.shop", [["name", "=", name]], ["name"])
        if not shops:
            raise Misconfigured(
                f"Tryton has no web shop {name!r}. Make it there, or correct the connection's settings."
            )
        return [["sale.web_shop", "in", [shop["id"] for shop in shops]]]

    # ------------------------------------------------------------ reading

    def _by_code(self, skus: Sequence[str]) -> dict[str, Record]:
        where = [ALL, ["code", "in", skus]]
        return stock_rows.by_code(table(self._rpc, "product.product", where, stock_rows.PRODUCT))

    def _products(self, model: str, where: list[Any]) -> set[int]:
        return {row["product"] for page in pages(self._rpc, model, where, ["product"], ROWS) for row in page}

    def _codes(self, where: list[Any], **context: Any) -> Iterator[list[str]]:
        for page in pages(self._rpc, "product.product", where, ["code"], ROWS, **context):
            yield [row["code"] for row in page if row["code"]]

    def _lines(self, where: list[Any]) -> list[Record]:
        """Those of goods; a line that takes back is none of what was sold."""
        goods = [["product", "!=", None], ["quantity", ">=", 0]]
        return table(self._rpc, "sale.line", [*where, *goods], stock_rows.LINE)

    def _moved(self, lines: Sequence[Record]) -> Iterator[tuple[str, Decimal]]:
        for chunk in (lines[start : start + PAGE] for start in range(0, len(lines), PAGE)):
            kits = [line["id"] for line in chunk if line["product."]["template."]["type"] == KITS]
            components: defaultdict[int, list[Record]] = defaultdict(list)
            if kits:
                for row in table(self._rpc, "sale.line.component", [["line", "in", kits]], stock_rows.LINE_COMPONENT):
                    components[row["line"]].append(row)
            origins = [f"sale.line,{line['id']}" for line in chunk]
            origins += [f"sale.line.component,{one['id']}" for some in components.values() for one in some]
            quantities: defaultdict[str, Decimal] = defaultdict(Decimal)
            where = [["origin", "in", origins], ["state", "!=", "cancelled"]]
            for move in table(self._rpc, "stock.move", where, ["origin", "internal_quantity", "shipment"]):
                if not (move["shipment"] or "").startswith(_RETURNS):
                    quantities[move["origin"]] += Decimal(str(move["internal_quantity"]))
            for line in chunk:
                quantity = stock_rows.moved(line, components[line["id"]], quantities)
                if quantity is not None:
                    yield stock_rows.line_of(line), quantity

    def _kits(self, kits: Sequence[Record]) -> Iterator[Goods]:
        """None of those that consist of nothing that is counted."""
        if not kits:
            return
        components: defaultdict[int, list[Record]] = defaultdict(list)
        where = [["parent_template", "in", sorted({one["template"] for one in kits})]]
        for row in table(self._rpc, "product.component", where, stock_rows.COMPONENT):
            components[row["parent_template"]].append(row)
        for one in kits:
            goods = stock_rows.kit(one, components[one["template"]])
            if goods.parts:
                yield goods

    def _simple(self, products: Mapping[int, Record]) -> Iterator[Goods]:
        """A move that is done may bear a day to come: until then it is neither on hand nor gone for Tryton."""
        if not products:
            return
        which, today = sorted(products), self._day(self._rpc.now())
        planned = ["OR", ["state", "in", list(OPEN)], [["state", "=", "done"], ["effective_date", ">", today]]]
        moves: defaultdict[int, list[Record]] = defaultdict(list)
        for page in pages(
            self._rpc, "stock.move", [self._ours, ["product", "in", which], planned], stock_rows.MOVE, ROWS
        ):
            for move in page:
                moves[move["product"]].append(move)
        on_hand = self._on_hand(which)
        for one, product in products.items():
            yield stock_rows.goods(product, self._warehouses, moves[one], on_hand[one], today)

    def _on_hand(self, products: Sequence[int]) -> Mapping[int, Mapping[str, float]]:
        """Product -> warehouse -> what lies there: by warehouse or by product, whichever takes fewer calls."""
        found: defaultdict[int, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
        asked: dict[str, Any] = {"company": self._rpc.company, "with_childs": True}
        if len(products) < len(self._warehouses):
            codes = {root: place.code for place in self._warehouses for root in place.roots}
            for one in products:
                context = {**asked, "product": one}
                for row in self._rpc.call("model.stock.location.read", sorted(codes), ["quantity"], **context):
                    found[one][codes[row["id"]]] += row["quantity"] or 0.0
            return found
        for place in self._warehouses:
            context = {**asked, "locations": list(place.roots)}
            for row in self._rpc.call("model.product.product.read", products, ["quantity"], **context):
                found[row["id"]][place.code] = row["quantity"] or 0.0
        return found

    def _day(self, moment: datetime) -> date:
        """On the company's calendar."""
        return moment.astimezone(self._zone).date()

    def _day_before(self, moment: datetime) -> date:
        """Whoever says when goods left may live by another calendar."""
        return self._day(moment) - timedelta(days=1)


def _chunks(some: Collection[Any]) -> Iterator[list[Any]]:
    """In order, so many at a time."""
    every = sorted(some)
    for start in range(0, len(every), PAGE):
        yield every[start : start + PAGE]
