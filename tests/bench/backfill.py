"""Three years of invoices and credit notes from a real Tryton into a real Medusa: the flow against a bare client.

``python -m tests.bench.backfill [--invoices 24000] [--months 36] [--rounds 3]``

A Tryton on PostgreSQL is filled by SQL (documents.sql): so many invoices of 500 accounts, evenly over as many whole
months before this one, and a credit note for every thirtieth of them. The bare client (bare_documents.py) is tried in
several shapes of call on the newest months; the one that costs least then takes turns with the flow ``invoices``
(documents_ours.py), each into a fresh shop that has the accounts already, the flow with a fresh store. CPU is the
client's after its imports, the ERP's, Node's and PostgreSQL's, which all three and the store share. The flow is all of
it: each month read, staged, checked by Great Expectations, decided, written, settled, and proved: what the ERP and the
shop add up is the same, account by account.

Both shops must hold the same documents, to the line, and come to what the ERP's tables say. Then the flow runs over all
months once more and must write nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

from tests.bench.bare_medusa import Caller, prepare
from tests.bench.erps import Erp, erp_with_documents
from tests.bench.measure import WORK, Postgres, Target, Usage, machine, median, run, save
from tests.bench.shops import DATABASE, Shop, fresh_shop

from sandbox import shop
from sandbox.postgres import Cluster
from sandbox.service import free_port

_SHAPES = ((200, 500), (500, 500), (1000, 1000))
"""Documents in an answer of the ERP, in a call to the shop."""
_TRIED_ON = 6
"""Months."""
_WHO = ("client", "erp", "node", "pg")

_OWED = """
    SELECT count(*), sum(total_amount_cache), (
        SELECT sum(l.debit - l.credit) FROM account_move_line l
        WHERE l.party > 1000000 AND l.reconciliation IS NULL)
    FROM account_invoice WHERE party > 1000000
    """
_SHOWN = """
    SELECT count(*), sum(total), sum(open) FROM erp_document WHERE flow = 'invoices' AND NOT removed
    """
_CONTENT = """
    SELECT md5(string_agg(md5(row(key, number, kind, account, made_on, due_on, currency, net, tax, total, open, status,
        reference, belongs_to, lines, parcels, file, extract(epoch FROM changed_at))::text), '' ORDER BY key))
    FROM erp_document
    """

Month = tuple[date, date]


class Bench:
    """One cluster for ERP, shops and stores; these months, newest first."""

    def __init__(self, cluster: Cluster, erp: Erp, months: Sequence[Month]) -> None:
        self._cluster, self._erp = cluster, erp
        self._months = [[str(since), str(until)] for since, until in months]
        self._accounts = cluster.sql("SELECT code FROM party_party WHERE id > 1000000 ORDER BY code", erp.database)
        self.owed = cluster.sql(_OWED, erp.database)
        self.documents = int(self.owed[0].partition("|")[0])

    def shapes(self) -> dict[tuple[int, int], Usage]:
        """The bare client in each of its shapes, on the newest months."""
        tried = {}
        with self._stocked() as (there, access):
            for shape in _SHAPES:
                tried[shape] = self._bare(there, access, shape, self._months[:_TRIED_ON])
                self._cluster.sql("TRUNCATE erp_document CASCADE", DATABASE)
        return tried

    def bare(self, shape: tuple[int, int]) -> Usage:
        """The bare client into a fresh shop."""
        with self._stocked() as (there, access):
            return self._checked("bare", self._bare(there, access, shape, self._months))

    def ours(self) -> Usage:
        """The flow into a fresh shop."""
        with self._stocked() as (there, _):
            self._cluster.drop_database("bench")
            dsn = self._cluster.create_database("bench")
            given = {"months": self._months, "shop": asdict(there), "dsn": dsn, "accounts": self._accounts}
            return self._checked("ours", self._measured("tests.bench.documents_ours", there, given))

    def _bare(self, there: Shop, access: Mapping[str, Any], shape: tuple[int, int], months: list[list[str]]) -> Usage:
        page, size = shape
        given = {"months": months, "shop": access, "page": page, "size": size, "dsn": self._cluster.dsn("postgres")}
        return self._measured("tests.bench.bare_documents", there, given)

    def _measured(self, module: str, there: Shop, given: Mapping[str, Any]) -> Usage:
        self._cluster.sql("CHECKPOINT")
        postgres = Postgres(self._cluster.dsn("postgres"), [DATABASE, self._erp.database])
        servers = {"erp": self._erp.process, "node": there.process}
        erp = {"url": self._erp.url, "database": self._erp.database}
        settings = WORK / "backfill.settings.json"
        settings.write_text(json.dumps({**given, "erp": erp, "servers": servers}))
        env = {"AIRFLOW_HOME": str(WORK / "airflow"), "GX_ANALYTICS_ENABLED": "false"}
        return run([sys.executable, "-m", module, str(settings)], postgres, WORK / "candidate.log", env, servers)

    def _checked(self, name: str, usage: Usage) -> Usage:
        """The shop holds what the ERP has; the second time nothing was written. Raises RuntimeError."""
        shown = self._cluster.sql(_SHOWN, DATABASE)
        if _figures(shown) != _figures(self.owed) or usage.said["written"] != self.documents:
            raise RuntimeError(f"{name}: the ERP has {self.owed}, the shop {shown}: {usage.said}")
        if usage.said.get("written_again"):
            raise RuntimeError(f"{name}: {usage.said['written_again']} documents were written twice")
        [usage.said["content"]] = self._cluster.sql(_CONTENT, DATABASE)
        return usage

    @contextmanager
    def _stocked(self) -> Iterator[tuple[Shop, dict[str, str]]]:
        """A fresh shop with the accounts, and what a bare client has to know of it."""
        with fresh_shop(self._cluster, WORK / "shop") as there:
            access = {"url": there.url, "token": prepare(there.url, there.email, there.password)["token"]}
            body = json.dumps({"accounts": [_account(code) for code in self._accounts]}).encode()
            Caller(there.url, access["token"]).call("POST", "/admin/erp/accounts/batch", body)
            self._cluster.sql("VACUUM ANALYZE", DATABASE)
            yield there, access


def _account(code: str) -> dict[str, Any]:
    return {"code": code, "name": code, "status": "active", "fingerprint": "1", "buyers": [], "addresses": []}


def _figures(rows: list[str]) -> list[float]:
    """Exact enough to tell a cent of some millions."""
    return [round(float(value), 2) for value in rows[0].split("|")]


def _months(count: int, today: date) -> list[Month]:
    """So many whole months before this one, newest first."""
    last = today.year * 12 + today.month - 1
    firsts = [date(month // 12, month % 12 + 1, 1) for month in range(last - count, last + 1)]
    return list(pairwise(firsts))[::-1]


def _cpu(usage: Usage, which: str = "used") -> float:
    """CPU seconds of everybody, after the client's imports."""
    return float(sum(usage.said[which][who] for who in _WHO))


