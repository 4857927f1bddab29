"""Runs and their leases, and the watermark."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, LiteralString

from crossdock.errors import Stop
from crossdock.store.statements import Statements
from crossdock.sync.accounting import Books
from crossdock.sync.run import Run, Step

LEASE = timedelta(minutes=15)
"""A run that gives no sign of life for this long may be taken over. Longer than any single call."""


class Runs(Statements):
    """One row per run, one lease per pair, flow and scope."""

    def open(self, run: Run) -> bool:
        with self._db.transaction():
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
            holder = self._one(
                run,
                """
                WITH taken AS (
                    INSERT INTO lease (pair, flow, scope, run_id, expires_at)
                    VALUES (%(pair)s, %(flow)s, %(scope)s, %(id)s, now() + %(lease)s)
                    ON CONFLICT (pair, flow, scope) DO UPDATE
                    SET run_id = excluded.run_id, expires_at = excluded.expires_at
                    WHERE lease.run_id = excluded.run_id OR lease.expires_at < now()
                    RETURNING run_id
                )
                SELECT coalesce(
                    (SELECT run_id FROM taken),
                    (SELECT run_id FROM lease WHERE (pair, flow, scope) = (%(pair)s, %(flow)s, %(scope)s))
                )
                """,
                lease=LEASE,
            )
            if holder != run.id:
                self._drain(run, f"drained by run {holder}, which is at work on this flow")
                return False
            self._run(run, "UPDATE quarantine SET run_id = 0 WHERE run_id = %(id)s")
        return True

    def _drain(self, run: Run, message: str) -> None:
        run.message = message
        self._run(run, "UPDATE lease SET hint = true WHERE (pair, flow, scope) = (%(pair)s, %(flow)s, %(scope)s)")
        self._run(
            run,
            "UPDATE run SET state = 'drained', message = %(message)s, finished_at = now() WHERE id = %(id)s",
            message=message,
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
        run.id, run.mode, run.step, state, run.since, run.until, run.message, counts, run.totals = row
        run.books = Books.from_json(counts)
        if state != "drained" and not self._renew(run):
            message = f"{run}: another run took this flow over, because this one gave no sign of life for {LEASE}"
            self._run(
                run,
                "UPDATE run SET state = 'failed', message = %(message)s, finished_at = now() WHERE id = %(id)s",
                message=message,
            )
            raise Stop(f"{message}. What it had confirmed is kept; nothing needs to be done.")

    def _renew(self, run: Run) -> bool:
        renewal: LiteralString = "UPDATE lease SET expires_at = now() + %(lease)s WHERE run_id = %(id)s"
        return self._run(run, renewal, lease=LEASE).rowcount == 1

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

    def finish(self, run: Run, state: str, message: str) -> bool:
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
                    SELECT id, state = 'failed' AND message = %(message)s
                           AND window_from IS NOT DISTINCT FROM %(since)s AS same
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
                since=run.since,
            )
        )

    def watermark(self, run: Run) -> datetime | None:
        value: datetime | None = self._one(run, "SELECT until FROM watermark WHERE (pair, flow) = (%(pair)s, %(flow)s)")
        return value

    def advance_watermark(self, run: Run) -> None:
        self._run(
            run,
            """
            INSERT INTO watermark (pair, flow, until)
            VALUES (%(pair)s, %(flow)s, %(until)s)
            ON CONFLICT (pair, flow) DO UPDATE
            SET until = greatest(watermark.until, excluded.until)
            """,
            until=run.until,
        )


def _figures(run: Run) -> dict[str, Any]:
    return {"counts": json.dumps(run.books.as_json()), "totals": json.dumps(run.totals)}
