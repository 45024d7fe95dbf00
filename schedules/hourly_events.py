"""Five past each hour: the job of ingestion, whether events wait or not.

Then the hour that has just ended is put together even when nothing comes after it, and an hour without
events is told from an ingestion that stands still.
"""

from typing import TYPE_CHECKING

import dagster as dg

from privacy_assets.ingest.names import INGEST_EVENTS
from sensors.at_work import runs_at_work

if TYPE_CHECKING:
    from privacy_assets.jobs import AssetJob


def hourly_events_schedule(job: "AssetJob") -> dg.ScheduleDefinition:
    """One run an hour, unless one is at work, which does the same."""

    @dg.schedule(
        name="hourly_events",
        job=job,
        cron_schedule="5 * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Writes events that wait, and puts the files of the hour that has ended together.",
    )
    def hourly_events(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if runs_at_work(context.instance, INGEST_EVENTS):
            return dg.SkipReason("a run is at work")
        return dg.RunRequest(run_key=context.scheduled_execution_time.isoformat())

    return hourly_events
