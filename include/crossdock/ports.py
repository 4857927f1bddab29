"""What Crossdock asks of an ERP and of a storefront.

A connector is an object with one attribute per domain it serves (``customers``, later ``items``,
...); each is a Source, a Target or both. Only canonical records cross this line: a source's bytes
are opaque to everybody but the source itself, so are a target's payloads.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol, TypeVar

from crossdock.domain.customer import Account
from crossdock.domain.document import Document
from crossdock.domain.item import Item
from crossdock.domain.order import Order
from crossdock.domain.order_status import OrderStatus
from crossdock.domain.price import Article, Layer, Member, PriceList, PriceMember, Prices, Question, Rule
from crossdock.domain.record import Record
from crossdock.domain.shipping_advice import ShippingAdvice
from crossdock.domain.stock import Count, Goods, Reserved, Stock
from crossdock.errors import Reject

R_co = TypeVar("R_co", bound=Record, covariant=True)
R_contra = TypeVar("R_contra", bound=Record, contravariant=True)


@dataclass(frozen=True)
class Window:
    """Half-open: ``since <= changed < until``, both UTC. ``since`` None: from the beginning."""

    since: datetime | None
    until: datetime


class Row(NamedTuple):
    """One record as the source sent it. ``key`` is "" where the source's row has none."""

    key: str
    source_id: str
    raw: bytes


class Source(Protocol[R_co]):
    """A side from which records are read."""

    @property
    def name(self) -> str:
        """The system's name for messages: ``Tryton``."""

    @property
    def version(self) -> str:
        """Changes whenever the same row would be read differently (fields, mapping)."""

    def now(self) -> datetime:
        """The source's own clock, UTC. Raises Retry when it is away, Stop when it refuses us."""

    def changed(self, window: Window) -> Iterator[Sequence[Row]]:
        """Every row that changed in the window, page by page, withdrawn ones included.

        A row may come twice and may have changed before the window. Raises Retry or Stop.
        """

    def read(self, keys: Collection[str]) -> Iterator[Sequence[Row]]:
        """Exactly these rows, as they are now. A key the source no longer has gives no row."""

    def parts(self) -> Iterator[Sequence[str]]:
        """The ids of all that records are put together from (``Record.parts``), ids only."""

    def parse(self, raw: bytes) -> R_co:
        """The canonical record. Raises Reject, or pydantic's ValidationError, for a bad row."""

    def content(self, ref: str) -> bytes:
        """The file a record refers to by ``ref`` (an image). Raises Reject when there is none, Retry or Stop."""


Content = Callable[[str], bytes]
"""``Source.content``, as a target is given it."""

Links = Mapping[str, str]
"""What else a record is in the target, besides itself: SKU -> the target's id of the variant."""

NO_LINKS: Links = MappingProxyType({})

Op = Literal["create", "update", "remove"]


class Put(NamedTuple):
    """One thing to be written. ``fingerprint`` is kept by targets that can, for ``find``."""

    key: str
    op: Op
    target_id: str | None
    payload: bytes
    fingerprint: str


class Outcome(NamedTuple):
    """What became of one Put: the target's id, or why it was refused. ``note`` is for people."""

    key: str
    target_id: str | None
    refused: Reject | None = None
    note: str | None = None
    links: Links = NO_LINKS


class Found(NamedTuple):
    """A record the target has. ``fingerprint`` None: not kept, not written by us, or only half there."""

    target_id: str
    fingerprint: str | None
    links: Links = NO_LINKS


class Target(Protocol[R_contra]):
    """A side to which records are written."""

    @property
    def name(self) -> str:
        """The system's name for messages: ``Medusa``."""

    @property
    def version(self) -> str:
        """Changes whenever the same record would be written differently."""

    @property
    def batch(self) -> int:
        """How many records one call likes best."""

    @property
    def lanes(self) -> int:
        """How many calls it takes side by side; ``put`` is then called from so many threads."""

    def fingerprint(self) -> str:
        """Which system this is (host, database, shop id): what a write approval is given for."""

    def payload(self, record: R_contra) -> bytes:
        """What ``put`` will be given for this record. Pure. Raises Reject if it cannot be said."""

    def put(self, batch: Sequence[Put], content: Content) -> Iterable[Outcome]:
        """Write the batch; doing it twice leaves the same as doing it once.

        ``content`` gives the files that payloads refer to; only what the target lacks is asked for. One
        Outcome per Put, in any order. ``remove`` withdraws (unpublish, leave the group), it
        never deletes. Raises Reject when the batch is refused as a whole and nothing was kept,
        Retry when nothing was sent, AnswerLost when something may have been carried out.
        """

    def find(self, keys: Collection[str]) -> dict[str, Found]:
        """Which of these records the target has whole, by natural key."""

    def match(self, records: Sequence[R_contra]) -> Mapping[str, Found | Reject]:
        """Which of these records, of which we know nothing yet, are there already, whoever made them.

        A Reject: a part of the record (a SKU) belongs to something else there. Read before every create.
        """

    def keys(self) -> Iterator[Sequence[str]]:
        """The natural keys of all records of this kind that the target has."""


