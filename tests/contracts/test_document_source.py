"""What sources of documents promise (``ports.Source``, ``Dated``, ``Controlled``), on the real Tryton."""

from __future__ import annotations

import datetime as dt
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from tests.contracts.asking import flat, later, since
from tests.erp_fixtures import CONNECTION, RunningErp
from tests.office import Office
from tests.warehouse import today

from crossdock.connectors.tryton import documents
from crossdock.connectors.tryton.adapter import Tryton
from crossdock.connectors.tryton.documents import Invoices, OfflineOrders
from crossdock.connectors.tryton.hook import TrytonHook
from crossdock.domain.document import Document, DocumentLine
from crossdock.domain.order_status import Parcel
from crossdock.errors import Reject
from crossdock.ports import Control
from sandbox.merchant import GUESTS

pytestmark = pytest.mark.e2e

Documents = OfflineOrders | Invoices
DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def tryton(erp: RunningErp) -> Tryton:
    return Tryton.from_connection(CONNECTION)


@pytest.fixture(scope="module")
def orders(tryton: Tryton) -> OfflineOrders:
    return tryton.offline_orders


@pytest.fixture(scope="module")
def invoices(tryton: Tryton) -> Invoices:
    return tryton.invoices


@pytest.fixture(scope="module", params=["offline_orders", "invoices"])
def source(request: pytest.FixtureRequest, tryton: Tryton) -> Documents:
    found: Documents = getattr(tryton, request.param)
    return found


@pytest.fixture(scope="module")
def office(erp: RunningErp) -> Office:
    """Of one account for all tests; they keep apart by its documents."""
    return Office(erp)


def told(source: Documents, office: Office, document: int) -> Document:
    number = office.number(document, source.model)
    [row] = flat(source.read([f"{number}/{document}"]))
    assert (row.key, row.source_id) == (f"{number}/{document}", str(document))
    record = source.parse(row.raw)
    assert record.key == row.key and record.number == number
    return record


# --- orders


def test_a_phone_order_is_told_as_it_is_printed(orders, office):
    text = {"type": "line", "description": "Call before delivery", "quantity": 1.0, "unit_price": Decimal("0.0000")}
    discount = {"type": "line", "description": "Discount", "quantity": 1.0, "unit_price": Decimal("-1.2500")}
    remark = {"type": "comment", "description": "Third gate"}
    sku, product = office.goods("Meter")
    cable = office.line(2.5, "3.3333", product=product, unit=office.unit("Meter"))
    lines = [{**one, "sequence": place} for place, one in enumerate((cable, text, discount, remark))]
    sale = office.order(*lines, reference="PO-7")
    ours = told(orders, office, sale)
    assert ours.lines == (
        DocumentLine(
            sku=sku, title="Tested goods", quantity=Decimal("2.5"), unit="Meter", price=Decimal("3.3333"),
            net=Decimal("8.33"),
        ),
        DocumentLine(title="Call before delivery", quantity=Decimal(1)),
        DocumentLine(title="Discount", quantity=Decimal(1), price=Decimal("-1.25"), net=Decimal("-1.25")),
        DocumentLine(title="Third gate"),
    )  # fmt: skip
    assert (ours.kind, ours.account, ours.currency, ours.reference) == ("order", office.account, "EUR", "PO-7")
    assert (ours.net, ours.tax, ours.total, ours.open) == (Decimal("7.08"), Decimal("1.58"), Decimal("8.66"), None)
    assert (ours.made_on, ours.due_on, ours.status, ours.belongs_to) == (today(), None, "open", ())
    assert ours.changed_at <= orders.now() + dt.timedelta(seconds=1) and not ours.gone


def test_an_order_on_its_way_says_how_far_it_is_and_bears_its_parcels(office, altered, erp):
    altered(extra={"tracking_urls": "DHL=https://dhl.example/{number}"})
    orders = Tryton.from_connection(CONNECTION).offline_orders
    sale = office.order()
    [first] = office.warehouse.shipments(sale)
    office.write("stock.shipment.out", first, shipping_reference="T1, T2")
    office.warehouse.leave(first, 3)
    ours = told(orders, office, sale)
    assert ours.status == "partly sent"
    assert ours.parcels == tuple(Parcel(tracking_number=one, url=f"https://dhl.example/{one}") for one in ("T1", "T2"))
    office.warehouse.leave(office.warehouse.shipments(sale)[1])
    assert told(orders, office, sale).status == "sent"


