"""The Airflow of the sandbox, before any run."""

from __future__ import annotations

import pytest

from sandbox.airflow import Client
from sandbox.stack import Stack


def test_every_connection_passes_its_test_button(airflow: Client, systems: Stack) -> None:
    for connection in systems.connections():
        answer = airflow.call("POST", "/connections/test", connection)
        assert answer["status"], f"{connection['connection_id']}: {answer['message']}"


def test_every_dag_is_there_without_an_import_error_and_pools_cap_what_systems_get(airflow: Client) -> None:
    assert airflow.call("GET", "/importErrors")["import_errors"] == []
    slots = {pool["name"]: pool["slots"] for pool in airflow.call("GET", "/pools")["pools"]}
    assert slots["crossdock_erp"] == slots["crossdock_storefront"] == 4


def test_nobody_gets_in_without_a_login(systems: Stack) -> None:
    with pytest.raises(Exception, match="answered 401"):
        Client(systems.airflow.url, "admin", "guessed").call("GET", "/dags")


def test_what_a_person_has_changed_stays(airflow: Client, systems: Stack) -> None:
    airflow.call(
        "PATCH",
        "/pools/crossdock_erp?update_mask=slots",
        {"name": "crossdock_erp", "slots": 2, "include_deferred": False},
    )
    try:
        systems.connect()
        assert airflow.call("GET", "/pools/crossdock_erp")["slots"] == 2
    finally:
        airflow.call(
            "PATCH",
            "/pools/crossdock_erp?update_mask=slots",
            {"name": "crossdock_erp", "slots": 4, "include_deferred": False},
        )