@dataclass(frozen=True)
class Claim:
    """A storefront login that says it belongs to an account, which the ERP has not said.

    ``login`` is the storefront's id, ``evidence`` what it offers (``company name``, ``tax id``,
    ``metadata``, ``e-mail domain``), ``accounts`` the numbers it may mean. For a person to judge.
    """

    login: str
    email: str
    evidence: str
    value: str


class Claims(Protocol):
    """A storefront that can list the logins that want an account."""

    def claims(self) -> Iterator[Sequence[Claim]]:
        """Every login without an account that offers evidence for one."""


class Placed(NamedTuple):
    """A record as its source lists it, without details: what it is worth, and whether it is to be in the target.

    ``due``: it should be there by now; ``worth`` in its own currency, not rounded.
    """

    key: str
    worth: Decimal
    due: bool


class Lists(Protocol):
    """A source that lists what was made by another way than it tells changes: to prove that nothing is lost."""

    def placed(self, window: Window) -> Iterator[Sequence[Placed]]:
        """Made in the window, and not changed since its end."""


class Totals(Protocol):
    """A target that can say what its records are worth."""

    def worth(self, keys: Collection[str]) -> Mapping[str, Decimal]:
        """Of those of these records that it has, by natural key."""


class Dated(Protocol):
    """A source whose records have a date of their own, by which history is read."""

    def dated(self, since: date, until: date) -> Iterator[Sequence[Row]]:
        """Every record whose own date is in ``since <= date < until``, newest first, withdrawn ones included.

        The date is the one of the source's calendar. Raises Retry or Stop.
        """


@dataclass(frozen=True)
class Control:
    """What the documents of one account in one currency come to. ``open``: what is still to be paid; 0 of orders."""

    count: int
    total: Decimal
    open: Decimal


Controls = Mapping[tuple[str, str], Control]
"""By account and currency; only those with at least one document."""


class Controlled(Protocol):
    """A side that can add up its documents, by another way than they are read or written: to prove that they agree."""

    def control(self, since: date | None, until: date | None, without: Collection[str]) -> Controls:
        """Of the documents whose own date is in ``since <= date < until``; None: no limit on this side.

        Not counted are those that are withdrawn, those of no B2B account, and those whose key is in ``without``.
        """


class Receivables(Protocol):
    """An ERP that keeps books, which know of more than documents: payments on account, corrections."""

    def receivables(self) -> Mapping[str, Decimal]:
        """What each account owes by the books, in the company's currency; none of those that owe nothing."""


class Wish(NamedTuple):
    """A printed document that a buyer waits for. ``id``: the target's, of the wish; ``ref``: its ``Document.file``."""

    id: str
    ref: str


class Wishes(Protocol):
    """A target that keeps no printed documents until a buyer asks for one."""

    def wishes(self) -> Iterator[Sequence[Wish]]:
        """What buyers wait for among the documents of this flow, the oldest first."""

    def deliver(self, id: str, content: bytes | None) -> None:
        """The printed document, or None: there is none. A wish that is no more is no fault.

        Raises Reject when the target does not take it (too large, of a kind it does not show), Retry or Stop.
        """


class Warehouses(Protocol):
    """An ERP that keeps stock. Read in this order, so that what happens in between is never promised twice:

    ``counted``, then ``goods``, ``counted`` again; in ``goods`` the open moves before what is on hand.
    """

    @property
    def name(self) -> str:
        """The system's name for messages: ``Tryton``."""

    @property
    def version(self) -> str:
        """Changes whenever the same stock would be read differently."""

    def now(self) -> datetime:
        """The ERP's own clock, UTC. Raises Retry when it is away, Stop when it refuses us."""

    def touched(self, window: Window) -> Iterator[Sequence[str]]:
        """SKUs of which a move, a web order or a setting changed in the window. Some may come twice."""

    def skus(self) -> Iterator[Sequence[str]]:
        """Every SKU of which it keeps stock, kits included."""

    def family(self, skus: Collection[str]) -> Set[str]:
        """These SKUs and all that share goods with one of them: a kit's parts, the kits of a part, and so on."""

    def counted(self, lines: Mapping[str, Collection[str]]) -> Mapping[str, Decimal]:
        """Of these lines (web order -> ids of lines) how many pieces it has moves for, open or done, not cancelled.

        A line that it does not know, or that is still held, is left out.
        """

    def goods(self, skus: Collection[str]) -> Iterable[Goods]:
        """What is there of these SKUs, in every warehouse. A SKU it does not keep stock of gives nothing."""

    def shipped(self, warehouse: str, since: Mapping[str, datetime]) -> Mapping[str, Decimal]:
        """SKU -> what has left this warehouse after the moment given for the SKU, UTC."""