def test_of_an_exception_it_is_told_what_has_left_and_what_is_given_up_is_cancelled(orders, office):
    sale = office.order()
    office.warehouse.leave(office.warehouse.shipments(sale)[0], 3)
    office.warehouse.cancel(office.warehouse.shipments(sale)[1])
    assert told(orders, office, sale).status == "partly sent"
    other = office.order()
    office.warehouse.cancel(office.warehouse.shipments(other)[0])
    assert told(orders, office, other).status == "open"
    office.warehouse.give_up(other)
    assert told(orders, office, other).status == "cancelled"


def test_a_quotation_is_no_order_even_if_it_is_cancelled(orders, office, erp):
    sale = office.order(confirm=False)
    number = office.number(sale, "sale.sale")
    assert flat(orders.read([number])) == []
    with pytest.raises(Reject):
        orders.content(f"sale.sale,{sale}")
    erp.admin.press("sale.sale", "cancel", [sale])
    assert flat(orders.read([number])) == []
    assert number not in {orders.parse(row.raw).number for row in flat(orders.dated(today(), today() + DAY))}


def test_an_order_that_is_a_draft_again_is_withdrawn_and_once_cancelled_it_is_shown_as_that(orders, office, erp):
    def counted() -> int:
        found = orders.control(today(), today() + DAY, ()).get((office.account, "EUR"))
        return found.count if found else 0

    sale = office.order()
    key = f"{office.number(sale, 'sale.sale')}/{sale}"
    part = f"sale:{sale}"
    assert part in flat(orders.parts())
    count = counted()
    office.write("sale.sale", sale, state="confirmed")  # as it is until a worker of Tryton's has taken it up
    moment = later(orders)
    erp.admin.press("sale.sale", "draft", [sale])
    ours = orders.parse(since(orders, moment)[key].raw)
    assert ours.gone and ours.parts == () and part not in flat(orders.parts())
    assert counted() == count - 1
    erp.admin.press("sale.sale", "cancel", [sale])
    ours = told(orders, office, sale)
    assert (ours.status, ours.gone, ours.parts) == ("cancelled", False, (part,)) and part in flat(orders.parts())
    assert counted() == count


def test_a_return_is_an_order_of_less_than_nothing_that_belongs_to_the_first(orders, office):
    sale = office.order()
    office.warehouse.leave(office.warehouse.shipments(sale)[0])
    back = office.warehouse.take_back(sale, 2)
    ours = told(orders, office, back)
    assert (ours.total, ours.lines[0].quantity, ours.status) == (Decimal("-23.80"), Decimal(-2), "open")
    assert ours.belongs_to == (office.number(sale, "sale.sale"),)
    office.warehouse.receive(back)
    assert told(orders, office, back).status == "sent"


def test_retired_goods_keep_their_sku_and_name_the_one_in_their_place(orders, office, erp):
    codes, ids = zip(*(office.goods() for _ in range(4)), strict=True)
    sale = office.order(office.line(1, product=ids[0]), office.line(1, product=ids[2]))
    for old, new in itertools.pairwise(ids):
        erp.admin("model.product.product.write", [old], {"active": False, "replaced_by": new})
    lines = told(orders, office, sale).lines
    assert [(line.sku, line.successor) for line in lines] == [(codes[0], codes[3]), (codes[2], codes[3])]
    erp.admin("model.product.product.write", [ids[0]], {"active": True})
    assert told(orders, office, sale).lines[0].successor is None


# --- invoices


def test_an_invoice_is_told_with_what_it_was_made_of(invoices, office):
    sale = office.order(reference="PO-8")
    office.warehouse.leave(office.warehouse.shipments(sale)[0])
    office.warehouse.post(sale)
    [invoice] = office.invoices(sale)
    ours = told(invoices, office, invoice)
    assert (ours.kind, ours.account, ours.status, ours.reference) == ("invoice", office.account, "open", "PO-8")
    assert (ours.net, ours.tax, ours.total, ours.open) == tuple(map(Decimal, ("50.00", "9.50", "59.50", "59.50")))
    assert ours.belongs_to == (office.number(sale, "sale.sale"),)
    assert ours.made_on == today()
    assert (ours.parts, ours.file) == ((f"invoice:{invoice}",), f"account.invoice,{invoice}")
    [line] = ours.lines
    assert (line.sku is not None, line.quantity, line.price, line.net) == (True, 5, 10, 50)


def test_an_invoice_of_a_web_order_of_an_account_is_shown_but_not_the_order(orders, invoices, office, erp):
    web = erp.admin.id_of("web.shop", ["name", "=", "Medusa"])
    sale = office.order(web_shop=web, web_id=f"order_of_{office.account}")
    number = office.number(sale, "sale.sale")
    office.warehouse.leave(office.warehouse.shipments(sale)[0])
    office.warehouse.post(sale)
    back = office.warehouse.take_back(sale, 1)
    [invoice] = office.invoices(sale)
    assert told(invoices, office, invoice).belongs_to == (number,)
    assert flat(orders.read([number, office.number(back, "sale.sale")])) == []
    ids = {row.source_id for row in flat(orders.dated(today(), today() + DAY))}
    assert {str(sale), str(back)}.isdisjoint(ids)


