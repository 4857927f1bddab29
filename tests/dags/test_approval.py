"""The question that a person is asked, and what becomes of the answer."""

from __future__ import annotations

import json
from types import SimpleNamespace

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowSkipException, TaskAwaitingInput

from crossdock.airflow import approval, notifiers
from crossdock.airflow.approval import APPROVE, REFUSE, Approval
from crossdock.airflow.pairs import Pair
from crossdock.errors import Stop
from crossdock.store.migrations import upgrade
from crossdock.sync.flows import CUSTOMERS, INVENTORY

ADA = {"id": "7", "name": "Ada"}


@pytest.fixture(scope="module")
def dsn(pg) -> str:
    dsn = pg.create_database("approval")
    with psycopg.connect(dsn) as db:
        upgrade(db)
    return dsn


@pytest.fixture
def store(dsn, monkeypatch):
    """Thirty SKUs of which the last ones have odd names, and an account, are held."""
    monkeypatch.setenv("AIRFLOW_CONN_CROSSDOCK_DB", dsn)
    with psycopg.connect(dsn, autocommit=True, options="-c search_path=crossdock") as db:
        db.execute("TRUNCATE held, question RESTART IDENTITY")
        for n in range(30, 0, -1):
            hold(db, "inventory", f"a|b*{n:02}", "sold out", [["levels[MAIN].sellable", "5", "0"]])
        hold(db, "customers", "C-1", "blocked", [["buyers[a@b.example].email", "a@b.example", None]])
        yield lambda text: db.execute(text).fetchall()


def hold(db, flow, key, reason, changes):
    db.execute(
        """
        INSERT INTO held (pair, flow, key, reason, run_id, version, changes)
        VALUES ('default', %s, %s, %s, 1, gen_random_uuid(), %s)
        """,
        (flow, key, reason, json.dumps(changes)),
    )


@pytest.fixture
def asked(monkeypatch):
    """What Airflow was given to show."""
    shown = []
    monkeypatch.setattr(
        "airflow.providers.standard.operators.hitl.upsert_hitl_detail", lambda **detail: shown.append(detail)
    )
    monkeypatch.setattr(
        notifiers.Message, "_mail", lambda self, subject, text, link: shown.append((subject, text, link))
    )
    monkeypatch.setattr(notifiers.Message, "_post", lambda self, body: None)
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/")
    return shown


def run(flow=INVENTORY, name="r1"):
    task = Approval(task_id="ask", flow=flow, pair=Pair())
    ti = SimpleNamespace(id="ti", dag_id="approve", run_id=name, task_id=f"{flow.name}.ask", map_index=-1)
    return task.execute({"task_instance": ti, "ti": ti, "task": task, "dag_run": SimpleNamespace(run_id=name)})


def test_it_shows_the_first_records_as_a_table_and_tells_a_person(store, asked):
    assert approval.ask(INVENTORY, Pair(), "r1")
    with pytest.raises(TaskAwaitingInput) as waiting:
        run()
    detail, (subject, text, link) = asked
    assert waiting.value.timeout.total_seconds() == 24 * 3600
    assert (detail["options"], detail["defaults"]) == ([APPROVE, REFUSE], [REFUSE])
    assert detail["subject"] == "inventory (default): may 30 held records be written?"
    lines = detail["body"].splitlines()
    rows = [line for line in lines if line.startswith("| a")]
    assert len(rows) == 20 and rows[0] == (r"| a\|b\*30 | sold out | levels\[MAIN\]\.sellable\: 5 → 0 |")
    assert (
        "The first 20 of 30" in lines[-1] and "(https://airflow.example/crossdock/held/default/inventory)" in lines[-1]
    )
    assert detail["subject"] in subject and "24 hours" in text and "/dags/approve/runs/r1/tasks/inventory.ask" in link


def test_an_airflow_that_does_not_know_its_address_asks_all_the_same(store, asked, monkeypatch):
    monkeypatch.delenv("AIRFLOW__API__BASE_URL")
    approval.ask(INVENTORY, Pair(), "r1")
    with pytest.raises(TaskAwaitingInput):
        run()
    assert asked[1][2] == ""


def test_personal_data_is_no_part_of_the_question(store, asked):
    approval.ask(CUSTOMERS, Pair(), "r1")
    with pytest.raises(TaskAwaitingInput):
        run(CUSTOMERS)
    assert "→" not in asked[0]["body"] and "blocked" in asked[0]["body"]


def test_a_mail_server_that_is_away_stops_no_question(store, asked, monkeypatch):
    approval.ask(INVENTORY, Pair(), "r1")
    monkeypatch.setattr(notifiers.Message, "_mail", lambda *_: 1 / 0)
    with pytest.raises(TaskAwaitingInput):
        run()


def test_another_run_does_not_ask_meanwhile_nor_about_nothing(store, asked):
    assert approval.ask(INVENTORY, Pair(), "r1") and not approval.ask(INVENTORY, Pair(), "r2")
    assert not approval.ask(INVENTORY, Pair(name="outlet"), "r1")
    with pytest.raises(AirflowSkipException):
        run(name="r2")


@pytest.mark.parametrize(("option", "state", "count"), [(APPROVE, "approved", 30), (REFUSE, "refused", 0)])
def test_the_answer_is_kept_with_its_author(store, option, state, count):
    approval.ask(INVENTORY, Pair(), "r1")
    store("INSERT INTO held (pair, flow, key, reason, run_id) VALUES ('default', 'inventory', 'z', '', 1) RETURNING 1")
    said = {"chosen_options": [option], "responded_by_user": ADA}
    assert approval.answer(INVENTORY, Pair(), "r1", said) == count
    assert store("SELECT state, owner, count(*) FROM held WHERE flow = 'inventory' GROUP BY 1, 2 ORDER BY 3") == [
        ("open", None, 1),
        (state, "Ada", 30),
    ]
    assert store("SELECT * FROM question") == []


def test_no_answer_is_a_refusal_that_alerts(store):
    approval.ask(INVENTORY, Pair(), "r1")
    with pytest.raises(Stop, match=r"nobody said within 24 hours whether 30 held records.*trigger the DAG inventory"):
        approval.answer(INVENTORY, Pair(), "r1", {"chosen_options": [REFUSE], "responded_by_user": None})
    assert store("SELECT DISTINCT state, owner FROM held WHERE flow = 'inventory'") == [("refused", "nobody")]


def test_a_question_whose_run_is_gone_is_given_up_after_a_day(store):
    approval.ask(INVENTORY, Pair(), "r1")
    store("UPDATE question SET asked_at = now() - interval '25 h' RETURNING 1")
    with pytest.raises(Stop, match="nobody said"):
        approval.ask(INVENTORY, Pair(), "r2")
    assert store("SELECT DISTINCT state FROM held WHERE flow = 'inventory'") == [("refused",)]


def test_answered_elsewhere_an_answer_changes_nothing(store):
    approval.ask(INVENTORY, Pair(), "r1")
    store("DELETE FROM question RETURNING 1")
    with pytest.raises(AirflowSkipException):
        approval.answer(INVENTORY, Pair(), "r1", {"chosen_options": [APPROVE], "responded_by_user": ADA})
    assert store("SELECT DISTINCT state FROM held") == [("open",)]
