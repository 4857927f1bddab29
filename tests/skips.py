"""Only skips that are listed in tests/skips.txt are fine: any other fails the session."""

from __future__ import annotations

from pathlib import Path

import pytest

_ALLOWED = set((Path(__file__).parent / "skips.txt").read_text().splitlines())


class Skips:
    """Watches the reasons."""

    def __init__(self) -> None:
        self.unlisted: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and isinstance(report.longrepr, tuple):
            reason = report.longrepr[2].removeprefix("Skipped: ")
            if reason not in _ALLOWED:
                self.unlisted.append(f"{report.nodeid}: {reason}")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.unlisted:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in self.unlisted:
            terminalreporter.write_line(f"skipped, but not listed in tests/skips.txt: {line}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Skips(), "crossdock-skips")
