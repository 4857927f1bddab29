"""What the engine does for records that are several things in the target: names, links, files, adoption."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from tests.engine.conftest import World

from crossdock.domain.customer import Account
from crossdock.errors import Stop
from crossdock.store.reports import journey
from crossdock.sync.flows import ITEMS
from crossdock.sync.run import BatchFailure, Verdict


def bolt(world, source_id="7", number="BOLT", sizes=("M6", "M8"), **fields):
    variants = [
        {"source_id": f"{source_id}-{n}", "sku": f"{number}-{size}", "options": [{"name": "Size", "value": size}]}
        for n, size in enumerate(sizes)
    ]
    world.erp.put(source_id, **{"number": number, "name": f"Bolt {number}", "variants": variants, **fields})


def links(world):
    return dict(world.query("SELECT key, target_id FROM link WHERE kind = 'variant'"))


def quarantined(world):
    return dict(world.query("SELECT key, code FROM quarantine WHERE resolved_at IS NULL"))


def test_every_sku_is_linked_to_its_variant(catalogue):
    bolt(catalogue)
    catalogue.sync()
    assert links(catalogue) == {"BOLT-M6": "variant-BOLT-M6", "BOLT-M8": "variant-BOLT-M8"}


def test_links_follow_sizes_that_come_and_go(catalogue):
    bolt(catalogue)
    catalogue.sync()
    bolt(catalogue, sizes=("M8", "M10"))
    catalogue.sync()
    assert links(catalogue).keys() == {"BOLT-M8", "BOLT-M10"}


def test_a_withdrawn_product_has_no_links_until_it_is_back(catalogue):
    bolt(catalogue)
    catalogue.sync()
    bolt(catalogue, published=False)
    assert catalogue.sync()[1].removed == 1
    assert links(catalogue) == {}
    bolt(catalogue)
    assert catalogue.sync()[1].updated == 1
    assert links(catalogue).keys() == {"BOLT-M6", "BOLT-M8"}


def test_links_are_found_again_after_a_lost_answer_and_after_a_rebuild(catalogue):
    bolt(catalogue)
    catalogue.shop.loses = 1
    catalogue.sync()
    assert links(catalogue).keys() == {"BOLT-M6", "BOLT-M8"}
    catalogue.query("DELETE FROM ledger RETURNING 1")
    catalogue.query("DELETE FROM link RETURNING 1")
    settled, _ = catalogue.sync()
    assert settled.state == "planned"
    catalogue.sync(plan=int(catalogue.query("SELECT max(id) FROM run")[0][0]))
    assert links(catalogue).keys() == {"BOLT-M6", "BOLT-M8"}
    assert len(catalogue.shop.records) == 1


def test_an_order_line_waits_for_its_sku(catalogue, dsn):
    class Order(Account):
        @property
        def needs(self):
            return frozenset({("variant", "BOLT-M6")})

    orders = World(dsn)
    parse = orders.erp.parse
    orders.erp.parse = lambda raw: Order(**dict(parse(raw)))
    orders.erp.put("1", number="C-1", name="Waits")
    assert orders.sync()[1].waiting == 1
    bolt(catalogue)
    catalogue.sync()
    assert orders.sync()[1].created == 1
    orders.close()


@pytest.mark.parametrize("together", [True, False])
def test_a_sku_at_two_products_stops_both_or_the_later_one_and_nobody_else(catalogue, together):
    bolt(catalogue)
    if not together:
        catalogue.sync()
    bolt(catalogue, "8", "NUT", variants=[{"source_id": "8-1", "sku": "BOLT-M6"}])
    bolt(catalogue, "9", "WASHER")
    books = catalogue.sync()[1]
    assert quarantined(catalogue) == ({"BOLT": "name_taken"} if together else {}) | {"NUT": "name_taken"}
    assert books.created == 1 and "WASHER" in catalogue.shop.records
    bolt(catalogue, "8", "NUT")
    catalogue.sync()
    assert quarantined(catalogue) == {} and links(catalogue)["NUT-M6"] and links(catalogue)["BOLT-M6"]


def test_a_sku_moves_from_one_product_to_another_in_one_run(catalogue):
    bolt(catalogue)
    bolt(catalogue, "8", "NUT")
    catalogue.sync()
    moved = {"source_id": "7-0", "sku": "BOLT-M6", "options": [{"name": "Size", "value": "M6"}]}
    bolt(catalogue, sizes=("M8",))
    bolt(catalogue, "8", "NUT", variants=[moved])
    catalogue.sync()
    assert quarantined(catalogue) == {}
    assert catalogue.query("SELECT owner FROM link WHERE key = 'BOLT-M6'") == [("NUT",)]


def test_what_somebody_made_in_the_shop_is_adopted_not_made_twice(catalogue):
    bolt(catalogue, "1", "OTHER")
    catalogue.sync()
    catalogue.shop.strangers = {"BOLT-M6": "prod_by_hand", "BOLT-M8": "prod_by_hand"}
    bolt(catalogue)
    books = catalogue.sync()[1]
    assert (books.created, books.updated) == (0, 1)
    assert catalogue.shop.records["BOLT"].target_id == "prod_by_hand"


def test_a_conflict_in_the_shop_is_quarantined_before_anything_is_written(catalogue):
    bolt(catalogue, "1", "OTHER")
    catalogue.sync()
    catalogue.shop.strangers = {"BOLT-M6": "prod_1", "BOLT-M8": "prod_2"}
    bolt(catalogue)
    bolt(catalogue, "8", "NUT")
    books = catalogue.sync()[1]
    assert (books.created, books.quarantined) == (1, 1) and quarantined(catalogue) == {"BOLT": "sku_taken"}
    assert "BOLT" not in catalogue.shop.records


def test_the_first_run_on_a_shop_with_products_shows_adopted_and_conflicting_ones(catalogue):
    catalogue.shop.strangers = {"BOLT-M6": "prod_1", "NUT-M6": "prod_2", "NUT-M8": "prod_3"}
    bolt(catalogue)
    bolt(catalogue, "8", "NUT")
    settled, books = catalogue.sync()
    assert settled.state == "planned" and "1 would be adopted" in settled.line
    assert catalogue.shop.records == {} and (books.planned, books.quarantined) == (1, 1)
    assert quarantined(catalogue) == {"NUT": "sku_taken"}


def test_parts_are_compared_once_an_hour_and_with_full(catalogue):
    bolt(catalogue)
    bolt(catalogue, "8", "NUT")
    catalogue.sync()
    catalogue.erp.drop("8")
    catalogue.erp.ahead += timedelta(hours=6)
    catalogue.sync()
    assert catalogue.query("SELECT removed FROM ledger WHERE key = 'NUT'") == [(False,)]
    catalogue.query("UPDATE watermark SET parts_at = now() - interval '61 minutes' RETURNING 1")
    assert catalogue.sync()[1].removed == 1
    catalogue.erp.drop("7")
    assert catalogue.sync(full=True)[1].removed == 1


def test_a_failed_run_does_not_count_as_a_comparison(catalogue):
    bolt(catalogue)
    catalogue.sync()
    catalogue.query("UPDATE watermark SET parts_at = now() - interval '61 minutes' RETURNING 1")
    catalogue.gate.verdict = Verdict(critical=(BatchFailure("bad", "bad", ""),))
    bolt(catalogue, name="Renamed")
    with pytest.raises(Stop):
        catalogue.sync()
    [(due,)] = catalogue.query("SELECT parts_at < now() - interval '1 hour' FROM watermark")
    assert due


def test_products_that_were_never_for_sale_say_nothing_about_the_batch(catalogue):
    for n in range(9):
        bolt(catalogue, str(n), f"RAW-{n}", published=False)
    bolt(catalogue, "99", "BOLT")
    settled, books = catalogue.sync()
    assert settled.state == "success" and books.created == 1 and sum(books.skipped.values()) == 9
    assert catalogue.gate.shown == [1]


@pytest.mark.parametrize("lanes", [1, 3])
def test_batches_go_out_side_by_side_and_every_one_is_confirmed(catalogue, lanes):
    catalogue.shop.lanes, catalogue.shop.batch = lanes, 2
    for n in range(25):
        bolt(catalogue, str(n), f"P-{n}")
    assert catalogue.sync()[1].created == 25
    assert sorted(key for call in catalogue.shop.calls for key in call) == sorted(f"P-{n}" for n in range(25))
    assert len(links(catalogue)) == 50


@pytest.mark.parametrize("lanes", [1, 3])
def test_what_was_confirmed_before_an_error_stays_confirmed(catalogue, lanes):
    catalogue.shop.lanes, catalogue.shop.batch, catalogue.shop.away_after = lanes, 2, 4
    for n in range(25):
        bolt(catalogue, str(n), f"P-{n}")
    with pytest.raises(Exception, match="away"):
        catalogue.sync()
    there = len(catalogue.shop.records)
    assert catalogue.query("SELECT count(*) FROM ledger") == [(there,)] and there == 8
    catalogue.shop.away_after = None
    catalogue.sync()
    assert catalogue.query("SELECT count(*) FROM ledger") == [(25,)]
    written = [key for call in catalogue.shop.calls for key in call]
    assert sorted(written) == sorted(set(written))


def test_the_brake_holds_a_catalogue_that_disappears(clean):
    world = World(clean, flow=replace(ITEMS, brake=replace(ITEMS.brake, at_least=2)))
    for n in range(9):
        bolt(world, str(n), f"P-{n}")
    world.sync()
    for n in range(6):
        bolt(world, str(n), f"P-{n}", published=False)
    bolt(world, "8", "P-8", name="Renamed")
    books = world.sync()[1]
    assert (books.held, books.removed, books.updated) == (6, 0, 1)
    world.close()


def test_a_product_is_found_by_any_of_its_skus(catalogue):
    bolt(catalogue)
    catalogue.sync()
    with psycopg.connect(catalogue.dsn) as db:
        by_number, by_sku = (journey(db, "default", "items", key) for key in ("BOLT", "BOLT-M8"))
    assert by_sku == by_number and [row["key"] for row in by_sku["link"]] == ["BOLT-M6", "BOLT-M8"]
