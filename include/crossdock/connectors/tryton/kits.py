"""Lines of kits in sales: Tryton moves the components, the shop has sold the kit.

Facts (trytond 8.0, module product_kit): such a line has no moves; each ``sale.line.component`` has its own, and its
quantity is what all kits of the line need of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from crossdock.connectors.tryton import stock_rows
from crossdock.connectors.tryton.reading import Record, Rpc, raw, table

_COMPONENT = "sale.line.component"
_FIELDS = ("origin", "state", "internal_quantity", "shipment", "planned_date")


def fill(rpc: Rpc, sales: Iterable[Record]) -> None:
    """Gives each line of kits the moves it would have if kits were moved whole, as JSON-RPC tells moves.

    Of a kit as many have left with a shipment as every component is there for, with those before it. Called only where
    product_kit is active; the lines' ``moves.`` are written in place.
    """
    lines = {line["id"]: line for sale in sales for line in sale["lines."] if not line["moves."] and line["quantity"]}
    if not lines:
        return
    components: defaultdict[int, list[Record]] = defaultdict(list)
    for row in table(rpc, _COMPONENT, [["line", "in", sorted(lines)]], stock_rows.LINE_COMPONENT):
        components[row["line"]].append(_positive(row))
    owner = {f"{_COMPONENT},{one['id']}": line for line, some in components.items() for one in some}
    moves: defaultdict[int, list[Record]] = defaultdict(list)
    for move in raw(rpc, "stock.move", [["origin", "in", sorted(owner)]], _FIELDS) if owner else ():
        moves[owner[move["origin"]]].append(move)
    for line, some in moves.items():
        lines[line]["moves."] = list(_whole(lines[line], components[line], some))


def _whole(line: Record, components: Sequence[Record], moves: Sequence[Record]) -> Iterator[Record]:
    """One for each shipment, in the order in which they were made; what was cancelled as nothing."""
    groups: defaultdict[tuple[str | None, bool], list[Record]] = defaultdict(list)
    for move in moves:
        groups[move["shipment"], move["state"] == "cancelled"].append(move)
    so_far: defaultdict[str, Decimal] = defaultdict(Decimal)
    told = Decimal(0)
    for (shipment, cancelled), some in groups.items():
        kits = Decimal(0)
        if not cancelled:
            for move in some:
                so_far[move["origin"]] += Decimal(str(move["internal_quantity"]))
            whole = (stock_rows.moved(_positive(line), components, so_far) or Decimal(0)).to_integral_value(ROUND_FLOOR)
            kits, told = whole - told, whole
        yield {
            "id": some[0]["id"], "state": some[0]["state"], "quantity": float(kits), "unit": line["unit"],
            "shipment": shipment, "planned_date": _latest([move["planned_date"] for move in some]),
        }  # fmt: skip


def _positive(row: Record) -> Record:
    """A return's quantities are below zero, its moves' are not."""
    return {**row, "quantity": abs(row["quantity"] or 0)}


def _latest(days: Sequence[Record | None]) -> Any:
    """None when one of them has none."""
    known = [day for day in days if day]
    return max(known, key=lambda day: (day["year"], day["month"], day["day"])) if len(known) == len(days) else None
