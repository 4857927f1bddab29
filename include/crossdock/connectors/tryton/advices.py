"""What a 3PL says it has sent, behind the port ``Target[ShippingAdvice]``: Tryton's shipments, through the door."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Any

from crossdock.connectors.tryton.order_references import Company, Rpc
from crossdock.connectors.tryton.reading import Record, pages, table
from crossdock.domain.shipping_advice import ShippingAdvice
from crossdock.errors import Reject
from crossdock.ports import Content, Found, Outcome, Put

PAGE = 2_000
SHIPMENTS = "stock.shipment.out"
SHIPMENT = (
    "number", "state", "effective_date", "carrier", "shipping_reference", "outgoing_moves.quantity",
    "outgoing_moves.state", "outgoing_moves.product.code",
)  # fmt: skip

Pieces = Mapping[str, Decimal]
"""SKU -> how many."""


class Advices:
    """Customer shipments, known by their number.

    ``put`` goes on from the state in which it finds a shipment. Until it is picked, its moves say what was asked for;
    from then on, what has left.
    """

    name = "Tryton"
    version = "1"
    batch = 10
    lanes = 1

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._company = Company(rpc)

    def fingerprint(self) -> str:
        """Tryton's address, the database and the company, as for orders."""
        return f"{self._rpc.address} company {self._company.shop['company']}"

    def payload(self, record: ShippingAdvice) -> bytes:
        """The advice itself."""
        return record.model_dump_json().encode()

    def put(self, batch: Sequence[Put], content: Content) -> Iterable[Outcome]:
        """One by one, since each is a dozen calls. ``remove`` brings nothing back into the warehouse."""
        for put in batch:
            if put.op == "remove":
                yield Outcome(put.key, put.target_id, note="what has left stays sent")
                continue
            try:
                yield Outcome(put.key, str(self._ship(ShippingAdvice.model_validate_json(put.payload))))
            except Reject as refusal:
                yield Outcome(put.key, put.target_id, refusal)

    def find(self, keys: Collection[str]) -> dict[str, Found]:
        """Which shipments there are. Whether they have left only ``put`` can tell, so no fingerprint is given."""
        rows = table(self._rpc, SHIPMENTS, [*self._ours, ["number", "in", sorted(keys)]], ["number"]) if keys else []
        return {row["number"]: Found(str(row["id"]), None) for row in rows}

    def match(self, records: Sequence[ShippingAdvice]) -> Mapping[str, Found | Reject]:
        """All of them should be there: the ERP has asked for them."""
        return self.find([record.key for record in records])

    def keys(self) -> Iterator[Sequence[str]]:
        """The numbers of what has left."""
        gone = [*self._ours, ["state", "in", ["shipped", "done"]]]
        for page in pages(self._rpc, SHIPMENTS, gone, ["number"], PAGE):
            yield [row["number"] for row in page]

    @property
    def _ours(self) -> list[Any]:
        return [["company", "=", self._company.shop["company"]]]

    # ------------------------------------------------------------ one shipment

    def _ship(self, advice: ShippingAdvice) -> int:
        shipment = self._read(advice)
        sent = {line.sku: line.quantity for line in advice.lines}
        if shipment["state"] == "cancelled":
            raise _conflict(advice, f"it is cancelled in Tryton, but {_said(sent)} have left")
        waits = shipment["state"] in ("draft", "waiting", "assigned")
        there = _pieces(shipment)
        if waits:
            _check(advice, sent, there)
        elif sent != there:
            raise _conflict(
                advice, f"Tryton has it as {shipment['state']} with {_said(there)}, but {_said(sent)} have left"
            )
        self._describe(advice, shipment)
        if waits:
            self._pick(shipment["id"], sent)
            shipment = self._read(advice)
        if shipment["state"] == "picked":
            self._press("pack", shipment["id"])
        if shipment["state"] in ("picked", "packed"):
            self._press("do", shipment["id"])
        return int(shipment["id"])

    def _read(self, advice: ShippingAdvice) -> Record:
        rows = table(self._rpc, SHIPMENTS, [*self._ours, ["number", "=", advice.number]], SHIPMENT)
        if len(rows) != 1:
            raise Reject(
                "unknown_shipment",
                f"Tryton has {len(rows) or 'no'} customer shipments of the number {advice.number}.",
                "Ask the warehouse which shipment it means, and to send the advice again under its number.",
            )
        return rows[0]

    def _describe(self, advice: ShippingAdvice, shipment: Record) -> None:
        """When it left, with whom, under which tracking numbers. The day of what is gone has been booked."""
        told: Record = {}
        if advice.tracking_numbers:
            told["shipping_reference"] = ", ".join(advice.tracking_numbers)
        if shipment["state"] not in ("shipped", "done"):
            told["effective_date"] = advice.sent_on
            if carrier := self._carriers.get(advice.carrier.lower()):
                told["carrier"] = carrier
        if changed := {name: value for name, value in told.items() if shipment[name] != value}:
            self._rpc.write(f"model.{SHIPMENTS}.write", [shipment["id"]], changed)

    @cached_property
    def _carriers(self) -> dict[str, int]:
        """By name in lower case."""
        return {row["party."]["name"].lower(): row["id"] for row in table(self._rpc, "carrier", [], ["party.name"])}

    def _pick(self, shipment: int, sent: Pieces) -> None:
        """What was not sent of it Tryton puts into a shipment of its own. It has left, so no stock can be missing."""
        self._press("wait", shipment)  # as many moves as were asked for, whatever was assigned or written before
        rest = defaultdict(Decimal, sent)
        moves = table(
            self._rpc,
            "stock.move",
            [["shipment", "=", f"{SHIPMENTS},{shipment}"], ["state", "=", "draft"], ["origin", "like", "stock.move,%"]],
            ["quantity", "product.code"],
        )
        for move in moves:
            sku, asked = move["product."]["code"], _decimal(move["quantity"])
            taken = min(asked, rest[sku])
            rest[sku] -= taken
            if taken != asked:
                self._rpc.write("model.stock.move.write", [move["id"]], {"quantity": float(taken)})
        if not self._press("assign_try", shipment):
            self._press("assign_force", shipment)
        self._press("pick", shipment)

    def _press(self, button: str, shipment: int) -> Any:
        return self._rpc.write(f"model.{SHIPMENTS}.{button}", [shipment])


def _pieces(shipment: Record) -> dict[str, Decimal]:
    pieces: defaultdict[str, Decimal] = defaultdict(Decimal)
    for move in shipment["outgoing_moves."]:
        if move["state"] != "cancelled" and move["quantity"]:
            pieces[move["product."]["code"] or ""] += _decimal(move["quantity"])
    return dict(pieces)


def _check(advice: ShippingAdvice, sent: Pieces, asked: Pieces) -> None:
    """Less than was asked for may leave, not more, and nothing else."""
    for sku, quantity in sent.items():
        if quantity > asked.get(sku, 0):
            raise _conflict(
                advice, f"{quantity:f} of {sku} have left, but {asked.get(sku, Decimal(0)):f} were asked for"
            )


def _decimal(quantity: float) -> Decimal:
    return Decimal(str(quantity)).normalize()


def _said(pieces: Pieces) -> str:
    return ", ".join(f"{quantity:f} of {sku}" for sku, quantity in sorted(pieces.items())) or "nothing"


def _conflict(advice: ShippingAdvice, what: str) -> Reject:
    return Reject(
        "conflict",
        f"Shipment {advice.number}: {what}.",
        "Ask the warehouse what has left. If Tryton is wrong, correct it there and replay this; if the advice is, have "
        "it sent again.",
    )
