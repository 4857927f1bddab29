"""What a person is shown before he lets a held record through: old -> new, field by field."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

_MOST = 20
"""Changes of one record that are kept."""
_LONGEST = 120
"""Characters of a value that are kept."""


class Change(NamedTuple):
    """A field of what the target is told, by its path (``levels[MAIN].sellable``). None: not there."""

    field: str
    old: str | None
    new: str | None


def changes(told: str | None, payload: str, apart: Collection[str] = ()) -> list[Change]:
    """What differs between two payloads of a target, at a bearable length. ``told`` None: not known any more.

    Fields named in ``apart`` are left out, at any depth: nobody is asked about them.
    """
    old, new = (dict(_flat(_without(_json(text), apart))) if text else {} for text in (told, payload))
    found = [
        Change(field, _short(old.get(field)), _short(new.get(field)))
        for field in dict.fromkeys((*old, *new))
        if old.get(field) != new.get(field)
    ]
    if len(found) > _MOST:
        return [*found[:_MOST], Change(f"and {len(found) - _MOST} more", None, None)]
    return found


def in_words(op: str, found: Iterable[Sequence[str | None]], values: bool = True) -> str:
    """One line for people; without ``values`` it says what changes, not from what to what."""
    if op == "remove":
        return "withdrawn"
    said = (
        f"{field}: {_or_none(old)} → {_or_none(new)}" if values and (old, new) != (None, None) else field
        for field, old, new in found
    )
    return ("new: " if op == "create" else "") + ("; ".join(filter(None, said)) or "written again")


def _or_none(text: str | None) -> str:
    return "(none)" if text is None else text or "(empty)"


def version(op: str, payload: str, apart: Collection[str] = ()) -> UUID:
    """The same for what is the same to a person who is asked."""
    text = json.dumps([op, _without(_json(payload), apart)], sort_keys=True)
    return UUID(bytes=hashlib.sha256(text.encode()).digest()[:16])


def _json(text: str) -> Any:
    """Numbers stay as they are written."""
    try:
        return json.loads(text, parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        return text


def _without(value: Any, apart: Collection[str]) -> Any:
    if isinstance(value, dict):
        return {name: _without(one, apart) for name, one in value.items() if name not in apart}
    return [_without(one, apart) for one in value] if isinstance(value, list) else value


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _flat(one, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and any(isinstance(one, dict | list) for one in value):
        for label, one in zip(_labels(value), value, strict=True):
            yield from _flat(one, f"{path}[{label}]")
    else:
        yield path, _text(value)


def _labels(items: list[Any]) -> list[str]:
    """By the first field that tells them apart, else by their place."""
    if all(isinstance(one, dict) for one in items):
        for name in items[0]:
            labels = [one.get(name) for one in items]
            if all(isinstance(label, str) and label for label in labels) and len(set(labels)) == len(labels):
                return labels
    return [str(place) for place in range(1, len(items) + 1)]


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return value if isinstance(value, str) else json.dumps(value)


def _short(text: str | None) -> str | None:
    return text if text is None or len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
