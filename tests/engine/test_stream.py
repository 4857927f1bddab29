"""The stream writes at once what a run would write later, and neither stands in the other's way."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import psycopg
import pytest
from tests.engine.test_inventory import Hall
from tests.stock_world import MemoryWarehouses

from crossdock.errors import Misconfigured, Retry
from crossdock.store.runs import holder
from crossdock.sync import news, stream
from crossdock.sync.run import Request
from crossdock.sync.stream import BUSY, NAME, PAUSE, WHOLE, Sides, Stream


class Stirred(MemoryWarehouses):
    """What was touched in either system stirs; ``reads`` counts how often it is asked which it was."""

    reads = 0
    away: Exception | None = None

    def stirred(self, flow, since):
        if self.away:
            raise self.away
        return {f"{sku}@{at}" for at, sku in self._world.touched if at >= since}

    def touched(self, window):
        self.reads += 1
        yield from super().touched(window)


class Lane(Hall):
    """The same hall with a stream, whose seconds pass when a test says so."""

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn)
        self.warehouses, self.seconds, self.connected = Stirred(self.stocks), 1_000.0, 0
        self._tries = itertools.count(1)
        self.stream = self.streaming()

    def streaming(self) -> Stream:
        return Stream(f"window/{next(self._tries)}", self._connect, lambda: holder(self._eyes, "default", "inventory"))

    def _connect(self) -> Sides:
        self.connected += 1
        return Sides(
            self.warehouses, self.shop, self.warehouses, lambda name, request: self._as_task(name, request, "*")
        )

    def look(self, seconds: float = PAUSE) -> float:
        self.seconds += seconds
        return self.stream.step()

    def passing(self, seconds: float) -> None:
        """Everywhere."""
        self.seconds += seconds
        for _ in range(int(seconds)):
            self.stocks.tick()

    def whole(self) -> None:
        """An ordinary run is due, and what was written last is looked at before it."""
        self.look(WHOLE)
        self.look()

    def watermark(self) -> datetime:
        return self.query("SELECT until FROM watermark WHERE flow = 'inventory'")[0][0]

    def runs(self) -> list[tuple[str, str]]:
        return self.query("SELECT split_part(airflow_run, '/', 1), state FROM run ORDER BY id")


@pytest.fixture
def lane(clean, monkeypatch) -> Iterator[Lane]:
    lane = Lane(clean)
    clock = SimpleNamespace(monotonic=lambda: lane.seconds)
    monkeypatch.setattr(stream, "time", clock)
    monkeypatch.setattr(news, "time", clock)
    yield lane
    lane.close()


def test_what_moves_in_the_erp_is_written_at_the_next_look(lane):
    lane.opened("A", "B")
    lane.look()
    lane.stocks.phone("A", "HAM", 4)
    lane.look()
    assert (lane.shop.puts, lane.available("A")) == (["A"], 6)


def test_where_nothing_moves_no_run_is_begun_and_nothing_is_asked_for(lane):
    lane.opened("A")
    lane.look()
    before, reads = lane.runs(), lane.warehouses.reads
    for _ in range(20):
        assert lane.look() == PAUSE
    assert (lane.runs(), lane.warehouses.reads, lane.connected) == (before, reads, 1)


def test_each_pass_closes_its_own_books(lane):
    lane.opened("A", "B")
    lane.look()
    for sku in ("A", "B"):
        lane.stocks.phone(sku, "HAM", 1)
        lane.look()
    counts = lane.query("SELECT counts->'updated', state FROM run WHERE airflow_run LIKE 'stream/%%' ORDER BY id")
    assert counts == [(0, "success"), (1, "success"), (1, "success")]


def test_kits_come_along_with_their_parts(lane):
    lane.stocks.kits["KIT"] = {"A": 2}
    lane.variants("KIT")
    lane.opened("A")
    lane.look()
    lane.stocks.phone("A", "HAM", 4)
    lane.look()
    assert (lane.available("A"), lane.available("KIT")) == (6, 3)


def test_once_a_minute_it_is_an_ordinary_run_that_moves_the_watermark(lane):
    lane.opened("A")
    lane.look()
    seen = lane.watermark()
    lane.stocks.phone("A", "HAM", 4)
    lane.look()
    assert lane.watermark() == seen
    lane.whole()
    assert lane.watermark() > seen and lane.connected == 2


@pytest.mark.parametrize("streams", [True, False])
def test_what_shows_four_minutes_late_is_found_by_the_overlap(lane, streams):
    """The source stamps a change with the start of its transaction, and shows it with the end."""
    lane.opened("A", "B")
    lane.look()
    for _ in range(240):  # others come and go meanwhile
        lane.stocks.tick()
    lane.stocks.phone("B", "HAM", 1)
    lane.look()
    lane.whole()
    lane.stocks.phone("A", "HAM", 4)
    at, sku = lane.stocks.touched.pop()
    lane.stocks.touched.append((at - timedelta(minutes=4), sku))
    lane.look()
    assert lane.available("A") == 10
    if streams:
        lane.whole()
    else:
        lane.passing(WHOLE)
        lane.sync()
    assert lane.available("A") == 6


def test_what_is_touched_goes_before_the_ordinary_run_for_a_minute(lane):
    lane.opened("A")
    lane.look()
    seen = lane.watermark()
    lane.passing(WHOLE)
    for _ in range(5):
        lane.stocks.phone("A", "HAM", 1)
        lane.look()
    assert lane.available("A") == 5 and lane.watermark() == seen
    lane.passing(WHOLE)
    lane.stocks.phone("A", "HAM", 1)
    lane.look()
    assert lane.available("A") == 4 and lane.watermark() > seen


def test_a_full_reading_is_left_to_the_dag(lane):
    lane.opened("A")
    lane.query("UPDATE watermark SET full_at = full_at - interval '2 hours' RETURNING 1")
    lane.stocks.touched.clear()
    lane.stocks.stocked["A", "HAM"] = 99
    lane.look()
    assert lane.available("A") == 99
    lane.sync()
    assert lane.available("A") == 10


def test_it_waits_for_a_run_that_is_at_work_and_leaves_no_trace_of_waiting(lane):
    lane.opened("A")
    lane.look()
    run = lane.run("ordinary")
    lane.steps(run, "extract")
    lane.stocks.phone("A", "HAM", 4)
    before = lane.runs()
    assert [lane.look() for _ in range(3)] == [BUSY] * 3
    assert lane.runs() == before
    assert lane.query("SELECT hint FROM lease") == [(False,)]
    lane.steps(run, "validate", "transform", "load", "settle")
    lane.look()
    assert lane.available("A") == 6


def test_a_run_that_comes_during_a_pass_is_drained(lane):
    lane.opened("A")
    lane.look()
    states = []
    lane.stocks.between = lambda: states.append(_tries(lane)) if not states else None
    lane.stocks.phone("A", "HAM", 4)
    lane.look()
    assert states == [False] and lane.available("A") == 6


def _tries(lane: Lane) -> bool:
    """As another process."""
    with psycopg.connect(lane.dsn) as db:
        other = lane._as_task("ordinary", Request(), "*")
        return type(other.store)(db).open(other)


def test_what_is_held_back_by_the_brake_is_held_back_here_too(lane):
    lane.opened(*(f"S{number}" for number in range(40)))
    lane.look()
    for number in range(30):
        lane.stocks.phone(f"S{number}", "HAM", 10)
    lane.look()
    assert lane.shop.puts == [] and lane.available("S0") == 10
    assert lane.query("SELECT count(*) FROM held") == [(30,)]


def test_before_the_dag_has_settled_it_writes_nothing(lane):
    lane.variants("A")
    lane.stocks.receive("A", "HAM", 10)
    with pytest.raises(Retry, match="inventory comes first"):
        lane.look()
    assert lane.shop.puts == [] and lane.runs() == []


@pytest.mark.parametrize("step", ["extract", "transform", "load"])
def test_a_stream_that_was_killed_amid_a_pass_is_taken_up_by_the_next(lane, monkeypatch, step):
    lane.opened("A")
    lane.look()
    lane.stocks.phone("A", "HAM", 4)
    with monkeypatch.context() as patch:
        patch.setattr(stream.steps, step, _killed)
        patch.setattr(stream.steps, "settle", _killed)
        with pytest.raises(KeyboardInterrupt):
            lane.look()
    lane.stream = lane.streaming()
    lane.look()
    assert (lane.available("A"), lane.shop.puts) == (6, ["A"])
    assert lane.query("SELECT count(*) FROM lease") == [(0,)]
    assert lane.query("SELECT count(*) FROM run WHERE state = 'running'") == [(0,)]


def _killed(run):
    if run.airflow_run.startswith(NAME):
        run.store.open(run) if run.id == 0 else None
        raise KeyboardInterrupt


class Waits(threading.Event):
    """Is set after so many waits, which take no time but turn the lane's clock; ``seconds``: how long each was."""

    def __init__(self, lane: Lane, most: int) -> None:
        super().__init__()
        self._lane, self._most, self.seconds = lane, most, []

    def wait(self, timeout=None):
        self._lane.seconds += timeout
        self.seconds.append(timeout)
        if len(self.seconds) == self._most:
            self.set()
        return self.is_set()


