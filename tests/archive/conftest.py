"""A house with an archive: a governed table, its pipe, the queues, and the archiver between them."""

import json
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import requests

from privacy_assets.archive.archiving import Archiver, Drained
from privacy_assets.archive.rows import DELETIONS
from resources.archive import ArchiveResource, ObjectRefused
from resources.deletions import DeletionQueueResource
from resources.erasures import ErasuresResource
from resources.iceberg import IcebergResource
from resources.streams import RecordsGone, StreamsResource
from tests.house import House, client

Item = Mapping[str, Any]


class Archive:
    """What a test does with a house that has an archive."""

    def __init__(self, house: House) -> None:
        self.house = house
        names = house.names.archive
        assert names is not None
        self.names = names
        self.endpoint = house.endpoint
        self.queue = DeletionQueueResource(
            queue=names.queue, dead_letters=names.dead_letters, pipe_dead_letters=names.pipe_dead_letters
        )
        self.objects = ArchiveResource(bucket=names.bucket)
        self.iceberg = IcebergResource(database=house.names.database, bucket=house.names.bucket)
        self.streams = StreamsResource()
        self.erasures = ErasuresResource(table=names.erasures, key_id=names.key)
        self.dynamodb, self.s3, self.sqs = client("dynamodb"), client("s3"), client("sqs")
        # What a killed run held is there again at once, so that no test waits for a timeout.
        self.sqs.set_queue_attributes(QueueUrl=self.url(names.queue), Attributes={"VisibilityTimeout": "2"})
        self.sqs.set_queue_attributes(
            QueueUrl=self.url(names.pipe_dead_letters), Attributes={"VisibilityTimeout": "2"}
        )

    @property
    def table(self) -> str:
        return self.house.table

    def url(self, queue: str) -> str:
        return str(self.sqs.get_queue_url(QueueName=queue)["QueueUrl"])

    def archiver(self, **overrides: Any) -> Archiver:
        parts: dict[str, Any] = {
            "queue": self.queue,
            "objects": self.objects,
            "store": self.iceberg,
            "streams": self.streams,
            "erasures": self.erasures,
            "tables": self.house.estate.by_name,
            "refused": ObjectRefused,
            "gone": RecordsGone,
            "wait": 0,
        }
        return Archiver(**{**parts, **overrides})

    def drain(self, **overrides: Any) -> Drained:
        return self.archiver(**overrides).drain()

    def put(self, *items: Item, table: str = "") -> None:
        for item in items:
            self.dynamodb.put_item(TableName=table or self.table, Item=dict(item))

    def delete(self, *keys: str, table: str = "") -> None:
        for key in keys:
            self.dynamodb.delete_item(TableName=table or self.table, Key={"log_id": {"S": key}})

    def put_and_delete(self, *items: Item, table: str = "") -> None:
        self.put(*items, table=table)
        self.delete(*(item["log_id"]["S"] for item in items), table=table)

    def flush(self) -> None:
        for table in self.house.estate.tables:
            answer = requests.post(
                f"{self.endpoint}/_local/pipes/flush",
                params={"name": self.names.pipe(table.name)},
                timeout=90,
            )
            assert answer.ok, answer.text

    def bodies(self) -> list[str]:
        """What the queue holds, which is empty then."""
        found = []
        while messages := self.queue.receive(wait=0):
            found += [message.body for message in messages]
            self.queue.delete(messages)
        return found

    def send(self, bodies: Iterable[str], queue: str = "") -> None:
        url = self.url(queue or self.names.queue)
        for body in bodies:
            self.sqs.send_message(QueueUrl=url, MessageBody=body)

    def rows(self) -> list[dict[str, Any]]:
        found = [row for batch in self.iceberg.batches(DELETIONS) for row in batch.to_pylist()]
        return sorted(found, key=lambda row: int(row["sequence_number"]))

    def versions(self) -> dict[str, list[dict[str, Any]]]:
        """All versions of all objects: what each holds, by path, in the order of sequence numbers."""
        found: dict[str, list[dict[str, Any]]] = {}
        for page in self.s3.get_paginator("list_object_versions").paginate(Bucket=self.names.bucket):
            for version in page.get("Versions", ()):
                body = self.s3.get_object(
                    Bucket=self.names.bucket, Key=version["Key"], VersionId=version["VersionId"]
                )["Body"].read()
                record = json.loads(body)
                found.setdefault(version["Key"], []).append({**record, "version": version["VersionId"]})
        for versions in found.values():
            versions.sort(key=lambda record: int(record["dynamodb"]["SequenceNumber"]))
        return found

    def is_whole(self, deletions: int) -> None:
        """Each deletion is there once, as object and as row, and they agree."""
        versions = self.versions()
        objects = {
            (path, each["dynamodb"]["SequenceNumber"], each["version"])
            for path, several in versions.items()
            for each in several
        }
        rows = self.rows()
        assert {(r["object_path"], r["sequence_number"], r["object_version"]) for r in rows} == objects
        assert len(rows) == sum(map(len, versions.values())) == deletions
        assert len({(path, sequence) for path, sequence, _ in objects}) == deletions

    def waiting(self) -> dict[str, int]:
        """How many messages are in the queue, its dead letters, and the pipe's."""
        depths = self.queue.depths()
        names = ("queue", "dead_letters", "pipe_dead_letters")
        return {name: depths[getattr(self.names, name)] for name in names}


@pytest.fixture
def archive(aws: str, unique: str, tmp_path: Path) -> Archive:
    return Archive(House.build(aws, unique, tmp_path, archive=True, retention="P1Y"))


@pytest.fixture
def today() -> date:
    from datetime import UTC, datetime

    return datetime.now(UTC).date()
