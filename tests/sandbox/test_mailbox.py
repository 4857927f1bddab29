"""The mailbox, as a mail program sees it."""

from __future__ import annotations

import smtplib
import time
import urllib.request
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from sandbox.mailbox import Mailbox
from sandbox.service import SandboxError, free_port


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailbox]:
    folder: Path = tmp_path_factory.mktemp("mailbox")
    mailbox = Mailbox(folder / "mail", free_port(), free_port())
    service = mailbox.service().start().wait()
    yield mailbox
    service.stop()


def send(mailbox: Mailbox, to: str, text: str, html: str = "") -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "shop@crossdock.example", to, "Größe geändert"
    mail.set_content(text)
    if html:
        mail.add_alternative(html, subtype="html")
    with smtplib.SMTP("127.0.0.1", mailbox.smtp_port) as smtp:
        smtp.send_message(mail)


def test_a_mail_arrives_as_it_was_written_and_is_shown(mailbox: Mailbox) -> None:
    text = ".a dot first\nthen a long line " + "x" * 3000 + "\nhttp://127.0.0.1/#token=abc\n"
    send(mailbox, "ada@c0001.example", text, html="<p>the same</p>")
    mail = mailbox.wait_for("ada@c0001.example", "token=")
    assert mail["text"] == text and mail["subject"] == "Größe geändert"
    with urllib.request.urlopen(mailbox.url) as page:
        assert 'href="http://127.0.0.1/#token=abc"' in page.read().decode()


def test_the_newest_mail_counts_and_one_that_never_comes_is_an_error(mailbox: Mailbox) -> None:
    send(mailbox, "bo@c0001.example", "first")
    asked = time.time()
    send(mailbox, "bo@c0001.example", "second")
    assert mailbox.wait_for("bo@c0001.example", "", since=asked)["text"] == "second\n"
    with pytest.raises(SandboxError, match="No mail to bo"):
        mailbox.wait_for("bo@c0001.example", "third", seconds=0.3)
