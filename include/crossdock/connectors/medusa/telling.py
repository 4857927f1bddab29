"""One order of the shop is brought to what the ERP says of it. Calls: Medusa 2.18.0, Admin API."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from crossdock.connectors.medusa.api import Api
from crossdock.connectors.medusa.order_mapping import payable
from crossdock.errors import AnswerLost, Reject

Json = dict[str, Any]

_FULFILMENTS = (
    "fulfillments.id,fulfillments.metadata,fulfillments.shipped_at,fulfillments.delivered_at,fulfillments.canceled_at,"
    "fulfillments.labels.tracking_number"
)
_PAYMENTS = "payment_collections.payments"
FIELDS = (
    f"id,status,currency_code,metadata,*items,*items.detail,{_FULFILMENTS},*returns,*returns.items,{_PAYMENTS}.captures.amount,"
    f"{_PAYMENTS}.refunds.id,{_PAYMENTS}.refunds.amount,{_PAYMENTS}.refunds.metadata"
)
"""What must be known of an order before it is told anything."""


class Telling:
    """What is done to one order; ``locations``: warehouse's code -> id of the stock location."""

    def __init__(self, api: Api, order: Json, locations: Mapping[str, str]) -> None:
        self._api = api
        self._order = order
        self._locations = locations
        self._path = f"/admin/orders/{order['id']}"
        self._left = {item["id"]: _left(item) for item in order["items"]}
        self._kept = {item["id"]: _kept(item) for item in order["items"]}
        self._notes: list[str] = []

    def tell(self, said: Mapping[str, Any], fingerprint: str) -> str | None:
        """All that differs, the fingerprint last; a note for people. Raises Reject once all else is told."""
        refusals = []
        told: tuple[tuple[str, Callable[[Mapping[str, Any]], None]], ...] = (
            ("shipments", self._tell_of),
            ("returns", self._take_in),
            ("refunds", self._pay_back),
        )
        for kind, tell in told:
            for one in said[kind]:
                try:
                    tell(one)
                except Reject as refusal:
                    refusals.append(refusal)
        cancel = said["status"] == "cancelled" and not self._is_cancelled
        if cancel:
            try:
                self._check_it_may_be_cancelled()
            except Reject as refusal:
                refusals.append(refusal)
        self._mark(said, fingerprint if not refusals else None)
        if refusals:
            raise refusals[0]
        if cancel:
            self._post("cancel", {})
        return " ".join(self._notes) or None

    # ------------------------------------------------------------ shipments

    def _tell_of(self, shipment: Mapping[str, Any]) -> None:
        number = shipment["number"]
        there = self._fulfilment_of(number)
        if shipment["status"] == "cancelled":
            self._take_back(number, there)
            return
        if there is None:
            if not shipment["items"]:
                self._notes.append(f"Shipment {number} holds nothing that was bought in the shop.")
                return
            there = self._fulfil(shipment)
        items = _items(shipment["items"])
        if not there["shipped_at"]:
            labels = [
                {"tracking_number": parcel["number"], "tracking_url": parcel["url"], "label_url": ""}
                for parcel in shipment["parcels"]
            ]
            path = f"fulfillments/{there['id']}/shipments"
            self._post(path, {"items": items, "labels": labels}, done="already been created")
        elif late := {parcel["number"] for parcel in shipment["parcels"]} - _numbers(there):
            self._notes.append(
                f"The tracking number {', '.join(sorted(late))} came after shipment {number} was told, and Medusa adds "
                "none later: it stands in the order's metadata erp_parcels."
            )
        if shipment["status"] == "delivered" and not there["delivered_at"]:
            self._post(f"fulfillments/{there['id']}/mark-as-delivered", {}, done="already been marked delivered")

    def _fulfilment_of(self, number: str) -> Json | None:
        """The fulfilment of this shipment. Of two, made at the same moment in a stock Medusa, one is cancelled."""
        live = [
            one for one in self._order["fulfillments"]
            if (one["metadata"] or {}).get("erp_shipment") == number and not one["canceled_at"]
        ]  # fmt: skip
        live.sort(key=lambda one: (not one["shipped_at"], one["id"]))
        for twin in live[1:]:
            if not twin["shipped_at"]:
                self._cancel(twin)
        return live[0] if live else None

    def _fulfil(self, shipment: Mapping[str, Any]) -> Json:
        number, items = shipment["number"], shipment["items"]
        self._check_it_fits(number, items)
        location = self._locations.get(shipment["warehouse"])
        if location is None:
            raise _unknown_location(f"Shipment {number} left", shipment["warehouse"])
        body = {
            "items": _items(items),
            "location_id": location,
            "metadata": {"erp_shipment": number},
        }
        try:
            answer = self._post(f"fulfillments?fields=id,{_FULFILMENTS}", body)
        except Reject as refusal:
            raise _explained(refusal, number, shipment["warehouse"], self._names(items)) from None
        for line, quantity in items.items():
            self._left[line] -= quantity
            self._kept[line] += quantity
        self._order["fulfillments"] = answer["order"]["fulfillments"]
        made = self._fulfilment_of(number)
        if made is None:
            raise _gone(number)
        return made

    def _check_it_fits(self, number: str, items: Mapping[str, int]) -> None:
        if self._is_cancelled:
            raise Reject(
                "conflict",
                f"The ERP has sent shipment {number}; the order is cancelled in the shop.",
                "Let the goods come back and book their return in the ERP, or take the order up again in the shop "
                "under a new number.",
            )
        for line, quantity in items.items():
            if line not in self._left:
                raise Reject(
                    "conflict",
                    f"Shipment {number} of the ERP names the line {line}, which the order in the shop has not.",
                    "Correct the first line of the note at that sale line in the ERP: it is the shop's id of the line.",
                )
            if quantity > self._left[line]:
                raise Reject(
                    "conflict",
                    f"Shipment {number} of the ERP holds {quantity} of {self._names([line])}; in the shop "
                    f"{self._left[line]:f} of it can still be fulfilled.",
                    "Add what is missing to the order in the shop (edit it), or cancel there the fulfilment that was "
                    "made by hand; if too much was sent, book its return in the ERP. Then replay.",
                )

    def _take_back(self, number: str, there: Json | None) -> None:
        if there is None:
            return
        if there["shipped_at"]:
            raise Reject(
                "conflict",
                f"Shipment {number} is cancelled in the ERP; the shopper has been told that it was sent.",
                "If it was sent, correct the shipment in the ERP. If not, make a return in the shop and tell the "
                "shopper.",
            )
        self._cancel(there)

    def _cancel(self, fulfilment: Json) -> None:
        self._post(f"fulfillments/{fulfilment['id']}/cancel", {}, done="already canceled")
        fulfilment["canceled_at"] = "now"

    # ------------------------------------------------------------ what came back

    def _take_in(self, back: Mapping[str, Any]) -> None:
        """What came back is received in the shop, all of it at once: Medusa cannot add up (lib/returns.js)."""
        number, items = back["number"], back["items"]
        there = self._return_of(back)
        if there and there["status"] == "received":
            return
        body = {"number": number, "items": _items(items)}
        if back["web_id"]:
            if there is None or there["status"] == "canceled":
                raise Reject(
                    "conflict",
                    f"The ERP has received return {back['web_id']}; the shop "
                    f"{'has called it off' if there else 'does not have it'}.",
                    "Ask for the return in the shop and receive it there, or correct the return sale in the ERP.",
                )
            if there["status"] != "requested" or not _is_all(there, items):
                self._notes.append(f"Return {number} has come in part: receive in the shop what is there.")
                return
            body["return_id"] = back["web_id"]
        else:
            if there is None:
                self._check_it_was_kept(number, items)
            body["location_id"] = self._locations.get(back["warehouse"])
            if body["location_id"] is None:
                raise _unknown_location(f"Return {number} came to", back["warehouse"])
        if not self._api.extension:
            self._notes.append(f"Return {number} is not told: that takes the ERP extension.")
            return
        try:
            self._by_extension("returns", body)
        except Reject as refusal:
            raise Reject(
                "conflict",
                f"Return {number} of the ERP cannot be received in the shop: {refusal.reason}",
                "End the change of the order that is open in the shop, if there is one; else correct the return in the "
                "shop. Then replay.",
            ) from None
        if there is None:
            for line, quantity in items.items():
                self._kept[line] -= quantity

    def _return_of(self, back: Mapping[str, Any]) -> Json | None:
        """The shop's own return, or that which was made of the ERP's."""
        for one in self._order["returns"] or ():
            marked = (one["metadata"] or {}).get("erp_return") == back["number"] and one["status"] != "open"
            if one["id"] == back["web_id"] or (marked and not back["web_id"]):
                return dict(one)
        return None

    def _check_it_was_kept(self, number: str, items: Mapping[str, int]) -> None:
        for line, quantity in items.items():
            if quantity > self._kept.get(line, 0):
                raise Reject(
                    "conflict",
                    f"Return {number} of the ERP brings back {quantity} of {self._names([line])}; in the shop "
                    f"{self._kept.get(line, 0):f} of it was sent and neither came back nor is announced.",
                    "If the shopper has announced this return in the shop, receive it there; if the goods were sent by "
                    "hand, fulfil them in the shop. Else correct the return in the ERP. Then replay.",
                )

    def _pay_back(self, refund: Mapping[str, Any]) -> None:
        """What the ERP has paid back the way it was paid is refunded, as far as it is not yet."""
        if not refund["by_shop"] or self._is_the_shops(refund):
            return
        told = (one for one in self._refunds if (one["metadata"] or {}).get("erp_refund") == refund["number"])
        left = Decimal(refund["amount"]) - self._payable(told)
        if left <= 0:
            return
        if not self._api.extension:
            self._notes.append(f"Refund {refund['number']} is not given back: that takes the ERP extension.")
            return
        if left > self._paid:
            raise Reject(
                "conflict",
                f"The ERP has paid back {left:f} (payment {refund['number']}); in the shop {self._paid:f} of this "
                "order is left to refund.",
                "If the money took another way, book the payment in the ERP in a journal that is not the shop's; else "
                "capture the payment in the shop, then replay.",
            )
        try:
            self._by_extension("refunds", {"number": refund["number"], "amount": refund["amount"]})
        except Reject as refusal:
            raise Reject(
                "conflict",
                f"Payment {refund['number']} of the ERP cannot be refunded in the shop: {refusal.reason}",
                "End the change of the order that is open in the shop, if there is one, then replay.",
            ) from None
        mark = {"id": "", "amount": left, "metadata": {"erp_refund": refund["number"]}}
        self._payments[0]["refunds"] = [*(self._payments[0]["refunds"] or ()), mark]

    def _is_the_shops(self, refund: Mapping[str, Any]) -> bool:
        """The ERP has it from the shop."""
        return any(one["id"] == refund["web_id"] for one in self._refunds)

    @property
    def _payments(self) -> list[Json]:
        return [one for collection in self._order["payment_collections"] for one in collection["payments"] or ()]

    @property
    def _refunds(self) -> Iterator[Json]:
        return (refund for payment in self._payments for refund in payment["refunds"] or ())

    @property
    def _paid(self) -> Decimal:
        """Captured and not refunded; each payment rounded by itself."""
        return sum(
            (self._payable(one["captures"]) - self._payable(one["refunds"]) for one in self._payments), Decimal(0)
        )

    def _payable(self, moved: Iterable[Json] | None) -> Decimal:
        total = sum((Decimal(str(one["amount"])) for one in moved or ()), Decimal(0))
        return payable(total, self._order["currency_code"])

    # ------------------------------------------------------------ the order itself

    @property
    def _is_cancelled(self) -> bool:
        return bool(self._order["status"] == "canceled")

    def _check_it_may_be_cancelled(self) -> None:
        """Medusa refunds what was captured when it cancels: money is never moved unasked."""
        if (paid := self._paid) > 0:
            raise Reject(
                "conflict",
                f"The ERP has cancelled the order; in the shop {paid:f} is paid, and cancelling it there refunds all.",
                "Refund and cancel it in the shop, or sell it anew in the ERP.",
            )
        if any(not one["canceled_at"] for one in self._order["fulfillments"]):
            raise Reject(
                "conflict",
                "The ERP has cancelled the order; the shop has fulfilled some of it.",
                "Cancel the fulfilments in the shop, or make a return there; then replay.",
            )

    def _mark(self, said: Mapping[str, Any], fingerprint: str | None) -> None:
        """Medusa merges metadata, takes "" for the end of a key, and takes nothing more for a cancelled order."""
        wanted = {
            "erp_number": said["number"],
            "erp_status": said["status"],
            "erp_promised": said["promised"],
            "erp_parcels": [
                {"shipment": one["number"], "carrier": one["carrier"], **parcel}
                for one in said["shipments"]
                if one["status"] != "cancelled"
                for parcel in one["parcels"]
            ],
        }
        wanted["erp_credit_notes"] = said["credit_notes"]
        wanted["erp_refunds"] = [
            {name: one[name] for name in ("number", "date", "amount")}
            for one in said["refunds"]
            if not self._is_the_shops(one)
        ]
        if fingerprint is not None:
            wanted["erp_fingerprint"] = fingerprint
        there = self._order["metadata"] or {}
        changes = {name: value or "" for name, value in wanted.items() if (there.get(name) or "") != (value or "")}
        if changes and self._is_cancelled:
            self._notes.append("The order is cancelled in the shop, where nothing more can be written to it.")
        elif changes:
            self._post("", {"metadata": changes})

    def _post(self, path: str, body: Json, done: str | None = None) -> Json:
        """``done``: Medusa's words of refusal that say that it has been done already."""
        call = f"{self._path}/{path}".rstrip("/")
        return self._call(call if "?" in call else f"{call}?fields=id", body, done)

    def _by_extension(self, path: str, body: Json) -> None:
        """By the extension, which does what is left of it however often it is called."""
        self._call(f"/admin/erp/orders/{self._order['id']}/{path}", body)

    def _call(self, call: str, body: Json, done: str | None = None) -> Json:
        try:
            return self._api.post(call, body)
        except Reject as refusal:
            if done and done in refusal.reason:
                return {}
            if refusal.code == "conflict":
                raise AnswerLost(f"Somebody else is at work on the same order in the shop: {refusal.reason}") from None
            raise

    def _names(self, lines: Collection[str]) -> str:
        """For messages: the SKU beside the line's id."""
        skus = {item["id"]: item["variant_sku"] for item in self._order["items"]}
        return ", ".join(f"{skus.get(line) or 'an item'} (line {line})" for line in lines)


