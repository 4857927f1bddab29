"""One suite per flow, in Great Expectations' own expectations.

``severity="critical"``: the batch as a whole looks wrong, the run stops before the first write.
``severity="warning"`` with ``meta`` from ``rows()``: the rows that fail go to quarantine, the others
go on. ``severity="warning"`` without it: reported, nothing else. Gates on a batch of changes are
absolute; shares make sense only from ``SHARES_FROM`` rows on.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import great_expectations.expectations as gxe

SHARES_FROM = 50
HEAVIEST = 30_000_000
"""Grams."""
MOST_PIECES = 10_000_000
"""Of one SKU at all locations together."""
HIGHEST_RANK = 20
"""Of price lists."""
DEAREST = 10_000_000
"""One piece, in any currency."""
DEVIATION = 0.05
"""Between what was charged and what the lines add up to, in any currency: rounding."""
CENT = 0.01
"""Between net and tax, and the total of the document they stand on."""
FIRST_YEAR = 1990
"""No document is older."""


def rows(code: str, reason: str, remedy: str) -> dict[str, str]:
    """Failing rows go to quarantine under this code, with these words for the person who looks."""
    return {"code": code, "reason": reason, "remedy": remedy}


def says(text: str) -> dict[str, str]:
    """What the operator reads when this expectation fails."""
    return {"says": text}


def _numbered_and_named(unit: str) -> list[Any]:
    return [
        *_numbered(unit),
        gxe.ExpectColumnValueLengthsToBeBetween(
            column="name",
            min_value=2,
            severity="warning",
            meta=rows(
                "name_too_short",
                f"The {unit}'s name has fewer than two letters.",
                f"Give the {unit} its name in the ERP.",
            ),
        ),
    ]


def customers(count: int) -> list[Any]:
    """Accounts: numbered, named, of a believable size, and most of them open."""
    expectations = [
        *_numbered_and_named("account"),
        gxe.ExpectColumnValuesToBeBetween(
            column="buyers",
            max_value=500,
            severity="warning",
            meta=rows(
                "too_many_buyers",
                "The account has more than 500 buyers.",
                "Look whether contacts of several accounts were merged into one in the ERP.",
            ),
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="terms_days",
            max_value=365,
            severity="warning",
            meta=says("there are payment terms of more than a year"),
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="unplaced_addresses",
            max_value=0,
            severity="warning",
            meta=says("there are addresses without a country: the shop cannot ship to them"),
        ),
    ]
    if count >= SHARES_FROM:
        expectations += [
            gxe.ExpectColumnValuesToBeInSet(
                column="active",
                value_set=[True],
                mostly=0.5,
                severity="critical",
                meta=says("more than half of the accounts that changed were archived at once"),
            ),
            gxe.ExpectColumnValuesToBeInSet(
                column="blocked",
                value_set=[False],
                mostly=0.5,
                severity="critical",
                meta=says("more than half of the accounts that changed were blocked at once"),
            ),
        ]
    return expectations


def items(count: int) -> list[Any]:
    """Products: numbered, named, of a believable weight, and most of them published."""
    expectations = [
        *_numbered_and_named("product"),
        gxe.ExpectColumnValuesToBeBetween(
            column="weight",
            max_value=HEAVIEST,
            severity="warning",
            meta=rows(
                "too_heavy",
                "One unit weighs more than 30 tonnes.",
                "Look at the weight and its unit in the ERP.",
            ),
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="images", min_value=1, severity="warning", meta=says("there are products without an image")
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="categories", min_value=1, severity="warning", meta=says("there are products in no category")
        ),
        gxe.ExpectColumnValueLengthsToBeBetween(
            column="tax_class", min_value=1, severity="warning", meta=says("there are products without a tax class")
        ),
    ]
    if count >= SHARES_FROM:
        expectations.append(
            gxe.ExpectColumnValuesToBeInSet(
                column="published",
                value_set=[True],
                mostly=0.5,
                severity="critical",
                meta=says("more than half of the products that changed were taken out of the shop at once"),
            )
        )
    return expectations


def _numbered(unit: str) -> list[Any]:
    return [
        gxe.ExpectColumnValuesToNotBeNull(
            column="number", severity="critical", meta=says(f"there are {unit}s without a number")
        ),
        gxe.ExpectColumnValuesToBeUnique(
            column="number", severity="critical", meta=says(f"{unit} numbers are not unique")
        ),
    ]


def orders(count: int) -> list[Any]:
    """Web orders: numbered, their lines worth what was charged, and most of them not cancelled."""
    expectations = [
        *_numbered("order"),
        gxe.ExpectColumnValuesToBeBetween(
            column="deviation",
            max_value=DEVIATION,
            severity="warning",
            meta=rows(
                "total_mismatch",
                f"What was charged differs from what the lines add up to by more than {DEVIATION}.",
                "Compare the order's lines, discounts and taxes with its payments in the shop; replay it when it is "
                "right.",
            ),
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="charged",
            min_value=0,
            severity="warning",
            meta=rows(
                "negative_total",
                "The order's total is below zero.",
                "Look at its discounts in the shop: nobody can be charged less than nothing.",
            ),
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="lines", max_value=500, severity="warning", meta=says("there are orders with more than 500 lines")
        ),
    ]
    if count >= SHARES_FROM:
        expectations.append(
            gxe.ExpectColumnValuesToBeInSet(
                column="cancelled",
                value_set=[False],
                mostly=0.5,
                severity="critical",
                meta=says("more than half of the orders that changed were cancelled at once"),
            )
        )
    return expectations


def order_status(count: int) -> list[Any]:
    """Orders as the ERP sees them: numbered, of a believable size, and few of them with a problem."""
    expectations = [
        *_numbered("order"),
        gxe.ExpectColumnValuesToBeBetween(
            column="shipments", max_value=100, severity="warning", meta=says("there are orders of over 100 shipments")
        ),
    ]
    if count >= SHARES_FROM:
        expectations.append(
            gxe.ExpectColumnValuesToBeInSet(
                column="state",
                value_set=["held", "open", "partly sent", "sent", "problem"],
                mostly=0.5,
                severity="critical",
                meta=says("more than half of the orders that changed were cancelled in the ERP at once"),
            )
        )
    return expectations


def shipping_advice(count: int) -> list[Any]:
    """What warehouses say they have sent: numbered, and something at all."""
    return [
        *_numbered("advice"),
        gxe.ExpectColumnValuesToBeBetween(
            column="pieces",
            min_value=0,
            strict_min=True,
            severity="warning",
            meta=rows("nothing_sent", "The advice says that nothing was sent.", "Ask the warehouse what has left."),
        ),
    ]


def inventory(count: int) -> list[Any]:
    """Levels: at some location, of a believable size, and most of them not sold out at once."""
    expectations = [
        gxe.ExpectColumnValuesToBeBetween(
            column="levels",
            min_value=1,
            severity="warning",
            meta=rows(
                "no_location",
                "No warehouse of the SKU feeds a location of the shop.",
                "Give a location of the shop the code of the warehouse (metadata erp_code), or write a rule.",
            ),
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="pieces",
            max_value=MOST_PIECES,
            severity="warning",
            meta=rows(
                "absurd_stock",
                f"More than {MOST_PIECES} pieces of the SKU are said to be there.",
                "Correct the inventory in the ERP or the 3PL's file; replay it when it is right.",
            ),
        ),
    ]
    if count >= SHARES_FROM:
        expectations.append(
            gxe.ExpectColumnValuesToBeInSet(
                column="sold_out",
                value_set=[False],
                mostly=0.1,
                severity="critical",
                meta=says("more than nine tenths of the SKUs that changed are sold out at once"),
            )
        )
    return expectations


def price_lists(count: int) -> list[Any]:
    """Lists of the shop: named, and ranked as a shop can rank them."""
    return [
        gxe.ExpectColumnValuesToNotBeNull(
            column="code", severity="critical", meta=says("there are price lists without a code")
        ),
        gxe.ExpectColumnValuesToBeUnique(
            column="code", severity="critical", meta=says("codes of price lists are not unique")
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="rank",
            max_value=HIGHEST_RANK,
            severity="warning",
            meta=rows(
                "rank_too_high",
                f"The list is ranked above {HIGHEST_RANK}: no shop has so many levels of lists.",
                "Report it: this is a defect of the ERP's connector.",
            ),
        ),
    ]


def prices(count: int) -> list[Any]:
    """What lists say of SKUs: believable amounts.

    How many may be withdrawn at once is the brake's business: a list that nobody has any more takes its prices along.
    """
    expectations = [
        gxe.ExpectColumnValuesToBeBetween(
            column="highest",
            max_value=DEAREST,
            severity="warning",
            meta=rows(
                "too_dear",
                f"A piece costs more than {DEAREST:,}.",
                "Look at the price and its unit in the ERP.",
            ),
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="tiers",
            max_value=50,
            severity="warning",
            meta=says("there are SKUs with more than 50 tiers in a list"),
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="currencies", max_value=1, severity="warning", meta=says("there are prices in several currencies")
        ),
    ]
    if count >= SHARES_FROM:
        expectations.append(
            gxe.ExpectColumnValuesToBeBetween(
                column="lowest",
                min_value=0,
                strict_min=True,
                mostly=0.5,
                severity="critical",
                meta=says("more than half of the prices that changed became zero at once"),
            )
        )
    return expectations


def price_members(count: int) -> list[Any]:
    """Accounts and their lists: numbered, and most of them with a list."""
    expectations = [
        gxe.ExpectColumnValuesToNotBeNull(
            column="account", severity="critical", meta=says("there are accounts without a number")
        ),
        gxe.ExpectColumnValuesToBeUnique(
            column="account", severity="critical", meta=says("account numbers are not unique")
        ),
    ]
    if count >= SHARES_FROM:
        expectations.append(
            gxe.ExpectColumnValuesToBeBetween(
                column="lists",
                min_value=1,
                mostly=0.5,
                severity="critical",
                meta=says("more than half of the accounts that changed lost their price lists at once"),
            )
        )
    return expectations


def offline_orders(count: int) -> list[Any]:
    """Orders born in the ERP: their totals close, their dates are believable, and most of them are not withdrawn."""
    return _documents("order", count)


def invoices(count: int) -> list[Any]:
    """Invoices and credit notes, likewise; most of them worth something, and none due before it was made."""
    expectations = [
        *_documents("document", count),
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A="due_on",
            column_B="made_on",
            or_equal=True,
            ignore_row_if="either_value_is_missing",
            severity="warning",
            meta=says("there are invoices that were due before they were made"),
        ),
    ]
    if count >= SHARES_FROM:
        expectations.append(
            gxe.ExpectColumnValuesToNotBeInSet(
                column="total",
                value_set=[0],
                mostly=0.5,
                severity="critical",
                meta=says("more than half of the documents that changed are worth nothing"),
            )
        )
    return expectations


def _documents(unit: str, count: int) -> list[Any]:
    expectations = [
        gxe.ExpectColumnValuesToBeBetween(
            column="deviation",
            max_value=CENT,
            severity="warning",
            meta=rows(
                "total_mismatch",
                f"The {unit}'s net and tax do not add up to its total.",
                "Compare its net, taxes and total in the ERP; replay it when it is right.",
            ),
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="year",
            min_value=FIRST_YEAR,
            max_value=datetime.now(UTC).year + 1,
            severity="warning",
            meta=rows(
                "absurd_date",
                f"The {unit} is dated before {FIRST_YEAR}, or after next year.",
                "Look at its date in the ERP; replay it when it is right.",
            ),
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="lines_deviation",
            max_value=DEVIATION,
            severity="warning",
            meta=says(f"there are {unit}s whose lines do not add up to their net"),
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="lines", max_value=1000, severity="warning", meta=says(f"there are {unit}s with over 1,000 lines")
        ),
    ]
    if count >= SHARES_FROM:
        expectations.append(
            gxe.ExpectColumnValuesToBeInSet(
                column="gone",
                value_set=[False],
                mostly=0.5,
                severity="critical",
                meta=says(f"more than half of the {unit}s that changed were withdrawn at once"),
            )
        )
    return expectations


SUITES: dict[str, Callable[[int], list[Any]]] = {
    "customers": customers,
    "items": items,
    "price_lists": price_lists,
    "prices": prices,
    "price_members": price_members,
    "orders": orders,
    "order_status": order_status,
    "shipping_advice": shipping_advice,
    "inventory": inventory,
    "offline_orders": offline_orders,
    "invoices": invoices,
}
