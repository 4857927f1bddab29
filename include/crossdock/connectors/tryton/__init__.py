"""Tryton, 8.0 LTS: an ERP, by its JSON-RPC."""
