"""Whatever goes wrong on the way, after the next run the shop's catalogue is the ERP's, nothing twice.

The real Tryton and the real Medusa; faults are laid on the line to each, and the shop, the task and the store's
database are killed.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.faults import proxy
from tests.faults.products import Products
from tests.faults.world import STEPS

from crossdock.errors import AnswerLost, BadCredentials, CrossdockError, Retry, Stop
from crossdock.sync.run import Verdict

pytestmark = pytest.mark.e2e

WORLD = Products
STORE = "crossdock.store.postgres.PostgresStore."
MEDUSA = "crossdock.connectors.medusa.items.Items."

CREATE = rf'{Products.batches}.*"create"'
UPDATE = rf'{Products.batches}.*"update"'
UPLOAD = "^POST /admin/erp/images"
CATEGORY = "^POST /admin/product-categories"
TYPE = "^POST /admin/product-types"
OPTIONS = r"^POST /admin/products/\w+/options/batch"
VARIANTS = r"^POST /admin/products/\w+/variants/batch"


@pytest.fixture(autouse=True)
def _open_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quality gate takes nearly a second, and is under fire in test_bad_items.py and test_customers.py."""
    monkeypatch.setattr("crossdock.quality.gate.ExpectationsGate.check", lambda *_: Verdict())


