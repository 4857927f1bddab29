"""The books close, or the run fails."""

from __future__ import annotations

import pytest

from crossdock.errors import OpenAccount
from crossdock.sync.accounting import Books


def test_books_that_balance_close():
    books = Books(
        read=10,
        repeated=1,
        taken_up=2,
        vanished=1,
        created=3,
        updated=2,
        removed=1,
        unchanged=4,
        skipped={"old": 1},
        quarantined=1,
    )
    assert books.close("account") is books


def test_a_record_that_is_missing_fails_the_run():
    with pytest.raises(OpenAccount, match="2 account records came in, 1 are accounted for"):
        Books(read=2, created=1).close("account")


def test_a_record_counted_twice_fails_the_run():
    with pytest.raises(OpenAccount):
        Books(read=1, created=1, quarantined=1).close("account")


def test_books_survive_the_store():
    books = Books(read=3, created=2, skipped={"old": 1})
    assert Books.from_json(books.as_json()) == books


def test_the_line_leaves_zeros_out():
    assert Books(read=3, created=2, skipped={"old": 1}).line() == "read 3, created 2, skipped 1 (old)"
    assert Books().line() == "nothing to do"
