"""Airflow without a database: enough to parse DAGs and to call notifiers."""

from __future__ import annotations

import os
import tempfile

from sandbox.place import ROOT

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="crossdock-airflow-"))
os.environ.update(
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__DAGS_FOLDER=str(ROOT / "dags"),
    AIRFLOW__CORE__PLUGINS_FOLDER=str(ROOT / "plugins"),
    AIRFLOW__LOGGING__LOGGING_LEVEL="WARNING",
)
