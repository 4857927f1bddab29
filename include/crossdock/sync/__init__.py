"""The engine, pure: it knows ports and canonical records, no system, no SQL and no Airflow."""
