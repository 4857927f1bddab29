"""Canonical records and business rules: pydantic and the standard library, no more."""
