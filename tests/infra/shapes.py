"""A resource of a template as the shape that the product declares: a reader a kind."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from resources.provision import Shape
from tests.infra.template import Templates

Reader = Callable[[Templates, str], Shape]


def read(templates: Templates, kind: str, name: str) -> Shape:
    """The shape of one resource. Raises KeyError when the template has none, or we have no reader."""
    return READERS[kind](templates, name)


def _bucket(templates: Templates, name: str) -> dict[str, Any]:
    found = templates.one("AWS::S3::Bucket", BucketName=name).properties
    blocked = found["PublicAccessBlockConfiguration"]
    rule = found["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]["ServerSideEncryptionByDefault"]
    events = found.get("NotificationConfiguration", {}).get("EventBridgeConfiguration", {})
    return {
        "versioning": found.get("VersioningConfiguration", {}).get("Status"),
        "public access": "blocked" if len(blocked) == 4 and all(blocked.values()) else "possible",
        "encryption": rule["SSEAlgorithm"],
        "events to EventBridge": events.get("EventBridgeEnabled", False),
        "object lock": "Enabled" if found.get("ObjectLockEnabled") else "Disabled",
        "days kept": {
            each["Prefix"].rstrip("/"): each["ExpirationInDays"]
            for each in found["LifecycleConfiguration"]["Rules"]
            if "Prefix" in each and "ExpirationInDays" in each
        },
    }


def _expiring_bucket(templates: Templates, name: str) -> Shape:
    found = templates.one("AWS::S3::Bucket", BucketName=name).properties
    rule = found["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]["ServerSideEncryptionByDefault"]
    return {
        **_bucket(templates, name),
        "encryption": [rule["SSEAlgorithm"], rule["KMSMasterKeyID"]],
        "lifecycle": {
            each["Prefix"].rstrip("/"): {
                "colder": [
                    [step["TransitionInDays"], step["StorageClass"]] for step in each.get("Transitions", ())
                ],
                "days kept": each.get("ExpirationInDays"),
            }
            for each in found["LifecycleConfiguration"]["Rules"]
            if "Prefix" in each
        },
    }


def _key(templates: Templates, name: str) -> Shape:
    target = templates.one("AWS::KMS::Alias", AliasName=name).resource["Properties"]["TargetKeyId"]["Ref"]
    (found,) = [each for each in templates.all("AWS::KMS::Key") if each.id == target]
    return {
        "state": "Enabled" if found.properties["Enabled"] else "Disabled",
        "rotated": found.properties.get("EnableKeyRotation", False),
        "usage": found.properties.get("KeyUsage", "ENCRYPT_DECRYPT"),
        "spec": found.properties.get("KeySpec", "SYMMETRIC_DEFAULT"),
    }


def _role(templates: Templates, name: str) -> Shape:
    found = templates.one("AWS::IAM::Role", RoleName=name).properties
    (trust,) = found["AssumeRolePolicyDocument"]["Statement"]
    statements = [each for policy in found["Policies"] for each in policy["PolicyDocument"]["Statement"]]
    return {
        "trusted service": trust["Principal"]["Service"],
        "may": {each["Resource"]: each["Action"] for each in statements if each["Effect"] == "Allow"},
    }


def _database(templates: Templates, name: str) -> Shape:
    templates.one("AWS::Glue::Database", DatabaseInput={"Name": name})
    return {}


def _crawler(templates: Templates, name: str) -> Shape:
    found = templates.one("AWS::Glue::Crawler", Name=name).properties
    (target,) = found["Targets"]["S3Targets"]
    return {
        "role": found["Role"].rpartition(":role/")[2],
        "database": found["DatabaseName"],
        "table prefix": found["TablePrefix"],
        "target": target["Path"],
        "exclusions": target["Exclusions"],
        "changed schemas": found["SchemaChangePolicy"]["UpdateBehavior"],
        "deleted objects": found["SchemaChangePolicy"]["DeleteBehavior"],
        "recrawl": found["RecrawlPolicy"]["RecrawlBehavior"],
        "configuration": json.loads(found["Configuration"]),
    }


def _workgroup(templates: Templates, name: str) -> Shape:
    found = templates.one("AWS::Athena::WorkGroup", Name=name).properties
    configuration = found["WorkGroupConfiguration"]
    return {
        "state": found["State"],
        "output location": configuration["ResultConfiguration"]["OutputLocation"],
        "overrides the client's output location": configuration["EnforceWorkGroupConfiguration"],
        "metrics": configuration["PublishCloudWatchMetricsEnabled"],
    }


def _table(templates: Templates, name: str) -> Shape:
    found = templates.one("AWS::DynamoDB::Table", TableName=name).properties
    types = {each["AttributeName"]: each["AttributeType"] for each in found["AttributeDefinitions"]}
    recovery = found["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
    expiry = found.get("TimeToLiveSpecification", {})
    return {
        "keys": [[key["AttributeName"], types.get(key["AttributeName"])] for key in found["KeySchema"]],
        "billing": found["BillingMode"],
        "point-in-time recovery": "ENABLED" if recovery else "DISABLED",
        "stream": found.get("StreamSpecification", {}).get("StreamViewType"),
        "expires by": expiry.get("AttributeName") if expiry.get("Enabled") else None,
        "indexes": {
            index["IndexName"]: [key["AttributeName"] for key in index["KeySchema"]]
            for index in found.get("GlobalSecondaryIndexes", ())
        },
    }


def _queue(templates: Templates, name: str) -> Shape:
    found = templates.one("AWS::SQS::Queue", QueueName=name).properties
    redrive = found.get("RedrivePolicy")
    senders = {
        statement["Principal"]["Service"]: statement["Condition"]["ArnEquals"]["aws:SourceArn"]
        for policy in templates.all("AWS::SQS::QueuePolicy")
        if name in policy.properties["Queues"]
        for statement in policy.properties["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
    }
    return {
        "days kept": found["MessageRetentionPeriod"] // (24 * 3600),
        "seconds hidden": found["VisibilityTimeout"],
        "encrypted": found["SqsManagedSseEnabled"],
        "message bytes": found.get("MaximumMessageSize"),
        "dead letters": {"queue": redrive["deadLetterTargetArn"], "receives": redrive["maxReceiveCount"]}
        if redrive
        else None,
        "senders": senders,
    }


def _rule(templates: Templates, name: str) -> Shape:
    found = templates.one("AWS::Events::Rule", Name=name).properties
    return {
        "state": found["State"],
        "pattern": found["EventPattern"],
        "targets": [target["Arn"] for target in found["Targets"]],
    }


def _topic(templates: Templates, name: str) -> Shape:
    templates.one("AWS::SNS::Topic", TopicName=name)
    return {}


def _pipe(templates: Templates, name: str) -> Shape:
    found = templates.one("AWS::Pipes::Pipe", Name=name).properties
    stream = found["SourceParameters"]["DynamoDBStreamParameters"]
    (pattern,) = found["SourceParameters"]["FilterCriteria"]["Filters"]
    return {
        "state": found["DesiredState"],
        "table": found["Source"].split("table/")[1].split("/stream/")[0],
        "filter": json.loads(pattern["Pattern"]),
        "target": found["Target"],
        "role": found["RoleArn"].rpartition("/")[2],
        "starts": stream["StartingPosition"],
        "batch": stream["BatchSize"],
        "seconds a batch waits": stream["MaximumBatchingWindowInSeconds"],
        "attempts": stream["MaximumRetryAttempts"],
        "seconds a record is tried": stream["MaximumRecordAgeInSeconds"],
        "refused records": stream["OnPartialBatchItemFailure"],
        "dead letters": stream["DeadLetterConfig"]["Arn"],
    }


def _alarm(templates: Templates, name: str) -> Shape:
    found = templates.one("AWS::CloudWatch::Alarm", AlarmName=name).properties
    queues = [each["Value"] for each in found["Dimensions"] if each["Name"] == "QueueName"]
    return {
        "metric": [found["Namespace"], found["MetricName"], *queues],
        "statistic": [found["Statistic"], found["Period"], found["EvaluationPeriods"]],
        "fires": found["ComparisonOperator"],
        "without data": found["TreatMissingData"],
        "switched on": found["ActionsEnabled"],
        "seconds": found["Threshold"],
        "tells": found["AlarmActions"],
    }


READERS: Mapping[str, Reader] = {
    "bucket": _bucket,
    "evidence bucket": _bucket,
    "archive bucket": _expiring_bucket,
    "key": _key,
    "signing key": _key,
    "role": _role,
    "database": _database,
    "crawler": _crawler,
    "workgroup": _workgroup,
    "table": _table,
    "expiring table": _table,
    "queue": _queue,
    "rule": _rule,
    "topic": _topic,
    "pipe": _pipe,
    "alarm": _alarm,
}
