"""What people decide about quarantined and held records and stopped batches. The next run takes it up.

Each function is one transaction and leaves a line in the log: who, what, which record; never a value.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg import Connection
from pydantic import ValidationError

from crossdock.domain.record import faults
from crossdock.errors import Refused
from crossdock.store import reports
from crossdock.store.stage import MAX_KEY
from crossdock.store.statements import plain
from crossdock.sync.flows import FLOWS

log = logging.getLogger(__name__)

PATIENCE = timedelta(hours=24)
"""What is asked and not answered for so long is refused."""
NOBODY = "nobody"
"""Who refuses it then."""

_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
"""JSON can say it, UTF-8 cannot."""


def replay(connection: Connection[Any], pair: str, flow: str, keys: Collection[str], by: str) -> set[str]:
    """Have quarantined records tried again, as the source has them then. Returns which.

    Left out are those that are not in quarantine, and those without a usable number, for which nobody
    can ask the source.
    """
    rows = connection.execute(
        """
        UPDATE crossdock.quarantine
        SET replay = true, owner = %(by)s, asked_at = clock_timestamp()
        WHERE (pair, flow) = (%(pair)s, %(flow)s)
          AND key = ANY(%(keys)s)
          AND resolved_at IS NULL
          AND key <> left('?' || source_id, %(longest)s)
        RETURNING key
        """,
        {"by": by, "pair": pair, "flow": flow, "keys": [plain(key) for key in keys], "longest": MAX_KEY},
    )
    asked = {key for (key,) in rows}
    log.info("%s (%s): %s asked for another try of %s", flow, pair, by, ", ".join(sorted(asked)) or "nothing")
    return asked


def readable(payload: str) -> str:
    """What is kept of a record, laid out for a person; as it is if it is not JSON."""
    try:
        text = json.dumps(json.loads(payload), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return payload
    return _HALF_CHARACTER.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


def why_not_editable(row: Mapping[str, Any]) -> str:
    """Why a row of ``reports.quarantined_record`` cannot be edited; "" if it can."""
    if row["key"] == f"?{row['source_id']}"[:MAX_KEY]:
        return "It has no usable number, so nobody can ask the source for it: give it one there."
    if row["form"] == "told":
        return "What is kept of it is what the target was told, not the record: correct it in the source, or replay it."
    if row["form"] == "cut":
        return "It is too long to be kept whole: correct it in the source."
    if row["raw_hash"] is None:
        return "It is not one version of one record of the source: correct it there."
    return ""


def edit(
    connection: Connection[Any], pair: str, flow: str, key: str, payload: str, by: str, based_on: UUID | None
) -> None:
    """Put a person's version in place of a quarantined record, for as long as the source's own does not change.

    ``based_on`` is the ``raw_hash`` of the row that the person has read. Raises Refused, with the
    faulty fields, if the new version would only be quarantined again.
    """
    with connection.transaction():
        connection.execute(
            """
            SELECT FROM crossdock.quarantine
            WHERE (pair, flow, key) = (%s, %s, %s) AND resolved_at IS NULL
            FOR UPDATE
            """,
            (pair, flow, key),
        )
        row = reports.quarantined_record(connection, pair, flow, key)
        if row is None:
            raise Refused(f"{flow} {key} is not in quarantine (any more): there is nothing to edit.")
        if why := why_not_editable(row):
            raise Refused(f"{flow} {key} cannot be edited. {why}")
        if row["raw_hash"] != based_on:
            raise Refused(f"{flow} {key} has changed in the source since you opened it. Look at it again.")
        _check(flow, row, payload)
        connection.execute(
            """
            INSERT INTO crossdock.override (pair, flow, key, form, payload, raw_hash, author)
            VALUES (%s, %s, %s, %s, %s, %s, %s)
            ON CONFLICT (pair, flow, key) DO UPDATE
            SET form = excluded.form, payload = excluded.payload, raw_hash = excluded.raw_hash,
                author = excluded.author, since = now(), state = 'new', run_id = NULL
            """,
            (pair, flow, key, row["form"], payload, row["raw_hash"], by),
        )
        log.info("%s (%s): %s edited %s", flow, pair, by, key)
        replay(connection, pair, flow, [key], by)


def _check(flow: str, row: Mapping[str, Any], payload: str) -> None:
    """A source's row is JSON, and judged by its connector in the run; a record can be judged here."""
    try:
        told = _canonical(payload)
    except json.JSONDecodeError as error:
        raise Refused(f"This is not JSON: {error.msg} in line {error.lineno}, column {error.colno}.") from error
    except (ValueError, RecursionError) as error:
        raise Refused("This is not JSON that anybody could read.") from error
    if told == _canonical_or_none(row["payload"]):
        raise Refused("Nothing was changed. To have it tried again as it is, replay it.")
    if row["form"] == "row":
        return
    try:
        record = FLOWS[flow].record.model_validate_json(payload)
    except ValidationError as error:
        raise Refused(f"It would be refused again: {faults(error)}.") from error
    if record.key != row["key"]:
        raise Refused(f"The record's number is {row['key']} and stays so: it is what it is known by everywhere.")


def _canonical(payload: str) -> str:
    return json.dumps(json.loads(payload), sort_keys=True)


def _canonical_or_none(payload: str) -> str | None:
    try:
        return _canonical(payload)
    except ValueError:
        return None


