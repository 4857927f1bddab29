"""The flow ``invoices`` under fire: history by date, side by side with the schedule."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from tests.faults.task import run_step
from tests.faults.world import STEPS, World
from tests.office import Office

from crossdock.sync import document_proof, files


@dataclass
class Archive(World):
    """A pair with a party category of its own: it reads nobody else's documents. Two accounts, which the shop has.

    The shop is for this pair alone, as a shop is: documents that other tests have left there would be in its totals.
    """

    flow = "invoices"
    batches = "^POST /admin/erp/documents/batch"

    offices: list[Office] = field(default_factory=list)
    turns: Iterator[Office] = field(default_factory=lambda: iter(()))

    def keep_apart(self) -> dict[str, str]:
        self.shop.sql("TRUNCATE erp_document CASCADE")
        name = f"Customers of {self.pair}"
        [category] = self.erp.admin.create("party.category", {"name": name})
        self.offices = [Office(self.erp, categories=[["add", [category]]]) for _ in range(2)]
        self.turns = itertools.cycle(self.offices)
        return {"customer_category": name}

    @property
    def accounts(self) -> list[str]:
        return [office.account for office in self.offices]

    def sync(self, name: str = "", **params: Any) -> Any:
        if not self.query("SELECT 1 FROM ledger WHERE (pair, flow) = (%s, 'customers')", self.pair):
            self._bring_the_accounts()
        return super().sync(name, **params)

    def _bring_the_accounts(self) -> None:
        run = self.new_run()
        for step in STEPS:
            run_step("customers", step, run, self.pair, mode="apply")
        [last] = self.query("SELECT id, state FROM run WHERE (pair, airflow_run) = (%s, %s)", self.pair, run)
        if last["state"] == "planned":  # other tests were here before
            run = self.new_run()
            for step in STEPS:
                run_step("customers", step, run, self.pair, plan=last["id"])

    # ---- hands on the ERP

    def new(self, count: int = 1, **values: Any) -> list[str]:
        """New invoices of both accounts in turn; their keys."""
        made = []
        for _ in range(count):
            office = next(self.turns)
            invoice = office.invoice(**values)
            made.append(f"{office.number(invoice)}/{invoice}")
        return made

    def of(self, day: date, count: int = 1) -> list[str]:
        """With this date of their own, and numbers given by hand: Tryton's sequence does not go back in time."""
        return [key for number in self.numbers(count) for key in self.new(invoice_date=day, number=number)]

    def pay(self, key: str, amount: str = "119.00") -> None:
        invoice = int(key.rpartition("/")[2])
        self._office(invoice).pay(invoice, amount)

    def credit(self, key: str) -> None:
        """Half of it is given back; invoice and credit note stay open."""
        invoice = int(key.rpartition("/")[2])
        self._office(invoice).credit(invoice, 0.5)

    def _office(self, invoice: int) -> Office:
        [row] = self.erp.admin("model.account.invoice.read", [invoice], ["party"])
        return next(office for office in self.offices if office.party == row["party"])

    # ---- the truth on both sides, not through any connector

    def in_step(self) -> dict[str, Any]:
        in_erp, in_shop = self.in_erp(), self.in_shop()
        assert in_shop == in_erp, (in_shop, in_erp)
        return in_shop

    def in_erp(self) -> dict[str, Any]:
        """Key -> account, date, total and what is open."""
        parties = {office.party: office.account for office in self.offices}
        rows = self.erp.admin.rows(
            "account.invoice",
            [["party", "in", list(parties)], ["state", "in", ["posted", "paid", "cancelled"]]],
            "number", "party", "invoice_date", "total_amount", "amount_to_pay",
        )  # fmt: skip
        return {
            f"{row['number']}/{row['id']}": (
                parties[row["party"]], str(_day(row["invoice_date"])), row["total_amount"], row["amount_to_pay"],
            )
            for row in rows
        }  # fmt: skip

    def in_shop(self) -> dict[str, Any]:
        return {key: (account, day, Decimal(total), Decimal(open_)) for key, account, day, total, open_ in self._rows()}

    def _rows(self) -> Iterator[list[str]]:
        accounts = ", ".join(f"'{account}'" for account in self.accounts)
        for row in self.shop.sql(
            "SELECT key, account, made_on, total, open FROM erp_document "
            f"WHERE flow = 'invoices' AND NOT removed AND account IN ({accounts}) ORDER BY key"
        ):
            yield row.split("|")

    def owed(self) -> dict[str, Decimal]:
        """What each account owes by the ERP's books."""
        rows = self.erp.admin.rows(
            "party.party", [["id", "in", [office.party for office in self.offices]]], "code", "receivable"
        )
        return {row["code"]: row["receivable"] for row in rows}

    def proved(self, **params: Any) -> str:
        """A run, and its proof."""
        name = self.new_run()
        assert self.sync(name, **params).state == "success"
        return self.prove(name, **params)

    def prove(self, name: str, **params: Any) -> str:
        return str(run_step(self.flow, "prove", name, self.pair, of=document_proof, **params)[0])

    def deliver(self) -> str:
        """The printed documents that buyers wait for."""
        return str(run_step(self.flow, "deliver", self.new_run(), self.pair, of=files)[0])


def _day(given: dict[str, Any]) -> date:
    return date(given["year"], given["month"], given["day"])


@dataclass
class Merchant(Archive):
    """A pair that reads all documents of the ERP: the merchant's, and what tests have left there."""

    def keep_apart(self) -> dict[str, str]:
        self.shop.sql("TRUNCATE erp_document CASCADE")
        self.offices = [Office(self.erp) for _ in range(2)]
        self.turns = itertools.cycle(self.offices)
        return {}

    def run_of(self, flow: str, **params: Any) -> tuple[dict[str, Any], str]:
        """The books of a run of this flow, and its proof."""
        name = self.new_run()
        for step in STEPS:
            _, run = run_step(flow, step, name, self.pair, **params)
        proof, _ = run_step(flow, "prove", name, self.pair, of=document_proof, **params)
        return run.books.as_json(), str(proof)
