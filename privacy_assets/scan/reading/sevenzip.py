"""7z archives (https://py7zr.readthedocs.io/en/latest/archive_format.html).

Files of a solid block are one compressed stream, so they are read in its order, a piece at a time: py7zr's
decompressors are asked directly, since its ``extract`` hands out whole files.
"""

import io
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import py7zr
from py7zr.archiveinfo import Folder
from py7zr.compressor import SevenZipDecompressor
from py7zr.exceptions import PasswordRequired, UnsupportedCompressionMethodError

from privacy_assets.scan.reading.stream import CHUNK, Stop, Stream
from privacy_assets.scan.reading.walk import Member, Piece, Walk
from privacy_assets.scan.text import Why

NAME = "a 7z archive"
_MAGIC = b"7z\xbc\xaf\x27\x1c"
_BLOCK = 32 * 1024  # some of the decompressors give all at once that these bytes hold
_LZMA, _LZMA2, _PPMD = b"\x03\x01\x01", b"\x21", b"\x03\x04\x01"


def recognise(head: bytes, name: str) -> bool:  # noqa: ARG001
    """By the magic number."""
    return head.startswith(_MAGIC)


def read(stream: Stream, member: Member, walk: Walk) -> Iterator[Piece]:
    """The files, each as what it is. Needs seeking: the directory stands at the end."""
    with walk.seekable(stream) as file:
        buffered = io.BufferedReader(file)
        archive = _open(buffered)
        streams = archive.header.main_streams
        if streams is None:
            return
        packs = streams.packinfo
        # A folder of several packed streams (BCJ2) is one that py7zr refuses.
        for folder, start, packed in zip(
            streams.unpackinfo.folders, packs.packpositions, packs.packsizes, strict=False
        ):
            block = _Block(buffered, archive.afterheader + start, packed, folder, walk)
            for entry in folder.files or ():
                content = _Entry(block, entry.uncompressed, entry.crc32)
                yield from walk.read(content, member.inside(entry.filename))
                content.skip()


def _open(file: "io.BufferedReader[Stream]") -> py7zr.SevenZipFile:
    try:
        return py7zr.SevenZipFile(file, blocksize=_BLOCK)
    except PasswordRequired as error:
        raise Stop(Why.ENCRYPTED, "the archive's directory is encrypted") from error


class _Block:
    """One compressed stream, which holds one file or many."""

    def __init__(
        self, file: "io.BufferedReader[Stream]", start: int, packed: int, folder: Folder, walk: Walk
    ) -> None:
        self._file = file
        self._start = start
        self._packed = packed
        self._folder = folder
        self._walk = walk
        self._decompressor: SevenZipDecompressor | None = None
        self._given = 0
        self._stop: Stop | None = None

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes or fewer. Raises Stop, from then on always."""
        if self._stop:
            raise self._stop
        try:
            return self._read(size)
        except Stop as stop:
            self._stop = stop
            raise

    def _read(self, size: int) -> bytes:
        if self._decompressor is None:
            self._decompressor = self._open()
        before = -1
        while before != (before := self._file.tell()):
            try:
                data = bytes(self._decompressor.decompress(self._file, min(size, CHUNK)))
            except Exception as error:
                self._file.raw.raise_failure()
                raise Stop(Why.BROKEN, f"7z data is damaged: {type(error).__name__}") from error
            if data:
                self._count(len(data))
                return data
        raise Stop(Why.BROKEN, "7z data breaks off before its end")

    def _open(self) -> SevenZipDecompressor:
        for coder in self._folder.coders:
            if _memory(coder) > self._walk.limits.memory:
                raise Stop(
                    Why.EXPANDS_TOO_MUCH, f"a 7z dictionary of more than {self._walk.limits.memory} bytes"
                )
        try:
            self._file.seek(self._start)
            return SevenZipDecompressor(
                self._folder.coders, self._packed, self._folder.unpacksizes, self._folder.crc, None, _BLOCK
            )
        except OSError as error:
            self._file.raw.raise_failure()
            raise Stop(Why.BROKEN, "a block of the 7z archive stands nowhere") from error
        except PasswordRequired as error:
            raise Stop(Why.ENCRYPTED, "the archive is encrypted") from error
        except UnsupportedCompressionMethodError as error:
            raise Stop(Why.UNSUPPORTED, "a compression method of 7z that is not read") from error

    def _count(self, size: int) -> None:
        self._given += size
        self._walk.expand(size, self._given, self._packed, "7z")


class _Entry:
    """One file of a block."""

    def __init__(self, block: _Block, size: int, crc: int | None) -> None:
        self._block = block
        self._left = size
        self._expected = crc
        self._crc = 0

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes. Raises Stop(BROKEN) if at the end the checksum is another."""
        data = self._block.read(min(size, self._left)) if self._left else b""
        self._left -= len(data)
        self._crc = zlib.crc32(data, self._crc)
        if not data and self._expected is not None and self._crc != self._expected:
            raise Stop(Why.BROKEN, "the file's checksum is not the one that the archive says")
        return data

    def skip(self) -> None:
        """Passes over what was not read: the next file begins where this one ends."""
        with suppress(Stop):  # the block keeps it: the next file raises it
            while self._left:
                self.read(CHUNK)


def _memory(coder: dict[str, Any]) -> int:
    """The bytes of dictionary that a decompressor of ``coder`` sets aside."""
    method, properties = coder["method"], coder.get("properties") or b""
    if method in (_LZMA, _PPMD) and len(properties) >= 5:
        return int.from_bytes(properties[1:5], "little")
    if method == _LZMA2 and properties:
        return (2 | properties[0] & 1) << (properties[0] // 2 + 11)
    return 0
