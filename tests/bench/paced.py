"""A slow system with a limit: ``python -m tests.bench.paced PORT CALLS_A_SECOND BURST LATENCY LOST``.

``POST /batch`` keeps records (a JSON list of objects with ``key`` and ``fingerprint``), ``POST /find``
answers which keys it has. Both take LATENCY seconds and a token; without one the answer is 429 and
``Retry-After: 1``. CALLS_A_SECOND 0: no limit. LOST is the share of batches that are kept but never
answered: the connection is closed. ``GET /counts`` tells what happened and costs nothing.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter


class _System:
    """The records and the tokens."""

    def __init__(self, rate: float, burst: float, latency: float, lost: float) -> None:
        self.rate, self.burst, self.latency, self.lost = rate, burst, latency, lost
        self.records: dict[str, str] = {}
        self.counts: Counter[str] = Counter(calls=0, refused=0, lost=0, written=0, repeated=0)
        self._tokens, self._at = burst, 0.0
        self._chance = random.Random(1)

    def token(self, now: float) -> bool:
        if not self.rate:
            return True
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def answer(self, path: str, body: bytes) -> tuple[bytes, bytes]:
        """Status line and body of an answer; none when it is lost."""
        if path == "/counts":
            return b"200 OK", json.dumps(self.counts | {"records": len(self.records)}).encode()
        self.counts["calls"] += 1
        if not self.token(asyncio.get_running_loop().time()):
            self.counts["refused"] += 1
            return b"429 Too Many Requests\r\nRetry-After: 1", b"{}"
        rows = json.loads(body)
        if path == "/find":
            return b"200 OK", json.dumps({key: self.records[key] for key in rows if key in self.records}).encode()
        for row in rows:
            self.counts["repeated" if self.records.get(row["key"]) == row["fingerprint"] else "written"] += 1
            self.records[row["key"]] = row["fingerprint"]
        if self._chance.random() < self.lost:
            self.counts["lost"] += 1
            return b"", b""
        return b"200 OK", json.dumps({row["key"]: row["key"] for row in rows}).encode()


class _Connection(asyncio.Protocol):
    """Just enough HTTP/1.1 with keep-alive, one request at a time."""

    def __init__(self, system: _System) -> None:
        self._system, self._waiting = system, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        head, end, rest = self._waiting.partition(b"\r\n\r\n")
        _, _, length = head.lower().partition(b"content-length:")
        size = int(length.split(b"\r\n", 1)[0] or 0)
        if not end or len(rest) < size:
            return
        self._waiting = rest[size:]
        path = head.split(b" ", 2)[1].decode()
        status, body = self._system.answer(path, rest[:size])
        wait = 0 if path == "/counts" else self._system.latency
        asyncio.get_running_loop().call_later(wait, self._reply, status, body)

    def _reply(self, status: bytes, body: bytes) -> None:
        if not status:
            self._transport.close()
            return
        head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
        self._transport.write(head + body)


async def _serve(port: int, *settings: float) -> None:
    system = _System(*settings)
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(system), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), *map(float, sys.argv[2:])))
