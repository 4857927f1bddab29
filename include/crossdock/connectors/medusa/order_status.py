"""What the ERP says of web orders, told to the shop: status, fulfilments, tracking, returns, credit notes, refunds.

Over Medusa's own Admin API, verified on 2.18.0; a stock Medusa will do, but for returns and refunds, which the ERP
extension makes. What is made bears the ERP's number, so that it is found before it is made: the shopper is told of a
shipment once, and no money is given back twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec

from crossdock.connectors.medusa.api import Api, Shop, for_urls
from crossdock.connectors.medusa.stillness import wait_until_still
from crossdock.connectors.medusa.telling import FIELDS, Telling
from crossdock.domain.order_status import OrderStatus, Part, Return, Shipment
from crossdock.errors import AnswerLost, Reject
from crossdock.ports import Content, Found, Outcome, Put

Json = dict[str, Any]

_PAGE = 200
"""Orders in one answer: Medusa sends their lines too, whatever is asked for."""


class Statuses(Shop):
    """What became of orders that were placed in this shop. Nothing here makes an order."""

    version = "order-status-2"
    batch = 20
    lanes = 1

    def __init__(self, api: Api) -> None:
        super().__init__(api)
        self._unsure: set[str] = set()

    @cached_property
    def _locations(self) -> dict[str, str]:
        """Ids of the stock locations by the ERP's code of the warehouse."""
        params = {"fields": "id,metadata", "limit": 1_000}
        places = self._api.get("/admin/stock-locations", params)["stock_locations"]
        return {code: place["id"] for place in places if (code := (place["metadata"] or {}).get("erp_code"))}

    def payload(self, record: OrderStatus) -> bytes:
        """As JSON, shipments only once they have left or been cancelled. Raises Reject for a part of a piece."""
        said = {
            "number": record.number,
            "status": record.state,
            "promised": record.promised.isoformat() if record.promised else "",
            "shipments": [_shipment(one) for one in record.shipments if one.status != "open"],
            "returns": [_return(one) for one in record.returns],
            "credit_notes": [
                {"number": one.number, "date": one.on.isoformat(), "amount": f"{one.amount:f}"}
                for one in record.credit_notes
            ],
            "refunds": [
                {
                    "number": one.number,
                    "web_id": one.web_id,
                    "date": one.on.isoformat(),
                    "amount": f"{one.amount:f}",
                    "by_shop": one.by_shop,
                }
                for one in record.refunds
            ],
        }
        return msgspec.json.encode(said, order="deterministic")

    def find(self, keys: Collection[str]) -> dict[str, Found]:
        """By the order's id. One that the ERP cancelled is only half there until the shop has cancelled it too."""
        return {key: _found(order) for key, order in self._orders(keys, "id,status,metadata").items()}

    def match(self, records: Sequence[OrderStatus]) -> dict[str, Found]:
        """An order is there when its id is."""
        return self.find([record.key for record in records])

    def keys(self) -> Iterator[list[str]]:
        """Orders that bear a number of the ERP."""
        offset = 0
        params = {"fields": "id,metadata", "limit": _PAGE, "order": "id"}
        while page := self._api.get("/admin/orders", {**params, "offset": offset})["orders"]:
            yield [order["id"] for order in page if _metadata(order).get("erp_number")]
            offset += len(page)

    def put(self, batch: Sequence[Put], content: Content) -> Iterable[Outcome]:
        """Each order is read and brought to what the ERP says; where nothing differs nothing is written.

        A conflict between what happened on both sides is refused with a proposal, once all the rest has been told.
        """
        keys = {put.key for put in batch}
        try:
            outcomes = self._write(batch)
        except AnswerLost:
            self._unsure.update(keys)
            told = {put.key: put.fingerprint for put in batch}
            wait_until_still(lambda: self._orders(keys, FIELDS), lambda there: _all_told(there, told))
            raise
        if refusal := next((one.refused for one in outcomes if one.refused and one.key in self._unsure), None):
            raise AnswerLost(f"Medusa's answer to an earlier try was lost, and this one is refused: {refusal.reason}")
        self._unsure.difference_update(keys)
        return outcomes

    def _write(self, batch: Sequence[Put]) -> list[Outcome]:
        there = self._orders([put.key for put in batch], FIELDS)
        outcomes = []
        for put in batch:
            try:
                if put.key not in there:
                    raise _unknown_order()
                telling = Telling(self._api, there[put.key], self._locations)
                note = telling.tell(msgspec.json.decode(put.payload), put.fingerprint)
            except Reject as refusal:
                outcomes.append(Outcome(put.key, put.target_id, refused=refusal))
            else:
                outcomes.append(Outcome(put.key, put.key, note=note))
        return outcomes

    def _orders(self, keys: Collection[str], fields: str) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for some in for_urls(keys):
            answer = self._api.get("/admin/orders", {"id[]": some, "fields": fields, "limit": len(some)})
            found |= {order["id"]: order for order in answer["orders"]}
        return found


def _metadata(order: Json) -> Json:
    return order["metadata"] or {}


def _found(order: Json) -> Found:
    marks = _metadata(order)
    whole = marks.get("erp_status") != "cancelled" or order["status"] == "canceled"
    return Found(order["id"], marks.get("erp_fingerprint") if whole else None)


def _all_told(there: Mapping[str, Json], told: Mapping[str, str]) -> bool:
    return {key: _found(order).fingerprint for key, order in there.items()} == told


def _shipment(shipment: Shipment) -> Json:
    return {
        "number": shipment.number,
        "warehouse": shipment.warehouse,
        "status": shipment.status,
        "carrier": shipment.carrier,
        "items": {part.line: _pieces(part, f"Shipment {shipment.number}") for part in shipment.parts},
        "parcels": [{"number": one.tracking_number, "url": one.url or ""} for one in shipment.parcels],
    }


def _return(back: Return) -> Json:
    return {
        "number": back.number,
        "web_id": back.web_id,
        "warehouse": back.warehouse,
        "items": {part.line: _pieces(part, f"Return {back.number}") for part in back.parts},
    }


def _pieces(part: Part, what: str) -> int:
    if part.quantity % 1:
        raise Reject(
            "part_of_a_piece",
            f"{what} holds {part.quantity:f} of line {part.line}; Medusa counts in whole pieces.",
            "Correct the quantity in the ERP, or sell the product in a smaller unit.",
        )
    return int(part.quantity)


def _unknown_order() -> Reject:
    return Reject(
        "unknown_order",
        "The shop has no order with this id.",
        "If the sale is none of this shop, take its web shop away in the ERP or correct the web id.",
    )