def _items(quantities: Mapping[str, int]) -> list[Json]:
    return [{"id": line, "quantity": quantity} for line, quantity in quantities.items()]


def _is_all(asked: Json, items: Mapping[str, int]) -> bool:
    return {one["item_id"]: one["quantity"] for one in asked["items"]} == dict(items)


def _left(item: Json) -> Decimal:
    detail = item["detail"]
    return Decimal(str(detail["quantity"])) - Decimal(str(detail["fulfilled_quantity"] or 0))


def _numbers(fulfilment: Json) -> set[str]:
    return {label["tracking_number"] for label in fulfilment["labels"]}


def _kept(item: Json) -> Decimal:
    """What the shopper has and has not announced to send back. (Medusa itself would take goods back twice.)"""
    detail = item["detail"]
    back = ("return_requested_quantity", "return_received_quantity", "return_dismissed_quantity")
    gone = sum((Decimal(str(detail.get(name) or 0)) for name in back), Decimal(0))
    return Decimal(str(detail["fulfilled_quantity"] or 0)) - gone


def _unknown_location(what: str, code: str) -> Reject:
    return Reject(
        "unknown_location",
        f"{what} warehouse {code}; no stock location of the shop has the erp_code {code!r}.",
        "Write erp_code with that value into the metadata of the location that stands for the warehouse, then replay.",
    )


def _gone(number: str) -> Reject:
    return Reject(
        "fulfilment_gone",
        f"The fulfilment of shipment {number} was cancelled in the shop while it was made.",
        "Replay, if it is to be fulfilled after all.",
    )


def _explained(refusal: Reject, number: str, warehouse: str, items: str) -> Reject:
    """Medusa's words for two states of its stock, in such that say what to do."""
    if "No stock reservation found" in refusal.reason:
        return Reject(
            "no_reservation",
            f"Shipment {number} holds {items}, for which the shop has no stock reserved: {refusal.reason}",
            "The shop began to count this stock after the order was placed, or somebody deleted the reservation. Make "
            "one for the order's line in the shop (Inventory > Reservations), then replay.",
        )
    if "Inventory level for item" in refusal.reason:
        return Reject(
            "no_level",
            f"Shipment {number} left warehouse {warehouse}, where the shop keeps no stock of {items}.",
            "Add that location to the items in the shop (Inventory > the item > Manage locations), or let the flow "
            "inventory write it; then replay.",
        )
    return refusal
