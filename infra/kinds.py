"""Each kind of resource that the product declares, as CloudFormation: a function a kind, in one shape.

``KINDS`` is all there is: a kind that the product declares and that is not here ends synthesis with its
name. What a shape does not say (encryption in transit, access logs, that nothing stateful is ever deleted)
is added here, to every resource of the kind.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_athena as athena
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_pipes as pipes
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs

from infra.stages import Stage
from resources.provision import Resource, Shape


class UnknownKindError(ValueError):
    """The product declares a kind of resource that the deployment can't make."""


@dataclass
class Site:
    """Where constructs are made: a stack, its stage, and what other stacks have made."""

    stack: cdk.Stack
    stage: Stage
    access_logs: str = ""
    streams: dict[str, str] = field(default_factory=dict)
    topic_key: str = ""

    def arn(self, service: str, name: str) -> str:
        return self.stage.place.arn(service, name)


Make = Callable[[Site, str, Shape], cdk.CfnResource]


def construct_id(kind: str, name: str) -> str:
    """The logical id: the kind and the words of the name, without what differs between accounts."""
    name = re.sub(r"-\d{12}-.*$", "", name.removeprefix("alias/"))
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", f"{kind} {name}"))


def make(site: Site, resource: Resource) -> cdk.CfnResource:
    """The construct of a declared resource. Raises UnknownKindError."""
    kind = KINDS.get(resource.kind)
    if kind is None:
        raise UnknownKindError(
            f"{resource.kind} {resource.name}: the product declares this kind of resource, and "
            f"infra/kinds.py has no construct for it; it has {', '.join(sorted(KINDS))}"
        )
    return kind.make(site, resource.name, resource.shape)


def keep(resource: cdk.CfnResource) -> None:
    """It outlives its stack and every update."""
    resource.apply_removal_policy(cdk.RemovalPolicy.RETAIN, apply_to_update_replace_policy=True)


def _id(kind: str, name: str) -> str:
    return construct_id(kind, name)


