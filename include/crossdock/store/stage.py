"""The stage of a run: every row read as key and hash, what the ledger does not know, canonical records."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Literal
from uuid import UUID

from psycopg import sql

from crossdock.ports import Row
from crossdock.store.quarantine import Quarantine
from crossdock.store.runs import Runs
from crossdock.sync.run import Changed, Refusal, Run, Staged

_COPY_HEAD = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_COPY_END = b"\xff\xff"
_HEAD = struct.Struct("!hi").pack
_LENGTH = struct.Struct("!i").pack
_TAIL = struct.Struct("!i16siqiii?").pack
_MAX_KEY = 200
_COLUMNS = ("key", "source_id", "raw_hash", "canon_hash", "gone", "needs", "parts", "payload")


class StageTables(Runs, Quarantine):
    """``narrow_N``, ``fresh_N`` and ``wide_N``, unlogged, and the comparison with the ledger."""

    _spooled = 0

    def open(self, run: Run) -> bool:
        with self._db.transaction():
            if not super().open(run):
                return False
            self._drop_stages(run)
            self._create_stages(run)
        self._spooled = 0
        return True

    def finish(self, run: Run, state: str, message: str) -> bool:
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
                payload    text,
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
        self._run(run, "CREATE VIEW {gate} AS SELECT * FROM {wide} WHERE action IS NULL AND payload IS NOT NULL")

    def _drop_stages(self, run: Run) -> None:
        self._run(run, "DROP VIEW IF EXISTS {gate}")
        self._run(run, "DROP TABLE IF EXISTS {narrow}, {fresh}, {part}, {wide}")

    def stage_rows(
        self, run: Run, rows: Iterable[Sequence[Row]], origin: Literal["w", "t"], version: str
    ) -> Iterator[bytes]:
        base, taken = hashlib.sha256(version.encode()), origin == "t"
        statement = self._statement(run, "COPY {narrow} FROM STDIN (FORMAT binary)")
        with self._db.transaction(), self._db.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(_COPY_HEAD)
            for page in rows:
                block, self._spooled = _pack(page, base, taken, self._spooled)
                copy.write(block)
                yield b"".join([row.raw for row in page])
            copy.write(_COPY_END)

    def stage_parts(self, run: Run, parts: Iterable[Sequence[str]]) -> None:
        statement = self._statement(run, "COPY {part} (id) FROM STDIN")
        with self._db.transaction(), self._db.cursor() as cursor, cursor.copy(statement) as copy:
            for page in parts:
                copy.write("".join([f"{part}\n" for part in page]))

    def compare(self, run: Run, reread: Collection[str]) -> set[str]:
        with self._db.transaction():
            self._run(run, "ANALYZE {narrow} (key)")
            self._run(run, "ANALYZE {part} (id)")
            self._run(
                run,
                """
                CREATE UNLOGGED TABLE {fresh} AS
                SELECT n.key, n.source_id, n.raw_hash, n.off, n.len,
                       l.key IS NOT NULL AND l.source_id IS DISTINCT FROM n.source_id AS moved
                FROM {narrow} n
                LEFT JOIN ledger l ON (l.pair, l.flow) = (%(pair)s, %(flow)s) AND l.key = n.key
                WHERE %(force)s OR l.raw_hash IS DISTINCT FROM n.raw_hash
                """,
                force=run.request.force,
            )
            asked = set(reread) | set(run.request.keys)
            if run.until is None:
                return asked
            return asked | self._column(
                run,
                """
                SELECT key FROM parked WHERE (pair, flow) = (%(pair)s, %(flow)s)
                UNION
                SELECT key FROM held WHERE (pair, flow) = (%(pair)s, %(flow)s)
                UNION
                SELECT key FROM quarantine
                WHERE (pair, flow) = (%(pair)s, %(flow)s) AND resolved_at IS NULL AND replay
                UNION
                SELECT key FROM {fresh} WHERE moved
                UNION
                SELECT l.key
                FROM (
                    SELECT key, unnest(parts) AS part
                    FROM ledger
                    WHERE (pair, flow) = (%(pair)s, %(flow)s) AND NOT removed
                ) l
                WHERE NOT EXISTS (SELECT FROM {part} p WHERE p.id = l.part)
                """,
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
                    WHERE n.taken AND (%(force)s OR l.raw_hash IS DISTINCT FROM n.raw_hash)
                    """,
                    force=run.request.force,
                )
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
                GROUP BY key
                HAVING count(*) > 1
                """,
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
            vanished = set(asked) - self._column(
                run, "SELECT key FROM {narrow} WHERE key = ANY(%(asked)s)", asked=list(asked)
            )
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
                "duplicate_key",
                f"The number {key} stands at several records of the source: {owners}.",
                "Give each record a number of its own in the source system; none of them is written until then.",
                "",
                None,
            )
            for key, owners in shared
        ]
        self._to_quarantine(run, "extract", refusals)

    def changed(self, run: Run) -> Iterator[Sequence[Changed]]:
        for page in self._pages(run, "SELECT key, source_id, raw_hash, off, len FROM {fresh} ORDER BY off"):
            yield [Changed(*row) for row in page]

    def stage_records(self, run: Run, records: Sequence[Staged]) -> None:
        columns = sql.SQL(", ").join(map(sql.Identifier, (*_COLUMNS, *run.flow.record.COLUMNS)))
        statement = self._statement(run, "COPY {wide} ({columns}) FROM STDIN", {"columns": columns})
        with self._db.cursor() as cursor, cursor.copy(statement) as copy:
            for record in records:
                copy.write_row((*record[:-1], *record.columns))

    def close_stage(self, run: Run, vanished: Collection[str]) -> None:
        keys = list(vanished)
        with self._db.transaction():
            if not run.request.force:
                self._run(
                    run,
                    """
                    UPDATE {wide} w
                    SET action = 'unchanged'
                    FROM ledger l
                    WHERE (l.pair, l.flow) = (%(pair)s, %(flow)s)
                      AND l.key = w.key
                      AND l.canon_hash = w.canon_hash
                      AND l.removed = w.gone
                    """,
                )
            known = self._run(
                run,
                """
                INSERT INTO {wide} (key, source_id, canon_hash, gone, needs, parts, target_id)
                SELECT key, source_id, %(none)s, true, '{{}}', parts, target_id
                FROM ledger
                WHERE (pair, flow) = (%(pair)s, %(flow)s)
                  AND key = ANY(%(keys)s)
                  AND NOT removed
                  AND target_id IS NOT NULL
                ON CONFLICT DO NOTHING
                """,
                keys=keys,
                none=UUID(int=0),
            ).rowcount
            if len(keys) > known:
                run.books.skipped["no longer in the source"] = len(keys) - known
            self._run(
                run, "DELETE FROM parked WHERE (pair, flow) = (%(pair)s, %(flow)s) AND key = ANY(%(keys)s)", keys=keys
            )
            self._run(
                run,
                """
                UPDATE quarantine
                SET resolved_at = now(), resolution = 'gone from the source'
                WHERE (pair, flow) = (%(pair)s, %(flow)s) AND resolved_at IS NULL AND key = ANY(%(keys)s)
                """,
                keys=keys,
            )
            self._run(run, "ANALYZE {wide} (key, action)")
        run.totals = {"staged": self.staged(run)}

    def staged(self, run: Run) -> int:
        return int(self._one(run, "SELECT count(*) FROM {wide}"))

    def open_rows(self, run: Run) -> int:
        return int(self._one(run, "SELECT count(*) FROM {wide} WHERE action IS NULL"))

    def staged_keys(self, run: Run) -> Iterator[Sequence[str]]:
        for page in self._pages(run, "SELECT key FROM {wide} WHERE action IS NULL"):
            yield [key for (key,) in page]

    def set_target_ids(self, run: Run, found: Mapping[str, str]) -> None:
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
