"""How a figure came about, in words and lines for a person: ``crossdock explain stock SKU``."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from crossdock.domain.stock import Reserved, uncounted
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
