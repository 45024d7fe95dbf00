"""02:00 UTC: every bucket of the estate is scanned for what has changed.

A scan sees a bucket as it is now, so a night that was missed is not made up for: the next scan finds it all.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from privacy_assets.estate import Estate
from privacy_assets.partitions import BUCKETS

_LATE = timedelta(hours=1)


def _now() -> datetime:
    return datetime.now(UTC)


def nightly_scans_schedule(
    estate: Estate, job: Any, clock: Callable[[], datetime] = _now
) -> dg.ScheduleDefinition:
    """One run a bucket and night."""

    @dg.schedule(
        name="nightly_scans",
        job=job,
        cron_schedule="0 2 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Scans what is new or changed in every bucket of the estate.",
    )
    def nightly_scans(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        if clock() - context.scheduled_execution_time > _LATE:
            return dg.SkipReason("that night has passed; the next scan sees what has changed")
        names = [bucket.name for bucket in estate.buckets]
        context.instance.add_dynamic_partitions(BUCKETS.name or "", names)
        night = context.scheduled_execution_time.date().isoformat()
        return [dg.RunRequest(run_key=f"{night}:{name}", partition_key=name) for name in names]

    return nightly_scans
