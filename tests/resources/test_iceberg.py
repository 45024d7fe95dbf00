"""Slices of an Iceberg table are replaced whole, by one writer at a time, and nobody sees half of one."""

import weakref
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import boto3
import pyarrow as pa
import pytest
from pyiceberg.io.pyarrow import ArrowScan

from resources import iceberg
from resources.iceberg import IcebergResource

SCHEMA = pa.schema([("audit_id", pa.string()), ("day", pa.date32()), ("value", pa.string())])
DAY = date(2026, 1, 31)


@pytest.fixture
def tables(aws: str, unique: str) -> IcebergResource:
    boto3.client("s3").create_bucket(Bucket=f"lake-{unique}")
    boto3.client("glue").create_database(DatabaseInput={"Name": unique})
    resource = IcebergResource(database=unique, bucket=f"lake-{unique}")
    resource.ensure("results", SCHEMA, ["day", "audit_id"])
    return resource


def rows(audit_id: str, *values: str | None, day: date = DAY) -> pa.RecordBatch:
    columns = {"audit_id": [audit_id] * len(values), "day": [day] * len(values), "value": list(values)}
    return pa.RecordBatch.from_pydict(columns, schema=SCHEMA)


def read(tables: IcebergResource) -> list[tuple[str, str, str | None]]:
    found = tables.read("results").to_pylist()
    return sorted(((row["day"].isoformat(), row["audit_id"], row["value"]) for row in found), key=str)


def snapshots(tables: IcebergResource) -> list[int | None]:
    table = tables._load("results")
    assert table is not None
    return [snapshot.snapshot_id for snapshot in table.metadata.snapshots]


def test_a_slice_is_replaced_and_the_others_stay(tables: IcebergResource) -> None:
    other = DAY + timedelta(days=1)
    tables.replace("results", {"day": [other], "audit_id": ["a"]}, lambda: [rows("a", "kept", day=other)])
    where = {"day": [DAY], "audit_id": ["a", "b", "c"]}
    assert tables.replace("results", where, lambda: [rows("a", "1", None), rows("b", "")]) == 3
    assert tables.replace("results", where, lambda: [rows("a", "2")]) == 1
    assert read(tables) == [("2026-01-31", "a", "2"), ("2026-02-01", "a", "kept")]
    assert tables.replace("results", where, list) == 0
    assert read(tables) == [("2026-02-01", "a", "kept")]
    before = snapshots(tables)
    assert tables.replace("results", where, list) == 0
    assert snapshots(tables) == before, "nothing to do left a commit"


def test_null_and_the_empty_string_stay_apart(tables: IcebergResource) -> None:
    tables.replace("results", {"day": [DAY], "audit_id": ["a"]}, lambda: [rows("a", None, "")])
    assert [value for *_, value in read(tables)] == ["", None]


def test_rows_that_fail_to_come_leave_the_old_ones(
    tables: IcebergResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = {"day": [DAY], "audit_id": ["a"]}
    tables.replace("results", where, lambda: [rows("a", "old")])
    monkeypatch.setattr(iceberg, "_CHUNK_BYTES", 1)

    def broken() -> Iterator[pa.RecordBatch]:
        yield rows("a", "new")
        raise ConnectionError("the run was killed")

    with pytest.raises(ConnectionError):
        tables.replace("results", where, broken)
    assert read(tables) == [("2026-01-31", "a", "old")]


def test_many_rows_are_one_commit_and_never_held_at_once(
    tables: IcebergResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(iceberg, "_CHUNK_BYTES", 4 * rows("a", *["x" * 50] * 100).nbytes)
    alive: weakref.WeakValueDictionary[int, pa.RecordBatch] = weakref.WeakValueDictionary()
    most = 0

    def many() -> Iterator[pa.RecordBatch]:
        nonlocal most
        for number in range(40):
            batch = rows("a", *["x" * 50] * 100)
            alive[number] = batch
            yield batch
            del batch
            most = max(most, len(alive))

    assert tables.replace("results", {"day": [DAY], "audit_id": ["a"]}, many) == 4000
    assert most <= 10
    table = tables._load("results")
    assert table is not None
    assert len(table.metadata.metadata_log) == 1, "more than one commit since it was created"
    assert tables.count("results", ["day"]) == {(DAY,): 4000}


@pytest.mark.parametrize(("files", "size"), [(2, 1 << 30), (8, 1)])
def test_whoever_reads_slowly_holds_a_few_files(
    tables: IcebergResource, monkeypatch: pytest.MonkeyPatch, files: int, size: int
) -> None:
    """So many are read ahead, or so many bytes, and one file at least."""
    names = [f"audit-{number:02}" for number in range(12)]
    where = {"day": [DAY]}
    tables.replace("results", where, lambda: [rows(name, "x", "y") for name in names])
    begun: list[None] = []
    reads = ArrowScan.to_record_batches

    def counted(scan: ArrowScan, tasks: Iterable[Any]) -> Iterator[pa.RecordBatch]:
        tasks = list(tasks)
        begun.extend([None] * len(tasks))
        return reads(scan, tasks)

    monkeypatch.setattr(ArrowScan, "to_record_batches", counted)
    monkeypatch.setattr(iceberg, "_FILES_AHEAD", files)
    monkeypatch.setattr(iceberg, "_BYTES_AHEAD", size)
    found: list[str] = []
    for taken, batch in enumerate(tables.batches("results", ["audit_id"], where), start=1):
        assert len(begun) <= taken + (files if size > 1 else 1)
        found += batch.column("audit_id").to_pylist()
    assert sorted(found) == sorted(names * 2)


def test_writers_at_the_same_time_lose_nothing(tables: IcebergResource) -> None:
    def write(writer: int) -> None:
        mine = DAY + timedelta(days=writer)
        tables.replace("results", {"day": [mine], "audit_id": ["a"]}, lambda: [rows("a", "own", day=mine)])
        common = {"day": [DAY], "audit_id": ["a"]}
        tables.replace("results", common, lambda: [rows("a", *[str(writer)] * writer)])

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write, (1, 2, 3)))
    counts = tables.count("results", ["day", "audit_id"])
    assert {key: counts.pop(key) for key in [(DAY + timedelta(days=n), "a") for n in (1, 2, 3)]} == {
        (DAY + timedelta(days=n), "a"): 1 for n in (1, 2, 3)
    }
    survivors = {value for day, _, value in read(tables) if day == "2026-01-31"}
    assert len(survivors) == 1, "rows of two writers stand side by side"
    assert counts == {(DAY, "a"): int(survivors.pop() or 0)}


