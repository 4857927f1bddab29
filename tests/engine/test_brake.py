"""What is held waits for a person: what he is shown, and what becomes of his word."""

from __future__ import annotations

import itertools
from dataclasses import replace

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.fakes import MemorySource

from crossdock.domain.customer import Account
from crossdock.errors import Retry, Stop
from crossdock.store import decisions, reports
from crossdock.sync.accounting import Books
from crossdock.sync.flow import Brake
from crossdock.sync.flows import CUSTOMERS

from .accounts import acme, many
from .conftest import World

TOUCHY = replace(CUSTOMERS, brake=Brake(at_least=2, share=0.1))
ALL = ("extract", "validate", "transform", "load", "settle")


class Dubious(Account):
    """An account of which ``name`` says whether somebody has to look at it."""

    @property
    def doubt(self) -> str:
        return "the name looks odd" if "odd" in self.name else ""


class Doubting(MemorySource):
    record = Dubious


@pytest.fixture
def held(clean):
    """Nine accounts, of which four have been blocked at once: they are held."""
    world = World(clean, flow=TOUCHY)
    many(world, 9)
    world.sync()
    block(world, 1, 2, 3, 4)
    settled, books = world.sync()
    assert (books.held, settled.asks) == (4, True)
    yield world
    world.close()


@pytest.fixture
def dubious(clean):
    """Three accounts, and of the first a new version that somebody has to look at."""
    world = World(clean, flow=replace(CUSTOMERS, record=Dubious))
    world.erp = Doubting()
    many(world, 3)
    world.sync()
    world.erp.change("1", name="odd")
    assert world.sync()[1].held == 1
    yield world
    world.close()


def block(world, *numbers, **fields):
    for n in numbers:
        world.erp.change(str(n), blocked=True, **fields)


def shown(world):
    with psycopg.connect(world.dsn) as db:
        return reports.held(db, world.pair, world.flow.name)


def last(world):
    return max((row["number"] for row in shown(world)), default=0)


def decide(world, how, upto=None, by="Ada"):
    with psycopg.connect(world.dsn) as db:
        return getattr(decisions, how)(db, world.pair, world.flow.name, last(world) if upto is None else upto, by)


def ask(world, run="approve-1"):
    with psycopg.connect(world.dsn) as db:
        return decisions.ask(db, world.pair, world.flow.name, run)


def is_open(world, key):
    return '"open": true' in world.shop.records[key].payload


def states(world):
    return dict(world.query("select key, state from held order by key"))


# ---------------------------------------------------------------- what is shown


def test_what_is_held_is_kept_with_its_reason_and_what_would_change(held):
    rows = shown(held)
    assert [(row["key"], row["op"], row["total"]) for row in rows] == [(f"C-{n}", "update", 4) for n in (1, 2, 3, 4)]
    assert rows[0]["reason"] == "one of 4 losses in one run, of 9 records: more than usual"
    assert rows[0]["changes"] == [["open", "true", "false"]]
    assert rows[0]["run_id"] and rows[0]["last"] == last(held)


def test_a_withdrawal_is_shown_as_one(clean):
    world = World(clean, flow=TOUCHY)
    many(world, 9)
    world.sync()
    for n in (1, 2, 3):
        world.erp.drop(str(n))
    assert world.sync()[1].held == 3
    assert [(row["op"], row["changes"]) for row in shown(world)] == [("remove", [])] * 3
    decide(world, "approve")
    assert world.sync()[1].removed == 3
    world.close()


def test_what_was_told_long_ago_may_be_forgotten(held):
    held.query("delete from outbox where status = 'merged' returning 1")
    block(held, 1, 2, 3, 4, name="New")
    held.sync()
    assert shown(held)[0]["changes"] == [["name", None, "New"], ["open", None, "false"], ["buyers", None, ""]]


def test_a_newer_value_replaces_the_held_one(held):
    before = last(held)
    block(held, 1, name="New name")
    assert held.sync()[1].held == 4
    [newer] = [row for row in shown(held) if row["key"] == "C-1"]
    assert newer["number"] > before and ["name", "Customer 1", "New name"] in newer["changes"]
    assert len(shown(held)) == 4


def test_a_normal_value_leaves_the_others_held(held):
    """Also when so few are left that they would not have been held at all."""
    held.erp.change("1", blocked=False, name="Open again")
    held.erp.change("2", blocked=False)
    held.erp.change("3", blocked=False)
    _, books = held.sync()
    assert (books.held, books.updated) == (1, 1)
    assert states(held) == {"C-4": "open"}


def test_while_nothing_new_comes_what_is_held_costs_no_gate_and_keeps_its_number(held):
    numbers, batches = [row["number"] for row in shown(held)], len(held.gate.shown)
    held.later()
    for _ in range(2):
        assert held.sync()[1].held == 4
    assert len(held.gate.shown) == batches
    assert [row["number"] for row in shown(held)] == numbers


