"""An Airflow hook for Tryton: login, one session, errors by name.

Facts: trytond 8.0, ``protocols/dispatcher.py`` and ``protocols/rest.py``; what each failure answers
was seen on 8.0.12. A failure of the application itself comes with status 200 and an ``error``.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, NoReturn
from urllib.parse import quote

import msgspec
import requests
from airflow.providers.http.hooks.http import HttpHook
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crossdock.connectors.pacing import Pacer
from crossdock.connectors.tryton import values
from crossdock.errors import AnswerLost, BadCredentials, CrossdockError, Misconfigured, Reject, Retry

_PATIENCE = 30.0
"""Seconds a call waits, in all, for a system that asks to be called later; then the task is retried."""


class Settings(BaseModel):
    """What a connection of type ``tryton`` may say in its extras; any other name is refused.

    ``verify``, ``cert``, ``proxies`` and ``trust_env`` are Airflow's own HTTP settings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    bearer: str | None = None
    company: int | None = Field(default=None, ge=1)
    customer_category: str = "Customers"
    blocked_category: str = "Blocked"
    credit_hold_category: str = "Credit hold"
    tax_exempt_rule: str = "Tax exempt"
    timeout: float = Field(default=60, gt=0)
    requests_per_second: float | None = Field(default=None, gt=0)
    verify: bool | str = True
    cert: str | None = None
    proxies: dict[str, str] | None = None
    trust_env: bool = True


class _Answer(msgspec.Struct):
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: Any = None


