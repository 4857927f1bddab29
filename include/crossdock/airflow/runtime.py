"""Puts real systems into a Run: the one place where ports meet Airflow's connections."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import date
from functools import cached_property
from typing import Any

from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk import BaseHook, get_current_context
from airflow.sdk.exceptions import AirflowNotFoundException
from psycopg import Connection, OperationalError

from crossdock.airflow.pairs import Pair
from crossdock.connectors import connector, port
from crossdock.errors import Misconfigured, Retry
from crossdock.ports import Stirrings
from crossdock.quality.gate import ExpectationsGate
from crossdock.store.postgres import PostgresStore
from crossdock.store.price_sources import SOURCES
from crossdock.store.prices import PriceBook
from crossdock.store.runs import holder
from crossdock.sync.availability import Availability
from crossdock.sync.flow import Flow, Side
from crossdock.sync.flows import FLOWS, INVENTORY, PRICES
from crossdock.sync.run import Request, Run
from crossdock.sync.stream import OpenGate, Sides, Stream

STORE = "crossdock_db"


@contextmanager
def open_store() -> Iterator[Connection[Any]]:
    """A connection to the store, through Airflow's connection ``crossdock_db``. Raises Retry when it is away."""
    try:
        connection: Any = PostgresHook(STORE).get_conn()
    except AirflowNotFoundException:
        raise _unknown(STORE) from None
    except OperationalError as error:
        raise Retry(f"The store (connection {STORE}) is away: {error}") from error
    try:
        yield connection
    finally:
        connection.close()


def system(side: str, pair: Pair) -> Any:
    """The connector behind ``crossdock_erp``, ``crossdock_storefront`` or ``crossdock_3pl`` of this pair."""
    return _system(pair.suffixed(f"crossdock_{side}"))


def _system(conn_id: str) -> Any:
    return connector(_known(conn_id))


class Systems:
    """The systems of a pair, each of them connected once, when it is first asked for."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._connected: dict[str, Any] = {}

    def __getitem__(self, side: str) -> Any:
        if side not in self._connected:
            self._connected[side] = system(side, self._pair)
        return self._connected[side]


def availability(pair: Pair) -> Availability:
    """The source of the flow ``inventory``: the ERP, the feeds that the pair's rules name, and the shop."""
    return _availability(pair, system("erp", pair), system("storefront", pair))


def _availability(pair: Pair, erp: Any, shop: Any) -> Availability:
    name = INVENTORY.name
    feeds = {rule.feed: port(_system(rule.feed), name) for rule in pair.stock if rule.feed}
    return Availability(port(erp, name), port(shop, name), pair.stock, feeds)


@contextmanager
def price_book(pair: Pair) -> Iterator[PriceBook]:
    """The ERP's price rules as they are kept in the store, and what they come to."""
    with open_store() as connection:
        yield PriceBook(connection, pair.name, port(system("erp", pair), PRICES.name), pair.overlap)


@contextmanager
def source(flow: Flow, pair: Pair, systems: Systems | None = None) -> Iterator[Any]:
    """The side that this flow reads from."""
    systems = systems or Systems(pair)
    if flow.name == INVENTORY.name:
        yield _availability(pair, systems["erp"], systems["storefront"])
    elif flow.name in SOURCES:
        with price_book(pair) as book:
            yield SOURCES[flow.name](book)
    else:
        yield port(systems[flow.source], flow.name)


def stirrings(erp: Any) -> Stirrings:
    """What this ERP says of changes at little cost. Raises Misconfigured when its connector cannot."""
    told: Stirrings | None = getattr(erp, "stirrings", None)
    if told is None:
        raise Misconfigured(f"The connector {type(erp).__name__} cannot say at little cost whether anything changes.")
    return told


def connected(side: Side, pair: Pair) -> bool:
    """Whether this pair has a system on this side at all."""
    try:
        BaseHook.get_connection(pair.suffixed(f"crossdock_{side}"))
    except AirflowNotFoundException:
        return False
    return True


def _known(conn_id: str) -> Any:
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise _unknown(conn_id) from None


def _unknown(conn_id: str) -> Misconfigured:
    return Misconfigured(
        f"There is no connection {conn_id}. Create it in Admin > Connections; docs/operating.md says how."
    )


def fingerprint(side: Side, pair: Pair) -> str:
    """Which system is connected on this side now: what a write approval is given for."""
    flow = next(flow for flow in FLOWS.values() if flow.target == side)
    told: str = port(system(side, pair), flow.name).fingerprint()
    return told


@contextmanager
def open_run(flow: Flow, pair: Pair, dates: tuple[date, date] | None = None) -> Iterator[Run]:
    """The Run of the task that is at work, between the systems this deployment is connected to.

    ``dates``: the window of a backfill; without them what the params say.
    """
    if flow.name != INVENTORY.name:
        _give_way()
    context = get_current_context()
    asked, systems = request(context["params"], dates), Systems(pair)
    with open_store() as connection, ExitStack() as opened:
        yield Run(
            pair=pair.name,
            flow=replace(flow, overlap=pair.overlap),
            airflow_run=context["dag_run"].run_id,
            source=_Later(lambda: opened.enter_context(source(flow, pair, systems))),
            target=_Later(lambda: port(systems[flow.target], flow.name)),
            store=PostgresStore(connection),
            gate=_Later(lambda: ExpectationsGate(PostgresHook(STORE).get_uri())),
            request=asked,
            scope=asked.scope,
            go_live=pair.go_live,
            asked_at=context["dag_run"].start_date,
        )


def _give_way() -> None:
    """Stock is in a hurry: where cores are few, the tasks of other flows are to wait for it."""
    os.setpriority(os.PRIO_PROCESS, 0, max(10, os.getpriority(os.PRIO_PROCESS, 0)))


@contextmanager
def open_stream(pair: Pair, name: str) -> Iterator[Stream]:
    """The stream of ``inventory`` for the task of this name, which no other has had."""
    flow = replace(INVENTORY, overlap=pair.overlap)
    with open_store() as connection:
        store = PostgresStore(connection)

        def connect() -> Sides:
            erp, shop = system("erp", pair), system("storefront", pair)
            source, target = _availability(pair, erp, shop), port(shop, flow.name)

            def begin(name: str, request: Request) -> Run:
                return Run(pair.name, flow, name, source, target, store, OpenGate(), request)

            return Sides(port(erp, flow.name), target, stirrings(erp), begin)

        yield Stream(name, connect, lambda: holder(connection, pair.name, flow.name))


class _Later:
    """Made when it is first used: most steps talk to one system or none."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    @cached_property
    def _made(self) -> Any:
        return self._make()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)


def request(params: Any, dates: tuple[date, date] | None = None) -> Request:
    """What the person who triggered the run asked for. Raises Misconfigured when that cannot be done together."""
    asked = Request(
        mode=params["mode"],
        full=params.get("full", False),
        keys=tuple(params.get("keys", ())),
        force=params["force"],
        plan=params.get("plan"),
        dates=dates or _dates(params.get("since"), params.get("until")),
    )
    if asked.dates and (asked.full or asked.keys):
        raise Misconfigured("Either since and until, or keys, or full: a run reads in one way.")
    return asked


def _dates(since: str | None, until: str | None) -> tuple[date, date] | None:
    if not since and not until:
        return None
    try:
        dates = date.fromisoformat(since or ""), date.fromisoformat(until or "")
    except ValueError:
        raise Misconfigured("Give both since and until, as dates: 2026-01-01 and 2026-02-01.") from None
    if dates[0] >= dates[1]:
        raise Misconfigured(f"until is the first day that is left out: there is no day from {since} to before {until}.")
    return dates
