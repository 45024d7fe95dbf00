"""From a recorded call to the IAM actions that it needs, and from a template to what a role allows."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

from infra.declared import Declared
from infra.names import ALERT_KEY, role_name

ACCOUNT, REGION = "123456789012", "us-east-1"
EXECUTION = role_name("task-execution")
_PREFIX = {"monitoring": "cloudwatch"}
_TRANSACT = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}


@dataclass(frozen=True)
class Need:
    """One permission that a call needs. ``context`` holds what conditions look at."""

    part: str
    action: str
    resource: str
    context: tuple[tuple[str, str], ...] = ()


def arn(service: str, name: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{name}"


class Needs:
    """What recorded calls need: by themselves, and because a service acts with the caller's rights.

    ``aliases`` maps the ids of keys to their aliases.
    """

    def __init__(self, declared: Declared, aliases: Mapping[str, str]) -> None:
        self._aliases = aliases
        self._lake, self._database = declared.names.bucket, declared.names.database
        # A topic and a bucket may have the same name.
        self._keys = {("sns", topic): ALERT_KEY for topic in declared.of("topic")}
        for resource in declared.resources:
            encryption = resource.shape.get("encryption")
            if isinstance(encryption, list):
                self._keys["s3", resource.name] = encryption[1].split(":", 5)[5]

    def of(self, call: Mapping[str, Any]) -> Iterator[Need]:
        """All that one call needs."""
        part, service = call["key"], call["service"]
        if service == "s3":
            yield from self._s3(part, call)
            return
        if service == "kms":  # by what it is called with; _kms is by what S3 and SNS call it with
            service = "kms_call"
        parameters = call["parameters"] or {}
        action = call["target"].rpartition(".")[2] or parameters.get("Action") or _rest(call)
        handler = getattr(self, f"_{service}", None)
        if handler is None:
            raise AssertionError(
                f"{service}:{action}: allowed.py does not know what of {service} it is about"
            )
        yield from handler(part, action, parameters)

    # --- S3: by method, subresource and whether there is a key

    def _s3(self, part: str, call: Mapping[str, Any]) -> Iterator[Need]:
        query = parse_qs(call["query"], keep_blank_values=True)
        bucket, _, key = unquote(call["path"]).lstrip("/").partition("/")
        where = f"arn:aws:s3:::{bucket}"
        one = f"{where}/{key}"
        method = call["method"]
        if not bucket:
            yield Need(part, "s3:ListAllMyBuckets", "*")
        elif not key:
            yield from self._s3_bucket(part, call, method, query, where)
        elif method in ("GET", "HEAD"):
            version = "Version" if "versionId" in query else ""
            what = "Tagging" if "tagging" in query else "Retention" if "retention" in query else ""
            yield Need(part, f"s3:GetObject{version}{what}", one)
            yield from self._kms(part, bucket, "kms:Decrypt", "s3")
        elif method == "DELETE":
            if "uploadId" in query:
                yield Need(part, "s3:AbortMultipartUpload", one)
            else:
                yield Need(part, "s3:DeleteObjectVersion" if "versionId" in query else "s3:DeleteObject", one)
        else:
            if source := call["headers"].get("x-amz-copy-source"):
                name = unquote(source).lstrip("/").partition("?")[0]
                yield Need(part, "s3:GetObject", f"arn:aws:s3:::{name}")
                yield from self._kms(part, name.partition("/")[0], "kms:Decrypt", "s3")
            yield Need(part, "s3:PutObjectRetention" if "retention" in query else "s3:PutObject", one)
            if "x-amz-object-lock-mode" in call["headers"]:
                yield Need(part, "s3:PutObjectRetention", one)
            if "x-amz-tagging" in call["headers"]:
                yield Need(part, "s3:PutObjectTagging", one)
            yield from self._kms(part, bucket, "kms:GenerateDataKey", "s3")
            if "partNumber" in query or "uploads" in query:
                yield from self._kms(part, bucket, "kms:Decrypt", "s3")

    def _s3_bucket(
        self, part: str, call: Mapping[str, Any], method: str, query: Mapping[str, Any], where: str
    ) -> Iterator[Need]:
        if "delete" in query:
            for key, version in call["parameters"]["objects"]:
                action = "s3:DeleteObjectVersion" if version else "s3:DeleteObject"
                yield Need(part, action, f"{where}/{key}")
        elif "versions" in query:
            yield Need(part, "s3:ListBucketVersions", where)
        elif "location" in query:
            yield Need(part, "s3:GetBucketLocation", where)
        elif "uploads" in query:
            yield Need(part, "s3:ListBucketMultipartUploads", where)
        elif "object-lock" in query:
            yield Need(part, "s3:GetBucketObjectLockConfiguration", where)
        elif "versioning" in query:
            yield Need(part, "s3:GetBucketVersioning", where)
        elif method in ("GET", "HEAD"):
            yield Need(part, "s3:ListBucket", where)
        else:
            raise AssertionError(f"{method} {call['path']}?{call['query']}: no part makes or changes buckets")

    def _kms(self, part: str, name: str, action: str, via: str) -> Iterator[Need]:
        """The service calls KMS with the caller's rights."""
        if alias := self._keys.get((via, name)):
            context = (("kms:ResourceAliases", alias), ("kms:ViaService", f"{via}.{REGION}.amazonaws.com"))
            yield Need(part, action, arn("kms", "key/one"), context)

    # --- the others: by what their requests name

    def _dynamodb(self, part: str, action: str, parameters: Mapping[str, Any]) -> Iterator[Need]:
        if action in ("BatchGetItem", "BatchWriteItem"):
            for table in parameters["RequestItems"]:
                yield Need(part, f"dynamodb:{action}", arn("dynamodb", f"table/{_last(table)}"))
        elif action in ("TransactWriteItems", "TransactGetItems"):
            for item in parameters["TransactItems"]:
                for kind, request in item.items():
                    single = _TRANSACT.get(kind, "GetItem")
                    yield Need(
                        part, f"dynamodb:{single}", arn("dynamodb", f"table/{_last(request['TableName'])}")
                    )
        elif action in ("ListExports", "ListTables"):
            yield Need(part, f"dynamodb:{action}", "*")
        elif "ExportArn" in parameters:
            table = parameters["ExportArn"].split("table/")[1].split("/")[0]
            yield Need(part, f"dynamodb:{action}", arn("dynamodb", f"table/{table}/export/1"))
        elif "StreamArn" in parameters:
            yield Need(part, f"dynamodb:{action}", parameters["StreamArn"])
        elif "ShardIterator" in parameters:
            yield Need(part, f"dynamodb:{action}", arn("dynamodb", "table/PrivacyLogsTable/stream/1"))
        else:
            table = parameters.get("TableName") or parameters.get("TableArn") or parameters["ResourceArn"]
            where = arn("dynamodb", f"table/{_last(table)}")
            index = parameters.get("IndexName")
            yield Need(part, f"dynamodb:{action}", f"{where}/index/{index}" if index else where)
            if action == "ExportTableToPointInTime":  # DynamoDB writes with the caller's rights
                place = f"arn:aws:s3:::{parameters['S3Bucket']}/{parameters['S3Prefix']}/AWSDynamoDB/data"
                yield Need(part, "s3:PutObject", place)
                yield Need(part, "s3:AbortMultipartUpload", place)
                yield Need(part, "s3:PutObjectAcl", place)

    _dynamodbstreams = _dynamodb

    def _sqs(self, part: str, action: str, parameters: Mapping[str, Any]) -> Iterator[Need]:
        name = _last(parameters.get("QueueUrl") or parameters.get("QueueName") or "*")
        single = {
            "SendMessageBatch": "SendMessage",
            "DeleteMessageBatch": "DeleteMessage",
            "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
        }.get(action, action)
        yield Need(part, f"sqs:{single}", arn("sqs", name))

    def _sns(self, part: str, action: str, parameters: Mapping[str, Any]) -> Iterator[Need]:
        topic = parameters["TopicArn"]
        yield Need(part, f"sns:{action}", topic)
        if action == "Publish":
            yield from self._kms(part, _last(topic), "kms:GenerateDataKey", "sns")
            yield from self._kms(part, _last(topic), "kms:Decrypt", "sns")

    def _glue(self, part: str, action: str, parameters: Mapping[str, Any]) -> Iterator[Need]:
        if "rawler" in action:
            name = parameters.get("Name") or "*"
            yield Need(part, f"glue:{action}", arn("glue", f"crawler/{name}"))
            return
        database = parameters.get("DatabaseName") or parameters.get("Name")
        table = (
            parameters.get("TableName")
            or parameters.get("Name")
            or parameters.get("TableInput", {}).get("Name")
        )
        yield Need(part, f"glue:{action}", arn("glue", "catalog"))
        yield Need(part, f"glue:{action}", arn("glue", f"database/{database}"))
        if action not in ("GetDatabase", "GetDatabases", "GetTables"):
            yield Need(part, f"glue:{action}", arn("glue", f"table/{database}/{table}"))

    def _athena(self, part: str, action: str, parameters: Mapping[str, Any]) -> Iterator[Need]:
        group = arn("athena", f"workgroup/{parameters.get('WorkGroup', 'privacy-assets')}")
        yield Need(part, f"athena:{action}", group)
        if action != "StartQueryExecution":
            return
        # Athena reads and writes with the caller's rights.
        lake = f"arn:aws:s3:::{self._lake}"
        place = parameters.get("ResultConfiguration", {}).get("OutputLocation", f"s3://{self._lake}/athena/")
        output = place.removeprefix(f"s3://{self._lake}/")
        yield Need(part, "s3:GetBucketLocation", lake)
        yield Need(part, "s3:ListBucket", lake)
        for prefix in (output, *_targets(parameters["QueryString"], self._lake)):
            for wanted in ("s3:PutObject", "s3:AbortMultipartUpload"):
                yield Need(part, wanted, f"{lake}/{prefix}x")
        yield Need(part, "s3:GetObject", f"{lake}/{output}x")
        for wanted in ("GetDatabase", "GetTable", "GetPartitions"):
            yield Need(part, f"glue:{wanted}", arn("glue", "catalog"))
            yield Need(part, f"glue:{wanted}", arn("glue", f"database/{self._database}"))

    def _kms_call(self, part: str, action: str, parameters: Mapping[str, Any]) -> Iterator[Need]:
        key = parameters.get("KeyId")
        if not key:  # KMS would find the key in the ciphertext: then whoever wrote it chose the key
            raise AssertionError(f"{part}: kms:{action} names no key, expected KeyId")
        alias = key if key.startswith("alias/") else self._aliases.get(_last(key), "")
        yield Need(part, f"kms:{action}", arn("kms", "key/one"), (("kms:ResourceAliases", alias),))

    def _monitoring(self, part: str, action: str, parameters: Mapping[str, Any]) -> Iterator[Need]:
        yield Need(
            part, f"cloudwatch:{action}", "*", (("cloudwatch:namespace", parameters.get("Namespace", "")),)
        )

    def _secretsmanager(self, part: str, action: str, parameters: Mapping[str, Any]) -> Iterator[Need]:
        name = parameters.get("SecretId") or parameters.get("Name") or "*"
        name = name if name.startswith("arn:") else arn("secretsmanager", f"secret:{name}-AbCdEf")
        yield Need(part, f"secretsmanager:{action}", name)

    def _sts(self, part: str, action: str, parameters: Mapping[str, Any]) -> Iterator[Need]:
        if action != "GetCallerIdentity":  # which needs no permission
            yield Need(part, f"sts:{action}", "*")

    def _pipes(self, part: str, action: str, parameters: Mapping[str, Any]) -> Iterator[Need]:
        yield Need(part, f"pipes:{action}", "*")

    def _ecs(self, part: str, action: str, parameters: Mapping[str, Any]) -> Iterator[Need]:
        cluster = arn("ecs", f"cluster/{_last(parameters.get('cluster') or 'privacy-assets')}")
        context = (("ecs:cluster", cluster),)
        if action == "RunTask":
            definition = _last(parameters["taskDefinition"])
            where = arn("ecs", f"task-definition/{definition}" + ("" if ":" in definition else ":1"))
            yield Need(part, "ecs:RunTask", where, context)
            yield Need(
                part,
                "ecs:TagResource",
                arn("ecs", "task/privacy-assets/1"),
                (("ecs:CreateAction", "RunTask"),),
            )
            roles = [parameters["overrides"]["taskRoleArn"], f"arn:aws:iam::{ACCOUNT}:role/{EXECUTION}"]
            for role in roles:
                yield Need(part, "iam:PassRole", role, (("iam:PassedToService", "ecs-tasks.amazonaws.com"),))
        elif action == "DescribeTaskDefinition":
            yield Need(part, "ecs:DescribeTaskDefinition", "*")
        else:
            yield Need(part, f"ecs:{action}", arn("ecs", "task/privacy-assets/1"), context)

    def _ec2(self, part: str, action: str, parameters: Mapping[str, Any]) -> Iterator[Need]:
        yield Need(part, f"ec2:{action}", "*")

    def _logs(self, part: str, action: str, parameters: Mapping[str, Any]) -> Iterator[Need]:
        group = parameters.get("logGroupName", "*")
        yield Need(part, f"logs:{action}", arn("logs", f"log-group:{group}:log-stream:one"))


def _last(name: str) -> str:
    return (
        re.split(r"[:/](?=[^:/]*$)", name)[-1]
        if not name.startswith("arn:aws:ecs")
        else name.split("/", 1)[-1]
    )


def _rest(call: Mapping[str, Any]) -> str:
    """The action of a service that speaks REST, from method and path (EventBridge Pipes alone)."""
    return {"GET": "DescribePipe"}[call["method"]]


def _targets(sql: str, lake: str) -> list[str]:
    return re.findall(rf"TO\s+'s3://{re.escape(lake)}/([^']+)'", sql)
