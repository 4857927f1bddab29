"""What an operator sees, in a real browser. Optional for users: skipped where there is no Chromium."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.e2e import browser

from sandbox import merchant
from sandbox.place import ROOT

pytestmark = pytest.mark.skipif(not browser.installed(), reason="Chromium is not installed")

PICTURES = ROOT / ".run" / "pictures"
DOZEN = [f"C{n:04d}" for n in range(13, 25)]


@pytest.fixture(scope="module")
def page(product, airflow, tmp_path_factory) -> Iterator[browser.Browser]:
    product.only("customers")
    airflow.run("customers")
    with browser.chromium(Path(tmp_path_factory.mktemp("chromium"))) as page:
        page.size(1500, 950)
        page.cookie("_token", airflow._token, airflow.url)
        yield page


def test_the_grid_is_readable(page, airflow):
    page.text(f"{airflow.url}/dags/customers", "extract", "validate", "transform", "load", "settle", "review")
    page.picture(PICTURES / "grid.png")


def test_the_page_shows_the_books_and_what_is_set_aside(page, airflow):
    page.text(f"{airflow.url}/plugin/crossdock", "Quarantine", "C0048", "customers", "In step until")
    page.picture(PICTURES / "crossdock.png")


def test_the_page_can_be_read_on_a_phone(page, airflow):
    page.size(390, 844)
    try:
        page.text(f"{airflow.url}/crossdock/", "Domains")
        page.picture(PICTURES / "crossdock-phone.png")
        width = page("Runtime.evaluate", expression="document.documentElement.scrollWidth")["result"]["value"]
        assert width <= 390
    finally:
        page.size(1500, 950)


def test_a_quarantined_account_is_edited_in_the_page_and_reaches_the_shop(page, airflow, product):
    """Inside Airflow's own frame, then on a page of its own."""
    mark = product.erp.id_of("party.category", ["name", "=", merchant.CUSTOMERS])
    account = {"name": "<b>Desk Works</b>", "code": "C0099", "categories": [["add", [mark]]]}
    [party] = product.erp.create("party.party", account)

    def until(query: str) -> None:
        deadline = time.monotonic() + 300
        while not product.query(query):
            assert time.monotonic() < deadline, query
            product.sync()

    def name_in_shop() -> str:
        [account] = product.shop.call("/admin/erp/accounts?code[]=C0099")["accounts"]
        group = product.shop.call(f"/admin/customer-groups/{account['id']}")["customer_group"]
        return str(group["metadata"]["erp_name"])

    is_open = "SELECT 1 FROM crossdock.quarantine WHERE key = 'C0099' AND resolved_at IS NULL"
    until(is_open)
    page.text(f"{airflow.url}/plugin/crossdock", "C0099")
    page.script("[...inner.querySelectorAll('a')].find((a) => a.textContent == 'C0099').click()")
    page.shows("holds HTML", "Save my version", "Try again as it is")
    page.script("inner.querySelector('button[value=replay]').click()")
    page.shows("It will be tried again", "To be tried again: admin")
    until(is_open + " AND attempts > 1 AND NOT replay")
    page.text(f"{airflow.url}/crossdock/record/default/customers/C0099", "Save my version")
    page.size(390, 844)
    try:
        assert page.script("document.documentElement.scrollWidth") <= 390
        page.picture(PICTURES / "record-phone.png")
    finally:
        page.size(1500, 950)
    page.picture(PICTURES / "record.png")
    page.script(
        "const box = document.querySelector('textarea');"
        "box.value = box.value.replaceAll('<b>', '').replaceAll('</b>', '');"
        "document.querySelector('button[value=edit]').click()"
    )
    page.shows("Your version is kept", "Override", "admin")
    until("SELECT 1 FROM crossdock.ledger WHERE key = 'C0099' AND target_id IS NOT NULL")
    assert name_in_shop() == "Desk Works"
    shown = page.text(f"{airflow.url}/crossdock/record/default/customers/C0099", "the version of admin went through")
    assert "Save my version" not in shown and "End the edited version" in shown
    product.erp("model.party.party.write", [party], {"name": "Desk Works Ltd"})
    until("SELECT 1 FROM crossdock.outbox WHERE key = 'C0099' AND op = 'update' AND status = 'merged'")
    assert name_in_shop() == "Desk Works Ltd"


