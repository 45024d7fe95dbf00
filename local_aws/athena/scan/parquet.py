"""Parquet: columns by name without case, missing ones NULL; bytes are those of the columns that are read."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from local_aws.athena import types
from local_aws.athena.errors import QueryError
from local_aws.athena.scan.formats import Files, file_list, path_column
from local_aws.athena.types import Type, duck, quote
from local_aws.objects import Object


class ParquetReader:
    def __init__(self, run: Any) -> None:
        self._run = run

    def groups(
        self, objects: list[Object], wanted: list[tuple[str, Type]], *, with_path: bool
    ) -> Iterable[Files]:
        """Files with the same schema are read together."""
        by_schema: dict[str, tuple[list[Object], pa.Schema]] = {}
        bytes_scanned: dict[str, int] = {}
        for item in objects:
            path = self._run.local_file(item)
            try:
                schema, sizes = footer(path)
            except (pa.ArrowInvalid, OSError) as error:
                raise QueryError(
                    "HIVE_BAD_DATA", f"s3://{item.bucket}/{item.key} is not a valid Parquet File: {error}"
                ) from None
            key = schema.to_string(show_field_metadata=False, show_schema_metadata=False)
            by_schema.setdefault(key, ([], schema))[0].append(item)
            names = {name for name, _ in wanted}
            read = sum(size for name, size in sizes.items() if name in names)
            bytes_scanned[key] = bytes_scanned.get(key, 0) + read
        for key, (group, schema) in by_schema.items():
            option = ", filename = true" if with_path else ""
            source = f"read_parquet({file_list(group, self._run)}{option})"
            columns = {name: column_sql(schema, name, kind) for name, kind in wanted}
            yield Files(source, columns, path_column(self._run, wanted=with_path), bytes_scanned[key])


@lru_cache(maxsize=4096)
def footer(path: Path) -> tuple[pa.Schema, dict[str, int]]:
    """A file's schema, and the compressed bytes of each top-level column by its lower-case name."""
    metadata = pq.read_metadata(path)
    sizes: dict[str, int] = {}
    for g in range(metadata.num_row_groups):
        group = metadata.row_group(g)
        for c in range(group.num_columns):
            column = group.column(c)
            name = column.path_in_schema.split(".")[0].lower()
            sizes[name] = sizes.get(name, 0) + column.total_compressed_size
    return metadata.schema.to_arrow_schema(), sizes


def column_sql(schema: pa.Schema, name: str, kind: Type) -> str:
    """A column of a file in the table's type."""
    found = next((f for f in schema if f.name.lower() == name), None)
    if found is None:
        return f"CAST(NULL AS {duck(kind)})"
    return arrow_value(quote(found.name), found.type, kind)


def arrow_value(sql: str, source: pa.DataType, kind: Type) -> str:
    """A value as Parquet has it in the table's type; timestamps cut to Athena's milliseconds."""
    if kind.base == "timestamp":
        moment = f"CAST({sql} AS TIMESTAMP)"
        if pa.types.is_timestamp(source) and source.tz:
            moment = f"timezone('UTC', {sql})"
        exact = pa.types.is_timestamp(source) and source.unit in ("s", "ms")
        return moment if exact or kind.precision >= 6 else f"round_moment({moment})"
    if kind.base == types.TIMESTAMP_TZ:
        return (
            f"timezone('UTC', {sql})"
            if pa.types.is_timestamp(source) and source.tz
            else f"CAST({sql} AS TIMESTAMP)"
        )
    if kind.base == "varchar" and (pa.types.is_binary(source) or pa.types.is_large_binary(source)):
        return f"utf8_text({sql})"
    if kind.base == "array" and (pa.types.is_list(source) or pa.types.is_large_list(source)):
        inner = arrow_value("e", source.value_type, kind.element)
        return sql if inner == "e" else f"list_transform({sql}, lambda e: {inner})"
    if kind.base == "row" and pa.types.is_struct(source):
        fields = []
        by_name = {f.name.lower(): f for f in source}
        for i, item in enumerate(kind.items):
            label = types.field_name(kind, i)
            found = by_name.get(label.lower())
            value = (
                f"CAST(NULL AS {duck(item)})" if found is None
                else arrow_value(f"struct_extract({sql}, {types.literal(found.name)})", found.type, item)
            )  # fmt: skip
            fields.append(f"{quote(label)} := {value}")
        return f"(CASE WHEN {sql} IS NULL THEN NULL ELSE struct_pack({', '.join(fields)}) END)"
    return sql if _same(source, kind) else f"CAST({sql} AS {duck(kind)})"


_EXACT = {
    "boolean": pa.bool_(), "tinyint": pa.int8(), "smallint": pa.int16(), "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(), "double": pa.float64(), "varchar": pa.string(), "date": pa.date32(),
    "varbinary": pa.binary(),
}  # fmt: skip


def _same(source: pa.DataType, kind: Type) -> bool:
    if kind.base == "decimal":
        return bool(pa.types.is_decimal(source)) and (source.precision, source.scale) == kind.params
    return bool(_EXACT.get(kind.base) == source)