def _policy(*statements: Mapping[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _tls_only(service: str, *resources: str) -> dict[str, Any]:
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": f"{service}:*",
        "Resource": list(resources) if len(resources) > 1 else resources[0],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


# --- data ---------------------------------------------------------------------------------------------------


_BLOCK_ALL = s3.CfnBucket.PublicAccessBlockConfigurationProperty(
    block_public_acls=True, block_public_policy=True, ignore_public_acls=True, restrict_public_buckets=True
)
_UNFINISHED = s3.CfnBucket.RuleProperty(
    id="unfinished-uploads",
    status="Enabled",
    abort_incomplete_multipart_upload=s3.CfnBucket.AbortIncompleteMultipartUploadProperty(
        days_after_initiation=7
    ),
)


def bucket(
    site: Site,
    name: str,
    encryption: Sequence[str],
    *,
    kind: str = "bucket",
    rules: Sequence[s3.CfnBucket.RuleProperty] = (),
    logged: bool = True,
    events_on: bool = False,
    locked: bool = False,
    statements: Sequence[Mapping[str, Any]] = (),
) -> s3.CfnBucket:
    """A bucket as every bucket here is: private, encrypted, reached by TLS alone, kept."""
    algorithm, *key = encryption
    made = s3.CfnBucket(
        site.stack,
        _id(kind, name),
        bucket_name=name,
        versioning_configuration=s3.CfnBucket.VersioningConfigurationProperty(status="Enabled"),
        public_access_block_configuration=_BLOCK_ALL,
        ownership_controls=s3.CfnBucket.OwnershipControlsProperty(
            rules=[s3.CfnBucket.OwnershipControlsRuleProperty(object_ownership="BucketOwnerEnforced")]
        ),
        bucket_encryption=s3.CfnBucket.BucketEncryptionProperty(
            server_side_encryption_configuration=[
                s3.CfnBucket.ServerSideEncryptionRuleProperty(
                    server_side_encryption_by_default=s3.CfnBucket.ServerSideEncryptionByDefaultProperty(
                        sse_algorithm=algorithm, kms_master_key_id=key[0] if key else None
                    ),
                    bucket_key_enabled=True if key else None,
                )
            ]
        ),
        lifecycle_configuration=s3.CfnBucket.LifecycleConfigurationProperty(rules=[*rules, _UNFINISHED]),
        logging_configuration=s3.CfnBucket.LoggingConfigurationProperty(
            destination_bucket_name=site.access_logs, log_file_prefix=f"{name}/"
        )
        if logged
        else None,
        notification_configuration=s3.CfnBucket.NotificationConfigurationProperty(
            event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(
                event_bridge_enabled=True
            )
        )
        if events_on
        else None,
        object_lock_enabled=True if locked else None,
    )
    keep(made)
    arn = f"arn:aws:s3:::{name}"
    policy = s3.CfnBucketPolicy(
        site.stack,
        _id(kind, name) + "Policy",
        bucket=name,
        policy_document=_policy(_tls_only("s3", arn, f"{arn}/*"), *statements),
    )
    policy.add_resource_dependency(made)
    return made


def _bucket(site: Site, name: str, shape: Shape) -> cdk.CfnResource:
    return bucket(
        site,
        name,
        [shape["encryption"]],
        events_on=shape["events to EventBridge"],
        # What is overwritten or deleted stays for the time in which a mistake is noticed.
        rules=[
            s3.CfnBucket.RuleProperty(
                id="old-versions",
                status="Enabled",
                noncurrent_version_expiration=s3.CfnBucket.NoncurrentVersionExpirationProperty(
                    noncurrent_days=35
                ),
            ),
            *(
                _archive_rule(each, {"colder": [], "days kept": days})
                for each, days in shape["days kept"].items()
            ),
        ],
    )


def _archive_bucket(site: Site, name: str, shape: Shape) -> cdk.CfnResource:
    return bucket(
        site,
        name,
        shape["encryption"],
        kind="archive bucket",
        rules=[_archive_rule(noun, rule) for noun, rule in shape["lifecycle"].items()],
    )


def _evidence_bucket(site: Site, name: str, shape: Shape) -> cdk.CfnResource:
    """Each object says for how long it is locked; what is locked, nobody deletes or overwrites."""
    return bucket(
        site,
        name,
        [shape["encryption"]],
        kind="evidence bucket",
        locked=shape["object lock"] == "Enabled",
    )


def _archive_rule(noun: str, rule: Mapping[str, Any]) -> s3.CfnBucket.RuleProperty:
    days = rule["days kept"]
    return s3.CfnBucket.RuleProperty(
        id=noun,
        status="Enabled",
        prefix=f"{noun}/",
        transitions=[
            s3.CfnBucket.TransitionProperty(transition_in_days=after, storage_class=tier)
            for after, tier in rule["colder"]
        ]
        or None,
        noncurrent_version_transitions=[
            s3.CfnBucket.NoncurrentVersionTransitionProperty(transition_in_days=after, storage_class=tier)
            for after, tier in rule["colder"]
        ]
        or None,
        expiration_in_days=days,
        noncurrent_version_expiration=s3.CfnBucket.NoncurrentVersionExpirationProperty(noncurrent_days=days)
        if days
        else None,
        abort_incomplete_multipart_upload=s3.CfnBucket.AbortIncompleteMultipartUploadProperty(
            days_after_initiation=7
        ),
    )


def key_policy(account: str, services: Sequence[str] = ()) -> dict[str, Any]:
    """IAM decides who uses a key; ``services`` may use it on their own behalf, in this account alone."""
    owner = {
        "Sid": "IamDecides",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    used = {
        "Sid": "ServicesOfThisAccount",
        "Effect": "Allow",
        "Principal": {"Service": sorted(services)},
        "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:SourceAccount": account}},
    }
    return _policy(owner, *([used] if services else ()))


def key(
    site: Site, alias: str, description: str, services: Sequence[str] = (), *, rotated: bool = True
) -> kms.CfnKey:
    """A key that rotates and is kept, and its alias."""
    made = kms.CfnKey(
        site.stack,
        _id("key", alias),
        description=description,
        enabled=True,
        enable_key_rotation=rotated,
        pending_window_in_days=30,
        key_policy=key_policy(site.stage.account, services),
    )
    keep(made)
    name = kms.CfnAlias(site.stack, _id("key", alias) + "Alias", alias_name=alias, target_key_id=made.ref)
    keep(name)
    return made


def _key(site: Site, name: str, shape: Shape) -> cdk.CfnResource:
    return key(site, name, f"Data of {name.removeprefix('alias/')}", rotated=shape["rotated"])


def _signing_key(site: Site, name: str, shape: Shape) -> cdk.CfnResource:
    """KMS does not rotate keys that sign: who verifies knows them by name."""
    made = kms.CfnKey(
        site.stack,
        _id("signing key", name),
        description="Signs the checkpoints of the ledger",
        enabled=shape["state"] == "Enabled",
        key_usage=shape["usage"],
        key_spec=shape["spec"],
        pending_window_in_days=30,
        key_policy=key_policy(site.stage.account),
    )
    keep(made)
    keep(
        kms.CfnAlias(site.stack, _id("signing key", name) + "Alias", alias_name=name, target_key_id=made.ref)
    )
    return made


def _role(site: Site, name: str, shape: Shape) -> cdk.CfnResource:
    statements = [
        {"Effect": "Allow", "Action": actions, "Resource": resource}
        for resource, actions in shape["may"].items()
    ]
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": shape["trusted service"]},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": site.stage.account}},
    }
    return iam.CfnRole(
        site.stack,
        _id("role", name),
        role_name=name,
        assume_role_policy_document=_policy(trust),
        policies=[iam.CfnRole.PolicyProperty(policy_name="its-work", policy_document=_policy(*statements))],
    )


