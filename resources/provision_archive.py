"""What the archive of deleted records stands on: its part of ``resources.provision``, declared alike."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from resources import clients, settings
from resources.clients import error_code

if TYPE_CHECKING:
    from resources.provision import Kind, Place, Resource, Shape, TableShape

COLDER = ((30, "STANDARD_IA"), (90, "GLACIER_IR"))
"""Days after which an archived record moves to a colder tier. Both are read at once, as a restore must."""
STREAM = "NEW_AND_OLD_IMAGES"
_REMOVED = {"eventName": ["REMOVE"]}
_BLOCK_ALL = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}


@dataclass(frozen=True)
class ArchiveNames:
    """What the archive's resources are called."""

    bucket: str
    key: str
    queue: str
    dead_letters: str
    pipe_dead_letters: str
    pipe_role: str
    erasures: str
    topic: str
    alert_hours: float = 12.0

    @classmethod
    def from_settings(cls) -> "ArchiveNames":
        """The names that the environment's settings give."""
        return cls(
            bucket=settings.ARCHIVE_BUCKET.value(),
            key=settings.ARCHIVE_KEY.value(),
            queue=settings.DELETION_QUEUE.value(),
            dead_letters=settings.DELETION_DEAD_LETTER_QUEUE.value(),
            pipe_dead_letters=settings.PIPE_DEAD_LETTER_QUEUE.value(),
            pipe_role=settings.PIPE_ROLE.value(),
            erasures=settings.ERASURE_TABLE.value(),
            topic=settings.ALERT_TOPIC_ARN.value().rpartition(":")[2],
            alert_hours=settings.DELETION_ALERT_HOURS.number(),
        )

    def pipe(self, noun: str) -> str:
        """The pipe of a table; pipes are an account's, so it carries the queue's name; 64 characters."""
        return f"{self.queue}-{noun}"[:64]


def shapes(names: ArchiveNames, tables: "Sequence[TableShape]", place: "Place") -> "list[Resource]":
    """Everything that must exist once the governed tables do, in the order in which it is created."""
    from resources.provision import Resource

    queue = {"days kept": 14, "encrypted": True}
    topic = place.arn("sns", names.topic)
    deletions = {
        **queue,
        # A run holds twenty thousand messages while it writes them.
        "seconds hidden": 300,
        "dead letters": {"queue": place.arn("sqs", names.dead_letters), "receives": 1000},
    }
    return [
        Resource("key", names.key, {"state": "Enabled", "rotated": True}),
        Resource("archive bucket", names.bucket, _bucket(names, tables, place)),
        Resource("queue", names.dead_letters, {**queue, "seconds hidden": 30}),
        Resource("queue", names.pipe_dead_letters, {**queue, "seconds hidden": 300}),
        Resource("queue", names.queue, deletions),
        Resource("role", names.pipe_role.rpartition("/")[2], _role(names, tables, place)),
        Resource(
            "table",
            names.erasures,
            {"keys": [["id", "S"]], "billing": "PAY_PER_REQUEST", "point-in-time recovery": "ENABLED"},
        ),
        *(Resource("pipe", names.pipe(table.noun), _pipe(names, table, place)) for table in tables),
        *(
            Resource("alarm", f"{each}-age", age_alarm(each, names.alert_hours * 3600.0, topic))
            for each in (names.queue, names.pipe_dead_letters)
        ),
    ]


def _bucket(names: ArchiveNames, tables: "Sequence[TableShape]", place: "Place") -> "Shape":
    """A record expires by its table's retention. Lifecycle counts an older version's days from when a newer
    one came; the archive itself removes those in time, and this is what is left should it not run.
    """
    rules = {
        table.noun: {
            "colder": [[days, tier] for days, tier in COLDER if not _before(table.retention_days, days + 30)],
            "days kept": table.retention_days,
        }
        for table in tables
    }
    return {
        "versioning": "Enabled",
        "public access": "blocked",
        "encryption": ["aws:kms", place.arn("kms", names.key)],
        "lifecycle": rules,
    }


def _before(days: int | None, limit: int) -> bool:
    return days is not None and days < limit


def _role(names: ArchiveNames, tables: "Sequence[TableShape]", place: "Place") -> "Shape":
    streams = {
        place.arn("dynamodb", f"table/{table.table}/stream/*"): [
            "dynamodb:DescribeStream",
            "dynamodb:GetRecords",
            "dynamodb:GetShardIterator",
            "dynamodb:ListStreams",
        ]
        for table in tables
    }
    queues = {
        place.arn("sqs", queue): ["sqs:SendMessage"] for queue in (names.queue, names.pipe_dead_letters)
    }
    return {"trusted service": "pipes.amazonaws.com", "may": {**streams, **queues}}


def _pipe(names: ArchiveNames, table: "TableShape", place: "Place") -> "Shape":
    """It starts with all that the stream still has: a deletion of before there was a pipe is a deletion."""
    return {
        "state": "RUNNING",
        "table": table.table,
        "filter": _REMOVED,
        "target": place.arn("sqs", names.queue),
        "role": names.pipe_role.rpartition("/")[2],
        "starts": "TRIM_HORIZON",
        "batch": 10,
        "seconds a batch waits": 5,
        "attempts": 3,
        "seconds a record is tried": 3600,
        "refused records": "AUTOMATIC_BISECT",
        "dead letters": place.arn("sqs", names.pipe_dead_letters),
    }


