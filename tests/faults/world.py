"""One flow of one pair on the real systems, with a line to each on which faults can be laid, and a store of our own."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import psycopg
import pytest
from psycopg.rows import dict_row
from tests.erp_fixtures import RunningErp
from tests.faults.proxy import Answer, Fault, Line, Send
from tests.faults.task import run_step
from tests.shop_fixtures import DATABASE, Shop

from crossdock.errors import CrossdockError, Stop
from crossdock.sync.steps import Settled
from sandbox.place import ROOT
from sandbox.postgres import Cluster
from sandbox.service import command_line

STEPS = ("extract", "validate", "transform", "load", "settle")

_numbers = itertools.count(1)
_runs = itertools.count(1)


@dataclass
class Store:
    """The store's own PostgreSQL, which may be crashed."""

    cluster: Cluster
    dsn: str

    def crash(self) -> None:
        """``pg_ctl stop -m immediate``, and up again."""
        [pid, *_] = self.cluster.sql("SELECT pg_read_file('postmaster.pid')")
        os.kill(int(pid), signal.SIGQUIT)
        while command_line(int(pid)):
            time.sleep(0.02)
        self.cluster.start()


@dataclass
class World:
    """Each flow has its own kind, with hands on the ERP and eyes on both sides; see accounts.py, products.py."""

    flow: ClassVar[str]
    batches: ClassVar[str]
    """Calls that change the shop."""

    pair: str
    erp: RunningErp
    shop: Shop
    store: Store
    erp_line: Line
    shop_line: Line
    books: dict[str, Any] = field(default_factory=dict)

    def keep_apart(self) -> dict[str, str]:
        """Make something in the ERP that holds this pair's records; the setting that makes us read no others."""
        raise NotImplementedError

    def new(self, count: int = 1, **values: Any) -> list[str]:
        """New records of the flow in the ERP; their keys."""
        raise NotImplementedError

    def in_step(self) -> dict[str, Any]:
        """The shop says what the ERP says, nothing twice. What it says."""
        raise NotImplementedError

    def numbers(self, count: int) -> list[str]:
        """Keys that nobody else has."""
        return [f"{self.pair.upper()}-{next(_numbers):04d}" for _ in range(count)]

    # ---- hands on the shop

    def kill_shop_at(self, table: str) -> Fault:
        """A fault: the shop is killed when it comes to write to this table."""

        def act(send: Send) -> Answer | None:
            over = threading.Event()
            with psycopg.connect(self.shop.postgres.dsn(DATABASE)) as lock:
                lock.execute(f"LOCK TABLE {table} IN SHARE MODE")
                threading.Thread(target=lambda: self._kill_shop_when_it_waits(table, over)).start()
                try:
                    return send()
                finally:
                    over.set()

        return act

    def _kill_shop_when_it_waits(self, table: str, over: threading.Event) -> None:
        with psycopg.connect(self.shop.postgres.dsn(DATABASE), autocommit=True) as db:
            waiting = f"SELECT 1 FROM pg_locks WHERE relation = '{table}'::regclass AND NOT granted"
            while not db.execute(waiting).fetchone():
                if over.wait(0.02):
                    return
        self.shop.kill()

    @contextmanager
    def shop_locked(self, table: str, seconds: float) -> Iterator[None]:
        """Nobody can write to this table for so long."""
        with psycopg.connect(self.shop.postgres.dsn(DATABASE)) as lock:
            lock.execute(f"LOCK TABLE {table} IN SHARE MODE")
            release = threading.Timer(seconds, lock.rollback)
            release.start()
            yield
            release.join()

    # ---- runs

    def sync(self, name: str = "", **params: Any) -> Settled:
        """A whole run as the DAG drives it. When a step fails, settle must fail as well."""
        name = name or self.new_run()
        try:
            for step in STEPS[:-1]:
                if not self.step(step, name, **params):
                    break
        except CrossdockError:
            with pytest.raises(Stop):
                self.step("settle", name, **params)
            raise
        settled: Settled = self.step("settle", name, **params)
        return settled

    def heals(self) -> dict[str, Any]:
        """The next run brings the shop to what the ERP says, nothing twice. What it says then."""
        assert self.sync().state == "success"
        return self.in_step()

    def step(self, step: str, name: str, **params: Any) -> Any:
        result, run = run_step(self.flow, step, name, self.pair, **params)
        self.books = run.books.as_json()
        return result

    def task(self, step: str, name: str, *dies: str) -> subprocess.CompletedProcess[str]:
        """A step in a process of its own, see task.py."""
        return subprocess.run(
            [sys.executable, "-m", "tests.faults.task", self.flow, step, name, self.pair, *dies],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": "include"}, capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    def until_killed(self, step: str, function: str, **params: str) -> str:
        """A run whose task for this step was killed in place of this function; its name."""
        name = self.new_run()
        for before in STEPS[: STEPS.index(step)]:
            assert self.step(before, name, **params)
        killed = self.task(step, name, function, *(f"{param}={value}" for param, value in params.items()))
        assert killed.returncode == -9, killed.stderr
        return name

    def new_run(self) -> str:
        return f"{self.pair}-{next(_runs)}"

    # ---- eyes on the store

    def query(self, text: str, *values: Any) -> list[dict[str, Any]]:
        with psycopg.connect(self.store.dsn, row_factory=dict_row, options="-c search_path=crossdock") as db:
            return db.execute(text, values).fetchall()

    def last_run(self) -> dict[str, Any]:
        [row] = self.query("SELECT * FROM run WHERE pair = %s ORDER BY started_at DESC, id DESC LIMIT 1", self.pair)
        return row

    def ledger(self) -> list[dict[str, Any]]:
        """With the transaction that wrote each row: whatever touches one shows."""
        return self.query("SELECT xmin::text, * FROM ledger WHERE pair = %s ORDER BY key", self.pair)

    def quarantined(self) -> dict[str, dict[str, Any]]:
        """Our records that are in quarantine, by key: the ERP holds others, too."""
        rows = self.query(
            "SELECT * FROM quarantine WHERE pair = %s AND resolved_at IS NULL AND starts_with(key, %s)",
            self.pair, f"{self.pair.upper()}-",
        )  # fmt: skip
        return {row["key"]: row for row in rows}

    def watermark(self) -> list[Any]:
        return [row["until"] for row in self.query("SELECT until FROM watermark WHERE pair = %s", self.pair)]

    # ---- eyes on the shop

    def writes(self) -> int:
        return self.shop_line.seen(self.batches)

    def listed(self, what: str, query: str) -> Iterator[dict[str, Any]]:
        """All of this kind that the shop's administrator sees."""
        page, offset = [{}], 0
        while page:
            path = f"/admin/{what}?limit=500&offset={offset}&order=id&{query}"
            page = self.shop.get(path, self.shop.admin)[what.replace("-", "_")]
            yield from page
            offset += len(page)
