"""An Airflow hook for the files of a 3PL: where they are."""

from __future__ import annotations

from datetime import tzinfo
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import BaseHook, ObjectStoragePath
from pydantic import BaseModel, ConfigDict, field_validator

from crossdock.connectors.hook import read_settings
from crossdock.errors import CrossdockError, Misconfigured


class Settings(BaseModel):
    """What a connection of type ``crossdock_3pl`` may say in its extras.

    ``inbox``: a path, or a URL as ``ObjectStoragePath`` takes it (``s3://CONNECTION@bucket/advices``). ``zone``: the
    one of dates and times in files that name none (``America/Chicago``).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    inbox: str | None = None
    zone: str = "UTC"

    @field_validator("zone")
    @classmethod
    def _is_known(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError("no such time zone; write it as Europe/Berlin") from error
        return zone


class ThreePlHook(BaseHook):
    """The folder into which one warehouse puts its files."""

    conn_name_attr = "threepl_conn_id"
    default_conn_name = "crossdock_3pl"
    conn_type = "crossdock_3pl"
    hook_name = "3PL (files)"

    def __init__(self, threepl_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self._conn_id = threepl_conn_id

    @cached_property
    def connection(self) -> Any:
        """Airflow's. Who has looked it up already puts it here."""
        return self.get_connection(self._conn_id)

    @cached_property
    def _settings(self) -> Settings:
        return read_settings(self.connection, Settings)

    @property
    def zone(self) -> tzinfo:
        """Of dates and times in files that name none."""
        return ZoneInfo(self._settings.zone)

    @cached_property
    def inbox(self) -> ObjectStoragePath:
        """Raises Misconfigured when the connection does not name one that is there."""
        named = self._settings.inbox
        if not named:
            raise Misconfigured(
                f"Connection {self._conn_id} needs the extra inbox: the folder of the warehouse's files."
            )
        folder = ObjectStoragePath(named)
        if not folder.is_dir():
            raise Misconfigured(
                f"Connection {self._conn_id}: there is no folder {named}. Make it, or correct the extra inbox."
            )
        return folder

    def test_connection(self) -> tuple[bool, str]:
        """What the Test button of Airflow's form shows."""
        try:
            return True, f"{sum(1 for _ in self.inbox.iterdir())} files lie in the inbox."
        except (CrossdockError, OSError) as error:
            return False, str(error)
