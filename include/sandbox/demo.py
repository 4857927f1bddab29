"""``make demo``: from a bare checkout to an ERP and a shop in step, in one command."""

from __future__ import annotations

import fcntl
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any

from sandbox import buyers, erp, install, opening, shop, supervisor
from sandbox.place import CACHE, PORTS, ROOT, RUN, STOREFRONT
from sandbox.postgres import STAND_IN, Cluster
from sandbox.secret import write_private
from sandbox.service import SandboxError, Service, free_port
from sandbox.supervisor import DEMO

FACTS = RUN.parent / "demo.json"
"""What a script needs to get into a running demo."""
_FIRST = ("customers", "items", "pricing", "inventory", "orders", "offline_orders")
"""The order in which the domains run the first time; other DAGs are only unpaused."""


class Progress:
    """Tells what happens, with the seconds since the start, and keeps how long each part took."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._lock = threading.Lock()
        self.seconds: dict[str, float] = {}

    def say(self, text: str) -> None:
        with self._lock:
            print(f"[{time.monotonic() - self._start:4.0f} s] {text}", flush=True)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - start, 1)

    def done(self, what: str, action: Callable[[], object]) -> None:
        """Do it, and say so when it took long enough to be of interest."""
        start = time.monotonic()
        action()
        if time.monotonic() - start > 0.5:
            self.say(what)


def make(progress: Progress, cluster: Cluster) -> None:
    """Packages and templates, three at a time; the shop's is made in this cluster, which is started for it."""
    install.check_machine()
    progress.say("Installing what is missing and building what is not built yet")

    def environment() -> None:
        progress.done("Airflow, PostgreSQL and Crossdock are installed", install.environment)
        progress.done("PostgreSQL runs", cluster.start)

    def the_shop() -> None:
        progress.done("The shop (Medusa) is installed", shop.install)
        started.result()
        progress.done("The shop's database is built", lambda: shop.template(cluster))

    def the_erp() -> None:
        progress.done("The ERP (Tryton) is installed", erp.install)
        progress.done("The ERP's merchant is built", erp.template)

    with ThreadPoolExecutor(3) as pool:
        started = pool.submit(environment)
        _all(started, pool.submit(the_shop), pool.submit(the_erp))


def make_for_tests() -> None:
    """All that the tests take as given, without touching a demo that runs."""
    cluster = Cluster(CACHE / "postgres", free_port(), "build-only", durable=False)
    try:
        make(Progress(), cluster)
    finally:
        cluster.remove()


def up(progress: Progress) -> None:
    """Install, make the databases, start all servers. Nothing happens when they run already."""
    with progress.part("install"):
        told = supervisor.status(DEMO)
        for name in told["ended"] if told else ():
            progress.say(f"{name} has ended by itself: everything starts again")
        if running := told and not told["ended"]:
            progress.say("The servers run already")
        else:
            supervisor.halt(DEMO)
            install.check_ports(PORTS)
            make(progress, DEMO.cluster)
            if DEMO.prepare():
                progress.say("ERP, shop or ports are not what they were: this sandbox begins anew")
            progress.say("The databases are ready")
    with progress.part("start"):
        if not running:
            progress.say("Starting mailbox, ERP, shop and Airflow")
            supervisor.launch(DEMO)
        supervisor.wait(DEMO)
        DEMO.connect()
    progress.say("All servers are up")


def demo() -> None:
    """Everything: install, start, run the DAGs to success, let three buyers in, say what happened."""
    progress = Progress()
    with progress.part("total"):
        up(progress)
        with progress.part("sync"):
            books = _run_dags(progress)
        with progress.part("opening"):
            goods = opening.goods(DEMO)
            progress.say(f"There is something to buy: {', '.join(goods[:4])}, ...")
        with progress.part("buyers"):
            people = buyers.let_in(DEMO)
            progress.say(f"{len(people)} buyers have set a password from the shop's reset mail and logged in")
    facts = DEMO.facts()
    facts["storefront"]["buyers"] = people
    write_private(FACTS, json.dumps({**facts, "seconds": progress.seconds}, indent=1))
    print("\n".join(["", *_account(books), "", *_addresses(facts), "", "`make stop` stops it, `make demo` goes on."]))


def stop() -> None:
    """Stop all servers; the data stay."""
    supervisor.halt(DEMO)


def clean() -> None:
    """Stop, and remove all that this checkout has made."""
    stop()
    DEMO.remove()
    names = (".run", ".venv", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".import_linter_cache")
    made = [ROOT / name for name in names]
    made += [STAND_IN, STOREFRONT / "node_modules", ROOT / "include/sandbox/erp-client/node_modules"]
    made += [*ROOT.glob("include/*.egg-info"), *ROOT.glob("[!.]*/**/__pycache__")]
    for path in made:
        shutil.rmtree(path, ignore_errors=True)


