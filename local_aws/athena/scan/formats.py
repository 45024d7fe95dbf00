"""The file formats: how the files of one format become columns.

A reader sorts objects into groups that one call of DuckDB's reads alike, and says for each column what its
SQL is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from local_aws.athena.catalog import Storage, Table
from local_aws.athena.errors import QueryError
from local_aws.athena.types import Type, literal
from local_aws.objects import Object


@dataclass(frozen=True)
class Files:
    """Files that are read alike: a table function's call, the SQL of each wanted column, the bytes."""

    source: str
    columns: dict[str, str]
    path: str
    bytes_scanned: int


class Reader(Protocol):
    """One format."""

    def groups(
        self, objects: list[Object], wanted: list[tuple[str, Type]], *, with_path: bool
    ) -> Iterable[Files]: ...


def reader_for(table: Table, storage: Storage, run: Any) -> Reader:
    """The reader of a storage's format. Raises QueryError HIVE_UNSUPPORTED_FORMAT."""
    from local_aws.athena.scan.json_lines import JsonReader
    from local_aws.athena.scan.parquet import ParquetReader
    from local_aws.athena.scan.text import CsvReader, TextReader

    serde = storage.serde.rsplit(".", 1)[-1].lower()
    if "parquet" in serde:
        return ParquetReader(run)
    if "json" in serde:
        return JsonReader(storage, run)
    if serde == "opencsvserde":
        return CsvReader(table, storage, run)
    if serde in ("lazysimpleserde", ""):
        return TextReader(table, storage, run)
    raise QueryError("HIVE_UNSUPPORTED_FORMAT", f"the serde {storage.serde} is not supported")


def file_list(objects: list[Object], run: Any) -> str:
    """The objects as local files, in DuckDB's SQL. Also tells the run which file is which object."""
    return "[" + ", ".join(literal(str(run.local_file(item))) for item in objects) + "]"


def path_column(run: Any, *, wanted: bool) -> str:
    """SQL of the s3:// address of a row's file."""
    return "s3_address(filename)" if wanted and run else "CAST(NULL AS VARCHAR)"
