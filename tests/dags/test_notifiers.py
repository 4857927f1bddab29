"""Alerts tell a person what to do, once per incident, and only where somebody listens."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from types import SimpleNamespace

import pytest

from crossdock.airflow import notifiers
from crossdock.errors import Stop


@pytest.fixture
def sent(monkeypatch):
    messages = []
    monkeypatch.setattr(notifiers.Alert, "_mail", lambda self, subject, text, link: messages.append((subject, text)))
    monkeypatch.setattr(notifiers.Alert, "_post", lambda self, body: None)
    return messages


def fail(repeated=0):
    error = Stop("The shop is away.")
    error.repeated = repeated
    task = SimpleNamespace(dag_id="customers", task_id="settle", run_id="r", log_url="http://127.0.0.1/log")
    notifiers.Alert().notify({"exception": error, "ti": task})


def test_the_first_failure_is_told_in_the_errors_words(sent):
    fail()
    assert sent == [("[crossdock] customers failed", "The shop is away.")]


def test_one_incident_is_told_at_1_10_and_100_times(sent):
    for repeated in range(150):
        fail(repeated)
    assert [subject for subject, _ in sent] == [
        "[crossdock] customers failed",
        "[crossdock] customers failed (10 times in a row)",
        "[crossdock] customers failed (100 times in a row)",
    ]


def test_without_connections_nothing_is_sent_and_nothing_breaks(monkeypatch):
    monkeypatch.setattr(notifiers.Alert, "_connection", staticmethod(lambda conn_id: None))
    fail()


def test_the_webhook_is_told_what_failed(monkeypatch):
    told = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Listener) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        connection = {"conn_type": "http", "host": f"http://127.0.0.1:{server.server_port}/hook"}
        monkeypatch.setenv("AIRFLOW_CONN_CROSSDOCK_WEBHOOK", json.dumps(connection))
        fail()
        server.shutdown()
    [(path, body)] = told
    assert path == "/hook"
    assert (body["dag"], body["times"], body["text"]) == ("customers", 1, "The shop is away.")
