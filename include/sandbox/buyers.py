"""Demo buyers get into the shop the way any buyer does: they set a password from the shop's reset mail."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from sandbox.secret import secret
from sandbox.service import SandboxError
from sandbox.stack import Stack

_WANTED = {"C0001": 2, "C0003": 1}
"""Account -> how many of its buyers."""


@dataclass
class Shop:
    """The shop's API, as far as buyers are concerned. ``headers`` hold who is logged in."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)

    def call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """GET, or POST if there is a body. Raises SandboxError with the shop's answer when it refuses."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json", **self.headers})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                answer = response.read()
                return json.loads(answer) if answer[:1] in (b"{", b"[") else answer.decode()
        except urllib.error.HTTPError as error:
            raise SandboxError(f"The shop answered {error.code} to {path}: {error.read()[:300]!r}") from None

    def log_in(self, who: str, email: str, password: str) -> Shop:
        """The shop as it is for this ``customer`` or admin (``user``)."""
        token = self.call(f"/auth/{who}/emailpass", {"email": email, "password": password})["token"]
        return Shop(self.url, {**self.headers, "Authorization": f"Bearer {token}"})


def let_in(stack: Stack) -> list[dict[str, str]]:
    """Three buyers of two accounts set a password, log in and see their account.

    Returns ``account``, ``email`` and ``password`` of each. Who has a password already keeps it. Raises
    SandboxError when one of them cannot log in.
    """
    facts = stack.facts()["storefront"]
    shop = Shop(facts["url"], {"x-publishable-api-key": facts["publishable_key"]})
    buyers = []
    for account, email in _find(shop.log_in("user", facts["admin_email"], facts["admin_password"])):
        password = secret(stack.folder, f"buyer {email}")[:16]
        try:
            buyer = shop.log_in("customer", email, password)
        except SandboxError:
            _set_password(stack, shop, email, password)
            buyer = shop.log_in("customer", email, password)
        seen = {one["code"] for one in buyer.call("/store/erp/accounts")["accounts"]}
        if account not in seen:
            raise SandboxError(f"{email} is logged in, but sees {sorted(seen)} and not {account}.")
        buyers.append({"account": account, "email": email, "password": password})
    return buyers


def _set_password(stack: Stack, shop: Shop, email: str, password: str) -> None:
    asked = time.time()
    shop.call("/auth/customer/emailpass/reset-password", {"identifier": email})
    mail = stack.mailbox.wait_for(email, "token=", since=asked)
    [token] = re.findall(r"token=(\S+)", mail["text"])
    as_mailed = Shop(shop.url, {**shop.headers, "Authorization": f"Bearer {token}"})
    as_mailed.call("/auth/customer/emailpass/update", {"email": email, "password": password})


def _find(admin: Shop) -> list[tuple[str, str]]:
    codes = urllib.parse.urlencode([("code[]", code) for code in _WANTED])
    found = []
    for account in admin.call(f"/admin/erp/accounts?{codes}")["accounts"]:
        group = urllib.parse.urlencode({"groups[]": account["id"], "fields": "email", "order": "email"})
        buyers = admin.call(f"/admin/customers?{group}")["customers"][: _WANTED[account["code"]]]
        found += [(account["code"], buyer["email"]) for buyer in buyers]
    if len(found) != sum(_WANTED.values()):
        raise SandboxError(f"The shop has only these buyers of {', '.join(_WANTED)}: {found}.")
    return found
