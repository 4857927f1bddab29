"""The five steps of a run: extract, validate, transform, load, settle.

Each is called once per task, finds its run by name, and leaves all it did in the store: a killed
task is simply called again.
"""

from __future__ import annotations

import gc
import hashlib
import logging
import shlex
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import IO, Any, Literal, TypeVar
from uuid import UUID

from pydantic import ValidationError

from crossdock.domain.record import Record, faults
from crossdock.errors import AnswerLost, Misconfigured, QualityStop, Reject, Retry, Stop
from crossdock.ports import Claims, Content, Dated, Found, Listens, Lists, Outcome, Put, Row, Target, Totals, Window
from crossdock.sync.changes import changes, version
from crossdock.sync.run import (
    ACCEPTED_STOP,
    BatchFailure,
    Changed,
    Decided,
    Form,
    Held,
    Override,
    Refusal,
    RowFailure,
    Run,
    Staged,
    Suspect,
    Unknown,
)

_T = TypeVar("_T")
_Row = TypeVar("_Row", Decided, Suspect)

log = logging.getLogger(__name__)

STUCK = timedelta(minutes=10)
"""A flow that comes first and has not settled for so long holds nobody up any more."""
LATE = timedelta(seconds=10)
"""A change that shows so late is found by a run that reads what is new; a later one when the overlap is read again."""
PROVED = timedelta(days=1)
"""So far back ``prove`` compares."""
WORTH = Decimal("0.01")
"""What two sums may differ by: the source's are not rounded."""
READ_BACK = 500
"""Keys asked of a system in one look-up."""
_LONGEST = 100_000
"""So many characters of a bad row are kept for a person."""


# ---------------------------------------------------------------- extract


