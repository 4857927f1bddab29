"""One task of a DAG, as Airflow runs it but without Airflow's scheduler.

``python -m tests.faults.task FLOW STEP RUN PAIR [FUNCTION] [PARAM=VALUE...]``: with the name of a function (dotted,
from the module on) the process is killed with signal 9 in its place, at its first call. Otherwise it says as
JSON what the step returned, and whether Great Expectations was imported.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from contextlib import ExitStack
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from unittest import mock

from crossdock.airflow import runtime
from crossdock.airflow.defaults import DATES, PARAMS
from crossdock.airflow.pairs import Pair
from crossdock.sync import steps
from crossdock.sync.flows import FLOWS
from crossdock.sync.run import Run

_entering = threading.Lock()


def run_step(flow: str, step: str, name: str, pair: str, of: Any = steps, **params: Any) -> tuple[Any, Run]:
    """What the step returned, and its Run. ``of``: the module of the step."""
    given = {param: default.resolve(suppress_exception=True) for param, default in (PARAMS | DATES).items()} | params
    context = {"dag_run": SimpleNamespace(run_id=name, start_date=datetime.now(UTC)), "params": given}
    with ExitStack() as opened:
        with _entering, mock.patch.object(runtime, "get_current_context", return_value=context):
            entered = runtime.open_run(FLOWS[flow], Pair(name=pair, go_live=os.environ.get("CROSSDOCK_FAULTS_GO_LIVE")))
            run = opened.enter_context(entered)
        return getattr(of, step)(run), run


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    flow, step, name, pair, *more = sys.argv[1:]
    given = dict(one.split("=", 1) for one in more if "=" in one)
    for function in more:
        if "=" not in function:
            mock.patch(function, die).start()
    result, _ = run_step(flow, step, name, pair, **given)
    print(json.dumps({"result": str(result), "great_expectations": "great_expectations" in sys.modules}))
