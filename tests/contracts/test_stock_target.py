"""Stock in the shop, on the real Medusa: what is written is what can be sold, whatever happens meanwhile."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
import requests
from tests.buying import Buying
from tests.contracts.asking import flat, later
from tests.shop_fixtures import CONNECTION, DATABASE, Shop

from crossdock.connectors.medusa.adapter import Medusa
from crossdock.connectors.medusa.inventory import Inventory
from crossdock.domain.stock import Counted, Level, Stock
from crossdock.errors import Misconfigured, Retry
from crossdock.ports import Found, Outcome, Put, Window

pytestmark = pytest.mark.e2e

HAM, BER, THIRD = "WH-HAM", "WH-BER", "WH-3PL"
START = datetime.fromisoformat("2026-11-26T08:00:00+00:00")

_moments = itertools.count()


@pytest.fixture(scope="session")
def target(shop: Shop) -> Inventory:
    return Medusa.from_connection(CONNECTION).inventory


@pytest.fixture(scope="session")
def buy(shop: Shop) -> Buying:
    return Buying(shop)


def no_content(ref: str) -> bytes:
    raise AssertionError(f"{ref} was asked for")


def stock(sku: str, hamburg: int, berlin: int = 0, counted: Mapping[str, float] | None = None, **changes: Any) -> Stock:
    """Each is newer than the one before."""
    return Stock(**{
        "sku": sku,
        "levels": (Level(location=HAM, sellable=hamburg), Level(location=BER, sellable=berlin)),
        "counted": tuple(Counted(line=line, quantity=Decimal(str(pieces))) for line, pieces in (counted or {}).items()),
        "as_of": START + timedelta(seconds=next(_moments)),
        "shown": False,
        **changes,
    })  # fmt: skip


def put(target: Inventory, *stocks: Stock, fingerprint: str = "f1") -> dict[str, Outcome]:
    batch = [Put(one.key, "update", None, target.payload(one), fingerprint) for one in stocks]
    return {outcome.key: outcome for outcome in target.put(batch, no_content)}


def written(target: Inventory, *stocks: Stock) -> None:
    """Put, taken without a word, and shown from then on."""
    assert {(one.refused, one.note) for one in put(target, *stocks).values()} == {(None, None)}
    assert target.shows(stocks) == {one.sku for one in stocks}


def touched(target: Inventory, since: datetime) -> set[str]:
    return set(flat(target.touched(Window(since, target.now()))))


@pytest.fixture(scope="session")
def there(shop: Shop) -> Callable[[str], dict[str, tuple[float, float]]]:
    """By the warehouse's code: what lies there, and what is reserved of it, as staff sees it."""
    places = shop.get("/admin/stock-locations?limit=100&fields=id,metadata", shop.admin)["stock_locations"]
    codes = {place["id"]: place["metadata"]["erp_code"] for place in places}

    def look(sku: str) -> dict[str, tuple[float, float]]:
        path = f"/admin/inventory-items?sku={sku}&fields=id,*location_levels"
        (item,) = shop.get(path, shop.admin)["inventory_items"]
        for level in item["location_levels"]:
            for name in ("stocked_quantity", "reserved_quantity", "incoming_quantity"):
                assert float(level[f"raw_{name}"]["value"]) == level[name]
        return {
            codes[level["location_id"]]: (level["stocked_quantity"], level["reserved_quantity"])
            for level in item["location_levels"]
        }

    return look


@pytest.fixture(scope="session")
def seen(shop: Shop) -> Callable[..., dict[str, Any]]:
    """The variant as a visitor sees it."""

    def look(sku: str) -> dict[str, Any]:
        levels = "variants.inventory_items.inventory.location_levels"
        fields = f"*variants,+variants.manage_inventory,+variants.inventory_quantity,{levels}.incoming_quantity"
        path = f"/store/products?handle={sku.lower()}&fields={fields},{levels}.metadata"
        (product,) = shop.get(path)["products"]
        return dict(product["variants"][0])

    return look


def for_sale(seen: Callable[[str], dict[str, Any]], sku: str) -> int:
    return int(seen(sku)["inventory_quantity"])


