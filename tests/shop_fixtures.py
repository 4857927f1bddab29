"""A real Medusa with the ERP extension, one for the whole session; tests keep apart by their own account numbers."""

from __future__ import annotations

import itertools
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from sandbox import shop as sandbox_shop
from sandbox.fleet import Fleet
from sandbox.mailbox import Mailbox
from sandbox.place import HOST
from sandbox.postgres import Cluster
from sandbox.service import Service, free_port

CONNECTION = "crossdock_test_shop"
DATABASE = "shop_under_test"

_numbers = itertools.count(1)


class Refused(Exception):
    """The shop's answer was not 2xx."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status} {text[:500]}")
        self.status = status


def patient_session() -> requests.Session:
    """Reads once more where the shop ended an idle connection in the very moment it was used again."""
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=Retry(total=2, allowed_methods={"GET"}, backoff_factor=0.1)))
    return session


@dataclass
class Shop:
    """The running shop and who may call it: ``admin``, a visitor (``token`` None), a customer (``token``)."""

    postgres: Cluster
    url: str
    server: Service
    mailbox: Mailbox
    given: sandbox_shop.Secrets
    fleet: Fleet
    session: requests.Session = field(default_factory=patient_session)

    def call(self, method: str, path: str, body: Any = None, token: str | None = None) -> Any:
        headers = {"x-publishable-api-key": self.credentials["publishable_key"]}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        answer = self.session.request(method, self.url + path, json=body, headers=headers, timeout=60)
        if not answer.ok:
            raise Refused(answer.status_code, answer.text)
        return answer.json() if answer.headers["Content-Type"].startswith("application/json") else answer.text

    def get(self, path: str, token: str | None = None) -> Any:
        return self.call("GET", path, token=token)

    def post(self, path: str, body: Any = None, token: str | None = None) -> Any:
        return self.call("POST", path, {} if body is None else body, token)

    @cached_property
    def credentials(self) -> dict[str, str]:
        return sandbox_shop.credentials(self.postgres, DATABASE, self.given)

    @cached_property
    def admin(self) -> str:
        """The administrator's token."""
        return self.login(sandbox_shop.ADMIN, self.given.admin_password, "user")

    def login(self, email: str, password: str, actor: str = "customer") -> str:
        return str(self.post(f"/auth/{actor}/emailpass", {"email": email, "password": password})["token"])

    def set_password(self, email: str, password: str = "correct horse") -> str:
        """What the reset mail does, without the mail; logs in."""
        sandbox_shop.set_password(self.postgres, DATABASE, email, password)
        return self.login(email, password)

    def sign_up(self, email: str, password: str = "my own choice", **fields: Any) -> str:
        """What any visitor can do: register; his token."""
        token = self.post("/auth/customer/emailpass/register", {"email": email, "password": password})["token"]
        self.post("/store/customers", {"email": email.lower(), **fields}, token)
        return self.login(email, password)

    def put(self, *accounts: dict[str, Any]) -> list[dict[str, Any]]:
        """The extension's batch route; outcomes in the order of the accounts."""
        outcomes = self.post("/admin/erp/accounts/batch", {"accounts": accounts}, self.admin)["outcomes"]
        by_code = {outcome["code"]: outcome for outcome in outcomes}
        return [by_code[account["code"]] for account in accounts]

    def customer(self, email: str) -> dict[str, Any]:
        """The registered customer of an e-mail, with groups and addresses."""
        path = f"/admin/customers?email={email}&has_account=true&fields=*groups,*addresses"
        (one,) = self.get(path, self.admin)["customers"]
        return dict(one)

    def groups(self, email: str) -> list[str]:
        return sorted(group["name"] for group in self.customer(email)["groups"])

    def sql(self, statement: str) -> list[str]:
        return self.postgres.sql(statement, DATABASE)

    def kill(self) -> None:
        """As a power cut would (the database lives on)."""
        assert self.server.process
        os.killpg(self.server.process.pid, signal.SIGKILL)

    def restart(self) -> None:
        """After ``kill``."""
        self.server.stop()
        self.server.start().wait()
        self.fleet.start([])  # the record of what runs names the new process


@pytest.fixture(scope="session")
def shop(pg: Cluster, session: Path) -> Iterator[Shop]:
    """A fresh shop of the sandbox's merchant with a mailbox, and an Airflow connection to it in the environment."""
    sandbox_shop.install()
    given = sandbox_shop.Secrets.new()
    dsn = sandbox_shop.fresh(pg, DATABASE, given)
    folder = session / "shop"
    mailbox = Mailbox(folder / "mail", free_port(), free_port())
    port = free_port()
    server = sandbox_shop.service(dsn, port, folder, given, f"{HOST}:{mailbox.smtp_port}")
    fleet = Fleet(folder)
    try:
        fleet.start([mailbox.service(), server])
        fleet.wait()
        shop = Shop(pg, f"http://{HOST}:{port}", server, mailbox, given, fleet)
        os.environ[f"AIRFLOW_CONN_{CONNECTION.upper()}"] = json.dumps(
            {
                "conn_type": "medusa",
                "host": shop.url,
                "login": sandbox_shop.ADMIN,
                "password": given.admin_password,
                "extra": {"publishable_key": shop.credentials["publishable_key"]},
            }
        )
        yield shop
    finally:
        fleet.stop()
        pg.drop_database(DATABASE)


def new_account(**changes: Any) -> dict[str, Any]:
    """An account nobody else has, its buyer ``email_of(account)``."""
    code = f"T-{next(_numbers):04d}"
    base = {
        "code": code,
        "name": f"Company {code}",
        "status": "active",
        "fingerprint": "1",
        "buyers": [a_buyer(f"b1@{code.lower()}.example")],
        "addresses": [
            {
                "external_id": "a1", "name": "Yard", "address_1": "Kai 1", "postal_code": "20457", "city": "Hamburg",
                "country_code": "de", "invoice": True, "delivery": True,
            }
        ],
    }  # fmt: skip
    return {**base, **changes}


def a_buyer(email: str, external_id: str = "b1") -> dict[str, Any]:
    return {"external_id": external_id, "email": email, "first_name": "Ada", "last_name": "Roth"}


def email_of(account: dict[str, Any]) -> str:
    return str(account["buyers"][0]["email"])
