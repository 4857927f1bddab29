"""One look at the ERP for all DAGs that wait for it, and never more of them than it can bear."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import Asset
from airflow.triggers.shared_stream import SharedStreamManager

from crossdock.airflow import assets, feed
from crossdock.airflow.feed import ABSENCE, HURRY, OTHERS, PAUSE, REFUSAL, Feed, Watch
from crossdock.airflow.pairs import Pair
from crossdock.errors import Misconfigured, Retry
from sandbox.place import ROOT


class Erp:
    """``marks``: flow -> what it says has changed. ``took``: seconds of each answer. ``away`` is raised."""

    def __init__(self) -> None:
        self.seconds, self.took = 0.0, 0.0
        self.marks: dict[str, set[str]] = {}
        self.away: Exception | None = None
        self.asked: list[str] = []
        self.connected = 0
        self.stirrings = self
        self.knocks: list[tuple[float, str]] = []
        self.door_is_open = False

    def change(self, flow: str) -> None:
        self.marks.setdefault(flow, set()).add(str(self.seconds))

    def now(self) -> datetime:
        if self.away:
            raise self.away
        return datetime(2026, 11, 26, tzinfo=UTC)

    def stirred(self, flow: str, since: datetime) -> set[str]:
        self.seconds += self.took
        self.asked.append(flow)
        if self.away:
            raise self.away
        return set(self.marks.get(flow, ()))


@pytest.fixture
def erp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Erp]:
    erp = Erp()

    def system(side: str, pair: Pair) -> Erp:
        erp.connected += 1
        return erp

    def knock(pair: Pair, event: str) -> bool:
        erp.knocks.append((erp.seconds, event))
        return erp.door_is_open

    monkeypatch.setattr(feed, "system", system)
    monkeypatch.setattr(feed, "knock", knock)
    monkeypatch.setattr(feed, "time", SimpleNamespace(monotonic=lambda: erp.seconds))
    yield erp


def woken(erp: Erp, watch: Watch, seconds: float) -> list[tuple[float, str]]:
    """Whom it wakes, and when, from the next look on."""
    told, until = [], erp.seconds + seconds
    while erp.seconds < until:
        domains, pause = watch.look()
        told += [(erp.seconds, one) for one in sorted(domains)]
        erp.seconds += pause
    return told


def test_a_feed_that_begins_wakes_everybody_once(erp):
    assert woken(erp, Watch("default"), 60) == [
        (0, "customers"), (0, "inventory"), (0, "items"), (0, "offline_orders"), (0, "pricing")
    ]  # fmt: skip


def test_stock_is_noticed_at_the_next_look_the_rest_within_seconds(erp):
    watch = Watch("default")
    woken(erp, watch, 60)
    began = erp.seconds
    for flow in ("inventory", "customers", "items", "invoices", "prices"):
        erp.change(flow)
    told = woken(erp, watch, 60)
    assert (began, "inventory") in told
    assert sorted(domain for _, domain in told) == ["customers", "inventory", "items", "offline_orders", "pricing"]
    assert max(at - began for at, _ in told) <= 20 * PAUSE


def test_stock_goes_through_the_door_of_hints_and_is_not_told_twice(erp):
    watch, erp.door_is_open = Watch("default"), True
    woken(erp, watch, 60)
    began = erp.seconds
    erp.change("inventory")
    erp.change("customers")
    assert [domain for _, domain in woken(erp, watch, 60)] == ["customers"]
    assert erp.knocks[1:] == [(began, "feed.inventory")]


def test_nobody_knocks_where_stock_is_streamed(erp, monkeypatch):
    monkeypatch.setattr(feed, "pair_named", lambda name: Pair(name=name, stream=True))
    watch, erp.door_is_open = Watch("default"), True
    erp.change("inventory")
    woken(erp, watch, 60)
    assert erp.knocks == []


def test_settings_that_cannot_be_read_end_no_feed_and_lose_no_change(erp, monkeypatch):
    watch = Watch("default")
    woken(erp, watch, 60)
    erp.change("inventory")
    with monkeypatch.context() as patch:

        def unread(name):
            raise Misconfigured("crossdock.toml is no TOML.")

        patch.setattr(feed, "pair_named", unread)
        assert watch.look() == (frozenset(), REFUSAL)
    assert "inventory" in [domain for _, domain in woken(erp, watch, 5)]


def test_a_door_that_is_shut_is_left_alone_for_a_while(erp):
    watch = Watch("default")
    for _ in range(30):
        erp.change("inventory")
        assert "inventory" in [domain for _, domain in woken(erp, watch, 4)]
    assert len(erp.knocks) == 2


@pytest.mark.parametrize("flow", ["offline_orders", "invoices"])
def test_orders_and_invoices_of_the_erp_wake_offline_orders(erp, flow):
    watch = Watch("default")
    woken(erp, watch, 60)
    erp.change(flow)
    assert [domain for _, domain in woken(erp, watch, 60)] == ["offline_orders"]


def test_what_becomes_of_orders_wakes_customers_whom_orders_follow(erp):
    watch = Watch("default")
    woken(erp, watch, 60)
    erp.change("order_status")
    assert [domain for _, domain in woken(erp, watch, 60)] == ["customers"]


def test_an_erp_that_never_rests_wakes_a_domain_no_faster_than_it_runs(erp):
    watch, told = Watch("default"), []
    for _ in range(120):
        erp.change("inventory")
        erp.change("customers")
        told += woken(erp, watch, 0.5)
    assert 25 <= sum(domain == "inventory" for _, domain in told) <= 31
    assert 4 <= sum(domain == "customers" for _, domain in told) <= 5


def test_the_last_change_of_many_wakes_too(erp):
    watch = Watch("default")
    woken(erp, watch, 60)
    for _ in range(3):
        erp.change("inventory")
        told = woken(erp, watch, 0.5)
    last = erp.seconds
    told = woken(erp, watch, 10)
    assert [domain for _, domain in told] == ["inventory"] and told[0][0] >= last


def test_a_slow_erp_is_looked_at_less_often(erp):
    erp.took = 0.3
    watch = Watch("default")
    woken(erp, watch, 600)
    assert len(erp.asked) * erp.took <= 600 * (HURRY + OTHERS) + 1
    assert erp.asked.count("inventory") * erp.took >= 600 * HURRY * 0.9


def test_an_erp_that_is_away_is_asked_ever_more_rarely_and_all_are_woken_when_it_is_back(erp, caplog):
    watch = Watch("default")
    woken(erp, watch, 60)
    before, erp.away = erp.connected, Retry("Tryton does not answer.")
    assert woken(erp, watch, 3600) == []
    assert 60 <= erp.connected - before <= 70
    assert caplog.text.count("Tryton does not answer.") == 1
    erp.away = None
    assert [domain for _, domain in woken(erp, watch, ABSENCE + 30)] == [
        "customers",
        "inventory",
        "items",
        "offline_orders",
        "pricing",
    ]


@pytest.mark.parametrize("error", [Misconfigured("There is no connection crossdock_erp."), TypeError("a defect")])
def test_what_a_person_has_to_mend_is_tried_every_few_minutes(erp, error):
    erp.away = error
    woken(erp, Watch("default"), 3600)
    assert erp.connected == 3600 / REFUSAL


def test_a_connector_that_cannot_tell_leaves_it_to_the_clock(monkeypatch, caplog):
    monkeypatch.setattr(feed, "system", lambda side, pair: object())
    assert Watch("default").look() == (frozenset(), REFUSAL)
    assert "they run by the clock" in caplog.text


def test_however_many_dags_watch_the_erp_is_asked_once(erp, monkeypatch):
    """Through Airflow's own manager of shared streams, as its triggerer does it."""
    monkeypatch.setattr(feed, "PAUSE", 0.01)

    async def watch() -> dict[str, int]:
        streams = SharedStreamManager(log=feed.log, cohort_grace_period=0.05)
        fired = dict.fromkeys(("customers", "inventory", "items"), 0)

        async def run(number: int, domain: str) -> None:
            trigger = Feed("default", domain)
            stream = streams.subscribe(trigger_id=number, trigger=trigger, key=trigger.shared_stream_key())
            async for _ in trigger.filter_shared_stream(stream):
                fired[domain] += 1

        tasks = [asyncio.create_task(run(number, domain)) for number, domain in enumerate(fired)]
        await asyncio.sleep(0.3)
        for task in tasks:
            task.cancel()
        await streams.stop_all()
        return fired

    assert asyncio.run(watch()) == {"customers": 1, "inventory": 1, "items": 1}
    assert erp.connected == 1 and erp.asked.count("inventory") > 3


