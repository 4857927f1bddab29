"""What people ask of the store: read-only, plain dictionaries, newest first."""

from __future__ import annotations

from typing import Any, LiteralString

from psycopg import Connection
from psycopg.rows import dict_row

from crossdock.sync.run import ACCEPTED_STOP


def _rows(connection: Connection[Any], text: LiteralString, **values: Any) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(text, values).fetchall()


def runs(connection: Connection[Any], limit: int = 50) -> list[dict[str, Any]]:
    """The latest runs that did something or failed, with their books."""
    return _rows(
        connection,
        """
        SELECT id, pair, flow, scope, airflow_run, mode, step, state, message, counts, totals, quality,
               window_from, window_to, started_at, finished_at
        FROM crossdock.run
        WHERE state <> 'drained'
        ORDER BY id DESC
        LIMIT %(limit)s
        """,
        limit=limit,
    )


def domains(connection: Connection[Any]) -> list[dict[str, Any]]:
    """Per pair and flow: how far it is, how its last run ended, what is open. Runs of a window of dates count least."""
    return _rows(
        connection,
        """
        SELECT r.pair, r.flow, r.id AS run, r.state, r.message, r.started_at, w.until AS in_step_until,
               (SELECT count(*) FROM crossdock.ledger l
                WHERE (l.pair, l.flow) = (r.pair, r.flow) AND l.target_id IS NOT NULL AND NOT l.removed) AS live,
               (SELECT count(*) FROM crossdock.quarantine q
                WHERE (q.pair, q.flow) = (r.pair, r.flow) AND q.resolved_at IS NULL) AS quarantined,
               (SELECT count(*) FROM crossdock.parked p WHERE (p.pair, p.flow) = (r.pair, r.flow)) AS waiting,
               (SELECT count(*) FROM crossdock.held h
                WHERE (h.pair, h.flow) = (r.pair, r.flow) AND h.state <> 'refused') AS held,
               (SELECT count(*) FROM crossdock.held h
                WHERE (h.pair, h.flow) = (r.pair, r.flow) AND h.state = 'refused') AS refused
        FROM (
            SELECT DISTINCT ON (pair, flow) *
            FROM crossdock.run
            WHERE state <> 'drained'
            ORDER BY pair, flow, scope <> '*', id DESC
        ) r
        LEFT JOIN crossdock.watermark w ON (w.pair, w.flow) = (r.pair, r.flow)
        ORDER BY r.pair, r.flow
        """,
    )


def quarantined(
    connection: Connection[Any], limit: int | None = 200, pair: str | None = None, flow: str | None = None
) -> list[dict[str, Any]]:
    """Open quarantine, without the records themselves: they may hold personal data."""
    return _rows(
        connection,
        """
        SELECT pair, flow, key, source_id, stage, code, reason, remedy, attempts, first_seen, last_seen, run_id,
               replay, owner
        FROM crossdock.quarantine
        WHERE resolved_at IS NULL AND pair = coalesce(%(pair)s, pair) AND flow = coalesce(%(flow)s, flow)
        ORDER BY last_seen DESC
        LIMIT %(limit)s
        """,
        limit=limit,
        pair=pair,
        flow=flow,
    )


def quarantined_record(connection: Connection[Any], pair: str, flow: str, key: str) -> dict[str, Any] | None:
    """The open row of one record, with what is kept of it, or a person's version that no run has judged yet.

    Only for those who may act on it: it may hold personal data.
    """
    rows = _rows(
        connection,
        """
        SELECT q.key, q.source_id, q.code, q.reason, q.remedy, q.attempts, q.first_seen, q.last_seen, q.replay,
               q.owner, q.asked_at, q.form, coalesce(o.payload, q.payload) AS payload, q.raw_hash
        FROM crossdock.quarantine q
        LEFT JOIN crossdock.override o
               ON (o.pair, o.flow, o.key, o.form, o.raw_hash, o.state)
                = (q.pair, q.flow, q.key, q.form, q.raw_hash, 'new')
        WHERE (q.pair, q.flow, q.key) = (%(pair)s, %(flow)s, %(key)s) AND q.resolved_at IS NULL
        """,
        pair=pair,
        flow=flow,
        key=key,
    )
    return rows[0] if rows else None


