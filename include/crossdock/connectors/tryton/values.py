"""Tryton's JSON: decimals, dates and bytes travel as objects with a ``__class__``. Pure functions.

Source: trytond 8.0, ``protocols/jsonrpc.py``. Date-times are UTC without saying so.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

_CLOCK = ("year", "month", "day", "hour", "minute", "second", "microsecond")


def dumps(value: Any) -> bytes:
    """JSON for Tryton. A datetime must be aware."""
    return json.dumps(value, default=_outgoing).encode()


def loads(content: bytes) -> Any:
    """Python values of Tryton's JSON: Decimal, aware datetime, date, timedelta, bytes."""
    return json.loads(content, object_hook=_incoming)


def _outgoing(value: Any) -> dict[str, Any]:
    if isinstance(value, Decimal):
        return {"__class__": "Decimal", "decimal": str(value)}
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a datetime without a zone means nothing to another system")
        utc = value.astimezone(UTC)
        return {"__class__": "datetime", **{name: getattr(utc, name) for name in _CLOCK}}
    if isinstance(value, date):
        return {"__class__": "date", **{name: getattr(value, name) for name in _CLOCK[:3]}}
    if isinstance(value, timedelta):
        return {"__class__": "timedelta", "seconds": value.total_seconds()}
    if isinstance(value, bytes):
        return {"__class__": "bytes", "base64": base64.b64encode(value).decode()}
    raise TypeError(f"{type(value).__name__} cannot be told to Tryton")


def _incoming(value: dict[str, Any]) -> Any:
    match value.get("__class__"):
        case "Decimal":
            return Decimal(value["decimal"])
        case "datetime":
            return datetime(**{name: value[name] for name in _CLOCK}, tzinfo=UTC)
        case "date":
            return date(*(value[name] for name in _CLOCK[:3]))
        case "timedelta":
            return timedelta(seconds=value["seconds"])
        case "bytes":
            return base64.b64decode(value["base64"])
        case _:
            return value
