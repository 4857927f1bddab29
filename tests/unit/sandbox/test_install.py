"""One clear sentence for what is missing."""

from __future__ import annotations

import errno
import shutil
import socket
import subprocess
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sandbox import __main__ as command
from sandbox import install
from sandbox.place import HOST
from sandbox.service import SandboxError


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """A machine that has everything, to take something away from."""
    has = SimpleNamespace(node="v22.1.0", npm="/usr/bin/npm", free=50e9)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=has.node))
    monkeypatch.setattr(shutil, "which", lambda _: has.npm)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=has.free))
    monkeypatch.setattr(install, "_STAMP", tmp_path / "not yet")
    return has


@pytest.mark.parametrize(
    ("lacks", "told"),
    [
        ({"node": "v18.20.4"}, "Node 20 or 22 is needed, found v18.20.4"),
        ({"npm": None}, "npm is needed"),
        ({"free": 1.2e9}, "3 GB of free disk space are needed .* there are 1.2"),
    ],
)
def test_what_the_machine_lacks_is_said(machine: SimpleNamespace, lacks: dict[str, Any], told: str) -> None:
    install.check_machine()
    vars(machine).update(lacks)
    with pytest.raises(SandboxError, match=told):
        install.check_machine()


def test_a_machine_without_node_is_told_so(machine: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", missing)
    with pytest.raises(SandboxError, match="found none"):
        install.check_machine()


def test_a_port_in_use_is_named() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SandboxError, match=rf"Port {port} \(erp\) is taken"):
            install.check_ports({"erp": port})
    install.check_ports({"erp": port})


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SandboxError("Port 1 is taken."), "Port 1 is taken."),
        (SandboxError("initdb: No space left on device"), "The disk is full"),
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full"),
        (KeyboardInterrupt(), "Stopped."),
    ],
)
def test_a_command_fails_with_one_sentence(
    error: BaseException, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setitem(command._COMMANDS, "up", fail)
    monkeypatch.setattr(command.demo, "alone", lambda: nullcontext())
    assert command.main(["up"]) != 0
    said = capsys.readouterr().err
    assert told in said and len(said.splitlines()) == 1
