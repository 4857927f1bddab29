"""``make demo``, as a person meets it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.install import check_ports
from sandbox.place import PORTS, ROOT
from sandbox.service import SandboxError, answers, free_port

Sandbox = Callable[..., str]


@pytest.fixture(scope="module")
def run(session: Path) -> Path:
    return session / "demo" / "run"


@pytest.fixture(scope="module")
def sandbox(run: Path) -> Iterator[Sandbox]:
    """The command, for a demo of our own beside the person's."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "include"), "CROSSDOCK_RUN": str(run)}
    environment["CROSSDOCK_PORT"] = str(_free_row(len(PORTS)))

    def sandbox(command: str) -> str:
        argv = [sys.executable, "-m", "sandbox", command]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    yield sandbox
    sandbox("stop")


def test_the_demo_brings_erp_and_shop_into_step_and_says_so(sandbox: Sandbox, run: Path) -> None:
    said = sandbox("demo")
    assert "customers is in step" in said
    assert re.search(r"customers +read 50, created \d+, quarantined 3", said), said
    assert len(re.findall("quarantined: Account|quarantined: Contact", said)) == 3
    assert re.search(r"items +read 98, created \d+, quarantined 1", said), said
    assert "quarantined: Product KP001" in said
    facts_file = run.parent / "demo.json"
    assert facts_file.stat().st_mode & 0o777 == 0o600
    facts = json.loads(facts_file.read_text())
    assert {part: set(facts[part]) for part in ("airflow", "erp", "storefront", "db")} == {
        "airflow": {"url", "user", "password"},
        "erp": {"type", "url", "database", "user", "password", "bearer"},
        "storefront": {"type", "url", "admin_email", "admin_password", "publishable_key", "buyers"},
        "db": {"dsn"},
    }
    buyers = facts["storefront"]["buyers"]
    assert [set(buyer) for buyer in buyers] == [{"account", "email", "password"}] * 3
    assert len({buyer["account"] for buyer in buyers}) == 2
    assert facts["seconds"]["total"] > 0


def test_everything_listens_on_loopback_only(sandbox: Sandbox, run: Path) -> None:
    facts = json.loads((run.parent / "demo.json").read_text())
    first = urllib.parse.urlsplit(facts["airflow"]["url"]).port or 0
    listening = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            address, port = local.split(":")
            if state == "0A" and first <= int(port, 16) < first + len(PORTS):
                listening[int(port, 16)] = address
    assert listening == dict.fromkeys(range(first, first + len(PORTS)), "0100007F")


def test_a_second_demo_finds_everything_in_place(sandbox: Sandbox) -> None:
    said = sandbox("demo")
    assert "The servers run already" in said
    assert "created" not in said


def test_a_server_that_dies_is_reported_and_stop_leaves_nothing_behind(sandbox: Sandbox, run: Path) -> None:
    mailbox = json.loads((run / "services.json").read_text())[0][0]
    os.kill(mailbox, signal.SIGKILL)
    time.sleep(2)
    assert "mailbox has ended by itself" in sandbox("status")
    facts = json.loads((run.parent / "demo.json").read_text())
    sandbox("stop")
    assert sandbox("status").startswith("Nothing runs")
    assert not any(answers(facts[part]["url"]) for part in ("airflow", "erp", "storefront"))


def _free_row(length: int) -> int:
    """The first of so many free ports in a row."""
    while True:
        first = free_port()
        try:
            check_ports({str(port): port for port in range(first, first + length)})
        except (SandboxError, OverflowError):
            continue
        return first
