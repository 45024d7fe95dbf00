"""Avro object container files (https://avro.apache.org/docs/1.12.0/specification/#object-container-files).

The container is taken apart here, so that a block is decompressed within the limits and a damaged one can be
passed over; fastavro reads the records. A block is held whole.
"""

import io
import json
import zlib
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import fastavro
import numpy as np
from fastavro import _read_py

from privacy_assets.scan.reading.columns import Columns
from privacy_assets.scan.reading.compressed import COMPRESSIONS, Compression, Decompressed, Inflate
from privacy_assets.scan.reading.stream import Stop, Stream
from privacy_assets.scan.reading.walk import Member, Piece, Walk
from privacy_assets.scan.text import Segment, Unread, Why

NAME = "an Avro file"
_MAGIC = b"Obj\x01"
_SYNC_SIZE = 16
_RECORDS = 4096
_BY_NAME = {compression.name: compression for compression in COMPRESSIONS}
_CODECS = {
    "deflate": Compression("deflate", (), lambda _: Inflate(-zlib.MAX_WBITS)),
    "bzip2": _BY_NAME["bzip2"],
    "xz": _BY_NAME["xz"],
    "zstandard": _BY_NAME["zstd"],
}
_NO_LEAVES = frozenset({dict, list, tuple, type(None)})


def recognise(head: bytes, name: str) -> bool:  # noqa: ARG001
    """By the magic number."""
    return head.startswith(_MAGIC)


def read(stream: Stream, member: Member, walk: Walk) -> Iterator[Piece]:
    """The fields as columns, block by block."""
    source = io.BufferedReader(stream)
    header = _Header(source, walk)
    columns, row, damaged = Columns(member.path, walk), 0, False
    while source.peek(1):
        count, size = _long(source), _long(source)
        if count < 0 or not 0 <= size <= walk.limits.memory:
            raise Stop(Why.BROKEN, "an Avro block has no size that can be")
        packed = source.read(size)
        if len(packed) < size or source.read(_SYNC_SIZE) != header.sync:
            raise Stop(Why.BROKEN, "an Avro block breaks off, or is not followed by its sync marker")
        failed: Stop | None = None
        try:
            block = header.unpack(packed, walk)
            yield from _records(header, block, count, row, columns, walk)
        except Stop as stop:
            if stop.why in {Why.TOO_LONG, Why.UNSUPPORTED}:
                raise
            failed = stop
        except Exception as error:  # noqa: BLE001  # what fastavro raises is anything
            failed = Stop(Why.BROKEN, f"a block of the Avro file can't be read: {type(error).__name__}")
        if failed and not damaged:
            damaged = True
            yield Unread(member.path, failed.why, failed.detail, columns.begun)
        row += count


class _Header:
    """What stands before the first block: the schema, the codec, the sync marker."""

    def __init__(self, source: "io.BufferedReader[Stream]", walk: Walk) -> None:
        source.read(len(_MAGIC))
        metadata: dict[str, bytes] = {}
        while count := _long(source):
            if count < 0:
                count = -count
                _long(source)
            for _ in range(count):
                key = _bytes(source, walk).decode()
                metadata[key] = _bytes(source, walk)
        self.sync = source.read(_SYNC_SIZE)
        self.codec = metadata.get("avro.codec", b"null").decode()
        self.schema = fastavro.parse_schema(json.loads(metadata["avro.schema"]))
        # The compiled reader has no guard against records in records in records: it would end the process.
        self.read = _read_py.schemaless_reader if _recursive(self.schema, ()) else fastavro.schemaless_reader

    def unpack(self, packed: bytes, walk: Walk) -> io.BytesIO:
        """A block without its compression. Raises Stop."""
        if self.codec == "null":
            return io.BytesIO(packed)
        if self.codec not in _CODECS:
            raise Stop(Why.UNSUPPORTED, f"the codec {self.codec!r} of Avro is not read")
        raw = Decompressed(io.BytesIO(packed), _CODECS[self.codec], walk)
        return io.BytesIO(Stream(raw, walk.clock).whole(walk.limits.memory, "an Avro block"))


