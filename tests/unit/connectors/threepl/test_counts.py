"""The feed of a 3PL: which of its files count, and what becomes of the others."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.unit.connectors.threepl.folders import START, Folder, csv, x12

from crossdock.connectors.threepl.counts import Counts
from crossdock.connectors.threepl.inbox import LARGEST, STILL
from crossdock.errors import Retry
from crossdock.ports import Window

STOCK = {f"SKU{number:02}": 10 + number for number in range(20)}
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def folder() -> Folder:
    return Folder()


def on_hand(feed: Counts) -> dict[str, int]:
    return {sku: int(count.on_hand) for sku, count in feed.counts().items()}


def refused(folder: Folder, hours: float | None = None) -> dict[str, str]:
    """File -> code."""
    rows = list(folder.feed().refused(folder.window(hours)))
    assert all(row.key == "" for row in rows)
    return {row.source_id: json.loads(row.raw)["refused"][0] for row in rows}


def touched(folder: Folder, hours: float | None = None) -> set[str]:
    return {sku for page in folder.feed().touched(folder.window(hours)) for sku in page}


def some(share: float, **also: int) -> dict[str, int]:
    return dict(list(STOCK.items())[: int(len(STOCK) * share)]) | also


# ---------------------------------------------------------------- what counts


def test_the_newest_file_counts(folder: Folder) -> None:
    folder.put("a.csv", csv(STOCK))
    came = folder.put("b.csv", csv(STOCK | {"SKU00": 3}))
    feed = folder.feed()
    assert on_hand(feed) == STOCK | {"SKU00": 3}
    assert feed.heard_at() == feed.counts()["SKU01"].counted_at == came


def test_what_a_whole_stock_does_not_name_is_not_there(folder: Folder) -> None:
    folder.put("a.csv", csv(STOCK))
    folder.put("b.csv", csv(some(0.9)))
    assert on_hand(folder.feed()) == some(0.9)
    assert touched(folder, hours=0.5) == set(STOCK)


def test_changes_are_added_to_the_whole_stock_they_come_after(folder: Folder) -> None:
    folder.put("a.846", x12(STOCK, START, 1))
    folder.put("b.846", x12({"SKU00": 1, "NEW": 2}, START + HOUR, 2, purpose="04"))
    folder.put("c.846", x12({"SKU00": 5}, START + 2 * HOUR, 3, purpose="04"))
    folder.put("d.846", x12({"SKU00": 9, "SKU01": 9}, START - HOUR, 4, purpose="04"))
    feed = folder.feed()
    assert on_hand(feed) == STOCK | {"SKU00": 5, "NEW": 2}
    assert feed.heard_at() == START + 2 * HOUR
    assert feed.counts()["SKU00"].counted_at == START + 2 * HOUR and feed.counts()["SKU01"].counted_at == START
    assert refused(folder) == {}


def test_a_file_that_comes_late_replaces_nothing(folder: Folder) -> None:
    folder.put("a.csv", csv(STOCK, START))
    folder.put("b.csv", csv({}, START) + "A;1;2026-11-01\n")
    assert on_hand(folder.feed()) == STOCK
    assert touched(folder, hours=0.5) == set() and refused(folder) == {}


def test_of_two_files_of_one_moment_the_one_that_came_later_corrects_the_other(folder: Folder) -> None:
    folder.put("b.csv", csv(STOCK, START))
    folder.put("a.csv", csv(STOCK | {"SKU00": 1}, START))
    assert on_hand(folder.feed()) == STOCK | {"SKU00": 1}


def test_a_file_without_a_date_that_is_sent_again_is_no_news(folder: Folder) -> None:
    first = folder.put("a.csv", csv(STOCK))
    folder.put("b.csv", csv(STOCK))
    feed = folder.feed()
    assert feed.counts()["SKU00"].counted_at == first and feed.heard_at() == first
    folder.put("c.csv", csv(STOCK | {"SKU00": 99}))
    folder.put("d.csv", csv(STOCK))
    assert on_hand(folder.feed())["SKU00"] == 99
    assert refused(folder) == {}


def test_advices_of_shipments_are_left_to_those_who_read_them(folder: Folder) -> None:
    folder.put("a.edi", x12(STOCK, START, 1))
    folder.put("b.edi", x12({}, START, 2).replace("ST*846", "ST*945"))
    folder.put("c.945", "")
    folder.put("d.txt", "")
    assert on_hand(folder.feed()) == STOCK and refused(folder) == {}
    assert folder.opened.count("c.945") == folder.opened.count("d.txt") == 0


def test_what_may_be_half_there_waits(folder: Folder) -> None:
    folder.put("a.csv", csv(STOCK))
    before = folder.clock
    came = folder.put("b.csv", csv(STOCK)[:50])
    folder.clock = came + STILL
    assert on_hand(folder.feed()) == STOCK and refused(folder) == {}
    since = folder.clock
    folder.held["b.csv"] = csv(STOCK | {"SKU00": 1}).encode(), came
    folder.clock += MINUTE
    assert on_hand(folder.feed())["SKU00"] == 1
    assert {sku for page in folder.feed().touched(Window(since, folder.clock)) for sku in page} == set(STOCK)
    assert list(folder.feed().touched(Window(before, since))) == []


def test_an_empty_folder_is_not_an_empty_warehouse(folder: Folder) -> None:
    assert folder.feed().heard_at() is None
    with pytest.raises(Retry, match="has not said yet what it holds"):
        folder.feed().counts()
    folder.put("a.csv", csv(STOCK)[:-1])
    with pytest.raises(Retry, match=r"File a.csv: The last line does not end with a line break. Ask the warehouse"):
        folder.feed().counts()


def test_a_folder_that_is_away_is_tried_again(folder: Folder) -> None:
    class Lost(Exception):
        """As drivers have their own."""

    folder.away = Lost()
    with pytest.raises(Retry, match=r"inbox cannot be read \(Lost\)"):
        folder.feed().counts()


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("b.csv", csv(STOCK)[:-8], "truncated"),
        ("b.csv", "", "truncated"),
        ("b.csv", "sku;quantity\n", "empty"),
        ("b.csv", csv(some(0.75)), "shrunken"),
        ("b.csv", csv({"OTHER": 1}), "shrunken"),
        ("b.csv", csv(STOCK | dict.fromkeys(list(STOCK)[:11], 0)), "emptied"),
        ("b.csv", csv(STOCK | {"SKU00": -1}), "invalid_quantity"),
        ("b.csv", csv(STOCK) + "SKU00;1\n", "duplicate_sku"),
        ("b.csv", csv(STOCK).encode("utf-16"), "no_utf8"),
        ("b.csv", csv(STOCK | {"Größe": 1}).encode("latin-1"), "no_utf8"),
        ("b.846", x12(STOCK, START + HOUR, 2)[:-30], "truncated"),
        ("b.846", x12(some(0.5), START + HOUR, 2), "shrunken"),
        ("b.846", x12({}, START + HOUR, 2), "empty"),
        ("b.846", x12(dict.fromkeys(STOCK, 0), START + HOUR, 2, purpose="04"), "emptied"),
        ("b.edi", "", "no_x12"),
        ("b.846", x12({}, START, 2).replace("ST*846", "ST*945"), "unknown_transaction"),
    ],
)
def test_a_bad_file_changes_nothing_and_says_what_to_do(
    folder: Folder, name: str, content: str | bytes, code: str
) -> None:
    folder.put("a.csv", csv(STOCK))
    folder.put(name, content)
    assert refused(folder) == refused(folder, hours=0.5) == {name: code}
    assert refused(folder, hours=0.01) == {}
    assert on_hand(folder.feed()) == STOCK and touched(folder, hours=0.5) == set()
    [row] = folder.feed().refused(folder.window())
    _, reason, remedy = json.loads(row.raw)["refused"]
    assert reason.startswith(f"File {name}: ") and "ask the warehouse" in remedy.lower()
    folder.put("c.csv", csv(STOCK | {"SKU00": 1}))
    assert on_hand(folder.feed())["SKU00"] == 1 and refused(folder, hours=0.5) == {}


def test_a_file_that_is_too_large_is_not_read(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossdock.connectors.threepl.inbox.LARGEST", 1_000)
    assert LARGEST > 1_000
    folder.put("a.csv", csv(STOCK))
    folder.put("b.csv", csv(STOCK) * 10)
    assert refused(folder) == {"b.csv": "too_large"}
    assert on_hand(folder.feed()) == STOCK and "b.csv" not in folder.opened


def test_however_often_a_shrunken_file_is_sent_it_is_not_believed(folder: Folder) -> None:
    folder.put("good.csv", csv(STOCK))
    names = [f"bad{place}.csv" for place in range(6)]
    for place, name in enumerate(names):
        folder.put(name, csv(some(0.5, SKU00=place)))
    assert refused(folder) == dict.fromkeys(names, "shrunken")
    assert on_hand(folder.feed()) == STOCK


def test_a_person_may_accept_a_file_that_is_doubted(folder: Folder) -> None:
    folder.put("a.csv", csv(STOCK))
    folder.put("b.csv", csv(some(0.5)))
    assert refused(folder) == {"b.csv": "shrunken"}
    folder.put("b.csv.accept")
    assert on_hand(folder.feed()) == some(0.5) and refused(folder) == {}
    assert touched(folder, hours=0.5) == set(STOCK)
    folder.put("c.csv", csv(some(0.45)))
    assert on_hand(folder.feed()) == some(0.45) and refused(folder) == {}


def test_what_is_accepted_is_one_file_not_all_of_its_name(folder: Folder) -> None:
    folder.put("a.csv", csv(STOCK))
    folder.put("stock.csv", csv(some(0.5)))
    folder.put("stock.csv.accept")
    folder.put("stock.csv", csv(some(0.1)))
    assert refused(folder) == {"stock.csv": "shrunken"}
    assert on_hand(folder.feed()) == STOCK


def test_nobody_can_accept_what_cannot_be_read(folder: Folder) -> None:
    folder.put("a.csv", csv(STOCK))
    folder.put("b.csv", csv(STOCK)[:-1])
    folder.put("b.csv.accept")
    assert refused(folder) == {"b.csv": "truncated"}


def test_who_once_sends_a_trailer_always_sends_one(folder: Folder) -> None:
    folder.put("a.csv", csv(STOCK, trailer=True))
    folder.put("b.csv", csv(some(0.9)))
    assert refused(folder) == {"b.csv": "truncated"}
    folder.put("c.csv", csv(some(0.9), trailer=True))
    assert on_hand(folder.feed()) == some(0.9)


@pytest.mark.parametrize("purpose", ["00", "04"])
def test_a_control_number_that_comes_again_is_refused_unless_it_says_the_same(folder: Folder, purpose: str) -> None:
    folder.put("a.846", x12(STOCK, START, 1))
    folder.put("b.846", x12(STOCK, START, 2, purpose))
    folder.put("c.846", x12(STOCK, START, 2, purpose))
    assert refused(folder) == {}
    folder.put("d.846", x12(STOCK | {"SKU00": 1}, START + HOUR, 2, purpose))
    assert refused(folder) == {"d.846": "duplicate_control"}
    assert on_hand(folder.feed()) == STOCK


def test_few_articles_may_well_sell_out(folder: Folder) -> None:
    folder.put("a.csv", "sku;quantity\nA;1\nB;2\n")
    folder.put("b.csv", "sku;quantity\nA;0\nB;0\n")
    assert on_hand(folder.feed()) == {"A": 0, "B": 0}


def test_a_file_from_the_future_is_refused_until_the_clock_is_set(folder: Folder) -> None:
    folder.put("a.csv", csv(STOCK))
    folder.held["b.csv"] = csv({"A": 1}).encode(), folder.clock + timedelta(days=365)
    assert refused(folder, hours=0.5) == {"b.csv": "future"}
    assert on_hand(folder.feed()) == STOCK


# ---------------------------------------------------------------- what is read


def test_of_many_files_few_are_read(folder: Folder) -> None:
    for place in range(200):
        folder.put(f"{place:03}.csv", csv(STOCK | {"SKU00": 10 + place}, folder.clock))
    feed = folder.feed()
    feed.counts()
    list(feed.touched(folder.window(hours=0.5)))
    list(feed.refused(folder.window(hours=0.5)))
    assert len(folder.opened) <= 5 and len(set(folder.opened)) == len(folder.opened)


# ---------------------------------------------------------------- any sequence

GOOD = ("dated", "undated", "x12", "late", "changes", "late changes")
BAD = ("truncated", "shrunken", "emptied", "garbage", "foreign", "empty", "negative", "twice", "another warehouse's")


class Truth:
    """What is said from the first to the last, by when it was true; told apart from how the feed finds it."""

    def __init__(self) -> None:
        self.said: list[tuple[datetime, datetime, bool, dict[str, int]]] = []

    def says(self, made: datetime, came: datetime, stock: dict[str, int], whole: bool = True) -> None:
        self.said.append((made, came, whole, stock))

    def stock(self) -> dict[str, int]:
        now: dict[str, int] = {}
        for _, _, whole, stock in sorted(self.said, key=lambda one: one[:2]):
            now = dict(stock) if whole else now | stock
        return now


def good_stock(drawn: Any) -> dict[str, int]:
    missing = drawn.draw(st.sets(st.sampled_from(sorted(STOCK)), max_size=2))
    changed = drawn.draw(st.dictionaries(st.sampled_from(sorted(STOCK)), st.integers(1, 99), max_size=4))
    return {sku: pieces for sku, pieces in (STOCK | changed).items() if sku not in missing}


def bad_content(kind: str, at: datetime) -> str | bytes:
    whole = csv(STOCK, at)
    return {
        "truncated": whole[: len(whole) // 2],
        "shrunken": csv(some(0.4), at),
        "emptied": csv(dict.fromkeys(STOCK, 0), at),
        "garbage": b"\xff\xfe\x00" * 50,
        "foreign": "article,name\nA,B\n",
        "empty": "sku;quantity\n",
        "another warehouse's": csv({f"OTHER{number:02}": 1_000 + number for number in range(40)}, at),
        "negative": csv(STOCK | {"SKU03": -4}, at),
        "twice": whole + f"SKU00;77;{at.isoformat()}\n",
    }[kind]


@settings(
    max_examples=100,
    deadline=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
@given(drawn=st.data())
def test_whatever_comes_in_whatever_order_the_newest_good_file_counts(drawn: Any) -> None:
    folder, truth, bad = Folder(), Truth(), {}
    feed = folder.feed()
    truth.says(START, folder.put("first.csv", csv(STOCK, START)), STOCK)
    for place in range(drawn.draw(st.integers(1, 12))):
        kind = drawn.draw(st.sampled_from((*GOOD, *BAD, "repeated", "accepted")))
        name, at = f"{drawn.draw(st.integers(0, 9))}{place:02}", folder.clock + HOUR - MINUTE
        made = at - drawn.draw(st.integers(1, 9)) * HOUR if kind.startswith("late") else at
        before, since = truth.stock(), folder.clock
        if kind == "repeated":
            other = drawn.draw(st.sampled_from(sorted(set(folder.held) - set(bad))))
            again = [one for one in truth.said if one[1] == folder.held[other][1]]
            came = folder.put(f"{name}.{other.rpartition('.')[2]}", folder.held[other][0])
            for made, first, whole, stock in again:
                if made != first:  # what has no date of its own is no news
                    truth.says(made, came, stock, whole)
        elif kind in BAD:
            bad[f"{name}.csv"] = kind
            folder.put(f"{name}.csv", bad_content(kind, at))
        elif kind == "accepted":
            stock = good_stock(drawn)
            truth.says(made, folder.put(f"{name}.csv", csv(stock, made)), stock)
            folder.put(f"{name}.csv.accept")
        elif kind == "undated":
            stock = good_stock(drawn)
            seen = [content for content, _ in folder.held.values()]
            came = folder.put(f"{name}.csv", csv(stock))
            if folder.held[f"{name}.csv"][0] not in seen:
                truth.says(came, came, stock)
        elif kind in ("changes", "late changes"):
            stock = drawn.draw(
                st.dictionaries(st.sampled_from(["SKU00", "SKU01", "NEW"]), st.integers(1, 9), min_size=1)
            )
            truth.says(made, folder.put(f"{name}.846", x12(stock, made, place + 1, purpose="04")), stock, whole=False)
        else:
            stock = good_stock(drawn)
            content = x12(stock, made, place + 1) if kind == "x12" else csv(stock, made)
            truth.says(made, folder.put(f"{name}.{'846' if kind == 'x12' else 'csv'}", content), stock)
        now = truth.stock()
        assert on_hand(feed) == now, kind
        change = {sku for sku in before.keys() | now.keys() if before.get(sku) != now.get(sku)}
        assert {sku for page in feed.touched(Window(since, folder.clock)) for sku in page} >= change
    assert set(refused(folder)) == set(bad)
