"""
# Inventory, at once

ERP -> storefront, without waiting for a DAG run: the fast path of `inventory`, for those who need it.

**To switch it on**: `stream = true` in the pair's section of `crossdock.toml`, and unpause this DAG. The ERP's changes
then wake this task alone; `inventory` runs every ten minutes and after `orders`. **To try it**: trigger this DAG; it
streams until the next quarter of an hour.

One task looks at the ERP and the shop four times a second and, when anything was touched, takes the same steps as
`inventory` with these SKUs: the same equation, brake, approval of the target, and books (each pass is a run of
`inventory`). Only the quality gate is left to `inventory`, and so is the hourly comparison of everything. Once a minute
it reads the whole overlap. Each quarter of an hour the task ends and the next run takes over.

It keeps one slot of a worker busy, and asks the ERP and the shop two questions a second each.

## When it fails

Nothing is lost: `inventory` goes on by its clock, and the next quarter of an hour begins anew.

- "away", "does not answer": nothing fails; it waits, up to a minute, and goes on by itself.
- "comes first": `inventory` has never run. Unpause it.
- Writing to the shop is switched off or not approved: the log says what to type.
- The store is away: it retries by itself.
- While `inventory` is at work it waits: one of them writes at a time.
"""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from threading import Event

from airflow.sdk import CronTriggerTimetable, dag, get_current_context, task

from crossdock.airflow.defaults import ALERTED, DEFAULT_ARGS, START
from crossdock.airflow.pairs import Pair, pairs
from crossdock.airflow.runtime import open_stream

WINDOW = timedelta(minutes=15)


def inventory_stream(pair: Pair) -> None:
    @dag(
        dag_id=pair.suffixed("inventory_stream"),
        doc_md=__doc__,
        schedule=CronTriggerTimetable("*/15 * * * *", timezone="UTC") if pair.stream else None,
        start_date=START,
        catchup=False,
        max_active_runs=8,
        default_args=DEFAULT_ARGS,
        tags=["crossdock", "erp-to-storefront"],
    )
    def graph() -> None:
        @task(**ALERTED)
        def stream() -> str:
            """Write what was touched, at once, until the quarter of an hour is over or Airflow asks for an end."""
            stop = Event()
            signal.signal(signal.SIGTERM, lambda *_: stop.set())
            context = get_current_context()
            with open_stream(pair, f"{context['dag_run'].run_id}/{context['ti'].try_number}") as ours:
                return ours.follow(end_of_window(datetime.now(UTC)), stop)

        stream()

    graph()


def end_of_window(now: datetime) -> datetime:
    return now + WINDOW - (now - START) % WINDOW


for each in pairs():
    inventory_stream(each)
