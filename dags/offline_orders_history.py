"""
# Offline orders: history

Orders, invoices and credit notes of the past, by the month of their own date: for a new shop, for a new customer of an
old ERP, or to have a stretch of history read and proved once more. The daily business is the DAG `offline_orders`.

**To backfill three years**: switch this DAG on, press *Trigger*, choose *Backfill*, give the dates and run it; *Run
Backwards* brings the newest months first. The same from a shell, and by `POST /api/v2/backfills`:

    airflow backfill create --dag-id offline_orders_history --from-date 2024-01-01 --to-date 2026-11-01 \\
        --run-backwards --max-active-runs 4

Each run is one month, from its first day on to before the first day of the next, by the ERP's calendar. Runs go on side
by side, and beside the schedule of `offline_orders`, whose watermark they leave alone: of two states of one document
the newer one always stays, whichever run comes last. A run that was killed goes on where it stopped; the same month
twice writes nothing. Switched on, it reads the month that is over at once, and on the first of the next ones: let that
run begin before the backfill (Airflow 3.3's scheduler ends where both make the same run in the same moment).

| | `orders` | `invoices` |
|---|---|---|
| Flow | `offline_orders` | `invoices` |
| Source | sales of `crossdock_erp` without a web shop, dated in the month | invoices and credit notes, likewise |
| Target | documents of the accounts in `crossdock_storefront` | the same |
| Quality gate | totals close, believable dates, mostly not withdrawn | the same, mostly worth something |
| Needs | the account (`customers`), else `offline_orders` takes it up later | the same |

`prove`: count, total and open balance of each account in the month, added up by the ERP and by the shop, less what is
set aside. History causes no mail, no stock move, and nothing in the ERP. For other spans than months: trigger
`offline_orders` with `since` and `until`.

## When it fails

Only this month is concerned; the others and the schedule go on. *Clear* the run to have it done again.

- **extract**: the ERP is away or refuses us; it retries by itself. "of no month": backfill instead of triggering.
- **validate**: the month as a whole looks wrong, nothing was written. The log names the expectation, and what to type
  to let the others pass.
- **transform**: the storefront, which is asked what it has already, or the store is away: it retries by itself.
- **load**: the storefront is away, or writing to it is switched off or not approved (the log says what to type).
- **settle** fails whenever one of them did, and when the books do not close: that is a defect.
- **prove**: an account's documents of the month come to something else in the shop. The log names accounts and both
  figures. Clear the run: that reads and compares them again. If they still differ, the shop has lost documents:
  trigger `offline_orders` with these dates and `force`; its page says more.

Single bad records never fail a run: *Browse > Crossdock* shows them with reason and remedy.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from airflow.sdk import CronDataIntervalTimetable, dag, get_current_context, task, task_group
from airflow.sdk.exceptions import AirflowSkipException

from crossdock.airflow import assets
from crossdock.airflow.defaults import ALERTED, DEFAULT_ARGS, ERP_POOL, LAST, PARAMS, STOREFRONT_POOL
from crossdock.airflow.pairs import Pair, pairs
from crossdock.airflow.runtime import open_run
from crossdock.errors import Misconfigured
from crossdock.sync import document_proof, steps
from crossdock.sync.flow import Flow
from crossdock.sync.flows import INVOICES, OFFLINE_ORDERS

SIDE_BY_SIDE = 4
"""Months at a time; a backfill may ask for fewer, or for more."""
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


def offline_orders_history(pair: Pair) -> None:
    again = assets.again("offline_orders_history", pair)

    @dag(
        dag_id=pair.suffixed("offline_orders_history"),
        doc_md=__doc__,
        schedule=CronDataIntervalTimetable("0 0 1 * *", timezone="UTC"),
        start_date=EARLIEST,
        catchup=False,
        max_active_runs=SIDE_BY_SIDE,
        default_args=DEFAULT_ARGS | {"max_active_tis_per_dag": SIDE_BY_SIDE},
        params={name: PARAMS[name] for name in ("mode", "force")},
        tags=["crossdock", "erp-to-storefront"],
    )
    def graph() -> None:
        @task_group
        def orders() -> None:
            way(OFFLINE_ORDERS)

        @task_group
        def invoices() -> None:
            way(INVOICES)

        def way(flow: Flow) -> None:
            """The five steps, and the proof."""

            @task.short_circuit(ignore_downstream_trigger_rules=False, pool=ERP_POOL)
            def extract() -> bool:
                """Stage what the ERP dates in this month; nothing new ends here."""
                with open_run(flow, pair, month()) as run:
                    return steps.extract(run)

            @task.short_circuit(ignore_downstream_trigger_rules=False)
            def validate() -> bool:
                """Stop here if the month as a whole looks wrong; set single bad records aside."""
                with open_run(flow, pair, month()) as run:
                    return steps.validate(run)

            @task.short_circuit(ignore_downstream_trigger_rules=False, pool=STOREFRONT_POOL)
            def transform() -> bool:
                """Decide for each record: create, update, remove or wait; a plan ends here."""
                with open_run(flow, pair, month()) as run:
                    return steps.transform(run)

            @task(pool=STOREFRONT_POOL)
            def load() -> None:
                """Write them to the storefront, batch by batch."""
                with open_run(flow, pair, month()) as run:
                    steps.load(run)

            @task(outlets=[again], **LAST)
            def settle() -> str:
                """Close the books of this month; fail if an earlier task did."""
                with open_run(flow, pair, month()) as run:
                    settled = steps.settle(run)
                if settled.asks:
                    get_current_context()["outlet_events"][again].add(assets.held(pair))
                if settled.state != "success":
                    raise AirflowSkipException(settled.line)
                return settled.line

            @task(pool=ERP_POOL, **ALERTED)
            def prove() -> str:
                """Count, total and open balance by account: in the ERP and in the shop, less what is set aside."""
                with open_run(flow, pair, month()) as run:
                    return document_proof.prove(run)

            extract() >> validate() >> transform() >> load() >> settle() >> prove()

        orders()
        invoices()

    graph()


def month() -> tuple[date, date]:
    """The data interval of the run, as days of the ERP's calendar. Raises Misconfigured when it has none."""
    context = get_current_context()
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    if start is None or end is None or start == end:
        raise Misconfigured(
            "This run is of no month: it was triggered without a logical date. Backfill this DAG, or trigger "
            "offline_orders with since and until."
        )
    return start.date(), end.date()


for each in pairs():
    offline_orders_history(each)
