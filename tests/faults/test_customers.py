"""Customers on the real ERP, shop and database, when each of them fails, and when a task is killed."""

from __future__ import annotations

import json
import logging
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.faults import proxy
from tests.faults.accounts import Accounts
from tests.faults.world import STEPS

from crossdock.errors import AnswerLost, BadCredentials, CrossdockError, QualityStop, Retry, Stop
from sandbox.merchant import ErpError

pytestmark = pytest.mark.e2e

WORLD = Accounts
ACCOUNTS = r'"model\.party\.party\.search_read"'
"""The call that reads a page of accounts."""
CONTACTS = r'"model\.party\.contact_mechanism\.search"'
"""A later call of the same step: what is there at all."""
LOGIN = r'"common\.db\.login"'
STORE = "crossdock.store.postgres.PostgresStore."
PUT = "crossdock.connectors.medusa.extension.ExtensionCustomers.put"


# ---------------------------------------------------------------- the ERP


@pytest.mark.parametrize(
    ("fault", "match", "error"),
    [
        pytest.param(proxy.reset, ACCOUNTS, Retry, id="away"),
        pytest.param(proxy.late(4), ACCOUNTS, Retry, id="slow"),
        pytest.param(proxy.answer(401), ACCOUNTS, BadCredentials, id="401"),
        pytest.param(proxy.answer(401), LOGIN, BadCredentials, id="401-at-the-login"),
        pytest.param(proxy.answer(429, Retry_After="600"), ACCOUNTS, Retry, id="429-come-later"),
        pytest.param(proxy.answer(429), ACCOUNTS, Retry, id="429-storm"),
        pytest.param(proxy.answer(500, b"<h1>Internal Server Error</h1>"), ACCOUNTS, Retry, id="500"),
        pytest.param(proxy.answer(504), CONTACTS, Retry, id="504-after-the-accounts"),
        pytest.param(proxy.answer(200, b"<html>maintenance</html>"), ACCOUNTS, Retry, id="garbage"),
        pytest.param(proxy.cut_json, ACCOUNTS, Retry, id="truncated-json"),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_an_erp_that_fails_leaves_everything_as_it_is_and_the_next_run_heals(
    world: Accounts, fault: proxy.Fault, match: str, error: type[CrossdockError], logins: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    [number] = world.new()
    before = world.in_shop(), world.watermark(), world.writes(), world.ledger()
    shutil.rmtree(logins, ignore_errors=True)
    with world.erp_line.fault(fault, match), pytest.raises(CrossdockError) as caught:
        world.sync()
    assert type(caught.value) is error
    run = world.last_run()
    assert run["state"] == "failed" and "nothing was written" in run["message"]
    assert (world.in_shop(), world.watermark(), world.writes(), world.ledger()) == before
    assert world.query("SELECT FROM outbox WHERE run_id = %s", run["id"]) == []
    monkeypatch.undo()
    world.heals()
    assert number in world.in_shop()


def test_an_erp_that_asks_for_a_moment_is_given_it(world: Accounts) -> None:
    world.new()
    with world.erp_line.fault(proxy.answer(429, Retry_After="1"), ACCOUNTS, times=1):
        world.heals()


@pytest.mark.parametrize("seconds", [90, -90])
def test_a_clock_that_is_wrong_loses_nothing(alone: Accounts, seconds: int) -> None:
    [number] = alone.new()
    off = timedelta(seconds=seconds)
    with alone.erp_line.fault(proxy.clock(off)):
        alone.heals()
        alone.rename(number, "Changed by a wrong clock")
        alone.heals()
    [mark] = alone.watermark()
    assert mark > datetime.now(UTC) + off - timedelta(seconds=60)
    alone.rename(number, "Changed by a right clock")
    alone.heals()
    assert alone.watermark() >= [mark] and alone.in_shop()[number][0] == "Changed by a right clock"


@pytest.mark.parametrize("match", [ACCOUNTS, CONTACTS])
def test_what_changes_while_the_erp_is_read_is_there_after_the_next_run(world: Accounts, match: str) -> None:
    [known] = world.new()
    world.sync()
    news: list[str] = []

    def change() -> None:
        news.extend(world.new())
        world.rename(known, "Renamed meanwhile")
        world.dismiss(known)

    world.rename(known, "Renamed before")
    with world.erp_line.fault(proxy.meanwhile(change), match, times=1):
        assert world.sync().state == "success"
    assert news and news[0] not in world.in_shop()
    world.heals()
    name, emails, _ = world.in_shop()[known]
    assert name == "Renamed meanwhile" and len(emails) == 1


# ---------------------------------------------------------------- the shop


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(proxy.reset, AnswerLost, id="away"),
        pytest.param(proxy.answer(401), BadCredentials, id="401"),
        pytest.param(proxy.answer(429, Retry_After="600"), Retry, id="429"),
        pytest.param(proxy.answer(500), AnswerLost, id="500"),
        pytest.param(proxy.answer(200, b"<html>"), AnswerLost, id="garbage"),
    ],
)
def test_a_shop_that_does_not_take_a_batch_gets_it_when_it_is_back(
    world: Accounts, fault: proxy.Fault, error: type[CrossdockError]
) -> None:
    [number] = world.new()
    [mark] = world.watermark()
    with world.shop_line.fault(fault, Accounts.batches), pytest.raises(CrossdockError) as caught:
        world.sync()
    assert type(caught.value) is error
    assert world.last_run()["state"] == "failed" and world.last_run()["counts"]["pending"] == 1
    assert number not in world.in_shop()
    assert world.watermark()[0] >= mark  # what was read is safe in the outbox
    with world.shop_line.fault(fault), pytest.raises(CrossdockError):  # now it does not even answer questions
        world.sync()
    assert world.last_run()["step"] == "opened" and number not in world.in_shop()
    world.heals()


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(proxy.lose_answer, id="connection-lost"),
        pytest.param(proxy.instead(504), id="504-of-a-gateway"),
        pytest.param(proxy.cut_json, id="truncated-json"),
    ],
)
def test_a_batch_whose_answer_is_lost_is_not_written_twice(world: Accounts, fault: proxy.Fault) -> None:
    numbers, before = world.new(3), world.writes()
    with world.shop_line.fault(fault, Accounts.batches, times=1):
        assert world.sync().state == "success"
    assert world.writes() - before == 1 and world.books["created"] == len(numbers)
    world.in_step()
    notes = world.query("SELECT DISTINCT note FROM outbox WHERE key = ANY(%s)", numbers)
    assert notes == [{"note": "found carried out"}]


