"""The one plugin: Crossdock's page in the Airflow UI, and where the shop's hints arrive.

Nothing else may live in this folder. (Airflow executes every file below ``plugins/`` under its bare name.)
"""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from crossdock.airflow import hints, ui


class CrossdockPlugin(AirflowPlugin):
    name = "crossdock"
    fastapi_apps = [  # noqa: RUF012  Airflow's form
        {"app": hints.app, "url_prefix": "/crossdock/hints", "name": "Crossdock's hints"},  # the longer prefix first
        {"app": ui.app, "url_prefix": "/crossdock", "name": "Crossdock"},
    ]
    external_views = [  # noqa: RUF012
        {
            "name": "Crossdock",
            "href": "crossdock/",
            "destination": "nav",
            "category": "browse",
            "url_route": "crossdock",
        }
    ]
