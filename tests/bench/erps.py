"""A real Tryton on PostgreSQL for a benchmark: the demo's merchant, and as much more as is wanted.

Tryton itself is the sandbox's, in an environment of its own with the driver for PostgreSQL.
"""

from __future__ import annotations

import hashlib
import subprocess
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from tests.bench.measure import WORK

from sandbox import erp, merchant
from sandbox.place import HOST, ROOT
from sandbox.postgres import USER, Cluster
from sandbox.service import Service, answers, free_port, run

_HERE = Path(__file__).parent
_LOCK = ROOT / "include" / "sandbox" / "erp-requirements.lock"
_DRIVER = ["psycopg[binary]==3.3.9", "psycopg-pool==3.3.3"]
_PLACE = ROOT / ".run" / "bench-erp"
_LOG = WORK / "erp.log"


@dataclass(frozen=True)
class Erp:
    """Where it listens, its database, which process it is."""

    url: str
    database: str
    process: int


@contextmanager
def big_erp(cluster: Cluster, variants: int, folder: Path) -> Iterator[Erp]:
    """The merchant with so many variants more, being served."""
    with _grown(cluster, f"erp_{variants}", "grow.sql", {"variants": variants}, folder) as there:
        yield there


@contextmanager
def erp_with_documents(cluster: Cluster, invoices: int, since: date, until: date, folder: Path) -> Iterator[Erp]:
    """The merchant with so many invoices of other customers, and credit notes, being served. See documents.sql."""
    given = {"invoices": invoices, "since": since, "until": until}
    with _grown(cluster, f"erp_documents_{invoices}", "documents.sql", given, folder) as there:
        yield there


@contextmanager
def _grown(cluster: Cluster, database: str, file: str, given: Mapping[str, object], folder: Path) -> Iterator[Erp]:
    """The merchant, grown by a file of SQL in which ``:name`` stands for what is given."""
    base = _merchant(cluster)
    cluster.drop_database(database)
    cluster.create_database(database, base)
    text = (_HERE / file).read_text()
    for name, value in given.items():
        text = text.replace(f":{name}", str(value))
    cluster.sql(text, database)
    with _serving(cluster, database, folder) as server:
        assert server.process
        yield Erp(server.name, database, server.process.pid)


def _merchant(cluster: Cluster) -> str:
    """A database with modules and merchant, built the way the sandbox does; kept as a dump."""
    made_from = b"".join(file.read_bytes() for file in (_LOCK, Path(merchant.__file__), Path(erp.__file__)))
    name = f"erp_template_{hashlib.sha256(made_from).hexdigest()[:12]}"
    dump = WORK / f"{name}.dump"
    if name in cluster.databases():
        return name
    if not dump.exists():
        _install()
        cluster.drop_database("erp_build")
        cluster.create_database("erp_build")
        password = WORK / "erp-password"
        password.write_text(erp.CREDENTIALS["admin password"])
        run(
            [_PLACE / "bin" / "trytond-admin", "-d", "erp_build", "-u", *erp._MODULES, "--activate-dependencies",
             "--email", "admin@crossdock.example"],
            _LOG, env={**_environment(cluster), "TRYTONPASSFILE": str(password)},
        )  # fmt: skip
        with _serving(cluster, "erp_build", WORK, TRYTOND_QUEUE__WORKER="True") as server:
            merchant.seed(server.name, "erp_build")
        cluster.sql("DELETE FROM ir_queue", "erp_build")
        cluster.dump("erp_build", dump)
        cluster.drop_database("erp_build")
    cluster.restore(name, dump)
    return name


@contextmanager
def _serving(cluster: Cluster, database: str, folder: Path, **env: str) -> Iterator[Service]:
    """The server; its name is its URL."""
    port = free_port()
    url = f"http://{HOST}:{port}"
    server = Service(
        url,
        [str(_PLACE / "bin" / "trytond"), "-d", database],
        folder / "erp.log",
        lambda: answers(f"{url}/"),
        env={**_environment(cluster), "TRYTOND_WEB__LISTEN": f"{HOST}:{port}", **env},
    )
    try:
        yield server.start().wait()
    finally:
        server.stop()


def _environment(cluster: Cluster) -> dict[str, str]:
    return {
        "TRYTOND_DATABASE__URI": f"postgresql://{USER}:{cluster.password}@{HOST}:{cluster.port}/",
        "TRYTOND_WEB__ROOT": str(erp._WEB_ROOT),
    }


def _install() -> None:
    stamp = _PLACE / "made-from"
    wanted = hashlib.sha256(_LOCK.read_bytes() + repr(_DRIVER).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("making the environment of the ERP ...", flush=True)
    venv.create(_PLACE, clear=True, with_pip=True)
    pip: list[str | Path] = [_PLACE / "bin" / "python", "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "--require-hashes", "--no-deps", "-r", _LOCK], check=True)
    subprocess.run([*pip, *_DRIVER], check=True)
    stamp.write_text(wanted)
