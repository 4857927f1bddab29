"""What people decide about quarantined records and stopped batches. The next run takes it up.

Each function is one transaction and leaves a line in the log: who, what, which record; never a value.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection, Mapping
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

    Raises Refused unless the quality gate stopped the last run of the flow for just that.
    """
    stops = {stop["says"]: stop["acceptable"] for stop in reports.stops(connection, pair, flow)}
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
        INSERT INTO crossdock.acceptance (pair, flow, says, author, reason)
        VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (pair, flow, says) WHERE run_id IS NULL DO UPDATE
        SET author = excluded.author, reason = excluded.reason, since = now()
        """,
        (pair, flow, says, by, reason),
    )
    log.info("%s (%s): %s accepted that %s", flow, pair, by, says)
