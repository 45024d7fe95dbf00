"""What a file is and which columns it has, from its beginning.

Sampling follows Glue (AWS re:Post Knowledge Center, "How does the AWS Glue crawler detect the schema?"):
the first megabyte of a file, uncompressed, and further megabytes up to ten only as long as no record was
complete; of CSV no more than 1,000 records; of Parquet the footer. Record counts of files longer than that
are estimated from their size.
"""

import bz2
import codecs
import csv
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from local_aws.glue.schema import Shape, parse
from local_aws.objects import Object

SAMPLE: Final = 1024 * 1024
MAX_SAMPLES: Final = 10
KEPT_SAMPLES: Final = 20_000
CSV_RECORDS: Final = 1000
CSV_DELIMITERS: Final = (",", "|", "\t", ";", "\x01")
_READ: Final = 4 * 1024
_BLANK = re.compile(r"\s*")
_COLUMN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ .\-]*")
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_DOUBLE = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_decoder = json.JSONDecoder()


@dataclass(frozen=True)
class Format:
    """What must be equal for two files to belong to one table."""

    classification: str
    compression: str = "none"
    delimiter: str = ""
    header: bool = False


@dataclass(frozen=True)
class Sample:
    """A file as its beginning shows it. ``names`` are the top-level names as they are written in it."""

    format: Format
    shape: Shape
    names: tuple[str, ...]
    records: int
    """In the whole file: counted where the sample was all of it, else estimated."""
    record_size: int
    """Mean size of a record in bytes, uncompressed."""


@dataclass
class _Text:
    """The beginning of a text file, and how much of the stored bytes it took."""

    text: str
    stored: int
    """Bytes of the stored file that were read to get ``text``."""
    whole: bool


def sample(item: Object) -> Sample | None:
    """The object's sample, or None when nothing is in it. Raises KeyError when it is gone.

    The shape that comes back is shared: merge it into another, never change it.
    """
    key = (item.etag, item.size)
    if key not in _samples:
        if len(_samples) >= KEPT_SAMPLES:
            _samples.pop(next(iter(_samples)))
        _samples[key] = _sample(item)
    return _samples[key]


_samples: dict[tuple[str, int], Sample | None] = {}
"""By content, which never changes: it is read once however often it is crawled."""


def _sample(item: Object) -> Sample | None:
    with item.open() as file:
        magic = file.read(4)
        if magic == b"PAR1":
            return _parquet(file)
        compression = "gzip" if magic[:2] == b"\x1f\x8b" else "bzip2" if magic[:3] == b"BZh" else "none"
        for megabytes in range(1, MAX_SAMPLES + 1):
            try:
                text = _beginning(file, compression, megabytes * SAMPLE, item.size)
            except (UnicodeDecodeError, zlib.error, OSError):
                break
            if not text.text.strip():
                if text.whole:
                    return None
                continue
            found = _json(text, compression, item.size) or _csv(text, compression, item.size)
            if found is not None:
                return found
            if text.whole or text.text.lstrip()[:1] not in ("{", "["):
                break
    return Sample(Format("UNKNOWN", compression), Shape(), (), 0, 0)


def _beginning(file: BinaryIO, compression: str, limit: int, size: int) -> _Text:
    """Up to ``limit`` uncompressed bytes as text. Raises UnicodeDecodeError when it is not UTF-8."""
    file.seek(0)
    if compression == "none":
        data = file.read(limit)
        stored = len(data)
    else:
        data, stored = _decompressed(file, _DECOMPRESSORS[compression], limit)
    whole = stored >= size
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    return _Text(decoder.decode(data, final=whole), stored, whole)


def _gzip() -> Any:
    return zlib.decompressobj(wbits=31)


_DECOMPRESSORS: Final[dict[str, Callable[[], Any]]] = {"gzip": _gzip, "bzip2": bz2.BZ2Decompressor}


def _decompressed(file: BinaryIO, new: Callable[[], Any], limit: int) -> tuple[bytes, int]:
    """About ``limit`` bytes of a file of one or more compressed members, and the bytes read for them."""
    state, parts, got = new(), [], 0
    while got < limit and (block := file.read(_READ)):
        while block:
            piece = state.decompress(block)
            got += len(piece)
            parts.append(piece)
            if not state.eof:
                break
            block = state.unused_data.lstrip(b"\0")
            state = new()
    return b"".join(parts), file.tell()


def _estimate(text: _Text, records: int, size: int) -> int:
    return records if text.whole else max(records, round(records * size / text.stored))


# --- JSON ---------------------------------------------------------------------------------------------------


