"""The ERP's category tree in Medusa: found by the ERP's ids, which each category keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from threading import Lock
from typing import Any

from crossdock.connectors.medusa.api import Api
from crossdock.connectors.medusa.item_mapping import handle
from crossdock.errors import Reject

MARK = "erp_category"
"""Name of the metadata in which a category keeps the ERP's id."""

_PAGE = 1000

Path = Sequence[Mapping[str, str]]
"""From the root: ``{id: the ERP's, name}``."""


class Categories:
    """Read once; made, renamed and moved as the ERP says. Safe to be asked by several threads."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._lock = Lock()
        self._ours: dict[str, dict[str, Any]] | None = None
        self._handles: set[str] = set()

    def ids(self, paths: Iterable[Path]) -> dict[str, str]:
        """Medusa's ids of all categories on these paths, by the ERP's."""
        with self._lock:
            if self._ours is None:
                self._read()
            return {step["id"]: self._ensure(path, depth) for path in paths for depth, step in enumerate(path)}

    def are_ours(self, ids: Iterable[str]) -> set[str]:
        """Those of Medusa's ids that the ERP knows."""
        with self._lock:
            if self._ours is None:
                self._read()
            assert self._ours is not None
            return {one["id"] for one in self._ours.values()} & set(ids)

    def _read(self) -> None:
        ours: dict[str, dict[str, Any]] = {}
        fields = "id,name,handle,metadata,parent_category_id"
        offset = 0
        while page := self._api.get(
            "/admin/product-categories", {"fields": fields, "limit": _PAGE, "offset": offset, "order": "id"}
        )["product_categories"]:
            self._handles |= {one["handle"] for one in page}
            ours |= {one["metadata"][MARK]: one for one in page if (one["metadata"] or {}).get(MARK)}
            offset += len(page)
        self._ours = ours

    def _ensure(self, path: Path, depth: int) -> str:
        assert self._ours is not None
        step = path[depth]
        wanted = {
            "name": step["name"],
            "parent_category_id": self._ours[path[depth - 1]["id"]]["id"] if depth else None,
        }
        there = self._ours.get(step["id"])
        if there is None:
            self._ours[step["id"]] = self._make(step["id"], wanted)
        elif changed := {name: value for name, value in wanted.items() if there[name] != value}:
            self._api.post(f"/admin/product-categories/{there['id']}", changed)
            there |= changed
        return str(self._ours[step["id"]]["id"])

    def _make(self, source_id: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
        slug = handle(source_id, wanted["name"])
        if not slug or slug in self._handles:
            slug = "-".join(filter(None, (slug, handle(source_id))))
        body = {**wanted, "handle": slug, "is_active": True, "metadata": {MARK: source_id}}
        try:
            made = self._api.post("/admin/product-categories", body)["product_category"]
        except Reject:
            self._read()  # another process may have made it in the meantime
            assert self._ours is not None
            if source_id not in self._ours:
                raise
            return self._ours[source_id]
        self._handles.add(slug)
        return {"id": made["id"], **wanted}