def extract(run: Run) -> bool:
    """Read what changed, put it on the stage, and say whether there is anything to do with it.

    The window runs from the watermark, less the overlap, to the source's own clock; of a run that was asked for dates
    it is these, and the watermark stays where it is. Only rows that
    differ from what the ledger knows are parsed; a bad row goes to quarantine at once. Returns
    False when another run is at work on this flow, or when nothing is new.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    if run.flow.go_live and run.go_live is None:
        raise Misconfigured(
            f"{run}: this pair has no go_live. Set it in crossdock.toml ([pairs.{run.pair}] go_live = "
            "2026-01-01T00:00:00Z): what was made before it is never written."
        )
    if not run.store.open(run):
        log.info("%s: %s", run, run.message)
        return False
    _adopt(run)
    if run.request.plan is not None:
        _take_over_plan(run, run.request.plan)
        return True
    _stage(run)
    if run.store.open_rows(run):
        run.store.save(run, "extracted")
        return True
    run.store.count_decisions(run)
    run.store.save(run, "loaded")
    return False


def _adopt(run: Run) -> None:
    """Close what an earlier run sent without hearing of it; what was not carried out is decided anew."""
    unsure = run.store.unconfirmed(run)
    done = _carried_out(run.target, unsure)
    run.store.adopt(run, done)
    if unsure:
        log.info("%s: of %d unconfirmed writes %d were carried out", run, len(unsure), len(done))


def _take_over_plan(run: Run, plan: int) -> None:
    """The source is asked again, so that exactly what was shown and is still so gets written."""
    for _ in run.store.stage_rows(run, run.source.read(run.store.planned_keys(run)), "t", _version(run)):
        pass
    log.info("%s: %d actions of plan %d taken over", run, run.store.take_over_plan(run), plan)
    run.store.save(run, "transformed")


def _version(run: Run) -> str:
    """Part of every hash: when either side reads or writes differently, rows count as changed."""
    return f"{run.source.version}/{run.target.version}"


def _stage(run: Run) -> None:
    request, store, source = run.request, run.store, run.source
    if request.keys or request.dates:
        run.since = run.until = None
    else:
        run.totals.pop("lately", None)  # of an earlier try
        now, since = source.now(), store.watermark(run)
        if since is None and run.flow.begins:
            since = now - run.flow.begins
        full = store.full_due(run, _version(run)) or request.full
        run.since = None if full or since is None else _since(run, since, now)
        run.until = _end(run, now)
    with tempfile.TemporaryFile() as spool:
        if request.dates:
            _spool(spool, store.stage_rows(run, _dated(run), "w", _version(run)))
        elif run.until:
            _spool(spool, store.stage_rows(run, source.changed(Window(run.since, run.until)), "w", _version(run)))
            if store.parts_due(run):
                store.stage_parts(run, source.parts())
        asked = store.compare(run)
        if asked:
            _spool(spool, store.stage_rows(run, source.read(asked), "t", _version(run)))
        vanished = store.sort_out(run, asked)
        _parse(run, spool)
    store.close_stage(run, vanished)
    log.info("%s: read %d rows, %d to look at", run, run.books.read, store.open_rows(run))


def _since(run: Run, watermark: datetime, now: datetime) -> datetime:
    """The beginning of the window: the watermark less the overlap, or, a short time after, where the last one ended."""
    if run.flow.overlap_every:
        read = run.store.last_read(run)
        run.totals["lately"] = bool(read and now - watermark < run.flow.overlap_every)
        if read and run.totals["lately"]:
            return read - LATE
    return watermark - run.flow.overlap


def _dated(run: Run) -> Iterator[Sequence[Row]]:
    """What the source dates in the span that was asked for; and when it was asked, by its own clock."""
    source: Dated | None = able(run.source, "dated")
    if source is None or run.request.dates is None:
        raise Misconfigured(
            f"{run}: {run.source.name} cannot be read by date. Trigger the DAG without since and until."
        )
    run.totals["read_at"] = run.source.now().isoformat()
    return source.dated(*run.request.dates)


def _end(run: Run, now: datetime) -> datetime:
    """The end of the window: not later than what the flow that comes first has seen, unless that one is stuck."""
    first = run.flow.after
    if not first:
        return now
    seen = run.store.watermark(run, first)
    if seen is None:
        raise Retry(f"{run}: {first} has not settled yet, and comes first. Run the DAG {first}, then this one.")
    if now - seen > STUCK:
        log.warning("%s: %s has not settled since %s; what it would have brought will be waited for", run, first, seen)
        return now
    return min(now, seen)


def _spool(spool: IO[bytes], pages: Iterator[bytes]) -> None:
    for page in pages:
        spool.write(page)


def _parse(run: Run, spool: IO[bytes]) -> None:
    """Changed rows to canonical records: validated one by one and dropped, memory stays flat."""
    salt = f"{_version(run)}/".encode()
    overrides = run.store.overrides(run)
    for rows in run.store.changed(run):
        records, refusals = [], []
        for row in rows:
            spool.seek(row.offset)
            raw = spool.read(row.length)
            override = overrides.get(row.key)
            if override and override.raw_hash != row.raw_hash:
                override = None
            try:
                records.append(_staged(row, _record(run, raw, override), salt, run.go_live))
            except (Reject, ValidationError) as error:
                refusals.append(_refusal(row, override or _as_read(row, raw), error))
        run.store.stage_records(run, records)
        run.store.quarantine(run, "extract", refusals)


def _record(run: Run, raw: bytes, override: Override | None) -> Record:
    """The source's record, or a person's version of it; its parts are the source's in any case."""
    if override is None or override.form == "row":
        record: Record = run.source.parse(raw if override is None else override.payload.encode())
        return record
    try:
        parts = run.source.parse(raw).parts
    except (Reject, ValidationError):
        parts = ()
    return run.flow.record.model_validate_json(override.payload).model_copy(update={"parts": parts})


def _staged(row: Changed, record: Record, salt: bytes, go_live: datetime | None) -> Staged:
    if record.key != row.key:
        raise Reject(
            "key_mismatch",
            f"The row was announced as {row.key!r}, but reads as {record.key!r}.",
            "Give the record its number in the source system.",
        )
    payload = record.model_dump_json(exclude={"parts"})
    return Staged(
        key=row.key,
        source_id=row.source_id,
        raw_hash=row.raw_hash,
        canon_hash=UUID(bytes=hashlib.sha256(salt + payload.encode()).digest()[:16]),
        gone=record.gone,
        needs=[f"{flow}:{key}" for flow, key in sorted(record.needs)],
        parts=sorted(record.parts),
        names=list(record.names),
        payload=payload,
        early=whether_early(record, go_live),
        doubt=record.doubt,
        in_step=record.in_step,
        moment=record.moment,
        columns=record.columns(),
    )


