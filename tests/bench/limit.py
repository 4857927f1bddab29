"""The limit as a candidate: drain the pages, and COPY blocks that were packed before the clock starts.

``python -m tests.bench.limit URL DSN``: the payload goes to an unlogged table beside key, id and hash.
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
import time

import psycopg
from tests.bench.source import PagesSource, bodies

from crossdock.ports import Row, Window

_COLUMNS = "key text NOT NULL, source_id text NOT NULL, hash uuid NOT NULL, payload text NOT NULL"
_HEAD, _END = b"PGCOPY\n\xff\r\n\x00" + bytes(8), b"\xff\xff"


def _packed(row: Row) -> bytes:
    fields = (row.key.encode(), row.source_id.encode(), hashlib.sha256(row.raw).digest()[:16], row.raw)
    return struct.pack("!h", 4) + b"".join([struct.pack("!i", len(field)) + field for field in fields])


def main(url: str, dsn: str) -> None:
    source = PagesSource(url)
    blocks = [b"".join(map(_packed, page)) for page in source.changed(Window(None, source.now()))]
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE UNLOGGED TABLE stage ({_COLUMNS})")
        before = time.process_time()
        with cursor.copy("COPY stage FROM STDIN (FORMAT binary)") as copy:
            copy.write(_HEAD)
            for _, block in zip(bodies(url, "accounts"), blocks, strict=True):
                copy.write(block)
            copy.write(_END)
    print(json.dumps({"inner": time.process_time() - before}))


if __name__ == "__main__":
    main(*sys.argv[1:])
