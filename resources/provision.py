"""The AWS resources that the product stands on: declared once as plain data, created from it, compared with
it.

``shapes`` is the declaration; an infrastructure template is right when it makes the same. ``provision``
brings an account to it and may be called again at any time; ``differences`` tells what an account lacks.
What belongs here is infrastructure.  The Glue tables and partitions that runs write are not.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from resources import (
    clients,
    provision_api,
    provision_archive,
    provision_dsar,
    provision_ingest,
    provision_ledger,
    settings,
)
from resources.clients import error_code
from resources.provision_api import ApiNames
from resources.provision_archive import ArchiveNames
from resources.provision_dsar import DsarNames
from resources.provision_ingest import IngestNames
from resources.provision_ledger import LedgerNames

Shape = Mapping[str, Any]
"""A resource's configuration: what is compared, under names that a person understands."""

KeyType = Literal["S", "N", "B"]

EXPORT_RULE = "privacy-export-complete"
CRAWLER_EXCLUSIONS = ("**/manifest-*", "**/_started", "**.checksum", "**.md5")
"""What an export writes beside its data (DynamoDB Developer Guide, "DynamoDB table export output format")."""
CRAWLER_CONFIGURATION: Mapping[str, Any] = {
    "Version": 1.0,
    # exports/<noun>/ is the table: the bucket is level 1, exports 2, the noun 3.
    "Grouping": {"TableGroupingPolicy": "CombineCompatibleSchemas", "TableLevelConfiguration": 3},
    "CrawlerOutput": {"Partitions": {"AddOrUpdateBehavior": "InheritFromTable"}},
}
_FORTNIGHT = 14 * 24 * 3600


class ProvisionError(ValueError):
    """The account holds something that cannot be brought to its declaration without losing data."""


@dataclass(frozen=True)
class TableShape:
    """A governed DynamoDB table: its noun in the lake, its name, its keys (partition key, then sort key), and
    for how many days what is deleted from it is kept (None: for ever).
    """

    noun: str
    table: str
    keys: tuple[tuple[str, KeyType], ...]
    retention_days: int | None = None


@dataclass(frozen=True)
class Names:
    """What the resources are called; a domain whose names are not given has no resources."""

    bucket: str
    database: str
    workgroup: str
    crawler_role: str
    queue: str
    dead_letters: str
    topic: str
    rule: str = EXPORT_RULE
    scan_requests: str = settings.SCAN_QUEUE.default
    scan_dead_letters: str = settings.SCAN_DEAD_LETTER_QUEUE.default
    scan_jobs: str = settings.SCAN_JOBS_TABLE.default
    archive: ArchiveNames | None = None
    dsar: DsarNames | None = None
    ingest: IngestNames | None = None
    api: ApiNames | None = None
    ledger: LedgerNames | None = None

    @classmethod
    def from_settings(cls) -> "Names":
        """The names that the environment's settings give."""
        return cls(
            bucket=settings.LAKE_BUCKET.value(),
            database=settings.GLUE_DATABASE.value(),
            workgroup=settings.ATHENA_WORKGROUP.value(),
            crawler_role=settings.CRAWLER_ROLE.value(),
            queue=settings.EXPORT_QUEUE.value(),
            dead_letters=settings.EXPORT_DEAD_LETTER_QUEUE.value(),
            topic=settings.ALERT_TOPIC_ARN.value().rpartition(":")[2],
            scan_requests=settings.SCAN_QUEUE.value(),
            scan_dead_letters=settings.SCAN_DEAD_LETTER_QUEUE.value(),
            scan_jobs=settings.SCAN_JOBS_TABLE.value(),
            archive=ArchiveNames.from_settings(),
            dsar=DsarNames.from_settings(),
            ingest=IngestNames.from_settings(),
            api=ApiNames.from_settings(),
            ledger=LedgerNames.from_settings(),
        )

    def crawler(self, noun: str) -> str:
        """The crawler of a table's exports; crawlers are an account's, so it carries the database's name."""
        return f"{self.database}-{noun}-exports"


