"""What every canonical record has in common."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

_TAG = re.compile(r"</?[A-Za-z][^>]*>|&(?:[a-z]{2,8}|#\d{1,6});")


def _one_line(value: Any) -> Any:
    """White space folded, Unicode composed (NFC); anything that is not text is left to pydantic."""
    return unicodedata.normalize("NFC", " ".join(value.split())) if isinstance(value, str) else value


def _plain(value: str) -> str:
    # isprintable() and the look for "<" and "&" come first because they are fast and nearly always settle it
    if not value.isprintable() and any(unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn") for c in value):
        raise ValueError("holds control characters or broken Unicode")
    if ("<" in value or "&" in value) and _TAG.search(value):
        raise ValueError("holds HTML where plain text belongs")
    return value


PlainText = Annotated[str, BeforeValidator(_one_line), AfterValidator(_plain), Field(max_length=255)]
"""One line of text for people: no mark-up, no control characters, at most 255 characters."""

FilledText = Annotated[PlainText, Field(min_length=1)]
"""PlainText that says something."""

Need = tuple[str, str]
"""What must exist before a record can be written: (flow, key), or a link: ("variant", SKU)."""


class Value(BaseModel):
    """An immutable part of a record. Unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Record(Value):
    """One unit of a flow: an account, a variant, a level, an order.

    ``COLUMNS`` names the typed columns (name -> SQL type) on which the quality gate looks at a
    staged batch; ``columns()`` gives their values. ``parts`` are the source's own ids of everything
    the record was put together from: when one of them is gone, the record is read again. ``names``
    are what no two records may share and what other flows know its parts by: an item's SKUs.
    """

    COLUMNS: ClassVar[dict[str, str]] = {}

    parts: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The natural key, the same in every system."""
        raise NotImplementedError

    @property
    def needs(self) -> frozenset[Need]:
        """Links without which this record is too early."""
        return frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """Keys of the links this record will have in the target (``ports.Links``)."""
        return ()

    @property
    def gone(self) -> bool:
        """True when the source has withdrawn this record, which it still knows."""
        return False

    @property
    def born(self) -> datetime | None:
        """When it was made, UTC, for flows that do not touch what is older than the go-live (``Flow.go_live``)."""
        return None

    @property
    def early(self) -> str:
        """Why it is not to be written for the first time yet, in words; "" when it is."""
        return ""

    @property
    def in_step(self) -> bool | None:
        """Whether the target shows it like this, in flows whose target changes it as well; None: the ledger says."""
        return None

    @property
    def doubt(self) -> str:
        """Why a person has to approve it before it is written, in words; "" for most."""
        return ""

    @property
    def moment(self) -> datetime | None:
        """The state of the source it was read from, UTC, in flows that are read by several runs side by side.

        Where it is given the ledger, as the target, never goes back to an older one; None: the last run is right.
        """
        return None

    def columns(self) -> tuple[Any, ...]:
        """Values of ``COLUMNS``, in that order."""
        return ()


def faults(error: ValidationError) -> str:
    """What is wrong with which field. Never its value: it is read in places where personal data has no business."""
    return "; ".join(
        f"{'.'.join(map(str, one['loc'])) or 'record'}: {one['msg'].removeprefix('Value error, ')}"
        for one in error.errors()[:10]
    )
