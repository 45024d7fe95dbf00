"""A house of its own for a test: all that the product stands on, under names that no other test uses."""

import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import requests
import yaml

from privacy_assets.definitions import build
from privacy_assets.estate import Estate, load_estate
from privacy_assets.governed import table_shapes
from resources import provision_ledger
from resources.archive import ArchiveResource
from resources.athena import AthenaResource
from resources.buckets import BucketsResource
from resources.bundles import BundlesResource
from resources.busy_queue import BusyQueueResource
from resources.deletions import DeletionQueueResource
from resources.dsar_jobs import DsarJobsResource
from resources.dynamodb import ExportsResource
from resources.erasures import ErasuresResource
from resources.glue import GlueResource
from resources.iceberg import IcebergResource
from resources.ledger import LedgerResource
from resources.provision import KINDS, Names, Place, provision
from resources.provision_archive import ArchiveNames
from resources.provision_dsar import DsarNames
from resources.provision_ingest import IngestNames
from resources.provision_ledger import LedgerNames
from resources.s3 import LakeResource
from resources.scan_jobs import ScanJobsResource
from resources.sns import AlertResource
from resources.sqs import QueueResource
from resources.subjects import SubjectsResource

EVENTS: dict[str, Any] = {
    "log_id": {"type": "string"},
    "subject_id": {"type": "string", "categories": ["identifier"]},
    "event_time": {"type": "timestamp"},
    "subject_age": {"type": "integer"},
    "message": {"type": "string"},
}


def yesterday() -> date:
    return datetime.now(UTC).date() - timedelta(days=1)


def days_ago(days: int) -> date:
    return datetime.now(UTC).date() - timedelta(days=days)