@dataclass(frozen=True)
class Place:
    """The account and region of the credentials in use."""

    account: str
    region: str

    @classmethod
    def live(cls) -> "Place":
        client = clients.client("sts")
        return cls(client.get_caller_identity()["Account"], client.meta.region_name)

    def arn(self, service: str, name: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account}:{name}"


class Resource(NamedTuple):
    """One resource as declared."""

    kind: str
    name: str
    shape: Shape


def shapes(names: Names, tables: Sequence[TableShape], place: Place) -> list[Resource]:
    """Everything that must exist, in the order in which it is created."""
    queue = {"days kept": 14, "encrypted": True}
    dead_letters = place.arn("sqs", names.dead_letters)
    # A message stays until its run exists, which takes as long as the slowest export: only poison is moved.
    export_queue = {
        **queue,
        "seconds hidden": 30,
        "dead letters": {"queue": dead_letters, "receives": 1000},
        "senders": {"events.amazonaws.com": place.arn("events", f"rule/{names.rule}")},
    }
    # As a run that is asked for may wait for its turn behind others.
    scan_queue = {
        **queue,
        "seconds hidden": 30,
        "dead letters": {"queue": place.arn("sqs", names.scan_dead_letters), "receives": 1000},
    }
    jobs = TableShape("scan_jobs", names.scan_jobs, (("job_id", "S"),))
    return [
        Resource("bucket", names.bucket, _BUCKET),
        Resource("role", names.crawler_role.rpartition("/")[2], _crawler_role(names, place)),
        Resource("database", names.database, {}),
        *(Resource("crawler", names.crawler(table.noun), _crawler(names, table.noun)) for table in tables),
        Resource("workgroup", names.workgroup, _workgroup(names)),
        Resource("queue", names.dead_letters, {**queue, "seconds hidden": 30}),
        Resource("queue", names.queue, export_queue),
        Resource("queue", names.scan_dead_letters, {**queue, "seconds hidden": 30}),
        Resource("queue", names.scan_requests, scan_queue),
        Resource("table", names.scan_jobs, _table(jobs, streamed=False)),
        Resource("rule", names.rule, _rule(names, place)),
        Resource("topic", names.topic, {}),
        *(Resource("table", table.table, _table(table, streamed=bool(names.archive))) for table in tables),
        *(provision_archive.shapes(names.archive, tables, place) if names.archive else ()),
        *(provision_dsar.shapes(names.dsar, place) if names.dsar else ()),
        *(provision_ingest.shapes(names.ingest, place) if names.ingest else ()),
        *(provision_api.shapes(names.api) if names.api else ()),
        *(provision_ledger.shapes(names.ledger, place) if names.ledger else ()),
    ]


_BUCKET: Shape = {
    "versioning": "Enabled",
    "public access": "blocked",
    "encryption": "AES256",
    "events to EventBridge": True,
    # What people asked for: rows of anybody's, and keys of who was restored. With as many days more for older
    # versions it is gone within the month that an erasure has (GDPR Art. 12(3)).
    "days kept": {"athena": 14, "athena-people": 14, "restores": 14},
}


_CATALOG_ACTIONS = (
    "glue:BatchCreatePartition",
    "glue:BatchGetPartition",
    "glue:BatchUpdatePartition",
    "glue:CreateTable",
    "glue:GetDatabase",
    "glue:GetPartition",
    "glue:GetPartitions",
    "glue:GetTable",
    "glue:GetTables",
    "glue:UpdatePartition",
    "glue:UpdateTable",
)


