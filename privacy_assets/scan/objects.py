"""One object, from its bytes to its state and findings.

Every listed object ends in exactly one state, with its reason. An object that was not read is not one without
findings.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import BinaryIO, Protocol

from privacy_assets.scan.engine import Finding, Scanner
from privacy_assets.scan.reading import Limits, read
from privacy_assets.scan.text import Unread, Why

ATTEMPTS = 3
"""How often an object is tried before it is failed."""


class State(StrEnum):
    """How an object ended. The words are stored; don't change them."""

    CLEAN = "clean"
    """Read to its end, nothing found."""
    FINDINGS = "findings"
    """Read to its end, something found."""
    PARTLY = "partly read"
    """Some of it was read, and searched; ``why`` names what was not."""
    SKIPPED = "skipped"
    """Nothing that could be read: binary, encrypted, of an archived storage class."""
    FAILED = "failed"
    """It should have been read and was not."""


class Listed(Protocol):
    """One version of an object as a listing tells it."""

    @property
    def key(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def etag(self) -> str: ...
    @property
    def modified(self) -> datetime: ...
    @property
    def storage_class(self) -> str: ...


class Unreadable(Protocol):
    """What a store's error says: one of the words of ``resources.buckets.ObjectUnreadable``."""

    @property
    def why(self) -> str: ...
    @property
    def detail(self) -> str: ...
    @property
    def passes(self) -> bool:
        """Whether another try may help."""


class Store(Protocol):
    """Where objects are."""

    def open(self, bucket: str, item: Listed) -> BinaryIO:
        """The object as a file that can seek. It and its reads raise ``OSError`` alone."""

    def head(self, bucket: str, key: str) -> Listed:
        """The object as it is now. Raises OSError."""

    def unreadable(self, error: OSError) -> Unreadable:
        """What ``error`` says. Raises it again when it is no word of the store's."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one object."""

    item: Listed
    state: State
    why: str = ""
    """Of the first thing that was not read; several reasons are parted by commas."""
    detail: str = ""
    findings: int = 0
    text_bytes: int = 0
    members: int = 0
    attempts: int = 1


# What a reader could not read, and whether that is its failure or the object's nature.
_NATURE = {Why.BINARY, Why.ENCRYPTED, Why.UNSUPPORTED}
_SKIPPED = {"archived", "vanished"}
_ARCHIVED = {"GLACIER", "DEEP_ARCHIVE"}  # to be restored first (S3 User Guide, "Storage classes")


@dataclass
class _Reading:
    """What one reading of one object met."""

    findings: int = 0
    unread: list[Unread] = field(default_factory=list)
    text_bytes: int = 0
    members: int = 0


def scan_object(
    store: Store,
    bucket: str,
    item: Listed,
    scanner: Scanner,
    take: Callable[[Listed, Iterator[Finding]], None],
    limits: Limits | None = None,
) -> Outcome:
    """Read ``item`` and give its findings to ``take``; answers what became of it, and raises nothing of its.

    ``take`` is called anew for each try and gets the version that is read: an object that changes meanwhile
    is read again as it is then. An error in the middle of a try goes through ``take`` too, which must let
    it pass and forget what it had taken.
    """
    if item.storage_class in _ARCHIVED:
        return Outcome(item, State.SKIPPED, "archived", item.storage_class)
    for attempt in range(1, ATTEMPTS + 1):
        met = _Reading()
        try:
            with closing(store.open(bucket, item)) as source:
                reading = read(source, item.key, limits)
                take(item, _found(scanner, reading, item.key, met))
                met.text_bytes, met.members = reading.text_bytes, reading.members
        except OSError as error:
            told = store.unreadable(error)
            if told.why == "changed" and attempt < ATTEMPTS:
                try:
                    item = store.head(bucket, item.key)
                except OSError as gone:
                    told = store.unreadable(gone)
                else:
                    continue
            if told.passes and attempt < ATTEMPTS:
                continue
            state = State.SKIPPED if told.why in _SKIPPED else State.FAILED
            return Outcome(item, state, told.why, told.detail, attempts=attempt)
        return _outcome(item, met, attempt)
    raise AssertionError("unreachable")


def _found(scanner: Scanner, reading: "Iterator[object]", path: str, met: _Reading) -> Iterator[Finding]:
    for piece in scanner.scan(reading, path):  # type: ignore[arg-type]  # Segment is a Protocol of properties
        if isinstance(piece, Unread):
            met.unread.append(piece)
        else:
            met.findings += 1
            yield piece


def _outcome(item: Listed, met: _Reading, attempts: int) -> Outcome:
    counts = (met.findings, met.text_bytes, met.members, attempts)
    if not met.unread:
        return Outcome(item, State.FINDINGS if met.findings else State.CLEAN, "", "", *counts)
    why = ", ".join(sorted({piece.why.value for piece in met.unread}))
    first = met.unread[0]
    detail = f"{first.member}: {first.detail}" if first.member else first.detail
    if len(met.unread) > 1:
        detail += f" (and {len(met.unread) - 1} more)"
    if met.text_bytes or any(piece.partly for piece in met.unread):
        state = State.PARTLY
    elif all(piece.why in _NATURE for piece in met.unread):
        state = State.SKIPPED
    else:
        state = State.FAILED
    return Outcome(item, state, why, detail, *counts)
