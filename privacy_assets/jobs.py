"""The two jobs of a night: start the exports, and what follows when they are complete."""

from typing import TYPE_CHECKING

import dagster as dg

from privacy_assets.archive.names import (
    ARCHIVE_DELETIONS,
    ARCHIVE_RESTORE,
    DELETIONS_KEY,
    RECONCILIATION_KEY,
    RESTORED_KEY,
)
from privacy_assets.estate import Estate
from privacy_assets.ingest.names import EVENTS_KEY, INGEST_EVENTS
from privacy_assets.snapshot import names
from privacy_assets.tasks import task_tags

if TYPE_CHECKING:  # Dagster has no public name for what define_asset_job answers
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,
    )

    AssetJob = UnresolvedAssetJobDefinition

NIGHTLY_EXPORTS = "nightly_exports"
DAILY_AUDIT = "daily_audit"
EXPORTS_TAG = "privacy_assets/exports"
"""Tag of a run that the sensor started: the ids of the exports it reads."""


def snapshot_jobs(estate: Estate) -> "list[AssetJob]":
    """``nightly_exports`` and ``daily_audit``; a run is one process, its steps run in it in turn."""
    exports = dg.AssetSelection.assets(*(names.export_key(noun) for noun in estate.nouns))
    snapshots = dg.AssetSelection.assets(
        *(key for noun in estate.nouns for key in (names.raw_key(noun), names.typed_key(noun)))
    )
    return [
        dg.define_asset_job(
            NIGHTLY_EXPORTS,
            exports,
            description="Asks DynamoDB to export every governed table as it was at the end of the day.",
            executor_def=dg.in_process_executor,
            # It is short, and a night's audits wait for it: before whatever else is in the queue.
            tags={**task_tags(NIGHTLY_EXPORTS), "dagster/priority": "1"},
        ),
        dg.define_asset_job(
            DAILY_AUDIT,
            snapshots | dg.AssetSelection.groups("audit") | dg.AssetSelection.assets(RECONCILIATION_KEY),
            description=(
                "Types the day's exports, runs every audit on them and writes the report; holds what "
                "vanished against the archive of deletions."
            ),
            executor_def=dg.in_process_executor,
            tags=task_tags(DAILY_AUDIT),
        ),
    ]


def archive_job() -> "AssetJob":
    """``archive_deletions``: takes what waits in the queue of deletions into the archive."""
    return dg.define_asset_job(
        ARCHIVE_DELETIONS,
        dg.AssetSelection.assets(DELETIONS_KEY),
        description="Archives all deletions that wait.",
        executor_def=dg.in_process_executor,
        tags=task_tags(ARCHIVE_DELETIONS),
    )


def restore_job() -> "AssetJob":
    """``archive_restore``: puts deleted records back; who starts it says which, and who approved."""
    return dg.define_asset_job(
        ARCHIVE_RESTORE,
        dg.AssetSelection.assets(RESTORED_KEY),
        description="Restores deleted records; a dry run unless it is told who approved.",
        executor_def=dg.in_process_executor,
        tags=task_tags(ARCHIVE_RESTORE),
    )


def ingest_job() -> "AssetJob":
    """``ingest_events``: takes what waits in the queue of events into the table."""
    return dg.define_asset_job(
        INGEST_EVENTS,
        dg.AssetSelection.assets(EVENTS_KEY),
        description="Writes all events that wait to the table `events`, and puts its small files together.",
        executor_def=dg.in_process_executor,
        tags=task_tags(INGEST_EVENTS),
    )