# ------------------------------------------------------------ what a visitor sees


def test_a_visitor_sees_at_once_what_can_be_sold_and_when_more_comes(target, buy, there, seen):
    sku = buy.product(stock=1)
    coming = Level(location=BER, sellable=2, incoming=40, expected=date(2026, 12, 7))
    written(target, stock(sku, 5, levels=(Level(location=HAM, sellable=5), coming)))
    assert for_sale(seen, sku) == 7
    levels = seen(sku)["inventory_items"][0]["inventory"]["location_levels"]
    promised = [(level["incoming_quantity"], level["metadata"]["erp"].get("expected")) for level in levels]
    assert sorted(promised, key=str) == [(0, None), (0, None), (40, "2026-12-07")]
    written(target, stock(sku, 0, 3))
    assert for_sale(seen, sku) == 3
    assert there(sku) == {HAM: (0, 0), BER: (3, 0), THIRD: (0, 0)}


def test_selling_without_stock_is_the_erps_to_say_or_stays_the_shops(target, buy, seen):
    sku = buy.product(stock=1)
    for backorder, allowed in ((None, False), (True, True), (None, True), (False, False)):
        written(target, stock(sku, 0, backorder=backorder))
        assert seen(sku)["allow_backorder"] is allowed


# ------------------------------------------------------------ the equation


def test_what_is_reserved_for_counted_orders_is_added_for_others_it_is_not(target, buy, there, seen):
    sku = buy.product(stock=10)
    known = buy.as_guest("known@guest.example", {sku: 3})["id"]
    unknown = buy.as_guest("unknown@guest.example", {sku: 2})["id"]
    line = buy.lines(known)[sku]
    reserved = target.reserved([sku, "NO-SUCH-SKU"])
    assert {(one.order, one.line, one.location, one.quantity, one.fulfilled) for one in reserved[sku]} == {
        (known, line, HAM, 3, 0),
        (unknown, buy.lines(unknown)[sku], HAM, 2, 0),
    }
    assert reserved.keys() == {sku}
    written(target, stock(sku, 5, 2, {line: 3}))
    assert there(sku) == {HAM: (8, 5), BER: (2, 0), THIRD: (0, 0)}
    assert for_sale(seen, sku) == 5 + 2 - 2


def test_what_happens_between_reading_and_writing_is_neither_lost_nor_doubled(target, buy, there, seen):
    sku = buy.product(stock=20)
    first = buy.as_guest("first@guest.example", {sku: 4})["id"]
    line = buy.lines(first)[sku]
    as_read = stock(sku, 6, 1, {line: 4})
    buy.as_guest("second@guest.example", {sku: 2})  # the ERP has not heard of it
    buy.send(first, {line: 1})
    written(target, as_read)
    assert there(sku)[HAM] == (6 + 3, 3 + 2)
    assert for_sale(seen, sku) == 6 + 1 - 2
    (counted, _) = sorted(target.reserved([sku])[sku], key=lambda one: one.line != line)
    assert (counted.quantity, counted.fulfilled) == (3, 1)
    buy.send(first, {line: 2})
    assert target.shows([as_read]) == {sku}, "a fulfilment of a counted order changes nothing for shoppers"
    buy.send(first, {line: 1}, THIRD)  # neither where it was reserved, nor where the ERP knows of any
    assert there(sku)[THIRD] == (-1, 0)
    assert target.shows([as_read]) == frozenset()
    written(target, stock(sku, 6, 1, {line: 4}))
    assert there(sku) == {HAM: (6, 2), BER: (1, 0), THIRD: (0, 0)}
    assert for_sale(seen, sku) == 6 + 1 - 2


def test_an_order_is_found_when_it_is_placed_and_when_it_is_cancelled_and_covers_nothing_then(target, buy, there, seen):
    sku = buy.product(stock=9)
    written(target, stock(sku, 9))
    since = later(target)
    order = buy.as_guest("cancel@guest.example", {sku: 4})["id"]
    assert sku in touched(target, since)
    as_read = stock(sku, 5, counted={buy.lines(order)[sku]: 4})
    written(target, as_read)
    assert sku in touched(target, since), "the order is newer than what was read before"
    since = later(target)
    assert sku not in touched(target, since)
    buy.cancel(order)
    assert for_sale(seen, sku) == 9
    assert sku in touched(target, since)
    assert target.shows([as_read]) == frozenset()
    written(target, as_read)
    assert there(sku)[HAM] == (5, 0)


