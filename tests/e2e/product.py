"""The running product as a person has it: hands on the ERP, the shop and Airflow, eyes on the store."""

from __future__ import annotations

import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from sandbox import buyers, merchant
from sandbox.airflow import Client
from sandbox.buyers import Shop
from sandbox.stack import Stack


@dataclass
class Product:
    """The running product, and hands on both sides of it."""

    stack: Stack
    airflow: Client
    erp: merchant.Erp
    shop: Shop

    def sync(self, dag: str = "customers", flow: str = "", **conf: Any) -> dict[str, Any]:
        """Run a DAG now; the row of its flow, with the books. A run that found another one at work is repeated."""
        while True:
            run_id = self.airflow.trigger(dag, conf)
            self.airflow.wait(dag, run_id)
            row = self.one("SELECT * FROM crossdock.run WHERE flow = %s AND airflow_run = %s", flow or dag, run_id)
            if row["state"] != "drained":
                return row
            self.wait_until_idle(dag)

    def only(self, *dags: str) -> None:
        """From now on these DAGs alone work, by themselves too; the others stop where they are, and go on later."""
        awake = [one["dag_id"] for one in self.airflow.call("GET", "/dags?paused=false&limit=100")["dags"]]
        for dag in set(awake) - set(dags):
            self.airflow.call("PATCH", f"/dags/{dag}", {"is_paused": True})
        for dag in dags:
            self.airflow.unpause(dag)

    def counted(self, flow: str, name: str, after: int) -> int:
        """What the runs after that one (see ``newest_run``) counted together, whoever woke them."""
        rows = self.query("SELECT counts FROM crossdock.run WHERE flow = %s AND id > %s", flow, after)
        return sum(row["counts"].get(name, 0) for row in rows)

    def newest_run(self, flow: str) -> int:
        """Number of the last run there was, once none is at work."""
        while self.query("SELECT 1 FROM crossdock.run WHERE flow = %s AND state = 'running'", flow):
            time.sleep(0.5)
        return int(self.one("SELECT coalesce(max(id), 0) AS id FROM crossdock.run")["id"])

    def wait_until_idle(self, dag: str) -> None:
        """Nothing runs and nothing is about to: a run that was drained has asked for one more."""
        time.sleep(1)
        path = f"/dags/{dag}/dagRuns?state=running&state=queued&limit=1"
        while self.airflow.call("GET", path)["total_entries"]:
            time.sleep(0.5)

    def query(self, text: str, *values: Any) -> list[dict[str, Any]]:
        with psycopg.connect(self.stack.store, row_factory=dict_row) as db:
            return db.execute(text, values).fetchall()

    def one(self, text: str, *values: Any) -> dict[str, Any]:
        [row] = self.query(text, *values)
        return row

    def party(self, code: str) -> int:
        [found] = self.erp(
            "model.party.party.search", [["code", "=", code], ["active", "in", [True, False]]], 0, 1, None
        )
        return int(found)

    def members(self, code: str) -> set[str]:
        """E-mails of the buyers who are in this account's group in the shop."""
        [account] = self.shop.call(f"/admin/erp/accounts?code[]={code}")["accounts"]
        query = urllib.parse.urlencode({"groups[]": account["id"], "fields": "email", "limit": 1000})
        return {one["email"] for one in self.shop.call(f"/admin/customers?{query}")["customers"]}

    def contacts(self, code: str) -> list[dict[str, Any]]:
        """The e-mail contacts of an account in the ERP that are not there for invoices only."""
        domain = [["party", "=", self.party(code)], ["type", "=", "email"]]
        found = self.erp.rows("party.contact_mechanism", domain, "value", "name", "invoice")
        return [contact for contact in found if not contact["invoice"]]

    def page(self, path: str) -> str:
        """One of Crossdock's pages in the Airflow UI."""
        headers = {"Authorization": f"Bearer {self.airflow._token}"}
        with urllib.request.urlopen(
            urllib.request.Request(f"{self.airflow.url}/crossdock/{path}", headers=headers)
        ) as page:
            return page.read().decode()

    def as_buyer(self, email: str) -> Shop:
        """Set a password by the shop's reset mail and log in."""
        visitor = Shop(self.shop.url, {"x-publishable-api-key": self.shop.headers["x-publishable-api-key"]})
        buyers._set_password(self.stack, visitor, email, "a password of mine")
        return visitor.log_in("customer", email, "a password of mine")
