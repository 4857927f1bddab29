"""What the real shop keeps of the ERP's documents: the newest version, once, and nothing else happens."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from decimal import Decimal

import msgspec
import psycopg
import pytest
from tests.documents import SECOND, a_credit_note, a_line, an_invoice, an_order, later, no_files, put, to_put
from tests.shop_fixtures import CONNECTION, DATABASE, Refused, Shop, new_account

from crossdock.connectors.medusa.adapter import Medusa
from crossdock.connectors.medusa.documents import Documents
from crossdock.domain.document import Document
from crossdock.domain.order_status import Parcel
from crossdock.errors import AnswerLost, Reject
from crossdock.ports import Control, Found, Outcome, Put, Wish

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def invoices(shop: Shop) -> Documents:
    return Medusa.from_connection(CONNECTION).invoices


@pytest.fixture(scope="module")
def orders(shop: Shop) -> Documents:
    return Medusa.from_connection(CONNECTION).offline_orders


@pytest.fixture
def account(shop: Shop) -> str:
    """One that the shop has."""
    data = new_account()
    shop.put(data)
    return str(data["code"])


def row(shop: Shop, one: Document, fields: str = "status, open, fingerprint, removed") -> str:
    [found] = shop.sql(f"SELECT {fields} FROM erp_document WHERE key = '{one.key}'")
    return found


def everything(shop: Shop) -> list[str]:
    return shop.sql("SELECT xmin, d.* FROM erp_document d ORDER BY flow, key")


def all_keys(target: Documents) -> list[str]:
    pages = target.keys()
    return [key for page in pages for key in page]


def waiting(target: Documents) -> list[Wish]:
    return [wished for page in target.wishes() for wished in page]


def reason(outcome: Outcome) -> str:
    assert outcome.refused
    return outcome.refused.reason


# ---------------------------------------------------------------- written and found


def test_a_document_is_kept_as_the_erp_has_it(shop: Shop, invoices: Documents, account: str) -> None:
    one = an_invoice(
        account, number="2026/7", source_id="41", reference="PO 9", belongs_to=("SO-1", "SO-2"), status="partly paid",
        net=Decimal("99.99995"), open=Decimal("-0.01"), parcels=(Parcel(tracking_number="T1", url="https://c.example/1"),),
        lines=(
            a_line(quantity=Decimal("0.333333"), price=Decimal("1.23456789"), successor="BOLT-M7"),
            a_line(sku=None, title="As agreed\nby phone", quantity=None, price=Decimal(0), net=Decimal(0)),
        ),
    )  # fmt: skip
    [outcome] = put(invoices, one)
    assert outcome.target_id and outcome.target_id.startswith("erpdoc_")
    told = "number, kind, account, made_on, due_on, currency, net, tax, total, open, status, reference, belongs_to"
    assert row(shop, one, told) == (
        f'2026/7|invoice|{account}|2026-03-01|2026-03-31|EUR|99.99995|19|119|-0.01|partly paid|PO 9|["SO-1", "SO-2"]'
    )
    amounts = "lines #>> '{0,quantity}', lines #>> '{0,price}', lines #>> '{0,successor}', lines #>> '{1,quantity}'"
    assert row(shop, one, amounts) == "0.333333|1.23456789|BOLT-M7|"
    assert row(shop, one, "parcels #>> '{0,url}', changed_at at time zone 'UTC', file") == (
        f"https://c.example/1|2026-11-20 12:00:00|{one.file}"
    )


def test_what_is_written_is_found_by_its_key(invoices: Documents, orders: Documents, account: str) -> None:
    one, unknown = an_invoice(account), an_invoice(account)
    [outcome] = put(invoices, one)
    assert outcome.target_id
    found = {one.key: Found(outcome.target_id, "f1")}
    assert invoices.find([one.key, unknown.key]) == found == invoices.match([one, unknown])
    assert orders.find([one.key]) == {}
    assert one.key in all_keys(invoices) and one.key not in all_keys(orders)


def test_an_order_and_an_invoice_may_have_the_same_number(invoices: Documents, orders: Documents, account: str) -> None:
    one = an_invoice(account)
    [invoice], [order] = put(invoices, one), put(orders, an_order(account, number=one.number))
    assert invoice.target_id != order.target_id


def test_ids_cannot_be_guessed(invoices: Documents, account: str) -> None:
    ids = [str(outcome.target_id) for outcome in put(invoices, *(an_invoice(account) for _ in range(20)))]
    random_part = [id_.removeprefix("erpdoc_") for id_ in ids]
    assert len(set(random_part)) == 20 and {len(part) for part in random_part} == {32}
    assert len({part[:8] for part in random_part}) == 20


def test_told_again_nothing_is_written(shop: Shop, invoices: Documents, account: str) -> None:
    documents = [an_invoice(account) for _ in range(5)]
    before = put(invoices, *documents)
    rows = everything(shop)
    assert put(invoices, *documents, op="update") == before
    assert everything(shop) == rows


def test_a_change_keeps_the_id(shop: Shop, invoices: Documents, account: str) -> None:
    one = an_invoice(account)
    [before] = put(invoices, one)
    paid = later(one, status="paid", open=Decimal(0))
    assert put(invoices, paid, op="update", fingerprint="f2") == [before]
    assert row(shop, one) == "paid|0|f2|f"


def test_removed_is_found_again_and_comes_back_as_the_same(shop: Shop, invoices: Documents, account: str) -> None:
    one = an_invoice(account)
    [before] = put(invoices, one)
    [gone] = put(invoices, later(one, withdrawn=True), op="remove", fingerprint="gone")
    assert gone == before and row(shop, one, "fingerprint, removed") == "gone|t"
    assert invoices.find([one.key])[one.key].fingerprint == "gone"
    assert invoices.worth([one.key]) == {}
    assert put(invoices, later(one, 2 * SECOND), fingerprint="f3") == [before]
    assert row(shop, one, "fingerprint, removed") == "f3|f"


def test_what_the_erp_has_no_more_is_gone_now(shop: Shop, invoices: Documents, account: str) -> None:
    one = an_invoice(account)
    put(invoices, one)
    [outcome] = invoices.put([Put(one.key, "remove", None, b"", "gone")], no_files)
    assert outcome.refused is None and row(shop, one, "fingerprint, removed") == "gone|t"
    [outcome] = invoices.put([Put("NEVER-HERE", "remove", "x", b"", "gone")], no_files)
    assert outcome == Outcome("NEVER-HERE", "x")


# ---------------------------------------------------------------- which version is the newer one


def test_an_older_version_that_comes_later_changes_nothing(shop: Shop, invoices: Documents, account: str) -> None:
    one = an_invoice(account)
    paid = later(one, status="paid", open=Decimal(0))
    [before] = put(invoices, paid, fingerprint="f2")
    [outcome] = put(invoices, one, fingerprint="f1")
    assert outcome == Outcome(one.key, before.target_id, note="a newer one is there")
    assert row(shop, one) == "paid|0|f2|f"


def test_a_microsecond_is_enough(shop: Shop, invoices: Documents, account: str) -> None:
    one = an_invoice(account)
    put(invoices, later(one, timedelta(microseconds=2), status="paid"), fingerprint="f2")
    [outcome] = put(invoices, later(one, timedelta(microseconds=1)), fingerprint="f1")
    assert outcome.note and row(shop, one, "status") == "paid"


def test_an_older_version_does_not_bring_back_what_is_gone(shop: Shop, invoices: Documents, account: str) -> None:
    one = an_invoice(account)
    put(invoices, one)
    put(invoices, later(one, withdrawn=True), op="remove", fingerprint="gone")
    [outcome] = put(invoices, one)
    assert outcome.note and row(shop, one, "fingerprint, removed") == "gone|t"


def test_an_older_withdrawal_hides_nothing(shop: Shop, invoices: Documents, account: str) -> None:
    one = later(an_invoice(account))
    put(invoices, one)
    [outcome] = put(invoices, later(one, -SECOND, withdrawn=True), op="remove", fingerprint="gone")
    assert outcome.note and row(shop, one, "fingerprint, removed") == "f1|f"


def test_batches_side_by_side_end_with_the_newest_of_each(shop: Shop, invoices: Documents, account: str) -> None:
    """As windows of a backfill and the schedule do; withdrawals among them."""
    documents = [an_invoice(account) for _ in range(60)]
    batches: list[Sequence[Put]] = []
    for n in range(12):
        some = [later(one, n * SECOND, reference=f"version {n}") for one in documents]
        puts = [to_put(invoices, one, "remove" if n == 5 else "update", f"f{n}") for one in some]
        random.shuffle(puts)
        batches.append(puts)
    random.shuffle(batches)
    with ThreadPoolExecutor(6) as pool:
        outcomes = [one for done in pool.map(lambda puts: list(invoices.put(puts, no_files)), batches) for one in done]
    assert [one for one in outcomes if one.refused] == []
    assert {row(shop, one, "reference, fingerprint, removed") for one in documents} == {"version 11|f11|f"}
    assert shop.sql(f"SELECT count(*) FROM erp_document WHERE account = '{account}'") == ["60"]


def test_a_shop_that_dies_in_the_middle_has_written_all_of_a_batch_or_nothing(
    shop: Shop, invoices: Documents, account: str
) -> None:
    known = an_invoice(account, number="ZZZ-LAST")
    put(invoices, known)
    new = [an_invoice(account) for _ in range(5)]
    batch = [to_put(invoices, one, "update", "f2") for one in (*new, later(known, status="paid"))]
    with ThreadPoolExecutor(1) as pool:
        with psycopg.connect(shop.postgres.dsn(DATABASE)) as other:
            other.execute("SELECT FROM erp_document WHERE key = 'ZZZ-LAST' FOR UPDATE")
            sent = pool.submit(invoices.put, batch, no_files)
            while not shop.sql(
                "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'erp_document'"
            ):
                time.sleep(0.02)
            assert shop.server.process
            shop.server.process.send_signal(signal.SIGKILL)
            shop.server.process.wait()
        with pytest.raises(AnswerLost):
            sent.result()
    shop.restart()
    keys = [one.key for one in batch]
    assert {key: found.fingerprint for key, found in invoices.find(keys).items()} == {known.key: "f1"}
    assert [outcome.refused for outcome in invoices.put(batch, no_files)] == [None] * 6
    assert {found.fingerprint for found in invoices.find(keys).values()} == {"f2"}
    assert row(shop, known) == "paid|119|f2|f"


# ---------------------------------------------------------------- what is not fit


def test_one_bad_document_stops_no_other(shop: Shop, invoices: Documents, account: str) -> None:
    good, stranger = an_invoice(account), an_invoice("NOBODY")
    broken = an_invoice(account, lines=(a_line(title="a\0b"),))
    assert put(invoices, good, stranger, broken)[0].refused is None
    outcomes = put(invoices, good, stranger, broken)
    assert reason(outcomes[1]) == "Medusa says: the shop has no such account."
    assert "lines.0.title" in reason(outcomes[2])
    assert invoices.find([stranger.key, broken.key]) == {}


def test_the_same_document_twice_in_a_batch_is_refused(shop: Shop, account: str) -> None:
    one = {"key": "X", "fingerprint": "f", "changed_at": "2026-01-01T00:00:00Z", "removed": True}
    body = {"flow": "invoices", "documents": [one, one]}
    outcomes = shop.post("/admin/erp/documents/batch", body, shop.admin)["outcomes"]
    assert [outcome.get("reason") for outcome in outcomes] == ["it occurs twice in this batch", None]


def test_what_is_no_document_is_refused(shop: Shop, invoices: Documents, account: str) -> None:
    whole = {**msgspec.json.decode(invoices.payload(an_invoice(account))), "key": "X", "fingerprint": "f"}
    line = {**whole["lines"][0]}
    for odd in (
        {"parcels": [{"number": "1", "url": "javascript:alert(1)"}]}, {"total": "1e9"}, {"total": 1.5}, {"open": "NaN"},
        {"made_on": "2026-02-30"}, {"kind": "bill"}, {"status": "<b>"}, {"currency": "euro"}, {"more": 1}, {"key": ""},
        {"lines": [{**line, "title": "\ud800"}]}, {"lines": [{**line, "quantity": 1}]}, {"changed_at": "yesterday"},
    ):  # fmt: skip
        body = json.dumps({"flow": "invoices", "documents": [{**whole, **odd}]})
        headers = {"Authorization": f"Bearer {shop.admin}", "Content-Type": "application/json"}
        answer = shop.session.post(f"{shop.url}/admin/erp/documents/batch", body, headers=headers, timeout=60)
        assert [one["id"] for one in answer.json()["outcomes"]] == [None], odd
    for body in (
        {"flow": "orders", "documents": []},
        {"flow": "invoices", "documents": [{}] * 1001},
        {"flow": "invoices"},
    ):
        with pytest.raises(Refused):
            shop.post("/admin/erp/documents/batch", body, shop.admin)


def test_a_document_of_thousands_of_lines_is_taken(shop: Shop, invoices: Documents, account: str) -> None:
    long = tuple(a_line(title="x" * 200) for _ in range(5000))
    outcomes = put(invoices, an_invoice(account, lines=long), an_invoice(account, lines=long))
    assert [outcome.refused for outcome in outcomes] == [None, None]


# ---------------------------------------------------------------- nothing else happens


def test_history_moves_nothing_else(shop: Shop, invoices: Documents, orders: Documents, account: str) -> None:
    """No mail, no order of Medusa's, no stock, no event."""
    tables = ("order", "cart", "reservation_item", "inventory_level", "payment", "notification", "customer")

    def others() -> list[str]:
        counts = [shop.sql(f'SELECT count(*), max(xmin::text::bigint) FROM "{table}"') for table in tables]
        return [line for lines in counts for line in lines]

    mails, before = len(shop.mailbox.mails()), others()
    put(invoices, *(an_invoice(account) for _ in range(20)))
    put(orders, *(an_order(account) for _ in range(20)))
    assert len(shop.mailbox.mails()) == mails
    assert others() == before


