"""The real thing, booted once per session: ERP, shop, store, and Airflow on top of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.product import Product

from sandbox import merchant
from sandbox.airflow import Client
from sandbox.buyers import Shop
from sandbox.fleet import Fleet
from sandbox.place import PORTS, ROOT
from sandbox.service import free_port
from sandbox.stack import Stack


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def systems(session: Path) -> Iterator[Stack]:
    """A running Tryton (the demo's merchant), an empty Medusa, a mailbox and a store; see ``Stack.facts``."""
    ports: set[int] = set()
    while len(ports) < len(PORTS):
        ports.add(free_port())
    stack = Stack(session / "stack", dict(zip(PORTS, ports, strict=True)), durable=False)
    fleet = Fleet(stack.folder)
    try:
        stack.cluster.start()
        stack.prepare()
        fleet.start(stack.systems())
        fleet.wait()
        yield stack
    finally:
        fleet.stop()
        stack.remove()


@pytest.fixture(scope="session")
def airflow(systems: Stack, session: Path) -> Iterator[Client]:
    """A running Airflow with the connections of ``systems`` and every DAG of this project, paused."""
    fleet = Fleet(session / "airflow")
    try:
        fleet.start(systems.airflow.services())
        fleet.wait()
        systems.connect()
        client = systems.airflow.client()
        client.wait_for_dags({file.stem for file in (ROOT / "dags").glob("*.py")})
        yield client
    finally:
        fleet.stop()


@pytest.fixture(scope="session")
def product(systems: Stack, airflow: Client) -> Product:
    facts = systems.facts()
    erp = merchant.Erp(facts["erp"]["url"], facts["erp"]["database"], merchant.CREDENTIALS["admin password"])
    visitor = Shop(facts["storefront"]["url"], {"x-publishable-api-key": facts["storefront"]["publishable_key"]})
    shop = visitor.log_in("user", facts["storefront"]["admin_email"], facts["storefront"]["admin_password"])
    return Product(systems, airflow, erp, shop)
