"""How a figure came about, in words and lines for a person: ``crossdock explain stock SKU``, ``explain price SKU``."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from crossdock.domain.price import BASE
from crossdock.domain.stock import Reserved, uncounted
from crossdock.ports import Quotes, Wanted
from crossdock.store.prices import PriceBook
from crossdock.sync.availability import Availability, Facts, Terms


def stock(source: Availability, sku: str) -> Iterator[str]:
    """Every term of what the shop may promise of a SKU, location by location, asked for now."""
    said, terms, facts = source.explain(sku)
    if said is None:
        yield f"{sku}: {source.name} keeps no stock of it; what the shop has stays as it is."
        return
    for part in facts.goods[sku].parts:
        yield f"{sku} is a kit: {part.quantity:f} x {part.sku} each"
    rest = uncounted(facts.reserved.get(sku, ()), facts.counted)
    for term in terms:
        yield from _location(sku, term, facts, rest.get(term.rule.location, Decimal(0)))
    if not terms:
        yield f"{sku}: none of its warehouses feeds a location of the shop."
    yield "The shop shows it like this." if said.shown else "The shop shows something else: the next run writes it."


def _location(sku: str, term: Terms, facts: Facts, unknown: Decimal) -> Iterator[str]:
    rule, level = term.rule, term.level
    yield f"{rule.location}: {level.sellable - unknown:f} can be bought now"
    for one in term.supplies:
        counted = f" (counted by {rule.feed})" if rule.feed else ""
        yield f"  {one.warehouse}: {one.on_hand:f} on hand{counted} - {one.outgoing:f} outgoing = {one.free:f} free"
    keeps = [f"x share {rule.share:f}"] if rule.share != 1 else []
    keeps += [f"- buffer {rule.buffer}"] if rule.buffer else []
    keeps += [f"- {rule.stale_buffer} because {rule.feed} has fallen silent"] if term.stale else []
    keeps += [f"- {term.elsewhere:f} sold in kits, not in the ERP yet"] if term.elsewhere else []
    keeps += [f"at most {rule.cap}"] if rule.cap is not None else []
    yield f"  {' '.join(['sellable:', *keeps, '=', str(level.sellable)])}"
    for kept in facts.reserved.get(sku, ()):
        if kept.location == rule.location:
            yield f"  {_reserved(kept, facts)}"
    if unknown:
        yield f"  - {unknown:f} of web orders that the ERP has not counted yet"
    if level.incoming:
        yield f"  {level.incoming} expected{f', next on {level.expected}' if level.expected else ''}: not promised"


def _reserved(one: Reserved, facts: Facts) -> str:
    known = facts.counted.get(one.line)
    said = "not in the ERP yet" if known is None else f"the ERP has counted {known:f}"
    sent = f", {one.fulfilled:f} sent" if one.fulfilled else ""
    return f"reserved {one.quantity:f} for order {one.order}{sent}: {said}"


def price(book: PriceBook, shop: Quotes, wanted: Wanted) -> Iterator[str]:
    """Every rule that fits a SKU for a visitor, the one that wins, and what ERP and shop say when asked now."""
    account, sku, quantity = wanted
    book.refresh()
    steps = book.explain(account, sku, quantity, book.erp.now())
    who = f"account {account}" if account else "a guest"
    yield f"{quantity} x {sku} for {who}:"
    for step in steps:
        amount = "" if step.amount is None else f" = {step.amount:f}"
        verdict = f"wins{f', {step.why}' if step.why else ''}" if step.wins else step.why
        yield f"  [{'everybody' if step.layer == BASE else step.layer}] {step.words}{amount}: {verdict}"
    if not steps:
        yield f"  no rule of {book.erp.name} fits it, or it is not for sale"
    for name, side in ((book.erp.name, book.erp), ("the shop", shop)):
        said = side.quotes([wanted])
        yield f"{name} says: {_price(said[wanted]) if wanted in said else 'it knows no such SKU or account'}"
    if not book.in_step([wanted]):
        yield "The shop has not been told all of it yet: it waits for something, is held or quarantined, or comes next."


def _price(amount: Decimal | None) -> str:
    return "no price" if amount is None else f"{amount.normalize():f} each, without taxes"
