"""04:00 UTC, each day: secrets and signing keys of the API that are 30 days old are rotated.

Daily rather than every 30 days, so that a day on which it could not run is made up for on the next, and each
client has days of its own.
"""

from typing import Any

import dagster as dg


def secret_rotation_schedule(job: Any) -> dg.ScheduleDefinition:
    """One run a day; most find nothing due."""
    return dg.ScheduleDefinition(
        name="secret_rotation",
        job=job,
        cron_schedule="0 4 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Rotates what is 30 days old.",
    )
