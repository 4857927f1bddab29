"""The command, against a real store."""

from __future__ import annotations

import json

import psycopg
import pytest

from crossdock.airflow.cli import main


@pytest.fixture(scope="module")
def dsn(pg) -> str:
    dsn = pg.create_database("cli")
    assert main(["db-upgrade", "--dsn", dsn]) == 0
    return dsn


@pytest.fixture
def said(dsn, monkeypatch, capsys):
    monkeypatch.setenv("AIRFLOW_CONN_CROSSDOCK_DB", dsn)

    def run(*arguments: str) -> tuple[int, str]:
        code = main(list(arguments))
        told = capsys.readouterr()
        return code, told.out + told.err

    return run


def test_the_schema_is_made_once(said, dsn):
    assert said("db-upgrade", "--dsn", dsn) == (0, "up to date\n")


def test_a_target_nobody_approved_cannot_be_switched_on(said):
    assert said("target", "show", "storefront") == (0, "not approved\n")
    code, told = said("target", "on", "storefront")
    assert code == 1 and "was never approved" in told


def test_it_says_what_it_does_not_know(said):
    code, told = said("explain", "customers", "C0404")
    assert code == 1 and "nothing is known here. The erp cannot be asked" in told


def test_it_explains_why_a_record_is_not_in_the_shop(said, dsn):
    with psycopg.connect(dsn) as db:
        db.execute("""
            INSERT INTO crossdock.quarantine
                (pair, flow, key, source_id, run_id, stage, code, reason, remedy, payload)
            VALUES
                ('default', 'customers', 'C1', '7', 1, 'extract', 'invalid_name', 'It holds HTML.', 'Mend it.', '')""")
    code, told = said("explain", "customers", "C1")
    assert code == 0 and "reason It holds HTML." in told and "remedy Mend it." in told


def test_a_plan_can_be_read(said, dsn):
    with psycopg.connect(dsn) as db:
        db.execute("""
            INSERT INTO crossdock.run (pair, flow, airflow_run, mode) VALUES ('default', 'customers', 'r', 'plan');
            INSERT INTO crossdock.outbox (run_id, pair, flow, key, op, source_id, canon_hash, payload, status)
            SELECT id, 'default', 'customers', 'C7', 'create', '7', gen_random_uuid(), '{"name": "Acme"}', 'planned'
            FROM crossdock.run""")
        [number] = db.execute("SELECT id FROM crossdock.run").fetchone()
    code, told = said("plan", str(number))
    assert code == 0 and told.startswith('create C7 {"name": "Acme"}\n1 actions.')
    assert said("plan", "404")[0] == 1


def test_links_can_be_forgotten(said):
    code, told = said("links-rebuild", "customers")
    assert code == 0 and "adopts" in told


def test_what_is_not_set_up_is_named(said, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_CROSSDOCK_DB")
    code, told = said("explain", "customers", "C1")
    assert code == 1 and "There is no connection crossdock_db" in told


# ---- what people decide

RECORD = {"number": "C2", "name": "<b>Acme</b>"}


@pytest.fixture
def store(dsn):
    """A store with a record that the gate set aside, one that was read wrong, and a batch that was stopped."""
    with psycopg.connect(dsn, autocommit=True, options="-c search_path=crossdock") as db:
        db.execute("TRUNCATE quarantine, override, acceptance, run CASCADE")
        for key, form in (("C2", "record"), ("C3", "row"), ("C4", "told")):
            db.execute(
                """
                INSERT INTO quarantine
                    (pair, flow, key, source_id, run_id, stage, code, reason, remedy, payload, raw_hash, form)
                VALUES
                    ('default', 'customers', %s, '7', 1, 'extract', %s, 'It is odd.', 'Even it.', %s,
                     gen_random_uuid(), %s)
                """,
                (key, f"odd_{form}", json.dumps(RECORD), form),
            )
        db.execute("""
            INSERT INTO run (pair, flow, airflow_run, mode, state, step, quality)
            VALUES ('default', 'customers', 'r', 'apply', 'failed', 'extracted',
                    '{"stops": [{"says": "it''s half", "text": "it''s half (9 of 17)", "acceptable": true}]}')""")
        yield lambda text: db.execute(text).fetchall()


@pytest.fixture
def editor(monkeypatch, tmp_path):
    """An editor that replaces one text by another in the file it is given."""

    def type_in(old, new):
        monkeypatch.delenv("VISUAL", raising=False)
        monkeypatch.setenv("EDITOR", f"sed -i 's|{old}|{new}|'")

    return type_in


def test_quarantine_is_listed_without_and_shown_with_the_record(said, store):
    code, told = said("quarantine", "customers")
    assert code == 0 and "C2 odd_record: It is odd. Even it. (tries: 1," in told and "3 in quarantine" in told
    assert "Acme" not in told
    code, told = said("quarantine", "customers", "C2")
    assert code == 0 and '{\n  "number": "C2",\n  "name": "<b>Acme</b>"\n}' in told
    assert "what the target was told, not the record" in said("quarantine", "customers", "C4")[1]
    assert said("quarantine", "customers", "C404") == (1, "customers C404 is not in quarantine.\n")
    assert "There is no pair 'outlet'" in said("--pair", "outlet", "quarantine", "customers")[1]


def test_records_are_tried_again_one_by_one_or_by_their_code(said, store):
    code, told = said("replay", "customers", "C2", "C404")
    assert code == 0 and "C404: not in quarantine" in told and "1 to be tried again. The next run of customers" in told
    assert store("SELECT key FROM quarantine WHERE replay AND owner <> ''") == [("C2",)]
    assert "to be tried again (" in said("quarantine", "customers", "C2")[1]
    assert said("replay", "customers", "--all", "--code", "odd_row")[0] == 0
    assert store("SELECT count(*) FROM quarantine WHERE replay") == [(2,)]
    assert said("replay", "customers", "--all")[0] == 0
    assert store("SELECT count(*) FROM quarantine WHERE replay") == [(3,)]
    assert said("replay", "customers", "C404")[0] == 1


@pytest.mark.parametrize("arguments", [(), ("C2", "--all"), ("C2", "--code", "odd_row"), ("--code", "odd_row")])
def test_what_to_try_again_has_to_be_said(said, store, arguments):
    code, told = said("replay", "customers", *arguments)
    assert code == 1 and "Say which" in told


def test_a_record_is_edited_in_the_editor(said, store, editor):
    editor("<b>Acme</b>", "Acme Ltd")
    code, told = said("edit", "customers", "C2")
    assert code == 0 and "until C2 changes in the source" in told and "Acme" not in told
    [(payload, form, author)] = store("SELECT payload, form, author FROM override")
    assert json.loads(payload) == RECORD | {"name": "Acme Ltd"} and form == "record" and author
    code, told = said("explain", "customers", "C2")
    assert code == 0 and f"override: state new, author {author}" in told and "Acme" not in told
    assert said("withdraw", "customers", "C2")[0] == 0
    assert said("withdraw", "customers", "C2")[0] == 1


def test_a_record_is_edited_from_a_file(said, store, tmp_path):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(RECORD | {"name": "Acme Ltd"}))
    assert said("edit", "customers", "C3", "--file", str(file))[0] == 0
    assert store("SELECT key, form FROM override") == [("C3", "row")]
    code, told = said("edit", "customers", "C3", "--file", str(tmp_path / "none"))
    assert code == 1 and "cannot be read" in told


