"""The engine's store on PostgreSQL 15 or newer, set-wise, through psycopg 3.

Each public method is one transaction. Data of a run lies on three unlogged tables of its own
(``narrow_N``: every row read, as key and hash; ``fresh_N``: those the ledger does not know in this
version; ``wide_N``: canonical records), dropped when the run is closed.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, LiteralString
from uuid import UUID

from psycopg import Connection, Cursor, sql

from crossdock.errors import Stop, WritesOff
from crossdock.ports import Claim, Outcome, Put, Row
from crossdock.sync.accounting import Books
from crossdock.sync.run import Changed, Decided, Refusal, RowFailure, Run, Stage, Staged, Step, Verdict

LEASE = timedelta(minutes=15)
"""A run that gives no sign of life for this long may be taken over. Longer than any single call."""

PAGE = 5_000

_COPY_HEAD = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_COPY_END = b"\xff\xff"
_HEAD = struct.Struct("!hi").pack
_LENGTH = struct.Struct("!i").pack
_TAIL = struct.Struct("!i16siqiii?").pack
_MAX_KEY = 200


class PostgresStore:
    """Implements ``sync.run.Store``. The connection is put into autocommit and belongs to one run."""

    def __init__(self, connection: Connection[Any]) -> None:
        connection.autocommit = True
        connection.execute("SET search_path = crossdock")
        connection.execute("SET timezone = 'UTC'")
        self._db = connection
        self._spooled = 0

    def _run(self, run: Run, text: LiteralString, **values: Any) -> Cursor[Any]:
        """Execute with the run's names: {narrow} {fresh} {wide} {part} tables, %(id)s %(pair)s %(flow)s values."""
        statement = sql.SQL(text).format(
            **{t: sql.Identifier("crossdock", f"{t}_{run.id}") for t in ("narrow", "fresh", "wide", "part", "gate")}
        )
        return self._db.execute(
            statement, {"id": run.id, "pair": run.pair, "flow": run.flow.name, "scope": run.scope, **values}
        )

    def _one(self, run: Run, text: LiteralString, **values: Any) -> Any:
        row = self._run(run, text, **values).fetchone()
        return row[0] if row else None

    # ------------------------------------------------------------ the run and its lease

    def open(self, run: Run) -> bool:
        with self._db.transaction():
            run.id = self._one(run, """
                INSERT INTO run (pair, flow, scope, airflow_run, mode) VALUES (%(pair)s, %(flow)s, %(scope)s, %(name)s, %(mode)s)
                ON CONFLICT (pair, flow, scope, airflow_run) DO UPDATE SET
                    mode = excluded.mode, step = 'opened', state = 'running', message = NULL, counts = '{{}}', totals = '{{}}',
                    quality = NULL, started_at = now(), finished_at = NULL
                RETURNING id""", name=run.airflow_run, mode=run.request.mode)  # fmt: skip
            run.mode, run.step, run.message, run.books, run.totals = run.request.mode, "opened", "", Books(), {}
            holder = self._one(run, """
                WITH taken AS (
                    INSERT INTO lease (pair, flow, scope, run_id, expires_at) VALUES (%(pair)s, %(flow)s, %(scope)s, %(id)s, now() + %(lease)s)
                    ON CONFLICT (pair, flow, scope) DO UPDATE SET run_id = excluded.run_id, expires_at = excluded.expires_at
                        WHERE lease.run_id = excluded.run_id OR lease.expires_at < now()
                    RETURNING run_id)
                SELECT coalesce((SELECT run_id FROM taken), (SELECT run_id FROM lease WHERE (pair, flow, scope) = (%(pair)s, %(flow)s, %(scope)s)))
                """, lease=LEASE)  # fmt: skip
            if holder != run.id:
                run.message = f"drained by run {holder}, which is at work on this flow"
                self._run(
                    run, "UPDATE lease SET hint = true WHERE (pair, flow, scope) = (%(pair)s, %(flow)s, %(scope)s)"
                )
                self._run(
                    run,
                    "UPDATE run SET state = 'drained', message = %(m)s, finished_at = now() WHERE id = %(id)s",
                    m=run.message,
                )
                return False
            self._run(run, "UPDATE quarantine SET run_id = 0 WHERE run_id = %(id)s")
            self._drop_stages(run)
            self._create_stages(run)
        self._spooled = 0
        return True

    def _create_stages(self, run: Run) -> None:
        self._run(
            run,
            """CREATE UNLOGGED TABLE {narrow}
            (key text NOT NULL, source_id text NOT NULL, raw_hash uuid NOT NULL, off int8 NOT NULL, len int4 NOT NULL, taken bool NOT NULL)""",
        )
        self._run(run, "ALTER TABLE {narrow} ALTER COLUMN key SET STATISTICS 10")
        self._run(run, "CREATE UNLOGGED TABLE {part} (id text NOT NULL)")
        self._run(
            run,
            """CREATE UNLOGGED TABLE {wide} (
            key text PRIMARY KEY, source_id text NOT NULL, raw_hash uuid, canon_hash uuid NOT NULL, gone bool NOT NULL,
            needs text[] NOT NULL, parts text[] NOT NULL, payload text, target_id text, action text, reason text)""",
        )
        for name, kind in run.flow.record.COLUMNS.items():
            self._db.execute(sql.SQL("ALTER TABLE {} ADD COLUMN {} {}").format(
                sql.Identifier("crossdock", f"wide_{run.id}"), sql.Identifier(name), sql.SQL(kind)))  # type: ignore[arg-type] # fmt: skip
        self._run(run, "CREATE VIEW {gate} AS SELECT * FROM {wide} WHERE action IS NULL AND payload IS NOT NULL")

    def _drop_stages(self, run: Run) -> None:
        self._run(run, "DROP VIEW IF EXISTS {gate}")
        self._run(run, "DROP TABLE IF EXISTS {narrow}, {fresh}, {part}, {wide}")

    def resume(self, run: Run) -> None:
        row = self._run(run, """SELECT id, mode, step, state, window_from, window_to, coalesce(message, ''), counts, totals FROM run
            WHERE (pair, flow, scope, airflow_run) = (%(pair)s, %(flow)s, %(scope)s, %(name)s)""", name=run.airflow_run).fetchone()  # fmt: skip
        if row is None:
            raise Stop(f"{run}: extract has not begun this run. Its log says why; the next run reads the window again.")
        run.id, run.mode, run.step, state, run.since, run.until, run.message, counts, run.totals = row
        run.books = Books.from_json(counts)
        if state != "drained" and not self._renew(run):
            message = f"{run}: another run took this flow over, because this one gave no sign of life for {LEASE}"
            self._run(
                run,
                "UPDATE run SET state = 'failed', message = %(m)s, finished_at = now() WHERE id = %(id)s",
                m=message,
            )
            raise Stop(f"{message}. What it had confirmed is kept; nothing needs to be done.")

    def _renew(self, run: Run) -> bool:
        return (
            self._one(
                run, "UPDATE lease SET expires_at = now() + %(lease)s WHERE run_id = %(id)s RETURNING true", lease=LEASE
            )
            is True
        )

    def save(self, run: Run, step: Step) -> None:
        run.step = step
        self._run(run, """UPDATE run SET step = %(step)s, mode = %(mode)s, message = nullif(%(m)s, ''), window_from = %(since)s, window_to = %(until)s,
            counts = %(counts)s, totals = %(totals)s WHERE id = %(id)s""", step=step, mode=run.mode, m=run.message, since=run.since,
            until=run.until, counts=json.dumps(run.books.as_json()), totals=json.dumps(run.totals))  # fmt: skip

    def finish(self, run: Run, state: str, message: str) -> bool:
        with self._db.transaction():
            self._run(run, """UPDATE run SET state = %(state)s, message = %(m)s, counts = %(counts)s, totals = %(totals)s, finished_at = now(),
                step = CASE WHEN %(state)s = 'failed' THEN step ELSE 'settled' END WHERE id = %(id)s""", state=state, m=message,
                counts=json.dumps(run.books.as_json()), totals=json.dumps(run.totals))  # fmt: skip
            self._drop_stages(run)
            return self._one(run, "DELETE FROM lease WHERE run_id = %(id)s RETURNING hint") is True

    def incidents(self, run: Run, message: str) -> int:
        return int(self._one(run, """
            SELECT count(*) FROM run WHERE (pair, flow, scope) = (%(pair)s, %(flow)s, %(scope)s) AND id < %(id)s AND id > coalesce((
                SELECT max(id) FROM run WHERE (pair, flow, scope) = (%(pair)s, %(flow)s, %(scope)s) AND id < %(id)s AND state <> 'drained'
                AND (state <> 'failed' OR message IS DISTINCT FROM %(m)s OR window_from IS DISTINCT FROM %(since)s)), 0)
                AND state = 'failed'""", m=message, since=run.since))  # fmt: skip

    # ------------------------------------------------------------ extract

    def watermark(self, run: Run) -> datetime | None:
        value: datetime | None = self._one(run, "SELECT until FROM watermark WHERE (pair, flow) = (%(pair)s, %(flow)s)")
        return value

    def advance_watermark(self, run: Run) -> None:
        self._run(run, """INSERT INTO watermark (pair, flow, until) VALUES (%(pair)s, %(flow)s, %(until)s)
            ON CONFLICT (pair, flow) DO UPDATE SET until = greatest(watermark.until, excluded.until)""", until=run.until)  # fmt: skip

    def unconfirmed(self, run: Run) -> Sequence[Put]:
        return self._puts(
            run,
            "SELECT key, op, target_id, payload, canon_hash FROM outbox WHERE (pair, flow, status) = (%(pair)s, %(flow)s, 'pending') ORDER BY key",
        )

    def sent(self, run: Run) -> Sequence[Put]:
        return self._puts(
            run,
            "SELECT key, op, target_id, payload, canon_hash FROM outbox WHERE (run_id, status) = (%(id)s, 'pending') AND sent_at IS NOT NULL ORDER BY key",
        )

    def _puts(self, run: Run, text: LiteralString, **values: Any) -> Sequence[Put]:
        return [
            Put(key, op, target_id, payload.encode(), canon.hex)
            for key, op, target_id, payload, canon in self._run(run, text, **values)
        ]

    def adopt(self, run: Run, done: Mapping[str, str], superseded: Collection[str]) -> None:
        with self._db.transaction():
            self._run(run, """UPDATE outbox o SET status = 'done', target_id = d.target_id, done_at = now(), note = 'found carried out'
                FROM unnest(%(keys)s::text[], %(ids)s::text[]) AS d (key, target_id)
                WHERE (o.pair, o.flow, o.status) = (%(pair)s, %(flow)s, 'pending') AND o.key = d.key""",
                keys=list(done), ids=list(done.values()))  # fmt: skip
            self._run(run, "UPDATE outbox SET status = 'superseded' WHERE (pair, flow, status) = (%(pair)s, %(flow)s, 'pending') AND key = ANY(%(keys)s)",
                      keys=list(superseded))  # fmt: skip
            self._merge_done(run)
            self._run(run, "DELETE FROM outbox WHERE run_id = %(id)s AND status <> 'planned'")

    def stage_rows(
        self, run: Run, rows: Iterable[Sequence[Row]], origin: Literal["w", "t"], version: str
    ) -> Iterator[bytes]:
        base, taken = hashlib.sha256(version.encode()), origin == "t"
        statement = sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(
            sql.Identifier("crossdock", f"narrow_{run.id}")
        )
        with self._db.transaction(), self._db.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(_COPY_HEAD)
            for page in rows:
                block, self._spooled = _pack(page, base, taken, self._spooled)
                copy.write(block)
                yield b"".join([row.raw for row in page])
            copy.write(_COPY_END)

    def stage_parts(self, run: Run, parts: Iterable[Sequence[str]]) -> None:
        statement = sql.SQL("COPY {} (id) FROM STDIN").format(sql.Identifier("crossdock", f"part_{run.id}"))
        with self._db.transaction(), self._db.cursor() as cursor, cursor.copy(statement) as copy:
            for page in parts:
                copy.write("".join([f"{part}\n" for part in page]))

    def compare(self, run: Run, reread: Collection[str]) -> set[str]:
        windowed = run.until is not None
        with self._db.transaction():
            for table in ("narrow", "part"):
                self._db.execute(sql.SQL("ANALYZE {}").format(sql.Identifier("crossdock", f"{table}_{run.id}")))
            self._run(run, """CREATE UNLOGGED TABLE {fresh} AS
                SELECT n.key, n.source_id, n.raw_hash, n.off, n.len, l.source_id IS DISTINCT FROM n.source_id AND l.key IS NOT NULL AS moved
                FROM {narrow} n LEFT JOIN ledger l ON (l.pair, l.flow) = (%(pair)s, %(flow)s) AND l.key = n.key
                WHERE %(force)s OR l.raw_hash IS DISTINCT FROM n.raw_hash""", force=run.request.force)  # fmt: skip
            asked = set(reread) | set(run.request.keys)
            if windowed:
                asked |= self._column(run, """
                    SELECT key FROM parked WHERE (pair, flow) = (%(pair)s, %(flow)s)
                    UNION SELECT key FROM held WHERE (pair, flow) = (%(pair)s, %(flow)s)
                    UNION SELECT key FROM quarantine WHERE (pair, flow) = (%(pair)s, %(flow)s) AND resolved_at IS NULL AND replay
                    UNION SELECT key FROM {fresh} WHERE moved
                    UNION SELECT key FROM (SELECT key, unnest(parts) AS part FROM ledger
                          WHERE (pair, flow) = (%(pair)s, %(flow)s) AND NOT removed) l
                          WHERE NOT EXISTS (SELECT FROM {part} p WHERE p.id = l.part)""")  # fmt: skip
        return asked

    def _column(self, run: Run, text: LiteralString, **values: Any) -> set[str]:
        return {row[0] for row in self._run(run, text, **values)}

    def sort_out(self, run: Run, asked: Collection[str]) -> Collection[str]:
        with self._db.transaction():
            if asked:
                self._run(run, """INSERT INTO {fresh}
                    SELECT n.key, n.source_id, n.raw_hash, n.off, n.len, false
                    FROM {narrow} n LEFT JOIN ledger l ON (l.pair, l.flow) = (%(pair)s, %(flow)s) AND l.key = n.key
                    WHERE n.taken AND (%(force)s OR l.raw_hash IS DISTINCT FROM n.raw_hash)""", force=run.request.force)  # fmt: skip
            self._run(run, """CREATE TEMP TABLE repeated ON COMMIT DROP AS
                SELECT key, count(*) FILTER (WHERE NOT taken) AS w, count(*) FILTER (WHERE taken) AS t, count(DISTINCT source_id) AS owners, max(off) AS last
                FROM {narrow} GROUP BY key HAVING count(*) > 1""")  # fmt: skip
            books = run.books
            books.read, taken = self._pair(
                run, "SELECT count(*) FILTER (WHERE NOT taken), count(*) FILTER (WHERE taken) FROM {narrow}"
            )
            books.repeated, again = self._pair(run, """SELECT coalesce(sum(greatest(w - 1, 0)), 0)::int8,
                coalesce(sum(CASE WHEN w > 0 THEN t ELSE t - 1 END), 0)::int8 FROM repeated""")  # fmt: skip
            books.taken_up = taken - again
            self._quarantine_shared_keys(run)
            self._run(
                run, "DELETE FROM {fresh} f USING repeated r WHERE f.key = r.key AND (r.owners > 1 OR f.off < r.last)"
            )
            vanished = set(asked) - self._column(
                run, "SELECT key FROM {narrow} WHERE key = ANY(%(asked)s)", asked=list(asked)
            )
            fresh, shared = self._pair(
                run, "SELECT (SELECT count(*) FROM {fresh}), (SELECT count(*) FROM repeated WHERE owners > 1)"
            )
            books.vanished = len(vanished)
            books.unchanged = books.came_in - books.vanished - fresh - shared
        return vanished

    def _pair(self, run: Run, text: LiteralString) -> tuple[int, int]:
        first, second = self._run(run, text).fetchone() or (0, 0)
        return int(first), int(second)

    def _quarantine_shared_keys(self, run: Run) -> None:
        shared = self._run(run, """SELECT n.key, string_agg(DISTINCT n.source_id, ', ') FROM {narrow} n JOIN repeated r ON r.key = n.key
            WHERE r.owners > 1 GROUP BY n.key""").fetchall()  # fmt: skip
        self._to_quarantine(run, "extract", [Refusal(
            key, owners, "duplicate_key", f"The number {key} stands at several records of the source: {owners}.",
            "Give each record a number of its own in the source system; none of them is written until then.", "", None,
        ) for key, owners in shared])  # fmt: skip

    def changed(self, run: Run) -> Iterator[Sequence[Changed]]:
        yield from (
            [Changed(*row) for row in page]
            for page in self._pages(run, "SELECT key, source_id, raw_hash, off, len FROM {fresh} ORDER BY off")
        )

    def _pages(self, run: Run, text: LiteralString) -> Iterator[Sequence[Any]]:
        """Read with a server-side cursor; what is written while it is open commits with its end."""
        statement = sql.SQL(text).format(**{t: sql.Identifier("crossdock", f"{t}_{run.id}") for t in ("fresh", "wide")})
        with self._db.transaction(), self._db.cursor(name="pages") as cursor:
            cursor.execute(statement)
            while page := cursor.fetchmany(PAGE):
                yield page

    def stage_records(self, run: Run, records: Sequence[Staged]) -> None:
        names = [
            "key",
            "source_id",
            "raw_hash",
            "canon_hash",
            "gone",
            "needs",
            "parts",
            "payload",
            *run.flow.record.COLUMNS,
        ]
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier("crossdock", f"wide_{run.id}"), sql.SQL(",").join(map(sql.Identifier, names)))  # fmt: skip
        with self._db.cursor() as cursor, cursor.copy(statement) as copy:
            for record in records:
                copy.write_row((*record[:-1], *record.columns))

    def close_stage(self, run: Run, vanished: Collection[str]) -> None:
        with self._db.transaction():
            if not run.request.force:
                self._run(
                    run,
                    """UPDATE {wide} w SET action = 'unchanged' FROM ledger l
                    WHERE (l.pair, l.flow) = (%(pair)s, %(flow)s) AND l.key = w.key AND l.canon_hash = w.canon_hash AND l.removed = w.gone""",
                )
            known = self._run(run, """INSERT INTO {wide} (key, source_id, canon_hash, gone, needs, parts, target_id)
                SELECT key, source_id, %(none)s, true, '{{}}', parts, target_id FROM ledger
                WHERE (pair, flow) = (%(pair)s, %(flow)s) AND key = ANY(%(keys)s) AND NOT removed AND target_id IS NOT NULL
                ON CONFLICT DO NOTHING""", keys=list(vanished), none=UUID(int=0)).rowcount  # fmt: skip
            if len(vanished) > known:
                run.books.skipped["no longer in the source"] = len(vanished) - known
            self._run(
                run,
                "DELETE FROM parked WHERE (pair, flow) = (%(pair)s, %(flow)s) AND key = ANY(%(keys)s)",
                keys=list(vanished),
            )
            self._run(run, """UPDATE quarantine SET resolved_at = now(), resolution = 'gone from the source'
                WHERE (pair, flow) = (%(pair)s, %(flow)s) AND resolved_at IS NULL AND key = ANY(%(keys)s)""", keys=list(vanished))  # fmt: skip
            self._db.execute(sql.SQL("ANALYZE {}").format(sql.Identifier("crossdock", f"wide_{run.id}")))
        run.totals = {"staged": self.staged(run)}

    def staged(self, run: Run) -> int:
        return int(self._one(run, "SELECT count(*) FROM {wide}"))

    def open_rows(self, run: Run) -> int:
        return int(self._one(run, "SELECT count(*) FROM {wide} WHERE action IS NULL"))

    def quarantine(self, run: Run, stage: Stage, refusals: Sequence[Refusal]) -> None:
        with self._db.transaction():
            self._to_quarantine(run, stage, refusals)
            if stage != "extract":
                self._run(
                    run,
                    "UPDATE {wide} SET action = 'quarantined' WHERE key = ANY(%(keys)s)",
                    keys=[r.key for r in refusals],
                )

    def _to_quarantine(self, run: Run, stage: Stage, refusals: Sequence[Refusal]) -> None:
        """One open row per key: the same fault again is counted, another one replaces it."""
        if refusals:
            self._run(run, """
                INSERT INTO quarantine (pair, flow, key, source_id, run_id, stage, code, reason, remedy, payload, raw_hash)
                SELECT %(pair)s, %(flow)s, r.key, r.source_id, %(id)s, %(stage)s, r.code, r.reason, r.remedy, r.payload, r.raw_hash
                FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (key text, source_id text, code text, reason text, remedy text, payload text, raw_hash uuid)
                ON CONFLICT (pair, flow, key) WHERE resolved_at IS NULL DO UPDATE SET
                    source_id = excluded.source_id, run_id = excluded.run_id, stage = excluded.stage, code = excluded.code, reason = excluded.reason,
                    remedy = excluded.remedy, payload = excluded.payload, raw_hash = excluded.raw_hash, attempts = quarantine.attempts + 1,
                    replay = false, last_seen = now()""", stage=stage, rows=json.dumps([_clean(r) for r in refusals]))  # fmt: skip

    # ------------------------------------------------------------ validate

    def relation(self, run: Run) -> str:
        return f"crossdock.gate_{run.id}"

    def save_quality(self, run: Run, verdict: Verdict) -> None:
        self._run(run, "UPDATE run SET quality = %(q)s WHERE id = %(id)s", q=json.dumps(verdict.results))

    def quarantine_rows(self, run: Run, failure: RowFailure) -> None:
        with self._db.transaction():
            bad = [key for (key,) in self._db.execute(sql.SQL(failure.query))]  # type: ignore[arg-type]
            rows = self._run(
                run, "SELECT key, source_id, payload, raw_hash FROM {wide} WHERE key = ANY(%(keys)s)", keys=bad
            ).fetchall()
            self._to_quarantine(run, "validate", [Refusal(key, source_id, failure.code, failure.reason, failure.remedy, payload, raw_hash)
                                                  for key, source_id, payload, raw_hash in rows])  # fmt: skip
            self._run(run, "UPDATE {wide} SET action = 'quarantined' WHERE key = ANY(%(keys)s)", keys=bad)

    # ------------------------------------------------------------ transform

    def first_run(self, run: Run) -> bool:
        return self._one(run, "SELECT true FROM ledger WHERE (pair, flow) = (%(pair)s, %(flow)s) LIMIT 1") is None

    def staged_keys(self, run: Run) -> Iterator[Sequence[str]]:
        for page in self._pages(run, "SELECT key FROM {wide} WHERE action IS NULL"):
            yield [key for (key,) in page]

    def set_target_ids(self, run: Run, found: Mapping[str, str]) -> None:
        self._run(run, """UPDATE {wide} w SET target_id = f.target_id FROM unnest(%(keys)s::text[], %(ids)s::text[]) AS f (key, target_id)
            WHERE w.key = f.key""", keys=list(found), ids=list(found.values()))  # fmt: skip

    def decide(self, run: Run) -> None:
        with self._db.transaction():
            self._run(run, """
                UPDATE {wide} w SET target_id = coalesce(w.target_id, d.target_id), action = d.action, reason = d.reason
                FROM (SELECT w.key, l.target_id,
                        CASE WHEN q.key IS NOT NULL THEN 'quarantined'
                             WHEN w.gone AND coalesce(w.target_id, l.target_id) IS NULL THEN 'skip'
                             WHEN w.gone AND l.removed THEN 'unchanged'
                             WHEN w.gone THEN 'remove'
                             WHEN n.missing IS NOT NULL THEN 'wait'
                             WHEN coalesce(w.target_id, l.target_id) IS NULL THEN 'create'
                             ELSE 'update' END AS action,
                        CASE WHEN w.gone AND coalesce(w.target_id, l.target_id) IS NULL THEN 'withdrawn before it was ever written'
                             ELSE n.missing END AS reason
                      FROM {wide} w
                      LEFT JOIN ledger l ON (l.pair, l.flow) = (%(pair)s, %(flow)s) AND l.key = w.key
                      LEFT JOIN quarantine q ON (q.pair, q.flow) = (%(pair)s, %(flow)s) AND q.key = w.key AND q.resolved_at IS NULL
                           AND q.raw_hash = w.raw_hash AND NOT q.replay AND NOT %(force)s
                      LEFT JOIN LATERAL (SELECT string_agg(need, ', ') AS missing FROM unnest(w.needs) AS need WHERE NOT EXISTS (
                           SELECT FROM ledger x WHERE x.pair = %(pair)s AND x.flow = split_part(need, ':', 1)
                           AND x.key = substr(need, strpos(need, ':') + 1) AND x.target_id IS NOT NULL AND NOT x.removed)) n ON true
                      WHERE w.action IS NULL) d
                WHERE w.key = d.key""", force=run.request.force)  # fmt: skip
            self._hold(run)
            self._run(
                run,
                "UPDATE quarantine q SET run_id = %(id)s, last_seen = now() FROM {wide} w WHERE (q.pair, q.flow) = (%(pair)s, %(flow)s) AND q.key = w.key AND q.resolved_at IS NULL AND w.action = 'quarantined'",
            )
            self._run(
                run,
                """INSERT INTO parked (pair, flow, key, needs, run_id) SELECT %(pair)s, %(flow)s, key, needs, %(id)s FROM {wide} WHERE action = 'wait'
                ON CONFLICT (pair, flow, key) DO UPDATE SET needs = excluded.needs, run_id = excluded.run_id""",
            )
            self._run(
                run,
                """INSERT INTO held (pair, flow, key, reason, run_id) SELECT %(pair)s, %(flow)s, key, reason, %(id)s FROM {wide} WHERE action = 'hold'
                ON CONFLICT (pair, flow, key) DO UPDATE SET reason = excluded.reason, run_id = excluded.run_id""",
            )

    def _hold(self, run: Run) -> None:
        """The brake. First loads and forced records are exempt."""
        live = int(
            self._one(
                run,
                "SELECT count(*) FROM ledger WHERE (pair, flow) = (%(pair)s, %(flow)s) AND NOT removed AND target_id IS NOT NULL",
            )
        )
        if not live or run.request.force or not run.flow.losses:
            return
        loses = sql.SQL(" OR ").join(
            sql.SQL("coalesce({}, false)").format(sql.Identifier(name)) for name in run.flow.losses
        )
        wide = sql.Identifier("crossdock", f"wide_{run.id}")
        row = self._db.execute(
            sql.SQL("SELECT count(*) FROM {} WHERE action IN ('update', 'remove') AND ({})").format(wide, loses)
        ).fetchone()
        losses = int(row[0]) if row else 0
        brake = run.flow.brake
        if losses > max(brake.at_least, brake.share * live):
            reason = f"one of {losses} losses in one run, of {live} records: more than usual"
            self._db.execute(
                sql.SQL(
                    "UPDATE {} SET action = 'hold', reason = %s WHERE action IN ('update', 'remove') AND ({})"
                ).format(wide, loses),
                (reason,),
            )

    def decided(self, run: Run) -> Iterator[Sequence[Decided]]:
        query: LiteralString = """SELECT key, action, source_id, target_id, canon_hash, payload FROM {wide}
            WHERE action IN ('create', 'update', 'remove') ORDER BY key"""
        for page in self._pages(run, query):
            yield [Decided(*row) for row in page]

    def to_outbox(self, run: Run, payloads: Sequence[tuple[str, bytes]]) -> None:
        self._run(run, """
            INSERT INTO outbox (run_id, pair, flow, key, op, source_id, target_id, raw_hash, canon_hash, parts, payload, status)
            SELECT %(id)s, %(pair)s, %(flow)s, w.key, w.action, w.source_id, w.target_id, w.raw_hash, w.canon_hash, w.parts, p.payload, %(status)s
            FROM unnest(%(keys)s::text[], %(payloads)s::text[]) AS p (key, payload) JOIN {wide} w ON w.key = p.key
            ON CONFLICT (run_id, key) DO UPDATE SET op = excluded.op, payload = excluded.payload, status = excluded.status""",
            keys=[key for key, _ in payloads], payloads=[payload.decode() for _, payload in payloads],
            status="planned" if run.mode == "plan" else "pending")  # fmt: skip

    def count_decisions(self, run: Run) -> None:
        books = run.books
        for action, reason, count in self._run(run, """SELECT action, CASE WHEN action = 'skip' THEN reason END, count(*) FROM {wide}
                WHERE action IN ('unchanged', 'wait', 'hold', 'skip') GROUP BY 1, 2""").fetchall():  # fmt: skip
            if action == "unchanged":
                books.unchanged += count
            elif action == "wait":
                books.waiting = count
            elif action == "hold":
                books.held = count
            else:
                books.skipped[reason] = books.skipped.get(reason, 0) + count
        for name in run.flow.totals:
            total = self._db.execute(sql.SQL("SELECT coalesce(sum({}), 0)::int8 FROM {} WHERE action IN ('create', 'update')").format(
                sql.Identifier(name), sql.Identifier("crossdock", f"wide_{run.id}"))).fetchone()  # fmt: skip
            run.totals[name] = total[0] if total else 0

    def take_over_plan(self, run: Run) -> int:
        with self._db.transaction():
            if (
                self._one(
                    run,
                    "SELECT true FROM run WHERE id = %(plan)s AND (pair, flow, state) = (%(pair)s, %(flow)s, 'planned')",
                    plan=run.request.plan,
                )
                is None
            ):
                raise Stop(
                    f"{run}: there is no saved plan {run.request.plan} of this flow. Look at the runs that ended as 'planned'."
                )
            rows = self._run(run, """
                WITH plan AS (UPDATE outbox SET status = 'superseded' WHERE (run_id, status) = (%(plan)s, 'planned') RETURNING *)
                INSERT INTO outbox (run_id, pair, flow, key, op, source_id, target_id, raw_hash, canon_hash, parts, payload, status)
                SELECT %(id)s, p.pair, p.flow, p.key, p.op, p.source_id, p.target_id, p.raw_hash, p.canon_hash, p.parts, p.payload,
                    CASE WHEN l.run_id > p.run_id THEN 'superseded' ELSE 'pending' END
                FROM plan p LEFT JOIN ledger l ON (l.pair, l.flow, l.key) = (p.pair, p.flow, p.key)""", plan=run.request.plan).rowcount  # fmt: skip
        run.books.taken_up = rows
        return rows

    # ------------------------------------------------------------ load

    def require_writable(self, run: Run, fingerprint: str) -> None:
        side = run.flow.target
        row = self._run(
            run, "SELECT fingerprint, write_enabled FROM target WHERE (pair, side) = (%(pair)s, %(side)s)", side=side
        ).fetchone()
        if row is None or row[0] != fingerprint:
            approved = "for no system yet" if row is None else f"for {row[0]}"
            raise WritesOff(
                f"{run}: writing was approved {approved}, but the connection leads to {fingerprint}. If that is right, say "
                f"'crossdock target approve --pair {run.pair} {side}', then clear this run. A plan (mode = plan) works without it."
            )
        if not row[1]:
            raise WritesOff(
                f"{run}: writing to the {side} is switched off. 'crossdock target on --pair {run.pair} {side}' switches it on again."
            )

    def next_batch(self, run: Run, size: int) -> Sequence[Put]:
        return self._puts(run, """
            WITH batch AS (SELECT key FROM outbox WHERE (run_id, status) = (%(id)s, 'pending') ORDER BY key LIMIT %(size)s)
            UPDATE outbox o SET sent_at = now() FROM batch b WHERE o.run_id = %(id)s AND o.key = b.key
            RETURNING o.key, o.op, o.target_id, o.payload, o.canon_hash""", size=size)  # fmt: skip

    def confirm(self, run: Run, outcomes: Sequence[Outcome]) -> None:
        with self._db.transaction():
            done = [outcome for outcome in outcomes if outcome.refused is None]
            self._run(run, """UPDATE outbox o SET status = 'done', done_at = now(), target_id = coalesce(d.target_id, o.target_id), note = d.note
                FROM unnest(%(keys)s::text[], %(ids)s::text[], %(notes)s::text[]) AS d (key, target_id, note)
                WHERE o.run_id = %(id)s AND o.key = d.key""", keys=[o.key for o in done], ids=[o.target_id for o in done],
                notes=[o.note for o in done])  # fmt: skip
            refused = {outcome.key: outcome.refused for outcome in outcomes if outcome.refused is not None}
            if refused:
                rows = self._run(run, "UPDATE outbox SET status = 'refused', done_at = now() WHERE run_id = %(id)s AND key = ANY(%(keys)s) RETURNING key, source_id, payload, raw_hash",
                                 keys=list(refused)).fetchall()  # fmt: skip
                self._to_quarantine(run, "load", [Refusal(key, source_id, refused[key].code, refused[key].reason, refused[key].remedy, payload, raw_hash)
                                                  for key, source_id, payload, raw_hash in rows])  # fmt: skip
            if not self._renew(run):
                raise Stop(
                    f"{run}: another run took this flow over. Nothing needs to be done: it goes on from what was confirmed."
                )

    # ------------------------------------------------------------ settle

    def _merge_done(self, run: Run) -> None:
        self._run(
            run,
            """
            MERGE INTO ledger l USING (SELECT * FROM outbox WHERE (pair, flow, status) = (%(pair)s, %(flow)s, 'done')) o
            ON (l.pair, l.flow, l.key) = (o.pair, o.flow, o.key) AND l.flow = %(flow)s
            WHEN MATCHED THEN UPDATE SET source_id = o.source_id, target_id = o.target_id, raw_hash = o.raw_hash, canon_hash = o.canon_hash,
                parts = o.parts, removed = o.op = 'remove', run_id = o.run_id, synced_at = o.done_at
            WHEN NOT MATCHED THEN INSERT (pair, flow, key, source_id, target_id, raw_hash, canon_hash, parts, removed, run_id, synced_at)
                VALUES (o.pair, o.flow, o.key, o.source_id, o.target_id, o.raw_hash, o.canon_hash, o.parts, o.op = 'remove', o.run_id, o.done_at)""",
        )
        self._run(run, "UPDATE outbox SET status = 'merged' WHERE (pair, flow, status) = (%(pair)s, %(flow)s, 'done')")

    def merge(self, run: Run) -> None:
        books = run.books
        with self._db.transaction():
            self._merge_done(run)
            if self._one(run, "SELECT to_regclass(%(t)s)", t=f"crossdock.wide_{run.id}"):
                self._run(run, """UPDATE ledger l SET raw_hash = w.raw_hash, parts = w.parts, source_id = w.source_id FROM {wide} w
                    WHERE (l.pair, l.flow) = (%(pair)s, %(flow)s) AND l.key = w.key AND w.action = 'unchanged'""")  # fmt: skip
                self._forget_what_is_settled(run)
            counts = {
                (op, status): n
                for op, status, n in self._run(
                    run, "SELECT op, status, count(*) FROM outbox WHERE run_id = %(id)s GROUP BY 1, 2"
                )
            }
            books.created, books.updated, books.removed = (
                counts.get((op, "merged"), 0) for op in ("create", "update", "remove")
            )
            books.pending, books.planned, books.superseded = (
                sum(n for (_, status), n in counts.items() if status == s) for s in ("pending", "planned", "superseded"))  # fmt: skip
            books.quarantined = int(
                self._one(run, "SELECT count(*) FROM quarantine WHERE run_id = %(id)s AND resolved_at IS NULL")
            )

    def _forget_what_is_settled(self, run: Run) -> None:
        """Quarantined, parked and held keys that were seen in this run and have found another place."""
        self._run(
            run,
            """UPDATE quarantine q SET resolved_at = now(), resolution = 'a newer version went through'
            WHERE (q.pair, q.flow) = (%(pair)s, %(flow)s) AND q.resolved_at IS NULL AND q.run_id <> %(id)s
            AND EXISTS (SELECT FROM {narrow} n WHERE n.key = q.key)
            AND NOT EXISTS (SELECT FROM outbox o WHERE o.run_id = %(id)s AND o.key = q.key AND o.status IN ('pending', 'planned'))""",
        )
        self._run(
            run,
            """DELETE FROM parked p WHERE (p.pair, p.flow) = (%(pair)s, %(flow)s) AND p.run_id <> %(id)s
            AND EXISTS (SELECT FROM {narrow} n WHERE n.key = p.key)""",
        )
        self._run(
            run,
            """DELETE FROM held h WHERE (h.pair, h.flow) = (%(pair)s, %(flow)s) AND h.run_id <> %(id)s
            AND EXISTS (SELECT FROM {narrow} n WHERE n.key = h.key UNION SELECT FROM {wide} w WHERE w.key = h.key AND w.action <> 'hold')""",
        )

    # ------------------------------------------------------------ review and approvals

    def review(self, run: Run, claims: Iterable[Sequence[Claim]]) -> int:
        with self._db.transaction():
            self._run(run, "CREATE TEMP TABLE claimed (login text, evidence text) ON COMMIT DROP")
            for page in claims:
                values = {
                    name: [getattr(claim, name) for claim in page] for name in ("login", "email", "evidence", "value")
                }
                self._run(run, """
                    WITH new AS (SELECT * FROM unnest(%(login)s::text[], %(email)s::text[], %(evidence)s::text[], %(value)s::text[]) AS c (login, email, evidence, value)),
                    kept AS (INSERT INTO claimed SELECT login, evidence FROM new)
                    INSERT INTO review (pair, login, email, evidence, value) SELECT %(pair)s, * FROM new
                    ON CONFLICT (pair, login, evidence) DO UPDATE SET email = excluded.email, value = excluded.value, last_seen = now()""", **values)  # fmt: skip
            self._run(run, """UPDATE review r SET resolved_at = now() WHERE r.pair = %(pair)s AND r.resolved_at IS NULL
                AND NOT EXISTS (SELECT FROM claimed c WHERE (c.login, c.evidence) = (r.login, r.evidence))""")  # fmt: skip
            return int(self._one(run, "SELECT count(*) FROM review WHERE pair = %(pair)s AND resolved_at IS NULL"))


