"""The engine's store on PostgreSQL 15 or newer, set-wise, through psycopg 3.

Each public method is one transaction. Data of a run lies on unlogged tables of its own
(``narrow_N``: every row read, as key and hash; ``fresh_N``: those the ledger does not know in this
version; ``wide_N``: canonical records), dropped when the run is closed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from psycopg import Connection

from crossdock.ports import Claim
from crossdock.store.outbox import Outbox
from crossdock.sync.run import Run


class PostgresStore(Outbox):
    """Implements ``sync.run.Store``."""

    def set_aside(self, run: Run, keys: Collection[str] | None = None) -> set[str]:
        return self._column(
            run,
            """
            SELECT key
            FROM (
                SELECT key FROM parked WHERE (pair, flow) = (%(pair)s, %(flow)s)
                UNION
                SELECT key FROM held WHERE (pair, flow) = (%(pair)s, %(flow)s)
                UNION
                SELECT key FROM quarantine WHERE (pair, flow) = (%(pair)s, %(flow)s) AND resolved_at IS NULL
                UNION
                -- of a run that nobody repeats, until another one has told it
                SELECT o.key
                FROM outbox o
                JOIN run r ON r.id = o.run_id
                WHERE (o.pair, o.flow, o.status) = (%(pair)s, %(flow)s, 'pending')
                  AND NOT EXISTS (
                      SELECT FROM ledger l
                      WHERE (l.pair, l.flow, l.key) = (o.pair, o.flow, o.key) AND l.synced_at > r.started_at
                  )
            ) aside
            WHERE %(keys)s::text[] IS NULL OR key = ANY(%(keys)s::text[])
            """,
            keys=None if keys is None else list(keys),
        )

    def review(self, run: Run, claims: Iterable[Sequence[Claim]]) -> int:
        with self._db.transaction():
            self._run(run, "CREATE TEMP TABLE claimed (login text, evidence text) ON COMMIT DROP")
            for page in claims:
                self._run(
                    run,
                    """
                    WITH new AS (
                        SELECT DISTINCT ON (login, evidence) *
                        FROM unnest(%(logins)s::text[], %(emails)s::text[], %(evidence)s::text[], %(values)s::text[])
                             AS c (login, email, evidence, value)
                    ),
                    kept AS (INSERT INTO claimed SELECT login, evidence FROM new)
                    INSERT INTO review (pair, login, email, evidence, value)
                    SELECT %(pair)s, login, email, evidence, value FROM new
                    ON CONFLICT (pair, login, evidence) DO UPDATE
                    SET email = excluded.email, value = excluded.value, last_seen = now()
                    """,
                    logins=[claim.login for claim in page],
                    emails=[claim.email for claim in page],
                    evidence=[claim.evidence for claim in page],
                    values=[claim.value for claim in page],
                )
            self._run(
                run,
                """
                DELETE FROM review r
                WHERE r.pair = %(pair)s
                  AND r.resolved_at IS NULL
                  AND NOT EXISTS (SELECT FROM claimed c WHERE (c.login, c.evidence) = (r.login, r.evidence))
                """,
            )
            return int(self._one(run, "SELECT count(*) FROM review WHERE pair = %(pair)s AND resolved_at IS NULL"))


def approve_target(connection: Connection[Any], pair: str, side: str, fingerprint: str, by: str) -> None:
    """Allow writing to exactly this system."""
    connection.execute(
        """
        INSERT INTO crossdock.target (pair, side, fingerprint, write_enabled, changed_by)
        VALUES (%s, %s, %s, true, %s)
        ON CONFLICT (pair, side) DO UPDATE
        SET fingerprint = excluded.fingerprint, write_enabled = true,
            changed_by = excluded.changed_by, changed_at = now()
        """,
        (pair, side, fingerprint, by),
    )


def switch_target(connection: Connection[Any], pair: str, side: str, enabled: bool, by: str) -> bool:
    """The stop button. False if this target was never approved."""
    cursor = connection.execute(
        """
        UPDATE crossdock.target
        SET write_enabled = %s, changed_by = %s, changed_at = now()
        WHERE (pair, side) = (%s, %s)
        """,
        (enabled, by, pair, side),
    )
    return cursor.rowcount == 1


def forget_links(connection: Connection[Any], pair: str, flow: str) -> None:
    """Empty the ledger of a flow: its next run adopts what the target holds, by natural key."""
    connection.execute("DELETE FROM crossdock.ledger WHERE (pair, flow) = (%s, %s)", (pair, flow))
    connection.execute("DELETE FROM crossdock.link WHERE (pair, flow) = (%s, %s)", (pair, flow))
    connection.execute("DELETE FROM crossdock.watermark WHERE (pair, flow) = (%s, %s)", (pair, flow))
    connection.execute(
        """
        UPDATE crossdock.outbox
        SET status = 'superseded'
        WHERE (pair, flow) = (%s, %s) AND status IN ('pending', 'done')
        """,
        (pair, flow),
    )
