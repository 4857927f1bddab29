"""The embedded ERP: a real Tryton 8.0 LTS, one process on one SQLite file, with its web client.

Tryton is GPL-3.0-or-later and lives in an environment of its own; this project only ever talks to
it over HTTP. Standard library only: everything here runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
import tempfile
import venv
from pathlib import Path

from sandbox import merchant
from sandbox.place import CACHE, ERP_VENV, HOST, locked
from sandbox.service import SandboxError, Service, answers, free_port, run

CREDENTIALS = merchant.CREDENTIALS
"""``user`` and ``password`` of the integration user (not an administrator), its ``bearer`` key,
and ``admin password`` of the user ``admin``."""

ORDERS = {
    "orders_shop": "Medusa", "tax_codes": "VAT19=VAT 19%, VAT7=VAT 7%", "shipping_product": "SHIP",
    "payment_journal": merchant.WEB_PAYMENTS,
}  # fmt: skip
"""What a connection to this merchant says of web orders."""

_HERE = Path(__file__).parent
_LOG = CACHE / "erp-install.log"
_STAMP = ".made-from"
_LOCK = _HERE / "erp-requirements.lock"
_CLIENT = _HERE / "erp-client"
_WEB_ROOT = _CLIENT / "node_modules" / "tryton-sao"
_MODULES = (
    "product_attribute", "product_kit", "product_measurements", "product_image", "product_price_list_dates",
    "sale_price_list",
    "account_invoice_stock", "stock_package_shipping", "sale_history", "sale_shipment_cost", "web_shop",
    "account_payment_clearing", "sale_payment", "sale_amendment",
)  # fmt: skip


def install() -> None:
    """The ERP's environment and its web client, each only if its lock file has changed.

    Raises SandboxError when a package cannot be installed.
    """
    with locked("erp-install"):
        if _outdated(ERP_VENV, _LOCK):
            try:
                venv.create(ERP_VENV, clear=True, with_pip=True)
            except subprocess.CalledProcessError:
                raise SandboxError("Python's venv module is incomplete: install python3-venv.") from None
            pip = [ERP_VENV / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            run([*pip, "--require-hashes", "--no-deps", "-r", _LOCK], _LOG)
            _finish(ERP_VENV, _LOCK)
        modules, lock = _CLIENT / "node_modules", _CLIENT / "package-lock.json"
        if _outdated(modules, lock):
            run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], _LOG, cwd=_CLIENT)
            _finish(modules, lock)


def template() -> Path:
    """The merchant's database, ready to be copied. Built on first use (a minute), then cached.

    Two processes may ask at once: the second waits for the first. An interrupted build leaves nothing.
    The merchant's dates are counted from the day of the build.
    """
    made_from = b"".join((_LOCK.read_bytes(), Path(merchant.__file__).read_bytes(), *map(str.encode, _MODULES)))
    finished = CACHE / f"erp-template-{hashlib.sha256(made_from).hexdigest()[:16]}.sqlite"
    with locked("erp-template"):
        if not finished.exists():
            for stale in CACHE.glob("erp-template-*"):
                shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
            with tempfile.TemporaryDirectory(prefix="erp-template-", dir=CACHE) as build:
                os.replace(_build(Path(build)), finished)
    return finished


def fresh(directory: Path, database: str) -> None:
    """A new copy of the merchant as ``directory/database.sqlite``; the server must not be running on it."""
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / f"{database}.sqlite"
    for name in ("", "-wal", "-shm"):  # a stale log would be replayed into the new file
        target.with_name(target.name + name).unlink(missing_ok=True)
    shutil.copyfile(template(), target)


def service(directory: Path, database: str, port: int) -> Service:
    """The ERP's server for ``directory/database.sqlite``: API and web client on one loopback port."""
    return Service(
        name="ERP",
        # -d loads the database before the port opens: without it the first login fails, for ever
        argv=[str(ERP_VENV / "bin" / "trytond"), "-d", database],
        log=directory / "erp.log",
        ready=lambda: answers(f"http://{HOST}:{port}/"),
        env={**_environment(directory), "TRYTOND_WEB__LISTEN": f"{HOST}:{port}"},
    )


def _build(directory: Path) -> Path:
    """The database with modules and merchant, in a directory that is thrown away afterwards."""
    database = directory / "build.sqlite"
    database.touch()
    password = directory / "password"
    password.write_text(CREDENTIALS["admin password"])
    run(
        [ERP_VENV / "bin" / "trytond-admin", "-d", "build", "-u", *_MODULES, "--activate-dependencies",
         "--email", "admin@crossdock.example"],
        _LOG, env={**_environment(directory), "TRYTONPASSFILE": str(password)},
    )  # fmt: skip
    port = free_port()
    server = service(directory, "build", port)
    # With a queue and no worker, follow-up work waits until the seed asks for it, once per batch
    server.env["TRYTOND_QUEUE__WORKER"] = "True"
    server.start()
    try:
        server.wait()
        merchant.seed(f"http://{HOST}:{port}", "build")
    finally:
        server.stop()
    connection = sqlite3.connect(database)
    with connection:
        connection.execute("DELETE FROM ir_queue")  # done long ago, by the seed
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return database


def _environment(directory: Path) -> dict[str, str]:
    return {
        "TRYTOND_DATABASE__URI": "sqlite://",
        "TRYTOND_DATABASE__PATH": str(directory),
        "TRYTOND_WEB__ROOT": str(_WEB_ROOT),
    }


def _outdated(target: Path, lock: Path) -> bool:
    """True when ``target`` was not made, to the end, from this very lock file."""
    stamp = target / _STAMP
    return not stamp.exists() or stamp.read_bytes() != lock.read_bytes()


def _finish(target: Path, lock: Path) -> None:
    shutil.copyfile(lock, target / _STAMP)
