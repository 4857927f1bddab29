"""Where the sandbox keeps things, and on which ports it listens."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".run" / "cache"
"""What takes long to make and is the same for the demo and the tests: templates, package caches."""
RUN = Path(os.environ.get("CROSSDOCK_RUN", ROOT / ".run" / "demo")).resolve()
"""What belongs to one running sandbox: data, logs, secrets."""
VENV = ROOT / ".venv"
ERP_VENV = ROOT / ".run" / "erp-venv"
STOREFRONT = ROOT / "include" / "storefront"
HOST = "127.0.0.1"

_FIRST = int(os.environ.get("CROSSDOCK_PORT", "18400"))
_NAMES = ("airflow", "erp", "storefront", "postgres", "mail", "mailbox")
PORTS = {name: _FIRST + offset for offset, name in enumerate(_NAMES)}


@contextmanager
def locked(name: str) -> Iterator[None]:
    """One process at a time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
