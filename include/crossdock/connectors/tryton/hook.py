"""An Airflow hook for Tryton: login, one session, errors by name.

Facts: trytond 8.0, ``protocols/dispatcher.py`` and ``protocols/rest.py``; what each failure answers
was seen on 8.0.12. A failure of the application itself comes with status 200 and an ``error``.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, ClassVar, Literal
from urllib.parse import quote

import msgspec
import requests
from pydantic import Field, field_validator

from crossdock.connectors.hook import HttpSettings, SystemHook, lost
from crossdock.connectors.tryton import values
from crossdock.connectors.tryton.order_references import missing
from crossdock.errors import BadCredentials, CrossdockError, Misconfigured, Reject, Retry, without_emails


class Settings(HttpSettings):
    """What a connection of type ``tryton`` may say in its extras."""

    bearer: str | None = None
    company: int | None = Field(default=None, ge=1)
    customer_category: str = "Customers"
    blocked_category: str = "Blocked"
    credit_hold_category: str = "Credit hold"
    tax_exempt_rule: str = "Tax exempt"
    web_shop: str | None = None
    option_attributes: str | None = None
    languages: str | None = None
    orders_shop: str | None = None
    guest_account: str = "WEB-GUEST"
    registered_shoppers: Literal["receivable", "party"] = "receivable"
    tax_codes: Mapping[str, str] | None = None
    shipping_product: str | None = None
    payment_journal: str | None = None
    tracking_urls: Mapping[str, str] | None = None

    @field_validator("tax_codes", mode="before")
    @classmethod
    def _by_code(cls, value: Any) -> Any:
        pairs = [part.partition("=") for part in str(value).split(",") if part.strip()]
        taxes = {code.strip(): name.strip() for code, _, name in pairs}
        if not all(taxes) or not all(taxes.values()):
            raise ValueError("give the shop's code=name of the tax in Tryton, separated by commas")
        return taxes

    @field_validator("tracking_urls", mode="before")
    @classmethod
    def _by_carrier(cls, value: Any) -> Any:
        urls = {}
        for part in filter(None, map(str.strip, str(value).split(","))):
            carrier, _, url = (word.strip() for word in part.partition("="))
            if not (carrier and url.startswith(("http://", "https://")) and "{number}" in url):
                raise ValueError("give carrier=URL, separated by commas; each URL starts with http and holds {number}")
            urls[carrier.lower()] = url
        return urls


class _Answer(msgspec.Struct):
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: Any = None


class TrytonHook(SystemHook):
    """Calls to one Tryton database as one user. Host: the URL, schema: the database."""

    conn_name_attr = "tryton_conn_id"
    default_conn_name = "tryton_default"
    conn_type = "tryton"
    hook_name = "Tryton"
    headers: ClassVar[dict[str, str]] = {**SystemHook.headers, "Accept-Encoding": "gzip"}

    def __init__(self, tryton_conn_id: str = default_conn_name) -> None:
        super().__init__(http_conn_id=tryton_conn_id)
        self._authorization: str | None = None

    def call(self, method: str, *params: Any, **context: Any) -> Any:
        """Ask: ``call("model.party.party.search_count", [["code", "=", "C0001"]])``.

        The user's context is appended, and ``context``. Raises Retry, BadCredentials, or Misconfigured when
        Tryton does not know the question or may not answer it to this user.
        """
        return values.loads(self.ask(method, *params, **context))

    def ask(self, method: str, *params: Any, **context: Any) -> bytes:
        """As ``call``; the answer as JSON."""
        try:
            return self._call(method, params, context, writes=False)
        except Reject as refusal:
            raise Misconfigured(
                f"Tryton does not answer {method}: {refusal.reason} Check the rights of the connection's user."
            ) from None

    def write(self, method: str, *params: Any, **context: Any) -> Any:
        """Change something.

        Raises Reject when it is refused, Retry when it was not sent, AnswerLost when it may have been
        done, Misconfigured for a method or field that is not there.
        """
        return values.loads(self._call(method, params, context, writes=True))

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
        self._server_version()  # of all calls the cheapest
        return self._clock

    @property
    def user(self) -> int:
        """Our own user's id there. Raises as ``call``."""
        if self._authorization is None:
            self._begin()
        return int(base64.b64decode((self._authorization or "").removeprefix("Session ")).split(b":")[-2])

    @property
    def company(self) -> int:
        """The id of the settings' company, else our own user's. Raises as ``call``."""
        if self._authorization is None:
            self._begin()
        return int(self._context["company"])

    def test_connection(self) -> tuple[bool, str]:
        """What the Test button of Airflow's form shows."""
        try:
            settings = self.settings
            self._begin(anew=True)
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
            salable = self.call("model.product.template.search_count", [["salable", "=", True]])
            shop = settings.web_shop
            shops = self.call("model.web.shop.search_count", [["name", "=", shop]]) if shop else 0
            lacking = missing(self) if settings.orders_shop else []
        except CrossdockError as error:
            return False, str(error)
        found = {row["name"] for row in rows}
        categories = " ".join(
            f"Party category {name!r} is there." if name in found else f"Party category {name!r} is missing: {meaning}."
            for name, meaning in meanings.items()
        )
        where = f"Logged in to Tryton {self.version}, database {self._database}, {modules} modules."
        said = [where, categories, f"{salable} products are salable."]
        if shop:
            said.append(f"Web shop {shop!r} is {'there.' if shops else 'missing: nothing is for sale.'}")
        if settings.orders_shop:
            said.append(" ".join(lacking) or f"Orders become sales of web shop {settings.orders_shop!r}.")
        return settings.customer_category in found and (not shop or shops > 0) and not lacking, " ".join(said)

    @cached_property
    def version(self) -> str:
        """The server's version, for people."""
        return self._server_version()

    @cached_property
    def settings(self) -> Settings:
        """See ``Settings``. Raises Misconfigured for anything else."""
        return self.read_settings(Settings)

    @property
    def address(self) -> str:
        """Which database of which Tryton this is."""
        return f"tryton {self.connection.host} {self._database}"

    @property
    def _database(self) -> str:
        connection = self.connection
        if not connection.schema or "://" not in (connection.host or ""):
            raise Misconfigured(
                f"Connection {self.http_conn_id} needs the URL as its host (https://erp.example.com) and the name of "
                "the database."
            )
        return str(connection.schema)

    def _server_version(self) -> str:
        return str(values.loads(_result(self._post("", "common.server.version", (), writes=False), "version", False)))

    def _call(self, method: str, params: Sequence[Any], context: Mapping[str, Any], *, writes: bool) -> bytes:
        for last in (False, True):
            if self._authorization is None:
                self._begin()
            response = self._post(self._database, method, (*params, {**self._context, **context}), writes=writes)
            if response.status_code != 401 or last:
                return _result(response, method, writes)
            self._authorization = None  # a session ends: by time, or when somebody ends it
        raise AssertionError

    def _begin(self, anew: bool = False) -> None:
        """In the session of an earlier task, if it lasts, else in a new one."""
        self._authorization = None if anew else self._kept.get()
        try:
            response = self._preferences() if self._authorization else None
            if response is None or response.status_code == 401:
                self._login()
                response = self._preferences()
            self._context = dict(values.loads(_result(response, "preferences", False)))
            if self.settings.company:
                self._context["company"] = self.settings.company
            if not self._context.get("company"):
                raise Misconfigured(
                    f"The user of connection {self.http_conn_id} has no company. Give it one in Tryton, or set the "
                    "extra company."
                )
        except CrossdockError:
            self._authorization = None
            raise

    def _preferences(self) -> requests.Response:
        return self._post(self._database, "model.res.user.get_preferences", (True, {}), writes=False)

    def _login(self) -> None:
        self._authorization = None
        connection = self.connection
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
        self._kept.keep(self._authorization)

    def _post(self, database: str, method: str, params: Sequence[Any], *, writes: bool) -> requests.Response:
        path = f"{quote(database)}/rpc/" if database else "rpc/"
        body = values.dumps({"id": 0, "method": method, "params": list(params)})
        headers = {"Authorization": self._authorization} if self._authorization else {}
        return self._send("POST", path, method, writes=writes, data=body, headers=headers)

    def _send(self, verb: str, path: str, call: str, *, writes: bool, **more: Any) -> requests.Response:
        response = self.send(verb, path, call, writes=writes, **more)
        if "Date" in response.headers:
            self._clock = parsedate_to_datetime(response.headers["Date"]).astimezone(UTC)
        return response


def _result(response: requests.Response, method: str, writes: bool) -> bytes:
    """The result's JSON, or the error that says what to do."""
    content = _content(response, method, writes)
    try:
        answer = msgspec.json.decode(content, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        lost(f"Tryton's answer is not JSON-RPC ({method})", writes)
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
        lost(f"Tryton answers {status} ({call})", writes)
    if status == 401:
        raise BadCredentials(f"Tryton refuses the session it has just given us ({call}).")
    if status == 404:
        raise Misconfigured("Tryton has no such database, or the URL is not Tryton's. Check the connection.")
    raise Misconfigured(f"Tryton answers {status} ({call}). Check the connection's URL, and the rights of its user.")


def _fault(error: Any) -> tuple[str, str]:
    """Kind and words of a JSON-RPC error, without personal data."""
    parts = error if isinstance(error, list) else [error]
    kind, details = str(parts[0]), parts[1] if len(parts) > 1 else ""
    if isinstance(details, list):  # UserError: message, description; UserWarning: name, message, description
        words = details[kind == "UserWarning" :]
        details = " ".join(str(word) for word in words[:2] if word)
    return kind, without_emails(str(details))


def _base64(value: Any) -> str:
    return base64.urlsafe_b64encode(values.dumps(value)).decode()
