"""
# Items

ERP -> storefront, every five minutes and whenever somebody hints at a change.

Every product that the ERP offers in the shop, with its variants, options, attributes, categories,
images, measures, barcodes and tax class. Nothing is deleted: what is archived, no longer for sale or
taken out of the shop is unpublished, and published again when it is back. Prices are not touched here,
base prices neither: they are the business of `pricing`.

| | |
|---|---|
| Source | products of the connection `crossdock_erp` |
| Target | products of the connection `crossdock_storefront`, less the fields its setting `shop_fields` names |
| Quality gate | suite `items`: numbered, named, of a believable weight, most of them published |
| Brake | more than 10 products, and more than a fifth, disappearing in one run are held for an approval |
| Then | `pricing` runs when this DAG has written; records of other domains that wait for a SKU are taken up |

**To sync some products now**: trigger it with `keys` = their numbers. `force` writes them even if
nothing changed, and lets held ones through. `full` reads the whole catalogue and compares it with what
the shop was told; it writes only what differs.

## When it fails

Nothing is lost: the watermark moves only when every product has reached a safe place, and the next
run goes on from there. Look at the task that failed:

- **extract**: the ERP is away or refuses us. It retries by itself; then test the connection
  `crossdock_erp` in *Admin > Connections*.
- **validate**: the batch as a whole looks wrong, nothing was written. The log names the expectation
  and the command that lets the other products pass. Correct the ERP; the next run reads the window
  again.
- **transform**: the shop, which is asked what it has already, or the store is away: it retries by itself.
  Else it is a defect. The log says which.
- **load**: the shop is away, or writing to it is switched off or not approved (the log says what to
  type). What was confirmed stays; the rest is taken up by the next run.
- **settle** fails whenever one of them did, and when the books do not close: that is a defect.

Single bad products never fail a run: *Browse > Crossdock* shows them with reason and remedy, and lets
you replay or edit them.
"""

from __future__ import annotations

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from crossdock.airflow import assets
from crossdock.airflow.defaults import DEFAULT_ARGS, ERP_POOL, LAST, PARAMS, START, STOREFRONT_POOL
from crossdock.airflow.pairs import Pair, pairs
from crossdock.airflow.runtime import open_run
from crossdock.sync import steps
from crossdock.sync.flows import ITEMS


def items(pair: Pair) -> None:
    done, hint, again = (name("items", pair) for name in (assets.synced, assets.hint, assets.again))

    @dag(
        dag_id=pair.suffixed("items"),
        doc_md=__doc__,
        schedule=AssetOrTimeSchedule(
            timetable=CronTriggerTimetable("1-59/5 * * * *", timezone="UTC"), assets=[assets.watched("items", pair)]
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
            """Stage the products that changed in the ERP; nothing new ends here."""
            with open_run(ITEMS, pair) as run:
                return steps.extract(run)

        @task.short_circuit(ignore_downstream_trigger_rules=False)
        def validate() -> bool:
            """Stop here if the batch as a whole looks wrong; set single bad products aside."""
            with open_run(ITEMS, pair) as run:
                return steps.validate(run)

        @task.short_circuit(ignore_downstream_trigger_rules=False, pool=STOREFRONT_POOL)
        def transform() -> bool:
            """Decide for each product: create, update, remove, wait, hold or skip; a plan ends here."""
            with open_run(ITEMS, pair) as run:
                return steps.transform(run)

        @task(pool=STOREFRONT_POOL)
        def load() -> None:
            """Write them to the storefront, batch by batch."""
            with open_run(ITEMS, pair) as run:
                steps.load(run)

        @task(outlets=[done, again], **LAST)
        def settle() -> str:
            """Close the books and move the watermark; fail if an earlier task did."""
            with open_run(ITEMS, pair) as run:
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

        extract() >> validate() >> transform() >> load() >> settle()

    graph()


for each in pairs():
    items(each)
