"""Read by every Airflow process. LocalExecutor forks its workers: what the scheduler has imported, each task has.

Great Expectations alone takes 3 s to import; preloaded, a task starts in 0.1 s.
"""

import sys
from importlib import import_module

if sys.argv[1:2] == ["scheduler"]:
    from crossdock.connectors import REGISTRY

    connectors = [place.partition(":")[0] for place in REGISTRY.values()]
    for module in ("great_expectations.expectations", "crossdock.airflow.runtime", *connectors):
        import_module(module)
