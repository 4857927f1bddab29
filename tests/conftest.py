"""Fixtures for tests that need a real PostgreSQL. It is started by the first test that asks for it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from sandbox.place import ROOT
from sandbox.postgres import Cluster
from sandbox.service import command_line, free_port

_CLUSTERS = ROOT / ".run" / "test-postgres"


@pytest.fixture(scope="session")
def pg() -> Iterator[Cluster]:
    """A cluster for this session. ``pg.create_database("name")`` gives the DSN of an empty database."""
    _sweep()
    cluster = Cluster(_CLUSTERS / str(os.getpid()), free_port(), password="test-only", durable=False).start()
    yield cluster
    cluster.remove()


def _sweep() -> None:
    """Remove what a killed session left behind."""
    for left in _CLUSTERS.glob("*"):
        if not command_line(int(left.name)):
            Cluster(left, 0, "").remove()
