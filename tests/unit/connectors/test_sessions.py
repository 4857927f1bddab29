"""What a task leaves of its login, and to whom."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Connection

from crossdock.connectors import sessions
from crossdock.connectors.sessions import HOUR, Kept


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "kept"
    monkeypatch.setattr(sessions, "_folder", lambda: folder)
    return folder


def kept(**changes: Any) -> Kept:
    given = {"host": "https://erp.example.com", "schema": "erp", "login": "crossdock", "password": "secret"}
    return Kept(Connection(conn_id="crossdock_erp", conn_type="tryton", **{**given, **changes}))


def test_the_next_task_finds_it_and_nobody_else_can_read_it(folder: Path) -> None:
    assert kept().get() is None
    kept().keep("Session one")
    kept().keep("Session two")
    assert kept().get() == "Session two"
    [file] = folder.iterdir()
    assert (file.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)
    assert b"Session" not in file.read_bytes() and "crossdock" not in file.name


@pytest.mark.parametrize("change", [{"password": "other"}, {"login": "other"}, {"host": "other"}, {"schema": "other"}])
def test_a_connection_that_says_something_else_does_not_find_it(change: dict[str, str]) -> None:
    kept().keep("Session one")
    assert kept(**change).get() is None


def test_it_lasts_for_an_hour(folder: Path) -> None:
    kept().keep("Session one")
    [file] = folder.iterdir()
    os.utime(file, (time.time() - HOUR - 1,) * 2)
    assert kept().get() is None


def test_what_has_ended_is_removed_by_the_next_login_of_anybody(folder: Path) -> None:
    kept().keep("Session one")
    [file] = folder.iterdir()
    kept(login="other").keep("Session two")
    assert file.exists()
    os.utime(file, (time.time() - HOUR - 1,) * 2)
    kept(login="other").keep("Session three")
    assert not file.exists() and kept(login="other").get() == "Session three"


def test_what_somebody_has_damaged_is_not_there(folder: Path) -> None:
    kept().keep("Session one")
    [file] = folder.iterdir()
    for content in (b"", b"short", file.read_bytes()[:-1]):
        file.write_bytes(content)
        assert kept().get() is None


def test_nothing_is_kept_in_a_folder_that_others_can_read_or_that_cannot_be_made(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    kept().keep("Session one")
    assert list(folder.iterdir()) == []
    folder.rmdir()
    folder.symlink_to(folder.parent)
    kept().keep("Session one")
    assert kept().get() is None
    folder.unlink()
    folder.write_text("a file")
    kept().keep("Session one")
    assert kept().get() is None
