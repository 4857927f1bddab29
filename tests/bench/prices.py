"""Prices of many accounts: computed set-wise as lists of layers, against a price for each account and article.

``python -m tests.bench.prices [--accounts 5000] [--skus 50000] [--triples 1000000]``

The product's own code (``store/prices.py``) keeps and evaluates the rules of ``price_rules.py``; ``evaluate`` is what
of it is the computing, ``all`` is the reading and keeping of all rules as well. ``naive`` is one statement that makes
every price of an account, for 100 accounts; its figures are scaled up, and that is said. What an account pays is looked
up in the lists as a shop does it, and compared with an independent opinion. Then 200 rules change.
"""

from __future__ import annotations

import argparse
import bisect
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from tests.bench.measure import WORK, Postgres, Target, machine, save
from tests.bench.price_rules import Merchant, Opinion

from crossdock.domain.price import BASE
from crossdock.store.migrations import upgrade
from crossdock.store.prices import PriceBook
from sandbox.postgres import Cluster
from sandbox.service import free_port

NAIVE = 100
CHANGES = 200
_QUANTITIES = (1, 2, 9, 10, 11, 99, 100, 500)
_NAIVE = """
    CREATE TABLE naive AS
    WITH chosen AS (
        SELECT account, unnest(layers) AS layer
        FROM (SELECT * FROM price_member ORDER BY account LIMIT %(naive)s) m
    ),
    seen AS (
        SELECT account, layer, y.rank FROM chosen JOIN price_layer y ON y.code = layer
        UNION ALL
        SELECT DISTINCT account, y.code, y.rank FROM chosen CROSS JOIN price_layer y WHERE y.audience = 'everybody'
    ),
    live AS (
        SELECT * FROM price_rule
        WHERE (starts_at IS NULL OR starts_at <= %(at)s) AND (ends_at IS NULL OR ends_at > %(at)s)
    ),
    candidate AS (
        SELECT s.account, a.sku, r.min_quantity, -100 * s.rank + r.place AS place, r.id,
               round(r.list_factor * a.list_price + r.constant, 4) AS amount
        FROM seen s
        JOIN live r ON r.layer = s.layer
        JOIN price_article a ON a.id = r.article
        UNION ALL
        SELECT s.account, a.sku, r.min_quantity, -100 * s.rank + r.place, r.id,
               round(r.list_factor * a.list_price + r.constant, 4)
        FROM seen s
        JOIN live r ON r.layer = s.layer AND r.article IS NULL
        JOIN price_article a ON r.category IS NULL OR r.category = ANY(a.categories)
    )
    SELECT account, sku, min_quantity, amount
    FROM (
        SELECT DISTINCT ON (account, sku, min_quantity) *, min(place) OVER (
            PARTITION BY account, sku ORDER BY min_quantity
        ) AS lowest
        FROM candidate
        ORDER BY account, sku, min_quantity, place, id
    ) best
    WHERE place = lowest
    """


class Clock:
    """CPU seconds of this process and of PostgreSQL, and wall time, by name."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self.cpu: dict[str, float] = {}
        self.wall: dict[str, float] = {}

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        before, start = time.process_time() + self._postgres.busy(), time.perf_counter()
        yield
        self.cpu[name] = self.cpu.get(name, 0) + time.process_time() + self._postgres.busy() - before
        self.wall[name] = self.wall.get(name, 0) + time.perf_counter() - start


class TimedBook(PriceBook):
    """The product's, with a clock at what is computing."""

    clock: Clock
    part = ""

    def _touch(self, new: Any, removed: Any) -> None:
        with self.clock.timed(self.part):
            super()._touch(new, removed)

    def _evaluate(self, now: datetime, partly: bool) -> int:
        with self.clock.timed(self.part):
            return super()._evaluate(now, partly)


class Shop:
    """The lists as a shop keeps them: the highest ranked one that holds and says something wins."""

    def __init__(self, book: PriceBook, at: datetime) -> None:
        holds = [
            one for one in book.lists()
            if (one.starts_at or at) <= at and (one.ends_at is None or at < one.ends_at)
        ]  # fmt: skip
        self._ranks = {one.code: one.rank for one in holds}
        self._public = {one.code for one in holds if one.audience == "everybody"}
        self._own = {one.account: self._public.union(one.lists) & self._ranks.keys() for one in book.members()}
        self._order = {
            account: [*sorted(codes, key=lambda code: -self._ranks[code]), BASE] for account, codes in self._own.items()
        }
        self._tiers = {
            (entry.price_list, entry.sku): (entry.quantities, entry.amounts)
            for page in book.entries()
            for entry in page
        }
        self.entries = sum(amount is not None for _, amounts in self._tiers.values() for amount in amounts)
        self.lists = len({code for code, _ in self._tiers})

    def price(self, account: str, sku: str, quantity: int) -> Decimal | None:
        for code in self._order[account]:
            if tiers := self._tiers.get((code, sku)):
                place = bisect.bisect_right(tiers[0], quantity) - 1
                if place >= 0 and (amount := tiers[1][place]) is not None:
                    return amount
        return None


