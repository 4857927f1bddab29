"""The command ``crossdock``: what an engineer does outside the Airflow UI."""

from __future__ import annotations

import argparse
import getpass
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossdock.errors import CrossdockError, Misconfigured, Refused, Reject
from crossdock.sync.flow import Side
from crossdock.sync.flows import FLOWS

if TYPE_CHECKING:
    from crossdock.airflow.pairs import Pair

SIDES: tuple[Side, ...] = ("erp", "storefront")
STOCK = "stock"
PRICE = "price"
"""What people call the figures of the flow ``inventory``."""


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

    explain = commands.add_parser(
        "explain", help="all that is known of one record; stock: every term of the figure; price: every rule that fits"
    )
    explain.add_argument("flow", choices=sorted([*FLOWS, STOCK, PRICE]))
    explain.add_argument("key", help="stock and price: a SKU")
    explain.add_argument("--account", help="price: for a buyer of this account (default: for a guest)")
    explain.add_argument("--quantity", type=int, default=1, help="price: of so many pieces (default: 1)")
    explain.set_defaults(run=_explain)

    quarantine = commands.add_parser("quarantine", help="what is set aside and why; with a record's number: all of it")
    quarantine.add_argument("flow", choices=sorted(FLOWS))
    quarantine.add_argument("key", nargs="?")
    quarantine.set_defaults(run=_quarantine)

    replay = commands.add_parser("replay", help="have quarantined records tried again by the next run")
    replay.add_argument("flow", choices=sorted(FLOWS))
    replay.add_argument("keys", nargs="*", metavar="key")
    replay.add_argument("--all", action="store_true", help="all that is in quarantine")
    replay.add_argument("--code", help="with --all: only what is there for this reason")
    replay.set_defaults(run=_replay)

    edit = commands.add_parser(
        "edit", help="put your version in place of a quarantined record, until the source's changes"
    )
    edit.add_argument("flow", choices=sorted(FLOWS))
    edit.add_argument("key")
    edit.add_argument("--file", type=Path, help="your version; without it $VISUAL or $EDITOR is opened")
    edit.set_defaults(run=_edit)

    withdraw = commands.add_parser("withdraw", help="end your version of a record: the source's counts again")
    withdraw.add_argument("flow", choices=sorted(FLOWS))
    withdraw.add_argument("key")
    withdraw.set_defaults(run=_withdraw)

    accept = commands.add_parser("accept", help="let a batch pass that was stopped; the rows at fault are set aside")
    accept.add_argument("flow", choices=sorted(FLOWS))
    accept.add_argument("says", help="what the stop says, word by word")
    accept.add_argument("--reason", required=True, help="kept with the rows")
    accept.set_defaults(run=_accept)

    held = commands.add_parser("held", help="what is held for a person, and what would change")
    held.add_argument("flow", choices=sorted(FLOWS))
    held.set_defaults(run=_held)

    for act, what in (("approve", "let held records through"), ("refuse", "keep the target as it is")):
        decide = commands.add_parser(act, help=f"{what}: those that 'held' has shown")
        decide.add_argument("flow", choices=sorted(FLOWS))
        decide.add_argument("number", type=int, help="the number that 'held' has told: what is newer is left")
        decide.set_defaults(run=_decide, act=act)

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
    for side in SIDES:
        here = fingerprint(side, pair)
        good = approved.get(side) == here
        wrong += not good
        print(
            f"{'ok  ' if good else 'FAIL'} writing to the {side}: "
            + ("approved" if good else f"not approved for {here}: crossdock --pair {pair.name} target approve {side}")
        )
    print(f"{'ok  ' if pair.go_live else 'note'} go_live: {pair.go_live or 'not set: orders will not be written'}")
    return 1 if wrong else 0