def _database(site: Site, name: str, _: Shape) -> cdk.CfnResource:
    made = glue.CfnDatabase(
        site.stack,
        _id("database", name),
        catalog_id=site.stage.account,
        database_input=glue.CfnDatabase.DatabaseInputProperty(name=name),
    )
    keep(made)
    return made


def _crawler(site: Site, name: str, shape: Shape) -> cdk.CfnResource:
    return glue.CfnCrawler(
        site.stack,
        _id("crawler", name),
        name=name,
        role=site.stack.format_arn(
            service="iam", region="", account=site.stage.account, resource="role", resource_name=shape["role"]
        ),
        database_name=shape["database"],
        table_prefix=shape["table prefix"],
        targets=glue.CfnCrawler.TargetsProperty(
            s3_targets=[
                glue.CfnCrawler.S3TargetProperty(path=shape["target"], exclusions=shape["exclusions"])
            ]
        ),
        schema_change_policy=glue.CfnCrawler.SchemaChangePolicyProperty(
            update_behavior=shape["changed schemas"], delete_behavior=shape["deleted objects"]
        ),
        recrawl_policy=glue.CfnCrawler.RecrawlPolicyProperty(recrawl_behavior=shape["recrawl"]),
        configuration=json.dumps(shape["configuration"], sort_keys=True),
    )


def workgroup(
    site: Site, name: str, output: str, *, state: str = "ENABLED", enforced: bool, metrics: bool = True
) -> athena.CfnWorkGroup:
    """A workgroup whose results are encrypted and whose queries stop at the stage's limit of bytes."""
    made = athena.CfnWorkGroup(
        site.stack,
        _id("workgroup", name),
        name=name,
        state=state,
        work_group_configuration=athena.CfnWorkGroup.WorkGroupConfigurationProperty(
            enforce_work_group_configuration=enforced,
            publish_cloud_watch_metrics_enabled=metrics,
            bytes_scanned_cutoff_per_query=site.stage.athena_scan_limit_gb * 10**9,
            result_configuration=athena.CfnWorkGroup.ResultConfigurationProperty(
                output_location=output,
                encryption_configuration=athena.CfnWorkGroup.EncryptionConfigurationProperty(
                    encryption_option="SSE_S3"
                ),
            ),
        ),
    )
    keep(made)
    return made


