"""Documents between the real ERP and the real shop: windows of history beside the schedule, under fire."""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from datetime import date
from typing import Any

import pytest
from tests.faults import proxy
from tests.faults.archive import Archive
from tests.faults.world import STEPS
from tests.warehouse import today

from crossdock.errors import Retry, Stop

pytestmark = pytest.mark.e2e

WORLD = Archive
BATCH = Archive.batches
READ = r'"model\.account\.invoice\.search_read"'
CHANGES_THE_ERP = r'"(model|wizard)\.[a-z_.]+\.(create|write|delete|copy|execute)"'
STORE = "crossdock.store.postgres.PostgresStore."
PUT = "crossdock.connectors.medusa.documents.Documents.put"


def month(number: int) -> dict[str, str]:
    """Of this year: the fiscal year of the ERP that has invoices is the current one."""
    return {"since": f"{today().year}-{number:02}-01", "until": f"{today().year}-{number + 1:02}-01"}


def day(number: int) -> date:
    return date(today().year, number, 15)


def at_once(world: Archive, *runs: dict[str, Any]) -> list[str]:
    """How each of these runs ended."""
    ended: list[str] = []
    failures: list[BaseException] = []

    def run(params: dict[str, Any]) -> None:
        try:
            ended.append(world.sync(**params).state)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=[params]) for params in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    return sorted(ended)


# ---------------------------------------------------------------- lost calls


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(proxy.lose_answer, id="connection-lost"),
        pytest.param(proxy.instead(504), id="504-of-a-gateway"),
        pytest.param(proxy.cut_json, id="truncated-json"),
    ],
)
def test_a_batch_whose_answer_is_lost_is_not_lost_and_not_repeated_in_vain(world: Archive, fault: proxy.Fault) -> None:
    keys = world.of(day(2), 2)
    with world.shop_line.fault(fault, BATCH, times=1):
        try:
            world.sync(**month(2))
        except Retry:
            world.sync(**month(2))
    assert set(keys) <= set(world.heals())
    before = world.writes()
    assert "and the same in Medusa" in world.proved(**month(2)) and world.writes() == before


def test_an_erp_that_is_away_leaves_the_shop_as_it_is(world: Archive) -> None:
    world.of(day(2), 1)
    before = world.in_shop(), world.writes()
    with world.erp_line.fault(proxy.reset, READ), pytest.raises(Retry):
        world.sync(**month(2))
    assert (world.in_shop(), world.writes()) == before
    world.sync(**month(2))
    world.in_step()


# ---------------------------------------------------------------- killed

KILLED = [
    pytest.param("extract", STORE + "close_stage", id="extract"),
    pytest.param("validate", STORE + "save_quality", id="validate"),
    pytest.param("transform", STORE + "count_decisions", id="transform"),
    pytest.param("load", PUT, id="load-before-the-send"),
    pytest.param("load", STORE + "confirm", id="load-after-the-send"),
]


@pytest.mark.parametrize(("step", "function"), KILLED)
def test_a_killed_window_goes_on_where_it_stopped(world: Archive, step: str, function: str) -> None:
    keys = world.of(day(3), 1)
    name = world.until_killed(step, function, **month(3))
    for again in STEPS[STEPS.index(step) :]:
        assert world.step(again, name, **month(3))
    assert set(keys) <= set(world.in_step()) and world.books["pending"] == 0


def test_a_killed_window_that_is_cleared_begins_anew_and_holds_up_nobody(world: Archive) -> None:
    keys = world.of(day(3), 1)
    name = world.until_killed("load", STORE + "confirm", **month(3))
    assert world.sync().state == "success" and world.sync(**month(4)).state == "success"
    with pytest.raises(Stop):
        world.step("settle", name, **month(3))
    before = world.writes()
    assert world.sync(name, **month(3)).state == "success"
    assert set(keys) <= set(world.in_step()) and world.writes() <= before + 1


# ---------------------------------------------------------------- side by side


