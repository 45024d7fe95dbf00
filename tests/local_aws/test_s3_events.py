"""S3's events arrive in queues in the form, and only in the cases, in which AWS sends them."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

ACCOUNT = "123456789012"
KEY = "exports/snapshot_date=2026-01-31/café & cie+1/manifest-summary.json"


class World:
    """A bucket, a queue, and what arrives in it."""

    def __init__(self, unique: str) -> None:
        self.s3 = boto3.client("s3")
        self.sqs = boto3.client("sqs")
        self.events = boto3.client("events")
        self.bucket = f"bucket-{unique}"
        self.s3.create_bucket(Bucket=self.bucket)
        self.queue = self.sqs.create_queue(QueueName=f"queue-{unique}")["QueueUrl"]
        self.queue_arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:queue-{unique}"
        self.rule = f"rule-{unique}"

    def put(self, key: str, body: bytes = b"x", **more: Any) -> dict[str, Any]:
        return self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, **more)

    def through_event_bridge(self, key_patterns: list[Any], **target: Any) -> None:
        self.s3.put_bucket_notification_configuration(
            Bucket=self.bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        self.set_rule({"detail-type": ["Object Created"], "detail": {"object": {"key": key_patterns}}})
        self.events.put_targets(Rule=self.rule, Targets=[{"Id": "queue", "Arn": self.queue_arn, **target}])

    def set_rule(self, pattern: dict[str, Any], state: str = "ENABLED") -> None:
        pattern = {"source": ["aws.s3"], **pattern}
        pattern["detail"] = {"bucket": {"name": [self.bucket]}, **pattern.get("detail", {})}
        self.events.put_rule(Name=self.rule, EventPattern=json.dumps(pattern), State=state)

    def directly(self, events: list[str], **filters: str) -> None:
        rules = [{"Name": name, "Value": value} for name, value in filters.items()]
        configuration = {"QueueArn": self.queue_arn, "Events": events, "Id": "direct"}
        if rules:
            configuration["Filter"] = {"Key": {"FilterRules": rules}}
        self.s3.put_bucket_notification_configuration(
            Bucket=self.bucket, NotificationConfiguration={"QueueConfigurations": [configuration]}
        )
        (test,) = self.received()
        assert test["Event"] == "s3:TestEvent"

    def received(self) -> list[Any]:
        """All that is in the queue: delivery is done when the call that caused it returns."""
        bodies: list[Any] = []
        while found := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                bodies.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return bodies


@pytest.fixture
def world(aws: str, unique: str) -> World:
    return World(unique)


def test_event_bridge_event_is_whole_and_its_key_raw(world: World) -> None:
    world.s3.put_bucket_versioning(Bucket=world.bucket, VersioningConfiguration={"Status": "Enabled"})
    world.through_event_bridge([{"suffix": "manifest-summary.json"}])
    put = world.put(KEY, b"hello")
    (event,) = world.received()
    when = datetime.strptime(event.pop("time"), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - when) < timedelta(minutes=1)
    assert len(event.pop("id")) == 36
    detail = event.pop("detail")
    assert event == {
        "version": "0",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": ACCOUNT,
        "region": "us-east-1",
        "resources": [f"arn:aws:s3:::{world.bucket}"],
    }
    assert len(detail.pop("request-id")) == 16
    assert int(detail["object"].pop("sequencer"), 16) > 0
    assert detail == {
        "version": "0",
        "bucket": {"name": world.bucket},
        "object": {
            "key": KEY,
            "size": 5,
            "etag": put["ETag"].strip('"'),
            "version-id": put["VersionId"],
        },
        "requester": ACCOUNT,
        "source-ip-address": "127.0.0.1",
        "reason": "PutObject",
    }


def test_direct_notification_has_its_key_encoded(world: World) -> None:
    world.directly(["s3:ObjectCreated:*"], prefix="exports/", suffix="manifest-summary.json")
    world.put("elsewhere/manifest-summary.json")
    world.put("exports/manifest-files.json")
    put = world.put(KEY, b"hello")
    ((record,),) = (message["Records"] for message in world.received())
    assert (record["eventName"], record["eventSource"]) == ("ObjectCreated:Put", "aws:s3")
    assert record["s3"]["configurationId"] == "direct"
    assert record["s3"]["bucket"]["name"] == world.bucket
    described = record["s3"]["object"]
    assert described["key"] == (
        "exports/snapshot_date%3D2026-01-31/caf%C3%A9+%26+cie%2B1/manifest-summary.json"
    )
    assert (described["size"], described["eTag"]) == (5, put["ETag"].strip('"'))
    assert "versionId" not in described


def test_each_way_to_create_an_object_is_told_once_with_its_reason(world: World) -> None:
    world.through_event_bridge([{"prefix": "made/"}])
    world.put("made/put", Tagging="a=b")
    world.s3.copy_object(
        Bucket=world.bucket, Key="made/copy", CopySource={"Bucket": world.bucket, "Key": "made/put"}
    )
    upload = world.s3.create_multipart_upload(Bucket=world.bucket, Key="made/parts")["UploadId"]
    here = {"Bucket": world.bucket, "Key": "made/parts", "UploadId": upload}
    part = world.s3.upload_part(**here, PartNumber=1, Body=b"part")
    world.s3.complete_multipart_upload(
        **here, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )
    events = world.received()
    told = [(event["detail"]["object"]["key"], event["detail"]["reason"]) for event in events]
    assert sorted(told) == [
        ("made/copy", "CopyObject"),
        ("made/parts", "CompleteMultipartUpload"),
        ("made/put", "PutObject"),
    ]
    assert len({event["id"] for event in events}) == 3
    in_order = {event["detail"]["object"]["key"]: event["detail"]["object"]["sequencer"] for event in events}
    assert in_order["made/put"] < in_order["made/copy"] < in_order["made/parts"]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ([{"prefix": "exports/"}], {"exports/a.json", "exports/b.gz"}),
        ([{"suffix": ".json"}], {"exports/a.json", "raw/c.json"}),
        ([{"anything-but": ["exports/a.json", "raw/c.json"]}], {"exports/b.gz"}),
        ([{"anything-but": {"prefix": "exports/"}}], {"raw/c.json"}),
        ([{"wildcard": "exports/*.json"}], {"exports/a.json"}),
        (["raw/c.json", {"suffix": ".gz"}], {"raw/c.json", "exports/b.gz"}),
        ([{"exists": True}], {"exports/a.json", "exports/b.gz", "raw/c.json"}),
        ([{"exists": False}], set()),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, list) else "",
)
def test_content_filters_of_a_rule(world: World, patterns: list[Any], expected: set[str]) -> None:
    world.through_event_bridge(patterns)
    for key in ("exports/a.json", "exports/b.gz", "raw/c.json"):
        world.put(key)
    assert {event["detail"]["object"]["key"] for event in world.received()} == expected


def test_numeric_filter(world: World) -> None:
    world.through_event_bridge([{"exists": True}])
    world.set_rule({"detail": {"object": {"size": [{"numeric": [">", 2, "<=", 5]}]}}})
    for size in (2, 3, 5, 6):
        world.put(f"size-{size}", b"x" * size)
    assert {event["detail"]["object"]["size"] for event in world.received()} == {3, 5}


def test_a_disabled_rule_delivers_nothing(world: World) -> None:
    world.through_event_bridge([{"exists": True}])
    world.events.disable_rule(Name=world.rule)
    world.put("one")
    world.events.enable_rule(Name=world.rule)
    world.put("two")
    assert [event["detail"]["object"]["key"] for event in world.received()] == ["two"]


def test_a_bucket_without_event_bridge_tells_it_nothing(world: World) -> None:
    world.through_event_bridge([{"exists": True}])
    world.s3.put_bucket_notification_configuration(Bucket=world.bucket, NotificationConfiguration={})
    world.put("one")
    assert world.received() == []


def test_deletions_say_what_kind_they_are(world: World) -> None:
    world.through_event_bridge([{"exists": True}])
    world.set_rule({"detail-type": ["Object Deleted"]})
    world.put("plain")
    world.s3.delete_object(Bucket=world.bucket, Key="plain")
    world.s3.put_bucket_versioning(Bucket=world.bucket, VersioningConfiguration={"Status": "Enabled"})
    world.put("versioned")
    marker = world.s3.delete_object(Bucket=world.bucket, Key="versioned")
    plain, versioned = (event["detail"] for event in world.received())
    assert (plain["deletion-type"], plain["reason"]) == ("Permanently Deleted", "DeleteObject")
    assert versioned["deletion-type"] == "Delete Marker Created"
    assert versioned["object"]["version-id"] == marker["VersionId"]


def test_an_input_transformer_fills_its_template(world: World) -> None:
    template = '{"key": <key>, "text": "size <size> of <key>", "all": <object>}'
    paths = {"key": "$.detail.object.key", "size": "$.detail.object.size", "object": "$.detail.bucket"}
    world.through_event_bridge(
        [{"exists": True}], InputTransformer={"InputTemplate": template, "InputPathsMap": paths}
    )
    world.put('say "hi"', b"four")
    assert world.received() == [
        {"key": 'say "hi"', "text": 'size 4 of say "hi"', "all": {"name": world.bucket}}
    ]


def test_a_target_that_is_gone_leaves_the_event_in_the_dead_letter_queue(world: World, unique: str) -> None:
    gone = f"arn:aws:sqs:us-east-1:{ACCOUNT}:gone-{unique}"
    world.through_event_bridge([{"exists": True}])
    world.events.put_targets(
        Rule=world.rule,
        Targets=[{"Id": "queue", "Arn": gone, "DeadLetterConfig": {"Arn": world.queue_arn}}],
    )
    world.put("one")
    (message,) = world.sqs.receive_message(QueueUrl=world.queue, MessageAttributeNames=["All"])["Messages"]
    assert json.loads(message["Body"])["detail"]["object"]["key"] == "one"
    assert message["MessageAttributes"]["TARGET_ARN"]["StringValue"] == gone
    assert message["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "NO_RESOURCE"


def test_events_of_applications_are_delivered_whole(world: World) -> None:
    world.events.put_rule(Name=world.rule, EventPattern=json.dumps({"source": [world.bucket]}))
    world.events.put_targets(Rule=world.rule, Targets=[{"Id": "queue", "Arn": world.queue_arn}])
    world.events.put_events(
        Entries=[
            {
                "Source": world.bucket,
                "DetailType": "Done",
                "Detail": '{"a": {"b": 1}}',
                "Resources": ["r"],
                "Time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            }
        ]
    )
    (event,) = world.received()
    assert event["detail"] == {"a": {"b": 1}}
    assert (event["detail-type"], event["account"], event["resources"]) == ("Done", ACCOUNT, ["r"])
    assert event["time"] == "2026-01-02T03:04:05Z"