def age_alarm(queue: str, seconds: float, topic: str) -> "Shape":
    """Tells the topic of this ARN when a queue's oldest message is of ``seconds``, Dagster running or not."""
    return {
        "metric": ["AWS/SQS", "ApproximateAgeOfOldestMessage", queue],
        "statistic": ["Maximum", 300, 1],
        "fires": "GreaterThanOrEqualToThreshold",
        "seconds": seconds,
        "without data": "notBreaching",
        "switched on": True,
        "tells": [topic],
    }


# --- each kind of resource: read as a shape, create from one, correct to one --------------------------------


def _read_key(name: str) -> "Shape | None":
    kms = clients.client("kms")
    try:
        key = kms.describe_key(KeyId=name)["KeyMetadata"]
    except kms.exceptions.NotFoundException:
        return None
    rotation = kms.get_key_rotation_status(KeyId=key["KeyId"])
    return {"state": key["KeyState"], "rotated": rotation["KeyRotationEnabled"]}


def _create_key(name: str, shape: "Shape") -> None:
    kms = clients.client("kms")
    key = kms.create_key(Description=f"Privacy assets: {name}")["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName=name, TargetKeyId=key)
    _correct_key(name, shape, ["rotated"])


def _correct_key(name: str, _: "Shape", changed: Sequence[str]) -> None:
    kms = clients.client("kms")
    key = kms.describe_key(KeyId=name)["KeyMetadata"]["KeyId"]
    if "state" in changed:
        kms.enable_key(KeyId=key)
    if "rotated" in changed:
        kms.enable_key_rotation(KeyId=key)


def _read_bucket(name: str) -> "Shape | None":
    from resources.provision import read_bucket

    found = read_bucket(name)
    if found is None:
        return None
    s3 = clients.client("s3")
    try:
        rules = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    except s3.exceptions.ClientError as error:
        if error_code(error) != "NoSuchLifecycleConfiguration":
            raise
        rules = []
    try:
        encryption = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    except s3.exceptions.ClientError as error:
        if error_code(error) != "ServerSideEncryptionConfigurationNotFoundError":
            raise
        encryption = []
    by_default = [rule["ApplyServerSideEncryptionByDefault"] for rule in encryption]
    return {
        "versioning": found["versioning"],
        "public access": found["public access"],
        "encryption": [by_default[0]["SSEAlgorithm"], by_default[0].get("KMSMasterKeyID")]
        if by_default
        else None,
        "lifecycle": {
            rule.get("Filter", {}).get("Prefix", "").rstrip("/"): {
                "colder": [[each["Days"], each["StorageClass"]] for each in rule.get("Transitions", ())],
                "days kept": rule.get("Expiration", {}).get("Days"),
            }
            for rule in rules
            # What cleans up after uploads that were never finished decides about no record.
            if rule.get("Status") == "Enabled" and ("Expiration" in rule or "Transitions" in rule)
        },
    }


def _create_bucket(name: str, shape: "Shape") -> None:
    s3 = clients.client("s3")
    region = s3.meta.region_name
    # us-east-1 is the default and is refused when it is named.
    where: Any = (
        {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    )
    s3.create_bucket(Bucket=name, **where)
    _correct_bucket(name, shape, list(shape))


def _correct_bucket(name: str, shape: "Shape", changed: Sequence[str]) -> None:
    s3 = clients.client("s3")
    if "versioning" in changed:
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": shape["versioning"]})
    if "public access" in changed:
        s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=_BLOCK_ALL)
    if "encryption" in changed:
        algorithm, key = shape["encryption"]
        rule = {
            "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm, "KMSMasterKeyID": key},
            "BucketKeyEnabled": True,  # a call to KMS for many objects, not for each
        }
        s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [rule]})
    if "lifecycle" in changed:
        rules = [_rule(noun, rule) for noun, rule in shape["lifecycle"].items()]
        s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules})


def _rule(noun: str, rule: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "ID": noun,
        "Status": "Enabled",
        "Filter": {"Prefix": f"{noun}/"},
        "Transitions": [{"Days": days, "StorageClass": tier} for days, tier in rule["colder"]],
        "NoncurrentVersionTransitions": [
            {"NoncurrentDays": days, "StorageClass": tier} for days, tier in rule["colder"]
        ],
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    }
    if rule["days kept"] is not None:
        found["Expiration"] = {"Days": rule["days kept"]}
        found["NoncurrentVersionExpiration"] = {"NoncurrentDays": rule["days kept"]}
    return {name: value for name, value in found.items() if value != []}


