"""What Airflow learns from the installed package: connection types with their forms, notifiers.

Loaded while Airflow reads its own configuration: nothing here may import Airflow. A test compares the
forms with the settings that the connectors accept.
"""

from __future__ import annotations

from typing import Any


def _text(label: str, description: str = "", default: str | None = None) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"], "default": default}}


def _number(label: str, description: str, kind: str = "number", **limits: Any) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": [kind, "null"], **limits}}


_PACE = _number("Requests per second", "The system's limit. Empty: found out from its answers.", exclusiveMinimum=0)
_TIMEOUT = _number("Timeout (s)", "For one answer.", exclusiveMinimum=0, default=60)

TRYTON: dict[str, Any] = {
    "connection-type": "tryton",
    "hook-class-name": "crossdock.connectors.tryton.hook.TrytonHook",
    "hook-name": "Tryton",
    "ui-field-behaviour": {
        "hidden-fields": ["extra"],
        "relabeling": {"schema": "Database", "host": "URL"},
        "placeholders": {"host": "https://erp.example.com", "login": "integration", "schema": "tryton"},
    },
    "conn-fields": {
        "bearer": {
            "label": "User application key",
            "description": "Key of a validated user application 'rest' of the same user.",
            "schema": {"type": ["string", "null"], "format": "password"},
        },
        "company": _number("Company", "Id of the company. Empty: the user's own.", "integer", minimum=1),
        "customer_category": _text("Category of customers", "Parties in it are B2B accounts.", "Customers"),
        "blocked_category": _text("Category of the blocked", "Their buyers may not log in.", "Blocked"),
        "credit_hold_category": _text("Category on credit hold", "Their orders are held.", "Credit hold"),
        "tax_exempt_rule": _text("Tax rule of the exempt", "Customer tax rule of accounts without tax.", "Tax exempt"),
        "web_shop": _text("Web shop", "Only its products are for sale. Empty: all that are salable."),
        "option_attributes": _text(
            "Attributes that are options", "Names, comma separated. Empty: attributes with a selection."
        ),
        "languages": _text("Languages", "Codes, comma separated (de, fr), in which names are read as well."),
        "orders_shop": _text("Web shop of orders", "Web orders are sales of it. Empty: the web shop above."),
        "guest_account": _text("Account of guests", "Number of the party their orders are booked to.", "WEB-GUEST"),
        "registered_shoppers": {
            "label": "Registered shoppers",
            "description": "receivable: booked like guests. party: each gets a party of their own.",
            "schema": {"type": ["string", "null"], "enum": ["receivable", "party"], "default": "receivable"},
        },
        "tax_codes": _text("Tax codes", "The shop's code=tax in Tryton, separated by commas: VAT19=VAT 19%, VAT7=..."),
        "shipping_product": _text("Product of shipping", "Code of the product that shipping is booked as."),
        "payment_journal": _text("Payment journal", "Name of the one that web payments are booked in, per currency."),
        "tracking_urls": _text(
            "Tracking URLs", "carrier=URL, separated by commas: DHL=https://dhl.example/{number}, UPS=..."
        ),
        "timeout": _TIMEOUT,
        "requests_per_second": _PACE,
    },
}

MEDUSA: dict[str, Any] = {
    "connection-type": "medusa",
    "hook-class-name": "crossdock.connectors.medusa.hook.MedusaHook",
    "hook-name": "Medusa",
    "ui-field-behaviour": {
        "hidden-fields": ["extra", "schema"],
        "relabeling": {"host": "URL", "login": "Admin e-mail"},
        "placeholders": {"host": "https://shop.example.com", "login": "integration@example.com"},
    },
    "conn-fields": {
        "publishable_key": _text("Publishable key", "Of the sales channel that visitors see."),
        "sales_channel": _text("Sales channel", "Name of the one items are sold in. Empty: the store's default."),
        "shipping_profile": _text("Shipping profile", "Name of the one items are shipped by. Empty: the default."),
        "shop_fields": _text(
            "Fields of the shop",
            "What of an item is kept in the shop and never written, separated by commas: attributes, barcodes, "
            "categories, description, images, measures, tax_class, translations.",
        ),
        "on_account_providers": _text(
            "Payment providers on account",
            "Ids, separated by commas, of payment providers whose buyers get an invoice: their orders are booked, "
            "their payments are no money.",
        ),
        "hint_secret": {
            "label": "Secret of hints",
            "description": "The shop signs its hints with it (CROSSDOCK_HINT_SECRET), 16 characters or more. "
            "Empty: no hints are taken.",
            "schema": {"type": ["string", "null"], "format": "password"},
        },
        "timeout": _TIMEOUT,
        "requests_per_second": _PACE,
    },
}


THREE_PL: dict[str, Any] = {
    "connection-type": "crossdock_3pl",
    "hook-class-name": "crossdock.connectors.threepl.hook.ThreePlHook",
    "hook-name": "3PL (files)",
    "ui-field-behaviour": {
        "hidden-fields": ["extra", "host", "login", "password", "port", "schema"],
        "relabeling": {},
        "placeholders": {},
    },
    "conn-fields": {
        "inbox": _text("Inbox", "Path or URL of the folder into which the warehouse puts its files."),
        "zone": _text("Time zone", "Of dates and times in its files that name none (America/Chicago).", "UTC"),
    },
}


def get_provider_info() -> dict[str, Any]:
    """The provider's description, as Airflow's entry point ``apache_airflow_provider`` wants it."""
    return {
        "package-name": "crossdock",
        "name": "Crossdock",
        "description": "Keeps an ERP and a storefront in step, both ways.",
        "connection-types": [TRYTON, MEDUSA, THREE_PL],
        "notifications": ["crossdock.airflow.notifiers.Alert", "crossdock.airflow.notifiers.Question"],
    }
