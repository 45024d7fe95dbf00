"""Iceberg tables from which others delete on read: what is hidden is erased, or the store says why not."""

import io
import uuid
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestWriterV2,
    write_manifest_list,
)
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.update import AddSnapshotUpdate, AssertRefSnapshotId, SetSnapshotRefUpdate
from pyiceberg.typedef import Record

from privacy_assets.dsar.stores.protocol import Erased, Retained, Store, StoreError
from tests.dsar.stores.conftest import JANE, REQUEST, Stores, is_erased

MAIL = "jane.doe@example.com"
SCHEMA = pa.schema([("email", pa.string()), ("note", pa.string())])
HOLD = {"article": "GDPR Art. 17(3)(e)", "reason": "legal claims", "where": {"note": "hold"}}


class Deletes(ManifestWriterV2):
    """A manifest of delete files, which pyiceberg reads and does not write."""

    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}


def table_of(kit: Stores, *files: Sequence[tuple[str, str]]) -> str:
    name = f"mor_{kit.unique}"
    iceberg = kit.subjects.iceberg()
    iceberg.ensure(name, SCHEMA, [])
    for rows in files:
        loaded = iceberg.table(name)
        assert loaded is not None
        loaded.append(pa.Table.from_pylist([{"email": a, "note": b} for a, b in rows], schema=SCHEMA))
    return name


def delete(kit: Stores, name: str, content: DataFileContent, rows: pa.Table, **fields: Any) -> None:
    """Commit a delete file as another engine would."""
    loaded: Any = kit.subjects.iceberg().table(name)
    body = io.BytesIO()
    pq.write_table(rows, body)
    where = f"{loaded.location()}/data/delete-{uuid.uuid4()}.parquet"
    bucket, _, key = where.removeprefix("s3://").partition("/")
    kit.put(bucket, key, body.getvalue())
    file = DataFile.from_args(
        _table_format_version=2,
        content=content,
        file_path=where,
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=rows.num_rows,
        file_size_in_bytes=body.tell(),
        **fields,
    )
    snapshot, parent = uuid.uuid4().int >> 66, loaded.current_snapshot()
    number = loaded.metadata.last_sequence_number + 1
    output = loaded.io.new_output(f"{loaded.location()}/metadata/{uuid.uuid4()}-m0.avro")
    with Deletes(loaded.spec(), loaded.schema(), output, snapshot, "deflate") as writer:
        writer.add(ManifestEntry.from_args(sequence_number=None, data_file=file))
    path = f"{loaded.location()}/metadata/snap-{snapshot}-0-{uuid.uuid4()}.avro"
    with write_manifest_list(
        2, loaded.io.new_output(path), snapshot, parent.snapshot_id, number, "deflate"
    ) as manifests:
        manifests.add_manifests([*parent.manifests(loaded.io), writer.to_manifest_file()])
    made = Snapshot(
        snapshot_id=snapshot,
        parent_snapshot_id=parent.snapshot_id,
        sequence_number=number,
        manifest_list=path,
        summary=Summary(Operation.DELETE),
        schema_id=loaded.schema().schema_id,
    )
    loaded.catalog.commit_table(
        loaded,
        (AssertRefSnapshotId(ref="main", snapshot_id=parent.snapshot_id),),
        (
            AddSnapshotUpdate(snapshot=made),
            SetSnapshotRefUpdate(ref_name="main", type="branch", snapshot_id=snapshot),
        ),
    )


def hide(kit: Stores, name: str, mail: str, note: str) -> None:
    """Delete a row by its position."""
    loaded: Any = kit.subjects.iceberg().table(name)
    for task in loaded.scan().plan_files():
        bucket, _, key = task.file.file_path.removeprefix("s3://").partition("/")
        rows = pq.read_table(io.BytesIO(kit.get(bucket, key))).to_pylist()
        for position, row in enumerate(rows):
            if (row["email"], row["note"]) == (mail, note):
                where = pa.table(
                    {"file_path": [task.file.file_path], "pos": pa.array([position], pa.int64())}
                )
                delete(kit, name, DataFileContent.POSITION_DELETES, where)
                return
    raise AssertionError(note)


def notes(kit: Stores, name: str) -> list[str]:
    batches = kit.subjects.iceberg().batches(name)
    return sorted(str(row["note"]) for batch in batches for row in batch.to_pylist())


def bytes_of(kit: Stores, name: str) -> list[str]:
    """The notes that stand in any version of any Parquet file of the table."""
    found = []
    for (key, _), body in kit.all_versions(kit.subjects.lake_bucket).items():
        if body is not None and f"/{name}/" in key and key.endswith(".parquet"):
            columns = pq.read_table(io.BytesIO(body)).to_pydict()
            found += columns.get("note", [])
    return sorted(found)


def store(kit: Stores, name: str, **fields: Any) -> Store:
    return kit.store("lake", tables=[{"table": name, "match": {"email": "email"}, **fields}])


def test_what_a_delete_by_position_hides_is_erased(kit: Stores) -> None:
    name = table_of(
        kit,
        [(MAIL, "hidden beside his"), ("max@example.com", "his"), ("max@example.com", "hidden too")],
        [(MAIL, "hidden alone")],
        [(MAIL, "seen"), (MAIL, "hidden beside hers"), ("max@example.com", "also his")],
    )
    for mail, note in (
        (MAIL, "hidden beside his"),
        (MAIL, "hidden alone"),
        (MAIL, "hidden beside hers"),
        ("max@example.com", "hidden too"),
    ):
        hide(kit, name, mail, note)
    assert notes(kit, name) == ["also his", "his", "seen"]
    assert "hidden alone" in bytes_of(kit, name)
    is_erased(store(kit, name), Erased(before=1, erased=1))
    assert notes(kit, name) == ["also his", "his"]
    assert bytes_of(kit, name) == ["also his", "his"]


@pytest.mark.parametrize("beside", ["in its file", "elsewhere"])
def test_what_is_hidden_beside_what_is_held_is_erased(kit: Stores, beside: str) -> None:
    held, hidden = (MAIL, "hold"), (MAIL, "hidden")
    files = [[held, hidden]] if beside == "in its file" else [[held], [hidden, ("max@example.com", "his")]]
    name = table_of(kit, *files)
    hide(kit, name, *hidden)
    retained = Retained(HOLD["article"], HOLD["reason"], 1)  # type: ignore[arg-type]
    is_erased(store(kit, name, retain=[HOLD]), Erased(before=1, retained=(retained,)))
    assert bytes_of(kit, name) == sorted({"hold", *(["his"] if beside == "elsewhere" else [])})


def test_a_table_with_deletes_by_equality_fails_and_says_so(kit: Stores) -> None:
    name = table_of(kit, [(MAIL, "deleted by its value"), ("max@example.com", "his")], [(MAIL, "seen")])
    loaded: Any = kit.subjects.iceberg().table(name)
    field = pa.field("email", pa.string(), metadata={"PARQUET:field_id": "1"})
    rows = pa.table([pa.array([MAIL])], schema=pa.schema([field]))
    number = loaded.schema().find_field("email").field_id
    delete(kit, name, DataFileContent.EQUALITY_DELETES, rows, equality_ids=[number])
    subject = store(kit, name)
    for ask in (
        lambda: subject.find(JANE),
        lambda: list(subject.export(JANE)),
        lambda: subject.erase(JANE, REQUEST),
        lambda: subject.verify(JANE),
    ):
        with pytest.raises(StoreError, match="has deletes by equality, expected by position or none") as told:
            ask()
        assert "jane" not in str(told.value)
