"""
# Inventory

ERP -> storefront, whenever stock moves, whenever `orders` has written to the ERP, and every ten minutes.

What can be sold of each SKU at each location of the shop. Of what is free in the ERP's warehouses (on hand less every
open outgoing move), or what the files of a 3PL count, each location gets its share, less a buffer, as the rules of the
pair say (`crossdock.toml`). Web orders in flight are counted once: what the shop reserves for orders that the ERP has
taken off already is added again in the moment of writing, what it reserves for others stays reserved. Once an hour,
and when a rule changes, everything is compared with what the shop shows: stock edited there by hand comes back.

| | |
|---|---|
| Source | stock and moves of `crossdock_erp`, files of the 3PLs that the rules name, reservations of the shop |
| Target | stock levels of `crossdock_storefront` by location, expected receipts |
| Quality gate | suite `inventory`: a location at least, no absurd figures, most of it not sold out |
| Brake | more than 20 SKUs, and more than a fifth, selling out in one run are held for an approval |
| Needs | the variant, else the SKU waits |

**Why does the shop show this number?** `crossdock explain stock SKU` prints every term of it.
**To sync some SKUs now**: trigger this DAG with `keys` = the SKUs.

## When it fails

The shop goes on with the last figures, and reserves for itself what it sells. The watermark moves only when every SKU
has reached a safe place, so the next run goes on from there.

- **extract**: the ERP, the shop or the folder of a 3PL is away or refuses us; it retries by itself. "names the
  location" or "names the feed": correct `crossdock.toml`.
- **validate**: the batch as a whole looks wrong, nothing was written. The log names the expectation and the command
  that lets the others pass.
- **transform**: the store is away: it retries by itself.
- **load**: the shop is away, or writing to it is switched off or not approved (the log says what to type).
- **settle** fails whenever one of them did, and when the books do not close: that is a defect.
- **hear**: the files of a 3PL cannot be read, or none has come for longer than its rule allows. Ask the warehouse. It
  is said once an hour, and nothing else stops for it.

A file of a 3PL that cannot be believed never empties the shop: it is quarantined under its name with what to do, and
the last good one counts on. When nothing has come for too long, the rule's `stale_buffer` is kept back as well. Single
bad SKUs never fail a run: *Browse > Crossdock* shows them with reason and remedy.
"""

from __future__ import annotations

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from crossdock.airflow import assets
from crossdock.airflow.defaults import ALERTED, ERP_POOL, HURRIED, LAST, PARAMS, START, STOREFRONT_POOL
from crossdock.airflow.pairs import Pair, pairs
from crossdock.airflow.runtime import open_run
from crossdock.sync import steps
from crossdock.sync.flows import INVENTORY


def inventory(pair: Pair) -> None:
    done, hint, again = (name("inventory", pair) for name in (assets.synced, assets.hint, assets.again))

    @dag(
        dag_id=pair.suffixed("inventory"),
        doc_md=__doc__,
        schedule=AssetOrTimeSchedule(
            timetable=CronTriggerTimetable("3-59/10 * * * *", timezone="UTC"),
            assets=[assets.watched("inventory", pair)],
        ),
        start_date=START,
        catchup=False,
        max_active_runs=8,
        default_args=HURRIED,
        params=PARAMS,
        tags=["crossdock", "erp-to-storefront"],
    )
    def graph() -> None:
        @task.short_circuit(ignore_downstream_trigger_rules=False, pool=ERP_POOL)
        def extract() -> bool:
            """Put together what anybody touched; what the shop shows already ends here."""
            with open_run(INVENTORY, pair) as run:
                return steps.extract(run)

        @task.short_circuit(ignore_downstream_trigger_rules=False)
        def validate() -> bool:
            """Stop here if the batch as a whole looks wrong; set single bad SKUs aside."""
            with open_run(INVENTORY, pair) as run:
                return steps.validate(run)

        @task.short_circuit(ignore_downstream_trigger_rules=False, pool=STOREFRONT_POOL)
        def transform() -> bool:
            """Decide for each SKU: update, wait or hold; a plan ends here."""
            with open_run(INVENTORY, pair) as run:
                return steps.transform(run)

        @task(pool=STOREFRONT_POOL)
        def load() -> None:
            """Write the levels to the storefront, batch by batch."""
            with open_run(INVENTORY, pair) as run:
                steps.load(run)

        @task(outlets=[done, again], **LAST)
        def settle() -> str:
            """Close the books and move the watermark; fail if an earlier task did."""
            with open_run(INVENTORY, pair) as run:
                settled = steps.settle(run)
            if settled.again:
                get_current_context()["outlet_events"][again].add(hint)
            if settled.asks:
                get_current_context()["outlet_events"][again].add(assets.held(pair))
            if settled.state != "success":
                raise AirflowSkipException(settled.line)
            return settled.line

        @task(**ALERTED)
        def hear() -> str:
            """Fail, by the hour, while a 3PL on whose files a rule relies has fallen silent."""
            with open_run(INVENTORY, pair) as run:
                return steps.hear(run)

        extract() >> validate() >> transform() >> load() >> settle() >> hear()

    graph()


for each in pairs():
    inventory(each)
