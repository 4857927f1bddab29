"""What becomes of a quarantined record, and what a person does about it."""

from __future__ import annotations

import json
import shlex
from functools import partial

import psycopg
import pytest
from tests.engine.accounts import acme, many

from crossdock.airflow.cli import _parser
from crossdock.errors import QualityStop, Refused, Retry
from crossdock.store import decisions, reports
from crossdock.sync.run import BatchFailure, RowFailure, Verdict

BAD, GOOD = "<b>Acme</b>", "Acme & Sons"
SAYS = "more than half of the accounts' buyers left"


class Desk:
    """A person at work on one flow of the world."""

    def __init__(self, world, by="Ada"):
        self.db = psycopg.connect(world.dsn, autocommit=True)
        self.by = by
        for act in ("replay", "withdraw", "accept"):
            setattr(self, act, partial(getattr(decisions, act), self.db, world.pair, "customers", by=by))

    def row(self, key="C-100"):
        return reports.quarantined_record(self.db, "default", "customers", key)

    def edit(self, key="C-100", **fields):
        row = self.row(key)
        payload = json.dumps(json.loads(row["payload"]) | fields)
        decisions.edit(self.db, "default", "customers", key, payload, self.by, row["raw_hash"])

    def journey(self, key="C-100"):
        return reports.journey(self.db, "default", "customers", key)


@pytest.fixture
def desk(world):
    desk = Desk(world)
    yield desk
    desk.db.close()


def name_in_shop(world, key="C-100"):
    told = world.shop.records.get(key)
    return json.loads(told.payload)["name"] if told else None


def quarantine(world):
    return world.query("select key, code, attempts, replay from quarantine where resolved_at is null order by key")


def failing(run_id, *keys, says=SAYS):
    """What the gate says of a batch in which these rows are wrong."""
    names = ", ".join(f"'{key}'" for key in keys)
    return BatchFailure(
        says, f"{says} ({len(keys)})", f"select key from crossdock.gate_{run_id} where key in ({names})"
    )


@pytest.fixture
def strict(world):
    """A gate that stops every batch which holds C-2 or C-4 as they were first."""

    def check(suite, relation, count):
        world.gate.shown.append(count)
        query = f"select key from {relation} where key in ('C-2', 'C-4') and name = 'Customer ' || substr(key, 3)"
        bad = world.query(query)
        return Verdict(critical=(BatchFailure(SAYS, f"{SAYS} ({len(bad)})", query),) if bad else ())

    world.gate.check = check


# ---- by itself


def test_a_newer_version_is_judged_on_its_own_and_closes_the_old_row(world, desk):
    acme(world, name=BAD)
    world.sync()
    acme(world, name=GOOD)
    world.sync()
    assert name_in_shop(world) == GOOD and desk.row() is None
    [row] = desk.journey()["quarantine"]
    assert row["resolution"] == "a newer version went through"


def test_a_newer_version_that_is_bad_in_another_way_takes_the_rows_place(world, desk):
    acme(world, name=BAD)
    world.sync()
    acme(world, name="x" * 300)
    world.sync()
    assert len(quarantine(world)) == 1 and "255" in desk.row()["reason"] and desk.row()["attempts"] == 2


# ---- replay


def test_a_replayed_record_that_is_still_bad_is_back_with_one_try_more(world, desk):
    acme(world, name=BAD)
    world.sync()
    world.later()
    assert quarantine(world) == [("C-100", "invalid", 2, False)]
    assert desk.replay(["C-100", "C-404"]) == {"C-100"}
    assert desk.row()["owner"] == "Ada" and desk.row()["asked_at"]
    _, books = world.sync()
    assert (books.taken_up, books.quarantined) == (1, 1)
    assert quarantine(world) == [("C-100", "invalid", 3, False)]
    _, books = world.sync()
    assert books.came_in == 0


def test_a_replayed_record_that_the_shop_takes_now_says_how_it_left(world, desk):
    many(world, 3)
    world.shop.refuses = {"C-2"}
    world.sync()
    world.later()
    world.shop.refuses.clear()
    desk.replay(["C-2"])
    _, books = world.sync()
    assert books.created == 1
    assert desk.journey("C-2")["quarantine"][0]["resolution"] == "went through when it was tried again"


def test_a_replayed_record_that_is_gone_is_closed(world, desk):
    acme(world, name=BAD)
    world.sync()
    world.later()
    world.erp.drop("7")
    desk.replay(["C-100"])
    world.sync()
    assert desk.journey()["quarantine"][0]["resolution"] == "gone from the source"


