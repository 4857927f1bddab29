"""What an operator sees, in a real browser. Optional for users: skipped where there is no Chromium."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e import browser

from sandbox import merchant
from sandbox.place import ROOT

pytestmark = pytest.mark.skipif(not browser.installed(), reason="Chromium is not installed")

PICTURES = ROOT / ".run" / "pictures"


@pytest.fixture(scope="module")
def page(airflow, tmp_path_factory) -> Iterator[browser.Browser]:
    airflow.unpause("customers")
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
        deadline = time.monotonic() + 120
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


def test_the_connection_form_speaks_the_systems_words(page, airflow):
    page.text(f"{airflow.url}/connections", "crossdock_erp")
    page.picture(PICTURES / "connections.png")


def test_the_asset_graph_shows_who_wakes_whom(page, airflow):
    page.text(f"{airflow.url}/assets", "crossdock_customers")
    page.picture(PICTURES / "assets.png")
