"""Iceberg tables in the Glue catalog: slices replaced in one commit, read by anybody with Athena.

What belongs here is how a table is written and read; what its columns are belongs to the domain that owns it.
"""

import logging
import os
import random
import time
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from resources import clients

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.catalog import Catalog
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.table import Table

Value = str | int | bool | date | datetime
Where = Mapping[str, Collection[Value]]
"""Which rows: for each column named, the values it may have. Nothing named: all rows."""

_CHUNK_BYTES = 32 << 20  # of Arrow memory; a chunk becomes one Parquet file a partition
_ATTEMPTS = 12
_SNAPSHOTS_KEPT = 100
_SNAPSHOT_DAYS = 7
_PROPERTIES = {
    "format-version": "2",
    "write.parquet.compression-codec": "zstd",
    # Each commit leaves a metadata file; without these two they are kept for ever.
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
    # Small manifests of many small commits are merged as they are written.
    "commit.manifest-merge.enabled": "true",
}

_log = logging.getLogger(__name__)


class IcebergResource(dg.ConfigurableResource[Any]):
    """The Iceberg tables of one Glue database; their files are in ``bucket``, under ``iceberg/<table>/``."""

    database: str
    bucket: str

    def ensure(self, name: str, schema: "pa.Schema", partition_by: Sequence[str]) -> None:
        """Create the table, partitioned by the values of ``partition_by``; add columns that it lacks.

        Columns are never removed or retyped: rows written before stay readable.
        """
        from pyiceberg.exceptions import CommitFailedException

        for attempt in range(1, _ATTEMPTS + 1):
            table = self._load(name) or self._create(name, schema, partition_by)
            if set(schema.names) <= {field.name for field in table.schema().fields}:
                return
            try:
                with table.update_schema() as update:
                    update.union_by_name(schema)
            except CommitFailedException:
                if attempt == _ATTEMPTS:
                    raise
                _wait(attempt)

    def exists(self, name: str) -> bool:
        """Whether there is such a table."""
        return self._load(name) is not None

    def replace(self, name: str, where: Where, batches: Callable[[], Iterable["pa.RecordBatch"]]) -> int:
        """Put the rows of ``batches()`` in the place of those that meet ``where``, in one commit.

        A reader sees all the old rows or all the new; with no new rows the old are gone all the same.
        ``batches`` is called again when another writer was faster, and must yield rows that meet ``where``.
        Memory is bounded by a chunk of 32 MiB, not by the rows. Answers the rows written. Raises
        NoSuchTableError, and CommitFailedException when other writers were faster twelve times.
        """
        from pyiceberg.exceptions import CommitFailedException, ValidationException

        for attempt in range(1, _ATTEMPTS + 1):
            table = self._catalog().load_table((self.database, name))
            try:
                rows = _replace(table, _expression(where), batches())
            except (CommitFailedException, ValidationException):
                if attempt == _ATTEMPTS:
                    raise
                _wait(attempt)
            else:
                _expire(table)
                return rows
        raise AssertionError("unreachable")

    def read(self, name: str, columns: Sequence[str] = (), where: Where | None = None) -> "pa.Table":
        """The rows that meet ``where``, their ``columns`` or all. Raises NoSuchTableError."""
        table = self._catalog().load_table((self.database, name))
        return table.scan(_expression(where or {}), tuple(columns) or ("*",)).to_arrow()

    def count(self, name: str, by: Sequence[str], where: Where | None = None) -> dict[tuple[Any, ...], int]:
        """How many rows each partition holds, by the partition columns ``by``; from metadata, no row is read.

        ``where`` may name partition columns only, and so may ``by``. Raises NoSuchTableError.
        """
        table = self._catalog().load_table((self.database, name))
        found: dict[tuple[Any, ...], int] = {}
        names = [field.name for field in table.spec().fields]
        for task in table.scan(_expression(where or {})).plan_files():
            values = dict(zip(names, _partition(table, task.file.partition), strict=True))
            key = tuple(values[column] for column in by)
            found[key] = found.get(key, 0) + task.file.record_count
        return found

    def _catalog(self) -> "Catalog":
        from pyiceberg.catalog.glue import GlueCatalog

        glue = clients.client("glue")
        properties = {"warehouse": f"s3://{self.bucket}/iceberg", "s3.region": glue.meta.region_name}
        # Arrow's S3 doesn't read the SDK's variables for endpoints as boto3 does.
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        if endpoint:
            properties["s3.endpoint"] = endpoint
        return GlueCatalog("glue", client=glue, **properties)

    def _load(self, name: str) -> "Table | None":
        from pyiceberg.exceptions import NoSuchTableError

        try:
            return self._catalog().load_table((self.database, name))
        except NoSuchTableError:
            return None

    def _create(self, name: str, schema: "pa.Schema", partition_by: Sequence[str]) -> "Table":
        from pyiceberg.exceptions import CommitFailedException, TableAlreadyExistsError

        catalog, identifier = self._catalog(), (self.database, name)
        location = f"s3://{self.bucket}/iceberg/{name}"
        try:
            with (
                catalog.create_table_transaction(
                    identifier, schema, location=location, properties=_PROPERTIES
                ) as creation,
                creation.update_spec() as spec,
            ):
                for column in partition_by:
                    spec.add_identity(column)
        except (TableAlreadyExistsError, CommitFailedException):
            _log.info("another run created %s first", name)
        return catalog.load_table(identifier)


def _wait(attempt: int) -> None:
    time.sleep(random.uniform(0, min(0.1 * 2**attempt, 5.0)))  # noqa: S311  # no secret


def _replace(table: "Table", where: "BooleanExpression", batches: Iterable["pa.RecordBatch"]) -> int:
    rows = 0
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Delete operation did not match any records")
        with table.transaction() as transaction:
            transaction.delete(where)
            for chunk in _chunks(batches):
                transaction.append(chunk)
                rows += chunk.num_rows
    return rows


def _chunks(batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.Table"]:
    """Batches put together: many small ones become one file, and a large result is never held whole."""
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        if batch.num_rows:
            held.append(batch)
            size += batch.nbytes
        if size >= _CHUNK_BYTES:
            yield pa.Table.from_batches(held)
            held, size = [], 0
    if held:
        yield pa.Table.from_batches(held)


def _expression(where: Where) -> "BooleanExpression":
    from pyiceberg.expressions import AlwaysTrue, And, In

    found: BooleanExpression = AlwaysTrue()
    for column, values in where.items():
        found = And(found, In(term=column, literals=set(values)))
    return found


def _partition(table: "Table", record: Any) -> list[Any]:
    """A data file's partition as Python values: the days of dates become dates."""
    from pyiceberg.types import DateType

    schema, epoch = table.schema(), date(1970, 1, 1)
    values = [record[position] for position in range(len(table.spec().fields))]
    return [
        epoch + timedelta(days=value)
        if isinstance(schema.find_type(field.source_id), DateType) and isinstance(value, int)
        else value
        for field, value in zip(table.spec().fields, values, strict=True)
    ]


def _expire(table: "Table") -> None:
    """Forget old snapshots of a long history, which every reader would load. Their files stay until a VACUUM.

    Whether it succeeds doesn't matter: the next commit tries again.
    """
    from pyiceberg.exceptions import CommitFailedException

    if len(table.metadata.snapshots) <= _SNAPSHOTS_KEPT:
        return
    try:
        table.maintenance.expire_snapshots().older_than(
            datetime.now().astimezone() - timedelta(days=_SNAPSHOT_DAYS)
        ).commit()
    except CommitFailedException:
        _log.info("snapshots of %s were not expired: another writer was faster", ".".join(table.name()))
