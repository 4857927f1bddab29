"""Printed documents: fetched from the ERP when a buyer asks for one, since making one takes it seconds."""

from __future__ import annotations

import logging

from crossdock.errors import Reject, Retry
from crossdock.ports import Wish, Wishes
from crossdock.sync.run import Run
from crossdock.sync.steps import able

_PATIENCE = 3
"""So many failures in a row mean that a side is away, not that a document is hard to print."""

log = logging.getLogger(__name__)


def deliver(run: Run) -> str:
    """Bring the target every printed document that a buyer of it waits for; of what there is none, it is told so.

    One that cannot be had now does not hold up the others: it is wished for until it can. Says how many it were.
    Raises WritesOff when writing to the target is not approved, Retry when documents are left.
    """
    target: Wishes | None = able(run.target, "wishes")
    wished = [wish for page in target.wishes() for wish in page] if target else []
    if target is None or not wished:
        return "nobody waits for a document"
    run.store.require_writable(run, run.target.fingerprint())
    delivered = failed = in_a_row = 0
    for wish in wished:
        try:
            delivered += _deliver(run, target, wish)
            in_a_row = 0
        except Retry as error:
            failed, in_a_row = failed + 1, in_a_row + 1
            log.warning("%s: %s cannot be had now: %s", run, wish.ref, error)
            if in_a_row == _PATIENCE:
                break
    said = f"of {len(wished)} documents that buyers wait for {delivered} were delivered"
    if failed:
        raise Retry(f"{run}: {said}; the others are tried again. The log says why.")
    return said


def _deliver(run: Run, target: Wishes, wish: Wish) -> bool:
    try:
        target.deliver(wish.id, run.source.content(wish.ref))
        return True
    except Reject as error:
        log.warning("%s: %s is not to be had: %s %s", run, wish.ref, error.reason, error.remedy)
        target.deliver(wish.id, None)
        return False
