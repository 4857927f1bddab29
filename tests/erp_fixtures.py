"""A real Tryton with the demo's merchant, one for the whole session."""

from __future__ import annotations

import base64
import itertools
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sandbox import erp as sandbox_erp
from sandbox.merchant import CUSTOMERS, Erp
from sandbox.place import HOST
from sandbox.service import Service, free_port

CONNECTION = "crossdock_test_erp"
DATABASE = "erp"
EAN = "4006381333931"
PICTURE = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAAAAAAALAAAAAABAAEAAAIBRAA7")
"""The smallest GIF there is."""


@dataclass
class RunningErp:
    """The server, and what its administrator does there. Tests keep apart by accounts and products of their own."""

    url: str
    admin: Erp
    server: Service
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

    def product(self, **values: Any) -> tuple[str, int]:
        """A new product with a black and a yellow variant, each with an EAN, and a picture; code and template's id."""
        number = f"P{next(self._numbers):04d}"
        unit = self.id_of("product.uom", "Unit")
        [template] = self.admin.create("product.template", {
            "name": f"Tested {number}", "code": number, "type": "goods", "salable": True,
            "default_uom": unit, "sale_uom": unit,
            "account_category": self.id_of("product.category", "Standard rated"),
            "attribute_set": self.id_of("product.attribute.set", "Goods"),
            "weight": 0.5, "weight_uom": self.id_of("product.uom", "Kilogram"),
            "products": [["create", [
                {"suffix_code": f"-{color.upper()}", "position": place, "attributes": {"color": color},
                 "description": f"Of {number}.",
                 "identifiers": [["create", [{"type": "ean", "code": EAN}]]]}
                for place, color in enumerate(("black", "yellow"))
            ]]],
            **values,
        })  # fmt: skip
        self.admin.create("product.image", {"template": template, "web_shop": True, "image": PICTURE})
        return number, template

    def kill(self) -> None:
        """As a power cut would (the database lives on)."""
        assert self.server.process
        os.killpg(self.server.process.pid, signal.SIGKILL)

    def restart(self) -> None:
        """After ``kill``."""
        self.server.stop()
        self.server.start().wait()

    def id_of(self, model: str, name: str) -> int:
        return self.admin.id_of(model, ["name", "=", name])

    def rows_of(self, model: str, field: str, owner: int) -> list[int]:
        """Ids of the rows that belong to a record."""
        ids: list[int] = self.admin(f"model.{model}.search", [[field, "=", owner]], 0, None, [["id", "ASC"]])
        return ids

    def children(self, party: int, model: str) -> list[int]:
        """Ids of the party's rows in another model."""
        return self.rows_of(model, "party", party)


@contextmanager
def running_erp(folder: Path) -> Iterator[RunningErp]:
    """A Tryton of its own on a free port; while it runs the Airflow connection ``crossdock_test_erp`` reaches it."""
    sandbox_erp.install()
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
            yield RunningErp(url, Erp(url, DATABASE, given["admin password"]), server)
    finally:
        server.stop()


@pytest.fixture(scope="session")
def erp(session: Path) -> Iterator[RunningErp]:
    """One that tests share."""
    with running_erp(session / "erp") as erp:
        yield erp
