from __future__ import annotations

from sandbox.mailbox import _page


def test_a_mail_cannot_smuggle_anything_into_the_page() -> None:
    mail = {
        "at": 0,
        "to": ["<i>x"],
        "subject": "<b>Hi</b>",
        "text": 'see http://shop.example/#token=a&b=1"onclick=x <s>',
    }
    page = _page([mail])
    assert "<b>" not in page and "<i>" not in page and "<s>" not in page
    assert '<a href="http://shop.example/#token=a&amp;b=1" rel="noreferrer">' in page
