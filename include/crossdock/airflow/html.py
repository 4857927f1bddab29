"""Plain HTML made here: no build step, no script, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from html import escape
from typing import Any

from fastapi.responses import HTMLResponse

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --bad: #c62828; --good: #2e7d32; --odd: #b26a00 }
body { font: 14px/1.45 system-ui, sans-serif; margin: 1.5rem; max-width: 80rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% } .wide { overflow-x: auto }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid var(--line) }
th { font-weight: 600; white-space: nowrap } td.n { text-align: right }
.success { color: var(--good) } .failed { color: var(--bad) } .planned, .running { color: var(--odd) }
.none { opacity: .7 }
label { display: block; font-weight: 600; margin: .8rem 0 .3rem }
textarea, input { font: inherit; width: 100%; box-sizing: border-box; padding: .5rem }
textarea, pre { font-family: ui-monospace, monospace; overflow-wrap: anywhere }
textarea { min-height: 22rem } pre { white-space: pre-wrap }
button { font: inherit; padding: .5rem 1rem; margin: .6rem .6rem 0 0; min-height: 2.75rem }
[role=status], [role=alert] { border-left: .3rem solid var(--good); padding: .4rem .8rem; margin: 1rem 0 }
[role=alert] { border-color: var(--bad) }
"""

_HEADERS = {
    "Cache-Control": "no-store",  # records may hold personal data
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'self'; base-uri 'none'",
}


class Html(str):
    """Already escaped."""


def page(body: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Crossdock</title><style>{_STYLE}</style><main><h1>Crossdock</h1>{body}</main></html>",
        status,
        _HEADERS,
    )


def section(title: str, head: Iterable[str], rows: list[list[Any]], empty: str) -> str:
    """A heading and a table, or one sentence where there is nothing to show."""
    if not rows:
        return f"<h2>{escape(title)}</h2><p class=none>{escape(empty)}</p>"
    cells = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    heads = "".join(f"<th scope=col>{escape(name)}</th>" for name in head)
    return (
        f"<h2>{escape(title)}</h2>"
        f"<div class=wide><table><thead><tr>{heads}</tr></thead><tbody>{cells}</tbody></table></div>"
    )


def _cell(value: Any) -> str:
    if isinstance(value, Html):
        return f"<td>{value}</td>"
    if isinstance(value, bool):
        return f"<td>{'yes' if value else ''}</td>"
    if isinstance(value, int | float):
        return f"<td class=n>{value}</td>"
    if isinstance(value, datetime):
        return f"<td>{time(value)}</td>"
    if isinstance(value, list):
        return f"<td>{escape(', '.join(map(str, value)))}</td>"
    return f"<td>{escape(str(value or ''))}</td>"


def link(to: str, words: str) -> Html:
    return Html(f"<a href='{escape(to)}'>{escape(words)}</a>")


def time(value: datetime | None) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S} UTC" if value else ""
