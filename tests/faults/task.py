"""One task of a DAG, as Airflow runs it but without Airflow's scheduler.

``python -m tests.faults.task FLOW STEP RUN PAIR [FUNCTION]``: with the name of a function (dotted, from the
module on) the process is killed with signal 9 in its place, at its first call. Otherwise it says as
JSON what the step returned, and whether Great Expectations was imported.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from types import SimpleNamespace
from typing import Any
from unittest import mock

from crossdock.airflow import runtime
from crossdock.airflow.defaults import PARAMS
from crossdock.airflow.pairs import Pair
from crossdock.sync import steps
from crossdock.sync.flows import FLOWS
from crossdock.sync.run import Run


def run_step(flow: str, step: str, name: str, pair: str, **params: Any) -> tuple[Any, Run]:
    """What the step returned, and its Run."""
    given = {param: default.resolve(suppress_exception=True) for param, default in PARAMS.items()} | params
    context = {"dag_run": SimpleNamespace(run_id=name), "params": given}
    with (
        mock.patch.object(runtime, "get_current_context", return_value=context),
        runtime.open_run(FLOWS[flow], Pair(name=pair, go_live=os.environ.get("CROSSDOCK_FAULTS_GO_LIVE"))) as run,
    ):
        return getattr(steps, step)(run), run


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    flow, step, name, pair, *at = sys.argv[1:]
    for function in at:
        mock.patch(function, die).start()
    result, _ = run_step(flow, step, name, pair)
    print(json.dumps({"result": str(result), "great_expectations": "great_expectations" in sys.modules}))