def stops(connection: Connection[Any], pair: str | None = None, flow: str | None = None) -> list[dict[str, Any]]:
    """Why the quality gate stopped the last run of each flow and window, and who has accepted that for the next one."""
    return _rows(
        connection,
        """
        SELECT r.pair, r.flow, r.scope, r.id AS run, r.finished_at, s.says, s.text, s.acceptable, a.author, a.reason
        FROM (
            SELECT DISTINCT ON (pair, flow, scope) *
            FROM crossdock.run
            WHERE state IN ('success', 'planned', 'failed')
              AND pair = coalesce(%(pair)s, pair)
              AND flow = coalesce(%(flow)s, flow)
            ORDER BY pair, flow, scope, id DESC
        ) r
        CROSS JOIN jsonb_to_recordset(r.quality -> 'stops') AS s (says text, text text, acceptable boolean)
        LEFT JOIN crossdock.acceptance a
               ON (a.pair, a.flow, a.scope, a.says) = (r.pair, r.flow, r.scope, s.says) AND a.run_id IS NULL
        WHERE (r.state, r.step) = ('failed', 'extracted')
        ORDER BY r.pair, r.flow, r.scope, s.says
        """,
        pair=pair,
        flow=flow,
    )


def held(
    connection: Connection[Any], pair: str, flow: str, limit: int | None = None, upto: int | None = None
) -> list[dict[str, Any]]:
    """What waits for a person, in the order it came, with what would change: it may hold personal data.

    ``upto``: what was shown up to this number. Each row also has ``total`` and ``last``, the number of the last one, of
    all that there are, whatever the ``limit``.
    """
    return _rows(
        connection,
        """
        SELECT pair, flow, key, id AS number, op, reason, changes, since, run_id,
               count(*) OVER () AS total, max(id) OVER () AS last
        FROM crossdock.held
        WHERE (pair, flow, state) = (%(pair)s, %(flow)s, 'open')
          AND version IS NOT NULL
          AND id <= coalesce(%(upto)s, id)
        ORDER BY id
        LIMIT %(limit)s
        """,
        pair=pair,
        flow=flow,
        limit=limit,
        upto=upto,
    )


def refused(connection: Connection[Any], pair: str, flow: str, limit: int = 200) -> list[dict[str, Any]]:
    """What a person has refused, newest first: the target stays as it is until the source changes them again."""
    return _rows(
        connection,
        """
        SELECT key, op, reason, owner, decided_at
        FROM crossdock.held
        WHERE (pair, flow, state) = (%(pair)s, %(flow)s, 'refused')
        ORDER BY decided_at DESC, id
        LIMIT %(limit)s
        """,
        pair=pair,
        flow=flow,
        limit=limit,
    )


def proposals(connection: Connection[Any], limit: int = 200) -> list[dict[str, Any]]:
    """Logins that want an account, for a person to judge."""
    return _rows(
        connection,
        """
        SELECT pair, login, email, evidence, value, first_seen
        FROM crossdock.review
        WHERE resolved_at IS NULL
        ORDER BY first_seen DESC
        LIMIT %(limit)s
        """,
        limit=limit,
    )


