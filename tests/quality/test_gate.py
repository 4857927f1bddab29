"""Great Expectations on a real table: exact, by push-down, and told in words."""

from __future__ import annotations

import time

import psycopg
import pytest

from crossdock.errors import Retry
from crossdock.quality.gate import ExpectationsGate
from crossdock.quality.suites import SUITES
from crossdock.sync.flows import FLOWS

COLUMNS = {
    flow.name: ", ".join(f"{name} {kind}" for name, kind in {"key": "text", **flow.record.COLUMNS}.items())
    for flow in FLOWS.values()
}


@pytest.fixture(scope="module")
def dsn(pg) -> str:
    return pg.create_database("gate")


@pytest.fixture
def check(dsn):
    with psycopg.connect(dsn, autocommit=True, options="-csearch_path=crossdock") as db:
        db.execute("CREATE SCHEMA IF NOT EXISTS crossdock")

        def run(rows, suite="customers"):
            db.execute("DROP TABLE IF EXISTS crossdock.batch")
            db.execute(f"CREATE TABLE crossdock.batch ({COLUMNS[suite]})")
            with db.cursor().copy("COPY crossdock.batch FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            verdict = ExpectationsGate(dsn).check(suite, "crossdock.batch", len(rows))
            queries = {f.code: f.query for f in verdict.rows} | {f.says: f.query for f in verdict.critical}
            return verdict, {code: {key for (key,) in db.execute(query)} for code, query in queries.items()}

        yield run


def account(n, name="Customer", active=True, blocked=False, buyers=2, number=None):
    return (f"C-{n}", number or f"C-{n}", name, active, blocked, buyers, 1, 0, 30)


def test_a_good_batch_passes(check):
    verdict, failing = check([account(n) for n in range(60)])
    assert verdict.critical == () and failing == {}
    assert verdict.results["success"] is True and verdict.results["rows"] == 60


@pytest.mark.parametrize("bad", [1, 21, 500, 999])
def test_failing_rows_are_named_exactly(check, bad):
    """GX cuts its own list of them at 20."""
    verdict, failing = check([account(n, name="x" if n < bad else "Customer") for n in range(1000)])
    assert verdict.critical == ()
    assert failing == {"name_too_short": {f"C-{n}" for n in range(bad)}}


def test_numbers_that_are_not_unique_stop_the_run(check):
    verdict, failing = check([account(1, number="C-1"), account(2, number="C-1"), account(3)])
    assert [failure.text for failure in verdict.critical] == ["account numbers are not unique (2 of 3)"]
    assert failing == {"account numbers are not unique": {"C-1", "C-2"}}


def test_most_accounts_archived_at_once_stop_the_run(check):
    verdict, failing = check([account(n, active=n > 40) for n in range(60)])
    says = "more than half of the accounts that changed were archived at once"
    assert [failure.text for failure in verdict.critical] == [f"{says} (41 of 60)"]
    assert failing == {says: {f"C-{n}" for n in range(41)}}


def test_one_archived_account_alone_is_fine(check):
    verdict, _ = check([account(1, active=False)])
    assert verdict.critical == ()


def test_results_hold_no_value_of_any_row(check):
    verdict, _ = check([account(n, name="Q") for n in range(3)])
    assert '"Q"' not in str(verdict.results)


def item(n, name="Hex bolt", published=True, weight=12.5, tax_class="Standard"):
    return (f"P-{n}", f"P-{n}", name, published, 3, 1, 1, weight, tax_class)


def test_an_advice_of_nothing_is_set_aside(check):
    verdict, failing = check([("108", "108", 1, 3), ("109", "109", 1, 0)], "shipping_advice")
    assert verdict.critical == () and failing == {"nothing_sent": {"109"}}


def test_every_flow_has_a_suite():
    assert SUITES.keys() == FLOWS.keys()


def test_a_good_catalogue_passes(check):
    verdict, failing = check([item(n, weight=None if n % 2 else 3) for n in range(60)], "items")
    assert verdict.critical == () and failing == {} and verdict.results["success"] is True


def test_products_of_an_unbelievable_weight_or_without_a_name_are_named(check):
    _, failing = check([item(1, weight=30_000_001), item(2, name="x"), item(3)], "items")
    assert failing == {"too_heavy": {"P-1"}, "name_too_short": {"P-2"}}


def test_half_a_catalogue_taken_out_of_the_shop_at_once_stops_the_run(check):
    verdict, failing = check([item(n, published=n > 40) for n in range(60)], "items")
    [says] = failing
    assert "out of the shop at once (41 of 60)" in verdict.critical[0].text
    assert failing[says] == {f"P-{n}" for n in range(41)}


def test_a_store_that_does_not_answer_is_no_fault_of_the_data(check, dsn):
    check([account(1)])
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute("ALTER TABLE crossdock.batch DROP COLUMN terms_days")
    with pytest.raises(Retry, match="did not answer"):
        ExpectationsGate(dsn).check("customers", "crossdock.batch", 1)


def test_no_connection_is_left_behind(check, dsn):
    with psycopg.connect(dsn, autocommit=True) as db:
        for _ in range(3):
            check([account(1, name="x")])
        for _ in range(100):  # a server process outlives its client by moments
            [(left,)] = db.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = ''"
            ).fetchall()
            if left <= 2:  # this one, and the fixture's
                break
            time.sleep(0.1)
    assert left <= 2
