"""The store: PostgreSQL, schema ``crossdock``. Airflow's own metadata database is never touched."""
