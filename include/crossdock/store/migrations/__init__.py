"""Plain SQL migrations, applied in the order of their names, each once, safe to repeat."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from psycopg import Connection, sql

_LOCK = 0x0C0D0C


def upgrade(connection: Connection[Any]) -> list[str]:
    """Bring the schema up to date and return the names of the migrations that were applied.

    Two upgrades at the same time wait for each other.
    """
    applied = []
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        connection.execute("CREATE SCHEMA IF NOT EXISTS crossdock")
        connection.execute("SET LOCAL search_path = crossdock")
        connection.execute(
            """
            CREATE TABLE IF NOT EXISTS migration (
                name       text PRIMARY KEY,
                applied_at timestamptz NOT NULL DEFAULT now()
            )
            """
        )
        known = {name for (name,) in connection.execute("SELECT name FROM migration")}
        for script in sorted((f for f in files(__name__).iterdir() if f.name.endswith(".sql")), key=lambda f: f.name):
            if script.name not in known:
                connection.execute(sql.SQL(script.read_text(encoding="utf-8")))
                connection.execute("INSERT INTO migration (name) VALUES (%s)", (script.name,))
                applied.append(script.name)
    return applied