def at(day: date, hour: int = 12) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def event(log_id: str, subject: str = "subject-1", **attributes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """An item of the events table in DynamoDB JSON."""
    return {"log_id": {"S": log_id}, "subject_id": {"S": subject}, **attributes}


def archive_names(unique: str) -> ArchiveNames:
    return ArchiveNames(
        bucket=f"archive-{unique}",
        key=f"alias/archive-{unique}",
        queue=f"deletions-{unique}",
        dead_letters=f"deletions-dead-{unique}",
        pipe_dead_letters=f"pipe-dead-{unique}",
        pipe_role=f"arn:aws:iam::123456789012:role/pipes-{unique}",
        erasures=f"erasures-{unique}",
        topic=f"alerts-{unique}",
    )


def ingest_names(unique: str) -> IngestNames:
    return IngestNames(
        queue=f"ingest-{unique}", dead_letters=f"ingest-dead-{unique}", topic=f"alerts-{unique}"
    )


def ledger_names(unique: str) -> LedgerNames:
    return LedgerNames(bucket=f"evidence-{unique}", table=f"ledger-{unique}", key=f"alias/ledger-{unique}")


def ledger_resource(names: LedgerNames) -> LedgerResource:
    return LedgerResource(
        bucket=names.bucket, table=names.table, key=names.key, retention_days=30, lock_mode="GOVERNANCE"
    )


def dsar_names(unique: str) -> DsarNames:
    return DsarNames(
        jobs=f"requests-{unique}",
        bucket=f"requests-{unique}",
        key=f"alias/requests-{unique}",
        queue=f"dsar-{unique}",
        dead_letters=f"dsar-dead-{unique}",
        topic=f"requests-{unique}",
    )


def new_ledger(unique: str) -> LedgerResource:
    """A ledger alone, for a test that needs no house."""
    names = ledger_names(unique)
    kinds = {**KINDS, **provision_ledger.kinds()}
    for resource in provision_ledger.shapes(names, Place.live()):
        kinds[resource.kind].create(resource.name, resource.shape)
    return ledger_resource(names)


@dataclass
class House:
    """One estate on local AWS."""

    endpoint: str
    names: Names
    estate: Estate
    instance: dg.DagsterInstance

    @classmethod
    def build(
        cls,
        endpoint: str,
        unique: str,
        folder: Path,
        columns: Mapping[str, Any] = EVENTS,
        nouns: Iterable[str] = ("visits",),
        buckets: Iterable[Mapping[str, Any]] = (),
        archive: bool = False,
        stores: Iterable[Mapping[str, Any]] = (),
        requests_policy: Mapping[str, Any] | None = None,
        ingest: bool = False,
        **fields: Any,
    ) -> "House":
        names = Names(
            bucket=f"lake-{unique}",
            database=f"db_{unique}",
            workgroup=f"group-{unique}",
            crawler_role=f"arn:aws:iam::123456789012:role/crawler-{unique}",
            queue=f"exports-{unique}",
            dead_letters=f"dead-{unique}",
            topic=f"alerts-{unique}",
            rule=f"complete-{unique}",
            scan_requests=f"scans-{unique}",
            scan_dead_letters=f"scans-dead-{unique}",
            scan_jobs=f"scan-jobs-{unique}",
            archive=archive_names(unique) if archive else None,
            dsar=dsar_names(unique) if stores else None,
            ingest=ingest_names(unique) if ingest else None,
            ledger=ledger_names(unique),
        )
        tables = [
            {
                "name": noun,
                "table": f"{noun}-{unique}",
                "keys": ["log_id"],
                "subject_key": "subject_id",
                "owner": "team:privacy",
                "columns": dict(columns),
                **fields,
            }
            for noun in nouns
        ]
        path = folder / "estate.yaml"
        governed = {"tables": tables, "buckets": list(buckets), "stores": list(stores)}
        path.write_text(yaml.safe_dump({**governed, "requests": dict(requests_policy or {})}))
        requests.post(f"{endpoint}/_local/dynamodb/settings", json={"export_seconds": 0}, timeout=60)
        estate = load_estate(path)
        provision(table_shapes(estate), names)
        return cls(endpoint, names, estate, dg.DagsterInstance.ephemeral())

    @property
    def resources(self) -> dict[str, Any]:
        return {
            "lake": self.lake,
            "dynamodb_exports": self.exports,
            "glue": self.glue,
            "athena": self.athena,
            "iceberg": IcebergResource(database=self.names.database, bucket=self.names.bucket),
            "export_queue": QueueResource(queue=self.names.queue, dead_letters=self.names.dead_letters),
            "buckets": BucketsResource(),
            "scan_jobs": ScanJobsResource(table=self.names.scan_jobs),
            "scan_queue": QueueResource(
                queue=self.names.scan_requests, dead_letters=self.names.scan_dead_letters
            ),
            "alerts": AlertResource(topic_arn=f"arn:aws:sns:us-east-1:123456789012:{self.names.topic}"),
            "ledger": self.ledger,
            **self.archive_resources,
            **self.dsar_resources,
            **self.ingest_resources,
        }

    @property
    def archive_resources(self) -> dict[str, Any]:
        """What the archive needs, in a house that was built with one."""
        names = self.names.archive
        if names is None:
            return {}
        return {
            "archive": ArchiveResource(bucket=names.bucket),
            "deletion_queue": DeletionQueueResource(
                queue=names.queue, dead_letters=names.dead_letters, pipe_dead_letters=names.pipe_dead_letters
            ),
            "erasures": ErasuresResource(table=names.erasures, key_id=names.key),
        }

    @property
    def ingest_resources(self) -> dict[str, Any]:
        """What the ingestion of events needs, in a house that was built with it."""
        names = self.names.ingest
        if names is None:
            return {}
        return {"event_queue": BusyQueueResource(queue=names.queue, dead_letters=names.dead_letters)}

    @property
    def ledger(self) -> LedgerResource:
        assert self.names.ledger is not None
        return ledger_resource(self.names.ledger)

    @property
    def dsar_resources(self) -> dict[str, Any]:
        """What requests of data subjects need, in a house that was built with stores."""
        names, archive = self.names.dsar, self.names.archive
        if names is None:
            return {}
        assert archive is not None
        return {
            "subjects": SubjectsResource(
                database=self.names.database,
                lake_bucket=self.names.bucket,
                archive_bucket=archive.bucket,
                erasure_table=archive.erasures,
                key_id=archive.key,
            ),
            "dsar_jobs": DsarJobsResource(table=names.jobs, key_id=names.key),
            "dsar_queue": QueueResource(queue=names.queue, dead_letters=names.dead_letters),
            "bundles": BundlesResource(bucket=names.bucket, key_id=names.key),
            "request_topic": AlertResource(topic_arn=f"arn:aws:sns:us-east-1:123456789012:{names.topic}"),
        }

    @property
    def exports(self) -> ExportsResource:
        return ExportsResource(bucket=self.names.bucket)

    @property
    def lake(self) -> LakeResource:
        return LakeResource(bucket=self.names.bucket)

    @property
    def glue(self) -> GlueResource:
        return GlueResource(database=self.names.database)

    @property
    def athena(self) -> AthenaResource:
        return AthenaResource(workgroup=self.names.workgroup, database=self.names.database)

    @cached_property
    def definitions(self) -> dg.Definitions:
        return build(self.estate, [], self.resources)

    @property
    def table(self) -> str:
        return self.estate.tables[0].table

    def load(self, items: Iterable[Mapping[str, Any]], when: datetime | None = None, table: str = "") -> None:
        """Write items as if at ``when`` (default: noon of the day before yesterday)."""
        when = when or at(days_ago(2))
        lines = [json.dumps({"Item": item, "WriteTime": when.isoformat()}) for item in items]
        self.post("dynamodb/load", "\n".join(lines), table=table or self.table)

    def delete(self, log_id: str, when: datetime) -> None:
        line = json.dumps({"Delete": {"log_id": {"S": log_id}}, "WriteTime": when.isoformat()})
        self.post("dynamodb/load", line, table=self.table)

    def post(self, path: str, body: str, **arguments: str) -> None:
        answer = requests.post(
            f"{self.endpoint}/_local/{path}", params=arguments, data=gzip.compress(body.encode()), timeout=60
        )
        assert answer.ok, answer.text

    def exports_take(self, seconds: float) -> None:
        """How long the exports started from now on stay IN_PROGRESS; the next house starts at 0 again."""
        settings = f"{self.endpoint}/_local/dynamodb/settings"
        assert requests.post(settings, json={"export_seconds": seconds}, timeout=60).ok

    def materialize(
        self, *nouns: str, day: date | None = None, raise_on_error: bool = True, **overrides: Any
    ) -> dg.ExecuteInProcessResult:
        """Materialize ``snapshot/<noun>`` for each noun in one run of one process."""
        keys = [dg.AssetKey(["snapshot", noun]) for noun in nouns]
        definitions = build(self.estate, [], {**self.resources, **overrides})
        job = definitions.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.instance,
            partition_key=(day or yesterday()).isoformat(),
            asset_selection=keys,
            raise_on_error=raise_on_error,
        )

    def rows(self, sql: str, *parameters: str) -> list[dict[str, Any]]:
        return list(self.athena.fetch(self.athena.execute(sql, parameters)).to_pylist())


def client(service: str) -> Any:
    return boto3.client(service)  # type: ignore[call-overload]