# ---------------------------------------------------------------- the shop


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shop whose answer was lost is hardly waited for while it may still be at work, or on its way back."""
    monkeypatch.setattr("crossdock.connectors.medusa.stillness._STILL", 0.3)
    monkeypatch.setattr("crossdock.connectors.medusa.stillness._AWAY", 0.3)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(proxy.reset, AnswerLost, id="away"),
        pytest.param(proxy.answer(401), BadCredentials, id="401"),
        pytest.param(proxy.answer(429, Retry_After="600"), Retry, id="429"),
        pytest.param(proxy.answer(500), AnswerLost, id="500"),
        pytest.param(proxy.answer(200, b"<html>"), AnswerLost, id="garbage"),
    ],
)
@pytest.mark.usefixtures("hasty")
def test_a_shop_that_does_not_take_a_batch_gets_it_when_it_is_back(
    world: Products, fault: proxy.Fault, error: type[CrossdockError]
) -> None:
    [number] = world.new()
    [mark] = world.watermark()
    with world.shop_line.fault(fault, Products.batches), pytest.raises(CrossdockError) as caught:
        world.sync()
    assert type(caught.value) is error
    assert world.last_run()["state"] == "failed" and world.last_run()["counts"]["pending"] == 1
    assert number not in world.in_shop()
    assert world.watermark()[0] >= mark  # what was read is safe in the outbox
    assert number in world.heals()


def with_new_category(world: Products) -> None:
    category = world.new_category(f"New range {world.new_run()}")
    world.new(categories=[["add", [category]]])


def with_new_tax_class(world: Products) -> None:
    [rated] = world.erp.admin.create("product.category", {"name": f"Taxed {world.new_run()}", "accounting": True})
    world.new(account_category=rated)


LOST = {
    "connection-lost": proxy.lose_answer,
    "504-of-a-gateway": proxy.instead(504),
    "truncated-json": proxy.cut_json,
}
Change = Callable[[Products], Any]


@pytest.mark.parametrize(
    ("change", "call", "lost"),
    [
        *(pytest.param(lambda world: world.new(3), CREATE, lost, id=f"create-{lost}") for lost in LOST),
        *(pytest.param(Products.rename_known, UPDATE, lost, id=f"update-{lost}") for lost in LOST),
        pytest.param(Products.new, UPLOAD, "connection-lost", id="image"),
        pytest.param(lambda world: world.add_image(world.known), UPLOAD, "504-of-a-gateway", id="another-image"),
        pytest.param(with_new_category, CATEGORY, "truncated-json", id="category"),
        pytest.param(with_new_tax_class, TYPE, "connection-lost", id="tax-class"),
        pytest.param(lambda world: world.add_color(world.new_known()), OPTIONS, "504-of-a-gateway", id="option"),
        pytest.param(lambda world: world.add_color(world.new_known()), VARIANTS, "truncated-json", id="variant"),
    ],
)
def test_what_was_carried_out_is_not_made_twice_when_its_answer_is_lost(
    world: Products, change: Change, call: str, lost: str
) -> None:
    change(world)
    before = world.shop_line.seen(call)
    with world.shop_line.fault(LOST[lost], call, times=1):
        assert world.sync().state == "success"
    assert world.shop_line.seen(call) > before, "the fault never happened"
    assert world.quarantined() == {}
    world.in_step()


# ---------------------------------------------------------------- somebody is at work in the shop


def test_a_variant_that_somebody_deletes_is_back_with_the_next_change(world: Products) -> None:
    [number] = world.new()
    world.sync()
    there = world.product(number)
    world.shop.call(
        "DELETE", f"/admin/products/{there['id']}/variants/{there['variants'][0]['id']}", token=world.shop.admin
    )
    world.rename(number, "Changed after somebody deleted a variant")
    assert len(world.heals()[number].variants) == 2


def test_a_product_that_somebody_deletes_is_back_with_the_next_change(world: Products) -> None:
    [number] = world.new()
    world.sync()
    world.shop.call("DELETE", f"/admin/products/{world.product(number)['id']}", token=world.shop.admin)
    world.rename(number, "Changed after somebody deleted it")
    assert number in world.heals()


def test_inventory_items_without_a_variant_are_used(world: Products) -> None:
    numbers = world.new(3)
    for number in numbers[:2]:
        world.shop.post("/admin/inventory-items", {"sku": f"{number}-BLACK"}, world.shop.admin)
    assert set(numbers) <= set(world.heals())


@pytest.mark.parametrize("taken", ["sku", "handle"])
def test_what_somebody_takes_in_the_last_moment_is_quarantined_and_taken_up_when_it_is_free(
    world: Products, taken: str
) -> None:
    good, bad = world.new(2)
    made = []

    def take(send: proxy.Send) -> proxy.Answer | None:
        sku, handle = (f"{bad}-BLACK", "somebody-elses") if taken == "sku" else ("SOMEBODY", bad.lower())
        made.append(world.by_hand(handle, sku))
        return send()

    with world.shop_line.fault(take, CREATE, times=1):
        assert world.sync().state == "success"
    shown = world.in_shop_only()
    assert made and good in shown and bad not in shown
    assert {key: row["code"] for key, row in world.quarantined().items()} == {bad: f"{taken}_taken"}
    assert world.quarantined()[bad]["remedy"]
    world.shop.call("DELETE", f"/admin/products/{made[0]}", token=world.shop.admin)
    world.rename(bad, "Free again")
    world.heals()
    assert world.quarantined() == {}


def test_prices_are_never_touched_whatever_is_repeated(world: Products) -> None:
    number = world.new_known()
    there = world.product(number)
    prices = [{"currency_code": "eur", "amount": 12.5}, {"currency_code": "eur", "amount": 11, "min_quantity": 10}]
    world.shop.post(
        f"/admin/products/{there['id']}/variants/batch",
        {"update": [{"id": one["id"], "prices": prices} for one in there["variants"]]},
        world.shop.admin,
    )
    before = world.prices(number)
    for call in (UPDATE, VARIANTS):
        world.widen(number, "orange" if call == UPDATE else None)
        with world.shop_line.fault(proxy.lose_answer, call, times=1):
            assert world.sync().state == "success"
    world.in_step()
    assert all(before.values()) and before.items() <= world.prices(number).items()


# ---------------------------------------------------------------- the ERP

LOGIN = r'"common\.db\.login"'
TEMPLATES = r'"model\.product\.template\.search_read"'
PRODUCTS = r'"model\.product\.product\.search_read"'
IDENTIFIERS = r'"model\.product\.identifier\.search_read"'
IMAGES = r'"model\.product\.image\.search_read"'
CONTENT = rf'{IMAGES}.*\["image", "last_modified_at"\]'
FAILURES: dict[str, tuple[proxy.Fault, type[CrossdockError]]] = {
    "away": (proxy.reset, Retry),
    "401": (proxy.answer(401), BadCredentials),
    "429-come-later": (proxy.answer(429, Retry_After="600"), Retry),
    "500": (proxy.answer(500, b"<h1>Internal Server Error</h1>"), Retry),
    "504": (proxy.instead(504), Retry),
    "garbage": (proxy.answer(200, b"<html>maintenance</html>"), Retry),
    "truncated-json": (proxy.cut_json, Retry),
}


@pytest.mark.parametrize("call", [TEMPLATES, PRODUCTS, IDENTIFIERS, IMAGES])
def test_an_erp_that_fails_leaves_everything_as_it_is_and_the_next_run_heals(world: Products, call: str) -> None:
    [number] = world.new()
    before = world.in_shop_only(), world.watermark(), world.writes(), world.ledger()
    for fault, error in FAILURES.values():
        asked = world.erp_line.seen(call)
        with world.erp_line.fault(fault, call), pytest.raises(CrossdockError) as caught:
            world.sync()
        assert type(caught.value) is error and world.erp_line.seen(call) > asked
        run = world.last_run()
        assert run["state"] == "failed" and "nothing was written" in run["message"]
        assert (world.watermark(), world.writes(), world.ledger()) == before[1:]
        assert world.query("SELECT FROM outbox WHERE run_id = %s", run["id"]) == []
    assert world.in_shop_only() == before[0]
    assert number in world.heals()


@pytest.mark.parametrize("fault", [proxy.late(4), proxy.answer(429)], ids=["slow", "429-storm"])
@pytest.mark.usefixtures("impatient")
def test_an_erp_that_takes_too_long_is_left_alone(
    world: Products, fault: proxy.Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.new()
    before = world.watermark(), world.writes(), world.ledger()
    with world.erp_line.fault(fault, PRODUCTS), pytest.raises(Retry):
        world.sync()
    assert (world.watermark(), world.writes(), world.ledger()) == before
    monkeypatch.undo()
    world.heals()


def test_an_erp_that_asks_for_a_moment_is_given_it(world: Products) -> None:
    world.new()
    with world.erp_line.fault(proxy.answer(429, Retry_After="1"), IDENTIFIERS, times=1):
        world.heals()


@pytest.mark.parametrize("fault", [proxy.reset, proxy.cut_json], ids=["away", "truncated-json"])
def test_an_erp_that_does_not_give_its_pictures_gets_another_chance(world: Products, fault: proxy.Fault) -> None:
    [number] = world.new()
    with world.erp_line.fault(fault, CONTENT), pytest.raises(Retry):
        world.sync()
    assert world.last_run()["counts"]["pending"] == 1 and number not in world.in_shop()
    assert world.heals()[number].images == 1


def test_a_picture_that_is_exchanged_before_its_bytes_are_read_is_taken_up_by_the_next_run(world: Products) -> None:
    [number, other] = world.new(2)

    def exchange() -> None:
        admin, template = world.erp.admin, world.template(number)
        admin("model.product.image.delete", world.erp.rows_of("product.image", "template", template))
        world.add_image(number)

    with world.erp_line.fault(proxy.meanwhile(exchange), PRODUCTS + r'.*"attributes"', times=1):
        world.step("extract", name := world.new_run())
    with world.erp_line.fault(proxy.meanwhile(lambda: None), CONTENT):
        for step in STEPS[1:]:
            assert world.step(step, name)
    assert other in world.in_shop()
    assert number in world.heals() and world.quarantined() == {}


@pytest.fixture
def kept(world: Products) -> Iterator[None]:
    """The watermark is put back: other tests had better not see this one."""
    [mark] = world.watermark()
    yield
    world.query("UPDATE watermark SET until = %s WHERE pair = %s RETURNING 1", mark, world.pair)


@pytest.mark.parametrize("seconds", [90, -90])
@pytest.mark.usefixtures("kept")
def test_a_clock_that_is_wrong_loses_nothing(world: Products, seconds: int) -> None:
    off = timedelta(seconds=seconds)
    world.query("UPDATE watermark SET until = until + %s WHERE pair = %s RETURNING 1", min(off, -off), world.pair)
    with world.erp_line.fault(proxy.clock(off)):
        world.heals()
        world.rename(world.known, "Changed by a wrong clock")
        world.heals()
    [mark] = world.watermark()
    assert abs(mark - datetime.now(UTC) - off) < timedelta(seconds=60)
    world.rename(world.known, "Changed by a right clock")
    world.add_image(world.known)
    assert world.heals()[world.known].title == "Changed by a right clock"
    assert world.watermark() >= [mark]


@pytest.mark.parametrize("call", [TEMPLATES, PRODUCTS + r'.*"attributes"', IMAGES])
def test_what_changes_while_the_erp_is_read_is_there_after_the_next_run(world: Products, call: str) -> None:
    renamed, narrowed, gone = world.new(3)
    world.sync()
    for number in (renamed, narrowed, gone):
        world.rename(number, "Renamed before")
    news: list[str] = []

    def change() -> None:
        news.extend(world.new())
        world.rename(renamed, "Renamed meanwhile")
        world.archive_color(narrowed)
        world.archive(gone)

    with world.erp_line.fault(proxy.meanwhile(change), call, times=1):
        assert world.sync().state == "success"
    assert news and news[0] not in world.in_shop_only()
    shown = world.heals()
    assert shown[renamed].title == "Renamed meanwhile" and len(shown[narrowed].variants) == 1
    assert news[0] in shown and gone not in shown


def test_pages_that_shift_while_they_are_read_lose_nothing(world: Products, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossdock.connectors.tryton.items.PAGE", 25)
    deleted, archived, *others = world.new(30, colors=("black",))
    world.sync()
    news: list[str] = []

    def shift() -> None:
        world.delete(deleted)
        world.archive(archived)
        news.extend(world.new(2))

    page = rf'{PRODUCTS}.*"template", "in", \[[^\]]*\b{world.template(archived)}\b'
    before = world.erp_line.seen(TEMPLATES)
    with world.erp_line.fault(proxy.meanwhile(shift), page, times=1):
        assert world.sync(full=True).state == "success"
    assert news and world.erp_line.seen(TEMPLATES) - before >= 4
    assert set(others) <= set(world.in_shop_only())
    assert world.sync(full=True).state == "success"
    shown = world.in_step()
    assert not {deleted, archived} & shown.keys() and set(news) <= shown.keys()


@pytest.mark.parametrize(
    ("late", "found_by"),
    [(timedelta(minutes=4, seconds=50), {}), (timedelta(minutes=6), {"full": True})],
    ids=["within-the-overlap", "beyond-it"],
)
@pytest.mark.usefixtures("kept")
def test_a_change_that_is_committed_late_is_found(world: Products, late: timedelta, found_by: dict[str, bool]) -> None:
    """It carries the time when its transaction began; a run has read up to a later moment by then."""
    number = world.new_known()
    world.rename(number, "Committed late")
    world.query("UPDATE watermark SET until = now() + %s WHERE pair = %s RETURNING 1", late, world.pair)
    if found_by:
        assert world.sync().state == "success"
        assert world.in_shop_only()[number].title != "Committed late"
    assert world.sync(**found_by).state == "success"
    world.in_step()


# ---------------------------------------------------------------- the task and the store

KILLED = [
    pytest.param("transform", STORE + "count_decisions", CREATE, id="transform"),
    pytest.param("load", MEDUSA + "put", CREATE, id="load-before-anything-is-sent"),
    pytest.param("load", MEDUSA + "_create", CREATE, id="load-after-the-images-are-sent"),
    pytest.param("load", MEDUSA + "_finish", VARIANTS, id="load-in-the-middle-of-a-change"),
    pytest.param("load", STORE + "confirm", CREATE, id="load-after-the-send"),
]


@pytest.mark.parametrize(("step", "function", "call"), KILLED)
def test_a_killed_task_fails_its_run_and_the_next_one_loses_and_doubles_nothing(
    world: Products, step: str, function: str, call: str
) -> None:
    world.widen(world.new_known()) if call == VARIANTS else world.new(2)
    before, mark = world.shop_line.seen(call), world.watermark()
    name = world.until_killed(step, function)
    assert world.shop_line.seen(call) - before == function.endswith("confirm")
    with pytest.raises(Stop):
        world.step("settle", name)
    assert world.last_run()["airflow_run"] == name and world.last_run()["state"] == "failed"
    assert (world.watermark() == mark) is (step != "load")
    world.heals()
    assert world.shop_line.seen(call) - before == 1


@pytest.mark.parametrize(
    ("step", "function", "call"),
    [
        pytest.param("extract", STORE + "close_stage", CREATE, id="extract"),
        pytest.param("validate", STORE + "save_quality", CREATE, id="validate"),
        pytest.param("load", MEDUSA + "_finish", VARIANTS, id="load-in-the-middle-of-a-change"),
    ],
)
def test_a_killed_task_that_is_tried_again_finishes_its_run(
    world: Products, step: str, function: str, call: str
) -> None:
    world.widen(world.new_known()) if call == VARIANTS else world.new()
    before = world.shop_line.seen(call)
    name = world.until_killed(step, function)
    for again in STEPS[STEPS.index(step) :]:
        assert world.step(again, name)
    assert world.last_run()["state"] == "success" and world.shop_line.seen(call) - before == 1
    world.in_step()


# ---------------------------------------------------------------- nothing to do


def test_a_run_with_nothing_to_do_writes_nothing_and_never_imports_great_expectations(world: Products) -> None:
    world.new()
    world.heals()
    world.rename(world.known, world.in_erp()[world.known].title)  # somebody pressed "save"
    before, read = (world.writes(), world.ledger()), world.erp_line.seen(TEMPLATES)
    name, said = world.new_run(), []
    for step in ("extract", "settle"):
        task = world.task(step, name)
        assert task.returncode == 0, task.stderr
        said.append(json.loads(task.stdout.splitlines()[-1]))
    assert said[0] == {"result": "False", "great_expectations": False}
    assert said[1]["great_expectations"] is False and world.erp_line.seen(TEMPLATES) > read
    run = world.last_run()
    assert run["airflow_run"] == name and run["state"] == "success" and run["quality"] is None
    counts = run["counts"]
    assert counts["unchanged"] > 0 and counts["created"] == counts["updated"] == counts["removed"] == 0
    world.sync(full=True)
    assert (world.writes(), world.ledger()) == before


# ---------------------------------------------------------------- the shop is held up, and killed
# at the end: whoever comes later has all these products to look through


@pytest.mark.parametrize(
    ("change", "call", "table"),
    [
        pytest.param(lambda world: world.new(3), CREATE, "product_variant", id="create-variants"),
        pytest.param(lambda world: world.new(3), CREATE, "product_variant_inventory_item", id="create-stock"),
        pytest.param(Products.widen_known, VARIANTS, "inventory_item", id="a-variant-more"),
    ],
)
@pytest.mark.usefixtures("impatient", "hasty")
def test_a_shop_that_is_still_at_work_when_nobody_waits_any_more_spoils_nothing(
    world: Products, change: Change, call: str, table: str
) -> None:
    """It is held up for longer than we wait for an answer, and longer than we look on while nothing moves."""
    change(world)
    ended = threading.Event()

    def held_up(send: proxy.Send) -> proxy.Answer | None:
        try:
            with world.shop_locked(table, 5):
                return send()
        finally:
            ended.set()

    with world.shop_line.fault(held_up, call, times=1), contextlib.suppress(AnswerLost):
        world.sync()
    assert ended.wait(60), "the fault never happened"
    world.heals()


@pytest.mark.parametrize("table", ["product_variant", "product_variant_price_set", "product_variant_inventory_item"])
@pytest.mark.usefixtures("hasty")
def test_a_shop_that_is_killed_in_the_middle_of_many_new_products_is_right_after_the_next_run(
    world: Products, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MEDUSA + "batch", 40)
    numbers = world.new(80, colors=("black",), pictures=False)
    second = f"{CREATE}.*{numbers[50]}"
    try:
        with world.shop_line.fault(world.kill_shop_at(table), second, times=1), pytest.raises(Retry):
            world.sync()
    finally:
        world.shop.restart()
    counts = world.last_run()["counts"]
    assert counts["pending"] > 0 and counts["created"] + counts["pending"] == len(numbers)
    world.heals()


@pytest.mark.parametrize("table", ["product_variant", "product_variant_inventory_item"])
@pytest.mark.usefixtures("hasty")
def test_a_shop_that_is_killed_in_the_middle_of_many_changes_is_right_after_the_next_run(
    world: Products, table: str
) -> None:
    numbers = world.new(20)
    world.heals()
    for number in numbers[::2]:
        world.widen(number)
    call = VARIANTS if table.endswith("item") else UPDATE
    try:
        with world.shop_line.fault(world.kill_shop_at(table), call, times=1), pytest.raises(Retry):
            world.sync()
    finally:
        world.shop.restart()
    assert world.last_run()["counts"]["pending"] == 10
    world.heals()
