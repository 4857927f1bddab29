"""What the tests of connectors change for a moment."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from tests.erp_fixtures import CONNECTION, RunningErp


@pytest.fixture
def altered(erp: RunningErp, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Changes the connection for one test: ``altered(password="x")``."""
    name = "AIRFLOW_CONN_" + CONNECTION.upper()

    def change(**parts: Any) -> None:
        monkeypatch.setenv(name, json.dumps({**json.loads(os.environ[name]), **parts}))

    return change
