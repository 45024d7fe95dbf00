"""Iceberg tables in the Glue catalog: slices replaced in one commit, read by anybody with Athena.

What belongs here is how a table is written and read; what its columns are belongs to the domain that owns it.
"""

import logging
import os
import random
import time
import warnings
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

import dagster as dg

from resources import clients

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.fs import FileSystem
    from pyiceberg.catalog import Catalog
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import DataScan, FileScanTask, Table

T = TypeVar("T")
Value = str | int | bool | date | datetime
Where = Mapping[str, Collection[Value]]
"""Which rows: for each column named, the values it may have. Nothing named: all rows."""

_CHUNK_BYTES = 32 << 20  # of Arrow memory; a chunk becomes one Parquet file a partition
_FILES_AHEAD = 4
_BYTES_AHEAD = 4 << 20
"""Files that are read before somebody takes their rows: so many, of so many bytes as they are stored."""
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
    # pyiceberg would commit again on a base that nobody looked at; who writes here looks again by himself.
    "commit.retry.num-retries": "0",
}

_log = logging.getLogger(__name__)


class RowsHidden(Exception):  # noqa: N818  # what is the matter
    """A table hides rows by their values, which pyiceberg can't read: what it holds can't be told."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name}: has deletes by equality, expected by position or none; have the engine that writes "
            "them rewrite the table's files"
        )


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Where a table's files are planned. Raises RowsHidden."""
    try:
        yield
    except ValueError as error:
        if "equality deletes" not in str(error):  # pyiceberg has no class for it
            raise
        raise RowsHidden(name) from None


