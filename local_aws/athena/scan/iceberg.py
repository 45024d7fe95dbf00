"""Iceberg tables: columns from the table's metadata, files as its snapshot lists them, pruned by simple
conditions.

Files without deletes are read by DuckDB, columns by Iceberg's field ids; where there are delete files,
pyiceberg
reads.
"""

from collections import OrderedDict
from functools import lru_cache
from typing import Any

from pyiceberg import expressions as ice
from pyiceberg import types as ice_types
from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.io import FileIO, InputFile, InputStream, OutputFile
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import StaticTable
from pyiceberg.table.metadata import TableMetadata

from local_aws.athena import types
from local_aws.athena.errors import QueryError
from local_aws.athena.types import TIMESTAMP_TZ, Type, duck, literal
from local_aws.objects import Object, list_objects

_OPERATORS: dict[str, Any] = {
    "=": ice.EqualTo, "<>": ice.NotEqualTo, "<": ice.LessThan, "<=": ice.LessThanOrEqual,
    ">": ice.GreaterThan,
    ">=": ice.GreaterThanOrEqual,
}  # fmt: skip


def find_object(location: str) -> Object:
    """The object at an s3:// address. Raises FileNotFoundError."""
    bucket, _, key = location.partition("://")[2].partition("/")
    try:
        found = [item for item in list_objects(bucket, key) if item.key == key]
    except KeyError:
        found = []
    if not found:
        raise FileNotFoundError(location)
    return found[0]


class _Input(InputFile):
    """An object of this server, read as a local file."""

    def __len__(self) -> int:
        return find_object(self.location).size

    def exists(self) -> bool:
        try:
            find_object(self.location)
        except FileNotFoundError:
            return False
        return True

    def open(self, seekable: bool = True) -> InputStream:  # noqa: ARG002  # pyiceberg's signature
        return find_object(self.location).path().open("rb")


class ObjectsIO(FileIO):
    """Pyiceberg's way to this server's objects; for reading alone."""

    def new_input(self, location: str) -> InputFile:
        return _Input(location)

    def new_output(self, location: str) -> OutputFile:
        raise PermissionError(location)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        raise PermissionError(str(location))


@lru_cache(maxsize=256)
def metadata_of(location: str) -> TableMetadata:
    """A metadata file; they never change."""
    return FromInputFile.table_metadata(_Input(location))


def metadata_location(parameters: dict[str, str], name: str) -> str:
    location = parameters.get("metadata_location")
    if not location:
        raise QueryError("ICEBERG_INVALID_METADATA", f"Table '{name}' has no metadata_location")
    return location


def columns_of(parameters: dict[str, str], name: str) -> list[tuple[str, Type]]:
    """A table's columns. Raises QueryError when its metadata can't be read."""
    location = metadata_location(parameters, name)
    try:
        schema = metadata_of(location).schema()
    except FileNotFoundError:
        raise QueryError(
            "ICEBERG_MISSING_METADATA",
            f"Metadata not found in metadata location for table {name}: {location}",
        ) from None
    return [(field.name.lower(), trino_type(field.field_type)) for field in schema.fields]


_SIMPLE: dict[type[ice_types.IcebergType], Type] = {
    ice_types.BooleanType: types.BOOLEAN, ice_types.IntegerType: types.INTEGER,
    ice_types.LongType: types.BIGINT,
    ice_types.FloatType: types.REAL, ice_types.DoubleType: types.DOUBLE, ice_types.StringType: types.VARCHAR,
    ice_types.BinaryType: types.VARBINARY, ice_types.FixedType: types.VARBINARY,
    ice_types.DateType: types.DATE,
    ice_types.TimestampType: Type("timestamp", (6,)), ice_types.TimestamptzType: Type(TIMESTAMP_TZ, (6,)),
    ice_types.TimeType: Type("time", (6,)), ice_types.UUIDType: Type("uuid"),
}  # fmt: skip


def trino_type(kind: ice_types.IcebergType) -> Type:
    """Iceberg's type as Athena has it. Raises QueryError for one it does not have."""
    if isinstance(kind, ice_types.DecimalType):
        return types.decimal(kind.precision, kind.scale)
    if isinstance(kind, ice_types.ListType):
        return types.array(trino_type(kind.element_type))
    if isinstance(kind, ice_types.MapType):
        return types.map_of(trino_type(kind.key_type), trino_type(kind.value_type))
    if isinstance(kind, ice_types.StructType):
        return types.row(
            tuple(f.name.lower() for f in kind.fields), tuple(trino_type(f.field_type) for f in kind.fields)
        )
    found = _SIMPLE.get(type(kind))
    if found is None:
        raise QueryError("NOT_SUPPORTED", f"the Iceberg type {kind} is not supported")
    return found


