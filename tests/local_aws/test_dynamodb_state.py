"""What a killed server keeps: items, histories, streams, backups and exports, finished and unfinished."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from local_aws.process import Server, running
from tests.local_aws.dynamodb import Exported, Table, day, item
from tests.local_aws.dynamodb import client as make_client


@contextmanager
def _killed_at_the_end(state: Path) -> Iterator[Server]:
    with running(state=state) as server:
        yield server
        os.kill(server.pid, signal.SIGKILL)


def _again(server: Server, table: Table) -> Table:
    """The table as the server that was started again has it."""
    again = Table(server.endpoint, table.name)
    again.arn = table.arn
    return again


def test_everything_acknowledged_is_there_after_a_kill(tmp_path: Path) -> None:
    with _killed_at_the_end(tmp_path) as server:
        table = Table(server.endpoint, "kept", stream=True).create()
        gone = Table(server.endpoint, "gone-table").create()
        gone.load({"Item": item("x")})
        gone.client.delete_table(TableName=gone.name)
        renewed = Table(server.endpoint, "renewed").create()
        renewed.load({"Item": item("old")})
        renewed.client.delete_table(TableName=renewed.name)
        renewed.client.create_table(
            TableName=renewed.name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        renewed.load({"Item": item("new")})
        table.load({"Item": item("a", "then"), "WriteTime": day(3).isoformat()})
        table.client.put_item(TableName=table.name, Item=item("a", "now"))
        table.client.transact_write_items(
            TransactItems=[{"Put": {"TableName": table.name, "Item": item("b", "now")}}]
        )
        backup = table.client.create_backup(TableName=table.name, BackupName="nightly")["BackupDetails"][
            "BackupArn"
        ]
        export = table.export(S3Prefix="first")
        table.client.put_item(TableName=table.name, Item=item("c", "last"))
        described = _described(table)
        records = _records(table)
    assert len(records) == 3
    with _killed_at_the_end(tmp_path) as server:
        table = _again(server, table)
        assert _described(table) == described
        assert table.items() == [item("a", "now"), item("b", "now"), item("c", "last")]
        assert table.as_of(day(2)) == [item("a", "then")]
        assert _records(table) == records
        found = table.client.describe_export(ExportArn=export.description["ExportArn"])["ExportDescription"]
        assert found == export.description
        assert Exported(table, found).items == [item("a", "now"), item("b", "now")]
        assert table.client.list_tables()["TableNames"] == ["kept", "renewed"]
        assert _again(server, renewed).items() == [item("new")]
        table.client.restore_table_from_backup(TargetTableName="restored", BackupArn=backup)
        assert Table(server.endpoint, "restored").items() == [item("a", "now"), item("b", "now")]
        table.client.put_item(TableName=table.name, Item=item("a", "later"))
        assert [record["dynamodb"]["NewImage"] for record in _records(table)][3:] == [item("a", "later")]
    with _killed_at_the_end(tmp_path) as server:
        assert _again(server, table).items()[0] == item("a", "later")
        assert Table(server.endpoint, "restored").items() == [item("a", "now"), item("b", "now")]


def test_an_unfinished_export_is_completed_once_after_a_kill(tmp_path: Path) -> None:
    with _killed_at_the_end(tmp_path) as server:
        table = Table(server.endpoint, "table").create()
        table.load({"Item": item("a", "at the time")})
        requests.post(f"{server.endpoint}/_local/dynamodb/settings", json={"export_seconds": 600}, timeout=60)
        export = table.start_export(ClientToken="token")
        _wait_for(table, f"AWSDynamoDB/{export['ExportArn'].rsplit('/', 1)[1]}/data/", 4)
        table.client.put_item(TableName=table.name, Item=item("a", "later"))
        assert table.client.describe_export(ExportArn=export["ExportArn"])["ExportDescription"][
            "ExportStatus"
        ] == ("IN_PROGRESS")
    with running(state=tmp_path) as server:
        table = _again(server, table)
        assert table.start_export(ClientToken="token")["ExportArn"] == export["ExportArn"]
        done = Exported(table, table.ended(export["ExportArn"]))
        assert done.items == [item("a", "at the time")]
        listed = table.client.list_exports(TableArn=table.arn)["ExportSummaries"]
        assert [found["ExportStatus"] for found in listed] == ["COMPLETED"]
        keys = [found["Key"] for found in table.s3.list_objects_v2(Bucket=table.bucket)["Contents"]]
        assert len([key for key in keys if "/data/" in key]) == 4
        assert len(keys) == 4 + 5


def test_an_export_killed_behind_its_manifest_writes_no_second_one(tmp_path: Path) -> None:
    """The record still says IN_PROGRESS, as if the server had died between the manifest and its last note."""
    import sqlite3

    with running(state=tmp_path) as server:
        table = Table(server.endpoint, "table").create()
        table.s3.put_bucket_versioning(Bucket=table.bucket, VersioningConfiguration={"Status": "Enabled"})
        table.load({"Item": item("a")})
        export = table.export().description
    with sqlite3.connect(tmp_path / "dynamodb" / "state.sqlite3") as store:
        store.execute(
            "UPDATE exports SET status = 'IN_PROGRESS', record = json_set(record, '$.status', 'IN_PROGRESS',"
            " '$.ended', NULL, '$.items', 0, '$.billed_bytes', 0)"
        )
    with running(state=tmp_path) as server:
        table = _again(server, table)
        assert table.ended(export["ExportArn"]) == export
        versions = table.s3.list_object_versions(Bucket=table.bucket)["Versions"]
        assert len([version for version in versions if version["Key"] == export["ExportManifest"]]) == 1


def test_no_write_is_lost_that_was_acknowledged_when_the_server_dies_at_work(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    some = threading.Event()

    def write(client: Any) -> None:
        for number in range(10_000):
            try:
                client.put_item(TableName="table", Item=item(f"{number:05}"))
            except Exception:  # noqa: BLE001  # the server is dead
                return
            acknowledged.append(f"{number:05}")
            if number == 50:
                some.set()

    with running(state=tmp_path) as server:
        table = Table(server.endpoint, "table").create()
        client = make_client("dynamodb", server.endpoint)
        writer = threading.Thread(target=write, args=(client,))
        writer.start()
        assert some.wait(60)
        os.kill(server.pid, signal.SIGKILL)
        writer.join(60)
    with running(state=tmp_path) as server:
        kept = [found["id"]["S"] for found in _again(server, table).items()]
    assert kept[: len(acknowledged)] == acknowledged
    assert len(kept) <= len(acknowledged) + 1


def test_reset_empties_tables_histories_and_exports(tmp_path: Path) -> None:
    with running(state=tmp_path) as server:
        table = Table(server.endpoint, "table").create()
        table.load({"Item": item("a"), "WriteTime": day(2).isoformat()})
        arn = table.export().description["ExportArn"]
        assert requests.post(f"{server.endpoint}/_local/reset", timeout=60).ok
        assert table.client.list_tables()["TableNames"] == []
        assert table.client.list_exports()["ExportSummaries"] == []
        table.create()
        assert table.as_of(day(1)) == []
        assert arn.rsplit("/", 1)[1] not in str(table.client.list_exports())


def _described(table: Table) -> dict[str, Any]:
    described: dict[str, Any] = table.client.describe_table(TableName=table.name)["Table"]
    return described


def _records(table: Table) -> list[dict[str, Any]]:
    streams = make_client("dynamodbstreams", table.endpoint)
    arn = _described(table)["LatestStreamArn"]
    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    return streams.get_records(ShardIterator=iterator["ShardIterator"])["Records"]


def _wait_for(table: Table, prefix: str, count: int) -> None:
    """Until so many objects are there; the export goes no further while it lasts."""
    end = threading.Event()
    for _ in range(3_000):
        if len(table.s3.list_objects_v2(Bucket=table.bucket, Prefix=prefix).get("Contents", [])) == count:
            return
        end.wait(0.02)
    raise AssertionError("the data files did not come")