def test_a_fulfilment_taken_back_covers_again(target, buy, shop, there, seen):
    sku = buy.product(stock=9)
    order = buy.as_guest("back@guest.example", {sku: 4})["id"]
    line = buy.lines(order)[sku]
    path = f"/admin/orders/{order}/fulfillments"
    items = {"items": [{"id": line, "quantity": 4}], "location_id": location(shop, HAM)}
    shop.post(path, items, shop.admin)
    as_read = stock(sku, 5, counted={line: 4})
    written(target, as_read)
    assert there(sku)[HAM] == (5, 0)
    made = buy.look(order, "id,*fulfillments")["fulfillments"][0]["id"]
    shop.post(f"{path}/{made}/cancel", {}, shop.admin)
    assert there(sku)[HAM] == (9, 4)
    assert target.shows([as_read]) == {sku}
    assert for_sale(seen, sku) == 5


def test_what_comes_back_is_for_sale_when_the_erp_says_so(target, buy, there):
    sku = buy.product(stock=6)
    order = buy.as_guest("return@guest.example", {sku: 2})["id"]
    line = buy.lines(order)[sku]
    buy.send(order)
    as_read = stock(sku, 4, counted={line: 2})
    written(target, as_read)
    since = later(target)
    buy.receive(buy.ask_return(order, {line: 2}), {line: 2})
    assert there(sku)[HAM] == (6, 0)
    assert sku in touched(target, since)
    assert target.shows([as_read]) == frozenset()
    written(target, as_read)
    assert there(sku)[HAM] == (4, 0)


def test_an_edit_that_raises_a_quantity_takes_the_rest_from_what_is_for_sale(target, buy, there, seen):
    sku = buy.product(stock=20)
    order = buy.as_guest("edit@guest.example", {sku: 2})["id"]
    line = buy.lines(order)[sku]
    buy.edit(order, change={line: 5})
    written(target, stock(sku, 8, counted={line: 2}))
    assert there(sku)[HAM] == (10, 5)
    assert for_sale(seen, sku) == 8 - 3
    written(target, stock(sku, 5, counted={line: 5}))
    assert for_sale(seen, sku) == 5


def test_of_a_line_reserved_in_two_places_as_much_is_covered_as_was_counted(target, buy, shop, there):
    sku = buy.product(stock=20)
    order = buy.as_guest("split@guest.example", {sku: 5})["id"]
    line = buy.lines(order)[sku]
    written(target, stock(sku, 20, 20))
    (made,) = shop.get(f"/admin/reservations?line_item_id={line}", shop.admin)["reservations"]
    shop.post(f"/admin/reservations/{made['id']}", {"quantity": 2}, shop.admin)
    more = {"line_item_id": line, "inventory_item_id": made["inventory_item_id"], "quantity": 3}
    shop.post("/admin/reservations", {**more, "location_id": location(shop, BER)}, shop.admin)
    assert [(one.location, one.quantity) for one in target.reserved([sku])[sku]] == [(HAM, 2), (BER, 3)]
    written(target, stock(sku, 1, 1, {line: 4}))
    assert there(sku) == {HAM: (1 + 2, 2), BER: (1 + 2, 3), THIRD: (0, 0)}


def test_replacements_are_reserved_for_their_order_and_drafts_for_nobody(target, buy, there):
    sku, instead = buy.product(stock=5), buy.product(stock=5)
    order = buy.as_guest("exchange@guest.example", {sku: 1})["id"]
    buy.send(order)
    buy.exchange(order, {buy.lines(order)[sku]: 1}, {instead: 2}, freight=4)  # without freight Medusa reserves nothing
    buy.draft("draft@guest.example", [{"variant_id": buy.variant(instead)["id"], "quantity": 1}])
    (reserved,) = target.reserved([instead])[instead]
    assert (reserved.order, reserved.line, reserved.quantity) == (order, buy.lines(order)[instead], 2)
    written(target, stock(instead, 3, counted={reserved.line: 2}))
    assert there(instead)[HAM] == (5, 2)


