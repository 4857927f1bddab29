"""The real Tryton and the real Medusa with a line to each on which faults can be laid, and a store of our own."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from tests.erp_fixtures import CONNECTION as ERP
from tests.erp_fixtures import RunningErp
from tests.faults.proxy import Answer, Line, Send
from tests.faults.task import run_step
from tests.shop_fixtures import CONNECTION as SHOP
from tests.shop_fixtures import DATABASE, Shop

from crossdock.airflow import runtime
from crossdock.airflow.pairs import Pair
from crossdock.errors import CrossdockError, Stop
from crossdock.store.migrations import upgrade
from crossdock.store.postgres import approve_target
from crossdock.sync.steps import Settled
from sandbox.merchant import BLOCKED
from sandbox.place import ROOT
from sandbox.postgres import Cluster
from sandbox.service import command_line, free_port

WRITES = "^POST /admin/erp/accounts/batch"
"""Calls that change the shop."""

_numbers = itertools.count(1)
_runs = itertools.count(1)
_pairs = itertools.count(1)


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
    """One pair on the real systems, with a party category of its own: it reads nobody else's accounts."""

    pair: str
    erp: RunningErp
    shop: Shop
    store: Store
    erp_line: Line
    shop_line: Line
    category: int
    books: dict[str, Any] = field(default_factory=dict)

    # ---- hands on the ERP

    def accounts(self, count: int = 1, **values: Any) -> list[str]:
        """New accounts with two buyers and an address each; their numbers."""
        numbers = [f"{self.pair.upper()}-{next(_numbers):04d}" for _ in range(count)]
        self.erp.admin.create("party.party", *({
            "name": f"Works {number}", "code": number, "categories": [["add", [self.category]]],
            "addresses": [["create", [{"street_unstructured": "Kai 1", "city": "Hamburg", "invoice": True}]]],
            "contact_mechanisms": [["create", [
                {"type": "email", "value": f"{name}@{number.lower()}.example", "name": f"{name.title()} Roth"}
                for name in ("ada", "ben")
            ]]],
            **values,
        } for number in numbers))  # fmt: skip
        return numbers

    def party(self, number: str) -> int:
        return self.erp.admin.id_of("party.party", ["code", "=", number], ["active", "in", [True, False]])

    def rename(self, number: str, name: str) -> None:
        self.erp.admin("model.party.party.write", [self.party(number)], {"name": name})

    def contacts(self, number: str) -> list[int]:
        return self.erp.children(self.party(number), "party.contact_mechanism")

    def set_email(self, contact: int, email: str) -> None:
        self.erp.admin("model.party.contact_mechanism.write", [contact], {"value": email})

    def dismiss(self, number: str) -> None:
        """The first buyer leaves."""
        self.erp.admin("model.party.contact_mechanism.delete", self.contacts(number)[:1])

    def block(self, numbers: list[str], how: str = "add") -> None:
        """Nobody may log in; ``remove``: they may again."""
        blocked = self.erp.id_of("party.category", BLOCKED)
        parties = self.erp.admin("model.party.party.search", [["code", "in", numbers]], 0, None, None)
        self.erp.admin("model.party.party.write", parties, {"categories": [[how, [blocked]]]})

    # ---- hands on the shop

    def kill_shop_at_work(self, send: Send) -> Answer | None:
        """A fault: the shop is killed when it has written the accounts of a batch and comes to the addresses."""
        with psycopg.connect(self.shop.postgres.dsn(DATABASE)) as lock:
            lock.execute("LOCK TABLE customer_address IN SHARE MODE")
            threading.Thread(target=self._kill_shop_when_it_waits).start()
            return send()

    def _kill_shop_when_it_waits(self) -> None:
        with psycopg.connect(self.shop.postgres.dsn(DATABASE), autocommit=True) as db:
            waiting = "SELECT 1 FROM pg_locks WHERE relation = 'customer_address'::regclass AND NOT granted"
            while not db.execute(waiting).fetchone():
                time.sleep(0.02)
        self.shop.kill()

    # ---- runs

    def sync(self, name: str = "", **params: Any) -> Settled:
        """A whole run as the DAG drives it. When a step fails, settle must fail as well."""
        name = name or self.new_run()
        try:
            for step in ("extract", "validate", "transform", "load"):
                if not self.step(step, name, **params):
                    break
        except CrossdockError:
            with pytest.raises(Stop):
                self.step("settle", name, **params)
            raise
        settled: Settled = self.step("settle", name, **params)
        return settled

    def step(self, step: str, name: str, **params: Any) -> Any:
        result, run = run_step(step, name, self.pair, **params)
        self.books = run.books.as_json()
        return result

    def task(self, step: str, name: str, *dies: str) -> subprocess.CompletedProcess[str]:
        """A step in a process of its own, see task.py."""
        return subprocess.run(
            [sys.executable, "-m", "tests.faults.task", step, name, self.pair, *dies],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": "include"}, capture_output=True, text=True, timeout=120,
        )  # fmt: skip

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

    def watermark(self) -> list[Any]:
        return [row["until"] for row in self.query("SELECT until FROM watermark WHERE pair = %s", self.pair)]

    # ---- the truth on both sides, not through any connector

    def in_erp(self) -> dict[str, Any]:
        """Account number -> name, e-mails and addresses, of the accounts that may buy."""
        parties = self.erp.admin.rows(
            "party.party", [["categories", "=", self.category]],
            "code", "name", "contact_mechanisms.type", "contact_mechanisms.value", "addresses.street", "addresses.city",
        )  # fmt: skip
        return {
            party["code"]: (
                party["name"],
                sorted(one["value"] for one in party["contact_mechanisms."] if one["type"] == "email"),
                sorted((one["street"], one["city"]) for one in party["addresses."]),
            )
            for party in parties
        }

    def in_shop(self) -> dict[str, Any]:
        """The same as the shop's own API has it. Whatever is there twice is two entries in its list."""
        prefix = f"erp:account:{self.pair.upper()}-"
        accounts: dict[str, Any] = {}
        for group in self._listed("customer-groups", "fields=name,metadata"):
            if group["name"].startswith(prefix):
                code = group["name"].removeprefix("erp:account:")
                assert code not in accounts, f"two groups of {code}"
                accounts[code] = (group["metadata"]["erp_name"], [], [])
        emails: Counter[str] = Counter()
        for customer in self._listed("customers", "has_account=true&fields=email,*groups,*addresses"):
            for group in customer["groups"]:
                if group["name"].startswith(prefix):
                    _, members, addresses = accounts[group["name"].removeprefix("erp:account:")]
                    members.append(customer["email"])
                    emails[customer["email"]] += 1
                    own = sorted((one["address_1"], one["city"]) for one in customer["addresses"])
                    assert addresses in ([], own), f"{customer['email']} has other addresses than his colleague"
                    addresses[:] = own
        assert set(emails.values()) <= {1}, "a buyer stands twice"
        for _, members, _ in accounts.values():
            members.sort()
        return accounts

    def logins(self) -> dict[str, int]:
        """E-mail -> how many logins, of the buyers of this pair who may log in."""
        rows = self.shop.sql(
            "SELECT p.entity_id, count(*) FROM provider_identity p JOIN customer c ON c.email = p.entity_id "
            "JOIN erp_login l ON l.customer_id = c.id "
            f"WHERE l.active_code LIKE '{self.pair.upper()}-%' AND p.deleted_at IS NULL AND c.deleted_at IS NULL "
            "GROUP BY 1"
        )
        return {email: int(count) for email, count in (row.split("|") for row in rows)}

    def writes(self) -> int:
        return self.shop_line.seen(WRITES)

    def _listed(self, what: str, query: str) -> Iterator[dict[str, Any]]:
        page, offset = [{}], 0
        while page:
            path = f"/admin/{what}?limit=500&offset={offset}&order=id&{query}"
            page = self.shop.get(path, self.shop.admin)[what.replace("-", "_")]
            yield from page
            offset += len(page)