def _json(text: _Text, compression: str, size: int) -> Sample | None:
    """JSON lines or documents one after the other, or one array; None when it is not JSON."""
    start = text.text.lstrip()[:1]
    if start not in ("{", "["):
        return None
    values, read = _documents(text)
    if not values:
        return None
    shape, names = Shape(fields={}), dict[str, None]()
    if start == "[":
        # A crawler without a custom classifier sees an array as one record of one column named "array".
        values, names = [{"array": value} for value in values], {"array": None}
    if not all(isinstance(value, dict) for value in values):
        return None
    shape.observe(values)
    for value in values:
        names.update(dict.fromkeys(value))
    return Sample(
        Format("json", compression),
        shape,
        tuple(names),
        _estimate(text, len(values), size),
        max(1, read // len(values)),
    )


def _documents(text: _Text) -> tuple[list[Any], int]:
    """The complete JSON values of the text, and how many characters they take; nothing when one is broken."""
    content, position = text.text, 0
    values: list[Any] = []
    while True:
        blank = _BLANK.match(content, position)
        position = blank.end() if blank else position
        if position >= len(content):
            return values, position
        try:
            value, position = _decoder.raw_decode(content, position)
        except json.JSONDecodeError as error:
            unfinished = error.pos >= len(content) - 8 or error.msg.startswith("Unterminated string")
            cut_off = not text.whole and (unfinished or "\n" not in content[position:])
            return (values, position) if cut_off else ([], 0)
        except RecursionError:
            return [], 0
        values.append(value)


# --- CSV ----------------------------------------------------------------------------------------------------


def _csv(text: _Text, compression: str, size: int) -> Sample | None:
    """Delimited text of at least two columns and two rows (Developer Guide, "Built-in CSV classifier")."""
    content = text.text if text.whole else text.text[: text.text.rfind("\n") + 1]
    best: tuple[str, list[list[str]]] | None = None
    for delimiter in CSV_DELIMITERS:
        rows = _rows(content, delimiter)
        if rows and (best is None or len(rows[0]) > len(best[1][0])):
            best = (delimiter, rows)
    if best is None:
        return None
    delimiter, rows = best
    header = _has_header(rows)
    data = rows[1:] if header else rows
    names = [name.strip().lower() for name in rows[0]] if header else [f"col{i}" for i in range(len(rows[0]))]
    shape = Shape(fields={})
    assert shape.fields is not None
    for position, name in enumerate(names):
        types = {kind for row in data if (kind := _csv_type(row[position])) is not None}
        shape.fields[name] = Shape(scalars=types)
    lines = content.count("\n") + (not content.endswith("\n"))
    count = _estimate(text, lines - header, size)
    return Sample(
        Format("csv", compression, delimiter, header),
        shape,
        tuple(names),
        count,
        max(1, len(content) // max(lines, 1)),
    )


def _rows(content: str, delimiter: str) -> list[list[str]] | None:
    rows = []
    try:
        for row in csv.reader(content.splitlines(keepends=True), delimiter=delimiter):
            if row:
                rows.append(row)
            if len(rows) > CSV_RECORDS:
                break
    except csv.Error:
        return None
    fits = len(rows) >= 2 and len(rows[0]) >= 2 and all(len(row) == len(rows[0]) for row in rows)
    return rows if fits else None


def _has_header(rows: list[list[str]]) -> bool:
    """Whether the first row names the columns: text throughout, short, fit for names, unlike the data."""
    head, data = rows[0], rows[1:]
    for position, cell in enumerate(head):
        trailing = position == len(head) - 1 and not cell
        name = cell.strip()
        if not trailing and (
            len(name) >= 150 or not _COLUMN_NAME.fullmatch(name) or _csv_type(name) != "string"
        ):
            return False
    return any(_csv_type(cell) not in ("string", None) for row in data for cell in row)


def _csv_type(cell: str) -> str | None:
    cell = cell.strip()
    if not cell:
        return None
    if _INTEGER.fullmatch(cell):
        return "bigint"
    return "double" if _DOUBLE.fullmatch(cell) else "string"


# --- Parquet ------------------------------------------------------------------------------------------------


def _parquet(file: BinaryIO) -> Sample:
    try:
        with pq.ParquetFile(file) as parquet:
            metadata, schema = parquet.metadata, parquet.schema_arrow
            uncompressed = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    except (pa.ArrowException, OSError):
        return Sample(Format("UNKNOWN"), Shape(), (), 0, 0)
    shape = Shape(fields={column.name.lower(): parse(_hive(column.type)) for column in schema})
    rows = metadata.num_rows
    return Sample(Format("parquet"), shape, tuple(schema.names), rows, max(1, uncompressed // max(rows, 1)))


_HIVE_TYPES: Final[list[tuple[Callable[[Any], bool], str]]] = [
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_int8, "tinyint"),
    (pa.types.is_int16, "smallint"),
    (pa.types.is_int32, "int"),
    (pa.types.is_integer, "bigint"),
    (pa.types.is_float64, "double"),
    (pa.types.is_floating, "float"),
    (pa.types.is_date, "date"),
    (pa.types.is_timestamp, "timestamp"),
    (pa.types.is_binary, "binary"),
    (pa.types.is_large_binary, "binary"),
    (pa.types.is_fixed_size_binary, "binary"),
]


def _hive(kind: Any) -> str:
    """The Hive type of an Arrow type."""
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_struct(kind):
        return f"struct<{','.join(f'{field.name.lower()}:{_hive(field.type)}' for field in kind)}>"
    if pa.types.is_map(kind):
        return f"map<{_hive(kind.key_type)},{_hive(kind.item_type)}>"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return f"array<{_hive(kind.value_type)}>"
    if pa.types.is_dictionary(kind):
        return _hive(kind.value_type)
    return next((name for matches, name in _HIVE_TYPES if matches(kind)), "string")
