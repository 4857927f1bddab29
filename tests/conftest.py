"""Fixtures for tests that need a real PostgreSQL. It is started by the first test that asks for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

from crossdock.connectors import sessions
from sandbox.fleet import Fleet
from sandbox.place import ROOT, locked
from sandbox.postgres import Cluster
from sandbox.service import command_line, free_port

pytest_plugins = ["tests.erp_fixtures", "tests.shop_fixtures", "tests.skips"]

_SESSIONS = ROOT / ".run" / "test"


_E2E = "tests/e2e/"
_APART = (f"{_E2E}test_account_page.py", f"{_E2E}test_demo.py", f"{_E2E}test_storefront_extension.py")
"""They bring along what they need."""


class Together(LoadScopeScheduling):
    """What ``make test`` keeps together on one of its two workers: a file, and all that share the running product."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return _E2E if file.startswith(_E2E) and file not in _APART else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    return Together(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins."""
    items.sort(key=lambda item: not item.nodeid.startswith(_E2E) or item.nodeid.startswith(_APART))


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


@pytest.fixture(scope="session", autouse=True)
def logins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Logins are kept for this session alone: in the next one another server may have the port."""
    folder = tmp_path_factory.mktemp("logins") / "kept"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sessions, "_folder", lambda: folder)
        yield folder


@pytest.fixture(scope="session")
def pg(session: Path) -> Iterator[Cluster]:
    """A cluster for this session. ``pg.create_database("name")`` gives the DSN of an empty database."""
    cluster = Cluster(session / "pg", free_port(), password="test-only", durable=False).start()
    yield cluster
    cluster.remove()