def test_what_is_asked_for_while_a_run_is_at_work_is_for_the_next_one(world, desk):
    acme(world, name=BAD)
    world.sync()
    run, parse = world.run(), world.erp.parse

    def asked_meanwhile(raw):
        desk.replay(["C-100"])
        return parse(raw)

    world.erp.parse = asked_meanwhile
    world.steps(run, "extract", "settle")
    world.erp.parse = parse
    assert quarantine(world) == [("C-100", "invalid", 2, True)]
    world.sync()
    assert quarantine(world) == [("C-100", "invalid", 3, False)]


def test_nobody_can_ask_for_what_has_no_number(world, desk):
    acme(world, number="", name="Nobody")
    world.sync()
    assert desk.replay(["?7"]) == set()
    with pytest.raises(Refused, match="no usable number"):
        desk.edit("?7", number="C-7")


# ---- edit


def test_an_edited_row_reaches_the_shop_and_stays_until_the_source_changes(world, desk):
    acme(world, name=BAD)
    many(world, 2)
    world.sync()
    assert desk.row()["form"] == "row"
    desk.edit(name=GOOD)
    _, books = world.sync()
    assert books.created == 1 and name_in_shop(world) == GOOD and quarantine(world) == []
    assert desk.journey()["quarantine"][0]["resolution"] == "the version of Ada went through"
    assert [(one["state"], one["author"]) for one in desk.journey()["override"]] == [("in use", "Ada")]
    for request in ({}, {"full": True}, {"full": True, "force": True}, {"keys": ("C-100",)}):
        world.sync(**request)
        assert name_in_shop(world) == GOOD and quarantine(world) == []
    world.later()
    acme(world, name="Acme Ltd")
    world.sync()
    assert name_in_shop(world) == "Acme Ltd" and desk.journey()["override"] == []


def test_when_the_source_changes_for_the_worse_that_is_quarantined(world, desk):
    acme(world, name=BAD)
    world.sync()
    desk.edit(name=GOOD)
    world.sync()
    acme(world, name="<i>Acme</i>")
    world.sync()
    assert name_in_shop(world) == GOOD and desk.row()["attempts"] == 1 and desk.journey()["override"] == []
    assert "<i>" in desk.row()["payload"]


def test_an_edited_record_of_the_gate_reaches_the_shop(world, desk):
    many(world, 3)
    run = world.run()
    world.step(run, "extract")
    query = f"select key from crossdock.gate_{run.id} where key = 'C-2'"
    world.gate.verdict = Verdict(rows=(RowFailure("odd", "It is odd.", "Even it.", query),))
    world.steps(run, "validate", "transform", "load", "settle")
    world.gate.verdict = Verdict()
    assert desk.row("C-2")["form"] == "record"
    desk.edit("C-2", name=GOOD)
    _, books = world.sync()
    assert books.created == 1 and name_in_shop(world, "C-2") == GOOD


def test_an_edited_record_of_the_load_reaches_the_shop_with_the_parts_of_the_source(world, desk):
    many(world, 3)
    world.sync()
    acme(world, "2", "C-2", name="Too much", buyers=[{"source_id": "1", "email": "a@b.example"}])
    world.shop.refuses = {"C-2"}
    world.sync()
    world.later()
    world.shop.refuses.clear()
    assert (desk.row("C-2")["form"], desk.row("C-2")["code"]) == ("record", "refused")
    desk.edit("C-2", name=GOOD)
    _, books = world.sync()
    assert books.updated == 1 and name_in_shop(world, "C-2") == GOOD
    assert world.query("select parts from ledger where key = 'C-2'") == [(["contact:1", "party:2=C-2"],)]
    world.erp.dismiss("2")
    world.sync(full=True)
    assert world.shop.buyers("C-2") == set() and name_in_shop(world, "C-2") == "Too much"


def test_an_edit_that_is_refused_again_can_be_edited_again(world, desk):
    acme(world, name=BAD)
    world.sync()
    desk.edit(name="x" * 300)
    world.sync()
    assert quarantine(world) == [("C-100", "invalid", 2, False)] and "xxx" in desk.row()["payload"]
    desk.edit(name=GOOD)
    world.sync()
    assert name_in_shop(world) == GOOD