class IcebergResource(dg.ConfigurableResource[Any]):
    """The Iceberg tables of one Glue database; their files are in ``bucket``, under ``iceberg/<table>/``."""

    database: str
    bucket: str

    def ensure(
        self,
        name: str,
        schema: "pa.Schema",
        partition_by: Sequence[str],
        properties: Mapping[str, str] | None = None,
    ) -> None:
        """Create the table, partitioned by the values of ``partition_by``; add columns that it lacks.

        Columns are never removed or retyped: rows written before stay readable. ``properties`` are Iceberg's,
        for a table that is new.
        """

        def work() -> None:
            table = self._load(name) or self._create(
                name, schema, partition_by, {**_PROPERTIES, **(properties or {})}
            )
            if not set(schema.names) <= {field.name for field in table.schema().fields}:
                with table.update_schema() as update:
                    update.union_by_name(schema)

        _committed(work)

    def replace(self, name: str, where: Where, batches: Callable[[], Iterable["pa.RecordBatch"]]) -> int:
        """Put the rows of ``batches()`` in the place of those that meet ``where``, in one commit.

        A reader sees all the old rows or all the new; with no new rows the old are gone all the same.
        ``batches`` is called again when another writer was faster, and must yield rows that meet ``where``.
        Memory is bounded by a chunk of 32 MiB, not by the rows. Answers the rows written. Raises
        NoSuchTableError, and CommitFailedException when other writers were faster twelve times.
        """

        def work() -> "tuple[Table, int]":
            table = self._catalog().load_table((self.database, name))
            return table, _replace(table, _expression(where), batches())

        table, rows = _committed(work)
        _expire(table)
        return rows

    def add(
        self,
        name: str,
        rows: "pa.Table",
        *,
        identity: str,
        within: Sequence[str],
        span: str | None = None,
    ) -> "pa.Table":
        """Append the ``rows`` that the table lacks, in one commit; answers those.

        A row is there when one of the same ``identity`` and the same values of the partition columns
        ``within`` is. ``span`` names a column of which such a row has the same value too; its least and
        greatest in ``rows`` then spare the reading of files. Looking and appending are one step: when another
        writer was faster in between, it is looked again. Raises NoSuchTableError, and CommitFailedException
        when others were faster twelve times.
        """
        condition = _same_partitions(rows, within)
        if span is not None:
            condition = _spanned(condition, span, rows)

        def work() -> "pa.Table":
            table = self._catalog().load_table((self.database, name))
            missing = _missing(table, condition, rows, identity, within)
            if missing.num_rows:
                table.append(missing)
            return missing

        return _committed(work)

    def batches(
        self,
        name: str,
        columns: Sequence[str] = (),
        where: Where | None = None,
        between: Mapping[str, tuple[Value | None, Value | None]] | None = None,
    ) -> Iterator["pa.RecordBatch"]:
        """The rows that meet ``where`` and whose columns lie ``between`` (from, included; until, not), in no
        order, a batch at a time: memory is bounded by a few files, not by the rows. Raises NoSuchTableError
        and RowsHidden.
        """
        table = self._catalog().load_table((self.database, name))
        condition = _within(where or {}, between or {})
        for batch in _streamed(name, table.scan(condition, tuple(columns) or ("*",))):
            # pyiceberg gives columns in the table's order, whatever was asked for.
            yield batch.select(list(columns)) if columns else batch

    def exists(self, name: str) -> bool:
        """Whether the table was made."""
        return self._load(name) is not None

    def compact(
        self,
        name: str,
        where: Where,
        *,
        files: int = 8,
        bytes_each: int = 1 << 20,
        chunk_bytes: int = _CHUNK_BYTES,
    ) -> int:
        """Rewrite the partitions that meet ``where`` in files of ``chunk_bytes`` of rows in memory, if they
        are in more than ``files`` files of fewer than ``bytes_each`` bytes on average. Answers how many files
        were replaced.

        Another writer's commit in between is never undone: then nothing happens, and a later call compacts.
        ``where`` may name partition columns only.
        """
        from pyiceberg.exceptions import CommitFailedException, ValidationException

        table = self._catalog().load_table((self.database, name))
        condition = _expression(where)
        tasks = list(table.scan(condition).plan_files())
        if len(tasks) <= files or sum(task.file.file_size_in_bytes for task in tasks) >= bytes_each * len(
            tasks
        ):
            return 0
        try:
            _replace(table, condition, _streamed(name, table.scan(condition)), chunk_bytes)
        except (CommitFailedException, ValidationException):
            _log.info("%s was not compacted: another writer was faster", name)
            return 0
        return len(tasks)

    def remove(
        self,
        name: str,
        where: Where,
        between: Mapping[str, tuple[Value | None, Value | None]] | None = None,
    ) -> None:
        """Delete the rows that meet ``where`` and ``between``, and with them the files that held them.

        Afterwards no snapshot, no file and no version of a file has them: all older snapshots are forgotten.
        Killed anywhere, the next call completes it. A reader that began before may miss its files. Raises
        NoSuchTableError, and CommitFailedException when other writers were faster twelve times.
        """
        condition = _within(where, between or {})

        def work() -> None:
            table = self._catalog().load_table((self.database, name))
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Delete operation did not match any records")
                table.delete(condition)

        _committed(work)
        self.vacuum(name, timedelta(0))

    def vacuum(self, name: str, keep: timedelta, *, slack: timedelta = timedelta(0)) -> int:
        """Forget the snapshots that are older than ``keep``; delete the files that only they name, in all
        versions. The current snapshot stays. Nothing is done while none is older than ``keep`` and ``slack``.
        Answers how many files were deleted.

        Files first: killed in between, the next call finds the snapshots and what is left of their files.
        """

        def work() -> int:
            table = self._catalog().load_table((self.database, name))
            self._settle(table)
            current = table.current_snapshot()
            if current is None:
                return 0
            until = datetime.now().astimezone() - keep
            old = [
                snapshot
                for snapshot in table.snapshots()
                if snapshot.snapshot_id != current.snapshot_id
                and snapshot.timestamp_ms <= until.timestamp() * 1000
            ]
            if not old or min(one.timestamp_ms for one in old) > (until - slack).timestamp() * 1000:
                return 0
            gone = {snapshot.snapshot_id for snapshot in old}
            rest = [one for one in table.snapshots() if one.snapshot_id not in gone]
            # A snapshot still names the files that it took out.
            doomed = _files(table, old, taken_out=True) - _files(table, rest, taken_out=False)
            _delete_versions(doomed)
            table.maintenance.expire_snapshots().by_ids(sorted(gone)).commit()
            return len(doomed)

        return _committed(work)

    def _settle(self, table: "Table") -> None:
        """Have the current snapshot name no file that it took out: a manifest keeps the least and greatest
        values of each. An empty commit leaves such manifests behind.
        """
        from pyiceberg.exceptions import CommitFailedException

        current = table.current_snapshot()
        if current is None or not any(each.deleted_files_count for each in current.manifests(table.io)):
            return
        try:
            table.append(table.schema().as_arrow().empty_table())
        except CommitFailedException:
            _log.info("%s was not settled: another writer was faster, and leaves them behind", table.name())

    def column_types(self, name: str) -> dict[str, "pa.DataType"]:
        """The table's columns and what Arrow holds them as. Raises NoSuchTableError."""
        schema = self._catalog().load_table((self.database, name)).schema().as_arrow()
        return {field.name: field.type for field in schema}

    def location(self, name: str) -> str:
        """The URI that the table's files are under. Raises NoSuchTableError."""
        return self._catalog().load_table((self.database, name)).location()

    def has_equality_deletes(self, name: str) -> bool:
        """Whether the current snapshot hides rows by value, which pyiceberg can't read. Raises
        NoSuchTableError.
        """
        from pyiceberg.manifest import DataFileContent, ManifestContent

        table = self._catalog().load_table((self.database, name))
        current = table.current_snapshot()
        return current is not None and any(
            entry.data_file.content == DataFileContent.EQUALITY_DELETES
            for manifest in current.manifests(table.io)
            if manifest.content == ManifestContent.DELETES
            for entry in manifest.fetch_manifest_entry(table.io)
        )

    def rewrite(self, name: str, uris: Collection[str]) -> frozenset[str]:
        """Write those of the current snapshot's data files anew, in one commit, without the rows that
        merge-on-read deletes hide. Answers which were; a file is held in memory at a time. Raises
        NoSuchTableError, and CommitFailedException when other writers were faster twelve times.
        """

        def work() -> frozenset[str]:
            table = self._catalog().load_table((self.database, name))
            tasks = [task for task in table.scan().plan_files() if task.file.file_path in uris]
            if tasks:
                _rewrite(table, tasks)
            return frozenset(task.file.file_path for task in tasks)

        return _committed(work)

    def sequence(self, name: str) -> int:
        """The number of the table's last commit; 0 in format 1, which has none. Raises NoSuchTableError."""
        table = self._catalog().load_table((self.database, name))
        return int(getattr(table.metadata, "last_sequence_number", 0))

    def named(self, name: str, *, current_only: bool = False, since: int = 0) -> frozenset[str]:
        """The URIs of all files that the table's metadata, or a snapshot of it, names; ``current_only``:
        those of the current snapshot, of which ``since`` leaves those that later commits than that number
        wrote (``sequence``). Raises NoSuchTableError.
        """
        table = self._catalog().load_table((self.database, name))
        if current_only:
            current = table.current_snapshot()
            if current is None:
                return frozenset()
            return frozenset(_files(table, [current], taken_out=False, since=since))
        earlier = {entry.metadata_file for entry in table.metadata.metadata_log}
        return frozenset(
            {table.metadata_location} | earlier | _files(table, table.snapshots(), taken_out=False)
        )

    def read(self, name: str, columns: Sequence[str] = (), where: Where | None = None) -> "pa.Table":
        """The rows that meet ``where``, their ``columns`` or all. Raises NoSuchTableError and RowsHidden."""
        table = self._catalog().load_table((self.database, name))
        with readable(name):
            return table.scan(_expression(where or {}), tuple(columns) or ("*",)).to_arrow()

    def count(self, name: str, by: Sequence[str], where: Where | None = None) -> dict[tuple[Any, ...], int]:
        """How many rows each partition holds, by the partition columns ``by``; from metadata, no row is read.

        ``where`` may name partition columns only, and so may ``by``. Raises NoSuchTableError.
        """
        found: dict[tuple[Any, ...], int] = {}
        for key, file in self._partitioned(name, by, where):
            found[key] = found.get(key, 0) + file.record_count
        return found

    def files(
        self, name: str, by: Sequence[str], where: Where | None = None
    ) -> dict[tuple[Any, ...], tuple[int, int]]:
        """In how many files each partition is and how many bytes these have; as ``count``."""
        found: dict[tuple[Any, ...], tuple[int, int]] = {}
        for key, file in self._partitioned(name, by, where):
            files, size = found.get(key, (0, 0))
            found[key] = files + 1, size + file.file_size_in_bytes
        return found

    def _partitioned(
        self, name: str, by: Sequence[str], where: Where | None
    ) -> Iterator[tuple[tuple[Any, ...], "DataFile"]]:
        table = self._catalog().load_table((self.database, name))
        names = [field.name for field in table.spec().fields]
        for task in table.scan(_expression(where or {})).plan_files():
            values = dict(zip(names, _partition(table, task.file.partition), strict=True))
            yield tuple(values[column] for column in by), task.file

    def table(self, name: str) -> "Table | None":
        """The table as it is now; None when it was not made."""
        return self._load(name)

    def filesystem(self) -> "FileSystem":
        """Arrow's own client of the S3 that the tables' files are in."""
        from pyiceberg.io.pyarrow import PyArrowFileIO

        return PyArrowFileIO(self._properties()).fs_by_scheme("s3", self.bucket)

    def _catalog(self) -> "Catalog":
        from pyiceberg.catalog.glue import GlueCatalog

        return GlueCatalog("glue", client=clients.client("glue"), **self._properties())

    def _properties(self) -> dict[str, str]:
        glue = clients.client("glue")
        properties = {"warehouse": f"s3://{self.bucket}/iceberg", "s3.region": glue.meta.region_name}
        # Arrow's S3 doesn't read the SDK's variables for endpoints as boto3 does.
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        if endpoint:
            properties["s3.endpoint"] = endpoint
        return properties

    def _load(self, name: str) -> "Table | None":
        from pyiceberg.exceptions import NoSuchTableError

        try:
            return self._catalog().load_table((self.database, name))
        except NoSuchTableError:
            return None

    def _create(
        self, name: str, schema: "pa.Schema", partition_by: Sequence[str], properties: Mapping[str, str]
    ) -> "Table":
        from pyiceberg.exceptions import CommitFailedException, TableAlreadyExistsError

        catalog, identifier = self._catalog(), (self.database, name)
        location = f"s3://{self.bucket}/iceberg/{name}"
        try:
            with (
                catalog.create_table_transaction(
                    identifier, schema, location=location, properties=dict(properties)
                ) as creation,
                creation.update_spec() as spec,
            ):
                for column in partition_by:
                    spec.add_identity(column)
        except (TableAlreadyExistsError, CommitFailedException):
            _log.info("another run created %s first", name)
        return catalog.load_table(identifier)


