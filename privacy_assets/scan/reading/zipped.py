"""Zip archives (PKWARE's APPNOTE, https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT).

The standard library reads the directory; the entries are read here, because its own reader decompresses
bzip2 and LZMA without a bound. Stored, deflate, bzip2, LZMA and Zstandard entries are read.
"""

import bz2
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator

from privacy_assets.scan.reading.compressed import Compression, Decompressed, Decompressor, Inflate, zstandard
from privacy_assets.scan.reading.limits import Limits
from privacy_assets.scan.reading.office import Document
from privacy_assets.scan.reading.sheets import LAST_PART
from privacy_assets.scan.reading.stream import Raw, Stop, Stream
from privacy_assets.scan.reading.walk import Member, Piece, Walk
from privacy_assets.scan.text import Unread, Why

NAME = "a zip archive"
_LOCAL, _END = b"PK\x03\x04", b"PK\x05\x06"
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_END_RECORD = struct.Struct("<4s4H2IH")
LONGEST_END = _END_RECORD.size + 0xFFFF
"""Bytes at a file's end in which an archive's end record begins."""
_ENCRYPTED, _SIZES_FOLLOW, _UTF8 = 1, 1 << 3, 1 << 11
_RECORDS = (_LOCAL, b"PK\x01\x02", b"PK\x06\x06", _END)
_SIZES = b"PK\x07\x08"
_UNKNOWN = -1


def recognise(head: bytes, name: str) -> bool:  # noqa: ARG001
    """By the first entry, or the end of an empty archive; ``appended`` finds what merely ends in one."""
    return head.startswith((_LOCAL, _END))


def read(stream: Stream, member: Member, walk: Walk) -> Iterator[Piece]:
    """The entries, each as what it is."""
    with walk.seekable(stream) as file:
        yield from archive(file, member, walk)


def archive(file: Stream, member: Member, walk: Walk) -> Iterator[Piece]:
    """The entries of the archive that ``file`` is or ends in."""
    try:
        directory = zipfile.ZipFile(io.BufferedReader(file))
    except Exception as error:
        file.raise_failure()
        for info in _in_order(file):
            yield from walk.read(Entry(file, info, walk), member.inside(info.filename))
        raise Stop(Why.BROKEN, "the zip archive's directory is damaged or missing") from error
    names = directory.namelist()
    document = None
    if Document.recognise(names):
        document = Document(names, lambda name: Entry(file, directory.getinfo(name), walk), walk)
    # The shared strings of a workbook are asked for what is left of them when the sheets are read.
    for info in sorted(directory.infolist(), key=lambda info: info.filename == LAST_PART):
        if not info.is_dir() or info.file_size:
            name, form = document.part(info.filename) if document else (info.filename, None)
            yield from walk.read(Entry(file, info, walk), member.inside(name), form=form)
    yield from _around(file, directory, member)


def appended(stream: Stream, tail: bytes, member: Member, walk: Walk) -> Iterator[Piece]:
    """The entries of a zip archive that another format's bytes end in: self-extracting programs, polyglots.

    ``tail`` is what ``stream`` ended with, 65,557 bytes or more if it had so many.
    """
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_RECORD.size:
        return
    *_, comment_size = _END_RECORD.unpack_from(tail, at)
    if len(tail) - at != _END_RECORD.size + comment_size:
        return
    if stream.seekable():
        yield from archive(stream, member, walk)
    else:
        yield Unread(member.path, Why.UNSUPPORTED, "a zip archive follows, which is not read here", True)


def _around(file: Stream, directory: zipfile.ZipFile, member: Member) -> Iterator[Unread]:
    """What stands after the archive's end, or between its entries and its directory, is told, not read."""
    size = file.size()
    file.seek(max(0, size - LONGEST_END))
    tail = file.fill(LONGEST_END)
    at = tail.rfind(_END)
    after = len(tail) - at - _END_RECORD.size - len(directory.comment)
    if at >= 0 and after > 0:
        yield Unread(member.path, Why.BROKEN, f"{after} bytes follow the end of the zip archive", True)


def _in_order(file: Stream) -> Iterator[zipfile.ZipInfo]:
    """The entries as they follow one another, without a directory, up to the first that is damaged."""
    position = 0
    while True:
        file.seek(position)
        header = file.fill(_LOCAL_HEADER.size)
        if len(header) < _LOCAL_HEADER.size or not header.startswith(_LOCAL):
            return
        _, _, flags, method, _, _, crc, packed, size, name_size, extra_size = _LOCAL_HEADER.unpack(header)
        info = zipfile.ZipInfo(file.fill(name_size).decode("utf-8" if flags & _UTF8 else "cp437", "replace"))
        info.header_offset, info.flag_bits, info.compress_type = position, flags, method
        start = position + _LOCAL_HEADER.size + name_size + extra_size
        if flags & _SIZES_FOLLOW or packed == 0xFFFFFFFF:
            # The sizes stand behind the data or in the extra field: the data goes on to the next record.
            info.compress_size = _next_record(file, start, (*_RECORDS, _SIZES)) - start
            info.file_size = _UNKNOWN
        else:
            info.compress_size, info.file_size, info.CRC = packed, size, crc
        yield info
        position = _next_record(file, start + info.compress_size, _RECORDS)


