"""All that one sandbox consists of: which databases and servers there are, and what they need of one another."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sandbox import dock, erp, shop
from sandbox.airflow import USER, Airflow
from sandbox.mailbox import Mailbox
from sandbox.place import HOST, VENV
from sandbox.postgres import Cluster
from sandbox.secret import secret
from sandbox.service import Service, run

_ERP = "erp"
_SHOP = "shop"
_STORE = "crossdock"
_ALERTS = {"from_email": "airflow@crossdock.example", "to": "operator@crossdock.example"}


@dataclass(frozen=True)
class Stack:
    """One sandbox, with all its files below ``folder``. ``ports``: as in ``place.PORTS``."""

    folder: Path
    ports: Mapping[str, int]
    durable: bool = True

    @property
    def cluster(self) -> Cluster:
        """PostgreSQL, for the store, the shop and Airflow's metadata."""
        password = secret(self.folder, "postgres")[:32]  # it stands in URLs: without the "=" of its end
        return Cluster(self.folder / "postgres", self.ports["postgres"], password, self.durable)

    @property
    def airflow(self) -> Airflow:
        return Airflow(self.folder / "airflow", self.ports["airflow"], self.cluster)

    @property
    def mailbox(self) -> Mailbox:
        return Mailbox(self.folder / "mail", self.ports["mail"], self.ports["mailbox"])

    @property
    def store(self) -> str:
        """The DSN of the store."""
        return self.cluster.dsn(_STORE)

    def prepare(self) -> bool:
        """Databases and their tables; the cluster must run. What is there stays as it is.

        If ERP or shop are made differently than when this sandbox began, or have moved to other ports,
        it begins anew, and the answer is True.
        """
        made_from = f"{erp.template().name} {shop.template(self.cluster)} {sorted(self.ports.items())}"
        note = self.folder / "made-from"
        outdated = note.exists() and note.read_text() != made_from
        if outdated:
            self.remove()
            self.cluster.start()
            shop.template(self.cluster)
        if not note.exists():
            erp.fresh(self.folder / "erp", _ERP)
            shop.fresh(self.cluster, _SHOP, self._shop_secrets)
            note.write_text(made_from)
        (self.folder / "shop").mkdir(exist_ok=True)
        if _STORE not in self.cluster.databases():
            self.cluster.create_database(_STORE)
        upgrade = [VENV / "bin" / "crossdock", "db-upgrade", "--dsn", f"postgresql:///{_STORE}"]
        run(upgrade, self.folder / "log" / "store.log", env=self.cluster.env)
        self.airflow.prepare()
        config = self.airflow.home / "crossdock.toml"
        if not config.exists():
            config.write_text(f"[pairs.default]\ngo_live = {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\n{dock.RULES}")
        return outdated

    def systems(self) -> list[Service]:
        """The servers Airflow works with: mailbox, ERP, shop."""
        mail = f"{HOST}:{self.ports['mail']}"
        storefront = shop.service(
            self.cluster.dsn(_SHOP), self.ports["storefront"], self.folder / "shop", self._shop_secrets, mail
        )
        storefront.env |= {
            "CROSSDOCK_HINT_URL": f"{self.airflow.url}/crossdock/hints/default",
            "CROSSDOCK_HINT_SECRET": self._hint_secret,
        }
        return [
            self.mailbox.service(),
            erp.service(self.folder / "erp", _ERP, self.ports["erp"]),
            storefront,
        ]

    def facts(self) -> dict[str, Any]:
        """What a script or a person needs to get into each part."""
        logins = {name: erp.CREDENTIALS[name] for name in ("user", "password", "bearer")}
        return {
            "airflow": {"url": self.airflow.url, "user": USER, "password": self.airflow.password},
            "erp": {"type": "tryton", "url": f"http://{HOST}:{self.ports['erp']}", "database": _ERP, **logins},
            "storefront": {
                "type": "medusa",
                "url": f"http://{HOST}:{self.ports['storefront']}",
                **shop.credentials(self.cluster, _SHOP, self._shop_secrets),
            },
            "db": {"dsn": self.store},
        }

    def connect(self) -> None:
        """Give a running Airflow its connections and pools, and approve writing to both systems, once.

        What is there stays as it is: a person may have changed it.
        """
        client, the_erp = self.airflow.client(), self.facts()["erp"]
        dock.first_count(self.inbox, the_erp["url"], the_erp["database"])
        for connection in self.connections():
            client.ensure("/connections", connection)
        for system in ("erp", "storefront"):
            pool = {"name": f"crossdock_{system}", "slots": 4, "description": f"Calls to the {system} at a time"}
            client.ensure("/pools", pool)
        if not self.cluster.sql("SELECT 1 FROM crossdock.target", _STORE):
            log = self.folder / "log" / "store.log"
            for side in ("erp", "storefront"):
                run([VENV / "bin" / "crossdock", "target", "approve", side], log, env=self.airflow.env())

    def connections(self) -> list[dict[str, Any]]:
        """The connections, as Airflow's REST API takes them."""
        facts = self.facts()
        the_erp, the_shop = facts["erp"], facts["storefront"]
        return [
            {
                "connection_id": "crossdock_erp", "conn_type": the_erp["type"], "host": the_erp["url"],
                "schema": the_erp["database"], "login": the_erp["user"], "password": the_erp["password"],
                "extra": json.dumps({"bearer": the_erp["bearer"], "languages": "de", **erp.ORDERS}),
            },
            {
                "connection_id": "crossdock_storefront", "conn_type": the_shop["type"], "host": the_shop["url"],
                "login": the_shop["admin_email"], "password": the_shop["admin_password"],
                "extra": json.dumps(
                    {"publishable_key": the_shop["publishable_key"], "hint_secret": self._hint_secret}
                ),
            },
            {
                "connection_id": "crossdock_3pl", "conn_type": "crossdock_3pl",
                "extra": json.dumps({"inbox": str(self.inbox)}),
            },
            {
                "connection_id": "crossdock_db", "conn_type": "postgres", "host": HOST, "schema": _STORE,
                "port": self.ports["postgres"], "login": "crossdock", "password": self.cluster.password,
            },
            {
                "connection_id": "crossdock_smtp", "conn_type": "smtp", "host": HOST, "port": self.ports["mail"],
                "extra": json.dumps({"disable_ssl": True, "disable_tls": True, **_ALERTS}),
            },
        ]  # fmt: skip

    def remove(self) -> None:
        """Delete everything; the servers must be down."""
        self.cluster.remove()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def inbox(self) -> Path:
        """The folder of the 3PL's files."""
        return self.folder / "3pl"

    @property
    def _hint_secret(self) -> str:
        return secret(self.folder, "hints")

    @property
    def _shop_secrets(self) -> shop.Secrets:
        password, jwt, cookie = (secret(self.folder, f"shop {name}") for name in ("admin password", "jwt", "cookie"))
        return shop.Secrets(password[:20], jwt, cookie)