def test_what_staff_reserves_by_hand_stays_reserved(target, buy, shop, there, seen):
    sku = buy.product(stock=5)
    (item,) = shop.get(f"/admin/inventory-items?sku={sku}", shop.admin)["inventory_items"]
    body = {"inventory_item_id": item["id"], "location_id": location(shop, HAM), "quantity": 2}
    shop.post("/admin/reservations", body, shop.admin)
    assert target.reserved([sku]) == {}
    written(target, stock(sku, 5))
    assert there(sku)[HAM] == (5, 2)
    assert for_sale(seen, sku) == 3


# ------------------------------------------------------------ what the shop begins to count


def test_what_was_not_counted_gets_its_levels_and_its_open_orders_their_reservations(target, buy, shop, there, seen):
    sku = buy.product()
    order = buy.as_guest("before@guest.example", {sku: 3})["id"]
    shop.post("/admin/inventory-items", {"sku": sku}, shop.admin)
    put(target, stock(sku, 2, 7))
    assert seen(sku)["manage_inventory"] is True
    assert there(sku) == {HAM: (2, 0), BER: (7, 3), THIRD: (0, 0)}
    (reserved,) = target.reserved([sku])[sku]
    assert (reserved.order, reserved.quantity) == (order, 3)
    written(target, stock(sku, 2, 7, {reserved.line: 3}))
    assert for_sale(seen, sku) == 9
    buy.send(order)
    assert there(sku) == {HAM: (-1, 0), BER: (10, 0), THIRD: (0, 0)}
    written(target, stock(sku, 2, 7, {reserved.line: 3}))
    assert there(sku) == {HAM: (2, 0), BER: (7, 0), THIRD: (0, 0)}


def test_counted_by_the_shop_before_there_was_stock_orders_of_the_erp_get_reservations(target, buy, shop, there):
    sku = buy.product()
    known = buy.as_guest("theirs@guest.example", {sku: 3})["id"]
    buy.as_guest("ancient@guest.example", {sku: 1})
    buy.mark(known, erp_number="4711")
    made = shop.post("/admin/inventory-items", {"sku": sku}, shop.admin)["inventory_item"]["id"]
    attach(shop, buy, sku, made)
    variant = buy.variant(sku)
    path = f"/admin/products/{variant['product_id']}/variants/{variant['id']}"
    shop.post(path, {"manage_inventory": True}, shop.admin)  # the flow items
    put(target, stock(sku, 8))
    put(target, stock(sku, 8))
    assert [(one.order, one.quantity) for one in target.reserved([sku])[sku]] == [(known, 3)]
    assert there(sku) == {HAM: (8, 3), BER: (0, 0), THIRD: (0, 0)}


# ------------------------------------------------------------ what others have changed


def test_hand_edits_are_found_own_writing_is_not(target, buy, shop, there):
    sku, other = buy.product(stock=4), buy.product(stock=4)
    variant = buy.variant(sku)
    path = f"/admin/products/{variant['product_id']}/variants/{variant['id']}"
    (item,) = shop.get(f"/admin/inventory-items?sku={sku}", shop.admin)["inventory_items"]
    levels = f"/admin/inventory-items/{item['id']}/location-levels"
    as_read = stock(sku, 4, 2, backorder=False)
    hands: tuple[Callable[[], object], ...] = (
        lambda: buy.stock(sku, {BER: 99}),
        lambda: shop.post(f"{levels}/{location(shop, HAM)}", {"incoming_quantity": 12}, shop.admin),
        lambda: shop.post(path, {"manage_inventory": False}, shop.admin),
        lambda: shop.post(path, {"allow_backorder": True}, shop.admin),
    )
    for hand in hands:
        since = later(target)
        again = as_read.model_copy(update={"as_of": START + timedelta(seconds=next(_moments))})
        written(target, again, stock(other, 4))
        assert {sku, other}.isdisjoint(touched(target, since))
        hand()
        assert target.shows([again]) == frozenset()
        assert touched(target, since) & {sku, other} == {sku}
    buy.stock(sku, {HAM: 0})
    shop.call("DELETE", f"{levels}/{location(shop, HAM)}", token=shop.admin)  # leaves no trace to be asked for
    assert target.shows([again]) == frozenset()
    written(target, again)
    assert there(sku) == {HAM: (4, 0), BER: (2, 0), THIRD: (0, 0)}


