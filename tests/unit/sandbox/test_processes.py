"""Services, fleets and what tells one process from a later one of the same number."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox.fleet import Fleet
from sandbox.service import SandboxError, Service, began, command_line, run

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def service(folder: Path, argv: list[str] = SLEEP, ready: bool = True) -> Service:
    return Service("sleeper", argv, folder / "log" / "sleeper.log", lambda: ready)


def test_a_process_is_known_by_its_beginning() -> None:
    assert began(os.getpid()) == began(os.getpid()) != ""
    child = subprocess.Popen([sys.executable, "-c", ""])
    while began(child.pid):  # a zombie, until it is waited for, is not alive
        time.sleep(0.01)
    child.wait()
    assert began(child.pid) == command_line(child.pid) == ""


def test_a_service_that_dies_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    dying = service(tmp_path, [sys.executable, "-c", "print('no licence'); raise SystemExit(3)"], ready=False)
    with pytest.raises(SandboxError, match="no licence"):
        dying.start().wait(10)


def test_a_program_that_fails_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="out of ink"):
        run([sys.executable, "-c", "raise SystemExit('out of ink')"], tmp_path / "log" / "run.log")


def test_settings_of_another_airflow_do_not_leak_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "SequentialExecutor")
    program = "import os; assert 'AIRFLOW__CORE__EXECUTOR' not in os.environ; assert os.environ['MINE'] == '1'"
    run([sys.executable, "-c", program], tmp_path / "run.log", env={"MINE": "1"})


def test_a_fleet_tells_who_has_ended_and_stops_the_rest(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    brief = Service("brief", [sys.executable, "-c", "raise SystemExit(7)"], tmp_path / "brief.log", lambda: True)
    fleet.start([service(tmp_path), brief])
    while "brief" not in fleet.ended():
        time.sleep(0.01)
    assert fleet.ended() == {"brief": 7}
    [pid, start], _ = json.loads((tmp_path / "services.json").read_text())
    fleet.stop()
    assert began(pid) != start
    assert not (tmp_path / "services.json").exists()


def test_what_a_killed_owner_left_running_is_stopped_but_no_later_owner_of_its_number(tmp_path: Path) -> None:
    orphan, stranger = (subprocess.Popen(SLEEP, start_new_session=True) for _ in range(2))
    record = [[orphan.pid, began(orphan.pid)], [stranger.pid, "another time"]]
    (tmp_path / "services.json").write_text(json.dumps(record))
    Fleet(tmp_path).sweep()
    assert orphan.wait(5) != 0
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()
