"""The whole way: the real ERP, Airflow, the store and the real shop, seen from outside."""

from __future__ import annotations

import json
import re
import statistics
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import pytest
from tests.asset_events import asset_events
from tests.e2e.product import Product

from sandbox import merchant
from sandbox.buyers import Shop
from sandbox.service import SandboxError


@pytest.fixture(scope="module")
def first(product: Product) -> dict[str, Any]:
    """The books of the first run: whichever it was, the first that wrote something."""
    product.only("customers")
    product.sync()
    return product.one(
        "SELECT * FROM crossdock.run WHERE flow = 'customers' AND counts ->> 'created' <> '0' ORDER BY id LIMIT 1"
    )


def test_the_first_run_accounts_for_every_account(first):
    counts = first["counts"]
    withdrawn = len(merchant.ARCHIVED_ACCOUNTS)
    assert first["state"] == "success"
    assert counts["read"] == 50 and counts["quarantined"] == len(merchant.PLANTED)
    assert counts["created"] == 50 - withdrawn - len(merchant.PLANTED)
    assert counts["skipped"] == {"withdrawn before it was ever written": withdrawn}
    assert first["quality"]["success"] is True and first["totals"]["buyers"] > 50


def test_only_the_planted_records_are_quarantined_and_each_says_what_to_do(product, first):
    rows = product.query(
        "SELECT key, reason, remedy FROM crossdock.quarantine "
        "WHERE flow = 'customers' AND resolved_at IS NULL ORDER BY key"
    )
    assert [row["key"] for row in rows] == sorted(merchant.PLANTED)
    assert all(row["remedy"] for row in rows) and "@" not in str(rows)


def test_the_erps_accounts_and_buyers_are_the_shops(product, first):
    blocked = set(merchant.BLOCKED_ACCOUNTS)
    live = [f"C{n:04d}" for n in range(1, 51) if f"C{n:04d}" not in {*merchant.PLANTED, *merchant.ARCHIVED_ACCOUNTS}]
    listed = product.shop.call("/admin/erp/accounts?after=&limit=1000")["accounts"]
    assert [account["code"] for account in listed] == live
    second = merchant.SHARED_BUYER[1]
    for code in live:
        expected = {contact["value"].lower() for contact in product.contacts(code)}
        shared = {product.contacts(merchant.SHARED_BUYER[0])[0]["value"].lower()} if code == second else set()
        assert product.members(code) == (set() if code in blocked else expected - shared), code


def test_a_buyer_sets_a_password_from_the_reset_mail_and_sees_his_account(product, first):
    email = product.contacts("C0005")[0]["value"].lower()
    buyer = product.as_buyer(email)
    [account] = buyer.call("/store/erp/accounts")["accounts"]
    assert account["code"] == "C0005"
    me = buyer.call("/store/customers/me?fields=*addresses")["customer"]
    assert {address["metadata"]["erp_account"] for address in me["addresses"]} == {"C0005"}


def test_an_address_changed_in_the_erp_is_in_the_shop_after_the_next_run(product, first):
    party = product.party("C0006")
    [address, *_] = product.erp.rows("party.address", [["party", "=", party]], "street_unstructured")
    product.erp("model.party.address.write", [address["id"]], {"street_unstructured": "Neuer Wall 80"})
    assert product.sync()["state"] == "success"
    email = product.contacts("C0006")[0]["value"].lower()
    query = urllib.parse.urlencode({"email": email, "fields": "*addresses"})
    [customer] = product.shop.call(f"/admin/customers?{query}")["customers"]
    assert "Neuer Wall 80" in {one["address_1"] for one in customer["addresses"]}


def test_blocked_accounts_and_dismissed_buyers_lose_access_in_one_run(product, first):
    keep, dismissed = (contact["value"].lower() for contact in product.contacts("C0007")[:2])
    blocked = product.contacts("C0008")[0]["value"].lower()
    sessions = {email: product.as_buyer(email) for email in (keep, dismissed, blocked)}
    contact = next(one["id"] for one in product.contacts("C0007") if one["value"].lower() == dismissed)
    product.erp("model.party.contact_mechanism.delete", [contact])
    category = product.erp.id_of("party.category", ["name", "=", merchant.BLOCKED])
    product.erp("model.party.party.write", [product.party("C0008")], {"categories": [["add", [category]]]})
    product.sync()
    assert product.members("C0007") == {one["value"].lower() for one in product.contacts("C0007")}
    assert product.members("C0008") == set()
    assert sessions[keep].call("/store/customers/me")
    for email in (dismissed, blocked):
        with pytest.raises(SandboxError, match=r"40[13]"):
            sessions[email].call("/store/erp/accounts")
    with pytest.raises(SandboxError, match=r"40[13]"):
        Shop(product.shop.url, product.shop.headers).log_in("customer", blocked, "a password of mine")
    product.erp("model.party.party.write", [product.party("C0008")], {"categories": [["remove", [category]]]})
    product.sync()
    assert blocked in product.members("C0008")


