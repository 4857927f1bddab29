"""
# Approve

A person decides about what the other DAGs hold: whenever one of them holds something, and once an hour.

A record is held when too many lose something at once (the brake: accounts their access, products their place in the
shop, SKUs all their stock), or when it is in doubt by itself. Held records wait, everything else goes on. For each flow
at most one question is open at a time: *Browse > Required Actions*, or the task `ask` of a run of this DAG. It shows
the first records with what would change, and how many there are; *Browse > Crossdock* lists all.

| | |
|---|---|
| Approve | exactly what was shown is written, by the next run, which is woken; what has changed since is asked anew |
| Refuse | the target stays as it is until the source changes these records again |
| No answer for 24 hours | refused; this run fails, and an alert says so |

What is held while a question is open is asked about when that one is answered. A newer value replaces the held one, a
usual one is written and leaves. "Changed since" means in the source, or in what the target was told.

The same from a shell: `crossdock held FLOW`, `crossdock approve FLOW NUMBER`, `crossdock refuse FLOW NUMBER`. What was
answered there stays in the list here; answering it once more changes nothing.

## When it fails

Nothing is written by this DAG itself, and nothing held is lost.

- **due** or **answer** says that nobody answered within 24 hours: the records are refused. To write them after all,
  trigger the DAG of the flow with their keys and `force`.
- **due**, **ask** or **answer** otherwise: the store is away, it retries by itself. An answer that could not be kept
  can be given again: clear `answer`, or answer on *Browse > Crossdock*.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, dag, get_current_context, task, task_group
from airflow.sdk.exceptions import AirflowSkipException

from crossdock.airflow import approval, assets
from crossdock.airflow.approval import Approval
from crossdock.airflow.defaults import ALERTED, DEFAULT_ARGS, START
from crossdock.airflow.pairs import Pair, pairs
from crossdock.sync.flow import Flow
from crossdock.sync.flows import FLOWS


def approve(pair: Pair) -> None:
    held, answered = assets.held(pair), assets.answered(pair)

    @dag(
        dag_id=pair.suffixed("approve"),
        doc_md=__doc__,
        schedule=AssetOrTimeSchedule(timetable=CronTriggerTimetable("20 * * * *", timezone="UTC"), assets=[held]),
        start_date=START,
        catchup=False,
        max_active_runs=8,
        default_args=DEFAULT_ARGS,
        tags=["crossdock", "approval"],
    )
    def graph() -> None:
        def about(flow: Flow) -> None:
            hint = assets.hint(flow.after or flow.dag, pair)

            @task_group(group_id=flow.name)
            def question() -> None:
                @task.short_circuit(**ALERTED)
                def due() -> bool:
                    """Go on if records are held and nobody is being asked about them."""
                    return approval.ask(flow, pair, get_current_context()["dag_run"].run_id)

                @task(outlets=[answered], **ALERTED)
                def answer(said: dict[str, Any]) -> str:
                    """Keep what was said, and wake the DAG that applies it."""
                    context = get_current_context()
                    approved = approval.answer(flow, pair, context["dag_run"].run_id, said)
                    if not approved:
                        raise AirflowSkipException("Refused: nothing is written.")
                    context["outlet_events"][answered].add(hint)
                    return f"{approved} approved"

                ask = Approval(
                    task_id="ask", flow=flow, pair=pair, doc_md="Show what is held, and wait for an answer.", **ALERTED
                )
                due() >> ask
                answer(ask.output)

            question()

        for flow in FLOWS.values():
            if flow.may_hold:
                about(flow)

    graph()


for each in pairs():
    approve(each)
