"""A merchant's price rules of any size, and an independent opinion of what an account pays.

20 groups with percentages by category and their own prices with three tiers for every twentieth article; promotions for
everybody; 12 contracts that 12 % of the accounts share; 18 % of the accounts have prices of their own. One rule in five
is dated: it is over, holds until next month, or from then on.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import count
from typing import Any

from crossdock.domain.price import BASE, Article, Layer, Member, Question, Rule
from crossdock.errors import Reject
from crossdock.ports import Wanted

GROUPS, CONTRACTS, PROMOTIONS = 20, 12, "promotions"
_NOTHING, _ALL = Decimal(0), Decimal(1)
_FOUR = Decimal("0.0001")
_BY_ARTICLE, _BY_CATEGORY = 1, 2
"""Places: what is said of an article comes before what is said of its category."""


@dataclass
class Merchant:
    """Implements ``ports.PriceRules``."""

    accounts: int
    skus: int
    name: str = "Bench"
    version: str = "1"
    known: dict[str, Rule] = field(default_factory=dict)
    changed: list[Rule] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng, self.clock = random.Random(self.skus), datetime(2026, 11, 26, 12, tzinfo=UTC)
        self.dates = [(None, self.clock - timedelta(days=9)), (self.clock - timedelta(days=9), _NEXT), (_NEXT, _AFTER)]
        ranges = max(10, self.skus // 250)
        self.goods = [
            Article(
                f"{n}",
                f"SKU{n:06d}",
                [f"range-{n % ranges}"],
                Decimal(rng.randrange(100, 99_999)) / 100,
                None,
                None,
                False,
            )
            for n in range(self.skus)
        ]
        self.ranges = [f"range-{n}" for n in range(ranges)]
        self._ids = count(1)
        self._rng = rng
        self._rule(BASE, 9, factor=_ALL)
        for good in rng.sample(self.goods, self.skus // 50):
            self._price(PROMOTIONS, good)
        groups = [f"group-{n}" for n in range(GROUPS)]
        for layer in groups:
            for name in rng.sample(self.ranges, 10):
                self._rule(layer, _BY_CATEGORY, category=name, factor=Decimal(rng.randrange(70, 99)) / 100)
            for good in rng.sample(self.goods, self.skus // 20):
                self._tiers(layer, good)
        contracts = [f"contract-{n}" for n in range(CONTRACTS)]
        for layer in contracts:
            for name in rng.sample(self.ranges, 3):
                self._rule(layer, _BY_CATEGORY, category=name, factor=Decimal(rng.randrange(60, 90)) / 100)
            for good in rng.sample(self.goods, self.skus // 100):
                self._tiers(layer, good)
        self.layers_of: dict[str, list[str]] = {}
        for number in range(self.accounts):
            account, lot = f"C{number:05d}", rng.random()
            own = [rng.choice(groups)]
            if lot < 0.12:
                own.append(rng.choice(contracts))
            elif lot < 0.30:
                own.append(f"own-{account}")
                for good in rng.sample(self.goods, self.skus * 14 // 1_000):
                    self._price(own[-1], good)
            self.layers_of[account] = own
        owned = sorted({layer for layers in self.layers_of.values() for layer in layers})
        self.ranks = {BASE: 0, PROMOTIONS: 1} | {layer: 2 if layer.startswith("group") else 3 for layer in owned}

    def _rule(self, layer: str, place: int, least: int = 1, factor: Decimal = _NOTHING, amount: Decimal = _NOTHING,
              article: str | None = None, category: str | None = None) -> None:  # fmt: skip
        starts_at, ends_at = (
            self._rng.choice(self.dates) if layer != BASE and self._rng.random() < 0.2 else (None, None)
        )
        rule = Rule(
            f"r{next(self._ids)}", layer, place, article, category, least, starts_at, ends_at, factor, _NOTHING, amount,
            False, False, "",
        )  # fmt: skip
        self.known[rule.id] = rule

    def _price(self, layer: str, good: Article, least: int = 1, share: int = 0) -> None:
        assert good.list_price
        amount = (good.list_price * (share or self._rng.randrange(60, 110)) / 100).quantize(Decimal("0.01"))
        self._rule(layer, _BY_ARTICLE, least, amount=amount, article=good.id)

    def _tiers(self, layer: str, good: Article) -> None:
        share = self._rng.randrange(75, 105)
        for place, least in enumerate((1, 10, 100)):
            self._price(layer, good, least, share - 10 * place)

    def change(self, rules: int) -> None:
        """So many rules say another price from now on."""
        chosen = self._rng.sample([rule for rule in self.known.values() if rule.article], rules)
        self.changed = [rule._replace(constant=rule.constant + Decimal("0.01")) for rule in chosen]
        self.known |= {rule.id: rule for rule in self.changed}

    # ---- the port

    def now(self) -> datetime:
        return self.clock

    def basis(self) -> str:
        return "bench"

    def layers(self) -> Sequence[Layer]:
        seen = {BASE, PROMOTIONS}
        return [
            Layer(code, code, "everybody" if code in seen else "accounts", rank, "EUR")
            for code, rank in self.ranks.items()
        ]

    def rules(self, since: datetime | None) -> Iterator[Sequence[Rule]]:
        yield self.changed if since else list(self.known.values())

    def articles(self, since: datetime | None) -> Iterator[Sequence[Article]]:
        yield [] if since else self.goods

    def members(self, since: datetime | None) -> Iterator[Sequence[Member]]:
        yield [] if since else [Member(code, code, layers, "") for code, layers in self.layers_of.items()]

    def ids(self, kind: Any) -> Iterator[Sequence[str]]:
        yield {
            "rule": list(self.known), "article": [good.id for good in self.goods], "member": list(self.layers_of),
        }[kind]  # fmt: skip

    def ask(self, questions: Sequence[Question]) -> Sequence[Decimal | Reject | None]:
        raise AssertionError("there is nothing to ask")

    def quotes(self, wanted: Sequence[Wanted]) -> dict[Wanted, Decimal | None]:
        raise AssertionError("there is nobody to ask")


_NEXT, _AFTER = datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


class Opinion:
    """What an account pays at a moment, rule by rule: nothing of it is the product's."""

    def __init__(self, merchant: Merchant, at: datetime) -> None:
        self._merchant = merchant
        self._by_article: dict[tuple[str, str], list[Rule]] = defaultdict(list)
        self._by_category: dict[tuple[str, str], list[Rule]] = defaultdict(list)
        for rule in merchant.known.values():
            if (rule.starts_at is None or rule.starts_at <= at) and (rule.ends_at is None or at < rule.ends_at):
                if rule.article:
                    self._by_article[rule.layer, rule.article].append(rule)
                elif rule.category:
                    self._by_category[rule.layer, rule.category].append(rule)

    def price(self, account: str | None, good: Article, quantity: int) -> Decimal:
        layers = self._merchant.layers_of[account] if account else []
        for layer in [*sorted(layers, key=lambda one: -self._merchant.ranks[one]), PROMOTIONS]:
            for rules in (self._by_article[layer, good.id], self._by_category[layer, good.categories[0]]):
                fits = [rule for rule in rules if rule.min_quantity <= quantity]
                if fits:
                    best = min(fits, key=lambda rule: (-rule.min_quantity, rule.id))
                    amount = best.list_factor * (good.list_price or 0) + best.constant
                    return amount.quantize(_FOUR, ROUND_HALF_EVEN)
        assert good.list_price
        return good.list_price