def _workgroup(site: Site, name: str, shape: Shape) -> cdk.CfnResource:
    return workgroup(
        site,
        name,
        shape["output location"],
        state=shape["state"],
        enforced=shape["overrides the client's output location"],
        metrics=shape["metrics"],
    )


def _attributes(shape: Shape) -> Sequence[tuple[str, str]]:
    """The table's keys and its indexes', which are text."""
    named = dict(shape["keys"]) | {key: "S" for keys in shape.get("indexes", {}).values() for key in keys}
    return list(named.items())


def _table(site: Site, name: str, shape: Shape) -> cdk.CfnResource:
    roles = ("HASH", "RANGE")
    made = dynamodb.CfnTable(
        site.stack,
        _id("table", name),
        table_name=name,
        attribute_definitions=[
            dynamodb.CfnTable.AttributeDefinitionProperty(attribute_name=column, attribute_type=kind)
            for column, kind in _attributes(shape)
        ],
        key_schema=[
            dynamodb.CfnTable.KeySchemaProperty(attribute_name=column, key_type=role)
            for (column, _), role in zip(shape["keys"], roles, strict=False)
        ],
        global_secondary_indexes=[
            dynamodb.CfnTable.GlobalSecondaryIndexProperty(
                index_name=index,
                key_schema=[
                    dynamodb.CfnTable.KeySchemaProperty(attribute_name=column, key_type=role)
                    for column, role in zip(columns, roles, strict=False)
                ],
                projection=dynamodb.CfnTable.ProjectionProperty(projection_type="ALL"),
            )
            for index, columns in shape.get("indexes", {}).items()
        ]
        or None,
        billing_mode=shape["billing"],
        # A table whose rows expire by themselves holds nothing that would be missed.
        point_in_time_recovery_specification=dynamodb.CfnTable.PointInTimeRecoverySpecificationProperty(
            point_in_time_recovery_enabled=shape.get("point-in-time recovery") == "ENABLED"
        ),
        stream_specification=dynamodb.CfnTable.StreamSpecificationProperty(stream_view_type=shape["stream"])
        if "stream" in shape
        else None,
        time_to_live_specification=dynamodb.CfnTable.TimeToLiveSpecificationProperty(
            attribute_name=shape["expires by"], enabled=True
        )
        if "expires by" in shape
        else None,
        sse_specification=dynamodb.CfnTable.SSESpecificationProperty(sse_enabled=True),
        deletion_protection_enabled=True,
    )
    keep(made)
    if "stream" in shape:
        site.streams[name] = made.attr_stream_arn
    return made


# --- messaging ----------------------------------------------------------------------------------------------


def _queue(site: Site, name: str, shape: Shape) -> cdk.CfnResource:
    dead = shape.get("dead letters")
    made = sqs.CfnQueue(
        site.stack,
        _id("queue", name),
        queue_name=name,
        message_retention_period=shape["days kept"] * 24 * 3600,
        visibility_timeout=shape["seconds hidden"],
        maximum_message_size=shape.get("message bytes"),
        sqs_managed_sse_enabled=shape["encrypted"],
        redrive_policy={"deadLetterTargetArn": dead["queue"], "maxReceiveCount": dead["receives"]}
        if dead
        else None,
    )
    keep(made)
    arn = site.arn("sqs", name)
    senders = [
        {
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": source}},
        }
        for service, source in shape.get("senders", {}).items()
    ]
    sqs.CfnQueuePolicy(
        site.stack,
        _id("queue", name) + "Policy",
        queues=[made.ref],
        policy_document=_policy(_tls_only("sqs", arn), *senders),
    )
    return made


def _rule(site: Site, name: str, shape: Shape) -> cdk.CfnResource:
    return events.CfnRule(
        site.stack,
        _id("rule", name),
        name=name,
        state=shape["state"],
        event_pattern=shape["pattern"],
        targets=[
            events.CfnRule.TargetProperty(id=arn.rpartition(":")[2], arn=arn) for arn in shape["targets"]
        ],
    )