def test_an_edited_row_with_another_number_is_refused_by_the_run(world, desk):
    acme(world, name=BAD)
    world.sync()
    desk.edit(name=GOOD, number="C-101")
    world.sync()
    assert quarantine(world) == [("C-100", "key_mismatch", 2, False)] and not world.shop.records


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ("{", "not JSON: .* line 1, column 2"),
        ("[" * 100_000, "not JSON that anybody could read"),
        ('{"number": "C-2", "name": "<b>"}', "refused again: name: holds HTML"),
        ('{"number": "C-2", "name": "x", "secret": 1}', "refused again: secret: Extra inputs"),
        ('{"number": "C-3", "name": "x"}', "number is C-2 and stays so"),
        ("[]", "refused again"),
        (None, "Nothing was changed"),
    ],
)
def test_a_bad_edit_is_refused_with_words(world, desk, payload, words):
    many(world, 3)
    world.shop.refuses = {"C-2"}
    world.sync()
    row = desk.row("C-2")
    with pytest.raises(Refused, match=words):
        payload = payload or json.dumps(json.loads(row["payload"]), indent=3)
        decisions.edit(desk.db, "default", "customers", "C-2", payload, "Ada", row["raw_hash"])
    assert world.query("select * from override") == [] and not desk.row("C-2")["replay"]


def test_true_is_not_one(world, desk):
    acme(world, name=GOOD, active=1)
    world.sync()
    desk.edit(active=True)
    world.sync()
    assert name_in_shop(world) == GOOD


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("form = 'told'", "what the target was told"),
        ("form = 'cut'", "too long"),
        ("raw_hash = null", "not one version"),
    ],
)
def test_what_is_not_the_record_cannot_be_edited(world, desk, column, words):
    acme(world, name=BAD)
    world.sync()
    world.query(f"update quarantine set {column} returning 1")
    with pytest.raises(Refused, match=words):
        desk.edit(name=GOOD)


def test_an_edit_of_what_has_changed_meanwhile_is_refused(world, desk):
    acme(world, name=BAD)
    world.sync()
    before = desk.row()
    acme(world, name="<i>Acme</i>")
    world.sync()
    with pytest.raises(Refused, match="changed in the source since"):
        decisions.edit(desk.db, "default", "customers", "C-100", before["payload"] + " ", "Ada", before["raw_hash"])
    acme(world, name=GOOD)
    world.sync()
    with pytest.raises(Refused, match="not in quarantine"):
        decisions.edit(desk.db, "default", "customers", "C-100", "{}", "Ada", before["raw_hash"])


def test_an_edit_while_the_record_goes_through_is_taken_up_after_that(world, desk):
    many(world, 3)
    world.shop.refuses = {"C-2"}
    world.sync()
    world.shop.refuses.clear()
    desk.replay(["C-2"])
    run = world.run()
    world.steps(run, "extract", "validate", "transform", "load")
    desk.edit("C-2", name=GOOD)
    world.step(run, "settle")
    assert name_in_shop(world, "C-2") == "Customer 2" and quarantine(world) == []
    world.shop.away_after = len(world.shop.calls)
    world.erp.ahead += run.flow.overlap * 3
    with pytest.raises(Retry):
        world.sync()
    world.shop.away_after = None
    world.sync()
    assert name_in_shop(world, "C-2") == GOOD
    assert world.query("select state from override") == [("in use",)]


def test_a_withdrawn_version_gives_way_to_the_sources(world, desk):
    many(world, 3)
    world.shop.refuses = {"C-2"}
    world.sync()
    world.shop.refuses.clear()
    desk.edit("C-2", name=GOOD)
    world.sync()
    world.later()
    desk.withdraw("C-2")
    with pytest.raises(Refused, match="no edited version"):
        desk.withdraw("C-2")
    world.sync(mode="plan")
    _, books = world.sync()
    assert books.updated == 1 and name_in_shop(world, "C-2") == "Customer 2" and desk.journey("C-2")["override"] == []
    _, books = world.sync(full=True)
    assert books.unchanged == 3


def test_withdrawn_for_a_source_that_is_still_bad_it_stays_in_quarantine(world, desk):
    acme(world, name=BAD)
    world.sync()
    desk.edit(name=GOOD)
    world.sync()
    desk.withdraw("C-100")
    for _ in range(3):
        world.sync(full=True)
        assert len(quarantine(world)) == 1 and name_in_shop(world) == GOOD


