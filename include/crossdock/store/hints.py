"""Which hints have been taken, and when one was last passed on. Shared by all of Airflow's API servers.

The caller commits once the hint has been passed on; until then a second one of this pair waits.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection


def is_new(connection: Connection[Any], signature: bytes, sent_at: datetime, kept: timedelta) -> bool:
    """Whether a hint with this signature comes for the first time. Each is remembered for as long as ``kept``."""
    connection.execute("DELETE FROM crossdock.hint WHERE sent_at < clock_timestamp() - %s", (kept,))
    cursor = connection.execute(
        "INSERT INTO crossdock.hint (signature, sent_at) VALUES (%s, %s) ON CONFLICT DO NOTHING", (signature, sent_at)
    )
    return cursor.rowcount == 1


def is_due(connection: Connection[Any], pair: str, flow: str, pause: timedelta) -> bool:
    """Whether none was passed on during the last ``pause``. If so, one counts as passed on now."""
    cursor = connection.execute(
        """
        INSERT INTO crossdock.hinted AS last (pair, flow, at)
        VALUES (%(pair)s, %(flow)s, clock_timestamp())
        ON CONFLICT (pair, flow) DO UPDATE
        SET at = clock_timestamp()
        WHERE last.at <= clock_timestamp() - %(pause)s
        """,
        {"pair": pair, "flow": flow, "pause": pause},
    )
    return cursor.rowcount == 1
