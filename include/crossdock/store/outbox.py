"""Decisions, the outbox they are written to, and the ledger that keeps what became of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, LiteralString

from psycopg import sql

from crossdock.errors import Stop, WritesOff
from crossdock.ports import Outcome, Put
from crossdock.store.stage import StageTables
from crossdock.store.statements import NONE, UNMET, WITHDRAWN
from crossdock.sync.flow import Flow
from crossdock.sync.run import Decided, Form, Held, Refusal, Run, Suspect


class Outbox(StageTables):
    """The truth of a load: what is to be written, what was confirmed, what was refused."""

    def unconfirmed(self, run: Run) -> Sequence[Put]:
        return self._puts(
            run,
            """
            SELECT key, op, target_id, payload, canon_hash
            FROM outbox o
            WHERE (pair, flow, status) = (%(pair)s, %(flow)s, 'pending')
              AND sent_at IS NOT NULL
              AND EXISTS (SELECT FROM run r WHERE r.id = o.run_id AND r.scope = %(scope)s)
            ORDER BY key
            """,
        )

    def sent(self, run: Run) -> Sequence[Put]:
        return self._puts(
            run,
            """
            SELECT key, op, target_id, payload, canon_hash
            FROM outbox
            WHERE (run_id, status) = (%(id)s, 'pending') AND sent_at IS NOT NULL
            ORDER BY key
            """,
        )

    def _puts(self, run: Run, text: LiteralString, **values: Any) -> Sequence[Put]:
        return [
            Put(key, op, target_id, payload.encode(), canon.hex)
            for key, op, target_id, payload, canon in self._run(run, text, **values)
        ]

    def adopt(self, run: Run, done: Sequence[Outcome]) -> None:
        with self._db.transaction():
            self._alone(run)
            self._run(
                run,
                """
                UPDATE outbox o
                SET status = 'done', target_id = coalesce(d.target_id, o.target_id), done_at = now(),
                    note = d.note, links = d.links
                FROM jsonb_to_recordset(%(told)s::jsonb) AS d (key text, target_id text, note text, links jsonb)
                WHERE (o.pair, o.flow, o.status) = (%(pair)s, %(flow)s, 'pending')
                  AND EXISTS (SELECT FROM run r WHERE r.id = o.run_id AND r.scope = %(scope)s)
                  AND o.key = d.key
                """,
                told=_told(done),
            )
            # a run that broke off in transform had written a part: the watermark stayed, its window is read again
            self._run(
                run,
                """
                WITH superseded AS (
                    UPDATE outbox o
                    SET status = 'superseded'
                    FROM run r
                    WHERE (o.pair, o.flow, o.status) = (%(pair)s, %(flow)s, 'pending')
                      AND r.id = o.run_id
                      AND r.scope = %(scope)s
                    RETURNING o.key, r.step
                )
                INSERT INTO parked (pair, flow, key, needs, run_id)
                SELECT %(pair)s, %(flow)s, key, '{{}}', 0 FROM superseded WHERE step <> 'validated'
                ON CONFLICT DO NOTHING
                """,
            )
            self._merge_done(run)
            self._run(run, "DELETE FROM outbox WHERE run_id = %(id)s")

    # ---- transform

    def first_run(self, run: Run) -> bool:
        return self._one(run, "SELECT true FROM ledger WHERE (pair, flow) = (%(pair)s, %(flow)s) LIMIT 1") is None

    def decide(self, run: Run) -> None:
        with self._db.transaction():
            self._alone(run)
            self._run(run, "DELETE FROM outbox WHERE run_id = %(id)s")
            self._run(
                run,
                """
                UPDATE {wide} w
                SET target_id = coalesce(w.target_id, d.target_id), action = d.action, reason = d.reason
                FROM (
                    SELECT w.key, l.target_id,
                           CASE WHEN q.key IS NOT NULL THEN 'quarantined'
                                WHEN w.gone AND coalesce(w.target_id, l.target_id) IS NULL THEN 'skip'
                                WHEN w.gone AND l.removed THEN 'unchanged'
                                WHEN w.gone THEN 'remove'
                                WHEN n.missing IS NOT NULL THEN 'wait'
                                WHEN coalesce(w.target_id, l.target_id) IS NULL THEN 'create'
                                ELSE 'update'
                           END AS action,
                           CASE WHEN w.gone AND coalesce(w.target_id, l.target_id) IS NULL
                                THEN %(withdrawn)s
                                ELSE n.missing
                           END AS reason
                    FROM {wide} w
                    LEFT JOIN ledger l ON (l.pair, l.flow) = (%(pair)s, %(flow)s) AND l.key = w.key
                    LEFT JOIN quarantine q
                      ON (q.pair, q.flow) = (%(pair)s, %(flow)s)
                     AND q.key = w.key
                     AND q.resolved_at IS NULL
                     AND q.stage = 'load'
                     AND q.raw_hash = w.raw_hash
                     AND NOT q.replay
                     AND NOT %(force)s
                    LEFT JOIN LATERAL (
                        SELECT string_agg(need, ', ') AS missing FROM ({unmet}) m
                    ) n ON true
                    WHERE w.action IS NULL
                ) d
                WHERE w.key = d.key
                """,
                {"unmet": sql.SQL(UNMET)},
                force=run.request.force,
                withdrawn=WITHDRAWN,
            )
            self._brake(run)
            if run.mode == "apply":
                self._set_down(run)

    def _brake(self, run: Run) -> None:
        """Suspect is what has a doubt, and what is a loss now and was none before: where these are more than usual, or

        where it was held already, whatever was said of it. Losses of first loads and forced records are exempt.
        """
        if run.request.force:
            return
        losses, suspects = self._pair(
            run,
            """
            SELECT count(*) FILTER (WHERE {loss} AND coalesce(h.state, 'open') = 'open'),
                   count(*) FILTER (WHERE w.action <> 'held' AND (w.doubt <> '' OR {loss} OR {again}))
            FROM {wide} w
            LEFT JOIN ledger l ON (l.pair, l.flow) = (%(pair)s, %(flow)s) AND l.key = w.key
            LEFT JOIN held h ON (h.pair, h.flow) = (%(pair)s, %(flow)s) AND h.key = w.key
            WHERE w.action IN ('create', 'update', 'remove', 'held') AND (w.doubt <> '' OR {lost})
            """,
            _lost(run.flow),
        )
        if not suspects:
            return
        brake = run.flow.brake
        live = self._live(run) if losses > brake.at_least else 0
        braked = losses > max(brake.at_least, brake.share * live)
        self._run(
            run,
            """
            UPDATE {wide} w
            SET action = 'suspect',
                reason = CASE WHEN s.doubt <> '' THEN s.doubt WHEN %(braked)s THEN %(reason)s ELSE s.before END
            FROM (
                SELECT w.key, w.doubt, h.reason AS before
                FROM {wide} w
                LEFT JOIN ledger l ON (l.pair, l.flow) = (%(pair)s, %(flow)s) AND l.key = w.key
                LEFT JOIN held h ON (h.pair, h.flow) = (%(pair)s, %(flow)s) AND h.key = w.key
                WHERE w.action IN ('create', 'update', 'remove')
                  AND (w.doubt <> '' OR {loss} AND %(braked)s OR {again})
            ) s
            WHERE s.key = w.key
            """,
            _lost(run.flow),
            braked=braked,
            reason=f"one of {losses} losses in one run, of {live} records: more than usual",
        )

    def _live(self, run: Run) -> int:
        return int(
            self._one(
                run,
                """
                SELECT count(*)
                FROM ledger
                WHERE (pair, flow) = (%(pair)s, %(flow)s) AND NOT removed AND NOT lost AND target_id IS NOT NULL
                """,
            )
        )

    def suspects(self, run: Run) -> Iterator[Sequence[Suspect]]:
        query: LiteralString = """
            SELECT w.key,
                   CASE WHEN w.gone THEN 'remove' WHEN w.target_id IS NULL THEN 'create' ELSE 'update' END,
                   w.source_id, w.raw_hash, w.payload, nullif(o.payload, '')
            FROM {wide} w
            LEFT JOIN ledger l ON (l.pair, l.flow) = (%(pair)s, %(flow)s) AND l.key = w.key
            LEFT JOIN outbox o ON (o.run_id, o.key) = (l.run_id, w.key)
            WHERE w.action = 'suspect'
            ORDER BY w.key
            """
        for page in self._pages(run, query):
            yield [Suspect(*row) for row in page]

    def hold(self, run: Run, records: Sequence[Held]) -> None:
        rows = json.dumps([{**held._asdict(), "version": held.version.hex} for held in records])
        with self._db.transaction():
            self._run(
                run,
                """
                UPDATE {wide} w
                SET action = CASE
                        WHEN (h.state, h.version) = ('approved', r.version) AND h.told IS NOT DISTINCT FROM l.canon_hash
                        THEN r.op
                        WHEN (h.state, h.version) = ('refused', r.version) THEN 'refused'
                        ELSE 'held'
                    END
                FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (key text, op text, version uuid)
                LEFT JOIN ledger l ON (l.pair, l.flow) = (%(pair)s, %(flow)s) AND l.key = r.key
                LEFT JOIN held h ON (h.pair, h.flow) = (%(pair)s, %(flow)s) AND h.key = r.key
                WHERE w.key = r.key
                """,
                rows=rows,
            )
            if run.mode == "plan":
                return
            self._run(
                run,
                """
                INSERT INTO held (pair, flow, key, reason, run_id, op, version, told, changes)
                SELECT %(pair)s, %(flow)s, r.key, w.reason, %(id)s, r.op, r.version, l.canon_hash, r.changes
                FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (key text, op text, version uuid, changes jsonb)
                JOIN {wide} w ON w.key = r.key AND w.action = 'held'
                LEFT JOIN ledger l ON (l.pair, l.flow) = (%(pair)s, %(flow)s) AND l.key = r.key
                ON CONFLICT (pair, flow, key) DO UPDATE
                SET id = excluded.id, reason = excluded.reason, op = excluded.op, version = excluded.version,
                    told = excluded.told, changes = excluded.changes, state = 'open', owner = NULL, decided_at = NULL,
                    since = CASE WHEN held.state = 'open' THEN held.since ELSE now() END
                WHERE (held.state, held.version) IS DISTINCT FROM ('open', excluded.version)
                   OR held.told IS DISTINCT FROM excluded.told
                """,
                rows=rows,
            )
            self._run(
                run,
                """
                UPDATE held h
                SET run_id = %(id)s, canon_hash = w.canon_hash
                FROM {wide} w
                WHERE (h.pair, h.flow) = (%(pair)s, %(flow)s)
                  AND h.key = w.key
                  AND w.action IN ('held', 'refused')
                  AND w.key = ANY(%(keys)s)
                """,
                keys=[held.key for held in records],
            )
            self._renew(run)

    def _set_down(self, run: Run) -> None:
        """What is not to be written now, in its durable place."""
        self._run(
            run,
            """
            UPDATE quarantine q
            SET run_id = %(id)s, last_seen = now()
            FROM {wide} w
            WHERE (q.pair, q.flow) = (%(pair)s, %(flow)s)
              AND q.key = w.key
              AND q.resolved_at IS NULL
              AND w.action = 'quarantined'
            """,
        )
        self._run(
            run,
            """
            INSERT INTO parked (pair, flow, key, source_id, needs, run_id)
            SELECT %(pair)s, %(flow)s, key, source_id, needs, %(id)s FROM {wide} WHERE action = 'wait'
            ON CONFLICT (pair, flow, key) DO UPDATE
            SET needs = excluded.needs, source_id = excluded.source_id, run_id = excluded.run_id,
                last_seen = excluded.last_seen
            """,
        )

    def decided(self, run: Run) -> Iterator[Sequence[Decided]]:
        query: LiteralString = """
            SELECT key, action, source_id, target_id, raw_hash, payload
            FROM {wide}
            WHERE action IN ('create', 'update', 'remove')
            ORDER BY key
            """
        for page in self._pages(run, query):
            yield [Decided(*row) for row in page]

    def to_outbox(self, run: Run, payloads: Sequence[tuple[str, bytes]]) -> None:
        with self._db.transaction():
            self._run(
                run,
                """
                INSERT INTO outbox (
                    run_id, pair, flow, key, op, source_id, target_id, raw_hash, canon_hash, parts, lost, payload,
                    moment, status
                )
                SELECT %(id)s, %(pair)s, %(flow)s, w.key, w.action, w.source_id, w.target_id, w.raw_hash,
                       w.canon_hash, w.parts, {lost}, p.payload, w.moment, %(status)s
                FROM unnest(%(keys)s::text[], %(payloads)s::text[]) AS p (key, payload)
                JOIN {wide} w ON w.key = p.key
                """,
                _lost(run.flow),
                keys=[key for key, _ in payloads],
                payloads=[payload.decode() for _, payload in payloads],
                status="planned" if run.mode == "plan" else "pending",
            )
            self._renew(run)

    def count_decisions(self, run: Run) -> None:
        books = run.books
        rows = self._run(
            run,
            """
            SELECT action, CASE WHEN action = 'skip' THEN reason END, count(*)
            FROM {wide}
            WHERE action IN ('unchanged', 'wait', 'held', 'refused', 'skip', 'quarantined')
            GROUP BY 1, 2
            """,
        )
        run.totals["set_aside"] = 0
        for action, reason, count in rows.fetchall():
            if action == "unchanged":
                books.unchanged += count
            elif action == "wait":
                books.waiting = count
            elif action == "held":
                books.held = count
            elif action == "refused":
                books.refused = count
            elif action == "quarantined":
                run.totals["set_aside"] = count
            else:
                books.skipped[reason] = count
        for name in run.flow.totals:
            total = self._one(
                run,
                "SELECT coalesce(sum({column}), 0) FROM {wide} WHERE action IN ('create', 'update')",
                {"column": sql.Identifier(name)},
            )
            run.totals[name] = int(total) if total == int(total) else str(total)

    def planned_keys(self, run: Run) -> set[str]:
        plan = run.request.plan
        keys = self._column(
            run,
            """
            SELECT o.key
            FROM outbox o
            JOIN run r ON r.id = o.run_id
            WHERE (o.run_id, o.status, r.state) = (%(plan)s, 'planned', 'planned')
              AND (r.pair, r.flow, r.scope) = (%(pair)s, %(flow)s, %(scope)s)
            """,
            plan=plan,
        )
        if not keys:
            raise Stop(
                f"{run}: there is no saved plan {plan} of this flow with anything left to apply. "
                "Look at the runs that ended as 'planned'."
            )
        return keys

    def take_over_plan(self, run: Run) -> int:
        with self._db.transaction():
            run.books.taken_up = self._run(
                run,
                """
                INSERT INTO outbox (
                    run_id, pair, flow, key, op, source_id, target_id, raw_hash, canon_hash, parts, lost, payload,
                    moment, status
                )
                SELECT %(id)s, p.pair, p.flow, p.key, p.op, p.source_id, p.target_id, p.raw_hash, p.canon_hash,
                       p.parts, p.lost, p.payload, p.moment,
                       CASE WHEN l.synced_at > r.started_at
                              OR EXISTS (SELECT FROM {narrow} n WHERE n.key = p.key AND n.raw_hash <> p.raw_hash)
                              OR (p.raw_hash <> %(none)s AND NOT EXISTS (SELECT FROM {narrow} n WHERE n.key = p.key))
                            THEN 'superseded'
                            ELSE 'pending'
                       END
                FROM outbox p
                JOIN run r ON r.id = p.run_id
                LEFT JOIN ledger l ON (l.pair, l.flow, l.key) = (p.pair, p.flow, p.key)
                WHERE (p.run_id, p.status) = (%(plan)s, 'planned')
                """,
                plan=run.request.plan,
                none=NONE,
            ).rowcount
            self._run(
                run,
                """
                DELETE FROM {narrow} n
                USING outbox o
                WHERE (o.run_id, o.status) = (%(id)s, 'superseded') AND o.key = n.key
                """,
            )
        return run.books.taken_up

    # ---- load

    def require_writable(self, run: Run, fingerprint: str) -> None:
        side = run.flow.target
        row = self._run(
            run, "SELECT fingerprint, write_enabled FROM target WHERE (pair, side) = (%(pair)s, %(side)s)", side=side
        ).fetchone()
        if row is None or row[0] != fingerprint:
            approved = "for no system yet" if row is None else f"for {row[0]}"
            raise WritesOff(
                f"{run}: writing was approved {approved}, but the connection leads to {fingerprint}. If that is right, "
                f"say 'crossdock --pair {run.pair} target approve {side}', then clear this run. "
                "A plan (mode = plan) works without it."
            )
        if not row[1]:
            raise WritesOff(
                f"{run}: writing to the {side} is switched off. "
                f"'crossdock --pair {run.pair} target on {side}' switches it on again, then clear this run."
            )

    def unsend(self, run: Run) -> None:
        self._run(run, "UPDATE outbox SET sent_at = NULL WHERE (run_id, status) = (%(id)s, 'pending')")

    def batches(self, run: Run, size: int) -> Iterator[Sequence[Put]]:
        # once, for statistics know nothing of a table that was just filled: asked again for each batch, the rest
        # would be sorted again and again
        pending: LiteralString = """
            SELECT key
            FROM outbox
            WHERE (run_id, status) = (%(id)s, 'pending') AND sent_at IS NULL
            ORDER BY key
            """
        for page in self._pages(run, pending, size):
            yield self._puts(
                run,
                """
                UPDATE outbox
                SET sent_at = now()
                WHERE run_id = %(id)s AND key = ANY(%(keys)s)
                RETURNING key, op, target_id, payload, canon_hash
                """,
                keys=[key for (key,) in page],
            )

    def confirm(self, run: Run, outcomes: Sequence[Outcome]) -> None:
        with self._db.transaction():
            done = [outcome for outcome in outcomes if outcome.refused is None]
            self._run(
                run,
                """
                UPDATE outbox o
                SET status = 'done', done_at = now(), target_id = coalesce(d.target_id, o.target_id), note = d.note,
                    links = d.links
                FROM jsonb_to_recordset(%(told)s::jsonb) AS d (key text, target_id text, note text, links jsonb)
                WHERE o.run_id = %(id)s AND o.key = d.key
                  AND o.key = ANY(%(keys)s)  -- by index, whatever the statistics of a table that was just filled say
                """,
                told=_told(done),
                keys=[outcome.key for outcome in done],
            )
            self._refuse(run, outcomes)
            self._renew(run)

    def _refuse(self, run: Run, outcomes: Sequence[Outcome]) -> None:
        refused = {outcome.key: outcome.refused for outcome in outcomes if outcome.refused is not None}
        if not refused:
            return
        rows = self._run(
            run,
            """
            UPDATE outbox
            SET status = 'refused', done_at = now()
            WHERE run_id = %(id)s AND key = ANY(%(keys)s)
            RETURNING key, source_id, payload, raw_hash
            """,
            keys=list(refused),
        ).fetchall()
        records: dict[str, str] = {}
        if self._has_stage(run):
            records = dict(
                self._run(
                    run, "SELECT key, payload FROM {wide} WHERE key = ANY(%(keys)s)", keys=list(refused)
                ).fetchall()
            )
        refusals = [
            Refusal(key, source_id, error.code, error.reason, error.remedy, record or told, raw_hash, form)
            for key, source_id, told, raw_hash in rows
            for error, record in ((refused[key], records.get(key)),)
            for form in (_FORM[bool(record)],)
        ]
        self._to_quarantine(run, "load", refusals)

    # ---- settle

    def _merge_done(self, run: Run) -> None:
        """What was carried out, in this run or an earlier one, into the ledger; an older fault is settled by it.

        What a run of another scope has told meanwhile, from a newer state of the source, stays.
        """
        self._run(
            run,
            """
            INSERT INTO ledger (
                pair, flow, key, source_id, target_id, raw_hash, canon_hash, parts, removed, lost, vanished, run_id,
                synced_at, moment
            )
            SELECT o.pair, o.flow, o.key, o.source_id, o.target_id, o.raw_hash, o.canon_hash, o.parts,
                   o.op = 'remove', o.lost, o.raw_hash = %(none)s, o.run_id, o.done_at, o.moment
            FROM outbox o
            JOIN run r ON r.id = o.run_id AND r.scope = %(scope)s
            WHERE (o.pair, o.flow, o.status) = (%(pair)s, %(flow)s, 'done')
            ON CONFLICT (pair, flow, key) DO UPDATE
            SET source_id = excluded.source_id, target_id = excluded.target_id, raw_hash = excluded.raw_hash,
                canon_hash = excluded.canon_hash, parts = excluded.parts, removed = excluded.removed,
                lost = excluded.lost, vanished = excluded.vanished, run_id = excluded.run_id,
                synced_at = excluded.synced_at, moment = excluded.moment
            WHERE (excluded.moment < ledger.moment) IS NOT TRUE
            """,
            none=NONE,
        )
        if run.flow.links:
            self._merge_links(run)
        self._run(
            run,
            """
            WITH merged AS (
                UPDATE outbox o
                SET status = 'merged'
                FROM run r
                WHERE (o.pair, o.flow, o.status) = (%(pair)s, %(flow)s, 'done')
                  AND r.id = o.run_id
                  AND r.scope = %(scope)s
                RETURNING o.key, o.run_id, r.started_at, o.raw_hash
            )
            UPDATE quarantine q
            SET resolved_at = now(),
                resolution = coalesce(
                    (
                        SELECT 'the version of ' || v.author || ' went through'
                        FROM override v
                        WHERE (v.pair, v.flow, v.key) = (q.pair, q.flow, q.key)
                          AND (v.raw_hash, v.run_id) = (m.raw_hash, m.run_id)
                    ),
                    CASE WHEN q.raw_hash = m.raw_hash THEN 'went through when it was tried again' END,
                    'a newer version went through'
                )
            FROM merged m
            WHERE (q.pair, q.flow) = (%(pair)s, %(flow)s)
              AND q.key = m.key
              AND q.resolved_at IS NULL
              AND q.run_id <> m.run_id
              AND q.last_seen < m.started_at
            """,
        )

    def _merge_links(self, run: Run) -> None:
        self._run(
            run,
            """
            DELETE FROM link x
            USING outbox o, run r
            WHERE (o.pair, o.flow, o.status) = (%(pair)s, %(flow)s, 'done')
              AND r.id = o.run_id
              AND r.scope = %(scope)s
              AND (x.pair, x.flow, x.owner) = (o.pair, o.flow, o.key)
              AND (o.op = 'remove' OR NOT coalesce(o.links, '{{}}') ? x.key)
            """,
        )
        self._run(
            run,
            """
            INSERT INTO link (pair, kind, key, flow, owner, target_id)
            SELECT DISTINCT ON (e.key) %(pair)s, %(kind)s, e.key, %(flow)s, o.key, e.value
            FROM outbox o
            JOIN run r ON r.id = o.run_id AND r.scope = %(scope)s
            CROSS JOIN jsonb_each_text(o.links) AS e
            WHERE (o.pair, o.flow, o.status) = (%(pair)s, %(flow)s, 'done') AND o.op <> 'remove'
            ORDER BY e.key, o.run_id DESC
            ON CONFLICT (pair, kind, key) DO UPDATE
            SET flow = excluded.flow, owner = excluded.owner, target_id = excluded.target_id
            """,
            kind=run.flow.links,
        )

    def merge(self, run: Run) -> None:
        books = run.books
        with self._db.transaction():
            self._alone(run)
            if run.mode == "apply" and run.request.plan is None and self._has_stage(run):
                self._end_overrides(run)
            self._merge_done(run)
            if run.mode == "apply" and (run.until or run.request.dates):
                self._end_acceptances(run)
            if run.mode == "apply" and self._has_stage(run):
                self._run(
                    run,
                    """
                    UPDATE ledger l
                    SET raw_hash = w.raw_hash, parts = w.parts, source_id = w.source_id,
                        vanished = w.raw_hash = %(none)s
                    FROM {wide} w
                    WHERE (l.pair, l.flow) = (%(pair)s, %(flow)s)
                      AND l.key = w.key
                      AND w.action = 'unchanged'
                      AND (w.moment < l.moment) IS NOT TRUE
                    """,
                    none=NONE,
                )
                self._forget_what_is_settled(run)
            rows = self._run(run, "SELECT op, status, count(*) FROM outbox WHERE run_id = %(id)s GROUP BY 1, 2")
            counts = {(op, status): count for op, status, count in rows}
            books.created, books.updated, books.removed = (
                counts.get((op, "merged"), 0) for op in ("create", "update", "remove")
            )
            books.pending, books.planned, books.superseded = (
                sum(count for (_, status), count in counts.items() if status == wanted)
                for wanted in ("pending", "planned", "superseded")
            )
            refused = sum(count for (_, status), count in counts.items() if status == "refused")
            books.quarantined = run.totals.get("set_aside", 0) + refused
            if run.request.plan is not None:
                self._run(
                    run,
                    "UPDATE outbox SET status = 'superseded' WHERE (run_id, status) = (%(plan)s, 'planned')",
                    plan=run.request.plan,
                )

    def _end_acceptances(self, run: Run) -> None:
        """The batch passed without them: they are not for some other batch, weeks from now."""
        self._run(
            run,
            """
            UPDATE acceptance
            SET run_id = %(id)s
            WHERE (pair, flow, scope) = (%(pair)s, %(flow)s, %(scope)s)
              AND run_id IS NULL
              AND since < (SELECT started_at FROM run WHERE id = %(id)s)
            """,
        )

    def _forget_what_is_settled(self, run: Run) -> None:
        """Quarantined, parked and held keys that were seen in this run and have found another place.

        Not what a run of another scope has set aside since this one began: it may have read it later.
        """
        self._run(
            run,
            """
            UPDATE quarantine q
            SET resolved_at = now(),
                resolution = CASE WHEN EXISTS (SELECT FROM {narrow} n WHERE n.key = q.key)
                                  THEN 'a newer version went through'
                                  ELSE 'gone from the source'
                             END
            WHERE (q.pair, q.flow) = (%(pair)s, %(flow)s)
              AND q.resolved_at IS NULL
              AND q.run_id <> %(id)s
              AND q.last_seen < (SELECT started_at FROM run WHERE id = %(id)s)
              AND EXISTS (
                  SELECT FROM {narrow} n WHERE n.key = q.key
                  UNION ALL
                  SELECT FROM {wide} w WHERE w.key = q.key
                  UNION ALL
                  SELECT FROM {narrow} n WHERE n.source_id = q.source_id
              )
              AND NOT EXISTS (SELECT FROM outbox o WHERE (o.run_id, o.key, o.status) = (%(id)s, q.key, 'pending'))
            """,
        )
        # what was approved stays so until the target has it
        pending: LiteralString = """
            AND (
                t.state <> 'approved'
                OR NOT EXISTS (SELECT FROM outbox o WHERE (o.run_id, o.key, o.status) = (%(id)s, t.key, 'pending'))
            )
            """
        earlier: LiteralString = """
            AND (t.run_id = 0 OR t.last_seen < (SELECT started_at FROM run WHERE id = %(id)s))
            """
        for table, rest in (("parked", earlier), ("held", pending)):
            self._run(
                run,
                """
                DELETE FROM {table} t
                WHERE (t.pair, t.flow) = (%(pair)s, %(flow)s)
                  AND t.run_id <> %(id)s
                  AND EXISTS (
                      SELECT FROM {narrow} n WHERE n.key = t.key
                      UNION ALL
                      SELECT FROM {wide} w WHERE w.key = t.key
                  )
                  {rest}
                """,
                {"table": sql.Identifier(table), "rest": self._statement(run, rest)},
            )

    def asks(self, run: Run) -> bool:
        return bool(
            self._one(
                run,
                """
                SELECT EXISTS (
                           SELECT FROM held
                           WHERE (pair, flow, state) = (%(pair)s, %(flow)s, 'open') AND version IS NOT NULL
                       )
                   AND NOT EXISTS (
                           SELECT FROM question q
                           JOIN held h ON (h.pair, h.flow, h.state) = (q.pair, q.flow, 'open') AND h.id <= q.upto
                           WHERE (q.pair, q.flow) = (%(pair)s, %(flow)s)
                       )
                """,
            )
        )


_FORM: tuple[Form, Form] = ("told", "record")


def _told(outcomes: Sequence[Outcome]) -> str:
    """Rows for ``jsonb_to_recordset``."""
    names = ("key", "target_id", "note")
    return json.dumps(
        [{**{name: getattr(one, name) for name in names}, "links": dict(one.links) or None} for one in outcomes]
    )


def _lost(flow: Flow) -> dict[str, sql.Composable]:
    """Conditions. ``lost``: a staged row ``w`` takes something away from a shopper; ``loss``: and what the target was

    told (``l``) did not; ``again``: and it was held before (``h``), even if nobody knows any more what was told.
    """
    columns = (sql.SQL("coalesce(w.{}, false)").format(sql.Identifier(name)) for name in flow.losses)
    lost = sql.SQL("({})").format(sql.SQL(" OR ").join((sql.SQL("false"), *columns)))
    loss: LiteralString = "(w.action <> 'create' AND {} AND NOT l.lost)"
    again: LiteralString = "(w.action <> 'create' AND {} AND l.lost IS NOT TRUE AND h.key IS NOT NULL)"
    return {"lost": lost, "loss": sql.SQL(loss).format(lost), "again": sql.SQL(again).format(lost)}
