"""The pacer, on a clock that only moves when somebody sleeps."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from crossdock.connectors.pacing import Pacer


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Bucket:
    """A system that takes ``rate`` calls a second, ``burst`` of them at once; each call takes ``latency``."""

    def __init__(self, clock: Clock, rate: float, burst: float, latency: float = 0.01) -> None:
        self._clock, self._rate, self._burst, self._latency = clock, rate, burst, latency
        self._tokens, self._at = burst, clock.now

    def takes(self) -> bool:
        self._tokens = min(self._burst, self._tokens + (self._clock.now - self._at) * self._rate)
        self._at = self._clock.now
        taken = self._tokens >= 1
        self._tokens -= taken
        self._clock.sleep(self._latency)
        return taken


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pacer(clock: Clock) -> Pacer:
    """One that knows no limit."""
    return Pacer(clock=clock, sleep=clock.sleep)


def calls(pacer: Pacer, clock: Clock, number: int, takes: Callable[[], bool] = lambda: True) -> list[float]:
    """When those that were taken went out, from now."""
    start, sent = clock.now, []
    while len(sent) < number:
        pacer.wait()
        went = clock.now
        if takes():
            pacer.accepted()
            sent.append(round(went - start, 3))
        else:
            pacer.refused(1)
    return sent


def test_a_known_limit_spaces_the_calls(clock: Clock) -> None:
    assert calls(Pacer(4, clock=clock, sleep=clock.sleep), clock, 7) == [0, 0, 0, 0.25, 0.5, 0.75, 1]


def test_a_stall_is_made_up_for_by_two_calls_and_no_more(clock: Clock) -> None:
    pacer = Pacer(2, clock=clock, sleep=clock.sleep)
    calls(pacer, clock, 3)
    clock.sleep(60)
    assert calls(pacer, clock, 5) == [0, 0, 0, 0.5, 1]


def test_a_system_without_a_limit_is_soon_called_as_fast_as_it_answers(clock: Clock, pacer: Pacer) -> None:
    assert calls(pacer, clock, 100)[-1] == pytest.approx(1.4, abs=0.1)
    assert pacer.pace == 170


@pytest.mark.parametrize(("rate", "burst"), [(40, 10), (40, 40), (10, 20), (2, 4), (90, 5)])
def test_an_unknown_limit_is_found_and_kept(clock: Clock, pacer: Pacer, rate: int, burst: int) -> None:
    bucket, answers = Bucket(clock, rate, burst, latency=0.001), []

    def takes() -> bool:
        answers.append(bucket.takes())
        return answers[-1]

    number = rate * 30
    took = calls(pacer, clock, number, takes)[-1]
    assert (number - burst) / rate / took > 0.7
    assert answers.count(False) <= 10


def test_calls_that_are_refused_together_count_once(clock: Clock, pacer: Pacer) -> None:
    calls(pacer, clock, 30)
    for _ in range(5):
        pacer.refused(1)
    once = pacer.pace
    assert once > 15
    calls(pacer, clock, 1)
    pacer.refused(1)
    assert pacer.pace < once


def test_after_a_refusal_the_pace_rises_slowly_then_faster(clock: Clock, pacer: Pacer) -> None:
    calls(pacer, clock, 30)
    pacer.refused(1)
    refused = pacer.pace
    clock.sleep(11)
    assert pacer.pace == pytest.approx(refused * 1.04)
    clock.sleep(40)
    assert pacer.pace == pytest.approx(refused * 2)


def test_slow_calls_that_are_refused_are_not_taken_for_none(clock: Clock, pacer: Pacer) -> None:
    for _ in range(10):
        pacer.wait()
        clock.sleep(4)
        pacer.accepted()
    pacer.refused()
    assert pacer.pace == pytest.approx(0.25, abs=0.1)


def test_many_refusals_never_stop_it_for_good(clock: Clock, pacer: Pacer) -> None:
    for _ in range(50):
        pacer.wait()
        pacer.refused()
    assert pacer.pace == pytest.approx(0.1)


@pytest.mark.parametrize("limit", [None, 50.0])
def test_retry_after_is_waited_for_by_every_thread(clock: Clock, limit: float | None) -> None:
    pacer = Pacer(limit, clock=clock, sleep=clock.sleep)
    calls(pacer, clock, 1)

    def meanwhile(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now < 101:  # another thread's call is refused while this one sleeps
            pacer.refused(7)

    pacer._sleep = meanwhile
    assert calls(pacer, clock, 4)[-1] >= 7
    assert pacer.pace == limit or limit is None


def test_threads_never_share_a_turn() -> None:
    clock, lock, turns = Clock(), threading.Lock(), []

    def sleep(seconds: float) -> None:
        with lock:
            clock.now += seconds

    pacer = Pacer(1000, clock=clock, sleep=sleep)

    def lane() -> None:
        for _ in range(50):
            pacer.wait()
            turns.append(clock.now)

    threads = [threading.Thread(target=lane) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(turns) == 200
    assert max(turns) - 100 >= 0.196
