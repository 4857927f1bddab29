"""The cheapest way to bring levels into Medusa: ``python -m tests.bench.bare_inventory ACCESS SKUS SIZE LANES``.

Nothing but the calls of Medusa's own batch route, for items whose ids are known and that have no levels yet. ACCESS is
JSON: the shop's ``url`` and ``token``, and the ids of its ``locations``. SIZE: levels in a call, LANES: connections.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import msgspec
from tests.bench.bare_medusa import Caller

_encode = msgspec.json.Encoder().encode


def main(given: str, skus: str, size: str, lanes: str) -> None:
    access = json.loads(given)
    imports = time.process_time()
    levels = (
        {"inventory_item_id": f"iitem_{number}", "location_id": place, "stocked_quantity": 1 + number % 90}
        for number in range(1, int(skus) + 1)
        for place in access["locations"]
    )

    def batches() -> Iterator[bytes]:
        while some := list(islice(levels, int(size))):
            yield _encode({"create": some})

    def send(caller: Caller, body: bytes) -> None:
        caller.call("POST", "/admin/inventory-items/location-levels/batch?fields=id", body)

    callers = [Caller(access["url"], access["token"]) for _ in range(int(lanes))]
    with ThreadPoolExecutor(len(callers)) as pool:
        queue = batches()
        while turn := [pool.submit(send, caller, body) for caller, body in zip(callers, queue, strict=False)]:
            for future in turn:
                future.result()
    print(json.dumps({"inner": time.process_time() - imports}))


if __name__ == "__main__":
    main(*sys.argv[1:])
