"""Where the engine meets Airflow: the only package, with the connectors' hooks, that imports it."""
