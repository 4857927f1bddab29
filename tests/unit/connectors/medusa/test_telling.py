"""What is said to one order of the shop, and in which order; the shop's answers are played."""

from __future__ import annotations

from typing import Any

import pytest

from crossdock.connectors.medusa.telling import Telling
from crossdock.errors import AnswerLost, Reject

LINE = "ordli_1"


class Api:
    """Remembers what is posted; ``refusals``: the last word of a path -> what the shop says to it."""

    extension: str | None = "1"

    def __init__(self, **refusals: Reject) -> None:
        self.posted: list[tuple[str, Any]] = []
        self.refusals = {name.replace("_", "-"): refusal for name, refusal in refusals.items()}

    def post(self, path: str, body: Any) -> dict[str, Any]:
        last = path.split("?")[0].replace("/admin/erp/", "/admin/").removeprefix("/admin/orders/order_1").strip("/")
        last = last or "order"
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
    changes = {"returns": [], **changes}
    return {
        "id": "order_1", "status": "pending", "currency_code": "eur", "metadata": None, "items": [item],
        "fulfillments": [], "payment_collections": [], **changes,
    }  # fmt: skip


def said(*shipments: dict[str, Any], status: str = "partly sent", **more: Any) -> dict[str, Any]:
    nothing: dict[str, Any] = {"returns": [], "credit_notes": [], "refunds": []}
    return {"number": "101", "status": status, "promised": "", "shipments": list(shipments), **nothing, **more}


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
    busy = Reject("conflict", "Medusa answers 409: Another call is at work on this order.", "")
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
    given = {"id": "ref_1", "amount": refunded, "metadata": None}
    payments = [{"captures": [{"amount": 2}, {"amount": 3}], "refunds": [given]}]
    api = Api()
    there = order(payment_collections=[{"payments": payments}, {"payments": None}])
    if len(calls) == 1:
        with pytest.raises(Reject, match=r" 1\.00 is paid"):
            tell(api, there, said(status="cancelled"))
    else:
        tell(api, there, said(status="cancelled"))
    assert api.calls == calls


def sent(**back: int) -> list[dict[str, Any]]:
    return [{"id": LINE, "variant_sku": "WJ1", "detail": {"quantity": 5, "fulfilled_quantity": 5, **back}}]


def came_back(quantity: int = 2, web_id: str | None = None) -> dict[str, Any]:
    return {"number": "R1", "web_id": web_id, "warehouse": "WH", "items": {LINE: quantity}}


def a_return(quantity: int, status: str = "received", **more: Any) -> dict[str, Any]:
    items = [{"item_id": LINE, "quantity": quantity}]
    return {"id": "return_1", "status": status, "metadata": {"erp_return": "R1"}, "items": items, **more}


def test_what_came_back_is_received_and_what_is_received_already_is_not() -> None:
    api = Api()
    tell(api, order(items=sent()), said(returns=[came_back()]))
    assert api.posted[0] == (
        "returns", {"number": "R1", "items": [{"id": LINE, "quantity": 2}], "location_id": "sloc_1"},
    )  # fmt: skip
    assert api.calls == ["returns", "order"]
    for there in (a_return(2), a_return(2, id="return_9", metadata=None)):
        api = Api()
        web_id = None if there["metadata"] else "return_9"
        tell(api, order(items=sent(), returns=[there]), said(returns=[came_back(web_id=web_id)]))
        assert api.calls == ["order"]


def test_a_return_of_the_shop_is_received_once_all_of_it_is_there() -> None:
    asked = a_return(2, "requested", metadata=None)
    api = Api()
    note = tell(api, order(items=sent(), returns=[asked]), said(returns=[came_back(1, web_id="return_1")]))
    assert api.calls == ["order"] and "in part" in (note or "")
    api = Api()
    tell(api, order(items=sent(), returns=[asked]), said(returns=[came_back(web_id="return_1")]))
    assert api.posted[0][1] == {"number": "R1", "items": [{"id": LINE, "quantity": 2}], "return_id": "return_1"}


def test_a_return_of_the_shop_that_was_called_off_there_is_a_conflict() -> None:
    off = a_return(2, "canceled", metadata=None)
    with pytest.raises(Reject, match="called it off"):
        tell(Api(), order(items=sent(), returns=[off]), said(returns=[came_back(web_id="return_1")]))


