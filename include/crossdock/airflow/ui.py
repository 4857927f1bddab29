"""The pages under *Browse > Crossdock*: each domain's state, the runs' books, quarantine, proposals.

Behind Airflow's login. To act on a record, or to see what is kept of it, a user must be allowed to
trigger the DAG of its flow.
"""

from __future__ import annotations

from html import escape
from typing import Annotated, Any
from urllib.parse import quote, urlsplit
from uuid import UUID

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag, requires_authenticated
from fastapi import Depends, FastAPI, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from crossdock.airflow import tables
from crossdock.airflow.html import link, page, section, time
from crossdock.airflow.pairs import pair_named, pairs
from crossdock.airflow.runtime import open_store
from crossdock.errors import Misconfigured, Refused, Retry
from crossdock.store import decisions, reports
from crossdock.store.statements import plain
from crossdock.sync.changes import in_words
from crossdock.sync.flows import FLOWS

app = FastAPI(title="Crossdock", dependencies=[Depends(requires_authenticated())])

_MOST = 1_000
"""Held records on one page."""

_DONE = {
    "replay": "It will be tried again.",
    "edit": "Your version is kept. It counts until the record changes in the source.",
    "withdraw": "The edited version ends; what the source says counts again.",
    "accept": "Accepted for one run: it sets aside the rows at fault and goes on with the others.",
    "approve": "Approved: what you were shown is written, what has changed since is asked anew.",
    "refuse": "Refused: the target stays as it is until these records change in the source again.",
}


@app.exception_handler(Retry)
def _store_is_away(request: Request, error: Exception) -> Response:
    return page(_alert(str(error)), 503)


@app.exception_handler(HTTPException)
def _turned_away(request: Request, error: HTTPException) -> Response:
    return page(_alert(str(error.detail)), error.status_code)


def _same_origin(request: Request) -> None:
    """Forms of this page only.

    The browser sends the login's cookie along with a form of any page of this site (SameSite=Lax stops
    other sites, not other ports or subdomains). It also says where the form stood, which no page can forge:
    in Sec-Fetch-Site, or, without TLS, in Origin.
    """
    site = request.headers.get("sec-fetch-site")
    origin = urlsplit(request.headers.get("origin", "")).netloc
    if site != "same-origin" if site else origin != request.headers.get("host"):
        raise HTTPException(403, "This form was not sent from a page of this Airflow.")


def _dag(pair: str, flow: str) -> str:
    """404 for what does not exist."""
    try:
        if flow in FLOWS:
            return pair_named(pair).suffixed(FLOWS[flow].dag)
    except Misconfigured:
        pass
    raise HTTPException(404, "There is no such domain.")


def _may_act(request: Request, user: Any, pair: str, flow: str) -> bool:
    try:
        requires_access_dag("POST", DagAccessEntity.RUN, _dag(pair, flow))(request, user)
    except HTTPException:
        return False
    return True


def _require_act(request: Request, user: GetUserDep, pair: str, flow: str) -> str:
    """The user's name, if he may act here."""
    dag = _dag(pair, flow)
    if not _may_act(request, user, pair, flow):
        raise HTTPException(403, f"To do this you must be allowed to trigger {dag}.")
    return user.get_name()


Author = Annotated[str, Depends(_require_act)]


# ---------------------------------------------------------------- overview


@app.get("/")
def overview(request: Request, user: GetUserDep, done: str = "", of: str = "") -> HTMLResponse:
    """Is each domain in step, what did the last runs do, what is set aside and why."""
    with open_store() as store:
        domains, runs, stops = reports.domains(store), reports.runs(store), reports.stops(store)
        quarantine, proposals = reports.quarantined(store), reports.proposals(store)
    return page(
        _said(request, done, of)
        + tables.domains(domains, _root(request))
        + "".join(_stop(request, user, stop, f"reason-{n}") for n, stop in enumerate(stops))
        + _quarantine(request, quarantine)
        + tables.proposals(proposals)
        + tables.runs(runs)
    )