def _mismatches(merchant: Merchant, shop: Shop, opinion: Opinion, triples: int) -> int:
    """Of so many (account, SKU, quantity), half of them at articles that some account has a price of its own for."""
    rng = random.Random(1)
    accounts, own, wrong = list(merchant.layers_of), {}, 0
    for rule in merchant.known.values():
        if rule.article and rule.layer.startswith(("own", "contract")):
            own.setdefault(rule.layer, []).append(merchant.goods[int(rule.article)])
    for number in range(triples):
        account = rng.choice(accounts)
        special = own.get(merchant.layers_of[account][-1]) if number % 2 else None
        good = rng.choice(special or merchant.goods)
        quantity = rng.choice(_QUANTITIES)
        wrong += shop.price(account, good.sku, quantity) != opinion.price(account, good, quantity)
    return wrong


def _least(merchant: Merchant, opinion: Opinion, sample: int) -> float:
    """The fewest entries that can say it: the distinct prices of an article other than its list price, scaled up."""
    rng = random.Random(2)
    goods, found = rng.sample(merchant.goods, sample), 0
    for good in goods:
        functions = {
            tuple(opinion.price(account, good, quantity) for quantity in (1, 10, 100)) for account in merchant.layers_of
        }
        found += sum(len(set(one)) for one in functions if set(one) != {good.list_price})
    return found * len(merchant.goods) / sample


def _measure(accounts: int, skus: int, triples: int, cluster: Cluster) -> tuple[dict[str, Any], list[Target]]:
    merchant = Merchant(accounts, skus)
    cluster.drop_database("bench")
    dsn = cluster.create_database("bench")
    with psycopg.connect(dsn) as db:
        upgrade(db)
    clock, size = Clock(Postgres(cluster.dsn("postgres"))), f"{accounts:,} accounts x {skus:,} articles"
    print(f"{size}: {len(merchant.known):,} rules, {len(merchant.ranks):,} layers", flush=True)
    with psycopg.connect(dsn) as connection:
        book = TimedBook(connection, "default", merchant, timedelta(minutes=5))
        book.clock, book.part = clock, "evaluate"
        with clock.timed("all"):
            book.refresh()
        connection.execute("VACUUM ANALYZE price_rule, price_article, price_entry, price_list, price_member")
        opinion, shop = Opinion(merchant, merchant.clock), Shop(book, merchant.clock)
        wrong = _mismatches(merchant, shop, opinion, triples)
        later = merchant.clock + timedelta(days=10)
        wrong += _mismatches(merchant, Shop(book, later), Opinion(merchant, later), triples // 10)
        least = _least(merchant, opinion, 200)
        with clock.timed("naive"):
            connection.execute(_NAIVE, {"naive": NAIVE, "at": merchant.clock})
        [naive] = connection.execute("SELECT count(*) FROM naive").fetchone() or (0,)
        merchant.clock += timedelta(minutes=10)
        merchant.change(CHANGES)
        book.part = "changes"
        with clock.timed("all of the changes"):
            book.refresh()
        written = [entry for page in book.entries(since=merchant.clock) for entry in page]
        changed = sum(len(entry.quantities) for entry in written)
        stale = _mismatches(merchant, Shop(book, merchant.clock), Opinion(merchant, merchant.clock), triples // 10)
    scaled = naive * accounts / NAIVE
    figures = {
        "rules": len(merchant.known), "lists": shop.lists, "entries": shop.entries, "least": least,
        "naive_entries_of_100": naive, "naive_entries_scaled": scaled, "cpu": clock.cpu, "wall": clock.wall,
        "triples": triples + triples // 10 * 2, "wrong": wrong + stale, "written": len(written), "tiers": changed,
    }  # fmt: skip
    print(
        f"  ours   {shop.entries:>12,} entries in {shop.lists:,} lists, {clock.cpu['evaluate']:.2f} CPU s to compute, "
        f"{clock.cpu['all']:.1f} with reading all rules\n"
        f"  naive  {scaled:>12,.0f} entries, {clock.cpu['naive'] * accounts / NAIVE:,.0f} CPU s "
        f"(measured for {NAIVE} accounts, scaled up)\n"
        f"  {CHANGES} changed rules: {len(written)} (list, SKU), {changed} entries, {clock.wall['changes']:.3f} s "
        f"to compute, {clock.wall['all of the changes']:.2f} s with comparing all ids",
        flush=True,
    )
    return figures, [
        Target(f"{size}: CPU seconds to compute all", clock.cpu["evaluate"], at_most=5),
        Target(f"{size}: naive entries, times ours", scaled / shop.entries, at_least=300 if skus >= 50_000 else 100),
        Target(f"{size}: entries, times the fewest possible", shop.entries / least, at_most=3),
        Target(f"{size}: wrong of {figures['triples']:,} prices", wrong + stale, at_most=0),
        Target(f"{size}: entries written for each changed rule", changed / CHANGES, at_most=4),
        Target(f"{size}: seconds for {CHANGES} changed rules", clock.wall["changes"], at_most=0.1),
    ]


def main() -> int:
    """Measure a tenth of the size and the size; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--accounts", type=int, default=5_000)
    parser.add_argument("--skus", type=int, default=50_000)
    parser.add_argument("--triples", type=int, default=1_000_000)
    options = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    conditions, results, targets = machine(), {}, []
    cluster = Cluster(WORK / "postgres-price-rules", free_port(), "bench").start()
    try:
        for part in (5, 1):
            size = options.accounts // part, options.skus // part
            results["x".join(map(str, size))], found = _measure(*size, options.triples // part, cluster)
            targets += found
    finally:
        cluster.remove()
    save(WORK / "prices.json", conditions=conditions, results=results, targets=targets)
    print("\n".join(["", *(target.line() for target in targets)]))
    return 0 if all(target.met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