class Feed(Protocol):
    """Files in which a warehouse of a third party counts what lies there."""

    def touched(self, window: Window) -> Iterator[Sequence[str]]:
        """SKUs that it counted in files that came in the window."""

    def counts(self) -> Mapping[str, Count]:
        """The last count of each SKU, by files that can be believed. Raises Retry when the folder is away."""

    def heard_at(self) -> datetime | None:
        """When the newest of these files was made, UTC; None when there is none."""

    def refused(self, window: Window) -> Iterator[Row]:
        """Files of the window that cannot be believed: rows without a key, which ``parse`` refuses."""


class Shelf(Protocol):
    """A shop that keeps stock by location and reserves it for its orders."""

    def now(self) -> datetime:
        """The shop's own clock, UTC."""

    def locations(self) -> Collection[str]:
        """The ERP's codes of the shop's locations."""

    def touched(self, window: Window) -> Iterator[Sequence[str]]:
        """SKUs of which a level or a reservation changed in the window, by whomever. Some may come twice."""

    def reserved(self, skus: Collection[str]) -> Mapping[str, Sequence[Reserved]]:
        """What it keeps back now, by SKU."""

    def shows(self, stocks: Sequence[Stock]) -> Set[str]:
        """Those of these SKUs that it shows already as ``put`` would leave them."""


class Stirrings(Protocol):
    """A system that can say at little cost whether anything has changed."""

    def now(self) -> datetime:
        """The system's own clock, UTC. Raises Retry when it is away, Stop when it refuses us."""

    def stirred(self, flow: str, since: datetime) -> Set[str]:
        """A mark for each of the newest changes of what this flow reads: another change of the same is another mark.

        A change may show later than others that are newer. Empty for a flow about which the system cannot say.
        """


class Listens(Protocol):
    """A source that hears from others who may fall silent."""

    def silent(self) -> Mapping[str, str]:
        """Who has not been heard of for longer than he may be silent -> what is known of it, in words."""


class PriceRules(Protocol):
    """An ERP's rules, from which prices are computed here (``store/prices.py``): asking it takes 1,000 times as long.

    Every reading gives whatever changed since then, or all of it (None), each at least once, as it is now.
    """

    @property
    def name(self) -> str:
        """The system's name for messages: ``Tryton``."""

    @property
    def version(self) -> str:
        """Changes whenever the same rules would be read differently."""

    def now(self) -> datetime:
        """Its own clock, UTC. Raises Retry when it is away, Stop when it refuses us."""

    def basis(self) -> str:
        """What all rules, articles and members depend on: when it changes, all of them are read again."""

    def layers(self) -> Sequence[Layer]:
        """All there are."""

    def rules(self, since: datetime | None) -> Iterator[Sequence[Rule]]: ...
    def articles(self, since: datetime | None) -> Iterator[Sequence[Article]]: ...
    def members(self, since: datetime | None) -> Iterator[Sequence[Member]]: ...

    def ids(self, kind: Literal["rule", "article", "member"]) -> Iterator[Sequence[str]]:
        """Of all there are: what is kept here and not among them is gone."""

    def ask(self, questions: Sequence[Question]) -> Sequence[Decimal | Reject | None]:
        """One answer each: the ERP's own price, None where it has none, or why it cannot say."""

    def quotes(self, wanted: Sequence[Wanted]) -> Mapping[Wanted, Decimal | None]:
        """See ``Quotes``: by its own rules, not by ours."""


class Wanted(NamedTuple):
    """So many pieces of a SKU, for a buyer of an account; ``account`` None: for a guest."""

    account: str | None
    sku: str
    quantity: int


class Quotes(Protocol):
    """A side that can be asked for prices, to prove that both sides ask the same."""

    def quotes(self, wanted: Sequence[Wanted]) -> Mapping[Wanted, Decimal | None]:
        """What one piece costs now, net of tax, in the main currency of the side; None: it has no price.

        An ERP computes it live by its own rules, a storefront by its own pricing: the groups of the account's
        buyers, the lists that hold now, the quantity. What is not known there (account, SKU) has no answer.
        """


class Shown(Protocol):
    """A storefront that can be looked at from outside."""

    def shown(self, skus: Sequence[str]) -> Mapping[str, Decimal | None]:
        """What a guest who is not logged in is shown for one piece, through the public interface; net of tax."""


CustomerSource = Source[Account]
CustomerTarget = Target[Account]
ItemSource = Source[Item]
ItemTarget = Target[Item]
OrderSource = Source[Order]
OrderTarget = Target[Order]
OrderStatusSource = Source[OrderStatus]
OrderStatusTarget = Target[OrderStatus]
ShippingAdviceSource = Source[ShippingAdvice]
ShippingAdviceTarget = Target[ShippingAdvice]
StockSource = Source[Stock]
StockTarget = Target[Stock]
PriceListTarget = Target[PriceList]
PricesTarget = Target[Prices]
PriceMemberTarget = Target[PriceMember]
DocumentSource = Source[Document]
DocumentTarget = Target[Document]
