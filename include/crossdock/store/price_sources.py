"""The sources of the three flows of prices: what the price book says, as rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, Generic, TypeVar

import msgspec

from crossdock.domain.price import Price, PriceList, PriceMember, Prices
from crossdock.domain.record import Record
from crossdock.errors import Reject
from crossdock.ports import Row, Window
from crossdock.store.prices import Belongs, Entry, Layered, PriceBook

_R = TypeVar("_R", bound=Record)
_JSON = msgspec.json.Encoder(decimal_format="string")
_PAGE = 2_000


class _Source(Generic[_R]):
    """Refreshes the book before it is first read; ``_everything``: whether a first or full run reads all rules anew."""

    _everything = False

    def __init__(self, book: PriceBook) -> None:
        self._book = book
        self._fresh = False

    @property
    def name(self) -> str:
        """The ERP's."""
        return self._book.erp.name

    @property
    def version(self) -> str:
        """The ERP's mapping's."""
        return f"1-{self._book.erp.version}"

    def now(self) -> datetime:
        """The ERP's clock."""
        return self._book.erp.now()

    def changed(self, window: Window) -> Iterator[Sequence[Row]]:
        """What has come out otherwise since then, whenever it was computed."""
        self._refresh(self._everything and window.since is None)
        return self._rows(window.since, None)

    def read(self, keys: Collection[str]) -> Iterator[Sequence[Row]]:
        """These, as the rules say now."""
        self._refresh(False)
        return self._rows(None, keys)

    def _refresh(self, everything: bool) -> None:
        if not self._fresh:
            self._book.refresh(everything)
            self._fresh = True

    def _rows(self, since: datetime | None, keys: Collection[str] | None) -> Iterator[Sequence[Row]]:
        raise NotImplementedError

    def content(self, ref: str) -> bytes:
        """Prices have no files."""
        raise Reject("no_file", f"A price refers to a file {ref}.", "This is a defect: report it.")


class PriceListSource(_Source[PriceList]):
    """A ``Source[PriceList]``. All lists are listed every time: they are few."""

    def _rows(self, since: datetime | None, keys: Collection[str] | None) -> Iterator[Sequence[Row]]:
        yield [
            Row(one.code, one.code, _JSON.encode(one)) for one in self._book.lists() if keys is None or one.code in keys
        ]

    def parts(self) -> Iterator[Sequence[str]]:
        """The lists' codes: a span of time that is over takes its list with it."""
        yield [one.code for one in self._book.lists()]

    def parse(self, raw: bytes) -> PriceList:
        """The list. Raises Reject for a title that is no text for people."""
        one = msgspec.json.decode(raw, type=Layered)
        return PriceList(**{**one._asdict(), "parts": (one.code,)})


class PriceSource(_Source[Prices]):
    """A ``Source[Prices]``."""

    _everything = True

    def _rows(self, since: datetime | None, keys: Collection[str] | None) -> Iterator[Sequence[Row]]:
        for page in self._book.entries(since, keys):
            yield [Row(f"{one.price_list}|{one.sku}", one.article, _JSON.encode(one)) for one in page]

    def parts(self) -> Iterator[Sequence[str]]:
        """None: what a list says no longer stays in the book, as that."""
        return iter(())

    def parse(self, raw: bytes) -> Prices:
        """The prices. Raises Reject for what the ERP could not say."""
        one = msgspec.json.decode(raw, type=Entry)
        if one.refused:
            raise Reject("no_price", one.refused, f"Correct it in {self.name}; until then the shop keeps what it has.")
        return Prices(list=one.price_list, sku=one.sku, prices=tuple(_tiers(one)), why=one.doubt, asked=one.asked)


def _tiers(entry: Entry) -> Iterable[Price]:
    tiers = [*zip(entry.quantities, entry.amounts, strict=True), (None, None)]
    for (least, amount), (after, _) in pairwise(tiers):
        if least is not None and amount is not None:
            yield Price(
                currency=entry.currency,
                amount=amount,
                min_quantity=least,
                max_quantity=None if after is None else after - 1,
            )


class PriceMemberSource(_Source[PriceMember]):
    """A ``Source[PriceMember]``."""

    def _rows(self, since: datetime | None, keys: Collection[str] | None) -> Iterator[Sequence[Row]]:
        members = self._book.members(since, keys)
        for start in range(0, len(members), _PAGE):
            yield [Row(one.account, one.id, _JSON.encode(one)) for one in members[start : start + _PAGE]]

    def parts(self) -> Iterator[Sequence[str]]:
        """``member:7=C0001`` and the lists' codes."""
        yield [_part(one) for one in self._book.members()]
        yield [one.code for one in self._book.lists()]

    def parse(self, raw: bytes) -> PriceMember:
        """The account's lists. Raises Reject for an account that cannot have them."""
        one = msgspec.json.decode(raw, type=Belongs)
        if one.refused:
            raise Reject("no_lists", one.refused, f"Correct it in {self.name}; until then the shop keeps what it has.")
        return PriceMember(account=one.account, lists=tuple(one.lists), parts=(_part(one), *one.lists))


def _part(one: Belongs) -> str:
    return f"member:{one.id}={one.account}"


SOURCES: dict[str, Any] = {
    "price_lists": PriceListSource, "prices": PriceSource, "price_members": PriceMemberSource,
}  # fmt: skip
"""By flow."""
