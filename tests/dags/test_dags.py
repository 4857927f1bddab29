"""Rules every DAG file keeps. Parses dags/ once; needs no database."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys

import pytest

from crossdock.airflow.notifiers import Alert
from sandbox.place import ROOT

DAGS = ROOT / "dags"
CONNECTION = json.dumps({"conn_type": "crossdock_3pl", "extra": {"inbox": "/tmp"}})


@pytest.fixture(scope="module")
def bag():
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(DAGS))


def leaves(dag):
    return [task for task in dag.tasks if not task.downstream_task_ids]


def test_every_file_parses(bag):
    assert bag.import_errors == {}


def test_one_dag_per_file_named_after_it(bag):
    assert set(bag.dags) == {path.stem for path in DAGS.glob("*.py")}


def test_every_flow_names_the_dag_it_runs_in(bag):
    from crossdock.sync.flows import FLOWS

    assert {flow.dag for flow in FLOWS.values()} <= set(bag.dags)


def test_every_dag_says_what_to_do_when_it_fails(bag):
    for dag in bag.dags.values():
        assert "## When it fails" in dag.doc_md, dag.dag_id
        assert "crossdock" in dag.tags, dag.dag_id


def test_every_leaf_alerts_and_is_tried_again(bag):
    for dag in bag.dags.values():
        for task in leaves(dag):
            callbacks = (
                task.on_failure_callback if isinstance(task.on_failure_callback, list) else [task.on_failure_callback]
            )
            assert any(isinstance(callback, Alert) for callback in callbacks), f"{dag.dag_id}.{task.task_id}"
        assert all(task.retries == 3 and task.retry_policy for task in dag.tasks), dag.dag_id


def test_every_dag_has_a_start_and_catches_nothing_up(bag):
    for dag in bag.dags.values():
        assert dag.start_date and dag.catchup is False, dag.dag_id


def test_event_driven_dags_cannot_stall(bag):
    """Airflow 3.3 skips events for a DAG with max_active_runs=1 until its file is parsed again."""
    for dag in bag.dags.values():
        if dag.dag_id == "approve":
            assert dag.max_active_runs == 32 and {task.max_active_tis_per_dag for task in dag.tasks} == {1, 32}
            continue
        if dag.dag_id == "offline_orders_history":
            assert dag.max_active_runs == 4 and {task.max_active_tis_per_dag for task in dag.tasks} == {4}
            continue
        side_by_side = {1, 8} if dag.dag_id == "offline_orders" else {1}
        assert dag.max_active_runs == 8 and {task.max_active_tis_per_dag for task in dag.tasks} == side_by_side


def test_every_task_is_explained(bag):
    for dag in bag.dags.values():
        assert all(task.doc_md or task.doc or task.python_callable.__doc__ for task in dag.tasks), dag.dag_id


@pytest.mark.parametrize("flow", ["customers", "items", "inventory"])
def test_a_flow_runs_in_five_steps_and_settles_whatever_happened(bag, flow):
    dag = bag.dags[flow]
    chain = [task.task_id for task in dag.topological_sort() if task.task_id not in ("review", "hear")]
    assert chain == ["extract", "validate", "transform", "load", "settle"]
    assert dag.get_task("settle").trigger_rule == "all_done"
    assert [asset.name for asset in dag.get_task("settle").outlets] == [
        f"crossdock_{flow}",
        f"crossdock_again_{flow}",
    ]


@pytest.mark.parametrize("way", ["to_erp", "to_shop"])
def test_each_way_of_the_orders_runs_in_five_steps_and_settles_whatever_happened(bag, way):
    dag = bag.dags["orders"]
    chain = [task.task_id for task in dag.topological_sort() if task.task_id.startswith(way)]
    if way == "to_erp":
        assert chain.pop() == "to_erp.prove"
    assert chain == [f"{way}.{step}" for step in ("extract", "validate", "transform", "load", "settle")]
    assert dag.get_task(f"{way}.settle").trigger_rule == "all_done"
    after = {other.task_id for task in chain for other in dag.get_task(task).downstream_list} - set(chain)
    assert after == ({"to_erp.prove"} if way == "to_erp" else set())


@pytest.mark.parametrize("flow", ["price_lists", "prices", "price_members"])
def test_each_flow_of_the_prices_runs_in_five_steps_and_settles_whatever_happened(bag, flow):
    dag = bag.dags["pricing"]
    chain = [task.task_id for task in dag.topological_sort() if task.task_id.startswith(f"{flow}.")]
    assert chain == [f"{flow}.{step}" for step in ("extract", "validate", "transform", "load", "settle")]
    assert dag.get_task(f"{flow}.settle").trigger_rule == "all_done"
    assert dag.get_task(f"{flow}.extract").trigger_rule == "none_failed"


def test_lists_come_before_prices_prices_before_members_and_the_proof_is_last(bag):
    dag = bag.dags["pricing"]
    after = {
        task: {one.task_id for one in dag.get_task(task).downstream_list}
        for task in ("price_lists.settle", "prices.settle", "price_members.settle")
    }
    assert after == {
        "price_lists.settle": {"prices.extract"},
        "prices.settle": {"price_members.extract"},
        "price_members.settle": {"prove"},
    }


def test_shipping_advices_are_looked_for_only_where_somebody_sends_them(bag):
    dag = bag.dags["orders"]
    chain = [task.task_id for task in dag.topological_sort() if task.task_id.startswith("from_3pl")]
    steps = ("fed", "extract", "validate", "transform", "load", "settle")
    assert chain == [f"from_3pl.{step}" for step in steps]
    assert dag.get_task("from_3pl.fed").ignore_downstream_trigger_rules
    assert dag.get_task("from_3pl.settle").trigger_rule == "all_done"
    assert {dag.get_task(f"from_3pl.{step}").pool for step in ("fed", "extract")} == {"default_pool"}


@pytest.mark.parametrize("dag", ["offline_orders", "offline_orders_history"])
@pytest.mark.parametrize("group", ["orders", "invoices"])
def test_documents_run_in_five_steps_and_are_proved(bag, dag, group):
    dag = bag.dags[dag]
    chain = [task.task_id for task in dag.topological_sort() if task.task_id.startswith(f"{group}.")]
    assert chain == [f"{group}.{step}" for step in ("extract", "validate", "transform", "load", "settle", "prove")]
    assert dag.get_task(f"{group}.settle").trigger_rule == "all_done"
    assert {one.task_id for task in chain for one in dag.get_task(task).downstream_list} <= set(chain)


def test_prints_that_buyers_wait_for_do_not_wait_for_anything(bag):
    task = bag.dags["offline_orders"].get_task("files")
    assert not task.upstream_task_ids and not task.downstream_task_ids and task.max_active_tis_per_dag == 1


def test_a_backfill_of_the_history_is_one_run_for_each_month(bag):
    from datetime import date

    import pendulum

    dag = bag.dags["offline_orders_history"]
    start, end = pendulum.datetime(2024, 1, 1), pendulum.datetime(2024, 3, 1)
    months = [one.data_interval for one in scheduled(dag).iter_dagrun_infos_between(start, end)]
    assert [(one.start.date(), one.end.date()) for one in months] == [
        (date(2024, month, 1), date(2024, month + 1, 1)) for month in (1, 2, 3)
    ]
    assert dag.start_date.year == 2000, "Airflow leaves out tasks that begin later than the month"


def test_a_run_of_the_history_without_a_month_says_what_to_do(bag, monkeypatch):
    from datetime import date

    import pendulum

    from crossdock.errors import Misconfigured

    module = sys.modules[bag.dags["offline_orders_history"].get_task("orders.extract").python_callable.__module__]
    given = {"data_interval_start": pendulum.datetime(2024, 1, 1), "data_interval_end": pendulum.datetime(2024, 2, 1)}
    monkeypatch.setattr(module, "get_current_context", lambda: given)
    assert module.month() == (date(2024, 1, 1), date(2024, 2, 1))
    given.clear()
    with pytest.raises(Misconfigured, match="trigger offline_orders with since and until"):
        module.month()


def scheduled(dag):
    """As the scheduler has it."""
    from airflow.serialization.serialized_objects import DagSerialization

    return DagSerialization.from_dict(DagSerialization.to_dict(dag))


@pytest.mark.parametrize("pair", ["default", "outlet"])
def test_each_pair_has_a_warehouse_of_its_own(monkeypatch, pair):
    from crossdock.airflow.pairs import Pair
    from crossdock.airflow.runtime import connected, system

    ours = Pair(name=pair)
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    assert not connected("3pl", ours)
    monkeypatch.setenv(f"AIRFLOW_CONN_{ours.suffixed('crossdock_3pl').upper()}", CONNECTION)
    assert connected("3pl", ours)
    assert system("3pl", ours).shipping_advice.name == "3PL"


def test_orders_come_after_customers(bag):
    assert "crossdock_customers" in str(bag.dags["orders"].timetable.asset_condition)


def test_further_pairs_get_dags_of_their_own(tmp_path):
    config = tmp_path / "crossdock.toml"
    config.write_text("[pairs.outlet]\n")
    code = f"from airflow.dag_processing.dagbag import DagBag; print(sorted(DagBag({str(DAGS)!r}).dags))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**__import__("os").environ, "CROSSDOCK_CONFIG": str(config)},
    )
    assert done.stdout.strip().splitlines()[-1] == str(
        sorted(path.stem + suffix for path in DAGS.glob("*.py") for suffix in ("", "__outlet"))
    )


def test_parsing_loads_nothing_heavy():
    code = f"""
import sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag({str(DAGS)!r}); assert not bag.import_errors, bag.import_errors
print(*[name for name in ("great_expectations", "pandas", "scipy") if name in sys.modules])"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1:] in ([], [""]) or "great" not in done.stdout


def test_the_page_of_the_dags_is_what_the_dags_say():
    from crossdock.airflow.docs import dags_page

    assert (ROOT / "docs" / "DAGs.md").read_text() == dags_page(DAGS), "say: make docs"


def test_whatever_can_be_held_is_asked_about_and_its_dag_is_woken(bag):
    from crossdock.airflow import assets
    from crossdock.airflow.pairs import Pair
    from crossdock.sync.flows import FLOWS

    dag = bag.dags["approve"]
    asked = {task.task_id.partition(".")[0] for task in dag.tasks}
    assert asked == {name for name, flow in FLOWS.items() if flow.may_hold} >= {"customers", "items", "inventory"}
    for name in asked:
        assert [task.task_id for task in dag.topological_sort() if task.task_id.startswith(f"{name}.")] == [
            f"{name}.{task}" for task in ("due", "ask", "answer")
        ]
        flow = FLOWS[name]
        woken = assets.hint(flow.after or flow.dag, Pair()).name
        assert any(woken in str(other.timetable.asset_condition) for other in bag.dags.values() if other is not dag), (
            name
        )
    assert "crossdock_held" in str(dag.timetable.asset_condition)


def test_a_run_that_holds_something_says_so(bag):
    """Through the alias that it may give the hint again by."""
    for dag in bag.dags.values():
        for task in dag.tasks:
            if task.task_id.endswith("settle"):
                assert "assets.held(pair)" in inspect.getsource(task.python_callable), f"{dag.dag_id}.{task.task_id}"
