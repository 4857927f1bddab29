"""What is particular about one flow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from crossdock.domain.record import Record

Side = Literal["erp", "storefront", "3pl"]


@dataclass(frozen=True)
class Brake:
    """When a batch is abnormal: new losses (``Flow.losses``) beyond both limits are held for a person.

    ``share`` is a share of the records that were no loss until now.
    """

    at_least: int = 10
    share: float = 0.2


@dataclass(frozen=True)
class Flow:
    """One kind of record on its way from one side to the other.

    ``name`` is also the suite and the connectors' attribute, and the DAG unless ``in_dag`` names it.
    ``unit`` is what the run's books count. ``losses`` names staged boolean columns that take something
    away from a shopper; ``totals`` names staged columns that are summed beside the counts. ``overlap``
    is re-read in every run, or as often as ``overlap_every`` says, and the watermark moves: commits become visible
    late, clocks differ. A run in between reads what is new since the last one. ``parts_every``: how often the source's
    parts are compared with the ledger; None in every run. ``full_every``: how often everything is read, as it is when
    the version has changed; None: when a person asks. ``begins``: the first run reads what changed in this time, what
    is older is read by its dates (``Request.dates``); None: everything. ``links``: what the names of its records are
    called in other flows' needs. ``go_live``: what was made before the pair's go-live is never written. ``after``: no
    window ends later than the last one of this flow. ``plan_first``: the first run on a target that holds
    records already ends as a plan. ``apart``: fields of what the target is told that change by themselves: no person
    is asked about them. ``personal``: its values are for those who may trigger its DAG, not for Airflow's own pages.
    """

    name: str
    unit: str
    record: type[Record]
    source: Side
    target: Side
    losses: tuple[str, ...] = ()
    totals: tuple[str, ...] = ()
    brake: Brake = Brake()
    overlap: timedelta = timedelta(minutes=5)
    overlap_every: timedelta | None = None
    parts_every: timedelta | None = None
    full_every: timedelta | None = None
    begins: timedelta | None = None
    go_live: bool = False
    after: str = ""
    plan_first: bool = True
    links: str = ""
    in_dag: str = ""
    apart: tuple[str, ...] = ()
    personal: bool = False

    @property
    def may_hold(self) -> bool:
        """Whether a record of it can be held for a person: by the brake, or by a doubt of its own."""
        return bool(self.losses) or self.record.doubt is not Record.doubt

    @property
    def dag(self) -> str:
        """The DAG in which it runs, without the pair's suffix."""
        return self.in_dag or self.name
