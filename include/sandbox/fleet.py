"""Services that are started and stopped together, and leave no orphans behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sandbox.service import Service, began


class Fleet:
    """The services of one sandbox. Their process ids lie in its folder, for when their owner is killed."""

    def __init__(self, folder: Path) -> None:
        self._record = folder / "services.json"
        self._services: list[Service] = []

    def start(self, services: Sequence[Service]) -> None:
        """Start them all and note who they are. What a killed owner left running is stopped first."""
        if not self._services:
            self.sweep()
        for service in services:
            self._services.append(service.start())
        running = [(service.process.pid, began(service.process.pid)) for service in self._services if service.process]
        self._record.parent.mkdir(parents=True, exist_ok=True)
        self._record.write_text(json.dumps(running))

    def wait(self, seconds: float = 180) -> None:
        """Until all are ready. Raises SandboxError, with the end of its log, when one is not."""
        for service in self._services:
            service.wait(seconds)

    def ended(self) -> dict[str, int]:
        """The services that have ended by themselves, with their exit codes."""
        codes = {service.name: service.process.poll() for service in self._services if service.process}
        return {name: code for name, code in codes.items() if code is not None}

    def stop(self) -> None:
        """Stop all at once and wait for their end; the record goes last."""
        if self._services:
            with ThreadPoolExecutor(len(self._services)) as pool:
                list(pool.map(Service.stop, self._services))
            self._services.clear()
        self.sweep()

    def sweep(self, grace: float = 15) -> None:
        """Stop what the record names and still lives, whoever started it."""
        if not self._record.exists():
            return
        left = [(pid, start) for pid, start in json.loads(self._record.read_text()) if began(pid) == start]
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid, _ in left:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, number)
            deadline = time.monotonic() + grace
            while left and time.monotonic() < deadline:
                left = [(pid, start) for pid, start in left if began(pid) == start]
                time.sleep(0.1)
        self._record.unlink()
