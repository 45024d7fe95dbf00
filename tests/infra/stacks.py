"""The synthesized stacks of what is kept and what is on its way, made on local AWS from their templates.

CloudFormation makes what moto's has a model for. ``BY_HAND`` is what it has none for, and ``COMPLETED`` what
its models leave out: these are made by the service's own call, with the template's properties and no others.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.house import client
from tests.infra.template import Found, Templates

STACKS = ("data", "messaging")
Properties = Mapping[str, Any]


def deploy(templates: Templates) -> None:
    """All resources of the stacks, in the order in which their stacks are deployed."""
    cloudformation = client("cloudformation")
    for stack in STACKS:
        document = reduced(templates.documents[stack])
        name = f"privacy-rehearsal-{stack}"
        cloudformation.create_stack(
            StackName=name, TemplateBody=json.dumps(document), Capabilities=["CAPABILITY_NAMED_IAM"]
        )
        (made,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
        assert made["StackStatus"] == "CREATE_COMPLETE", made
        found = [each for each in templates.all() if each.stack == stack]
        keys: dict[str, str] = {}
        for each in sorted(found, key=lambda each: [*BY_HAND].index(each.type) if by_hand(each) else -1):
            if by_hand(each):
                keys[each.id] = str(BY_HAND[each.type](_resolved(each, keys)))
            elif each.type in COMPLETED:
                COMPLETED[each.type](each.properties, _physical(name, each.id))


def _physical(stack: str, logical: str) -> str:
    """What CloudFormation called a resource."""
    found = client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
    (name,) = [each["PhysicalResourceId"] for each in found if each.get("LogicalResourceId") == logical]
    return str(name)


def by_hand(found: Found) -> bool:
    """Whether moto's CloudFormation makes nothing of it, or something else."""
    only_if = ONLY_IF.get(found.type, lambda _: True)
    return found.type in BY_HAND and only_if(found.resource["Properties"])


def reduced(document: Mapping[str, Any]) -> dict[str, Any]:
    """A template without what moto's CloudFormation has no model for, or stumbles over."""
    resources = {}
    for logical, resource in document["Resources"].items():
        properties = {**resource.get("Properties", {})}
        if by_hand(Found("", logical, resource["Type"], properties, resource)):
            continue
        for name in STUMBLES.get(resource["Type"], ()):
            properties.pop(name, None)
        if "KeyPolicy" in properties:  # kept as it comes, and read as text
            properties["KeyPolicy"] = json.dumps(properties["KeyPolicy"])
        resources[logical] = {**resource, "Properties": properties}
    # The version of CDK's own bootstrap stack, which local AWS has not.
    left_out = ("Parameters", "Rules", "Resources")
    kept = {name: part for name, part in document.items() if name not in left_out}
    for resource in resources.values():
        needed = resource.get("DependsOn", [])
        needed = [needed] if isinstance(needed, str) else needed
        resource["DependsOn"] = [each for each in needed if each in resources]
    return {**kept, "Resources": resources}


def _resolved(found: Found, keys: Mapping[str, str]) -> Properties:
    """With what other stacks really export in the place of their names, and ids in that of keys."""
    exports = {each["Name"]: each["Value"] for each in client("cloudformation").list_exports()["Exports"]}
    real = {}
    for name, value in found.resource["Properties"].items():
        if isinstance(value, dict) and "Fn::ImportValue" in value:
            real[name] = exports[value["Fn::ImportValue"]]
        elif isinstance(value, dict) and value.get("Ref") in keys:
            real[name] = keys[value["Ref"]]
    return {**found.properties, **real}


# --- what moto's CloudFormation has no model for


def _locked(properties: Properties) -> bool:
    return bool(properties.get("ObjectLockEnabled"))


def _locked_bucket(properties: Properties) -> None:
    """moto's model of a bucket has no lock, which can't be had later."""
    s3, name = client("s3"), properties["BucketName"]
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    rules = [
        {"ApplyServerSideEncryptionByDefault": each["ServerSideEncryptionByDefault"]}
        for each in properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    ]
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": rules})
    _bucket(properties, name)


def _signing_key(properties: Properties) -> str:
    """moto's model of a key knows no other than those that encrypt."""
    made = client("kms").create_key(
        KeyUsage=properties["KeyUsage"],
        KeySpec=properties["KeySpec"],
        Description=properties["Description"],
        Policy=json.dumps(properties["KeyPolicy"]),
    )
    return str(made["KeyMetadata"]["KeyId"])


def _bucket_policy(properties: Properties) -> None:
    """Without the refusal of whoever comes without TLS: so does everybody who calls local AWS."""
    policy = properties["PolicyDocument"]
    statements = [each for each in policy["Statement"] if each["Sid"] != "TlsOnly"]
    if statements:
        client("s3").put_bucket_policy(
            Bucket=properties["Bucket"], Policy=json.dumps({**policy, "Statement": statements})
        )


