"""Accounts through the ERP extension (include/storefront): one call for a batch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from crossdock.connectors.medusa.api import Accounts, chunks
from crossdock.errors import AnswerLost, Reject, without_emails
from crossdock.ports import Claim, Content, Found, Outcome, Put


class ExtensionCustomers(Accounts):
    """B2B accounts on a Medusa with the extension.

    ``remove`` archives: the buyers leave the group, and without another open account they cannot log in.
    """

    version = "extension-1"
    batch = 100

    def put(self, batch: Sequence[Put], content: Content) -> Iterable[Outcome]:
        """One outcome for each account; the extension compares with what is there and writes what differs."""
        answer = self._api.post("/admin/erp/accounts/batch", {"accounts": [_account(put) for put in batch]})
        outcomes = {outcome["code"]: outcome for outcome in answer["outcomes"]}
        if missing := [put.key for put in batch if put.key not in outcomes]:
            raise AnswerLost(f"Medusa's answer says nothing of {len(missing)} of {len(batch)} accounts.")
        return [_outcome(put, outcomes[put.key]) for put in batch]

    def find(self, keys: Collection[str]) -> dict[str, Found]:
        """By account number, fifty to a URL."""
        return {
            account["code"]: Found(account["id"], account["fingerprint"])
            for some in chunks(keys, 50)
            for account in self._api.get("/admin/erp/accounts", {"code[]": some})["accounts"]
        }

    def keys(self) -> Iterator[Sequence[str]]:
        """All accounts, archived ones too."""
        after = ""
        while page := self._api.get("/admin/erp/accounts", {"after": after})["accounts"]:
            yield [account["code"] for account in page]
            after = page[-1]["code"]

    def claims(self) -> Iterator[Sequence[Claim]]:
        """Logins that company name, metadata or e-mail domain connect with an account."""
        after: str | None = ""
        while after is not None:
            page = self._api.get("/admin/erp/claims", {"after": after})
            if page["claims"]:
                yield [Claim(**claim) for claim in page["claims"]]
            after = page["next"]


def _account(put: Put) -> dict[str, Any]:
    account = {"code": put.key, "status": "archived"} if put.op == "remove" else msgspec.json.decode(put.payload)
    return {**account, "fingerprint": put.fingerprint}


def _outcome(put: Put, answer: Mapping[str, Any]) -> Outcome:
    if answer["outcome"] == "refused":
        reason = f"Medusa says: {without_emails(answer['reason'])}."
        refusal = Reject("refused_by_shop", reason, "Correct the account in the ERP, or the login in the shop.")
        return Outcome(put.key, put.target_id, refused=refusal)
    return Outcome(put.key, answer["id"] or put.target_id, note="; ".join(answer["notes"]) or None)