def hours() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


def test_a_shop_that_is_away_costs_time_and_nothing_else(lane, monkeypatch):
    lane.opened("A")
    lane.look()
    lane.stocks.phone("A", "HAM", 4)
    answers = iter([Retry("the shop is away"), Retry("the shop is away")])
    put = lane.shop.put

    def away(*args):
        for error in answers:
            assert lane.query("SELECT count(*) FROM lease") == [(1,)]
            raise error
        return put(*args)

    monkeypatch.setattr(lane.shop, "put", away)
    waits = Waits(lane, 3)
    lane.stream.follow(hours(), waits)
    assert lane.available("A") == 6 and waits.seconds == [2, 4, PAUSE]
    assert lane.query("SELECT count(*) FROM lease") == [(0,)]


def test_it_ends_with_its_window(lane):
    lane.opened("A")
    began = datetime.now(UTC)
    assert lane.stream.follow(began + timedelta(seconds=0.3), threading.Event()) == "1 passes, 0 SKUs written"
    assert 0.3 <= (datetime.now(UTC) - began).total_seconds() < 3
    assert lane.stream.follow(began, threading.Event()) == "1 passes, 0 SKUs written"


def test_it_ends_when_it_is_told_to(lane):
    lane.opened("A")
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    began = datetime.now(UTC)
    lane.stream.follow(began + timedelta(minutes=10), stop)
    assert (datetime.now(UTC) - began).total_seconds() < 3


def test_a_system_that_is_away_is_tried_ever_more_rarely(lane):
    lane.opened("A")
    lane.warehouses.away = Retry("Tryton does not answer.")
    waits = Waits(lane, 9)
    lane.stream.follow(hours(), waits)
    assert waits.seconds == [2, 4, 8, 16, 32, 60, 60, 60, 60]


def test_what_a_person_has_to_mend_ends_it(lane):
    lane.opened("A")
    lane.warehouses.away = Misconfigured("There is no connection crossdock_erp.")
    with pytest.raises(Misconfigured):
        lane.stream.follow(hours(), threading.Event())


def test_writing_switched_off_ends_it_and_gives_the_lease_back(lane):
    lane.opened("A")
    lane.look()
    lane.query("UPDATE target SET write_enabled = false RETURNING 1")
    lane.stocks.phone("A", "HAM", 4)
    with pytest.raises(Exception, match="writing"):
        lane.look()
    assert lane.query("SELECT count(*) FROM lease") == [(0,)] and lane.available("A") == 10