def test_a_withdrawal_while_a_run_is_at_work_is_for_the_next_one(world, desk):
    acme(world, name=BAD)
    world.sync()
    desk.edit(name=GOOD)
    run = world.run()
    world.steps(run, "extract", "validate", "transform", "load")
    desk.withdraw("C-100")
    world.step(run, "settle")
    assert name_in_shop(world) == GOOD
    world.later()
    assert len(quarantine(world)) == 1


def test_a_version_ends_with_its_record(world, desk):
    acme(world, "70", name=BAD)
    many(world, 30)
    world.sync()
    desk.edit(name=GOOD)
    world.sync()
    world.erp.drop("70")
    world.sync(full=True)
    assert world.shop.records["C-100"].payload == "" and desk.journey()["override"] == []


# ---- accept


def test_the_rows_of_an_accepted_failure_are_set_aside_and_the_others_go_on(world, desk, strict):
    many(world, 6)
    with pytest.raises(QualityStop):
        world.sync()
    assert not world.shop.records and world.query("select * from watermark") == []
    desk.accept(SAYS, reason="They really left.")
    settled, books = world.sync()
    assert settled.state == "success" and (books.created, books.quarantined) == (4, 2)
    assert [(key, code) for key, code, *_ in quarantine(world)] == [("C-2", "accepted_stop"), ("C-4", "accepted_stop")]
    assert "Ada let the others pass: They really left." in desk.row("C-2")["reason"]
    assert len(world.query("select * from watermark")) == 1
    [accepted] = desk.journey("C-2")["acceptance"]
    assert (accepted["author"], accepted["reason"], accepted["says"]) == ("Ada", "They really left.", SAYS)
    assert desk.journey("C-3")["acceptance"] == []
    for request in ({}, {"full": True}, {}):
        _, books = world.sync(**request)
        assert books.quarantined == 2
    assert reports.stops(desk.db) == []


def test_what_the_stop_says_can_be_typed(world, strict):
    many(world, 6)
    with pytest.raises(QualityStop) as stop:
        world.sync()
    command = str(stop.value).partition("quarantined: ")[2].rstrip(".")
    options = _parser().parse_args(shlex.split(command)[1:])
    assert (options.pair, options.flow, options.says, options.reason) == ("default", "customers", SAYS, "...")


def test_two_failures_need_two_acceptances(world, desk):
    many(world, 4)
    run = world.run("one")
    world.step(run, "extract")
    world.gate.verdict = Verdict(critical=(failing(run.id, "C-2"), failing(run.id, "C-3", says="something else")))
    with pytest.raises(QualityStop, match=r"accept .* && crossdock .* accept"):
        world.step(run, "validate")
    with pytest.raises(Exception, match="stopped after"):
        world.step(run, "settle")
    desk.accept(SAYS, reason="One")
    assert [(stop["says"], stop["author"]) for stop in reports.stops(desk.db)] == [
        (SAYS, "Ada"),
        ("something else", None),
    ]
    desk.accept("something else", reason="Two")
    world.steps(world.run("one"), "validate", "transform", "load", "settle")
    assert sorted(world.shop.records) == ["C-1", "C-4"]


def test_only_what_stopped_the_last_run_can_be_accepted_and_with_a_reason(world, desk, strict):
    with pytest.raises(Refused, match="gate did not stop it"):
        desk.accept(SAYS, reason="Because")
    many(world, 6)
    with pytest.raises(QualityStop):
        world.sync()
    with pytest.raises(Refused, match=f"It was stopped by '{SAYS}'"):
        desk.accept("something else", reason="Because")
    with pytest.raises(Refused, match="Say why"):
        desk.accept(SAYS, reason=" \n")
    for n in (2, 4):
        acme(world, str(n), f"C-{n}", name="Mended")
    world.sync()
    with pytest.raises(Refused, match="gate did not stop it"):
        desk.accept(SAYS, reason="Too late")


def test_what_cannot_say_its_rows_cannot_be_accepted_and_the_stop_does_not_offer_it(world, desk):
    many(world, 3)
    world.gate.verdict = Verdict(critical=(BatchFailure("too few", "too few (3)", ""),))
    with pytest.raises(QualityStop) as stop:
        world.sync()
    assert "accept" not in str(stop.value)
    with pytest.raises(Refused, match="which rows"):
        desk.accept("too few", reason="Because")


def test_an_acceptance_serves_one_run(world, desk, strict):
    many(world, 6)
    with pytest.raises(QualityStop):
        world.sync()
    desk.accept(SAYS, reason="First thought")
    desk.accept(SAYS, reason="Second thought")
    assert world.query("select reason from acceptance") == [("Second thought",)]
    world.sync()
    acme(world, "4", "C-4", name="Customer 4", tax_id="DE1")
    with pytest.raises(QualityStop):
        world.sync()


