"""What a feed of counts promises (``ports.Feed``), on the folders a warehouse may really use: a disk, SFTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import asyncssh
import pytest

from crossdock.connectors.threepl.adapter import ThreePl
from crossdock.connectors.threepl.hook import ThreePlHook
from crossdock.errors import Retry
from crossdock.ports import Feed, Row, Window

LATER = timedelta(minutes=1)
"""By the feed's clock, so that nothing is still being written."""


class Login(asyncssh.SSHServer):
    """Lets in whoever knows the password."""

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return password == "secret"


@pytest.fixture(scope="module")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """A server of its own: what it shows, and its port."""
    asyncssh.set_log_level("ERROR")
    root = tmp_path_factory.mktemp("sftp")
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=Login,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=bytes(root)),
        )

    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(30)
    yield root, server.get_port()

    async def end() -> None:
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    asyncio.run_coroutine_threadsafe(end(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


class Dock:
    """Where the warehouse puts its files, and the feed that reads them through Airflow's connection."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        hook = ThreePlHook("threepl")
        self.feed: Feed = ThreePl(hook.inbox, self.clock, hook.zone).inventory

    def clock(self) -> datetime:
        return datetime.now(UTC) + LATER

    def put(self, name: str, *rows: str) -> None:
        (self.folder / name).write_text("".join(f"{row}\n" for row in rows))

    def on_hand(self) -> dict[str, str]:
        return {sku: f"{count.on_hand:f}" for sku, count in self.feed.counts().items()}

    def refused(self) -> list[Row]:
        return list(self.feed.refused(Window(None, self.clock())))


@pytest.fixture(params=["disk", "sftp"])
def dock(
    request: pytest.FixtureRequest,
    sftp: tuple[Path, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Dock:
    folder, inbox = tmp_path, f"file://{tmp_path}"
    if request.param == "sftp":
        root, port = sftp
        folder, inbox = root / tmp_path.name, f"sftp://warehouse@warehouse/{tmp_path.name}"
        folder.mkdir()
        login = {"conn_type": "sftp", "host": "127.0.0.1", "port": port, "login": "wms", "password": "secret"}
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(login | {"extra": {"no_host_key_check": "true"}}))
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    connection = {"conn_type": "crossdock_3pl", "extra": {"inbox": inbox, "zone": "Europe/Berlin"}}
    monkeypatch.setenv("AIRFLOW_CONN_THREEPL", json.dumps(connection))
    return Dock(folder)


def test_the_newest_count_is_the_one_of_the_newest_file(dock: Dock) -> None:
    dock.put("b.csv", "sku;quantity;counted_at", "A;3;2026-01-10T06:00:00", "B;4;2026-01-10T06:00:00")
    dock.put("a.csv", "sku;quantity;counted_at", "A;2;2026-01-11T06:00:00", "B;4;2026-01-11T06:00:00")
    dock.put("c.csv", "sku;quantity;counted_at", "A;9;2026-01-09T06:00:00", "B;9;2026-01-09T06:00:00")
    assert dock.on_hand() == {"A": "2", "B": "4"}
    assert dock.feed.heard_at() == datetime(2026, 1, 11, 5, tzinfo=UTC)
    assert dock.feed.counts()["A"].counted_at == datetime(2026, 1, 11, 5, tzinfo=UTC)


def test_a_file_without_a_date_was_made_when_it_was_modified(dock: Dock) -> None:
    dock.put("a.csv", "sku;quantity", "A;3")
    counted_at = dock.feed.counts()["A"].counted_at
    assert abs(counted_at - datetime.now(UTC)) < timedelta(seconds=30) and counted_at.utcoffset() == timedelta(0)


def test_it_tells_what_was_touched_in_a_window(dock: Dock) -> None:
    dock.put("a.csv", "sku;quantity", "A;3", "B;4")
    window = Window(None, dock.clock())
    assert [list(page) for page in dock.feed.touched(window)] == [["A", "B"]]
    assert list(dock.feed.touched(Window(dock.clock(), dock.clock()))) == []


def test_a_file_that_comes_while_the_feed_lives_is_seen(dock: Dock) -> None:
    dock.put("a.csv", "sku;quantity", "A;3", "B;4")
    assert dock.on_hand() == {"A": "3", "B": "4"}
    dock.put("b.csv", "sku;quantity", "A;1", "B;40")
    assert dock.on_hand() == {"A": "1", "B": "40"}


def test_a_bad_file_is_one_row_and_a_person_may_accept_it(dock: Dock) -> None:
    dock.put("a.csv", "sku;quantity", "A;3", "B;4", "C;5")
    dock.put("b.csv", "sku;quantity", "A;1")
    [row] = dock.refused()
    assert (row.key, row.source_id) == ("", "b.csv") and json.loads(row.raw)["refused"][0] == "shrunken"
    assert dock.on_hand() == {"A": "3", "B": "4", "C": "5"}
    dock.put("b.csv.accept")
    assert dock.refused() == [] and dock.on_hand() == {"A": "1"}


def test_files_are_left_as_they_are(dock: Dock) -> None:
    dock.put("a.csv", "sku;quantity", "A;3")
    dock.put("b.csv", "sku;quantity", "A;")
    before = {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in dock.folder.iterdir()}
    dock.on_hand()
    dock.refused()
    assert {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in dock.folder.iterdir()} == before


def test_a_folder_that_is_away_is_tried_again(dock: Dock) -> None:
    dock.folder.rmdir()
    with pytest.raises(Retry, match="inbox cannot be read"):
        dock.feed.counts()