def whether_early(record: Record, go_live: datetime | None) -> str:
    """Why this record is not written unless the target has it already; "" for most."""
    return "before go-live" if go_live and record.born and record.born < go_live else record.early


def _as_read(row: Changed, raw: bytes) -> Override:
    return Override("row", raw.decode(errors="replace").replace("\x00", "�"), row.raw_hash)


def _refusal(row: Changed, version: Override, error: Reject | ValidationError) -> Refusal:
    form: Form = version.form if len(version.payload) <= _LONGEST else "cut"
    kept = (version.payload[:_LONGEST], row.raw_hash, form)
    if isinstance(error, Reject):
        return Refusal(row.key, row.source_id, error.code, error.reason, error.remedy, *kept)
    remedy = "Correct these fields in the source system; the record is read again when it changes."
    return Refusal(row.key, row.source_id, "invalid", faults(error), remedy, *kept)


# ---------------------------------------------------------------- validate


def validate(run: Run) -> bool:
    """Let the batch through, move single bad rows to quarantine, or stop before anything is written.

    Raises QualityStop when a critical expectation fails.
    """
    _resume_staged(run)
    if run.step == "extracted":
        _pass_gate(run)
    return True


def _pass_gate(run: Run) -> None:
    count = run.store.gate_rows(run)
    if count:
        verdict = run.gate.check(run.flow.name, run.store.relation(run), count)
        run.store.save_quality(run, verdict)
        accepted = run.store.accepted(run)
        if stops := [one for one in verdict.critical if one.says not in accepted or not one.query]:
            raise QualityStop(
                f"{run}: {'; '.join(one.text for one in stops)}. Nothing was written and the watermark stays. "
                f"Correct the records in the source system, then clear this run or wait for the next one"
                f"{_way_out(run, stops)}."
            )
        for one in verdict.critical:
            run.store.quarantine_rows(run, _let_pass(one.says, one.query, *accepted[one.says]))
            run.store.use_acceptance(run, one.says)
        for failure in verdict.rows:
            run.store.quarantine_rows(run, failure)
    run.store.save(run, "validated")


def _way_out(run: Run, stops: Sequence[BatchFailure]) -> str:
    """What to type; nothing where a failure cannot say which rows are to be set aside."""
    if not all(one.query for one in stops):
        return ""
    commands = (
        f"crossdock --pair {run.pair} accept {run.flow.name} {shlex.quote(one.says)} --reason '...'" for one in stops
    )
    return f"; or let the others pass and have these rows quarantined: {' && '.join(commands)}"


def _let_pass(says: str, query: str, author: str, reason: str) -> RowFailure:
    return RowFailure(
        ACCEPTED_STOP,
        f"One of the rows for which the batch was stopped: {says}. {author} let the others pass: {reason}",
        "Correct it in the source system, or replay it when it is right as it is.",
        query,
    )


def _resume_staged(run: Run) -> None:
    """The stage is not logged: it is empty after a crash of the database, and gone when a failed run

    was closed. Then the run extracts again.
    """
    run.store.resume(run)
    if run.step in ("extracted", "validated") and run.store.staged(run) != run.totals.get("staged"):
        log.warning("%s: the stage is lost; the window is read again", run)
        if not run.store.open(run):
            raise Stop(f"{run}: {run.message}. Nothing was written, and nothing needs to be done.")
        _adopt(run)
        _stage(run)
        run.store.save(run, "extracted")


# ---------------------------------------------------------------- transform


