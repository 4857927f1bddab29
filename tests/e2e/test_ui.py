"""What an operator sees, in a real browser. Optional for users: skipped where there is no Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e import browser

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


def test_the_connection_form_speaks_the_systems_words(page, airflow):
    page.text(f"{airflow.url}/connections", "crossdock_erp")
    page.picture(PICTURES / "connections.png")


def test_the_asset_graph_shows_who_wakes_whom(page, airflow):
    page.text(f"{airflow.url}/assets", "crossdock_customers")
    page.picture(PICTURES / "assets.png")
