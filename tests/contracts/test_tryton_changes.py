"""Whatever an account is put together from, a change of it is seen, though the party itself stays untouched."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.erp_fixtures import CONNECTION, RunningErp

from crossdock.connectors.sessions import Kept
from crossdock.connectors.tryton.adapter import Customers, Tryton
from crossdock.connectors.tryton.hook import TrytonHook
from crossdock.domain.customer import Account, Terms
from crossdock.errors import BadCredentials, Misconfigured
from crossdock.ports import Window

pytestmark = pytest.mark.e2e

Act = Callable[[RunningErp, int], None]


@pytest.fixture(scope="module")
def customers(erp: RunningErp) -> Customers:
    return Tryton.from_connection(CONNECTION).customers


def write(model: str, field: str, value: Any) -> Act:
    """Write to the party's first row of this model."""

    def act(erp: RunningErp, party: int) -> None:
        erp.admin(f"model.{model}.write", erp.children(party, model)[:1], {field: value})

    return act


def rename(field: str, model: str) -> Act:
    """Give what the party points to another name."""

    def act(erp: RunningErp, party: int) -> None:
        [row] = erp.admin("model.party.party.read", [party], [field])
        erp.admin(f"model.{model}.write", [row[field]], {"name": f"Renamed {party}"})

    return act


def prolong(erp: RunningErp, party: int) -> None:
    [row] = erp.admin("model.party.party.read", [party], ["customer_payment_term"])
    [line] = erp.rows_of("account.invoice.payment_term.line", "payment", row["customer_payment_term"])
    [delay] = erp.rows_of("account.invoice.payment_term.line.delta", "line", line)
    erp.admin("model.account.invoice.payment_term.line.delta.write", [delay], {"days": 45})


def add_buyer(erp: RunningErp, party: int) -> None:
    erp.admin.create("party.contact_mechanism", {"party": party, "type": "email", "value": f"new@{party}.example"})


@pytest.mark.parametrize(
    ("act", "seen"),
    [
        pytest.param(write("party.address", "city", "Bremen"), lambda a: a.addresses[0].city == "Bremen", id="address"),
        pytest.param(write("party.address", "active", False), lambda a: not a.addresses, id="address-archived"),
        pytest.param(
            write("party.contact_mechanism", "name", "Ada Lind"), lambda a: a.buyers[0].name == "Ada Lind", id="buyer"
        ),
        pytest.param(write("party.contact_mechanism", "active", False), lambda a: len(a.buyers) == 1, id="dismissed"),
        pytest.param(write("party.contact_mechanism", "invoice", True), lambda a: len(a.buyers) == 1, id="mailbox"),
        pytest.param(add_buyer, lambda a: len(a.buyers) == 3, id="buyer-added"),
        pytest.param(write("party.identifier", "code", "CRM-1"), lambda a: a.tax_id is None, id="identifier"),
        pytest.param(
            rename("customer_payment_term", "account.invoice.payment_term"),
            lambda a: a.terms and a.terms.name.startswith("Renamed"),
            id="payment-term",
        ),
        pytest.param(prolong, lambda a: a.terms == Terms(name=a.terms.name, days=45), id="payment-days"),
        pytest.param(
            rename("sale_price_list", "product.price_list"), lambda a: "Renamed" in a.price_list, id="price-list"
        ),
        pytest.param(rename("customer_tax_rule", "account.tax.rule"), lambda a: not a.tax_exempt, id="tax-rule"),
    ],
)
def test_a_change_is_seen(customers: Customers, erp: RunningErp, act: Act, seen: Callable[[Account], bool]) -> None:
    terms = {"type": "remainder", "relativedeltas": [["create", [{"days": 30}]]]}
    [term] = erp.admin.create("account.invoice.payment_term", {"name": "Own", "lines": [["create", [terms]]]})
    [prices] = erp.admin.create("product.price_list", {"name": "Own", "unit": "product_sale", "price": "list_price"})
    [rule] = erp.admin.create("account.tax.rule", {"name": "Tax exempt", "kind": "sale"})
    number, party = erp.account(customer_payment_term=term, sale_price_list=prices, customer_tax_rule=rule)
    bystander, _ = erp.account()
    moment = customers.now()
    while customers.now() == moment:
        time.sleep(0.05)
    moment = customers.now()

    act(erp, party)

    rows = {row.key: row for page in customers.changed(Window(moment, customers.now())) for row in page}
    assert seen(customers.parse(rows[number].raw))
    assert bystander not in rows


