"""The archive's resources: each difference from what they should be is one line, and is corrected."""

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from resources.provision import Names, TableShape, differences, provision
from resources.provision_archive import ArchiveNames
from tests.house import archive_names

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
        archive=archive_names(unique),
    )


@pytest.fixture
def tables(unique: str) -> list[TableShape]:
    return [
        TableShape("logs", f"Logs{unique}", (("log_id", "S"),), retention_days=365),
        TableShape("orders", f"Orders{unique}", (("id", "S"), ("number", "N"))),
    ]


def url(queue: str) -> str:
    return str(boto3.client("sqs").get_queue_url(QueueName=queue)["QueueUrl"])


def update_pipe(names: ArchiveNames, **changed: Any) -> None:
    pipes = boto3.client("pipes")
    pipe = pipes.describe_pipe(Name=names.pipe("logs"))
    parameters = pipe["SourceParameters"]
    stream = {**parameters["DynamoDBStreamParameters"], **changed.pop("stream", {})}
    stream.pop("StartingPosition")
    filters = changed.pop("filters", parameters["FilterCriteria"])
    pipes.update_pipe(
        Name=pipe["Name"],
        **{
            "RoleArn": pipe["RoleArn"],
            "Target": pipe["Target"],
            "DesiredState": pipe["DesiredState"],
            "SourceParameters": {"DynamoDBStreamParameters": stream, "FilterCriteria": filters},
            **changed,
        },
    )


def other_alarm(names: ArchiveNames, **changed: Any) -> None:
    alarm = {
        "AlarmName": f"{names.queue}-age",
        "Namespace": "AWS/SQS",
        "MetricName": "ApproximateAgeOfOldestMessage",
        "Dimensions": [{"Name": "QueueName", "Value": names.queue}],
        "Statistic": "Maximum",
        "Period": 300,
        "EvaluationPeriods": 1,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
        "Threshold": names.alert_hours * 3600,
        "AlarmActions": [f"arn:aws:sns:us-east-1:{ACCOUNT}:{names.topic}"],
    }
    boto3.client("cloudwatch").put_metric_alarm(**{**alarm, **changed})


def other_rules(names: ArchiveNames, days: int) -> None:
    """The lifecycle of ``logs`` alone, with other days."""
    s3 = boto3.client("s3")
    rules = s3.get_bucket_lifecycle_configuration(Bucket=names.bucket)["Rules"]
    (rule,) = [rule for rule in rules if rule["ID"] == "logs"]
    rule["Expiration"] = {"Days": days}
    others = [other for other in rules if other["ID"] != "logs"]
    s3.put_bucket_lifecycle_configuration(
        Bucket=names.bucket, LifecycleConfiguration={"Rules": [rule, *others]}
    )


STREAM_OFF = {"StreamEnabled": False}

