"""An estate with stores in which a subject's data lies, and what the daemon does about requests, at once."""

import json
import os
import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from privacy_assets.definitions import ready
from privacy_assets.dsar import composition
from privacy_assets.dsar.names import DSAR_REQUEST
from privacy_assets.dsar.register import Job, Register
from privacy_assets.dsar.requests import JobId, parse_submission
from privacy_assets.ledger import open_log
from tests.house import House, client

EMAIL, OTHER = "jane.planted@example.com", "bob.other@example.com"
CUSTOMER, DEVICE = "cust-471100815", "device-99887766"
NAME = "Jane Q. Planted"
PLANTED = (EMAIL, CUSTOMER, DEVICE, NAME)
VERIFIED = {"verified": True, "method": "login"}


def stores_of(unique: str) -> list[dict[str, Any]]:
    """Four stores that know the subject by three kinds of identifiers."""
    return [
        {
            "name": "crm",
            "kind": "sql",
            "url": f"CRM_{unique.upper()}",
            "owner": "team:crm",
            "description": "Customers and what they ordered",
            "tables": [
                {"table": "orders", "match": {"customer_id": "customer"}},
                {
                    "table": "customers",
                    "match": {"email": "email", "customer_id": "id"},
                    "links": {"customer_id": "id"},
                    "export": {"password": "omit"},
                },
            ],
        },
        {
            "name": "devices",
            "kind": "dynamodb",
            "table": f"devices-{unique}",
            "owner": "team:web",
            "match": {"customer_id": "customer", "device_id": "device"},
            "links": {"device_id": "device"},
        },
        {
            "name": "logs",
            "kind": "dynamodb",
            "table": f"visits-{unique}",
            "owner": "team:privacy",
            "match": {"device_id": "subject_id"},
        },
        {
            "name": "avatars",
            "kind": "s3_prefix",
            "bucket": f"avatars-{unique}",
            "keys": "users/{customer_id}/",
            "owner": "team:web",
        },
    ]


