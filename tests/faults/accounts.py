"""The flow ``customers`` under fire."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests.faults.world import World

from sandbox.merchant import BLOCKED


@dataclass
class Accounts(World):
    """A pair with a party category of its own: it reads nobody else's accounts."""

    flow = "customers"
    batches = "^POST /admin/erp/accounts/batch"

    category: int = 0

    def keep_apart(self) -> dict[str, str]:
        name = f"Customers of {self.pair}"
        [self.category] = self.erp.admin.create("party.category", {"name": name})
        return {"customer_category": name}

    # ---- hands on the ERP

    def new(self, count: int = 1, **values: Any) -> list[str]:
        """New accounts with two buyers and an address each; their numbers."""
        numbers = self.numbers(count)
        self.erp.admin.create("party.party", *({
            "name": f"Works {number}", "code": number, "categories": [["add", [self.category]]],
            "addresses": [["create", [{"street_unstructured": "Kai 1", "city": "Hamburg", "invoice": True}]]],
            "contact_mechanisms": [["create", [
                {"type": "email", "value": f"{name}@{number.lower()}.example", "name": f"{name.title()} Roth"}
                for name in ("ada", "ben")
            ]]],
            **values,
        } for number in numbers))  # fmt: skip
        return numbers

    def party(self, number: str) -> int:
        return self.erp.admin.id_of("party.party", ["code", "=", number], ["active", "in", [True, False]])

    def rename(self, number: str, name: str) -> None:
        self.erp.admin("model.party.party.write", [self.party(number)], {"name": name})

    def contacts(self, number: str) -> list[int]:
        return self.erp.children(self.party(number), "party.contact_mechanism")

    def set_email(self, contact: int, email: str) -> None:
        self.erp.admin("model.party.contact_mechanism.write", [contact], {"value": email})

    def dismiss(self, number: str) -> None:
        """The first buyer leaves."""
        self.erp.admin("model.party.contact_mechanism.delete", self.contacts(number)[:1])

    def block(self, numbers: list[str], how: str = "add") -> None:
        """Nobody may log in; ``remove``: they may again."""
        blocked = self.erp.id_of("party.category", BLOCKED)
        parties = self.erp.admin("model.party.party.search", [["code", "in", numbers]], 0, None, None)
        self.erp.admin("model.party.party.write", parties, {"categories": [[how, [blocked]]]})

    # ---- the truth on both sides, not through any connector

    def in_step(self) -> dict[str, Any]:
        in_erp, in_shop = self.in_erp(), self.in_shop()
        assert in_shop == in_erp, (in_shop, in_erp)
        assert self.logins() == {email: 1 for _, emails, _ in in_erp.values() for email in emails}
        return in_shop

    def in_erp(self) -> dict[str, Any]:
        """Account number -> name, e-mails and addresses, of the accounts that may buy."""
        parties = self.erp.admin.rows(
            "party.party", [["categories", "=", self.category]],
            "code", "name", "contact_mechanisms.type", "contact_mechanisms.value", "addresses.street", "addresses.city",
        )  # fmt: skip
        return {
            party["code"]: (
                party["name"],
                sorted(one["value"] for one in party["contact_mechanisms."] if one["type"] == "email"),
                sorted((one["street"], one["city"]) for one in party["addresses."]),
            )
            for party in parties
        }

    def in_shop(self) -> dict[str, Any]:
        """The same as the shop's own API has it. Whatever is there twice is two entries in its list."""
        prefix = f"erp:account:{self.pair.upper()}-"
        accounts: dict[str, Any] = {}
        for group in self.listed("customer-groups", "fields=name,metadata"):
            if group["name"].startswith(prefix):
                code = group["name"].removeprefix("erp:account:")
                assert code not in accounts, f"two groups of {code}"
                accounts[code] = (group["metadata"]["erp_name"], [], [])
        emails: Counter[str] = Counter()
        for customer in self.listed("customers", "has_account=true&fields=email,*groups,*addresses"):
            for group in customer["groups"]:
                if group["name"].startswith(prefix):
                    _, members, addresses = accounts[group["name"].removeprefix("erp:account:")]
                    members.append(customer["email"])
                    emails[customer["email"]] += 1
                    own = sorted((one["address_1"], one["city"]) for one in customer["addresses"])
                    assert addresses in ([], own), f"{customer['email']} has other addresses than his colleague"
                    addresses[:] = own
        assert set(emails.values()) <= {1}, "a buyer stands twice"
        for _, members, _ in accounts.values():
            members.sort()
        return accounts

    def logins(self) -> dict[str, int]:
        """E-mail -> how many logins, of the buyers of this pair who may log in."""
        rows = self.shop.sql(
            "SELECT p.entity_id, count(*) FROM provider_identity p JOIN customer c ON c.email = p.entity_id "
            "JOIN erp_login l ON l.customer_id = c.id "
            f"WHERE l.active_code LIKE '{self.pair.upper()}-%' AND p.deleted_at IS NULL AND c.deleted_at IS NULL "
            "GROUP BY 1"
        )
        return {email: int(count) for email, count in (row.split("|") for row in rows)}