def test_partly_paid_then_paid(invoices, office):
    invoice = office.invoice()
    assert (told(invoices, office, invoice).status, told(invoices, office, invoice).open) == ("open", Decimal("119.00"))
    office.pay(invoice, "19.00")
    ours = told(invoices, office, invoice)
    assert (ours.status, ours.open, ours.total) == ("partly paid", Decimal("100.00"), Decimal("119.00"))
    office.pay(invoice, "100.00")
    assert (told(invoices, office, invoice).status, told(invoices, office, invoice).open) == ("paid", 0)


def test_a_credit_note_of_a_part_is_open_until_it_is_settled_with_its_invoice(invoices, office):
    invoice = office.invoice(office.invoiced_line(4, "25.0000"))
    note = office.credit(invoice, 1)
    ours = told(invoices, office, note)
    assert (ours.kind, ours.total, ours.open) == ("credit_note", Decimal("-29.75"), Decimal("-29.75"))
    assert (ours.status, ours.belongs_to) == ("open", (office.number(invoice),))
    assert told(invoices, office, invoice).open == Decimal("119.00")


def test_nothing_is_left_of_an_invoice_by_credit_notes(invoices, office):
    refunded, settled = office.invoice(), office.invoice()
    first, second = office.credit(refunded, refund=True), office.credit(settled)
    assert told(invoices, office, settled).status == "open"
    office.settle(settled, second)
    for invoice, note in ((refunded, first), (settled, second)):
        ours = told(invoices, office, invoice)
        assert (ours.status, ours.open, ours.total) == ("credited", 0, Decimal("119.00"))
        assert (told(invoices, office, note).status, told(invoices, office, note).open) == ("paid", 0)
    before, moment = told(invoices, office, settled), later(invoices)
    office.unsettle(settled)
    after = invoices.parse(since(invoices, moment)[before.key].raw)
    assert (after.status, after.open) == ("open", Decimal("119.00")) and after.changed_at > before.changed_at


def test_a_cancelled_invoice_is_shown_and_a_draft_is_not(invoices, office):
    invoice, draft = office.invoice(), office.invoice(post=False)
    office.cancel(invoice)
    ours = told(invoices, office, invoice)
    assert (ours.status, ours.open, ours.total, ours.gone) == ("cancelled", 0, Decimal("119.00"), False)
    rows = since(invoices, None)
    assert f"{ours.number}/{invoice}" in rows and str(draft) not in {row.source_id for row in rows.values()}


def test_the_last_of_several_due_dates_counts(invoices, office):
    invoice = office.invoice(payment_term=office.term("Halves", 10, 40))
    assert told(invoices, office, invoice).due_on == today() + 40 * DAY
    office.pay(invoice, "59.50")
    ours = told(invoices, office, invoice)
    assert (ours.status, ours.open, ours.due_on) == ("partly paid", Decimal("59.50"), today() + 40 * DAY)


def test_a_foreign_currency_is_told_as_it_is(invoices, office):
    dollar = office.currency("USD")
    invoice = office.invoice(office.invoiced_line(currency=dollar), currency=dollar)
    office.pay(invoice, "19.00")
    ours = told(invoices, office, invoice)
    assert (ours.currency, ours.total, ours.open) == ("USD", Decimal("119.00"), Decimal("100.00"))
    assert invoices.control(None, None, ())[office.account, "USD"] == Control(1, Decimal("119.00"), Decimal("100.00"))


def test_a_number_that_tryton_gives_twice_makes_two_documents(invoices, office, erp):
    first = office.invoice()
    [row] = erp.admin.rows("account.invoice", [["id", "=", first]], "sequence")
    [sequence] = erp.admin.rows("ir.sequence.strict", [["id", "=", row["sequence"]]], "number_next")
    office.write("ir.sequence.strict", row["sequence"], number_next=sequence["number_next"] - 1)
    second = office.invoice()
    assert office.number(first) == office.number(second)
    number = office.number(first)
    assert told(invoices, office, first).key != told(invoices, office, second).key
    assert {row.key for row in flat(invoices.read([number]))} == {f"{number}/{first}", f"{number}/{second}"}


# --- both


MADE: dict[str, Callable[[Office], int]] = {
    "sale.sale": lambda office: office.order(), "account.invoice": lambda office: office.invoice(),
}  # fmt: skip


