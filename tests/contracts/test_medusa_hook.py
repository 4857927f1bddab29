"""The Medusa hook: on the real shop, and on a server that plays every fault."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.shop_fixtures import CONNECTION, Shop

from crossdock.connectors.medusa.adapter import Medusa
from crossdock.connectors.medusa.api import File
from crossdock.connectors.medusa.extension import ExtensionCustomers
from crossdock.connectors.medusa.hook import MedusaHook
from crossdock.connectors.medusa.stock import StockCustomers
from crossdock.domain.customer import Account, Buyer
from crossdock.errors import AnswerLost, BadCredentials, CrossdockError, Misconfigured, Reject, Retry
from crossdock.ports import Put
from sandbox.place import HOST
from sandbox.service import free_port

_PASSWORD = "never to be shown"


class Fault:
    """A shop that lets everybody log in and answers everything else as told."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes, dict[str, str]]] = []
        self.seen: list[tuple[str, str, str | None]] = []
        self.types: list[str] = []

    def plays(self, status: int, body: bytes = b"{}", **headers: str) -> None:
        self.answers.append((status, body, headers))


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fault]:
    plan = Fault()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            plan.seen.append((self.command, self.path, self.headers["Authorization"]))
            plan.types.append(self.headers["Content-Type"])
            status, body, headers = 200, b'{"token": "t"}', {}
            if not self.path.startswith("/auth/user"):
                status, body, headers = plan.answers.pop(0)
            if status == 0:
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_DELETE = do_POST

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    connect(monkeypatch, host=f"http://{HOST}:{server.server_port}", extra={"timeout": 2})
    yield plan
    server.shutdown()
    server.server_close()


def connect(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> None:
    login = {"conn_type": "medusa", "login": "admin@x.example", "password": _PASSWORD}
    monkeypatch.setenv("AIRFLOW_CONN_FAULTY", json.dumps({**login, **fields}))


@pytest.mark.parametrize(
    ("status", "body", "on_reading", "on_writing"),
    [
        (0, b"", Retry, AnswerLost),
        (200, b"<html>", Retry, AnswerLost),
        (200, b"[]", Retry, AnswerLost),
        (302, b"", Misconfigured, Misconfigured),
        (400, b'{"message": "Customer with email: ada@acme.example exists"}', Misconfigured, Reject),
        (403, b"", BadCredentials, BadCredentials),
        (404, b"<html>", Misconfigured, Reject),
        (405, b"", Misconfigured, Misconfigured),
        (409, b"{}", Misconfigured, Reject),
        (413, b'{"message": "request entity too large"}', Misconfigured, Reject),
        (422, b"null", Misconfigured, Reject),
        (500, b"", Retry, AnswerLost),
        (503, b"", Retry, AnswerLost),
        (504, b"", Retry, AnswerLost),
    ],
)
def test_what_an_answer_means(fault: Fault, status: int, body: bytes, on_reading: type, on_writing: type) -> None:
    for expected, call in (
        (on_reading, lambda: MedusaHook("faulty").get("/admin/x")),
        (on_writing, lambda: MedusaHook("faulty").post("/admin/x", {})),
    ):
        fault.plays(status, body)
        with pytest.raises(CrossdockError) as caught:
            call()
        assert type(caught.value) is expected
        assert _PASSWORD not in str(caught.value)
        assert "ada@" not in str(caught.value)


def test_an_expired_token_is_renewed_once(fault: Fault) -> None:
    fault.plays(401)
    fault.plays(200, b'{"a": 1}')
    assert MedusaHook("faulty").get("/admin/x") == {"a": 1}
    assert [path for _, path, _ in fault.seen] == ["/auth/user/emailpass", "/admin/x"] * 2
    fault.plays(401)
    fault.plays(401)
    with pytest.raises(BadCredentials):
        MedusaHook("faulty").get("/admin/x")


def test_the_next_task_goes_on_with_the_token_and_the_test_of_the_connection_logs_in(fault: Fault) -> None:
    for _ in range(2):
        fault.plays(200)
        MedusaHook("faulty").get("/admin/x")
    assert [path for _, path, _ in fault.seen] == ["/auth/user/emailpass", "/admin/x", "/admin/x"]
    fault.plays(200, b'{"stores": [{"name": "Shop"}]}')
    fault.plays(200, b'{"version": "1"}')
    assert MedusaHook("faulty").test_connection()[0]
    assert fault.seen[3][1] == "/auth/user/emailpass"


def test_the_password_goes_only_to_the_login(fault: Fault) -> None:
    fault.plays(200)
    MedusaHook("faulty").get("/admin/x")
    assert [authorization for _, _, authorization in fault.seen] == [None, "Bearer t"]


def test_slow_down_is_waited_for_within_reason(fault: Fault) -> None:
    fault.plays(429, Retry_After="0")
    fault.plays(200, b'{"a": 1}')
    assert MedusaHook("faulty").post("/admin/x", {}) == {"a": 1}
    fault.plays(429, Retry_After="3600")
    with pytest.raises(Retry) as caught:
        MedusaHook("faulty").post("/admin/x", {})
    assert (type(caught.value), caught.value.after) == (Retry, 3600)


def test_a_file_is_sent_as_a_file_and_a_route_is_known_or_not(fault: Fault) -> None:
    hook = MedusaHook("faulty")
    fault.plays(200, b'{"files": []}')
    hook.upload("/admin/uploads", [File("a.png", b"bytes", "image/png")])
    assert fault.types[-1].startswith("multipart/form-data; boundary=")
    fault.plays(200)
    hook.post("/admin/x", {})
    assert fault.types[-1] == "application/json"
    fault.plays(404)
    fault.plays(200)
    assert [hook.knows("/admin/x"), hook.knows("/admin/x")] == [False, True]


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, host=f"http://{HOST}:{free_port()}")
    with pytest.raises(Retry) as caught:
        MedusaHook("faulty").post("/admin/x", {})
    assert type(caught.value) is Retry  # nothing was sent
    good, words = MedusaHook("faulty").test_connection()
    assert (good, "check that the system runs" in words) == (False, True)


