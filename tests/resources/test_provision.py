"""The declared resources against local AWS: made once, corrected when changed, each difference named."""

import gzip
import json
import time
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from privacy_assets.snapshot.names import crawler as crawler_name
from privacy_assets.snapshot.names import raw_table
from resources.glue import GlueResource
from resources.provision import Names, ProvisionError, TableShape, differences, provision

ACCOUNT = "123456789012"


@pytest.fixture
def names(aws: str, unique: str) -> Names:
    return Names(
        bucket=f"lake-{unique}",
        database=f"db_{unique}",
        workgroup=f"wg-{unique}",
        crawler_role=f"arn:aws:iam::{ACCOUNT}:role/crawler-{unique}",
        queue=f"exports-{unique}",
        dead_letters=f"exports-{unique}-dead",
        topic=f"alerts-{unique}",
        rule=f"export-complete-{unique}",
        scan_requests=f"scans-{unique}",
        scan_dead_letters=f"scans-{unique}-dead",
        scan_jobs=f"scan-jobs-{unique}",
    )


@pytest.fixture
def tables(unique: str) -> list[TableShape]:
    return [
        TableShape("logs", f"Logs{unique}", (("log_id", "S"),)),
        TableShape("orders", f"Orders{unique}", (("id", "S"), ("number", "N"))),
    ]


def test_a_second_time_changes_nothing(names: Names, tables: list[TableShape]) -> None:
    first = provision(tables, names)
    assert [line.rpartition(": ")[2] for line in first] == ["created"] * 15
    assert provision(tables, names) == []
    assert differences(tables, names) == []


def test_other_peoples_rules_stay(names: Names, tables: list[TableShape]) -> None:
    provision(tables, names)
    s3 = boto3.client("s3")
    own = {
        "ID": "own",
        "Status": "Enabled",
        "Filter": {"Prefix": "ours/"},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 35},
    }
    s3.put_bucket_lifecycle_configuration(Bucket=names.bucket, LifecycleConfiguration={"Rules": [own]})
    assert provision(tables, names) == [f"bucket {names.bucket}: corrected days kept"]
    assert differences(tables, names) == []
    rules = s3.get_bucket_lifecycle_configuration(Bucket=names.bucket)["Rules"]
    assert {rule["ID"] for rule in rules} == {"own", "athena", "athena-people", "restores"}
    assert {rule["NoncurrentVersionExpiration"]["NoncurrentDays"] for rule in rules} == {14, 35}


def test_an_empty_account_lacks_everything(names: Names, tables: list[TableShape]) -> None:
    lines = differences(tables, names)
    assert len(lines) == 15
    assert all(line.endswith(": missing") for line in lines)


