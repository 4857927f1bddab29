"""Tryton's price lists as rules. Pure functions.

trytond 8.0, modules product_price_list (``price_list.py``: the first line that matches says the price, rounded to four
digits), product_price_list_dates (days, both included) and sale_price_list (taxes are taken out of gross prices).
"""

from __future__ import annotations

import ast
import math
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Context, Decimal, DecimalException, DivisionByZero, Inexact, InvalidOperation, Overflow
from typing import NamedTuple

from crossdock.connectors.tryton.reading import Record
from crossdock.domain.price import BASE, Article, Member, Rule

VERSION = 1
"""Raise it when the same rows are to be understood differently."""

LIST = ("name", "price", "tax_included")
LINE = ("price_list", "sequence", "category", "product", "quantity", "formula")
DATES = ("start_date", "end_date")
_LIST_PRICES = ("list_prices.list_price", "list_prices.company")
ARTICLE = ("code", "template", *_LIST_PRICES, "cost_prices.cost_price", "cost_prices.company")
"""Not ``list_price_used`` and ``cost_price``, which take eight times as long."""
TEMPLATE = ("categories", "account_category", "default_uom", "sale_uom", *_LIST_PRICES)
CATEGORY = ("parent", "customer_taxes_used")
TAX = ("type", "rate", "start_date", "end_date", "childs", "update_unit_price")
PARTY = ("code", "sale_price_list", "customer_tax_rule")

