"""The forms in the Airflow UI and the settings the connectors accept are the same."""

from __future__ import annotations

import pytest

from crossdock.airflow.provider import get_provider_info
from crossdock.connectors.medusa.hook import MedusaHook
from crossdock.connectors.medusa.hook import Settings as MedusaSettings
from crossdock.connectors.threepl.hook import Settings as ThreePlSettings
from crossdock.connectors.threepl.hook import ThreePlHook
from crossdock.connectors.tryton.hook import Settings as TrytonSettings
from crossdock.connectors.tryton.hook import TrytonHook

AIRFLOWS_OWN = {"verify", "cert", "proxies", "trust_env"}
FORMS = {form["connection-type"]: form for form in get_provider_info()["connection-types"]}
FORMS_AND_SETTINGS = [("tryton", TrytonSettings), ("medusa", MedusaSettings), ("crossdock_3pl", ThreePlSettings)]


@pytest.mark.parametrize(("kind", "settings"), FORMS_AND_SETTINGS)
def test_every_setting_has_a_field_and_every_field_is_a_setting(kind, settings):
    assert set(FORMS[kind]["conn-fields"]) == set(settings.model_fields) - AIRFLOWS_OWN


@pytest.mark.parametrize(("kind", "settings"), FORMS_AND_SETTINGS)
def test_a_form_proposes_what_is_the_case_without_it(kind, settings):
    for name, field in FORMS[kind]["conn-fields"].items():
        assert field["schema"].get("default") == settings.model_fields[name].default, name


def test_airflow_finds_the_hooks():
    from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

    hooks = ProvidersManagerTaskRuntime().hooks
    for hook in (TrytonHook, MedusaHook, ThreePlHook):
        assert hooks[hook.conn_type].hook_class_name == f"{hook.__module__}.{hook.__qualname__}"
