"""Alerts: by mail and by webhook, where the connections for them exist.

``crossdock_smtp`` (type ``smtp``, extra ``{"to": "ops@example.com", "from_email": ...}``) and
``crossdock_webhook`` (type ``http``, host: the whole URL). A deployment with neither is silent but for
Airflow's own log.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook, BaseNotifier
from airflow.sdk.exceptions import AirflowNotFoundException

if TYPE_CHECKING:
    from airflow.sdk import Connection, Context

SMTP, WEBHOOK = "crossdock_smtp", "crossdock_webhook"


class Alert(BaseNotifier):
    """Tells a person that a run failed and what to do. The same incident is told at 1, 10, 100 ... times.

    The text is the error's own, which holds no secret and no personal data.
    """

    def notify(self, context: Context) -> None:
        error = context.get("exception")
        times = getattr(error, "repeated", 0) + 1
        if str(times).strip("0") != "1":
            self.log.info("This failure was told before; it is the %d. time.", times)
            return
        task = context["ti"]
        subject = f"[crossdock] {task.dag_id} failed" + (f" ({times} times in a row)" if times > 1 else "")
        text = str(error) if error else f"Task {task.task_id} failed."
        link = getattr(task, "log_url", "")
        self._mail(subject, text, link)
        self._post(
            {"dag": task.dag_id, "run": task.run_id, "task": task.task_id, "times": times, "text": text, "link": link}
        )

    def _mail(self, subject: str, text: str, link: str) -> None:
        if (connection := self._connection(SMTP)) is None:
            return
        from airflow.providers.smtp.hooks.smtp import SmtpHook

        extra = connection.extra_dejson
        with SmtpHook(SMTP) as smtp:
            smtp.send_email_smtp(
                to=extra.get("to") or extra["from_email"],
                subject=subject,
                html_content=f'<p>{escape(text)}</p><p><a href="{escape(link)}">{escape(link)}</a></p>',
                from_email=extra.get("from_email"),
            )

    def _post(self, body: dict[str, Any]) -> None:
        if self._connection(WEBHOOK) is None:
            return
        from airflow.providers.http.hooks.http import HttpHook

        HttpHook(method="POST", http_conn_id=WEBHOOK).run(json=body)

    @staticmethod
    def _connection(conn_id: str) -> Connection | None:
        try:
            return BaseHook.get_connection(conn_id)
        except AirflowNotFoundException:
            return None
