"""Whatever happens, in whatever order: after one clean run the shop is what the ERP says."""

from __future__ import annotations

import itertools
from collections import Counter

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from crossdock.errors import CrossdockError, Reject, Retry
from crossdock.sync.accounting import Books
from crossdock.sync.flows import CUSTOMERS

from .conftest import World

STEPS = ("extract", "validate", "transform", "load", "settle")

numbers = st.sampled_from(("C-1", "C-2", "C-3", "C-4", "C-5", ""))
edits = st.tuples(
    st.just("edit"),
    st.sampled_from("12345"),
    numbers,
    st.sampled_from(("Name", "Other name", "<b>bad</b>")),
    st.sampled_from(
        ({}, {"blocked": True}, {"active": False}, {"buyers": [{"source_id": "1", "email": "a@b.example"}]})
    ),
)
deletions = st.tuples(st.just("delete"), st.sampled_from("12345"))
faults = st.sampled_from(
    (
        ("erp away",),
        ("read fails",),
        ("refuses", "C-1"),
        ("refuses", "C-2"),
        ("loses",),
        ("away", 0),
        ("away", 1),
        ("dies",),
    )
)
runs = st.one_of(
    st.tuples(st.just("run"), st.sampled_from(({}, {}, {"full": True}, {"mode": "plan"}, {"keys": ("C-1", "C-9")}))),
    st.tuples(st.just("killed before"), st.sampled_from(STEPS)),
    st.tuples(st.just("stopped before"), st.sampled_from(STEPS[:4])),
    st.tuples(st.just("twice"), st.sampled_from(STEPS)),
    st.tuples(st.just("cleared from"), st.sampled_from(STEPS)),
    st.just(("applies the last plan",)),
)

episodes = st.tuples(st.lists(st.one_of(edits, edits, deletions), max_size=4), st.lists(faults, max_size=1), runs)

_pairs = itertools.count()


class Killed(Exception):
    """The task's process is gone."""


class Story:
    """A world to which things happen, and what the shop was told in it."""

    def __init__(self, dsn: str) -> None:
        self.world = World(dsn, pair=f"story-{next(_pairs)}")
        self.world.shop.batch = 2
        self.told: dict[str, list[str]] = {}
        self.dies = False
        self.last = None
        self._put = self.world.shop.put
        self.world.shop.put = self._tell

    def _tell(self, batch, content):
        calls = len(self.world.shop.calls)
        try:
            outcomes = self._put(batch, content)
        except Reject:
            calls += 1
            raise
        finally:
            if len(self.world.shop.calls) > calls:
                for put in batch:
                    self.told.setdefault(put.key, []).append(put.fingerprint)
        if self.dies:
            self.dies = False
            raise Killed
        return outcomes

    def happens(self, what: str, *how) -> None:
        world = self.world
        match what:
            case "edit":
                source_id, number, name, fields = how
                world.erp.put(source_id, number=number, name=name, **fields)
            case "delete":
                world.erp.rows.pop(how[0], None)
            case "erp away":
                world.erp.away = Retry("away")
            case "read fails":
                world.erp.unreadable = Retry("away")
            case "refuses":
                world.shop.refuses.add(how[0])
            case "loses":
                world.shop.loses = 1
            case "away":
                world.shop.away_after = len(world.shop.calls) + how[0]
            case "dies":
                self.dies = True
            case "run":
                self.drive(STEPS, **how[0])
            case "applies the last plan":
                (plan,) = self.query("select max(id) from run where state = 'planned' and pair = %s")[0]
                self.drive(STEPS, plan=plan)
            case "killed before":
                self.drive(STEPS[: STEPS.index(how[0])])
                self.query("update lease set expires_at = now() - interval '1 s' where pair = %s returning 1")
            case "stopped before":
                self.drive((*STEPS[: STEPS.index(how[0])], "settle"))
            case "twice":
                at = STEPS.index(how[0])
                self.drive((*STEPS[: at + 1], *STEPS[at:]))
            case "cleared from" if self.last:
                self.drive(STEPS[STEPS.index(how[0]) :], again=True)

    def drive(self, names, again=False, **request) -> None:
        if not again:
            self.last = self.world.run(**request)
        self.world.erp.ahead += CUSTOMERS.overlap * 2
        go = True
        for name in names:
            try:
                if name == "settle" or go:
                    go = bool(self.world.step(self.last, name)) and go
            except (CrossdockError, Killed):
                go = False
        self.heal()

    def heal(self) -> None:
        self.world.erp.away = self.world.erp.unreadable = self.world.shop.away_after = None
        self.world.shop.loses, self.dies = 0, False

    def query(self, text):
        return self.world.query(text, self.world.pair)

    def ends_well(self) -> None:
        world = self.world
        self.heal()
        world.shop.refuses.clear()
        self.query("update quarantine set replay = true where pair = %s returning 1")
        settled, _ = world.sync()
        assert settled.state == "success"
        self.shop_is_what_the_erp_says()
        calls = len(world.shop.calls)
        world.sync(full=True)
        assert len(world.shop.calls) == calls
        self.what_is_bad_is_in_quarantine()
        self.nothing_was_told_twice()
        self.books_close()

    def shop_is_what_the_erp_says(self) -> None:
        records = [fields for _, fields in self.world.erp.rows.values()]
        owners = Counter(fields["number"] for fields in records)
        for fields in records:
            if fields["number"] and owners[fields["number"]] == 1 and "<" not in fields["name"]:
                _, payload, _ = self.world.shop.records.get(fields["number"], ("", "", ""))
                if fields.get("active", True):
                    assert f'"{fields["name"]}"' in payload, (fields, payload)
                    assert ('"open": true' in payload) is not fields.get("blocked", False)
                else:
                    assert payload == ""
        for key, (_, payload, _) in self.world.shop.records.items():
            assert payload == "" or key in owners, f"{key} is only in the shop"
        assert self.query("select key from parked where pair = %s") == []

    def what_is_bad_is_in_quarantine(self) -> None:
        rows = [(i, fields["number"], fields["name"]) for i, (_, fields) in self.world.erp.rows.items()]
        owners = Counter(number for _, number, _ in rows)
        bad = {number or f"?{i}" for i, number, name in rows if not number or owners[number] > 1 or "<" in name}
        assert {
            key for (key,) in self.query("select key from quarantine where resolved_at is null and pair = %s")
        } == bad

    def nothing_was_told_twice(self) -> None:
        for key, fingerprints in self.told.items():
            assert all(one != two for one, two in itertools.pairwise(fingerprints)), (key, fingerprints)

    def books_close(self) -> None:
        for state, counts in self.query("select state, counts from run where pair = %s"):
            books = Books.from_json(counts)
            if state in ("success", "planned"):
                assert books.came_in == books.accounted_for, books.line()
        assert self.query("select 1 from run where message like '%%is a defect%%' and pair = %s") == []


@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.lists(episodes, min_size=3, max_size=7))
def test_after_one_clean_run_the_shop_is_what_the_erp_says(dsn, episodes):
    story = Story(dsn)
    try:
        for changes, faults, run in episodes:
            for event in (*changes, *faults, run):
                story.happens(*event)
        story.ends_well()
    finally:
        story.world.close()
