"""The command, against a real store."""

from __future__ import annotations

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
    assert code == 1 and "nothing is known" in told


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
