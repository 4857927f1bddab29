"""The pages under *Browse > Crossdock*: each domain's state, the runs' books, quarantine, proposals.

Plain HTML made here, no build step, nothing loaded from elsewhere. Behind Airflow's login.
"""

from __future__ import annotations

from datetime import datetime
from html import escape
from typing import Any

from airflow.api_fastapi.core_api.security import requires_authenticated
from fastapi import Depends, FastAPI
from fastapi.responses import HTMLResponse

from crossdock.airflow.runtime import open_store
from crossdock.errors import Retry
from crossdock.store import reports
from crossdock.sync.accounting import Books

app = FastAPI(title="Crossdock", dependencies=[Depends(requires_authenticated())])

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --bad: #c62828; --good: #2e7d32; --odd: #b26a00 }
body { font: 14px/1.45 system-ui, sans-serif; margin: 1.5rem; max-width: 80rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% } .wide { overflow-x: auto }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid var(--line) }
th { font-weight: 600; white-space: nowrap } td.n { text-align: right }
.success { color: var(--good) } .failed { color: var(--bad) } .planned, .running { color: var(--odd) }
.none { opacity: .7 }
"""


@app.get("/", response_class=HTMLResponse)
def overview() -> str:
    """Is each domain in step, what did the last runs do, what is set aside and why."""
    try:
        with open_store() as store:
            domains, runs = reports.domains(store), reports.runs(store)
            quarantine, proposals = reports.quarantined(store), reports.proposals(store)
    except Retry as error:
        return _page(f"<p class=failed>{escape(str(error))}</p>")
    return _page(_domains(domains) + _quarantine(quarantine) + _proposals(proposals) + _runs(runs))


@app.get("/plan/{run}", response_class=HTMLResponse)
def plan(run: int) -> str:
    """What a saved plan would write."""
    with open_store() as store:
        actions = reports.plan(store, run)
    rows = [[action["op"], action["key"], action["target_id"], action["payload"]] for action in actions]
    head = ["Action", "Record", "Target's id", "What it would be told"]
    how = f"<p>To apply exactly these, trigger the DAG with plan = {run}.</p>" if rows else ""
    return _page(_section(f"Plan {run}", head, rows, "Applied, superseded, or nothing to do.") + how)


def _domains(rows: list[dict[str, Any]]) -> str:
    head = ["Domain", "Pair", "Last run", "In step until", "Live", "Quarantined", "Waiting", "Held", ""]
    cells = [
        [
            row["flow"],
            row["pair"],
            _state(row["state"]),
            _time(row["in_step_until"]),
            row["live"],
            row["quarantined"],
            row["waiting"],
            row["held"],
            row["message"],
        ]
        for row in rows
    ]
    return _section("Domains", head, cells, "No run yet: trigger customers.")


def _quarantine(rows: list[dict[str, Any]]) -> str:
    head = ["Record", "Domain", "What is wrong", "What to do", "Seen", "Tries"]
    cells = [
        [
            row["key"],
            row["flow"],
            f"{row['code']}: {row['reason']}",
            row["remedy"],
            _time(row["last_seen"]),
            row["attempts"],
        ]
        for row in rows
    ]
    return _section("Quarantine", head, cells, "Nothing is quarantined.")


def _proposals(rows: list[dict[str, Any]]) -> str:
    cells = [[row["login"], f"{row['evidence']}: {row['value']}", _time(row["first_seen"])] for row in rows]
    return _section("Logins that want an account", ["Login", "Evidence", "Since"], cells, "No proposals.")


def _runs(rows: list[dict[str, Any]]) -> str:
    head = ["Run", "Domain", "Pair", "State", "Began", "Seconds", "Books", "Quality"]
    cells = [
        [
            row["id"],
            row["flow"],
            row["pair"],
            _state(row["state"]),
            _time(row["started_at"]),
            _seconds(row),
            _books(row),
            _quality(row["quality"]),
        ]
        for row in rows
    ]
    return _section("Runs", head, cells, "No run yet.")


class _Html(str):
    """Already escaped."""


def _page(body: str) -> str:
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Crossdock</title><style>{_STYLE}</style><h1>Crossdock</h1>{body}</html>"
    )


def _section(title: str, head: list[str], rows: list[list[Any]], empty: str) -> str:
    if not rows:
        return f"<h2>{title}</h2><p class=none>{escape(empty)}</p>"
    cells = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    heads = "".join(f"<th scope=col>{escape(name)}</th>" for name in head)
    return f"<h2>{title}</h2><div class=wide><table><thead><tr>{heads}</tr></thead><tbody>{cells}</tbody></table></div>"


def _cell(value: Any) -> str:
    if isinstance(value, _Html):
        return f"<td>{value}</td>"
    if isinstance(value, int | float):
        return f"<td class=n>{value}</td>"
    return f"<td>{escape(str(value or ''))}</td>"


def _state(state: str) -> _Html:
    return _Html(f"<span class={escape(state)}>{escape(state)}</span>")


def _time(value: datetime | None) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S} UTC" if value else ""


def _seconds(run: dict[str, Any]) -> float | str:
    return round((run["finished_at"] - run["started_at"]).total_seconds(), 1) if run["finished_at"] else ""


def _books(run: dict[str, Any]) -> str:
    line = Books.from_json(run["counts"]).line()
    if run["state"] == "planned":
        return _Html(f"<a href='plan/{run['id']}'>{escape(line)}</a>. {escape(run['message'] or '')}")
    return line if run["state"] == "success" else f"{line}. {run['message'] or ''}"


def _quality(quality: dict[str, Any] | None) -> str:
    if not quality:
        return "no batch"
    failed = [e["says"] or e["expectation"] for e in quality["expectations"] if not e["success"]]
    return "; ".join(failed) if failed else f"{len(quality['expectations'])} expectations met"