def approve_target(connection: Connection[Any], pair: str, side: str, fingerprint: str, by: str) -> None:
    """Allow writing to exactly this system."""
    connection.execute("""INSERT INTO crossdock.target (pair, side, fingerprint, write_enabled, changed_by) VALUES (%s, %s, %s, true, %s)
        ON CONFLICT (pair, side) DO UPDATE SET fingerprint = excluded.fingerprint, write_enabled = true, changed_by = excluded.changed_by, changed_at = now()""",
        (pair, side, fingerprint, by))  # fmt: skip


def switch_target(connection: Connection[Any], pair: str, side: str, enabled: bool, by: str) -> bool:
    """The stop button. False if this target was never approved."""
    return connection.execute("UPDATE crossdock.target SET write_enabled = %s, changed_by = %s, changed_at = now() WHERE (pair, side) = (%s, %s)",
                              (enabled, by, pair, side)).rowcount == 1  # fmt: skip


def _pack(page: Sequence[Row], version: hashlib._Hash, taken: bool, offset: int) -> tuple[bytes, int]:
    """A page as rows of PostgreSQL's binary COPY format, and the offset behind it in the spool.

    https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format"; ``16s`` cuts the digest.
    A row without a usable key goes under ``?`` and its source id: reading it will say what is wrong.
    """
    out: list[bytes] = []
    for key, source_id, raw in page:
        if not key or len(key) > _MAX_KEY or "\x00" in key:
            key = f"?{source_id}"
        k, s, n, digest = key.encode(errors="replace"), source_id.encode(errors="replace"), len(raw), version.copy()
        digest.update(raw)
        out += (_HEAD(6, len(k)), k, _LENGTH(len(s)), s, _TAIL(16, digest.digest(), 8, offset, 4, n, 1, taken))
        offset += n
    return b"".join(out), offset


def _clean(refusal: Refusal) -> dict[str, Any]:
    """As JSON that PostgreSQL takes: text without NUL."""
    return {
        name: value.replace("\x00", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value and str(value)
        for name, value in refusal._asdict().items()
    }
