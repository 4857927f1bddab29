"""A real Medusa for a benchmark: an empty shop on a fresh database, a server of its own, and its CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox import shop
from sandbox.place import HOST
from sandbox.postgres import Cluster
from sandbox.service import free_port

DATABASE = "bench_shop"


@dataclass(frozen=True)
class Shop:
    """Where it listens, who may write, which process it is."""

    url: str
    email: str
    password: str
    publishable_key: str
    process: int


@contextmanager
def fresh_shop(cluster: Cluster, folder: Path) -> Iterator[Shop]:
    """An empty shop, ready to be called; the server is gone afterwards, the database stays to be looked at."""
    given = shop.Secrets.new()
    dsn = shop.fresh(cluster, DATABASE, given)
    cluster.sql("VACUUM ANALYZE", DATABASE)
    port = free_port()
    server = shop.service(dsn, port, folder, given).start()
    try:
        server.wait()
        assert server.process
        known = shop.credentials(cluster, DATABASE, given)
        yield Shop(
            f"http://{HOST}:{port}", shop.ADMIN, given.admin_password, known["publishable_key"], server.process.pid
        )
    finally:
        server.stop()
