"""Accounts on a Medusa without our extension: several REST calls for each account and buyer.

What a stock Medusa cannot do: refuse the login of a blocked buyer (he only leaves the group), keep the
accounts of one buyer apart (he is in all their groups), end the sessions of a login that a stranger made
(such a login is refused here, for a person to judge). Calls verified on 2.18.0.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec

from crossdock.connectors.medusa.api import Accounts, chunks
from crossdock.connectors.medusa.mapping import GROUP
from crossdock.errors import BadCredentials, Reject
from crossdock.ports import Claim, Content, Found, Outcome, Put

BUYERS = "erp:buyers"
"""The group of every login made here: only an administrator can put somebody into it, no price hangs on it."""

_PAGE = 1000
_EVIDENCE = {
    "company_name": "company name",
    "tax": "tax id",
    "vat": "tax id",
    "account": "metadata",
    "company": "metadata",
}


class StockCustomers(Accounts):
    """B2B accounts over Medusa's own Admin and Store API. ``remove``: the buyers leave the group."""

    version = "stock-1"
    batch = 10

    def put(self, batch: Sequence[Put], content: Content) -> Iterable[Outcome]:
        """One account after the other; the fingerprint comes last, so that ``find`` never shows half an account."""
        return [self._close(put) if put.op == "remove" else self._write(put) for put in batch]

    def find(self, keys: Collection[str]) -> dict[str, Found]:
        """By the group's name."""
        return {
            group["name"].removeprefix(GROUP): Found(group["id"], (group["metadata"] or {}).get("erp_fingerprint"))
            for some in chunks([GROUP + key for key in keys], 50)
            for group in self._api.get("/admin/customer-groups", {"name[]": some, "limit": _PAGE})["customer_groups"]
        }

    def keys(self) -> Iterator[Sequence[str]]:
        """All accounts, closed ones too."""
        for groups in self._pages("/admin/customer-groups", "customer_groups", {"fields": "id,name"}):
            yield [group["name"].removeprefix(GROUP) for group in groups if group["name"].startswith(GROUP)]

    def claims(self) -> Iterator[Sequence[Claim]]:
        """Logins not made here whose company name or metadata speak of an account."""
        fields = "id,email,company_name,metadata,groups.name"
        for logins in self._pages("/admin/customers", "customers", {"has_account": "true", "fields": fields}):
            yield [claim for login in logins if not _is_ours(login) for claim in _claims(login)]

    def _write(self, put: Put) -> Outcome:
        account = msgspec.json.decode(put.payload)
        group = self._group(GROUP + put.key)
        buyers: list[str] = []
        strangers: list[str] = []
        try:
            there = self._logins([buyer["email"] for buyer in account["buyers"]])
            for buyer in account["buyers"]:
                login = there.get(buyer["email"]) or self._register(buyer)
                if login is None or not _is_ours(login):
                    strangers.append(buyer["external_id"])
                    continue
                self._update(login, buyer, account)
                if account["status"] == "active":
                    buyers.append(login["id"])
            self._set_members(group["id"], buyers)
            if not strangers:
                self._finish(group["id"], account["name"], account["status"], put)
        except Reject as refusal:
            return Outcome(put.key, put.target_id, refused=refusal)
        if strangers:
            return Outcome(put.key, put.target_id, refused=_login_exists(strangers))
        return Outcome(put.key, group["id"])

    def _close(self, put: Put) -> Outcome:
        found = self.find([put.key])
        if put.key in found:
            self._set_members(found[put.key].target_id, [])
            self._finish(found[put.key].target_id, None, "archived", put)
        return Outcome(put.key, found[put.key].target_id if put.key in found else put.target_id)

    def _group(self, name: str) -> dict[str, Any]:
        for group in self._api.get("/admin/customer-groups", {"name": name})["customer_groups"]:
            return dict(group)
        return dict(self._api.post("/admin/customer-groups", {"name": name})["customer_group"])

    @cached_property
    def _buyers_group(self) -> str:
        return str(self._group(BUYERS)["id"])

    def _logins(self, emails: list[str]) -> dict[str, dict[str, Any]]:
        fields = "id,email,company_name,first_name,last_name,phone,groups.name,*addresses"
        return {
            login["email"]: login
            for some in chunks(emails, 50)
            for login in self._api.get(
                "/admin/customers", {"email[]": some, "has_account": "true", "fields": fields, "limit": _PAGE}
            )["customers"]
        }

    def _register(self, buyer: Mapping[str, Any]) -> dict[str, Any] | None:
        """A login whose password nobody knows: its owner sets one by the reset mail. None: the e-mail is taken."""
        credentials = {"email": buyer["email"], "password": secrets.token_urlsafe(32)}
        try:
            token = self._api.post("/auth/customer/emailpass/register", credentials, token="")["token"]
        except BadCredentials:
            return None
        login = self._api.post("/store/customers", {"email": buyer["email"]}, token=token)["customer"]
        self._api.post(f"/admin/customer-groups/{self._buyers_group}/customers", {"add": [login["id"]]})
        return {**login, "groups": [{"name": BUYERS}], "addresses": []}

    def _update(self, login: Mapping[str, Any], buyer: Mapping[str, Any], account: Mapping[str, Any]) -> None:
        path = f"/admin/customers/{login['id']}"
        wanted = {"company_name": account["name"]}
        wanted |= {name: buyer[name] for name in ("first_name", "last_name", "phone") if buyer[name]}
        if not _holds(login, wanted):
            self._api.post(path, wanted)
        there = {
            address["metadata"].get("erp_address"): address
            for address in login["addresses"]
            if (address["metadata"] or {}).get("erp_account") == account["code"]
        }
        for address in account["addresses"]:
            fields = ("address_1", "address_2", "postal_code", "city", "province", "country_code")
            body = {name: address[name] for name in fields}
            body |= {"address_name": address["name"], "company": account["name"]}
            body |= {name: buyer[name] for name in ("first_name", "last_name")}
            old = there.pop(address["external_id"], None)
            if old is None:
                marks = {"erp_account": account["code"], "erp_address": address["external_id"]}
                self._api.post(f"{path}/addresses", {**body, "metadata": marks})
            elif not _holds(old, body):
                self._api.post(f"{path}/addresses/{old['id']}", body)
        for old in there.values():
            self._api.delete(f"{path}/addresses/{old['id']}")

    def _set_members(self, group: str, buyers: Collection[str]) -> None:
        pages = self._pages("/admin/customers", "customers", {"groups[id]": group, "fields": "id"})
        members = {login["id"] for page in pages for login in page}
        add, remove = set(buyers) - members, members - set(buyers)
        if add or remove:
            self._api.post(f"/admin/customer-groups/{group}/customers", {"add": sorted(add), "remove": sorted(remove)})

    def _finish(self, group: str, name: str | None, status: str, put: Put) -> None:
        metadata = {"erp_account": put.key, "erp_status": status, "erp_fingerprint": put.fingerprint}
        self._api.post(f"/admin/customer-groups/{group}", {"metadata": metadata | ({"erp_name": name} if name else {})})

    def _pages(self, path: str, entity: str, params: Mapping[str, Any]) -> Iterator[list[dict[str, Any]]]:
        offset = 0
        while page := self._api.get(path, {**params, "limit": _PAGE, "offset": offset, "order": "id"})[entity]:
            yield page
            offset += len(page)


def _is_ours(login: Mapping[str, Any]) -> bool:
    return any(group["name"].startswith("erp:") for group in login["groups"])


def _login_exists(contacts: list[str]) -> Reject:
    return Reject(
        "login_exists",
        f"The e-mail of contact {', '.join(contacts)} has a login in the shop that was not made from the ERP.",
        f"If it is the buyer's own, add that login to the customer group {BUYERS} in Medusa and replay. "
        "The other buyers of the account were written.",
    )


def _holds(record: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(record.get(name) == value for name, value in wanted.items())


def _claims(login: Mapping[str, Any]) -> Iterator[Claim]:
    offered = {"company_name": login["company_name"], **(login["metadata"] or {})}
    for name, value in offered.items():
        evidence = next((kind for word, kind in _EVIDENCE.items() if word in name.lower()), None)
        if evidence and value:
            yield Claim(login["id"], login["email"], evidence, str(value))
