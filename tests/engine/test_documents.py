"""History by date, side by side with the schedule: nothing is lost, nothing is told twice, nothing goes back."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from tests.engine.conftest import World
from tests.engine.documents import FEBRUARY, JANUARY, YEAR, invoice, know, pay, when

from crossdock.domain.document import Document
from crossdock.errors import Misconfigured, QualityStop, Reject, Retry, Stop, WritesOff
from crossdock.store.decisions import accept
from crossdock.store.reports import domains, journey, stops
from crossdock.sync import document_proof, files
from crossdock.sync.flows import CUSTOMERS, INVOICES, OFFLINE_ORDERS
from crossdock.sync.run import BatchFailure, Request, Verdict

ALL = ("extract", "validate", "transform", "load", "settle")


def watermark(world):
    return world.query("SELECT until FROM watermark WHERE flow = 'invoices'")


def two_months(world):
    invoice(world, "I-1", "2025-01-15")
    invoice(world, "I-2", "2025-01-31")
    invoice(world, "I-3", "2025-02-01")


# ---- one window


def test_a_window_reads_just_its_dates_and_leaves_the_watermark_alone(archive):
    two_months(archive)
    _, books = archive.sync(dates=JANUARY)
    assert (books.read, books.created) == (2, 2) and set(archive.shop.records) == {"I-1", "I-2"}
    assert archive.erp.windows == [JANUARY] and watermark(archive) == []
    archive.sync()
    before = watermark(archive)
    archive.sync(dates=FEBRUARY)
    assert watermark(archive) == before != []


def test_the_same_window_twice_writes_nothing(archive):
    two_months(archive)
    archive.sync(dates=YEAR)
    calls = len(archive.shop.calls)
    _, books = archive.sync(dates=YEAR)
    assert (books.read, books.unchanged) == (3, 3) and len(archive.shop.calls) == calls


def test_a_window_that_was_cleared_begins_anew_and_writes_nothing_twice(archive):
    two_months(archive)
    for _ in range(2):
        archive.sync("backfill-2025-01", dates=JANUARY)
    assert {key: len(told) for key, told in archive.shop.writes.items()} == {"I-1": 1, "I-2": 1}


def test_a_payment_in_the_window_is_told(archive):
    two_months(archive)
    archive.sync(dates=YEAR)
    pay(archive, "I-1")
    _, books = archive.sync(dates=JANUARY)
    assert (books.updated, books.unchanged) == (1, 1) and archive.shop.shown("I-1")["status"] == "paid"


def test_what_is_withdrawn_is_removed(archive):
    two_months(archive)
    archive.sync(dates=JANUARY)
    archive.erp.change("I-1", withdrawn=True, status="cancelled")
    _, books = archive.sync(dates=JANUARY)
    assert (books.removed, books.unchanged) == (1, 1)
    assert archive.sync(dates=JANUARY)[1].unchanged == 2


def test_a_source_without_dates_says_so(archive, world):
    with pytest.raises(Misconfigured, match="cannot be read by date"):
        world.step(world.run(dates=JANUARY), "extract")


def test_a_run_of_dates_names_them_and_excludes_only_its_own_kind():
    assert Request(dates=JANUARY).scope == "2025-01-01/2025-02-01" and Request(keys=("I-1",)).scope == "*"


def test_the_first_scheduled_run_reads_a_month_what_is_older_comes_by_its_dates(archive):
    archive.erp.ahead = -timedelta(days=40)
    invoice(archive, "I-1")
    archive.erp.ahead = timedelta()
    invoice(archive, "I-2")
    assert INVOICES.begins == OFFLINE_ORDERS.begins == timedelta(days=31) and CUSTOMERS.begins is None
    archive.sync()
    assert set(archive.shop.records) == {"I-2"}
    archive.sync(dates=YEAR)
    assert set(archive.shop.records) == {"I-1", "I-2"}


def test_a_full_run_reads_everything(archive):
    archive.erp.ahead = -timedelta(days=40)
    invoice(archive, "I-1")
    archive.erp.ahead = timedelta()
    archive.sync(full=True)
    assert set(archive.shop.records) == {"I-1"}


# ---- side by side


def test_two_windows_and_the_schedule_go_on_side_by_side_and_each_book_closes(archive):
    two_months(archive)
    runs = [archive.run(dates=JANUARY), archive.run(dates=FEBRUARY), archive.run()]
    for step in ALL:
        for run in runs:
            archive.step(run, step)
    assert [run.books.came_in for run in runs] == [2, 1, 3] and all(run.books.pending == 0 for run in runs)
    assert set(archive.shop.records) == {"I-1", "I-2", "I-3"}
    assert archive.sync(full=True)[1].unchanged == 3


def test_windows_in_threads_of_their_own_do_not_lock_each_other_up(archive, clean):
    for n in range(60):
        invoice(archive, f"I-{n:02}", f"2025-0{1 + n % 2}-15")
    dates = [JANUARY, FEBRUARY, YEAR, None]
    worlds = [World(clean, flow=INVOICES) for _ in dates]
    failures = []

    def work(world, dates):
        world.erp, world.shop = archive.erp, archive.shop
        try:
            world.sync(f"run-{dates}", **({"dates": dates} if dates else {}))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(worlds, dates, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for world in worlds:
        world.close()
    assert failures == [] and len(archive.shop.records) == 60
    calls = len(archive.shop.calls)
    assert archive.sync(full=True)[1].unchanged == 60 and len(archive.shop.calls) == calls


def test_the_same_window_is_read_by_one_run_at_a_time(archive):
    two_months(archive)
    one, two = archive.run(dates=JANUARY), archive.run(dates=JANUARY)
    archive.step(one, "extract")
    assert archive.step(two, "extract") is False
    archive.steps(one, *ALL[1:])
    assert set(archive.shop.records) == {"I-1", "I-2"}


@pytest.mark.parametrize("until", [1, 2, 3, 4])
def test_of_two_states_the_newer_one_stays_wherever_the_window_that_read_the_older_one_stood(archive, until):
    two_months(archive)
    window = archive.run(dates=JANUARY)
    archive.steps(window, *ALL[:until])
    pay(archive, "I-1")
    archive.sync()
    archive.steps(window, *ALL[until:])
    assert archive.shop.shown("I-1")["status"] == "paid"
    calls = len(archive.shop.calls)
    assert archive.sync(full=True)[1].unchanged == 3 and len(archive.shop.calls) == calls, "the ledger went back"


def test_a_window_that_died_and_is_done_again_much_later_does_not_take_the_ledger_back(archive):
    two_months(archive)
    archive.steps(archive.run("dead", dates=JANUARY), *ALL[:4])
    pay(archive, "I-1")
    archive.sync()
    archive.query("UPDATE lease SET expires_at = now() - interval '1 minute' RETURNING 1")
    archive.erp.dated = lambda since, until: iter(())
    archive.sync("again", dates=JANUARY)
    assert archive.sync(full=True)[1].unchanged == 3


def test_an_unchanged_record_of_a_window_does_not_take_back_the_row_of_a_newer_one(archive):
    two_months(archive)
    archive.sync()
    window = archive.run(dates=JANUARY)
    archive.step(window, "extract")
    pay(archive, "I-1")
    archive.sync()
    before = archive.query("SELECT key, raw_hash FROM ledger WHERE flow = 'invoices' ORDER BY key")
    archive.steps(window, *ALL[1:])
    assert archive.query("SELECT key, raw_hash FROM ledger WHERE flow = 'invoices' ORDER BY key") == before


# ---- what waits and what is wrong


def test_what_a_window_parks_the_schedule_takes_up_when_the_account_is_there(archive):
    invoice(archive, "I-1", account="C-2")
    archive.erp.ahead = timedelta(hours=3)
    assert archive.sync(dates=JANUARY)[1].waiting == 1
    know(archive, "C-2")
    archive.sync()
    assert "I-1" in archive.shop.records and archive.query("SELECT key FROM parked") == []


def test_a_window_leaves_what_others_have_set_aside_alone(archive):
    invoice(archive, "I-1", account="C-2")
    invoice(archive, "I-2", total="nonsense")
    invoice(archive, "I-3", "2025-02-15")
    archive.sync()
    places = [archive.query(f"SELECT * FROM {table}") for table in ("parked", "quarantine", "watermark")]
    archive.erp.read_by_name.clear()
    archive.sync(dates=FEBRUARY)
    assert archive.erp.read_by_name == []
    assert [archive.query(f"SELECT * FROM {table}") for table in ("parked", "quarantine", "watermark")] == places


def test_what_was_quarantined_meanwhile_stays_so_when_a_window_brings_an_older_state(archive):
    two_months(archive)
    window = archive.run(dates=JANUARY)
    archive.steps(window, *ALL[:3])
    archive.erp.change("I-1", total="nonsense")
    archive.sync()
    archive.steps(window, *ALL[3:])
    assert archive.query("SELECT key FROM quarantine WHERE resolved_at IS NULL") == [("I-1",)]
    archive.erp.change("I-1", total="119.00")
    archive.sync()
    assert archive.query("SELECT key FROM quarantine WHERE resolved_at IS NULL") == []


def test_what_was_parked_meanwhile_stays_so_when_a_window_brings_an_older_state(archive):
    two_months(archive)
    window = archive.run(dates=JANUARY)
    archive.steps(window, *ALL[:3])
    archive.erp.change("I-1", account="C-2")
    archive.sync()
    archive.steps(window, *ALL[3:])
    assert archive.query("SELECT key FROM parked") == [("I-1",)]
    know(archive, "C-2")
    archive.sync()
    assert archive.shop.shown("I-1")["account"] == "C-2" and archive.query("SELECT key FROM parked") == []


def test_a_window_settles_what_it_finds_mended(archive):
    invoice(archive, "I-1", status="nonsense")
    archive.sync()
    archive.erp.change("I-1", status="open")
    archive.sync(dates=JANUARY)
    assert archive.query("SELECT key FROM quarantine WHERE resolved_at IS NULL") == []


def test_a_stopped_window_is_let_pass_by_itself_whatever_the_schedule_does_meanwhile(archive, clean):
    two_months(archive)
    select = "SELECT key FROM crossdock.ledger WHERE false"
    archive.gate.verdict = Verdict(critical=(BatchFailure("it looks odd", "it looks odd (2 of 2)", select),))
    with pytest.raises(QualityStop):
        archive.sync("window", dates=JANUARY)
    assert [(one["scope"], one["says"]) for one in stops(archive._eyes)] == [("2025-01-01/2025-02-01", "it looks odd")]
    accept(archive._eyes, "default", "invoices", "it looks odd", "Ada", "It is history.")
    archive.gate.verdict = Verdict()
    archive.sync()
    assert archive.query("SELECT run_id FROM acceptance") == [(None,)]
    archive.gate.verdict = Verdict(critical=(BatchFailure("it looks odd", "it looks odd (2 of 2)", select),))
    archive.sync("window", dates=JANUARY, force=True)
    assert archive.query("SELECT run_id IS NULL FROM acceptance") == [(False,)]


def test_the_overview_shows_the_schedules_last_run_and_not_a_windows(archive):
    two_months(archive)
    archive.sync("schedule")
    archive.sync("window", dates=JANUARY)
    [scheduled] = [one["id"] for one in runs_named(archive, "schedule")]
    assert [one["run"] for one in domains(archive._eyes)] == [scheduled]


def runs_named(world, name):
    return [{"id": id} for (id,) in world.query("SELECT id FROM run WHERE airflow_run = %s", name)]


# ---- killed


@pytest.mark.parametrize("killed_in", ALL)
def test_a_window_killed_in_any_step_goes_on_and_tells_each_document_once(archive, killed_in):
    for n in range(9):
        invoice(archive, f"I-{n}")
    run = archive.run(dates=JANUARY)
    for step in ALL:
        if step == killed_in == "load":
            archive.shop.away_after = len(archive.shop.calls) + 1
            with pytest.raises(Retry):
                archive.step(run, step)
            archive.shop.away_after = None
        archive.step(run, step)
        if step == killed_in:
            archive.step(run, step)
    archive.sync(dates=JANUARY)
    assert {len(told) for told in archive.shop.writes.values()} == {1} and len(archive.shop.records) == 9


def test_a_lost_answer_is_looked_for_and_not_repeated(archive):
    two_months(archive)
    archive.shop.loses = 1
    _, books = archive.sync(dates=YEAR)
    assert books.created == 3 and archive.shop.calls == [["I-1", "I-2", "I-3"]]


# ---- the proof


def proved(world, **request):
    name = f"proof-{next(world.names)}"
    world.sync(name, **request)
    return document_proof.prove(world.run(name, **request))


def test_a_window_is_proved_account_by_account(archive):
    know(archive, "C-2")
    two_months(archive)
    invoice(archive, "I-4", account="C-2", total="-19.50")
    assert proved(archive, dates=JANUARY) == (
        "documents dated 2025-01-01 to 2025-02-01: 3 worth 218.50 (218.50 open) EUR in Memory, 0 set aside, "
        "and the same in Memory, account by account"
    )


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"total": "118.99"}, r"C-1 has 2 worth 238.00 \(238.00 open\) EUR in Memory and 2 worth 237.99"),
        ({"open": "0"}, r"and 2 worth 238.00 \(119.00 open\) in Memory"),
        ({"account": "C-2"}, "2 accounts differ.*C-2 has 0 worth 0.00"),
        ({"withdrawn": True}, r"and 1 worth 119.00 \(119.00 open\) in Memory"),
    ],
)
def test_a_difference_fails_and_names_accounts_and_figures(archive, wrong, says):
    two_months(archive)
    archive.sync(dates=JANUARY)
    archive.later()
    told = archive.shop.records["I-1"]
    payload = archive.shop.shown("I-1") | wrong
    archive.shop.records["I-1"] = told._replace(payload=json.dumps(payload))
    with pytest.raises(Stop, match=says):
        proved(archive, dates=JANUARY)


def test_what_is_set_aside_is_on_neither_side_of_the_proof(archive):
    two_months(archive)
    archive.sync(dates=JANUARY)
    archive.erp.change("I-1", total="500.00", status="nonsense")
    invoice(archive, "I-5", account="C-9")
    archive.later()
    assert "1 worth 119.00 (119.00 open) EUR in Memory, 2 set aside" in proved(archive, dates=JANUARY)


def test_what_a_window_left_behind_that_nobody_repeats_is_proved_once_another_run_has_told_it(archive):
    two_months(archive)
    window = archive.run(dates=JANUARY)
    archive.steps(window, *ALL[:3])
    with pytest.raises(Stop):
        archive.step(window, "settle")
    assert "1 worth 119.00 (119.00 open) EUR in Memory, 2 set aside" in proved(archive, dates=FEBRUARY)
    archive.sync()
    assert "3 worth 357.00 (357.00 open) EUR in Memory, 0 set aside" in proved(archive, dates=YEAR)


def test_what_changes_while_the_run_is_at_work_is_left_to_the_next_one(archive):
    two_months(archive)
    when(archive, "dated", lambda: pay(archive, "I-1"))
    assert "1 worth 119.00" in proved(archive, dates=JANUARY)


def test_the_first_run_of_a_day_proves_the_last_month_and_the_others_nothing(archive):
    today = archive.erp.now().date()
    invoice(archive, "I-1", str(today))
    invoice(archive, "I-2", str(today - timedelta(days=31)))
    assert "dated " + str(today - timedelta(days=30)) in proved(archive)
    assert "nothing to compare" in proved(archive)
    archive.erp.ahead += timedelta(days=1)
    assert "1 worth 119.00" in proved(archive)
    assert "since the beginning to now: 2 worth 238.00" in proved(archive, full=True)
    assert "nothing to compare" in proved(archive, keys=("I-1",))


def test_after_everything_was_read_the_books_of_the_erp_are_looked_at_too(archive):
    know(archive, "C-2")
    invoice(archive, "I-1", total="50.00")
    invoice(archive, "I-2", account="C-2", total="19.00")
    archive.erp.owed = {"C-1": Decimal("50.00"), "C-2": Decimal("9.00"), "C-3": Decimal("-1.00")}
    said = proved(archive, full=True)
    assert "open balance of 1 accounts is what they owe by the books of Memory, of 2 it is not" in said
    assert said.endswith(
        "; C-2 owes 9.00 by the books, 19.00 by documents; C-3 owes -1.00 by the books, 0.00 by documents"
    )


def test_a_document_whose_key_is_number_and_id_is_found_by_its_number(archive):
    invoice(archive, "I-1")
    archive.erp.rows["I-1"][1]["source_id"] = "98"
    row = archive.erp.dated
    archive.erp.dated = lambda *dates: ([one._replace(key=f"{one.key}/98") for one in page] for page in row(*dates))
    archive.erp.parse = lambda raw: Document.model_validate_json(
        json.dumps({name: value for name, value in json.loads(raw).items() if name != "id"})
    )
    archive.sync(dates=JANUARY)
    assert set(archive.shop.records) == {"I-1/98"}
    for key in ("I-1", "I-1/98"):
        assert [one["target_id"] for one in journey(archive._eyes, "default", "invoices", key)["ledger"]] == [
            "id-I-1/98"
        ]
    assert not any(journey(archive._eyes, "default", "invoices", "I").values())


# ---- printed documents


def test_what_buyers_wait_for_is_delivered_and_what_there_is_none_of_is_told(archive):
    archive.shop.wished = {"1": "invoice/1", "2": "invoice/2", "3": "invoice/3"}
    archive.erp.prints = {"invoice/1": b"%PDF-1", "invoice/3": b"<html>"}
    archive.shop.refuses_prints = {"3": Reject("bad_kind", "It is no document.", "Print a PDF.")}
    said = files.deliver(archive.run())
    assert said == "of 3 documents that buyers wait for 1 were delivered"
    assert archive.shop.delivered == {"1": b"%PDF-1", "2": None, "3": None}
    assert files.deliver(archive.run()) == "nobody waits for a document"


def test_a_print_that_cannot_be_had_now_does_not_hold_up_the_others(archive):
    archive.shop.wished = {"1": "invoice/1", "2": "invoice/2"}
    archive.erp.prints = {"invoice/1": Retry("busy"), "invoice/2": b"%PDF-2"}
    with pytest.raises(Retry, match="of 2 documents that buyers wait for 1 were delivered"):
        files.deliver(archive.run())
    assert archive.shop.delivered == {"2": b"%PDF-2"} and archive.shop.wished == {"1": "invoice/1"}


def test_an_erp_that_is_away_is_not_asked_for_every_print(archive):
    archive.shop.wished = {str(n): f"invoice/{n}" for n in range(9)}
    archive.erp.prints = {f"invoice/{n}": Retry("away") for n in range(9)}
    archive.erp.prints["invoice/3"] = b"%PDF-3"
    with pytest.raises(Retry):
        files.deliver(archive.run())
    assert archive.shop.delivered == {}


def test_no_print_is_delivered_to_a_shop_that_was_not_approved(archive):
    archive.query("UPDATE target SET write_enabled = false RETURNING 1")
    archive.shop.wished, archive.erp.prints = {"1": "invoice/1"}, {"invoice/1": b"%PDF-1"}
    with pytest.raises(WritesOff):
        files.deliver(archive.run())
    assert archive.shop.delivered == {}
