"""Sales as they should be and as they are: what is missing is made; whatever state one is in, it goes on from there.

Facts (Tryton 8.0, tried): a sale in process is changed by writing its lines and validating an empty
``sale.amendment``, which clears waiting shipments and draft invoices and processes the sale again. Lines are only
added to a draft: such a sale is one for a moment. A sale whose shipments are cancelled and whose lines all have
quantity 0 is done, without an invoice. Without a queue worker a sale is processed once its confirmation is kept: a
server that dies in between leaves it confirmed, for ever (seen).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

from crossdock.connectors.tryton import order_mapping
from crossdock.connectors.tryton.order_mapping import ROUNDING, Change, Document, changes, line_values
from crossdock.connectors.tryton.order_references import Company, References
from crossdock.connectors.tryton.reading import ALL, Record, table
from crossdock.connectors.tryton.stock_rows import KITS
from crossdock.errors import Reject

SALE = (
    "web_id", "state", "number", "total_amount", "party", "currency", "shipment_address", "create_uid",
    "shipments.number", "shipments.state", "shipment_returns.number", "shipment_returns.state",
    "lines.note", "lines.product", "lines.quantity", "lines.unit_price", "lines.taxes", "lines.moves_ignored",
    "lines.moves.state", "lines.moves.quantity", "lines.moves.shipment", "lines.product.template.type",
)  # fmt: skip
STATE = ("web_id", "state", "number", "party", "currency", "total_amount")

_OURS = "Changed in the web shop"
_LEFT = ("shipped", "done", "received")
"""States of a shipment whose goods are on their way, or back."""
_AT_HAND = ("picked", "packed")


class Books:
    """The sales of one batch. ``refused``, ``notes`` and ``sales`` are by web id."""

    def __init__(self, company: Company, references: References) -> None:
        self._company, self._references, self._rpc = company, references, company.rpc
        self.refused: dict[str, Reject] = {}
        self.notes: dict[str, list[str]] = {}
        self.sales: dict[str, Record] = {}

    def settle(self, documents: Iterable[Document], origins: dict[str, int] | None = None) -> None:
        """Afterwards each document is refused, or in ``sales`` if there is a sale of it.

        ``origins``: web id -> the id of the sale that a return is of.
        """
        wanted = {one.web_id: one for one in documents}
        there = self.read(wanted, SALE)
        new = [one for key, one in wanted.items() if key not in there and not one.cancelled]
        ours: set[str] = set()
        if new:
            ours = self._create(new, origins or {})
            made = self.read([one.web_id for one in new], SALE)
            for key in made:  # somebody else may have been faster: what is there is carried on
                self.refused.pop(key, None)
            there |= made
        for key, row in there.items():
            self._try(key, self._bring, wanted[key], row)
        open_ = {key: row for key, row in there.items() if key not in self.refused and not wanted[key].cancelled}
        if not self._company.processes_later:
            self._press("process", [row for row in open_.values() if row["state"] == "confirmed"], "confirmed")
        self._press("quote", [row for row in open_.values() if row["state"] == "draft"], "draft")
        for key, row in open_.items():
            if key in self.refused:
                self._forget(row)
        rest = [row for key, row in open_.items() if row["state"] in ("draft", "quotation") and key not in self.refused]
        ready = [row for row in rest if self._try(row["web_id"], self._is_held, wanted[row["web_id"]], row) is False]
        self._press("confirm", ready, "quotation")
        self._warned(ready)
        for key, row in self.read([row["web_id"] for row in ready if row["web_id"] not in ours], SALE).items():
            if key not in self.refused and row["state"] != "quotation":
                self._try(key, self._bring, wanted[key], row)
        self.sales |= self.read(there, STATE)
        for key, row in self.sales.items():
            one = wanted.get(key)
            if one and not one.cancelled and one.charged not in (None, row["total_amount"]) and key not in self.refused:
                self.note(key, f"sale {row['number']} comes to {row['total_amount']}, charged was {one.charged}")

    def read(self, web_ids: Iterable[str], fields: Sequence[str]) -> dict[str, Record]:
        """The shop's sales, by web id."""
        ids = sorted(web_ids)
        if not ids:
            return {}
        if fields is SALE and self._amends:
            fields = (*fields, "amendments.state", "amendments.description")
        where = [["web_shop", "=", self._company.shop["id"]], ["web_id", "in", ids]]
        return {row["web_id"]: row for row in table(self._rpc, "sale.sale", where, fields)}

    def note(self, key: str, text: str) -> None:
        """Something a person should know of a document."""
        self.notes.setdefault(key, []).append(text)

    @property
    def _amends(self) -> bool:
        return "sale_amendment" in self._company.modules

    def _try(self, key: str, work: Callable[..., Any], *args: Any) -> Any:
        """A document that is refused does not stop the others."""
        try:
            return work(*args)
        except Reject as refusal:
            self.refused[key] = refusal
            return None

    def _each(self, keys: Sequence[str], call: Callable[[Sequence[str]], Any]) -> None:
        """In one call; if that is refused, one by one."""
        if len(keys) == 1:
            self._try(keys[0], call, keys)
        elif keys:
            try:
                call(keys)
            except Reject:
                for key in keys:
                    self._each([key], call)

    def _press(self, button: str, rows: Sequence[Record], leaves: str) -> None:
        """A button that takes sales out of a state. That somebody else was faster is no refusal."""
        ids = {row["web_id"]: row["id"] for row in rows}
        self._each(list(ids), lambda keys: self._rpc.write(f"model.sale.sale.{button}", [ids[key] for key in keys]))
        now = self.read([key for key in ids if key in self.refused], STATE)
        for row in rows:
            row["state"] = now.get(row["web_id"], row)["state"]
            if row["web_id"] in now and row["state"] != leaves:
                del self.refused[row["web_id"]]

    # ------------------------------------------------------------ new ones

    def _create(self, documents: Iterable[Document], origins: dict[str, int]) -> set[str]:
        """Those that are surely made by this call."""
        for one in documents:
            self._try(one.web_id, self._check, one)
        good = [one for one in documents if one.web_id not in self.refused]
        self._references.make_addresses([one.order for one in good])
        values: dict[str, Any] = {}
        for one in good:
            values[one.web_id] = self._try(one.web_id, self._values, one, origins.get(one.web_id))
        ready = [key for key, value in values.items() if value]
        self._each(ready, lambda keys: self._rpc.write("model.sale.sale.create", [values[key] for key in keys]))
        return set(ready) - self.refused.keys()

    def _check(self, one: Document) -> None:
        self._company.currency(one.order)
        self._references.party(one.order)
        self._references.check_countries(one.order)
        for line in one.lines:
            self._references.product(line)

    def _values(self, one: Document, origin: int | None) -> dict[str, Any]:
        order, party, company = one.order, self._references.party(one.order), self._company
        optional = {
            "invoice_method": party["sale_invoice_method"],
            "shipment_method": party["sale_shipment_method"],
            "payment_term": party["customer_payment_term"],
            "origin": f"sale.sale,{origin}" if origin else None,
        }
        return {
            "company": company.shop["company"],
            "currency": company.currency(order)["id"],
            "party": party["id"],
            "invoice_address": self._references.bill_to(order),
            "shipment_address": self._references.ship_to(order),
            "warehouse": min(company.shop["warehouses"]),
            "web_shop": company.shop["id"],
            "web_id": one.web_id,
            "reference": one.reference,
            "sale_date": order_mapping.day(order, company.zone),
            "comment": order_mapping.comment(order),
            "lines": [["create", [self._line(line) for line in self._lines(one)]]],
            **({"shipment_cost_method": None} if "sale_shipment_cost" in company.modules else {}),
            **{name: value for name, value in optional.items() if value},
        }

    def _line(self, line: order_mapping.SaleLine) -> dict[str, Any]:
        return line_values(line, self._references.product(line), self._company.tax_ids)

    def _lines(self, one: Document) -> list[order_mapping.SaleLine]:
        """With the rounding line that will be needed, as far as we can tell; Tryton's total is the judge."""
        try:
            rounding = order_mapping.rest(one, self._total(one))
        except Reject:
            rounding = None
        return [*one.lines, *([rounding] if rounding else [])]

    def _total(self, one: Document) -> Decimal:
        cent: Decimal = self._company.currency(one.order)["rounding"]
        return order_mapping.total(one.lines, self._company.rates, cent)

    # ------------------------------------------------------------ those that are there

    def _bring(self, one: Document, row: Record) -> None:
        """To where it can be quoted, or, where that is long done, to what the order has become."""
        if row["state"] == "cancelled":
            if not one.cancelled:
                self.note(one.web_id, f"sale {row['number']} is cancelled in Tryton")
        elif row["state"] in ("draft", "quotation") and not _moves(row):
            if one.cancelled:
                self._rpc.write("model.sale.sale.cancel", [row["id"]])
            else:
                self._draft(one, row)
        elif one.cancelled:
            self._withdraw(one, row)
        else:
            self._amend(one, row)

    def _draft(self, one: Document, row: Record) -> None:
        """Not confirmed yet: its lines are simply written, until its total is the one charged."""
        lines = self._lines(one)
        for _ in range(2):
            found, moved = self._changes(one, row, lines), self._moved(one, row)
            if found or moved:
                if row["state"] == "quotation":
                    self._rpc.write("model.sale.sale.draft", [row["id"]])
                    row["state"] = "draft"
                self._rpc.write("model.sale.sale.write", [row["id"]], {"lines": self._written(found), **moved})
                row |= self.read([one.web_id], SALE)[one.web_id]
            if one.charged is None or row["total_amount"] == one.charged:
                return
            rounding = sum((line.unit_price for line in lines if line.line == ROUNDING), 0)
            try:
                more = order_mapping.rest(one, row["total_amount"] - rounding)
            except Reject:
                self._forget(row)
                raise
            lines = [*one.lines, *([more] if more else [])]
        self._forget(row)
        raise Reject(
            "total_mismatch",
            f"The shopper was charged {one.charged} {one.order.currency}, Tryton computes {row['total_amount']}: "
            f"{order_mapping.computation(one)}.",
            "Look for lines that a person added in Tryton, and at the tax rates; then replay.",
        )

    def _forget(self, row: Record) -> None:
        """A draft that was never quoted, and will not be."""
        if row["state"] == "draft" and not row["number"]:
            with suppress(Reject):  # somebody has quoted it in this moment
                self._rpc.write("model.sale.sale.delete", [row["id"]])

    def _is_held(self, one: Document, row: Record) -> bool:
        why = "" if one.takes_back else self._references.held(one.order)
        if why:
            self.note(row["web_id"], f"stays a quotation: {why}")
        return bool(why)

    def _warned(self, rows: Iterable[Record]) -> None:
        """A question that only a person may answer (a credit limit) holds the sale."""
        for key in [row["web_id"] for row in rows]:
            if key in self.refused and self.refused[key].code == "warning":
                self.note(key, f"stays a quotation: {self.refused.pop(key).reason}")

    def _changes(self, one: Document, row: Record, lines: Sequence[order_mapping.SaleLine]) -> list[Change]:
        """A rounding line alone is no change as long as the total is right."""
        found = changes(lines, row["lines."], self._references.products, self._company.tax_ids)
        if row["total_amount"] == one.charged and all(map(_is_rounding, found)):
            return []
        return found

    def _moved(self, one: Document, row: Record) -> dict[str, int]:
        """The new delivery address, if the shop has another than Tryton. What people chose or changed there stays."""
        references, now = self._references, row["shipment_address"]
        if one.origin or not now or references.is_for(one.order, now):
            return {}
        fields = ["create_uid", "write_date"]
        [there] = table(self._rpc, "party.address", [ALL, ["id", "=", now]], fields)
        if there["write_date"] or there["create_uid"] != row["create_uid"]:
            self.note(one.web_id, "the delivery address is not the shop's: a person chose or changed it in Tryton")
            return {}
        references.check_countries(one.order)
        references.make_addresses([one.order])
        return {"shipment_address": references.ship_to(one.order)}

    def _written(self, found: Sequence[Change]) -> list[Any]:
        """Values of the sale's lines. What is taken out keeps its line, with quantity 0."""
        more = [self._line(change.wanted) for change in found if change.wanted and not change.there]
        actions: list[Any] = [["create", more]] if more else []
        for change in found:
            if change.there:
                values: dict[str, Any] = {"quantity": 0.0}
                if change.wanted:
                    full = self._line(change.wanted)
                    values = {name: full[name] for name in ("quantity", "unit_price", "description", "note")}
                    values["taxes"] = _exchanged(change.there["taxes"], full["taxes"][0][1])
                actions.append(["write", [change.there["id"]], values])
        return actions

    # ------------------------------------------------------------ those in process

    def _amend(self, one: Document, row: Record) -> None:
        found, moved, twice = self._changes(one, row, self._lines(one)), self._moved(one, row), _twice(row)
        if found:
            order_mapping.rest(one, self._total(one))
        if found or moved or twice:
            self._no_kits(one, row)
            touched = [move for change in found if change.there for move in change.there["moves."]] + twice
            touched += _moves(row) if moved else []
            self._allow(one, row, touched, (*_AT_HAND, *_LEFT))
            self._back_to_waiting(row, touched)
        self._write(row, self._written(found), again=bool(moved or twice), **moved)

    def _withdraw(self, one: Document, row: Record) -> None:
        """Nothing is left of it: its shipments are cancelled, it has no invoice, every line has quantity 0."""
        if not (any(line["quantity"] for line in row["lines."]) or any(map(_is_pending, row.get("amendments.", [])))):
            return
        self._no_kits(one, row)
        self._allow(one, row, _moves(row), _LEFT)
        if open_ := [ship for ship in row["shipments."] if ship["state"] != "cancelled"]:
            self._rpc.write("model.stock.shipment.out.cancel", [ship["id"] for ship in open_])
            for ship in open_:
                if ship["state"] in _AT_HAND:
                    self.note(one.web_id, f"shipment {ship['number']} was picked already: put the goods back")
            row |= self.read([one.web_id], SALE)[one.web_id]
        actions = []
        for line in row["lines."]:
            gone = [move["id"] for move in line["moves."] if move["state"] == "cancelled"]
            ignored = sorted(set(gone) - set(line["moves_ignored"]))
            if line["quantity"] or ignored:
                actions.append(["write", [line["id"]], {"quantity": 0.0, "moves_ignored": [["add", ignored]]}])
        self._write(row, actions, description="Cancelled in the web shop")

    def _no_kits(self, one: Document, row: Record) -> None:
        """Raises Reject: of a kit Tryton moves the components, and a changed line leaves them as they were."""
        if any(line["product"] and line["product."]["template."]["type"] == KITS for line in row["lines."]):
            what = "cancelled" if one.cancelled else "changed"
            raise Reject(
                "conflict",
                f"Order {one.reference} was {what} in the shop; it holds a kit and is in process in Tryton.",
                "Change or cancel the sale and its shipments in Tryton by hand; then accept this order as it is.",
            )

    def _allow(self, one: Document, row: Record, moves: Sequence[Record], states: Sequence[str]) -> None:
        """Raises Reject where the warehouse was faster."""
        ships = _shipments(row)
        fast = sorted({
            f"{ships[move['shipment']]['number']} is {ships[move['shipment']]['state']}"
            for move in moves if move["shipment"] in ships and ships[move["shipment"]]["state"] in states
        })  # fmt: skip
        if fast:
            what = "cancelled" if one.cancelled else "changed"
            raise Reject(
                "conflict",
                f"Order {one.reference} was {what} in the shop, but its shipment {', '.join(fast)} in Tryton.",
                "Agree with the shopper: take the goods back by a return in the shop, or send the rest as an order "
                "of its own; then accept this order as it is.",
            )
        if not self._amends:
            raise Reject(
                "conflict",
                f"Order {one.reference} is in process in Tryton, which cannot change such a sale.",
                "Activate the module sale_amendment, or change the sale by hand and accept the order as it is.",
            )

    def _back_to_waiting(self, row: Record, moves: Sequence[Record]) -> None:
        """What is reserved is let go, or it would be sent although nobody wants it."""
        ships, touched = _shipments(row), {move["shipment"] for move in moves}
        assigned = [ships[key]["id"] for key in touched if key in ships and ships[key]["state"] == "assigned"]
        if assigned:
            self._rpc.write("model.stock.shipment.out.wait", assigned)

    def _write(self, row: Record, actions: Sequence[Any], again: bool = False, **more: Any) -> None:
        """Lines and an amendment together, so that one without the other shows that an answer was lost.

        Nothing to write, nor to process ``again``, and no such trace: nothing is done.
        """
        ids, amendment = [row["id"]], {"amendments": [["create", [{"description": _OURS}]]]}
        if row["state"] == "confirmed" and actions:
            self._rpc.write("model.sale.sale.process", ids)
        half = row["state"] == "draft"
        if any(action[0] == "create" for action in actions):
            self._rpc.write("model.sale.sale.write", ids, {"state": "draft", "lines": actions, **more})
            half, actions, again = True, [], False
        if half:
            self._rpc.write("model.sale.sale.write", ids, {"state": "processing", **amendment})
            row["state"] = "processing"
        if actions or again:
            self._rpc.write("model.sale.sale.write", ids, {"lines": actions, **more, **amendment})
        if half or actions or again or any(map(_is_pending, row.get("amendments.", []))):
            now = self.read([row["web_id"]], SALE)[row["web_id"]]
            for one in filter(_is_pending, now["amendments."]):  # one at a time is allowed
                self._rpc.write("model.sale.amendment.validate_amendment", [one["id"]])