def _streamed(name: str, scan: "DataScan") -> Iterator["pa.RecordBatch"]:
    """The rows of a scan, a batch at a time. A few files are read ahead of who takes the rows; pyiceberg's
    own reader reads all that there are, and holds what nobody has taken yet.
    """
    from pyiceberg.io.pyarrow import ArrowScan, schema_to_pyarrow

    schema = schema_to_pyarrow(scan.projection())
    reader = ArrowScan(scan.table_metadata, scan.io, scan.projection(), scan.row_filter, scan.case_sensitive)

    def read(task: "FileScanTask") -> "list[pa.RecordBatch]":
        return [batch.cast(schema) for batch in reader.to_record_batches([task])]

    with readable(name):
        left = deque(scan.plan_files())
    ahead: deque[tuple[int, Future[list[pa.RecordBatch]]]] = deque()
    with ThreadPoolExecutor(_FILES_AHEAD) as pool:
        while left or ahead:
            room = _BYTES_AHEAD - sum(size for size, _ in ahead)
            while left and len(ahead) < _FILES_AHEAD:
                size = left[0].file.file_size_in_bytes
                if ahead and size > room:
                    break
                ahead.append((size, pool.submit(read, left.popleft())))
                room -= size
            yield from ahead.popleft()[1].result()