@pytest.mark.parametrize(
    ("extra", "named"),
    [({"publishable_kee": "pk"}, "publishable_kee"), ({"timeout": -1}, "timeout"), ({"verify": 3}, "verify")],
)
def test_a_wrong_setting_is_named_and_its_value_is_not(monkeypatch: pytest.MonkeyPatch, extra: Any, named: str) -> None:
    connect(monkeypatch, host="http://shop.example", extra={**extra, "cert": _PASSWORD})
    with pytest.raises(Misconfigured, match=named) as caught:
        MedusaHook("faulty").get("/admin/x")
    assert _PASSWORD not in str(caught.value)
    assert MedusaHook("faulty").test_connection()[0] is False


def test_the_stores_api_needs_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, host="http://shop.example", extra={"publishable_key": ""})
    with pytest.raises(Misconfigured, match="publishable_key"):
        MedusaHook("faulty").post("/store/customers", {}, token="t")


def test_without_the_extension_it_says_so_once(fault: Fault, caplog: pytest.LogCaptureFixture) -> None:
    fault.plays(404, b"<html>Cannot GET")
    medusa = Medusa.from_connection("faulty")
    assert isinstance(medusa.customers, StockCustomers)
    assert medusa.customers is medusa.customers
    assert [record.levelname for record in caplog.records if "no ERP extension" in record.message] == ["WARNING"]


@pytest.mark.e2e
class TestOnTheRealShop:
    def test_the_test_button(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        assert MedusaHook(CONNECTION).test_connection() == (
            True,
            "Logged in to Hanse Industrial Supply. The ERP extension 0.1.0 is there.",
        )
        credentials = {"host": shop.url, "login": shop.credentials["admin_email"]}
        connect(monkeypatch, **credentials)
        good, words = MedusaHook("faulty").test_connection()
        assert (good, "refuses the login" in words, _PASSWORD in words) == (False, True, False)
        connect(
            monkeypatch, **credentials, password=shop.credentials["admin_password"], extra={"publishable_key": "pk_no"}
        )
        good, words = MedusaHook("faulty").test_connection()
        assert (good, "publishable key" in words) == (False, True)

    def test_the_connector_finds_the_extension(self, shop: Shop) -> None:
        customers = Medusa.from_connection(CONNECTION).customers
        assert isinstance(customers, ExtensionCustomers)
        assert customers.fingerprint().startswith(f"medusa {shop.url.removeprefix('http://')} store_")

    def test_claims(self, shop: Shop) -> None:
        shop.sign_up("founder@startup.example", company_name="Startup Ltd")
        for customers in (ExtensionCustomers(MedusaHook(CONNECTION)), StockCustomers(MedusaHook(CONNECTION))):
            claims = {(c.email, c.evidence, c.value) for page in customers.claims() for c in page}
            assert ("founder@startup.example", "company name", "Startup Ltd") in claims

    def test_stock_leaves_a_strangers_login_to_a_person(self, shop: Shop) -> None:
        customers = StockCustomers(MedusaHook(CONNECTION))
        buyers = (Buyer(source_id="1", email="s1@s.example"), Buyer(source_id="2", email="s2@s.example"))
        account = Account(number="S-1", name="S", buyers=buyers)
        token = shop.sign_up("s1@s.example")
        put = Put("S-1", "create", None, customers.payload(account), "f")
        (outcome,) = customers.put([put], lambda ref: b"")
        assert outcome.refused is not None
        assert (outcome.refused.code, "contact 1 " in outcome.refused.reason) == ("login_exists", True)
        assert "@" not in str(outcome.refused)
        assert shop.groups("s1@s.example") == []
        assert shop.groups("s2@s.example") == ["erp:account:S-1", "erp:buyers"]
        assert shop.get("/store/customers/me", token)
        assert customers.find(["S-1"])["S-1"].fingerprint is None
        shop.post(  # what the refusal's remedy says
            f"/admin/customers/{shop.customer('s1@s.example')['id']}/customer-groups",
            {"add": _group(shop, "erp:buyers")},
            shop.admin,
        )
        (outcome,) = customers.put([put], lambda ref: b"")
        assert outcome.refused is None
        assert "erp:account:S-1" in shop.groups("s1@s.example")


def _group(shop: Shop, name: str) -> list[str]:
    return [group["id"] for group in shop.get(f"/admin/customer-groups?name={name}", shop.admin)["customer_groups"]]
