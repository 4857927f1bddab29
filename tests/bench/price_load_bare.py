"""The cheapest way to bring price lists into Medusa by its own API: ``python -m tests.bench.price_load_bare FILE``.

FILE is JSON: ``url`` and ``token`` of the shop, its ``skus``, how many ``lists``, ``prices`` and ``accounts``; ``size``
and ``lanes``, the shape of the calls; ``node``, the shop's process; ``dsn`` of the cluster. It does not look whether
anything is there already.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
from tests.bench.bare_medusa import Caller
from tests.bench.measure import Watch

_BATCH = 4000
"""Prices that go into one call beside those of the list: Medusa takes 2 MB."""

_encode = msgspec.json.Encoder().encode


def _load(given: dict[str, Any]) -> None:
    callers = [Caller(given["url"], given["token"]) for _ in range(given["lanes"])]
    variants: dict[str, str] = {}
    skus = given["skus"]
    for start in range(0, len(skus), 100):
        query = "&".join(f"sku[]={sku}" for sku in skus[start : start + 100])
        answer = json.loads(callers[0].call("GET", f"/admin/product-variants?fields=id,sku&limit=100&{query}"))
        variants |= {one["sku"]: one["id"] for one in answer["variants"]}
    groups: dict[str, str] = {}
    while page := json.loads(
        callers[0].call("GET", f"/admin/customer-groups?fields=id,name&limit=1000&offset={len(groups)}")
    )["customer_groups"]:
        groups |= {one["name"]: one["id"] for one in page}

    def make(caller: Caller, number: int) -> None:
        prices = [
            {"variant_id": variants[sku], "currency_code": "eur", "amount": (n * 7 + number) % 9000 / 100 + 1}
            for n, sku in enumerate(skus)
        ]
        members = [groups[f"erp:account:A-{n:05d}"] for n in range(number, given["accounts"], given["lists"])]
        first: dict[str, Any] = {
            "title": f"List {number}", "description": f"list:{number}", "type": "override", "status": "active",
            "rules": {"customer.groups.id": members}, "prices": prices[: given["size"]],
        }  # fmt: skip
        made = json.loads(caller.call("POST", "/admin/price-lists?fields=id", _encode(first)))["price_list"]["id"]
        for start in range(given["size"], len(prices), _BATCH):
            caller.call(
                "POST",
                f"/admin/price-lists/{made}/prices/batch?fields=id",
                _encode({"create": prices[start : start + _BATCH]}),
            )

    def all_of(lane: int) -> None:
        for number in range(lane, given["lists"], given["lanes"]):
            make(callers[lane], number)

    with ThreadPoolExecutor(given["lanes"]) as pool:
        list(pool.map(all_of, range(given["lanes"])))


def main(file: str) -> None:
    given = json.loads(Path(file).read_text())
    print(json.dumps({"load": Watch(given["dsn"], {"node": given["node"]}).used(lambda: _load(given))}))


if __name__ == "__main__":
    main(*sys.argv[1:])