def test_losses_one_by_one_are_held_once_there_are_too_many(held):
    """They count together with those that are held already."""
    block(held, 5)
    _, books = held.sync()
    assert books.held == 5 and is_open(held, "C-5")


def test_a_first_load_is_exempt(clean):
    world = World(clean, flow=TOUCHY)
    many(world, 9)
    block(world, *range(1, 10))
    assert world.sync()[1].created == 9
    world.close()


# ---------------------------------------------------------------- approved


def test_approved_is_written_as_it_was_shown(held):
    assert decide(held, "approve") == 4
    settled, books = held.sync()
    assert (books.updated, books.held, settled.asks) == (4, 0, False)
    assert not any(is_open(held, f"C-{n}") for n in (1, 2, 3, 4)) and states(held) == {}
    assert held.sync()[1].updated == 0


def test_what_was_replaced_after_it_was_shown_is_asked_anew(held):
    seen = last(held)
    block(held, 1, name="New name")
    held.sync()
    assert decide(held, "approve", seen) == 3
    settled, books = held.sync()
    assert (books.updated, books.held, settled.asks) == (3, 1, True)
    assert is_open(held, "C-1") and states(held) == {"C-1": "open"}
    decide(held, "approve")
    assert held.sync()[1].updated == 1 and not is_open(held, "C-1")


def test_what_moves_in_the_source_after_the_approval_is_asked_anew(held):
    decide(held, "approve")
    block(held, 1, name="New name")
    held.erp.change("2", blocked=False, name="Open, renamed")
    settled, books = held.sync()
    assert (books.updated, books.held, settled.asks) == (3, 1, True)
    assert is_open(held, "C-1") and is_open(held, "C-2") and states(held) == {"C-1": "open"}


def test_what_moves_in_the_target_after_it_was_shown_is_asked_anew(held):
    """The shop was told something else of C-1 meanwhile: what was shown as old is not what is there."""
    before = dict((row["key"], row["number"]) for row in shown(held))
    held.query("update ledger set canon_hash = gen_random_uuid() where key = 'C-1' returning 1")
    decide(held, "approve")
    _, books = held.sync()
    assert (books.updated, books.held) == (3, 1)
    [again] = shown(held)
    assert again["key"] == "C-1" and again["number"] > before["C-1"]


def test_an_approval_between_two_steps_of_a_run_is_for_the_next_one(held):
    run = held.run()
    held.steps(run, "extract", "validate", "transform")
    decide(held, "approve")
    held.steps(run, "load", "settle")
    assert run.books.held == 4 and set(states(held).values()) == {"approved"}
    assert held.sync()[1].updated == 4


@pytest.mark.parametrize("step", ["transform", "load", "settle"])
def test_killed_on_the_way_the_approved_is_written_once(held, step):
    decide(held, "approve")
    run = held.run()
    for name in ALL[: ALL.index(step)]:
        held.step(run, name)
    held.query("update lease set expires_at = now() - interval '1 s' returning 1")
    calls = len(held.shop.calls)
    assert held.sync()[1].held == 0
    assert not any(is_open(held, f"C-{n}") for n in (1, 2, 3, 4)) and states(held) == {}
    assert len([key for call in held.shop.calls[calls:] for key in call]) == (0 if step == "settle" else 4)


def test_killed_while_records_are_being_held_none_is_forgotten(held, monkeypatch):
    block(held, *range(1, 10), name="New")
    run = held.run()
    held.steps(run, "extract", "validate")
    monkeypatch.setattr(held.shop, "payload", lambda record: (_ for _ in ()).throw(Retry("killed")))
    with pytest.raises(Retry):
        held.step(run, "transform")
    monkeypatch.undo()
    held.steps(run, "transform", "load", "settle")
    assert run.books.held == 9 and len(shown(held)) == 9


def test_approved_stays_approved_while_the_shop_is_away(held):
    decide(held, "approve")
    held.shop.away_after = len(held.shop.calls)
    with pytest.raises(Retry):
        held.sync()
    held.shop.away_after = None
    assert held.sync()[1].updated == 4 and states(held) == {}


def test_an_approved_record_that_the_shop_refuses_is_quarantined(held):
    decide(held, "approve")
    held.shop.refuses = {"C-2"}
    _, books = held.sync()
    assert (books.updated, books.quarantined, books.held) == (3, 1, 0) and states(held) == {}


def test_a_held_record_that_turns_bad_is_in_quarantine_and_nowhere_else(held):
    held.erp.change("1", name="<b>bad</b>")
    _, books = held.sync()
    assert (books.held, books.quarantined) == (3, 1) and "C-1" not in states(held)


