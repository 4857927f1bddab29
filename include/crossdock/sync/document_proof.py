"""The proof of documents: what they come to, added up by the ERP and by the shop, account by account."""

from __future__ import annotations

import logging
from collections import defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal

from crossdock.errors import Stop
from crossdock.ports import Control, Controlled, Controls, Receivables, Window
from crossdock.sync.run import Run
from crossdock.sync.steps import able

RECENT = timedelta(days=30)
"""So far back by their own date are documents compared where no dates were asked for, once a day."""
_NAMED = 5
"""So many accounts are named in a message."""
_NOTHING = Control(0, Decimal(0), Decimal(0))

log = logging.getLogger(__name__)


def prove(run: Run) -> str:
    """Count, total and open balance of each account's documents are the same in the ERP and in the shop.

    Compared are the dates that were asked for; all documents after a run that has read everything; else those of the
    last month, by the first run of a day. Not compared is what waits, is quarantined or under way, and what has changed
    in the ERP since the run read it. Says in figures what was compared; after everything was read, also whose open
    balance is not what the ERP's books say he owes: those know of more than documents, and that is no fault. Raises
    Stop, naming accounts and both figures.
    """
    run.store.resume(run)
    span = _span(run)
    source: Controlled | None = able(run.source, "control")
    target: Controlled | None = able(run.target, "control")
    if span is None or source is None or target is None:
        return "nothing to compare: the first run of a day does, and one that was asked for dates or for everything"
    read_at = run.until or datetime.fromisoformat(run.totals["read_at"])
    aside = run.store.set_aside(run)
    # what was committed late is left out only where there is a difference
    for since in (read_at, read_at - run.flow.overlap):
        without = aside | _changed(run, since)
        there, here = source.control(*span, without), target.control(*span, without)
        wrong = sorted(one for one in there.keys() | here.keys() if there.get(one) != here.get(one))
        if not wrong:
            break
    said = f"documents dated {_in_words(span)}: {_sum(there)} in {run.source.name}, {len(aside)} set aside"
    log.info("%s: %s", run, said)
    if wrong:
        raise Stop(
            f"{run}: {said}, {_sum(here)} in {run.target.name}; {len(wrong)} accounts differ: "
            + "; ".join(_difference(run, one, there, here) for one in wrong[:_NAMED])
            + ". Trigger the DAG with since and until around these dates. If they still differ the shop has lost "
            "documents, which force brings back, or has others than it was told: then report it with this log."
        )
    said += f", and the same in {run.target.name}, account by account"
    return said + _beside_the_books(run, here) if span == (None, None) else said


def _span(run: Run) -> tuple[date | None, date | None] | None:
    if run.request.dates:
        return run.request.dates
    if run.until is None:
        return None
    if run.since is None:
        return None, None
    return (run.until.date() - RECENT, None) if run.since.date() < run.until.date() else None


def _beside_the_books(run: Run, here: Controls) -> str:
    source: Receivables | None = able(run.source, "receivables")
    if source is None:
        return ""
    owed = source.receivables()
    shown: dict[str, Decimal] = defaultdict(Decimal)
    for (account, _), one in here.items():
        shown[account] += one.open
    other = sorted(one for one in owed.keys() | shown.keys() if owed.get(one, 0) != shown.get(one, 0))
    same = len(owed.keys() | shown.keys()) - len(other)
    named = "".join(
        f"; {one} owes {owed.get(one, Decimal(0)):.2f} by the books, {shown.get(one, Decimal(0)):.2f} by documents"
        for one in other[:_NAMED]
    )
    return (
        f". The open balance of {same} accounts is what they owe by the books of {run.source.name}, of {len(other)} "
        f"it is not (payments on account, other bookings){named}"
    )


def _changed(run: Run, since: datetime) -> set[str]:
    return {row.key for page in run.source.changed(Window(since, run.source.now())) for row in page}


def _in_words(span: tuple[date | None, date | None]) -> str:
    since, until = span
    return f"{since or 'since the beginning'} to {until or 'now'}"


def _sum(controls: Controls) -> str:
    sums: dict[str, Control] = defaultdict(lambda: _NOTHING)
    for (_, currency), one in controls.items():
        before = sums[currency]
        sums[currency] = Control(before.count + one.count, before.total + one.total, before.open + one.open)
    return ", ".join(f"{_figures(one)} {currency}" for currency, one in sorted(sums.items())) or "none"


def _figures(one: Control) -> str:
    return f"{one.count} worth {one.total:.2f} ({one.open:.2f} open)"


def _difference(run: Run, one: tuple[str, str], there: Controls, here: Controls) -> str:
    account, currency = one
    return (
        f"{account} has {_figures(there.get(one, _NOTHING))} {currency} in {run.source.name} and "
        f"{_figures(here.get(one, _NOTHING))} in {run.target.name}"
    )
