"""The pacer, on a clock that only moves when somebody sleeps."""

from __future__ import annotations

import threading

import pytest

from crossdock.connectors.pacing import Pacer


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def calls(pacer: Pacer, clock: Clock, number: int) -> list[float]:
    """When each of them went out, from now."""
    start, sent = clock.now, []
    for _ in range(number):
        pacer.wait()
        sent.append(round(clock.now - start, 3))
        pacer.accepted()
    return sent


def test_a_known_limit_spaces_the_calls(clock: Clock) -> None:
    assert calls(Pacer(4, clock=clock, sleep=clock.sleep), clock, 5) == [0, 0.25, 0.5, 0.75, 1]


def test_time_that_passed_is_not_saved_up(clock: Clock) -> None:
    pacer = Pacer(2, clock=clock, sleep=clock.sleep)
    calls(pacer, clock, 1)
    clock.sleep(60)
    assert calls(pacer, clock, 3) == [0, 0.5, 1]


def test_without_a_limit_nothing_waits_until_a_call_is_refused(clock: Clock) -> None:
    pacer = Pacer(clock=clock, sleep=clock.sleep)
    assert calls(pacer, clock, 100)[-1] == 0
    assert pacer.pace is None


def test_a_refusal_halves_the_pace_and_success_lets_it_grow(clock: Clock) -> None:
    pacer = Pacer(clock=clock, sleep=clock.sleep)
    for _ in range(20):  # ten a second
        pacer.wait()
        clock.sleep(0.1)
    pacer.refused()
    assert pacer.pace == pytest.approx(5)
    calls(pacer, clock, 1)
    start = clock.now
    while clock.now < start + 10:
        pacer.wait()
        pacer.accepted()
    assert pacer.pace == pytest.approx(15, abs=1)
    pacer.refused()
    assert pacer.pace == pytest.approx(7.5, abs=1)


def test_many_refusals_never_stop_it_for_good(clock: Clock) -> None:
    pacer = Pacer(clock=clock, sleep=clock.sleep)
    for _ in range(50):
        pacer.wait()
        pacer.refused()
    assert pacer.pace == pytest.approx(0.1)


@pytest.mark.parametrize("limit", [None, 50.0])
def test_retry_after_is_waited_for(clock: Clock, limit: float | None) -> None:
    pacer = Pacer(limit, clock=clock, sleep=clock.sleep)
    calls(pacer, clock, 1)
    pacer.refused(7)
    assert calls(pacer, clock, 1) == [7]
    assert pacer.pace == limit or limit is None


def test_threads_never_share_a_turn() -> None:
    turns: list[float] = []
    pacer = Pacer(1000, clock=lambda: 0.0, sleep=turns.append)
    threads = [threading.Thread(target=lambda: [pacer.wait() for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(turns) == pytest.approx([number / 1000 for number in range(1, 200)])
