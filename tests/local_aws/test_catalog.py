"""The Data Catalog over HTTP: lost updates refused, names folded, partitions filtered and paged."""

import threading
from typing import Any

import boto3
import pyarrow as pa
import pytest
from botocore.exceptions import ClientError
from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.exceptions import CommitFailedException

from tests.local_aws.lake import Lake

COLUMNS = [{"Name": "a", "Type": "int"}]


@pytest.fixture
def lake(aws: str, unique: str) -> Lake:
    return Lake(unique)


def table_input(name: str = "t", **more: Any) -> dict[str, Any]:
    keys = [{"Name": "day", "Type": "date"}, {"Name": "hour", "Type": "int"}]
    return {"Name": name, "PartitionKeys": keys, "StorageDescriptor": {"Columns": COLUMNS}, **more}


def partition_input(*values: str) -> dict[str, Any]:
    return {
        "Values": list(values),
        "StorageDescriptor": {"Columns": COLUMNS, "Location": f"s3://x/{'/'.join(values)}"},
    }


def code(call: Any, **arguments: Any) -> str:
    """The code of the error that the call must end in."""
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return str(raised.value.response["Error"]["Code"])


def test_an_update_of_an_old_version_is_refused(lake: Lake) -> None:
    glue, database = lake.glue, lake.database
    glue.create_table(DatabaseName=database, TableInput=table_input())
    version = glue.get_table(DatabaseName=database, Name="t")["Table"]["VersionId"]
    glue.update_table(DatabaseName=database, TableInput=table_input(Description="one"), VersionId=version)
    refused = code(
        glue.update_table, DatabaseName=database, TableInput=table_input(Description="two"), VersionId=version
    )
    assert refused == "ConcurrentModificationException"
    table = glue.get_table(DatabaseName=database, Name="t")["Table"]
    assert table["Description"] == "one"
    assert int(table["VersionId"]) == int(version) + 1
    glue.update_table(DatabaseName=database, TableInput=table_input(Description="unconditional"))
    assert len(glue.get_table_versions(DatabaseName=database, TableName="t")["TableVersions"]) == 3


def test_skip_archive_keeps_no_old_version(lake: Lake) -> None:
    lake.glue.create_table(DatabaseName=lake.database, TableInput=table_input())
    for number in range(3):
        lake.glue.update_table(
            DatabaseName=lake.database, TableInput=table_input(Description=str(number)), SkipArchive=True
        )
    versions = lake.glue.get_table_versions(DatabaseName=lake.database, TableName="t")["TableVersions"]
    assert [version["VersionId"] for version in versions] == ["4"]


