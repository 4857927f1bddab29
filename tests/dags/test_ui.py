"""The pages, against a real store: who sees what, who may act, and what becomes of it."""

from __future__ import annotations

import json
import re
from html import unescape
from types import SimpleNamespace

import psycopg
import pytest
from airflow.api_fastapi.core_api import security
from airflow.models.dag import DagModel
from fastapi.testclient import TestClient

from crossdock.airflow.ui import app
from crossdock.store.migrations import upgrade

RECORD = {"number": "C/2", "name": "<b>Acme</b>", "tax_id": "secret-id"}
PAGE = "/record/default/customers/C%2F2"


@pytest.fixture(scope="module")
def dsn(pg) -> str:
    dsn = pg.create_database("ui")
    with psycopg.connect(dsn) as db:
        upgrade(db)
    return dsn


@pytest.fixture
def store(dsn, monkeypatch):
    """A store with two quarantined accounts and a batch that was stopped twice over."""
    monkeypatch.setenv("AIRFLOW_CONN_CROSSDOCK_DB", dsn)
    with psycopg.connect(dsn, autocommit=True, options="-c search_path=crossdock") as db:
        db.execute("TRUNCATE quarantine, override, acceptance, outbox, run CASCADE")
        for key, form in (("C/2", "record"), ("C4", "told")):
            db.execute(
                """
                INSERT INTO quarantine
                    (pair, flow, key, source_id, run_id, stage, code, reason, remedy, payload, raw_hash, form)
                VALUES
                    ('default', 'customers', %s, '7', 1, 'extract', 'odd', 'It is <odd>.', 'Even it.', %s,
                     gen_random_uuid(), %s)
                """,
                (key, json.dumps(RECORD), form),
            )
        quality = {
            "expectations": [],
            "stops": [
                {"says": "it's <half>", "text": "it's <half> (9 of 17)", "acceptable": True},
                {"says": "too few", "text": "too few (3)", "acceptable": False},
            ],
        }
        db.execute(
            """
            INSERT INTO run (pair, flow, airflow_run, mode, state, step, quality)
            VALUES ('default', 'customers', 'r', 'apply', 'failed', 'extracted', %s)
            """,
            [json.dumps(quality)],
        )
        yield lambda text: db.execute(text).fetchall()


class Auth:
    """Lets Ada trigger every DAG and Bob none; remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def is_authorized_dag(self, *, method, access_entity, details, user):
        self.asked.append((method, access_entity.value, details.id, user.get_name()))
        return user.get_name() == "Ada"


@pytest.fixture
def auth(monkeypatch):
    auth = Auth()
    monkeypatch.setattr(security, "get_auth_manager", lambda: auth)
    monkeypatch.setattr(DagModel, "get_team_name", staticmethod(lambda dag_id: None))
    yield auth
    app.dependency_overrides.clear()


@pytest.fixture
def user(auth, store):
    """A browser in which this user is logged in."""

    def log_in(name):
        app.dependency_overrides[security.get_user] = lambda: SimpleNamespace(get_name=lambda: name)
        return TestClient(app, headers={"sec-fetch-site": "same-origin"}, follow_redirects=False)

    return log_in


def shown(answer):
    return unescape(re.sub(r"<[^>]+>", " ", answer.text))


def filled_in(page):
    """What the browser would send of the record's form, untouched."""
    [payload] = re.findall(r"<textarea[^>]*>\n(.*?)</textarea>", page.text, re.S)
    [version] = re.findall(r"name=version value='([^']*)'", page.text)
    return {"payload": unescape(payload), "version": version}


def test_nobody_sees_anything_without_logging_in(store, auth):
    app.dependency_overrides.clear()
    stranger = TestClient(app)
    for path in ("/", PAGE, "/plan/1"):
        assert stranger.get(path).status_code == 401
    headers = {"sec-fetch-site": "same-origin"}
    assert stranger.post(PAGE, data={"act": "replay"}, headers=headers).status_code == 401
    assert store("SELECT FROM quarantine WHERE replay") == []


def test_the_overview_leads_to_the_record_and_holds_none_of_it(user):
    page = user("Bob").get("/")
    assert page.status_code == 200 and f"href='{PAGE}'" in page.text and "odd: It is <odd>." in shown(page)
    assert "secret-id" not in page.text and "<form" not in page.text and "it's <half> (9 of 17)" in shown(page)
    assert page.headers["cache-control"] == "no-store" and "frame-ancestors 'self'" in page.text + str(page.headers)


