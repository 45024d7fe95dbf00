"""What other engines do to an Iceberg table: merge-on-read deletes, as Athena's by the positions of rows.

pyiceberg reads deletes by position and writes none, so manifests are written here as specified.
https://iceberg.apache.org/spec/#position-delete-files
https://docs.aws.amazon.com/athena/latest/ug/querying-iceberg-delete.html
"""

import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestWriterV2,
    write_manifest_list,
)
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.update import AddSnapshotUpdate, AssertRefSnapshotId, SetSnapshotRefUpdate
from pyiceberg.typedef import Record

_COLUMNS = pa.schema(
    [
        pa.field("file_path", pa.string(), nullable=False, metadata={"PARQUET:field_id": "2147483546"}),
        pa.field("pos", pa.int64(), nullable=False, metadata={"PARQUET:field_id": "2147483545"}),
    ]
)


class _Deletes(ManifestWriterV2):
    """A manifest of delete files."""

    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}


def delete_in_place(table: Table, doomed: Callable[[Mapping[str, Any]], bool]) -> int:
    """Delete the rows that are ``doomed``, and no file; answers how many."""
    found: list[DataFile] = []
    for task in table.scan().plan_files():
        with table.io.new_input(task.file.file_path).open() as source:
            rows = pq.read_table(source).to_pylist()  # type: ignore[arg-type]
        places = [place for place, row in enumerate(rows) if doomed(row)]
        if places:
            where = pa.table(
                {"file_path": [task.file.file_path] * len(places), "pos": places}, schema=_COLUMNS
            )
            found.append(_file(table, DataFileContent.POSITION_DELETES, where, partition=task.file.partition))
    _commit_deletes(table, found)
    return sum(file.record_count for file in found)


def delete_by_value(table: Table, column: str, value: str, *partition: Any) -> None:
    """Delete the rows that have ``value`` from a partition, by a file of values as Flink does."""
    number = table.schema().find_field(column).field_id
    field = pa.field(column, pa.string(), metadata={"PARQUET:field_id": str(number)})
    values = pa.table([pa.array([value])], schema=pa.schema([field]))
    file = _file(
        table, DataFileContent.EQUALITY_DELETES, values, partition=Record(*partition), equality_ids=[number]
    )
    _commit_deletes(table, [file])


def _file(table: Table, content: DataFileContent, rows: pa.Table, **fields: Any) -> DataFile:
    path = f"{table.location()}/data/{uuid.uuid4()}-deletes.parquet"
    with table.io.new_output(path).create() as out:
        pq.write_table(rows, out)
    file = DataFile.from_args(
        content=content,
        file_path=path,
        file_format=FileFormat.PARQUET,
        record_count=rows.num_rows,
        file_size_in_bytes=len(table.io.new_input(path)),
        **fields,
    )
    file.spec_id = table.spec().spec_id
    return file


def _commit_deletes(table: Table, files: Iterable[DataFile]) -> None:
    """A snapshot of the table with these files of deletes beside what it has."""
    snapshot_id = table.metadata.new_snapshot_id()
    manifest = table.io.new_output(f"{table.location()}/metadata/{uuid.uuid4()}-m0.avro")
    with _Deletes(table.spec(), table.schema(), manifest, snapshot_id, "deflate") as writer:
        for file in files:
            writer.add_entry(
                ManifestEntry.from_args(
                    status=ManifestEntryStatus.ADDED,
                    snapshot_id=snapshot_id,
                    sequence_number=None,
                    file_sequence_number=None,
                    data_file=file,
                )
            )
    _commit(table, snapshot_id, writer.to_manifest_file())


def _commit(table: Table, snapshot_id: int, manifest: Any) -> None:
    current = table.current_snapshot()
    assert current is not None
    number = table.metadata.next_sequence_number()
    path = f"{table.location()}/metadata/snap-{snapshot_id}.avro"
    output = table.io.new_output(path)
    with write_manifest_list(2, output, snapshot_id, current.snapshot_id, number, "deflate") as writer:
        writer.add_manifests([*current.manifests(table.io), manifest])
    snapshot = Snapshot(
        snapshot_id=snapshot_id,
        parent_snapshot_id=current.snapshot_id,
        sequence_number=number,
        manifest_list=path,
        summary=Summary(Operation.DELETE),
        schema_id=table.schema().schema_id,
    )
    point = SetSnapshotRefUpdate(ref_name="main", type="branch", snapshot_id=snapshot_id)
    expected = AssertRefSnapshotId(ref="main", snapshot_id=current.snapshot_id)
    table.catalog.commit_table(table, (expected,), (AddSnapshotUpdate(snapshot=snapshot), point))