class TrytonHook(HttpHook):
    """Calls to one Tryton database as one user. Host: the URL, schema: the database."""

    conn_name_attr = "tryton_conn_id"
    default_conn_name = "tryton_default"
    conn_type = "tryton"
    hook_name = "Tryton"

    def __init__(self, tryton_conn_id: str = default_conn_name) -> None:
        super().__init__(http_conn_id=tryton_conn_id)
        self._authorization: str | None = None

    def call(self, method: str, *params: Any) -> Any:
        """Ask: ``call("model.party.party.search_count", [["code", "=", "C0001"]])``.

        The context is appended. Raises Retry, BadCredentials, or Misconfigured when Tryton does not
        know the question or may not answer it to this user.
        """
        return values.loads(self.ask(method, *params))

    def ask(self, method: str, *params: Any) -> bytes:
        """As ``call``; the answer as JSON."""
        try:
            return self._call(method, params, writes=False)
        except Reject as refusal:
            raise Misconfigured(
                f"Tryton does not answer {method}: {refusal.reason} Check the rights of the connection's user."
            ) from None

    def write(self, method: str, *params: Any) -> Any:
        """Change something.

        Raises Reject when it is refused, Retry when it was not sent, AnswerLost when it may have been
        done, Misconfigured for a method or field that is not there.
        """
        return values.loads(self._call(method, params, writes=True))

    def table(self, model: str, domain: Sequence[Any], fields: Sequence[str], limit: int) -> list[dict[str, Any]]:
        """Rows of a model over REST, ``limit`` at most, by id: for tables that JSON-RPC does not serve.

        Needs the extra ``bearer``. Raises as ``call``.
        """
        if self.settings.bearer is None:
            raise Misconfigured(f"Connection {self.http_conn_id} needs the extra bearer to read {model}.")
        query = {"d": _base64(list(domain)), "o": _base64([["id", "ASC"]]), "s": limit, "f": list(fields)}
        headers = {
            "Authorization": f"bearer {self.settings.bearer}",
            # without the company in it, everything that is kept per company reads as empty
            "X-Tryton-Context": _base64({"company": self._context["company"]}),
        }
        call = f"reading {model}"
        response = self._send(
            "GET", f"{quote(self._database)}/rest/model/{model}", call, writes=False, params=query, headers=headers
        )
        if response.status_code in (401, 403):
            raise BadCredentials(
                f"Tryton refuses the user application key of connection {self.http_conn_id} ({call}). Its application "
                "must be 'rest', its state validated, and its user may need more rights."
            )
        content = _content(response, call, writes=False)
        try:
            rows = values.loads(content)
        except ValueError:
            raise Retry(f"Tryton's answer is not JSON ({call}).") from None
        return list(rows)

    def now(self) -> datetime:
        """Tryton's clock, by the whole second below. Raises as ``call``."""
        self._call("model.res.user.get_preferences", (True,), writes=False)
        return self._clock

    def test_connection(self) -> tuple[bool, str]:
        """What the Test button of Airflow's form shows."""
        try:
            settings = self.settings
            modules = self.call("model.ir.module.search_count", [["state", "=", "activated"]])
            meanings = {
                settings.customer_category: "nobody is a customer",
                settings.blocked_category: "nobody is blocked",
                settings.credit_hold_category: "nobody is on credit hold",
            }
            rows = self.call(
                "model.party.category.search_read", [["name", "in", list(meanings)]], 0, None, None, ["name"]
            )
            if settings.bearer:
                self.table("party.party", [], ["code"], limit=1)
        except CrossdockError as error:
            return False, str(error)
        found = {row["name"] for row in rows}
        categories = " ".join(
            f"Party category {name!r} is there." if name in found else f"Party category {name!r} is missing: {meaning}."
            for name, meaning in meanings.items()
        )
        where = f"Logged in to Tryton {self.version}, database {self._database}, {modules} modules."
        return settings.customer_category in found, f"{where} {categories}"

    @cached_property
    def version(self) -> str:
        """The server's version, for people."""
        return str(values.loads(_result(self._post("", "common.server.version", (), writes=False), "version", False)))

    @cached_property
    def settings(self) -> Settings:
        """The connection's extras. Raises Misconfigured, naming what is wrong with which one."""
        connection = self.get_connection(self.http_conn_id)
        given = {name: value for name, value in connection.extra_dejson.items() if value not in (None, "")}
        try:
            return Settings.model_validate(given)
        except ValidationError as error:
            faults = "; ".join(
                f"{'.'.join(map(str, fault['loc']))}: "
                + ("unknown setting" if fault["type"] == "extra_forbidden" else fault["msg"])
                for fault in error.errors(include_input=False)
            )
            raise Misconfigured(
                f"Connection {self.http_conn_id}: {faults}. Known settings: {', '.join(sorted(Settings.model_fields))}."
            ) from None

    @property
    def _database(self) -> str:
        connection = self.get_connection(self.http_conn_id)
        if not connection.schema or "://" not in (connection.host or ""):
            raise Misconfigured(
                f"Connection {self.http_conn_id} needs the URL as its host (https://erp.example.com) and the name of "
                "the database."
            )
        return str(connection.schema)

    @cached_property
    def _session(self) -> requests.Session:
        session = self.get_conn({"Content-Type": "application/json", "Accept-Encoding": "gzip"})
        session.auth = None  # HttpHook would send the password with every call
        for name in Settings.model_fields:  # and every extra as a header
            session.headers.pop(name, None)
        return session

    @cached_property
    def _pacer(self) -> Pacer:
        return Pacer(self.settings.requests_per_second)

    def _call(self, method: str, params: Sequence[Any], *, writes: bool) -> bytes:
        for last in (False, True):
            if self._authorization is None:
                self._login()
            response = self._post(self._database, method, (*params, self._context), writes=writes)
            if response.status_code != 401 or last:
                return _result(response, method, writes)
            self._authorization = None  # a session ends: by time, or when somebody ends it
        raise AssertionError

    def _login(self) -> None:
        connection = self.get_connection(self.http_conn_id)
        login = connection.login or ""
        response = self._post(
            self._database, "common.db.login", (login, {"password": connection.password or ""}, "en"), writes=False
        )
        if response.status_code in (401, 403):
            raise BadCredentials(
                f"Tryton refuses the login of connection {self.http_conn_id}. Check user, password and database."
            )
        answer = values.loads(_result(response, "login", False))
        if not isinstance(answer, list) or len(answer) < 2:
            raise BadCredentials(
                f"The user of connection {self.http_conn_id} cannot log in with a password alone. "
                "Give Crossdock a user of its own."
            )
        session = base64.b64encode(f"{login}:{answer[0]}:{answer[1]}".encode()).decode()
        self._authorization = f"Session {session}"
        response = self._post(self._database, "model.res.user.get_preferences", (True, {}), writes=False)
        self._context = dict(values.loads(_result(response, "preferences", False)))
        if self.settings.company:
            self._context["company"] = self.settings.company
        if not self._context.get("company"):
            raise Misconfigured(
                f"The user of connection {self.http_conn_id} has no company. Give it one in Tryton, or set the extra "
                "company."
            )

    def _post(self, database: str, method: str, params: Sequence[Any], *, writes: bool) -> requests.Response:
        path = f"{quote(database)}/rpc/" if database else "rpc/"
        body = values.dumps({"id": 0, "method": method, "params": list(params)})
        headers = {"Authorization": self._authorization} if self._authorization else {}
        return self._send("POST", path, method, writes=writes, data=body, headers=headers)

    def _send(self, verb: str, path: str, call: str, *, writes: bool, **more: Any) -> requests.Response:
        """The answer, whatever its status but 429: that one is waited out, within reason."""
        session, url, waited = self._session, self.url_from_endpoint(path), 0.0
        while True:
            self._pacer.wait()
            try:
                response = session.request(verb, url, timeout=self.settings.timeout, allow_redirects=False, **more)
            except requests.RequestException as error:
                _unanswered(error, call, writes)
            if "Date" in response.headers:
                self._clock = parsedate_to_datetime(response.headers["Date"]).astimezone(UTC)
            if response.status_code != 429:
                self._pacer.accepted()
                return response
            after = _seconds(response.headers.get("Retry-After"))
            self._pacer.refused(after)
            waited += after or 1
            if after is None or waited > _PATIENCE:
                raise Retry(f"Tryton wants us to slow down ({call}). It counts failed logins as well.", after=after)


