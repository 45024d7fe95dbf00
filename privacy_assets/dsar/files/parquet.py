"""Parquet: row group by row group, with schema, codecs, encodings, metadata and sizes as they were.

Statistics are asked first: a row group that can't hold the subject is not read to find it. What is written is
compared with what was read: a file whose schema would change is refused, not changed. Bloom filters, which
Arrow doesn't write, are left out; nothing relies on them but speed.

https://parquet.apache.org/docs/file-format/
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from privacy_assets.dsar.files.selection import Selection
from privacy_assets.dsar.stores.needles import Needles
from privacy_assets.dsar.stores.protocol import StoreError, Tally
from privacy_assets.dsar.stores.rules import Rules, number, text

MAGIC = b"PAR1"
_ARROW_SCHEMA = b"ARROW:schema"
_ENCODINGS = {"BYTE_STREAM_SPLIT", "DELTA_BINARY_PACKED", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"}


def records(source: BinaryIO, selection: Selection) -> Iterator[dict[str, Any]]:
    """The subject's records of a file."""
    with _open(source) as file:
        for group in range(file.num_row_groups):
            mask = _mask(file, group, selection)
            if mask is not None:
                yield from map(selection.record, file.read_row_group(group).filter(mask).to_pylist())


def rewrite(source: BinaryIO, target: BinaryIO, selection: Selection, rules: Rules, tally: Tally) -> bool:
    """Write ``source`` to ``target`` without what is to be erased; False, and nothing, when nothing is.

    Raises StoreError for a file that can't be written as it is.
    """
    with _open(source) as file:
        doomed: dict[int, Any] = {}
        for group in range(file.num_row_groups):
            mask = _mask(file, group, selection)
            if mask is None:
                continue
            places = np.flatnonzero(mask.to_numpy(zero_copy_only=False))
            erased = [rules.judge(row, tally) for row in _judged(file, group, mask, selection, rules)]
            if any(erased):
                flags = np.zeros(len(mask), bool)
                flags[places[erased]] = True
                doomed[group] = pa.array(flags)
        if not doomed:
            return False
    with _open(source, _int96_unit(source)) as file:
        _write(file, target, doomed, selection, rules)
    _compare(source, target)
    return True


def _judged(
    file: pq.ParquetFile, group: int, mask: Any, selection: Selection, rules: Rules
) -> list[dict[str, Any]]:
    """The subject's records of a row group, with the fields alone that rules are about."""
    fields = {field.lower() for field in rules.spec.fields}
    names = [name for name in file.schema_arrow.names if name.lower() in fields]
    if not names:
        return [selection.record({})] * pc.sum(mask).as_py()
    return [selection.record(row) for row in file.read_row_group(group, names).filter(mask).to_pylist()]


def mentions(source: BinaryIO, needles: Needles, left: Selection | None) -> bool:
    """Whether an identifier stands in the decoded values of a file, dictionaries with them; ``left`` names
    records that may hold it, because they are retained.
    """
    with _open(source) as file:
        texts = sorted(
            {one.path_in_schema for one in _chunks(file) if one.has_dictionary_page}
            & {field.name for field in file.schema_arrow if _is_text(field.type)}
        )
    with _open(source, dictionaries=[] if left else texts) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            if left is not None:
                mask = _mask(file, group, left)
                table = table if mask is None else table.filter(pc.invert(mask))
                columns = [_plain(column) for column in table.columns]
            else:
                columns = table.columns
            if any(_mentioned(column, needles) for column in columns):
                return True
    return False


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_binary(kind))


def _chunks(file: pq.ParquetFile) -> list[Any]:
    """What the metadata says of every column of every row group."""
    metadata = file.metadata
    return [
        metadata.row_group(group).column(place)
        for group in range(metadata.num_row_groups)
        for place in range(metadata.num_columns)
    ]


# --- finding


def _open(source: BinaryIO, unit: str | None = None, dictionaries: Sequence[str] = ()) -> pq.ParquetFile:
    source.seek(0)
    try:
        return pq.ParquetFile(
            source,
            coerce_int96_timestamp_unit=unit,
            read_dictionary=list(dictionaries) or None,
            pre_buffer=False,
        )
    except pa.ArrowInvalid:
        raise StoreError(
            "no whole Parquet file, or one that is encrypted; expected one that can be read"
        ) from None


def _mask(file: pq.ParquetFile, group: int, selection: Selection) -> Any | None:
    """Which rows of a row group are the subject's; None: no row is."""
    rows = file.metadata.row_group(group).num_rows
    if selection.everything:
        return pa.array([True] * rows) if rows else None
    names = {name.lower(): name for name in file.schema_arrow.names}
    found = None
    for field, values in selection.wanted.items():
        name = names.get(field.lower())
        if name is None:
            continue
        kind = file.schema_arrow.field(name).type
        wanted = _literals(kind, values)
        if not len(wanted) or not _may_hold(file, group, name, wanted):
            continue
        column = _plain(file.read_row_group(group, [name]).column(0))
        hits = pc.fill_null(pc.is_in(_comparable(column), value_set=wanted), False).combine_chunks()
        found = hits if found is None else pc.or_(found, hits)
    return found if found is not None and pc.any(found).as_py() else None