def show_status() -> None:
    """One line per server that has ended by itself, or that all is well."""
    told = supervisor.status(DEMO)
    if not told:
        print("Nothing runs. `make demo` starts it.")
        return
    print(f"The sandbox is {told['state']}; logs lie in {RUN}.")
    for name, code in told["ended"].items():
        print(f"{name} has ended by itself (exit code {code}): see its log, then `make stop` and `make demo`.")


@contextmanager
def alone() -> Iterator[None]:
    """One command at a time. Raises SandboxError when another one is at work in this checkout."""
    CACHE.mkdir(parents=True, exist_ok=True)
    RUN.parent.mkdir(parents=True, exist_ok=True)
    with (RUN.parent / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SandboxError("Another make is at work in this checkout: wait for its end.") from None
        yield


def _all(*parts: Future[None]) -> None:
    """Wait for all. At the first failure, or Ctrl-C, end the servers with which the others are still busy."""
    try:
        for part in as_completed(parts):
            part.result()
    except BaseException:
        for service in list(Service.running):
            service.stop()
        raise


def _run_dags(progress: Progress) -> dict[str, dict[str, Any]]:
    """Unpause every DAG, run the domains in order; flow -> the books of the run that brought it into step."""
    client = DEMO.airflow.client()
    present = {file.stem for file in (ROOT / "dags").glob("*.py")}
    client.wait_for_dags(present)
    books = {}
    for dag in [name for name in _FIRST if name in present]:
        run_id = client.trigger(dag)
        client.unpause(dag)
        books |= _books(client.finish(dag, run_id))
        progress.say(f"{dag} is in step")
    for dag in sorted(present.difference(_FIRST)):
        client.unpause(dag)
    return books


def _books(run_id: str, seconds: float = 300) -> dict[str, dict[str, Any]]:
    """Flow -> books of an Airflow run. If its schedule was quicker, those of the run that was at work instead."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        told = _ask(
            f"""
            SELECT json_build_object('flow', worked.flow, 'state', worked.state, 'books', worked.counts,
                                     'message', worked.message)
            FROM crossdock.run asked JOIN crossdock.run worked ON worked.id = CASE asked.state
                WHEN 'drained' THEN substring(asked.message FROM 'run ([0-9]+)')::bigint ELSE asked.id END
            WHERE asked.airflow_run = '{run_id}'"""
        )
        runs = [json.loads(line) for line in told]
        if all(run["state"] == "success" for run in runs):
            return {run["flow"]: run["books"] for run in runs}
        for run in runs:
            if run["state"] in ("failed", "planned"):
                raise SandboxError(f"The run of {run['flow']} has {run['state']}: {run['message']} {DEMO.airflow.url}")
        time.sleep(0.3)
    raise SandboxError(f"The run {run_id} or the one that was quicker has not settled: look at {DEMO.airflow.url}.")


def _account(books: dict[str, dict[str, Any]]) -> list[str]:
    """Per flow: what its run read, what became of it, and what is set aside with the reason."""
    lines = []
    for flow, counts in books.items():
        told = [f"{name.replace('_', ' ')} {count}" for name, count in counts.items() if count and name != "skipped"]
        told += [f"skipped {count} ({reason})" for reason, count in counts.get("skipped", {}).items()]
        [linked] = _ask(f"SELECT count(*) FROM crossdock.ledger WHERE flow = '{flow}' AND NOT removed")
        lines.append(f"{flow:<16}{', '.join(told) or 'nothing to do'}; {linked} in step")
        aside = _ask(
            f"SELECT reason FROM crossdock.quarantine WHERE flow = '{flow}' AND resolved_at IS NULL ORDER BY key"
        )
        lines += [f"{'':<16}quarantined: {reason}" for reason in aside]
    return lines


def _ask(statement: str) -> list[str]:
    return DEMO.cluster.sql(statement, "crossdock")


def _addresses(facts: dict[str, Any]) -> list[str]:
    airflow, the_erp, the_shop = facts["airflow"], facts["erp"], facts["storefront"]
    lines = [
        f"Airflow   {airflow['url']}  {airflow['user']} / {airflow['password']}",
        f"ERP       {the_erp['url']}  admin / {erp.CREDENTIALS['admin password']}  (database {the_erp['database']})",
        f"Shop API  {the_shop['url']}  {the_shop['admin_email']} / {the_shop['admin_password']}",
        *(f"  buyer   {buyer['email']} / {buyer['password']}  ({buyer['account']})" for buyer in the_shop["buyers"]),
        f"Account   {the_shop['url']}/erp/account  (a buyer's orders and invoices)",
        f"Mailbox   {DEMO.mailbox.url}",
        f"Scripts   {FACTS}",
    ]
    return lines
