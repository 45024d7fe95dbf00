"""JSON lines and CSV, plain or compressed by gzip or bzip2: line by line, every other byte as it was.

What can't be read as one record (a broken line, lines joined by an odd quotation mark) stays as it is when it
doesn't name the subject. When it does, nobody can say what of it is hers: StoreError then, with its line.
"""

import bz2
import csv
import gzip
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO, Protocol, cast

from privacy_assets.dsar.files.selection import Selection
from privacy_assets.dsar.stores.needles import SHORTEST
from privacy_assets.dsar.stores.protocol import StoreError, Tally
from privacy_assets.dsar.stores.rules import Rules

csv.field_size_limit(1 << 30)
_LONGEST = 1 << 20  # bytes of a CSV record of several lines
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_GZIP, _BZIP2 = b"\x1f\x8b", b"BZh"
_OTHERS = {b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4", b"\xfd7zX": "xz", b"PAR1": "Parquet"}


class Format(Protocol):
    """How records stand in lines."""

    @property
    def header_lines(self) -> int:
        """How many pieces at the beginning are no records."""
        ...

    def split(self, stream: BinaryIO) -> Iterator[tuple[bytes, bool]]:
        """The stream in pieces of whole lines, together the stream; whether each may be a record."""
        ...

    def parse(self, piece: bytes) -> Mapping[str, Any] | None:
        """The record of a piece; None for a piece that isn't exactly one record."""
        ...

    def changed(self, piece: bytes, values: Mapping[str, Any]) -> bytes:
        """The piece with new values in some fields."""
        ...


class JsonLines:
    """One JSON object a line."""

    header_lines = 0

    def split(self, stream: BinaryIO) -> Iterator[tuple[bytes, bool]]:
        return ((line, True) for line in stream)

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
        written = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
        return written.encode(errors="backslashreplace") + end  # half a surrogate pair as JSON's escape of it


@dataclass(frozen=True)
class Csv:
    """Delimited values in the catalog's order of columns. A quoted value may go over several lines."""

    columns: Sequence[str]
    delimiter: str = ","
    quote: str | None = '"'
    escape: str | None = None
    header_lines: int = 0

    def split(self, stream: BinaryIO) -> Iterator[tuple[bytes, bool]]:
        held: list[bytes] = []
        size, is_open, is_whole = 0, False, True
        for line in stream:
            held.append(line)
            size += len(line)
            is_open ^= self._is_odd(line)
            if not is_open:
                yield b"".join(held), is_whole
                held, size, is_whole = [], 0, True
            elif size > _LONGEST:  # a quotation mark that nothing closes, most likely
                yield b"".join(held), False
                held, size, is_whole = [], 0, False
        if held:
            yield b"".join(held), False

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
        """The values of exactly one row, else none."""
        text = piece.decode(errors="surrogateescape")
        try:
            rows = list(islice(csv.reader(io.StringIO(text, newline=""), **self._dialect), 2))
        except csv.Error:
            return []
        return rows[0] if len(rows) == 1 else []

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

    def _is_odd(self, line: bytes) -> bool:
        """Whether a quoted value begins or ends with this line."""
        if self.quote is None:
            return False
        quote = self.quote.encode()
        if self.escape:
            line = line.replace(self.escape.encode() * 2, b"").replace(self.escape.encode() + quote, b"")
        return line.count(quote) % 2 == 1


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
    """Every piece, with its record if that is the subject's.

    Raises StoreError for a piece that names the subject and isn't exactly one record.
    """
    everything, line = selection.everything, 1
    values = {value for several in selection.wanted.values() for value in several if value}
    plain = tuple({written.encode() for value in values for written in (value, value.replace('"', '""'))})
    for place, (piece, is_whole) in enumerate(form.split(stream)):
        at, line = line, line + piece.count(b"\n")
        # What is escaped doesn't show its bytes: such a piece is read whatever it holds.
        if not everything and b"\\" not in piece and not any(value in piece for value in plain):
            yield piece, None
            continue
        found = form.parse(piece) if is_whole else None
        if found is None and (piece.strip() if everything else _names(piece, values)):
            raise StoreError(
                f"line {at} names the subject and can't be read as one record, so it has to be erased by hand"
            )
        record = None if found is None or place < form.header_lines else selection.record(found)
        yield piece, record if record is not None and (everything or selection.holds(record)) else None


def _names(piece: bytes, values: Iterable[str]) -> bool:
    """Whether a value stands in a piece, as it is or escaped; a short one as a word of its own."""
    written = piece.decode(errors="replace")
    read = _ESCAPE.sub(
        lambda found: chr(int(found[1], 16)) if found[1] else " " if found[2] in "bfnrt" else found[2],
        written,
    )
    read = read.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return any(
        value in text
        if len(value) >= SHORTEST
        else re.search(rf"(?<![A-Za-z0-9]){re.escape(value)}(?![A-Za-z0-9])", text)
        for value in values
        for text in (written, read, read.replace('""', '"'))
    )


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