# ---------------------------------------------------------------- refused


def test_refused_the_shop_stays_as_it_is_and_nobody_is_asked_again(held):
    assert decide(held, "refuse") == 4
    for request in ({}, {"full": True}, {"keys": ("C-1",)}):
        settled, books = held.sync(**request)
        assert books.refused == (1 if "keys" in request else 4) and not (books.held or books.updated or settled.asks)
    held.later()
    assert held.sync()[1].came_in == 0
    assert all(is_open(held, f"C-{n}") for n in (1, 2, 3, 4)) and set(states(held).values()) == {"refused"}


def test_refused_and_changed_again_in_the_source_it_is_asked_again(held):
    decide(held, "refuse")
    block(held, 1, name="New name")
    held.erp.change("2", blocked=False, name="Open, renamed")
    settled, books = held.sync()
    assert (books.held, books.refused, books.updated, settled.asks) == (1, 2, 1, True)
    assert states(held) == {"C-1": "open", "C-3": "refused", "C-4": "refused"}


def test_refused_and_taken_back_in_the_source_it_is_forgotten(held):
    decide(held, "refuse")
    for n in (1, 2, 3, 4):
        held.erp.change(str(n), blocked=False)
    _, books = held.sync()
    assert (books.refused, books.unchanged) == (0, books.came_in) and states(held) == {}


def test_new_losses_are_judged_without_those_that_were_refused(held):
    decide(held, "refuse")
    block(held, 5)
    _, books = held.sync()
    assert (books.refused, books.updated) == (4, 1) and not is_open(held, "C-5")


# ---------------------------------------------------------------- the question


def test_one_question_is_open_at_a_time(held):
    assert ask(held) and not ask(held, "approve-2")
    block(held, 5, 6, 7)
    settled, _ = held.sync()
    assert not settled.asks
    assert ask(held, "approve-1")  # the same run, cleared, asks about what is held now
    decide(held, "refuse")
    block(held, 5, name="New name")
    assert held.sync()[0].asks and ask(held, "approve-2")


def test_nothing_held_nothing_asked(held):
    decide(held, "refuse")
    assert not ask(held) and held.query("select * from question") == []


def test_an_answer_to_an_older_list_leaves_the_question_open(held):
    seen = last(held)
    block(held, 5)
    held.sync()
    ask(held)
    assert decide(held, "approve", seen) == 4
    assert held.query("select airflow_run from question") == [("approve-1",)]


def test_a_question_that_nobody_answers_is_refused_after_a_day(held):
    def lapse():
        with psycopg.connect(held.dsn) as db:
            return decisions.lapse(db, held.pair, held.flow.name)

    ask(held)
    block(held, 5)
    held.sync()
    assert lapse() == 0
    held.query("update question set asked_at = now() - interval '24 h 1 s' returning 1")
    assert lapse() == 4 and lapse() == 0
    assert states(held) == {**{f"C-{n}": "refused" for n in (1, 2, 3, 4)}, "C-5": "open"}
    assert held.query("select distinct owner from held where state = 'refused'") == [("nobody",)]
    assert held.query("select * from question") == []
    settled, books = held.sync()
    assert (books.refused, books.held, settled.asks) == (4, 1, True)


# ---------------------------------------------------------------- other ways


def test_a_plan_shows_what_would_be_held_and_keeps_nothing(held):
    block(held, 5, 6, 7)
    before = held.query("select * from held order by key")
    settled, books = held.sync(mode="plan")
    assert (settled.state, books.held, books.planned) == ("planned", 7, 0)
    assert held.query("select * from held order by key") == before
    decide(held, "approve")
    assert held.sync(mode="plan")[1].planned == 4
    [(plan,)] = held.query("select max(id) from run")
    assert held.sync(plan=plan)[1].updated == 4 and states(held) == {}
    assert held.sync()[1].held == 3


def test_force_goes_past_the_brake_and_past_a_refusal(held):
    decide(held, "refuse")
    _, books = held.sync(keys=("C-1", "C-2"), force=True)
    assert books.updated == 2 and not is_open(held, "C-1")
    assert set(states(held)) == {"C-3", "C-4"}


def test_asked_for_by_its_key_a_held_record_stays_held(held):
    assert held.sync(keys=("C-1",))[1].held == 1 and is_open(held, "C-1")


def test_links_that_were_forgotten_make_what_was_shown_void(held):
    decide(held, "approve")
    held.query("delete from ledger returning 1")
    held.query("delete from watermark returning 1")
    settled, books = held.sync()
    assert (settled.state, books.held) == ("planned", 4)
    [(plan,)] = held.query("select max(id) from run")
    held.sync(plan=plan)
    _, books = held.sync(full=True)
    assert books.held == 4 and is_open(held, "C-1") and set(states(held).values()) == {"open"}


