"""A real Tryton with the demo's merchant, one for the whole session."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sandbox import erp as sandbox_erp
from sandbox.merchant import CUSTOMERS, Erp
from sandbox.place import HOST
from sandbox.service import free_port

CONNECTION = "crossdock_test_erp"
DATABASE = "erp"


@dataclass
class RunningErp:
    """The server, and what its administrator does there. Tests keep apart by accounts of their own."""

    url: str
    admin: Erp
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def account(self, **values: Any) -> tuple[str, int]:
        """A new customer with two buyers and an address; its number and the party's id."""
        number = f"T{next(self._numbers):04d}"
        [party] = self.admin.create("party.party", {
            "name": f"Tested {number}", "code": number,
            "categories": [["add", [self.id_of("party.category", CUSTOMERS)]]],
            "addresses": [["create", [{"street_unstructured": "Kai 1", "city": "Hamburg", "invoice": True}]]],
            "contact_mechanisms": [["create", [
                {"type": "email", "value": f"{name.lower()}@{number.lower()}.example", "name": f"{name} Roth"}
                for name in ("Ada", "Ben")
            ]]],
            "identifiers": [["create", [{"code": f"CRM-{number}"}]]],
            **values,
        })  # fmt: skip
        return number, party

    def id_of(self, model: str, name: str) -> int:
        return self.admin.id_of(model, ["name", "=", name])

    def rows_of(self, model: str, field: str, owner: int) -> list[int]:
        """Ids of the rows that belong to a record."""
        ids: list[int] = self.admin(f"model.{model}.search", [[field, "=", owner]], 0, None, [["id", "ASC"]])
        return ids

    def children(self, party: int, model: str) -> list[int]:
        """Ids of the party's rows in another model."""
        return self.rows_of(model, "party", party)


@pytest.fixture(scope="session")
def erp(session: Path) -> Iterator[RunningErp]:
    """Tryton on a free port, reached by the Airflow connection ``crossdock_test_erp``."""
    sandbox_erp.install()
    folder = session / "erp"
    sandbox_erp.fresh(folder, DATABASE)
    port, given = free_port(), sandbox_erp.CREDENTIALS
    url = f"http://{HOST}:{port}"
    server = sandbox_erp.service(folder, DATABASE, port).start()
    try:
        server.wait()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AIRFLOW_CONN_" + CONNECTION.upper(), json.dumps({
                "conn_type": "tryton", "host": url, "schema": DATABASE, "login": given["user"],
                "password": given["password"], "extra": {"bearer": given["bearer"]},
            }))  # fmt: skip
            patch.setenv("_AIRFLOW_PROCESS_CONTEXT", os.environ.get("_AIRFLOW_PROCESS_CONTEXT", "server"))
            yield RunningErp(url, Erp(url, DATABASE, given["admin password"]))
    finally:
        server.stop()