@dataclass
class Desk:
    """``runs`` are those that were asked for and not executed yet, by run key."""

    house: House
    unique: str
    runs: dict[str, dg.RunRequest] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)

    @classmethod
    def build(cls, aws: str, unique: str, folder: Path, **fields: Any) -> "Desk":
        os.environ[f"CRM_{unique.upper()}"] = f"sqlite:///{folder / 'crm.sqlite'}"
        stores = fields.pop("stores", None) or stores_of(unique)
        desk = cls(House.build(aws, unique, folder, archive=True, stores=stores, **fields), unique)
        desk._fill(folder)
        url = client("sqs").get_queue_url(QueueName=f"dsar-{unique}")["QueueUrl"]
        # What a tick has not deleted is there again for the next, so that no test waits for a timeout.
        client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "0"})
        return desk

    def _fill(self, folder: Path) -> None:
        with closing(sqlite3.connect(folder / "crm.sqlite")) as crm:
            crm.execute("CREATE TABLE customers (id TEXT PRIMARY KEY, email TEXT, name TEXT, password TEXT)")
            crm.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT, item TEXT)")
        dynamodb, s3 = client("dynamodb"), client("s3")
        dynamodb.create_table(
            TableName=f"devices-{self.unique}",
            AttributeDefinitions=[{"AttributeName": "device", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "device", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        bucket = f"avatars-{self.unique}"
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        self.fill_again(folder)

    def fill_again(self, folder: Path) -> None:
        """Ten records of the subject, and some of others."""
        with closing(sqlite3.connect(folder / "crm.sqlite")) as crm, crm:
            crm.executemany(
                "INSERT OR REPLACE INTO customers VALUES (?, ?, ?, ?)",
                [(CUSTOMER, EMAIL, NAME, "pa55w0rd"), ("cust-2", OTHER, "Bob", "x")],
            )
            crm.executemany(
                "INSERT OR REPLACE INTO orders VALUES (?, ?, ?)",
                [(1, CUSTOMER, "tea"), (2, CUSTOMER, "cups"), (3, "cust-2", "rope")],
            )
        for device, customer in ((DEVICE, CUSTOMER), ("device-2", "cust-2")):
            item = {"device": {"S": device}, "customer": {"S": customer}, "os": {"S": "x"}}
            client("dynamodb").put_item(TableName=f"devices-{self.unique}", Item=item)
        for number, subject in enumerate([DEVICE] * 5 + ["device-2"] * 3):
            item = {"log_id": {"S": f"row-{number}"}, "subject_id": {"S": subject}, "message": {"S": "seen"}}
            client("dynamodb").put_item(TableName=self.house.table, Item=item)
        for key in (f"users/{CUSTOMER}/a.png", f"users/{CUSTOMER}/a.png", "users/cust-2/b.png"):
            body = f"picture of {key}".encode()
            client("s3").put_object(Bucket=f"avatars-{self.unique}", Key=key, Body=body)

    # --- requests

    @property
    def resources(self) -> Any:
        return ready(composition.RESOURCES, self.house.resources, self.house.instance)

    @property
    def register(self) -> Register:
        return composition.register(self.resources)

    def submit(self, action: str = "export", job_id: str = "", **fields: Any) -> str:
        document = {
            "user_id": "nobody-knows-this",
            "identifiers": {"email": EMAIL},
            "action": action,
            **fields,
        }
        if action == "delete":
            document.setdefault("identity", VERIFIED)
        found = self.register.submit(
            parse_submission(document), "tests", JobId(job_id or f"dsar-{uuid.uuid4().hex}")
        )
        return str(found["job_id"])

    def job(self, job_id: str) -> Job:
        return self.register.get(job_id)

    def kinds(self, job_id: str) -> list[str]:
        """The events of a request in the ledger."""
        return [entry.event.kind for entry in open_log(self.house.ledger).entries(job_id)]

    # --- the daemon

    def tick(self, sensor: str, definitions: dg.Definitions | None = None) -> list[dg.RunRequest]:
        """One tick; partitions are added and deleted as the daemon would, runs are kept in ``runs``."""
        definitions = definitions or self.house.definitions
        context = dg.build_sensor_context(
            instance=self.house.instance, definitions=definitions, resources=self.house.resources
        )
        # Called by its name Dagster would hand it resources as arguments, which it takes from its context.
        result = definitions.resolve_sensor_def(sensor)._raw_fn(context)
        if not isinstance(result, dg.SensorResult):
            return []
        instance = self.house.instance
        for request in result.dynamic_partitions_requests or []:
            if isinstance(request, dg.AddDynamicPartitionsRequest):
                instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
            else:
                for key in request.partition_keys:
                    instance.delete_dynamic_partition(request.partitions_def_name, key)
        new = [each for each in result.run_requests or [] if each.run_key not in self.known]
        for each in new:
            self.known.add(str(each.run_key))
            self.runs[str(each.run_key)] = each
        return new

    def execute(self, request: dg.RunRequest, **fields: Any) -> dg.ExecuteInProcessResult:
        self.runs.pop(str(request.run_key), None)
        job = self.house.definitions.resolve_job_def(DSAR_REQUEST)
        return job.execute_in_process(
            instance=self.house.instance,
            partition_key=request.partition_key,
            tags=dict(request.tags),
            raise_on_error=False,
            **fields,
        )

    def settle(self, most: int = 8) -> None:
        """Tick and run until nothing more happens."""
        for _ in range(most):
            self.tick("dsar_requests")
            for request in list(self.runs.values()):
                self.execute(request)
            self.tick("dsar_jobs")
            self.tick("dsar_requests")
            if not self.runs:
                return

    # --- what is left

    def waiting(self, queue: str) -> int:
        url = client("sqs").get_queue_url(QueueName=queue)["QueueUrl"]
        said = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return int(said["ApproximateNumberOfMessages"]) + int(said["ApproximateNumberOfMessagesNotVisible"])

    def objects(self, bucket: str, prefix: str = "") -> Iterator[tuple[str, bytes]]:
        """Every version of every object."""
        s3 = client("s3")
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
            for each in page.get("Versions", ()):
                body = s3.get_object(Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])["Body"]
                yield each["Key"], body.read()

    def items(self, table: str) -> list[Mapping[str, Any]]:
        pages = client("dynamodb").get_paginator("scan").paginate(TableName=table)
        return [item for page in pages for item in page["Items"]]

    def holdings(self, folder: Path) -> bytes:
        """All that the stores hold, as bytes."""
        found = [(folder / "crm.sqlite").read_bytes()]
        for table in (f"devices-{self.unique}", self.house.table):
            found += [json.dumps(self.items(table)).encode()]
        found += [key.encode() + b"\n" + body for key, body in self.objects(f"avatars-{self.unique}")]
        return b"\n".join(found)
