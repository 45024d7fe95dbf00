"""Compressed data: gzip (RFC 1952), bzip2, xz, Zstandard (RFC 8878), LZ4 frames.

All of them may be several streams one after the other, which are one text (RFC 1952 §2.2). What is read is
what was compressed; a compression adds no name to a member's path.
"""

import bz2
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

import pyarrow as pa

from privacy_assets.scan.reading.limits import Limits
from privacy_assets.scan.reading.stream import CHUNK, Raw, Stop, Stream
from privacy_assets.scan.reading.walk import Member, Piece, Walk
from privacy_assets.scan.text import Why

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

NAME = "compressed data"
_SUFFIXES = {
    ".gz": "", ".tgz": ".tar", ".bz2": "", ".tbz2": ".tar", ".xz": "", ".txz": ".tar",
    ".zst": "", ".tzst": ".tar", ".lz4": "", ".gzip": "", ".zstd": "",
}  # fmt: skip
_PADDING_LOOK = 64
_LZ4_MAGIC = b"\x04\x22\x4d\x18"


class Decompressor(Protocol):
    """What the standard library's decompressors are."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class Inflate:
    """zlib's decompressor in the shape of the others. ``wbits`` as for ``zlib.decompressobj``."""

    def __init__(self, wbits: int) -> None:
        self._zlib = zlib.decompressobj(wbits)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        tail = self._zlib.unconsumed_tail
        return self._zlib.decompress(tail + data if tail else data, max(max_length, 0))


@dataclass(frozen=True)
class Compression:
    """One way to compress."""

    name: str
    magics: tuple[bytes, ...]
    decompressor: Callable[[Limits], Decompressor]

    def begins(self, data: bytes) -> bool:
        """Whether a stream begins here."""
        return data.startswith(self.magics)


def zstandard(limits: Limits) -> Decompressor:
    """Zstandard with a window that fits the memory allowed."""
    window = min(31, max(10, limits.memory.bit_length() - 1))
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: window})


_SKIPPABLE = tuple(bytes([kind]) + b"\x2a\x4d\x18" for kind in range(0x50, 0x60))
_BZIP2 = tuple(b"BZh%d" % level + block for level in range(1, 10) for block in (b"1AY&SY", b"\x17rE8P\x90"))

COMPRESSIONS = (
    Compression("gzip", (b"\x1f\x8b\x08",), lambda _: Inflate(wbits=31)),
    Compression("bzip2", _BZIP2, lambda _: bz2.BZ2Decompressor()),
    Compression(
        "xz", (b"\xfd7zXZ\0",), lambda limits: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=limits.memory)
    ),
    Compression("zstd", (b"\x28\xb5\x2f\xfd", *_SKIPPABLE), zstandard),
)


class Decompressed:
    """The bytes that a compressed stream, or several in a row, hold.

    Raises Stop(BROKEN) where the stream breaks off or lies, Stop(EXPANDS_TOO_MUCH) at the limits. What stands
    after the end and is no stream raises Stop(BROKEN) too, after all was read; zeros there are padding.
    """

    def __init__(self, stream: Raw, compression: Compression, walk: Walk) -> None:
        self._stream = stream
        self._compression = compression
        self._walk = walk
        self._decompressor = compression.decompressor(walk.limits)
        self._input = b""
        self._taken = 0
        self._given = 0

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes, none at the end alone."""
        while not self._decompressor.eof or self._next():
            fresh = False
            if self._decompressor.needs_input and not self._input:
                self._input = self._stream.read(CHUNK)
                self._taken += len(self._input)
                fresh = not self._input
            data, self._input = self._decompress(self._input, size), b""
            if data:
                self._count(len(data))
                return data
            if fresh and not self._decompressor.eof:
                raise Stop(Why.BROKEN, f"{self._compression.name} breaks off before its end")
        return b""

    def _decompress(self, data: bytes, size: int) -> bytes:
        try:
            return self._decompressor.decompress(data, size)
        except lzma.LZMAError as error:
            if "limit" in str(error):
                raise Stop(Why.EXPANDS_TOO_MUCH, "xz needs more memory than is allowed") from error
            raise Stop(Why.BROKEN, "xz data is damaged") from error
        except (zlib.error, OSError, EOFError, zstd.ZstdError, ValueError) as error:
            raise Stop(Why.BROKEN, f"{self._compression.name} data is damaged") from error

    def _next(self) -> bool:
        """Whether another stream follows; it is begun then."""
        rest = self._decompressor.unused_data or self._input
        while not (rest := rest.lstrip(b"\0")) or len(rest) < _PADDING_LOOK:
            more = self._stream.read(CHUNK)
            self._taken += len(more)
            if not more:
                break
            rest += more
        if not rest:
            return False
        if not self._compression.begins(rest):
            raise Stop(Why.BROKEN, f"something else follows the end of the {self._compression.name} data")
        self._input = rest
        self._decompressor = self._compression.decompressor(self._walk.limits)
        return True

    def _count(self, size: int) -> None:
        self._given += size
        self._walk.expand(size, self._given, self._taken, self._compression.name)


class _LZ4:
    """What LZ4 frames hold, by Arrow, whose decompressor reads by itself.

    Where a frame is damaged, up to a chunk that stands before the damage is lost with it.
    """

    def __init__(self, stream: Stream, walk: Walk) -> None:
        self._stream = stream
        self._walk = walk
        self._frames = pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), "lz4")
        self._given = 0

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes, none at the end alone. Raises Stop as ``Decompressed`` does."""
        try:
            data: bytes = self._frames.read(min(size, CHUNK))
        except (OSError, pa.ArrowException) as error:
            self._stream.raise_failure()
            raise Stop(Why.BROKEN, "lz4 data is damaged, breaks off, or something follows it") from error
        self._given += len(data)
        self._walk.expand(len(data), self._given, self._stream.tell(), "lz4")
        return data


def recognise(head: bytes, name: str) -> bool:  # noqa: ARG001  # a .gz that is none is read as what it is
    """By the magic number of each."""
    return head.startswith(_LZ4_MAGIC) or any(compression.begins(head) for compression in COMPRESSIONS)


def read(stream: Stream, member: Member, walk: Walk) -> Iterator[Piece]:
    """What was compressed, read as what it is."""
    head = stream.peek(_PADDING_LOOK)
    raw: Raw
    if head.startswith(_LZ4_MAGIC):
        raw = _LZ4(stream, walk)
    else:
        compression = next(one for one in COMPRESSIONS if one.begins(head))
        raw = Decompressed(stream, compression, walk)
    yield from walk.read(raw, member.unpacked(_unpacked_name(member.name)))


def _unpacked_name(name: str) -> str:
    suffix = PurePosixPath(name).suffix
    replacement = _SUFFIXES.get(suffix.lower())
    return name if replacement is None else name.removesuffix(suffix) + replacement
