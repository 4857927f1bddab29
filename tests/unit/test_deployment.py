"""The files for a deployment say what the code expects."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from sandbox.merchant import PLANTED, PLANTED_ITEMS
from sandbox.place import ROOT


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())
    return parsed


def test_every_server_is_watched_and_waits_for_the_init_job(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(services) == {"postgres", "init", "api-server", "scheduler", "dag-processor", "triggerer"}
    assert all("healthcheck" in service for name, service in services.items() if name != "init")
    for name in services.keys() - {"postgres", "init"}:
        assert services[name]["depends_on"]["init"]["condition"] == "service_completed_successfully"


def test_what_is_published_is_published_on_loopback_only(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:8080:8080"]


def test_every_secret_comes_from_the_env_file_and_has_no_default() -> None:
    text = (ROOT / "docker-compose.yaml").read_text()
    asked = set(re.findall(r"(?<!\$)\$\{(\w+)([^}]*)\}", text))
    assert {rest for _, rest in asked} == {":?"}
    offered = set(re.findall(r"^(\w+)=$", (ROOT / ".env.example").read_text(), re.M))
    assert {name for name, _ in asked} == offered


def test_the_image_holds_what_the_lock_was_tested_with() -> None:
    [image] = re.findall(r"^FROM apache/airflow:([\d.]+)-python3\.1[123]$", (ROOT / "Dockerfile").read_text(), re.M)
    assert f"apache-airflow=={image} " in (ROOT / "requirements.lock").read_text()


def test_the_readme_names_the_records_that_are_bad_on_purpose() -> None:
    readme = (ROOT / "README.md").read_text()
    for account, what in (PLANTED | PLANTED_ITEMS).items():
        assert f"| {account} | {what} |" in readme
