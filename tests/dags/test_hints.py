"""What the shop may tell Airflow: signed, once, small, and never more than *something has happened*."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import psycopg
import pytest
import sqlalchemy
from airflow.models import import_all_models
from airflow.models.asset import AssetActive, AssetEvent, AssetModel
from airflow.models.base import Base
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from crossdock.airflow import assets, door, hints, ui
from crossdock.airflow.pairs import Pair
from crossdock.store.migrations import upgrade
from sandbox.place import ROOT

SECRET = "a secret of sixteen or more"
PLACED = {"event": "order.placed", "at": "2026-11-24T10:00:00.000Z", "email": "ada@example.com"}


@pytest.fixture(scope="module")
def dsn(pg) -> str:
    dsn = pg.create_database("hints")
    with psycopg.connect(dsn) as db:
        upgrade(db)
    return dsn


@pytest.fixture(scope="module")
def metadata(pg):
    """Airflow's own tables, with the assets that hints are given for."""
    engine = sqlalchemy.create_engine(pg.create_database("hints_airflow").replace("://", "+psycopg2://", 1))
    import_all_models()
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        for domain in ("customers", "inventory", "offline_orders"):
            asset = assets.hint(domain, Pair())
            session.add(AssetModel(name=asset.name, uri=asset.uri, group="", extra={}))
            session.flush()
            session.add(AssetActive(name=asset.name, uri=asset.uri))
        session.commit()
    yield engine
    engine.dispose()


@pytest.fixture
def airflow(dsn, metadata, monkeypatch):
    """``events()``: how many Airflow has been given. ``store``: the store. Both begin empty."""

    @contextmanager
    def create_session(scoped):
        with Session(metadata) as session, session.begin():
            yield session

    monkeypatch.setattr(hints, "create_session", create_session)
    monkeypatch.setenv("AIRFLOW_CONN_CROSSDOCK_DB", dsn)
    connect(monkeypatch, hint_secret=SECRET)
    with (
        Session(metadata) as session,
        psycopg.connect(dsn, autocommit=True, options="-c search_path=crossdock") as db,
    ):
        session.execute(sqlalchemy.delete(AssetEvent))
        session.commit()
        db.execute("TRUNCATE hint, hinted")

        def events() -> int:
            with Session(metadata) as fresh:
                return fresh.scalar(select(func.count()).select_from(AssetEvent))

        yield SimpleNamespace(events=events, store=db)


@pytest.fixture
def shop():
    return TestClient(hints.app)


def connect(monkeypatch, **extra):
    monkeypatch.setenv("AIRFLOW_CONN_CROSSDOCK_STOREFRONT", json.dumps({"conn_type": "medusa", "extra": extra}))


def signed(body, secret=SECRET, at=None):
    at = str(int(time.time() if at is None else at))
    signature = hmac.new(secret.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"X-Crossdock-Timestamp": at, "X-Crossdock-Signature": signature}


def send(shop, body=PLACED, pair="default", **how):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return shop.post(f"/{pair}", content=body, headers=signed(body, **how))


def unsaid(airflow):
    """Nothing has changed, here or in Airflow."""
    kept = airflow.store.execute("SELECT (SELECT count(*) FROM hint) + (SELECT count(*) FROM hinted)").fetchone()
    return airflow.events() == 0 and kept == (0,)


@pytest.mark.parametrize(
    "event", ["order.placed", "customer.created", "order-edit.confirmed", "payment.captured", "order.claim_created"]
)
def test_a_good_hint_wakes_customers_once(airflow, shop, metadata, event):
    answer = send(shop, {"event": event})
    assert (answer.status_code, answer.content) == (202, b"null")
    with Session(metadata) as session:
        [given] = session.scalars(select(AssetEvent)).all()
        assert given.uri == assets.hint("customers", Pair()).uri and given.extra == {}


def test_stock_in_the_shop_wakes_inventory(airflow, shop, metadata):
    assert send(shop, {"event": "inventory.inventory-level.updated"}).status_code == 202
    with Session(metadata) as session:
        [given] = session.scalars(select(AssetEvent)).all()
        assert given.uri == assets.hint("inventory", Pair()).uri


def test_a_print_that_a_buyer_waits_for_wakes_offline_orders(airflow, shop, metadata):
    assert send(shop, {"event": "erp.document.wished"}).status_code == 202
    with Session(metadata) as session:
        [given] = session.scalars(select(AssetEvent)).all()
        assert given.uri == assets.hint("offline_orders", Pair()).uri