def test_an_edit_that_changes_nothing_or_is_wrong_is_refused(said, store, editor, monkeypatch):
    editor("nothing", "something")
    code, told = said("edit", "customers", "C2")
    assert code == 1 and "Nothing was changed" in told
    editor("<b>Acme</b>", "<i>Acme</i>")
    code, told = said("edit", "customers", "C2")
    assert code == 1 and "name: holds HTML" in told
    monkeypatch.setenv("EDITOR", "false")
    assert "ended with 1. Nothing was changed" in said("edit", "customers", "C2")[1]
    monkeypatch.setenv("EDITOR", "no-such-editor")
    assert "cannot be started" in said("edit", "customers", "C2")[1]
    assert "cannot be edited" in said("edit", "customers", "C4")[1]
    assert "not in quarantine" in said("edit", "customers", "C404")[1]
    assert store("SELECT * FROM override") == []


def test_a_stopped_batch_is_accepted_with_a_reason(said, store):
    code, told = said("accept", "customers", "something else", "--reason", "Because.")
    assert code == 1 and "It was stopped by 'it's half'" in told
    code, told = said("--pair", "default", "accept", "customers", "it's half", "--reason", "They left.")
    assert code == 0 and "Accepted for one run" in told
    assert store("SELECT says, reason, run_id FROM acceptance") == [("it's half", "They left.", None)]


# ---- what is held


@pytest.fixture
def held(dsn):
    with psycopg.connect(dsn, autocommit=True, options="-c search_path=crossdock") as db:
        db.execute("TRUNCATE held, question RESTART IDENTITY")
        for key in ("S1", "S2"):
            db.execute(
                """
                INSERT INTO held (pair, flow, key, reason, run_id, version, changes)
                VALUES ('default', 'inventory', %s, 'sold out', 1, gen_random_uuid(), '[["sellable", "5", "0"]]')
                """,
                [key],
            )
        yield lambda text: db.execute(text).fetchall()


def test_what_is_held_is_listed_with_the_number_to_decide_by(said, held):
    code, told = said("held", "inventory")
    assert code == 0 and "S1 sellable: 5 → 0 (sold out, " in told
    assert "2 held. crossdock --pair default approve inventory 2, or refuse inventory 2, decides" in told
    assert said("held", "items") == (0, "Nothing is held.\n")


@pytest.mark.parametrize(("act", "state"), [("approve", "approved"), ("refuse", "refused")])
def test_what_was_listed_is_decided_and_nothing_newer(said, held, act, state):
    held("UPDATE held SET id = 3 WHERE key = 'S2' RETURNING 1")
    code, told = said(act, "inventory", "2")
    assert code == 0 and f"1 {state}" in told
    assert held("SELECT key, state, owner IS NULL FROM held ORDER BY key") == [
        ("S1", state, False),
        ("S2", "open", True),
    ]
    code, told = said(act, "inventory", "2")
    assert code == 1 and "Nothing of inventory is held up to number 2" in told
