"""What every part of the store builds on: one connection, and statements that know their run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any, LiteralString
from uuid import UUID

from psycopg import Connection, Cursor, sql

from crossdock.sync.run import Run

PAGE = 5_000
WITHDRAWN = "withdrawn before it was ever written"
"""Why a record that is gone is skipped."""

NONE = UUID(int=0)
"""The hash of what is not there."""

UNMET: LiteralString = """
    SELECT need
    FROM unnest(w.needs) AS need
    WHERE NOT EXISTS (
        SELECT FROM ledger x
        WHERE x.pair = %(pair)s
          AND x.flow = split_part(need, ':', 1)
          AND x.key = substr(need, strpos(need, ':') + 1)
          AND x.target_id IS NOT NULL
          AND NOT x.removed
        UNION ALL
        SELECT FROM link x
        WHERE x.pair = %(pair)s
          AND x.kind = split_part(need, ':', 1)
          AND x.key = substr(need, strpos(need, ':') + 1)
    )
    """
"""What a record ``w`` needs and is not there yet."""

_cursors = count(1)

STAGES = ("narrow", "fresh", "wide", "part", "gate")


class Statements:
    """Runs SQL in the name of a run. In a text ``{wide}`` is the run's own table ``wide_N``, and

    ``%(id)s``, ``%(pair)s``, ``%(flow)s`` and ``%(scope)s`` are the run's. The connection is put
    into autocommit and belongs to one run.
    """

    def __init__(self, connection: Connection[Any]) -> None:
        connection.autocommit = True
        connection.execute("SET search_path = crossdock")
        connection.execute("SET timezone = 'UTC'")
        connection.execute("SET work_mem = '64MB'")  # the keys of a full run are compared in memory
        connection.execute("SET synchronous_commit = on")  # what was confirmed survives a crash of the machine
        self._db = connection

    def _statement(
        self, run: Run, text: LiteralString, parts: Mapping[str, sql.Composable] | None = None
    ) -> sql.Composed:
        """The text with its tables, and with ``parts`` where columns differ from flow to flow."""
        tables = {stage: sql.Identifier("crossdock", f"{stage}_{run.id}") for stage in STAGES}
        return sql.SQL(text).format(**tables, **(parts or {}))

    def _run(
        self, run: Run, text: LiteralString, parts: Mapping[str, sql.Composable] | None = None, **values: Any
    ) -> Cursor[Any]:
        return self._db.execute(self._statement(run, text, parts), self._names(run) | values)

    def _names(self, run: Run) -> dict[str, Any]:
        return {"id": run.id, "pair": run.pair, "flow": run.flow.name, "scope": run.scope}

    def _alone(self, run: Run) -> None:
        """Until the transaction ends no other run of this flow changes what all of them share, whatever its scope."""
        self._run(run, "SELECT pg_advisory_xact_lock(hashtextextended(%(pair)s || '/' || %(flow)s, 0))")

    def _one(
        self, run: Run, text: LiteralString, parts: Mapping[str, sql.Composable] | None = None, **values: Any
    ) -> Any:
        row = self._run(run, text, parts, **values).fetchone()
        return row[0] if row else None

    def _pair(
        self, run: Run, text: LiteralString, parts: Mapping[str, sql.Composable] | None = None
    ) -> tuple[int, int]:
        first, second = self._run(run, text, parts).fetchone() or (0, 0)
        return int(first), int(second)

    def _column(
        self, run: Run, text: LiteralString, parts: Mapping[str, sql.Composable] | None = None, **values: Any
    ) -> set[str]:
        return {row[0] for row in self._run(run, text, parts, **values)}

    def _pages(self, run: Run, text: LiteralString, size: int = 0) -> Iterator[Sequence[Any]]:
        """Read with a server-side cursor that outlives transactions: what is made of a page commits with the page."""
        with self._db.cursor(name=f"pages_{next(_cursors)}", withhold=True) as cursor:
            cursor.execute(self._statement(run, text), self._names(run))
            while page := cursor.fetchmany(size or PAGE):
                yield page


def plain(text: str) -> str:
    """As PostgreSQL takes it: valid UTF-8 without NUL."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
