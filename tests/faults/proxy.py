"""A line to a real system on which faults can be laid: it stands between a hook and the server."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sandbox.place import HOST


@dataclass
class Answer:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


Send = Callable[[], Answer]
"""Passes the call on to the server."""
Fault = Callable[[Send], Answer | None]
"""What happens to a call. None: the connection is reset."""


def pass_on(send: Send) -> Answer | None:
    return send()


def reset(send: Send) -> Answer | None:
    """The server never hears of it."""
    return None


def lose_answer(send: Send) -> Answer | None:
    """The server has done it, and nobody is told."""
    send()
    return None


def instead(status: int, body: bytes = b"") -> Fault:
    """The server has done it, and something else answers."""

    def act(send: Send) -> Answer | None:
        send()
        return Answer(status, body=body)

    return act


def late(seconds: float) -> Fault:
    """The server hears of it after this time; the caller may have given up."""

    def act(send: Send) -> Answer | None:
        time.sleep(seconds)
        return send()

    return act


def answer(status: int, body: bytes = b"", **headers: str) -> Fault:
    """The server never hears of it; something else answers. ``Retry_After`` is the header Retry-After."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda send: Answer(status, given, body)


def cut_json(send: Send) -> Answer | None:
    """A complete HTTP answer that holds half of what was to be said."""
    whole = send()
    body = whole.body if whole.headers.get("Content-Encoding") != "gzip" else b'{"id": 0, "result": [{"na'
    headers = {name: value for name, value in whole.headers.items() if name != "Content-Encoding"}
    return Answer(whole.status, headers, body[: len(body) // 2])


def meanwhile(act: Callable[[], None]) -> Fault:
    """Something happens after the server has answered and before the caller hears of it."""

    def fault(send: Send) -> Answer | None:
        told = send()
        act()
        return told

    return fault


def clock(off: timedelta) -> Fault:
    """The server's clock is wrong by so much."""

    def fault(send: Send) -> Answer | None:
        told = send()
        told.headers["Date"] = format_datetime(parsedate_to_datetime(told.headers["Date"]) + off, usegmt=True)
        return told

    return fault


class Line:
    """A loopback port that leads to one server. ``calls``: what came, ``POST /path body``."""

    def __init__(self, server: str) -> None:
        self._server = server.removeprefix("http://")
        self._fault, self._match, self._times = pass_on, "", 0
        self.calls: list[str] = []
        line = self

        class Handler(BaseHTTPRequestHandler):
            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline()
                if self.raw_requestline and self.parse_request():
                    line.serve(self)
                self.close_connection = True

        self._http = ThreadingHTTPServer((HOST, 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://{HOST}:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    @contextmanager
    def fault(self, fault: Fault, match: str = "", times: int = 1_000) -> Iterator[None]:
        """Meanwhile the next ``times`` calls in which the pattern is found meet this fault."""
        self._fault, self._match, self._times = fault, match, times
        try:
            yield
        finally:
            self._fault, self._match, self._times = pass_on, "", 0

    def seen(self, match: str) -> int:
        """How many calls there were with this pattern in them."""
        return sum(bool(re.search(match, call)) for call in self.calls)

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        call = f"{handler.command} {handler.path} {body.decode(errors='replace')}"
        self.calls.append(call)
        fault = pass_on
        if self._times and re.search(self._match, call):
            self._times -= 1
            fault = self._fault
        try:
            told = fault(lambda: self._send(handler, body))
        except (OSError, http.client.HTTPException):  # the server has gone
            told = None
        if told is None:
            linger = struct.pack("ii", 1, 0)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            handler.connection.close()
            return
        head = "".join(f"{name}: {value}\r\n" for name, value in told.headers.items())
        head = f"HTTP/1.1 {told.status} -\r\n{head}Content-Length: {len(told.body)}\r\nConnection: close\r\n\r\n"
        with contextlib.suppress(ConnectionError):  # the caller has gone
            handler.wfile.write(head.encode() + told.body)

    def _send(self, handler: BaseHTTPRequestHandler, body: bytes) -> Answer:
        connection = http.client.HTTPConnection(self._server)
        try:
            connection.request(handler.command, handler.path, body, dict(handler.headers))
            got = connection.getresponse()
            hop = ("connection", "keep-alive", "transfer-encoding", "content-length")
            return Answer(
                got.status, {name: value for name, value in got.getheaders() if name.lower() not in hop}, got.read()
            )
        finally:
            connection.close()