def test_guests_and_parties_that_are_no_account_are_none_of_its_business(source, erp):
    nobody = Office(erp, categories=[])
    document = MADE[source.model](nobody)
    number = nobody.number(document, source.model)
    assert flat(source.read([number])) == []
    rows = since(source, None)
    assert str(document) not in {row.source_id for row in rows.values()}
    assert GUESTS not in {source.parse(row.raw).account for row in rows.values()}
    assert nobody.account not in {account for account, _ in source.control(None, None, ())}
    with pytest.raises(Reject, match=f"{document}"):
        source.content(f"{source.model},{document}")


def test_bytes_stay_the_same_whichever_way_it_is_read(source):
    rows = since(source, None)
    assert rows == {row.key: row for row in flat(source.read(rows))}
    by_date = flat(source.dated(dt.date(2000, 1, 1), today() + 366 * DAY))
    assert rows == {row.key: row for row in by_date} and len(by_date) == len(rows)
    records = [source.parse(row.raw) for row in rows.values()]
    assert {part for one in records for part in one.parts} <= set(flat(source.parts()))


def test_history_is_read_by_its_own_date_newest_first_and_half_open(source, monkeypatch):
    monkeypatch.setattr(documents, "PAGE", 7)
    records = [source.parse(row.raw) for row in flat(source.dated(dt.date(2000, 1, 1), today() + DAY))]
    days = [one.made_on for one in records]
    assert days == sorted(days, reverse=True) and len({one.key for one in records}) == len(records) > 14
    first, last = sorted(set(days))[3], sorted(set(days))[8]
    pages = list(source.dated(first, last))
    some = [source.parse(row.raw) for row in flat(pages)]
    assert {one.key for one in some} == {one.key for one in records if first <= one.made_on < last}
    assert first in {one.made_on for one in some} and last not in {one.made_on for one in some}
    assert all(len(page) <= 7 for page in pages)
    assert list(source.dated(first, first)) == []


def test_the_control_totals_are_those_of_the_documents(source):
    records = [source.parse(row.raw) for row in since(source, None).values()]
    days = sorted({one.made_on for one in records})
    for begin, end in ((None, None), (days[4], days[-4]), (days[2], None), (None, days[5])):
        left_out = {records[0].key, records[-1].key}
        expected: defaultdict[tuple[str, str], list[Any]] = defaultdict(lambda: [0, Decimal(0), Decimal(0)])
        for one in records:
            if one.key in left_out or one.gone or (begin and one.made_on < begin) or (end and one.made_on >= end):
                continue
            so_far = expected[one.account, one.currency]
            so_far[:] = [so_far[0] + 1, so_far[1] + one.total, so_far[2] + (one.open or 0)]
        assert source.control(begin, end, left_out) == {key: Control(*some) for key, some in expected.items()}


def test_the_open_balance_is_what_the_books_say(invoices, erp):
    """Of accounts in the company's currency that have paid nothing in advance."""
    office = Office(erp)
    first, second = office.invoice(), office.invoice()
    office.pay(first, "19.00")
    office.credit(second, 0.5)
    receivables = invoices.receivables()
    assert receivables[office.account] == Decimal("159.50")
    opened = {account: one.open for (account, currency), one in invoices.control(None, None, ()).items()}
    assert opened[office.account] == receivables[office.account]
    demo = {account: owed for account, owed in receivables.items() if account.startswith("C0")}
    assert demo == {account: owed for account, owed in opened.items() if account.startswith("C0") and owed}
    assert len(demo) > 10 and GUESTS not in receivables


def test_the_printed_document_is_an_office_document(source, office, erp):
    document = MADE[source.model](office)
    ours = told(source, office, document)
    content = source.content(ours.file)
    assert content.startswith(b"PK") and b"application/vnd.oasis.opendocument.text" in content[:200]
    other = "account.invoice" if source.model == "sale.sale" else "sale.sale"
    for ref in (f"{other},1", f"{source.model},999999", f"{source.model},x", "product.image,1", ""):
        with pytest.raises(Reject):
            source.content(ref)


class _Counting:
    """A hook that counts the calls."""

    def __init__(self, hook: TrytonHook) -> None:
        self._hook, self.calls = hook, Counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hook, name)

    def ask(self, method: str, *params: Any, **context: Any) -> bytes:
        self.calls[method] += 1
        return self._hook.ask(method, *params, **context)

    def call(self, method: str, *params: Any, **context: Any) -> Any:
        self.calls[method] += 1
        return self._hook.call(method, *params, **context)


