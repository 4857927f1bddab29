"""A login that the next task can use: systems hash passwords slowly on purpose, and a run has six tasks.

Tryton takes 0.35 CPU seconds for a login, Medusa 0.17 (measured, 8.0.12 and 2.18.0). What a login gave is kept for an
hour in a file of our user's alone, as Kerberos does, sealed with the connection's password: a connection that says
something else does not find it. Where nothing can be kept, every task logs in.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import secrets
import stat
import tempfile
import time
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

HOUR = 3_600
"""Seconds: so long may a login last that was taken away from us, or whose password was changed."""
_SALT = 16
_COST = {"n": 2**11, "r": 8, "p": 1}
"""scrypt, 5 ms: a fraction of a login, and too slow to try many passwords on a file that was stolen."""


class Kept:
    """The login of one connection."""

    def __init__(self, connection: Any) -> None:
        who = "\0".join(str(one) for one in (connection.host, connection.port, connection.schema, connection.login))
        self._password = str(connection.password or "").encode()
        self._file = _folder() / hashlib.sha256(who.encode()).hexdigest()[:32]

    def get(self) -> str | None:
        """What was kept within the last hour, with this password."""
        try:
            if time.time() - self._file.stat().st_mtime > HOUR:
                return None
            content = self._file.read_bytes()
            return self._seal(content[:_SALT]).decrypt(content[_SALT:]).decode()
        except (OSError, InvalidToken):
            return None

    def keep(self, login: str) -> None:
        """Instead of what was kept before. What nobody may use any more is removed, whosesoever it was."""
        salt = secrets.token_bytes(_SALT)
        with contextlib.suppress(OSError):
            folder = self._file.parent
            folder.mkdir(mode=0o700, exist_ok=True)
            there = folder.lstat()
            if not stat.S_ISDIR(there.st_mode) or there.st_uid != os.getuid() or there.st_mode & 0o077:
                return
            with tempfile.NamedTemporaryFile(dir=folder, delete=False) as new:  # only its owner may read it
                new.write(salt + self._seal(salt).encrypt(login.encode()))
            Path(new.name).replace(self._file)
            for one in folder.iterdir():
                if time.time() - one.stat().st_mtime > HOUR:
                    one.unlink(missing_ok=True)

    def _seal(self, salt: bytes) -> Fernet:
        return Fernet(base64.urlsafe_b64encode(hashlib.scrypt(self._password, salt=salt, dklen=32, **_COST)))


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / f"crossdock-sessions-{os.getuid()}"
