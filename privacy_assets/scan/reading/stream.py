"""Bytes on their way: a stream that looks ahead, keeps the time, and remembers what went wrong below it.

Libraries swallow and rename errors. What a source or a decompression raised is therefore kept where it was
raised, and ``raise_failure`` brings it back after a library has had its turn.
"""

import errno
import io
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from privacy_assets.scan.text import Why

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CHUNK = 256 * 1024
_FARTHEST = (1 << 63) - 1


class Stop(Exception):  # noqa: N818  # nothing is wrong with us: the member ends here
    """A member can't be read on. ``detail`` holds no value of the data."""

    def __init__(self, why: Why, detail: str) -> None:
        super().__init__(detail)
        self.why = why
        self.detail = detail


class Clock:
    """The time that an object may take."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """The seconds that are left, 0 when the time is over."""
        return max(0.0, self._end - time.monotonic())

    def check(self) -> None:
        """Raises Stop(TOO_LONG) when the time is over."""
        if time.monotonic() > self._end:
            raise Stop(Why.TOO_LONG, f"the object took more than {self.seconds:g} seconds")


class Raw(Protocol):
    """What a stream reads from; may return less than was asked for, and nothing at the end alone."""

    def read(self, size: int, /) -> bytes: ...


class SeekableRaw(Raw, Protocol):
    """What can also be read in any order."""

    def seek(self, offset: int, whence: int = ..., /) -> int: ...


class Stream(io.RawIOBase):
    """``raw`` as a binary stream that looks ahead without seeking back.

    ``seekable_raw`` is ``raw`` again if it may be sought in. Every read asks the clock. An exception of
    ``raw`` is raised once more by every later read.
    """

    def __init__(self, raw: Raw, clock: Clock, seekable_raw: SeekableRaw | None = None) -> None:
        self._raw = raw
        self._seekable_raw = seekable_raw
        self._clock = clock
        self._ahead = b""
        self._position = 0
        self.failure: Exception | None = None
        self.furthest = 0
        """The highest offset of ``raw`` that is known to be there."""

    def peek(self, size: int) -> bytes:
        """The next ``size`` bytes, fewer at the end or before a failure, which stay to be read."""
        with suppress(Exception):  # the failure is kept: it is raised when what stands before it is read
            while len(self._ahead) < size and (more := self._read_raw(size - len(self._ahead))):
                self._ahead += more
        return self._ahead[:size]

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes; as many as there are at once, none at the end. Without ``size``, all."""
        if size < 0:
            return b"".join(self.chunks())
        if self._ahead:
            self._clock.check()
            data, self._ahead = self._ahead[:size], self._ahead[size:]
        else:
            data = self._read_raw(size)
        self._position += len(data)
        return data

    def fill(self, size: int) -> bytes:
        """``size`` bytes, fewer at the end or before a failure, which the next read raises."""
        data = self.read(size)
        if len(data) == size or not data:
            return data
        parts, missing = [data], size - len(data)
        with suppress(Exception):  # kept, as in peek
            while missing and (data := self.read(missing)):
                parts.append(data)
                missing -= len(data)
        return b"".join(parts)

    def whole(self, most: int, what: str) -> bytes:
        """All the rest. Raises Stop(EXPANDS_TOO_MUCH) if it is more than ``most`` bytes."""
        data = self.fill(most + 1)
        if len(data) > most:
            raise Stop(Why.EXPANDS_TOO_MUCH, f"{what} of more than {most} bytes must be held whole")
        return data

    def chunks(self, size: int = CHUNK) -> Iterator[bytes]:
        """The rest, in pieces of up to ``size`` bytes."""
        while data := self.read(size):
            yield data

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._seekable_raw is not None

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if self._seekable_raw is None:
            raise io.UnsupportedOperation("this stream is read in order")
        if whence == io.SEEK_CUR:
            offset += self._position
        elif whence == io.SEEK_END:
            size = self._seek_raw(0, io.SEEK_END)
            offset += size
            self.furthest = max(self.furthest, size)
        if not 0 <= offset <= _FARTHEST:  # what a damaged file points to: no failure of the source
            self._seek_raw(self._position)
            raise OSError(errno.EINVAL, "no such offset")
        self._position = self._seek_raw(offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def size(self) -> int:
        """The bytes of the whole, whose position is kept. For seekable streams."""
        position = self._position
        size = self.seek(0, io.SEEK_END)
        self.seek(position)
        return size

    def raise_failure(self) -> None:
        """Raises what ``raw`` has raised before, if it has."""
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        """The stream is lent to libraries, some of which close it: it belongs to whoever opened ``raw``."""

    def _seek_raw(self, offset: int, whence: int = io.SEEK_SET) -> int:
        assert self._seekable_raw is not None
        self._ahead = b""
        try:
            return self._seekable_raw.seek(offset, whence)
        except Exception as error:
            self.failure = error
            raise

    def _read_raw(self, size: int) -> bytes:
        self.raise_failure()
        try:
            self._clock.check()
            data = self._raw.read(size)
        except Exception as error:
            self.failure = error
            raise
        self.furthest = max(self.furthest, self._position + len(self._ahead) + len(data))
        return data
