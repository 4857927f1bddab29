"""The engine's promises: nothing is lost, nothing is written twice, every record is accounted for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.engine.accounts import acme, many
from tests.fakes import Told

from crossdock.errors import QualityStop, Retry, Stop, WritesOff
from crossdock.sync import steps
from crossdock.sync.flows import PRICE_LISTS, PRICES
from crossdock.sync.run import BatchFailure, RowFailure, Verdict


def test_a_new_account_is_created_and_linked(world):
    acme(world)
    settled, books = world.sync()
    assert (settled.state, books.read, books.created) == ("success", 1, 1)
    assert world.query("select key, target_id from ledger") == [("C-100", "id-C-100")]


def test_an_unchanged_account_is_not_written_again(world):
    acme(world)
    world.sync()
    _, books = world.sync(full=True)
    assert (books.read, books.unchanged, books.updated) == (1, 1, 0)
    assert world.shop.calls == [["C-100"]]


def test_a_changed_account_is_updated_in_place(world):
    acme(world)
    world.sync()
    acme(world, name="Acme plc")
    _, books = world.sync()
    assert books.updated == 1
    assert "Acme plc" in world.shop.records["C-100"][1]


def test_nothing_to_do_runs_no_gate_and_leaves_the_ledger_alone(world):
    many(world, 3)
    world.sync()
    before = world.query("select xmin::text, key from ledger order by key")
    world.gate.shown.clear()
    settled, books = world.sync()
    assert settled.line == "read 3, unchanged 3" and books.created == 0
    assert world.gate.shown == [] and world.query("select xmin::text, key from ledger order by key") == before


def test_the_watermark_is_the_sources_clock_and_the_overlap_is_read_again(world):
    acme(world)
    before = world.erp.now()
    world.sync()
    assert before <= world.query("select until from watermark")[0][0] <= world.erp.now()


def test_an_unreadable_row_never_hides_the_good_ones(world):
    acme(world, "7")
    world.erp.put("8", number="", name="Nobody")
    _, books = world.sync()
    assert (books.created, books.quarantined) == (1, 1)
    assert world.query("select key, code, stage from quarantine") == [("?8", "no_number", "extract")]


def test_personal_data_stays_out_of_the_reason(world):
    acme(world, buyers=[{"source_id": "1", "email": "anna.berg(at)example"}])
    world.sync()
    (reason,) = world.query("select reason from quarantine")[0]
    assert reason == "buyers.0.email: is not an e-mail address"


def test_the_same_number_at_two_records_stops_both_and_no_other(world):
    acme(world, "7", "C-100", name="One")
    acme(world, "8", "C-100", name="Two")
    acme(world, "9", "C-200")
    _, books = world.sync()
    assert (books.read, books.repeated, books.created, books.quarantined) == (3, 1, 1, 1)
    assert set(world.shop.records) == {"C-200"}
    assert world.query("select key, code, source_id from quarantine") == [("C-100", "duplicate_key", "7, 8")]


def test_a_number_taken_by_a_second_record_later_is_noticed(world):
    acme(world, "7", "C-100")
    world.sync()
    world.later()
    acme(world, "8", "C-100", name="Impostor")
    _, books = world.sync()
    assert (books.quarantined, books.updated) == (1, 0)


def test_a_renumbered_account_leaves_its_old_number(world):
    acme(world, "7", "C-100")
    world.sync()
    acme(world, "7", "C-900")
    _, books = world.sync()
    assert (books.created, books.vanished, books.removed) == (1, 1, 1)
    assert world.query("select key, removed from ledger order by key") == [("C-100", True), ("C-900", False)]


def test_a_repaired_record_leaves_quarantine(world):
    acme(world, name="<b>Acme</b>")
    world.sync()
    acme(world, name="Acme")
    _, books = world.sync()
    assert books.created == 1
    assert world.query("select resolution from quarantine") == [("a newer version went through",)]


def test_a_bad_record_that_is_gone_before_it_was_ever_written_leaves_quarantine(world):
    acme(world, name="<b>Acme</b>")
    world.erp.put("8", number="", name="Nobody")
    many(world, 3)
    world.sync()
    world.erp.drop("7")
    world.erp.drop("8")
    world.later()
    assert world.sync()[1].vanished == 0
    _, books = world.sync(full=True)
    assert (books.vanished, books.skipped) == (2, {"no longer in the source": 2})
    assert world.query("select resolution from quarantine") == [("gone from the source",)] * 2


def test_a_bad_record_is_asked_for_once_a_day(world):
    acme(world, "7", "C-7", name="<b>bad</b>")
    acme(world, "8", "C-8", name="<b>bad</b>")
    world.sync()
    world.erp.drop("7")
    world.later()
    world.query("update quarantine set last_seen = now() - interval '25 hours' returning 1")
    _, books = world.sync()
    assert (books.taken_up, books.vanished, books.quarantined) == (1, 1, 1)
    assert world.query("select key from quarantine where resolved_at is null") == [("C-8",)]
    assert world.sync()[1].came_in == 0


def test_a_row_without_a_number_cannot_be_asked_for_and_is_not_taken_for_gone(world):
    world.erp.put("8", number="", name="Nobody")
    world.sync()
    world.later()
    world.query("update quarantine set replay = true, last_seen = now() - interval '25 hours' returning 1")
    for request in ({}, {"keys": ("?8",)}, {"full": True}):
        assert world.sync(**request)[1].vanished == 0
    assert world.query("select resolved_at from quarantine") == [(None,)]


def test_an_archived_account_is_removed_and_comes_back(world):
    many(world, 3)
    world.sync()
    world.erp.put("1", number="C-1", name="Customer 1", active=False)
    _, books = world.sync()
    assert books.removed == 1
    assert world.sync(full=True)[1].unchanged == 3
    acme(world, "1", "C-1", name="Customer 1")
    _, books = world.sync()
    assert books.updated == 1
    assert world.query("select removed from ledger where key = 'C-1'") == [(False,)]


def test_an_account_deleted_in_the_erp_is_removed(world):
    many(world, 3)
    world.sync()
    world.erp.drop("2")
    _, books = world.sync()
    assert (books.vanished, books.removed) == (1, 1)
    assert world.sync()[1].vanished == 0


def test_a_buyer_who_is_gone_makes_the_account_be_read_again(world):
    buyers = [{"source_id": "1", "email": "a@acme.example"}, {"source_id": "2", "email": "b@acme.example"}]
    acme(world, buyers=buyers)
    world.sync()
    world.later()
    world.erp.dismiss("7")
    _, books = world.sync()
    assert (books.read, books.taken_up, books.updated) == (0, 1, 1)


def test_an_account_withdrawn_before_it_was_ever_written_is_skipped(world):
    world.erp.put("7", number="C-1", name="Old", active=False)
    _, books = world.sync()
    assert books.skipped == {"withdrawn before it was ever written": 1}


def test_a_withdrawn_account_that_was_never_written_is_nothing_to_do(world):
    many(world, 3)
    world.erp.put("7", number="C-7", name="Old", active=False)
    world.sync()
    world.gate.shown.clear()
    _, books = world.sync(full=True)
    assert (books.unchanged, books.skipped) == (3, {"withdrawn before it was ever written": 1})
    assert world.gate.shown == []


def test_a_refused_account_is_quarantined_and_the_others_go_on(world):
    many(world, 9)
    world.shop.refuses = {"C-5"}
    _, books = world.sync()
    assert (books.created, books.quarantined) == (8, 1)
    assert world.query("select key, stage, code from quarantine") == [("C-5", "load", "refused")]


def test_a_refused_account_is_not_sent_again_until_it_changes(world):
    many(world, 3)
    world.shop.refuses = {"C-2"}
    world.sync()
    calls = len(world.shop.calls)
    _, books = world.sync()
    assert books.quarantined == 1 and len(world.shop.calls) == calls


def test_a_replayed_account_is_tried_again(world):
    many(world, 3)
    world.shop.refuses = {"C-2"}
    world.sync()
    world.shop.refuses = set()
    world.later()
    world.query("update quarantine set replay = true returning 1")
    _, books = world.sync()
    assert (books.taken_up, books.created) == (1, 1)


def test_one_bad_of_500_costs_few_calls(world):
    world.shop.batch = 500
    many(world, 500)
    world.shop.refuses = {"C-77"}
    _, books = world.sync()
    assert (books.created, books.quarantined) == (499, 1)
    assert len(world.shop.calls) <= 1.7 * 9 + 2


def test_a_lost_answer_writes_nothing_twice(world):
    many(world, 6)
    world.shop.loses = 1
    _, books = world.sync()
    assert books.created == 6
    assert sorted(key for call in world.shop.calls for key in call) == sorted(f"C-{n}" for n in range(1, 7))


def test_a_bad_batch_writes_nothing_and_the_watermark_stays(world):
    many(world, 3)
    world.gate.verdict = Verdict(critical=(BatchFailure("not unique", "numbers are not unique (2 of 9)", ""),))
    with pytest.raises(QualityStop, match="Nothing was written"):
        world.sync()
    assert world.shop.calls == [] and world.query("select * from watermark") == []
    world.gate.verdict = Verdict()
    assert world.sync()[1].created == 3


def test_rows_that_fail_an_expectation_are_quarantined_exactly(world):
    many(world, 60)
    run = world.run()
    world.step(run, "extract")
    query = f"select key from crossdock.gate_{run.id} where number::text < 'C-4' order by key"
    world.gate.verdict = Verdict(rows=(RowFailure("odd", "It is odd.", "Even it.", query),))
    bad = {key for (key,) in world.query(query)}
    for step in ("validate", "transform", "load", "settle"):
        world.step(run, step)
    assert len(bad) == 33 and run.books.quarantined == 33 and run.books.created == 27
    assert {key for (key,) in world.query("select key from quarantine")} == bad


def test_a_person_asks_for_some_records_only(world):
    many(world, 3)
    _, books = world.sync(keys=("C-2", "C-404"))
    assert (books.taken_up, books.vanished, books.created) == (1, 1, 1)
    assert books.skipped == {"no longer in the source": 1}
    assert world.query("select * from watermark") == []


def test_force_writes_an_unchanged_record(world):
    many(world, 3)
    world.sync()
    _, books = world.sync(keys=("C-2",), force=True)
    assert books.updated == 1


def test_a_plan_writes_nothing_and_is_applied_exactly(world):
    many(world, 3)
    settled, books = world.sync(mode="plan")
    assert (settled.state, books.planned) == ("planned", 3) and world.shop.calls == []
    number = world.query("select id from run")[0][0]
    many(world, 1, start=4)
    _, books = world.sync(plan=number)
    assert books.created == 3 and set(world.shop.records) == {"C-1", "C-2", "C-3"}
    assert world.sync()[1].created == 1
    with pytest.raises(Stop, match="no saved plan"):
        world.sync(plan=number + 100)


def test_the_first_run_on_a_shop_that_holds_accounts_ends_as_a_plan(world):
    many(world, 3)
    world.shop.records["C-2"] = Told("grp_old", "{}", "")
    world.shop.records["C-9"] = Told("grp_9", "{}", "")
    settled, _ = world.sync()
    assert settled.state == "planned" and "1 would be adopted, 1 are only there" in settled.line
    _, books = world.sync(plan=world.query("select id from run")[0][0])
    assert (books.created, books.updated) == (2, 1)
    assert world.query("select target_id from ledger where key = 'C-2'") == [("grp_old",)]


def test_writing_to_a_system_that_was_not_approved_is_refused(world):
    many(world, 1)
    world.query("update target set fingerprint = 'memory://other' returning 1")
    with pytest.raises(WritesOff, match="approved for memory://other"):
        world.sync()
    world.query("update target set fingerprint = 'memory://shop', write_enabled = false returning 1")
    with pytest.raises(WritesOff, match="switched off"):
        world.sync()
    world.query("update target set write_enabled = true returning 1")
    assert world.sync()[1].created == 1


def test_the_brake_holds_losses_and_lets_the_rest_go_on(world):
    many(world, 40)
    world.sync()
    for n in range(1, 16):
        world.erp.put(str(n), number=f"C-{n}", name=f"Customer {n}", blocked=True)
    acme(world, "40", "C-40", name="New name")
    _, books = world.sync()
    assert (books.held, books.updated) == (15, 1)
    world.later()
    assert world.sync()[1].held == 15
    _, books = world.sync(keys=tuple(f"C-{n}" for n in range(1, 16)), force=True)
    assert books.updated == 15
    assert world.query("select count(*) from held") == [(0,)]


def test_the_brake_counts_only_what_was_no_loss_before(world):
    many(world, 40)
    for n in range(1, 21):
        world.erp.change(str(n), blocked=True)
    assert world.sync()[1].created == 40
    for n in range(1, 41):
        world.erp.change(str(n), name="Renamed", blocked=n <= 31)
    world.erp.change("1", active=False)
    _, books = world.sync()
    assert (books.held, books.updated, books.removed) == (11, 28, 1)
    assert world.query("select count(*) from ledger where lost") == [(20,)]


def test_a_loss_that_was_made_good_counts_again(world):
    many(world, 40)
    for blocked, held in ((True, 0), (False, 0), (True, 15)):
        for n in range(1, 16):
            world.erp.change(str(n), blocked=blocked)
        assert world.sync()[1].held == held


def test_a_loss_written_by_a_plan_is_remembered(world):
    many(world, 40)
    world.sync()
    for n in (1, 2):
        world.erp.change(str(n), blocked=True)
    world.sync(mode="plan")
    (plan,) = world.query("select max(id) from run")[0]
    settled, books = world.sync(plan=plan)
    assert books.updated == 2 and settled.wrote
    assert not world.sync()[0].wrote
    assert world.query("select key from ledger where lost order by key") == [("C-1",), ("C-2",)]


def test_a_second_run_finds_the_first_at_work_and_ends_at_once(world):
    many(world, 2)
    first = world.run()
    world.step(first, "extract")
    settled, _ = world.sync()
    assert settled.state == "drained"
    for step in ("validate", "transform", "load"):
        world.step(first, step)
    assert world.step(first, "settle").again is True
    assert world.query("select count(*) from lease") == [(0,)]


BEFORE, AFTER = timedelta(minutes=-1), timedelta(minutes=1)


@pytest.mark.parametrize(
    ("at_work", "asked", "again"),
    [({}, BEFORE, False), ({}, AFTER, True), ({"keys": ("C-1",)}, BEFORE, True), ({"mode": "plan"}, BEFORE, True)],
)
def test_a_run_at_work_is_followed_by_another_unless_it_began_later_and_does_the_same(world, at_work, asked, again):
    first = world.run(**at_work)
    assert first.store.open(first)
    second = world.run()
    second.asked_at = datetime.now(UTC) + asked
    assert not steps.extract(second)
    assert world.step(second, "settle").state == "drained"
    assert first.store.finish(first, "success", "") is again


def test_a_run_that_meets_another_in_two_flows_of_a_dag_asks_for_one_more_and_not_two(world):
    first, second = ([replace(world.run(name), flow=flow) for flow in (PRICES, PRICE_LISTS)] for name in ("A", "B"))
    assert [run.store.open(run) for run in first + second] == [True, True, False, False]
    assert [run.store.finish(run, "success", "") for run in first] == [True, False]


def test_the_erp_is_away_and_the_next_run_heals(world):
    many(world, 2)
    world.erp.away = Retry("the ERP is away")
    with pytest.raises(Retry):
        world.sync()
    world.erp.away = None
    assert world.sync()[1].created == 2


@pytest.mark.parametrize("stop_after", ["extract", "validate", "transform", "load"])
def test_a_run_stopped_at_any_step_loses_and_doubles_nothing(world, stop_after):
    many(world, 9)
    run = world.run()
    for step in ("extract", "validate", "transform"):
        world.step(run, step)
        if step == stop_after:
            break
    else:
        world.shop.away_after = 1
        with pytest.raises(Retry):
            world.step(run, "load")
        world.shop.away_after = None
    with pytest.raises(Stop):
        world.step(run, "settle")
    assert world.query("select state from run where id = %s", run.id) == [("failed",)]
    world.sync()
    assert set(world.shop.records) == {f"C-{n}" for n in range(1, 10)}
    sent = sorted(key for call in world.shop.calls for key in call)
    assert len(sent) == len(set(sent)) == 9
    assert world.query("select count(*) from ledger where target_id is not null") == [(9,)]


def test_a_task_killed_while_a_batch_was_under_way_does_not_send_it_twice(world):
    many(world, 3)
    run = world.run()
    for step in ("extract", "validate", "transform"):
        world.step(run, step)
    killed = world.run(run.airflow_run)
    killed.store.resume(killed)
    world.shop.put(next(killed.store.batches(killed, 4)), world.erp.content)
    world.step(run, "load")
    world.step(run, "settle")
    assert world.shop.calls == [["C-1", "C-2", "C-3"]] and run.books.created == 3


def test_a_stage_lost_with_the_database_is_read_again(world):
    many(world, 3)
    run = world.run()
    world.step(run, "extract")
    world.query(f"delete from wide_{run.id} returning 1")
    for step in ("validate", "transform", "load", "settle"):
        world.step(run, step)
    assert run.books.created == 3


def test_a_lease_left_behind_is_taken_over_when_it_has_expired(world):
    many(world, 2)
    dead = world.run()
    for step in ("extract", "validate", "transform"):
        world.step(dead, step)
    world.query("update lease set expires_at = now() - interval '1 s' returning 1")
    _, books = world.sync()
    assert books.created == 2
    with pytest.raises(Stop, match="took this flow over"):
        world.step(dead, "load")
    assert len(world.shop.calls) == 1


def test_the_same_failure_in_the_same_window_is_one_incident(world):
    many(world, 1)
    world.gate.verdict = Verdict(critical=(BatchFailure("bad", "bad", ""),))
    repeated = []
    for _ in range(3):
        run = world.run()
        world.step(run, "extract")
        with pytest.raises(QualityStop):
            world.step(run, "validate")
        with pytest.raises(Stop) as stop:
            world.step(run, "settle")
        repeated.append(stop.value.repeated)
    assert repeated == [0, 1, 2]
