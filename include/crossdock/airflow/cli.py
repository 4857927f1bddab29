"""The command ``crossdock``: what an engineer does outside the Airflow UI."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from crossdock.errors import CrossdockError, Misconfigured
from crossdock.sync.flows import FLOWS

SIDES = ("erp", "storefront")


def main(arguments: list[str] | None = None) -> int:
    """Run one command. 0: done. 1: something is wrong, and the text says what to do."""
    options = _parser().parse_args(arguments)
    # outside a task, Airflow looks connections up in its database only for its own servers
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    try:
        return int(options.run(options) or 0)
    except CrossdockError as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="crossdock", description="Keeps an ERP and a storefront in step.")
    parser.add_argument("--pair", default="default", help="the pair of ERP and shop (default: default)")
    commands = parser.add_subparsers(required=True, metavar="command")

    upgrade = commands.add_parser("db-upgrade", help="bring the store's schema up to date")
    upgrade.add_argument("--dsn", help="instead of Airflow's connection crossdock_db")
    upgrade.set_defaults(run=_upgrade)

    target = commands.add_parser("target", help="who may be written to")
    target.add_argument(
        "do", choices=("show", "approve", "on", "off"), help="approve: exactly the system connected now"
    )
    target.add_argument("side", choices=sorted({flow.target for flow in FLOWS.values()}))
    target.set_defaults(run=_target)

    doctor = commands.add_parser("doctor", help="look over connections, store and approvals")
    doctor.set_defaults(run=_doctor)

    explain = commands.add_parser("explain", help="all that is known of one record")
    explain.add_argument("flow", choices=sorted(FLOWS))
    explain.add_argument("key")
    explain.set_defaults(run=_explain)

    plan = commands.add_parser("plan", help="what a saved plan would write")
    plan.add_argument("number", type=int)
    plan.set_defaults(run=_plan)

    links = commands.add_parser("links-rebuild", help="forget the ledger of a flow; its next run adopts by natural key")
    links.add_argument("flow", choices=sorted(FLOWS))
    links.set_defaults(run=_links)
    return parser


@contextmanager
def _store(dsn: str | None = None) -> Iterator[Any]:
    import psycopg

    if dsn:
        with psycopg.connect(dsn) as connection:
            yield connection
    else:
        from crossdock.airflow.runtime import open_store

        with open_store() as connection:
            yield connection
            connection.commit()


def _upgrade(options: argparse.Namespace) -> None:
    from crossdock.store.migrations import upgrade

    with _store(options.dsn) as connection:
        applied = upgrade(connection)
    print(f"applied {', '.join(applied)}" if applied else "up to date")


def _target(options: argparse.Namespace) -> int:
    from crossdock.airflow.pairs import pair_named
    from crossdock.airflow.runtime import fingerprint
    from crossdock.store.postgres import approve_target, switch_target

    pair, who = pair_named(options.pair), getpass.getuser()
    with _store() as connection:
        if options.do == "approve":
            here = fingerprint(options.side, pair)
            approve_target(connection, pair.name, options.side, here, who)
            print(f"writing to {here} is approved for pair {pair.name}")
        elif options.do in ("on", "off"):
            if not switch_target(connection, pair.name, options.side, options.do == "on", who):
                raise Misconfigured(
                    f"The {options.side} of pair {pair.name} was never approved: "
                    f"say 'crossdock --pair {pair.name} target approve {options.side}'."
                )
            print(f"writing to the {options.side} of pair {pair.name} is {options.do}")
        else:
            rows = connection.execute(
                """
                SELECT fingerprint, write_enabled, changed_by, changed_at
                FROM crossdock.target
                WHERE (pair, side) = (%s, %s)
                """,
                (pair.name, options.side),
            ).fetchall()
            lines = [f"{told}: {'on' if on else 'off'}, by {by} at {at}" for told, on, by, at in rows]
            print("\n".join(lines) or "not approved")
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from airflow.sdk import BaseHook

    from crossdock.airflow.pairs import pair_named
    from crossdock.airflow.runtime import fingerprint

    pair, wrong = pair_named(options.pair), 0
    for side in SIDES:
        conn_id = pair.suffixed(f"crossdock_{side}")
        try:
            hook: Any = BaseHook.get_hook(conn_id)
            good, text = hook.test_connection()
        except Exception as error:
            good, text = False, f"{type(error).__name__}: {error}"
        wrong += not good
        print(f"{'ok  ' if good else 'FAIL'} {conn_id}: {text}")
    with _store() as connection:
        rows = connection.execute(
            "SELECT side, fingerprint FROM crossdock.target WHERE pair = %s AND write_enabled", (pair.name,)
        )
        approved = dict(rows.fetchall())
    print("ok   crossdock_db: the store answers")
    here = fingerprint("storefront", pair)
    good = approved.get("storefront") == here
    wrong += not good
    print(
        f"{'ok  ' if good else 'FAIL'} writing to the storefront: "
        + ("approved" if good else f"not approved for {here}: crossdock --pair {pair.name} target approve storefront")
    )
    print(f"{'ok  ' if pair.go_live else 'note'} go_live: {pair.go_live or 'not set: orders will not be written'}")
    return 1 if wrong else 0


def _explain(options: argparse.Namespace) -> int:
    from crossdock.store.reports import journey

    with _store() as connection:
        found = journey(connection, options.pair, options.flow, options.key)
    if not any(found.values()):
        print(
            f"{options.flow} {options.key}: nothing is known. "
            f"Trigger {options.flow} with keys = [{options.key!r}] to read it now."
        )
        return 1
    for place, rows in found.items():
        for row in rows:
            print(
                f"{place}: "
                + ", ".join(f"{name} {value}" for name, value in row.items() if value not in (None, "", False))
            )
    return 0


def _plan(options: argparse.Namespace) -> int:
    from crossdock.store.reports import plan

    with _store() as connection:
        actions = plan(connection, options.number)
    for action in actions:
        print(f"{action['op']} {action['key']} {action['payload']}")
    print(f"{len(actions)} actions. Trigger the DAG with plan = {options.number} to apply exactly these.")
    return 0 if actions else 1


def _links(options: argparse.Namespace) -> None:
    from crossdock.airflow.pairs import pair_named
    from crossdock.store.postgres import forget_links

    with _store() as connection:
        forget_links(connection, pair_named(options.pair).name, options.flow)
    print(f"The links of {options.flow} are forgotten. Its next run adopts what the target holds and ends as a plan.")