def test_what_was_touched_is_told_page_by_page(target, buy, monkeypatch):
    since = later(target)
    skus = {buy.product(stock=1) for _ in range(3)}
    monkeypatch.setattr("crossdock.connectors.medusa.inventory._PAGE", 1)
    pages = list(target.touched(Window(since, target.now())))
    assert {len(page) for page in pages} == {1}
    assert skus <= set(flat(pages))
    assert flat(pages) == sorted(flat(pages))


# ------------------------------------------------------------ late, again, refused


def test_a_late_figure_changes_nothing_and_says_so(target, buy, there):
    sku = buy.product(stock=1)
    late, newer = stock(sku, 50), stock(sku, 3)
    written(target, newer)
    assert put(target, late)[sku].note == "The shop shows a later figure already."
    assert put(target, late)[sku].refused is None
    assert there(sku)[HAM] == (3, 0)
    assert target.shows([late]) == {sku}
    ahead = stock(sku, 7, as_of=target.now() + timedelta(hours=2))
    written(target, ahead)
    written(target, stock(sku, 8))  # a clock that was wrong locks nobody out
    assert there(sku)[HAM] == (8, 0)


def test_twice_is_the_same_as_once(target, buy, shop):
    sku = buy.product(stock=1)
    as_read = stock(sku, 4, 2)

    def rows() -> list[str]:
        items = f"SELECT id FROM inventory_item WHERE sku = '{sku}'"
        return shop.sql(f"SELECT l::text FROM inventory_level l WHERE inventory_item_id IN ({items}) ORDER BY id")

    first = put(target, as_read)
    before = rows()
    assert put(target, as_read) == first
    assert rows() == before
    assert len(before) == 3


def test_what_was_put_is_found_with_its_fingerprint(target, buy):
    one, new = buy.product(stock=1), buy.product(stock=1)
    outcome = put(target, stock(one, 4), fingerprint="abc")[one]
    found = target.find([one, new, "NO-SUCH-SKU"])
    assert found.keys() == {one, new}
    assert found[one] == Found(outcome.target_id, "abc")
    assert found[new].fingerprint is None
    assert target.match([stock(one, 1)]) == {one: found[one]}
    assert one in flat(target.keys())
    assert new not in flat(target.keys())
    (left,) = target.put([Put(one, "remove", found[one].target_id, b"", "gone")], no_content)
    assert left == Outcome(one, found[one].target_id)
    assert target.find([one])[one] == found[one]


def test_one_bad_sku_among_five_hundred_stops_only_itself(target, buy, shop, there):
    many = variants(shop, buy, 496)
    bare, shared, gone = buy.product(), buy.product(stock=1), buy.product(stock=1)
    mark = '{"erp": {"withdrawn": true}}'
    shop.sql(f"UPDATE product_variant SET metadata = '{mark}' WHERE sku = '{gone}' RETURNING id")
    (item,) = shop.get(f"/admin/inventory-items?sku={many[0]}", shop.admin)["inventory_items"]
    attach(shop, buy, shared, item["id"])
    good = many[1:]
    elsewhere = stock(many[1], 1, levels=(Level(location="WH-MOON", sellable=1),))
    batch = [stock(sku, 1, 1) for sku in (*good[1:], bare, shared, gone, "NO-SUCH-SKU")]
    outcomes = put(target, elsewhere, *batch)
    refused = {key: one.refused.code for key, one in outcomes.items() if one.refused}
    assert refused == {
        bare: "no_inventory_item",
        shared: "shared_inventory",
        "NO-SUCH-SKU": "unknown_sku",
        good[0]: "unknown_location",
    }
    assert "WH-MOON" in outcomes[good[0]].refused.reason
    assert outcomes[gone].note == "No longer sold: its levels are left as they are."
    assert there(gone) == {HAM: (1, 0)}
    assert there(good[-1]) == {HAM: (1, 0), BER: (1, 0), THIRD: (0, 0)}
    assert target.shows([elsewhere, *batch]) == {*good[1:], gone}


