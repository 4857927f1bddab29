"""What has to be there before anything starts: the machine's own programs, and the project's environment."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path

from sandbox.place import CACHE, HOST, ROOT, VENV
from sandbox.service import SandboxError, run

_LOG = ROOT / ".run" / "install.log"
_LOCK = ROOT / "requirements.lock"
_STAMP = VENV / "crossdock.lock"
"""Written last: the digest of the lock file the environment was made from. Absent: it is not complete."""
_DISK_GB = 3


def check_machine() -> None:
    """Raises SandboxError, one sentence, for the first thing this machine lacks."""
    try:
        version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        version = "none"
    if not re.match(r"v(20|22)\.", version):
        raise SandboxError(f"Node 20 or 22 is needed, found {version}: install one of them (nodejs.org).")
    if not shutil.which("npm"):
        raise SandboxError("npm is needed, it comes with Node: install it.")
    free = shutil.disk_usage(ROOT).free / 1e9
    if not _STAMP.exists() and free < _DISK_GB:
        raise SandboxError(f"{_DISK_GB} GB of free disk space are needed below {ROOT}, there are {free:.1f}.")


def check_ports(ports: Mapping[str, int]) -> None:
    """Raises SandboxError, naming it, for the first port another program listens on."""
    for name, port in ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                raise SandboxError(
                    f"Port {port} ({name}) is taken by another program: stop that, or name the first of "
                    f"{len(ports)} free ports in CROSSDOCK_PORT."
                ) from None


def environment() -> None:
    """The project's environment, exactly what the lock file says. Nothing happens if it is that already.

    An environment whose making was broken off is made anew. Raises SandboxError when a package cannot
    be installed.
    """
    wanted = hashlib.sha256(_LOCK.read_bytes()).hexdigest()
    if _STAMP.exists() and _STAMP.read_text() == wanted:
        return
    uv = _uv()
    caches = {} if "UV_CACHE_DIR" in os.environ else {"UV_CACHE_DIR": str(CACHE / "uv")}
    if not _STAMP.exists():
        shutil.rmtree(VENV, ignore_errors=True)
        run([uv, "venv", "--python", sys.executable, VENV], _LOG, env=caches)
    _STAMP.unlink(missing_ok=True)
    run([uv, "pip", "sync", "--python", VENV, "--require-hashes", "--compile-bytecode", _LOCK], _LOG, env=caches)
    run([uv, "pip", "install", "--python", VENV, "--no-deps", "-e", ROOT], _LOG, env=caches)
    _STAMP.write_text(wanted)


def _uv() -> Path:
    if found := shutil.which("uv"):
        return Path(found)
    place = ROOT / ".run" / "uv"
    uv = place / "bin" / "uv"
    if not uv.exists():
        try:
            venv.create(place, clear=True, with_pip=True)
        except subprocess.CalledProcessError:
            raise SandboxError("Python's venv module is incomplete: install python3-venv.") from None
        run([place / "bin" / "python", "-m", "pip", "install", "--quiet", "uv"], _LOG)
    return uv
