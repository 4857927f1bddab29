"""Runs and their leases, and the watermark."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg import Connection, sql

from crossdock.errors import Stop
from crossdock.store.statements import Statements
from crossdock.sync.accounting import Books
from crossdock.sync.flows import FLOWS
from crossdock.sync.run import Run, State, Step

LEASE = timedelta(minutes=15)
"""A run that gives no sign of life for this long may be taken over. Longer than any single call."""


class Runs(Statements):
    """One row per run, one lease per pair, flow and scope."""

    def open(self, run: Run) -> bool:
        with self._db.transaction():
            self._alone(run)
            run.id = self._one(
                run,
                """
                INSERT INTO run (pair, flow, scope, airflow_run, mode)
                VALUES (%(pair)s, %(flow)s, %(scope)s, %(name)s, %(mode)s)
                ON CONFLICT (pair, flow, scope, airflow_run) DO UPDATE
                SET mode = excluded.mode, step = 'opened', state = 'running', message = NULL, counts = '{{}}',
                    totals = '{{}}', quality = NULL, started_at = now(), finished_at = NULL
                RETURNING id
                """,
                name=run.airflow_run,
                mode=run.request.mode,
            )
            run.mode, run.step, run.message, run.books, run.totals = run.request.mode, "opened", "", Books(), {}
            run.state = "running"
            if not self._take_lease(run):
                self._drain(run)
                return False
            for places in ("quarantine", "parked", "held"):
                self._run(run, "UPDATE {place} SET run_id = 0 WHERE run_id = %(id)s", {"place": sql.Identifier(places)})
        return True

    def _take_lease(self, run: Run) -> bool:
        """Ours already, free, or left behind by a run that gave no sign of life."""
        return (
            self._run(
                run,
                """
                INSERT INTO lease (pair, flow, scope, run_id, expires_at, whole)
                VALUES (%(pair)s, %(flow)s, %(scope)s, %(id)s, now() + %(lease)s, %(whole)s)
                ON CONFLICT (pair, flow, scope) DO UPDATE
                SET run_id = excluded.run_id, expires_at = excluded.expires_at, whole = excluded.whole
                WHERE lease.run_id = excluded.run_id OR lease.expires_at < now()
                """,
                lease=LEASE,
                whole=run.request.whole,
            ).rowcount
            == 1
        )

    def _drain(self, run: Run) -> None:
        """One hint is enough for all flows of a DAG: it brings a run of all of them."""
        holder = self._one(
            run,
            """
            UPDATE lease l
            SET hint = l.hint
                OR (SELECT l.whole AND r.started_at > %(asked_at)s FROM run r WHERE r.id = l.run_id) IS NOT TRUE
                AND NOT EXISTS (
                    SELECT FROM lease o
                    WHERE (o.pair, o.scope) = (l.pair, l.scope)
                      AND o.flow = ANY(%(flows)s)
                      AND o.hint
                      AND o.expires_at > now()
                )
            WHERE (l.pair, l.flow, l.scope) = (%(pair)s, %(flow)s, %(scope)s)
            RETURNING l.run_id
            """,
            asked_at=run.asked_at,
            flows=[flow.name for flow in FLOWS.values() if flow.dag == run.flow.dag],
        )
        run.state, run.message = "drained", f"drained by run {holder}, which is at work on this flow"
        self._run(
            run,
            "UPDATE run SET state = 'drained', message = %(message)s, finished_at = now() WHERE id = %(id)s",
            message=run.message,
        )

    def resume(self, run: Run) -> None:
        row = self._run(
            run,
            """
            SELECT id, mode, step, state, window_from, window_to, coalesce(message, ''), counts, totals
            FROM run
            WHERE (pair, flow, scope, airflow_run) = (%(pair)s, %(flow)s, %(scope)s, %(name)s)
            """,
            name=run.airflow_run,
        ).fetchone()
        if row is None:
            raise Stop(f"{run}: extract has not begun this run. Its log says why; the next run reads the window again.")
        run.id, run.mode, run.step, run.state, run.since, run.until, run.message, counts, run.totals = row
        run.books = Books.from_json(counts)
        if run.state not in ("running", "failed"):
            return
        if self._overtaken(run) or not self._take_lease(run):
            message = (
                f"{run}: another run took this flow over, "
                f"because this one had failed or gave no sign of life for {LEASE}"
            )
            self._run(
                run,
                "UPDATE run SET state = 'failed', message = %(message)s, finished_at = now() WHERE id = %(id)s",
                message=message,
            )
            raise Stop(f"{message}. What it had confirmed is kept; nothing needs to be done.")
        self._run(run, "UPDATE run SET state = 'running', finished_at = NULL WHERE id = %(id)s AND state = 'failed'")

    def _overtaken(self, run: Run) -> bool:
        """What this run has staged is older than what another one has done since."""
        return bool(
            self._one(
                run,
                """
                SELECT EXISTS (
                    SELECT FROM run later
                    WHERE (later.pair, later.flow, later.scope) = (%(pair)s, %(flow)s, %(scope)s)
                      AND later.state <> 'drained'
                      AND later.id <> %(id)s
                      AND later.started_at > (SELECT started_at FROM run WHERE id = %(id)s)
                )
                """,
            )
        )

    def _renew(self, run: Run) -> None:
        """A sign of life. Stop if another run holds the lease."""
        renewal: LiteralString = "UPDATE lease SET expires_at = now() + %(lease)s WHERE run_id = %(id)s"
        if not self._run(run, renewal, lease=LEASE).rowcount:
            raise Stop(
                f"{run}: another run took this flow over. Nothing needs to be done: it goes on from what was confirmed."
            )

    def save(self, run: Run, step: Step) -> None:
        run.step = step
        self._run(
            run,
            """
            UPDATE run
            SET step = %(step)s, mode = %(mode)s, message = nullif(%(message)s, ''),
                window_from = %(since)s, window_to = %(until)s, counts = %(counts)s, totals = %(totals)s
            WHERE id = %(id)s
            """,
            step=step,
            mode=run.mode,
            message=run.message,
            since=run.since,
            until=run.until,
            **_figures(run),
        )

    def finish(self, run: Run, state: State, message: str) -> bool:
        with self._db.transaction():
            self._run(
                run,
                """
                UPDATE run
                SET state = %(state)s, message = %(message)s, counts = %(counts)s, totals = %(totals)s,
                    finished_at = now(), step = CASE WHEN %(state)s = 'failed' THEN step ELSE 'settled' END
                WHERE id = %(id)s
                """,
                state=state,
                message=message,
                **_figures(run),
            )
            return self._one(run, "DELETE FROM lease WHERE run_id = %(id)s RETURNING hint") is True

    def incidents(self, run: Run, message: str) -> int:
        return int(
            self._one(
                run,
                """
                WITH before AS (
                    SELECT id, state = 'failed' AND message = %(message)s AS same
                    FROM run
                    WHERE (pair, flow, scope) = (%(pair)s, %(flow)s, %(scope)s)
                      AND id < %(id)s
                      AND state <> 'drained'
                )
                SELECT count(*)
                FROM before
                WHERE id > coalesce((SELECT max(id) FROM before WHERE same IS NOT TRUE), 0)
                """,
                message=message,
            )
        )

    def watermark(self, run: Run, flow: str = "") -> datetime | None:
        value: datetime | None = self._one(
            run,
            "SELECT until FROM watermark WHERE (pair, flow) = (%(pair)s, %(of)s)",
            of=flow or run.flow.name,
        )
        return value

    def last_read(self, run: Run) -> datetime | None:
        """Where the window ended of the last run that has settled."""
        value: datetime | None = self._one(
            run,
            """
            SELECT window_to
            FROM run
            WHERE (pair, flow, state) = (%(pair)s, %(flow)s, 'success') AND window_to IS NOT NULL
            ORDER BY id DESC
            LIMIT 1
            """,
        )
        return value

    def advance_watermark(self, run: Run) -> None:
        self._run(
            run,
            """
            INSERT INTO watermark (pair, flow, until, parts_at, full_at, full_version)
            VALUES (
                %(pair)s, %(flow)s, %(until)s, CASE WHEN %(compared)s THEN now() END,
                CASE WHEN %(full)s THEN now() END, CASE WHEN %(full)s THEN %(version)s END
            )
            ON CONFLICT (pair, flow) DO UPDATE
            SET until = greatest(watermark.until, excluded.until),
                parts_at = coalesce(excluded.parts_at, watermark.parts_at),
                full_at = coalesce(excluded.full_at, watermark.full_at),
                full_version = coalesce(excluded.full_version, watermark.full_version)
            """,
            until=run.until,
            compared=bool(run.totals.get("parts")),
            full=run.since is None,
            version=run.totals.get("version"),
        )


def _figures(run: Run) -> dict[str, Any]:
    return {"counts": json.dumps(run.books.as_json()), "totals": json.dumps(run.totals)}


def holder(connection: Connection[Any], pair: str, flow: str) -> str:
    """The name of the run that is at work on this flow; "" when none is, or it gave no sign of life."""
    row = connection.execute(
        """
        SELECT r.airflow_run
        FROM crossdock.lease l JOIN crossdock.run r ON r.id = l.run_id
        WHERE (l.pair, l.flow, l.scope) = (%s, %s, '*') AND l.expires_at >= now()
        """,
        (pair, flow),
    ).fetchone()
    return row[0] if row else ""