def _topic(site: Site, name: str, _: Shape) -> cdk.CfnResource:
    arn = site.arn("sns", name)
    made = sns.CfnTopic(
        site.stack, _id("topic", name), topic_name=name, kms_master_key_id=site.topic_key or None
    )
    owner = {
        "Sid": "ThisAccount",
        "Effect": "Allow",
        "Principal": {
            "Service": ["budgets.amazonaws.com", "cloudwatch.amazonaws.com", "events.amazonaws.com"]
        },
        "Action": "sns:Publish",
        "Resource": arn,
        "Condition": {"StringEquals": {"aws:SourceAccount": site.stage.account}},
    }
    policy = sns.CfnTopicPolicy(
        site.stack,
        _id("topic", name) + "Policy",
        topics=[arn],
        policy_document=_policy(owner, {**_tls_only("sns", arn), "Action": "sns:Publish"}),
    )
    policy.add_resource_dependency(made)
    for number, address in enumerate(site.stage.alerts):
        mail = sns.CfnSubscription(
            site.stack,
            _id("topic", name) + f"Mail{number}",
            topic_arn=arn,
            protocol="email",
            endpoint=address,
        )
        mail.add_resource_dependency(made)
    return made


def _pipe(site: Site, name: str, shape: Shape) -> cdk.CfnResource:
    source = site.streams.get(shape["table"]) or site.stage.existing_tables[shape["table"]]
    return pipes.CfnPipe(
        site.stack,
        _id("pipe", name),
        name=name,
        role_arn=f"arn:aws:iam::{site.stage.account}:role/{shape['role']}",
        source=source,
        target=shape["target"],
        desired_state=shape["state"],
        source_parameters=pipes.CfnPipe.PipeSourceParametersProperty(
            filter_criteria=pipes.CfnPipe.FilterCriteriaProperty(
                filters=[pipes.CfnPipe.FilterProperty(pattern=json.dumps(shape["filter"]))]
            ),
            dynamo_db_stream_parameters=pipes.CfnPipe.PipeSourceDynamoDBStreamParametersProperty(
                starting_position=shape["starts"],
                batch_size=shape["batch"],
                maximum_batching_window_in_seconds=shape["seconds a batch waits"],
                maximum_retry_attempts=shape["attempts"],
                maximum_record_age_in_seconds=shape["seconds a record is tried"],
                on_partial_batch_item_failure=shape["refused records"],
                dead_letter_config=pipes.CfnPipe.DeadLetterConfigProperty(arn=shape["dead letters"]),
            ),
        ),
    )


def _alarm(site: Site, name: str, shape: Shape) -> cdk.CfnResource:
    namespace, metric, queue = shape["metric"]
    statistic, seconds, periods = shape["statistic"]
    return cloudwatch.CfnAlarm(
        site.stack,
        _id("alarm", name),
        alarm_name=name,
        alarm_description=f"{metric} of {queue}: docs/runbooks.md, Queues",
        namespace=namespace,
        metric_name=metric,
        dimensions=[cloudwatch.CfnAlarm.DimensionProperty(name="QueueName", value=queue)],
        statistic=statistic,
        period=seconds,
        evaluation_periods=periods,
        comparison_operator=shape["fires"],
        threshold=shape["seconds"],
        alarm_actions=shape["tells"],
        actions_enabled=shape["switched on"],
        treat_missing_data=shape["without data"],
    )


@dataclass(frozen=True)
class Kind:
    """The stack that a kind of resource lives in, and how it is made there."""

    stack: str
    make: Make


KINDS: Mapping[str, Kind] = {
    "bucket": Kind("data", _bucket),
    "archive bucket": Kind("data", _archive_bucket),
    "evidence bucket": Kind("data", _evidence_bucket),
    "signing key": Kind("data", _signing_key),
    "key": Kind("data", _key),
    "database": Kind("data", _database),
    "crawler": Kind("data", _crawler),
    "workgroup": Kind("data", _workgroup),
    "table": Kind("data", _table),
    "expiring table": Kind("data", _table),
    "role": Kind("data", _role),
    "queue": Kind("messaging", _queue),
    "rule": Kind("messaging", _rule),
    "topic": Kind("messaging", _topic),
    "pipe": Kind("messaging", _pipe),
    "alarm": Kind("messaging", _alarm),
}