def withdraw(connection: Connection[Any], pair: str, flow: str, key: str, by: str) -> None:
    """End a person's version: the next run takes what the source says. Refused if there is none."""
    done = connection.execute(
        """
        UPDATE crossdock.override
        SET state = 'withdrawn', author = %s, since = now(), run_id = NULL
        WHERE (pair, flow, key) = (%s, %s, %s) AND state <> 'withdrawn'
        """,
        (by, pair, flow, key),
    )
    if not done.rowcount:
        raise Refused(f"There is no edited version of {flow} {key}: the source's own counts already.")
    log.info("%s (%s): %s withdrew the edited version of %s", flow, pair, by, key)


def accept(connection: Connection[Any], pair: str, flow: str, says: str, by: str, reason: str) -> None:
    """Let the next batch pass although it fails in this way; the rows that do go to quarantine.

    Where several windows of dates were stopped by it, the next batch of each. Raises Refused unless the quality gate
    stopped the last run of the flow for just that.
    """
    stopped = reports.stops(connection, pair, flow)
    stops = {stop["says"]: stop["acceptable"] for stop in stopped}
    reason = plain(" ".join(reason.split()))[:500]
    if says not in stops:
        others = ", ".join(f"'{other}'" for other in stops)
        raise Refused(
            f"The last run of {flow} ({pair}) was not stopped by '{says}'. "
            + (
                f"It was stopped by {others}."
                if stops
                else "The quality gate did not stop it; there is nothing to accept."
            )
        )
    if not stops[says]:
        raise Refused(f"'{says}' does not tell which rows are to be set aside: correct the records in the source.")
    if not reason:
        raise Refused("Say why: the reason is kept with the rows that are set aside.")
    connection.execute(
        """
        INSERT INTO crossdock.acceptance (pair, flow, scope, says, author, reason)
        SELECT %s, %s, scope, %s, %s, %s FROM unnest(%s::text[]) AS scope
        ON CONFLICT (pair, flow, scope, says) WHERE run_id IS NULL DO UPDATE
        SET author = excluded.author, reason = excluded.reason, since = now()
        """,
        (pair, flow, says, by, reason, [stop["scope"] for stop in stopped if stop["says"] == says]),
    )
    log.info("%s (%s): %s accepted that %s", flow, pair, by, says)


def ask(connection: Connection[Any], pair: str, flow: str, airflow_run: str) -> bool:
    """Open a question about all that is held now, unless there is nothing, or another run is asking already.

    A question of which nothing is left, since the records are as usual again or others, is in nobody's way.
    """
    row = connection.execute(
        """
        INSERT INTO crossdock.question (pair, flow, upto, airflow_run)
        SELECT %(pair)s, %(flow)s, max(id), %(run)s
        FROM crossdock.held
        WHERE (pair, flow, state) = (%(pair)s, %(flow)s, 'open') AND version IS NOT NULL
        HAVING max(id) IS NOT NULL
        ON CONFLICT (pair, flow) DO UPDATE
        SET upto = excluded.upto, airflow_run = excluded.airflow_run, asked_at = now()
        WHERE question.airflow_run = excluded.airflow_run
           OR NOT EXISTS (
               SELECT FROM crossdock.held h
               WHERE (h.pair, h.flow, h.state) = (question.pair, question.flow, 'open') AND h.id <= question.upto
           )
        RETURNING upto
        """,
        {"pair": pair, "flow": flow, "run": airflow_run},
    ).fetchone()
    return row is not None


def asked(connection: Connection[Any], pair: str, flow: str, airflow_run: str) -> int | None:
    """Up to which number this run asks. None: it has been answered elsewhere, or given up."""
    row = connection.execute(
        "SELECT upto FROM crossdock.question WHERE (pair, flow, airflow_run) = (%s, %s, %s)", (pair, flow, airflow_run)
    ).fetchone()
    return int(row[0]) if row else None


def approve(connection: Connection[Any], pair: str, flow: str, upto: int, by: str) -> int:
    """Let held records through, as they were shown. Returns how many.

    ``upto``: the number that was shown with them. What has been replaced since stays held, under a higher number; what
    turns out to be otherwise when the next run reads it is held anew.
    """
    return _decide(connection, pair, flow, upto, "approved", by)


def refuse(connection: Connection[Any], pair: str, flow: str, upto: int, by: str) -> int:
    """Keep the target as it is until the source changes these records again. Returns how many they are."""
    return _decide(connection, pair, flow, upto, "refused", by)


def lapse(connection: Connection[Any], pair: str, flow: str) -> int:
    """Refuse what was asked and not answered in time. Returns how many records that are."""
    row = connection.execute(
        "SELECT upto FROM crossdock.question WHERE (pair, flow) = (%s, %s) AND asked_at < now() - %s",
        (pair, flow, PATIENCE),
    ).fetchone()
    return refuse(connection, pair, flow, row[0], NOBODY) if row else 0


def _decide(connection: Connection[Any], pair: str, flow: str, upto: int, state: str, by: str) -> int:
    values = {"pair": pair, "flow": flow, "upto": upto, "state": state, "by": by}
    with connection.transaction():
        decided = connection.execute(
            """
            UPDATE crossdock.held
            SET state = %(state)s, owner = %(by)s, decided_at = now()
            WHERE (pair, flow, state) = (%(pair)s, %(flow)s, 'open') AND id <= %(upto)s
            """,
            values,
        ).rowcount
        connection.execute(
            "DELETE FROM crossdock.question WHERE (pair, flow) = (%(pair)s, %(flow)s) AND upto <= %(upto)s", values
        )
    log.info("%s (%s): %s %s %d held records, up to number %d", flow, pair, by, state, decided, upto)
    return decided
