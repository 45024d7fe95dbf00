"""A table that a query reads: which columns, which partitions, which files, how many bytes."""

from dataclasses import dataclass, field
from typing import Any

from local_aws.athena import types
from local_aws.athena.catalog import Partition, Table
from local_aws.athena.errors import QueryError
from local_aws.athena.scan.formats import Files, reader_for
from local_aws.athena.sql.core import Column, Query, Source
from local_aws.athena.types import Type, duck, literal
from local_aws.objects import Object, list_objects

NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


@dataclass
class Scan:
    """One use of a table in a query. Columns are numbered: the table's own, the partition keys, ``$path``."""

    table: Table
    alias: str
    number: int
    conditions: list[tuple[str, bool]] = field(default_factory=list)
    comparisons: list[tuple[int, str, list[str]]] = field(default_factory=list)
    extractions: dict[int, list[str]] = field(default_factory=dict)
    bytes_scanned: int = 0
    _columns: list[Column] = field(default_factory=list)

    @property
    def placeholder(self) -> str:
        """What stands in the SQL for this table until it is known which columns are used."""
        return f"/*scan {self.number}*/"

    def columns(self, q: Query) -> list[Column]:
        """The table's columns, under names that nothing else in the query has."""
        listed = [*self.table.columns, *self.table.partition_keys, ("$path", types.VARCHAR)]
        self._columns = [
            Column(name, kind, f"{self.alias}.{q.fresh('c')}", Source(self, i), hidden=name == "$path")
            for i, (name, kind) in enumerate(listed)
        ]
        return self._columns

    def is_partition_column(self, index: int) -> bool:
        own = len(self.table.columns)
        return own <= index < own + len(self.table.partition_keys)

    def restrict(self, condition: str, indexes: set[int], *, optional: bool) -> None:
        """A condition on partition columns, each written ``p<number>``."""
        del indexes
        self.conditions.append((condition, optional))

    def compare(self, index: int, sign: str, constants: list[str]) -> None:
        """A condition of one column against constants (their SQL), by which files may be left out."""
        if self.table.is_iceberg and index < len(self.table.columns):
            self.comparisons.append((index, sign, constants))

    def extraction(self, index: int, path: str) -> int:
        """Where the JSON at ``path`` stands in the list of all that is extracted from a text column."""
        paths = self.extractions.setdefault(index, [])
        if path not in paths:
            paths.append(path)
        return paths.index(path) + 1

    def extractions_name(self, index: int) -> str:
        return f"j{self.number}_{index}"

    # -- reading -----------------------------------------------------------------------------------

    def sql(self, run: Any) -> str:
        """The relation in DuckDB's SQL. ``run`` answers small queries and keeps what is handed to DuckDB.

        Raises QueryError when the data can't be read.
        """
        used = [i for i, column in enumerate(self._columns) if column.used]
        if self.table.is_iceberg:
            from local_aws.athena.scan.iceberg import read_iceberg

            inner, self.bytes_scanned = read_iceberg(self, used, run)
        else:
            inner = self._files(used, run)
        return f"({self._with_extractions(inner)})"

    def name(self, index: int) -> str:
        """The bare name of a column inside the relation."""
        return self._columns[index].ref.split(".")[1]

    def kind(self, index: int) -> Type:
        return self._columns[index].type

    def label(self, index: int) -> str:
        return str(self._columns[index].name)

    def _with_extractions(self, inner: str) -> str:
        lists = []
        for index, paths in self.extractions.items():
            text = self.name(index)
            listed = ", ".join(literal(p) for p in paths)
            lists.append(
                f"CASE WHEN json_valid({text}) THEN json_extract({text}, [{listed}]) END AS "
                f"{self.extractions_name(index)}"
            )
        return f"SELECT *, {', '.join(lists)} FROM ({inner})" if lists else inner

    def _files(self, used: list[int], run: Any) -> str:
        own = len(self.table.columns)
        parts = []
        for partition in self.chosen(run):
            storage = partition.storage if partition is not None else self.table.storage
            objects = visible_objects(storage.location)
            if not objects:
                continue
            reader = reader_for(self.table, storage, run)
            wanted = [(self.label(i), self.kind(i)) for i in used if i < own]
            with_path = any(i == len(self._columns) - 1 for i in used)
            for files in reader.groups(objects, wanted, with_path=with_path):
                self.bytes_scanned += files.bytes_scanned
                parts.append(self._part(files, partition, used))
        return " UNION ALL ".join(parts) if parts else self._empty(used)

    def _part(self, files: Files, partition: Partition | None, used: list[int]) -> str:
        own = len(self.table.columns)
        selected = []
        for i in used:
            if i < own:
                sql = files.columns[self.label(i)]
            elif i < len(self._columns) - 1:
                assert partition is not None
                sql = partition_value(partition.values[i - own], self.kind(i))
            else:
                sql = files.path
            selected.append(f"{sql} AS {self.name(i)}")
        return f"SELECT {', '.join(selected) or '1 AS nothing'} FROM {files.source}"

    def _empty(self, used: list[int]) -> str:
        nulls = ", ".join(f"CAST(NULL AS {duck(self.kind(i))}) AS {self.name(i)}" for i in used)
        return f"SELECT {nulls or '1 AS nothing'} WHERE FALSE"

    def chosen(self, run: Any) -> list[Partition | None]:
        """The partitions that the query's conditions leave; a table without partitions is one."""
        if not self.table.partition_keys:
            return [None]
        partitions = self.table.partitions()
        if not self.conditions or not partitions:
            return list(partitions)
        own = len(self.table.columns)
        kinds = [kind for _, kind in self.table.partition_keys]
        names = ", ".join(["n", *(f"p{own + i}" for i in range(len(kinds)))])
        rows = [
            f"({n}, {', '.join(partition_value(v, k) for v, k in zip(p.values, kinds, strict=True))})"
            for n, p in enumerate(partitions)
        ]
        nulls = f"(-1, {', '.join(f'CAST(NULL AS {duck(k)})' for k in kinds)})"
        conditions = [c for c, optional in self.conditions if not optional]
        # rows made up of NULLs by an outer join must not pass, else fewer partitions would mean more of them
        for condition, optional in self.conditions:
            if optional and not run.rows(f"SELECT n FROM (VALUES {nulls}) AS t({names}) WHERE {condition}"):
                conditions.append(condition)
        if not conditions:
            return list(partitions)
        found = run.rows(
            f"SELECT n FROM (VALUES {', '.join(rows)}) AS t({names}) WHERE {' AND '.join(conditions)}"
        )
        keep = {row[0] for row in found}
        return [p for n, p in enumerate(partitions) if n in keep]


