"""Great Expectations on a real table: exact, by push-down, and told in words."""

from __future__ import annotations

import time
from decimal import Decimal

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
for documents in ("offline_orders", "invoices"):
    COLUMNS[documents] += ", gone boolean"


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


def document(n, made_on="2026-01-31", due_on=None, net=100, tax=19, total=119, lines_net=None, gone=False):
    lines_net = net if lines_net is None else lines_net
    open_, deviation = total, abs(Decimal(str(net)) + Decimal(str(tax)) - Decimal(str(total)))
    return (
        f"I-{n}", "invoice", "C-1", made_on, due_on, int(made_on[:4]), "EUR", net, tax, total, open_, 1, lines_net,
        deviation, abs(lines_net - net), gone,
    )  # fmt: skip


@pytest.mark.parametrize("suite", ["offline_orders", "invoices"])
def test_documents_close_to_the_cent_on_believable_dates(check, suite):
    rows = [
        document(1), document(2, total=119.01), document(3, total=119.02), document(4, net=-100, tax=-19, total=-119),
        document(5, made_on="1989-12-31"), document(6, made_on="2199-01-01"), document(7, lines_net=99),
    ]  # fmt: skip
    verdict, failing = check(rows, suite)
    assert verdict.critical == ()
    assert failing == {"total_mismatch": {"I-3"}, "absurd_date": {"I-5", "I-6"}}
    said = [one["says"] for one in verdict.results["expectations"] if not one["success"]]
    assert any("lines do not add up" in one for one in said)


@pytest.mark.parametrize("suite", ["offline_orders", "invoices"])
def test_most_documents_withdrawn_at_once_stop_the_run(check, suite):
    verdict, failing = check([document(n, gone=n > 20) for n in range(60)], suite)
    [failure] = verdict.critical
    assert "withdrawn at once (39 of 60)" in failure.text and len(failing[failure.says]) == 39


def test_most_invoices_worth_nothing_stop_the_run_and_a_due_date_before_its_own_is_reported(check):
    verdict, _ = check([document(n, net=0, tax=0, total=0, due_on="2025-12-31") for n in range(60)], "invoices")
    assert [failure.says for failure in verdict.critical] == [
        "more than half of the documents that changed are worth nothing"
    ]
    said = [one["says"] for one in verdict.results["expectations"] if not one["success"]]
    assert "there are invoices that were due before they were made" in said