def transform(run: Run) -> bool:
    """Decide for each record what is to be done with it, and write that to the outbox.

    What the ledger does not know is looked for in the target first, by natural key, and adopted. In
    ``plan`` mode this is the end; the first run of a flow on a target that already holds records ends
    as a plan too. Returns False if there is nothing to load.
    """
    _resume_staged(run)
    if run.step == "extracted":
        _pass_gate(run)
    if run.step != "validated":
        return run.mode == "apply"
    _adopt_existing(run)
    run.store.decide(run)
    for suspects in run.store.suspects(run):
        run.store.hold(run, [_held(run, row, payload) for row, payload in _told(run, suspects)])
    for rows in run.store.decided(run):
        run.store.to_outbox(run, [(row.key, payload) for row, payload in _told(run, rows)])
    run.store.count_decisions(run)
    run.store.save(run, "transformed")
    return run.mode == "apply"


def _told(run: Run, rows: Sequence[_Row]) -> list[tuple[_Row, bytes]]:
    """What the target is to be told; of what it cannot be told, a person is."""
    told, refusals = [], []
    for row in rows:
        try:
            record = None if row.payload is None else run.flow.record.model_validate_json(row.payload)
            told.append((row, b"" if record is None else run.target.payload(record)))
        except Reject as error:
            refusals.append(
                Refusal(row.key, row.source_id, error.code, error.reason, error.remedy, row.payload or "", row.raw_hash)
            )
    run.store.quarantine(run, "transform", refusals)
    return told


def _held(run: Run, row: Suspect, payload: bytes) -> Held:
    """``remove`` withdraws it, whatever its payload is."""
    text, apart = "" if row.op == "remove" else payload.decode(), run.flow.apart
    shown = [] if row.op == "remove" else changes(row.told, text, apart)
    return Held(row.key, row.op, version(row.op, text, apart), shown)


def _adopt_existing(run: Run) -> None:
    """Whoever made it: nothing is created twice. What belongs to something else there is quarantined."""
    first = run.flow.plan_first and run.store.first_run(run)
    there = sum(map(len, run.target.keys())) if first else 0
    if first and not there:
        return
    matched = 0
    for page in run.store.unknown(run):
        answers = run.target.match([run.flow.record.model_validate_json(row.payload) for row in page])
        found = {key: answer.target_id for key, answer in answers.items() if isinstance(answer, Found)}
        matched += len(found)
        run.store.set_target_ids(run, found)
        run.store.quarantine(run, "transform", list(_conflicts(page, answers)))
    if first and run.mode == "apply":
        run.mode = "plan"
        run.message = (
            f"first run on a {run.target.name} that already holds {there} {run.flow.unit} records: "
            f"{matched} would be adopted, {there - matched} are only there. Nothing was written. "
            f"Read the plan, then trigger the DAG with plan = {run.id}."
        )


def _conflicts(page: Sequence[Unknown], answers: Mapping[str, Found | Reject]) -> Iterator[Refusal]:
    for row in page:
        answer = answers.get(row.key)
        if isinstance(answer, Reject):
            yield Refusal(row.key, row.source_id, answer.code, answer.reason, answer.remedy, row.payload, row.raw_hash)


# ---------------------------------------------------------------- load


def load(run: Run) -> bool:
    """Write the outbox to the target, ``lanes`` batches at a time; each confirmed batch is committed.

    Raises WritesOff when writing to this system was not approved, Retry when it is away; what was
    confirmed until then stays confirmed.
    """
    run.store.resume(run)
    if run.step in ("loaded", "settled") or run.mode == "plan":
        return True
    run.store.require_writable(run, run.target.fingerprint())
    if sent := run.store.sent(run):
        run.store.confirm(run, _carried_out(run.target, sent))
        run.store.unsend(run)
    _send_all(run)
    run.store.save(run, "loaded")
    return True