def test_two_locations_with_the_same_code_are_for_a_person(target, buy, shop):
    sku = buy.product(stock=1)
    body = {"name": "Twin", "metadata": {"erp_code": BER}}
    twin = shop.post("/admin/stock-locations", body, shop.admin)["stock_location"]["id"]
    try:
        with pytest.raises(Misconfigured, match=BER):
            target.locations()
        refusal = put(target, stock(sku, 1, 1))[sku].refused
        assert refusal.code == "unknown_location"
    finally:
        shop.call("DELETE", f"/admin/stock-locations/{twin}", token=shop.admin)
    assert sorted(target.locations()) == sorted((HAM, BER, THIRD))


# ------------------------------------------------------------ at the same time


@contextmanager
def holding(shop: Shop, sql: str) -> Iterator[psycopg.Connection[Any]]:
    """Somebody's transaction that is not done yet."""
    with psycopg.connect(shop.postgres.dsn(DATABASE)) as db:
        db.execute(sql)
        yield db


def waiting(db: psycopg.Connection[Any], mode: str, granted: bool) -> None:
    """Until somebody has, or waits for, the shop's lock on stock."""
    sql = """
        SELECT pid FROM pg_locks
        WHERE locktype = 'advisory' AND mode = %s AND granted = %s
          AND objid = (hashtext('crossdock stock')::bigint & 4294967295)::oid
        """
    end = time.monotonic() + 20
    while not db.execute(sql, (mode, granted)).fetchone():
        assert time.monotonic() < end, f"nobody has {mode}"
        time.sleep(0.01)


def level_rows(sku: str) -> str:
    return f"SELECT FROM inventory_level l JOIN inventory_item i ON i.id = l.inventory_item_id WHERE i.sku = '{sku}'"


def test_nothing_is_written_while_an_order_is_fulfilled_even_for_a_client_that_went_away(
    target, buy, shop, there, seen
):
    sku = buy.product(stock=10)
    order = buy.as_guest("away@guest.example", {sku: 4})["id"]
    line = buy.lines(order)[sku]
    written(target, stock(sku, 6, counted={line: 4}))
    body = {"items": [{"id": line, "quantity": 4}], "location_id": location(shop, HAM)}
    with ThreadPoolExecutor() as pool, holding(shop, f"{level_rows(sku)} FOR UPDATE OF l") as db:
        with pytest.raises(requests.ReadTimeout):
            requests.post(
                f"{shop.url}/admin/orders/{order}/fulfillments",
                json=body,
                headers={"Authorization": f"Bearer {shop.admin}"},
                timeout=1,
            )
        waiting(db, "ShareLock", granted=True)
        writing = pool.submit(put, target, stock(sku, 6, counted={line: 4}))
        waiting(db, "ExclusiveLock", granted=False)
        assert not writing.done()
        db.rollback()
        assert writing.result()[sku].refused is None
    assert there(sku)[HAM] == (6, 0)
    assert for_sale(seen, sku) == 6


def test_nothing_is_fulfilled_cancelled_or_received_while_stock_is_written(target, buy, shop):
    sku = buy.product(stock=10)
    order, other = (buy.as_guest("wait@guest.example", {sku: 4})["id"] for _ in range(2))
    line = buy.lines(order)[sku]
    body = {"items": [{"id": line, "quantity": 4}], "location_id": location(shop, HAM)}

    def waits(call: Callable[..., Any], *given: Any) -> Any:
        with (
            ThreadPoolExecutor() as pool,
            holding(shop, "SELECT pg_advisory_xact_lock(hashtext('crossdock stock'))") as db,
        ):
            done = pool.submit(call, *given)
            waiting(db, "ShareLock", granted=False)
            assert not done.done()
            db.rollback()
            return done.result()

    waits(shop.post, f"/admin/orders/{order}/fulfillments", body, shop.admin)
    waits(shop.post, f"/admin/orders/{other}/cancel", {}, shop.admin)
    assert target.reserved([sku]) == {}
    made = buy.ask_return(order, {line: 4})
    waits(buy.receive, made, {line: 4})


