"""Headless Chromium, by its own debugging protocol over a pipe: nothing to install but the browser."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe",
)  # fmt: skip


def installed() -> str | None:
    """The browser's path, None where there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """One page. See https://chromedevtools.github.io/devtools-protocol/ for the commands."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read, self._ids = write, read, itertools.count(1)
        self._rest, self._session = b"", ""
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self._session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self("Page.enable")

    def __call__(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._ids)
        message = {"id": number, "method": method, "params": params} | (
            {"sessionId": self._session} if self._session else {}
        )
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._rest:
                self._rest += os.read(self._read, 1 << 20)
            answer, self._rest = self._rest.split(b"\0", 1)
            told = json.loads(answer)
            if told.get("id") == number:
                if "error" in told:
                    raise RuntimeError(f"{method}: {told['error']}")
                return dict(told["result"])

    def size(self, width: int, height: int) -> None:
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700}
        self("Emulation.setDeviceMetricsOverride", **screen)

    def cookie(self, name: str, value: str, url: str) -> None:
        self("Network.setCookie", name=name, value=value, url=url, path="/", httpOnly=True)

    def text(self, url: str, *expected: str, seconds: float = 60) -> str:
        """Go there; see ``shows``."""
        self("Page.navigate", url=url)
        return self.shows(*expected, seconds=seconds)

    def script(self, expression: str) -> Any:
        """What this JavaScript says. ``inner`` is the document of the first frame, where there is one."""
        inner = "const inner = (document.querySelector('iframe') ?? {contentDocument: document}).contentDocument;"
        answer = self("Runtime.evaluate", expression=f"{{{inner} {expression}}}", userGesture=True)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def shows(self, *expected: str, seconds: float = 60) -> str:
        """What the page (with its frames) shows a person, once all that is ``expected`` is there."""
        script = """[document, ...Array.from(document.querySelectorAll("iframe"), (frame) => frame.contentDocument)]
            .map((page) => page?.body?.innerText ?? "").join("\\n")"""
        deadline, shown = time.monotonic() + seconds, ""
        while time.monotonic() < deadline:
            shown = str(self("Runtime.evaluate", expression=script)["result"].get("value", ""))
            if all(words in shown for words in expected):
                return shown
            time.sleep(0.3)
        raise AssertionError(f"{expected!r} is not there; the page shows: {shown[:1000]}")

    def picture(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A browser with a profile of its own."""
    (their_in, our_out), (our_in, their_out) = os.pipe(), os.pipe()

    def pipes() -> None:
        # Chromium reads commands from descriptor 3 and writes answers to 4
        spare_in, spare_out = os.dup(their_in), os.dup(their_out)
        os.dup2(spare_in, 3)
        os.dup2(spare_out, 4)

    process = subprocess.Popen(
        [installed() or "chromium", *_FLAGS, f"--user-data-dir={profile}"], preexec_fn=pipes, close_fds=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(their_in)
    os.close(their_out)
    try:
        yield Browser(our_out, our_in)
    finally:
        process.terminate()
        process.wait(20)
        os.close(our_out)
        os.close(our_in)