def _crawler_role(names: Names, place: Place) -> Shape:
    bucket = f"arn:aws:s3:::{names.bucket}"
    catalog = [
        place.arn("glue", "catalog"),
        place.arn("glue", f"database/{names.database}"),
        place.arn("glue", f"table/{names.database}/*"),
    ]
    logs = place.arn("logs", "log-group:/aws-glue/*")
    return {
        "trusted service": "glue.amazonaws.com",
        "may": {
            bucket: ["s3:GetBucketLocation", "s3:ListBucket"],
            f"{bucket}/exports/*": ["s3:GetObject"],
            **{part: list(_CATALOG_ACTIONS) for part in catalog},
            logs: ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
        },
    }


def _crawler(names: Names, noun: str) -> Shape:
    """Everything is crawled each time: an incremental crawl adds no column, and never looks again at a folder
    that it saw while an export was being written.  Nothing is deleted: a past day's partition is evidence.
    """
    return {
        "role": _role_name(names.crawler_role),
        "database": names.database,
        "table prefix": "raw_",
        "target": f"s3://{names.bucket}/exports/{noun}/",
        "exclusions": list(CRAWLER_EXCLUSIONS),
        "changed schemas": "UPDATE_IN_DATABASE",
        "deleted objects": "LOG",
        "recrawl": "CRAWL_EVERYTHING",
        "configuration": dict(CRAWLER_CONFIGURATION),
    }


def _role_name(role: str) -> str:
    """Glue takes a role's ARN and tells its name."""
    return role.rpartition(":role/")[2]


def _workgroup(names: Names) -> Shape:
    """The client's output location is not overridden: each audit's raw result goes to its own path."""
    return {
        "state": "ENABLED",
        "output location": f"s3://{names.bucket}/athena/",
        "overrides the client's output location": False,
        "metrics": True,
    }


def _rule(names: Names, place: Place) -> Shape:
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {
            "bucket": {"name": [names.bucket]},
            "object": {"key": [{"wildcard": "exports/*manifest-summary.json"}]},
        },
    }
    return {"state": "ENABLED", "pattern": pattern, "targets": [place.arn("sqs", names.queue)]}


def _table(table: TableShape, *, streamed: bool) -> Shape:
    return {
        "keys": [[name, kind] for name, kind in table.keys],
        "billing": "PAY_PER_REQUEST",
        "point-in-time recovery": "ENABLED",
        **({"stream": provision_archive.STREAM} if streamed else {}),
    }


# --- what is done with the declaration ----------------------------------------------------------------------


def provision(tables: Sequence[TableShape], names: Names | None = None) -> list[str]:
    """Create what is missing, correct what differs; a line for each thing done, none when all was right.

    Raises ProvisionError for a DynamoDB table with other keys: it would have to be made anew.
    """
    done = []
    for resource in shapes(names or Names.from_settings(), tables, Place.live()):
        kind = _kind(resource.kind)
        live = kind.read(resource.name)
        if live is None:
            kind.create(resource.name, resource.shape)
            done.append(f"{resource.kind} {resource.name}: created")
        elif changed := _differing(live, resource.shape):
            kind.correct(resource.name, resource.shape, changed)
            done.append(f"{resource.kind} {resource.name}: corrected {', '.join(changed)}")
    return done


def differences(tables: Sequence[TableShape], names: Names | None = None) -> list[str]:
    """A line for each thing that is not in the account as it is declared; none when all is right."""
    lines = []
    for resource in shapes(names or Names.from_settings(), tables, Place.live()):
        live = _kind(resource.kind).read(resource.name)
        if live is None:
            lines.append(f"{resource.kind} {resource.name}: missing")
            continue
        for what in _differing(live, resource.shape):
            found, expected = _text(live.get(what)), _text(resource.shape[what])
            lines.append(f"{resource.kind} {resource.name}: {what} is {found}, expected {expected}")
    return lines


def _differing(live: Shape, shape: Shape) -> list[str]:
    return [what for what, expected in shape.items() if live.get(what) != expected]


def _text(value: Any) -> str:
    if value is None:
        return "not set"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


# --- each kind of resource: read as a shape, create from one, correct to one --------------------------------


