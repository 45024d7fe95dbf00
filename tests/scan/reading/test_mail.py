"""E-mail: headers, bodies in every transfer encoding, attachments, mailboxes."""

from email.message import EmailMessage

import pytest

from privacy_assets.scan.reading import Limits
from privacy_assets.scan.text import Place, Why
from tests.scan.reading.objects import VALUE, Forward, seen
from tests.scan.reading.test_zipped import zipped


def message(text: str = f"Grüße,\nmeine Nummer ist {VALUE}\n", encoding: str = "base64") -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "Jürgen <j@example.com>"
    mail["To"] = "a@example.com"
    mail["Subject"] = "Grüße und " + "lange Wörter " * 9
    mail.set_content(text, cte=encoding)
    return mail


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "8bit"])
def test_a_body(encoding: str) -> None:
    result = seen(Forward(message(encoding=encoding).as_bytes()), "a.eml")
    assert not result.unread
    assert result.texts["part 1.txt"] == f"Grüße,\nmeine Nummer ist {VALUE}\n".encode()
    assert result.places == [("part 1.txt", Place(26, line=2))]
    assert "Subject: Grüße und lange Wörter lange" in result.texts["headers"].decode()


def test_parts_and_attachments() -> None:
    mail = message()
    mail.add_alternative(f"<p>{VALUE}</p>", subtype="html")
    mail.add_attachment(
        zipped({"a.txt": VALUE.encode()}), maintype="application", subtype="zip", filename="../ä.zip"
    )
    inner = message("inner " + VALUE)
    mail.add_attachment(inner)
    result = seen(mail.as_bytes())
    assert not result.unread
    assert [member for member, _ in result.places] == [
        "part 1.txt", "part 2.html", "../ä.zip/a.txt", "part 4.txt",
    ]  # fmt: skip


def test_a_charset_is_believed() -> None:
    content = (
        b"From: a@example.com\nSubject: x\nContent-Type: text/plain; charset=koi8-r\n\n"
        + "Номер: ".encode("koi8-r")
        + VALUE.encode()
    )
    result = seen(content)
    assert result.texts["part 1.txt"] == f"Номер: {VALUE}".encode()
    assert result.places == [("part 1.txt", Place(7, line=1))]


def test_a_charset_of_several_bytes() -> None:
    content = (
        b"From: a@example.com\nSubject: x\nContent-Type: text/plain; charset=shift_jis\n\n"
        + "番号 ".encode("shift_jis")
        + VALUE.encode()
    )
    assert seen(content).places == [("part 1.txt", Place(5, line=1))]


def test_a_mailbox() -> None:
    mails = b"\n".join(
        b"From a@example.com Thu Jan  1 00:00:00 2026\n" + message(f"mail {number} {VALUE}").as_bytes()
        for number in range(300)
    )
    result = seen(Forward(mails))
    assert not result.unread
    assert [member for member, _ in result.places] == [
        f"message {number}/part 1.txt" for number in range(1, 301)
    ]


def test_a_mailbox_of_one_endless_message_is_told() -> None:
    mails = b"From a@example.com Thu Jan  1 00:00:00 2026\n" + message("x" * 3_000_000, "8bit").as_bytes()
    result = seen(mails, limits=Limits(memory=1_000_000))
    assert Why.EXPANDS_TOO_MUCH in result.whys.values()


def test_a_message_that_is_too_large_is_read_in_part() -> None:
    result = seen(message(VALUE + "\n" + "x\n" * 300_000, "8bit").as_bytes(), limits=Limits(memory=100_000))
    assert result.whys == {"": Why.EXPANDS_TOO_MUCH}
    assert result.unread[0].partly
    assert [member for member, _ in result.places] == ["part 1.txt"]


def test_encrypted_mail_is_told() -> None:
    mail = message()
    mail.replace_header("Content-Type", 'application/pkcs7-mime; smime-type="enveloped-data"')
    assert seen(mail.as_bytes()).whys == {"part 1": Why.ENCRYPTED}
    armor = "-----BEGIN PGP " + "MESSAGE-----\n\nhQEMA\n"
    assert seen(message(armor).as_bytes()).whys == {"part 1.txt": Why.ENCRYPTED}


@pytest.mark.parametrize(
    "content", [b"note: this\nthat: too\n\n", b"HTTP/1.1 200 OK\nDate: x\n", b"From here\nto there\n"]
)
def test_what_is_no_mail(content: bytes) -> None:
    assert seen(content + VALUE.encode()).places[0][0] == ""


def test_broken_mail() -> None:
    content = (
        b"From: a@b.example\nTo: c\nSubject: =?utf-8?b?!!!?= =?none?q?x?=\n"
        b"Content-Transfer-Encoding: base64\n\n!!!"
    )
    assert not seen(content).unread
    deep = b"From: a\nTo: b\n" + b"".join(
        b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (number, number) for number in range(3000)
    )
    assert seen(deep + VALUE.encode()).unread
