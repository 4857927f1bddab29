"""The fast path is there for those who switch it on, and knows when its window ends."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from airflow.dag_processing.dagbag import DagBag

from sandbox.place import ROOT

FILE = ROOT / "dags" / "inventory_stream.py"


@pytest.mark.parametrize(
    ("at", "end"),
    [("10:00:00", "10:15"), ("10:14:59", "10:15"), ("10:15:00", "10:30"), ("23:59:59", "00:00")],
)
def test_a_window_ends_with_the_quarter_of_an_hour(at, end):
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("inventory_stream", FILE)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    ends = module.end_of_window(datetime.fromisoformat(f"2026-11-26T{at}").replace(tzinfo=UTC))
    assert f"{ends:%H:%M}" == end


def test_without_the_setting_it_waits_for_a_person():
    [dag] = DagBag(str(FILE)).dags.values()
    assert dag.schedule is None


def test_with_the_setting_the_next_run_begins_where_the_last_one_ends(tmp_path):
    config = tmp_path / "crossdock.toml"
    config.write_text("[pairs.default]\n[pairs.outlet]\nstream = true\n")
    code = f"""
from airflow.dag_processing.dagbag import DagBag
print(sorted((dag.dag_id, getattr(dag.schedule, "expression", None)) for dag in DagBag({str(FILE)!r}).dags.values()))"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "CROSSDOCK_CONFIG": str(config)},
    )  # fmt: skip
    told = done.stdout.strip().splitlines()[-1]
    assert told == "[('inventory_stream', None), ('inventory_stream__outlet', '*/15 * * * *')]"