def read_bucket(name: str) -> Shape | None:
    """A bucket as it is."""
    s3 = clients.client("s3")
    try:
        s3.head_bucket(Bucket=name)
    except s3.exceptions.ClientError as error:
        if error_code(error) in ("404", "NoSuchBucket"):
            return None
        raise
    try:
        blocked = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    except s3.exceptions.ClientError as error:
        if error_code(error) != "NoSuchPublicAccessBlockConfiguration":
            raise
        blocked = {}
    try:
        rules = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    except s3.exceptions.ClientError as error:
        if error_code(error) != "ServerSideEncryptionConfigurationNotFoundError":
            raise
        rules = []
    encryption = [rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] for rule in rules]
    notifications = s3.get_bucket_notification_configuration(Bucket=name)
    return {
        "versioning": s3.get_bucket_versioning(Bucket=name).get("Status"),
        "public access": "blocked" if blocked == _BLOCK_ALL else "possible",
        "encryption": encryption[0] if encryption else None,
        "events to EventBridge": "EventBridgeConfiguration" in notifications,
        "days kept": {
            rule["ID"]: rule.get("Expiration", {}).get("Days")
            for rule in _lifecycle(name)
            if rule.get("ID") in _BUCKET["days kept"] and rule["Status"] == "Enabled"
        },
    }


def _lifecycle(name: str) -> list[dict[str, Any]]:
    s3 = clients.client("s3")
    try:
        found: list[dict[str, Any]] = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    except s3.exceptions.ClientError as error:
        if error_code(error) != "NoSuchLifecycleConfiguration":
            raise
        return []
    return found


_BLOCK_ALL = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}


def _create_bucket(name: str, shape: Shape) -> None:
    s3 = clients.client("s3")
    region = s3.meta.region_name
    # us-east-1 is the default and is refused when it is named.
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=name, **where)
    correct_bucket(name, shape, list(shape))


def correct_bucket(name: str, shape: Shape, changed: Sequence[str]) -> None:
    """Bring a bucket to its declaration."""
    s3 = clients.client("s3")
    if "versioning" in changed:
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": shape["versioning"]})
    if "public access" in changed:
        s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=_BLOCK_ALL)
    if "encryption" in changed:
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": shape["encryption"]}}
        s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [rule]})
    if "events to EventBridge" in changed:
        found = s3.get_bucket_notification_configuration(Bucket=name)
        found.pop("ResponseMetadata", None)  # what else is notified of stays
        s3.put_bucket_notification_configuration(
            Bucket=name, NotificationConfiguration={**found, "EventBridgeConfiguration": {}}
        )
    if "days kept" in changed:
        rules = [rule for rule in _lifecycle(name) if rule.get("ID") not in shape["days kept"]]
        rules += [_expires(prefix, days) for prefix, days in shape["days kept"].items()]
        s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules})


def _expires(prefix: str, days: int) -> dict[str, Any]:
    return {
        "ID": prefix,
        "Status": "Enabled",
        "Filter": {"Prefix": f"{prefix}/"},
        "Expiration": {"Days": days},
        "NoncurrentVersionExpiration": {"NoncurrentDays": days},
    }


_POLICIES = {"glue.amazonaws.com": "crawl", "pipes.amazonaws.com": "move"}


def _read_role(name: str) -> Shape | None:
    iam = clients.client("iam")
    try:
        role = iam.get_role(RoleName=name)["Role"]
    except iam.exceptions.NoSuchEntityException:
        return None
    policies = iam.list_role_policies(RoleName=name)["PolicyNames"]
    statements = [
        statement
        for policy in policies
        for statement in _listed(
            iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]["Statement"]
        )
    ]
    trusted = [
        service for service, _ in _allowed_services(role["AssumeRolePolicyDocument"], "sts:assumerole")
    ]
    return {
        "trusted service": trusted[0] if trusted else None,
        "may": {
            resource: sorted(_listed(statement.get("Action")))
            for statement in statements
            if statement.get("Effect") == "Allow"
            for resource in _listed(statement.get("Resource"))
        },
    }


