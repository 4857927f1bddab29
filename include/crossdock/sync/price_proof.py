"""The proof of prices: the ERP and the shop, asked one beside the other, ask the same of a visitor."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from crossdock.errors import Stop
from crossdock.ports import Quotes, Shown, Wanted

log = logging.getLogger(__name__)

CHANGED, OTHERS, FEW, CARTS = 500, 20, 3, 5
"""So many prices that the run has told, so many any others, or few where it has told none; so many in a real cart."""


class Book(Protocol):
    """What is known here of prices."""

    def sample(self, airflow_run: str, most: int, more: int) -> Sequence[Wanted]:
        """Questions worth asking: what this run has told, and some that any run has."""

    def now(self) -> datetime:
        """The ERP's clock."""

    def refresh(self) -> None:
        """Take up what the ERP has changed meanwhile."""

    def in_step(self, wanted: Sequence[Wanted], since: datetime | None = None) -> Sequence[Wanted]:
        """Those of which the shop has been told all that is known, the visitor's lists unchanged ``since``."""


class Storefront(Quotes, Shown, Protocol):
    """A shop that can be asked in three ways."""

    def carts(self, wanted: Sequence[Wanted]) -> Mapping[Wanted, Decimal | None]:
        """By real carts, of what is in stock."""


def prove(book: Book, erp: Quotes, shop: Storefront, airflow_run: str) -> str:
    """Says in figures what was compared.

    Raises Stop with both prices, if a visitor is asked for another one than the ERP says, or a guest is shown one that
    is not his. What the ERP has changed since the run has read it is left to the next run. Nothing is written.
    """
    told = book.sample(airflow_run, CHANGED, 0)
    others = book.sample(airflow_run, 0, OTHERS if told else FEW)
    wanted = book.in_step(list(dict.fromkeys([*told, *others])))
    right = {one: price for one, price in erp.quotes(wanted).items() if price is not None}
    guests = [one for one in right if one.account is None and one.quantity == 1]
    shown = shop.shown([one.sku for one in guests])
    asked = [
        ("the shop's pricing", shop.quotes(list(right))),
        ("the public shop", {one: shown[one.sku] for one in guests if one.sku in shown}),
        ("a cart", shop.carts(list(right)[:CARTS])),
    ]
    wrong = [(one, way, price) for way, answers in asked for one, price in answers.items() if price != right[one]]
    if wrong:
        moment = book.now()
        book.refresh()
        still = set(book.in_step([one for one, _, _ in wrong], moment))
        wrong = [fault for fault in wrong if fault[0] in still]
    said = ", ".join(f"{len(answers)} by {way}" for way, answers in asked)
    line = f"{len(right)} prices for {len({one.account for one in right})} visitors: {said}"
    log.info("prices: %s", line)
    if wrong:
        faults = "; ".join(
            f"{one.account or 'a guest'} is asked for {_plain(price)} by {way} for each of {one.quantity} x {one.sku}, "
            f"the ERP says {_plain(right[one])}"
            for one, way, price in wrong[:5]
        )
        raise Stop(
            f"prices: {len(wrong)} of {line} are wrong: {faults}. 'crossdock explain price SKU --account NUMBER' tells "
            "why; trigger the DAG with these LIST|SKU as keys and force to write them again."
        )
    return f"{line}: all as the ERP says"


def _plain(price: Decimal | None) -> str:
    return "no price" if price is None else f"{price.normalize():f}"