@pytest.mark.usefixtures("impatient")
def test_a_batch_that_arrives_after_its_repetition_changes_nothing(world: Accounts) -> None:
    numbers, before = world.new(2), world.writes()
    with world.shop_line.fault(proxy.late(4), Accounts.batches, times=1):
        assert world.sync().state == "success"
        arrived = time.monotonic() + 4
    assert world.writes() - before == 2 and world.books["created"] == len(numbers)
    world.in_step()
    time.sleep(max(0, arrived - time.monotonic()))
    world.in_step()


def test_a_shop_that_is_killed_in_the_middle_of_hundreds_is_right_after_the_next_run(alone: Accounts) -> None:
    numbers = alone.new(300)
    second_batch = f"{Accounts.batches}.*{numbers[150]}"
    try:
        with alone.shop_line.fault(alone.kill_shop_at("customer_address"), second_batch, times=1), pytest.raises(Retry):
            alone.sync()
    finally:
        alone.shop.restart()
    assert set(numbers) & set(alone.in_shop()) == set(numbers[:100])  # nothing is left half done
    counts = alone.last_run()["counts"]
    assert (counts["created"], counts["pending"]) == (100, 200)
    alone.heals()


# ---------------------------------------------------------------- the task and the store

KILLED = [
    pytest.param("extract", STORE + "close_stage", id="extract"),
    pytest.param("validate", STORE + "save_quality", id="validate"),
    pytest.param("transform", STORE + "count_decisions", id="transform"),
    pytest.param("load", PUT, id="load-before-the-send"),
    pytest.param("load", STORE + "confirm", id="load-after-the-send"),
]