def _allowed_services(policy: Mapping[str, Any], action: str) -> list[tuple[str, Mapping[str, Any]]]:
    """The services that a policy allows ``action`` (lower case), each with the statement's conditions."""
    return [
        (service, statement.get("Condition", {}))
        for statement in _listed(policy.get("Statement"))
        if statement.get("Effect") == "Allow"
        and action in {allowed.lower() for allowed in _listed(statement.get("Action"))}
        and isinstance(statement.get("Principal"), dict)
        for service in _listed(statement["Principal"].get("Service"))
    ]


def _listed(value: Any) -> list[Any]:
    """Policies may write a list of one as the one."""
    return [] if value is None else value if isinstance(value, list) else [value]


def _create_role(name: str, shape: Shape) -> None:
    clients.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(_trust(shape)))
    _correct_role(name, shape, ["may"])


def _correct_role(name: str, shape: Shape, changed: Sequence[str]) -> None:
    iam = clients.client("iam")
    if "trusted service" in changed:
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(_trust(shape)))
    if "may" in changed:
        statements = [
            {"Effect": "Allow", "Resource": resource, "Action": actions}
            for resource, actions in shape["may"].items()
        ]
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_role_policy(
            RoleName=name, PolicyName=_POLICIES[shape["trusted service"]], PolicyDocument=document
        )


def _trust(shape: Shape) -> Shape:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": shape["trusted service"]},
        "Action": "sts:AssumeRole",
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def _read_database(name: str) -> Shape | None:
    glue = clients.client("glue")
    try:
        glue.get_database(Name=name)
    except glue.exceptions.EntityNotFoundException:
        return None
    return {}


def _create_database(name: str, _: Shape) -> None:
    clients.client("glue").create_database(DatabaseInput={"Name": name})


def _nothing_to_correct(name: str, _: Shape, changed: Sequence[str]) -> None:
    raise AssertionError(f"{name} has no configuration, yet differs in {changed}")


def _read_crawler(name: str) -> Shape | None:
    glue = clients.client("glue")
    try:
        found = glue.get_crawler(Name=name)["Crawler"]
    except glue.exceptions.EntityNotFoundException:
        return None
    targets = found["Targets"].get("S3Targets", [])
    policy = found.get("SchemaChangePolicy", {})
    return {
        "role": _role_name(found["Role"]),
        "database": found.get("DatabaseName"),
        "table prefix": found.get("TablePrefix"),
        "target": ", ".join(target["Path"] for target in targets),
        "exclusions": [pattern for target in targets for pattern in target.get("Exclusions", [])],
        "changed schemas": policy.get("UpdateBehavior", "UPDATE_IN_DATABASE"),
        "deleted objects": policy.get("DeleteBehavior", "DEPRECATE_IN_DATABASE"),
        "recrawl": found.get("RecrawlPolicy", {}).get("RecrawlBehavior", "CRAWL_EVERYTHING"),
        "configuration": json.loads(found.get("Configuration") or "{}"),
    }


def _crawler_definition(name: str, shape: Shape) -> dict[str, Any]:
    return {
        "Name": name,
        "Role": shape["role"],
        "DatabaseName": shape["database"],
        "TablePrefix": shape["table prefix"],
        "Targets": {"S3Targets": [{"Path": shape["target"], "Exclusions": shape["exclusions"]}]},
        "SchemaChangePolicy": {
            "UpdateBehavior": shape["changed schemas"],
            "DeleteBehavior": shape["deleted objects"],
        },
        "RecrawlPolicy": {"RecrawlBehavior": shape["recrawl"]},
        "Configuration": json.dumps(shape["configuration"]),
    }


def _create_crawler(name: str, shape: Shape) -> None:
    clients.client("glue").create_crawler(**_crawler_definition(name, shape))