@app.post("/accept/{pair}/{flow}", dependencies=[Depends(_same_origin)])
def accept(
    request: Request,
    pair: str,
    flow: str,
    author: Author,
    says: Annotated[str, Form()],
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Let the next batch pass although the last one was stopped for this."""
    try:
        with open_store() as store:
            decisions.accept(store, pair, flow, says, author, reason)
            store.commit()
    except Refused as error:
        return page(f"<p>{link(_root(request) + '/', 'All of Crossdock')}</p>{_alert(str(error))}", 422)
    return RedirectResponse(f"{_root(request)}/?done=accept&of={quote(_dag(pair, flow))}", 303)


@app.get("/held/{pair}/{flow}")
def held(request: Request, user: GetUserDep, pair: str, flow: str) -> HTMLResponse:
    """What waits for a person, with what would change, and what a person has refused."""
    return _held(request, pair, flow, _may_act(request, user, pair, flow))


@app.post("/held/{pair}/{flow}", dependencies=[Depends(_same_origin)])
def decide_held(
    request: Request, pair: str, flow: str, author: Author, act: Annotated[str, Form()], upto: Annotated[int, Form()]
) -> Response:
    """Approve or refuse what was shown, up to the number that was shown with it."""
    acts = {"approve": decisions.approve, "refuse": decisions.refuse}
    with open_store() as store:
        done = acts[act](store, pair, flow, upto, author) if act in acts else 0
        store.commit()
    if not done:
        return _held(request, pair, flow, True, "That has been decided meanwhile. This is how it is now.")
    return RedirectResponse(f"{_root(request)}/?done={act}&of={quote(_dag(pair, flow))}", 303)


def _held(request: Request, pair: str, flow: str, may: bool, alert: str = "") -> HTMLResponse:
    dag = _dag(pair, flow)
    with open_store() as store:
        rows, refused = reports.held(store, pair, flow, _MOST), reports.refused(store, pair, flow)
    values = may or not FLOWS[flow].personal
    cells = [
        [
            link(_to_record(request, pair, flow, row["key"]), row["key"]),
            row["reason"],
            in_words(row["op"], row["changes"], values),
            row["since"],
        ]
        for row in rows
    ]
    buttons = (
        f"<form method=post><input type=hidden name=upto value={rows[0]['last']}>"
        f"<button name=act value=approve>Approve all {rows[0]['total']}</button>"
        f"<button name=act value=refuse>Refuse all {rows[0]['total']}</button></form>"
        if rows and may
        else ""
    )
    said = [
        [
            link(_to_record(request, pair, flow, row["key"]), row["key"]),
            row["reason"],
            row["owner"],
            row["decided_at"],
        ]
        for row in refused
    ]
    rest = f"<p>The first {len(rows)} of {rows[0]['total']}.</p>" if rows and rows[0]["total"] > len(rows) else ""
    return page(
        f"<p>{link(_root(request) + '/', 'All of Crossdock')}</p>"
        + (_alert(alert) if alert else "")
        + ("" if may else f"<p class=none>{escape(_only(dag))}</p>")
        + section(
            f"Held of {flow} ({pair})", ["Record", "Why", "What would change", "Since"], cells, "Nothing is held."
        )
        + rest
        + buttons
        + section("Refused, the latest", ["Record", "Why", "By", "At"], said, "Nothing is refused."),
        422 if alert else 200,
    )


@app.get("/plan/{run}")
def plan(request: Request, user: GetUserDep, run: int) -> HTMLResponse:
    """What a saved plan would write."""
    with open_store() as store:
        actions = reports.plan(store, run)
    told = bool(actions) and _may_act(request, user, actions[0]["pair"], actions[0]["flow"])
    rows = [
        [action["op"], action["key"], action["target_id"], action["payload"] if told else "(for those who may run it)"]
        for action in actions
    ]
    head = ["Action", "Record", "Target's id", "What it would be told"]
    how = f"<p>To apply exactly these, trigger the DAG with plan = {run}.</p>" if rows else ""
    return page(section(f"Plan {run}", head, rows, "Applied, superseded, or nothing to do.") + how)


# ---------------------------------------------------------------- one record


@app.get("/record/{pair}/{flow}/{key:path}")
def record(request: Request, user: GetUserDep, pair: str, flow: str, key: str, done: str = "") -> HTMLResponse:
    """All that is known of one record; for those who may act, what is kept of it and what they can do."""
    return _record(
        request, pair, flow, key, _may_act(request, user, pair, flow), _said(request, done, _dag(pair, flow))
    )


@app.post("/record/{pair}/{flow}/{key:path}", dependencies=[Depends(_same_origin)])
def decide(
    request: Request,
    pair: str,
    flow: str,
    key: str,
    author: Author,
    act: Annotated[str, Form()],
    payload: Annotated[str, Form()] = "",
    version: Annotated[UUID | None, Form()] = None,
) -> Response:
    """Replay, edit or withdraw. What was typed is shown again when it is refused."""
    key = plain(key)
    try:
        with open_store() as store:
            if act == "edit":
                decisions.edit(store, pair, flow, key, payload, author, version)
            elif act == "withdraw":
                decisions.withdraw(store, pair, flow, key, author)
            elif act != "replay":
                raise Refused("There is no such button.")
            elif not decisions.replay(store, pair, flow, [key], author):
                raise Refused(f"{key} is not in quarantine (any more), or has no number to ask the source for.")
            store.commit()
    except Refused as error:
        now = link(_to_record(request, pair, flow, key), "Show it as it is now.")
        return _record(request, pair, flow, key, True, f"{_alert(str(error))}<p>{now}</p>", (payload, version))
    return RedirectResponse(f"{_to_record(request, pair, flow, key)}?done={act}", 303)


def _record(
    request: Request,
    pair: str,
    flow: str,
    key: str,
    may: bool,
    said: str,
    refused: tuple[str, UUID | None] | None = None,
) -> HTMLResponse:
    """``refused``: what was typed, and the version of the record it was typed over."""
    key = plain(key)
    with open_store() as store:
        journey, row = reports.journey(store, pair, flow, key), reports.quarantined_record(store, pair, flow, key)
    parts = [
        f"<p>{link(_root(request) + '/', 'All of Crossdock')}</p>",
        f"<h2>{escape(pair_named(pair).suffixed(flow))} {escape(key)}</h2>{said}",
    ]
    if row:
        parts.append(_fault(row))
        parts.append(_forms(row, refused) if may else f"<p class=none>{escape(_only(_dag(pair, flow)))}</p>")
    if may and any(one["state"] != "withdrawn" for one in journey["override"]):
        parts.append(
            "<form method=post><button name=act value=withdraw>End the edited version</button></form>"
            "<p class=none>The next run takes what the source says.</p>"
        )
    if not any(journey.values()):
        parts.append(f"<p class=none>Nothing is known of it. Trigger the DAG with keys = {escape(key)}.</p>")
    parts += [
        section(place.capitalize(), (_words(name) for name in rows[0]), [list(row.values()) for row in rows], "")
        for place, rows in journey.items()
        if rows
    ]
    return page("".join(parts), 422 if refused else 200 if any(journey.values()) else 404)


def _fault(row: dict[str, Any]) -> str:
    again = f" To be tried again: {row['owner']}, {time(row['asked_at'])}." if row["replay"] else ""
    return (
        f"<p><strong>{escape(row['code'])}: {escape(row['reason'])}</strong> {escape(row['remedy'])}</p>"
        f"<p class=none>Tries: {row['attempts']}, last {time(row['last_seen'])}.{escape(again)}</p>"
    )


def _forms(row: dict[str, Any], refused: tuple[str, UUID | None] | None) -> str:
    text, version = refused or (decisions.readable(row["payload"]), row["raw_hash"])
    replay = "<button name=act value=replay>Try again as it is in the source</button>"
    if why := decisions.why_not_editable(row):
        shown = f"<pre>{escape(text)}</pre>" if text else ""
        return f"<p>{escape(why)}</p>{shown}<form method=post>{replay}</form>"
    return (
        "<form method=post>"
        "<label for=payload>The record. Your version counts until the source's own changes.</label>"
        f"<textarea id=payload name=payload spellcheck=false autocomplete=off>\n{escape(text)}</textarea>"
        f"<input type=hidden name=version value='{version or ''}'>"
        f"<button name=act value=edit>Save my version</button>{replay}</form>"
    )


# ---------------------------------------------------------------- parts of pages


def _root(request: Request) -> str:
    return str(request.scope.get("root_path", ""))


def _to_record(request: Request, pair: str, flow: str, key: str) -> str:
    return f"{_root(request)}/record/{quote(pair)}/{quote(flow)}/{quote(key, safe='')}"


def _said(request: Request, done: str, dag: str) -> str:
    """That it was done, and who takes it up when."""
    if done not in _DONE or dag not in {pair.suffixed(flow.dag) for pair in pairs() for flow in FLOWS.values()}:
        return ""
    to = link(f"{request.scope.get('app_root_path', '')}/dags/{quote(dag)}", f"trigger {dag} to have it done now")
    return f"<p role=status>{_DONE[done]} The next run takes it up: {to}.</p>"


def _alert(words: str) -> str:
    return f"<p role=alert>{escape(words)}</p>"


def _only(dag: str) -> str:
    return f"Those who may trigger {dag} see the record here and can act on it."


def _stop(request: Request, user: Any, stop: dict[str, Any], name: str) -> str:
    """Why the gate stopped the last run, and a form to let the next one pass."""
    pair, flow = stop["pair"], stop["flow"]
    if stop["author"]:
        how = f"<p>Accepted for the next run by {escape(stop['author'])}: {escape(stop['reason'])}</p>"
    elif not stop["acceptable"]:
        how = "<p>Correct the records in the source; the next run reads them again.</p>"
    elif not _may_act(request, user, pair, flow):
        how = "<p>Correct the records in the source; who may trigger this DAG can also let the others pass.</p>"
    else:
        how = (
            "<p>Correct the records in the source, or let the next run pass: it sets aside the rows at fault and "
            "goes on with the others.</p>"
            f"<form method=post action='{escape(_root(request))}/accept/{quote(pair)}/{quote(flow)}'>"
            f"<input type=hidden name=says value='{escape(stop['says'])}'>"
            f"<label for={name}>Why it may pass (kept with the rows)</label>"
            f"<input id={name} name=reason required maxlength=500 autocomplete=off><button>Accept</button></form>"
        )
    window = "" if stop["scope"] == "*" else f", {stop['scope']}"
    title = f"{flow} ({pair}{window}) was stopped by the quality gate"
    why = f"<p>Run {stop['run']}: {escape(stop['text'])}.</p>"
    return f"<section><h2 class=failed>{escape(title)}</h2>{why}{how}</section>"


def _quarantine(request: Request, rows: list[dict[str, Any]]) -> str:
    head = ["Record", "Domain", "What is wrong", "What to do", "Seen", "Tries", "To be tried again"]
    cells = [
        [
            link(_to_record(request, row["pair"], row["flow"], row["key"]), row["key"]),
            row["flow"],
            f"{row['code']}: {row['reason']}",
            row["remedy"],
            row["last_seen"],
            row["attempts"],
            row["owner"] if row["replay"] else "",
        ]
        for row in rows
    ]
    return section("Quarantine", head, cells, "Nothing is quarantined.")


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()