@pytest.mark.parametrize(("step", "function"), KILLED)
def test_a_killed_task_fails_its_run_and_the_next_one_loses_and_doubles_nothing(
    world: Accounts, step: str, function: str
) -> None:
    numbers, before, mark = world.new(2), world.writes(), world.watermark()
    name = world.until_killed(step, function)
    sent = function.endswith("confirm")
    assert (set(numbers) <= set(world.in_shop())) is sent
    with pytest.raises(Stop):
        world.step("settle", name)
    assert world.last_run()["airflow_run"] == name and world.last_run()["state"] == "failed"
    assert (world.watermark() == mark) is (step != "load")
    assert world.sync().state == "success"
    assert world.writes() - before == 1
    world.in_step()


@pytest.mark.parametrize(("step", "function"), KILLED)
def test_a_killed_task_that_is_tried_again_finishes_its_run(world: Accounts, step: str, function: str) -> None:
    world.rename(*world.new(1), "Killed and tried again")
    before = world.writes()
    name = world.until_killed(step, function)
    for again in STEPS[STEPS.index(step) :]:
        assert world.step(again, name)
    assert world.last_run()["state"] == "success" and world.books["created"] == 1
    assert world.writes() - before == 1
    world.in_step()


# ---------------------------------------------------------------- nothing to do, and bad records


def test_a_run_with_nothing_to_do_writes_nothing_and_never_imports_great_expectations(world: Accounts) -> None:
    [number] = world.new()
    world.heals()
    world.rename(number, world.in_erp()[number][0])  # somebody pressed "save"
    before = world.writes(), world.ledger()
    name, said = world.new_run(), []
    for step in ("extract", "settle"):
        task = world.task(step, name)
        assert task.returncode == 0, task.stderr
        said.append(json.loads(task.stdout.splitlines()[-1]))
    assert said[0] == {"result": "False", "great_expectations": False}
    assert said[1]["great_expectations"] is False
    run = world.last_run()
    assert run["airflow_run"] == name and run["state"] == "success" and run["quality"] is None
    assert run["counts"]["read"] == run["counts"]["unchanged"] > 0
    world.sync(full=True)
    assert (world.writes(), world.ledger()) == before


def test_bad_records_are_set_aside_with_a_remedy_while_the_others_go_on(
    world: Accounts, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "crossdock")
    world.sync()
    good, html, broken, twice = world.new(4)
    with pytest.raises(ErpError, match="required"):  # Tryton itself sees to account numbers
        world.erp.admin("model.party.party.write", [world.party(good)], {"code": None})
    world.rename(html, "<b>Works</b>")
    contacts = {number: world.contacts(number) for number in (broken, twice)}
    world.set_email(contacts[broken][0], f"ada at {broken.lower()}.example")
    world.set_email(contacts[twice][1], f"ada@{twice.lower()}.example")
    for _ in range(2):
        assert world.sync().state == "success"
        assert world.last_run()["counts"]["quarantined"] == 3
    assert good in world.in_shop() and not {html, broken, twice} & set(world.in_shop())
    open_rows = world.quarantined()
    assert {key: row["code"] for key, row in open_rows.items()} == {
        html: "invalid_name", broken: "invalid_email", twice: "duplicate_email",
    }  # fmt: skip
    for row in open_rows.values():
        assert row["reason"] and row["remedy"] and "Tryton" in row["remedy"]
        assert not any(secret in row["reason"] + row["remedy"] for secret in ("@", ".example", "<b>"))
    assert caplog.text and "@" not in caplog.text and ".example" not in caplog.text

    world.rename(html, "Works")
    world.set_email(contacts[broken][0], f"ada@{broken.lower()}.example")
    world.set_email(contacts[twice][1], f"ben@{twice.lower()}.example")
    world.heals()
    assert world.quarantined() == {}


def test_a_batch_that_looks_wrong_stops_before_the_first_write(alone: Accounts) -> None:
    numbers = alone.new(60)
    alone.block(numbers)
    before = alone.in_shop(), alone.watermark(), alone.writes()
    with pytest.raises(QualityStop, match="more than half of the accounts that changed were blocked at once"):
        alone.sync()
    assert (alone.in_shop(), alone.watermark(), alone.writes()) == before
    assert alone.last_run()["state"] == "failed" and alone.last_run()["quality"]["success"] is False
    alone.block(numbers, "remove")
    alone.heals()