def _read_pipe(name: str) -> "Shape | None":
    pipes = clients.client("pipes")
    try:
        pipe = pipes.describe_pipe(Name=name)
    except pipes.exceptions.NotFoundException:
        return None
    parameters = pipe.get("SourceParameters", {})
    stream = parameters.get("DynamoDBStreamParameters", {})
    filters = parameters.get("FilterCriteria", {}).get("Filters", [])
    table = pipe["Source"].split("table/")[-1].split("/")[0]
    return {
        "state": pipe["DesiredState"],
        # A pipe of a stream that was switched off and on again is of no use: it names the old one.
        "table": table if pipe["Source"] == _stream(table) else "one whose stream is another by now",
        "filter": json.loads(filters[0]["Pattern"]) if len(filters) == 1 else filters,
        "target": pipe["Target"],
        "role": pipe["RoleArn"].rpartition("/")[2],
        "starts": stream.get("StartingPosition"),
        "batch": stream.get("BatchSize", 1),
        "seconds a batch waits": stream.get("MaximumBatchingWindowInSeconds", 0),
        "attempts": stream.get("MaximumRetryAttempts", -1),
        "seconds a record is tried": stream.get("MaximumRecordAgeInSeconds", -1),
        "refused records": stream.get("OnPartialBatchItemFailure"),
        "dead letters": stream.get("DeadLetterConfig", {}).get("Arn"),
    }


def _stream(table: str) -> str:
    dynamodb = clients.client("dynamodb")
    try:
        return str(dynamodb.describe_table(TableName=table)["Table"].get("LatestStreamArn", ""))
    except dynamodb.exceptions.ResourceNotFoundException:
        return ""


def _source_parameters(shape: "Shape", *, starts: bool) -> dict[str, Any]:
    stream = {
        "BatchSize": shape["batch"],
        "MaximumBatchingWindowInSeconds": shape["seconds a batch waits"],
        "MaximumRetryAttempts": shape["attempts"],
        "MaximumRecordAgeInSeconds": shape["seconds a record is tried"],
        "OnPartialBatchItemFailure": shape["refused records"],
        "DeadLetterConfig": {"Arn": shape["dead letters"]},
        **({"StartingPosition": shape["starts"]} if starts else {}),
    }
    pattern = json.dumps(shape["filter"])
    return {"DynamoDBStreamParameters": stream, "FilterCriteria": {"Filters": [{"Pattern": pattern}]}}


def _create_pipe(name: str, shape: "Shape") -> None:
    from resources.provision import Place

    account = Place.live().account
    clients.client("pipes").create_pipe(
        Name=name,
        RoleArn=f"arn:aws:iam::{account}:role/{shape['role']}",
        Source=_stream(shape["table"]),
        Target=shape["target"],
        DesiredState=shape["state"],
        SourceParameters=_source_parameters(shape, starts=True),
    )


def _correct_pipe(name: str, shape: "Shape", changed: Sequence[str]) -> None:
    from resources.provision import Place

    pipes = clients.client("pipes")
    if {"table", "starts"} & set(changed):  # what a pipe reads can't be changed
        pipes.delete_pipe(Name=name)
        _create_pipe(name, shape)
        return
    pipes.update_pipe(
        Name=name,
        RoleArn=f"arn:aws:iam::{Place.live().account}:role/{shape['role']}",
        Target=shape["target"],
        DesiredState=shape["state"],
        SourceParameters=_source_parameters(shape, starts=False),
    )


def _read_alarm(name: str) -> "Shape | None":
    found = clients.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    if not found:
        return None
    alarm = found[0]
    queues = [each["Value"] for each in alarm.get("Dimensions", ()) if each["Name"] == "QueueName"]
    return {
        "metric": [alarm["Namespace"], alarm["MetricName"], *queues],
        "statistic": [alarm.get("Statistic"), alarm["Period"], alarm["EvaluationPeriods"]],
        "fires": alarm["ComparisonOperator"],
        "without data": alarm.get("TreatMissingData", "missing"),
        "switched on": alarm["ActionsEnabled"],
        "seconds": alarm["Threshold"],
        "tells": alarm.get("AlarmActions", []),
    }


def _create_alarm(name: str, shape: "Shape") -> None:
    namespace, metric, queue = shape["metric"]
    statistic, seconds, periods = shape["statistic"]
    clients.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[{"Name": "QueueName", "Value": queue}],
        Statistic=statistic,
        Period=seconds,
        EvaluationPeriods=periods,
        ComparisonOperator=shape["fires"],
        Threshold=shape["seconds"],
        ActionsEnabled=shape["switched on"],
        AlarmActions=shape["tells"],
        TreatMissingData=shape["without data"],
    )


def _correct_alarm(name: str, shape: "Shape", _: Sequence[str]) -> None:
    _create_alarm(name, shape)


def kinds() -> "dict[str, Kind]":
    """How each kind of resource is read, created and corrected."""
    from resources.provision import Kind

    return {
        "key": Kind(_read_key, _create_key, _correct_key),
        "archive bucket": Kind(_read_bucket, _create_bucket, _correct_bucket),
        "pipe": Kind(_read_pipe, _create_pipe, _correct_pipe),
        "alarm": Kind(_read_alarm, _create_alarm, _correct_alarm),
    }
