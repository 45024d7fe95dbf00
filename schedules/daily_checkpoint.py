"""05:00 UTC: the ledger is verified and its checkpoint put aside, once the night's work is in it.

The ledger is verified as it is now, so a morning that was missed is not made up for.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

_LATE = timedelta(hours=12)


def _now() -> datetime:
    return datetime.now(UTC)


def daily_checkpoint_schedule(job: Any, clock: Callable[[], datetime] = _now) -> dg.ScheduleDefinition:
    """One run a day, for the day that has ended."""

    @dg.schedule(
        name="daily_checkpoint",
        job=job,
        cron_schedule="0 5 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Verifies the ledger and puts its checkpoint aside.",
    )
    def daily_checkpoint(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if clock() - context.scheduled_execution_time > _LATE:
            return dg.SkipReason("that morning has passed; the next one verifies all of the ledger")
        day = (context.scheduled_execution_time - timedelta(days=1)).date().isoformat()
        return dg.RunRequest(run_key=day, partition_key=day)

    return daily_checkpoint