@pytest.fixture(scope="session")
def store(session: Path) -> Iterator[Store]:
    cluster = Cluster(session / "faults", free_port(), password="test-only", durable=False).start()
    dsn = cluster.create_database("store")
    # what was committed must be there after a crash: the sandbox is faster, and may lose its last second
    cluster.sql("ALTER DATABASE store SET synchronous_commit = on")
    with psycopg.connect(dsn) as db:
        upgrade(db)
    yield Store(cluster, dsn)
    cluster.remove()


@pytest.fixture(scope="module")
def world(erp: RunningErp, shop: Shop, store: Store) -> Iterator[World]:
    yield from a_world("faults", erp, shop, store)


@pytest.fixture
def alone(erp: RunningErp, shop: Shop, store: Store) -> Iterator[World]:
    """A pair for one test: for many accounts, or a watermark that others had better not see."""
    yield from a_world(f"alone{next(_pairs)}", erp, shop, store)


def a_world(pair: str, erp: RunningErp, shop: Shop, store: Store) -> Iterator[World]:
    """It has one account, which is in the shop already."""
    [category] = erp.admin.create("party.category", {"name": f"Customers of {pair}"})
    lines = Line(erp.url), Line(shop.url)
    with pytest.MonkeyPatch.context() as patch:
        for side, line, given in zip(("ERP", "STOREFRONT"), lines, (ERP, SHOP), strict=True):
            connection = json.loads(os.environ[f"AIRFLOW_CONN_{given.upper()}"])
            extra = connection["extra"] | ({"customer_category": f"Customers of {pair}"} if side == "ERP" else {})
            patch.setenv(
                f"AIRFLOW_CONN_CROSSDOCK_{side}__{pair.upper()}",
                json.dumps({**connection, "host": line.url, "extra": extra}),
            )
        patch.setenv("AIRFLOW_CONN_CROSSDOCK_DB", store.dsn.replace("postgresql://", "postgres://"))
        with psycopg.connect(store.dsn) as db:
            approve_target(db, pair, "storefront", runtime.fingerprint("storefront", Pair(name=pair)), "tests")
        world = World(pair, erp, shop, store, *lines, category)
        world.accounts()
        if world.sync().state == "planned":  # other tests were here before: what is there is shown first
            world.sync(plan=world.last_run()["id"])
        yield world
    for line in lines:
        line.close()
