"""What peers are run with: environments of their own, their command lines, and the source they read."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from tests.bench.measure import WORK

from sandbox.place import HOST, ROOT
from sandbox.service import Service, answers, free_port

_PEERS = Path(__file__).parent / "peers"
_PIPE = ["bash", "-o", "pipefail", "-c", '"$0" "$1" "$2" --config "$3" | "$4" --config "$5"']


def environment(peer: str) -> Path:
    """The Python of a peer's own environment, made from its lock file when there is none yet."""
    lock, place = _PEERS / f"{peer}.lock", ROOT / ".run" / f"bench-{peer}"
    python, stamp = place / "bin" / "python", place / "lock.sha256"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        print(f"making the environment of {peer} ...", flush=True)
        venv.create(place, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", lock], check=True)
        stamp.write_text(digest)
    return python


def pins(peer: str) -> list[str]:
    """The versions that were asked for."""
    return [line for line in (_PEERS / f"{peer}.txt").read_text().splitlines() if "==" in line]


def dlt(mode: str, url: str, dsn: str, home: Path) -> list[str | Path]:
    """The command line of a dlt pipeline in one of its modes; ``home`` keeps its state."""
    return [environment("dlt"), _PEERS / "dlt_pipeline.py", mode, url, dsn, home]


def singer(kind: str, settings: Mapping[str, Any], url: str, dsn: str) -> list[str | Path]:
    """The command line of a tap (``plain`` or ``lean``) piped into target-postgres."""
    server = psycopg.conninfo.conninfo_to_dict(dsn)
    known = {"host": server["host"], "port": int(server["port"] or 0), "database": server["dbname"]}
    known |= {"user": server["user"], "password": server["password"], "default_target_schema": "peer"}
    tap, target = WORK / "tap.json", WORK / "target.json"
    tap.write_text(json.dumps({"url": url}))
    target.write_text(json.dumps(known | dict(settings)))
    python = environment("singer")
    return [*_PIPE, python, _PEERS / "singer_tap.py", kind, tap, python.parent / "target-postgres", target]


@contextmanager
def source(rows: int) -> Iterator[str]:
    """The pages' URL, served by a process of its own."""
    port = free_port()
    url = f"http://{HOST}:{port}"
    argv = [sys.executable, "-m", "tests.bench.pages", str(port), str(rows)]
    server = Service("the pages", argv, WORK / "pages.log", ready=lambda: answers(f"{url}/ids?page=0"), cwd=ROOT)
    try:
        server.start().wait()
        yield url
    finally:
        server.stop()
