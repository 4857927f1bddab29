"""An Airflow hook for Medusa's REST API: login, one session, errors by name.

Facts: https://docs.medusajs.com/api/admin, and measurements on 2.18.0: a secret API key is checked with
scrypt at every call (100 ms), a login's token is not, so we log in.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

import msgspec
import requests
from pydantic import Field, field_validator

from crossdock.connectors.hook import HttpSettings, SystemHook, lost
from crossdock.connectors.medusa.api import File
from crossdock.connectors.medusa.item_mapping import OWNABLE
from crossdock.errors import BadCredentials, CrossdockError, Misconfigured, Reject, without_emails

_REFUSED = {400: "invalid", 404: "not_found", 409: "conflict", 413: "too_large", 422: "invalid"}


class Settings(HttpSettings):
    """What a connection of type ``medusa`` may say in its extras."""

    publishable_key: str | None = None
    sales_channel: str | None = None
    shipping_profile: str | None = None
    shop_fields: tuple[str, ...] | None = None
    on_account_providers: tuple[str, ...] | None = None
    hint_secret: str | None = Field(default=None, min_length=16)

    @field_validator("shop_fields", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        names = tuple(sorted({name.strip() for name in value.split(",")} - {""})) if isinstance(value, str) else value
        if unknown := ", ".join(sorted(set(names) - set(OWNABLE))):
            raise ValueError(f"{unknown} cannot be the shop's; possible: {', '.join(OWNABLE)}")
        return names

    @field_validator("on_account_providers", mode="before")
    @classmethod
    def _providers(cls, value: Any) -> Any:
        return tuple(sorted({name.strip() for name in value.split(",")} - {""})) if isinstance(value, str) else value


class MedusaHook(SystemHook):
    """Calls to one Medusa as its administrator (login: e-mail, password)."""

    conn_name_attr = "medusa_conn_id"
    default_conn_name = "medusa_default"
    conn_type = "medusa"
    hook_name = "Medusa"

    def __init__(self, medusa_conn_id: str = default_conn_name) -> None:
        super().__init__(http_conn_id=medusa_conn_id)
        self._token: str | None = None

    def get(self, path: str, params: Mapping[str, Any] | None = None, *, token: str | None = None) -> dict[str, Any]:
        """Read. Raises Retry, BadCredentials, or Misconfigured when the shop does not know the question.

        ``token``: as this customer ("" for a guest) instead of the administrator.
        """
        try:
            return self._call("GET", path, params=params, token=token)
        except Reject as refusal:
            raise Misconfigured(f"Medusa does not answer {path}: {refusal.reason} Is the URL right?") from None

    def knows(self, path: str) -> bool:
        """Whether the shop has this route. Raises as ``get``."""
        try:
            self._call("GET", path)
        except Reject:
            return False
        return True

    def post(self, path: str, body: Any, *, token: str | None = None) -> dict[str, Any]:
        """Write. Raises Reject when it is refused, Retry when it was not sent, AnswerLost when it may have been done.

        ``token``: write as this customer ("" for nobody) instead of the administrator.
        """
        return self._call("POST", path, data=msgspec.json.encode(body), token=token)

    def upload(self, path: str, files: Sequence[File]) -> dict[str, Any]:
        """Send files. Raises as ``post``."""
        return self._call("POST", path, files=[("files", (file.name, file.content, file.mime_type)) for file in files])

    def delete(self, path: str) -> dict[str, Any]:
        """Remove. Raises as ``post``."""
        return self._call("DELETE", path)

    def now(self) -> datetime:
        """The shop's clock, by the whole second below. Raises as ``get``."""
        self.get("/admin/stores", {"fields": "id"})
        return self._clock

    @cached_property
    def extension(self) -> str | None:
        """The version of the ERP extension, None on a stock Medusa."""
        try:
            return str(self._call("GET", "/admin/erp")["version"])
        except Reject:
            return None

    @property
    def address(self) -> str:
        """Host, port and path of the shop, for its fingerprint."""
        self.session  # noqa: B018 - the base class learns the URL when it makes the session
        return self.base_url.split("://", 1)[1].rstrip("/")

    @cached_property
    def settings(self) -> Settings:
        """See ``Settings``. Raises Misconfigured for anything else."""
        return self.read_settings(Settings)

    def test_connection(self) -> tuple[bool, str]:
        """What the Test button of Airflow's form shows."""
        try:
            self._token = self._log_in()
            store = self.get("/admin/stores")["stores"][0]["name"]
            if self.settings.publishable_key:
                self._call("GET", "/store/regions", token="")
        except Reject:
            return False, "Logged in, but Medusa refuses the publishable key. Copy it from the shop's settings."
        except CrossdockError as error:
            return False, str(error)
        if not self.extension:
            return True, f"Logged in to {store}. The ERP extension is missing: accounts are written one by one, slowly."
        return True, f"Logged in to {store}. The ERP extension {self.extension} is there."

    @cached_property
    def session(self) -> requests.Session:
        """With the key of the sales channel that visitors see."""
        session = super().session
        if self.settings.publishable_key:
            session.headers["x-publishable-api-key"] = self.settings.publishable_key
        return session

    def _call(self, verb: str, path: str, *, token: str | None = None, **more: Any) -> dict[str, Any]:
        if path.startswith("/store/") and not self.settings.publishable_key:
            raise Misconfigured(f"Connection {self.http_conn_id} needs the extra publishable_key for {path}.")
        writes = verb != "GET"
        response = self._send(verb, path, self._access() if token is None else token, writes=writes, **more)
        if token is None and response.status_code == 401:  # a token lives for a day
            self._token = self._log_in()
            response = self._send(verb, path, self._token, writes=writes, **more)
        return _answer(response, f"{verb} {path}", writes)

    def _access(self) -> str:
        """The token of an earlier task, if there is one, else a new one."""
        if self._token is None:
            self._token = self._kept.get() or self._log_in()
        return self._token

    def _log_in(self) -> str:
        credentials = {"email": self.connection.login or "", "password": self.connection.password or ""}
        path = "/auth/user/emailpass"
        response = self._send("POST", path, "", writes=False, data=msgspec.json.encode(credentials))
        if response.status_code in (400, 401):
            raise BadCredentials(
                f"Medusa refuses the login of connection {self.http_conn_id}. Check e-mail and password."
            )
        answer = _answer(response, f"POST {path}", writes=False)
        if answer.get("mfa_required") or "token" not in answer:
            raise BadCredentials(
                f"The administrator of connection {self.http_conn_id} cannot log in with a password alone. "
                "Give Crossdock an administrator of its own, without a second factor."
            )
        token = str(answer["token"])
        self._kept.keep(token)
        return token

    def _send(self, verb: str, path: str, token: str, *, writes: bool, **more: Any) -> requests.Response:
        headers: dict[str, str | None] = {"Authorization": f"Bearer {token}"} if token else {}
        if "files" in more:
            headers["Content-Type"] = None  # the session's would stand in the way of multipart
        response = self.send(verb, path, f"{verb} {path}", writes=writes, headers=headers, **more)
        if "Date" in response.headers:
            self._clock = parsedate_to_datetime(response.headers["Date"]).astimezone(UTC)
        return response


def _answer(response: requests.Response, call: str, writes: bool) -> dict[str, Any]:
    """The answer's object, or the error that says what to do."""
    status = response.status_code
    if status in (401, 403):
        raise BadCredentials(f"Medusa refuses this login ({call}: {status}). Check the connection's user.")
    if status in _REFUSED:
        raise Reject(
            _REFUSED[status],
            f"Medusa answers {status}: {_message(response)}",
            "Correct it in the ERP, or ask the shop's developers.",
        )
    if 300 <= status < 500:
        raise Misconfigured(f"Medusa answers {status} ({call}). Check that the connection's URL is the shop's own.")
    answer = None
    if status < 300:
        with contextlib.suppress(ValueError):
            answer = response.json()
    if isinstance(answer, dict):
        return answer
    lost(
        f"Medusa answers {status} ({call})" if status >= 500 else f"Medusa's answer is no JSON object ({call})", writes
    )


def _message(response: requests.Response) -> str:
    """Medusa's own words, without personal data."""
    try:
        words = str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        return "no reason given."
    return without_emails(words)
