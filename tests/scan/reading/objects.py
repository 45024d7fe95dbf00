"""Objects made for tests, and what is read of them."""

import io
from dataclasses import dataclass, field
from typing import BinaryIO

from privacy_assets.scan.reading import Limits, read
from privacy_assets.scan.text import Place, Segment, Unread, Why

VALUE = "078-05-1120"
"""A social security number that was printed on a card for wallets, and belongs to nobody."""


@dataclass
class Seen:
    """All that one reading gave."""

    texts: dict[str, bytes] = field(default_factory=dict)
    places: list[tuple[str, Place]] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    members: int = 0
    text_bytes: int = 0

    @property
    def whys(self) -> dict[str, Why]:
        return {unread.member: unread.why for unread in self.unread}

    @property
    def place(self) -> Place:
        """Of the only value there is."""
        ((_, place),) = self.places
        return place


def seen(content: bytes | BinaryIO, name: str = "", limits: Limits | None = None, value: str = VALUE) -> Seen:
    """Everything of ``content``, with the places of ``value``; segments must follow one another."""
    result = Seen()
    reading = read(io.BytesIO(content) if isinstance(content, bytes) else content, name, limits)
    before: Segment | None = None
    for piece in reading:
        if isinstance(piece, Unread):
            result.unread.append(piece)
            continue
        assert piece.data
        if piece.continues:
            assert before is not None
            assert before.member == piece.member
        result.texts[piece.member] = result.texts.get(piece.member, b"") + piece.data
        start = -1
        while (start := piece.data.find(value.encode(), start + 1)) >= 0:
            result.places.append((piece.member, piece.place(start, start + len(value.encode()))))
        before = piece
    result.members, result.text_bytes = reading.members, reading.text_bytes
    assert result.text_bytes == sum(map(len, result.texts.values()))
    return result


class Forward(io.RawIOBase):
    """A stream that can't be sought in, gives few bytes at a time, and may fail."""

    def __init__(self, content: bytes, step: int = 7919, failure: Exception | None = None) -> None:
        self._content = io.BytesIO(content)
        self._step = step
        self._failure = failure

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._content.read(min(size, self._step) if size >= 0 else self._step)
        if not data and self._failure:
            raise self._failure
        return data