def _send_all(run: Run) -> None:
    """Threads talk to the target, this one to the store. After an error nothing new is sent, and what is

    under way is waited for and confirmed.
    """
    target = run.target

    def content(ref: str) -> bytes:  # most batches need none: then nobody connects the source
        file: bytes = run.source.content(ref)
        return file

    lanes, batches, error = target.lanes, run.store.batches(run, target.batch), None
    under_way: dict[Future[list[Outcome]], Sequence[Put]] = {}
    with ThreadPoolExecutor(lanes, thread_name_prefix="load") as pool:
        while True:
            while error is None and len(under_way) < lanes and (batch := next(batches, None)):
                under_way[pool.submit(_written, target, batch, content)] = batch
            if not under_way:
                break
            for done in wait(under_way, return_when=FIRST_COMPLETED).done:
                batch = under_way.pop(done)
                if done.exception():
                    error = error or done.exception()
                    continue
                run.store.confirm(run, done.result())
                if silent := len({put.key for put in batch} - {outcome.key for outcome in done.result()}):
                    error = error or Stop(
                        f"{run}: {target.name} did not say what became of {silent} of {len(batch)} records. "
                        "This is a defect of its connector: report it with this log."
                    )
    if error:
        raise error


def _written(target: Target[Any], batch: Sequence[Put], content: Content) -> list[Outcome]:
    return list(write(target, batch, content))


def write(target: Target[Any], batch: Sequence[Put], content: Content, known_bad: bool = False) -> Iterator[Outcome]:
    """Put a batch; cut it in two when it is refused, so that one bad record stops only itself.

    ``known_bad``: the other half went through, so the whole batch would be refused again and is not
    sent: at most 1.7 log2 n + 2 calls for one culprit, wherever it is.
    """
    if not known_bad or len(batch) == 1:
        try:
            yield from _put(target, batch, content)
            return
        except Reject as refusal:
            if len(batch) == 1:
                yield Outcome(batch[0].key, batch[0].target_id, refused=refusal)
                return
    # a culprit on the left costs two calls, one on the right one: by the golden section both are found as fast
    middle = max(1, int(len(batch) * 0.382))
    left = list(write(target, batch[:middle], content))
    yield from left
    yield from write(target, batch[middle:], content, known_bad=all(outcome.refused is None for outcome in left))


def _put(target: Target[Any], batch: Sequence[Put], content: Content) -> Iterable[Outcome]:
    """Put, and when the answer is lost look what was carried out before the rest is sent once more."""
    try:
        return list(target.put(batch, content))
    except AnswerLost:
        done = _carried_out(target, batch)
        rest = [put for put in batch if put.key not in {outcome.key for outcome in done}]
        log.warning(
            "%s: an answer was lost; %d of %d records are there, the rest is sent again",
            target.name,
            len(done),
            len(batch),
        )
        try:
            return done + (list(target.put(rest, content)) if rest else [])
        except Reject:
            if not done:
                raise
            return done + list(write(target, rest, content, known_bad=True))


def _carried_out(target: Target[Any], puts: Sequence[Put]) -> list[Outcome]:
    """Those of these writes that the target shows as done."""
    outcomes = []
    for some in _some(puts, READ_BACK):
        found = target.find([put.key for put in some])
        outcomes += [
            Outcome(put.key, found[put.key].target_id, note="found carried out", links=found[put.key].links)
            for put in some
            if put.key in found and found[put.key].fingerprint == put.fingerprint
        ]
    return outcomes


# ---------------------------------------------------------------- settle


@dataclass(frozen=True)
class Settled:
    """How a run ended. ``again``: somebody asked for this flow while it was at work.

    ``asks``: records are held, and nobody is being asked about them yet. ``wrote``: the target is another one now.
    """

    state: Literal["success", "planned", "drained"]
    line: str
    again: bool
    asks: bool = False
    wrote: bool = False