# ---------------------------------------------------------------- doubts


def test_one_doubt_is_enough(dubious):
    [row] = shown(dubious)
    assert (row["key"], row["op"], row["reason"]) == ("C-1", "update", "the name looks odd")
    assert row["changes"] == [["name", "Customer 1", "odd"]]
    decide(dubious, "approve")
    assert dubious.sync()[1].updated == 1
    dubious.erp.change("1", name="odder")
    assert dubious.sync()[1].held == 1


def test_a_record_that_is_new_can_be_in_doubt_too(dubious):
    acme(dubious, "9", "C-9", name="odd")
    _, books = dubious.sync()
    assert books.held == 2 and "C-9" not in dubious.shop.records
    assert ["name", None, "odd"] in shown(dubious)[1]["changes"]
    decide(dubious, "refuse")
    assert dubious.sync(full=True)[1].refused == 2
    acme(dubious, "9", "C-9", name="fine")
    assert dubious.sync()[1].created == 1


# ---------------------------------------------------------------- whatever happens


_pairs = itertools.count()
numbers = st.integers(1, 5)
happenings = st.one_of(
    st.tuples(st.just("block"), numbers, st.booleans()),
    st.tuples(st.just("block"), numbers, st.just(True)),
    st.tuples(st.just("rename"), numbers, st.sampled_from("abc")),
    st.tuples(st.just("remove"), numbers, st.booleans()),
    st.tuples(st.sampled_from(("approve", "refuse")), st.integers(0, 2)),
    st.just(("ask",)),
    st.just(("lapse",)),
)
ways = st.sampled_from(
    ({}, {}, {}, {"full": True}, {"mode": "plan"}, {"keys": ("C-1", "C-2")}, "extract", "transform", "load", "settle")
)


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.lists(st.tuples(st.lists(happenings, max_size=4), ways), min_size=2, max_size=8))
def test_nothing_is_taken_away_that_nobody_approved_and_the_books_close(dsn, story):
    world = World(dsn, pair=f"brake-{next(_pairs)}", flow=replace(CUSTOMERS, brake=Brake(at_least=0, share=0)))
    try:
        many(world, 5)
        world.sync()
        approved: set[str] = set()
        for happened, way in story:
            for what, *how in happened:
                _happens(world, approved, what, *how)
            world.erp.ahead += CUSTOMERS.overlap * 2
            before = {f"C-{n}" for n in range(1, 6) if world.shop.buyers and _is_shown(world, f"C-{n}")}
            _run(world, way)
            lost = {key for key in before if not _is_shown(world, key)}
            assert lost <= approved, (lost, approved)
        decide(world, "approve", 10**9)
        for _ in range(2):
            world.sync(full=True)
            decide(world, "approve", 10**9)
        for n in range(1, 6):
            fields = world.erp.rows[str(n)][1]
            refused = f"C-{n}" in dict(world.query("select key, state from held where pair = %s", world.pair))
            gone = fields.get("blocked", False) or not fields.get("active", True)
            assert refused or _is_shown(world, f"C-{n}") is not gone
        for state, counts in world.query("select state, counts from run where pair = %s", world.pair):
            books = Books.from_json(counts)
            assert state not in ("success", "planned") or books.came_in == books.accounted_for, books.line()
        assert world.query("select 1 from run where message like '%%is a defect%%' and pair = %s", world.pair) == []
    finally:
        world.close()


def _is_shown(world, key):
    payload = world.shop.records[key].payload
    return '"open": true' in payload


def _happens(world, approved, what, *how):
    match what:
        case "block":
            world.erp.change(str(how[0]), blocked=how[1])
        case "rename":
            world.erp.change(str(how[0]), name=f"Customer {how[1]}")
        case "remove":
            world.erp.change(str(how[0]), active=not how[1])
        case "approve" | "refuse":
            rows = shown(world)[how[0] :]
            if rows:
                upto = rows[0]["number"]
                if what == "approve":
                    approved |= {row["key"] for row in shown(world) if row["number"] <= upto}
                decide(world, what, upto)
        case "ask":
            ask(world)
        case "lapse":
            world.query("update question set asked_at = now() - interval '2 d' where pair = %s returning 1", world.pair)
            with psycopg.connect(world.dsn) as db:
                decisions.lapse(db, world.pair, world.flow.name)


def _run(world, way):
    """A whole run, or one that is killed before a step."""
    if isinstance(way, dict):
        world.sync(**way)
        return
    run, go = world.run(), True
    for name in ALL[: ALL.index(way)]:
        try:
            go = go and bool(world.step(run, name))
        except Stop:
            go = False
    world.query("update lease set expires_at = now() - interval '1 s' where pair = %s returning 1", world.pair)
