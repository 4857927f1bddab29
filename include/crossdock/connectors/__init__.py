"""Connectors: one folder per system. The type of an Airflow connection chooses one of them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from crossdock.errors import Misconfigured

REGISTRY = {
    "tryton": "crossdock.connectors.tryton.adapter:Tryton",
    "medusa": "crossdock.connectors.medusa.adapter:Medusa",
    "crossdock_3pl": "crossdock.connectors.threepl.adapter:ThreePl",
}
"""Connection type -> connector class. A new system is a folder and a line here."""


def connector(connection: Any) -> Any:
    """The connector for this connection of Airflow's. Raises Misconfigured for a type nobody serves."""
    conn_type = connection.conn_type or ""
    try:
        module, name = REGISTRY[conn_type].split(":")
    except KeyError:
        known = ", ".join(sorted(REGISTRY))
        raise Misconfigured(
            f"Connection {connection.conn_id} is of type {conn_type!r}; there are connectors for {known}. "
            "Choose one of these types in Admin > Connections."
        ) from None
    return getattr(import_module(module), name).from_connection(connection.conn_id, connection)


def port(connector: Any, flow: str) -> Any:
    """The connector's side of a flow. Raises Misconfigured when the system cannot serve it."""
    side = getattr(connector, flow, None)
    if side is None:
        raise Misconfigured(f"The connector {type(connector).__name__} does not serve {flow}. Pause this DAG.")
    return side
