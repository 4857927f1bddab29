"""The launcher, on real binaries."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.postgres import Cluster
from sandbox.service import SandboxError, began, free_port


@pytest.fixture(scope="module")
def cluster(session: Path) -> Iterator[Cluster]:
    """A cluster that may be hurt."""
    cluster = Cluster(session / "hurt", free_port(), password="not-to-be-told")
    yield cluster.start()
    cluster.remove()


def test_a_database_is_copied_in_the_cluster_and_carried_to_another(
    cluster: Cluster, pg: Cluster, tmp_path: Path
) -> None:
    cluster.create_database("one")
    cluster.sql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS n", "one")
    cluster.create_database("two", template="one")
    assert cluster.sql("SELECT count(*) FROM t", "two") == ["1000"]
    pg.restore("three", cluster.dump("two", tmp_path / "two.dump"))
    assert pg.sql("SELECT count(*), max(n) FROM t", "three") == ["1000|1000"]
    cluster.drop_database("two")
    assert "two" not in cluster.databases()


def test_only_who_has_the_password_gets_in_and_errors_do_not_tell_it(cluster: Cluster) -> None:
    with pytest.raises(SandboxError, match="password authentication failed"):
        Cluster(cluster.data, cluster.port, "guessed").databases()
    with pytest.raises(SandboxError) as refused:
        cluster.sql("SELEKT", "one")
    assert cluster.password not in str(refused.value)


def test_it_comes_back_after_it_was_killed(cluster: Cluster) -> None:
    lock = cluster._data / "postmaster.pid"
    server = int(lock.read_text().split()[0])
    os.kill(server, signal.SIGKILL)
    while began(server):
        pass
    assert lock.exists() and not cluster.running()
    cluster.start()
    assert cluster.sql("SELECT count(*) FROM t", "one") == ["1000"]


def test_a_lock_that_names_a_stranger_stops_nobody(cluster: Cluster) -> None:
    cluster.stop()
    (cluster._data / "postmaster.pid").write_text(f"{os.getpid()}\n{cluster._data}\n")
    assert not cluster.running()
    cluster.start()
    assert cluster.running()


def test_a_creation_that_was_broken_off_begins_anew(session: Path) -> None:
    cluster = Cluster(session / "torn", free_port(), password="x", durable=False)
    (cluster.data / "base").mkdir(parents=True)
    (cluster.data / "postgresql.conf").touch()
    try:
        assert "postgres" in cluster.start().databases()
    finally:
        cluster.remove()


def test_a_home_that_is_closed_to_others_is_no_hindrance(session: Path) -> None:
    """As root the server runs as another user, who cannot get in there."""
    closed = session / "closed"
    closed.mkdir(parents=True, mode=0o700)
    cluster = Cluster(closed / "pg", free_port(), password="x", durable=False)
    try:
        assert "postgres" in cluster.start().databases()
    finally:
        cluster.remove()
