"""What Airflow's assets were told, from its database.

Its API answers 500 (3.3.0) as long as a run that one of the events has created is queued: there
``DagRunAssetReference.start_date`` may not be null.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import dict_row

from sandbox.stack import Stack

_EVENTS = """
SELECT event.id, event.timestamp, event.extra::jsonb AS extra, event.source_dag_id AS dag
FROM asset_event AS event JOIN asset ON asset.id = event.asset_id
WHERE asset.name = %s ORDER BY event.id DESC LIMIT 100
"""


def asset_events(stack: Stack, asset: str) -> list[dict[str, Any]]:
    """The last hundred events of the asset of this name, newest first: id, timestamp, extra, dag."""
    with psycopg.connect(stack.cluster.dsn("airflow"), row_factory=dict_row) as db:
        return db.execute(_EVENTS, [asset]).fetchall()