CHANGES: dict[str, tuple[Callable[[Names, list[TableShape]], Any], str]] = {
    "bucket versioning": (
        lambda names, _: boto3.client("s3").put_bucket_versioning(
            Bucket=names.bucket, VersioningConfiguration={"Status": "Suspended"}
        ),
        "bucket {bucket}: versioning is Suspended, expected Enabled",
    ),
    "bucket public": (
        lambda names, _: boto3.client("s3").delete_public_access_block(Bucket=names.bucket),
        "bucket {bucket}: public access is possible, expected blocked",
    ),
    "bucket events": (
        lambda names, _: boto3.client("s3").put_bucket_notification_configuration(
            Bucket=names.bucket, NotificationConfiguration={}
        ),
        "bucket {bucket}: events to EventBridge is false, expected true",
    ),
    "bucket lifecycle": (
        lambda names, _: boto3.client("s3").delete_bucket_lifecycle(Bucket=names.bucket),
        'bucket {bucket}: days kept is {{}}, expected {{"athena": 14, "athena-people": 14, "restores": 14}}',
    ),
    "database": (
        lambda names, _: boto3.client("glue").delete_database(Name=names.database),
        "database {database}: missing",
    ),
    "crawler gone": (
        lambda names, _: boto3.client("glue").delete_crawler(Name=names.crawler("logs")),
        "crawler {database}-logs-exports: missing",
    ),
    "crawler changed": (
        lambda names, _: boto3.client("glue").update_crawler(
            Name=names.crawler("logs"),
            RecrawlPolicy={"RecrawlBehavior": "CRAWL_EVERYTHING"},
            TablePrefix="x_",
        ),
        "crawler {database}-logs-exports: table prefix is x_, expected raw_",
    ),
    "workgroup": (
        lambda names, _: boto3.client("athena").update_work_group(
            WorkGroup=names.workgroup, ConfigurationUpdates={"EnforceWorkGroupConfiguration": True}
        ),
        "workgroup {workgroup}: overrides the client's output location is true, expected false",
    ),
    "queue": (
        lambda names, _: boto3.client("sqs").delete_queue(
            QueueUrl=boto3.client("sqs").get_queue_url(QueueName=names.dead_letters)["QueueUrl"]
        ),
        "queue {dead_letters}: missing",
    ),
    "queue changed": (
        lambda names, _: boto3.client("sqs").set_queue_attributes(
            QueueUrl=boto3.client("sqs").get_queue_url(QueueName=names.queue)["QueueUrl"],
            Attributes={"MessageRetentionPeriod": "86400"},
        ),
        "queue {queue}: days kept is 1, expected 14",
    ),
    "rule off": (
        lambda names, _: boto3.client("events").disable_rule(Name=names.rule),
        "rule {rule}: state is DISABLED, expected ENABLED",
    ),
    "rule without target": (
        lambda names, _: boto3.client("events").remove_targets(Rule=names.rule, Ids=[names.queue]),
        'rule {rule}: targets is [], expected ["arn:aws:sqs:us-east-1:123456789012:{queue}"]',
    ),
    "topic": (
        lambda names, _: boto3.client("sns").delete_topic(
            TopicArn=f"arn:aws:sns:us-east-1:{ACCOUNT}:{names.topic}"
        ),
        "topic {topic}: missing",
    ),
    "role": (
        lambda names, _: boto3.client("iam").delete_role_policy(
            RoleName=names.crawler_role.rpartition("/")[2], PolicyName="crawl"
        ),
        "role {role}: may is {{}}, expected ",
    ),
    "table gone": (
        lambda _, tables: boto3.client("dynamodb").delete_table(TableName=tables[0].table),
        "table {table}: missing",
    ),
    "table without recovery": (
        lambda _, tables: boto3.client("dynamodb").update_continuous_backups(
            TableName=tables[0].table,
            PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False},
        ),
        "table {table}: point-in-time recovery is DISABLED, expected ENABLED",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_changed_by_hand_is_named_and_corrected(
    change: str, names: Names, tables: list[TableShape]
) -> None:
    provision(tables, names)
    act, line = CHANGES[change]
    act(names, tables)
    found = differences(tables, names)
    role = names.crawler_role.rpartition("/")[2]
    expected = line.format(**vars(names), role=role, table=tables[0].table)
    assert len(found) == 1
    assert found[0].startswith(expected)
    assert len(provision(tables, names)) == 1
    assert differences(tables, names) == []


def test_a_table_with_other_keys_is_named_and_refused(names: Names, tables: list[TableShape]) -> None:
    provision(tables, names)
    other = [TableShape("logs", tables[0].table, (("log_id", "S"), ("at", "N")))]
    assert (
        f'table {tables[0].table}: keys is [["log_id", "S"]], expected [["log_id", "S"], ["at", "N"]]'
        in differences(other, names)
    )
    with pytest.raises(ProvisionError, match=tables[0].table):
        provision(other, names)


def test_the_crawler_makes_the_raw_table_of_an_export_and_nothing_else(
    names: Names, tables: list[TableShape]
) -> None:
    provision(tables, names)
    s3, glue = boto3.client("s3"), GlueResource(database=names.database)
    place = "exports/logs/snapshot_date=2026-01-01/AWSDynamoDB/01-a"
    data = gzip.compress(b'{"Item": {"log_id": {"S": "1"}}}\n')
    s3.put_object(Bucket=names.bucket, Key=f"{place}/data/a.json.gz", Body=data)
    for key in ("_started", "manifest-files.json", "manifest-files.md5", "manifest-summary.json"):
        s3.put_object(Bucket=names.bucket, Key=f"{place}/{key}", Body=b"{}")
    crawler = crawler_name(names.database, "logs")
    glue.start_crawler(crawler)
    deadline = time.monotonic() + 60
    while not glue.crawl_ended(crawler):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    tables_made = boto3.client("glue").get_tables(DatabaseName=names.database)["TableList"]
    assert [table["Name"] for table in tables_made] == [raw_table("logs")]
    found = glue.partitions(raw_table("logs"), "snapshot_date = '2026-01-01'")
    assert [partition.location for partition in found] == [f"s3://{names.bucket}/{place}/data/"]
    assert found[0].parameters["objectCount"] == "1"


def test_a_finished_export_reaches_the_queue(names: Names, tables: list[TableShape]) -> None:
    provision(tables, names)
    s3, sqs = boto3.client("s3"), boto3.client("sqs")
    place = "exports/logs/snapshot_date=2026-01-01/AWSDynamoDB/01-a"
    for key in (f"{place}/data/a.json.gz", f"{place}/manifest-files.json", "other/manifest-summary.json"):
        s3.put_object(Bucket=names.bucket, Key=key, Body=b"x")
    s3.put_object(Bucket=names.bucket, Key=f"{place}/manifest-summary.json", Body=b"{}")
    url = sqs.get_queue_url(QueueName=names.queue)["QueueUrl"]
    deadline = time.monotonic() + 20
    messages: list[Any] = []
    while not messages and time.monotonic() < deadline:
        messages = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=2, MaxNumberOfMessages=10).get(
            "Messages", []
        )
    events = [json.loads(message["Body"]) for message in messages]
    assert [event["detail"]["object"]["key"] for event in events] == [f"{place}/manifest-summary.json"]
    assert events[0]["detail-type"] == "Object Created"
