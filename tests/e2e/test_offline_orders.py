"""The buyer's own history, the whole way: people at work in the real ERP, Airflow, a buyer in the real shop."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from tests.e2e.product import Product
from tests.office import Office
from tests.warehouse import today

from sandbox import opening
from sandbox.buyers import Shop
from sandbox.merchant import CUSTOMERS
from sandbox.service import SandboxError

HISTORY = "offline_orders_history"
MONTHS = 5
PARTY = "T7001"


class Customer:
    """As much of ``RunningErp`` as an office needs: the ERP, and one account more."""

    def __init__(self, product: Product) -> None:
        self.admin = product.erp

    def account(self) -> tuple[str, int]:
        category = self.admin.id_of("party.category", ["name", "=", CUSTOMERS])
        [party] = self.admin.create("party.party", {
            "name": "Phone Works", "code": PARTY, "categories": [["add", [category]]],
            "addresses": [["create", [{"street_unstructured": "Kai 1", "city": "Hamburg", "invoice": True}]]],
            "contact_mechanisms": [["create", [
                {"type": "email", "value": "ada@phone-works.example", "name": "Ada Roth"}
            ]]],
        })  # fmt: skip
        return PARTY, party


@pytest.fixture(scope="module")
def goods(product: Product) -> list[str]:
    """SKUs that can be bought."""
    product.only("customers", "items", "pricing", "inventory")
    for dag, flow in (("customers", ""), ("items", ""), ("pricing", "prices"), ("inventory", "")):
        product.sync(dag, flow)
    return opening.goods(product.stack)


@pytest.fixture(scope="module")
def office(product: Product, goods: list[str]) -> Office:
    """Of a new customer, whom the shop knows; history and schedule are at work."""
    office = Office(Customer(product))
    product.only("customers")
    product.sync()
    return office


@pytest.fixture(scope="module")
def history(product: Product, office: Office) -> list[dict[str, Any]]:
    """Runs of a backfill of some months, newest first; two were broken off in the middle and cleared.

    The month that is over is the schedule's: Airflow 3.3's scheduler ends if both make the same run at a time.
    """
    product.only(HISTORY)
    body = {
        "dag_id": HISTORY, "from_date": f"{month(MONTHS + 1)}T00:00:00Z", "to_date": f"{month(2)}T00:00:00Z",
        "run_backwards": True, "max_active_runs": 2,
    }  # fmt: skip
    product.airflow.call("POST", "/backfills", body)
    broken = [broken_off(product) for _ in range(2)]
    runs = ended(product)
    for run in broken:
        product.airflow.call("POST", f"/dags/{HISTORY}/dagRuns/{quote(run, safe='')}/clear", {"dry_run": False})
    assert {run["state"] for run in runs if run["dag_run_id"] in broken} == {"failed"}
    return ended(product)


def month(ago: int) -> date:
    """The first day of the month so many months ago."""
    years, number = divmod(today().year * 12 + today().month - 1 - ago, 12)
    return date(years, number + 1, 1)


def broken_off(product: Product) -> str:
    """The id of a run that was at work, and is failed by hand: its tasks are killed."""
    path = f"/dags/{HISTORY}/dagRuns"
    run = until(lambda: product.airflow.call("GET", f"{path}?state=running&limit=1")["dag_runs"])[0]["dag_run_id"]
    tasks = f"{path}/{quote(run, safe='')}/taskInstances?state=running&limit=1"
    until(lambda: product.airflow.call("GET", tasks)["task_instances"])
    product.airflow.call("PATCH", f"{path}/{quote(run, safe='')}", {"state": "failed"})
    return str(run)


def ended(product: Product) -> list[dict[str, Any]]:
    """All runs of the backfill, once none is under way."""
    path = f"/dags/{HISTORY}/dagRuns?run_type=backfill&limit=100"

    def over() -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = product.airflow.call("GET", path)["dag_runs"]
        return [] if {"queued", "running"} & {run["state"] for run in runs} else runs

    return until(over, 600)


def until(so: Callable[[], Any], seconds: float = 300) -> Any:
    deadline = time.monotonic() + seconds
    while not (said := so()):
        assert time.monotonic() < deadline
        time.sleep(0.25)
    return said


@pytest.fixture(scope="module")
def schedule(product: Product, history: list[dict[str, Any]]) -> None:
    product.only("customers", "offline_orders")
    assert product.sync("offline_orders", "invoices")["state"] == "success"


@pytest.fixture(scope="module")
def buyer(product: Product, office: Office) -> Shop:
    return product.as_buyer("ada@phone-works.example")


def documents(buyer: Shop, query: str = "") -> list[dict[str, Any]]:
    return list(buyer.call(f"/store/erp/documents?limit=100{query}")["documents"])


def shown(buyer: Shop, number: str) -> dict[str, Any]:
    [found] = documents(buyer, f"&q={quote(number)}")
    return found


def of_the_erp(product: Product, code: str, since: date) -> dict[str, tuple[Decimal, Decimal]]:
    """Number -> total and open balance of an account's invoices and credit notes, by the ERP itself."""
    which = [
        ["party.code", "=", code], ["type", "=", "out"], ["state", "in", ["posted", "paid", "cancelled"]],
        ["invoice_date", ">=", since], ["number", "!=", None],
    ]  # fmt: skip
    rows = product.erp.rows("account.invoice", which, "number", "total_amount", "amount_to_pay")
    return {row["number"]: (row["total_amount"], row["amount_to_pay"]) for row in rows}


