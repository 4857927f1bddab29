"""The stage of a run: every row read as key and hash, what the ledger does not know, canonical records."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import chain
from time import monotonic
from typing import Literal, LiteralString

from psycopg import sql

from crossdock.ports import Row
from crossdock.store.quarantine import Quarantine
from crossdock.store.runs import Runs
from crossdock.store.statements import NONE, UNMET, WITHDRAWN, plain
from crossdock.sync.run import ACCEPTED_STOP, Changed, Refusal, Run, Staged, State, Unknown

_COPY_HEAD = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_COPY_END = b"\xff\xff"
_HEAD = struct.Struct("!hi").pack
_LENGTH = struct.Struct("!i").pack
_TAIL = struct.Struct("!i16siqiii?").pack
MAX_KEY = 200
DUPLICATE_KEY, NAME_TAKEN = "duplicate_key", "name_taken"
"""Codes of records that are tried again in each run: it may be the other one that is mended."""
_RENEW = 60
"""Seconds of reading that go into one COPY; then the lease is renewed."""
_PATIENCE = timedelta(days=1)
"""A quarantined record of which nothing is heard for so long is asked for."""
_COLUMNS = {
    "key": "text",
    "source_id": "text",
    "raw_hash": "uuid",
    "canon_hash": "uuid",
    "gone": "boolean",
    "needs": "text[]",
    "parts": "text[]",
    "names": "text[]",
    "payload": "text",
    "early": "text",
    "doubt": "text",
    "in_step": "boolean",
    "moment": "timestamptz",
}


class StageTables(Runs, Quarantine):
    """``narrow_N``, ``fresh_N`` and ``wide_N``, unlogged, and the comparison with the ledger."""

    _spooled = 0
    _last: bytes | None = None
    """The last key that came in by the window, as long as each has been above the one before: then none came twice."""

    def open(self, run: Run) -> bool:
        with self._db.transaction():
            if not super().open(run):
                return False
            self._drop_stages(run)
            self._create_stages(run)
        self._spooled, self._last = 0, b""
        return True

    def finish(self, run: Run, state: State, message: str) -> bool:
        with self._db.transaction():
            self._drop_stages(run)
            return super().finish(run, state, message)

    def _create_stages(self, run: Run) -> None:
        self._run(
            run,
            """
            CREATE UNLOGGED TABLE {narrow} (
                key       text NOT NULL,
                source_id text NOT NULL,
                raw_hash  uuid NOT NULL,
                off       int8 NOT NULL,
                len       int4 NOT NULL,
                taken     bool NOT NULL
            )
            """,
        )
        self._run(run, "CREATE UNLOGGED TABLE {part} (id text NOT NULL)")
        self._run(
            run,
            """
            CREATE UNLOGGED TABLE {wide} (
                key        text PRIMARY KEY,
                source_id  text NOT NULL,
                raw_hash   uuid,
                canon_hash uuid NOT NULL,
                gone       bool NOT NULL,
                needs      text[] NOT NULL,
                parts      text[] NOT NULL,
                names      text[] NOT NULL DEFAULT '{{}}',
                payload    text,
                early      text,
                doubt      text,
                in_step    bool,
                moment     timestamptz,
                target_id  text,
                action     text,
                reason     text
            )
            """,
        )
        for name, kind in run.flow.record.COLUMNS.items():
            column = {"column": sql.Identifier(name), "kind": sql.SQL(kind)}
            self._run(run, "ALTER TABLE {wide} ADD COLUMN {column} {kind}", column)
        # Planning needs little: 3,000 sampled rows instead of 30,000
        self._run(run, "ALTER TABLE {narrow} ALTER key SET STATISTICS 10")
        self._run(run, "ALTER TABLE {part} ALTER id SET STATISTICS 10")
        self._run(run, "ALTER TABLE {wide} ALTER key SET STATISTICS 10, ALTER action SET STATISTICS 10")
        # what is withdrawn and was never written says nothing about the batch
        self._run(
            run,
            """
            CREATE VIEW {gate} AS
            SELECT w.*
            FROM {wide} w
            WHERE w.action IS NULL
              AND w.payload IS NOT NULL
              AND (NOT w.gone OR EXISTS (SELECT FROM ledger l WHERE (l.pair, l.flow, l.key) = ({pair}, {flow}, w.key)))
            """,
            {"pair": sql.Literal(run.pair), "flow": sql.Literal(run.flow.name)},
        )

    def _drop_stages(self, run: Run) -> None:
        self._run(run, "DROP VIEW IF EXISTS {gate}")
        self._run(run, "DROP TABLE IF EXISTS {narrow}, {fresh}, {part}, {wide}")

    def stage_rows(
        self, run: Run, rows: Iterable[Sequence[Row]], origin: Literal["w", "t"], version: str
    ) -> Iterator[bytes]:
        base, taken = hashlib.sha256(version.encode()), origin == "t"
        statement = self._statement(run, "COPY {narrow} FROM STDIN (FORMAT binary)")
        pages = iter(rows)
        for first in pages:
            with self._db.cursor() as cursor, cursor.copy(statement) as copy:
                copy.write(_COPY_HEAD)
                began = monotonic()
                for page in chain([first], pages):
                    block, self._spooled, last = _pack(page, base, taken, self._spooled, self._last)
                    if not taken:
                        self._last = last
                    copy.write(block)
                    yield b"".join([row.raw for row in page])
                    if monotonic() - began > _RENEW:
                        break
                copy.write(_COPY_END)
            self._renew(run)

    def parts_due(self, run: Run) -> bool:
        every = run.flow.parts_every
        due = (
            every is None
            or run.since is None
            or self._one(
                run,
                """
                SELECT coalesce(parts_at < now() - %(every)s, true)
                FROM watermark
                WHERE (pair, flow) = (%(pair)s, %(flow)s)
                """,
                every=every,
            )
        )
        run.totals["parts"] = bool(due)
        return bool(due)

    def full_due(self, run: Run, version: str) -> bool:
        if run.flow.full_every is None:
            return False
        run.totals["version"] = version
        return bool(
            self._one(
                run,
                """
                SELECT full_at IS NULL OR full_at < now() - %(every)s OR full_version <> %(version)s
                FROM watermark
                WHERE (pair, flow) = (%(pair)s, %(flow)s)
                """,
                every=run.flow.full_every,
                version=version,
            )
        )

    def stage_parts(self, run: Run, parts: Iterable[Sequence[str]]) -> None:
        statement = self._statement(run, "COPY {part} FROM STDIN (FORMAT binary)")
        for page in parts:
            encoded = [plain(part).encode() for part in page]
            self._copy(statement, b"".join([_HEAD(1, len(part)) + part for part in encoded]))

    def _copy(self, statement: sql.Composed, block: bytes) -> None:
        with self._db.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(_COPY_HEAD + block + _COPY_END)

    def compare(self, run: Run) -> set[str]:
        with self._db.transaction():
            self._run(run, "ANALYZE {narrow} (key)")
            self._run(
                run,
                """
                CREATE UNLOGGED TABLE {fresh} AS
                SELECT n.key, n.source_id, n.raw_hash, n.off, n.len,
                       l.key IS NOT NULL AND l.source_id IS DISTINCT FROM n.source_id AS moved
                FROM {narrow} n
                LEFT JOIN ledger l ON (l.pair, l.flow) = (%(pair)s, %(flow)s) AND l.key = n.key
                WHERE %(force)s
                   OR l.raw_hash IS DISTINCT FROM n.raw_hash
                   OR n.key IN (SELECT key FROM asked WHERE (pair, flow) = (%(pair)s, %(flow)s))
                """,
                force=run.request.force,
            )
            if run.until is None:
                return {plain(key)[:MAX_KEY] for key in run.request.keys} - self._nameless(run)
            everything = run.since is None
            asked = self._to_be_read(run, everything)
            if run.totals.get("parts"):
                self._run(run, "ANALYZE {part} (id)")
                asked |= self._by_parts(run)
            return asked if everything else asked - self._nameless(run)

    def _to_be_read(self, run: Run, everything: bool) -> set[str]:
        """See ``Store.compare``. What is parked is read when it lacks nothing any more. It and a quarantined record

        may be gone: they are asked for when ``everything`` was read without them, and once a day.
        """
        return self._column(
            run,
            """
            SELECT w.key
            FROM parked w
            WHERE (w.pair, w.flow) = (%(pair)s, %(flow)s)
              AND (
                  %(everything)s
                  OR w.last_seen < now() - %(patience)s
                  OR NOT EXISTS ({unmet})
              )
            UNION
            SELECT key FROM held WHERE (pair, flow) = (%(pair)s, %(flow)s) AND state <> 'refused'
            UNION
            SELECT key FROM quarantine
            WHERE (pair, flow) = (%(pair)s, %(flow)s)
              AND resolved_at IS NULL
              AND code = ANY(%(again)s)
            UNION
            SELECT key FROM asked WHERE (pair, flow) = (%(pair)s, %(flow)s)
            UNION
            SELECT q.key
            FROM quarantine q
            WHERE (q.pair, q.flow) = (%(pair)s, %(flow)s)
              AND q.resolved_at IS NULL
              AND (%(everything)s OR q.last_seen < now() - %(patience)s)
              AND NOT EXISTS (SELECT FROM {narrow} n WHERE n.key = q.key)
            UNION
            SELECT key FROM {fresh} WHERE moved
            """,
            {"unmet": sql.SQL(UNMET)},
            everything=everything,
            patience=_PATIENCE,
            again=[DUPLICATE_KEY, NAME_TAKEN],
        )

    def _by_parts(self, run: Run) -> set[str]:
        """Records that miss a part, and vanished ones whose parts are all back."""
        return self._column(
            run,
            """
            SELECT l.key
            FROM (
                SELECT key, unnest(parts) AS part
                FROM ledger
                WHERE (pair, flow) = (%(pair)s, %(flow)s) AND NOT removed
            ) l
            WHERE NOT EXISTS (SELECT FROM {part} p WHERE p.id = l.part)
            UNION
            SELECT l.key
            FROM ledger l
            WHERE (l.pair, l.flow) = (%(pair)s, %(flow)s)
              AND l.vanished
              AND l.parts <> '{{}}'
              AND NOT EXISTS (
                  SELECT FROM unnest(l.parts) AS part
                  WHERE NOT EXISTS (SELECT FROM {part} p WHERE p.id = part)
              )
            """,
        )

    def _nameless(self, run: Run) -> set[str]:
        """Quarantined rows without a usable number: nobody can ask for them, so no answer does not mean gone."""
        return self._column(
            run,
            """
            SELECT key
            FROM quarantine
            WHERE (pair, flow) = (%(pair)s, %(flow)s)
              AND resolved_at IS NULL
              AND key = left('?' || source_id, %(longest)s)
            """,
            longest=MAX_KEY,
        )

    def sort_out(self, run: Run, asked: Collection[str]) -> Collection[str]:
        with self._db.transaction():
            if asked:
                self._run(
                    run,
                    """
                    INSERT INTO {fresh}
                    SELECT n.key, n.source_id, n.raw_hash, n.off, n.len, false
                    FROM {narrow} n
                    LEFT JOIN ledger l ON (l.pair, l.flow) = (%(pair)s, %(flow)s) AND l.key = n.key
                    WHERE n.taken
                      AND (
                          %(force)s
                          OR l.raw_hash IS DISTINCT FROM n.raw_hash
                          OR n.key IN (SELECT key FROM asked WHERE (pair, flow) = (%(pair)s, %(flow)s))
                      )
                    """,
                    force=run.request.force,
                )
            suspects: LiteralString = "SELECT key FROM {narrow} WHERE taken"
            if self._last is None:
                suspects = "SELECT key FROM {narrow} GROUP BY key HAVING count(*) > 1"  # hashed, the rest sorted
            self._run(
                run,
                """
                CREATE TEMP TABLE repeated ON COMMIT DROP AS
                SELECT key,
                       count(*) FILTER (WHERE NOT taken) AS w,
                       count(*) FILTER (WHERE taken) AS t,
                       count(DISTINCT source_id) AS owners,
                       max(off) AS last
                FROM {narrow}
                WHERE key IN ({suspects})
                GROUP BY key
                HAVING count(*) > 1
                """,
                {"suspects": self._statement(run, suspects)},
            )
            books = run.books
            books.read, taken = self._pair(
                run, "SELECT count(*) FILTER (WHERE NOT taken), count(*) FILTER (WHERE taken) FROM {narrow}"
            )
            books.repeated, again = self._pair(
                run,
                """
                SELECT coalesce(sum(greatest(w - 1, 0)), 0),
                       coalesce(sum(CASE WHEN w > 0 THEN t ELSE t - 1 END), 0)
                FROM repeated
                """,
            )
            books.taken_up = taken - again
            self._quarantine_shared_keys(run)
            self._run(
                run, "DELETE FROM {fresh} f USING repeated r WHERE f.key = r.key AND (r.owners > 1 OR f.off < r.last)"
            )
            vanished = set(asked)
            if asked:
                vanished -= self._column(run, "SELECT key FROM {narrow} WHERE key = ANY(%(asked)s)", asked=list(asked))
            fresh, shared = self._pair(
                run, "SELECT (SELECT count(*) FROM {fresh}), (SELECT count(*) FROM repeated WHERE owners > 1)"
            )
            books.vanished = len(vanished)
            books.unchanged = books.came_in - books.vanished - fresh - shared
        return vanished

    def _quarantine_shared_keys(self, run: Run) -> None:
        shared = self._run(
            run,
            """
            SELECT n.key, string_agg(DISTINCT n.source_id, ', ')
            FROM {narrow} n
            JOIN repeated r ON r.key = n.key
            WHERE r.owners > 1
            GROUP BY n.key
            """,
        ).fetchall()
        refusals = [
            Refusal(
                key,
                owners,
                DUPLICATE_KEY,
                f"The number {key} stands at several records of the source: {owners}.",
                "Give each record a number of its own in the source system; none of them is written until then.",
                "",
                None,
            )
            for key, owners in shared
        ]
        self.quarantine(run, "extract", refusals)

    def changed(self, run: Run) -> Iterator[Sequence[Changed]]:
        for page in self._pages(run, "SELECT key, source_id, raw_hash, off, len FROM {fresh} ORDER BY off"):
            yield [Changed(*row) for row in page]

    def stage_records(self, run: Run, records: Sequence[Staged]) -> None:
        types = _COLUMNS | run.flow.record.COLUMNS
        columns = sql.SQL(", ").join(map(sql.Identifier, types))
        statement = self._statement(run, "COPY {wide} ({columns}) FROM STDIN (FORMAT binary)", {"columns": columns})
        with self._db.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(list(types.values()))
            for record in records:
                lists = [[plain(text) for text in texts] for texts in (record.needs, record.parts, record.names)]
                copy.write_row((*record[:5], *lists, *record[8:-1], *record.columns))

    def close_stage(self, run: Run, vanished: Collection[str]) -> None:
        with self._db.transaction():
            self._alone(run)
            if not run.request.force:
                self._run(
                    run,
                    """
                    UPDATE {wide} w
                    SET action = 'unchanged'
                    FROM ledger l
                    WHERE (l.pair, l.flow) = (%(pair)s, %(flow)s)
                      AND l.key = w.key
                      AND l.removed = w.gone
                      AND w.action IS NULL
                      AND CASE WHEN w.in_step IS NULL THEN l.canon_hash = w.canon_hash
                               ELSE w.in_step AND l.target_id IS NOT NULL
                          END
                    """,
                )
            # Nothing to do with these either; only a first run might find them in the target
            self._run(
                run,
                """
                UPDATE {wide} w
                SET action = 'skip', reason = %(withdrawn)s
                WHERE w.gone
                  AND w.action IS NULL
                  AND EXISTS (SELECT FROM ledger WHERE (pair, flow) = (%(pair)s, %(flow)s))
                  AND NOT EXISTS (
                      SELECT FROM ledger l
                      WHERE (l.pair, l.flow) = (%(pair)s, %(flow)s) AND l.key = w.key AND l.target_id IS NOT NULL
                  )
                  AND NOT EXISTS (
                      SELECT FROM quarantine q
                      WHERE (q.pair, q.flow) = (%(pair)s, %(flow)s) AND q.key = w.key AND q.resolved_at IS NULL
                  )
                """,
                withdrawn=WITHDRAWN,
            )
            self._run(
                run,
                """
                INSERT INTO {wide} (
                    key, source_id, raw_hash, canon_hash, gone, needs, parts, target_id, action, reason
                )
                SELECT v.key, coalesce(l.source_id, ''), %(none)s, %(none)s, true, '{{}}', coalesce(l.parts, '{{}}'),
                       l.target_id,
                       CASE WHEN l.removed OR l.target_id IS NULL THEN 'skip' END,
                       CASE WHEN l.removed OR l.target_id IS NULL THEN 'no longer in the source' END
                FROM unnest(%(keys)s::text[]) AS v (key)
                LEFT JOIN ledger l ON (l.pair, l.flow) = (%(pair)s, %(flow)s) AND l.key = v.key
                """,
                keys=list(vanished),
                none=NONE,
            )
            self._run(
                run,
                """
                UPDATE {wide} w
                SET action = 'skip', reason = w.early
                WHERE w.action IS NULL
                  AND w.early <> ''
                  AND NOT EXISTS (
                      SELECT FROM ledger l
                      WHERE (l.pair, l.flow, l.key) = (%(pair)s, %(flow)s, w.key) AND l.target_id IS NOT NULL
                  )
                """,
            )
            self._set_accepted_aside(run)
            if not run.request.force:
                self._set_held_aside(run)
            self._run(run, "ANALYZE {wide} (key, action)")
            if run.flow.links:
                self._quarantine_shared_names(run)
        run.totals["staged"] = self.staged(run)

    def _set_accepted_aside(self, run: Run) -> None:
        """What a person has let a batch pass without stays in quarantine until it changes or is replayed."""
        self._run(
            run,
            """
            WITH aside AS (
                UPDATE {wide} w
                SET action = 'quarantined'
                FROM quarantine q
                WHERE (q.pair, q.flow) = (%(pair)s, %(flow)s)
                  AND q.key = w.key
                  AND q.raw_hash = w.raw_hash
                  AND q.code = %(code)s
                  AND q.resolved_at IS NULL
                  AND NOT q.replay
                  AND w.action IS NULL
                RETURNING q.id
            )
            UPDATE quarantine q
            SET run_id = %(id)s, last_seen = now()
            FROM aside a
            WHERE a.id = q.id AND %(apply)s
            """,
            code=ACCEPTED_STOP,
            apply=run.mode == "apply",
        )

    def _set_held_aside(self, run: Run) -> None:
        """What is held or refused in just this version is so again, on top of what the target had been told then."""
        self._run(
            run,
            """
            WITH aside AS (
                UPDATE {wide} w
                SET action = CASE h.state WHEN 'open' THEN 'held' ELSE 'refused' END
                FROM held h
                LEFT JOIN ledger l ON (l.pair, l.flow, l.key) = (h.pair, h.flow, h.key)
                WHERE (h.pair, h.flow) = (%(pair)s, %(flow)s)
                  AND h.key = w.key
                  AND h.canon_hash = w.canon_hash
                  AND (h.op = 'remove') = w.gone
                  AND h.state <> 'approved'
                  AND h.told IS NOT DISTINCT FROM l.canon_hash
                  AND w.action IS NULL
                RETURNING h.id
            )
            UPDATE held h
            SET run_id = %(id)s
            FROM aside a
            WHERE a.id = h.id AND %(apply)s
            """,
            apply=run.mode == "apply",
        )

    def _quarantine_shared_names(self, run: Run) -> None:
        shared = self._run(
            run,
            """
            WITH claim AS (
                SELECT key, unnest(names) AS name FROM {wide} WHERE NOT gone AND action IS DISTINCT FROM 'quarantined'
            ),
            shared AS (
                SELECT c.key, c.name, other.key AS owner
                FROM claim c
                JOIN claim other ON other.name = c.name AND other.key <> c.key
                UNION ALL
                SELECT c.key, c.name, x.owner
                FROM claim c
                JOIN link x ON (x.pair, x.kind, x.key) = (%(pair)s, %(kind)s, c.name) AND x.owner <> c.key
                WHERE NOT EXISTS (SELECT FROM {wide} w WHERE w.key = x.owner AND (w.gone OR c.name <> ALL(w.names)))
            )
            SELECT DISTINCT ON (s.key) s.key, w.source_id, s.name, s.owner, w.payload, w.raw_hash
            FROM shared s
            JOIN {wide} w ON w.key = s.key
            WHERE w.action IS NULL
            ORDER BY s.key, s.name, s.owner
            """,
            kind=run.flow.links,
        ).fetchall()
        refusals = [
            Refusal(
                key,
                source_id,
                NAME_TAKEN,
                f"{run.flow.links.capitalize()} {name} stands at {owner} as well.",
                f"Give each {run.flow.links} a number of its own in the source system.",
                payload,
                raw_hash,
            )
            for key, source_id, name, owner, payload, raw_hash in shared
        ]
        self.quarantine(run, "extract", refusals)

    def _has_stage(self, run: Run) -> bool:
        return self._one(run, "SELECT to_regclass(%(table)s)", table=f"crossdock.wide_{run.id}") is not None

    def staged(self, run: Run) -> int:
        return int(self._one(run, "SELECT count(*) FROM {wide}")) if self._has_stage(run) else 0

    def open_rows(self, run: Run) -> int:
        return int(self._one(run, "SELECT count(*) FROM {wide} WHERE action IS NULL"))

    def gate_rows(self, run: Run) -> int:
        return int(self._one(run, "SELECT count(*) FROM {gate}"))

    def unknown(self, run: Run) -> Iterator[Sequence[Unknown]]:
        query: LiteralString = """
            SELECT w.key, w.source_id, w.raw_hash, w.payload
            FROM {wide} w
            LEFT JOIN ledger l ON (l.pair, l.flow) = (%(pair)s, %(flow)s) AND l.key = w.key
            WHERE w.payload IS NOT NULL AND w.action IS NULL AND l.target_id IS NULL
            """
        for page in self._pages(run, query):
            yield [Unknown(*row) for row in page]

    def set_target_ids(self, run: Run, found: Mapping[str, str]) -> None:
        with self._db.transaction():
            self._run(
                run,
                """
                UPDATE {wide} w
                SET target_id = f.target_id
                FROM unnest(%(keys)s::text[], %(ids)s::text[]) AS f (key, target_id)
                WHERE w.key = f.key
                """,
                keys=list(found),
                ids=list(found.values()),
            )
            self._renew(run)


def _pack(
    page: Sequence[Row], version: hashlib._Hash, taken: bool, offset: int, last: bytes | None
) -> tuple[bytes, int, bytes | None]:
    """A page as rows of PostgreSQL's binary COPY format, the offset behind it in the spool, and its last key.

    https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format"; ``16s`` cuts the digest.
    A row without a usable key goes under ``?`` and its source id: reading it will say what is wrong.
    There is no last key once one was not above the one before: longer, or as long and greater.
    """
    out: list[bytes] = []
    for key, source_id, raw in page:
        if "\x00" in source_id:
            source_id = plain(source_id)
        if not key or len(key) > MAX_KEY or "\x00" in key:
            key = f"?{source_id}"[:MAX_KEY]
        k, s, n, digest = key.encode("utf-8", "replace"), source_id.encode("utf-8", "replace"), len(raw), version.copy()
        digest.update(raw)
        out += (_HEAD(6, len(k)), k, _LENGTH(len(s)), s, _TAIL(16, digest.digest(), 8, offset, 4, n, 1, taken))
        offset += n
        if last is not None:
            last = k if len(k) > len(last) or (len(k) == len(last) and k > last) else None
    return b"".join(out), offset, last
