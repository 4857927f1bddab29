"""What every DAG of this package has in common."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, Param, RetryAction, RetryRule

from crossdock.airflow.notifiers import Alert
from crossdock.errors import Retry, Stop

START = datetime(2026, 1, 1, tzinfo=UTC)

ERP_POOL, STOREFRONT_POOL = "crossdock_erp", "crossdock_storefront"
"""Pools belong to the system, not to the pair: they cap how many tasks talk to it at a time."""

DEFAULT_POOL = "default_pool"
"""Airflow's own, for what nobody has to be spared."""

DEFAULT_ARGS: dict[str, Any] = {
    "owner": "crossdock",
    "retries": 3,
    "retry_delay": timedelta(seconds=20),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
    "execution_timeout": timedelta(hours=2),
    "max_active_tis_per_dag": 1,
    "retry_policy": ExceptionRetryPolicy(
        rules=[
            RetryRule(Stop, RetryAction.FAIL, reason="needs a person: repeating cannot help"),
            RetryRule(Retry, RetryAction.RETRY, reason="the other system is busy or away"),
        ]
    ),
}

HURRIED: dict[str, Any] = {**DEFAULT_ARGS, "priority_weight": 10}
"""For what is shown within seconds: where tasks wait for a slot, its own go first."""

LAST: dict[str, Any] = {"trigger_rule": "all_done", "on_failure_callback": [Alert()]}
"""For the task that closes the books: it runs whatever happened before, and fails if anything did."""

ALERTED: dict[str, Any] = {"on_failure_callback": [Alert()]}
"""For a task that stands alone."""

PARAMS: dict[str, Param] = {
    "mode": Param("apply", enum=["apply", "plan"], description="plan: decide and show, write nothing."),
    "full": Param(False, type="boolean", description="Read everything, not only what changed."),
    "keys": Param([], type="array", items={"type": "string"}, description="Read just these records, one per line."),
    "force": Param(False, type="boolean", description="Write what is read even if unchanged, past the brake."),
    "plan": Param(None, type=["null", "integer"], description="Apply exactly this saved plan (its run number)."),
}

DATES: dict[str, Param] = {
    "since": Param(None, type=["null", "string"], format="date", description="Read what is dated from this day on."),
    "until": Param(None, type=["null", "string"], format="date", description="And before this day."),
}
"""For a DAG whose records have a date of their own: any span of it, by hand, side by side with other runs."""
