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


def connector(conn_type: str, conn_id: str) -> Any:
    """The connector for this connection. Raises Misconfigured for a type nobody serves."""
    try:
        module, name = REGISTRY[conn_type].split(":")
    except KeyError:
        raise Misconfigured(
            f"Connection {conn_id} is of type {conn_type!r}; there are connectors for {', '.join(sorted(REGISTRY))}. "
            "Choose one of these types in Admin > Connections."
        ) from None
    return getattr(import_module(module), name).from_connection(conn_id)


def port(connector: Any, flow: str) -> Any:
    """The connector's side of a flow. Raises Misconfigured when the system cannot serve it."""
    side = getattr(connector, flow, None)
    if side is None:
        raise Misconfigured(f"The connector {type(connector).__name__} does not serve {flow}. Pause this DAG.")
    return side