def test_an_acceptance_that_was_not_needed_is_over(world, desk, strict):
    many(world, 6)
    with pytest.raises(QualityStop):
        world.sync()
    desk.accept(SAYS, reason="They really left.")
    for n in (2, 4):
        acme(world, str(n), f"C-{n}", name="Mended")
    world.sync(keys=("C-1",))
    assert world.query("select run_id from acceptance") == [(None,)]
    world.sync()
    acme(world, "4", "C-4", name="Customer 4")
    with pytest.raises(QualityStop):
        world.sync()


def test_a_replayed_row_goes_through_the_gate_again(world, desk, strict):
    many(world, 6)
    with pytest.raises(QualityStop):
        world.sync()
    desk.accept(SAYS, reason="They really left.")
    world.sync()
    world.later()
    desk.replay(["C-4"])
    with pytest.raises(QualityStop):
        world.sync()
    desk.accept(SAYS, reason="Still so.")
    world.sync()
    assert quarantine(world) == [("C-2", "accepted_stop", 1, False), ("C-4", "accepted_stop", 2, False)]
    desk.edit("C-4", name="Customer Four")
    world.sync()
    assert name_in_shop(world, "C-4") == "Customer Four"
    assert [key for key, *_ in quarantine(world)] == ["C-2"]


@pytest.mark.parametrize("killed_after", ["quarantine_rows", "use_acceptance", "validate", "transform", "load"])
def test_a_run_killed_after_an_acceptance_goes_on(world, desk, strict, killed_after, monkeypatch):
    many(world, 6)
    with pytest.raises(QualityStop):
        world.sync()
    desk.accept(SAYS, reason="They really left.")
    run = world.run()
    world.step(run, "extract")
    if killed_after in ("quarantine_rows", "use_acceptance"):
        done = getattr(type(run.store), killed_after)

        def dies(store, *arguments):
            done(store, *arguments)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(type(run.store), killed_after, dies)
            world.step(run, "validate")
    elif killed_after != "validate":
        world.steps(
            run, *("validate", "transform", "load")[: ("validate", "transform", "load").index(killed_after) + 1]
        )
    world.steps(run, "validate", "transform", "load", "settle")
    assert (run.books.created, run.books.quarantined) == (4, 2) and len(quarantine(world)) == 2
    assert world.query("select run_id from acceptance") == [(run.id,)]


def test_a_run_that_takes_over_from_a_killed_one_does_not_stop_again(world, desk, strict):
    many(world, 6)
    with pytest.raises(QualityStop):
        world.sync()
    desk.accept(SAYS, reason="They really left.")
    world.steps(world.run(), "extract", "validate")
    world.query("update lease set expires_at = now() - interval '1 s' returning 1")
    _, books = world.sync()
    assert (books.created, books.quarantined) == (4, 2)


# ---- a plan


def test_a_plan_leaves_every_decision_alone(world, desk, strict):
    many(world, 6)
    acme(world, name=BAD)
    world.shop.refuses = {"C-1"}
    with pytest.raises(QualityStop):
        world.sync()
    desk.accept(SAYS, reason="They really left.")
    desk.edit(name=GOOD)

    def decided():
        tables = ("override", "acceptance", "quarantine", "ledger", "parked", "watermark")
        return [world.query(f"select * from {table} order by 1, 2, 3") for table in tables]

    before = decided()
    settled, books = world.sync(mode="plan")
    assert settled.state == "planned" and (books.planned, books.quarantined) == (5, 2)
    assert decided() == before
    world.sync()
    desk.edit("C-1", name=GOOD)
    desk.replay(["C-2"])
    acme(world, name="<i>bad</i>")
    acme(world, "2", "C-2", name="Mended")
    before = decided()
    world.sync(mode="plan")
    assert decided() == before


def test_a_plan_with_an_edited_version_is_applied_with_it(world, desk):
    many(world, 2)
    acme(world, name=BAD)
    world.sync()
    desk.edit(name=GOOD)
    world.sync(mode="plan")
    [[plan]] = world.query("select max(id) from run")
    world.sync(plan=plan)
    assert name_in_shop(world) == GOOD
    world.sync(full=True)
    assert name_in_shop(world) == GOOD and quarantine(world) == []