def test_the_same_hint_counts_once(airflow, shop):
    body = json.dumps(PLACED).encode()
    headers = signed(body)
    assert shop.post("/default", content=body, headers=headers).status_code == 202
    airflow.store.execute("DELETE FROM hinted")  # the next would be passed on
    for again in (headers, {name: value.upper() for name, value in headers.items()}):
        assert shop.post("/default", content=body, headers=again).status_code == 409
    assert airflow.events() == 1


def test_a_flood_is_taken_and_passed_on_once_a_second(airflow, shop):
    began = time.monotonic()
    with ThreadPoolExecutor(8) as shops:
        answers = list(shops.map(lambda n: send(shop, {"event": "order.placed", "at": n}).status_code, range(40)))
    seen = airflow.events()
    assert set(answers) == {202} and 1 <= seen <= 1 + time.monotonic() - began
    airflow.store.execute("UPDATE hinted SET at = at - interval '1 second'")
    assert send(shop).status_code == 202 and airflow.events() == seen + 1


def test_airflows_own_feed_knocks_and_is_passed_on_each_time(airflow, shop, monkeypatch):
    def post(url, body, headers, **how):
        assert url == "https://airflow.example.com/crossdock/hints/default"
        return shop.post(url.removeprefix("https://airflow.example.com/crossdock/hints"), content=body, headers=headers)

    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com/")
    monkeypatch.setattr(door.requests, "post", post)
    assert door.knock(Pair(name="default"), "feed.inventory") and door.knock(Pair(name="default"), "feed.inventory")
    assert airflow.events() == 2
    assert not door.knock(Pair(name="default"), "nothing.known")
    connect(monkeypatch)
    assert not door.knock(Pair(name="default"), "feed.inventory")
    assert airflow.events() == 2


def test_nobody_at_the_door_is_no_error(monkeypatch, caplog):
    connect(monkeypatch, hint_secret=SECRET)
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://127.0.0.1:1")
    with caplog.at_level("INFO"):
        assert not door.knock(Pair(name="default"), "feed.inventory")
    assert "ConnectionError" in caplog.text and SECRET not in caplog.text


def test_what_is_remembered_of_hints_is_forgotten_when_they_are_too_old_to_count(airflow, shop):
    send(shop)
    airflow.store.execute("UPDATE hint SET sent_at = sent_at - interval '20 minutes'")
    send(shop, {"event": "order.updated"})
    assert airflow.store.execute("SELECT count(*) FROM hint").fetchone() == (1,)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_an_old_or_early_hint_is_refused_although_it_is_signed(airflow, shop, minutes):
    assert send(shop, at=time.time() + 60 * minutes).status_code == 401
    assert unsaid(airflow)


@pytest.mark.parametrize("minutes", [-4, 4])
def test_clocks_may_differ_by_minutes(airflow, shop, minutes):
    assert send(shop, at=time.time() + 60 * minutes).status_code == 202


def test_a_forged_hint_is_refused(airflow, shop):
    body = json.dumps(PLACED).encode()
    good = signed(body)
    later = str(int(good["X-Crossdock-Timestamp"]) + 1)
    forged = [
        signed(body, secret="guessed"),
        good | {"X-Crossdock-Timestamp": later},
        good | {"X-Crossdock-Signature": "00" * 32},
        good | {"X-Crossdock-Signature": good["X-Crossdock-Signature"][:-2]},
        good | {"X-Crossdock-Signature": "zz"},
        good | {"X-Crossdock-Signature": "é".encode("latin-1")},
        good | {"X-Crossdock-Timestamp": "-1"},
        good | {"X-Crossdock-Timestamp": "9" * 400},
        good | {"X-Crossdock-Timestamp": "²".encode("latin-1")},
        {"X-Crossdock-Timestamp": good["X-Crossdock-Timestamp"]},
        {"X-Crossdock-Signature": good["X-Crossdock-Signature"]},
        {},
    ]
    for headers in forged:
        assert shop.post("/default", content=body, headers=headers).status_code == 401, headers
    assert shop.post("/default", content=body + b" ", headers=good).status_code == 401
    assert unsaid(airflow)


def test_an_oversized_hint_is_refused_by_its_length(airflow, shop):
    assert send(shop, b'{"event": "order.placed"}'.ljust(hints.LIMIT + 1)).status_code == 413
    assert unsaid(airflow)
    assert send(shop, b'{"event": "order.placed"}'.ljust(hints.LIMIT)).status_code == 202


