"""Writing a batch: one bad record stops only itself, and a lost answer is looked up first."""

from __future__ import annotations

import math
import random

import pytest

from crossdock.errors import AnswerLost, Reject, Retry
from crossdock.ports import Found, Outcome, Put
from crossdock.sync.steps import write


class Target:
    name = "fake"

    def __init__(self, bad=(), loses=0, applies=True):
        self.bad, self.loses, self.applies = set(bad), loses, applies
        self.has: dict[str, str] = {}
        self.calls = 0

    def put(self, batch, content):
        self.calls += 1
        if self.bad & {put.key for put in batch}:
            raise Reject("bad", "It is bad.", "Mend it.")
        if self.loses:
            self.loses -= 1
            if self.applies:
                self.has |= {put.key: put.fingerprint for put in batch[: len(batch) // 2]}
            raise AnswerLost("gone")
        for put in batch:
            assert put.key not in self.has, "written twice"
        self.has |= {put.key: put.fingerprint for put in batch}
        return [Outcome(put.key, put.key) for put in batch]

    def find(self, keys):
        return {key: Found(key, self.has[key]) for key in keys if key in self.has}


def no_files(ref):
    raise AssertionError(ref)


def puts(count):
    return [Put(str(n), "create", None, b"{}", f"f{n}") for n in range(count)]


@pytest.mark.parametrize("size", [1, 2, 3, 64, 100, 500])
def test_one_culprit_is_found_in_few_calls_wherever_it_is(size):
    for culprit in map(str, range(size)):
        target = Target(bad={culprit})
        outcomes = list(write(target, puts(size), no_files))
        assert {o.key for o in outcomes if o.refused} == {culprit}
        assert len(outcomes) == size and len(target.has) == size - 1
        assert target.calls <= 1.7 * math.log2(size) + 2, culprit


@pytest.mark.parametrize("bad", [2, 5, 50, 100])
def test_any_number_of_culprits_is_found_exactly(bad):
    culprits = {str(n) for n in random.Random(bad).sample(range(100), bad)}
    outcomes = list(write(Target(bad=culprits), puts(100), no_files))
    assert {o.key for o in outcomes if o.refused} == culprits and len(outcomes) == 100


def test_a_lost_answer_is_looked_up_and_only_the_rest_is_sent():
    target = Target(loses=1)
    outcomes = list(write(target, puts(10), no_files))
    assert len(outcomes) == 10 and len(target.has) == 10 and target.calls == 2


def test_an_answer_lost_twice_makes_the_task_retry():
    with pytest.raises(Retry):
        list(write(Target(loses=2, applies=False), puts(4), no_files))