def read_iceberg(scan: Any, used: list[int], run: Any) -> tuple[str, int]:
    """The relation of a scan in DuckDB's SQL, and the bytes of the columns it reads."""
    location = metadata_location(scan.table.parameters, scan.table.name)
    metadata = metadata_of(location)
    table = StaticTable(("local", scan.table.name), metadata, location, ObjectsIO(), NoopCatalog("local"))
    fields = {i: metadata.schema().fields[i] for i in used if i < len(scan.table.columns)}
    tasks = (
        list(table.scan(row_filter=_condition(scan, run)).plan_files()) if metadata.current_snapshot() else []
    )
    ids = {number for field in fields.values() for number in _leaf_ids(field)}
    scanned = sum(_bytes(task.file, ids) for task in tasks)
    if not tasks:
        return _selected(scan, fields, used, "(SELECT 1)") + " WHERE FALSE", scanned
    if any(task.delete_files for task in tasks):
        names = tuple(field.name for field in fields.values()) or (metadata.schema().fields[0].name,)
        run.register(
            f"ice{scan.number}",
            table.scan(row_filter=_condition(scan, run), selected_fields=names).to_arrow(),
        )
        return _selected(scan, fields, used, f"ice{scan.number}", arrow=True), scanned
    objects = _located(tasks, metadata.location)
    files = ", ".join(literal(str(run.local_file(item))) for item in objects)
    if not fields:
        return f"SELECT 1 AS nothing FROM read_parquet([{files}])", scanned
    entries = ", ".join(
        f"{field.field_id}: {{name: {literal(f'f{i}')}, type: "
        f"{literal(_physical(field.field_type))}, default_value: NULL}}"
        for i, field in fields.items()
    )
    return _selected(scan, fields, used, f"read_parquet([{files}], schema = MAP {{{entries}}})"), scanned


def _selected(scan: Any, fields: dict[int, Any], used: list[int], source: str, *, arrow: bool = False) -> str:
    parts = []
    for i in used:
        kind = scan.kind(i)
        if i not in fields:
            parts.append(f"CAST(NULL AS VARCHAR) AS {scan.name(i)}")  # $path is not known
            continue
        sql = types.quote(fields[i].name) if arrow else f"f{i}"
        if source == "(SELECT 1)":
            sql = f"CAST(NULL AS {duck(kind)})"
        parts.append(f"{_value(sql, kind)} AS {scan.name(i)}")
    return f"SELECT {', '.join(parts) or '1 AS nothing'} FROM {source}"


def _value(sql: str, kind: Type) -> str:
    return (
        f"timezone('UTC', {sql})"
        if kind.base == TIMESTAMP_TZ and "NULL" not in sql
        else f"CAST({sql} AS {duck(kind)})"
    )


def _physical(kind: ice_types.IcebergType) -> str:
    """DuckDB's type of a column as it is in the file."""
    if isinstance(kind, ice_types.TimestamptzType):
        return "TIMESTAMP WITH TIME ZONE"
    return duck(trino_type(kind))


def _leaf_ids(field: ice_types.NestedField) -> list[int]:
    kind = field.field_type
    if isinstance(kind, ice_types.StructType):
        return [number for inner in kind.fields for number in _leaf_ids(inner)]
    if isinstance(kind, ice_types.ListType):
        return _leaf_ids(kind.element_field)
    if isinstance(kind, ice_types.MapType):
        return [*_leaf_ids(kind.key_field), *_leaf_ids(kind.value_field)]
    return [field.field_id]


def _bytes(file: Any, ids: set[int]) -> int:
    sizes = file.column_sizes or {}
    return sum(size for number, size in sizes.items() if number in ids)


def _located(tasks: list[Any], table_location: str) -> list[Object]:
    """The data files as objects, from one listing of the table's folder."""
    bucket, _, prefix = table_location.partition("://")[2].partition("/")
    try:
        listed = {f"{bucket}/{item.key}": item for item in list_objects(bucket, prefix.rstrip("/") + "/")}
    except KeyError:
        listed = {}
    found: OrderedDict[str, Object] = OrderedDict()
    for task in tasks:
        address = task.file.file_path.partition("://")[2]
        try:
            found[address] = listed.get(address) or find_object(task.file.file_path)
        except FileNotFoundError:
            raise QueryError(
                "ICEBERG_CANNOT_OPEN_SPLIT",
                f"Error opening Iceberg split {task.file.file_path}: it does not exist",
            ) from None
    return list(found.values())


def _condition(scan: Any, run: Any) -> ice.BooleanExpression:
    """The scan's simple conditions as Iceberg's; they only choose files, the query checks each row itself."""
    whole: ice.BooleanExpression = ice.AlwaysTrue()
    names = [
        field.name
        for field in metadata_of(metadata_location(scan.table.parameters, scan.table.name)).schema().fields
    ]
    for index, sign, constants in scan.comparisons:
        kind = scan.kind(index)
        if kind.base not in ("varchar", "date", "boolean", "timestamp") and not kind.is_integer:
            continue
        values = [_literal(run.rows(f"SELECT {sql}")[0][0], kind) for sql in constants]
        if any(value is None for value in values):
            continue
        if sign == "IN":
            whole = ice.And(whole, ice.In(term=names[index], literals=set(values)))
        else:
            whole = ice.And(whole, _OPERATORS[sign](names[index], values[0]))
    return whole


def _literal(value: Any, kind: Type) -> Any:
    return value.isoformat() if value is not None and kind.base in ("date", "timestamp") else value
