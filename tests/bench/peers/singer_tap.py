"""A Singer tap as a candidate, run in an environment of its own: ``singer_tap.py plain|lean --config FILE``.

``lean`` does no type conformance and writes its messages with the SDK's msgspec writer: the cheapest
way we found.
"""

from __future__ import annotations

import sys
from typing import Any

from requests import Response
from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.helpers._typing import TypeConformanceLevel
from singer_sdk.pagination import BasePageNumberPaginator

_WHOLE, _FLAGS = ("id", "terms_days"), ("active", "blocked", "credit_hold", "tax_exempt", "delivery")
_TEXTS = (
    "number", "name", "tax_id", "terms", "price_list", "currency", "buyer_email", "buyer_name", "buyer_phone",
    "street", "postal_code", "city", "subdivision", "country", "write_date",
)  # fmt: skip


class _Pages(BasePageNumberPaginator):
    def has_more(self, response: Response) -> bool:
        return response.content != b"[]"


class _Accounts(RESTStream[int]):
    name = "accounts"
    path = "/accounts"
    primary_keys = ("id",)
    schema = th.PropertiesList(
        *(th.Property(name, th.IntegerType) for name in _WHOLE),
        *(th.Property(name, th.BooleanType) for name in _FLAGS),
        *(th.Property(name, th.StringType) for name in _TEXTS),
    ).to_dict()

    @property
    def url_base(self) -> str:
        return str(self.config["url"])

    def get_new_paginator(self) -> _Pages:
        return _Pages(0)

    def get_url_params(self, context: Any, next_page_token: int | None) -> dict[str, Any]:
        return {"page": next_page_token or 0}


class _LeanAccounts(_Accounts):
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE


class _Tap(Tap):
    name = "tap-bench"
    config_jsonschema = th.PropertiesList(th.Property("url", th.StringType, required=True)).to_dict()

    def discover_streams(self) -> list[RESTStream[int]]:
        return [_Accounts(self)]


class _LeanTap(_Tap):
    message_writer_class = MsgSpecWriter

    def discover_streams(self) -> list[RESTStream[int]]:
        return [_LeanAccounts(self)]


if __name__ == "__main__":
    {"plain": _Tap, "lean": _LeanTap}[sys.argv.pop(1)].cli()