def settle(run: Run) -> Settled:
    """Close the books, whatever happened before; then fail if an earlier step did.

    The watermark moves once every record of the window is in a durable place: after a stop at load
    too, since the outbox keeps what is pending; after a stop before that it stays.
    """
    run.store.resume(run)
    if run.state in ("success", "planned", "drained"):
        return Settled(run.state, run.message, again=False)
    if run.step not in ("transformed", "loaded"):
        _fail(run, f"stopped after the step '{run.step}'; nothing was written and the watermark stays")
    run.store.merge(run)
    try:
        run.books.close(run.flow.unit)
    except Stop as error:
        _fail(run, str(error))
    planned = run.mode == "plan"
    if run.until and not planned and not run.totals.get("lately"):
        run.store.advance_watermark(run)
    line = run.books.line()
    if run.step == "transformed" and not planned:
        log.info("%s: %s", run, line)
        _fail(run, "load did not finish; what is pending will be taken up by the next run")
    if planned:
        line = run.message or f"plan {run.id} saved: {line}. Apply it with plan = {run.id}."
    state: Literal["success", "planned"] = "planned" if planned else "success"
    again = run.store.finish(run, state, line)
    log.info("%s: %s", run, line)
    return Settled(state, line, again, run.store.asks(run), run.books.written > 0)


def _fail(run: Run, what: str) -> None:
    message = f"{run}: {what}. The log of the task that failed says why."
    repeated = run.store.incidents(run, message)
    run.store.finish(run, "failed", message)
    error = Stop(message)
    error.repeated = repeated
    raise error


# ---------------------------------------------------------------- prove


def prove(run: Run) -> str:
    """Nothing is missing: what the source lists for the last day is in the target, at the same worth, or set aside.

    Says in figures what was compared. Raises Stop, naming the first records, if one is neither here nor there, or
    worth something else; nothing is written.
    """
    seen = run.store.watermark(run)
    source: Lists | None = able(run.source, "placed")
    target: Totals | None = able(run.target, "worth")
    if seen is None or source is None or target is None:
        return "nothing to compare"
    until = seen - run.flow.overlap
    since = max(filter(None, (until - PROVED, run.go_live)))
    listed = (
        {one.key: one.worth for page in source.placed(Window(since, until)) for one in page if one.due}
        if since < until
        else {}
    )
    there = {key: worth for some in _some(listed, READ_BACK) for key, worth in target.worth(some).items()}
    aside = run.store.set_aside(run, listed)
    missing = sorted(listed.keys() - there.keys() - aside)
    other = sorted(key for key in there.keys() - aside if abs(there[key] - listed[key]) > WORTH)
    said = (
        f"{len(listed)} {run.flow.unit} records of {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC, worth "
        f"{sum(listed.values()):.2f}: {len(there)} in {run.target.name}, worth {sum(there.values()):.2f}, "
        f"{len(aside - there.keys())} set aside"
    )
    log.info("%s: %s", run, said)
    if missing or other:
        raise Stop(
            f"{run}: {said}; {len(missing)} are missing ({', '.join(missing[:5])}), {len(other)} are worth something "
            f"else there ({', '.join(other[:5])}). Trigger the DAG with these keys; 'crossdock explain "
            f"{run.flow.name} KEY' tells what is known of one."
        )
    return said


# ---------------------------------------------------------------- hear


def hear(run: Run) -> str:
    """Whether everybody is heard of on whom the source relies; asked when everything was read, by the hour.

    Raises Stop, naming who has fallen silent.
    """
    run.store.resume(run)
    source: Listens | None = able(run.source, "silent")
    if source is None or run.since is not None or run.until is None:
        return "asked when everything is read"
    if silent := source.silent():
        raise Stop(f"{run}: " + "; ".join(f"{who}: {what}" for who, what in sorted(silent.items())))
    return "everybody is heard of"


# ---------------------------------------------------------------- review


def review(run: Run) -> int:
    """Keep the list of logins that want an account which the ERP has not given them.

    Nothing a shopper can write grants an account: it becomes a proposal for a person. Returns how
    many proposals are open; 0 on a storefront that cannot tell.
    """
    target: Claims | None = able(run.target, "claims")
    return run.store.review(run, target.claims()) if target else 0


def able(port: Any, method: str) -> Any:
    """The port, if it has this method. Not by isinstance: since Python 3.12 that does not see through a stand-in."""
    return port if hasattr(port, method) else None


def _some(things: Iterable[_T], size: int) -> Iterator[list[_T]]:
    rest = iter(things)
    while part := list(islice(rest, size)):
        yield part
