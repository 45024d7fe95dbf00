"""Data files of UNLOAD and CTAS: written to local files in Athena's formats, a partition in a folder of its
own.
"""

import gzip
import json
import math
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote as percent

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from local_aws.athena.errors import QueryError
from local_aws.athena.output.render import render
from local_aws.athena.types import Type

MAX_PARTITIONS = 100
ROWS_A_FILE = 4_000_000
_PARQUET_CODECS = {
    "SNAPPY": "snappy",
    "GZIP": "gzip",
    "ZSTD": "zstd",
    "NONE": "none",
    "UNCOMPRESSED": "none",
    "LZ4": "lz4",
}


@dataclass
class Format:
    """What UNLOAD's or CTAS's WITH asks for."""

    name: str = "PARQUET"
    compression: str = ""
    delimiter: str = "\x01"
    partitioned_by: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name = self.name.upper()
        if self.name not in ("PARQUET", "JSON", "TEXTFILE"):
            raise QueryError(
                "NOT_SUPPORTED", f"format {self.name} is not supported; PARQUET, JSON and TEXTFILE are"
            )
        default = {"PARQUET": "GZIP", "JSON": "GZIP", "TEXTFILE": "GZIP"}
        self.compression = (self.compression or default[self.name]).upper()
        allowed = set(_PARQUET_CODECS) if self.name == "PARQUET" else {"GZIP", "NONE"}
        if self.compression not in allowed:
            raise QueryError(
                "INVALID_TABLE_PROPERTY", f"compression {self.compression} is not supported for {self.name}"
            )

    @property
    def suffix(self) -> str:
        if self.name == "PARQUET":
            return ""
        return ".gz" if self.compression == "GZIP" else ""


@dataclass
class Written:
    """A file that was written: where, and under which partition folders (``a=1/b=2/``, or nothing)."""

    path: Path
    folder: str
    values: tuple[str, ...]
    rows: int


def expressions(refs: list[str], kinds: list[Type], form: Format) -> list[str]:
    """How the query's columns are read for a format: delimited text is rendered by DuckDB."""
    if form.name != "TEXTFILE":
        return refs
    return [render(ref, kind) if not kind.is_text else ref for ref, kind in zip(refs, kinds, strict=True)]


class DataWriter:
    """Writes batches to files below ``directory``. Use as a context manager; ``written`` tells the files."""

    def __init__(
        self, directory: Path, names: list[str], kinds: list[Type], form: Format, query_id: str
    ) -> None:
        self._directory = directory
        self._form = form
        self._prefix = query_id
        unknown = [name for name in form.partitioned_by if name not in names]
        if unknown:
            raise QueryError("INVALID_TABLE_PROPERTY", f"Partition columns {unknown} not present in schema")
        count = len(form.partitioned_by)
        if count and names[-count:] != form.partitioned_by:
            raise QueryError(
                "INVALID_TABLE_PROPERTY",
                "Partition keys must be the last columns in the table and in the same order as the "
                "table properties: " + str(form.partitioned_by),
            )
        if count and count == len(names):
            raise QueryError("INVALID_TABLE_PROPERTY", "Table contains only partition columns")
        self._names = names[: len(names) - count]
        self._kinds = kinds[: len(kinds) - count]
        self._partition_kinds = kinds[len(kinds) - count :]
        self._open: dict[tuple[str, ...], _File] = {}
        self.written: list[Written] = []

    def __enter__(self) -> "DataWriter":
        self._directory.mkdir(parents=True)
        return self

    def __exit__(self, *error: object) -> None:
        for file in self._open.values():
            file.close()

    def write(self, batch: pa.RecordBatch) -> None:
        if batch.num_rows == 0:
            return
        if not self._form.partitioned_by:
            self._file(()).write(batch)
            return
        count = len(self._names)
        keys = [_key_texts(column) for column in batch.columns[count:]]
        data = pa.Table.from_batches([batch]).select(list(range(count)))
        combined = list(zip(*keys, strict=True))
        for values in dict.fromkeys(combined):
            mask = pa.array([v == values for v in combined])
            for part in data.filter(mask).combine_chunks().to_batches():
                self._file(values).write(part)

    def _file(self, values: tuple[str, ...]) -> "_File":
        found = self._open.get(values)
        if found is not None and found.record.rows < ROWS_A_FILE:
            return found
        if found is not None:
            found.close()
        elif len(self._open) >= MAX_PARTITIONS and values:
            raise QueryError(
                "HIVE_TOO_MANY_OPEN_PARTITIONS",
                f"Exceeded limit of {MAX_PARTITIONS} open writers for partitions/buckets",
            )
        folder = "".join(
            f"{name}={percent(value, safe=' ()[]{}+~,;@!$&|<>-_.')}/"
            for name, value in zip(self._form.partitioned_by, values, strict=True)
        )
        path = self._directory / f"{uuid.uuid4()}"
        record = Written(path, folder, values, 0)  # ``values`` as text
        made = _FILES[self._form.name](record, self._names, self._kinds, self._form)
        self._open[values] = made
        self.written.append(record)
        return made