def test_of_many_updates_of_one_version_one_wins(lake: Lake) -> None:
    lake.glue.create_table(DatabaseName=lake.database, TableInput=table_input())
    outcomes: list[str] = []

    def update(number: int) -> None:
        try:
            lake.glue.update_table(
                DatabaseName=lake.database, TableInput=table_input(Description=str(number)), VersionId="1"
            )
            outcomes.append("written")
        except lake.glue.exceptions.ConcurrentModificationException:
            outcomes.append("refused")

    threads = [threading.Thread(target=update, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused"] * 7 + ["written"]


def test_appends_of_many_threads_to_an_iceberg_table_all_arrive(aws: str, lake: Lake) -> None:
    schema = pa.schema([("writer", pa.int64()), ("number", pa.int64())])
    properties = {
        "s3.endpoint": aws,
        "s3.access-key-id": "local",
        "s3.secret-access-key": "local",
        "s3.region": "us-east-1",
        "glue.endpoint": aws,
    }
    GlueCatalog("g", **properties).create_table(
        f"{lake.database}.appended", schema, location=f"s3://{lake.bucket}/iceberg"
    )
    failures: list[BaseException] = []
    refusals = 0

    together = threading.Barrier(8)

    def append(writer: int) -> None:
        nonlocal refusals
        table = GlueCatalog("g", **properties).load_table(f"{lake.database}.appended")
        together.wait()  # all have seen the same version: one append goes through, the others are refused
        rows = pa.table({"writer": [writer], "number": [writer * 2]}, schema=schema)
        while True:
            try:
                table.append(rows)
            except CommitFailedException:
                refusals += 1
                table = table.refresh()
            except Exception as error:  # noqa: BLE001  # told by the test
                failures.append(error)
                return
            else:
                return

    threads = [threading.Thread(target=append, args=(writer,)) for writer in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    found = GlueCatalog("g", **properties).load_table(f"{lake.database}.appended").scan().to_arrow()
    rows = sorted(zip(found["writer"].to_pylist(), found["number"].to_pylist(), strict=True))
    assert rows == [(writer, writer * 2) for writer in range(8)]
    assert refusals > 0


def test_names_are_folded_to_lower_case(lake: Lake) -> None:
    glue, database = lake.glue, f"Mixed_{lake.name}"
    glue.create_database(DatabaseInput={"Name": database})
    glue.create_table(DatabaseName=database, TableInput=table_input("MyTable"))
    assert glue.get_database(Name=database.upper())["Database"]["Name"] == database.lower()
    table = glue.get_table(DatabaseName=database.upper(), Name="MYTABLE")["Table"]
    assert (table["Name"], table["DatabaseName"]) == ("mytable", database.lower())
    assert code(glue.create_table, DatabaseName=database, TableInput=table_input("mytable")) == (
        "AlreadyExistsException"
    )
    glue.delete_table(DatabaseName=database, Name="MyTable")
    assert code(glue.get_table, DatabaseName=database, Name="mytable") == "EntityNotFoundException"


def test_a_partition_is_made_once(lake: Lake) -> None:
    glue, where = lake.glue, {"DatabaseName": lake.database, "TableName": "t"}
    glue.create_table(DatabaseName=lake.database, TableInput=table_input())
    glue.create_partition(**where, PartitionInput=partition_input("2026-01-01", "1"))
    again = code(glue.create_partition, **where, PartitionInput=partition_input("2026-01-01", "1"))
    assert again == "AlreadyExistsException"
    answer = glue.batch_create_partition(
        **where, PartitionInputList=[partition_input("2026-01-01", hour) for hour in ("1", "2")]
    )
    assert [error["ErrorDetail"]["ErrorCode"] for error in answer["Errors"]] == ["AlreadyExistsException"]
    assert len(lake.partitions("t")) == 2
    short = code(glue.create_partition, **where, PartitionInput=partition_input("2026-01-01"))
    assert short == "InvalidInputException"
    many = [partition_input("2026-01-02", str(number)) for number in range(101)]
    assert code(glue.batch_create_partition, **where, PartitionInputList=many) == "ValidationException"


def test_a_partition_that_is_moved_onto_another_is_not_lost(lake: Lake) -> None:
    glue, where = lake.glue, {"DatabaseName": lake.database, "TableName": "t"}
    glue.create_table(DatabaseName=lake.database, TableInput=table_input())
    for hour in ("1", "2"):
        glue.create_partition(**where, PartitionInput=partition_input("2026-01-01", hour))

    def update(old: list[str], new: dict[str, Any]) -> None:
        glue.update_partition(**where, PartitionValueList=old, PartitionInput=new)

    with pytest.raises(glue.exceptions.AlreadyExistsException):
        update(["2026-01-01", "1"], partition_input("2026-01-01", "2"))
    assert set(lake.partitions("t")) == {("2026-01-01", "1"), ("2026-01-01", "2")}
    with pytest.raises(glue.exceptions.EntityNotFoundException):
        update(["2026-01-01", "9"], partition_input("2026-01-01", "9"))
    moved = partition_input("2026-01-01", "1")
    moved["StorageDescriptor"]["Location"] = "s3://x/elsewhere"
    update(["2026-01-01", "1"], moved)
    location = lake.partitions("t")["2026-01-01", "1"]["StorageDescriptor"]["Location"]
    assert location == "s3://x/elsewhere"


@pytest.fixture
def partitioned(lake: Lake) -> Lake:
    """A table of 3,000 partitions: 125 days, each with 24 hours."""
    lake.glue.create_table(DatabaseName=lake.database, TableInput=table_input())
    entries = [
        partition_input(f"2026-{1 + day // 28:02}-{1 + day % 28:02}", str(hour))
        for day in range(125)
        for hour in range(24)
    ]
    for start in range(0, len(entries), 100):
        lake.glue.batch_create_partition(
            DatabaseName=lake.database, TableName="t", PartitionInputList=entries[start : start + 100]
        )
    return lake


def test_thousands_of_partitions_are_filtered_and_paged(partitioned: Lake) -> None:
    lake, where = partitioned, {"DatabaseName": partitioned.database, "TableName": "t"}
    for expression, count in (
        ("", 3000),
        ("day = '2026-01-05'", 24),
        ("day >= '2026-01-02' AND day < '2026-01-04'", 48),
        ("day = '2026-01-05' and hour in (1, 2, 30)", 2),
        ("(day = '2026-01-05' or day = '2026-02-01') and hour between 3 and 5", 6),
        ("hour <> 0", 2875),
        ("day > '2027-01-01'", 0),
    ):
        assert len(lake.partitions("t", expression)) == count, expression
    page = lake.glue.get_partitions(**where, MaxResults=100)
    assert len(page["Partitions"]) == 100
    second = lake.glue.get_partitions(**where, MaxResults=100, NextToken=page["NextToken"])
    values = [tuple(entry["Values"]) for entry in page["Partitions"] + second["Partitions"]]
    assert len(set(values)) == 200
    bare = lake.glue.get_partitions(**where, Expression="day = '2026-01-05'", ExcludeColumnSchema=True)
    assert not bare["Partitions"][0]["StorageDescriptor"].get("Columns")
    assert bare["Partitions"][0]["StorageDescriptor"]["Location"]
    segments = [
        lake.glue.get_partitions(
            **where, Expression="day = '2026-01-05'", Segment={"SegmentNumber": number, "TotalSegments": 4}
        )["Partitions"]
        for number in range(4)
    ]
    assert sum(len(segment) for segment in segments) == 24
    for wrong in ("nonsense = 1", "day == '2026'", "day = 'soon'"):
        assert code(lake.glue.get_partitions, **where, Expression=wrong) == "InvalidInputException"


def test_tables_are_paged(lake: Lake) -> None:
    for number in range(5):
        lake.glue.create_table(DatabaseName=lake.database, TableInput=table_input(f"t{number}"))
    first = lake.glue.get_tables(DatabaseName=lake.database, MaxResults=3)
    rest = lake.glue.get_tables(DatabaseName=lake.database, MaxResults=3, NextToken=first["NextToken"])
    names = [table["Name"] for table in first["TableList"] + rest["TableList"]]
    assert names == [f"t{number}" for number in range(5)]
    assert code(lake.glue.get_tables, DatabaseName=lake.database, NextToken="x") == "InvalidInputException"


def test_the_catalog_is_one_for_all_clients(lake: Lake) -> None:
    other = boto3.client("glue")
    other.create_table(DatabaseName=lake.database, TableInput=table_input("shared"))
    assert "shared" in lake.tables()
