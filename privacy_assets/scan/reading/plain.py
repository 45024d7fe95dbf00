"""Text without a structure that matters here: logs, JSON, XML, HTML, YAML, source code.

UTF-8 is handed on as it was read, without a copy, unless it spells characters out (``escapes``). A line may
be endless: pieces are cut by size, never through a character.
"""

from collections.abc import Iterator

from privacy_assets.scan.reading.encodings import Encoding, encoding_of, is_text
from privacy_assets.scan.reading.escapes import Moves, escapes_of, untorn
from privacy_assets.scan.reading.segments import SEGMENT, TextSegment, UnescapedSegment
from privacy_assets.scan.reading.stream import Stream
from privacy_assets.scan.reading.walk import HEAD, Member, Piece, Walk
from privacy_assets.scan.reading.zipped import LONGEST_END, appended
from privacy_assets.scan.text import Unread, Why

NAME = "text"
_LOOK = 4096


def recognise(head: bytes, name: str) -> bool:  # noqa: ARG001
    """Whether ``head`` is text in an encoding we know."""
    return encoding_of(head) is not None


def read(stream: Stream, member: Member, walk: Walk) -> Iterator[Piece]:
    """The text as it is. Binary data in its midst is matched too, and told."""
    encoding = encoding_of(stream.peek(HEAD), member.charset)
    if encoding is None:
        raise ValueError("no text")
    yield from text(stream, member, encoding, walk)


def text(stream: Stream, member: Member, encoding: Encoding, walk: Walk) -> Iterator[Piece]:
    """``stream`` as text in ``encoding``."""
    offset, line, told, continues = len(encoding.mark), 1, encoding.name != "utf-8", False
    stream.fill(offset)
    escapes = escapes_of(encoding.decode(stream.peek(HEAD)))
    carried = before = last = b""
    while True:
        fresh = stream.fill(SEGMENT)
        raw = carried + fresh if carried else fresh
        if not raw:
            break
        whole = encoding.whole(raw) if fresh else len(raw)
        data = encoding.decode(raw[:whole])
        if fresh and (cut := untorn(data)) < len(data):
            data = data[:cut]
            whole = encoding.length(data)
        carried, raw = raw[whole:], raw[:whole]
        if data:
            written = TextSegment(data, member.path, continues, encoding=encoding, offset=offset, line=line)
            plain, moves = escapes(data)
            yield written if plain is data else UnescapedSegment(plain, moves or Moves(), written)
            continues = True
        if not told and (found := _binary_at(raw)) >= 0:
            told = True
            yield Unread(member.path, Why.BINARY, f"text turns to binary data at byte {offset + found}", True)
        offset += len(raw)
        line += data.count(b"\n")
        before, last = last, raw
    yield from appended(stream, (before + last)[-LONGEST_END:], member, walk)


def _binary_at(raw: bytes) -> int:
    """Where binary data begins in a text; -1 if it is text throughout, as far as NUL bytes tell."""
    found = raw.find(b"\0")
    # A hole of zeros, which a log gets that was torn or preallocated, holds nothing.
    if found < 0 or is_text(raw[found : found + _LOOK].replace(b"\0", b"")):
        return -1
    return found