def _correct_crawler(name: str, shape: Shape, _: Sequence[str]) -> None:
    clients.client("glue").update_crawler(**_crawler_definition(name, shape))


def _read_workgroup(name: str) -> Shape | None:
    athena = clients.client("athena")
    # GetWorkGroup answers InvalidRequestException for one that is missing, as for any other mistake.
    if name not in _workgroups(athena):
        return None
    group = athena.get_work_group(WorkGroup=name)["WorkGroup"]
    configuration = group.get("Configuration", {})
    return {
        "state": group.get("State"),
        "output location": configuration.get("ResultConfiguration", {}).get("OutputLocation"),
        "overrides the client's output location": configuration.get("EnforceWorkGroupConfiguration", True),
        "metrics": configuration.get("PublishCloudWatchMetricsEnabled", False),
    }


def _workgroups(athena: Any) -> set[str]:
    found: set[str] = set()
    page: dict[str, Any] = {}
    while True:
        answer = athena.list_work_groups(**page)
        found |= {group["Name"] for group in answer.get("WorkGroups", ())}
        if not answer.get("NextToken"):
            return found
        page = {"NextToken": answer["NextToken"]}


def _create_workgroup(name: str, shape: Shape) -> None:
    configuration = {
        "ResultConfiguration": {"OutputLocation": shape["output location"]},
        "EnforceWorkGroupConfiguration": shape["overrides the client's output location"],
        "PublishCloudWatchMetricsEnabled": shape["metrics"],
    }
    clients.client("athena").create_work_group(Name=name, Configuration=configuration)


def _correct_workgroup(name: str, shape: Shape, _: Sequence[str]) -> None:
    clients.client("athena").update_work_group(
        WorkGroup=name,
        State=shape["state"],
        ConfigurationUpdates={
            "ResultConfigurationUpdates": {"OutputLocation": shape["output location"]},
            "EnforceWorkGroupConfiguration": shape["overrides the client's output location"],
            "PublishCloudWatchMetricsEnabled": shape["metrics"],
        },
    )


def _read_queue(name: str) -> Shape | None:
    sqs = clients.client("sqs")
    try:
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    except sqs.exceptions.QueueDoesNotExist:
        return None
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    shape: dict[str, Any] = {
        "days kept": int(found["MessageRetentionPeriod"]) // (24 * 3600),
        "seconds hidden": int(found["VisibilityTimeout"]),
        "encrypted": found.get("SqsManagedSseEnabled") == "true" or "KmsMasterKeyId" in found,
        "message bytes": int(found["MaximumMessageSize"]),
    }
    if "RedrivePolicy" in found:
        redrive = json.loads(found["RedrivePolicy"])
        shape["dead letters"] = {
            "queue": redrive["deadLetterTargetArn"],
            "receives": int(redrive["maxReceiveCount"]),
        }
    if "Policy" in found:
        allowed = _allowed_services(json.loads(found["Policy"]), "sqs:sendmessage")
        shape["senders"] = {
            service: conditions.get("ArnEquals", {}).get("aws:SourceArn") for service, conditions in allowed
        }
    return shape


def _queue_attributes(shape: Shape, arn: str) -> dict[str, str]:
    attributes = {
        "MessageRetentionPeriod": str(shape["days kept"] * 24 * 3600),
        "VisibilityTimeout": str(shape["seconds hidden"]),
        "SqsManagedSseEnabled": "true" if shape["encrypted"] else "false",
    }
    if size := shape.get("message bytes"):
        attributes["MaximumMessageSize"] = str(size)
    if dead_letters := shape.get("dead letters"):
        attributes["RedrivePolicy"] = json.dumps(
            {"deadLetterTargetArn": dead_letters["queue"], "maxReceiveCount": dead_letters["receives"]}
        )
    if senders := shape.get("senders"):
        statements = [
            {
                "Effect": "Allow",
                "Principal": {"Service": service},
                "Action": "sqs:SendMessage",
                "Resource": arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": source}},
            }
            for service, source in senders.items()
        ]
        attributes["Policy"] = json.dumps({"Version": "2012-10-17", "Statement": statements})
    return attributes