def test_who_may_not_trigger_sees_why_but_not_the_record(user, store):
    page = user("Bob").get(PAGE)
    assert page.status_code == 200 and "Even it." in page.text and "Those who may trigger customers" in page.text
    assert "secret-id" not in page.text and "<form" not in page.text
    for act in ("replay", "edit", "withdraw"):
        assert user("Bob").post(PAGE, data={"act": act}).status_code == 403
    assert user("Bob").post("/accept/default/customers", data={"says": "x", "reason": "y"}).status_code == 403
    assert store("SELECT FROM quarantine WHERE replay OR owner IS NOT NULL") == []


def test_what_runs_in_another_dag_is_for_those_who_may_trigger_that_one(user, store, auth):
    page = user("Ada").get("/record/default/shipping_advice/108?done=replay")
    assert ("POST", "RUN", "orders", "Ada") in auth.asked
    assert "<h2>shipping_advice 108</h2>" in page.text and "/dags/orders" in page.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 303),
        ({"sec-fetch-site": "same-site", "origin": "http://testserver"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "none"}, 403),
        ({"origin": "http://testserver"}, 303),
        ({"origin": "http://testserver:8000"}, 403),
        ({"origin": "null"}, 403),
        ({}, 403),
    ],
)
def test_only_forms_of_this_page_are_taken(user, store, headers, status):
    user("Ada")
    browser = TestClient(app, headers=headers, follow_redirects=False)
    assert browser.post(PAGE, data={"act": "replay"}).status_code == status
    answer = browser.post("/accept/default/customers", data={"says": "it's <half>", "reason": "So."})
    assert answer.status_code == status
    assert len(store("SELECT FROM quarantine WHERE replay")) == len(store("SELECT FROM acceptance")) == (status == 303)


def test_a_get_never_acts(user, store):
    user("Ada").get(f"{PAGE}?act=replay&done=replay")
    assert user("Ada").get("/accept/default/customers?says=x&reason=y").status_code == 405
    assert store("SELECT FROM quarantine WHERE replay") == []


def test_replay_is_asked_for_and_said(user, store, auth):
    ada = user("Ada")
    answer = ada.post(PAGE, data={"act": "replay"})
    assert answer.status_code == 303 and answer.headers["location"] == f"{PAGE}?done=replay"
    assert store("SELECT key, owner FROM quarantine WHERE replay") == [("C/2", "Ada")]
    assert ("POST", "RUN", "customers", "Ada") in auth.asked
    page = ada.get(answer.headers["location"])
    assert "It will be tried again. The next run takes it up" in shown(page) and "/dags/customers" in page.text
    assert "To be tried again: Ada" in page.text
    assert "Ada" in ada.get("/").text


def test_a_record_is_edited_and_the_version_withdrawn(user, store):
    ada = user("Ada")
    page = ada.get(PAGE)
    assert "<b>Acme" not in page.text and "for=payload" in page.text
    form = filled_in(page)
    assert json.loads(form["payload"]) == RECORD
    form["payload"] = form["payload"].replace("<b>Acme</b>", "Acme & Sons").replace("\n", "\r\n")
    answer = ada.post(PAGE, data={"act": "edit", **form})
    assert answer.status_code == 303
    [(payload, author)] = store("SELECT payload, author FROM override")
    assert json.loads(payload) == RECORD | {"name": "Acme & Sons"} and author == "Ada"
    page = ada.get(answer.headers["location"])
    assert "Your version is kept" in page.text and json.loads(filled_in(page)["payload"]) == json.loads(payload)
    assert "End the edited version" in page.text
    assert "End the edited version" not in user("Bob").get(PAGE).text
    assert user("Ada").post(PAGE, data={"act": "withdraw"}).headers["location"] == f"{PAGE}?done=withdraw"
    assert store("SELECT state FROM override") == [("withdrawn",)]
    assert user("Ada").post(PAGE, data={"act": "withdraw"}).status_code == 422


def test_what_was_typed_is_not_lost_when_it_is_refused(user, store):
    ada = user("Ada")
    form = filled_in(ada.get(PAGE))
    form["payload"] = form["payload"].replace("Acme", "<i>Acme</i></textarea>")
    answer = ada.post(PAGE, data={"act": "edit", **form})
    assert answer.status_code == 422 and "name: holds HTML" in answer.text
    assert filled_in(answer) == form
    store("UPDATE quarantine SET raw_hash = gen_random_uuid() RETURNING 1")
    form["payload"] = form["payload"].replace("<i>Acme</i></textarea>", "Acme")
    answer = ada.post(PAGE, data={"act": "edit", **form})
    assert answer.status_code == 422 and "changed in the source" in answer.text and filled_in(answer) == form
    assert store("SELECT FROM override") == []


