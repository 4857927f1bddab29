"""Airflow on one machine: four processes that we watch ourselves, and a small client of its REST API.

Never ``airflow standalone``: it listens on all addresses and leaves its children behind when it is stopped.
"""

from __future__ import annotations

import hashlib
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sandbox.place import CACHE, HOST, ROOT, VENV
from sandbox.postgres import Cluster
from sandbox.secret import secret, write_private
from sandbox.service import SandboxError, Service, run

USER = "admin"
_DATABASE = "airflow"
_PARSER = "dag-processor"
_PROCESSES = {
    # command (-s: no server for log files, they are read from the disk): its name in the health check
    "api-server": "metadatabase",
    "scheduler -s": "scheduler",
    _PARSER: "dag_processor",
    "triggerer -s": "triggerer",
}


@dataclass(frozen=True)
class Airflow:
    """An Airflow whose files lie in ``home``, whose metadata lie in ``cluster``."""

    home: Path
    port: int
    cluster: Cluster

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def password(self) -> str:
        """The password of USER."""
        return secret(self.home, "password")[:20]

    def prepare(self) -> None:
        """The metadata database: from the cache if it holds one, migrated if the packages have changed since."""
        packages = hashlib.sha256((ROOT / "requirements.lock").read_bytes()).hexdigest()[:12]
        saved = CACHE / f"airflow-{packages}.dump"
        stamp = self.home / "packages"
        if _DATABASE in self.cluster.databases():
            if not stamp.exists() or stamp.read_text() != packages:
                self._migrate()
        elif saved.exists():
            self.cluster.restore(_DATABASE, saved)
        else:
            self.cluster.create_database(_DATABASE)
            self._migrate()
            self.cluster.dump(_DATABASE, saved)
        self.home.mkdir(parents=True, exist_ok=True)
        stamp.write_text(packages)

    def services(self) -> list[Service]:
        """The four processes. Ready means that Airflow's own health check says so of that process."""
        write_private(self.home / "passwords.json", json.dumps({USER: self.password}))
        return [self._service(command, part) for command, part in _PROCESSES.items()]

    def client(self) -> Client:
        """A client logged in as USER, at its first call."""
        return Client(self.url, USER, self.password)

    def env(self) -> dict[str, str]:
        """The whole configuration, as Airflow's environment variables."""
        return {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "8",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__CORE__FERNET_KEY": secret(self.home, "fernet key"),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.home / "passwords.json"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.cluster.dsn(_DATABASE).replace("://", "+psycopg2://", 1),
            "AIRFLOW__API__HOST": HOST,
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__SECRET_KEY": secret(self.home, "session key"),
            "AIRFLOW__API_AUTH__JWT_SECRET": secret(self.home, "jwt secret"),
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.15",
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
            "AIRFLOW__TRIGGERER__SHARED_STREAM_COHORT_GRACE_PERIOD": "2",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "GX_ANALYTICS_ENABLED": "false",
            "PYTHONPATH": str(ROOT / "config"),
            "PYTHONWARNINGS": "ignore",
            "no_proxy": HOST,
        }

    def _service(self, command: str, part: str) -> Service:
        name, *flags = command.split()
        return Service(
            f"airflow {name}",
            [*(["nice"] if name == _PARSER else []), str(VENV / "bin" / "airflow"), name, *flags],
            self.home / "log" / f"{name}.log",
            lambda: self._healthy(part),
            cwd=self.home,
            env=self.env(),
        )

    def _migrate(self) -> None:
        run([VENV / "bin" / "airflow", "db", "migrate"], self.home / "log" / "migrate.log", env=self.env())

    def _healthy(self, part: str) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/api/v2/monitor/health", timeout=5) as response:
                return bool(json.load(response)[part]["status"] == "healthy")
        except (OSError, ValueError):
            return False


