"""Extract + stage of accounts over HTTP: Crossdock against dlt, Singer and the physical limit.

``python -m tests.bench.extract [--rows 100000] [--rounds 3] [--peers dlt-default,...]``

Crossdock is measured three times: ``stage`` (read, stage, compare with the ledger), ``first load`` (the
engine's whole extract step: every record parsed and validated by pydantic and staged in canonical form)
and ``unchanged`` (the whole step again, with a ledger that knows every record).

Targets are set on ``stage`` against the peers as they are usually set up. Two things to know when reading
them: the peers put every record into PostgreSQL, ``stage`` puts its key and hash there and the bytes into
a local file (``first load`` is the step that puts all of it into PostgreSQL, after validation no peer
does); and ``-best`` are the cheapest settings we found for a peer, measured and shown, not a target.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg
from tests.bench import rivals
from tests.bench.measure import WORK, Postgres, Target, Usage, machine, median, run, save

from crossdock.store.migrations import upgrade
from sandbox.postgres import Cluster
from sandbox.service import free_port

MEMORY_MB = 70
"""How much the step may need above a bare process."""

_COPY = {"use_copy": True, "validate_records": False}
_SINGER = {
    "singer-default": ("plain", {}),
    "singer-copy": ("plain", _COPY),
    "singer-best": ("lean", {**_COPY, "add_record_metadata": False, "activate_version": False}),
}
_DLT = ("dlt-default", "dlt-best", "dlt-arrow")
_HOOKS = "import airflow.providers.http.hooks.http, airflow.providers.postgres.hooks.postgres"
_FILL_LEDGER = """
    INSERT INTO crossdock.ledger (pair, flow, key, source_id, target_id, raw_hash, canon_hash, parts, run_id)
    SELECT pair, flow, w.key, w.source_id, w.key, w.raw_hash, w.canon_hash, w.parts, id
    FROM crossdock.wide_{run} w, crossdock.run WHERE id = {run}"""


class Bench:
    """One cluster and one source, and the candidates that are run against them."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._postgres = Postgres(cluster.dsn("postgres"))

    def ours(self, url: str) -> dict[str, Usage]:
        """Crossdock's three figures, from an empty store on."""
        with self._database() as dsn:
            candidate = partial(self._python, "tests.bench.ours")
            with psycopg.connect(dsn) as connection:
                upgrade(connection)
            stage = candidate("stage", url, dsn)
            first = candidate("extract", url, dsn)
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute(_FILL_LEDGER.format(run=int(first.said["run"])).encode())
                connection.execute("VACUUM ANALYZE crossdock.ledger")
            return {"stage": stage, "first load": first, "unchanged": candidate("extract", url, dsn)}

    def limit(self, url: str) -> dict[str, Usage]:
        """HTTP drain and COPY of prebuilt blocks."""
        with self._database() as dsn:
            return {"limit": self._counted("stage", self._python("tests.bench.limit", url, dsn))}

    def hooks(self, url: str) -> dict[str, Usage]:
        """What a task pays before it begins: the imports of Airflow's HTTP and PostgreSQL hooks."""
        argv = [sys.executable, "-c", _HOOKS]
        return {"hooks": self._measured(argv, {"AIRFLOW_HOME": str(WORK / "airflow")})}

    def dlt(self, mode: str, url: str) -> dict[str, Usage]:
        """One of dlt's modes, loading into a new schema."""
        with self._database() as dsn:
            home = WORK / "dlt"
            shutil.rmtree(home, ignore_errors=True)
            argv = rivals.dlt(mode.removeprefix("dlt-"), url, dsn, home)
            return {mode: self._counted("peer.accounts", self._measured(argv))}

    def singer(self, mode: str, url: str) -> dict[str, Usage]:
        """A tap piped into target-postgres, appending to a new schema."""
        kind, settings = _SINGER[mode]
        with self._database() as dsn:
            argv = rivals.singer(kind, settings, url, dsn)
            return {mode: self._counted("peer.accounts", self._measured(argv))}

    @contextmanager
    def _database(self) -> Iterator[str]:
        self._cluster.drop_database("bench")
        yield self._cluster.create_database("bench")
        self._cluster.drop_database("bench")

    def _counted(self, table: str, usage: Usage) -> Usage:
        usage.said["loaded"] = int(self._cluster.sql(f"SELECT count(*) FROM {table}", "bench")[0])
        return usage

    def _python(self, module: str, *arguments: str) -> Usage:
        return self._measured([sys.executable, "-m", module, *arguments])

    def _measured(self, argv: Sequence[str | Path], env: Mapping[str, str] | None = None) -> Usage:
        self._cluster.sql("CHECKPOINT")
        return run([str(word) for word in argv], self._postgres, WORK / "candidate.log", env)


def _candidates(bench: Bench, peers: list[str]) -> list[Callable[[str], dict[str, Usage]]]:
    ways = {mode: partial(bench.dlt, mode) for mode in _DLT} | {mode: partial(bench.singer, mode) for mode in _SINGER}
    return [bench.ours, bench.limit, bench.hooks, *(ways[peer] for peer in peers)]


