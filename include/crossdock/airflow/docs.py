"""Makes docs/DAGs.md from the DAGs themselves: ``python -m crossdock.airflow.docs``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

_HEAD = """# The DAGs

<!-- Made by `make docs` from the DAG files; a test compares. -->
"""


def dags_page(folder: Path) -> str:
    """One section per DAG of the default pair: its schedule, tasks, what it wakes, and its own words."""
    os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(folder))
    if bag.import_errors:
        raise SystemExit(f"DAGs that do not parse: {bag.import_errors}")
    return _HEAD + "\n".join(_section(bag.dags[name]) for name in sorted(bag.dags))


def _section(dag: Any) -> str:
    wakes = sorted({asset.name for task in dag.tasks for asset in task.outlets if hasattr(asset, "uri")})
    chain = ", ".join(f"`{task.task_id}`" for task in dag.topological_sort())
    named = f"; asset {', '.join(f'`{name}`' for name in wakes)}" if wakes else ""
    return (
        f"\n---\n\n**DAG `{dag.dag_id}`**, tags {', '.join(sorted(dag.tags))}; tasks {chain}{named}\n\n"
        f"{(dag.doc_md or '').strip()}\n"
    )


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(dags_page(target.parent.parent / "dags"), encoding="utf-8")
