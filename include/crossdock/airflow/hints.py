"""``POST /crossdock/hints/PAIR``: the shop says that something has happened, so that nobody waits for the clock.

Only a hint: it wakes a flow, which then reads from its watermark as it always does. A lost or a forged
one could not change what is written. It needs no login; the shop signs it with the secret of the
connection ``crossdock_storefront`` (extra ``hint_secret``)::

    X-Crossdock-Timestamp: 1790000000
    X-Crossdock-Signature: hex(HMAC-SHA256(secret, "1790000000." + body))

    {"event": "order.placed", "at": "2026-09-21T14:13:20.000Z"}

Answers: 202 taken, 400 no event in it, 401 not signed with the secret or too old, 404 no such pair or no
secret, 408 too slow, 409 had before, 413 too large, 422 an event that wakes nothing, 503 try later.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from datetime import UTC, datetime, timedelta

import psycopg
from airflow.assets.manager import asset_manager
from airflow.serialization.definitions.assets import SerializedAssetUniqueKey
from airflow.utils.session import create_session
from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from crossdock.airflow import assets, door
from crossdock.airflow.pairs import Pair, pair_named
from crossdock.airflow.runtime import open_store
from crossdock.errors import CrossdockError, Misconfigured
from crossdock.store import hints

LIMIT = 64 * 1024
"""Bytes of a body. Reading ends with the first piece that goes beyond."""
TOLERANCE = timedelta(minutes=5)
"""Between the shop's clock and ours."""
PAUSE = timedelta(seconds=1)
"""Hints that come sooner after another are taken and not passed on."""
_PATIENCE = 5
"""Seconds within which a body has to come in."""

_WAKES = dict.fromkeys(("customer", "order", "order-edit", "payment"), "customers") | {
    "inventory": "inventory",
    "erp": "offline_orders",
    door.FEED: "inventory",
}
"""By what stands before the event's first dot. ``orders`` is woken in its turn when ``customers`` has settled, and
``inventory`` when ``orders`` has written. ``feed.inventory``: Airflow's own feed has seen stock move.
``erp.document.wished``: a buyer waits for a printed document."""

log = logging.getLogger(__name__)

app = FastAPI(title="Crossdock's hints", openapi_url=None)


@app.post("/{pair}", status_code=202)
async def take(request: Request, pair: str) -> None:
    """Pass a hint on to Airflow, see above."""
    try:
        known = pair_named(pair)
    except Misconfigured:
        raise HTTPException(404, "No hints are taken here.") from None
    sent_at, signature = _signed(request)
    body = await _body(request)
    await run_in_threadpool(_take, known, sent_at, signature, body)


def _signed(request: Request) -> tuple[str, bytes]:
    """When it says it was sent, and by whom. 401 if it says neither, or not today's time."""
    sent_at = request.headers.get("x-crossdock-timestamp", "")
    try:
        signature = bytes.fromhex(request.headers.get("x-crossdock-signature", ""))
    except ValueError:
        signature = b""
    now = datetime.now(UTC).timestamp()
    clear = sent_at.isascii() and sent_at.isdigit() and len(sent_at) < 12
    if not clear or len(signature) != 32 or abs(now - int(sent_at)) > TOLERANCE.total_seconds():
        raise HTTPException(401, "Not signed, or not at this time.")
    return sent_at, signature


async def _body(request: Request) -> bytes:
    """Of no more than LIMIT bytes, whatever its length says."""
    too_large = HTTPException(413, f"A hint has at most {LIMIT} bytes.")
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length[:12]) > LIMIT:
        raise too_large
    body = b""
    try:
        async with asyncio.timeout(_PATIENCE):
            async for part in request.stream():
                body += part
                if len(body) > LIMIT:
                    raise too_large
    except (TimeoutError, ClientDisconnect):
        raise HTTPException(408, "The hint did not come in.") from None
    return body


def _take(pair: Pair, sent_at: str, signature: bytes, body: bytes) -> None:
    secret = _secret(pair)
    if not hmac.compare_digest(door.signature(secret, sent_at, body), signature):
        raise HTTPException(401, "Not signed with the secret of this pair.")
    kind, flow = _woken(body)
    try:
        with open_store() as store:
            # a timestamp may lie ahead by the tolerance, and stays good for it once more
            if not hints.is_new(store, signature, datetime.fromtimestamp(int(sent_at), UTC), 3 * TOLERANCE):
                raise HTTPException(409, "This hint was taken before.")
            if kind == door.FEED:  # which rests by itself
                _wake(flow, pair, {"from_feed": True})
            elif hints.is_due(store, pair.name, flow, PAUSE):
                _wake(flow, pair, {})
            store.commit()
    except CrossdockError as error:
        log.warning("A hint of the shop (pair %s) was not passed on: %s", pair.name, error)
        raise HTTPException(503, "Try later.") from None
    except psycopg.Error as error:
        why = type(error).__name__
        log.warning("A hint of the shop (pair %s) was not passed on: the store says %s.", pair.name, why)
        raise HTTPException(503, "Try later.") from None


def _secret(pair: Pair) -> str:
    """What the shop signs with. 404 without one: then hints are not switched on."""
    secret = door.secret_of(pair)
    if not secret:
        log.warning(
            "A hint came in, but connection %s has no hint_secret. Give it one, and the shop the same as "
            "CROSSDOCK_HINT_SECRET, or take CROSSDOCK_HINT_URL from the shop.",
            pair.suffixed("crossdock_storefront"),
        )
        raise HTTPException(404, "No hints are taken here.")
    return secret


def _woken(body: bytes) -> tuple[str, str]:
    """The event's kind, and the flow that it stands for. Nothing else of the body is looked at."""
    try:
        event = json.loads(body)["event"]
        kind = event.partition(".")[0]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise HTTPException(400, "There is no event in it.") from None
    if kind not in _WAKES:
        raise HTTPException(422, "This event wakes nothing.")
    return kind, _WAKES[kind]


def _wake(flow: str, pair: Pair, extra: dict[str, bool]) -> None:
    """Tell Airflow, as its own ``POST /api/v2/assets/events`` does."""
    asset = assets.hint(flow, pair)
    with create_session(scoped=False) as session:
        given = asset_manager.register_asset_change(
            asset=SerializedAssetUniqueKey(asset.name, asset.uri), extra=extra, source_is_api=True, session=session
        )
    if given is None:
        raise Misconfigured(f"Airflow does not know the asset {asset.name} (yet). Is the DAG {flow} there?")
