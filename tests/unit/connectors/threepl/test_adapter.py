"""A 3PL's inbox: which files are read when, what counts of them, and what is set aside."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from airflow.sdk import BaseHook, ObjectStoragePath

from crossdock.connectors import connector, port
from crossdock.connectors.threepl.adapter import ThreePl
from crossdock.connectors.threepl.advices import Advices
from crossdock.connectors.threepl.hook import ThreePlHook
from crossdock.connectors.threepl.inbox import STILL
from crossdock.errors import Misconfigured, Reject, Retry
from crossdock.ports import Row, Window

START = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
"""After everything the disk itself says of these files."""
HEADER = (
    f"ISA*00*{'':10}*00*{'':10}*ZZ*{'FULFILFAST':15}*ZZ*{'ALDERGATE':15}*261124*1200*U*00401*000000001*0*P*>~"
    "GS*SW*A*B*20261124*1200*1*X*004010~"
)


def text(*shipments: tuple[str, int]) -> str:
    """One file that says of each shipment how many screws have left."""
    sets = (
        f"ST*945*{place:04}~W06*F*{number}*20261124~W12*CC*{pieces}*{pieces}**EA**VN*SCREW~SE*4*{place:04}~"
        for place, (number, pieces) in enumerate(shipments, 1)
    )
    return f"{HEADER}{''.join(sets)}GE*{len(shipments)}*1~IEA*1*000000001~"


class Inbox:
    """A folder, and a clock: seconds after START."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.time = 100.0
        self.source = ThreePl(ObjectStoragePath(str(folder)), lambda: self.at(self.time)).shipping_advice

    def at(self, seconds: float) -> datetime:
        return START + timedelta(seconds=seconds)

    def put(self, name: str, content: str | bytes, at: float = 0) -> None:
        file = self.folder / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        moment = self.at(at).timestamp()
        os.utime(file, (moment, moment))

    def rows(self, since: float | None = None) -> list[Row]:
        window = Window(None if since is None else self.at(since), self.source.now())
        return [row for page in self.source.changed(window) for row in page]


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path)


def pieces(source: Advices, row: Row) -> Decimal:
    return source.parse(row.raw).lines[0].quantity


def refusal(source: Advices, row: Row) -> Reject:
    with pytest.raises(Reject) as caught:
        source.parse(row.raw)
    return caught.value


def test_each_advice_of_a_file_is_a_row(inbox: Inbox) -> None:
    inbox.put("a.945", text(("108", 3), ("109", 5)))
    rows = inbox.rows()
    assert [(row.key, row.source_id, pieces(inbox.source, row)) for row in rows] == [
        ("108", "108", 3),
        ("109", "109", 5),
    ]
    assert inbox.source.parse(rows[0].raw).columns() == ("108", 1, 3)


def test_only_files_of_advices_are_read(inbox: Inbox) -> None:
    for name in ("a.945", "b.X12", "c.edi", "d.txt", "e.945.part"):
        inbox.put(name, text((name, 1)))
    (inbox.folder / "f.945").mkdir()
    assert [row.key for row in inbox.rows()] == ["a.945", "b.X12", "c.edi"]


def test_a_window_holds_what_came_in_it(inbox: Inbox) -> None:
    inbox.put("a.945", text(("108", 1)), at=10)
    inbox.put("b.945", text(("109", 1)), at=20)
    assert [row.key for row in inbox.rows(since=20)] == ["109"]
    assert inbox.rows(since=20.5) == []


def test_a_file_that_was_moved_in_came_when_it_was_moved(inbox: Inbox) -> None:
    inbox.put("a.945", text(("108", 1)), at=-1_000_000)
    assert [row.key for row in inbox.rows(since=-86_500)] == ["108"]


def test_what_is_still_being_written_is_left_for_the_next_run(inbox: Inbox) -> None:
    inbox.put("a.945", text(("108", 1))[:-30], at=95)
    assert inbox.rows() == []
    assert list(inbox.source.read(["108"])) == []
    until = inbox.source.now()
    inbox.put("a.945", text(("108", 1)), at=95)
    inbox.time += STILL.total_seconds()
    assert [row.key for row in inbox.rows(since=(until - START).total_seconds())] == ["108"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (text(("108", 1))[:-30], "truncated"),
        (text(("108", 1)).replace("GE*1", "GE*2"), "wrong_count"),
        ("", "no_x12"),
        (text(("Größe", 1)).encode("latin-1"), "no_x12"),
    ],
)
def test_a_file_that_cannot_be_believed_is_one_row_that_names_it(inbox: Inbox, content: str | bytes, code: str) -> None:
    inbox.put("bad.945", content)
    inbox.put("good.945", text(("109", 1)))
    bad, good = inbox.rows()
    assert (bad.key, bad.source_id, good.key) == ("", "bad.945", "109")
    told = refusal(inbox.source, bad)
    assert told.code == code and told.reason.startswith("File bad.945: ") and told.remedy


def test_a_wrong_transaction_stops_only_itself(inbox: Inbox) -> None:
    inbox.put("a.945", text(("108", 1), ("109", 2)).replace("W06*F*108*20261124", "W06*F*108*2026"))
    bad, good = inbox.rows()
    assert (bad.key, bad.source_id, good.key) == ("", "a.945#0001", "109")
    assert refusal(inbox.source, bad).reason.startswith("File a.945, transaction 0001: ")


def test_sent_again_it_is_the_same_row(inbox: Inbox) -> None:
    inbox.put("a.945", text(("108", 3)))
    inbox.put("b.945", text(("109", 1), ("108", 3)), at=10)
    once, _, again = inbox.rows()
    assert once == again


def test_the_newest_file_corrects_the_others_whatever_they_are_called(inbox: Inbox) -> None:
    inbox.put("b.945", text(("108", 3)), at=0)
    inbox.put("a.945", text(("108", 2)), at=10)
    assert [(row.source_id, pieces(inbox.source, row)) for row in inbox.rows()] == [("108", 3), ("108", 2)]
    [[row]] = inbox.source.read(["108", "nobody"])
    assert pieces(inbox.source, row) == 2


def test_a_folder_that_cannot_be_read_is_tried_again(inbox: Inbox) -> None:
    inbox.folder.rmdir()
    with pytest.raises(Retry, match="inbox cannot be read"):
        inbox.rows()


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")

    def made(**extra: str) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_THREEPL", json.dumps({"conn_type": "crossdock_3pl", "extra": extra}))

    return made


def test_the_connection_names_the_folder(inbox: Inbox, connect: Callable[..., None]) -> None:
    inbox.put("a.945", text(("108", 1)), at=-1_000_000)
    connect(inbox=f"file://{inbox.folder}")
    assert ThreePlHook("threepl").test_connection() == (True, "1 files lie in the inbox.")
    source = port(connector(BaseHook.get_connection("threepl")), "shipping_advice")
    rows = [row.key for page in source.changed(Window(None, START)) for row in page]
    assert rows == ["108"]


@pytest.mark.parametrize(
    ("extra", "says"),
    [({}, "needs the extra inbox"), ({"inbox": "/nowhere"}, "no folder /nowhere"), ({"inbux": "/"}, "unknown setting")],
)
def test_a_connection_without_a_folder_says_what_to_do(
    connect: Callable[..., None], extra: dict[str, str], says: str
) -> None:
    connect(**extra)
    with pytest.raises(Misconfigured, match=says):
        connector(BaseHook.get_connection("threepl"))
    working, said = ThreePlHook("threepl").test_connection()
    assert not working and says in said