def test_who_registers_first_with_a_buyers_email_gets_nothing(product, first):
    """He forges all he can write; then the ERP names the real buyer."""
    email, party = "late.buyer@takeover.example", product.party("C0009")
    visitor = Shop(product.shop.url, {"x-publishable-api-key": product.shop.headers["x-publishable-api-key"]})
    token = visitor.call("/auth/customer/emailpass/register", {"email": email, "password": "the thief's"})["token"]
    thief = Shop(visitor.url, {**visitor.headers, "Authorization": f"Bearer {token}"})
    forged = {"erp_account": "C0009", "tax_id": "DE136695976", "account_number": "C0009"}
    thief.call("/store/customers", {"email": email, "company_name": "Everything Ltd", "metadata": forged})
    thief = visitor.log_in("customer", email, "the thief's")
    product.sync()
    assert email not in product.members("C0009") and thief.call("/store/erp/accounts")["accounts"] == []
    proposals = product.query("SELECT evidence FROM crossdock.review WHERE email = %s AND resolved_at IS NULL", email)
    assert proposals

    product.erp.create(
        "party.contact_mechanism", {"party": party, "type": "email", "value": email, "name": "Late Buyer"}
    )
    product.sync()
    assert email in product.members("C0009")
    with pytest.raises(SandboxError, match=r"40[13]"):
        thief.call("/store/erp/accounts")
    with pytest.raises(SandboxError, match="401"):
        visitor.log_in("customer", email, "the thief's")
    assert product.as_buyer(email).call("/store/erp/accounts")["accounts"][0]["code"] == "C0009"


def test_a_repaired_record_leaves_quarantine_by_itself(product, first):
    party = product.party("C0047")
    product.erp("model.party.party.write", [party], {"name": "Mended Works GmbH"})
    product.sync()  # or a run that the shop's hint has woken and that was quicker
    assert product.query("SELECT 1 FROM crossdock.ledger WHERE key = 'C0047' AND target_id IS NOT NULL")
    assert product.query("SELECT 1 FROM crossdock.quarantine WHERE key = 'C0047' AND resolved_at IS NULL") == []


def test_a_plan_writes_nothing_and_is_applied_exactly(product, first):
    party, synced = product.party("C0010"), "SELECT synced_at FROM crossdock.ledger WHERE key = 'C0010'"
    for attempt in range(5):  # the schedule may be quicker than we are
        product.erp("model.party.party.write", [party], {"name": f"Planned Name {attempt} AG"})
        before = product.query(synced)
        plan = product.sync(mode="plan")
        if plan["counts"]["planned"] and product.query(synced) == before:
            break
    assert plan["state"] == "planned" and plan["counts"]["planned"] == 1
    assert "C0010" in product.page(f"plan/{plan['id']}") and f"plan/{plan['id']}" in product.page("")
    applied = product.sync(plan=plan["id"])
    assert applied["counts"]["updated"] + applied["counts"]["superseded"] == 1
    assert product.query(synced) != before


def settled(product) -> int:
    """The last event by which `customers` has told the other DAGs that it is in step."""
    return max((one["id"] for one in asset_events(product.stack, "crossdock_customers")), default=0)


def test_writing_that_is_switched_off_makes_the_run_red_tells_it_by_mail_and_wakes_nobody(product, first):
    product.query("UPDATE crossdock.target SET write_enabled = false RETURNING 1")
    try:
        woken, since = settled(product), time.time()
        product.erp("model.party.party.write", [product.party("C0011")], {"name": "Waiting Name AG"})
        row = product.sync()
        assert row["state"] == "failed" and row["counts"]["pending"] >= 1
        mail = product.stack.mailbox.wait_for("operator@crossdock.example", "customers", since=since)
        assert "load did not finish" in mail["text"] and "@" not in mail["text"].replace(
            "operator@crossdock.example", ""
        )
        assert settled(product) == woken
    finally:
        product.query("UPDATE crossdock.target SET write_enabled = true RETURNING 1")
    healed = product.sync()
    assert healed["state"] == "success"
    assert product.query("SELECT 1 FROM crossdock.outbox WHERE status = 'pending'") == []


def test_a_run_with_nothing_to_do_is_quick_and_small(product, first):
    product.sync()
    seconds = []
    for _ in range(5):
        start = time.monotonic()
        row = product.sync()
        seconds.append(time.monotonic() - start)
        assert row["counts"]["updated"] == row["counts"]["created"] == 0
    tasks = product.airflow.tasks("customers", row["airflow_run"])
    assert sum(task["state"] == "success" for task in tasks) <= 3
    run = urllib.parse.quote(row["airflow_run"], safe="")
    path = f"/dags/customers/dagRuns/{run}/taskInstances/~/xcomEntries?limit=100"
    stored = sum(len(json.dumps(entry)) for entry in product.airflow.call("GET", path)["xcom_entries"])
    print(f"nothing to do: median {statistics.median(seconds):.1f} s, XCom {stored} bytes")
    assert stored <= 2048


def test_the_connections_forms_and_test_button_work(product):
    for connection in product.stack.connections()[:2]:
        answer = product.airflow.call("POST", "/connections/test", connection)
        assert answer["status"] is True, answer["message"]
    wrong = {**product.stack.connections()[0], "extra": json.dumps({"colour": "red"})}
    answer = product.airflow.call("POST", "/connections/test", wrong)
    assert answer["status"] is False and "colour" in answer["message"]


def test_the_page_shows_the_books_behind_airflows_login(product, first):
    address = f"{product.airflow.url}/crossdock/"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(address)
    text = product.page("")
    assert "<h2>Domains</h2>" in text and "C0048" in text and "read 50" in text


def test_no_secret_and_no_persons_address_is_in_any_tasks_log(product, first):
    logs = [path.read_text(errors="replace") for path in (product.stack.airflow.home / "logs").rglob("*.log")]
    assert any("customers (default)" in log for log in logs)
    facts = product.stack.facts()
    secrets = {facts["erp"]["password"], facts["erp"]["bearer"], facts["storefront"]["admin_password"]}
    for secret in secrets | {product.stack.cluster.password, facts["airflow"]["password"]}:
        assert not any(secret in log for log in logs)
    assert not any(re.search(r"[\w.-]+@[\w-]+\.example", log) for log in logs)
