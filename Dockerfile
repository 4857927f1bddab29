# Airflow with Crossdock in it: one image for all of Airflow's processes.
FROM apache/airflow:3.3.2-python3.12

COPY --chown=airflow:0 pyproject.toml requirements.txt README.md LICENSE /opt/crossdock/
COPY --chown=airflow:0 include/crossdock /opt/crossdock/include/crossdock
RUN pip install --no-cache-dir "apache-airflow==${AIRFLOW_VERSION}" /opt/crossdock

# A named volume takes over the owner of the folder it is mounted on.
RUN mkdir -p /opt/airflow/state
COPY --chown=airflow:0 config /opt/airflow/config
COPY --chown=airflow:0 plugins /opt/airflow/plugins
COPY --chown=airflow:0 dags /opt/airflow/dags
