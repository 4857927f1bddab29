"""One run of one flow: its parts, and what it asks of the store and the quality gate."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal, NamedTuple, Protocol
from uuid import UUID

from crossdock.ports import Claim, Op, Outcome, Put, Row, Source, Target
from crossdock.sync.accounting import Books
from crossdock.sync.changes import Change
from crossdock.sync.flow import Flow

Mode = Literal["apply", "plan"]
Step = Literal["opened", "extracted", "validated", "transformed", "loaded", "settled"]
State = Literal["running", "success", "planned", "drained", "failed"]
Stage = Literal["extract", "validate", "transform", "load"]


@dataclass(frozen=True)
class Request:
    """What a person asked of a run when he triggered it.

    ``keys``: just these records, the watermark stays where it is. ``force``: write them even if
    unchanged, past the brake. ``full``: read everything. ``plan``: the id of a saved plan whose
    actions, and no others, are to be applied. ``dates``: just the records whose own date is in this half-open span;
    the watermark stays where it is, and so does what other runs have set aside.
    """

    mode: Mode = "apply"
    full: bool = False
    keys: tuple[str, ...] = ()
    force: bool = False
    plan: int | None = None
    dates: tuple[date, date] | None = None

    @property
    def whole(self) -> bool:
        """Whether all is done that a run does of which nothing was asked."""
        return self.mode == "apply" and not self.keys and self.plan is None

    @property
    def scope(self) -> str:
        """Runs of one scope exclude each other: those of a window of dates go on beside the others."""
        return "/".join(map(str, self.dates)) if self.dates else "*"


class Changed(NamedTuple):
    """A staged row that the ledger does not know in this version; the bytes lie in the spool."""

    key: str
    source_id: str
    raw_hash: UUID
    offset: int
    length: int


class Staged(NamedTuple):
    """A canonical record on the wide stage. ``columns`` are the values of its typed columns.

    ``early``: why it is not written unless the target has it already; "" for most. ``doubt``: why a person has to
    approve it first; "" for most. ``in_step``: whether the target shows it like this; None: the ledger says.
    ``moment``: the state of the source it was read from, where several runs go on side by side.
    """

    key: str
    source_id: str
    raw_hash: UUID
    canon_hash: UUID
    gone: bool
    needs: list[str]
    parts: list[str]
    names: list[str]
    payload: str
    early: str
    doubt: str
    in_step: bool | None
    moment: datetime | None
    columns: tuple[Any, ...]


class Decided(NamedTuple):
    """A staged record that is to be written. ``payload`` None: it vanished from the source."""

    key: str
    op: Op
    source_id: str
    target_id: str | None
    raw_hash: UUID | None
    payload: str | None


class Suspect(NamedTuple):
    """A staged record that is to be held unless a person has approved it. ``told``: the target's last payload."""

    key: str
    op: Op
    source_id: str
    raw_hash: UUID | None
    payload: str | None
    told: str | None


class Held(NamedTuple):
    """What a person is asked about: ``version`` is the same for what is the same to him."""

    key: str
    op: Op
    version: UUID
    changes: Sequence[Change]


class Unknown(NamedTuple):
    """A staged record of which the ledger knows nothing, or nothing in the target."""

    key: str
    source_id: str
    raw_hash: UUID | None
    payload: str


ACCEPTED_STOP = "accepted_stop"
"""The code of rows for which a person let a batch pass."""

Form = Literal["row", "record", "told", "cut"]
"""What a quarantined payload is: the source's row, the canonical record, what the target was told, the start of it."""


class Refusal(NamedTuple):
    """A record that goes to quarantine: what is wrong, and what a person does about it."""

    key: str
    source_id: str
    code: str
    reason: str
    remedy: str
    payload: str
    raw_hash: UUID | None
    form: Form = "record"


class Override(NamedTuple):
    """A person's version of a record, for as long as the source's own row has this hash."""

    form: Form
    payload: str
    raw_hash: UUID


class RowFailure(NamedTuple):
    """An expectation that some rows do not meet. ``query`` selects their keys, all of them."""

    code: str
    reason: str
    remedy: str
    query: str