def _line(name: str, documents: int, usages: list[Usage], which: str = "used") -> str:
    parts = [median(usages, lambda usage, who=who: usage.said[which][who]) for who in _WHO]  # type: ignore[misc]
    cpu = median(usages, lambda usage: _cpu(usage, which))
    seconds = min(usage.said[which]["seconds"] for usage in usages)
    figures = " ".join(f"{part:8.2f}" for part in parts)
    return f"{name:10} {figures} {cpu:8.2f} {documents / cpu:10.1f} {seconds:8.1f} {documents / seconds:8.0f}"


def _per_step(said: Mapping[str, Any]) -> Iterator[str]:
    yield f"{'step':10}  seconds   client      erp     node  (CPU s)"
    for name, used in said["steps"].items():
        yield f"{name:10} " + " ".join(f"{used[clock]:8.2f}" for clock in ("seconds", "client", "erp", "node"))
    memory = said["peak_mb"] - said["bare_mb"]
    yield f"imports {said['imports']:.1f} CPU s, memory above the bare process {memory:.0f} MB"


def _targets(documents: int, results: Mapping[str, list[Usage]]) -> list[Target]:
    bare, ours = median(results["bare"], _cpu), median(results["ours"], _cpu)
    target = documents / median(results["ours"], lambda usage: usage.said["target"])
    contents = {usage.said["content"] for usages in results.values() for usage in usages}
    again = max(usage.said["written_again"] for usage in results["ours"])
    return [
        Target("documents per CPU second of the whole flow, as a share of the bare client's", bare / ours, 0.85),
        Target("documents per CPU second of the client in payload and put", target, 4_000),
        Target("different contents among all shops", len(contents), at_most=1),
        Target("documents written when all months are read once more", again, at_most=0),
    ]


def main() -> int:
    """Run it, print the table and the verdict; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--invoices", type=int, default=24_000)
    parser.add_argument("--months", type=int, default=36)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    shop.install()
    conditions = machine() | vars(options)
    results: dict[str, list[Usage]] = {"bare": [], "ours": []}
    loads = []
    months = _months(options.months, datetime.now(UTC).date())
    cluster = Cluster(WORK / "postgres-backfill", free_port(), "bench").start()
    try:
        with erp_with_documents(cluster, options.invoices, months[-1][0], months[0][1], WORK) as erp:
            bench = Bench(cluster, erp, months)
            tried = bench.shapes()
            for (page, size), usage in tried.items():
                each = _cpu(usage) / usage.said["written"] * 1000
                print(f"bare, {page} read, {size} written in a call: {each:.2f} CPU ms a document", flush=True)
            shape = conditions["shape"] = min(tried, key=lambda one: _cpu(tried[one]))
            for turn in range(1, options.rounds + 1):
                results["bare"].append(bench.bare(shape))
                results["ours"].append(bench.ours())
                loads.append(os.getloadavg()[0])
                said = ", ".join(f"{name} {_cpu(usages[-1]):.2f} CPU s" for name, usages in results.items())
                print(f"round {turn}: {said}, load {loads[-1]:.1f}", flush=True)
    finally:
        cluster.remove()
    documents = bench.documents
    print(f"\n{documents} documents in {options.months} months: count|total|open {bench.owed[0]}")
    print("CPU s        client      erp     node postgres    total  per CPU s   wall s    per s (min of rounds)")
    print("\n".join(_line(name, documents, usages) for name, usages in results.items()))
    print(_line("ours again", documents, results["ours"], "used_again"))
    print("\n".join(_per_step(results["ours"][-1].said)))
    targets = _targets(documents, results)
    conditions["loads"] = loads
    shapes = {f"{page} / {size}": usage for (page, size), usage in tried.items()}
    save(WORK / "backfill.json", conditions=conditions, shapes=shapes, results=results, targets=targets)
    print("\n".join(["", *(target.line() for target in targets)]))
    return 0 if all(target.met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
