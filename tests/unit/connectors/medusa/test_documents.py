"""Documents as Medusa is told them, and what its answers mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from tests.documents import a_line, an_invoice, no_files

from crossdock.connectors.medusa.documents import Documents
from crossdock.errors import AnswerLost, Misconfigured, Reject
from crossdock.ports import Control, Put, Wish


class Api:
    """Answers by the end of the path, and what was asked."""

    extension: str | None = "0.1.0"

    def __init__(self, **answers: Any) -> None:
        self._answers = answers
        self.asked: list[tuple[str, Any]] = []

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        self.asked.append((path, params))
        return self._answers[path.rpartition("/")[2]].pop(0)

    def post(self, path: str, body: Any) -> Any:
        self.asked.append((path, body))
        answer = self._answers[path.rpartition("/")[2]]
        return answer(body) if callable(answer) else answer


def written(body: Any) -> Any:
    return {"outcomes": [{"key": one["key"], "id": "d1", "outcome": "created"} for one in body["documents"]]}


def documents(api: Any) -> Documents:
    return Documents(api, "invoices")


def test_amounts_are_told_to_the_last_digit_and_times_in_utc():
    berlin = timezone(timedelta(hours=1))
    one = an_invoice(
        "C1", total=Decimal("1E+3"), net=Decimal("0.00000001"), open=None, due_on=None, file=None,
        changed_at=datetime(2026, 1, 1, 0, 30, 0, 7, berlin),
        lines=(a_line(quantity=None, sku=None, price=Decimal("-0.5")),),
    )  # fmt: skip
    said = json.loads(documents(Api()).payload(one))
    assert (said["total"], said["net"], said["open"], said["due_on"]) == ("1000", "0.00000001", None, None)
    assert said["changed_at"] == "2025-12-31T23:30:00.000007Z"
    assert said["lines"] == [
        {
            "sku": None, "title": "Bolt M6", "quantity": None, "unit": "Unit", "price": "-0.5", "net": "12.50",
            "successor": None,
        }
    ]  # fmt: skip


def test_a_withdrawn_document_is_told_by_its_key_alone():
    api, one = Api(batch=written), an_invoice("C1", withdrawn=True)
    target = documents(api)
    target.put([Put("A", "remove", "d1", target.payload(one), "f"), Put("B", "remove", "d2", b"", "g")], no_files)
    [(path, body)] = api.asked
    assert path == "/admin/erp/documents/batch" and body["flow"] == "invoices"
    assert body["documents"] == [
        {"key": "A", "removed": True, "fingerprint": "f", "changed_at": "2026-11-20T12:00:00.000000Z"},
        {"key": "B", "removed": True, "fingerprint": "g", "changed_at": None},
    ]


def test_an_answer_that_is_silent_about_a_document_is_an_answer_lost():
    target = documents(Api(batch={"outcomes": []}))
    with pytest.raises(AnswerLost, match="nothing of 1 of 1 documents"):
        target.put([Put("A", "create", None, b"{}", "f")], no_files)


def test_a_batch_is_sent_in_as_many_calls_as_it_takes_and_a_document_too_large_alone_is_refused():
    api = Api(batch=written)
    target = documents(api)
    long = an_invoice("C1", lines=tuple(a_line(title="x" * 1000) for _ in range(900)))
    puts = [Put(str(n), "create", None, target.payload(long), "f") for n in range(3)]
    assert [outcome.target_id for outcome in target.put(puts, no_files)] == ["d1"] * 3
    assert [len(body["documents"]) for _, body in api.asked] == [1, 1, 1]
    longer = an_invoice("C1", lines=long.lines * 2)
    with pytest.raises(Reject, match="too_large"):
        target.put([Put("A", "create", None, target.payload(longer), "f")], no_files)


def test_outcomes_are_refusals_notes_or_ids():
    answers = [
        {"key": "A", "id": None, "reason": "the shop has no such account"},
        {"key": "B", "id": "d2", "outcome": "late"},
        {"key": "C", "id": None, "outcome": "unchanged"},
    ]
    target = documents(Api(batch={"outcomes": answers}))
    refused, late, gone = target.put([Put(key, "update", "known", b"{}", "f") for key in "ABC"], no_files)
    assert refused.refused and "run the DAG customers" in refused.refused.remedy
    assert (late.target_id, late.note, late.refused) == ("d2", "a newer one is there", None)
    assert (gone.target_id, gone.note) == ("known", None)


def test_totals_and_wishes_are_read_to_the_end():
    row = {"account": "C1", "currency": "EUR", "count": 2, "total": "0.30", "open": "-0.10"}
    pages = [{"wishes": [{"id": "7", "ref": "a,1"}]}, {"wishes": []}]
    api = Api(control={"accounts": [row]}, wishes=pages, files={})
    target = documents(api)
    assert target.control(None, None, {"B", "A"}) == {("C1", "EUR"): Control(2, Decimal("0.30"), Decimal("-0.10"))}
    assert list(target.wishes()) == [[Wish("7", "a,1")]]
    target.deliver("7", b"%PDF-")
    target.deliver("7", None)
    assert [body for _, body in api.asked] == [
        {"flow": "invoices", "since": None, "until": None, "without": ["A", "B"]},
        {"flow": "invoices", "after": ""},
        {"flow": "invoices", "after": "7"},
        {"wish": "7", "content": "JVBERi0="},
        {"wish": "7", "content": None},
    ]


def test_without_the_extension_it_says_what_to_do():
    api = Api()
    api.extension = None
    target = documents(api)
    for call in (lambda: target.find(["A"]), lambda: next(target.keys()), lambda: target.control(None, None, ())):
        with pytest.raises(Misconfigured, match="do not run the DAG offline_orders"):
            call()
