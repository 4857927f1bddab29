"""The cheapest way to bring products into Medusa: ``python -m tests.bench.bare_medusa ACCESS COUNT SIZE LANES``.

No ledger, no checks, no reading back, nothing but the calls: what a loader can at best come to. ACCESS is
JSON: the shop's ``url`` and ``token``, and the ids that ``prepare`` found and made.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

import msgspec
from tests.bench.catalogue import CATEGORIES, KINDS, SIZE, Product, products

_encode = msgspec.json.Encoder().encode


class _Id(msgspec.Struct, gc=False):
    id: str


class _Answer(msgspec.Struct, gc=False):
    created: list[_Id]


_made = msgspec.json.Decoder(_Answer).decode


class Caller:
    """One connection that stays open."""

    def __init__(self, url: str, token: str = "") -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=300)
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def call(self, verb: str, path: str, body: bytes = b"") -> bytes:
        """The body of the answer. Raises RuntimeError unless it is 2xx."""
        self._connection.request(verb, path, body, self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if not 200 <= answer.status < 300:
            raise RuntimeError(f"{verb} {path}: {answer.status} {text[:500]!r}")
        return text


def prepare(url: str, email: str, password: str) -> dict[str, Any]:
    """Log in and make what products refer to."""
    login = Caller(url).call("POST", "/auth/user/emailpass", _encode({"email": email, "password": password}))
    token = json.loads(login)["token"]
    caller = Caller(url, token)

    def made(path: str, kind: str, body: dict[str, Any]) -> str:
        return str(json.loads(caller.call("POST", path, _encode(body)))[kind]["id"])

    def first(path: str, kind: str) -> str:
        return str(json.loads(caller.call("GET", path))[kind][0]["id"])

    return {
        "url": url,
        "token": token,
        "channel": first("/admin/sales-channels", "sales_channels"),
        "profile": first("/admin/shipping-profiles", "shipping_profiles"),
        "categories": {
            name: made("/admin/product-categories", "product_category", {"name": name, "is_active": True})
            for name in CATEGORIES
        },
        "kinds": {kind: made("/admin/product-types", "product_type", {"value": kind}) for kind in KINDS},
    }


def _body(product: Product, access: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": product.name,
        "handle": product.code.lower(),
        "external_id": product.code,
        "status": "published",
        "description": product.description,
        "weight": product.grams,
        "type_id": access["kinds"][product.kind],
        "categories": [{"id": access["categories"][name]} for name in product.categories],
        "sales_channels": [{"id": access["channel"]}],
        "shipping_profile_id": access["profile"],
        "metadata": {"erp_id": product.id, "erp_hash": f"{product.id:032x}"},
        "options": [{"title": SIZE, "values": [product.size]}],
        "variants": [
            {
                "title": product.size,
                "sku": product.code,
                "ean": product.ean,
                "weight": product.grams,
                "options": {SIZE: product.size},
                "manage_inventory": True,
                "metadata": {"erp_id": product.id},
                "prices": [],
            }
        ],
    }


def main(given: str, count: str, size: str, lanes: str) -> None:
    access = json.loads(given)
    imports = time.process_time()

    def batches() -> Iterator[bytes]:
        goods = products(int(count))
        while some := [_body(product, access) for product in islice(goods, int(size))]:
            yield _encode({"create": some})

    def send(caller: Caller, body: bytes) -> int:
        return len(_made(caller.call("POST", "/admin/products/batch?fields=id", body)).created)

    start, done = time.perf_counter(), 0
    callers = [Caller(access["url"], access["token"]) for _ in range(int(lanes))]
    with ThreadPoolExecutor(len(callers)) as pool:
        queue = batches()
        while turn := [pool.submit(send, caller, body) for caller, body in zip(callers, queue, strict=False)]:
            done += sum(future.result() for future in turn)
    print(json.dumps({"inner": time.process_time() - imports, "created": done, "seconds": time.perf_counter() - start}))


if __name__ == "__main__":
    main(*sys.argv[1:])