@pytest.fixture
def blocks(product, airflow) -> Iterator[Callable[[bool], None]]:
    """Blocks a dozen accounts in the ERP at once, or lets them in again: that is more than the brake lets pass."""
    here = (
        "SELECT FROM crossdock.ledger WHERE flow = 'customers' AND key = ANY(%s) AND target_id IS NOT NULL AND NOT lost"
    )

    def block(are: bool) -> None:
        act = ["add" if are else "remove", [category]]
        product.erp("model.party.party.write", [product.party(code) for code in DOZEN], {"categories": [act]})
        airflow.trigger("customers")

    airflow.unpause("approve")
    airflow.unpause("customers")
    airflow.trigger("customers")
    until(lambda: len(product.query(here, DOZEN)) == 12)
    category = product.erp.id_of("party.category", ["name", "=", merchant.BLOCKED])
    yield block
    block(False)
    until(lambda: len(product.query(here, DOZEN)) == 12 and not states(product))


def until(so: Callable[[], Any], seconds: float = 400) -> Any:
    """Whatever ``so`` says once it is not nothing. A run that finds another one at work ends at once."""
    deadline = time.monotonic() + seconds
    while not (said := so()):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    return said


def asked(product, airflow) -> str:
    """The run of ``approve`` that waits for an answer about these accounts."""

    def waiting() -> str:
        for row in product.query("SELECT airflow_run FROM crossdock.question WHERE flow = 'customers'"):
            tasks = {task["task_id"]: task["state"] for task in airflow.tasks("approve", row["airflow_run"])}
            if tasks["customers.ask"] == "awaiting_input":
                return str(row["airflow_run"])
        return ""

    return str(until(waiting))


def states(product) -> set[str]:
    return {row["state"] for row in product.query("SELECT state FROM crossdock.held WHERE flow = 'customers'")}


def test_what_the_brake_holds_is_approved_in_the_airflow_ui(page, product, airflow, blocks):
    blocks(True)
    run = asked(product, airflow)
    assert states(product) == {"open"} and all(product.members(code) for code in DOZEN)
    question = f"{airflow.url}/dags/approve/runs/{quote(run)}/tasks/customers.ask/required_actions"
    words = ("may 12 held records be written?", DOZEN[0], DOZEN[-1], "one of 12 losses", "status", "Approve", "Refuse")
    assert "blocked" not in page.text(question, *words, seconds=240)
    page.picture(PICTURES / "approve.png")
    page.text(f"{airflow.url}/crossdock/held/default/customers", "status: active → blocked", "Approve all 12")
    page.picture(PICTURES / "held.png")
    page.text(question, "Approve", "Refuse", seconds=240)
    page.script("[...document.querySelectorAll('button')].find((one) => one.textContent == 'Approve').click()")
    airflow.finish("approve", run)
    until(lambda: not states(product))
    assert [product.members(code) for code in DOZEN] == [set()] * 12


def test_what_is_refused_leaves_the_shop_as_it_is(product, airflow, blocks):
    blocks(True)
    run = asked(product, airflow)
    path = f"/dags/approve/dagRuns/{quote(run, safe='')}/taskInstances/customers.ask/-1/hitlDetails"
    airflow.call("PATCH", path, {"chosen_options": ["Refuse"], "params_input": {}})
    airflow.finish("approve", run)
    assert states(product) == {"refused"}
    airflow.trigger("customers")
    books = "SELECT FROM crossdock.run WHERE counts @> '{\"refused\": 12, \"held\": 0}' AND state = 'success'"
    until(lambda: product.query(books))
    assert all(product.members(code) for code in DOZEN)


def test_the_connection_form_speaks_the_systems_words(page, airflow):
    page.text(f"{airflow.url}/connections", "crossdock_erp")
    page.picture(PICTURES / "connections.png")


def test_the_asset_graph_shows_who_wakes_whom(page, airflow):
    page.text(f"{airflow.url}/assets", "crossdock_customers")
    page.picture(PICTURES / "assets.png")
