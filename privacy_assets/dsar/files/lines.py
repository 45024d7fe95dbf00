"""JSON lines and CSV, plain or compressed by gzip or bzip2: line by line, every other byte as it was.

A line that can't be read stays, and the search for the subject's bytes afterwards tells if it names her.
"""

import bz2
import csv
import gzip
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol, cast

from privacy_assets.dsar.files.selection import Selection
from privacy_assets.dsar.stores.protocol import StoreError, Tally
from privacy_assets.dsar.stores.rules import Rules

csv.field_size_limit(1 << 30)
_GZIP, _BZIP2 = b"\x1f\x8b", b"BZh"
_OTHERS = {b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4", b"\xfd7zX": "xz", b"PAR1": "Parquet"}


class Format(Protocol):
    """How records stand in lines."""

    @property
    def header_lines(self) -> int:
        """How many pieces at the beginning are no records."""
        ...

    def split(self, stream: BinaryIO) -> Iterator[bytes]:
        """The stream in pieces, one a record with its line's end; together they are the stream."""
        ...

    def parse(self, piece: bytes) -> Mapping[str, Any] | None:
        """The record of a piece; None for a piece that is no record."""
        ...

    def changed(self, piece: bytes, values: Mapping[str, Any]) -> bytes:
        """The piece with new values in some fields."""
        ...


class JsonLines:
    """One JSON object a line."""

    header_lines = 0

    def split(self, stream: BinaryIO) -> Iterator[bytes]:
        return iter(stream)

    def parse(self, piece: bytes) -> Mapping[str, Any] | None:
        try:
            found = json.loads(piece)
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def changed(self, piece: bytes, values: Mapping[str, Any]) -> bytes:
        found = json.loads(piece)
        names = {name.lower(): name for name in found}
        for field, value in values.items():
            found[names.get(field.lower(), field)] = value
        end = piece[len(piece.rstrip(b"\r\n")) :]
        return json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode() + end


@dataclass(frozen=True)
class Csv:
    """Delimited values in the catalog's order of columns. A quoted value may go over several lines."""

    columns: Sequence[str]
    delimiter: str = ","
    quote: str | None = '"'
    escape: str | None = None
    header_lines: int = 0

    def split(self, stream: BinaryIO) -> Iterator[bytes]:
        if self.quote is None:
            yield from stream
            return
        held = b""
        for line in stream:
            held += line
            if self._quotes(held) % 2 == 0:
                yield held
                held = b""
        if held:
            yield held

    def parse(self, piece: bytes) -> Mapping[str, Any] | None:
        values = self._values(piece)
        return dict(zip(self.columns, values, strict=False)) if values else None

    def changed(self, piece: bytes, values: Mapping[str, Any]) -> bytes:
        cells = self._values(piece)
        for place, column in enumerate(self.columns):
            if column in values and place < len(cells):
                cells[place] = "" if values[column] is None else str(values[column])
        end = piece[len(piece.rstrip(b"\r\n")) :].decode()
        written = io.StringIO()
        csv.writer(written, **self._dialect, lineterminator=end).writerow(cells)
        return written.getvalue().encode(errors="surrogateescape")

    def _values(self, piece: bytes) -> list[str]:
        text = piece.decode(errors="surrogateescape")
        try:
            return next(csv.reader(io.StringIO(text, newline=""), **self._dialect), [])
        except csv.Error:
            return []

    @property
    def _dialect(self) -> dict[str, Any]:
        quoting = csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE
        return {
            "delimiter": self.delimiter,
            "quotechar": self.quote,
            "escapechar": self.escape,
            "quoting": quoting,
            "doublequote": self.escape is None,
        }

    def _quotes(self, piece: bytes) -> int:
        quote = (self.quote or "").encode()
        if self.escape:
            piece = piece.replace(self.escape.encode() * 2, b"").replace(self.escape.encode() + quote, b"")
        return piece.count(quote)


def records(source: BinaryIO, form: Format, selection: Selection) -> Iterator[dict[str, Any]]:
    """The subject's records of a file."""
    with opened(source) as stream:
        for _, record in _pieces(stream, form, selection):
            if record is not None:
                yield record


def rewrite(
    source: BinaryIO, target: BinaryIO, form: Format, selection: Selection, rules: Rules, tally: Tally
) -> bool:
    """Write ``source`` to ``target`` without what is to be erased; False when nothing is."""
    written = False
    magic = _magic(source)
    with opened(source) as stream, _compressed(magic, target) as out:
        for piece, record in _pieces(stream, form, selection):
            if record is None or not rules.judge(record, tally):
                out.write(piece)
                continue
            written = True
            if rules.spec.change:
                out.write(form.changed(piece, rules.changes(record)))
    return written


def others(source: BinaryIO, form: Format, selection: Selection) -> Iterator[bytes]:
    """The bytes of all that is not the subject's."""
    with opened(source) as stream:
        for piece, record in _pieces(stream, form, selection):
            if record is None:
                yield piece


def opened(source: BinaryIO) -> BinaryIO:
    """The file's own bytes, without their compression. Raises StoreError for one that isn't known."""
    magic = _magic(source)
    if magic[:2] == _GZIP:
        return cast("BinaryIO", gzip.GzipFile(fileobj=source, mode="rb"))
    if magic[:3] == _BZIP2:
        return cast("BinaryIO", bz2.BZ2File(source))
    if magic in _OTHERS:
        raise StoreError(f"a file of {_OTHERS[magic]} among lines, expected text, gzip or bzip2")
    return cast("BinaryIO", io.BufferedReader(_Unclosed(source), 1 << 16))


def _magic(source: BinaryIO) -> bytes:
    """The first bytes of a file, which is at its beginning then."""
    source.seek(0)
    magic = source.read(4)
    source.seek(0)
    return magic


def _compressed(magic: bytes, target: BinaryIO) -> BinaryIO:
    """Compressed as a source of this beginning is; the same bytes whenever the same is written."""
    if magic[:2] == _GZIP:
        return cast("BinaryIO", gzip.GzipFile(filename="", fileobj=target, mode="wb", mtime=0))
    if magic[:3] == _BZIP2:
        return cast("BinaryIO", bz2.BZ2File(target, "wb"))
    return cast("BinaryIO", io.BufferedWriter(_Unclosed(target), 1 << 16))


def _pieces(
    stream: BinaryIO, form: Format, selection: Selection
) -> Iterator[tuple[bytes, dict[str, Any] | None]]:
    """Every piece, with its record if that is the subject's."""
    everything = selection.everything
    plain = tuple({value.encode() for values in selection.wanted.values() for value in values})
    for place, piece in enumerate(form.split(stream)):
        # What is escaped doesn't show its bytes: such a piece is read whatever it holds.
        if place < form.header_lines:
            yield piece, None
            continue
        if not everything and b"\\" not in piece and not any(value in piece for value in plain):
            yield piece, None
            continue
        found = form.parse(piece)
        record = None if found is None else selection.record(found)
        yield piece, record if record is not None and (everything or selection.holds(record)) else None


class _Unclosed(io.RawIOBase):
    """A file that stays open when what reads or writes through it is closed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def write(self, data: Any) -> int:
        return self._file.write(bytes(data))