def _explain(options: argparse.Namespace) -> int:
    from crossdock.store.reports import journey

    if options.flow == STOCK:
        return _explain_stock(options)
    if options.flow == PRICE:
        return _explain_price(options)
    with _store() as connection:
        found = journey(connection, options.pair, options.flow, options.key)
    if not any(found.values()):
        try:
            said = _as_the_source_says(options)
        except CrossdockError as error:
            said = f"The {FLOWS[options.flow].source} cannot be asked: {error}"
        print(f"{options.flow} {options.key}: nothing is known here. {said}")
        return 1
    for place, rows in found.items():
        for row in rows:
            print(
                f"{place}: "
                + ", ".join(f"{name} {value}" for name, value in row.items() if value not in (None, "", False))
            )
    return 0


def _explain_stock(options: argparse.Namespace) -> int:
    from crossdock.airflow.explained import stock
    from crossdock.airflow.runtime import availability

    for line in stock(availability(_pair(options)), options.key):
        print(line)
    return 0


def _explain_price(options: argparse.Namespace) -> int:
    from crossdock.airflow.explained import price
    from crossdock.airflow.runtime import price_book, system
    from crossdock.connectors import port
    from crossdock.ports import Wanted

    pair, wanted = _pair(options), Wanted(options.account, options.key, options.quantity)
    with price_book(pair) as book:
        for line in price(book, port(system("storefront", pair), "prices"), wanted):
            print(line)
    return 0


def _as_the_source_says(options: argparse.Namespace) -> str:
    """Asked now: why a record is not on its way."""
    from crossdock.airflow import runtime
    from crossdock.sync.steps import whether_early

    flow, pair = FLOWS[options.flow], _pair(options)
    with runtime.source(flow, pair) as source:
        rows = [row for page in source.read([options.key]) for row in page]
    if not rows:
        return f"{source.name} has no such record; orders are asked for by their id."
    try:
        record = source.parse(rows[0].raw)
    except (Reject, ValueError) as error:
        return f"{source.name} has it, but it cannot be read, and the next run will quarantine it: {error}"
    if early := whether_early(record, pair.go_live):
        return f"{source.name} has it; it is not written: {early}."
    if record.gone:
        return f"{source.name} has withdrawn it (cancelled, archived) before it was ever written."
    return f"{source.name} has it: the next run reads it. At once: trigger the DAG with keys = [{options.key!r}]."


def _quarantine(options: argparse.Namespace) -> int:
    from crossdock.store.decisions import readable, why_not_editable
    from crossdock.store.reports import quarantined, quarantined_record

    with _store() as connection:
        if options.key is None:
            rows = quarantined(connection, None, _pair(options).name, options.flow)
        else:
            found = quarantined_record(connection, _pair(options).name, options.flow, options.key)
            rows = [found] if found else []
    for row in rows:
        again = f", to be tried again ({row['owner']})" if row["replay"] else ""
        print(
            f"{row['key']} {row['code']}: {row['reason']} {row['remedy']} "
            f"(tries: {row['attempts']}, last {row['last_seen']:%Y-%m-%d %H:%M} UTC{again})"
        )
    if options.key is None:
        print(f"{len(rows)} in quarantine.")
        return 0
    if not rows:
        print(f"{options.flow} {options.key} is not in quarantine.")
        return 1
    print(f"\n{readable(rows[0]['payload'])}\n\n{why_not_editable(rows[0])}".rstrip())
    return 0


def _replay(options: argparse.Namespace) -> int:
    from crossdock.store.decisions import replay
    from crossdock.store.reports import quarantined

    if bool(options.keys) == options.all or (options.code and not options.all):
        raise Refused("Say which: some numbers, or --all, or --all --code CODE.")
    with _store() as connection:
        keys = options.keys or [
            row["key"]
            for row in quarantined(connection, None, _pair(options).name, options.flow)
            if options.code in (None, row["code"])
        ]
        asked = replay(connection, _pair(options).name, options.flow, keys, getpass.getuser())
    for key in sorted(set(keys) - asked):
        print(f"{key}: not in quarantine, or without a number by which the source can be asked for it")
    print(f"{len(asked)} to be tried again. {_next(options)}")
    return 0 if asked else 1


