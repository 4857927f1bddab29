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


class Message(BaseNotifier):
    """Something that a person should know, by mail and by webhook."""

    def _send(self, subject: str, text: str, link: str, **more: Any) -> None:
        self._mail(subject, text, link)
        self._post({**more, "text": text, "link": link})

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


class Alert(Message):
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
        self._send(
            subject, text, getattr(task, "log_url", ""),
            dag=task.dag_id, run=task.run_id, task=task.task_id, times=times,
        )  # fmt: skip


class Question(Message):
    """Tells a person that he is asked, and where to answer. Of the records it names none.

    A mail server that is away must not keep the question from being asked: it stands in Airflow in any case.
    """

    def notify(self, context: Context) -> None:
        task = context["ti"]
        operator: Any = context["task"]
        try:
            self._send(
                f"[crossdock] {operator.subject}",
                f"{operator.subject} Unanswered after 24 hours counts as refused.",
                self._to_answer(operator, task),
                dag=task.dag_id, run=task.run_id, task=task.task_id,
            )  # fmt: skip
        except Exception as error:
            self.log.warning("Nobody could be told of the question: %s", error)

    @staticmethod
    def _to_answer(operator: Any, task: Any) -> str:
        """ "" in an Airflow that does not know its own address."""
        try:
            return str(operator.generate_link_to_ui(task_instance=task))
        except ValueError:
            return ""
