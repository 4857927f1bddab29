"""Crossdock as a candidate: ``python -m tests.bench.ours stage|extract URL DSN``, prints what it used.

``stage`` reads, stages and compares with the ledger: nothing is parsed, as in a run where nothing is
new. ``extract`` is the engine's whole step.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import psycopg
from tests.bench.source import PagesSource

from crossdock.ports import Found, Window
from crossdock.store.postgres import PostgresStore
from crossdock.sync import steps
from crossdock.sync.flows import CUSTOMERS
from crossdock.sync.run import Run, Verdict


class _EmptyTarget:
    """What extract asks of a target: nothing has been sent to this one."""

    name = "Nowhere"
    version = "1"

    def find(self, keys: Collection[str]) -> dict[str, Found]:
        return {}


class OpenGate:
    """Lets everything pass: Great Expectations is not what is measured here."""

    def check(self, suite: str, relation: str, count: int) -> Verdict:
        return Verdict()


def _stage(run: Run) -> None:
    """The first half of ``steps.extract``, as it does it."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    run.store.open(run)
    run.until = run.source.now()
    with tempfile.TemporaryFile() as spool:
        for page in run.store.stage_rows(run, run.source.changed(Window(None, run.until)), "w", run.source.version):
            spool.write(page)
        run.store.sort_out(run, run.store.compare(run))


def megabytes(name: str) -> float:
    """VmRSS (now) or VmHWM (peak) of this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0]) / 1024


def main(step: str, url: str, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        target: Any = _EmptyTarget()
        run = Run("default", CUSTOMERS, "bench", PagesSource(url), target, PostgresStore(connection), gate=target)
        imports, bare = time.process_time(), megabytes("VmRSS")
        {"stage": _stage, "extract": steps.extract}[step](run)
        inner = time.process_time() - imports
        said = {"imports": imports, "inner": inner, "bare_mb": bare, "peak_mb": megabytes("VmHWM"), "run": run.id}
        print(
            json.dumps(
                said | {"read": run.books.read, "unchanged": run.books.unchanged, "staged": run.store.staged(run)}
            )
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