# ---------------------------------------------------------------- control totals


def test_control_totals_are_by_account_and_currency(invoices: Documents, account: str) -> None:
    documents = [
        an_invoice(account, made_on=date(1999, 1, 31), total=Decimal("0.10"), open=Decimal("0.10")),
        an_invoice(account, made_on=date(1999, 2, 1), total=Decimal("0.20"), open=Decimal(0)),
        a_credit_note(account, made_on=date(1999, 2, 28), total=Decimal("-0.05"), open=Decimal("-0.05")),
        an_invoice(account, made_on=date(1999, 2, 3), currency="USD", total=Decimal(5), open=None),
        an_invoice(account, made_on=date(1999, 2, 4), total=Decimal(1000)),
        an_invoice(account, made_on=date(1999, 2, 5), total=Decimal(1000)),
        an_invoice(account, made_on=date(1999, 3, 1), total=Decimal("0.40"), open=Decimal("0.40")),
    ]  # fmt: skip
    put(invoices, *documents)
    put(invoices, later(documents[4]), op="remove")
    february = invoices.control(date(1999, 2, 1), date(1999, 3, 1), [documents[5].key])
    assert february == {
        (account, "EUR"): Control(2, Decimal("0.15"), Decimal("-0.05")),
        (account, "USD"): Control(1, Decimal(5), Decimal(0)),
    }
    assert invoices.control(date(1999, 1, 1), None, [])[account, "EUR"].count == 5
    assert invoices.control(None, date(1999, 2, 1), []) == {
        (account, "EUR"): Control(1, Decimal("0.10"), Decimal("0.10"))
    }
    assert invoices.worth([documents[0].key, documents[4].key, "NONE"]) == {documents[0].key: Decimal("0.10")}