def test_pairs_have_feeds_of_their_own():
    ours, theirs = Feed("default", "items"), Feed("outlet", "items")
    assert ours.shared_stream_key() == Feed("default", "inventory").shared_stream_key() != theirs.shared_stream_key()


def test_a_feed_survives_airflows_serialization():
    path, values = Feed("outlet", "items").serialize()
    module, _, name = path.rpartition(".")
    assert module == feed.__name__ and getattr(feed, name)(**values).serialize() == (path, values)


def scheduled_by(condition) -> list[Asset]:
    if isinstance(condition, Asset):
        return [condition]
    return [asset for part in getattr(condition, "objects", ()) for asset in scheduled_by(part)]


def test_each_hint_has_its_watcher_in_the_one_dag_that_it_wakes():
    """Airflow drops the watchers of an asset that another file uses without them."""
    bag = DagBag(str(ROOT / "dags"))
    for domain in ("customers", "items", "inventory", "offline_orders"):
        name = assets.hint(domain, Pair()).name
        users = {
            dag.dag_id: [watcher.trigger.serialize()[1] for watcher in asset.watchers]
            for dag in bag.dags.values()
            for asset in scheduled_by(dag.timetable.asset_condition)
            if asset.name == name
        }
        assert users == {domain: [{"pair": "default", "domain": domain}]}
        outlets = {asset.name for dag in bag.dags.values() for task in dag.tasks for asset in task.outlets}
        assert name not in outlets


def test_where_stock_is_streamed_the_erp_wakes_the_other_dags_alone():
    streamed = Pair(stream=True)
    assert assets.watched("inventory", streamed).watchers == []
    assert assets.watched("items", streamed).watchers
