"""Segments of text: what is matched, and the way back to where it stood."""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate

from privacy_assets.scan.reading.encodings import Encoding, utf8
from privacy_assets.scan.reading.escapes import Moves
from privacy_assets.scan.text import Place

SEGMENT = 1024 * 1024
"""Bytes of a segment, about."""


class TextSegment:
    """A piece of a text that has lines.

    Findings come in order, so the last place is remembered and counted on from.
    """

    __slots__ = ("_encoding", "_line", "_offset", "_seen", "continues", "data", "member")

    def __init__(
        self, data: bytes, member: str, continues: bool, *, encoding: Encoding, offset: int, line: int
    ) -> None:
        self.data = data
        self.member = member
        self.continues = continues
        self._encoding = encoding
        self._offset = offset
        self._line = line
        self._seen = (0, offset, line)

    def place(self, start: int, end: int) -> Place:
        """The byte offset, line and length of ``data[start:end]``."""
        position, offset, line = self._seen
        if start < position:
            position, offset, line = 0, self._offset, self._line
        passed = self.data[position:start]
        self._seen = start, offset + self._encoding.length(passed), line + passed.count(b"\n")
        length = self._encoding.length(self.data[start:end])
        return Place(self._seen[1], line=self._seen[2], length=length if length != end - start else None)


class UnescapedSegment:
    """A piece of a text whose escapes were resolved: its places are those of the text as it was written."""

    __slots__ = ("_moves", "_written", "continues", "data", "member")

    def __init__(self, data: bytes, moves: Moves, written: TextSegment) -> None:
        self.data = data
        self.member = written.member
        self.continues = written.continues
        self._moves = moves
        self._written = written

    def place(self, start: int, end: int) -> Place:
        """The byte offset, line and length of what stands for ``data[start:end]``."""
        begin, over = self._moves.origin(start), self._moves.origin(end)
        place = self._written.place(begin, over)
        if place.length is None and over - begin != end - start:
            place = place._replace(length=over - begin)
        return place


class OffsetSegment:
    """A piece of a member that has neither lines nor columns; ``data`` stands in it byte for byte."""

    __slots__ = ("_offset", "continues", "data", "member")

    def __init__(self, data: bytes, member: str, continues: bool, offset: int) -> None:
        self.data = data
        self.member = member
        self.continues = continues
        self._offset = offset

    def place(self, start: int, end: int) -> Place:  # noqa: ARG002  # the protocol's shape
        """The byte offset of ``data[start]``."""
        return Place(self._offset + start)


class WideSegment:
    """Runs of ASCII in UTF-16 that stand in binary data, a run a line."""

    __slots__ = ("_begins", "_offset", "_spans", "continues", "data", "member")

    def __init__(self, raw: bytes, spans: list[tuple[int, int]], member: str, offset: int) -> None:
        runs = [raw[start:end:2] for start, end in spans]
        self.data = b"\n".join(runs)
        self.member = member
        self.continues = False
        self._offset = offset
        self._spans = spans
        self._begins = list(accumulate((len(run) + 1 for run in runs[:-1]), initial=0))

    def place(self, start: int, end: int) -> Place:
        """The byte offset and length of ``data[start:end]``, two bytes a character."""
        run = bisect_right(self._begins, start) - 1
        offset = self._offset + self._spans[run][0] + 2 * (start - self._begins[run])
        return Place(offset, length=2 * (end - start))


def text_segments(text: str, member: str) -> Iterator[TextSegment]:
    """``text``, which is a member of its own or its extracted text, in segments; its offsets are UTF-8's."""
    encoding, offset, line = utf8(), 0, 1
    content = text.encode(errors="replace")
    while offset < len(content):
        data = content[offset : offset + SEGMENT]
        if offset + SEGMENT < len(content):
            data = data[: encoding.whole(data)]
        yield TextSegment(data, member, offset > 0, encoding=encoding, offset=offset, line=line)
        offset += len(data)
        line += data.count(b"\n")
