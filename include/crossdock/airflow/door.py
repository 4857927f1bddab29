"""How a hint is signed and given at ``/crossdock/hints/PAIR`` (hints.py), by Airflow's own processes too."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time

import requests
from airflow.sdk import BaseHook
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowNotFoundException

from crossdock.airflow.pairs import Pair

FEED = "feed"
"""The kind of hint that the ERP's feed gives (feed.py)."""
PATIENCE = 2.0
"""Seconds for an answer."""

log = logging.getLogger(__name__)


def signature(secret: str, sent_at: str, body: bytes) -> bytes:
    """Of a hint that says it was sent then (seconds since 1970)."""
    return hmac.digest(secret.encode(), sent_at.encode() + b"." + body, hashlib.sha256)


def secret_of(pair: Pair) -> str:
    """What hints of this pair are signed with; empty where they are not switched on."""
    try:
        connection = BaseHook.get_connection(pair.suffixed("crossdock_storefront"))
    except AirflowNotFoundException:
        return ""
    return str(connection.extra_dejson.get("hint_secret") or "")


def knock(pair: Pair, event: str) -> bool:
    """Give a hint to Airflow's API server at its ``base_url``. False if it was not taken; the log says why.

    Never raises: whoever knocks has another way.
    """
    url = conf.get("api", "base_url", fallback="")
    try:
        secret = secret_of(pair)
        if not url or not secret:
            log.info("No hints are given to %s: it has no base_url, or pair %s no hint_secret.", url, pair.name)
            return False
        sent_at, body = str(int(time.time())), json.dumps({"event": event, "at": time.time_ns()}).encode()
        headers = {
            "X-Crossdock-Timestamp": sent_at,
            "X-Crossdock-Signature": signature(secret, sent_at, body).hex(),
        }
        place = f"{url.rstrip('/')}/crossdock/hints/{pair.name}"
        answer = requests.post(place, body, headers=headers, timeout=PATIENCE, allow_redirects=False)
    except Exception as error:
        log.info("No hint was given at %s: %s", url, type(error).__name__)
        return False
    if answer.status_code != 202:
        log.info("Airflow at %s answers a hint with %d.", url, answer.status_code)
    return answer.status_code == 202
