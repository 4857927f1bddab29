"""What every source of items promises (``ports.Source``), on a dictionary and on the real Tryton."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest
from tests.contracts.asking import flat, later, since
from tests.erp_fixtures import CONNECTION, RunningErp
from tests.fakes import MemoryItems

from crossdock.connectors.tryton.adapter import Tryton
from crossdock.domain.item import Item
from crossdock.ports import ItemSource


class Case(NamedTuple):
    """A source, and what happens on its side."""

    source: ItemSource
    new: Callable[[], str]
    """A product with two live variants and an image; its number."""
    rename: Callable[[str, str], None]
    archive: Callable[[str], None]
    delete: Callable[[str], None]
    drop: Callable[[str], None]
    """Its first variant is deleted."""
    spoil: Callable[[str], None]
    """Its record becomes one that cannot be a canonical item."""


@pytest.fixture(params=["memory", pytest.param("tryton", marks=pytest.mark.e2e)])
def case(request: pytest.FixtureRequest) -> Case:
    return memory() if request.param == "memory" else tryton(request.getfixturevalue("erp"))


def memory() -> Case:
    source, numbers = MemoryItems(), itertools.count(1)

    def new() -> str:
        number = f"M{next(numbers)}"
        variants = [
            {"source_id": sku, "sku": sku, "options": [{"name": "Color", "value": sku}]}
            for sku in (f"{number}-A", f"{number}-B")
        ]
        source.put(number, number=number, name=number, variants=variants, images=[{"ref": f"{number}.jpg"}])
        return number

    def drop(number: str) -> None:
        source.change(number, variants=source.rows[number][1]["variants"][1:])

    return Case(
        source,
        new,
        rename=lambda number, name: source.change(number, name=name),
        archive=lambda number: source.change(number, published=False),
        delete=source.drop,
        drop=drop,
        spoil=lambda number: source.change(number, name="<b>"),
    )


def tryton(erp: RunningErp) -> Case:
    template: dict[str, int] = {}

    def new() -> str:
        number, template[number] = erp.product()
        return number

    def write(number: str, **values: object) -> None:
        erp.admin("model.product.template.write", [template[number]], values)

    def drop(number: str) -> None:
        erp.admin("model.product.product.delete", erp.rows_of("product.product", "template", template[number])[:1])

    return Case(
        Tryton.from_connection(CONNECTION).items,
        new,
        rename=lambda number, name: write(number, name=name),
        archive=lambda number: write(number, active=False),
        delete=lambda number: erp.admin("model.product.template.delete", [template[number]]),
        drop=drop,
        spoil=lambda number: write(number, name="<b>"),
    )


def item(case: Case, number: str) -> Item:
    [row] = flat(case.source.read([number]))
    return case.source.parse(row.raw)


def test_from_the_beginning_everything_is_read(case: Case) -> None:
    numbers = {case.new() for _ in range(5)}
    rows = since(case.source, None)
    assert numbers <= rows.keys()
    for number in numbers:
        ours = case.source.parse(rows[number].raw)
        assert ours.key == number and rows[number].source_id
        assert len(ours.live) == 2 and len(ours.images) == 1 and not ours.gone


def test_an_archived_item_is_still_read_and_says_so(case: Case) -> None:
    number = case.new()
    moment = later(case.source)
    case.archive(number)
    assert case.source.parse(since(case.source, moment)[number].raw).gone
    assert item(case, number).gone
    assert set(item(case, number).parts) <= set(flat(case.source.parts()))


def test_what_is_deleted_is_gone(case: Case) -> None:
    number = case.new()
    own = {part for part in item(case, number).parts if not part.startswith("category:")}
    case.delete(number)
    assert number not in since(case.source, None)
    assert flat(case.source.read([number])) == []
    assert not own & set(flat(case.source.parts()))


def test_a_variant_that_is_deleted_is_missed(case: Case) -> None:
    number = case.new()
    before = item(case, number)
    case.drop(number)
    assert f"product:{before.live[0].source_id}" in set(before.parts) - set(flat(case.source.parts()))
    assert item(case, number).names == before.names[1:]


def test_images_are_given_to_several_at_once(case: Case) -> None:
    refs = [item(case, case.new()).images[0].ref for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(case.source.content, refs * 3))
