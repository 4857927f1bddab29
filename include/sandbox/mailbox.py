"""The sandbox's mailbox: takes every mail over SMTP, shows it on one page, sends nothing on.

Run as ``python -m sandbox.mailbox SMTP_PORT PAGE_PORT FOLDER``. Each mail becomes one JSON file in the
folder: ``{"at", "from", "to", "subject", "text"}``.
"""

from __future__ import annotations

import email
import email.policy
import html
import json
import re
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

from sandbox.place import HOST, ROOT
from sandbox.service import SandboxError, Service

_LARGEST = 10_000_000


@dataclass(frozen=True)
class Mailbox:
    """A mailbox whose mails lie in ``folder``."""

    folder: Path
    smtp_port: int
    page_port: int

    @property
    def url(self) -> str:
        """The page that lists the mails, newest first; below ``mails.json`` the same as JSON."""
        return f"http://{HOST}:{self.page_port}"

    def service(self) -> Service:
        """The process to start."""
        ports = [str(self.smtp_port), str(self.page_port)]
        return Service(
            "mailbox",
            [sys.executable, "-m", "sandbox.mailbox", *ports, str(self.folder)],
            self.folder.parent / "log" / "mailbox.log",
            self._ready,
            env={"PYTHONPATH": str(ROOT / "include")},
        )

    def mails(self) -> list[dict[str, Any]]:
        """All mails, oldest first."""
        return _mails(self.folder)

    def wait_for(self, address: str, word: str, since: float = 0, seconds: float = 30) -> dict[str, Any]:
        """The newest mail to the address with the word in its subject or text, waiting for it if need be."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for mail in self.mails()[::-1]:
                if address in mail["to"] and mail["at"] >= since and word in f"{mail['subject']}\n{mail['text']}":
                    return mail
            time.sleep(0.1)
        raise SandboxError(f"No mail to {address} with {word!r} came within {seconds:.0f} s.")

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/mails.json", timeout=2):
                return True
        except OSError:
            return False


def _mails(folder: Path) -> list[dict[str, Any]]:
    mails: list[dict[str, Any]] = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    return mails


class _Smtp(StreamRequestHandler):
    """One SMTP conversation (RFC 5321, as much as a sending client needs)."""

    folder: Path
    numbers = count()
    timeout = 60

    def handle(self) -> None:
        self._say("220 sandbox mailbox")
        sender, recipients = "", list[str]()
        while line := self.rfile.readline(2000):
            verb = line[:4].upper().strip()
            address = re.search(rb"<(.*?)>", line)
            match verb:
                case b"EHLO":
                    self._say("250-sandbox\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 OK")
                case b"MAIL" if address:
                    sender, recipients = address[1].decode(errors="replace"), []
                    self._say("250 OK")
                case b"RCPT" if address:
                    recipients.append(address[1].decode(errors="replace"))
                    self._say("250 OK")
                case b"DATA" if recipients:
                    self._say("354 go on")
                    self._keep(sender, recipients, self._message())
                    self._say("250 kept")
                case b"QUIT":
                    self._say("221 bye")
                    return
                case b"HELO" | b"RSET" | b"NOOP":
                    self._say("250 OK")
                case _:
                    self._say("502 not here")

    def _message(self) -> bytes:
        lines, size = list[bytes](), 0
        while (line := self.rfile.readline(_LARGEST)) not in (b".\r\n", b".\n", b""):
            lines.append(line.removeprefix(b"."))
            size += len(line)
            if size > _LARGEST:
                raise ValueError("mail too large")
        return b"".join(lines)

    def _keep(self, sender: str, recipients: list[str], raw: bytes) -> None:
        message = email.message_from_bytes(raw, policy=email.policy.default)
        body = message.get_body(("plain", "html"))
        mail = {
            "at": time.time(),
            "from": sender,
            "to": recipients,
            "subject": str(message["subject"] or ""),
            "text": body.get_content().replace("\r\n", "\n") if body else "",
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / f"{time.time_ns()}-{next(self.numbers)}.json"
        part = file.with_suffix(".part")
        part.write_text(json.dumps(mail, indent=1))
        part.rename(file)

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


class _Page(BaseHTTPRequestHandler):
    """The list of mails."""

    folder: Path

    def do_GET(self) -> None:
        mails = _mails(self.folder)[::-1]
        if self.path == "/mails.json":
            self._send("application/json", json.dumps(mails))
        else:
            self._send("text/html", _page(mails))

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a page looked at is no event."""

    def _send(self, kind: str, text: str) -> None:
        data = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
        self.end_headers()
        self.wfile.write(data)


def _page(mails: list[dict[str, Any]]) -> str:
    rows = [
        f"<h2>{html.escape(mail['subject'])}</h2><p>to {html.escape(', '.join(mail['to']))}, "
        f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(mail['at']))}</p><pre>{_linked(mail['text'])}</pre>"
        for mail in mails
    ]
    return (
        "<!doctype html><meta charset=utf-8><title>Mailbox</title>"
        "<style>body{font:15px/1.5 system-ui;max-width:50rem;margin:2rem auto;padding:0 1rem}"
        "h2{font-size:1.1rem;margin:2rem 0 0}p{color:#666;margin:0}pre{white-space:pre-wrap}</style>"
        f"<h1>Mailbox</h1><p>{len(mails)} mails. Nothing leaves this machine.</p>{''.join(rows)}"
    )


def _linked(text: str) -> str:
    """The text, harmless, with its web addresses as links."""
    parts = re.split(r"(https?://[^\s<>\"']+)", text)
    return "".join(
        f'<a href="{html.escape(part)}" rel="noreferrer">{html.escape(part)}</a>' if number % 2 else html.escape(part)
        for number, part in enumerate(parts)
    )


class _SmtpServer(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main() -> None:
    smtp_port, page_port, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    _Smtp.folder = _Page.folder = folder
    smtp = _SmtpServer((HOST, smtp_port), _Smtp)
    threading.Thread(target=smtp.serve_forever, daemon=True).start()
    ThreadingHTTPServer((HOST, page_port), _Page).serve_forever()


if __name__ == "__main__":
    main()
