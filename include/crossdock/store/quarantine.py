"""Records that are wrong, one open row per key, with the reason and the remedy."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import sql

from crossdock.store.statements import NONE, Statements, plain
from crossdock.sync.run import Override, Refusal, RowFailure, Run, Stage, Verdict

log = logging.getLogger(__name__)

_LONGEST = {"source_id": 500, "code": 100, "reason": 1_000, "remedy": 1_000}


class Quarantine(Statements):
    """Where refused records go, from any step."""

    def quarantine(self, run: Run, stage: Stage, refusals: Sequence[Refusal]) -> None:
        with self._db.transaction():
            self._to_quarantine(run, stage, refusals)
            self._run(
                run,
                """
                INSERT INTO {wide} (key, source_id, canon_hash, gone, needs, parts, action)
                SELECT key, '', %(none)s, false, '{{}}', '{{}}', 'quarantined' FROM unnest(%(keys)s::text[]) AS key
                ON CONFLICT (key) DO UPDATE
                SET action = excluded.action
                """,
                keys=[refusal.key for refusal in refusals],
                none=NONE,
            )

    def _to_quarantine(self, run: Run, stage: Stage, refusals: Sequence[Refusal]) -> None:
        """One open row per key: the same fault again is counted, another one replaces it.

        A plan only says what it would do.
        """
        if not refusals:
            return
        if run.mode == "plan":
            for refusal in refusals:
                log.info("%s: %s would be quarantined: %s", run, refusal.key, refusal.code)
            return
        self._alone(run)
        self._run(
            run,
            """
            INSERT INTO quarantine (
                pair, flow, key, source_id, run_id, stage, code, reason, remedy, payload, raw_hash, form
            )
            SELECT %(pair)s, %(flow)s, r.key, r.source_id, %(id)s, %(stage)s, r.code, r.reason, r.remedy,
                   r.payload, r.raw_hash, r.form
            FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (
                key text, source_id text, code text, reason text, remedy text, payload text, raw_hash uuid, form text
            )
            ON CONFLICT (pair, flow, key) WHERE resolved_at IS NULL DO UPDATE
            SET source_id = excluded.source_id, run_id = excluded.run_id, stage = excluded.stage,
                code = excluded.code, reason = excluded.reason, remedy = excluded.remedy,
                payload = excluded.payload, raw_hash = excluded.raw_hash, form = excluded.form,
                attempts = quarantine.attempts + 1, last_seen = now(),
                -- what was asked for while this run was at work is for the next one
                replay = quarantine.replay
                         AND quarantine.asked_at > (SELECT started_at FROM run WHERE id = excluded.run_id) IS TRUE
            """,
            stage=stage,
            rows=json.dumps([_clean(refusal) for refusal in refusals]),
        )

    def overrides(self, run: Run) -> Mapping[str, Override]:
        with self._db.transaction():
            if run.mode == "apply":
                self._alone(run)
                self._run(run, "UPDATE override SET run_id = %(id)s WHERE (pair, flow) = (%(pair)s, %(flow)s)")
            rows = self._run(
                run,
                """
                SELECT key, form, payload, raw_hash
                FROM override
                WHERE (pair, flow) = (%(pair)s, %(flow)s) AND state <> 'withdrawn'
                """,
            )
            return {key: Override(*kept) for key, *kept in rows}

    def _end_overrides(self, run: Run) -> None:
        """People's versions of rows that the source has changed, and those withdrawn; the others are in use now.

        After a withdrawal the ledger forgets the source's row: the target was told something else.
        """
        self._run(
            run,
            """
            WITH seen AS (SELECT key, raw_hash FROM {narrow} UNION ALL SELECT key, raw_hash FROM {wide}),
            ended AS (
                DELETE FROM override o
                USING seen s
                WHERE (o.pair, o.flow) = (%(pair)s, %(flow)s)
                  AND o.key = s.key
                  AND CASE WHEN o.state = 'withdrawn'
                           THEN o.run_id = %(id)s
                           ELSE o.raw_hash <> s.raw_hash
                                AND o.since < (SELECT started_at FROM run WHERE id = %(id)s)
                      END
                RETURNING o.key, o.state
            )
            UPDATE ledger l
            SET raw_hash = NULL
            FROM ended e
            WHERE (l.pair, l.flow) = (%(pair)s, %(flow)s) AND l.key = e.key AND e.state = 'withdrawn'
            """,
        )
        self._run(
            run,
            """
            UPDATE override o
            SET state = 'in use'
            FROM {narrow} n
            WHERE (o.pair, o.flow, o.run_id, o.state) = (%(pair)s, %(flow)s, %(id)s, 'new')
              AND n.key = o.key
              AND NOT EXISTS (SELECT FROM outbox p WHERE (p.run_id, p.key, p.status) = (%(id)s, o.key, 'pending'))
            """,
        )

    def relation(self, run: Run) -> str:
        return f"crossdock.gate_{run.id}"

    def save_quality(self, run: Run, verdict: Verdict) -> None:
        stops = [{"says": one.says, "text": one.text, "acceptable": bool(one.query)} for one in verdict.critical]
        quality = json.dumps({**verdict.results, "stops": stops})
        self._run(run, "UPDATE run SET quality = %(quality)s WHERE id = %(id)s", quality=quality)

    def accepted(self, run: Run) -> Mapping[str, tuple[str, str]]:
        rows = self._run(
            run,
            """
            SELECT says, author, reason
            FROM acceptance
            WHERE (pair, flow, scope) = (%(pair)s, %(flow)s, %(scope)s) AND coalesce(run_id, %(id)s) = %(id)s
            """,
        )
        return {says: (author, reason) for says, author, reason in rows}

    def use_acceptance(self, run: Run, says: str) -> None:
        if run.mode == "plan":
            return
        self._run(
            run,
            """
            UPDATE acceptance
            SET run_id = %(id)s
            WHERE (pair, flow, scope, says) = (%(pair)s, %(flow)s, %(scope)s, %(says)s) AND run_id IS NULL
            """,
            says=says,
        )

    def quarantine_rows(self, run: Run, failure: RowFailure) -> None:
        with self._db.transaction():
            bad = [key for (key,) in self._db.execute(sql.SQL(failure.query))]
            rows = self._run(
                run,
                "SELECT key, source_id, payload, raw_hash FROM {wide} WHERE key = ANY(%(keys)s)",
                keys=bad,
            ).fetchall()
            refusals = [
                Refusal(key, source_id, failure.code, failure.reason, failure.remedy, payload, raw_hash)
                for key, source_id, payload, raw_hash in rows
            ]
            self.quarantine(run, "validate", refusals)


def _clean(refusal: Refusal) -> dict[str, Any]:
    """As JSON that PostgreSQL takes: text without NUL, and no longer than a person reads."""
    return {
        name: plain(value)[: _LONGEST.get(name)] if isinstance(value, str) else value and str(value)
        for name, value in refusal._asdict().items()
    }