def _recursive(schema: Any, within: tuple[str, ...]) -> bool:
    """Whether a record may hold itself; ``schema`` is parsed, so names are whole."""
    match schema:
        case str():
            return schema in within
        case list():
            return any(_recursive(branch, within) for branch in schema)
        case {"fields": list(fields), **rest}:
            inner = (*within, str(rest.get("name")))
            return any(_recursive(field["type"], inner) for field in fields)
        case {"type": kind, **rest}:
            return any(_recursive(part, within) for part in (kind, rest.get("items"), rest.get("values")))
        case _:
            return False


def _records(
    header: _Header, block: io.BytesIO, count: int, row: int, columns: Columns, walk: Walk
) -> Iterator[Segment]:
    for start in range(0, count, _RECORDS):
        walk.clock.check()
        rows = range(row + start, row + min(start + _RECORDS, count))
        records: list[Any] = []
        try:
            records.extend(header.read(block, header.schema, None) for _ in rows)
        finally:  # those before a damaged one are whole
            yield from _segments("", records, rows, columns)
    if block.read(1):
        raise Stop(Why.BROKEN, "a block of the Avro file holds more than its records")


def _segments(path: str, values: Sequence[Any], rows: Sequence[int], columns: Columns) -> Iterator[Segment]:
    """The leaves of ``values``, by their dotted paths."""
    kinds = set(map(type, values))
    if dict in kinds:
        fields: dict[str, tuple[list[Any], list[int]]] = {}
        for value, row in zip(values, rows, strict=False):
            if type(value) is dict:
                for name, inner in value.items():
                    field = fields.setdefault(name, ([], []))
                    field[0].append(inner)
                    field[1].append(row)
        for name, (inners, inner_rows) in fields.items():
            yield from _segments(f"{path}.{name}" if path else name, inners, inner_rows, columns)
    if kinds & {list, tuple}:
        held = [
            (inner, row)
            for value, row in zip(values, rows, strict=False)
            if type(value) in {list, tuple}
            for inner in value
        ]
        yield from _segments(path, [inner for inner, _ in held], [row for _, row in held], columns)
    if kinds - _NO_LEAVES:
        leaves = [
            (_text(value), row)
            for value, row in zip(values, rows, strict=False)
            if type(value) not in _NO_LEAVES
        ]
        ends = np.cumsum([len(text) + 1 for text, _ in leaves], dtype=np.int64)
        begins = np.concatenate([np.zeros(1, dtype=np.int64), ends[:-1]])
        data = b"\n".join([text for text, _ in leaves]) + b"\n"
        yield from columns.values(
            path or "value", data, begins, np.array([row for _, row in leaves], dtype=np.int64)
        )


def _text(value: Any) -> bytes:
    if type(value) is str:
        return value.encode(errors="replace")
    if isinstance(value, bytes):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e18:
        value = int(value)
    if isinstance(value, Decimal) and value == value.to_integral_value():
        value = int(value)
    return str(value).encode(errors="replace")


def _long(source: "io.BufferedReader[Stream]") -> int:
    """A zigzag number. Raises Stop(BROKEN) at the end."""
    result, shift = 0, 0
    while shift < 70:
        byte = source.read(1)
        if not byte:
            raise Stop(Why.BROKEN, "the Avro file breaks off")
        result |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return (result >> 1) ^ -(result & 1)
        shift += 7
    raise Stop(Why.BROKEN, "a number in the Avro file is none")


def _bytes(source: "io.BufferedReader[Stream]", walk: Walk) -> bytes:
    size = _long(source)
    if not 0 <= size <= walk.limits.memory:
        raise Stop(Why.BROKEN, "a size in the header of the Avro file can't be")
    return source.read(size)