def _literals(kind: pa.DataType, values: frozenset[str]) -> Any:
    """The identifiers in a column's type: those that can't be in it are left out."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_integer(kind):
        whole = [found for value in values if (found := number(value)) is not None]
        low, high = (0, 2**kind.bit_width) if str(kind).startswith("u") else _signed(kind.bit_width)
        return pa.array([each for each in whole if low <= each < high], kind)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return pa.array([value.encode() for value in values], kind)
    if pa.types.is_large_string(kind):
        return pa.array(sorted(values), kind)
    if pa.types.is_nested(kind):
        return pa.array([], pa.string())
    return pa.array(sorted(values), pa.string())


def _signed(bits: int) -> tuple[int, int]:
    return -(2 ** (bits - 1)), 2 ** (bits - 1)


def _comparable(column: Any) -> Any:
    kind = column.type
    alike = (pa.types.is_integer, pa.types.is_binary, pa.types.is_large_binary, pa.types.is_large_string)
    if pa.types.is_string(kind) or any(test(kind) for test in alike):
        return column
    if pa.types.is_decimal(kind):
        return pa.chunked_array([_shortest(chunk) for chunk in column.chunks] or [pa.array([], pa.string())])
    if isinstance(kind, pa.BaseExtensionType):
        return pa.chunked_array(
            [pa.array([None if one is None else str(one) for one in column.to_pylist()], pa.string())]
        )
    return column.cast(pa.string())


def _shortest(chunk: Any) -> Any:
    return pa.array([text(value) for value in chunk.to_pylist()], pa.string())


def _may_hold(file: pq.ParquetFile, group: int, name: str, wanted: Any) -> bool:
    """Whether a row group's statistics leave room for one of the values."""
    described = file.metadata.row_group(group)
    for place in range(described.num_columns):
        column = described.column(place)
        if column.path_in_schema != name:
            continue
        statistics = column.statistics
        if statistics is None or not statistics.has_min_max:
            return True
        try:
            # Writers may cut statistics off; then the least is less still, and the greatest greater.
            return any(statistics.min <= value <= statistics.max for value in wanted.to_pylist())
        except TypeError:
            return True
    return True


def _plain(column: Any) -> Any:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


# --- writing


def _write(
    file: pq.ParquetFile, target: BinaryIO, doomed: Mapping[int, Any], selection: Selection, rules: Rules
) -> None:
    schema = file.schema_arrow.with_metadata(
        {key: value for key, value in (file.metadata.metadata or {}).items() if key != _ARROW_SCHEMA} or None
    )
    with pq.ParquetWriter(target, schema, **_options(file)) as writer:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            mask = doomed.get(group)
            if mask is not None and rules.spec.change:
                table = _changed(table, mask, selection, rules)
            elif mask is not None:
                table = table.filter(pc.invert(mask))
            table = _without_remnants(table)
            if table.num_rows:
                writer.write_table(table.cast(schema), row_group_size=table.num_rows)


def _options(file: pq.ParquetFile) -> dict[str, Any]:
    """How the file was written, as far as it can be told from it."""
    metadata = file.metadata
    columns = _chunks(file)
    dictionaries = {one.path_in_schema for one in columns if one.has_dictionary_page}
    encodings = {
        one.path_in_schema: encoding
        for one in columns
        for encoding in one.encodings
        if encoding in _ENCODINGS and one.path_in_schema not in dictionaries
    }
    nanoseconds = any("timestamp[ns" in str(field.type) for field in file.schema_arrow)
    sorting = metadata.row_group(0).sorting_columns
    return {
        "version": "2.6" if nanoseconds else metadata.format_version,
        "compression": {
            one.path_in_schema: "NONE" if one.compression == "UNCOMPRESSED" else one.compression
            for one in columns
        },
        "use_dictionary": sorted(dictionaries) or False,
        "column_encoding": encodings or None,
        "write_statistics": sorted({one.path_in_schema for one in columns if one.is_stats_set}) or False,
        "use_deprecated_int96_timestamps": any(one.physical_type == "INT96" for one in columns),
        "store_schema": _ARROW_SCHEMA in (metadata.metadata or {}),
        "write_page_index": any(one.has_offset_index for one in columns),
        "use_compliant_nested_type": not any(".list.item" in one.path_in_schema for one in columns),
        "sorting_columns": sorting or None,
    }