_EXACT = Context(prec=28, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
"""Tryton's own precision: what it would have to round on the way is not computed here."""
_BEFORE_ALL = -(2**31)
"""Lines without a sequence come first."""


class Affine(NamedTuple):
    """``list_price`` x the list price + ``cost_price`` x the cost price + ``constant``."""

    list_price: Decimal
    cost_price: Decimal
    constant: Decimal


_NAMES = {
    "list_price": Affine(Decimal(1), Decimal(0), Decimal(0)),
    "cost_price": Affine(Decimal(0), Decimal(1), Decimal(0)),
}


def affine(formula: str, unit_price: str | None) -> Affine | None:
    """The formula, if it is that simple. ``unit_price``: what this name stands for in the list; None: for nothing."""
    names = {**_NAMES, **({"unit_price": _NAMES[unit_price]} if unit_price else {})}
    try:
        return _affine(ast.parse(formula.strip(), mode="eval").body, formula.strip(), names)
    except (SyntaxError, ValueError, KeyError, DecimalException):
        return None


def _affine(node: ast.expr, text: str, names: Mapping[str, Affine]) -> Affine:
    match node:
        case ast.Constant(value=int() | float()):
            return Affine(Decimal(0), Decimal(0), Decimal(ast.get_source_segment(text, node) or ""))
        case ast.Name(id=name):
            return names[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _scaled(_affine(operand, text, names), Decimal(-1))
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right):
            a, b = _affine(left, text, names), _affine(right, text, names)
            if isinstance(op, ast.Sub):
                b = _scaled(b, Decimal(-1))
            return Affine(*(_EXACT.add(x, y) for x, y in zip(a, b, strict=True)))
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            a, b = _affine(left, text, names), _affine(right, text, names)
            return _scaled(a, _number(b)) if not (b.list_price or b.cost_price) else _scaled(b, _number(a))
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            divisor = _number(_affine(right, text, names))
            return _scaled(_affine(left, text, names), _EXACT.divide(Decimal(1), divisor))
    raise ValueError("not an affine formula")


def _number(one: Affine) -> Decimal:
    if one.list_price or one.cost_price:
        raise ValueError("two prices multiplied")
    return one.constant


def _scaled(one: Affine, factor: Decimal) -> Affine:
    return Affine(*(_EXACT.multiply(part, factor) for part in one))


def to_rule(line: Record, lists: Mapping[int, Record], base: int | None, zone: tzinfo) -> Rule:
    """A line of a price list; ``base``: the list that everybody has."""
    owner = lists[line["price_list"]]
    simple = affine(line["formula"], owner["price"])
    end = line.get("end_date")
    return Rule(
        id=str(line["id"]),
        layer=layer(owner["id"], base),
        place=(_BEFORE_ALL if line["sequence"] is None else line["sequence"]) * 2**31 + line["id"],
        article=_text(line["product"]),
        category=_text(line["category"]),
        min_quantity=max(1, math.ceil(line["quantity"] or 0)),
        starts_at=_midnight(line.get("start_date"), zone),
        ends_at=_midnight(end + timedelta(days=1) if end else None, zone),
        list_factor=simple.list_price if simple else Decimal(0),
        cost_factor=simple.cost_price if simple else Decimal(0),
        constant=simple.constant if simple else Decimal(0),
        asked=simple is None,
        gross=bool(owner["tax_included"]),
        words=f"{owner['name']}, line {line['sequence'] or line['id']}: {line['formula']}",
    )


def list_price() -> Rule:
    """What everybody pays where no price list says otherwise."""
    return Rule(
        id=BASE, layer=BASE, place=0, article=None, category=None, min_quantity=1, starts_at=None, ends_at=None,
        list_factor=Decimal(1), cost_factor=Decimal(0), constant=Decimal(0), asked=False, gross=False,
        words="the list price",
    )  # fmt: skip


def layer(price_list: int, base: int | None) -> str:
    """The layer's code."""
    return BASE if price_list == base else f"list:{price_list}"


def _midnight(day: date | None, zone: tzinfo) -> datetime | None:
    return datetime.combine(day, time(), zone).astimezone(UTC) if day else None


def _text(one: int | None) -> str | None:
    return None if one is None else str(one)


def to_article(
    product: Record,
    template: Record,
    categories: Mapping[int, Record],
    rates: Mapping[int, Decimal | None],
    company: int,
) -> Article:
    """A variant. ``rates``: the simple tax rate of each category's taxes (``simple_rate``)."""
    own = _of_company(product["list_prices."], "list_price", company)
    held = [*template["categories"], *filter(None, [template["account_category"]])]
    return Article(
        id=str(product["id"]),
        sku=product["code"],
        categories=sorted(map(str, _with_parents(held, categories))),
        list_price=_of_company(template["list_prices."], "list_price", company) if own is None else own,
        cost_price=_of_company(product["cost_prices."], "cost_price", company),
        tax_rate=rates.get(template["account_category"]) if template["account_category"] else Decimal(0),
        asked=template["sale_uom"] != template["default_uom"],
    )


def _of_company(rows: Collection[Record], name: str, company: int) -> Decimal | None:
    """The value that is kept for this company, else the one for any."""
    by_company: dict[int | None, Decimal | None] = {row["company"]: row[name] for row in rows}
    return by_company.get(company, by_company.get(None))


def _with_parents(held: Sequence[int], categories: Mapping[int, Record]) -> set[int]:
    found: set[int] = set()
    open_ = list(held)
    while open_:
        one = open_.pop()
        if one not in found and one in categories:
            found.add(one)
            open_ += filter(None, [categories[one]["parent"]])
    return found


def simple_rate(taxes: Collection[Record]) -> Decimal | None:
    """What taxes a gross price holds: 0.19; None where they are more than percentages that always hold."""
    for tax in taxes:
        odd = tax["start_date"] or tax["end_date"] or tax["childs"] or tax["update_unit_price"]
        if tax["type"] != "percentage" or odd:
            return None
    return sum((tax["rate"] for tax in taxes), Decimal(0))


def to_member(party: Record, lists: Mapping[int, Record], base: int | None, default: int | None) -> Member:
    """An account and its price list: its own, else the company's default, else what everybody has."""
    own: int | None = party["sale_price_list"] or default
    owner = lists.get(own or 0)  # None: made since the lists were read
    refused = ""
    if owner and owner["tax_included"] and party["customer_tax_rule"]:
        refused = (
            f"The account has a tax rule and the price list {owner['name']!r}, whose prices contain taxes: its "
            "net prices are other than everybody's. Give it a price list without taxes."
        )
    return Member(str(party["id"]), party["code"], [] if own in (None, base) else [layer(own, base)], refused)