def test_an_oversized_hint_without_a_length_is_read_to_the_limit_only(airflow, shop):
    read = []

    def endless():
        while len(read) < 1000:
            read.append(1)
            yield b" " * 1024

    answer = shop.post("/default", content=endless(), headers=signed(b""))
    assert answer.status_code == 413 and unsaid(airflow)


@pytest.mark.anyio
async def test_nothing_is_read_beyond_the_limit(airflow):
    asked, answered = [], []

    async def receive():
        asked.append(1)
        return {"type": "http.request", "body": b" " * 1024, "more_body": True}

    async def answer(message):
        answered.append(message)

    headers = [(name.lower().encode(), value.encode()) for name, value in signed(b"").items()]
    scope = {
        "type": "http", "method": "POST", "path": "/default", "raw_path": b"/default", "query_string": b"",
        "headers": headers, "http_version": "1.1", "scheme": "http", "root_path": "",
    }  # fmt: skip
    await hints.app(scope, receive, answer)
    assert answered[0]["status"] == 413 and len(asked) == hints.LIMIT // 1024 + 1


@pytest.mark.parametrize("body", [b"", b"order.placed", b"[]", b"{}", b'{"event": 1}', b"\xff", b"[" * 60_000, b"null"])
def test_what_is_no_json_with_an_event_is_refused(airflow, shop, body):
    assert send(shop, body).status_code == 400
    assert unsaid(airflow)


def test_an_event_that_wakes_nothing_is_refused(airflow, shop):
    assert send(shop, {"event": "product.updated"}).status_code == 422
    assert unsaid(airflow)


def test_an_unknown_pair_takes_no_hints(airflow, shop):
    assert send(shop, pair="outlet").status_code == 404
    assert unsaid(airflow)


def test_without_a_secret_no_hint_is_taken_and_the_log_says_what_to_do(airflow, shop, monkeypatch, caplog):
    for extra in ({}, {"hint_secret": ""}, {"hint_secret": None}):
        connect(monkeypatch, **extra)
        assert send(shop, secret="").status_code == 404
        assert "has no hint_secret" in caplog.text
        caplog.clear()
    monkeypatch.delenv("AIRFLOW_CONN_CROSSDOCK_STOREFRONT")
    monkeypatch.setattr(door.BaseHook, "get_connection", _no_connection)
    assert send(shop).status_code == 404 and "has no hint_secret" in caplog.text
    monkeypatch.undo()
    assert unsaid(airflow)


def _no_connection(conn_id):
    raise door.AirflowNotFoundException(conn_id)


def test_a_hint_that_could_not_be_passed_on_may_come_again(airflow, shop, metadata, monkeypatch, caplog):
    body = json.dumps(PLACED).encode()
    headers = signed(body)
    with monkeypatch.context() as patch:
        patch.setattr(hints.assets, "hint", lambda flow, pair: SimpleNamespace(name="gone", uri="x-gone://"))
        assert shop.post("/default", content=body, headers=headers).status_code == 503
    with monkeypatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_CROSSDOCK_DB", "postgresql://nobody@127.0.0.1:9/none")
        assert shop.post("/default", content=body, headers=headers).status_code == 503
    assert "does not know the asset gone" in caplog.text and "is away" in caplog.text
    assert unsaid(airflow)
    assert shop.post("/default", content=body, headers=headers).status_code == 202


def test_a_store_without_the_tables_is_said(airflow, shop, pg, monkeypatch, caplog):
    monkeypatch.setenv("AIRFLOW_CONN_CROSSDOCK_DB", pg.create_database("hints_none"))
    assert send(shop).status_code == 503 and "UndefinedTable" in caplog.text


def test_nothing_that_was_sent_is_logged(airflow, shop, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    send(shop)
    send(shop, secret="guessed")
    connect(monkeypatch)
    send(shop)
    assert "ada@example.com" not in caplog.text and SECRET not in caplog.text


def test_it_needs_no_login_and_the_pages_beside_it_do(airflow, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "plugins"))
    from crossdock_plugin import CrossdockPlugin

    server = FastAPI()
    for part in CrossdockPlugin.fastapi_apps:
        server.mount(part["url_prefix"], part["app"])
    assert [part["app"] for part in CrossdockPlugin.fastapi_apps] == [hints.app, ui.app]
    client = TestClient(server)
    assert send(client, pair="crossdock/hints/default").status_code == 202
    assert client.get("/crossdock/").status_code == 401
    for path in ("openapi.json", "docs", "redoc"):
        assert client.get(f"/crossdock/hints/{path}").status_code in (404, 405)
