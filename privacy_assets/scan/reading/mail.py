"""E-mail: messages (RFC 5322, MIME: RFC 2045) and mailboxes in mbox format (RFC 4155).

A message's ``headers``, of all its parts, are a member, decoded (RFC 2047); so is each part, by its file name
or as ``part 2.html``, without its transfer encoding. A message is held whole; of one that is larger than the
memory allowed, what fits is read.
"""

import email
import io
import re
from collections.abc import Iterator
from email.header import decode_header, make_header
from email.message import Message

from privacy_assets.scan.reading.segments import text_segments
from privacy_assets.scan.reading.stream import CHUNK, Stream
from privacy_assets.scan.reading.walk import Format, Member, Piece, Walk
from privacy_assets.scan.text import Unread, Why

NAME = "an e-mail"
_HEADER = re.compile(rb"([!-9;-~]+)[ \t]*:")
_KNOWN = {
    b"from", b"to", b"cc", b"subject", b"date", b"received", b"return-path", b"message-id", b"mime-version",
    b"delivered-to", b"reply-to", b"sender", b"dkim-signature",
}  # fmt: skip
_MAILBOX = re.compile(rb"From \S+.{0,200}\d{4}\r?\n")
_NEXT_MESSAGE = re.compile(rb"(?<=\n)\r?\n(?=From \S+[^\n]{0,200}\d{4}\r?\n)")
_LONGEST_LINE = 1024
_ENDINGS = {"text/plain": ".txt", "text/html": ".html", "text/csv": ".csv", "message/rfc822": ".eml"}


def recognise(head: bytes, name: str) -> bool:
    """By its header fields: two that every mail has; one if the name ends in ``.eml``."""
    mailbox = _MAILBOX.match(head)
    found = set[bytes]()
    for line in head[mailbox.end() if mailbox else 0 :].splitlines():
        if not line or (found and line[:1] in b" \t"):
            if not line:
                break
            continue
        field = _HEADER.match(line)
        if field is None:
            return False
        found.add(field[1].lower())
    return len(found & _KNOWN) >= (1 if name.lower().endswith(".eml") else 2)


def read(stream: Stream, member: Member, walk: Walk) -> Iterator[Piece]:
    """The message, or each message of the mailbox."""
    if not _MAILBOX.match(stream.peek(_LONGEST_LINE)):
        yield from _Single().read(stream, member, walk)
        return
    form: Format = _Single()
    for number, content in enumerate(_messages(stream, walk.limits.memory), 1):
        yield from walk.read(io.BytesIO(content), member.inside(f"message {number}"), form=form)


def _messages(stream: Stream, memory: int) -> Iterator[bytes]:
    """The messages of a mailbox, cut where one is larger than ``memory`` bytes."""
    buffer, searched = b"", 0
    for chunk in stream.chunks(CHUNK):
        buffer += chunk
        while found := _NEXT_MESSAGE.search(buffer, searched):
            yield buffer[: found.start()]
            buffer, searched = buffer[found.end() :], 0
        searched = max(0, len(buffer) - _LONGEST_LINE)
        if len(buffer) > memory + 1:
            yield buffer
            buffer, searched = b"", 0
    stream.raise_failure()
    if buffer:
        yield buffer


class _Single:
    """One message."""

    NAME = "an e-mail"

    def recognise(self, head: bytes, name: str) -> bool:  # noqa: ARG002  # its mailbox says what it is
        """A message is known by its place."""
        return True

    def read(self, stream: Stream, member: Member, walk: Walk) -> Iterator[Piece]:
        """Its headers, then its parts."""
        content = stream.fill(walk.limits.memory)
        if mailbox := _MAILBOX.match(content):
            content = content[mailbox.end() :]
        message = email.message_from_bytes(content)
        parts = list(message.walk())
        lines = [line for part in parts for line in _headers(part)]
        yield from text_segments("\n".join(lines), member.inside("headers").path)
        for number, part in enumerate((part for part in parts if not part.is_multipart()), 1):
            yield from _part(part, number, member, walk)
        if stream.read(1):
            yield Unread(
                member.path,
                Why.EXPANDS_TOO_MUCH,
                f"a message of more than {walk.limits.memory} bytes, whose rest is not read",
                True,
            )


def _part(part: Message, number: int, member: Member, walk: Walk) -> Iterator[Piece]:
    kind = part.get_content_type()
    name = _decoded(part.get_filename() or "") or f"part {number}{_ENDINGS.get(kind, '')}"
    inside = member.inside(name, part.get_content_charset())
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        content = str(part.get_payload()).encode(errors="surrogateescape")
    if kind in {"application/pkcs7-mime", "application/x-pkcs7-mime"} and (
        part.get_param("smime-type") != "signed-data"
    ):
        yield Unread(inside.path, Why.ENCRYPTED, "the message is encrypted (S/MIME)")
    elif content.lstrip().startswith(b"-----BEGIN PGP MESSAGE-----"):
        yield Unread(inside.path, Why.ENCRYPTED, "the message is encrypted (OpenPGP)")
    else:
        yield from walk.read(io.BytesIO(content), inside)


def _headers(part: Message) -> Iterator[str]:
    for name, value in part.items():
        yield f"{name}: {_decoded(value)}"


def _decoded(value: object) -> str:
    text = str(value)
    try:
        text = str(make_header(decode_header(text)))
    except (ValueError, LookupError):  # an unknown charset, a malformed word: it stays as it is
        return " ".join(text.split())
    return " ".join(text.split())
