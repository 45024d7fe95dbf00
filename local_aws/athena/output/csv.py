"""Result files: CSV as Athena writes it, all values quoted, NULL empty without quotes; and their metadata."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv

from local_aws.athena.output.render import render
from local_aws.athena.types import TIMESTAMP_TZ, Type


@dataclass(frozen=True)
class ResultColumn:
    """A column of a result: its name and type."""

    name: str
    type: Type

    def info(self) -> dict[str, Any]:
        """Athena's ColumnInfo (https://docs.aws.amazon.com/athena/latest/APIReference/API_ColumnInfo.html)."""
        name, precision, scale = shown(self.type)
        return {
            "CatalogName": "hive",
            "SchemaName": "",
            "TableName": "",
            "Name": self.name,
            "Label": self.name,
            "Type": name,
            "Precision": precision,
            "Scale": scale,
            "Nullable": "UNKNOWN",
            "CaseSensitive": self.type.is_text,
        }


_PRECISION = {"tinyint": 3, "smallint": 5, "integer": 10, "bigint": 19, "real": 17, "float": 17, "double": 17}
_UNBOUNDED = 2147483647


def shown(kind: Type) -> tuple[str, int, int]:
    """A type's name in results, its precision and scale."""
    if kind.base == "decimal":
        return "decimal", kind.precision, kind.scale
    if kind.base == "real":
        return "float", 17, 0
    if kind.is_text:
        return kind.base, kind.params[0] if kind.params else _UNBOUNDED, 0
    if kind.base == "varbinary":
        return "varbinary", 1073741824, 0
    if kind.base in ("timestamp", TIMESTAMP_TZ, "time"):
        return kind.base, kind.precision, 0
    return kind.base, _PRECISION.get(kind.base, 0), 0


def rendered(sql: str, refs: list[str], columns: list[ResultColumn]) -> str:
    """The query with its values as text."""
    listed = (f"{render(ref, c.type)} AS c{i}" for i, (ref, c) in enumerate(zip(refs, columns, strict=True)))
    return f"SELECT {', '.join(listed)} FROM ({sql})"


def write(path: Path, columns: list[ResultColumn], batches: Iterator[pa.RecordBatch]) -> int:
    """Write the header and the rows, which are text already; the number of rows."""
    schema = pa.schema([pa.field(str(i), pa.string()) for i in range(len(columns))])
    count = 0
    with path.open("wb") as file:
        file.write(",".join(quoted(c.name) for c in columns).encode() + b"\n")
        options = csv.WriteOptions(include_header=False, quoting_style="all_valid")
        with csv.CSVWriter(file, schema, write_options=options) as writer:
            for batch in batches:
                count += batch.num_rows
                writer.write_batch(
                    pa.RecordBatch.from_arrays([c.cast(pa.string()) for c in batch.columns], schema=schema)
                )
    return count


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def read(path: Path, names: int) -> pa.Table:
    """The rows of a result file, the header left out, as text; NULL and the empty text apart."""
    columns = [str(i) for i in range(names)]
    if path.read_bytes().count(b"\n", 0, 1 << 20) <= 1 and _only_header(path, names):
        return pa.table({c: pa.array([], pa.string()) for c in columns})
    return csv.read_csv(
        path,
        read_options=csv.ReadOptions(column_names=columns, skip_rows=1),
        parse_options=csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def _only_header(path: Path, names: int) -> bool:
    del names
    return path.read_bytes().endswith(b"\n") and path.read_bytes().count(b"\n") == 1


# -- .metadata -------------------------------------------------------------------------------------


def metadata(query_id: str, columns: list[ResultColumn]) -> bytes:
    """The ``.metadata`` beside a result file: the protobuf message that Athena writes.

    Field 1 is the query's id, field 4 a column each: 1 catalog, 2 schema, 3 table, 4 name, 5 label, 6 type,
    7 precision, 8 scale, 9 nullability (3 is unknown), 10 whether case matters. As with Athena, fields that
    are empty or zero are left out.
    """
    parts = [_text(1, query_id)]
    for column in columns:
        info = column.info()
        body = b"".join((
            _text(1, info["CatalogName"]), _text(4, info["Name"]), _text(5, info["Label"]), _text(6,
            info["Type"]),
            _number(7, info["Precision"]), _number(8, info["Scale"]), _number(9, 3),
            _number(10, int(info["CaseSensitive"])),
        ))  # fmt: skip
        parts.append(_tag(4, 2) + _varint(len(body)) + body)
    return b"".join(parts)


def _tag(field: int, wire: int) -> bytes:
    return _varint(field << 3 | wire)


def _text(field: int, value: str) -> bytes:
    data = value.encode()
    return _tag(field, 2) + _varint(len(data)) + data if data else b""


def _number(field: int, value: int) -> bytes:
    return _tag(field, 0) + _varint(value) if value else b""


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