def _next_record(file: Stream, start: int, marks: tuple[bytes, ...]) -> int:
    """Where one of ``marks`` stands from ``start`` on, or the file ends."""
    file.seek(start)
    position, before = start, b""
    for chunk in file.chunks():
        window = before + chunk
        found = [at for at in map(window.find, marks) if at >= 0]
        if found:
            return position - len(before) + min(found)
        position, before = position + len(chunk), window[-3:]
    return position


class Slice:
    """A part of a stream as a stream of its own, which others may seek in between two reads."""

    def __init__(self, file: Stream, start: int, size: int) -> None:
        self._file = file
        self._position = start
        self._end = start + size

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes, none at the part's end or the file's."""
        if self._file.tell() != self._position:
            self._file.seek(self._position)
        data = self._file.read(min(size, self._end - self._position))
        self._position += len(data)
        return data


class Entry:
    """What one entry holds. Nothing is asked of it before the first read."""

    def __init__(self, file: Stream, info: zipfile.ZipInfo, walk: Walk) -> None:
        self._file = file
        self._info = info
        self._walk = walk
        self._raw: Raw | None = None
        self._crc = 0
        self._given = 0

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes. Raises Stop where the entry is encrypted, unsupported or not what it says."""
        if self._raw is None:
            self._raw = self._open()
        data = self._raw.read(min(size, self._left()))
        self._given += len(data)
        self._crc = zlib.crc32(data, self._crc)
        known = self._info.file_size != _UNKNOWN
        if not data and known and (self._given, self._crc) != (self._info.file_size, self._info.CRC):
            raise Stop(Why.BROKEN, "the entry's size or checksum is not the one that the zip archive says")
        return data

    def _left(self) -> int:
        # LZMA in zip may lack an end of its own; all others are read to theirs, whatever the directory says.
        if self._info.compress_type == zipfile.ZIP_LZMA and self._info.file_size != _UNKNOWN:
            return self._info.file_size - self._given
        return 1 << 62

    def _open(self) -> Raw:
        info = self._info
        if info.flag_bits & _ENCRYPTED:
            raise Stop(Why.ENCRYPTED, "the entry is encrypted")
        header = self._header_at(info.header_offset)
        if len(header) < _LOCAL_HEADER.size or not header.startswith(_LOCAL):
            raise Stop(Why.BROKEN, "no entry stands where the zip archive's directory says")
        *_, name_size, extra_size = _LOCAL_HEADER.unpack(header)
        start = info.header_offset + _LOCAL_HEADER.size + name_size + extra_size
        raw = Slice(self._file, start, info.compress_size)
        if info.compress_type == zipfile.ZIP_STORED:
            return raw
        return Decompressed(raw, self._compression(raw), self._walk)

    def _header_at(self, offset: int) -> bytes:
        try:
            self._file.seek(offset)
        except OSError:
            self._file.raise_failure()
            return b""
        return self._file.fill(_LOCAL_HEADER.size)

    def _compression(self, raw: Slice) -> Compression:
        match self._info.compress_type:
            case zipfile.ZIP_DEFLATED:
                return Compression("deflate", (), lambda _: Inflate(-zlib.MAX_WBITS))
            case zipfile.ZIP_BZIP2:
                return Compression("bzip2", (), lambda _: bz2.BZ2Decompressor())
            case zipfile.ZIP_LZMA:
                properties = raw.read(9)
                return Compression("LZMA", (), lambda limits: _lzma(properties, limits))
            case 93:  # zipfile.ZIP_ZSTANDARD from Python 3.14 on
                return Compression("zstd", (), zstandard)
            case other:
                raise Stop(Why.UNSUPPORTED, f"compression method {other} of the zip archive is not read")


def _lzma(properties: bytes, limits: Limits) -> Decompressor:
    """APPNOTE 5.8: two bytes of version, two of size, then LZMA's five bytes of properties."""
    if len(properties) < 9 or properties[2:4] != b"\x05\x00":
        raise Stop(Why.BROKEN, "the entry's LZMA properties are damaged")
    packed, dictionary = properties[4], int.from_bytes(properties[5:9], "little")
    if dictionary > limits.memory:
        raise Stop(Why.EXPANDS_TOO_MUCH, f"an LZMA dictionary of more than {limits.memory} bytes")
    position, literal = divmod(packed // 9, 5)
    filters = [
        {"id": lzma.FILTER_LZMA1, "dict_size": dictionary, "lc": packed % 9, "lp": literal, "pb": position}
    ]
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
