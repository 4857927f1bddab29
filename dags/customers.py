"""
# Customers

ERP -> storefront, every two minutes and whenever somebody hints at a change.

Every B2B account of the ERP, with its buyers, addresses and terms, is in the shop, one to one, so
that the account is known *before* an order is placed. A buyer belongs to an account because the ERP
says so; what a shopper writes about himself is a proposal for a person (task `review`). Guests are
not copied: their orders are booked to the one receivable account of the shop.

| | |
|---|---|
| Source | accounts of the connection `crossdock_erp` |
| Target | accounts, buyers and addresses of the connection `crossdock_storefront` |
| Quality gate | suite `customers`: numbered, named, of a believable size, most of them open |
| Brake | more than 10 accounts, and more than a fifth, losing access in one run are held for an approval |
| Then | `orders` runs when this DAG has settled, `pricing` when it has written |

**To sync some accounts now**: trigger it with `keys` = their account numbers. `force` writes them
even if nothing changed, and lets held ones through.

## When it fails

Nothing is lost: the watermark moves only when every account has reached a safe place, and the next
run goes on from there. Look at the task that failed:

- **extract**: the ERP is away or refuses us. It retries by itself; then test the connection
  `crossdock_erp` in *Admin > Connections*.
- **validate**: the batch as a whole looks wrong, nothing was written. The log names the expectation.
  Correct the ERP; the next run reads the window again.
- **transform**: the shop, which is asked what it has already, or the store is away: it retries by itself.
  Else it is a defect. The log says which.
- **load**: the shop is away, or writing to it is switched off or not approved (the log says what to
  type). What was confirmed stays; the rest is taken up by the next run.
- **settle** fails whenever one of them did, and when the books do not close: that is a defect.
- **review**: the shop could not be asked for proposals; accounts are not affected.

Single bad accounts never fail a run: *Browse > Crossdock* shows them with reason and remedy.
"""

from __future__ import annotations

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from crossdock.airflow import assets
from crossdock.airflow.defaults import ALERTED, DEFAULT_ARGS, ERP_POOL, LAST, PARAMS, START, STOREFRONT_POOL
from crossdock.airflow.pairs import Pair, pairs
from crossdock.airflow.runtime import open_run
from crossdock.sync import steps
from crossdock.sync.flows import CUSTOMERS


def customers(pair: Pair) -> None:
    done, hint, again = (name("customers", pair) for name in (assets.synced, assets.hint, assets.again))

    @dag(
        dag_id=pair.suffixed("customers"),
        doc_md=__doc__,
        schedule=AssetOrTimeSchedule(
            timetable=CronTriggerTimetable("*/2 * * * *", timezone="UTC"), assets=[assets.watched("customers", pair)]
        ),
        start_date=START,
        catchup=False,
        max_active_runs=8,
        default_args=DEFAULT_ARGS,
        params=PARAMS,
        tags=["crossdock", "erp-to-storefront"],
    )
    def graph() -> None:
        @task.short_circuit(ignore_downstream_trigger_rules=False, pool=ERP_POOL)
        def extract() -> bool:
            """Stage the accounts that changed in the ERP; nothing new ends here."""
            with open_run(CUSTOMERS, pair) as run:
                return steps.extract(run)

        @task.short_circuit(ignore_downstream_trigger_rules=False)
        def validate() -> bool:
            """Stop here if the batch as a whole looks wrong; set single bad accounts aside."""
            with open_run(CUSTOMERS, pair) as run:
                return steps.validate(run)

        @task.short_circuit(ignore_downstream_trigger_rules=False, pool=STOREFRONT_POOL)
        def transform() -> bool:
            """Decide for each account: create, update, remove, wait, hold or skip; a plan ends here."""
            with open_run(CUSTOMERS, pair) as run:
                return steps.transform(run)

        @task(pool=STOREFRONT_POOL)
        def load() -> None:
            """Write them to the storefront, batch by batch."""
            with open_run(CUSTOMERS, pair) as run:
                steps.load(run)

        @task(outlets=[done, again], **LAST)
        def settle() -> str:
            """Close the books and move the watermark; fail if an earlier task did."""
            with open_run(CUSTOMERS, pair) as run:
                settled = steps.settle(run)
            if settled.again:
                get_current_context()["outlet_events"][again].add(hint)
            if settled.asks:
                get_current_context()["outlet_events"][again].add(assets.held(pair))
            if settled.wrote:  # prices may have waited for it
                get_current_context()["outlet_events"][again].add(assets.hint("pricing", pair))
            if settled.state != "success":
                raise AirflowSkipException(settled.line)
            return settled.line

        @task(pool=STOREFRONT_POOL, **ALERTED)
        def review() -> int:
            """List the logins that say they belong to an account which the ERP has not said."""
            with open_run(CUSTOMERS, pair) as run:
                return steps.review(run)

        extract() >> validate() >> transform() >> load() >> settle()
        review()

    graph()


for each in pairs():
    customers(each)
