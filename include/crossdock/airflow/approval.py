"""A question to a person, in the Airflow UI: may what is held of a flow be written?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowSkipException

from crossdock.airflow.notifiers import Question
from crossdock.airflow.pairs import Pair
from crossdock.airflow.runtime import open_store
from crossdock.errors import Stop
from crossdock.store import decisions, reports
from crossdock.sync.changes import in_words
from crossdock.sync.flow import Flow

if TYPE_CHECKING:
    from airflow.sdk import Context

APPROVE, REFUSE = "Approve", "Refuse"
SHOWN = 20
"""Records that the question lists; Crossdock's own page lists all."""
_LONGEST = 300


def ask(flow: Flow, pair: Pair, airflow_run: str) -> bool:
    """Open a question if there is something to ask. Raises Stop if one has been lost and its time is over."""
    with open_store() as store:
        lapsed = decisions.lapse(store, pair.name, flow.name)
        asks = not lapsed and decisions.ask(store, pair.name, flow.name, airflow_run)
        store.commit()
    if lapsed:
        raise Stop(_unanswered(flow, pair, lapsed))
    return asks


class Approval(HITLOperator):
    """Shows what is held of a flow, as a table, and waits for Approve or Refuse; parked, it takes no worker.

    The table is read and handed to Airflow in one go: nothing of it passes through XCom. Of records that hold personal
    data it says which fields change, not from what to what.
    """

    def __init__(self, *, flow: Flow, pair: Pair, **kwargs: Any) -> None:
        super().__init__(
            subject=f"{flow.name} ({pair.name}): may it be written?",
            options=[APPROVE, REFUSE],
            defaults=REFUSE,
            response_timeout=decisions.PATIENCE,
            notifiers=[Question()],
            **kwargs,
        )
        self._flow, self._pair = flow, pair

    def execute(self, context: Context) -> Any:
        with open_store() as store:
            names = self._pair.name, self._flow.name
            upto = decisions.asked(store, *names, context["dag_run"].run_id)
            rows = [] if upto is None else reports.held(store, *names, SHOWN, upto)
        if not rows:
            raise AirflowSkipException("It has been answered elsewhere, or is as usual by now.")
        self.subject = f"{self._flow.name} ({self._pair.name}): may {rows[0]['total']} held records be written?"
        self.body = body(self._flow, self._pair, rows)
        return super().execute(context)


def body(flow: Flow, pair: Pair, rows: Sequence[dict[str, Any]]) -> str:
    """The question in Markdown: the first records as a table, how many there are, and what the answers mean."""
    total, base = rows[0]["total"], conf.get("api", "base_url", fallback="").rstrip("/")
    page = f"{base}/crossdock/held/{quote(pair.name)}/{quote(flow.name)}"
    lines = [
        f"**{APPROVE}** writes exactly these {total}. **{REFUSE}** leaves the {flow.target} as it is, until they "
        f"change in the {flow.source} again. Unanswered after 24 hours counts as refused.",
        "",
        "| Record | Why | What would change |",
        "|---|---|---|",
        *(
            f"| {_cell(row['key'])} | {_cell(row['reason'])} "
            f"| {_cell(in_words(row['op'], row['changes'], values=not flow.personal))} |"
            for row in rows
        ),
        "",
        f"{'All of them' if len(rows) == total else f'The first {len(rows)} of {total}'}. "
        f"[Crossdock's page]({page}) shows what is held now.",
    ]
    return "\n".join(lines)


def answer(flow: Flow, pair: Pair, airflow_run: str, said: dict[str, Any]) -> int:
    """Do as a person has said, or nobody in time. Returns how many records were approved.

    Raises Stop, so that a person learns of it, when nobody has answered.
    """
    user = said["responded_by_user"]
    by = (user["name"] or user["id"]) if user else decisions.NOBODY
    approved = APPROVE in said["chosen_options"]
    with open_store() as store:
        upto = decisions.asked(store, pair.name, flow.name, airflow_run)
        if upto is None:
            raise AirflowSkipException("It has been answered elsewhere: this answer changes nothing.")
        count = (decisions.approve if approved else decisions.refuse)(store, pair.name, flow.name, upto, by)
        store.commit()
    if not user:
        raise Stop(_unanswered(flow, pair, count))
    return count if approved else 0


def _unanswered(flow: Flow, pair: Pair, count: int) -> str:
    return (
        f"{flow.name} ({pair.name}): nobody said within 24 hours whether {count} held records may be written, so they "
        f"are refused. The {flow.target} stays as it is until they change in the {flow.source} again. To write them "
        f"after all, trigger the DAG {pair.suffixed(flow.dag)} with force and their keys (Browse > Crossdock)."
    )


def _cell(text: str) -> str:
    """Other people's words, as text and nothing else."""
    short = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(short.split()))
