"""The embedded storefront: a real Medusa 2.18.0 with the ERP extension, one process on one database.

Standard library only. The merchant's set-up is made once over the shop's own REST interface and kept
as a PostgreSQL template; a fresh shop is a copy of it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import shutil
import struct
import subprocess
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.place import CACHE, HOST, STOREFRONT, locked
from sandbox.postgres import Cluster
from sandbox.service import SandboxError, Service, answers, free_port

ADMIN = "admin@crossdock.example"
"""The shop's only administrator: Crossdock's connection logs in as this user."""

_CLI = ["node", "node_modules/@medusajs/cli/cli.js"]
_MODULES = STOREFRONT / "node_modules"
_LOCK = STOREFRONT / "package-lock.json"


@dataclass(frozen=True)
class Secrets:
    """What signs tokens and cookies, and the administrator's password. Chosen by the caller."""

    admin_password: str
    jwt: str
    cookie: str

    @classmethod
    def new(cls) -> Secrets:
        """Three new ones."""
        return cls(secrets.token_urlsafe(12), secrets.token_urlsafe(32), secrets.token_urlsafe(32))


def install() -> None:
    """``npm ci`` of what the lock file names, only if it has changed. Raises SandboxError without Node 20 or npm."""
    stamp = _MODULES / ".crossdock"
    wanted = _digest(_LOCK, STOREFRONT / "package.json")
    with locked("shop-install"):
        if stamp.exists() and stamp.read_text() == wanted:
            return
        npm = ["npm", "ci", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        _run("install the storefront", npm)
        stamp.write_text(wanted)


def template(postgres: Cluster) -> str:
    """The name of a template database with the merchant's empty shop: channel, region, taxes, warehouses, freight.

    Built once (half a minute) and kept as a dump beside the cluster, so that another cluster only restores it.
    """
    shapes = (
        _LOCK,
        STOREFRONT / "medusa-config.js",
        Path(__file__),
        *sorted((STOREFRONT / "src").rglob("migration*/*.js")),
    )
    name = f"shop_template_{_digest(*shapes)[:12]}"
    dump = CACHE / f"{name}.dump"
    with locked("shop"):
        if name not in postgres.databases():
            if not dump.exists():
                for stale in CACHE.glob("shop_template_*"):
                    stale.unlink()
                postgres.dump(_build(postgres, f"{name}_build"), dump)
                postgres.drop_database(f"{name}_build")
            postgres.restore(name, dump)
    return name


def fresh(postgres: Cluster, name: str, given: Secrets) -> str:
    """A new shop as database ``name`` (an old one of that name is dropped); its DSN."""
    base = template(postgres)
    postgres.drop_database(name)
    dsn = postgres.create_database(name, base)
    set_password(postgres, name, ADMIN, given.admin_password)
    return dsn


def service(dsn: str, port: int, directory: Path, given: Secrets, mail: str | None = None) -> Service:
    """The shop's server on one loopback port; uploads go to ``directory``, mails to ``mail`` (SMTP, host:port)."""
    url = f"http://{HOST}:{port}"
    return Service(
        name="Storefront",
        argv=[*_CLI, "start", "-p", str(port), "-H", HOST],
        log=directory / "shop.log",
        ready=lambda: answers(f"{url}/health"),
        cwd=STOREFRONT,
        env=_environment(dsn, given)
        | {"CROSSDOCK_SHOP_URL": url, "CROSSDOCK_SHOP_FILES": str(directory / "shop-files")}
        | ({"CROSSDOCK_SMTP": mail} if mail else {}),
    )


def credentials(postgres: Cluster, name: str, given: Secrets) -> dict[str, str]:
    """What a client of the shop needs: ``admin_email``, ``admin_password`` and ``publishable_key``."""
    (key,) = postgres.sql("SELECT token FROM api_key WHERE type = 'publishable'", name)
    return {"admin_email": ADMIN, "admin_password": given.admin_password, "publishable_key": key}


def set_password(postgres: Cluster, name: str, email: str, password: str) -> None:
    """Give a login (administrator or buyer) a password, as if set from the reset mail."""
    update = (
        f"UPDATE provider_identity SET provider_metadata = jsonb_build_object('password', '{_scrypt(password)}') "
        f"WHERE provider = 'emailpass' AND entity_id = '{email}' RETURNING id"
    )
    if not postgres.sql(update, name):
        raise SandboxError(f"The shop has no login {email}.")


def _scrypt(password: str) -> str:
    """A password hash as Medusa's auth-emailpass keeps it: Tarsnap's scrypt header, base64 (npm package scrypt-kdf)."""
    log_n, r, p = 15, 8, 1
    salt = secrets.token_bytes(32)
    key = hashlib.scrypt(password.encode(), salt=salt, n=2**log_n, r=r, p=p, maxmem=2**26, dklen=64)
    header = b"scrypt\0" + struct.pack(">BII", log_n, r, p) + salt
    header += hashlib.sha256(header).digest()[:16]
    return base64.b64encode(header + hmac.digest(key[32:], header, "sha256")).decode()


def _build(postgres: Cluster, name: str) -> str:
    postgres.drop_database(name)
    dsn = postgres.create_database(name)
    given = Secrets.new()
    with tempfile.TemporaryDirectory(prefix="shop-build-", dir=CACHE) as build:
        environment = _environment(dsn, given)
        _run("create the shop's tables", [*_CLI, "db:migrate", "--execute-safe-links"], environment)
        _run("create the shop's administrator", [*_CLI, "user", "-e", ADMIN, "-p", given.admin_password], environment)
        port = free_port()
        server = service(dsn, port, Path(build), given).start()
        try:
            server.wait()
            _set_up(f"http://{HOST}:{port}", given.admin_password)
        finally:
            server.stop()
    return name


def _set_up(url: str, admin_password: str) -> None:
    """The merchant, over the Admin API (https://docs.medusajs.com/api/admin)."""
    headers = {"Content-Type": "application/json"}

    def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(url + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            answer: dict[str, Any] = json.load(response)
            return answer

    def get(path: str) -> dict[str, Any]:
        with urllib.request.urlopen(urllib.request.Request(url + path, headers=headers), timeout=60) as response:
            answer: dict[str, Any] = json.load(response)
            return answer

    token = post("/auth/user/emailpass", {"email": ADMIN, "password": admin_password})["token"]
    headers["Authorization"] = f"Bearer {token}"
    channel = get("/admin/sales-channels")["sales_channels"][0]["id"]
    profile = get("/admin/shipping-profiles")["shipping_profiles"][0]["id"]
    shop = get("/admin/stores")["stores"][0]["id"]
    key = get("/admin/api-keys?type=publishable")["api_keys"][0]["id"]
    post(f"/admin/api-keys/{key}", {"title": "Web shop"})
    post(f"/admin/api-keys/{key}/sales-channels", {"add": [channel]})
    post(f"/admin/sales-channels/{channel}", {"name": "Web shop"})
    currencies = [{"currency_code": "eur", "is_default": True}]
    languages = [{"locale_code": code} for code in ("en-GB", "de-DE")]
    store = {"name": "Hanse Industrial Supply", "supported_currencies": currencies, "supported_locales": languages}
    post(f"/admin/stores/{shop}", store)
    region = {
        "name": "Europe", "currency_code": "eur", "countries": _COUNTRIES,
        "payment_providers": ["pp_system_default"], "automatic_taxes": True, "is_tax_inclusive": False,
    }  # fmt: skip
    post("/admin/regions", region)
    types = {name: post("/admin/product-types", {"value": name})["product_type"]["id"] for name in _TAX_CLASSES}
    reduced_only = [{"reference": "product_type", "reference_id": types["Reduced rated"]}]
    for country in _COUNTRIES:
        rate = {"rate": 19, "name": "VAT 19 %", "code": "VAT19"}
        tax_region = {"country_code": country, "provider_id": "tp_system", "default_tax_rate": rate}
        region_id = post("/admin/tax-regions", tax_region)["tax_region"]["id"]
        reduced = {"rate": 7, "name": "VAT 7 %", "code": "VAT7", "tax_region_id": region_id, "rules": reduced_only}
        post("/admin/tax-rates", reduced)
    for code, title, street, postal_code, city in _WAREHOUSES:
        address = {"address_1": street, "postal_code": postal_code, "city": city, "country_code": "de"}
        location = {"name": title, "metadata": {"erp_code": code}, "address": address}
        place = "/admin/stock-locations/" + post("/admin/stock-locations", location)["stock_location"]["id"]
        post(f"{place}/sales-channels", {"add": [channel]})
        post(f"{place}/fulfillment-providers", {"add": ["manual_manual"]})
        shipping = {"name": f"{code} shipping", "type": "shipping"}
        answer = post(f"{place}/fulfillment-sets?fields=id,*fulfillment_sets", shipping)
        fulfilment = answer["stock_location"]["fulfillment_sets"][0]["id"]
        zone = {"name": f"{code} Europe", "geo_zones": [{"type": "country", "country_code": c} for c in _COUNTRIES]}
        answer = post(f"/admin/fulfillment-sets/{fulfilment}/service-zones", zone)
        if code == _WAREHOUSES[0][0]:
            for name, price in (("Standard", 5.9), ("Express", 14.9)):
                option = {
                    "name": name, "service_zone_id": answer["fulfillment_set"]["service_zones"][0]["id"],
                    "shipping_profile_id": profile, "provider_id": "manual_manual", "price_type": "flat",
                    "type": {"label": name, "description": name, "code": name.lower()},
                    "prices": [{"currency_code": "eur", "amount": price}],
                    "rules": [
                        {"attribute": "enabled_in_store", "value": "true", "operator": "eq"},
                        {"attribute": "is_return", "value": "false", "operator": "eq"},
                    ],
                }  # fmt: skip
                post("/admin/shipping-options", option)


_COUNTRIES = ["de", "fr", "nl", "es", "it", "be", "at", "pl"]
_TAX_CLASSES = ["Standard rated", "Reduced rated"]
"""As the ERP's merchant names them (merchant.py): Medusa hangs tax rates on product types."""
_WAREHOUSES = [
    ("WH-HAM", "Hamburg", "Veddeler Damm 14", "20457", "Hamburg"),
    ("WH-BER", "Berlin", "Wiesendamm 32", "13597", "Berlin"),
    ("WH-3PL", "3PL Dortmund", "Kanalstrasse 60", "44147", "Dortmund"),
]


def _environment(dsn: str, given: Secrets) -> dict[str, str]:
    return {
        "DATABASE_URL": dsn,
        "JWT_SECRET": given.jwt,
        "COOKIE_SECRET": given.cookie,
        "NODE_ENV": "production",
        "NODE_OPTIONS": "--max-old-space-size=512",
        "MEDUSA_DISABLE_TELEMETRY": "1",
        "XDG_CONFIG_HOME": str(_MODULES / ".config"),
    } | {f"{side}_CORS": f"http://{HOST}" for side in ("STORE", "ADMIN", "AUTH")}


def _run(what: str, argv: list[str], env: dict[str, str] | None = None) -> None:
    if not shutil.which(argv[0]):
        raise SandboxError(f"Could not {what}: there is no {argv[0]}. Install Node 20 or 22.")
    done = subprocess.run(
        argv, cwd=STOREFRONT, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    if done.returncode:
        raise SandboxError(f"Could not {what} ({argv[0]} ended with {done.returncode}):\n{done.stdout[-1500:]}")


def _digest(*files: Path) -> str:
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()
