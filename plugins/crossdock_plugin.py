"""The one plugin: Crossdock's page in the Airflow UI. Nothing else may live in this folder.

(Airflow executes every file below ``plugins/`` under its bare name.)
"""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from crossdock.airflow.ui import app


class CrossdockPlugin(AirflowPlugin):
    name = "crossdock"
    fastapi_apps = [{"app": app, "url_prefix": "/crossdock", "name": "Crossdock"}]  # noqa: RUF012  Airflow's form
    external_views = [  # noqa: RUF012
        {
            "name": "Crossdock",
            "href": "crossdock/",
            "destination": "nav",
            "category": "browse",
            "url_route": "crossdock",
        }
    ]
