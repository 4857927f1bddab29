"""dlt as a candidate, run in an environment of its own: ``dlt_pipeline.py MODE URL DSN FOLDER``.

``default``: the rest_api source, nothing set. ``best``: the cheapest settings we found for it (CSV load
files for COPY, no compression of intermediate files, column types given, no nested tables).
``arrow``: not rest_api: pages parsed with orjson and handed over as Arrow tables, no compression.
``merge`` and ``upsert``: dlt's two ways to keep a table in step by its key, else as ``default``;
``merge-best`` the first of them with the settings of ``best``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

_TYPES = {
    "id": "bigint", "number": "text", "name": "text", "active": "bool", "blocked": "bool", "credit_hold": "bool",
    "tax_id": "text", "tax_exempt": "bool", "terms": "text", "terms_days": "bigint", "price_list": "text",
    "currency": "text", "buyer_email": "text", "buyer_name": "text", "buyer_phone": "text", "street": "text",
    "postal_code": "text", "city": "text", "subdivision": "text", "country": "text", "delivery": "bool",
    "write_date": "text",
}  # fmt: skip


def _pages(url: str) -> Iterator[Any]:
    import orjson
    import pyarrow
    from dlt.sources.helpers import requests

    session, page = requests.Client().session, 0
    while rows := orjson.loads(session.get(f"{url}/accounts?page={page}").content):
        yield pyarrow.Table.from_pylist(rows)
        page += 1


def main(mode: str, url: str, dsn: str, folder: str) -> None:
    os.environ |= {
        "DLT_DATA_DIR": folder,
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "DESTINATION__POSTGRES__CREDENTIALS": dsn,
    }
    if mode in ("best", "arrow", "merge-best"):
        os.environ["DATA_WRITER__DISABLE_COMPRESSION"] = "true"
    import dlt
    from dlt.sources.rest_api import rest_api_source

    imports = time.process_time()
    resource: dict[str, Any] = {
        "name": "accounts",
        "endpoint": {"path": "accounts", "paginator": {"type": "page_number", "base_page": 0, "total_path": None}},
    }
    if mode in ("best", "merge-best"):
        resource |= {"columns": {name: {"data_type": kind} for name, kind in _TYPES.items()}, "max_table_nesting": 0}
    data = (
        dlt.resource(_pages(url), name="accounts")
        if mode == "arrow"
        else rest_api_source({"client": {"base_url": url}, "resources": [resource]})
    )
    pipeline = dlt.pipeline("bench", destination="postgres", dataset_name="peer", pipelines_dir=folder)
    ways = {"merge": "delete-insert", "merge-best": "delete-insert", "upsert": "upsert"}
    how: Any = {"disposition": "merge", "strategy": ways[mode]} if mode in ways else "replace"
    files: Any = "csv" if mode in ("best", "merge-best") else None
    pipeline.run(data, write_disposition=how, primary_key="id" if mode in ways else None, loader_file_format=files)
    print(json.dumps({"inner": time.process_time() - imports, "version": dlt.__version__}))


if __name__ == "__main__":
    main(*sys.argv[1:])
