"""The embedded default: a real ERP, a real storefront, PostgreSQL and Airflow on one machine.

Standard library only (it makes the environments it then uses): ``PYTHONPATH=include python3 -m sandbox``.
Everything binds to loopback and lives under ``.run/`` and in the environments.
"""