def _exchanged(there: Sequence[int], wanted: Sequence[int]) -> list[Any]:
    """Tryton adds before it removes: only what differs is said."""
    return [["add", sorted(set(wanted) - set(there))], ["remove", sorted(set(there) - set(wanted))]]


def _is_rounding(change: Change) -> bool:
    line = change.wanted.line if change.wanted else (change.there or {}).get("note")
    return line == ROUNDING


def _is_pending(amendment: Record) -> bool:
    return bool(amendment["state"] == "draft" and amendment["description"] == _OURS)


def _twice(row: Record) -> list[Record]:
    """Moves of a whole line that are there more than once.

    Tryton on SQLite locks no records: two calls to confirm at the same time, one of which was given up for lost, may
    both make the shipment (seen). On PostgreSQL the second one waits and finds it done.
    """
    found = []
    for line in row["lines."]:
        whole = [
            move
            for move in line["moves."]
            if move["state"] != "cancelled" and move["quantity"] == abs(line["quantity"])
        ]
        found += whole if len(whole) > 1 else []
    return found


def _moves(row: Record) -> list[Record]:
    return [move for line in row["lines."] for move in line["moves."]]


def _shipments(row: Record) -> dict[str, Record]:
    """By the reference that moves carry."""
    kinds = {"shipments.": "stock.shipment.out", "shipment_returns.": "stock.shipment.out.return"}
    return {f"{kind},{one['id']}": one for field, kind in kinds.items() for one in row[field]}


def pages(rpc: Any, shop: int, size: int) -> Iterator[list[str]]:
    """The web ids of all orders of the shop; those of returns are left out."""
    last = 0
    while True:
        where = [["web_shop", "=", shop], ["origin", "=", None], ["id", ">", last]]
        rows = rpc.call("model.sale.sale.search_read", where, 0, size, [["id", "ASC"]], ["web_id"])
        if rows:
            yield [row["web_id"] for row in rows]
        if len(rows) < size:
            return
        last = rows[-1]["id"]