def test_shoppers_are_not_kept_waiting_for_the_writing_of_stock(target, buy, shop):
    """Who holds a row too long makes the writing give way; nothing of it is kept."""
    sku, other = buy.product(stock=5), buy.product(stock=5)
    with holding(shop, f"{level_rows(sku)} FOR UPDATE OF l"), pytest.raises(Retry, match="busy"):
        put(target, stock(other, 1), stock(sku, 1))
    assert target.shows([stock(other, 5), stock(sku, 5)]) == frozenset()
    assert target.find([other])[other].fingerprint is None


def test_never_more_is_for_sale_than_the_erp_has_left_while_orders_are_fulfilled_and_stock_is_written(
    target, buy, shop, there
):
    sku = buy.product(stock=50)
    orders = [buy.as_guest(f"race{n}@guest.example", {sku: 4})["id"] for n in range(2)]
    lines = [buy.lines(order)[sku] for order in orders]
    counted = dict.fromkeys(lines, 4)
    written(target, stock(sku, 7, counted=counted))
    most = f"""
        SELECT max(stocked_quantity - reserved_quantity) FROM inventory_level l
        JOIN inventory_item i ON i.id = l.inventory_item_id WHERE i.sku = '{sku}'
        """

    def send(order: str, line: str) -> None:
        body = {"items": [{"id": line, "quantity": 1}], "location_id": location(shop, HAM)}
        for _ in range(4):
            shop.post(f"/admin/orders/{order}/fulfillments", body, shop.admin)

    highest = []
    with ThreadPoolExecutor() as pool, psycopg.connect(shop.postgres.dsn(DATABASE), autocommit=True) as db:
        sending = [pool.submit(send, *pair) for pair in zip(orders, lines, strict=True)]
        looking = pool.submit(watch, lambda: highest.append(db.execute(most).fetchone()[0]), sending)
        while not all(future.done() for future in sending):
            put(target, stock(sku, 7, counted=counted))
        looking.result()
        for future in sending:
            future.result()
    assert max(highest) == 7
    written(target, stock(sku, 7, counted=counted))
    assert there(sku) == {HAM: (7, 0), BER: (0, 0), THIRD: (0, 0)}


def watch(look: Callable[[], object], futures: list[Any]) -> None:
    while not all(future.done() for future in futures):
        look()


# ------------------------------------------------------------ hands of the shop's staff


def location(shop: Shop, code: str) -> str:
    (found,) = shop.sql(
        f"SELECT id FROM stock_location WHERE metadata ->> 'erp_code' = '{code}' AND deleted_at IS NULL"
    )
    return str(found)


def attach(shop: Shop, buy: Buying, sku: str, item: str) -> None:
    """A variant is made of this inventory item too."""
    variant = buy.variant(sku)
    path = f"/admin/products/{variant['product_id']}/variants/{variant['id']}/inventory-items"
    shop.post(path, {"inventory_item_id": item, "required_quantity": 1}, shop.admin)


def variants(shop: Shop, buy: Buying, count: int) -> list[str]:
    """So many SKUs of one product."""
    first = buy.product()
    skus = [f"{first}-{n:03d}" for n in range(count)]
    channel = shop.get("/admin/sales-channels", shop.admin)["sales_channels"][0]["id"]
    profile = shop.get("/admin/shipping-profiles", shop.admin)["shipping_profiles"][0]["id"]
    product = {
        "title": f"Many of {first}", "handle": f"many-{first.lower()}", "status": "published",
        "shipping_profile_id": profile, "sales_channels": [{"id": channel}],
        "options": [{"title": "Size", "values": skus}],
        "variants": [
            {"title": sku, "sku": sku, "options": {"Size": sku}, "manage_inventory": True, "prices": []} for sku in skus
        ],
    }  # fmt: skip
    shop.post("/admin/products/batch?fields=id", {"create": [product]}, shop.admin)
    return skus
