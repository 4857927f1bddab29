"""Fixtures for tests that need a real PostgreSQL. It is started by the first test that asks for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.fleet import Fleet
from sandbox.place import ROOT, locked
from sandbox.postgres import Cluster
from sandbox.service import command_line, free_port

pytest_plugins = ["tests.erp_fixtures", "tests.shop_fixtures", "tests.skips"]

_SESSIONS = ROOT / ".run" / "test"


@pytest.hookimpl(tryfirst=True)  # before xdist puts the groups into the tests' names
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What ``make test`` keeps together on one of its two workers: a file, and all that share the one running product.

    These begin, because they take longest.
    """
    items.sort(key=lambda item: not _on_the_stack(item))
    for item in items:
        together = "the stack" if _on_the_stack(item) else str(item.path.relative_to(ROOT))
        item.add_marker(pytest.mark.xdist_group(together))


def _on_the_stack(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and "systems" in item.fixturenames


@pytest.fixture(scope="session")
def session() -> Iterator[Path]:
    """A folder for the servers of this test session. What a killed session left behind is stopped and removed."""
    with locked("tests"):
        for left in _SESSIONS.glob("*"):
            if not command_line(int(left.name)):
                _clear(left)
    folder = _SESSIONS / str(os.getpid())
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _clear(left: Path) -> None:
    for fleet in ("stack", "airflow", "shop"):
        Fleet(left / fleet).sweep()
    for data in (left / "stack" / "postgres", left / "pg", left / "faults"):
        Cluster(data, 0, "").remove()
    shutil.rmtree(left)


@pytest.fixture(scope="session")
def pg(session: Path) -> Iterator[Cluster]:
    """A cluster for this session. ``pg.create_database("name")`` gives the DSN of an empty database."""
    cluster = Cluster(session / "pg", free_port(), password="test-only", durable=False).start()
    yield cluster
    cluster.remove()
