"""Writing to a slow system with a limit: Crossdock's load step against the theoretical maximum.

``python -m tests.bench.load [--rounds 3]``

The stand-in takes 50 ms a call and 40 calls a second, 10 of them at once, so ``calls`` calls take at least
``(calls - 10) / 40 + 0.05`` seconds. The clock runs from the first line of the step to its last: starting
the process, and the steps before, are no part of it. Time is what is measured here, so every figure is the
best of the rounds; the CPU seconds beside it are the loader's and PostgreSQL's during the whole process.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.bench.loaders import BATCH, LANES
from tests.bench.measure import WORK, Postgres, Target, Usage, machine, run, save

from sandbox.place import HOST, ROOT
from sandbox.postgres import Cluster
from sandbox.service import Service, answers, free_port

RATE, BURST, LATENCY = 40, 10, 0.05
_NO_LIMIT = 1_000_000


@dataclass(frozen=True)
class Candidate:
    """``told`` is the limit in the connection; the stand-in keeps ``rate`` (0: none) and loses some answers."""

    loader: str
    calls: int
    told: str = ""
    rate: float = RATE
    lost: float = 0

    @property
    def least(self) -> float:
        """Seconds it takes at least: by the limit, or by the lanes where there is none."""
        return (self.calls - BURST) / self.rate + LATENCY if self.rate else self.calls * LATENCY / LANES


CANDIDATES = {
    "limit known": Candidate("ours", 200, str(RATE)),
    "limit unknown, 800 calls": Candidate("ours", 800),
    "limit unknown, 200 calls": Candidate("ours", 200),
    "HttpHook in a loop": Candidate("serial", 200),
    "5 % of answers lost": Candidate("ours", 200, str(RATE), lost=0.05),
    "no limit, and nobody says so": Candidate("ours", 800, rate=0),
    "no limit, as a limit nobody reaches": Candidate("ours", 800, str(_NO_LIMIT), rate=0),
}


@contextmanager
def _system(candidate: Candidate) -> Iterator[str]:
    port = free_port()
    url = f"http://{HOST}:{port}"
    settings = map(str, (port, candidate.rate, BURST, LATENCY, candidate.lost))
    argv = [sys.executable, "-m", "tests.bench.paced", *settings]
    server = Service("the slow system", argv, WORK / "paced.log", lambda: answers(f"{url}/counts"), cwd=ROOT)
    try:
        server.start().wait()
        yield url
    finally:
        server.stop()


def _measured(cluster: Cluster, postgres: Postgres, candidate: Candidate) -> Usage:
    cluster.drop_database("bench")
    dsn = cluster.create_database("bench")
    cluster.sql("CHECKPOINT")
    with _system(candidate) as url:
        argv = [sys.executable, "-m", "tests.bench.loaders", candidate.loader, url, dsn, str(candidate.calls)]
        env = {"AIRFLOW_HOME": str(WORK / "airflow")}
        usage = run([*argv, candidate.told], postgres, WORK / "candidate.log", env)
        with urllib.request.urlopen(f"{url}/counts") as counts:
            usage.said.update(json.load(counts))
    return usage


def _check(name: str, candidate: Candidate, said: Mapping[str, Any]) -> None:
    """Every record there, once, and known to be there. Raises RuntimeError."""
    records = candidate.calls * BATCH
    wrong = {what: said[what] for what in ("records", "written", "created") if said[what] != records}
    if wrong or said["repeated"]:
        raise RuntimeError(f"{name}: {records} records were to be written once, but {dict(said)}")
    if candidate.lost and not said["lost"]:
        raise RuntimeError(f"{name}: no answer was lost")


def _line(name: str, candidate: Candidate, usages: list[Usage]) -> str:
    seconds = [usage.said["seconds"] for usage in usages]
    refused = "/".join(str(usage.said["refused"]) for usage in usages)
    cpu = min(usage.said["load_cpu"] for usage in usages)
    return (
        f"{name:36} {candidate.calls:5} {candidate.least:7.2f} {min(seconds):7.2f} ({max(seconds):.2f}) "
        f"{candidate.least / min(seconds):6.2f} {refused:>9} {cpu:6.2f} {min(u.postgres for u in usages):6.2f}"
    )


def _targets(results: Mapping[str, list[Usage]]) -> list[Target]:
    best = {name: min(usage.said["seconds"] for usage in usages) for name, usages in results.items()}

    def reached(name: str) -> float:
        return CANDIDATES[name].least / best[name]

    twice = max(usage.said["repeated"] for usage in results["5 % of answers lost"])
    return [
        Target("share of the theoretical maximum, limit known", reached("limit known"), at_least=0.93),
        Target("the same, unknown, 800 calls", reached("limit unknown, 800 calls"), at_least=0.9),
        Target("refused calls, limit known", max(u.said["refused"] for u in results["limit known"]), at_most=2),
        Target("times as fast as HttpHook", best["HttpHook in a loop"] / best["limit known"], at_least=2.3),
        Target("records written twice, answers lost", twice, at_most=0),
    ]


def main() -> int:
    """Run the rounds, print the table and the verdict; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    conditions = machine() | {"rounds": options.rounds, "batch": BATCH, "lanes": LANES}
    results: dict[str, list[Usage]] = {}
    loads = []
    cluster = Cluster(WORK / "postgres-load", free_port(), "bench").start()
    try:
        postgres = Postgres(cluster.dsn("postgres"))
        for turn in range(options.rounds):
            for name, candidate in CANDIDATES.items():
                usage = _measured(cluster, postgres, candidate)
                _check(name, candidate, usage.said)
                results.setdefault(name, []).append(usage)
                print(f"round {turn + 1}: {name}: {usage.said['seconds']:.2f} s", flush=True)
            loads.append(os.getloadavg()[0])
    finally:
        cluster.remove()
    targets = _targets(results)
    save(WORK / "load.json", conditions=conditions | {"loads": loads}, results=results, targets=targets)
    print(f"\nbest of {options.rounds} rounds, load {' '.join(f'{load:.1f}' for load in loads)}")
    print(f"{'':36} calls least s  best s (worst)  share   refused  CPU s   pg s")
    print("\n".join(_line(name, CANDIDATES[name], usages) for name, usages in results.items()))
    print("\n".join(["", *(target.line() for target in targets)]))
    return 0 if all(target.met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
