"""
# Pricing

From the ERP to the storefront, whenever a price or a list changes there, whenever `customers` or `items` have written
to the shop, and every ten minutes: every visitor sees the price that the ERP would ask of him, tiers and dated prices
included.

`price_lists`: each price list of the ERP that somebody has becomes a list of the shop, and one more for each span of
time in which dated lines hold; the shop changes by itself at midnight. `prices`: what each list says of each SKU, and
the base price that everybody sees. `price_members`: which account sees which lists. `prove`: ERP and shop are asked
one beside the other, for all that this run has told and some of the rest.

| | `price_lists` | `prices` | `price_members` |
|---|---|---|---|
| Source | rules of `crossdock_erp`, kept and evaluated in `crossdock_db` | the same | the same |
| Target | price lists of `crossdock_storefront` | prices, base prices too | lists of the accounts |
| Quality gate | coded, ranked | believable, mostly not zero | numbered, mostly with a list |
| Needs | - | the SKU's variant (`items`), the list | the account (`customers`), the lists |
| Brake | more than 10, and more than a fifth, withdrawn in one run | the same, and each price in doubt | the same |

Asking the ERP for every price takes a thousand times as long as evaluating its rules. What the rules here cannot say
(a formula that is no sum of prices, goods sold in another unit than they are kept in) is asked of the ERP, and counted
as `asked` in the run's totals. In doubt is a price of zero, one below its cost, and one that moves by more than half of
what the shop was told last: the DAG `approve` asks a person; the other prices go on.

**Why does C0001 see this price?** `crossdock explain price SKU --account C0001 --quantity 10`: every rule that fits,
the one that wins, and what ERP and shop say when they are asked now.
**To sync some prices now**: trigger this DAG with `keys` = `list:7|SKU` or `base|SKU`.

## When it fails

Nothing is lost: each watermark moves only when every price has reached a safe place, and writing it twice leaves the
same as writing it once. The groups fail and go on independently.

- **extract**: the ERP is away or refuses us; it retries by itself.
- **validate**: the batch as a whole looks wrong, nothing was written. The log names the expectation.
- **transform**: the storefront, which is asked what it has already, or the store is away: it retries by itself.
- **load**: the storefront is away, has no ERP extension, or writing to it is switched off or not approved (the log says
  what to type). What was confirmed stays; the rest is taken up by the next run.
- **settle** fails whenever one of them did, and when the books do not close: that is a defect.
- **prove**: somebody is asked for another price than the ERP says, or a guest is shown one that is not his. The log
  gives both figures; `crossdock explain price` tells which rule was taken. If somebody has changed prices in the shop
  by hand, trigger this DAG with the `keys` and `force`.

Single bad records never fail a run: *Browse > Crossdock* shows them with reason and remedy.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, dag, get_current_context, task, task_group
from airflow.sdk.exceptions import AirflowSkipException

from crossdock.airflow import assets
from crossdock.airflow.defaults import ALERTED, DEFAULT_ARGS, ERP_POOL, LAST, PARAMS, START, STOREFRONT_POOL
from crossdock.airflow.pairs import Pair, pairs
from crossdock.airflow.runtime import open_run, price_book, system
from crossdock.connectors import port
from crossdock.sync import price_proof, steps
from crossdock.sync.flow import Flow
from crossdock.sync.flows import PRICE_LISTS, PRICE_MEMBERS, PRICES


def pricing(pair: Pair) -> None:
    done, again, hint = assets.synced("pricing", pair), assets.again("pricing", pair), assets.hint("pricing", pair)

    @dag(
        dag_id=pair.suffixed("pricing"),
        doc_md=__doc__,
        schedule=AssetOrTimeSchedule(
            timetable=CronTriggerTimetable("7-59/10 * * * *", timezone="UTC"),
            assets=[assets.watched("pricing", pair)],
        ),
        start_date=START,
        catchup=False,
        max_active_runs=8,
        default_args=DEFAULT_ARGS,
        params=PARAMS,
        tags=["crossdock", "erp-to-storefront"],
    )
    def graph() -> None:
        @task_group(group_id="price_lists")
        def lists() -> tuple[Any, Any]:
            return way(PRICE_LISTS)

        @task_group
        def prices() -> tuple[Any, Any]:
            return way(PRICES)

        @task_group(group_id="price_members")
        def members() -> tuple[Any, Any]:
            return way(PRICE_MEMBERS)

        @task(pool=ERP_POOL, **ALERTED)
        def prove() -> str:
            """Ask ERP and shop for the same prices, one beside the other."""
            run_id = get_current_context()["dag_run"].run_id
            with price_book(pair) as book:
                return price_proof.prove(book, book.erp, port(system("storefront", pair), PRICES.name), run_id)

        def way(flow: Flow) -> tuple[Any, Any]:
            """The five steps; the first of them and the last."""

            @task.short_circuit(ignore_downstream_trigger_rules=False, pool=ERP_POOL, trigger_rule="none_failed")
            def extract() -> bool:
                """Stage what changed; nothing new ends here."""
                with open_run(flow, pair) as run:
                    return steps.extract(run)

            @task.short_circuit(ignore_downstream_trigger_rules=False)
            def validate() -> bool:
                """Stop here if the batch as a whole looks wrong; set single bad records aside."""
                with open_run(flow, pair) as run:
                    return steps.validate(run)

            @task.short_circuit(ignore_downstream_trigger_rules=False, pool=STOREFRONT_POOL)
            def transform() -> bool:
                """Decide for each record: create, update, remove, wait or hold; a plan ends here."""
                with open_run(flow, pair) as run:
                    return steps.transform(run)

            @task(pool=STOREFRONT_POOL)
            def load() -> None:
                """Write them to the storefront, batch by batch."""
                with open_run(flow, pair) as run:
                    steps.load(run)

            @task(outlets=[done, again] if flow is PRICE_MEMBERS else [again], **LAST)
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

            first, last = extract(), settle()
            first >> validate() >> transform() >> load() >> last
            return first, last

        (_, listed), (priced, told), (joined, last) = lists(), prices(), members()
        listed >> priced
        told >> joined
        last >> prove()

    graph()


for each in pairs():
    pricing(each)
