"""What is said to one order of the shop, and in which order; the shop's answers are played."""

from __future__ import annotations

from typing import Any

import pytest

from crossdock.connectors.medusa.telling import Telling
from crossdock.errors import AnswerLost, Reject

LINE = "ordli_1"


class Api:
    """Remembers what is posted; ``refusals``: the last word of a path -> what the shop says to it."""

    def __init__(self, **refusals: Reject) -> None:
        self.posted: list[tuple[str, Any]] = []
        self.refusals = {name.replace("_", "-"): refusal for name, refusal in refusals.items()}

    def post(self, path: str, body: Any) -> dict[str, Any]:
        last = path.split("?")[0].removeprefix("/admin/orders/order_1").strip("/") or "order"
        self.posted.append((last, body))
        if refusal := self.refusals.get(last.rsplit("/", 1)[-1]):
            raise refusal
        if last == "fulfillments":
            return {"order": {"fulfillments": [fulfilment("ful_1", body["metadata"]["erp_shipment"])]}}
        return {}

    @property
    def calls(self) -> list[str]:
        return [name for name, _ in self.posted]


def fulfilment(id_: str, shipment: str, shipped: str | None = None, numbers: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "id": id_, "metadata": {"erp_shipment": shipment}, "shipped_at": shipped, "delivered_at": None,
        "canceled_at": None, "labels": [{"tracking_number": number} for number in numbers],
    }  # fmt: skip


def order(**changes: Any) -> dict[str, Any]:
    item = {"id": LINE, "variant_sku": "WJ1", "detail": {"quantity": 5, "fulfilled_quantity": 0}}
    return {
        "id": "order_1", "status": "pending", "metadata": None, "items": [item], "fulfillments": [],
        "payment_collections": [], **changes,
    }  # fmt: skip


def said(*shipments: dict[str, Any], status: str = "partly sent") -> dict[str, Any]:
    return {"number": "101", "status": status, "promised": "", "shipments": list(shipments)}


def shipment(number: str = "S1", quantity: int = 2, **changes: Any) -> dict[str, Any]:
    parcels = [{"number": "T1", "url": ""}]
    fields = {"number": number, "warehouse": "WH", "status": "sent", "carrier": "DHL", "parcels": parcels}
    return {**fields, "items": {LINE: quantity}, **changes}


def tell(api: Api, there: dict[str, Any], what: dict[str, Any]) -> str | None:
    return Telling(api, there, {"WH": "sloc_1"}).tell(what, "f1")  # type: ignore[arg-type]


def test_the_fingerprint_comes_last() -> None:
    api = Api()
    assert tell(api, order(), said(shipment())) is None
    assert api.calls == ["fulfillments", "fulfillments/ful_1/shipments", "order"]
    assert api.posted[0][1] == {
        "items": [{"id": LINE, "quantity": 2}], "location_id": "sloc_1", "metadata": {"erp_shipment": "S1"},
    }  # fmt: skip
    assert api.posted[-1][1]["metadata"]["erp_fingerprint"] == "f1"


def test_nothing_is_written_where_nothing_differs() -> None:
    api = Api()
    parcels = [{"shipment": "S1", "carrier": "DHL", "number": "T1", "url": ""}]
    marks = {"erp_number": "101", "erp_status": "partly sent", "erp_parcels": parcels, "erp_fingerprint": "f1"}
    tell(api, order(metadata=marks, fulfillments=[fulfilment("ful_1", "S1", "now", ("T1",))]), said(shipment()))
    assert api.posted == []


def test_what_has_ended_is_taken_out_of_the_metadata() -> None:
    api = Api()
    tell(api, order(metadata={"erp_promised": "2026-12-01", "erp_number": "101"}), said())
    assert api.posted == [
        ("order", {"metadata": {"erp_promised": "", "erp_status": "partly sent", "erp_fingerprint": "f1"}})
    ]


def test_a_conflict_keeps_the_fingerprint_back_and_the_rest_is_told() -> None:
    api = Api()
    with pytest.raises(Reject, match="holds 9 of WJ1"):
        tell(api, order(), said(shipment(quantity=9), shipment("S2")))
    assert api.calls == ["fulfillments", "fulfillments/ful_1/shipments", "order"]
    assert "erp_fingerprint" not in api.posted[-1][1]["metadata"]


def test_what_somebody_has_done_in_between_is_no_fault() -> None:
    there = order(fulfillments=[fulfilment("ful_1", "S1")])
    done = Reject("invalid", "Medusa answers 400: Shipment has already been created", "")
    assert tell(Api(shipments=done), there, said(shipment())) is None
    delivered = Reject("invalid", "Medusa answers 400: Fulfillment has already been marked delivered", "")
    assert tell(Api(mark_as_delivered=delivered), there, said(shipment(status="delivered"))) is None


def test_somebody_at_work_on_the_same_order_is_waited_for() -> None:
    busy = Reject("conflict", "Medusa answers 409: Another call is at work on the fulfilments of this order.", "")
    with pytest.raises(AnswerLost, match="at work"):
        tell(Api(fulfillments=busy), order(), said(shipment()))


def test_of_twins_the_one_that_was_shipped_stays() -> None:
    api = Api()
    twins = [fulfilment("ful_1", "S1"), fulfilment("ful_2", "S1", "now", ("T1",)), fulfilment("ful_3", "S9")]
    tell(api, order(fulfillments=twins), said(shipment()))
    assert api.calls == ["fulfillments/ful_1/cancel", "order"]


def test_an_order_is_marked_before_it_is_cancelled_because_afterwards_it_takes_nothing() -> None:
    api = Api()
    tell(api, order(), said(status="cancelled"))
    assert api.calls == ["order", "cancel"]


@pytest.mark.parametrize(("refunded", "calls"), [(5, ["order", "cancel"]), (4, ["order"])])
def test_an_order_whose_money_was_given_back_may_be_cancelled(refunded: float, calls: list[str]) -> None:
    payments = [{"captures": [{"amount": 2}, {"amount": 3}], "refunds": [{"amount": refunded}]}]
    api = Api()
    there = order(payment_collections=[{"payments": payments}, {"payments": None}])
    if len(calls) == 1:
        with pytest.raises(Reject, match=" 1 is paid"):
            tell(api, there, said(status="cancelled"))
    else:
        tell(api, there, said(status="cancelled"))
    assert api.calls == calls
