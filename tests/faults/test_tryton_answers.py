"""A Tryton that is away, slow, refuses or talks nonsense: which of our errors each becomes."""

from __future__ import annotations

import gzip
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from crossdock.connectors.tryton.adapter import Tryton
from crossdock.connectors.tryton.hook import TrytonHook
from crossdock.errors import AnswerLost, BadCredentials, CrossdockError, Misconfigured, Reject, Retry, Stop
from crossdock.ports import Window
from sandbox.service import free_port

CONNECTION = "crossdock_fake_erp"
SECRET = "the-secret-password"


@dataclass
class Answer:
    status: int = 200
    body: bytes = b'{"id": 0, "result": 1}'
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0
    cut: int = 0
    """So many bytes of the body never come."""


@dataclass
class Fake:
    """Logs everybody in; what else it answers, a test says. The last answer is repeated."""

    port: int
    answers: list[Answer] = field(default_factory=lambda: [Answer()])
    preferences: Answer = field(default_factory=lambda: Answer(body=b'{"result": {"company": 1}}'))
    login: Answer = field(default_factory=lambda: Answer(body=b'{"result": [4, "0123abcd", null]}'))
    calls: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def answer(self, call: dict[str, Any]) -> Answer:
        if call["method"] == "common.db.login":
            return self.login
        if call["method"] == "model.res.user.get_preferences":
            return self.preferences
        if call["method"] == "common.server.version":
            return Answer(body=b'{"result": "8.0.12"}')
        self.calls.append(call)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    fake = Fake(free_port())

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            fake.headers.append(dict(self.headers))
            answer = fake.answer(call)
            time.sleep(answer.seconds)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body[: len(answer.body) - answer.cut])

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    connect(monkeypatch, fake.port)
    with ThreadingHTTPServer(("127.0.0.1", fake.port), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield fake
        server.shutdown()


def connect(monkeypatch: pytest.MonkeyPatch, port: int, **more: Any) -> None:
    parts = {"conn_type": "tryton", "host": f"http://127.0.0.1:{port}", "schema": "erp", "login": "sync"}
    extra = {"timeout": 0.5, **more}
    monkeypatch.setenv("AIRFLOW_CONN_" + CONNECTION.upper(), json.dumps({**parts, "password": SECRET, "extra": extra}))


def read() -> Any:
    return TrytonHook(CONNECTION).call("model.party.party.search_count", [])


def write() -> Any:
    return TrytonHook(CONNECTION).write("model.party.party.write", [1], {"name": "A"})


def error(*answers: object) -> Answer:
    return Answer(body=json.dumps({"id": 0, "error": list(answers)}).encode())


LOST = [
    pytest.param(Answer(500, b"<h1>Internal Server Error</h1>"), id="500"),
    pytest.param(Answer(503), id="503"),
    pytest.param(Answer(504), id="504"),
    pytest.param(Answer(body=b"<html>maintenance</html>"), id="garbage"),
    pytest.param(Answer(body=b'{"id": 0, "result": [{"na'), id="truncated-json"),
    pytest.param(Answer(body=b'{"id": 0, "result": 1}', cut=5), id="cut-off"),
    pytest.param(Answer(body=b"\x1f\x8b garbage", headers={"Content-Encoding": "gzip"}), id="broken-gzip"),
    pytest.param(Answer(body=b"[]"), id="another-json"),
    pytest.param(Answer(seconds=1), id="slow"),
]


@pytest.mark.parametrize("answer", LOST)
def test_a_question_without_an_answer_may_be_asked_again(fake: Fake, answer: Answer) -> None:
    fake.answers = [answer]
    with pytest.raises(Retry) as caught:
        read()
    assert type(caught.value) is Retry


@pytest.mark.parametrize("answer", LOST)
def test_a_change_without_an_answer_may_have_been_made(fake: Fake, answer: Answer) -> None:
    fake.answers = [answer]
    with pytest.raises(AnswerLost):
        write()
    assert len(fake.calls) == 1


@pytest.mark.parametrize("act", [read, write])
def test_nobody_listens(monkeypatch: pytest.MonkeyPatch, fake: Fake, act: Callable[[], Any]) -> None:
    connect(monkeypatch, free_port())
    with pytest.raises(Retry) as caught:
        act()
    assert type(caught.value) is Retry


def test_a_session_that_ended_is_opened_again_once(fake: Fake) -> None:
    fake.answers = [Answer(401, b""), Answer()]
    assert write() == 1
    fake.answers = [Answer(401, b"")]
    with pytest.raises(BadCredentials):
        read()
    assert len(fake.calls) == 4


def test_a_login_that_is_refused(fake: Fake) -> None:
    fake.login = Answer(401, b"")
    with pytest.raises(BadCredentials, match="refuses the login"):
        read()


def test_a_login_that_wants_more_than_a_password(fake: Fake) -> None:
    fake.login = error("LoginException", ["totp_code", "Code", "char"])
    with pytest.raises(Stop):
        read()


def test_too_many_calls_are_waited_out(fake: Fake) -> None:
    fake.answers = [Answer(429, b"", {"Retry-After": "1"}), Answer()]
    started = time.monotonic()
    assert write() == 1
    assert 1 <= time.monotonic() - started < 3


@pytest.mark.parametrize(("headers", "after"), [({"Retry-After": "300"}, 300), ({}, None)])
def test_a_long_wait_is_left_to_airflow(
    fake: Fake, headers: dict[str, str], after: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossdock.connectors.hook.PATIENCE", 4)
    fake.answers = [Answer(429, b"", headers)]
    started = time.monotonic()
    with pytest.raises(Retry) as caught:
        read()
    assert caught.value.after == after and time.monotonic() - started < 8
    assert len(fake.calls) == 1 or not after


@pytest.mark.parametrize("answer", [Answer(302, b"", {"Location": "http://example.com/"}), Answer(404), Answer(403)])
def test_what_a_person_must_put_right(fake: Fake, answer: Answer) -> None:
    fake.answers = [answer]
    with pytest.raises(Misconfigured):
        read()


@pytest.mark.parametrize(
    ("answer", "asked", "told"),
    [
        (error("UserError", ["The code must be unique.", "", None]), Misconfigured, Reject),
        (error("UserWarning", ["abc.similar", "Is it the same?", ""]), Misconfigured, Reject),
        (error("ConcurrencyException", ["Records were modified"]), Retry, Retry),
        (error("'nope'", ""), Misconfigured, Misconfigured),
    ],
)
def test_what_the_application_answers(
    fake: Fake, answer: Answer, asked: type[CrossdockError], told: type[CrossdockError]
) -> None:
    fake.answers = [answer]
    for act, expected in ((read, asked), (write, told)):
        with pytest.raises(expected) as caught:
            act()
        assert type(caught.value) is expected


def test_no_error_holds_a_secret_or_an_address(fake: Fake, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    fake.answers = [error("UserError", ['The e-mail "ada@example.com" is not valid.', "Party <ada@example.com>", None])]
    with pytest.raises(Reject) as caught:
        write()
    said = str(caught.value) + caplog.text
    assert "(e-mail)" in str(caught.value)
    assert not any(secret in said for secret in ("ada@example.com", SECRET, "0123abcd", "c3luYzo0OjAxMjNhYmNk"))


def test_the_password_is_sent_at_the_login_only(fake: Fake) -> None:
    read()
    assert [headers.get("Authorization", "-").split()[0] for headers in fake.headers] == ["-", "Session", "Session"]
    assert not any("timeout" in {name.lower() for name in headers} for headers in fake.headers)
    assert all(headers["Accept-Encoding"] == "gzip" for headers in fake.headers)


def test_the_clock_is_the_servers(fake: Fake) -> None:
    assert abs((TrytonHook(CONNECTION).now() - datetime.now(UTC)).total_seconds()) < 2


def test_a_url_without_a_database(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"conn_type": "tryton", "host": "127.0.0.1", "port": fake.port, "login": "sync", "password": SECRET}
    monkeypatch.setenv("AIRFLOW_CONN_" + CONNECTION.upper(), json.dumps(parts))
    with pytest.raises(Misconfigured, match="needs the URL"):
        read()


def test_a_limit_that_is_known_is_kept(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, fake.port, requests_per_second=20)
    hook, started = TrytonHook(CONNECTION), time.monotonic()
    for _ in range(8):  # and two for the login
        hook.call("model.party.party.search_count", [])
    assert time.monotonic() - started >= (9 - 2) / 20  # two calls may come early, to make up for a stall


def test_a_login_that_was_answered_by_halves_is_made_again(fake: Fake) -> None:
    hook, fake.preferences = TrytonHook(CONNECTION), Answer(status=503)
    for _ in range(2):
        with pytest.raises(Retry):
            hook.call("model.party.party.search_count", [])
    fake.preferences = Answer(body=b'{"result": {"company": 7}}')
    assert hook.call("model.party.party.search_count", []) == 1 and hook.company == 7


CATEGORIES = Answer(body=b'{"result": [{"id": 3, "name": "Customers"}]}')
GOOD = b'{"id": 5, "code": "C1", "name": "One"}'


def test_a_row_that_cannot_be_read_travels_with_the_good_ones(fake: Fake) -> None:
    page = b'{"id": 0, "result": [' + GOOD + b', {"id": 6, "code": "C2", "name": "\xff\xfe"}, 7]}'
    fake.answers = [CATEGORIES, Answer(body=gzip.compress(page), headers={"Content-Encoding": "gzip"})]
    customers = Tryton.from_connection(CONNECTION).customers
    [rows] = customers.changed(Window(None, customers.now()))
    assert [(row.key, row.source_id) for row in rows] == [("C1", "5"), ("", ""), ("", "")]
    for row in rows[1:]:
        with pytest.raises(Reject, match="unreadable"):
            customers.parse(row.raw)


def test_pages_of_nothing_but_nonsense_stop_the_run(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossdock.connectors.tryton.adapter.PAGE", 2)
    fake.answers = [CATEGORIES, Answer(body=b'{"id": 0, "result": [1, 2]}')]
    customers = Tryton.from_connection(CONNECTION).customers
    with pytest.raises(Stop, match="cannot be read"):
        list(customers.changed(Window(None, customers.now())))
