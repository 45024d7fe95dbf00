"""DuckDB inside the server: one database, bounded in memory, and a cursor for each query."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from local_aws.athena.errors import QueryCancelled, QueryError
from local_aws.athena.macros import MACROS
from local_aws.athena.udf import ADDRESSES, register
from local_aws.objects import Object

MEMORY = "1GB"
BATCH_ROWS = 50_000


class Engine:
    """The database. ``scratch`` holds what does not fit into memory."""

    def __init__(self, scratch: Path) -> None:
        scratch.mkdir(parents=True, exist_ok=True)
        self.scratch = scratch
        self._connection = duckdb.connect(
            ":memory:",
            config={
                "memory_limit": MEMORY,
                "threads": max(2, os.cpu_count() or 2),
                "temp_directory": str(scratch / "spill"),
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        self._connection.execute("SET GLOBAL TimeZone = 'UTC'")
        register(self._connection)
        for macro in MACROS:
            self._connection.execute(macro)

    def run(self) -> "Run":
        return Run(self._connection.cursor(), self.scratch)


class Run:
    """One query at work: its cursor, the files it reads, and the way to stop it."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, scratch: Path) -> None:
        self._cursor = cursor
        self.scratch = scratch
        self._stopped = threading.Event()
        self._unpacked: dict[tuple[str, str, str], Path] = {}
        self.stop_reason = ""

    def stop(self, reason: str = "") -> None:
        """Interrupt the query, also one that has not yet begun. Callable from any thread."""
        self.stop_reason = reason
        self._stopped.set()
        self._cursor.interrupt()

    def check(self) -> None:
        """Raises QueryCancelled when the query was stopped."""
        if self._stopped.is_set():
            raise QueryCancelled(self.stop_reason)

    def close(self) -> None:
        self._cursor.close()

    # -- files -------------------------------------------------------------------------------------

    def local_file(self, item: Object) -> Path:
        """An object as a local file, unpacked if that was asked for."""
        self.check()
        path = self._unpacked.get((item.bucket, item.key, item.etag)) or item.path()
        ADDRESSES[str(path)] = f"s3://{item.bucket}/{item.key}"
        return path

    def unpack(self, item: Object, how: Callable[[bytes], bytes]) -> None:
        """Read an object through ``how`` from now on."""
        path = item.path()
        plain = path.with_name(path.name + ".plain")
        if not plain.exists():
            partial = path.with_name(f"{path.name}.{threading.get_ident()}.part")
            partial.write_bytes(how(path.read_bytes()))
            partial.replace(plain)
        self._unpacked[item.bucket, item.key, item.etag] = plain

    # -- queries -----------------------------------------------------------------------------------

    def register(self, name: str, data: Any) -> None:
        """Give DuckDB an Arrow table or reader under a name."""
        self._cursor.register(name, data)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """All rows of a small query. Raises QueryError or QueryCancelled."""
        found: list[tuple[Any, ...]] = self._guarded(lambda: self._cursor.execute(sql).fetchall())
        return found

    def batches(self, sql: str) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """The rows of a query as they come, never all in memory. Raises QueryError or QueryCancelled."""
        reader = self._guarded(lambda: self._cursor.sql(sql).to_arrow_reader(BATCH_ROWS))

        def read() -> Iterator[pa.RecordBatch]:
            while True:
                try:
                    batch = self._guarded(reader.read_next_batch)
                except StopIteration:
                    return
                yield batch

        return reader.schema, read()

    def _guarded(self, action: Callable[[], Any]) -> Any:
        self.check()
        try:
            found = action()
        except duckdb.Error as error:
            self.check()
            raise translate(str(error)) from None
        except (pa.ArrowException, OSError) as error:
            self.check()
            raise translate(str(error)) from None
        self.check()
        return found


_KINDS = (
    ("Division by zero", "DIVISION_BY_ZERO", "Division by zero"),
    ("INTERRUPT", "QUERY_CANCELLED", "Query was interrupted"),
    ("Out of Memory", "EXCEEDED_MEMORY_LIMIT", "Query exhausted resources at this scale factor"),
    (
        "More than one row returned by a subquery",
        "SUBQUERY_MULTIPLE_ROWS",
        "Scalar sub-query has returned multiple rows",
    ),
    ("Map keys must be unique", "INVALID_FUNCTION_ARGUMENT", "Duplicate map keys are not allowed"),
    ("Map keys can not be NULL", "INVALID_FUNCTION_ARGUMENT", "map key cannot be null"),
)
_NAMES = (
    ("out of range for the destination type", "NUMERIC_VALUE_OUT_OF_RANGE"),
    ("Out of Range Error", "NUMERIC_VALUE_OUT_OF_RANGE"),
    ("Conversion Error", "INVALID_CAST_ARGUMENT"),
    ("Malformed JSON", "HIVE_CURSOR_ERROR"),
    ("CSV Error", "HIVE_BAD_DATA"),
    ("Invalid Input Error", "INVALID_FUNCTION_ARGUMENT"),
)


def translate(message: str) -> QueryError:
    """DuckDB's error as Athena's: ours come marked with ``!NAME: message``."""
    _, marked, rest = message.partition("ValueError: !")
    if marked:
        name, _, text = rest.partition(": ")
        return QueryError(name, text.rstrip())
    for sign, name, text in _KINDS:
        if sign.lower() in message.lower():
            return QueryError(name, text)
    first = message.split("\n", maxsplit=1)[0]
    for sign, name in _NAMES:
        if sign in message:
            return QueryError(name, first.partition(": ")[2] or first)
    return QueryError("GENERIC_INTERNAL_ERROR", first, category=1)