def _queue_policy(properties: Properties) -> None:
    sqs = client("sqs")
    for queue in properties["Queues"]:
        url = sqs.get_queue_url(QueueName=queue.rpartition("/")[2])["QueueUrl"]
        sqs.set_queue_attributes(
            QueueUrl=url, Attributes={"Policy": json.dumps(properties["PolicyDocument"])}
        )


def _topic_policy(properties: Properties) -> None:
    for topic in properties["Topics"]:
        client("sns").set_topic_attributes(
            TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps(properties["PolicyDocument"])
        )


def _work_group(properties: Properties) -> None:
    client("athena").create_work_group(
        Name=properties["Name"], Configuration=properties["WorkGroupConfiguration"]
    )


def _without_tags(properties: Properties) -> dict[str, Any]:
    return {name: value for name, value in properties.items() if name != "Tags"}


BY_HAND: Mapping[str, Callable[[Properties], object]] = {
    "AWS::KMS::Key": _signing_key,
    "AWS::KMS::Alias": lambda of: client("kms").create_alias(**of),
    "AWS::S3::Bucket": _locked_bucket,
    "AWS::S3::BucketPolicy": _bucket_policy,
    "AWS::Glue::Database": lambda of: client("glue").create_database(DatabaseInput=of["DatabaseInput"]),
    "AWS::Glue::Crawler": lambda of: client("glue").create_crawler(**_without_tags(of)),
    "AWS::Athena::WorkGroup": _work_group,
    "AWS::SQS::QueuePolicy": _queue_policy,
    "AWS::SNS::TopicPolicy": _topic_policy,
    "AWS::SNS::Subscription": lambda of: client("sns").subscribe(**of),
    "AWS::CloudWatch::Alarm": lambda of: client("cloudwatch").put_metric_alarm(**_without_tags(of)),
    "AWS::Pipes::Pipe": lambda of: client("pipes").create_pipe(**_without_tags(of)),
}
ONLY_IF: Mapping[str, Callable[[Properties], bool]] = {
    "AWS::KMS::Key": lambda of: "KeySpec" in of,
    "AWS::KMS::Alias": lambda of: of["TargetKeyId"]["Ref"].startswith("SigningKey"),
    "AWS::S3::Bucket": _locked,
}
"""Which of a type, if not all."""


# --- what moto's models leave out


def _bucket(properties: Properties, name: str) -> None:
    s3 = client("s3")
    if "VersioningConfiguration" in properties:
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=properties["VersioningConfiguration"])
    s3.put_public_access_block(
        Bucket=name, PublicAccessBlockConfiguration=properties["PublicAccessBlockConfiguration"]
    )
    if (
        properties.get("NotificationConfiguration", {})
        .get("EventBridgeConfiguration", {})
        .get("EventBridgeEnabled")
    ):
        s3.put_bucket_notification_configuration(
            Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
    rules = [_rule(each) for each in properties["LifecycleConfiguration"]["Rules"]]
    s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules})


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule of a lifecycle in the words of S3's own call."""
    said: dict[str, Any] = {
        "ID": rule["Id"],
        "Status": rule["Status"],
        "Filter": {"Prefix": rule.get("Prefix", "")},
    }
    if "ExpirationInDays" in rule:
        said["Expiration"] = {"Days": rule["ExpirationInDays"]}
    if "Transitions" in rule:
        said["Transitions"] = [
            {"Days": step["TransitionInDays"], "StorageClass": step["StorageClass"]}
            for step in rule["Transitions"]
        ]
    for same in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"):
        if same in rule:
            said[same] = rule[same]
    return said


def _table(properties: Properties, name: str) -> None:
    dynamodb = client("dynamodb")
    if "PointInTimeRecoverySpecification" in properties:
        dynamodb.update_continuous_backups(
            TableName=name,
            PointInTimeRecoverySpecification=properties["PointInTimeRecoverySpecification"],
        )
    if "TimeToLiveSpecification" in properties:
        dynamodb.update_time_to_live(
            TableName=name, TimeToLiveSpecification=properties["TimeToLiveSpecification"]
        )


def _role(properties: Properties, name: str) -> None:
    for policy in properties["Policies"]:
        client("iam").put_role_policy(
            RoleName=name,
            PolicyName=policy["PolicyName"],
            PolicyDocument=json.dumps(policy["PolicyDocument"]),
        )


COMPLETED: Mapping[str, Callable[[Properties, str], None]] = {
    "AWS::S3::Bucket": _bucket,
    "AWS::DynamoDB::Table": _table,
    "AWS::IAM::Role": _role,
}
STUMBLES: Mapping[str, tuple[str, ...]] = {
    "AWS::KMS::Key": ("Tags",),
    "AWS::IAM::Role": ("Policies",),
}
"""What moto's models fail at, or keep in a form that its own calls can't read."""