class BatchFailure(NamedTuple):
    """An expectation without which the batch as a whole is suspect: it stops the run.

    ``says`` is the same each time, ``text`` has the figures. ``query`` selects the keys of the rows that
    fail it, "" where it cannot say which.
    """

    says: str
    text: str
    query: str


@dataclass(frozen=True)
class Verdict:
    """What the quality gate says of a staged batch."""

    critical: tuple[BatchFailure, ...] = ()
    rows: tuple[RowFailure, ...] = ()
    results: Mapping[str, Any] = field(default_factory=dict)


class Gate(Protocol):
    """Runs the flow's suite on a relation of the store."""

    def check(self, suite: str, relation: str, count: int) -> Verdict:
        """``relation`` is schema.name; ``count`` its rows. Must not be called for an empty batch."""


class Store(Protocol):
    """Where a run keeps its data. Every method is one transaction unless it says otherwise."""

    # ---- the run and its lease
    def open(self, run: Run) -> bool:
        """Take the lease and begin (or begin anew) this run; False if another run holds it.

        That one is told, unless it began after this one was asked for and does all that this one would.
        """

    def resume(self, run: Run) -> None:
        """Fill in id, mode, step, state, window and books, and take the lease while the run is open.

        A failed run is opened again. Stop if another run has begun since.
        """

    def save(self, run: Run, step: Step) -> None:
        """Keep books, mode, window and the step just completed."""

    def finish(self, run: Run, state: State, message: str) -> bool:
        """Close the run, drop its stages, give the lease back. True if a hint came meanwhile."""

    def incidents(self, run: Run, message: str) -> int:
        """How many runs before this one, without a break, failed with this message."""

    # ---- extract
    def watermark(self, run: Run, flow: str = "") -> datetime | None:
        """Of the run's own flow, or of another one of its pair."""

    def last_read(self, run: Run) -> datetime | None:
        """Where the window ended of the last run of this flow that has settled."""

    def advance_watermark(self, run: Run) -> None: ...
    def unconfirmed(self, run: Run) -> Sequence[Put]:
        """Outbox rows of earlier runs of which nobody knows whether they were carried out."""

    def adopt(self, run: Run, done: Sequence[Outcome]) -> None:
        """Close them: those done into the ledger, the others are parked to be read again."""

    def stage_rows(
        self, run: Run, rows: Iterable[Sequence[Row]], origin: Literal["w", "t"], version: str
    ) -> Iterator[bytes]:
        """COPY (key, source id, hash, place) to the narrow stage; yields each page's bytes for the spool."""

    def parts_due(self, run: Run) -> bool:
        """Whether ``Flow.parts_every`` has passed, or everything is read."""

    def full_due(self, run: Run, version: str) -> bool:
        """Whether everything is to be read: ``Flow.full_every`` has passed, or it was read in another version."""

    def stage_parts(self, run: Run, parts: Iterable[Sequence[str]]) -> None: ...
    def compare(self, run: Run) -> set[str]:
        """Join what was read with the ledger. Returns the keys to be read by name: those asked for, or

        parked, held, replayed and edited ones, those whose number or name stood at several records, that
        changed their owner, quarantined ones that may be gone; and where parts were staged, those that
        miss a part or whose parts are all back.
        """

    def sort_out(self, run: Run, asked: Collection[str]) -> Collection[str]:
        """Count into the books, drop repeated rows, quarantine keys with two owners, find the vanished."""

    def changed(self, run: Run) -> Iterator[Sequence[Changed]]: ...
    def overrides(self, run: Run) -> Mapping[str, Override]:
        """People's versions of records, by key. From now on this run knows them, and those withdrawn."""

    def stage_records(self, run: Run, records: Sequence[Staged]) -> None:
        """COPY to the wide stage."""

    def close_stage(self, run: Run, vanished: Collection[str]) -> None:
        """Mark what the target was told already as unchanged; stage what is gone from the source.

        Records that claim the same name, or one that belongs to another record, are quarantined.
        """

    def quarantine(self, run: Run, stage: Stage, refusals: Sequence[Refusal]) -> None:
        """Keep them for a person and mark their rows; a plan only marks the rows."""

    def staged(self, run: Run) -> int:
        """Rows on the wide stage; 0 also when a database crash has emptied it, or the run was closed."""

    def open_rows(self, run: Run) -> int:
        """Staged rows that are neither unchanged nor quarantined."""

    # ---- validate
    def relation(self, run: Run) -> str:
        """The open rows that are for the gate: schema.name. Not those that are withdrawn and were never written."""

    def gate_rows(self, run: Run) -> int:
        """How many there are."""

    def save_quality(self, run: Run, verdict: Verdict) -> None: ...
    def accepted(self, run: Run) -> Mapping[str, tuple[str, str]]:
        """Failures of the whole batch that a person lets pass in this run: ``says`` -> who, why."""

    def use_acceptance(self, run: Run, says: str) -> None:
        """It has served; a plan leaves it open."""

    def quarantine_rows(self, run: Run, failure: RowFailure) -> None: ...

    # ---- transform
    def first_run(self, run: Run) -> bool:
        """True while the ledger knows nothing of this flow."""

    def unknown(self, run: Run) -> Iterator[Sequence[Unknown]]:
        """Open records that are not known to be in the target."""

    def set_target_ids(self, run: Run, found: Mapping[str, str]) -> None: ...
    def decide(self, run: Run) -> None:
        """create, update, remove, unchanged, wait, suspect, skip or quarantined, for every open row."""

    def suspects(self, run: Run) -> Iterator[Sequence[Suspect]]: ...
    def hold(self, run: Run, records: Sequence[Held]) -> None:
        """Keep them for a person, in place of an older version; those that he has approved are let through.

        As approved counts only what he was shown, on top of what the target had been told then. What he has refused
        stays so. A plan keeps nothing.
        """

    def decided(self, run: Run) -> Iterator[Sequence[Decided]]: ...
    def to_outbox(self, run: Run, payloads: Sequence[tuple[str, bytes]]) -> None: ...
    def count_decisions(self, run: Run) -> None: ...
    def planned_keys(self, run: Run) -> set[str]:
        """The keys of the plan to be applied. Stop if there is nothing left of it."""

    def take_over_plan(self, run: Run) -> int:
        """Its actions into this run's outbox; superseded where source or target have moved since."""

    # ---- load
    def sent(self, run: Run) -> Sequence[Put]:
        """This run's own rows that were sent before the task was killed, unconfirmed."""

    def require_writable(self, run: Run, fingerprint: str) -> None: ...
    def unsend(self, run: Run) -> None:
        """Those of them that turned out not to be carried out are to be sent again."""

    def batches(self, run: Run, size: int) -> Iterator[Sequence[Put]]:
        """What was not sent yet, by key; marked as sent when it is taken."""

    def confirm(self, run: Run, outcomes: Sequence[Outcome]) -> None:
        """Keep what became of them and renew the lease; refusals go to quarantine."""

    # ---- settle
    def merge(self, run: Run) -> None:
        """What is done into the ledger; close what this run made obsolete; count into the books."""

    def asks(self, run: Run) -> bool:
        """Whether records of this flow are held and nobody is being asked about them."""

    # ---- prove
    def set_aside(self, run: Run, keys: Collection[str] | None = None) -> set[str]:
        """Those of them that wait, are held, quarantined or pending; without ``keys``, all there are of the flow."""

    # ---- review
    def review(self, run: Run, claims: Iterable[Sequence[Claim]]) -> int:
        """Keep the open proposals of this pair; returns how many there are."""


@dataclass
class Run:
    """Everything the steps need. ``airflow_run`` identifies it across tasks and retries.

    ``asked_at``: when it was asked for, UTC; None: nobody knows.
    """

    pair: str
    flow: Flow
    airflow_run: str
    source: Source[Any]
    target: Target[Any]
    store: Store
    gate: Gate
    request: Request = field(default_factory=Request)
    scope: str = "*"
    go_live: datetime | None = None
    asked_at: datetime | None = None

    id: int = 0
    mode: Mode = "apply"
    step: Step = "opened"
    state: State = "running"
    since: datetime | None = None
    until: datetime | None = None
    message: str = ""
    books: Books = field(default_factory=Books)
    totals: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.flow.name} ({self.pair}{'' if self.scope == '*' else f', {self.scope}'})"
