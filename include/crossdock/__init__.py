"""Crossdock keeps an ERP and a storefront in step, both ways, with Apache Airflow."""
