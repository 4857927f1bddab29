"""
# Orders

Both ways, whenever `customers` has settled (every two minutes, and a moment after the shop's hint).

`to_erp`: every order of the shop becomes exactly one sale in the ERP, to the cent: on the account of the
buyer who was logged in, or on the one receivable account for guests. The shop's order id stands in the ERP
under a database constraint, and before anything is repeated it is looked for. `to_shop`: the ERP's number,
status, promised date, shipments and tracking are shown to the shopper; goods that came back to the ERP are received in
the shop, and what was paid back there through the shop's payment journal is refunded. `from_3pl`: what the warehouse of
a third party says it has sent (X12 945) is shipped in the ERP; without a connection `crossdock_3pl` it is skipped.

| | `to_erp` | `to_shop` | `from_3pl` |
|---|---|---|---|
| Flow | `orders` | `order_status` | `shipping_advice` |
| Source | orders of `crossdock_storefront` | web sales of `crossdock_erp` | files of `crossdock_3pl` |
| Target | sales, payments, returns | fulfilments, tracking, returns, refunds, metadata of the order | shipments |
| Quality gate | numbered, worth what was charged, mostly not cancelled | numbered, mostly not cancelled | numbered |
| Brake | more than 10, and more than a fifth, cancelled in one run are held for an approval | - | - |
| Needs | the account, else the order waits | - | - |

Orders placed before the pair's `go_live` are never posted, whatever is asked. Orders that are not paid yet are
skipped and come when they are. Orders that a person has to look at (credit hold, the shop's hold) are quotations in
the ERP until somebody confirms them there.

**Why is this order not in the ERP?** `crossdock explain ORDER`, with its id or number, or *Browse > Crossdock*.
**To sync some orders now**: trigger this DAG with `keys` = their ids.

## When it fails

Nothing is lost and nothing is posted twice: the watermark moves only when every order has reached a safe place, and
what may have been carried out is looked for before it is done again. The groups fail and go on independently.

- **extract**: the shop (`to_erp`), the ERP (`to_shop`) or the folder of the warehouse's files (`from_3pl`) is away or
  refuses us; it retries by itself. "has not settled yet": `customers` must run first. "has no go_live": set it in
  `crossdock.toml`.
- **validate**: the batch as a whole looks wrong, nothing was written. The log names the expectation.
- **transform**: the target, which is asked what it has already, or the store is away: it retries by itself.
- **load**: the target is away, or writing to it is switched off or not approved (the log says what to type). What
  was confirmed stays; the rest is taken up by the next run.
- **settle** fails whenever one of them did, and when the books do not close: that is a defect.
- **prove** (`to_erp`): orders of the last day are missing in the ERP, or worth something else there. The log names
  them; trigger the DAG with their ids as `keys`, `crossdock explain orders ID` tells what is known of one.

Single bad orders never fail a run: *Browse > Crossdock* shows them with reason and remedy. `conflict` means that shop
and ERP have gone different ways (an order edited after it was sent), or the warehouse and the ERP: the remedy is a
proposal for a person.
"""

from __future__ import annotations

import logging
from typing import Any

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, dag, get_current_context, task, task_group
from airflow.sdk.exceptions import AirflowSkipException

from crossdock.airflow import assets
from crossdock.airflow.defaults import (
    ALERTED,
    DEFAULT_ARGS,
    DEFAULT_POOL,
    ERP_POOL,
    LAST,
    PARAMS,
    START,
    STOREFRONT_POOL,
)
from crossdock.airflow.pairs import Pair, pairs
from crossdock.airflow.runtime import connected, open_run
from crossdock.sync import steps
from crossdock.sync.flow import Flow
from crossdock.sync.flows import ORDER_STATUS, ORDERS, SHIPPING_ADVICE

log = logging.getLogger(__name__)


def orders(pair: Pair) -> None:
    done, again = assets.synced("orders", pair), assets.again("orders", pair)
    accounts, hint = assets.synced("customers", pair), assets.hint("customers", pair)
    stock = assets.hint("inventory", pair)

    @dag(
        dag_id=pair.suffixed("orders"),
        doc_md=__doc__,
        schedule=AssetOrTimeSchedule(
            timetable=CronTriggerTimetable("5-59/10 * * * *", timezone="UTC"), assets=[accounts]
        ),
        start_date=START,
        catchup=False,
        max_active_runs=8,
        default_args=DEFAULT_ARGS,
        params=PARAMS,
        tags=["crossdock", "storefront-to-erp", "erp-to-storefront"],
    )
    def graph() -> None:
        @task_group
        def to_erp() -> None:
            _, last = way(ORDERS, STOREFRONT_POOL, ERP_POOL)
            last >> prove()

        @task_group
        def to_shop() -> None:
            way(ORDER_STATUS, ERP_POOL, STOREFRONT_POOL)

        @task_group
        def from_3pl() -> None:
            first, _ = way(SHIPPING_ADVICE, DEFAULT_POOL, ERP_POOL)
            fed() >> first

        @task.short_circuit(ignore_downstream_trigger_rules=True)
        def fed() -> bool:
            """Skip all of it where no warehouse of a third party sends advices."""
            there = connected("3pl", pair)
            if not there:
                log.info("There is no connection %s: no warehouse sends advices.", pair.suffixed("crossdock_3pl"))
            return there

        @task(pool=ERP_POOL, **ALERTED)
        def prove() -> str:
            """Count and sum of the last day's orders: in the ERP, or set aside, and nowhere else."""
            with open_run(ORDERS, pair) as run:
                return steps.prove(run)

        def way(flow: Flow, source_pool: str, target_pool: str) -> tuple[Any, Any]:
            """The five steps; the first of them and the last."""

            @task.short_circuit(ignore_downstream_trigger_rules=False, pool=source_pool)
            def extract() -> bool:
                """Stage what changed; nothing new ends here."""
                with open_run(flow, pair) as run:
                    return steps.extract(run)

            @task.short_circuit(ignore_downstream_trigger_rules=False)
            def validate() -> bool:
                """Stop here if the batch as a whole looks wrong; set single bad records aside."""
                with open_run(flow, pair) as run:
                    return steps.validate(run)

            @task.short_circuit(ignore_downstream_trigger_rules=False, pool=target_pool)
            def transform() -> bool:
                """Decide for each record: create, update, cancel, wait or skip; a plan ends here."""
                with open_run(flow, pair) as run:
                    return steps.transform(run)

            @task(pool=target_pool)
            def load() -> None:
                """Write them to the other side, batch by batch."""
                with open_run(flow, pair) as run:
                    steps.load(run)

            @task(outlets=[done, again] if flow is ORDERS else [again], **LAST)
            def settle() -> str:
                """Close the books and move the watermark; fail if an earlier task did."""
                with open_run(flow, pair) as run:
                    settled = steps.settle(run)
                if settled.again:
                    get_current_context()["outlet_events"][again].add(hint)
                if settled.asks:
                    get_current_context()["outlet_events"][again].add(assets.held(pair))
                if settled.wrote and flow.target == "erp":  # what was in flight has been counted, or has left
                    get_current_context()["outlet_events"][again].add(stock)
                if settled.state != "success":
                    raise AirflowSkipException(settled.line)
                return settled.line

            first, last = extract(), settle()
            first >> validate() >> transform() >> load() >> last
            return first, last

        to_erp()
        to_shop()
        from_3pl()

    graph()


for each in pairs():
    orders(each)
