"""What the hooks of all systems have in common: settings, one session, a pace, errors by name."""

from __future__ import annotations

import time
from functools import cached_property
from typing import Any, ClassVar, NoReturn, TypeVar

import requests
from airflow.providers.http.hooks.http import HttpHook
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crossdock.connectors.pacing import Pacer
from crossdock.connectors.sessions import Kept
from crossdock.errors import AnswerLost, Misconfigured, Retry

PATIENCE = 30.0
"""Seconds a call waits, in all, for a system that asks to be called later; then the task is retried."""


class HttpSettings(BaseModel):
    """What the extras of every connection may say; any name that is not known is refused.

    ``verify``, ``cert``, ``proxies`` and ``trust_env`` are Airflow's own HTTP settings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    timeout: float = Field(default=60, gt=0)
    requests_per_second: float | None = Field(default=None, gt=0)
    verify: bool | str = True
    cert: str | None = None
    proxies: dict[str, str] | None = None
    trust_env: bool = True


_S = TypeVar("_S", bound=BaseModel)


def read_settings(connection: Any, model: type[_S]) -> _S:
    """The connection's extras. Raises Misconfigured, naming what is wrong with which one."""
    given = {name: value for name, value in connection.extra_dejson.items() if value not in (None, "")}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: "
            + ("unknown setting" if fault["type"] == "extra_forbidden" else fault["msg"])
            for fault in error.errors(include_input=False)
        )
        raise Misconfigured(
            f"Connection {connection.conn_id}: {faults}. Known settings: {', '.join(sorted(model.model_fields))}."
        ) from None


class SystemHook(HttpHook):
    """Calls to one system. Subclasses know how to log in and what an answer means."""

    headers: ClassVar[dict[str, str]] = {"Content-Type": "application/json"}

    @property
    def settings(self) -> HttpSettings:
        """The connection's extras, typed."""
        raise NotImplementedError

    @cached_property
    def connection(self) -> Any:
        """Airflow's connection: looked up once, since a look-up inside a task is a call to Airflow's API.

        Who has looked it up already puts it here.
        """
        return self.get_connection(self.http_conn_id)

    def read_settings(self, model: type[_S]) -> _S:
        """See ``read_settings``."""
        return read_settings(self.connection, model)

    @cached_property
    def session(self) -> requests.Session:
        """One for the life of the hook: ``HttpHook.run`` would open a new one for every call."""
        settings, connection = self.settings, self.connection
        vars(self)["get_connection"] = lambda conn_id: connection  # ``get_conn`` looks it up as well
        session = self.get_conn(self.headers)
        session.auth = None  # HttpHook would send the password with every call
        for name in type(settings).model_fields:  # and every extra as a header
            session.headers.pop(name, None)
        return session

    @cached_property
    def _kept(self) -> Kept:
        """The login that an earlier task left; ``test_connection`` does without, or it would test nothing."""
        return Kept(self.connection)

    @cached_property
    def _pacer(self) -> Pacer:
        return Pacer(self.settings.requests_per_second)

    def send(self, verb: str, path: str, call: str, *, writes: bool, **more: Any) -> requests.Response:
        """The answer, whatever its status but 429: that one is waited out, within reason.

        ``call`` names it for people. Raises Retry when nothing was sent, or we are to slow down;
        AnswerLost when something may have been done; Misconfigured for a certificate nobody trusts.
        """
        session, url, began = self.session, self.url_from_endpoint(path), time.monotonic()
        while True:
            self._pacer.wait()
            try:
                response = session.request(verb, url, timeout=self.settings.timeout, allow_redirects=False, **more)
            except requests.RequestException as error:
                self._unanswered(error, call, writes)
            if response.status_code != 429:
                self._pacer.accepted()
                return response
            given = response.headers.get("Retry-After", "")
            after = float(given) if given.isdigit() else None
            self._pacer.refused(after)
            if time.monotonic() - began + (after or 1) > PATIENCE:
                raise Retry(f"{self.hook_name} wants us to slow down ({call}).", after=after)

    def _unanswered(self, error: requests.RequestException, call: str, writes: bool) -> NoReturn:
        """No answer came: was the call sent?"""
        if isinstance(error, requests.exceptions.SSLError):
            raise Misconfigured(
                f"{self.hook_name}'s certificate is not trusted. Correct the URL, or set the extra verify."
            ) from None
        never_sent = isinstance(error, requests.ConnectTimeout) or "NewConnectionError" in repr(error)
        lost(f"{self.hook_name} does not answer ({call}: {type(error).__name__})", writes and not never_sent)


def lost(what: str, writes: bool) -> NoReturn:
    """Nobody knows what became of a call: AnswerLost if it wrote, Retry if it did not."""
    if writes:
        raise AnswerLost(f"{what}; it may have been carried out.") from None
    raise Retry(f"{what}. If this lasts, check that the system runs and the connection's URL is right.") from None
