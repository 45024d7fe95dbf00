"""01:00 UTC: the night's exports.

The run starts them and ends; the sensor ``export_complete`` hears when they are there.
"""

from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from dagster._core.definitions.partitions.partitioned_schedule import (
        UnresolvedPartitionedAssetScheduleDefinition,
    )

    from privacy_assets.jobs import AssetJob

    Schedule = dg.ScheduleDefinition | UnresolvedPartitionedAssetScheduleDefinition


def nightly_exports_schedule(job: "AssetJob") -> "Schedule":
    """Every night, for the day that has just ended."""
    return dg.build_schedule_from_partitioned_job(
        job,
        name="nightly_exports",
        hour_of_day=1,
        minute_of_hour=0,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Starts the exports of the day that has just ended (UTC).",
    )
