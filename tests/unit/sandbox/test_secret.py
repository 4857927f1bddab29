from __future__ import annotations

import base64
from pathlib import Path

from sandbox.secret import secret, write_private


def test_a_secret_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    first = secret(tmp_path, "fernet key")
    assert secret(tmp_path, "fernet key") == first != secret(tmp_path, "jwt")
    assert len(base64.urlsafe_b64decode(first)) == 32
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_a_private_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "new" / "facts.json"
    write_private(file, "long text")
    write_private(file, "short")
    assert file.read_text() == "short"
    assert [left.name for left in file.parent.iterdir()] == ["facts.json"]
