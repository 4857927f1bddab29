"""The one process behind a running sandbox: starts all servers, watches them, stops them in order.

It restarts nothing: a server that ends by itself is written to the log and to the status, for a
person to look at. Run as ``python -m sandbox.supervisor``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from sandbox.fleet import Fleet
from sandbox.place import PORTS, ROOT, RUN, VENV
from sandbox.service import SandboxError, began, inherited
from sandbox.stack import Stack

DEMO = Stack(RUN, PORTS)
"""The sandbox of this checkout."""


def status(stack: Stack) -> dict[str, Any] | None:
    """``state`` (starting, ready) and ``ended`` (what died, with its exit code); None: nothing runs."""
    try:
        told: dict[str, Any] = json.loads(_status_file(stack).read_text())
    except FileNotFoundError:
        return None
    return told if began(told["pid"]) == told["began"] else None


def launch(stack: Stack) -> None:
    """Start the supervisor, detached."""
    log = _log(stack)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(
            [VENV / "bin" / "python", "-m", "sandbox.supervisor"], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out,
            stderr=subprocess.STDOUT, env={**inherited(), "PYTHONPATH": str(ROOT / "include")}, start_new_session=True,
        )  # fmt: skip
    while not status(stack) and process.poll() is None:
        time.sleep(0.05)


def wait(stack: Stack, seconds: float = 240) -> None:
    """Until all servers are ready. Raises SandboxError, with the end of its log, if one is not."""
    deadline = time.monotonic() + seconds
    while (told := status(stack)) and told["state"] != "ready" and time.monotonic() < deadline:
        time.sleep(0.1)
    if not told or told["state"] != "ready":
        halt(stack)
        raise SandboxError(_log(stack).read_text(errors="replace").strip()[-3000:] or "The servers did not come up.")


def halt(stack: Stack, seconds: float = 60) -> None:
    """Stop the sandbox: the supervisor, and whatever a killed one left behind."""
    if told := status(stack):
        os.kill(told["pid"], signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while status(stack) and time.monotonic() < deadline:
            time.sleep(0.1)
    Fleet(stack.folder).sweep()
    stack.cluster.stop()
    _status_file(stack).unlink(missing_ok=True)


def main() -> None:
    """Run until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    fleet = Fleet(DEMO.folder)
    try:
        _tell("starting", {})
        if not DEMO.cluster.running():
            DEMO.cluster.start()
        fleet.start([*DEMO.systems(), *DEMO.airflow.services()])
        fleet.wait()
        ended: dict[str, int] | None = None
        while True:
            now = fleet.ended() | ({} if DEMO.cluster.running() else {"PostgreSQL": 1})
            if now != ended:
                for name in now.keys() - (ended or {}).keys():
                    print(f"{time.strftime('%F %T')} {name} ended by itself (exit code {now[name]})", flush=True)
                ended = now
                _tell("ready", ended)
            time.sleep(1)
    except SandboxError as error:
        sys.exit(str(error))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        fleet.stop()
        DEMO.cluster.stop()
        _status_file(DEMO).unlink(missing_ok=True)


def _tell(state: str, ended: dict[str, int]) -> None:
    told = {"state": state, "ended": ended, "pid": os.getpid(), "began": began(os.getpid())}
    part = _status_file(DEMO).with_suffix(".part")
    part.write_text(json.dumps(told))
    part.replace(_status_file(DEMO))


def _log(stack: Stack) -> Path:
    return stack.folder / "log" / "supervisor.log"


def _status_file(stack: Stack) -> Path:
    return stack.folder / "status.json"


if __name__ == "__main__":
    main()