CHANGES: dict[str, tuple[Callable[[ArchiveNames, str], Any], str]] = {
    "bucket without lifecycle": (
        lambda names, _: boto3.client("s3").delete_bucket_lifecycle(Bucket=names.bucket),
        "archive bucket {bucket}: lifecycle is {{}}, expected ",
    ),
    "bucket kept for another time": (
        lambda names, _: other_rules(names, 30),
        'archive bucket {bucket}: lifecycle is {{"logs": {{"colder": [[30, ',
    ),
    "bucket without versions": (
        lambda names, _: boto3.client("s3").put_bucket_versioning(
            Bucket=names.bucket, VersioningConfiguration={"Status": "Suspended"}
        ),
        "archive bucket {bucket}: versioning is Suspended, expected Enabled",
    ),
    "bucket public": (
        lambda names, _: boto3.client("s3").delete_public_access_block(Bucket=names.bucket),
        "archive bucket {bucket}: public access is possible, expected blocked",
    ),
    "bucket not encrypted": (
        lambda names, _: boto3.client("s3").delete_bucket_encryption(Bucket=names.bucket),
        'archive bucket {bucket}: encryption is not set, expected ["aws:kms", ',
    ),
    "bucket encrypted with another key": (
        lambda names, _: boto3.client("s3").put_bucket_encryption(
            Bucket=names.bucket,
            ServerSideEncryptionConfiguration={
                "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            },
        ),
        'archive bucket {bucket}: encryption is ["AES256", null], expected ["aws:kms", ',
    ),
    "key disabled": (
        lambda names, _: boto3.client("kms").disable_key(
            KeyId=boto3.client("kms").describe_key(KeyId=names.key)["KeyMetadata"]["KeyId"]
        ),
        "key {key}: state is Disabled, expected Enabled",
    ),
    "key never rotated": (
        lambda names, _: boto3.client("kms").disable_key_rotation(
            KeyId=boto3.client("kms").describe_key(KeyId=names.key)["KeyMetadata"]["KeyId"]
        ),
        "key {key}: rotated is false, expected true",
    ),
    "pipe gone": (
        lambda names, _: boto3.client("pipes").delete_pipe(Name=names.pipe("logs")),
        "pipe {pipe}: missing",
    ),
    "pipe stopped": (
        lambda names, _: boto3.client("pipes").stop_pipe(Name=names.pipe("logs")),
        "pipe {pipe}: state is STOPPED, expected RUNNING",
    ),
    "pipe without filter": (
        lambda names, _: update_pipe(names, filters={"Filters": []}),
        'pipe {pipe}: filter is [], expected {{"eventName": ["REMOVE"]}}',
    ),
    "pipe to another queue": (
        lambda names, _: update_pipe(names, Target=f"arn:aws:sqs:us-east-1:{ACCOUNT}:{names.dead_letters}"),
        "pipe {pipe}: target is arn:aws:sqs:us-east-1:123456789012:{dead_letters}, expected ",
    ),
    "pipe without patience": (
        lambda names, _: update_pipe(names, stream={"MaximumRecordAgeInSeconds": 60}),
        "pipe {pipe}: seconds a record is tried is 60, expected 3600",
    ),
    "pipe without dead letters": (
        lambda names, _: update_pipe(names, stream={"DeadLetterConfig": {}}),
        "pipe {pipe}: dead letters is not set, expected arn:aws:sqs:",
    ),
    "pipe's role": (
        lambda names, _: boto3.client("iam").delete_role_policy(
            RoleName=names.pipe_role.rpartition("/")[2],
            PolicyName=boto3.client("iam").list_role_policies(RoleName=names.pipe_role.rpartition("/")[2])[
                "PolicyNames"
            ][0],
        ),
        "role {role}: may is {{}}, expected ",
    ),
    "alarm gone": (
        lambda names, _: boto3.client("cloudwatch").delete_alarms(AlarmNames=[f"{names.queue}-age"]),
        "alarm {queue}-age: missing",
    ),
    "alarm that tells nobody": (
        lambda names, _: other_alarm(names, AlarmActions=[]),
        'alarm {queue}-age: tells is [], expected ["arn:aws:sns:us-east-1:123456789012:{topic}"]',
    ),
    "alarm too late": (
        lambda names, _: other_alarm(names, Threshold=86_400),
        "alarm {queue}-age: seconds is 86400.0, expected 43200.0",
    ),
    "alarm switched off": (
        lambda names, _: boto3.client("cloudwatch").disable_alarm_actions(AlarmNames=[f"{names.queue}-age"]),
        "alarm {queue}-age: switched on is false, expected true",
    ),
    "alarm of another comparison": (
        lambda names, _: other_alarm(names, ComparisonOperator="LessThanThreshold"),
        "alarm {queue}-age: fires is LessThanThreshold, expected GreaterThanOrEqualToThreshold",
    ),
    "queue not encrypted": (
        lambda names, _: boto3.client("sqs").set_queue_attributes(
            QueueUrl=url(names.queue), Attributes={"SqsManagedSseEnabled": "false"}
        ),
        "queue {queue}: encrypted is false, expected true",
    ),
    "queue that forgets": (
        lambda names, _: boto3.client("sqs").set_queue_attributes(
            QueueUrl=url(names.queue), Attributes={"MessageRetentionPeriod": "86400"}
        ),
        "queue {queue}: days kept is 1, expected 14",
    ),
    "queue that gives up early": (
        lambda names, _: boto3.client("sqs").set_queue_attributes(
            QueueUrl=url(names.queue),
            Attributes={
                "RedrivePolicy": json.dumps(
                    {
                        "deadLetterTargetArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:{names.dead_letters}",
                        "maxReceiveCount": 1,
                    }
                )
            },
        ),
        "queue {queue}: dead letters is ",
    ),
    "erasures without recovery": (
        lambda names, _: boto3.client("dynamodb").update_continuous_backups(
            TableName=names.erasures, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False}
        ),
        "table {erasures}: point-in-time recovery is DISABLED, expected ENABLED",
    ),
}


def line_of(names: ArchiveNames, line: str) -> str:
    role = names.pipe_role.rpartition("/")[2]
    return line.format(**vars(names), pipe=names.pipe("logs"), role=role)


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_changed_by_hand_is_named_and_corrected(
    change: str, names: Names, tables: list[TableShape]
) -> None:
    archive = names.archive
    assert archive is not None
    provision(tables, names)
    assert differences(tables, names) == []
    act, line = CHANGES[change]
    act(archive, tables[0].table)
    (found,) = differences(tables, names)
    assert found.startswith(line_of(archive, line))
    assert len(provision(tables, names)) == 1
    assert differences(tables, names) == []


def test_a_stream_that_is_off_and_one_that_is_another_by_now(names: Names, tables: list[TableShape]) -> None:
    archive, dynamodb, table = names.archive, boto3.client("dynamodb"), tables[0].table
    assert archive is not None
    provision(tables, names)
    dynamodb.update_table(TableName=table, StreamSpecification=STREAM_OFF)
    expected = f"table {table}: stream is not set, expected NEW_AND_OLD_IMAGES"
    assert expected in differences(tables, names)
    dynamodb.update_table(
        TableName=table,
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    pipe = archive.pipe("logs")
    assert differences(tables, names) == [
        f"pipe {pipe}: table is one whose stream is another by now, expected {table}"
    ]
    provision(tables, names)
    assert differences(tables, names) == []


def test_a_table_that_is_new_has_no_pipe_yet(names: Names, tables: list[TableShape]) -> None:
    archive = names.archive
    assert archive is not None
    provision(tables[:1], names)
    found = differences(tables, names)
    assert f"pipe {archive.pipe('orders')}: missing" in found
    assert any(line.startswith(f"archive bucket {archive.bucket}: lifecycle is ") for line in found)


def test_rules_for_all_of_a_bucket_count_if_they_decide_about_records(
    names: Names, tables: list[TableShape]
) -> None:
    """The deployment's rule for uploads that were never finished is no difference; an expiry is."""
    archive = names.archive
    assert archive is not None
    provision(tables, names)
    s3 = boto3.client("s3")
    rules = s3.get_bucket_lifecycle_configuration(Bucket=archive.bucket)["Rules"]
    unfinished = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}
    for decides, differing in ((unfinished, 0), ({"Expiration": {"Days": 1}}, 1)):
        rule = {"ID": "all", "Status": "Enabled", "Filter": {"Prefix": ""}, **decides}
        s3.put_bucket_lifecycle_configuration(
            Bucket=archive.bucket, LifecycleConfiguration={"Rules": [*rules, rule]}
        )
        assert len(differences(tables, names)) == differing