def test_what_cannot_be_edited_can_be_seen_and_tried_again(user, store):
    page = user("Ada").get("/record/default/customers/C4")
    assert "what the target was told" in page.text and "secret-id" in page.text and "<textarea" not in page.text
    assert user("Ada").post("/record/default/customers/C4", data={"act": "edit", "payload": "{}"}).status_code == 422
    assert user("Ada").post("/record/default/customers/C4", data={"act": "replay"}).status_code == 303


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/record/default/customers/C404", 404, "Nothing is known of it"),
        ("/record/default/customers/%00", 404, "Nothing is known of it"),
        ("/record/default/pets/C4", 404, "no such domain"),
        ("/record/outlet/customers/C4", 404, "no such domain"),
    ],
)
def test_what_is_not_there_is_said(user, path, status, words):
    page = user("Ada").get(path)
    assert page.status_code == status and words in page.text
    assert user("Ada").post(path, data={"act": "replay"}).status_code in (404, 422)


def test_a_stopped_batch_is_accepted_with_a_reason(user, store):
    ada = user("Ada")
    page = ada.get("/")
    assert page.text.count("action='/accept/default/customers'") == 1 and "for=reason-0" in page.text
    says = unescape(re.findall(r"name=says value='([^']*)'", page.text)[0])
    assert ada.post("/accept/default/customers", data={"says": says, "reason": " "}).status_code == 422
    assert ada.post("/accept/default/customers", data={"says": "too few", "reason": "So."}).status_code == 422
    answer = ada.post("/accept/default/customers", data={"says": says, "reason": "They <left>."})
    assert store("SELECT says, author, reason FROM acceptance") == [("it's <half>", "Ada", "They <left>.")]
    page = ada.get(answer.headers["location"])
    assert "Accepted for one run" in page.text and "by Ada: They <left>." in shown(page)
    assert "action='/accept" not in page.text


def test_a_plan_shows_what_it_would_tell_only_to_who_may_run_it(user, store):
    store("""
        INSERT INTO outbox (run_id, pair, flow, key, op, source_id, canon_hash, payload, status)
        SELECT id, 'default', 'customers', 'C7', 'create', '7', gen_random_uuid(), '{"tax": "secret-id"}', 'planned'
        FROM run RETURNING 1""")
    [(run,)] = store("SELECT id FROM run")
    assert "secret-id" in user("Ada").get(f"/plan/{run}").text
    page = user("Bob").get(f"/plan/{run}")
    assert "C7" in page.text and "secret-id" not in page.text


def test_a_store_that_is_away_is_said(user, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_CROSSDOCK_DB", "postgresql://nobody@127.0.0.1:9/none")
    page = user("Ada").get("/")
    assert page.status_code == 503 and "is away" in page.text


# ---------------------------------------------------------------- what is held

HELD = "/held/default/customers"


@pytest.fixture
def held(store):
    store("DELETE FROM held RETURNING 1")
    for key in ("C/2", "<b>"):
        store(f"""
            INSERT INTO held (pair, flow, key, reason, run_id, version, changes)
            VALUES ('default', 'customers', '{key}', 'one of 2', 1, gen_random_uuid(),
                    '[["tax_id", "secret-id", null]]')
            RETURNING 1""")
    return store


def test_the_overview_leads_to_what_is_held(user, held):
    page = user("Bob").get("/")
    assert f"<a href='{HELD}'>2</a>" in page.text and "secret-id" not in page.text


def test_what_is_held_is_shown_to_all_its_values_to_those_who_may_act(user, held):
    page = user("Bob").get(HELD)
    assert page.status_code == 200 and f"href='{PAGE}'" in page.text and "&lt;b&gt;" in page.text
    assert "one of 2" in shown(page) and "tax_id" in shown(page)
    assert "secret-id" not in page.text and "<form" not in page.text
    assert user("Bob").post(HELD, data={"act": "approve", "upto": 99}).status_code == 403
    assert "tax_id: secret-id → (none)" in shown(user("Ada").get(HELD))
    assert user("Ada").get("/held/default/nothing").status_code == 404


@pytest.mark.parametrize(("act", "state"), [("approve", "approved"), ("refuse", "refused")])
def test_what_was_shown_is_decided_with_a_button(user, held, act, state):
    page = user("Ada").get(HELD)
    [upto] = re.findall(r"name=upto value=(\d+)", page.text)
    held("UPDATE held SET id = id + 9 WHERE key = '<b>' RETURNING 1")
    answer = user("Ada").post(HELD, data={"act": act, "upto": upto})
    assert answer.status_code == 303 and f"done={act}" in answer.headers["location"]
    assert held("SELECT key, state, owner FROM held ORDER BY id") == [("C/2", state, "Ada"), ("<b>", "open", None)]
    again = user("Ada").post(HELD, data={"act": act, "upto": upto})
    assert again.status_code == 422 and "decided meanwhile" in shown(again)
    assert ("Ada" in shown(user("Bob").get(HELD))) is (act == "refuse")
    assert user("Ada").post(HELD, data={"act": "burn", "upto": 9}).status_code == 422
