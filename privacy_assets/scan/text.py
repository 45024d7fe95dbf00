"""What a reader hands to the engine: text in segments, each knowing where in the object it stands."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol


class Place(NamedTuple):
    """Where a value stands. ``byte_offset`` counts bytes of the decoded member, in the member's own encoding;
    for columnar members, bytes of the column's values, each ended by a newline.
    """

    byte_offset: int
    line: int | None = None
    """From 1, where the member has lines."""
    column: str | None = None
    """The column's name, where the member has columns."""
    row: int | None = None
    """From 1, the header not counted, where the member has rows; in a sheet, the number the sheet shows."""
    length: int | None = None
    """Bytes that it takes up there, as it is written; None: as many as in UTF-8."""


class Segment(Protocol):
    """Consecutive bytes of one text, as UTF-8: a file, a member of a container, a column of a row group."""

    @property
    def data(self) -> bytes:
        """Up to some MiB. Malformed input is replaced, never refused: this is for matching."""

    @property
    def member(self) -> str:
        """The path inside the object: ``""`` for the object itself, ``inner.zip/notes.txt`` in containers."""

    @property
    def continues(self) -> bool:
        """Whether ``data`` follows directly on the previous segment's, so that a value may span both."""

    def place(self, start: int, end: int) -> Place:
        """Where ``data[start:end]`` stands. Called for findings alone, so it may cost more than reading."""


class Why(StrEnum):
    """Why a member, or the rest of it, was not read. The words are stored; don't change them."""

    BINARY = "binary"
    ENCRYPTED = "encrypted"
    BROKEN = "broken"
    UNSUPPORTED = "unsupported"
    TOO_DEEP = "too deep"
    EXPANDS_TOO_MUCH = "expands too much"
    TOO_LONG = "took too long"


@dataclass(frozen=True)
class Unread:
    """A member that was not read, or not to its end."""

    member: str
    why: Why
    detail: str
    """What was met and what was expected, without a value of the data."""
    partly: bool = False
    """Whether some of the member was read before."""