def _create_queue(name: str, shape: Shape) -> None:
    arn = Place.live().arn("sqs", name)
    clients.client("sqs").create_queue(QueueName=name, Attributes=_queue_attributes(shape, arn))


def _correct_queue(name: str, shape: Shape, _: Sequence[str]) -> None:
    sqs, arn = clients.client("sqs"), Place.live().arn("sqs", name)
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes=_queue_attributes(shape, arn))


def _read_rule(name: str) -> Shape | None:
    events = clients.client("events")
    try:
        rule = events.describe_rule(Name=name)
    except events.exceptions.ResourceNotFoundException:
        return None
    targets = events.list_targets_by_rule(Rule=name)["Targets"]
    return {
        "state": rule.get("State"),
        "pattern": json.loads(rule.get("EventPattern") or "{}"),
        "targets": [target["Arn"] for target in targets],
    }


def _create_rule(name: str, shape: Shape) -> None:
    _correct_rule(name, shape, list(shape))


def _correct_rule(name: str, shape: Shape, changed: Sequence[str]) -> None:
    events = clients.client("events")
    if "state" in changed or "pattern" in changed:
        events.put_rule(Name=name, EventPattern=json.dumps(shape["pattern"]), State=shape["state"])
    if "targets" in changed:
        targets = [{"Id": arn.rpartition(":")[2], "Arn": arn} for arn in shape["targets"]]
        known = {target["Id"] for target in events.list_targets_by_rule(Rule=name)["Targets"]}
        if others := sorted(known - {target["Id"] for target in targets}):
            events.remove_targets(Rule=name, Ids=others)
        events.put_targets(Rule=name, Targets=targets)


def _read_topic(name: str) -> Shape | None:
    sns = clients.client("sns")
    try:
        sns.get_topic_attributes(TopicArn=Place.live().arn("sns", name))
    except sns.exceptions.NotFoundException:
        return None
    return {}


def _create_topic(name: str, _: Shape) -> None:
    clients.client("sns").create_topic(Name=name)


_ON = ("ENABLED", "ENABLING")


def _read_table(name: str) -> Shape | None:
    dynamodb = clients.client("dynamodb")
    try:
        table = dynamodb.describe_table(TableName=name)["Table"]
    except dynamodb.exceptions.ResourceNotFoundException:
        return None
    types = {entry["AttributeName"]: entry["AttributeType"] for entry in table["AttributeDefinitions"]}
    keys = sorted(table["KeySchema"], key=lambda key: key["KeyType"])  # HASH, then RANGE
    backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    recovery = backups.get("PointInTimeRecoveryDescription", {})
    expiry = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    return {
        "keys": [[key["AttributeName"], types[key["AttributeName"]]] for key in keys],
        "billing": table.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED"),
        "point-in-time recovery": recovery.get("PointInTimeRecoveryStatus", "DISABLED"),
        "stream": table.get("StreamSpecification", {}).get("StreamViewType"),
        "expires by": expiry.get("AttributeName") if expiry["TimeToLiveStatus"] in _ON else None,
        "indexes": {
            index["IndexName"]: [key["AttributeName"] for key in index["KeySchema"]]
            for index in table.get("GlobalSecondaryIndexes", ())
        },
    }


def _create_table(name: str, shape: Shape) -> None:
    dynamodb = clients.client("dynamodb")
    kinds = ("HASH", "RANGE")
    indexes = [_index(index, shape) for index in shape.get("indexes", ())]
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=_attributes(shape),
        KeySchema=[
            {"AttributeName": key, "KeyType": kind}
            for (key, _), kind in zip(shape["keys"], kinds, strict=False)
        ],
        BillingMode=shape["billing"],
        **({"GlobalSecondaryIndexes": indexes} if indexes else {}),
    )
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    set_later = ("point-in-time recovery", "stream", "expires by")
    _correct_table(name, shape, [each for each in set_later if shape.get(each) not in (None, "DISABLED")])