@pytest.mark.parametrize("category", ["Blocked", "Credit hold"])
def test_a_mark_comes_and_goes(customers: Customers, erp: RunningErp, category: str) -> None:
    _, party = erp.account()

    for operation, expected in (("add", True), ("remove", False)):
        moment = customers.now()
        values = {"categories": [[operation, [erp.id_of("party.category", category)]]]}
        erp.admin("model.party.party.write", [party], values)
        rows = {row.source_id: row for page in customers.changed(Window(moment, customers.now())) for row in page}
        account = customers.parse(rows[str(party)].raw)
        assert (account.blocked if category == "Blocked" else account.credit_hold) is expected


def test_a_customer_of_a_category_below_is_one(customers: Customers, erp: RunningErp) -> None:
    parent = erp.id_of("party.category", "Customers")
    [below] = erp.admin.create("party.category", {"name": "Wholesale", "parent": parent})
    number, _ = erp.account(categories=[["add", [below]]])
    assert [row.key for page in customers.read([number]) for row in page] == [number]


def test_only_customers_are_read(customers: Customers) -> None:
    keys = {row.key for page in customers.changed(Window(None, customers.now())) for row in page}
    assert "C0001" in keys
    assert not keys & {"WEB-GUEST", "ALDERGATE", "3PL-FULFILFAST", "CARRIER-DHL", "S0001"}


def test_a_window_of_many_pages(erp: RunningErp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossdock.connectors.tryton.adapter.PAGE", 7)
    monkeypatch.setattr("crossdock.connectors.tryton.reading.IDS", 7)
    paged = Tryton.from_connection(CONNECTION).customers
    sizes = [len(page) for page in paged.changed(Window(None, paged.now()))]
    keys = [row.key for page in paged.changed(Window(None, paged.now())) for row in page]
    parts = [part for page in paged.parts() for part in page]
    monkeypatch.undo()
    whole = Tryton.from_connection(CONNECTION).customers
    assert keys == [row.key for page in whole.changed(Window(None, whole.now())) for row in page]
    assert parts == [part for page in whole.parts() for part in page]
    assert max(sizes) == 7 and len(sizes) > 7


def test_the_test_button_says_what_it_found(erp: RunningErp) -> None:
    works, said = TrytonHook(CONNECTION).test_connection()
    assert works
    assert "Tryton 8.0" in said and "database erp" in said and "'Customers' is there" in said


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"customer_category": "Kunden"}, "'Kunden' is missing: nobody is a customer"),
        ({"bearer": "wrong"}, "refuses the user application key"),
        ({"customer_categry": "Customers"}, "customer_categry: unknown setting"),
    ],
)
def test_the_test_button_says_what_is_wrong(erp: RunningErp, altered: Any, extra: dict[str, str], said: str) -> None:
    altered(extra=extra)
    works, told = TrytonHook(CONNECTION).test_connection()
    assert not works and said in told


@pytest.mark.parametrize("extra", [{"customer_category": "Kunden"}, {"blocked_category": "Gesperrt"}])
def test_a_category_that_is_not_there_stops_everything(erp: RunningErp, altered: Any, extra: dict[str, str]) -> None:
    altered(extra=extra)
    customers = Tryton.from_connection(CONNECTION).customers
    for ask in (customers.parts(), customers.read(["C0001"]), customers.changed(Window(None, customers.now()))):
        with pytest.raises(Misconfigured, match="no party category"):
            next(iter(ask))


def test_a_wrong_password_is_said_without_it(erp: RunningErp, altered: Any) -> None:
    altered(password="not-the-password")
    with pytest.raises(BadCredentials) as caught:
        TrytonHook(CONNECTION).call("model.party.party.search_count", [])
    assert "not-the-password" not in str(caught.value)


def test_a_session_that_ended_is_opened_again(erp: RunningErp) -> None:
    hook = TrytonHook(CONNECTION)
    assert hook.user
    hook._authorization = "Session bm9ib2R5OjE6MA=="
    assert hook.call("model.party.party.search_count", [["code", "=", "C0001"]]) == 1


def test_the_next_task_goes_on_in_the_session_or_begins_another_when_it_has_ended(erp: RunningErp) -> None:
    first, second = TrytonHook(CONNECTION), TrytonHook(CONNECTION)
    assert (second.user, second.company) == (first.user, first.company)
    assert second._authorization == first._authorization
    Kept(first.connection).keep("Session bm9ib2R5OjE6MA==")
    third = TrytonHook(CONNECTION)
    assert third.call("model.party.party.search_count", [["code", "=", "C0001"]]) == 1
    assert third._authorization == Kept(first.connection).get() != "Session bm9ib2R5OjE6MA=="


def test_the_test_of_a_connection_logs_in(erp: RunningErp, altered: Any) -> None:
    wrong = "not-the-password"
    altered(password=wrong)
    Kept(TrytonHook(CONNECTION).connection).keep("Session bm9ib2R5OjE6MA==")
    done, said = TrytonHook(CONNECTION).test_connection()
    assert not done and "refuses the login" in said
