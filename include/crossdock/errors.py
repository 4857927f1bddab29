"""Errors, named for what happens next.

CrossdockError
|-- Retry               the other side is busy or away: the same call may work later
|   `-- AnswerLost      the call was sent, the answer did not come: read back before any repeat
|-- Stop                nothing will work until a person acts: the run fails now
|   |-- BadCredentials
|   |-- Misconfigured
|   |-- QualityStop     the batch as a whole looks wrong: nothing was written
|   |-- WritesOff       writing to this target is switched off, or was approved for another system
|   `-- OpenAccount     the run cannot account for every record it read
|-- Reject              this record (or batch) is refused: it is quarantined, the others go on
`-- Refused             a person asked for what cannot be done: the text says why, and what can

The text of every error tells the person what to do; it never holds a secret or personal data.
"""

from __future__ import annotations

import re


class CrossdockError(Exception):
    """Anything this package raises on purpose."""


class Retry(CrossdockError):
    """The other side is busy or away. ``after``: the seconds it asked us to wait, if it did."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class AnswerLost(Retry):
    """The call may or may not have been carried out. Look before you repeat it."""


class Stop(CrossdockError):
    """A person has to act; repeating cannot help.

    ``repeated``: how many runs before this one, without a break, failed in the same way.
    """

    repeated = 0


class BadCredentials(Stop):
    """The other side refuses this login or key."""


class Misconfigured(Stop):
    """A connection or setting is missing, unknown or contradictory."""


class QualityStop(Stop):
    """A critical expectation failed. Nothing was written and the watermark stays."""


class WritesOff(Stop):
    """The target's ``write_enabled`` is off, or its fingerprint is not the approved one."""


class OpenAccount(Stop):
    """Records read and records accounted for differ: a defect, never to be passed over."""


class Reject(CrossdockError):
    """One record is wrong, or the other side refuses it.

    ``code`` is short and stable (``duplicate_key``), ``reason`` says what is wrong with which
    value, ``remedy`` what a person does about it. A target may raise it for a whole batch: the
    engine then halves the batch until the culprit is alone.
    """

    def __init__(self, code: str, reason: str, remedy: str) -> None:
        super().__init__(f"{code}: {reason} {remedy}")
        self.code = code
        self.reason = reason
        self.remedy = remedy


class Refused(CrossdockError):
    """A person asked for what cannot be done. Nothing was changed."""


def without_emails(words: str) -> str:
    """Another system's words, at a bearable length, without the personal data they most often hold."""
    return re.sub(r"[^\s,;:'\"]+@[^\s,;:'\"]+", "(e-mail)", words)[:300]
