"""Objects turned into text: ``read`` says what an object holds, and what of it could not be read.

What a format is, its first bytes say; a name is a hint. Each format is a module of one shape — ``recognise``,
``read`` — and hands the members it holds back to ``Walk.read``, so that containers nest in any way, to a
limit. Nothing is written to disk by a name, and nothing is left there.
"""

from collections.abc import Iterator
from typing import BinaryIO

from privacy_assets.scan.reading import (
    avro,
    binary,
    compressed,
    delimited,
    mail,
    orc,
    parquet,
    pdf,
    plain,
    sevenzip,
    tarred,
    zipped,
)
from privacy_assets.scan.reading.limits import Limits
from privacy_assets.scan.reading.walk import Format, Member, Walk
from privacy_assets.scan.text import Segment, Unread

__all__ = ["VERSION", "Limits", "Reading", "read"]

VERSION = 3
"""Raised whenever the same bytes may give other text; what was read before is then read again."""

# In the order they are asked: a mail is text too, and everything is binary.
_FORMATS: tuple[Format, ...] = (
    compressed,
    zipped,
    sevenzip,
    parquet,
    orc,
    avro,
    pdf,
    tarred,
    mail,
    delimited,
    plain,
    binary,
)


class Reading(Iterator[Segment | Unread]):
    """One object being read: its segments, what of it was unread, and, when it is over, the counts.

    A member without any ``Unread`` was read to its end.
    """

    def __init__(self, source: BinaryIO, name: str, limits: Limits) -> None:
        self._walk = Walk(limits, _FORMATS)
        seekable = source if source.seekable() else None
        self._pieces = self._walk.read(source, Member("", name), seekable)
        self.text_bytes = 0
        """Bytes of text handed out so far, in UTF-8."""
        self.unread = 0
        """How many ``Unread`` were handed out so far."""

    @property
    def members(self) -> int:
        """How many members were met so far: the object, what it holds, and each layer of compression."""
        return self._walk.members

    def __next__(self) -> Segment | Unread:
        piece = next(self._pieces)
        if isinstance(piece, Unread):
            self.unread += 1
        else:
            self.text_bytes += len(piece.data)
        return piece


def read(source: BinaryIO, name: str, limits: Limits | None = None) -> Reading:
    """What ``source`` holds, in the order it is read.

    ``source`` stands at its beginning; text and compressed text are read from it in order, archives and
    columnar formats seek. ``name`` is what the object is called. Raises nothing but what ``source`` raises:
    a broken, encrypted or hostile object is told by ``Unread``. Segments are to be used up one by one; only
    the last one handed out need be kept.

    The time limit is asked at every read of the source and at every page, row or member, which bounds all but
    the time one library takes for one page of a PDF or one block of an Avro file.
    """
    return Reading(source, name, limits or Limits())