def _key_texts(column: pa.Array) -> list[str]:
    values = pc.cast(column, pa.string()).to_pylist()
    return ["__HIVE_DEFAULT_PARTITION__" if value is None else value for value in values]


class _File:
    """One open file; ``record`` tells what was written to it."""

    def __init__(self, record: Written, *_: object) -> None:
        self.record = record

    def write(self, batch: pa.RecordBatch) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class _ParquetFile(_File):
    """Timestamps as INT96 cut to milliseconds, as Athena writes them."""

    def __init__(self, record: Written, names: list[str], kinds: list[Type], form: Format) -> None:
        super().__init__(record, names, kinds, form)
        self._schema = pa.schema([pa.field(n, arrow_type(k)) for n, k in zip(names, kinds, strict=True)])
        self._writer = pq.ParquetWriter(
            record.path,
            self._schema,
            compression=_PARQUET_CODECS[form.compression],
            use_deprecated_int96_timestamps=True,
        )

    def write(self, batch: pa.RecordBatch) -> None:
        columns = [
            column.cast(f.type) if column.type != f.type else column
            for column, f in zip(batch.columns, self._schema, strict=True)
        ]
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))
        self.record.rows += batch.num_rows

    def close(self) -> None:
        self._writer.close()


class _LinesFile(_File):
    def __init__(self, record: Written, names: list[str], kinds: list[Type], form: Format) -> None:
        super().__init__(record, names, kinds, form)
        self._names, self._kinds, self._form = names, kinds, form
        self._stack = ExitStack()
        self._file: IO[bytes] = self._stack.enter_context(record.path.open("wb"))
        if form.compression == "GZIP":
            self._file = self._stack.enter_context(gzip.GzipFile(fileobj=self._file, mode="wb", filename=""))  # type: ignore[arg-type]  # it is a binary file

    def write(self, batch: pa.RecordBatch) -> None:
        for line in self._lines(batch):
            self._file.write(line.encode() + b"\n")
        self.record.rows += batch.num_rows

    def _lines(self, batch: pa.RecordBatch) -> Iterator[str]:
        raise NotImplementedError

    def close(self) -> None:
        self._stack.close()


class _JsonFile(_LinesFile):
    """One object a line; NULLs are left out."""

    def _lines(self, batch: pa.RecordBatch) -> Iterator[str]:
        for row in batch.rename_columns(self._names).to_pylist():
            kept = {k: _plain(v) for k, v in row.items() if v is not None}
            yield json.dumps(kept, separators=(",", ":"), ensure_ascii=False)


class _TextFile(_LinesFile):
    def _lines(self, batch: pa.RecordBatch) -> Iterator[str]:
        columns = [column.cast(pa.string()).to_pylist() for column in batch.columns]
        for row in zip(*columns, strict=True):
            yield self._form.delimiter.join("\\N" if value is None else value for value in row)


_FILES: dict[str, type[_File]] = {"PARQUET": _ParquetFile, "JSON": _JsonFile, "TEXTFILE": _TextFile}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        if value and isinstance(value[0], tuple):
            return {str(k): _plain(v) for k, v in value}
        return [_plain(v) for v in value]
    if isinstance(value, Decimal):
        return float(value) if value != value.to_integral() else int(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    text = str(value)
    return text[:-3] if "." in text and len(text) == 26 else text


_ARROW = {
    "boolean": pa.bool_(), "tinyint": pa.int8(), "smallint": pa.int16(), "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(), "double": pa.float64(), "varchar": pa.string(), "char": pa.string(),
    "varbinary": pa.binary(), "date": pa.date32(), "timestamp": pa.timestamp("us"),
}  # fmt: skip


def arrow_type(kind: Type) -> pa.DataType:
    """The Arrow type of a column that Hive can hold. Raises QueryError for the others."""
    if kind.base == "decimal":
        return pa.decimal128(kind.precision, kind.scale)
    if kind.base == "array":
        return pa.list_(pa.field("element", arrow_type(kind.element)))
    if kind.base == "map":
        return pa.map_(arrow_type(kind.items[0]), arrow_type(kind.items[1]))
    if kind.base == "row":
        from local_aws.athena.types import field_name

        return pa.struct([pa.field(field_name(kind, i), arrow_type(t)) for i, t in enumerate(kind.items)])
    found = _ARROW.get(kind.base)
    if found is None:
        raise QueryError("NOT_SUPPORTED", f"Unsupported Hive type: {kind}")
    return found