def _table(results: Mapping[str, list[Usage]]) -> Iterator[str]:
    """Medians, one line per candidate; the last columns are multiples of Crossdock's CPU seconds."""
    stage, first = (median(results[name], lambda u: u.cpu) for name in ("stage", "first load"))
    yield f"{'CPU s':16}  client postgres   total   inner    wall (min) s  peak MB  x stage  x first"
    for name, usages in results.items():
        cpu = median(usages, lambda u: u.cpu)
        inner = f"{median(usages, lambda u: u.inner):7.2f}" if "inner" in usages[0].said else f"{'-':>7}"
        wall = f"{median(usages, lambda u: u.wall):.2f} ({min(u.wall for u in usages):.2f})"
        yield (
            f"{name:16} {median(usages, lambda u: u.client):7.2f} {median(usages, lambda u: u.postgres):8.2f} "
            f"{cpu:7.2f} {inner} {wall:>15} {median(usages, lambda u: u.peak_mb):8.0f} "
            f"{cpu / stage:8.1f} {cpu / first:8.1f}"
        )


def _targets(results: Mapping[str, list[Usage]], large: Usage) -> list[Target]:
    stage, inner = (median(results["stage"], what) for what in (lambda u: u.cpu, lambda u: u.inner))
    targets = [
        Target(
            f"rows per CPU s, as a multiple of {peer}", median(results[peer], lambda u: u.cpu) / stage, at_least=least
        )
        for peer, least in (("dlt-default", 12), ("singer-default", 14), ("singer-copy", 14))
        if peer in results
    ]
    limit = median(results["limit"], lambda u: u.inner)
    targets.append(
        Target("rows per CPU s after start and imports, as a share of the limit", limit / inner, at_least=0.3)
    )
    for name, usages in (("first load", results["first load"]), ("ten times the rows", [large])):
        above = median(usages, lambda u: u.said["peak_mb"] - u.said["bare_mb"])
        targets.append(Target(f"MB above the bare process, {name}", above, at_most=MEMORY_MB))
    return targets


def _check(results: Mapping[str, list[Usage]], rows: int) -> None:
    """A fast answer is worth nothing unless it is the right one."""
    ours = {
        "stage": {"read": rows, "staged": 0},
        "first load": {"read": rows, "staged": rows, "unchanged": 0},
        "unchanged": {"read": rows, "staged": 0, "unchanged": rows},
    }
    for name, usages in results.items():
        expected = ours.get(name, {} if name == "hooks" else {"loaded": rows})
        for usage in usages:
            if not expected.items() <= usage.said.items():
                raise RuntimeError(f"{name}: expected {expected}, got {usage.said}")


def main() -> int:
    """Run the rounds, print the table and the verdict; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000, help="a multiple of 1,000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default=",".join((*_DLT, *_SINGER)), help="comma-separated, empty for none")
    options = parser.parse_args()
    peers = [peer for peer in options.peers.split(",") if peer]
    for kind in sorted({peer.partition("-")[0] for peer in peers}):
        rivals.environment(kind)
    WORK.mkdir(parents=True, exist_ok=True)
    conditions = machine() | {"rows": options.rows, "rounds": options.rounds}
    results: dict[str, list[Usage]] = {}
    loads = []
    cluster = Cluster(WORK / "postgres", free_port(), "bench").start()
    try:
        cluster.sql("ALTER SYSTEM SET autovacuum = off")
        conditions["postgres"] = cluster.sql("SELECT pg_reload_conf(), version()")[0].partition("|")[2]
        bench = Bench(cluster)
        with rivals.source(options.rows) as url:
            for turn in range(options.rounds):
                for candidate in _candidates(bench, peers):
                    for name, usage in candidate(url).items():
                        results.setdefault(name, []).append(usage)
                        print(f"round {turn + 1}: {name}: {usage.cpu:.2f} CPU s, {usage.wall:.1f} s", flush=True)
                loads.append(os.getloadavg()[0])
        with rivals.source(options.rows * 10) as url:
            large = bench.ours(url)
        print(
            f"{options.rows * 10} rows: {large['first load'].cpu:.2f} CPU s, {large['first load'].wall:.1f} s\n",
            flush=True,
        )
    finally:
        cluster.remove()
    _check(results, options.rows)
    _check({name: [usage] for name, usage in large.items()}, options.rows * 10)
    conditions |= {"load_after_each_round": loads, "peers": [*rivals.pins("dlt"), *rivals.pins("singer")]}
    targets = _targets(results, large["first load"])
    save(WORK / "extract.json", conditions=conditions, results=results, ten_times=large, targets=targets)
    print(f"{options.rows} rows, medians of {options.rounds} rounds, load {' '.join(f'{load:.1f}' for load in loads)}")
    print("\n".join([*_table(results), "", *(target.line() for target in targets)]))
    return 0 if all(target.met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
