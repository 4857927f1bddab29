"""The shipping advices of a 3PL behind the port ``Source[ShippingAdvice]``."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from crossdock.connectors.threepl import x12, x12_945
from crossdock.connectors.threepl.inbox import File, Inbox
from crossdock.domain.shipping_advice import ShippingAdvice
from crossdock.errors import Reject
from crossdock.ports import Row, Window

SUFFIXES = (".945", ".x12", ".edi")

_UNREADABLE = b"unreadable "


class Advices:
    """The shipping advices in all files of the inbox (X12 945), the newest of each shipment.

    A row belongs to its shipment, not to its file: what is sent again, in whatever file, is the same row. What cannot
    be believed is a row without a key, under the name of its file. Who wants files away moves them: what they said has
    been taken.
    """

    name = "3PL"
    version = "1"

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def now(self) -> datetime:
        """So long ago that every file of then has come whole."""
        return self._inbox.now()

    def changed(self, window: Window) -> Iterator[Sequence[Row]]:
        """A page for each file that came in the window, oldest first: the last row of a shipment counts."""
        for file in self._inbox.files():
            if file.suffix in SUFFIXES and (not window.since or file.came >= window.since) and file.came < window.until:
                yield list(self._rows(file))

    def read(self, keys: Collection[str]) -> Iterator[Sequence[Row]]:
        """Looked for in all files."""
        found = {
            row.key: row
            for page in self.changed(Window(None, self.now()))
            for row in page
            if row.key in keys and row.key
        }
        if found:
            yield list(found.values())

    def parts(self) -> Iterator[Sequence[str]]:
        """None: an advice whose file is gone stays true."""
        return iter(())

    def parse(self, raw: bytes) -> ShippingAdvice:
        """Raises Reject, naming the file, for what could not be believed."""
        if raw.startswith(_UNREADABLE):
            raise Reject(*json.loads(raw.removeprefix(_UNREADABLE)))
        return ShippingAdvice.model_validate_json(raw)

    def content(self, ref: str) -> bytes:
        """Advices refer to no files."""
        raise Reject("no_file", f"A shipping advice refers to a file {ref}.", "This is a defect: report it.")

    def _rows(self, file: File) -> Iterator[Row]:
        try:
            text = self._inbox.read(file).decode()
            said = [] if x12.sets(text) == {x12.INVENTORY_ADVICE} else x12_945.advices(text)
        except UnicodeDecodeError:
            unreadable = Reject("no_x12", "The file is no text in UTF-8.", "Ask the warehouse to send it again.")
            yield _refused(file.name, "", unreadable)
        except Reject as reject:
            yield _refused(file.name, "", reject)
        else:
            for one in said:
                if isinstance(one, x12_945.Refusal):
                    yield _refused(file.name, one.transaction, one.reject)
                else:
                    yield Row(one.key, one.key, one.model_dump_json(exclude={"parts"}).encode())


def _refused(file: str, transaction: str, reject: Reject) -> Row:
    where = f"File {file}, transaction {transaction}" if transaction else f"File {file}"
    told = json.dumps([reject.code, f"{where}: {reject.reason}", reject.remedy])
    return Row("", f"{file}#{transaction}" if transaction else file, _UNREADABLE + told.encode())