# ---------------------------------------------------------------- printed documents


Wishing = Callable[[], tuple[Document, Wish, str]]
PDF = b"%PDF-1.7\n" + bytes(range(256))


@pytest.fixture
def wish(shop: Shop, invoices: Documents) -> Wishing:
    """Writes an invoice of a new account and asks for its print as a buyer does: the document, its wish."""

    def ask() -> tuple[Document, Wish, str]:
        data = new_account()
        shop.put(data)
        token = shop.set_password(str(data["buyers"][0]["email"]))
        one = an_invoice(str(data["code"]))
        [outcome] = put(invoices, one)
        shop.get(f"/store/erp/documents/{outcome.target_id}/file", token)
        [found] = [found for found in waiting(invoices) if found.ref == one.file]
        return one, found, str(outcome.target_id)

    return ask


def test_what_a_buyer_wishes_for_is_delivered_once(
    shop: Shop, invoices: Documents, orders: Documents, wish: Wishing
) -> None:
    one, wished, id_ = wish()
    assert wished.ref == one.file
    assert wished not in waiting(orders)
    invoices.deliver(wished.id, PDF)
    assert wished not in waiting(invoices)
    invoices.deliver(wished.id, PDF)
    assert shop.sql(f"SELECT length(content) FROM erp_document_file WHERE document_id = '{id_}'") == [str(len(PDF))]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"<html><script>alert(1)</script>", b"<svg onload='alert(1)'/>", b"MZ\x90",
        b"<?xml version='1.0'?><svg onload='alert(1)'/>", b"<?xml version='1.0'?><html><office:document /></html>",
        b"PK\x03\x04" + b"\0" * 40, b" %PDF-1.7", b"%PDF-" + b"x" * 10_000_000,
    ],
)  # fmt: skip
def test_what_a_browser_might_run_or_is_too_large_is_refused(
    invoices: Documents, wish: Wishing, content: bytes
) -> None:
    _, wished, _ = wish()
    with pytest.raises(Reject):
        invoices.deliver(wished.id, content)
    assert wished in waiting(invoices)