def test_two_windows_the_schedule_and_one_again_end_with_the_same_totals(world: Archive) -> None:
    keys = world.of(day(5), 3) + world.of(day(6), 3)
    world.pay(keys[0])
    world.pay(keys[3], "19.00")
    world.credit(keys[4])
    watermark = world.watermark()
    assert at_once(world, month(5), month(6), month(5), {}) in (
        ["drained", "success", "success", "success"],
        ["success", "success", "success", "success"],
    )
    assert world.watermark() >= watermark
    assert set(keys) <= set(world.in_step())
    before, ledger = world.writes(), world.ledger()
    for again in (month(5), month(6)):
        assert f"dated {again['since']} to {again['until']}: 3 worth 357.00" in world.proved(**again)
    assert world.writes() == before and world.ledger() == ledger, "a repeated window has written"
    said = world.proved(full=True)
    assert "The open balance of 2 accounts is what they owe by the books" in said, (said, world.owed())


def test_a_payment_while_a_window_is_read_stays_whichever_run_comes_last(world: Archive) -> None:
    [key] = world.of(day(7), 1)
    window = world.new_run()
    for step in STEPS[:3]:
        assert world.step(step, window, **month(7))
    world.pay(key)
    world.sync()
    for step in STEPS[3:]:
        world.step(step, window, **month(7))
    assert world.in_step()[key][3] == 0
    before = world.writes()
    assert world.sync(full=True).state == "success" and world.writes() == before


def test_a_difference_is_found_and_mended_when_the_shop_has_lost_it(world: Archive) -> None:
    [key] = world.of(day(8), 1)
    world.sync(**month(8))
    world.shop.sql(f"UPDATE erp_document SET total = 1 WHERE key = '{key}'")
    with pytest.MonkeyPatch.context() as patch:
        # or else what has just changed is left to the next run
        patch.setattr("crossdock.connectors.tryton.documents.Invoices.changed", lambda self, window: iter(()))
        with pytest.raises(Stop, match=r"1 accounts differ: \w+ has 1 worth 119.00 .* and 1 worth 1.00"):
            world.proved(**month(8))
        world.shop.sql(f"DELETE FROM erp_document WHERE key = '{key}'")
        with pytest.raises(Stop, match=r"1 accounts differ: \w+ has 1 worth 119.00 .* and 0 worth 0.00"):
            world.proved(**month(8))
        assert "and the same in Medusa" in world.proved(**month(8), force=True)
    world.in_step()


# ---------------------------------------------------------------- nothing else


def test_history_changes_nothing_in_the_erp(world: Archive) -> None:
    world.of(day(9), 1)
    before = len(world.erp_line.calls)
    world.proved(**month(9))
    calls = world.erp_line.calls[before:]
    assert calls and not [call for call in calls if re.search(CHANGES_THE_ERP, call)]


def test_a_print_that_a_buyer_waits_for_is_made_by_the_erp_and_delivered_once(world: Archive) -> None:
    [key] = world.new()
    world.sync()
    assert world.deliver() == "nobody waits for a document"
    world.shop.sql(
        "INSERT INTO erp_document_wish (document_id, fingerprint) "
        f"SELECT id, fingerprint FROM erp_document WHERE flow = 'invoices' AND key = '{key}'"
    )
    with world.shop_line.fault(proxy.lose_answer, "^POST /admin/erp/documents/files", times=1), suppress(Retry):
        world.deliver()
    assert "were delivered" in world.deliver() or world.deliver() == "nobody waits for a document"
    [size] = world.shop.sql(
        "SELECT length(f.content) FROM erp_document_file f JOIN erp_document d ON d.id = f.document_id "
        f"WHERE d.key = '{key}'"
    )
    assert int(size) > 1_000


def test_an_account_that_leaves_and_comes_back_is_shown_its_documents_again(alone: Archive) -> None:
    alone.new(2)
    alone.heals()
    office = alone.offices[0]
    [row] = alone.erp.admin("model.party.party.read", [office.party], ["categories"])
    alone.erp.admin("model.party.party.write", [office.party], {"categories": [["remove", row["categories"]]]})
    assert alone.sync(full=True).state == "success"
    assert len(alone.in_shop()) < len(alone.in_erp())
    alone.erp.admin("model.party.party.write", [office.party], {"categories": [["add", row["categories"]]]})
    assert alone.sync(full=True).state == "success"
    alone.in_step()


def test_a_payment_that_is_deleted_again(alone: Archive) -> None:
    [key] = alone.new(1)
    invoice = int(key.rpartition("/")[2])
    payment = alone._office(invoice).payment(invoice, "100.00")
    alone.heals()
    alone.erp.admin.press("account.payment", "draft", [payment])
    alone.erp.admin("model.account.payment.delete", [payment])
    assert alone.sync(full=True).state == "success"
    alone.in_step()
