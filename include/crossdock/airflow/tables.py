"""The tables of the overview: domains, proposals, runs. From the store's reports to HTML."""

from __future__ import annotations

from html import escape
from typing import Any
from urllib.parse import quote

from crossdock.airflow.html import Html, link, section
from crossdock.sync.accounting import Books


def domains(rows: list[dict[str, Any]], root: str) -> str:
    head = ["Domain", "Pair", "Last run", "In step until", "Live", "Quarantined", "Waiting", "Held", "Refused", ""]
    cells = [
        [
            row["flow"],
            row["pair"],
            _state(row["state"]),
            row["in_step_until"],
            row["live"],
            row["quarantined"],
            row["waiting"],
            _to_held(row, root, row["held"]),
            _to_held(row, root, row["refused"]),
            row["message"],
        ]
        for row in rows
    ]
    return section("Domains", head, cells, "No run yet: trigger customers.")


def _to_held(row: dict[str, Any], root: str, count: int) -> int | Html:
    return link(f"{root}/held/{quote(row['pair'])}/{quote(row['flow'])}", str(count)) if count else 0


def proposals(rows: list[dict[str, Any]]) -> str:
    cells = [[row["login"], f"{row['evidence']}: {row['value']}", row["first_seen"]] for row in rows]
    return section("Logins that want an account", ["Login", "Evidence", "Since"], cells, "No proposals.")


def runs(rows: list[dict[str, Any]]) -> str:
    head = ["Run", "Domain", "Pair", "State", "Began", "Seconds", "Books", "Quality"]
    cells = [
        [
            row["id"],
            row["flow"] if row["scope"] == "*" else f"{row['flow']} {row['scope']}",
            row["pair"],
            _state(row["state"]),
            row["started_at"],
            _seconds(row),
            _books(row),
            _quality(row["quality"]),
        ]
        for row in rows
    ]
    return section("Runs", head, cells, "No run yet.")


def _state(state: str) -> Html:
    return Html(f"<span class={escape(state)}>{escape(state)}</span>")


def _seconds(run: dict[str, Any]) -> float | str:
    return round((run["finished_at"] - run["started_at"]).total_seconds(), 1) if run["finished_at"] else ""


def _books(run: dict[str, Any]) -> str:
    line = Books.from_json(run["counts"]).line()
    if run["state"] == "planned":
        return Html(f"{link('plan/' + str(run['id']), line)}. {escape(run['message'] or '')}")
    return line if run["state"] == "success" else f"{line}. {run['message'] or ''}"


def _quality(quality: dict[str, Any] | None) -> str:
    if not quality:
        return "no batch"
    failed = [e["says"] or e["expectation"] for e in quality["expectations"] if not e["success"]]
    return "; ".join(failed) if failed else f"{len(quality['expectations'])} expectations met"