def _committed(work: Callable[[], T]) -> T:
    """What ``work`` answers, which loads a table and commits to it; it is done again when others were faster.

    Raises CommitFailedException when they were twelve times.
    """
    from pyiceberg.exceptions import CommitFailedException, ValidationException

    for attempt in range(1, _ATTEMPTS):
        try:
            return work()
        except (CommitFailedException, ValidationException):
            time.sleep(random.uniform(0, min(0.1 * 2**attempt, 5.0)))  # noqa: S311  # no secret
    return work()


def _replace(
    table: "Table",
    where: "BooleanExpression",
    batches: Iterable["pa.RecordBatch"],
    chunk_bytes: int | None = None,
) -> int:
    rows = 0
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Delete operation did not match any records")
        with table.transaction() as transaction:
            transaction.delete(where)
            for chunk in _chunks(batches, chunk_bytes or _CHUNK_BYTES):
                transaction.append(chunk)
                rows += chunk.num_rows
    return rows


def _rewrite(table: "Table", tasks: Sequence["FileScanTask"]) -> None:
    """Replace each file by what is visible of it, as pyiceberg's own delete does with the rows that stay."""
    from pyiceberg.expressions import AlwaysTrue
    from pyiceberg.io.pyarrow import ArrowScan, _dataframe_to_data_files

    scan, counter = ArrowScan(table.metadata, table.io, table.schema(), AlwaysTrue()), count()
    with table.transaction() as transaction, transaction.update_snapshot().overwrite() as overwrite:
        for task in tasks:
            overwrite.delete_data_file(task.file)
            rows = scan.to_table([task])
            if rows.num_rows:
                made = _dataframe_to_data_files(
                    table.metadata, rows, table.io, write_uuid=overwrite.commit_uuid, counter=counter
                )
                for file in made:
                    overwrite.append_data_file(file)


