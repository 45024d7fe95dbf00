"""Tables, loads and exports as the tests of local AWS's DynamoDB make and read them."""

import base64
import gzip
import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import boto3
import requests

Item = dict[str, Any]


def client(service: str, endpoint: str) -> Any:
    """A client of one server, whatever the environment names."""
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


def load(endpoint: str, table: str, lines: Iterable[Mapping[str, Any]], **query: str) -> requests.Response:
    """POST lines to the load call."""
    body = "\n".join(json.dumps(line) for line in lines)
    return load_text(endpoint, table, body, **query)


def load_text(endpoint: str, table: str, body: str | bytes, **query: str) -> requests.Response:
    data = body.encode() if isinstance(body, str) else body
    return requests.post(
        f"{endpoint}/_local/dynamodb/load", params={"table": table, **query}, data=data, timeout=60
    )


@dataclass
class Table:
    """A table of its own and a bucket beside it. ``id`` (S) is the key, with ``at`` (N) where ``ranged``."""

    endpoint: str
    name: str
    ranged: bool = False
    recovery: bool = True
    stream: bool = False
    client: Any = field(init=False)
    s3: Any = field(init=False)
    arn: str = field(init=False)

    def __post_init__(self) -> None:
        self.client = client("dynamodb", self.endpoint)
        self.s3 = client("s3", self.endpoint)

    @property
    def bucket(self) -> str:
        return self.name

    def create(self) -> "Table":
        keys = [("id", "S", "HASH")] + ([("at", "N", "RANGE")] if self.ranged else [])
        stream = {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}}
        described = self.client.create_table(
            TableName=self.name,
            KeySchema=[{"AttributeName": name, "KeyType": role} for name, _, role in keys],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind, _ in keys],
            BillingMode="PAY_PER_REQUEST",
            **(stream if self.stream else {}),
        )
        self.arn = described["TableDescription"]["TableArn"]
        self.s3.create_bucket(Bucket=self.bucket)
        if self.recovery:
            self.client.update_continuous_backups(
                TableName=self.name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
            )
        return self

    def load(self, *lines: Mapping[str, Any], **query: str) -> dict[str, int]:
        answer = load(self.endpoint, self.name, lines, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def items(self) -> list[Item]:
        """The live items, by Scan, in their order."""
        pages = self.client.get_paginator("scan").paginate(TableName=self.name)
        return [item for page in pages for item in page["Items"]]

    def start_export(self, **arguments: Any) -> dict[str, Any]:
        arguments = {"TableArn": self.arn, "S3Bucket": self.bucket, **arguments}
        return self.client.export_table_to_point_in_time(**arguments)["ExportDescription"]

    def export(self, **arguments: Any) -> "Exported":
        """Export and wait for the end."""
        return Exported(self, self.ended(self.start_export(**arguments)["ExportArn"]))

    def ended(self, arn: str) -> dict[str, Any]:
        """The description of an export that is no longer IN_PROGRESS."""
        end = time.monotonic() + 30
        while True:
            description = self.client.describe_export(ExportArn=arn)["ExportDescription"]
            if description["ExportStatus"] != "IN_PROGRESS":
                return description
            assert time.monotonic() < end, "the export did not end"
            time.sleep(0.02)

    def as_of(self, moment: datetime) -> list[Item]:
        return self.export(ExportTime=moment).items


@dataclass
class Exported:
    """An export that ended, with its objects read and checked against its manifests."""

    table: Table
    description: dict[str, Any]

    def object(self, key: str) -> bytes:
        body: bytes = self.table.s3.get_object(Bucket=self.table.bucket, Key=key)["Body"].read()
        return body

    @property
    def folder(self) -> str:
        return self.description["ExportManifest"].removesuffix("manifest-summary.json")

    @property
    def summary(self) -> dict[str, Any]:
        text = self.object(self.description["ExportManifest"])
        assert base64.b64encode(hashlib.md5(text).digest()) == self.object(
            f"{self.folder}manifest-summary.checksum"
        )
        return json.loads(text)

    @property
    def files(self) -> list[dict[str, Any]]:
        text = self.object(self.summary["manifestFilesS3Key"])
        assert base64.b64encode(hashlib.md5(text).digest()) == self.object(
            f"{self.folder}manifest-files.checksum"
        )
        return [json.loads(line) for line in text.splitlines()]

    @property
    def lines(self) -> list[bytes]:
        """The lines of all data files, each file checked against its line of the manifest."""
        lines = []
        for file in self.files:
            found = self.table.s3.get_object(Bucket=self.table.bucket, Key=file["dataFileS3Key"])
            body = found["Body"].read()
            assert found["ETag"].strip('"') == file["etag"]
            assert base64.b64encode(hashlib.md5(body).digest()).decode() == file["md5Checksum"]
            content = gzip.decompress(body).splitlines(keepends=True)
            assert len(content) == file["itemCount"]
            lines += content
        assert len(lines) == self.summary["itemCount"] == self.description["ItemCount"]
        return lines

    @property
    def items(self) -> list[Item]:
        """The items in key order."""
        items = [json.loads(line) for line in self.lines]
        assert all(list(item) == ["Item"] for item in items)
        return sorted(
            (item["Item"] for item in items),
            key=lambda item: (item["id"]["S"], float(item.get("at", {"N": 0})["N"])),
        )


def day(number: int, hour: int = 0) -> datetime:
    """Midnight UTC of the day ``number`` days ago, plus hours."""
    now = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return datetime.fromtimestamp(now.timestamp() - 86_400 * number + 3_600 * hour, UTC)


def item(key: str, value: str = "", **attributes: Any) -> Item:
    return {"id": {"S": key}, **({"value": {"S": value}} if value else {}), **attributes}
