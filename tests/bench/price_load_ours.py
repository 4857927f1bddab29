"""Crossdock's targets as a candidate in ``bench-price_load``: ``python -m tests.bench.price_load_ours FILE``.

FILE is JSON, as price_load_bare.py reads it, with the ``shop`` (url, email, password) and ``dsn`` of its cluster. Says
what everybody used for the first load, for the same once more, for every hundredth price changed, for all withdrawn.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

from tests.bench.measure import Watch

from crossdock.domain.price import Price, PriceList, PriceMember, Prices
from crossdock.domain.record import Record
from crossdock.ports import Put, Target


def _targets(shop: Mapping[str, Any]) -> Any:
    from crossdock.connectors.medusa.adapter import Medusa

    given = {"conn_type": "medusa", "host": shop["url"], "login": shop["email"], "password": shop["password"]}
    os.environ["AIRFLOW_CONN_BENCH_SHOP"] = json.dumps(given)
    medusa = Medusa.from_connection("bench_shop")
    medusa.price_lists.find(["none"])  # logs in
    return medusa


def _put(target: Target[Any], records: Iterator[Record], op: Any = "create") -> None:
    while some := list(islice(records, target.batch)):
        batch = [Put(one.key, op, None, target.payload(one), "0123456789abcdef") for one in some]
        if refused := [outcome.refused for outcome in target.put(batch, _no_files) if outcome.refused]:
            raise RuntimeError(f"{len(refused)} refused: {refused[0]}")


def _no_files(ref: str) -> bytes:
    raise RuntimeError(ref)


def main(file: str) -> None:
    given = json.loads(Path(file).read_text())
    medusa = _targets(given["shop"])
    lists = range(given["lists"])

    def amount(number: int, n: int, dearer: bool) -> Decimal:
        return Decimal((n * 7 + number) % 9000 + 100 + dearer) / 100

    def prices(every_hundredth_dearer: bool = False) -> Iterator[Record]:
        for number in lists:
            for n, sku in enumerate(given["skus"]):
                dearer = every_hundredth_dearer and n % 100 == 0
                price = Price(currency="EUR", amount=amount(number, n, dearer))
                yield Prices(list=f"list:{number}", sku=sku, prices=(price,))

    def load() -> None:
        made = (PriceList(code=f"list:{n}", title=f"List {n}", audience="accounts", rank=0) for n in lists)
        _put(medusa.price_lists, made)
        _put(medusa.prices, prices())
        accounts = range(given["accounts"])
        members = (PriceMember(account=f"A-{n:05d}", lists=(f"list:{n % given['lists']}",)) for n in accounts)
        _put(medusa.price_members, members)

    def changed() -> None:
        _put(medusa.prices, prices(every_hundredth_dearer=True), "update")

    watch = Watch(given["dsn"], {"node": given["node"]})
    said: dict[str, Any] = {"load": watch.used(load)}
    said["there"] = sum(map(len, medusa.prices.keys()))
    said |= {"again": watch.used(load), "changed": watch.used(changed)}
    said["gone"] = watch.used(lambda: _put(medusa.prices, prices(), "remove"))
    print(json.dumps(said))


if __name__ == "__main__":
    main(*sys.argv[1:])