def test_a_page_takes_four_calls_at_most_however_many_documents_it_holds(source):
    rpc = _Counting(TrytonHook(CONNECTION))
    counted = getattr(Tryton(rpc), "offline_orders" if source.model == "sale.sale" else "invoices")
    list(counted.dated(today(), today()))
    rpc.calls.clear()
    pages = list(counted.dated(dt.date(2000, 1, 1), today() + DAY))
    assert len(flat(pages)) > 80 and rpc.calls.total() <= 4 * len(pages), rpc.calls
    rpc.calls.clear()
    counted.control(None, None, ())
    assert rpc.calls.total() <= 2, rpc.calls


ORDER_CHANGES: dict[str, Callable[[Office, int], Any]] = {
    "its reference": lambda office, sale: office.write("sale.sale", sale, reference="PO-9"),
    "a line": lambda office, sale: office.write("sale.line", office.warehouse.lines(sale)[0], description="In red"),
    "sent in part": lambda office, sale: office.warehouse.leave(office.warehouse.shipments(sale)[0], 3),
    "a tracking number": lambda office, sale: office.write(
        "stock.shipment.out", office.warehouse.shipments(sale)[0], shipping_reference="T3"
    ),
    "a package's tracking number": lambda office, sale: office.warehouse.parcel(
        office.warehouse.shipments(sale)[0], "T4"
    ),
}
INVOICE_CHANGES: dict[str, Callable[[Office, int], Any]] = {
    "paid in part": lambda office, invoice: office.pay(invoice, "19.00"),
    "paid": lambda office, invoice: office.pay(invoice, "119.00"),
    "a payment on its way": lambda office, invoice: office.payment(invoice, "119.00"),
    "credited": lambda office, invoice: office.credit(invoice, refund=True),
    "settled with a credit note": lambda office, invoice: office.settle(invoice, office.credit(invoice)),
    "cancelled": lambda office, invoice: office.cancel(invoice),
}


@pytest.mark.parametrize("what", [*ORDER_CHANGES, *INVOICE_CHANGES])
def test_every_change_is_seen_and_moves_the_document_on_and_others_are_not_seen(tryton, office, what):
    source, act = (
        (tryton.offline_orders, ORDER_CHANGES[what])
        if what in ORDER_CHANGES
        else (tryton.invoices, INVOICE_CHANGES[what])
    )
    document, other = MADE[source.model](office), MADE[source.model](office)
    before = told(source, office, document)
    moment = later(source)
    act(office, document)
    rows = since(source, moment)
    after = source.parse(rows[before.key].raw)
    assert after.model_copy(update={"changed_at": before.changed_at}) != before
    assert after.changed_at >= moment > before.changed_at
    assert str(other) not in {row.source_id for row in rows.values()}


def test_one_instalment_settled_by_the_books_alone_is_seen(invoices, office):
    """The invoice itself is not touched: only the lines of its move are."""
    invoice = office.invoice(payment_term=office.term("Two", 10, 40))
    note = office.invoice(office.invoiced_line(-0.5))
    before = told(invoices, office, invoice)
    moment = later(invoices)
    office.settle_first(invoice, note)
    after = invoices.parse(since(invoices, moment)[before.key].raw)
    assert (before.open, after.open, after.status) == (Decimal("119.00"), Decimal("59.50"), "partly paid")
    assert after.changed_at > before.changed_at


def test_a_late_repeat_of_a_window_gives_what_is_there_now(invoices, office):
    invoice = office.invoice()
    before = told(invoices, office, invoice)
    office.pay(invoice, "119.00")
    late = {row.key: row for row in flat(invoices.dated(today(), today() + DAY))}[before.key]
    ours = invoices.parse(late.raw)
    assert ours.status == "paid" and ours.changed_at > before.changed_at
    assert {row.key: row for row in flat(invoices.dated(today(), today() + DAY))}[before.key] == late


def test_a_bad_document_travels_with_the_good_ones(source, erp):
    office = Office(erp)
    good, bad = MADE[source.model](office), MADE[source.model](office)
    office.write(source.model, bad, reference="<b>bold</b>")
    rows = {row.source_id: row for row in flat(source.dated(today(), today() + DAY))}
    assert source.parse(rows[str(good)].raw)
    with pytest.raises(Reject, match="reference"):
        source.parse(rows[str(bad)].raw)
    office.write(source.model, bad, reference=None)


def test_the_version_follows_the_settings(altered, erp):
    before = Tryton.from_connection(CONNECTION).offline_orders.version
    altered(extra={"tracking_urls": "DHL=https://dhl.example/{number}"})
    assert Tryton.from_connection(CONNECTION).offline_orders.version != before
