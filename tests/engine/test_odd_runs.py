"""What an adversary tried: odd mixtures, tasks run again, things that move while nobody looks."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from tests.engine.accounts import acme, many
from tests.fakes import Told

from crossdock.airflow.cli import _parser
from crossdock.domain.customer import Account
from crossdock.errors import AnswerLost, QualityStop, Reject, Retry, Stop, WritesOff
from crossdock.ports import Claim, Outcome
from crossdock.store.postgres import forget_links
from crossdock.sync.flows import CUSTOMERS
from crossdock.sync.run import BatchFailure, RowFailure, Verdict

ALL = ("extract", "validate", "transform", "load", "settle")


def places(world):
    """All a plan must leave alone."""
    return [
        world.query(f"select * from {table} order by 1, 2, 3")
        for table in ("ledger", "quarantine", "parked", "held", "watermark")
    ]


def sent(world):
    return sorted(key for call in world.shop.calls for key in call)


class Early(Account):
    """An account that needs another one, named in its tax id."""

    @property
    def needs(self):
        return frozenset({("customers", self.tax_id)} if self.tax_id else ())


@pytest.fixture
def early(world):
    world.flow = replace(CUSTOMERS, record=Early)
    parse = world.erp.parse
    world.erp.parse = lambda raw: Early(**dict(parse(raw)))
    return world


# ---- the account


def test_an_odd_mixture_in_one_run_closes(early):
    world = early
    many(world, 30)
    acme(world, "50", "C-50", tax_id="C-99")
    world.shop.refuses = {"C-9"}
    _, books = world.sync()
    assert (books.created, books.quarantined, books.waiting) == (29, 1, 1)
    world.later()
    for n in range(1, 13):
        acme(world, str(n), f"C-{n}", name=f"Customer {n}", blocked=n != 9)
    acme(world, "50", "C-50", name="<b>bad</b>", tax_id="C-99")
    acme(world, "51", "C-51")
    acme(world, "52", "C-51")
    acme(world, "53", "C-53")
    acme(world, "54", "", name="Nobody")
    world.erp.drop("30")
    changed = world.erp.changed
    world.erp.changed = lambda window: (page + page[:4] for page in changed(window))
    world.shop.refuses |= {"C-53"}
    run = world.run()
    world.step(run, "extract")
    query = f"select key from crossdock.gate_{run.id} where key = 'C-12'"
    world.gate.verdict = Verdict(rows=(RowFailure("odd", "It is odd.", "Even it.", query),) * 2)
    world.steps(run, *ALL[1:])
    books = run.books
    assert books.repeated and books.vanished == 1
    assert books.held == 11 and books.came_in == books.accounted_for
    assert {key for (key,) in world.query("select key from quarantine where resolved_at is null")} == {
        "C-9", "C-12", "C-50", "C-51", "?54", "C-53",
    }  # fmt: skip
    assert world.query("select * from parked") == []


@pytest.mark.parametrize("force", [True, False])
def test_force_and_full_write_everything_once_more(world, force):
    many(world, 30)
    world.sync()
    _, books = world.sync(force=force, full=True)
    assert (books.updated, books.unchanged) == ((30, 0) if force else (0, 30))


def test_a_second_settle_finds_the_same_books(world):
    many(world, 3)
    world.shop.refuses = {"C-2"}
    run = world.run()
    world.steps(run, *ALL)
    before = world.query("select counts, state, step from run")
    assert world.step(run, "settle").state == "success"
    assert world.query("select counts, state, step from run") == before


def test_books_survive_a_database_that_restarts_between_load_and_settle(world):
    many(world, 3)
    acme(world, "9", "C-9", name="<b>bad</b>")
    run = world.run()
    world.steps(run, *ALL[:4])
    world.query(f"with n as (delete from narrow_{run.id}) delete from wide_{run.id} returning 1")
    world.step(run, "settle")
    assert (run.books.created, run.books.quarantined) == (3, 1)


# ---- tasks that Airflow runs again


@pytest.mark.parametrize("twice", ALL)
def test_every_task_may_run_twice(world, twice):
    many(world, 6)
    acme(world, "9", "C-9", name="<b>bad</b>")
    world.shop.refuses = {"C-2"}
    run = world.run()
    for step in ALL:
        for _ in range(1 + (step == twice)):
            world.step(run, step)
    assert (run.books.created, run.books.quarantined) == (5, 2)
    assert set(world.shop.records) == {f"C-{n}" for n in (1, 3, 4, 5, 6)}


@pytest.mark.parametrize("again", ALL[:4])
def test_a_task_cleared_after_success_changes_nothing(world, again):
    many(world, 3)
    run = world.run()
    world.steps(run, *ALL)
    world.steps(run, *ALL[ALL.index(again) :])
    assert world.query("select state from run") == [("success",)]
    assert world.query("select count(*) from lease") == [(0,)]
    assert sent(world) == ["C-1", "C-2", "C-3"]


def test_a_failed_load_may_be_cleared_alone(world):
    many(world, 6)
    world.query("update target set write_enabled = false returning 1")
    with pytest.raises(WritesOff):
        world.sync("one")
    world.query("update target set write_enabled = true returning 1")
    run = world.run("one")
    world.steps(run, "load", "settle")
    assert run.books.created == 6 and sent(world) == [f"C-{n}" for n in range(1, 7)]


def test_a_failed_gate_may_be_cleared_alone(world):
    many(world, 3)
    world.gate.verdict = Verdict(critical=(BatchFailure("bad", "bad", ""),))
    with pytest.raises(QualityStop):
        world.sync("one")
    world.gate.verdict = Verdict()
    run = world.run("one")
    world.steps(run, *ALL[1:])
    assert run.books.created == 3


def test_a_cleared_task_of_an_overtaken_run_writes_nothing_old(world):
    many(world, 3)
    old = world.run()
    world.steps(old, "extract", "validate")
    world.query("update lease set expires_at = now() - interval '1 s' returning 1")
    acme(world, "2", "C-2", name="New")
    world.sync()
    with pytest.raises(Stop, match="took this flow over"):
        world.step(old, "transform")
    assert "New" in world.shop.records["C-2"][1]


def test_a_transform_that_lost_its_stage_reads_and_checks_again(world):
    many(world, 3)
    run = world.run()
    world.steps(run, "extract", "validate")
    world.query(f"delete from wide_{run.id} returning 1")
    world.gate.shown.clear()
    world.steps(run, "transform", "load", "settle")
    assert run.books.created == 3 and world.gate.shown == [3]


def test_a_run_that_loses_its_lease_while_it_loads_stops(world):
    many(world, 9)
    run = world.run()
    world.steps(run, *ALL[:3])
    put = world.shop.put

    def overtaken(batch, content):
        world.query("update lease set expires_at = now() - interval '1 s' returning 1")
        other = world.run("other")
        other.store.open(other)
        world.shop.put = put
        return put(batch, content)

    world.shop.put = overtaken
    with pytest.raises(Stop, match="took this flow over"):
        world.step(run, "load")
    assert len(world.shop.calls) == 1


def test_a_long_read_keeps_its_lease(world):
    many(world, 9)
    changed = world.erp.changed

    def slow(window):
        for page in changed(window):
            world.query("update lease set expires_at = now() + interval '1 s' returning 1")
            yield page

    world.erp.changed = slow
    run = world.run()
    world.step(run, "extract")
    assert world.query("select expires_at > now() + interval '10 min' from lease") == [(True,)]


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr("crossdock.store.statements.PAGE", 2)


def watched(world, call):
    """The call, and whether the lease was fresh each time; it is nearly over then."""
    fresh = []

    def slow(argument):
        fresh.extend(world.query("select expires_at > now() + interval '10 min' from lease")[0])
        world.query("update lease set expires_at = now() + interval '1 s' returning 1")
        return call(argument)

    return slow, fresh


def test_payloads_that_take_long_keep_the_lease(world, small_pages):
    many(world, 5)
    world.shop.payload, fresh = watched(world, world.shop.payload)
    run = world.run()
    world.steps(run, *ALL)
    assert fresh == [True, False, True, False, True] and run.books.created == 5


def test_an_adoption_that_takes_long_keeps_the_lease(world, small_pages):
    many(world, 5)
    world.shop.records["C-2"] = Told("grp_old", "{}", "")
    world.shop.find, fresh = watched(world, world.shop.find)
    run = world.run()
    world.steps(run, *ALL[:3])
    assert fresh == [True] * 3


def test_a_run_that_loses_its_lease_while_it_makes_payloads_stops(world, small_pages):
    many(world, 5)
    run, other = world.run(), world.run("other")
    world.steps(run, *ALL[:2])
    payload = world.shop.payload

    def overtaken(record):
        world.query("update lease set run_id = %s returning 1", world.query("select max(id) from run")[0][0])
        return payload(record)

    world.shop.payload = overtaken
    world.step(other, "extract")
    with pytest.raises(Stop, match="took this flow over"):
        world.step(run, "transform")
    assert world.query("select count(*) from outbox") == [(0,)]


@pytest.mark.parametrize("cleared", [True, False])
def test_a_transform_that_broke_off_is_done_anew(world, small_pages, cleared):
    many(world, 5)
    run = world.run()
    world.steps(run, *ALL[:2])
    payload = world.shop.payload
    world.shop.payload = lambda record: payload(record) if record.key < "C-4" else 1 / 0
    with pytest.raises(ZeroDivisionError):
        world.step(run, "transform")
    assert world.query("select count(*) from outbox") == [(2,)]
    world.shop.payload = payload
    if cleared:
        world.steps(run, *ALL[2:])
        books = run.books
    else:
        with pytest.raises(Stop):
            world.step(run, "settle")
        _, books = world.sync()
    assert (books.created, books.taken_up) == (5, 0) and sent(world) == [f"C-{n}" for n in range(1, 6)]


# ---- nothing is lost


def test_pending_writes_survive_an_extract_that_fails_after_it_adopted(world):
    many(world, 6)
    world.erp.ahead += timedelta(hours=1)
    world.shop.away_after = 1
    with pytest.raises(Retry):
        world.sync()
    world.shop.away_after = None
    world.erp.away = Retry("away")
    with pytest.raises(Retry):
        world.sync()
    world.erp.away = None
    _, books = world.sync()
    assert books.created == 2 and len(world.shop.records) == 6
    assert world.query("select * from parked") == [] and sent(world) == [f"C-{n}" for n in range(1, 7)]


def test_the_good_owner_of_a_shared_number_is_written_once_the_other_is_renumbered(world):
    acme(world, "7", "C-100")
    acme(world, "8", "C-100", name="Wrong")
    world.sync()
    world.later()
    acme(world, "8", "C-101", name="Wrong")
    _, books = world.sync()
    assert books.created == 2
    assert world.query("select 1 from quarantine where resolved_at is null") == []


def test_a_record_that_gets_its_number_leaves_quarantine(world):
    acme(world, "7", "", name="Nobody")
    world.sync()
    acme(world, "7", "C-7", name="Nobody")
    world.sync()
    assert world.query("select resolved_at is null from quarantine") == [(False,)]


def test_a_record_missed_by_the_source_for_a_while_comes_back(world):
    many(world, 3)
    world.sync()
    world.later()
    lost = world.erp.rows.pop("2")
    assert world.sync()[1].removed == 1
    world.erp.rows["2"] = lost
    assert world.sync()[1].updated == 1
    assert world.query("select count(*) from ledger where removed") == [(0,)]


def test_an_account_cannot_be_withdrawn_every_two_minutes(world):
    many(world, 3)
    world.sync()
    world.erp.drop("2")
    world.shop.refuses = {"C-2"}
    assert world.sync()[1].quarantined == 1
    calls = len(world.shop.calls)
    assert world.sync()[1].quarantined == 1 and len(world.shop.calls) == calls


def test_a_rule_that_was_loosened_lets_the_record_through(world):
    many(world, 3)
    run = world.run()
    world.step(run, "extract")
    query = f"select key from crossdock.gate_{run.id} where key = 'C-2'"
    world.gate.verdict = Verdict(rows=(RowFailure("odd", "It is odd.", "Even it.", query),))
    world.steps(run, *ALL[1:])
    world.gate.verdict = Verdict()
    assert world.sync()[1].created == 1
    assert world.query("select resolved_at is null from quarantine") == [(False,)]


def test_a_target_that_writes_differently_is_told_everything_again(world):
    many(world, 3)
    world.sync()
    world.shop.version = "2"
    assert world.sync(full=True)[1].updated == 3


def test_quarantine_stays_open_while_the_better_version_is_only_pending(world):
    many(world, 1)
    world.shop.refuses = {"C-1"}
    world.sync()
    world.shop.refuses = set()
    acme(world, "1", "C-1", name="Better")
    world.shop.away_after = 0
    with pytest.raises(Retry):
        world.sync()
    assert world.query("select resolved_at is null from quarantine") == [(True,)]
    world.shop.away_after = None
    world.sync()
    assert world.query("select resolved_at is null from quarantine") == [(False,)]


def test_an_early_record_waits_and_is_taken_up_when_its_need_is_met(early):
    world = early
    acme(world, "7", "C-7", tax_id="C-1")
    assert world.sync()[1].waiting == 1
    world.later()
    acme(world, "1", "C-1")
    _, books = world.sync()
    assert (books.created, books.taken_up) == (1, 0)
    _, books = world.sync()
    assert (books.taken_up, books.created) == (1, 1) and world.query("select * from parked") == []


def test_a_record_that_waits_leaves_the_other_runs_nothing_to_do(early):
    world = early
    acme(world, "7", "C-7", tax_id="C-1")
    world.sync()
    world.later()
    run = world.run()
    assert not world.step(run, "extract")
    assert world.query("select key from parked") == [("C-7",)]


@pytest.mark.parametrize("how", ["everything is read", "a day has passed"])
def test_a_record_that_waits_and_is_deleted_in_the_source_waits_no_more(early, how):
    world = early
    acme(world, "7", "C-7", tax_id="C-1")
    world.sync()
    world.later()
    world.erp.drop("7")
    if how == "a day has passed":
        world.query("update parked set last_seen = last_seen - interval '25 hours' returning 1")
    world.sync(full=how == "everything is read")
    assert world.query("select * from parked") == []


def test_the_same_key_bad_in_two_runs_is_one_open_row(world):
    acme(world, name="<b>bad</b>")
    world.sync()
    acme(world, name="<i>worse</i>")
    assert world.sync()[1].quarantined == 1
    assert world.query("select attempts, resolved_at from quarantine") == [(2, None)]


def test_a_connector_that_forgets_an_outcome_is_stopped(world):
    many(world, 3)
    put = world.shop.put
    world.shop.put = lambda batch, content: put(batch, content)[1:]
    with pytest.raises(Stop, match="what became of 1 of 3"):
        world.sync()


def test_a_lost_answer_and_a_refusal_in_one_batch_write_nothing_twice(world):
    many(world, 4)
    put = world.shop.put
    world.shop.refuses = {"C-4"}

    def half(batch, content):
        world.shop.put = put
        put(batch[:2], content)
        raise AnswerLost("no answer")

    world.shop.put = half
    assert world.sync()[1].created == 3
    assert [world.shop.records[f"C-{n}"][0] for n in (1, 2, 3)] == ["id-C-1", "id-C-2", "id-C-3"]
    assert sent(world).count("C-1") == 1


# ---- plans


def test_a_plan_disturbs_nothing(early):
    world = early
    many(world, 30)
    acme(world, "40", "C-40", name="<b>bad</b>")
    acme(world, "41", "C-41", tax_id="C-99")
    world.sync()
    for n in range(1, 13):
        acme(world, str(n), f"C-{n}", name=f"Customer {n}", blocked=True)
    world.sync()
    acme(world, "40", "C-40", name="Good")
    acme(world, "41", "C-41")
    acme(world, "42", "C-42", tax_id="C-99")
    acme(world, "43", "C-43", name="<b>bad</b>")
    acme(world, "44", "C-1", name="Impostor")
    for n in (2, 3, 4):
        acme(world, str(n), f"C-{n}", name=f"Customer {n}")
    before = places(world)
    settled, books = world.sync(mode="plan")
    assert settled.state == "planned" and (books.planned, books.waiting, books.quarantined) == (2, 1, 2)
    assert books.held == 8  # few enough by now, but a person is being asked about them
    assert places(world) == before
    _, books = world.sync()
    assert (books.created, books.waiting, books.quarantined) == (2, 1, 2)


def test_a_plan_with_nothing_to_write_moves_no_watermark(world):
    acme(world, name="<b>bad</b>")
    settled, books = world.sync(mode="plan")
    assert (settled.state, books.quarantined) == ("planned", 1)
    assert world.query("select * from watermark") == []


def test_of_a_plan_what_moved_in_the_source_is_decided_anew(world):
    many(world, 4)
    world.sync(mode="plan")
    (number,) = world.query("select id from run")[0]
    acme(world, "2", "C-2", name="New")
    world.erp.put("3", number="C-3", name="Customer 3", active=False)
    world.erp.drop("4")
    _, books = world.sync(plan=number)
    assert (books.created, books.superseded) == (1, 3)
    _, books = world.sync()
    assert books.created == 1 and set(world.shop.records) == {"C-1", "C-2"}
    with pytest.raises(Stop, match="anything left to apply"):
        world.sync(plan=number)


def test_of_a_plan_what_was_written_since_is_superseded(world):
    many(world, 2)
    world.sync("older", keys=("C-404",))
    world.sync(mode="plan")
    (number,) = world.query("select max(id) from run")[0]
    world.sync("older", keys=("C-1",))
    _, books = world.sync(plan=number)
    assert (books.created, books.superseded) == (1, 1) and sent(world) == ["C-1", "C-2"]


def test_a_plan_that_was_only_half_applied_is_finished_by_a_retry(world):
    many(world, 6)
    world.sync(mode="plan")
    (number,) = world.query("select id from run")[0]
    run = world.run(plan=number)
    world.step(run, "extract")
    world.shop.away_after = 1
    with pytest.raises(Retry):
        world.steps(run, "validate", "transform", "load")
    world.shop.away_after = None
    world.steps(run, *ALL)
    assert len(world.shop.records) == 6 and len(sent(world)) == 6
    world.sync()
    assert len(sent(world)) == 6 and world.query("select * from parked") == []


def test_a_first_run_that_is_cleared_shows_the_plan_of_now(world):
    many(world, 3)
    world.shop.records["C-2"] = Told("grp_old", "{}", "")
    world.sync("first")
    acme(world, "1", "C-1", name="New")
    world.erp.drop("3")
    world.sync("first")
    planned = world.query("select key, payload from outbox where status = 'planned' order by key")
    assert [key for key, _ in planned] == ["C-1", "C-2"] and "New" in planned[0][1]


def test_forgotten_links_end_as_a_plan_even_with_writes_under_way(world):
    many(world, 6)
    world.shop.away_after = 1
    with pytest.raises(Retry):
        world.sync()
    world.shop.away_after = None
    with psycopg.connect(world.dsn) as db:
        forget_links(db, "default", "customers")
    settled, _ = world.sync()
    assert settled.state == "planned" and "4 would be adopted, 0 are only there" in settled.line


# ---- pairs and scopes


def test_two_pairs_in_one_database_never_touch_each_other(world):
    other = type(world)(world.dsn, "other", world.flow)
    many(world, 9)
    many(other, 2)
    world.shop.away_after = 1
    other.shop.refuses = {"C-2"}
    with pytest.raises(Retry):
        world.sync("same name")
    other.sync("same name")
    mine = "select count(*) from {} where pair = 'default'"
    before = [world.query(mine.format(table)) for table in ("outbox", "ledger", "quarantine", "parked")]
    other.sync(full=True)
    (number,) = world.query("select max(id) from run where pair = 'default'")[0]
    with pytest.raises(Stop, match="no saved plan"):
        other.sync(plan=number)
    assert [world.query(mine.format(table)) for table in ("outbox", "ledger", "quarantine", "parked")] == before
    world.shop.away_after = None
    assert world.sync()[1].created == 5


def test_a_run_of_another_scope_leaves_pending_writes_alone(world):
    many(world, 6)
    one = world.run(scope="2025-01")
    world.steps(one, *ALL[:3])
    two = world.run(scope="2025-02", keys=("C-404",))
    world.steps(two, "extract", "settle")
    world.steps(one, "load", "settle")
    assert one.books.created == 6 and one.books.pending == 0


# ---- odd texts


ODD = ["a\tb", "a\\b", "\\.", "\\N", "😀", "it's", '"q"', "a\x00b", "x" * 10_000, "a\nb", "{id}", "%s", "\ud800"]


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_odd_characters_stop_no_other_record(world, odd):
    many(world, 2)
    acme(world, "50", odd)
    acme(world, odd, "C-51")
    acme(world, odd + "2", "")
    acme(world, "52", "C-52", buyers=[{"source_id": odd, "email": "a@b.example"}])
    for request in ({}, {}, {"full": True}, {"keys": ("C-1", odd)}):
        _, books = world.sync(**request)
        assert books.came_in == books.accounted_for
    assert {"C-1", "C-2"} <= set(world.shop.records)
    assert world.query("select count(*) from run where state <> 'success'") == [(0,)]


def test_odd_parts_are_compared_as_they_are(world):
    acme(world, buyers=[{"source_id": odd, "email": f"a{n}@b.example"} for n, odd in enumerate(ODD[:-1])])
    world.sync()
    world.later()
    assert world.sync()[1].taken_up == 0


def test_a_source_that_says_nothing_at_all_is_no_deletion(world):
    many(world, 40)
    world.sync()
    world.later()
    world.erp.parts = lambda: iter(())
    _, books = world.sync()
    assert (books.taken_up, books.unchanged, books.removed) == (40, 40, 0)
    world.erp.rows.clear()
    assert world.sync()[1].held == 40 and len(world.shop.calls) == 10


def test_texts_for_people_stay_short(world):
    for n in range(2_000):
        acme(world, f"id-{n}", "C-1")
    acme(world, "x", "C-2")
    world.shop.put = lambda batch, _: [
        Outcome(put.key, None, Reject("no", "x" * 100_000, "y" * 100_000)) for put in batch
    ]
    settled, _ = world.sync()
    assert len(settled.line) < 1_000
    for source_id, reason, remedy in world.query("select source_id, reason, remedy from quarantine"):
        assert max(map(len, (source_id, reason, remedy))) <= 1_000


def test_a_row_under_a_false_key_is_quarantined(world):
    acme(world)
    changed = world.erp.changed
    world.erp.changed = lambda window: ([row._replace(key="C-404") for row in page] for page in changed(window))
    assert world.sync()[1].quarantined == 1
    assert world.query("select code from quarantine") == [("key_mismatch",)]


# ---- who is told


def test_a_shop_that_is_away_is_one_incident(world):
    many(world, 2)
    world.shop.away_after = 0
    repeated = []
    for _ in range(3):
        many(world, 1, start=10 + len(repeated))
        run = world.run()
        world.steps(run, *ALL[:3])
        with pytest.raises(Retry):
            world.step(run, "load")
        with pytest.raises(Stop) as stop:
            world.step(run, "settle")
        repeated.append(stop.value.repeated)
    assert repeated == [0, 1, 2]


def test_what_an_error_says_to_type_can_be_typed(world):
    many(world, 1)
    world.query("delete from target returning 1")
    with pytest.raises(WritesOff) as off:
        world.sync()
    command = str(off.value).split("'")[1]
    options = _parser().parse_args(command.split()[1:])
    assert (options.pair, options.do, options.side) == ("default", "approve", "storefront")


def test_a_proposal_made_twice_is_one_and_one_that_ended_is_forgotten(world):
    run = world.run()
    store = run.store
    claim = Claim("cus_1", "a@b.example", "tax id", "DE1")
    assert store.review(run, [[claim, claim], []]) == 1
    assert store.review(run, [[]]) == 0
    assert store.review(run, [[claim]]) == 1
