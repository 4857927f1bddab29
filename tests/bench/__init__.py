"""Benchmarks against peers and physical limits: ``make bench-NAME`` runs ``tests.bench.NAME``.

Candidates take turns in one run, so that all see the same noise. What counts is CPU seconds, those of
the candidate's processes and of PostgreSQL; wall time is shown beside it. Each benchmark writes its
figures to ``.run/bench/NAME.json`` and ends with an error when a target is missed. Linux only (/proc).
"""
