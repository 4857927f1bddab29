"""Pairs of one ERP and one shop. The default pair needs no configuration but its connections.

``$CROSSDOCK_CONFIG`` (default ``$AIRFLOW_HOME/crossdock.toml``)::

    [pairs.default]
    go_live = 2026-01-01T00:00:00Z

    [[pairs.default.stock]]
    location = "WH-HAM"
    warehouses = ["WH-HAM", "WH-BER"]
    buffer = 2

    [pairs.outlet]
    go_live = 2026-06-01T00:00:00Z
"""

from __future__ import annotations

import os
import tomllib
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from crossdock.domain.stock import Rule
from crossdock.errors import Misconfigured

DEFAULT = "default"


class Pair(BaseModel):
    """``go_live``: web orders placed before it never reach the ERP. ``overlap_minutes``: how far back a

    run reads again; longer than the longest transaction of the source. ``stock``: which warehouses feed which
    location of the shop (domain/stock.py, Rule); without any, each feeds the location of its own code. ``stream``:
    stock goes to the shop at once, by the DAG ``inventory_stream``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")] = DEFAULT
    go_live: AwareDatetime | None = None
    overlap_minutes: Annotated[int, Field(ge=1, le=1440)] = 5
    stock: tuple[Rule, ...] = ()
    stream: bool = False

    @property
    def overlap(self) -> timedelta:
        return timedelta(minutes=self.overlap_minutes)

    def suffixed(self, name: str) -> str:
        """``customers`` for the default pair, ``customers__outlet`` for another: DAGs and connections."""
        return name if self.name == DEFAULT else f"{name}__{self.name}"


@cache
def pairs() -> tuple[Pair, ...]:
    """All pairs of this deployment, the default one first.

    Raises Misconfigured, naming the entry, when the file holds what it should not.
    """
    path = Path(
        os.environ.get("CROSSDOCK_CONFIG")
        or Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / "crossdock.toml"
    )
    if not path.exists():
        return (Pair(),)
    try:
        config = tomllib.loads(path.read_text(encoding="utf-8"))
        if unknown := config.keys() - {"pairs"}:
            raise Misconfigured(f"{path}: unknown entries {', '.join(sorted(unknown))}; only [pairs.NAME] is known.")
        declared = {name: Pair(name=name, **values) for name, values in config.get("pairs", {}).items()}
    except (tomllib.TOMLDecodeError, ValidationError, TypeError) as error:
        raise Misconfigured(f"{path}: {error}") from error
    return (declared.pop(DEFAULT, Pair()), *declared.values())


def pair_named(name: str) -> Pair:
    """Raises Misconfigured for a pair that is not declared."""
    for pair in pairs():
        if pair.name == name:
            return pair
    raise Misconfigured(f"There is no pair {name!r}; declared are {', '.join(pair.name for pair in pairs())}.")
