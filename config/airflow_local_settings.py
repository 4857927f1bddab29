"""Read by every Airflow process. LocalExecutor forks its workers: what the scheduler has imported, each task has.

Great Expectations alone takes 3 s to import; preloaded, a task starts in 0.1 s.
"""

import sys

if sys.argv[1:2] == ["scheduler"]:

    import crossdock.airflow.runtime  # noqa: F401
