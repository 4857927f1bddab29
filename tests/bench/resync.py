"""Runs with nothing to do, or next to nothing: Crossdock against dlt's merge and Singer's upsert.

``python -m tests.bench.resync [--rows 100000] [--rounds 3] [--peers dlt-merge,...]``

Each peer has loaded the records once and loads them again, unchanged. Crossdock's whole run (extract to
settle) finds them in its ledger: ``rows`` reads every record, ``everything`` every record and every id
(``Param full``, and once an hour). Neither writes to target or ledger, or the figures do not count. At ten
times the rows, ``rows`` is what the target of 6 CPU seconds is set on. ``changes`` is 20 runs in a row, each
with 100 changed records through all five steps, on a small and on a large ledger; its target is set on the CPU
after start and imports, which are the same for both. Airflow's hooks are not imported, Great Expectations
is not asked: neither depends on what is measured here.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench import rivals
from tests.bench.measure import WORK, Postgres, Target, Usage, machine, median, run, save
from tests.bench.resync_ours import CHANGES

from sandbox.postgres import Cluster
from sandbox.service import free_port

MEMORY_MB = 70
RUNS = 20
"""Runs of ``changes`` in one process: one alone is too short to be measured."""
_SMALL = 10_000
_COPY = {"use_copy": True, "validate_records": False}
_PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    "dlt-merge": ("merge", {}),
    "dlt-upsert": ("upsert", {}),
    "dlt-merge-best": ("merge-best", {}),
    "singer-upsert": ("plain", {"load_method": "upsert"}),
    "singer-upsert-copy": ("plain", {"load_method": "upsert", **_COPY}),
}
_WRITES = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables WHERE relname ~ '^ledger'"


class Bench:
    """One cluster; a database per ledger, copied for each run, and one per peer, kept."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._postgres = Postgres(cluster.dsn("postgres"))

    def seed(self, name: str, url: str) -> None:
        """A database whose ledger knows all records of the source."""
        dsn = self._cluster.create_database(name)
        self._ours("seed", url, dsn)
        self._cluster.sql("VACUUM ANALYZE", name)

    def ours(self, what: str, ledger: str, url: str, runs: int = 1) -> Usage:
        """One process on a copy of that ledger. ``ledger_writes`` are the rows it wrote there."""
        self._cluster.drop_database("bench")
        try:
            usage = self._ours(what, url, self._cluster.create_database("bench", ledger), runs)
            usage.said["ledger_writes"] = int(self._cluster.sql(_WRITES, "bench")[0])
            return usage
        finally:
            self._cluster.drop_database("bench")

    def peer(self, name: str, url: str) -> Usage:
        """One run of a peer on what its runs before have left."""
        database = name.replace("-", "_")
        if database not in self._cluster.databases():
            self._cluster.create_database(database)
            shutil.rmtree(WORK / database, ignore_errors=True)
        kind, settings = _PEERS[name]
        dsn = self._cluster.dsn(database)
        if name.startswith("dlt"):
            usage = self._measured(rivals.dlt(kind, url, dsn, WORK / database))
        else:
            usage = self._measured(rivals.singer(kind, settings, url, dsn))
        usage.said["loaded"] = int(self._cluster.sql("SELECT count(*) FROM peer.accounts", database)[0])
        return usage

    def _ours(self, what: str, url: str, dsn: str, runs: int = 1) -> Usage:
        return self._measured([sys.executable, "-m", "tests.bench.resync_ours", what, url, dsn, str(runs)])

    def _measured(self, argv: Sequence[str | Path]) -> Usage:
        self._cluster.sql("CHECKPOINT")
        return run([str(word) for word in argv], self._postgres, WORK / "candidate.log")


def _check(results: Mapping[str, list[Usage]], rows: int) -> None:
    """Nothing to do was done, and what changed was written. Raises RuntimeError."""
    for name, usages in results.items():
        for usage in usages:
            said = usage.said
            if name in _PEERS:
                fine = said["loaded"] == rows
            elif name.startswith("changes"):
                fine = said["written"] == said["ledger_writes"] == CHANGES * RUNS and all(
                    book["updated"] == book["read"] == CHANGES for book in said["books"]
                )
            else:
                wanted = rows * (10 if "x10" in name else 1)
                fine = said["written"] == said["ledger_writes"] == 0 and said["books"][0]["unchanged"] == wanted
            if not fine:
                raise RuntimeError(f"{name}: not what was to be done: {said}")


def _inner(usages: Sequence[Usage]) -> float:
    return median(usages, lambda usage: usage.inner)