def _attributes(shape: Shape) -> list[dict[str, str]]:
    """The table's keys and its indexes', which are text."""
    named = dict(shape["keys"]) | {key: "S" for keys in shape.get("indexes", {}).values() for key in keys}
    return [{"AttributeName": name, "AttributeType": kind} for name, kind in named.items()]


def _index(name: str, shape: Shape) -> dict[str, Any]:
    kinds = ("HASH", "RANGE")
    return {
        "IndexName": name,
        "KeySchema": [
            {"AttributeName": key, "KeyType": kind}
            for key, kind in zip(shape["indexes"][name], kinds, strict=False)
        ],
        "Projection": {"ProjectionType": "ALL"},
    }


def _correct_table(name: str, shape: Shape, changed: Sequence[str]) -> None:
    dynamodb = clients.client("dynamodb")
    if "keys" in changed:
        raise ProvisionError(
            f"table {name}: its keys are not {_text(shape['keys'])}, which DynamoDB can't change: "
            "declare the keys that it has, or make a new table"
        )
    if "billing" in changed:
        dynamodb.update_table(TableName=name, BillingMode=shape["billing"])
        dynamodb.get_waiter("table_exists").wait(TableName=name)
    if "point-in-time recovery" in changed:
        dynamodb.update_continuous_backups(
            TableName=name,
            PointInTimeRecoverySpecification={
                "PointInTimeRecoveryEnabled": shape["point-in-time recovery"] == "ENABLED"
            },
        )
    if "expires by" in changed:
        dynamodb.update_time_to_live(
            TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": shape["expires by"]}
        )
    if "indexes" in changed:
        there = (_read_table(name) or {}).get("indexes", {})
        for index in sorted(set(shape["indexes"]) - set(there)):  # DynamoDB makes one at a time
            dynamodb.update_table(
                TableName=name,
                AttributeDefinitions=_attributes(shape),
                GlobalSecondaryIndexUpdates=[{"Create": _index(index, shape)}],
            )
            dynamodb.get_waiter("table_exists").wait(TableName=name)
    if "stream" in changed:
        if (_read_table(name) or {}).get("stream") is not None:  # another view: switched off before it is on
            dynamodb.update_table(TableName=name, StreamSpecification={"StreamEnabled": False})
            dynamodb.get_waiter("table_exists").wait(TableName=name)
        dynamodb.update_table(
            TableName=name,
            StreamSpecification={"StreamEnabled": True, "StreamViewType": shape["stream"]},
        )
        dynamodb.get_waiter("table_exists").wait(
            TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
        )


class Kind(NamedTuple):
    """How one kind of resource is read (None: it is missing), created and corrected."""

    read: Callable[[str], Shape | None]
    create: Callable[[str, Shape], None]
    correct: Callable[[str, Shape, Sequence[str]], None]


KINDS: Mapping[str, Kind] = {
    "bucket": Kind(read_bucket, _create_bucket, correct_bucket),
    "role": Kind(_read_role, _create_role, _correct_role),
    "database": Kind(_read_database, _create_database, _nothing_to_correct),
    "crawler": Kind(_read_crawler, _create_crawler, _correct_crawler),
    "workgroup": Kind(_read_workgroup, _create_workgroup, _correct_workgroup),
    "queue": Kind(_read_queue, _create_queue, _correct_queue),
    "rule": Kind(_read_rule, _create_rule, _correct_rule),
    "topic": Kind(_read_topic, _create_topic, _nothing_to_correct),
    "table": Kind(_read_table, _create_table, _correct_table),
}


def _kind(name: str) -> Kind:
    return {**KINDS, **provision_archive.kinds(), **provision_ledger.kinds()}[name]
