"""The books of a run: every record that was read ends in exactly one place, or the run fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from crossdock.errors import OpenAccount


@dataclass
class Books:
    """Counts of a run in the flow's own unit, from distinct keys.

    Left side: what came in. ``read`` rows, of which ``repeated`` came more than once; ``taken_up``
    again from an earlier run (parked, held, replayed, asked for by key, missing a part);
    ``vanished`` from the source. Right side: where it is now; ``held`` waits for a person, ``refused`` a person wants
    the target to stay as it is.
    """

    read: int = 0
    repeated: int = 0
    taken_up: int = 0
    vanished: int = 0

    created: int = 0
    updated: int = 0
    removed: int = 0
    unchanged: int = 0
    waiting: int = 0
    held: int = 0
    refused: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    quarantined: int = 0
    superseded: int = 0
    pending: int = 0
    planned: int = 0

    @property
    def came_in(self) -> int:
        return self.read - self.repeated + self.taken_up + self.vanished

    @property
    def written(self) -> int:
        return self.created + self.updated + self.removed

    @property
    def accounted_for(self) -> int:
        set_aside = self.waiting + self.held + self.refused + self.quarantined + sum(self.skipped.values())
        return self.written + self.unchanged + set_aside + self.superseded + self.pending + self.planned

    def close(self, unit: str) -> Books:
        """The books, if they balance. Raises OpenAccount if a record is missing or counted twice."""
        if self.came_in != self.accounted_for:
            raise OpenAccount(
                f"{self.came_in} {unit} records came in, {self.accounted_for} are accounted for: {self.line()}. "
                "The watermark stays. This is a defect: report it with the run's log; "
                "the next run reads the window again."
            )
        return self

    def line(self) -> str:
        """One line for people, zeros left out."""
        parts = [f"{name} {value}" for name, value in self.as_json().items() if isinstance(value, int) and value]
        parts += [f"skipped {count} ({reason})" for reason, count in sorted(self.skipped.items())]
        return ", ".join(parts) or "nothing to do"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, counts: Mapping[str, Any]) -> Books:
        known = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in counts.items() if name in known})
