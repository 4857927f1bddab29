"""All documents of a merchant with two years of business, told to the shop and proved to the cent."""

from __future__ import annotations

import pytest
from tests.faults.archive import Merchant

pytestmark = pytest.mark.e2e

WORLD = Merchant


def test_everything_is_told_proved_and_not_written_again(world: Merchant) -> None:
    for flow in ("invoices", "offline_orders"):
        books, proof = world.run_of(flow, full=True)
        assert books["created"] + books["unchanged"] > 50 and "and the same in Medusa, account by account" in proof
        before = world.writes()
        books, _ = world.run_of(flow, since="2000-01-01", until="2100-01-01")
        assert books["created"] == books["updated"] == books["removed"] == 0 and world.writes() == before, books
