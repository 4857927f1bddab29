"""An ERP's price rules in memory, and an independent opinion of what they come to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from crossdock.domain.price import BASE, Article, Layer, Member, Question, Rule
from crossdock.errors import Reject
from crossdock.ports import Wanted

FOUR = Decimal("0.0001")


class MemoryRules:
    """Implements ``ports.PriceRules``. ``ahead`` turns its clock on; ``answers`` is what it says when it is asked."""

    name = "Memory"
    version = "1"

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, tuple[datetime, Any]]] = {"rule": {}, "article": {}, "member": {}}
        self.known = {BASE: Layer(BASE, "Base", "everybody", 0, "EUR")}
        self.ahead = timedelta()
        self.answers: dict[tuple[str, str, int], Decimal | Reject | None] = {}
        self.asked: list[Question] = []
        self.settled = "basis"

    def layer(self, code: str, rank: int = 1, audience: Any = "accounts") -> None:
        self.known[code] = Layer(code, f"List {code}", audience, rank, "EUR")

    def rule(self, id: str, layer: str, place: int = 0, **other: Any) -> None:
        """What is not said: no condition, the list price."""
        base = {
            "article": None, "category": None, "min_quantity": 1, "starts_at": None, "ends_at": None,
            "list_factor": Decimal(1), "cost_factor": Decimal(0), "constant": Decimal(0), "asked": False,
            "gross": False, "words": f"rule {id}",
        }  # fmt: skip
        self.put("rule", Rule(id=id, layer=layer, place=place, **{**base, **other}))

    def fixed(self, id: str, layer: str, amount: str, place: int = 0, **other: Any) -> None:
        self.rule(id, layer, place, list_factor=Decimal(0), constant=Decimal(amount), **other)

    def article(self, sku: str, list_price: str | None = "10", **other: Any) -> None:
        base = {"categories": [], "cost_price": None, "tax_rate": None, "asked": False}
        price = None if list_price is None else Decimal(list_price)
        self.put("article", Article(id=f"id-{sku}", sku=sku, list_price=price, **{**base, **other}))

    def member(self, account: str, *layers: str, refused: str = "") -> None:
        self.put("member", Member(f"party-{account}", account, list(layers), refused))

    def put(self, kind: str, row: Any) -> None:
        self.kept[kind][row.id] = self.now(), row

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def basis(self) -> str:
        return self.settled

    def layers(self) -> Sequence[Layer]:
        return list(self.known.values())

    def _read(self, kind: str, since: datetime | None) -> Iterator[Sequence[Any]]:
        yield []
        yield [row for at, row in self.kept[kind].values() if since is None or at >= since]

    def rules(self, since: datetime | None) -> Iterator[Sequence[Rule]]:
        return self._read("rule", since)

    def articles(self, since: datetime | None) -> Iterator[Sequence[Article]]:
        return self._read("article", since)

    def members(self, since: datetime | None) -> Iterator[Sequence[Member]]:
        return self._read("member", since)

    def ids(self, kind: str) -> Iterator[Sequence[str]]:
        yield list(self.kept[kind])

    def ask(self, questions: Sequence[Question]) -> Sequence[Decimal | Reject | None]:
        self.asked += questions
        return [self.answers.get((one.layer, one.article, one.quantity)) for one in questions]

    def quotes(self, wanted: Sequence[Wanted]) -> dict[Wanted, Decimal | None]:
        skus = {row.sku for _, row in self.kept["article"].values()}
        return {one: self.price(*one, self.now()) for one in wanted if one.sku in skus}

    # ---- an independent opinion

    def said(self, layer: str, sku: str, quantity: int, at: datetime) -> Decimal | None:
        """What the layer's best rule comes to; where it comes to nothing, the best of those that always hold."""
        [article] = [row for _, row in self.kept["article"].values() if row.sku == sku]
        rules = [row for _, row in self.kept["rule"].values() if row.layer == layer]
        fits = [rule for rule in rules if _fits(rule, article, quantity, at)]
        for some in (fits, [rule for rule in fits if not (rule.starts_at or rule.ends_at)]):
            if some:
                best = min(some, key=lambda rule: (rule.place, -rule.min_quantity, rule.id))
                if (amount := _amount(best, article)) is not None:
                    return amount
        return None

    def price(self, account: str | None, sku: str, quantity: int, at: datetime) -> Decimal | None:
        """What a buyer of the account has to pay."""
        codes = {code for _, row in self.kept["member"].values() if row.account == account for code in row.layers}
        codes |= {layer.code for layer in self.known.values() if layer.audience == "everybody"}
        for layer in sorted((self.known[code] for code in codes), key=lambda one: -one.rank):
            if (amount := self.said(layer.code, sku, quantity, at)) is not None:
                return amount
        return None


def _fits(rule: Rule, article: Article, quantity: int, at: datetime) -> bool:
    return (
        rule.min_quantity <= quantity
        and rule.article in (None, article.id)
        and (rule.category is None or rule.category in article.categories)
        and (rule.starts_at is None or rule.starts_at <= at)
        and (rule.ends_at is None or at < rule.ends_at)
    )


def _amount(rule: Rule, article: Article) -> Decimal | None:
    amount = rule.constant + rule.cost_factor * (article.cost_price or 0)
    if rule.list_factor:
        if article.list_price is None:
            return None
        amount += rule.list_factor * article.list_price
    amount = amount.quantize(FOUR, ROUND_HALF_EVEN)
    if rule.gross:
        assert article.tax_rate is not None
        amount = (amount / (1 + article.tax_rate)).quantize(FOUR, ROUND_HALF_EVEN)
    return amount
