"""Starts a run of ``archive/deletions`` while deletions wait and none is at work.

One run takes all that waits, so a burst of a hundred thousand is one run and not a thousand. No message is
received here: a run that dies leaves its messages, which are seen again once their time hidden is over.
Quiet is the normal state of this sensor and also its danger; the age of what waits is watched elsewhere
(``sensors.archive_alerts``, and an alarm of CloudWatch for when Dagster itself stands still).
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from privacy_assets.archive.names import ARCHIVE_DELETIONS
from resources.deletions import DeletionQueueResource
from resources.settings import SENSOR_SECONDS
from sensors.at_work import runs_at_work

if TYPE_CHECKING:
    from privacy_assets.jobs import AssetJob

_PARTITION_TAG = "dagster/partition"


def deletions_sensor(job: "AssetJob") -> dg.SensorDefinition:
    """The sensor for the archive's job."""

    @dg.sensor(
        name="deletions",
        job=job,
        minimum_interval_seconds=max(1, round(SENSOR_SECONDS.number())),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Archives deletions while any wait, one run at a time.",
    )
    def deletions(
        context: dg.SensorEvaluationContext, deletion_queue: DeletionQueueResource
    ) -> dg.RunRequest | dg.SkipReason:
        depths = deletion_queue.depths(in_flight=False)
        waiting = depths[deletion_queue.queue] + depths[deletion_queue.pipe_dead_letters]
        if not waiting:
            return dg.SkipReason("no deletion waits")
        if runs_at_work(context.instance, ARCHIVE_DELETIONS):
            return dg.SkipReason(f"a run is at work; {waiting:,} deletions wait")
        day = datetime.now(UTC).date().isoformat()
        attempt = 1 + context.instance.get_runs_count(
            dg.RunsFilter(job_name=ARCHIVE_DELETIONS, tags={_PARTITION_TAG: day})
        )
        return dg.RunRequest(run_key=f"{day}:{attempt}", partition_key=day)

    return deletions
