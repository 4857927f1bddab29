"""Passwords and keys of one running sandbox: made once, kept in one file that only its owner can read."""

from __future__ import annotations

import json
import os
import secrets
import threading
from pathlib import Path

_ONE_WRITER = threading.Lock()


def secret(run: Path, name: str) -> str:
    """The secret of this name, made at the first call and the same ever after (32 bytes, URL-safe base64)."""
    file = run / "secrets.json"
    with _ONE_WRITER:
        known: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
        if name not in known:
            known[name] = secrets.token_urlsafe(32) + "="
            write_private(file, json.dumps(known, indent=1))
        return known[name]


def write_private(file: Path, text: str) -> None:
    """Write a file of mode 600, all of it or nothing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)
    part.replace(file)
