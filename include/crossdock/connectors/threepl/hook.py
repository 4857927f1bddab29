"""An Airflow hook for the files of a 3PL: where they are."""

from __future__ import annotations

from functools import cached_property

from airflow.sdk import BaseHook, ObjectStoragePath
from pydantic import BaseModel, ConfigDict

from crossdock.connectors.hook import read_settings
from crossdock.errors import CrossdockError, Misconfigured


class Settings(BaseModel):
    """What a connection of type ``crossdock_3pl`` may say in its extras.

    ``inbox``: a path, or a URL as ``ObjectStoragePath`` takes it (``s3://CONNECTION@bucket/advices``).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    inbox: str | None = None


class ThreePlHook(BaseHook):
    """The folder into which one warehouse puts its files."""

    conn_name_attr = "threepl_conn_id"
    default_conn_name = "crossdock_3pl"
    conn_type = "crossdock_3pl"
    hook_name = "3PL (X12 files)"

    def __init__(self, threepl_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self._conn_id = threepl_conn_id

    @cached_property
    def inbox(self) -> ObjectStoragePath:
        """Raises Misconfigured when the connection does not name one that is there."""
        named = read_settings(self.get_connection(self._conn_id), Settings).inbox
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