_JOURNEY: dict[str, LiteralString] = {
    "ledger": """
        SELECT source_id, target_id, removed, run_id, synced_at
        FROM crossdock.ledger
        WHERE (pair, flow, key) = (%(pair)s, %(flow)s, %(key)s)
        """,
    "quarantine": """
        SELECT stage, code, reason, remedy, attempts, first_seen, last_seen, replay, owner, asked_at, resolved_at,
               resolution
        FROM crossdock.quarantine
        WHERE (pair, flow, key) = (%(pair)s, %(flow)s, %(key)s)
        ORDER BY id DESC
        """,
    "override": """
        SELECT state, author, since
        FROM crossdock.override
        WHERE (pair, flow, key) = (%(pair)s, %(flow)s, %(key)s)
        """,
    "acceptance": """
        SELECT says, author, reason, since, run_id
        FROM crossdock.acceptance a
        WHERE (pair, flow) = (%(pair)s, %(flow)s)
          AND EXISTS (
              SELECT FROM crossdock.quarantine q
              WHERE (q.pair, q.flow, q.key, q.code) = (a.pair, a.flow, %(key)s, %(accepted)s)
                AND strpos(q.reason, a.says) > 0
                AND a.since < coalesce(q.resolved_at, q.last_seen)
          )
        ORDER BY id DESC
        """,
    "waiting": """
        SELECT needs, since
        FROM crossdock.parked
        WHERE (pair, flow, key) = (%(pair)s, %(flow)s, %(key)s)
        """,
    "held": """
        SELECT id AS number, op, reason, since, state, owner, decided_at
        FROM crossdock.held
        WHERE (pair, flow, key) = (%(pair)s, %(flow)s, %(key)s)
        """,
    "link": """
        SELECT key, target_id, owner
        FROM crossdock.link
        WHERE (pair, flow, owner) = (%(pair)s, %(flow)s, %(key)s)
        ORDER BY key
        """,
    "writes": """
        SELECT run_id, op, status, note, sent_at, done_at
        FROM crossdock.outbox
        WHERE (pair, flow, key) = (%(pair)s, %(flow)s, %(key)s)
        ORDER BY run_id DESC
        LIMIT 20
        """,
}


_BY_NAME: LiteralString = """
    SELECT owner FROM crossdock.link WHERE (pair, flow, key) = (%(pair)s, %(flow)s, %(key)s)
    UNION ALL
    SELECT key FROM crossdock.ledger WHERE (pair, flow, source_id) = (%(pair)s, %(flow)s, %(key)s)
    UNION ALL
    SELECT key FROM crossdock.quarantine WHERE (pair, flow, source_id) = (%(pair)s, %(flow)s, %(key)s)
    UNION ALL
    SELECT key FROM crossdock.parked WHERE (pair, flow, source_id) = (%(pair)s, %(flow)s, %(key)s)
    UNION ALL
    SELECT key FROM crossdock.ledger WHERE (pair, flow) = (%(pair)s, %(flow)s) AND starts_with(key, %(key)s || '/')
    UNION ALL
    SELECT key FROM crossdock.quarantine WHERE (pair, flow) = (%(pair)s, %(flow)s) AND starts_with(key, %(key)s || '/')
    UNION ALL
    SELECT key FROM crossdock.parked WHERE (pair, flow) = (%(pair)s, %(flow)s) AND starts_with(key, %(key)s || '/')
    LIMIT 1
    """


def journey(connection: Connection[Any], pair: str, flow: str, key: str) -> dict[str, list[dict[str, Any]]]:
    """All that is known of one record: where it is now, why, and what was written when.

    ``key`` may also be one of its names (``Record.names``): a product is found by a SKU; or what the source calls
    it: an order by its number. Of documents whose key is number and id, the number will do.
    """
    values = {"pair": pair, "flow": flow, "key": key, "accepted": ACCEPTED_STOP}
    found = {place: _rows(connection, text, **values) for place, text in _JOURNEY.items()}
    if any(found.values()):
        return found
    for row in _rows(connection, _BY_NAME, **values):
        if row["owner"] != key:
            return journey(connection, pair, flow, row["owner"])
    return found


def plan(connection: Connection[Any], run: int) -> list[dict[str, Any]]:
    """The actions of a saved plan, by record, with what the target would be told."""
    return _rows(
        connection,
        """
        SELECT pair, flow, op, key, target_id, payload
        FROM crossdock.outbox
        WHERE (run_id, status) = (%(run)s, 'planned')
        ORDER BY op, key
        """,
        run=run,
    )
