"""The counts of a 3PL behind the port ``Feed``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from functools import cached_property
from itertools import islice

from crossdock.connectors.threepl import inventory_csv, x12, x12_846
from crossdock.connectors.threepl.inbox import STILL, File, Inbox
from crossdock.connectors.threepl.inventory_advice import InventoryAdvice, Stated, wrong
from crossdock.domain.stock import Count
from crossdock.errors import Reject, Retry
from crossdock.ports import Row, Window

SUFFIXES = (".csv", ".846", ".x12", ".edi")
ACCEPT = ".accept"
"""An empty file of another's name and this is a person's word that the other one is right."""

SHRUNKEN = Decimal("0.2")
"""Of the SKUs there were: a whole stock that lacks more of them is not believed."""

EMPTIED, FEW = Decimal("0.5"), 3
"""Of the SKUs that were in stock: a file in which more of them are sold out, and not just a few, is not believed."""

PAGE = 1_000
KEPT = 8 * 2**20
"""Bytes of files that are remembered as they were read."""

_REPEATS = 50
"""Files of the very same size that are looked at for the very same content."""


class Counts:
    """What is on hand by the newest file that can be believed, and by the changes after it.

    A file is measured against three of those that came before it: the first, the largest and the last, back to the one
    that a person has accepted last. Newest is what was counted last, not what came last. What is refused, late, or
    said before, changes nothing.
    """

    def __init__(self, inbox: Inbox, zone: tzinfo) -> None:
        self._inbox, self._zone = inbox, zone
        self._read: dict[File, InventoryAdvice | Reject | None] = {}
        self._digests: dict[File, bytes] = {}
        self._heard_at: datetime | None = None
        self._asked = False

    def touched(self, window: Window) -> Iterator[Sequence[str]]:
        """SKUs of which the count is another one at the end of the window than at its beginning."""
        files = self._inbox.files()
        then = self._stated(_View(files, window.since))[0] if window.since else {}
        now = self._stated(_View(files, window.until))[0]
        skus = iter(sorted(sku for sku in then.keys() | now.keys() if then.get(sku) != now.get(sku)))
        while page := list(islice(skus, PAGE)):
            yield page

    def counts(self) -> Mapping[str, Count]:
        """Raises Retry when the folder is away, or when nothing in it can be believed: nothing is not none."""
        view = _View(self._inbox.files(), self._inbox.clock())
        stated, self._heard_at = self._stated(view)
        self._asked = True
        if self._heard_at is None:
            raise Retry(f"The warehouse has not said yet what it holds. {self._why(view)}")
        return {sku: Count(sku=sku, on_hand=one.on_hand, counted_at=one.at) for sku, one in stated.items()}

    def heard_at(self) -> datetime | None:
        """As of the last ``counts``."""
        if not self._asked:
            _, self._heard_at = self._stated(_View(self._inbox.files(), self._inbox.clock()))
            self._asked = True
        return self._heard_at

    def refused(self, window: Window) -> Iterator[Row]:
        """One row for each file, under its name."""
        files = self._inbox.files()
        view = _View(files, window.until)
        for file in view.files:
            if window.since is None or file.came + STILL >= window.since:
                told = self._judged(view, file)
                if isinstance(told, Reject):
                    yield _row(file, told)
        for file in files:
            if file.suffix in SUFFIXES and file.came > window.until + timedelta(hours=1):
                remedy = "Ask the warehouse to set its clock, and put the file here again."
                yield _row(file, wrong("future", f"It is of {file.came:%Y-%m-%d %H:%M} UTC, which is to come.", remedy))

    # ------------------------------------------------------------ what counts

    def _stated(self, view: _View) -> tuple[Mapping[str, Stated], datetime | None]:
        """And when the newest file was made, None when there is no whole one."""
        whole: tuple[datetime, datetime, InventoryAdvice] | None = None
        changes: list[tuple[datetime, datetime, InventoryAdvice]] = []
        for file in reversed(view.files):
            if whole and file.came < whole[0]:
                break  # it was made before it came, and so did all the others
            told = self._judged(view, file)
            if isinstance(told, InventoryAdvice):
                if not told.whole:
                    changes.append((told.made_at, file.came, told))
                elif whole is None or told.made_at > whole[0]:
                    whole = told.made_at, file.came, told
        if whole is None:
            return {}, None
        stated = dict(whole[2].stated)
        later = sorted((one for one in changes if one[:2] > whole[:2]), key=lambda one: one[:2])
        for _, _, change in later:
            stated.update(change.stated)
        return stated, max(one[0] for one in (whole, *later))

    def _judged(self, view: _View, file: File) -> InventoryAdvice | Reject | None:
        """None: it is no file of counts, or says what an earlier one has said."""
        if file not in view.judged:
            view.judged[file] = self._judge(view, file)
        return view.judged[file]

    def _judge(self, view: _View, file: File) -> InventoryAdvice | Reject | None:
        told = self._told(file)
        if not isinstance(told, InventoryAdvice) or view.is_accepted(file):
            return told
        if told.whole and not told.stated:
            return _doubtful(file, "empty", "It says that there is nothing at all.")
        if not told.dated and self._is_repeated(file, view.before(file)):
            return None
        return self._doubt(view, file, told) or told

    def _doubt(self, view: _View, file: File, told: InventoryAdvice) -> Reject | None:
        """Measured against the first, the largest and the last: of each, the next that is whole and not bad itself."""
        before = view.since_accepted(file)
        old = [one for one in before if one.came <= told.made_at]
        by_size = sorted(old, key=lambda one: (one.suffix == file.suffix, one.size, one.came), reverse=True)
        for some in (before, by_size, reversed(before)):
            for other in some:
                said = self._told(other)
                if not isinstance(said, InventoryAdvice) or said.made_at > told.made_at:
                    continue
                doubt = _doubt(file, told, other, said)
                if doubt and isinstance(self._judged(view, other), InventoryAdvice):
                    return doubt
                if said.whole and not doubt:
                    break
        return None

    def _is_repeated(self, file: File, before: Sequence[File]) -> bool:
        """A file that does not say when it counted says nothing by being sent again."""
        alike = [one for one in before if (one.size, one.suffix) == (file.size, file.suffix)]
        return any(self._digest(one) == self._digest(file) for one in alike[-_REPEATS:])

    def _why(self, view: _View) -> str:
        for file in reversed(view.files):
            if isinstance(told := self._judged(view, file), Reject):
                return f"File {file.name}: {told.reason} {told.remedy}"
        return "Ask it for its whole stock, or take the feed out of the rule."

    # ------------------------------------------------------------ reading

    def _told(self, file: File) -> InventoryAdvice | Reject | None:
        if file not in self._read:
            self._read[file] = self._parsed(file)
            while sum(one.size for one in self._read) > KEPT and len(self._read) > 1:
                del self._read[next(iter(self._read))]
        return self._read[file]

    def _parsed(self, file: File) -> InventoryAdvice | Reject | None:
        try:
            content = self._inbox.read(file)
            self._digests[file] = hashlib.sha256(content).digest()
            text = content.decode("utf-8-sig")
            if file.suffix == ".csv":
                return inventory_csv.inventory_advice(text, self._zone, file.modified, file.came)
            if file.suffix != ".846" and x12.sets(text) and x12.INVENTORY_ADVICE not in x12.sets(text):
                return None
            return x12_846.inventory_advice(text, self._zone, file.came)
        except UnicodeDecodeError:
            return wrong("no_utf8", "The file is no text in UTF-8.")
        except Reject as reject:
            return reject

    def _digest(self, file: File) -> bytes:
        if file not in self._digests:
            self._digests[file] = hashlib.sha256(self._inbox.read(file)).digest()
        return self._digests[file]


@dataclass(frozen=True)
class _View:
    """The inbox as it was at a moment."""

    listed: Sequence[File]
    at: datetime
    judged: dict[File, InventoryAdvice | Reject | None] = field(default_factory=dict)

    @cached_property
    def files(self) -> list[File]:
        """Those that may hold counts and have come whole, the first that came first."""
        return [one for one in self.listed if one.suffix in SUFFIXES and one.came + STILL < self.at]

    @cached_property
    def _accepts(self) -> Mapping[str, datetime]:
        return {
            one.name.removesuffix(ACCEPT): one.came
            for one in self.listed
            if one.name.endswith(ACCEPT) and one.came < self.at
        }

    def is_accepted(self, file: File) -> bool:
        """A file that came later under the same name is not meant."""
        return file.name in self._accepts and self._accepts[file.name] >= file.came

    def before(self, file: File) -> list[File]:
        """Those that came before it."""
        return self.files[: self.files.index(file)]

    def since_accepted(self, file: File) -> list[File]:
        """Those that came before it, from the last accepted one on."""
        earlier = self.before(file)
        accepted = [place for place, one in enumerate(earlier) if self.is_accepted(one)]
        return earlier[accepted[-1] :] if accepted else earlier


def _doubt(file: File, told: InventoryAdvice, other: File, before: InventoryAdvice) -> Reject | None:
    measured = f"It was measured against {other.name}."
    if told.control & before.control and told.stated != before.stated:
        number = min(told.control & before.control)
        return _doubtful(
            file, "duplicate_control", f"Interchange {number} has come before, with other counts. {measured}"
        )
    if before.sealed and not told.sealed and other.suffix == file.suffix:
        return _doubtful(file, "truncated", f"The line {inventory_csv.TRAILER} at its end is missing. {measured}")
    missing = before.stated.keys() - told.stated.keys() if told.whole and before.whole else frozenset()
    if len(missing) > len(before.stated) * SHRUNKEN:
        return _doubtful(
            file, "shrunken", f"{len(missing)} of {len(before.stated)} SKUs that were there are missing. {measured}"
        )
    stocked = {sku for sku, one in before.stated.items() if one.on_hand and before.whole}
    out = {sku for sku in stocked if sku in missing or (sku in told.stated and not told.stated[sku].on_hand)}
    if len(out) >= FEW and len(out) > len(stocked) * EMPTIED:
        return _doubtful(
            file, "emptied", f"{len(out)} of {len(stocked)} SKUs that were in stock are not any more. {measured}"
        )
    return None


def _doubtful(file: File, code: str, reason: str) -> Reject:
    return Reject(
        code,
        reason,
        f"If the file is right, put an empty file {file.name}{ACCEPT} beside it. If not, ask the warehouse to send it "
        "again. Until then the counts before it stay.",
    )


def _row(file: File, reject: Reject) -> Row:
    told = json.dumps({"refused": [reject.code, f"File {file.name}: {reject.reason}", reject.remedy]})
    return Row("", file.name, told.encode())
