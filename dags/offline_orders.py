"""
# Offline orders

From the ERP to the storefront, within seconds of a change in the ERP and every ten minutes: what a buyer ordered by
phone, mail or at the counter, and every invoice and credit note of his account, stand in the account's pages of the
shop, each with its own number, date, status and open balance.

`orders`: orders that were not placed on the web. `invoices`: invoices and credit notes, those of web orders too; a
payment or a credit in the ERP changes the open balance. `files`: the printed documents that buyers wait for; the shop
keeps none until somebody asks, for the ERP takes seconds to make one. `prove`: count, total and open balance of each
account, added up by the ERP and by the shop.

| | `orders` | `invoices` |
|---|---|---|
| Flow | `offline_orders` | `invoices` |
| Source | sales of `crossdock_erp` without a web shop, once confirmed | invoices and credit notes, once posted |
| Target | documents of the accounts in `crossdock_storefront` | the same |
| Quality gate | totals close, believable dates, mostly not withdrawn | the same, mostly worth something |
| Needs | the account (`customers`), else the document waits | the same |
| Brake | - | - |
| Proved | the first run of a day: the last 30 days; a full run: everything; a run by dates: these | the same |

Nothing else happens in the shop: no mail, no stock move, no order of its own. The first run reads what changed in the
last 31 days. **Older history** comes by its dates, side by side with the schedule: backfill the DAG
`offline_orders_history` by the month, or trigger this one with `since` and `until` for any span. The watermark stays
where it is then, and of two states of one document the newer one always stays, whichever run comes last.

**Why is this invoice not in the shop?** `crossdock explain invoices NUMBER`, `crossdock explain offline_orders NUMBER`,
or *Browse > Crossdock*. **To sync some now**: trigger this DAG with `keys` = their numbers; each flow takes its own.

## When it fails

Nothing is lost: each watermark moves only when every document has reached a safe place, and writing it twice leaves the
same as writing it once. The groups fail and go on independently.

- **extract**: the ERP is away or refuses us; it retries by itself. "Give both since and until", "a run reads in one
  way": trigger it again as the message says.
- **validate**: the batch as a whole looks wrong, nothing was written. The log names the expectation.
- **transform**: the storefront, which is asked what it has already, or the store is away: it retries by itself.
- **load**: the storefront is away, has no ERP extension, or writing to it is switched off or not approved (the log says
  what to type). What was confirmed stays; the rest is taken up by the next run.
- **settle** fails whenever one of them did, and when the books do not close: that is a defect.
- **prove**: an account's documents come to something else in the shop. The log names accounts and both figures. Trigger
  this DAG with `since` and `until` around the dates it names: that reads and compares them again. If they still
  differ, the shop has lost documents, which `force` brings back, or somebody has changed its table by hand: delete
  these rows there, then `force`.
- **files**: a document could not be printed or delivered now; it is tried again. Buyers wait no longer than that: of
  what the ERP cannot print at all, they are told that there is none.

Single bad records never fail a run: *Browse > Crossdock* shows them with reason and remedy.
"""

from __future__ import annotations

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, dag, get_current_context, task, task_group
from airflow.sdk.exceptions import AirflowSkipException

from crossdock.airflow import assets
from crossdock.airflow.defaults import ALERTED, DATES, DEFAULT_ARGS, ERP_POOL, LAST, PARAMS, START, STOREFRONT_POOL
from crossdock.airflow.pairs import Pair, pairs
from crossdock.airflow.runtime import open_run
from crossdock.sync import document_proof, steps
from crossdock.sync import files as printed
from crossdock.sync.flow import Flow
from crossdock.sync.flows import INVOICES, OFFLINE_ORDERS

SIDE_BY_SIDE = 8
"""Runs at a time: the schedule's own exclude each other by their lease, those by dates go on beside them."""


def offline_orders(pair: Pair) -> None:
    done, hint, again = (name("offline_orders", pair) for name in (assets.synced, assets.hint, assets.again))

    @dag(
        dag_id=pair.suffixed("offline_orders"),
        doc_md=__doc__,
        schedule=AssetOrTimeSchedule(
            timetable=CronTriggerTimetable("9-59/10 * * * *", timezone="UTC"),
            assets=assets.watched("offline_orders", pair),
        ),
        start_date=START,
        catchup=False,
        max_active_runs=SIDE_BY_SIDE,
        default_args=DEFAULT_ARGS | {"max_active_tis_per_dag": SIDE_BY_SIDE},
        params=PARAMS | DATES,
        tags=["crossdock", "erp-to-storefront"],
    )
    def graph() -> None:
        @task_group
        def orders() -> None:
            way(OFFLINE_ORDERS)

        @task_group
        def invoices() -> None:
            way(INVOICES)

        @task(pool=ERP_POOL, max_active_tis_per_dag=1, **ALERTED)
        def files() -> str:
            """Bring the shop the printed documents that buyers wait for."""
            said = []
            for flow in (OFFLINE_ORDERS, INVOICES):
                with open_run(flow, pair) as run:
                    said.append(f"{flow.name}: {printed.deliver(run)}")
            return "; ".join(said)

        def way(flow: Flow) -> None:
            """The five steps, and the proof."""

            @task.short_circuit(ignore_downstream_trigger_rules=False, pool=ERP_POOL)
            def extract() -> bool:
                """Stage what changed, or what the dates say; nothing new ends here."""
                with open_run(flow, pair) as run:
                    return steps.extract(run)

            @task.short_circuit(ignore_downstream_trigger_rules=False)
            def validate() -> bool:
                """Stop here if the batch as a whole looks wrong; set single bad records aside."""
                with open_run(flow, pair) as run:
                    return steps.validate(run)

            @task.short_circuit(ignore_downstream_trigger_rules=False, pool=STOREFRONT_POOL)
            def transform() -> bool:
                """Decide for each record: create, update, remove or wait; a plan ends here."""
                with open_run(flow, pair) as run:
                    return steps.transform(run)

            @task(pool=STOREFRONT_POOL)
            def load() -> None:
                """Write them to the storefront, batch by batch."""
                with open_run(flow, pair) as run:
                    steps.load(run)

            @task(outlets=[done, again] if flow is OFFLINE_ORDERS else [again], **LAST)
            def settle() -> str:
                """Close the books and move the watermark; fail if an earlier task did."""
                with open_run(flow, pair) as run:
                    settled = steps.settle(run)
                if settled.again:
                    get_current_context()["outlet_events"][again].add(hint)
                if settled.asks:
                    get_current_context()["outlet_events"][again].add(assets.held(pair))
                if settled.state != "success":
                    raise AirflowSkipException(settled.line)
                return settled.line

            @task(pool=ERP_POOL, **ALERTED)
            def prove() -> str:
                """Count, total and open balance by account: in the ERP and in the shop, less what is set aside."""
                with open_run(flow, pair) as run:
                    return document_proof.prove(run)

            extract() >> validate() >> transform() >> load() >> settle() >> prove()

        orders()
        invoices()
        files()

    graph()


for each in pairs():
    offline_orders(each)