def _result(response: requests.Response, method: str, writes: bool) -> bytes:
    """The result's JSON, or the error that says what to do."""
    content = _content(response, method, writes)
    try:
        answer = msgspec.json.decode(content, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        _lost(f"Tryton's answer is not JSON-RPC ({method})", writes)
    if answer.error is None:
        return bytes(answer.result)
    kind, details = _fault(answer.error)
    match kind:
        case "UserError":
            raise Reject("refused", details, "Correct it in Tryton, or in the record.")
        case "UserWarning":
            raise Reject("warning", f"Tryton asks: {details}", "A person has to answer that in Tryton.")
        case "ConcurrencyException":
            raise Retry(f"Somebody else is changing the same record in Tryton ({method}).")
        case _:
            raise Misconfigured(f"Tryton does not know {kind} ({method}). Is the module activated, the version right?")


def _content(response: requests.Response, call: str, writes: bool) -> bytes:
    """The body of a successful answer."""
    status = response.status_code
    if status == 200:
        return response.content
    if status >= 500 or status == 408:
        _lost(f"Tryton answers {status} ({call})", writes)
    if status == 401:
        raise BadCredentials(f"Tryton refuses the session it has just given us ({call}).")
    if status == 404:
        raise Misconfigured("Tryton has no such database, or the URL is not Tryton's. Check the connection.")
    raise Misconfigured(f"Tryton answers {status} ({call}). Check the connection's URL, and the rights of its user.")


def _unanswered(error: requests.RequestException, call: str, writes: bool) -> NoReturn:
    """No answer came: was the call sent?"""
    if isinstance(error, requests.exceptions.SSLError):
        raise Misconfigured("Tryton's certificate is not trusted. Correct the URL, or set the extra verify.") from None
    never_sent = isinstance(error, requests.ConnectTimeout) or "NewConnectionError" in repr(error)
    _lost(f"Tryton does not answer ({call}: {type(error).__name__})", writes and not never_sent)


def _lost(what: str, writes: bool) -> NoReturn:
    if writes:
        raise AnswerLost(f"{what}; the change may have been made.") from None
    raise Retry(f"{what}. If this lasts, check that the ERP runs and the URL is right.") from None


def _fault(error: Any) -> tuple[str, str]:
    """Kind and words of a JSON-RPC error, without personal data."""
    parts = error if isinstance(error, list) else [error]
    kind, details = str(parts[0]), parts[1] if len(parts) > 1 else ""
    if isinstance(details, list):  # UserError: message, description; UserWarning: name, message, description
        words = details[kind == "UserWarning" :]
        details = " ".join(str(word) for word in words[:2] if word)
    return kind, re.sub(r"[^\s,;:'\"]+@[^\s,;:'\"]+", "(e-mail)", str(details))[:300]


def _seconds(retry_after: str | None) -> float | None:
    return float(retry_after) if retry_after and retry_after.isdigit() else None


def _base64(value: Any) -> str:
    return base64.urlsafe_b64encode(values.dumps(value)).decode()
