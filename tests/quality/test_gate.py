"""Great Expectations on a real table: exact, by push-down, and told in words."""

from __future__ import annotations

import psycopg
import pytest

from crossdock.quality.gate import ExpectationsGate

COLUMNS = (
    "key text, number text, name text, active boolean, blocked boolean, "
    "buyers int, addresses int, unplaced_addresses int, terms_days int"
)


@pytest.fixture(scope="module")
def dsn(pg) -> str:
    return pg.create_database("gate")


@pytest.fixture
def check(dsn):
    with psycopg.connect(dsn, autocommit=True, options="-csearch_path=crossdock") as db:
        db.execute("CREATE SCHEMA IF NOT EXISTS crossdock")

        def run(rows):
            db.execute("DROP TABLE IF EXISTS crossdock.batch")
            db.execute(f"CREATE TABLE crossdock.batch ({COLUMNS})")
            with db.cursor().copy("COPY crossdock.batch FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            verdict = ExpectationsGate(dsn).check("customers", "crossdock.batch", len(rows))
            return verdict, {f.code: {key for (key,) in db.execute(f.query)} for f in verdict.rows}

        yield run


def account(n, name="Customer", active=True, blocked=False, buyers=2, number=None):
    return (f"C-{n}", number or f"C-{n}", name, active, blocked, buyers, 1, 0, 30)


def test_a_good_batch_passes(check):
    verdict, failing = check([account(n) for n in range(60)])
    assert verdict.critical == () and failing == {}
    assert verdict.results["success"] is True and verdict.results["rows"] == 60


@pytest.mark.parametrize("bad", [1, 21, 500])
def test_failing_rows_are_named_exactly(check, bad):
    """GX cuts its own list of them at 20."""
    verdict, failing = check([account(n, name="x" if n < bad else "Customer") for n in range(1000)])
    assert verdict.critical == ()
    assert failing == {"name_too_short": {f"C-{n}" for n in range(bad)}}


def test_numbers_that_are_not_unique_stop_the_run(check):
    verdict, _ = check([account(1, number="C-1"), account(2, number="C-1")])
    assert verdict.critical == ("account numbers are not unique (2 of 2)",)


def test_most_accounts_archived_at_once_stop_the_run(check):
    verdict, _ = check([account(n, active=n > 40) for n in range(60)])
    assert verdict.critical == ("more than half of the accounts that changed were archived at once (41 of 60)",)


def test_one_archived_account_alone_is_fine(check):
    verdict, _ = check([account(1, active=False)])
    assert verdict.critical == ()


def test_results_hold_no_value_of_any_row(check):
    verdict, _ = check([account(n, name="Q") for n in range(3)])
    assert '"Q"' not in str(verdict.results)