def test_a_backfill_brings_each_month_once_though_two_were_broken_off(product: Product, history) -> None:
    assert len(history) == MONTHS and {run["state"] for run in history} == {"success"}
    proofs = [
        task["state"]
        for run in history
        for task in product.airflow.tasks(HISTORY, run["dag_run_id"])
        if task["task_id"].endswith(".prove")
    ]
    assert proofs == ["success"] * 2 * MONTHS
    assert product.query("SELECT 1 FROM crossdock.watermark WHERE flow IN ('invoices', 'offline_orders')") == []
    made = product.query("SELECT counts FROM crossdock.run WHERE flow = 'invoices' AND counts ->> 'created' > '0'")
    told = product.one("SELECT count(*) FROM crossdock.ledger WHERE flow = 'invoices' AND target_id IS NOT NULL")
    assert sum(row["counts"]["created"] for row in made) == told["count"] > 10


def test_each_buyer_sees_the_documents_of_his_account_and_nobody_elses(product: Product, history) -> None:
    since, until = month(MONTHS + 1), month(1)
    for code in ("C0003", "C0005"):
        buyer = product.as_buyer(sorted(product.members(code))[0])
        seen = documents(buyer, f"&kind=invoice&kind=credit_note&from={since}&until={until}")
        here = {one["number"]: (Decimal(one["total"]), Decimal(one["open"])) for one in seen}
        there = of_the_erp(product, code, since)
        dated = {
            row["number"]
            for row in product.erp.rows("account.invoice", [["invoice_date", "<", until]], "number")
        }  # fmt: skip
        assert here == {number: figures for number, figures in there.items() if number in dated}
        assert {one["account"] for one in documents(buyer)} <= {code}
    visitor = Shop(product.shop.url, {"x-publishable-api-key": product.shop.headers["x-publishable-api-key"]})
    with pytest.raises(SandboxError, match="401"):
        visitor.call("/store/erp/documents")


def test_the_same_months_again_write_nothing(product: Product, history) -> None:
    product.only(HISTORY)
    run = history[0]["dag_run_id"]
    product.airflow.call("POST", f"/dags/{HISTORY}/dagRuns/{quote(run, safe='')}/clear", {"dry_run": False})
    assert {one["state"] for one in ended(product)} == {"success"}
    for flow in ("invoices", "offline_orders"):
        [row] = product.query("SELECT counts FROM crossdock.run WHERE flow = %s AND airflow_run = %s", flow, run)
        assert row["counts"]["created"] == row["counts"]["updated"] == row["counts"]["removed"] == 0


def test_an_invoice_its_payment_and_a_credit_note_are_in_the_account_within_moments(
    product: Product, office: Office, schedule: None, buyer: Shop
) -> None:
    invoice = office.invoice()
    number = office.number(invoice)
    until(lambda: documents(buyer, f"&q={quote(number)}"))
    assert shown(buyer, number)["open"] == "119.00"
    office.pay(invoice, "19.00")
    until(lambda: shown(buyer, number)["open"] == "100.00")
    assert shown(buyer, number)["status"] == "partly paid"
    note = office.number(office.credit(invoice))
    until(lambda: documents(buyer, f"&kind=credit_note&q={quote(note)}"))
    [owed] = buyer.call("/store/erp/documents/balance")["balance"]
    [party] = product.erp("model.party.party.read", [office.party], ["receivable"])
    assert Decimal(owed["open"]) == party["receivable"]


def test_a_document_is_opened_by_the_buyer_who_wishes_it(office: Office, schedule: None, buyer: Shop) -> None:
    [document, *_] = documents(buyer, "&kind=invoice")
    request = urllib.request.Request(f"{buyer.url}/store/erp/documents/{document['id']}/file", headers=buyer.headers)

    def printed() -> bytes:
        with urllib.request.urlopen(request) as answer:
            return answer.read() if answer.status == 200 else b""

    assert until(printed).startswith((b"PK", b"%PDF", b"<?xml"))


def test_a_phone_order_is_ordered_again_at_todays_price(
    product: Product, office: Office, schedule: None, buyer: Shop, goods: list[str]
) -> None:
    [good] = product.erp.rows("product.product", [["code", "=", goods[0]]], "template.sale_uom")
    line = office.line(2, price="1.0000", product=good["id"], unit=good["template."]["sale_uom"])
    number = office.number(office.order(line, {"type": "line", **free_text(office)}), "sale.sale")
    until(lambda: documents(buyer, f"&kind=order&q={quote(number)}"))
    again = buyer.call(f"/store/erp/documents/{shown(buyer, number)['id']}/reorder", {})
    assert again["added"] == [{"sku": goods[0], "quantity": 2}]
    assert [one["reason"] for one in again["skipped"]] == ["free_text"]
    [item] = buyer.call(f"/store/carts/{again['cart_id']}")["cart"]["items"]
    assert item["unit_price"] > 1


def free_text(office: Office) -> dict[str, Any]:
    return {"description": "Delivered to the third floor", "quantity": 1, "unit_price": Decimal("5.0000")}
