"""One order of the shop is brought to what the ERP says of it. Calls: Medusa 2.18.0, Admin API."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

from crossdock.connectors.medusa.api import Api
from crossdock.errors import AnswerLost, Reject

Json = dict[str, Any]

_FULFILMENTS = (
    "fulfillments.id,fulfillments.metadata,fulfillments.shipped_at,fulfillments.delivered_at,fulfillments.canceled_at,"
    "fulfillments.labels.tracking_number"
)
FIELDS = (
    f"id,status,metadata,*items,*items.detail,{_FULFILMENTS},"
    "payment_collections.payments.captures.amount,payment_collections.payments.refunds.amount"
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
        self._notes: list[str] = []

    def tell(self, said: Mapping[str, Any], fingerprint: str) -> str | None:
        """All that differs, the fingerprint last; a note for people. Raises Reject once all else is told."""
        refusals = []
        for shipment in said["shipments"]:
            try:
                self._tell_of(shipment)
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
        items = [{"id": line, "quantity": quantity} for line, quantity in shipment["items"].items()]
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
            raise _unknown_location(number, shipment["warehouse"])
        body = {
            "items": [{"id": line, "quantity": quantity} for line, quantity in items.items()],
            "location_id": location,
            "metadata": {"erp_shipment": number},
        }
        try:
            answer = self._post(f"fulfillments?fields=id,{_FULFILMENTS}", body)
        except Reject as refusal:
            raise _explained(refusal, number, shipment["warehouse"], self._names(items)) from None
        for line, quantity in items.items():
            self._left[line] -= quantity
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

    # ------------------------------------------------------------ the order itself

    @property
    def _is_cancelled(self) -> bool:
        return bool(self._order["status"] == "canceled")

    def _check_it_may_be_cancelled(self) -> None:
        """Medusa refunds what was captured when it cancels: money is never moved unasked."""
        payments = [one for collection in self._order["payment_collections"] for one in collection["payments"] or ()]
        paid = _sum(payments, "captures") - _sum(payments, "refunds")
        if paid > 0:
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
        try:
            return self._api.post(call if "?" in call else f"{call}?fields=id", body)
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


def _left(item: Json) -> Decimal:
    detail = item["detail"]
    return Decimal(str(detail["quantity"])) - Decimal(str(detail["fulfilled_quantity"] or 0))


def _numbers(fulfilment: Json) -> set[str]:
    return {label["tracking_number"] for label in fulfilment["labels"]}


def _sum(payments: list[Json], name: str) -> Decimal:
    return sum((Decimal(str(one["amount"])) for payment in payments for one in payment[name] or ()), Decimal(0))


def _unknown_location(number: str, code: str) -> Reject:
    return Reject(
        "unknown_location",
        f"Shipment {number} left warehouse {code}; no stock location of the shop has the erp_code {code!r}.",
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