@pytest.mark.parametrize(
    ("back", "left"),
    [({"return_requested_quantity": 4}, 1), ({"return_received_quantity": 3, "return_dismissed_quantity": 1}, 1)],
)
def test_more_than_the_shopper_has_does_not_come_back(back: dict[str, int], left: int) -> None:
    api = Api()
    with pytest.raises(Reject, match=f"brings back 2 of WJ1 .*{left} of it"):
        tell(api, order(items=sent(**back)), said(returns=[came_back()]))
    assert "erp_fingerprint" not in api.posted[-1][1]["metadata"]


def test_a_return_that_only_the_erp_thinks_the_shop_has_is_a_conflict() -> None:
    with pytest.raises(Reject, match="return_7"):
        tell(Api(), order(items=sent()), said(returns=[came_back(web_id="return_7")]))


def paid(*refunds: dict[str, Any], captured: float = 10) -> list[dict[str, Any]]:
    return [{"payments": [{"captures": [{"amount": captured}], "refunds": list(refunds)}]}]


def paid_back(**changes: Any) -> dict[str, Any]:
    return {"number": "P1", "web_id": None, "date": "2026-11-26", "amount": "4.00", "by_shop": True, **changes}


def test_what_the_erp_paid_back_is_refunded_and_stands_in_the_metadata() -> None:
    api = Api()
    tell(api, order(payment_collections=paid()), said(refunds=[paid_back()]))
    assert api.posted[0] == ("refunds", {"number": "P1", "amount": "4.00"})
    assert api.posted[1][1]["metadata"]["erp_refunds"] == [{"number": "P1", "date": "2026-11-26", "amount": "4.00"}]


@pytest.mark.parametrize(
    ("there", "what", "named"),
    [
        pytest.param([{"id": "ref_1", "amount": 4, "metadata": {"erp_refund": "P1"}}], {}, True, id="told before"),
        pytest.param([{"id": "ref_1", "amount": 4, "metadata": None}], {"web_id": "ref_1"}, False, id="the shop's"),
        pytest.param([], {"by_shop": False}, True, id="another way"),
    ],
)
def test_money_is_not_given_back_twice(there: list[dict[str, Any]], what: dict[str, Any], named: bool) -> None:
    api = Api()
    tell(api, order(payment_collections=paid(*there)), said(refunds=[paid_back(**what)]))
    assert api.calls == ["order"]
    assert ("erp_refunds" in api.posted[0][1]["metadata"]) is named


def test_more_than_was_paid_is_not_given_back_but_a_fraction_of_a_cent_is_no_matter() -> None:
    with pytest.raises(Reject, match=r"paid back 4.00 .*; in the shop 3.99"):
        tell(Api(), order(payment_collections=paid(captured=3.99)), said(refunds=[paid_back()]))
    api = Api()
    tell(api, order(payment_collections=paid(captured=3.9951)), said(refunds=[paid_back()]))
    assert api.calls == ["refunds", "order"]


def test_the_same_money_is_not_promised_to_two_refunds() -> None:
    api = Api()
    with pytest.raises(Reject, match="payment P2"):
        tell(api, order(payment_collections=paid()), said(refunds=[paid_back(amount="7.00"), paid_back(number="P2")]))
    assert api.calls == ["refunds", "order"]


def test_an_order_that_the_erp_cancelled_and_paid_back_is_cancelled() -> None:
    api = Api()
    there = order(payment_collections=paid(captured=4))
    tell(api, there, said(status="cancelled", refunds=[paid_back()]))
    assert api.calls == ["refunds", "order", "cancel"]


def test_a_stock_medusa_is_told_what_can_be_written_to_it() -> None:
    api = Api()
    api.extension = None
    note = tell(api, order(items=sent(), payment_collections=paid()),
                said(returns=[came_back()], refunds=[paid_back()]))  # fmt: skip
    assert api.calls == ["order"] and "R1" in (note or "") and "P1" in (note or "")


def test_what_cannot_be_done_in_the_shop_says_why_and_the_rest_is_told() -> None:
    busy = Reject("invalid", "Medusa answers 400: Another change of the order is open in the shop", "")
    api = Api(returns=busy)
    with pytest.raises(Reject, match="Another change") as caught:
        tell(api, order(items=sent(), payment_collections=paid()), said(returns=[came_back()], refunds=[paid_back()]))
    assert caught.value.code == "conflict" and api.calls == ["returns", "refunds", "order"]
