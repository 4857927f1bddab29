"""A source of B2B accounts over HTTP, made to cost next to nothing: ``python -m tests.bench.pages PORT ROWS``.

``/accounts?page=N`` gives 1,000 flat records of about 520 bytes, ``/ids?page=N`` 10,000 ids, both an
empty list past the end. A page is one ``%`` over a template, so any number of rows needs no memory.
"""

from __future__ import annotations

import asyncio
import random
import sys

PER_PAGE = 1_000
IDS_PER_PAGE = 10_000

_WORDS = [
    "Alder",
    "Birch",
    "Cedar",
    "Dune",
    "Ember",
    "Fjord",
    "Grove",
    "Harbor",
    "Iris",
    "Juniper",
    "Krone",
    "Linden",
    "Mason",
]


def _record(rng: random.Random) -> str:
    """One record as JSON, with a %d for its id and three %07d for its number."""
    first, second, street, city, given, family = (rng.choice(_WORDS) for _ in range(6))
    days = rng.choice((14, 30, 60))
    return (
        f'{{"id":%d,"number":"C%07d","name":"{first} {second} GmbH %07d","active":true,"blocked":false,'
        f'"credit_hold":{rng.choice(("true", "false"))},"tax_id":"DE{rng.randrange(10**9):09d}","tax_exempt":false,'
        f'"terms":"Net {days} days","terms_days":{days},"price_list":"{rng.choice(_WORDS)} list","currency":"EUR",'
        f'"buyer_email":"{given}.{family}%07d@{first}-{second}.example","buyer_name":"{given} {family}",'
        f'"buyer_phone":"+49 30 {rng.randrange(10**7):07d}","street":"{street} street {rng.randrange(200)}, gate 1",'
        f'"postal_code":"{rng.randrange(10**5):05d}","city":"{city}","subdivision":"DE-BE","country":"DE","delivery":true,'
        f'"write_date":"2026-11-{rng.randrange(1, 29):02d}T08:{rng.randrange(60):02d}:{rng.randrange(60):02d}.000000"}}'
    )


def _template() -> bytes:
    rng = random.Random(20261124)
    return f"[{','.join(_record(rng) for _ in range(PER_PAGE))}]".encode()


def accounts(template: bytes, page: int, rows: int) -> bytes:
    """The body of one page of records."""
    first = page * PER_PAGE
    if first >= rows:
        return b"[]"
    return template % tuple(number for n in range(first, first + PER_PAGE) for number in (n + 1, n, n, n))


def ids(page: int, rows: int) -> bytes:
    """The body of one page of ids."""
    first = page * IDS_PER_PAGE
    return f"[{','.join(map(str, range(first + 1, min(first + IDS_PER_PAGE, rows) + 1)))}]".encode()


class _Server(asyncio.Protocol):
    """Just enough HTTP/1.1 with keep-alive for GET requests without a body."""

    def __init__(self, template: bytes, rows: int) -> None:
        self._template, self._rows, self._waiting = template, rows, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        while b"\r\n\r\n" in self._waiting:
            head, self._waiting = self._waiting.split(b"\r\n\r\n", 1)
            path, _, page = head.split(b" ", 2)[1].partition(b"?page=")
            body = ids(int(page), self._rows) if path == b"/ids" else accounts(self._template, int(page), self._rows)
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )


async def _serve(port: int, rows: int) -> None:
    template = _template()
    server = await asyncio.get_running_loop().create_server(lambda: _Server(template, rows), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