def _edit(options: argparse.Namespace) -> None:
    from crossdock.store.decisions import edit, readable, why_not_editable
    from crossdock.store.reports import quarantined_record

    with _store() as connection:
        row = quarantined_record(connection, _pair(options).name, options.flow, options.key)
    if row is None:
        raise Refused(f"{options.flow} {options.key} is not in quarantine: there is nothing to edit.")
    if why := why_not_editable(row):
        raise Refused(f"{options.flow} {options.key} cannot be edited. {why}")
    based_on = row["raw_hash"]

    def store(payload: str) -> None:
        with _store() as connection:
            edit(connection, _pair(options).name, options.flow, options.key, payload, getpass.getuser(), based_on)
        print(
            f"{_next(options)} It writes your version of {options.key}, "
            f"and so it stays until {options.key} changes in the source."
        )

    if options.file:
        try:
            mine = options.file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Refused(f"{options.file} cannot be read: {error}") from error
        return store(mine)
    with tempfile.TemporaryDirectory(prefix="crossdock-") as folder:  # for this user's eyes only, like its file
        draft = Path(folder) / "record.json"
        draft.write_text(readable(row["payload"]), encoding="utf-8")
        while True:
            _open_editor(draft)
            try:
                return store(draft.read_text(encoding="utf-8"))
            except Refused as error:
                if not sys.stdin.isatty():
                    raise
                print(error, file=sys.stderr)
                if input("Edit it again? [Y/n] ").strip().lower().startswith("n"):
                    raise Refused("Nothing was changed.") from error


def _open_editor(file: Path) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        code = subprocess.call([*shlex.split(editor), str(file)])
    except OSError as error:
        raise Refused(f"The editor {editor} cannot be started ({error}): set $EDITOR, or use --file.") from error
    if code:
        raise Refused(f"The editor {editor} ended with {code}. Nothing was changed.")


def _withdraw(options: argparse.Namespace) -> None:
    from crossdock.store.decisions import withdraw

    with _store() as connection:
        withdraw(connection, _pair(options).name, options.flow, options.key, getpass.getuser())
    print(f"Your version of {options.key} ends. {_next(options)} It takes what the source says.")


def _accept(options: argparse.Namespace) -> None:
    from crossdock.store.decisions import accept

    with _store() as connection:
        accept(connection, _pair(options).name, options.flow, options.says, getpass.getuser(), options.reason)
    print(f"Accepted for one run. {_next(options)} It sets aside the rows at fault and goes on with the others.")


def _held(options: argparse.Namespace) -> int:
    from crossdock.store.reports import held
    from crossdock.sync.changes import in_words

    pair = _pair(options)
    with _store() as connection:
        rows = held(connection, pair.name, options.flow)
    for row in rows:
        print(
            f"{row['key']} {in_words(row['op'], row['changes'])} ({row['reason']}, {row['since']:%Y-%m-%d %H:%M} UTC)"
        )
    if rows:
        what = f"{options.flow} {rows[0]['last']}"
        print(f"{len(rows)} held. crossdock --pair {pair.name} approve {what}, or refuse {what}, decides about these.")
    else:
        print("Nothing is held.")
    return 0


def _decide(options: argparse.Namespace) -> None:
    from crossdock.store import decisions

    act = decisions.approve if options.act == "approve" else decisions.refuse
    with _store() as connection:
        count = act(connection, _pair(options).name, options.flow, options.number, getpass.getuser())
    if not count:
        raise Refused(
            f"Nothing of {options.flow} is held up to number {options.number} (any more): 'crossdock held "
            f"{options.flow}' shows what is."
        )
    if options.act == "approve":
        print(f"{count} approved. {_next(options)} What has changed since you saw it is asked anew.")
    else:
        print(
            f"{count} refused: the {FLOWS[options.flow].target} stays as it is until they change in the source again."
        )


def _next(options: argparse.Namespace) -> str:
    return f"The next run of {_pair(options).suffixed(FLOWS[options.flow].dag)} takes it up."


def _pair(options: argparse.Namespace) -> Pair:
    from crossdock.airflow.pairs import pair_named

    return pair_named(options.pair)


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
