"""The ERP's orders, invoices and credit notes, as the buyers of their account see them: ``Target[Document]``.

Needs the ERP extension (include/storefront): a stock Medusa has no home for them. Its orders would reserve stock, have
the wrong number and date, and stand among what is to be paid and sent. What is kept there: src/lib/documents.js.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date
from decimal import Decimal
from typing import Any

import msgspec

from crossdock.connectors.medusa.api import Api, Shop, chunks, parts
from crossdock.domain.document import Document, DocumentLine
from crossdock.errors import AnswerLost, Misconfigured, Reject
from crossdock.ports import Content, Control, Controls, Found, Outcome, Put, Wish

Json = dict[str, Any]

_PATH = "/admin/erp/documents"
_ASKED = 2_000
"""Keys in one question."""
_PAGE = 10_000
"""Keys in one answer."""


class Documents(Shop):
    """One flow's documents, by their natural key; ``remove`` shows them no more.

    Each bears the state of the ERP it was read from (``changed_at``): an older one that comes later, by a run beside
    this one, is done with and changes nothing. Nothing here sends mails, moves stock or makes an order of Medusa's.
    """

    version = "documents-1"
    batch = 500
    lanes = 2

    def __init__(self, api: Api, flow: str) -> None:
        super().__init__(api)
        self._flow = flow

    @property
    def _extension(self) -> Api:
        """The shop. Raises Misconfigured without the extension."""
        if not self._api.extension:
            raise Misconfigured(
                "This Medusa has no ERP extension: it has no place for orders and invoices of the ERP. Install it "
                "(include/storefront/README.md), or do not run the DAG offline_orders."
            )
        return self._api

    def payload(self, record: Document) -> bytes:
        """As src/lib/document-schema.js of the extension reads it: decimals as text, as many digits as the ERP has."""
        return msgspec.json.encode(
            {
                "number": record.number,
                "kind": record.kind,
                "account": record.account,
                "made_on": record.made_on.isoformat(),
                "due_on": record.due_on and record.due_on.isoformat(),
                "currency": record.currency,
                "net": f"{record.net:f}",
                "tax": f"{record.tax:f}",
                "total": f"{record.total:f}",
                "open": None if record.open is None else f"{record.open:f}",
                "status": record.status,
                "reference": record.reference,
                "belongs_to": record.belongs_to,
                "lines": [_line(line) for line in record.lines],
                "parcels": [{"number": parcel.tracking_number, "url": parcel.url} for parcel in record.parcels],
                "file": record.file,
                "changed_at": f"{record.changed_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            }
        )

    def put(self, batch: Sequence[Put], content: Content) -> Iterable[Outcome]:
        """One transaction in the shop for as many as one call takes; what is not fit is refused, the rest written."""
        outcomes: dict[str, Json] = {}
        for some in parts([_told(put) for put in batch]):
            answer = self._extension.post(f"{_PATH}/batch", {"flow": self._flow, "documents": some})
            outcomes |= {outcome["key"]: outcome for outcome in answer["outcomes"]}
        if missing := [put.key for put in batch if put.key not in outcomes]:
            raise AnswerLost(f"Medusa's answer says nothing of {len(missing)} of {len(batch)} documents.")
        return [_outcome(put, outcomes[put.key]) for put in batch]

    def find(self, keys: Collection[str]) -> dict[str, Found]:
        """By key, also of those that are shown no more."""
        return {one["key"]: Found(one["id"], one["fingerprint"]) for one in self._there(keys)}

    def match(self, records: Sequence[Document]) -> dict[str, Found]:
        """By key: no part of one can belong to another."""
        return self.find([record.key for record in records])

    def keys(self) -> Iterator[list[str]]:
        """All documents of the flow, those that are shown no more too."""
        after = ""
        while keys := self._extension.get(_PATH, {"flow": self._flow, "after": after, "limit": _PAGE})["keys"]:
            yield keys
            after = keys[-1]

    # ------------------------------------------------------------ proof

    def worth(self, keys: Collection[str]) -> Mapping[str, Decimal]:
        """The totals of those of these that buyers see."""
        return {one["key"]: Decimal(one["total"]) for one in self._there(keys) if not one["removed"]}

    def control(self, since: date | None, until: date | None, without: Collection[str]) -> Controls:
        """Added up by the shop's database, over all that buyers see. ``without``: keys. See ``ports.Controlled``."""
        asked = {
            "flow": self._flow,
            "since": since and since.isoformat(),
            "until": until and until.isoformat(),
            "without": sorted(without),
        }
        return {
            (one["account"], one["currency"]): Control(one["count"], Decimal(one["total"]), Decimal(one["open"]))
            for one in self._extension.post(f"{_PATH}/control", asked)["accounts"]
        }

    # ------------------------------------------------------------ printed documents

    def wishes(self) -> Iterator[Sequence[Wish]]:
        """What buyers have asked for and the shop has not. See ``ports.Wishes``."""
        after = ""
        while page := self._extension.get(f"{_PATH}/wishes", {"flow": self._flow, "after": after})["wishes"]:
            yield [Wish(one["id"], one["ref"]) for one in page]
            after = page[-1]["id"]

    def deliver(self, id: str, content: bytes | None) -> None:
        """Up to 10 MB of PDF, ODT or flat ODT; None: the ERP has none, which the buyer is told for an hour.

        Raises Reject for anything else.
        """
        said = None if content is None else base64.b64encode(content).decode()
        self._extension.post(f"{_PATH}/files", {"wish": id, "content": said})

    def _there(self, keys: Collection[str]) -> Iterator[Json]:
        for some in chunks(keys, _ASKED):
            yield from self._extension.post(f"{_PATH}/find", {"flow": self._flow, "keys": some})["documents"]


def _line(line: DocumentLine) -> Json:
    return {
        "sku": line.sku,
        "title": line.title,
        "quantity": None if line.quantity is None else f"{line.quantity:f}",
        "unit": line.unit,
        "price": f"{line.price:f}",
        "net": f"{line.net:f}",
        "successor": line.successor,
    }


def _told(put: Put) -> Json:
    """A withdrawn document is told by its key alone; one that the ERP has no more bears no date of its own."""
    said = msgspec.json.decode(put.payload) if put.payload else {"changed_at": None}
    if put.op == "remove":
        said = {"changed_at": said["changed_at"], "removed": True}
    return {**said, "key": put.key, "fingerprint": put.fingerprint}


def _outcome(put: Put, answer: Mapping[str, Any]) -> Outcome:
    if reason := answer.get("reason"):
        refusal = Reject(
            "refused_by_shop",
            f"Medusa says: {reason}.",
            "Correct the document in the ERP; if its account is missing in the shop, run the DAG customers.",
        )
        return Outcome(put.key, put.target_id, refused=refusal)
    note = "a newer one is there" if answer["outcome"] == "late" else None
    return Outcome(put.key, answer["id"] or put.target_id, note=note)
