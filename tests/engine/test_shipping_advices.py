"""Files of a 3PL through a whole run, on the real store."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from airflow.sdk import ObjectStoragePath
from tests.engine.conftest import World
from tests.fakes import MemoryTarget

from crossdock.connectors.threepl.adapter import ThreePl
from crossdock.domain.shipping_advice import ShippingAdvice
from crossdock.store.postgres import approve_target
from crossdock.sync.flows import SHIPPING_ADVICE

HEADER = (
    f"ISA*00*{'':10}*00*{'':10}*ZZ*{'FULFILFAST':15}*ZZ*{'ALDERGATE':15}*261124*1200*U*00401*000000001*0*P*>~"
    "GS*SW*A*B*20261124*1200*1*X*004010~"
)


def text(number: str, pieces: int) -> str:
    return (
        f"{HEADER}ST*945*0001~W06*F*{number}*20261124~W12*CC*{pieces}*{pieces}**EA**VN*SCREW~SE*4*0001~GE*1*1~"
        "IEA*1*000000001~"
    )


class Shipments(MemoryTarget):
    """An ERP that believes every advice."""

    def payload(self, record: ShippingAdvice) -> bytes:  # type: ignore[override]
        return record.model_dump_json().encode()

    def pieces(self) -> dict[str, str]:
        return {
            key: str(ShippingAdvice.model_validate_json(told.payload).columns()[2])
            for key, told in self.records.items()
        }


class Dock(World):
    """The inbox on a disk; minutes pass by saying so."""

    def __init__(self, dsn: str, inbox: Path) -> None:
        super().__init__(dsn)
        self.inbox, self.minutes = inbox, 1
        self.flow, self.shop = SHIPPING_ADVICE, Shipments()
        self.erp = ThreePl(
            ObjectStoragePath(str(inbox)), lambda: datetime.now(UTC) + timedelta(minutes=self.minutes)
        ).shipping_advice
        with psycopg.connect(dsn) as db:
            approve_target(db, self.pair, "erp", self.shop.fingerprint(), "tests")

    def put(self, name: str, content: str) -> None:
        (self.inbox / name).write_text(content)

    def quarantined(self) -> list[tuple[str, str]]:
        return self.query("SELECT key, code FROM quarantine WHERE resolved_at IS NULL ORDER BY key")


@pytest.fixture
def dock(clean: str, tmp_path: Path) -> Iterator[Dock]:
    dock = Dock(clean, tmp_path)
    yield dock
    dock.close()


def test_a_file_that_cannot_be_believed_is_set_aside_and_the_others_go_on(dock: Dock) -> None:
    dock.put("a.945", text("108", 3))
    dock.put("b.945", text("109", 4)[:-20])
    settled, _ = dock.sync()
    assert settled.state == "success"
    assert dock.shop.pieces() == {"108": "3"}
    assert dock.quarantined() == [("?b.945", "truncated")]
    dock.put("c.945", text("109", 4))
    dock.sync()
    assert dock.shop.pieces() == {"108": "3", "109": "4"}
    (dock.inbox / "b.945").unlink()
    dock.sync(full=True)
    assert dock.quarantined() == []


def test_sent_again_it_is_written_once(dock: Dock) -> None:
    dock.put("a.945", text("108", 3))
    dock.put("b.945", text("108", 3))
    dock.sync()
    dock.put("c.945", text("108", 3))
    dock.sync()
    assert dock.shop.calls == [["108"]] and dock.quarantined() == []


def test_a_correction_is_written_whether_it_comes_at_once_or_later(dock: Dock) -> None:
    dock.put("a.945", text("108", 3))
    dock.put("b.945", text("108", 2))
    dock.sync()
    assert dock.shop.pieces() == {"108": "2"}
    dock.put("c.945", text("108", 1))
    dock.sync()
    assert dock.shop.pieces() == {"108": "1"} and dock.quarantined() == []


def test_files_that_are_archived_take_nothing_back(dock: Dock) -> None:
    dock.put("a.945", text("108", 3))
    dock.sync()
    (dock.inbox / "a.945").unlink()
    dock.minutes = 600
    dock.sync(full=True)
    assert dock.shop.pieces() == {"108": "3"}
