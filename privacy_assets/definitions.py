"""The composition root: the only module that knows every part.

One function builds the definitions, for production and for tests, from an estate, audits and resources.
Nothing here calls AWS; what is in the environment when a run starts is what the run uses.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from privacy_assets.api.rotation_job import rotation_job
from privacy_assets.archive.assets import archive_assets
from privacy_assets.archive.restore_assets import restored_asset
from privacy_assets.audit.assets import audit_assets
from privacy_assets.audit.definition import Audit, load_audits
from privacy_assets.dsar.assets import dsar_assets, dsar_checks, dsar_jobs
from privacy_assets.dsar.stores.build import check as check_stores
from privacy_assets.estate import Estate
from privacy_assets.governed import estate_folder, governed_estate, path_of
from privacy_assets.ingest.assets import ingest_assets
from privacy_assets.jobs import archive_job, ingest_job, restore_job, snapshot_jobs
from privacy_assets.ledger.assets import ledger_assets, ledger_job
from privacy_assets.scan.assets import scan_assets, scan_job
from privacy_assets.snapshot.assets import snapshot_assets
from resources import settings
from resources.api_secrets import ApiSecrets
from resources.api_state import ApiState
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
from resources.health import HealthResource
from resources.iceberg import IcebergResource
from resources.items import TablesResource
from resources.ledger import LedgerResource
from resources.s3 import LakeResource
from resources.scan_jobs import ScanJobsResource
from resources.sns import AlertResource
from resources.sqs import QueueResource
from resources.streams import StreamsResource
from resources.subjects import SubjectsResource
from schedules.daily_checkpoint import daily_checkpoint_schedule
from schedules.hourly_events import hourly_events_schedule
from schedules.nightly_exports import nightly_exports_schedule
from schedules.nightly_scans import nightly_scans_schedule
from schedules.secret_rotation import secret_rotation_schedule
from sensors.alerts import alert_sensors
from sensors.archive_alerts import archive_alerts_sensor
from sensors.deletions import deletions_sensor
from sensors.dsar_requests import dsar_sensors
from sensors.events import events_sensor
from sensors.export_complete import export_complete_sensor
from sensors.health import health_sensor
from sensors.late_snapshots import late_snapshots_sensor
from sensors.scan_requests import scan_sensors


def ready(
    names: Iterable[str],
    resources: Mapping[str, Any] | None = None,
    instance: dg.DagsterInstance | None = None,
) -> Any:
    """Resources of these names as attributes, as a run has them: what the environment says is read now."""
    given = resources or default_resources()
    with dg.build_resources({name: given[name] for name in names}, instance=instance) as found:
        return found


def default_resources() -> dict[str, Any]:
    """Every resource, from the settings."""
    bucket, database = settings.LAKE_BUCKET.source(), settings.GLUE_DATABASE.source()
    return {
        "lake": LakeResource(bucket=bucket),
        "dynamodb_exports": ExportsResource(bucket=bucket),
        "glue": GlueResource(database=database),
        "athena": AthenaResource(
            workgroup=settings.ATHENA_WORKGROUP.source(),
            database=database,
            deadline_seconds=settings.ATHENA_DEADLINE_SECONDS.number(),
        ),
        "iceberg": IcebergResource(database=database, bucket=bucket),
        "export_queue": QueueResource(
            queue=settings.EXPORT_QUEUE.source(), dead_letters=settings.EXPORT_DEAD_LETTER_QUEUE.source()
        ),
        "buckets": BucketsResource(),
        "scan_jobs": ScanJobsResource(table=settings.SCAN_JOBS_TABLE.source()),
        "scan_queue": QueueResource(
            queue=settings.SCAN_QUEUE.source(), dead_letters=settings.SCAN_DEAD_LETTER_QUEUE.source()
        ),
        "alerts": AlertResource(topic_arn=settings.ALERT_TOPIC_ARN.source()),
        "archive": ArchiveResource(bucket=settings.ARCHIVE_BUCKET.source()),
        "deletion_queue": DeletionQueueResource(
            queue=settings.DELETION_QUEUE.source(),
            dead_letters=settings.DELETION_DEAD_LETTER_QUEUE.source(),
            pipe_dead_letters=settings.PIPE_DEAD_LETTER_QUEUE.source(),
        ),
        "erasures": ErasuresResource(
            table=settings.ERASURE_TABLE.source(), key_id=settings.ARCHIVE_KEY.source()
        ),
        "event_queue": BusyQueueResource(
            queue=settings.EVENT_QUEUE.source(), dead_letters=settings.EVENT_DEAD_LETTER_QUEUE.source()
        ),
        "ledger": LedgerResource(
            bucket=settings.EVIDENCE_BUCKET.source(),
            table=settings.LEDGER_TABLE.source(),
            key=settings.LEDGER_KEY.source(),
            retention_days=settings.LEDGER_RETENTION_DAYS.number(),
            lock_mode=settings.LEDGER_LOCK_MODE.source(),
        ),
        "subjects": SubjectsResource(
            database=database,
            lake_bucket=bucket,
            archive_bucket=settings.ARCHIVE_BUCKET.source(),
            erasure_table=settings.ERASURE_TABLE.source(),
            key_id=settings.ARCHIVE_KEY.source(),
        ),
        "dsar_jobs": DsarJobsResource(
            table=settings.DSAR_JOBS_TABLE.source(), key_id=settings.DSAR_KEY.source()
        ),
        "dsar_queue": QueueResource(
            queue=settings.DSAR_QUEUE.source(), dead_letters=settings.DSAR_DEAD_LETTER_QUEUE.source()
        ),
        "bundles": BundlesResource(bucket=settings.DSAR_BUCKET.source(), key_id=settings.DSAR_KEY.source()),
        "request_topic": AlertResource(topic_arn=settings.DSAR_TOPIC_ARN.source()),
        "streams": StreamsResource(),
        "api_secrets": ApiSecrets.from_settings(),
        "api_state": ApiState.from_settings(),
        "tables": TablesResource(),
        "health": HealthResource(),
    }


def build(
    estate: Estate, audits: Sequence[Audit], resources: Mapping[str, Any] | None = None
) -> dg.Definitions:
    """The whole code location; ``resources`` take the place of the default ones of their name."""
    exports, audit = snapshot_jobs(estate)
    archive, scans, ingest = archive_job(), scan_job(), ingest_job()
    checkpoint, rotation = ledger_job(), rotation_job(estate)
    scanned, scan_checks = scan_assets(estate)
    requests, approvals = dsar_jobs()
    return dg.Definitions(
        assets=dg.with_source_code_references(
            [
                *snapshot_assets(estate),
                *(audit_assets(estate, audits) if audits else ()),
                *archive_assets(estate),
                restored_asset(estate),
                *ingest_assets(estate),
                *ledger_assets(estate),
                *scanned,
                *dsar_assets(estate),
            ]
        ),
        asset_checks=[*scan_checks, *dsar_checks(estate)],
        jobs=[
            *(exports, audit, archive, restore_job(), ingest, scans),
            *(requests, approvals, checkpoint, rotation),
        ],
        schedules=[
            nightly_exports_schedule(exports),
            nightly_scans_schedule(estate, scans),
            hourly_events_schedule(ingest),
            daily_checkpoint_schedule(checkpoint),
            secret_rotation_schedule(rotation),
        ],
        sensors=[
            export_complete_sensor(estate, exports, audit),
            *alert_sensors(),
            archive_alerts_sensor(),
            deletions_sensor(archive),
            events_sensor(ingest),
            late_snapshots_sensor(estate),
            health_sensor(estate),
            *scan_sensors(estate, scans),
            *dsar_sensors(requests),
        ],
        resources={**default_resources(), **(resources or {})},
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What ``dg`` and Dagster's own commands load."""
    estate = governed_estate()
    check_stores(estate, estate_folder())
    return build(estate, load_audits(path_of(settings.AUDITS)))