def _changed(table: Any, mask: Any, selection: Selection, rules: Rules) -> Any:
    """The table with new values in the fields of the rows that ``mask`` names."""
    names = {name.lower(): name for name in table.schema.names}
    rows = [rules.changes(selection.record(row)) for row in table.filter(mask).to_pylist()]
    for field in rules.spec.change:
        name = names.get(field.lower())
        if name is None:
            continue
        place = table.schema.get_field_index(name)
        column = _plain(table.column(place))
        values = [row.get(field) for row in rows]
        if None in values and not table.schema.field(place).nullable:
            raise StoreError(f"{rules.place}: {field}: can't be null, expected another rule in 'change'")
        new = pc.replace_with_mask(column.combine_chunks(), mask, pa.array(values, column.type))
        table = table.set_column(place, table.schema.field(place), _as(new, table.schema.field(place).type))
    return table


def _without_remnants(table: Any) -> Any:
    """Dictionaries keep values of rows that are gone, or of other row groups: they are made anew."""
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(place, field, _as(_plain(table.column(place)), field.type))
        elif any(pa.types.is_dictionary(kind) for kind in _inner(field.type)):
            raise StoreError(f"{field.name}: a dictionary inside a {field.type.id}, which can't be made anew")
    return table


def _as(column: Any, kind: pa.DataType) -> Any:
    return pc.dictionary_encode(column).cast(kind) if pa.types.is_dictionary(kind) else column


def _inner(kind: pa.DataType) -> Iterator[pa.DataType]:
    for place in range(kind.num_fields):
        inside = kind.field(place).type
        yield inside
        yield from _inner(inside)


def _int96_unit(source: BinaryIO) -> str | None:
    """The unit to read INT96 in: nanoseconds, or microseconds where a value is beyond what those can hold.

    Raises StoreError for a file that has both such a value and nanoseconds: Arrow can hold but one.
    """
    with _open(source, "us") as file:
        schema = file.schema
        places = [schema.column(place) for place in range(len(schema))]
        names = sorted({one.path.partition(".")[0] for one in places if one.physical_type == "INT96"})
        if not names:
            return None
        coarse = [_instants(file.read_row_group(group, names)) for group in range(file.num_row_groups)]
    limit = (2**63 - 1) // 1000
    if all(
        pc.all(pc.less_equal(pc.abs(leaf), limit)).as_py() is not False
        for leaves in coarse
        for leaf in leaves
    ):
        return "ns"
    with _open(source, "ns") as file:
        for group, leaves in enumerate(coarse):
            # Beyond their range nanoseconds wrap around, but their last three digits stay.
            for fine, leaf in zip(_instants(file.read_row_group(group, names)), leaves, strict=True):
                if pc.any(pc.not_equal(fine, pc.multiply(leaf, 1000))).as_py():
                    raise StoreError(
                        "INT96 with nanoseconds and with years beyond 2262, expected one of these"
                    )
    return "us"


def _instants(table: Any) -> list[Any]:
    """All timestamps of a table as numbers."""
    return [
        leaf.cast(pa.int64())
        for column in table.columns
        for chunk in column.chunks
        for leaf in leaves(chunk)
        if pa.types.is_timestamp(leaf.type)
    ]


def _compare(source: BinaryIO, target: BinaryIO) -> None:
    """Refuse what would be another schema to a reader."""
    with _open(source) as before, _open(target) as after:
        if not before.schema.equals(after.schema):
            raise StoreError(
                "a Parquet schema that can't be written as it is (legacy lists, or mixed timestamps); "
                "expected the subject to be erased by who writes these files"
            )


# --- proof


def leaves(array: Any) -> Iterator[Any]:
    """The arrays of plain values that a nested array is made of; of a dictionary all that it has."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        yield from leaves(array.dictionary)
    elif isinstance(kind, pa.BaseExtensionType):
        yield from leaves(array.storage)
    elif pa.types.is_struct(kind):
        for child in array.flatten():
            yield from leaves(child)
    elif pa.types.is_map(kind):
        yield from leaves(array.keys)
        yield from leaves(array.items)
    elif pa.types.is_nested(kind) and hasattr(array, "flatten"):
        yield from leaves(array.flatten())
    else:
        yield array


def _mentioned(column: Any, needles: Needles) -> bool:
    return any(_in_leaf(leaf, needles) for chunk in column.chunks for leaf in leaves(chunk))


def _in_leaf(leaf: Any, needles: Needles) -> bool:
    kind = leaf.type
    if pa.types.is_integer(kind):
        whole = [found for value in needles.values if (found := number(value)) is not None]
        low, high = _signed(kind.bit_width)
        wanted = pa.array([each for each in whole if low <= each < high], pa.int64())
        return bool(pc.any(pc.is_in(leaf.cast(pa.int64(), safe=False), value_set=wanted)).as_py())
    texts = (pa.types.is_string, pa.types.is_binary, pa.types.is_large_string, pa.types.is_large_binary)
    if not any(test(kind) for test in texts):
        return False
    data = leaf.buffers()[2]
    if data is None or not needles.within(memoryview(data)):
        return False
    # Two values that stand side by side may read like a third.
    binary = leaf.cast(pa.large_binary())
    return any(pc.any(pc.match_substring(binary, pattern)).as_py() for pattern in needles.patterns)
