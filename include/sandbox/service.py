"""A server process of the sandbox: started in a session of its own, watched, stopped as a group."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from sandbox.place import HOST


class SandboxError(Exception):
    """Something the person at the keyboard has to put right: one clear sentence."""


def free_port() -> int:
    """A port nobody listens on at this moment (for tests; the demo has fixed ones)."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    """True once a GET of the URL is answered with less than 500."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status < 500)
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


@dataclass(eq=False)
class Service:
    """How to run one server, and how to know that it is ready."""

    name: str
    argv: list[str]
    log: Path
    ready: Callable[[], bool]
    cwd: Path | None = None
    env: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    running: ClassVar[list[Service]] = []
    """All that this program has started and not yet stopped."""

    def start(self) -> Service:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=self.cwd,
                env={**inherited(), **self.env}, start_new_session=True,
            )  # fmt: skip
        self.running.append(self)
        return self

    def wait(self, seconds: float = 120) -> Service:
        """Until it is ready. Raises SandboxError with the end of its log when it dies or takes too long."""
        deadline = time.monotonic() + seconds
        while not self.ready():
            process = self.process
            if process is None or process.poll() is not None or time.monotonic() > deadline:
                tail = self.log.read_text(errors="replace")[-1500:]
                self.stop()
                raise SandboxError(
                    f"{self.name} did not come up within {seconds:.0f} s; the end of {self.log}:\n{tail}"
                )
            time.sleep(0.1)
        return self

    def stop(self, grace: float = 15) -> None:
        """Terminate the whole process group; kill what is left after ``grace`` seconds."""
        process, self.process = self.process, None
        if process is None:
            return
        self.running.remove(self)
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
                process.wait(grace)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
            break


def run(argv: Sequence[str | Path], log: Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> None:
    """Run a program to its end. Raises SandboxError with the end of its log when it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=cwd,
            env={**inherited(), **(env or {})}, check=False,
        )  # fmt: skip
    if done.returncode:
        tail = log.read_text(errors="replace")[-1500:]
        raise SandboxError(f"`{shlex.join(map(str, argv))}` failed; the end of {log}:\n{tail}")


def inherited() -> dict[str, str]:
    """Our own environment without the settings of another Airflow or Python, which would mix with ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}


def began(pid: int) -> str:
    """When a process began, "" if there is none: tells it from a later owner of the same number."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if state == "Z" else fields[18]
    except OSError:
        if Path("/proc/self").exists():
            return ""
    return _ps("lstart", pid)


def command_line(pid: int) -> str:
    """The command line of a living process, "" if there is none: a bare pid may have a new owner."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return ""
    return _ps("args", pid)


def _ps(column: str, pid: int) -> str:
    shown = subprocess.run(["ps", "-ww", "-o", f"{column}=", "-p", str(pid)], capture_output=True, text=True)
    return shown.stdout.strip()
