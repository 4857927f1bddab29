"""What stirs in Tryton shows in the flow that it concerns, and in no other."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from tests.erp_fixtures import CONNECTION, RunningErp
from tests.office import Office

from crossdock.connectors.tryton.adapter import Tryton
from crossdock.connectors.tryton.hook import TrytonHook
from crossdock.connectors.tryton.stirrings import Stirrings

pytestmark = pytest.mark.e2e

FLOWS = ("customers", "items", "inventory", "order_status", "offline_orders", "invoices", "prices")


@pytest.fixture(scope="module")
def stirrings(erp: RunningErp) -> Stirrings:
    return Tryton.from_connection(CONNECTION).stirrings


@pytest.fixture
def news(stirrings: Stirrings):
    """Which flows have new marks since the last call."""
    since = stirrings.now() - timedelta(seconds=2)
    seen = {flow: stirrings.stirred(flow, since) for flow in FLOWS}

    def look() -> set[str]:
        marks = {flow: stirrings.stirred(flow, since) for flow in FLOWS}
        new = {flow for flow in FLOWS if marks[flow] - seen[flow]}
        seen.update(marks)
        return new

    return look


def test_a_party_is_news_of_customers(erp, news):
    _, party = erp.account()
    assert news() == {"customers", "prices"}
    assert news() == set()
    for model, values in (
        ("party.address", {"city": "Kiel"}),
        ("party.contact_mechanism", {"name": "Ada Lund"}),
        ("party.identifier", {"code": "CRM-1"}),
    ):
        erp.admin(f"model.{model}.write", erp.children(party, model)[:1], values)
        assert news() == {"customers"}, model


def test_an_archived_party_is_news_too(erp, news):
    _, party = erp.account()
    news()
    erp.admin("model.party.party.write", [party], {"active": False})
    assert news() == {"customers", "prices"}


def test_what_we_write_of_parties_ourselves_is_no_news(erp, news):
    _, party = erp.account()
    news()
    ours = TrytonHook(CONNECTION)
    [address] = ours.write("model.party.address.create", [{"party": party, "party_name": "A guest"}])
    assert news() == set()
    erp.admin("model.party.address.write", [address], {"city": "Kiel"})
    assert news() == {"customers"}
    ours.write("model.party.address.write", [address], {"city": "Lübeck"})
    assert news() == set()


def test_prices_lists_and_who_has_them_are_news_of_prices(erp, news):
    _, template = erp.product()
    [price_list] = erp.admin.create("product.price_list", {"name": "Spring"})
    [line] = erp.admin.create("product.price_list.line", {"price_list": price_list, "formula": "unit_price * 0.9"})
    _, party = erp.account()
    assert "prices" in news()
    erp.admin("model.product.price_list.line.write", [line], {"formula": "unit_price * 0.8"})
    assert news() == {"prices"}
    erp.admin("model.party.party.write", [party], {"sale_price_list": price_list})
    assert news() >= {"prices"}
    erp.admin("model.product.template.write", [template], {"list_price": Decimal("12.34")})
    assert news() >= {"prices"}
    assert news() == set()


def test_a_product_is_news_of_items_and_its_price_one_of_prices(erp, news):
    _, template = erp.product()
    assert news() == {"items", "prices"}
    erp.admin(
        "model.product.product.write", erp.rows_of("product.product", "template", template)[:1], {"description": "New."}
    )
    assert news() == {"items", "prices"}


def test_stock_that_moves_is_news_of_inventory(erp, news):
    _, template = erp.product()
    news()
    [warehouse] = erp.admin.rows("stock.location", [["code", "=", "WH-HAM"]], "storage_location")
    product = erp.rows_of("product.product", "template", template)[0]
    [count] = erp.admin.create("stock.inventory", {
        "location": warehouse["storage_location"], "empty_quantity": "keep",
        "lines": [["create", [{"product": product, "quantity": 5.0}]]],
    })  # fmt: skip
    erp.admin("model.stock.inventory.confirm", [count])
    assert news() == {"inventory"}


def test_sales_shipments_and_returns_are_news_of_orders(erp, news):
    office = Office(erp)
    sale = office.order(confirm=False)
    assert news() == {"customers", "prices", "order_status", "offline_orders"}
    erp.admin.press("sale.sale", "confirm", [sale])
    [shipment] = office.warehouse.shipments(sale)
    office.warehouse.leave(shipment)
    back = office.warehouse.take_back(sale)
    news()
    office.write("stock.shipment.out", shipment, shipping_reference="T5")
    assert news() == {"order_status", "offline_orders"}
    [row] = erp.admin("model.sale.sale.read", [back], ["shipment_returns"])
    erp.admin.press("stock.shipment.out.return", "receive", row["shipment_returns"])
    assert news() == {"inventory", "order_status", "offline_orders", "invoices"}  # a credit note is drafted


def test_invoices_credit_notes_and_payments_are_news_of_who_shows_them(erp, news):
    office = Office(erp)
    invoice = office.invoice(payment_term=office.term("Two parts", 10, 40))
    assert news() == {"customers", "prices", "order_status", "invoices"}
    note = office.invoice(office.invoiced_line(-0.5))
    assert news() == {"order_status", "invoices"}
    office.payment(invoice, "10.00")
    assert news() == {"order_status", "invoices"}
    office.pay(office.invoice(), "19.00")
    assert news() == {"order_status", "invoices"}
    assert news() == set()
    office.settle_first(invoice, note)
    assert "invoices" in news()


def test_a_tryton_without_payments_is_asked_for_none(erp, stirrings, monkeypatch):
    asked = []
    monkeypatch.setitem(stirrings.__dict__, "_modules", frozenset({"sale"}))
    monkeypatch.setattr(stirrings, "_newest", lambda table, since: asked.append(table.model) or [])
    stirrings.stirred("invoices", stirrings.now())
    assert asked == ["account.invoice", "account.move.reconciliation"]


def test_a_flow_that_nobody_hurries_with_has_no_news(stirrings):
    assert stirrings.stirred("shipping_advice", stirrings.now() - timedelta(days=1)) == set()
