"""CPU seconds, wall time and memory of a candidate, PostgreSQL's share included."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from sandbox.place import ROOT

WORK = ROOT / ".run" / "bench"
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """What one run of a candidate cost. ``client`` is its whole process tree, ``rss_mb`` its biggest process.

    ``said`` is what it tells of itself: ``inner`` (CPU after start and imports), ``peak_mb``, counts.
    ``servers`` is the CPU of the systems it called, where they count.
    """

    client: float
    postgres: float
    wall: float
    rss_mb: float
    said: dict[str, Any] = field(default_factory=dict)
    servers: dict[str, float] = field(default_factory=dict)

    @property
    def cpu(self) -> float:
        return self.client + self.postgres + sum(self.servers.values())

    @property
    def inner(self) -> float:
        """CPU without interpreter start and imports."""
        return float(self.said["inner"]) + self.postgres

    @property
    def peak_mb(self) -> float:
        """The kernel hands a parent's peak on to its child: the candidate's own word is better."""
        return float(self.said.get("peak_mb", self.rss_mb))


class Postgres:
    """The CPU clock of a whole server, from /proc: backends that have ended are in the postmaster's sums.

    ``lasting``: databases whose clients stay connected between candidates (a shop's server).
    """

    def __init__(self, dsn: str, lasting: Sequence[str] = ()) -> None:
        self._watch = psycopg.connect(dsn, autocommit=True)
        self._lasting = list(lasting)
        self._postmaster = int(_stat(self._watch.info.backend_pid)[1])

    def cpu(self) -> float:
        """CPU seconds so far, once no other client is connected: a backend outlives its client by a moment."""
        others = """
            SELECT FROM pg_stat_activity
            WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND datname <> ALL(%s)
            """
        while self._watch.execute(others, (self._lasting,)).fetchone():
            time.sleep(0.05)
        return self.busy()

    def busy(self) -> float:
        """CPU seconds so far, of all that are connected too."""
        while True:
            own = [int(field) for field in _stat(self._postmaster)[11:15]]
            children = sum(map(self._child, filter(str.isdigit, os.listdir("/proc"))))
            if [int(field) for field in _stat(self._postmaster)[13:15]] == own[2:]:  # none was buried meanwhile
                return (sum(own) + children) / _TICKS

    def _child(self, process: str) -> int:
        try:
            fields = _stat(process)
        except OSError:  # ended meanwhile
            return 0
        return sum(map(int, fields[11:13])) if int(fields[1]) == self._postmaster else 0


def _stat(process: int | str) -> Sequence[str]:
    """Fields of /proc/N/stat from the third on (state, parent, ...); the second may hold spaces."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


def session_cpu(leader: int) -> float:
    """CPU seconds so far of a server that leads its own session, and of all processes in it."""
    return cpu_of(session(leader))


def session(leader: int) -> list[str]:
    """The processes that are in it now."""
    found = []
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = _stat(process)
        except OSError:  # ended meanwhile
            continue
        if int(fields[3]) == leader:
            found.append(process)
    return found


def cpu_of(processes: Iterable[str]) -> float:
    """CPU seconds so far of these processes, and of their children that have ended."""
    total = 0
    for process in processes:
        try:
            total += sum(map(int, _stat(process)[11:15]))
        except OSError:  # ended meanwhile
            continue
    return total / _TICKS


class Watch:
    """What a candidate uses from one moment on: seconds, own CPU, PostgreSQL's, that of servers by name."""

    def __init__(self, dsn: str, servers: Mapping[str, int]) -> None:
        self._postgres, self._servers = Postgres(dsn), servers

    def used(self, work: Callable[[], object]) -> dict[str, float]:
        """By this work."""
        before = self._now()
        work()
        return {name: value - before[name] for name, value in self._now().items()}

    def _now(self) -> dict[str, float]:
        servers = {name: session_cpu(process) for name, process in self._servers.items()}
        return {
            "seconds": time.perf_counter(), "client": time.process_time(), "pg": self._postgres.busy(), **servers,
        }  # fmt: skip


def run(
    argv: Sequence[str],
    postgres: Postgres,
    log: Path,
    env: Mapping[str, str] | None = None,
    servers: Mapping[str, int] | None = None,
) -> Usage:
    """Run a candidate to its end. Its last line of output may be a JSON object with what it says of itself.

    ``servers``: name -> process id of systems it calls. Raises RuntimeError with the end of its log if it fails.
    """
    servers = servers or {}
    with log.open("wb") as errors:
        idle = {name: session_cpu(leader) for name, leader in servers.items()}
        before, start = postgres.cpu(), time.perf_counter()
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors, env={**os.environ, **(env or {})})
        assert process.stdout
        output = process.stdout.read().decode()
        _, status, used = os.wait4(process.pid, 0)
        wall, after = time.perf_counter() - start, postgres.cpu()
        busy = {name: session_cpu(leader) - idle[name] for name, leader in servers.items()}
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(argv)} failed; the end of {log}:\n{log.read_text(errors='replace')[-2000:]}")
    last = output.strip().rpartition("\n")[2]
    said = json.loads(last) if last.startswith("{") else {}
    return Usage(used.ru_utime + used.ru_stime, after - before, wall, used.ru_maxrss / 1024, said, busy)


def median(usages: Iterable[Usage], what: Callable[[Usage], float]) -> float:
    return statistics.median(map(what, usages))


@dataclass(frozen=True)
class Target:
    """A figure that must be reached: ``at_least`` or ``at_most``."""

    name: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self) -> bool:
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )

    def line(self) -> str:
        wanted = f">= {self.at_least:g}" if self.at_least is not None else f"<= {self.at_most:g}"
        return f"{'met   ' if self.met else 'MISSED'}  {self.name}: {self.value:.2f} (wanted {wanted})"


def machine() -> dict[str, Any]:
    """Where these figures come from."""
    models = [
        line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return {"cpu": models[0] if models else "unknown", "cores": os.cpu_count(), "load_at_start": os.getloadavg()[0]}


def save(file: Path, **figures: Any) -> None:
    """Keep the figures as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(figures, indent=2, default=asdict) + "\n")
