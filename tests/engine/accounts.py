"""Accounts for the ERP of a test's world."""

from __future__ import annotations


def acme(world, source_id="7", number="C-100", **fields):
    world.erp.put(source_id, number=number, name=fields.pop("name", "Acme"), **fields)


def many(world, count, start=1):
    for n in range(start, start + count):
        acme(world, str(n), f"C-{n}", name=f"Customer {n}")