@dataclass(frozen=True)
class Client:
    """Airflow's REST API, as much of it as the sandbox and the tests need."""

    url: str
    user: str
    password: str

    @cached_property
    def _token(self) -> str:
        answer = self._send("POST", "/auth/token", {"username": self.user, "password": self.password}, {})
        return str(answer["access_token"])

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """One call below ``/api/v2``. Raises SandboxError with Airflow's answer when it refuses."""
        return self._send(method, f"/api/v2{path}", body, {"Authorization": f"Bearer {self._token}"})

    def ensure(self, path: str, body: Mapping[str, Any]) -> None:
        """Create a connection, pool or variable. One that is there stays as it is: a person may have changed it."""
        try:
            self.call("POST", path, body)
        except SandboxError as error:
            if "answered 409" not in str(error):
                raise

    def wait_for_dags(self, expected: set[str], seconds: float = 60) -> None:
        """Until all these DAGs are parsed. Raises SandboxError with Airflow's import errors if one is not."""
        deadline = time.monotonic() + seconds
        while missing := expected - {dag["dag_id"] for dag in self.call("GET", "/dags?limit=200")["dags"]}:
            errors = [error["stack_trace"] for error in self.call("GET", "/importErrors")["import_errors"]]
            if errors or time.monotonic() > deadline:
                raise SandboxError("\n".join([f"Airflow does not list {', '.join(sorted(missing))}.", *errors]))
            time.sleep(0.5)

    def unpause(self, dag: str) -> None:
        """Let the DAG's schedule work."""
        self.call("PATCH", f"/dags/{dag}", {"is_paused": False})

    def trigger(self, dag: str, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run now, give its id."""
        answer = self.call("POST", f"/dags/{dag}/dagRuns", {"logical_date": None, "conf": dict(conf or {})})
        return str(answer["dag_run_id"])

    def wait(self, dag: str, run_id: str, seconds: float = 600) -> str:
        """Until the run is over; give its state, ``success`` or ``failed``."""
        path = f"/dags/{dag}/dagRuns/{urllib.parse.quote(run_id, safe='')}"
        deadline = time.monotonic() + seconds
        while (state := str(self.call("GET", path)["state"])) not in ("success", "failed"):
            if time.monotonic() > deadline:
                raise SandboxError(f"The run {run_id} of {dag} is still {state} after {seconds:.0f} s.")
            time.sleep(0.25)
        return state

    def finish(self, dag: str, run_id: str, seconds: float = 600) -> str:
        """Wait for the run to succeed, give its id. Raises SandboxError, with its tasks' words, if it fails."""
        if self.wait(dag, run_id, seconds) != "success":
            told = [f"The run {run_id} of {dag} failed; see {self.url}/dags/{dag}/runs/{run_id}"]
            for task in self.tasks(dag, run_id):
                told.append(f"{task['task_id']}: {task['state']}")
                if task["state"] == "failed":
                    told.append(self.log(dag, run_id, task["task_id"], task["try_number"])[-3000:])
            raise SandboxError("\n".join(told))
        return run_id

    def run(self, dag: str, conf: Mapping[str, Any] | None = None, seconds: float = 600) -> str:
        """Start a run and wait for it to succeed, see ``finish``. The DAG must not be paused."""
        return self.finish(dag, self.trigger(dag, conf), seconds)

    def log(self, dag: str, run_id: str, task: str, attempt: int = 1) -> str:
        """What a task has said, line by line."""
        run = urllib.parse.quote(run_id, safe="")
        answer = self.call("GET", f"/dags/{dag}/dagRuns/{run}/taskInstances/{task}/logs/{attempt}?full_content=true")
        return "\n".join(str(line.get("error_detail") or line["event"]) for line in answer["content"])

    def tasks(self, dag: str, run_id: str) -> list[dict[str, Any]]:
        """The task instances of a run."""
        path = f"/dags/{dag}/dagRuns/{urllib.parse.quote(run_id, safe='')}/taskInstances?limit=200"
        return list(self.call("GET", path)["task_instances"])

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None, headers: dict[str, str]) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data, {"Content-Type": "application/json", **headers}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")[:1000]
            raise SandboxError(f"Airflow answered {error.code} to {method} {path}: {text}") from None
        except OSError as error:
            raise SandboxError(f"Airflow does not answer at {self.url}: {error}") from None
