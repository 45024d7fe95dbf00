"""The way through an object and its members, and what it has cost so far.

Whatever a library raises ends the member it was raised for and is told as an ``Unread``; what the source
raises — the object vanished, changed, was denied — is no fact about the content and passes unchanged.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Protocol

from privacy_assets.scan.reading.limits import Limits
from privacy_assets.scan.reading.stream import Clock, Raw, SeekableRaw, Stop, Stream
from privacy_assets.scan.text import Segment, Unread, Why

HEAD = 64 * 1024
"""Bytes from whose look the format is told."""
_IN_MEMORY = 8 * 1024 * 1024

Piece = Segment | Unread


@dataclass(frozen=True)
class Member:
    """A thing to read: the object itself, or what stands inside a container."""

    path: str
    """As in ``Segment.member``."""
    name: str
    """What it is called: a hint, no more."""
    depth: int = 0
    charset: str | None = None
    """The encoding that the container declares for it."""

    def inside(self, name: str, charset: str | None = None) -> "Member":
        """A member of this one. The name is only a name: nothing is ever opened by it."""
        path = f"{self.path}/{name}" if self.path else name
        return Member(path, name, self.depth + 1, charset)

    def unpacked(self, name: str) -> "Member":
        """This one without its compression, called ``name`` then."""
        return Member(self.path, name, self.depth + 1)


class Format(Protocol):
    """What a module of this package is: one format, told by its content."""

    NAME: str

    def recognise(self, head: bytes, name: str) -> bool:
        """Whether a member that begins with ``head`` is one; the name decides between texts alone."""

    def read(self, stream: Stream, member: Member, walk: "Walk") -> Iterator[Piece]:
        """What the member holds. May raise anything: ``Walk.read`` tells what it means."""


class Walk:
    """One reading of one object: its limits, and how much of them is spent."""

    def __init__(self, limits: Limits, formats: Sequence[Format]) -> None:
        self.limits = limits
        self.clock = Clock(limits.seconds)
        self.members = 0
        self.expanded = 0
        self.spooled = 0
        self.fatal: Exception | None = None
        """An error of this machine, such as a full disk: no fact about the object either."""
        self._formats = formats
        self._object: Stream | None = None

    def read(
        self, raw: Raw, member: Member, seekable: SeekableRaw | None = None, form: Format | None = None
    ) -> Iterator[Piece]:
        """All that ``member`` holds, its own members included; at the end an ``Unread`` if it was not all.

        ``seekable`` is ``raw`` again if it may be sought in; ``form`` what it is, if its container says so.
        Raises what the source raises, and Stop where the object's limits end, and with them the container.
        """
        stream = Stream(raw, self.clock, seekable)
        self._object = self._object or stream
        name, partly = "member", False
        self._count(member)
        try:
            self._check_depth(member)
            head = stream.peek(HEAD)
            if form is None:
                form = next(one for one in self._formats if one.recognise(head, member.name))
            name = form.NAME
            for piece in form.read(stream, member, self):
                partly = partly or not isinstance(piece, Unread) or piece.partly
                yield piece
            stream.raise_failure()
        except Exception as error:  # noqa: BLE001  # libraries raise what they like at a hostile file
            if self.fatal is not None:
                raise self.fatal from None
            yield _unread(member, stream.failure or error, stream.failure is not None, name, partly)

    def raise_failure(self) -> None:
        """Raises what the source or this machine has failed with, if it has."""
        if self.fatal is not None:
            raise self.fatal
        if self._object is not None and not isinstance(self._object.failure, Stop):
            self._object.raise_failure()
        self.clock.check()

    def _check_depth(self, member: Member) -> None:
        if member.depth > self.limits.depth:
            raise Stop(Why.TOO_DEEP, f"more than {self.limits.depth} containers in one another")

    def _count(self, member: Member) -> None:
        """One more member. What it raises ends the container, not the member alone."""
        self.clock.check()
        self.members += 1
        if member.depth and self.members > self.limits.members:
            raise Stop(Why.EXPANDS_TOO_MUCH, f"more than {self.limits.members} members")

    def expand(self, size: int, given: int = 0, taken: int = 0, name: str = "") -> None:
        """Counts ``size`` bytes that came out of a compression, ``name``, which has made ``given`` bytes of
        ``taken`` so far.

        Raises Stop(EXPANDS_TOO_MUCH) if they are too many for it or for the object as a whole.
        """
        if given > self.limits.free and given > taken * self.limits.ratio:
            detail = f"{name} data expands to more than {self.limits.ratio} times its size"
            raise Stop(Why.EXPANDS_TOO_MUCH, detail)
        self.expanded += size
        size_known = self._object.furthest if self._object else 0
        if self.expanded > 4 * self.limits.free and self.expanded > size_known * self.limits.ratio:
            raise Stop(
                Why.EXPANDS_TOO_MUCH,
                f"the object expands to more than {self.limits.ratio} times its size",
            )

    @contextmanager
    def seekable(self, stream: Stream) -> Iterator[Stream]:
        """``stream``, or a copy of it that can be sought in: nameless, on disk, counted."""
        if stream.seekable():
            yield stream
            return
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file, self._copied(stream, file):
            spooled = Stream(file, self.clock, file)
            try:
                yield spooled
            finally:
                if isinstance(spooled.failure, OSError):
                    self.fatal = spooled.failure
                spooled.raise_failure()

    @contextmanager
    def on_disk(self, stream: Stream) -> Iterator[IO[bytes]]:
        """A copy of ``stream`` in a file that has a descriptor: nameless, counted."""
        with tempfile.TemporaryFile() as file, self._copied(stream, file):
            yield file

    @contextmanager
    def _copied(self, stream: Stream, file: IO[bytes]) -> Iterator[None]:
        copied = 0
        try:
            for chunk in stream.chunks():
                copied += len(chunk)
                self.spooled += len(chunk)
                if self.spooled > self.limits.spool:
                    raise Stop(
                        Why.EXPANDS_TOO_MUCH,
                        f"inner containers of more than {self.limits.spool} bytes at one time",
                    )
                self._write(file, chunk)
            self._rewind(file)
            yield
        finally:
            self.spooled -= copied

    def _write(self, file: IO[bytes], chunk: bytes) -> None:
        try:
            file.write(chunk)
        except OSError as error:
            self.fatal = error
            raise

    def _rewind(self, file: IO[bytes]) -> None:
        try:
            file.flush()
            file.seek(0)
        except OSError as error:
            self.fatal = error
            raise


def _unread(member: Member, error: Exception, below: bool, form: str, partly: bool) -> Unread:
    """What ``error`` says about ``member``; raised again if it came from ``below``: the source's own."""
    if isinstance(error, Stop):
        return Unread(member.path, error.why, error.detail, partly)
    if below:
        raise error
    if isinstance(error, MemoryError):
        return Unread(member.path, Why.EXPANDS_TOO_MUCH, f"{form} needs more memory than there is", partly)
    return Unread(member.path, Why.BROKEN, f"{form} can't be read: {type(error).__name__}", partly)