def partition_value(text: str, kind: Type) -> str:
    """A partition's value, which the catalog keeps as text, in its column's type."""
    if text == NULL_PARTITION:
        return f"CAST(NULL AS {duck(kind)})"
    return literal(text) if kind.base == "varchar" else f"CAST({literal(text)} AS {duck(kind)})"


def split_location(location: str) -> tuple[str, str]:
    """Bucket and prefix of ``s3://bucket/prefix``. Raises QueryError."""
    for scheme in ("s3://", "s3a://", "s3n://"):
        if location.startswith(scheme):
            bucket, _, prefix = location.removeprefix(scheme).partition("/")
            return bucket, prefix
    raise QueryError(
        "HIVE_UNKNOWN_ERROR", f"Path is not absolute or not in S3: {location or '(no location)'}"
    )


def visible_objects(location: str) -> list[Object]:
    """The objects under a location that hold data: no folders, nothing whose name starts with _ or a dot."""
    bucket, prefix = split_location(location)
    if prefix and not prefix.endswith("/"):
        prefix += "/"
    try:
        found = list_objects(bucket, prefix)
    except KeyError:
        raise QueryError("HIVE_METASTORE_ERROR", f"The specified bucket does not exist: {bucket}") from None
    return [o for o in found if o.size > 0 and not _hidden(o.key[len(prefix) :])]


def _hidden(name: str) -> bool:
    return (
        any(part.startswith(("_", ".")) for part in name.split("/"))
        or name.endswith("/")
        or "_$folder$" in name
    )