def _chunks(batches: Iterable["pa.RecordBatch"], chunk_bytes: int) -> Iterator["pa.Table"]:
    """Batches put together: many small ones become one file, and a large result is never held whole."""
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        if batch.num_rows:
            held.append(batch)
            size += batch.nbytes
        if size >= chunk_bytes:
            yield pa.Table.from_batches(held)
            held, size = [], 0
    if held:
        yield pa.Table.from_batches(held)


def _same_partitions(rows: "pa.Table", within: Sequence[str]) -> "BooleanExpression":
    """Partitions that ``rows`` are in: by the values of the first column, those of the others beside it."""
    from pyiceberg.expressions import AlwaysTrue, Or

    if not within:
        return AlwaysTrue()
    first, *others = within
    found: dict[Any, dict[str, set[Any]]] = {}
    for row in rows.select(list(within)).group_by(list(within)).aggregate([]).to_pylist():
        beside = found.setdefault(row[first], {column: set() for column in others})
        for column in others:
            beside[column].add(row[column])
    each = [_expression({first: [value], **beside}) for value, beside in found.items()]
    return each[0] if len(each) == 1 else Or(*each)


def _spanned(condition: "BooleanExpression", span: str, rows: "pa.Table") -> "BooleanExpression":
    import pyarrow.compute as pc
    from pyiceberg.expressions import And, GreaterThanOrEqual, LessThanOrEqual

    limits = pc.min_max(rows.column(span)).as_py()
    return And(
        condition,
        And(
            GreaterThanOrEqual(term=span, value=_literal(limits["min"])),
            LessThanOrEqual(term=span, value=_literal(limits["max"])),
        ),
    )


def _missing(
    table: "Table", condition: "BooleanExpression", rows: "pa.Table", identity: str, within: Sequence[str]
) -> "pa.Table":
    """The ``rows`` of which ``table`` has none of the same identity in the same partition."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = rows.column(identity).combine_chunks()
    there: set[tuple[Any, ...]] = set()
    for batch in _streamed(table.name()[-1], table.scan(condition, (identity, *within))):
        found = batch.column(identity).cast(wanted.type)
        same = batch.filter(pc.is_in(found, value_set=wanted))
        if same.num_rows:
            there.update(zip(*(same.column(name).to_pylist() for name in (identity, *within)), strict=True))
    if not there:
        return rows
    ours = zip(*(rows.column(name).to_pylist() for name in (identity, *within)), strict=True)
    return rows.filter(pa.array([each not in there for each in ours]))


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


def _literal(value: Any) -> Any:
    """Instants as Iceberg's expressions take them."""
    return value.isoformat() if isinstance(value, datetime) else value


def _within(where: Where, between: Mapping[str, tuple[Value | None, Value | None]]) -> "BooleanExpression":
    from pyiceberg.expressions import And, GreaterThanOrEqual, LessThan

    found = _expression(where)
    for column, (first, end) in between.items():
        if first is not None:
            found = And(found, GreaterThanOrEqual(term=column, value=_literal(first)))
        if end is not None:
            found = And(found, LessThan(term=column, value=_literal(end)))
    return found


def _files(table: "Table", snapshots: Iterable[Any], *, taken_out: bool, since: int = 0) -> set[str]:
    """The data files, manifests and lists of manifests that these snapshots name; ``taken_out`` adds the data
    files that they removed. What commits up to the number ``since`` wrote is left out.
    """
    found: set[str] = set()
    read: set[str] = set()
    for snapshot in snapshots:
        if (snapshot.sequence_number or 0) <= since and since:
            continue
        found.add(snapshot.manifest_list)
        try:
            manifests = snapshot.manifests(table.io)
        except FileNotFoundError:
            continue  # an earlier vacuum was killed behind it
        for manifest in manifests:
            if since and manifest.sequence_number <= since:
                continue
            found.add(manifest.manifest_path)
            if manifest.manifest_path in read:
                continue
            read.add(manifest.manifest_path)
            try:
                entries = manifest.fetch_manifest_entry(table.io, discard_deleted=not taken_out)
            except FileNotFoundError:
                continue
            found |= {
                entry.data_file.file_path
                for entry in entries
                if not since or entry.file_sequence_number is None or entry.file_sequence_number > since
            }
    return found


def _delete_versions(uris: Iterable[str]) -> None:
    """Delete S3 objects with all their versions, manifests last: what they name is found until it is gone."""
    s3 = clients.client("s3")
    for uri in sorted(uris, key=lambda uri: (uri.endswith(".avro"), "snap-" in uri, uri)):
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key):
            for version in [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]:
                if version["Key"] == key:
                    s3.delete_object(Bucket=bucket, Key=key, VersionId=version["VersionId"])