def _targets(results: Mapping[str, list[Usage]]) -> Iterator[Target]:
    def cpu(name: str) -> float:
        return median(results[name], lambda usage: usage.cpu)

    for name in ("dlt-merge", "dlt-upsert", "singer-upsert", "singer-upsert-copy"):
        if name in results:
            yield Target(f"CPU of {name}, as a multiple of rows", cpu(name) / cpu("rows"), at_least=18)
    yield Target("CPU seconds of rows x10", cpu("rows x10"), at_most=6)
    ratio = _inner(results["changes, large ledger"]) / _inner(results["changes, small ledger"])
    yield Target("CPU of changes, large ledger, as a multiple of the small one", ratio, at_most=1.2)
    for name in ("rows", "everything", "rows x10", "everything x10"):
        above = median(results[name], lambda usage: usage.said["peak_mb"] - usage.said["bare_mb"])
        yield Target(f"MB above the bare process, {name}", above, at_most=MEMORY_MB)


def _table(results: Mapping[str, list[Usage]]) -> Iterator[str]:
    rows = median(results["rows"], lambda usage: usage.cpu)
    yield f"{'CPU s':24}  client postgres   total   inner   wall (min) s  peak MB  x rows"
    for name, usages in results.items():
        cpu = median(usages, lambda usage: usage.cpu)
        inner = f"{_inner(usages):7.2f}" if "inner" in usages[0].said else f"{'-':>7}"
        wall = f"{median(usages, lambda usage: usage.wall):.2f} ({min(usage.wall for usage in usages):.2f})"
        yield (
            f"{name:24} {median(usages, lambda usage: usage.client):7.2f} "
            f"{median(usages, lambda usage: usage.postgres):8.2f} {cpu:7.2f} {inner} {wall:>14} "
            f"{median(usages, lambda usage: usage.peak_mb):8.0f} {cpu / rows:7.1f}"
        )


@contextmanager
def _cluster() -> Iterator[Cluster]:
    cluster = Cluster(WORK / "postgres-resync", free_port(), "bench").start()
    try:
        cluster.sql("ALTER SYSTEM SET autovacuum = off")
        cluster.sql("SELECT pg_reload_conf()")
        yield cluster
    finally:
        cluster.remove()


def main() -> int:
    """Run the rounds, print the table and the verdict; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000, help="a multiple of 10,000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default=",".join(_PEERS), help="comma-separated, empty for none")
    options = parser.parse_args()
    peers = [peer for peer in options.peers.split(",") if peer]
    for kind in sorted({peer.partition("-")[0] for peer in peers}):
        rivals.environment(kind)
    WORK.mkdir(parents=True, exist_ok=True)
    conditions = machine() | {"rows": options.rows, "rounds": options.rounds, "runs": RUNS}
    results: dict[str, list[Usage]] = {}
    loads = []

    def keep(turn: int, name: str, usage: Usage) -> None:
        results.setdefault(name, []).append(usage)
        print(f"round {turn}: {name}: {usage.cpu:.2f} CPU s, {usage.wall:.1f} s", flush=True)

    with (
        _cluster() as cluster,
        rivals.source(_SMALL) as small,
        rivals.source(options.rows) as url,
        rivals.source(options.rows * 10) as large,
    ):
        bench = Bench(cluster)
        for name, given in (("small", small), ("medium", url), ("large", large)):
            bench.seed(name, given)
        for peer in peers:
            print(f"{peer}, the first load: {bench.peer(peer, url).cpu:.2f} CPU s", flush=True)
        for turn in range(1, options.rounds + 1):
            for what in ("rows", "everything"):
                keep(turn, what, bench.ours(what, "medium", url))
            for peer in peers:
                keep(turn, peer, bench.peer(peer, url))
            for size, given in (("small", small), ("large", large)):
                keep(turn, f"changes, {size} ledger", bench.ours("changes", size, given, RUNS))
            for what in ("rows", "everything"):
                keep(turn, f"{what} x10", bench.ours(what, "large", large))
            loads.append(os.getloadavg()[0])
    _check(results, options.rows)
    targets = list(_targets(results))
    conditions |= {"load_after_each_round": loads, "peers": [*rivals.pins("dlt"), *rivals.pins("singer")]}
    save(WORK / "resync.json", conditions=conditions, results=results, targets=targets)
    print(f"\nmedians of {options.rounds} rounds, load {' '.join(f'{load:.1f}' for load in loads)}")
    print("\n".join([*_table(results), "", *(target.line() for target in targets)]))
    return 0 if all(target.met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