def test_rows_are_counted_by_partition_without_reading(tables: IcebergResource) -> None:
    where = {"day": [DAY], "audit_id": ["a", "b"]}
    tables.replace("results", where, lambda: [rows("a", "1", "2"), rows("b", "3")])
    assert tables.count("results", ["audit_id"], {"day": [DAY]}) == {("a",): 2, ("b",): 1}
    assert tables.count("results", ["day", "audit_id"], {"audit_id": ["b"]}) == {(DAY, "b"): 1}
    assert tables.count("results", ["day"], {"day": [DAY + timedelta(days=1)]}) == {}


def test_only_what_is_asked_for_is_read(tables: IcebergResource) -> None:
    where = {"day": [DAY], "audit_id": ["a", "b"]}
    tables.replace("results", where, lambda: [rows("a", "1"), rows("b", "2")])
    found = tables.read("results", ["value"], {"audit_id": ["b"]})
    assert found.column_names == ["value"]
    assert found.to_pylist() == [{"value": "2"}]


def test_a_new_column_is_added_and_old_rows_stay(tables: IcebergResource) -> None:
    tables.replace("results", {"day": [DAY], "audit_id": ["a"]}, lambda: [rows("a", "1")])
    tables.ensure("results", SCHEMA.append(pa.field("reason", pa.string())), ["day", "audit_id"])
    assert tables.read("results").to_pylist() == [{"audit_id": "a", "day": DAY, "value": "1", "reason": None}]
    tables.ensure("results", SCHEMA, ["day", "audit_id"])
    assert "reason" in tables.read("results").column_names


def test_a_table_made_by_two_runs_at_once_is_one_table(tables: IcebergResource) -> None:
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: tables.ensure("other", SCHEMA, ["day"]), range(3)))
    assert tables.count("other", ["day"]) == {}


def test_a_long_history_is_cut(tables: IcebergResource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iceberg, "_SNAPSHOTS_KEPT", 3)
    monkeypatch.setattr(iceberg, "_SNAPSHOT_DAYS", 0)
    for value in "1234":
        tables.replace("results", {"day": [DAY], "audit_id": ["a"]}, lambda value=value: [rows("a", value)])
    assert len(snapshots(tables)) <= 3
    assert read(tables) == [("2026-01-31", "a", "4")]


def test_a_writer_that_was_slower_replaces_what_the_faster_one_wrote(tables: IcebergResource) -> None:
    where = {"day": [DAY], "audit_id": ["a"]}
    tables.replace("results", where, lambda: [rows("a", "old")])
    calls = []

    def overtaken() -> list[pa.RecordBatch]:
        calls.append(1)
        if len(calls) == 1:
            tables.replace("results", where, lambda: [rows("a", "faster", "faster")])
        return [rows("a", "slower")]

    assert tables.replace("results", where, overtaken) == 1
    assert read(tables) == [("2026-01-31", "a", "slower")]
    assert len(calls) == 2
