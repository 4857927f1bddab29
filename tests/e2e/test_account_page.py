"""The account page in a real browser: what a buyer does with it, on a phone too, and what hostile words do to it.

Optional for users: skipped where there is no Chromium.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.buying import Buying
from tests.documents import a_credit_note, a_line, an_invoice, an_order, later, put
from tests.e2e import browser
from tests.shop_fixtures import CONNECTION, Shop, email_of, new_account

from crossdock.connectors.medusa.adapter import Medusa
from crossdock.domain.document import Document
from crossdock.domain.order_status import Parcel
from sandbox.place import ROOT

pytestmark = pytest.mark.skipif(not browser.installed(), reason="Chromium is not installed")

PICTURES = ROOT / ".run" / "pictures"
HOSTILE = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>\'"&amp;'
PDF = b"%PDF-1.7\n" + bytes(range(256))
TAB, ENTER = {"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}, {"key": "Enter", "code": "Enter", "text": "\r"}


class Person:
    """Somebody at the page, with hands for the keyboard."""

    def __init__(self, page: browser.Browser, shop: Shop, downloads: Path) -> None:
        self.page, self.downloads, self._url = page, downloads, f"{shop.url}/erp/account"

    def opens(self, *expected: str, at: str = "") -> str:
        self.page("Page.navigate", url="about:blank")
        return self.page.text(f"{self._url}{at}", *expected)

    def arrives(self, *expected: str) -> str:
        """In a new tab, so to speak: whoever was here before him has gone."""
        self.opens("Your account")
        self.page.script("sessionStorage.clear()")
        return self.opens(*expected)

    def types(self, words: str) -> None:
        self.page("Input.insertText", text=words)

    def presses(self, key: dict[str, Any]) -> None:
        self.page("Input.dispatchKeyEvent", type="keyDown", **key)
        self.page("Input.dispatchKeyEvent", type="keyUp", **{name: key[name] for name in ("key", "code")})

    def logs_in(self, email: str, password: str = "correct horse", *expected: str) -> str:
        self.arrives("Log in", "No password yet")
        self.until("document.activeElement.id == 'email'")
        self.types(email)
        self.presses(TAB)
        self.types(password)
        self.presses(ENTER)
        return self.page.shows(*expected or ("Log out",))

    def clicks(self, label: str, *expected: str) -> str:
        found = f"[...document.querySelectorAll('a, button')].find((one) => one.textContent == {label!r})"
        self.page.script(f"{found}.click()")
        return self.page.shows(*expected) if expected else ""

    def fills(self, field: str, value: str) -> None:
        self.page.script(
            f"const field = document.getElementById({field!r}); field.value = {value!r};"
            "field.dispatchEvent(new Event('change', {bubbles: true}));"
        )

    def until(self, condition: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not self.page.script(condition):
            assert time.monotonic() < deadline, condition
            time.sleep(0.1)

    def sees(self) -> str:
        return str(self.page.script("document.body.innerText"))


@pytest.fixture(scope="module")
def person(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    downloads = Path(tmp_path_factory.mktemp("downloads"))
    with browser.chromium(Path(tmp_path_factory.mktemp("chromium"))) as page:
        page.size(1200, 900)
        page("Page.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
        yield Person(page, shop, downloads)


@pytest.fixture(scope="module")
def medusa(shop: Shop) -> Medusa:
    return Medusa.from_connection(CONNECTION)


@pytest.fixture
def told(medusa: Medusa) -> Callable[..., str]:
    """Puts a document into the shop; its id there."""

    def tell(one: Document, **how: Any) -> str:
        [outcome] = put(medusa.offline_orders if one.kind == "order" else medusa.invoices, one, **how)
        assert outcome.refused is None and outcome.target_id
        return outcome.target_id

    return tell


@pytest.fixture(scope="module")
def buy(shop: Shop) -> Buying:
    return Buying(shop)


@pytest.fixture
def account(shop: Shop) -> dict[str, Any]:
    """One whose buyer can log in."""
    data = new_account()
    shop.put(data)
    shop.set_password(email_of(data))
    return data


def test_a_buyer_browses_and_orders_again(
    person: Person, buy: Buying, account: dict[str, Any], told: Callable[..., str]
) -> None:
    code, sku = account["code"], buy.product(price=9.5)
    order = an_order(
        code, reference="Site 7", status="sent", parcels=(Parcel(tracking_number="TRACK1", url="https://c.example/1"),),
        lines=(
            a_line(sku=sku, title="Thing", quantity=Decimal(3)),
            a_line(sku="OLD-1", title="Old pump", successor="NEW-1"),
            a_line(sku=None, title="Assembly", quantity=Decimal("0.5"), unit="Hour", price=Decimal("80.125")),
        ),
    )  # fmt: skip
    invoice = an_invoice(code, belongs_to=(order.number,), made_on=date(2026, 4, 1))
    for one in (order, invoice, a_credit_note(code, made_on=date(2026, 5, 1), open=Decimal("-19.05"))):
        told(one)
    shown = person.logs_in(email_of(account), "correct horse", "1 to 3 of 3 documents")
    assert f"{account['name']} ({code})" in shown and "To be paid €99.95, overdue €119.00" in shown
    assert shown.index("Credit note") < shown.index(f"Invoice {invoice.number}") < shown.index(f"Order {order.number}")
    person.page.picture(PICTURES / "account.png")

    person.fills("kind", "order")
    assert "Invoice INV" not in person.page.shows("1 to 1 of 1 documents")
    person.fills("kind", "")
    person.page.shows("1 to 3 of 3 documents")
    person.page.script("document.getElementById('q').focus()")
    person.types("assembly SITE")
    person.presses(ENTER)
    person.page.shows("1 to 1 of 1 documents")

    shown = person.clicks(f"Order {order.number}", "Order again", "Old pump")
    for words in ("Mar 1, 2026", "sent", "Site 7", "TRACK1", f"Invoice {invoice.number}", "now NEW-1", "€80.125"):
        assert words in shown
    assert "0.5 Hour at €80.125" in shown and "Save the document" not in shown
    assert person.page.script("document.activeElement.tagName") == "H2"
    links = "[...document.querySelectorAll('#paper a')].find((one) => one.textContent == 'TRACK1')"
    assert person.page.script(f"{links}.href + ' ' + {links}.rel") == "https://c.example/1 noopener noreferrer"

    shown = person.clicks("Order again", "1 article is in your cart", "Not in your cart")
    assert "3 at €9.50" in shown and "€28.50" in shown
    assert "10 of Old pump (OLD-1): not in the shop any more. In its place there is NEW-1." in shown
    assert "0.5 of Assembly: no article of the shop." in shown
    assert person.page.script("document.activeElement.id") == "result"
    person.page.picture(PICTURES / "account-document.png")
    person.clicks("Order again", "6 at €9.50")

    person.clicks(f"Invoice {invoice.number}", "Still open", "€119.00", f"Order {order.number}")
    person.clicks("All documents", "Search")
    person.clicks("Log out", "E-mail address")
    assert order.number not in person.sees() and code not in person.sees()
    assert person.page.script("sessionStorage.length + document.cookie.length + location.hash.length") == 0


def test_pages_of_twenty_and_dates(person: Person, account: dict[str, Any], told: Callable[..., str]) -> None:
    documents = [an_invoice(account["code"], made_on=date(2026, 1, 1) + timedelta(days=n)) for n in range(25)]
    for one in documents:
        told(one)
    person.logs_in(email_of(account), "correct horse", "1 to 20 of 25 documents")
    assert person.page.script("document.getElementById('newer').disabled")
    assert documents[4].number in person.clicks("Older", "21 to 25 of 25 documents")
    assert person.page.script("document.getElementById('older').disabled")
    person.clicks("Newer", "1 to 20 of 25 documents")
    person.fills("from", "2026-01-02")
    person.fills("until", "2026-01-03")
    shown = person.page.shows("1 to 2 of 2 documents")
    assert documents[1].number in shown and documents[2].number in shown


def test_a_printed_document_is_saved_once_it_has_come(
    person: Person, medusa: Medusa, account: dict[str, Any], told: Callable[..., str]
) -> None:
    one = an_invoice(account["code"])
    told(one)
    person.logs_in(email_of(account), "correct horse", one.number)
    person.clicks(f"Invoice {one.number}", "Save the document")
    person.clicks("Save the document", "The document is being printed")
    [wish] = [wish for page in medusa.invoices.wishes() for wish in page if wish.ref == one.file]
    medusa.invoices.deliver(wish.id, PDF)
    person.page.shows(f"{one.number}.pdf is saved.")
    saved = person.downloads / f"{one.number}.pdf"
    deadline = time.monotonic() + 30
    while not saved.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert saved.read_bytes() == PDF

    put(medusa.invoices, later(one, status="paid"), fingerprint="f2")
    person.clicks("Save the document", "The document is being printed")
    [wish] = [wish for page in medusa.invoices.wishes() for wish in page if wish.ref == one.file]
    medusa.invoices.deliver(wish.id, None)
    person.page.shows("There is no printed document")


def test_hostile_words_are_shown_as_words(
    person: Person, buy: Buying, account: dict[str, Any], told: Callable[..., str]
) -> None:
    one = an_order(
        account["code"], number="1<2>", source_id=f"{account['code']} ' onclick=x", reference="<b onload=1",
        lines=(a_line(sku="'\" onload=hit=1 <svg", title=HOSTILE), a_line(sku=None, title="x" * 1900, quantity=None)),
    )  # fmt: skip
    told(one)
    shown = person.logs_in(email_of(account), "correct horse", "Order 1<2>")
    assert "Your reference <b onload=1" in shown
    shown = person.clicks("Order 1<2>", HOSTILE, "'\" onload=hit=1 <svg")
    assert HOSTILE in person.clicks("Order again", "Nothing of it can be bought now", "not in the shop any more")
    count = "document.querySelectorAll('#paper img, #paper script, #paper svg, #documents b').length"
    assert person.page.script(f"{count} + (window.hit ?? 0)") == 0


def test_nothing_but_the_pages_own_script_runs(person: Person, shop: Shop) -> None:
    answer = shop.session.get(f"{shop.url}/erp/account", timeout=60)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert shop.session.get(f"{shop.url}/erp/account", timeout=60).headers["Content-Security-Policy"] != policy
    assert shop.session.get(f"{shop.url}/erp/account/script", timeout=60).headers["X-Content-Type-Options"] == "nosniff"
    person.arrives("Log in")
    person.page.script(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hit=1\">');"
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.hit = 1'}))"
    )
    person.page.script("setTimeout(() => (window.waited = 1), 200)")
    person.until("window.waited")
    assert person.page.script("window.hit ?? 0") == 0


def test_wrong_passwords_and_ended_logins(
    person: Person, shop: Shop, account: dict[str, Any], told: Callable[..., str]
) -> None:
    id_ = told(an_invoice(account["code"]))
    person.logs_in(email_of(account), "wrong horse", "E-mail address or password is wrong.")
    person.logs_in(email_of(account), "correct horse", "1 to 1 of 1 documents")
    person.opens("Save the document", at=f"#{id_}")
    person.page.script("location.hash = 'erpdoc_0'")
    person.page.shows("You have no such document", "All documents")
    shop.put({**account, "status": "blocked", "fingerprint": "2"})
    person.clicks("All documents", "Your login has ended. Log in again.")
    assert "INV-" not in person.sees()
    person.logs_in(email_of(account), "correct horse", "E-mail address or password is wrong.")


def test_a_shopper_without_an_account_is_told_so(person: Person, shop: Shop) -> None:
    shop.sign_up("shopper@account-page.example")
    shown = person.logs_in("shopper@account-page.example", "my own choice", "There are no such documents.")
    assert "This login has no company account." in shown


def test_ordering_again_buys_for_the_documents_account(
    person: Person, shop: Shop, buy: Buying, account: dict[str, Any], told: Callable[..., str]
) -> None:
    other = new_account(buyers=account["buyers"])
    shop.put(other)
    one = an_order(other["code"], lines=(a_line(sku=buy.product(), quantity=Decimal(1)),))
    told(one)
    shown = person.logs_in(email_of(account), "correct horse", "1 to 1 of 1 documents")
    assert f"account {other['code']}" in shown
    person.clicks(f"Order {one.number}", "Order again")
    cart = person.clicks("Order again", "1 article is in your cart", "Cart cart_").partition("Cart ")[2].split()[0]
    assert shop.sql(f"SELECT metadata ->> 'erp_account' FROM cart WHERE id = '{cart}'") == [other["code"]]


CONTRAST = """
    const channel = (part) => ((part /= 255) <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
    const ground = (one) => {
      const colour = one ? numbers(getComputedStyle(one).backgroundColor) : [255, 255, 255];
      return colour[3] === 0 ? ground(one.parentElement) : colour;
    };
    [...document.querySelectorAll('main *, header *')]
      .filter((one) => one.checkVisibility() && [...one.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
      .map((one) => [light(numbers(getComputedStyle(one).color)), light(ground(one)), one.outerHTML.slice(0, 80)])
      .filter(([a, b]) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5).map(([, , what]) => what).join()
"""
NAMELESS = """
    [...document.querySelectorAll('input, select, button, a')]
      .filter((one) => one.checkVisibility() && !one.labels?.length && !one.textContent.trim())
      .map((one) => one.outerHTML).join()
"""
SMALL = """
    [...document.querySelectorAll('input, select, button')]
      .filter((one) => one.checkVisibility() && one.getBoundingClientRect().height < 40).map((one) => one.id).join()
"""


def test_it_can_be_used_on_a_phone_and_by_keyboard(
    person: Person, buy: Buying, account: dict[str, Any], told: Callable[..., str]
) -> None:
    """At 390 pixels; every field has a label, every text enough contrast, and the tab key goes everywhere."""
    page = person.page
    one = an_order(
        account["code"], reference="W" * 100, status="partly sent", made_on=date(2026, 6, 1),
        lines=(a_line(sku=buy.product(), title="Wide " + "W" * 150), a_line(sku=None, title="Installation on site")),
    )  # fmt: skip
    told(one)
    told(an_invoice(account["code"]))

    def is_readable(name: str) -> None:
        page.picture(PICTURES / f"account-phone-{name}.png")
        assert page.script("document.documentElement.scrollWidth") <= 390
        assert [page.script(check) for check in (NAMELESS, CONTRAST, SMALL)] == ["", "", ""]
        assert page.script("document.documentElement.lang + document.querySelectorAll('h1, main').length") == "en2"

    page.size(390, 844)
    try:
        person.arrives("Log in")
        is_readable("login")
        person.logs_in(email_of(account), "correct horse", "1 to 2 of 2 documents")
        is_readable("list")
        stops = []
        for _ in range(20):
            person.presses(TAB)
            stops.append(page.script("document.activeElement.id || document.activeElement.textContent"))
        expected = ["out", "q", "kind", "status", "from", "until", "Search", f"Order {one.number}"]
        assert [stop for stop in dict.fromkeys(stops) if stop in expected] == expected
        page.script(f"[...document.querySelectorAll('a')].find((a) => a.textContent == 'Order {one.number}').focus()")
        person.presses(ENTER)
        page.shows("Order again")
        person.until("document.activeElement.tagName == 'H2'")
        person.presses(TAB)
        assert page.script("document.activeElement.id") == "again"
        person.presses(ENTER)
        page.shows("1 article is in your cart", "Not in your cart")
        is_readable("document")
    finally:
        page.size(1200, 900)
