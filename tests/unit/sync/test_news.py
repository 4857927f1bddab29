"""What is news is said once, and what shows late is said as well."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from crossdock.errors import Retry
from crossdock.sync import news as module
from crossdock.sync.news import TAIL, News


class System:
    """Changes with the moment they were made and the moment they show, in seconds since it began."""

    def __init__(self) -> None:
        self.began = datetime(2026, 11, 26, 10, tzinfo=UTC)
        self.seconds = 0.0
        self.changes: list[tuple[float, float]] = []
        self.asked_for_time = 0
        self.away = False

    def change(self, made: float | None = None) -> None:
        self.changes.append((self.seconds if made is None else made, self.seconds))

    def now(self) -> datetime:
        self.asked_for_time += 1
        return self.began + timedelta(seconds=self.seconds)

    def stirred(self, flow: str, since: datetime) -> set[str]:
        if self.away:
            raise Retry("away")
        after = (since - self.began).total_seconds()
        return {f"{n}@{made}" for n, (made, _) in enumerate(self.changes) if made >= after}


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    system = System()
    monkeypatch.setattr(module.time, "monotonic", lambda: 1_000 + system.seconds)
    return system


def looks(system: System, news: News, seconds: float, every: float = 1.0) -> int:
    """How often there was something new until then."""
    until, said = system.seconds + seconds, 0
    while system.seconds < until:
        system.seconds += every
        said += news.since("inventory") is not None
    return said


def test_a_change_is_news_once(system):
    news = News(system)
    assert looks(system, news, 5) == 0
    system.change()
    assert looks(system, news, 60) == 1


def test_another_change_in_the_same_second_is_news_again(system):
    news = News(system)
    system.change()
    assert looks(system, news, 1) == 1
    system.change()
    assert looks(system, news, 1) == 1


def test_a_change_that_shows_late_is_news_up_to_the_tail(system):
    news = News(system)
    looks(system, news, 30)
    system.change(made=system.seconds - TAIL.total_seconds() + 2)
    assert looks(system, news, 5) == 1
    system.change(made=system.seconds - TAIL.total_seconds() - 2)
    assert looks(system, news, 5) == 0


def test_a_change_while_the_system_was_away_is_news_when_it_is_back(system):
    news = News(system)
    looks(system, news, 2)
    system.change()
    system.away = True
    system.seconds += 300
    with pytest.raises(Retry):
        news.since("inventory")
    system.away = False
    assert news.since("inventory")


def test_flows_are_looked_at_apart(system):
    news = News(system)
    system.change()
    assert news.since("inventory") and news.since("items")
    assert not news.since("inventory") and not news.since("items")


def test_the_clock_is_asked_for_once(system):
    looks(system, News(system), 100)
    assert system.asked_for_time == 1
