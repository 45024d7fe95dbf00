"""Starts a run of ``ingest/events`` while events wait and none is at work.

One run takes all that waits. No message is received here: a run that dies leaves its messages, which are seen
again once their time hidden is over. Quiet is normal for this sensor, and also its danger: the schedule
``hourly_events`` runs the same job without it, and an alarm of CloudWatch watches the age of what waits.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from privacy_assets.ingest.names import INGEST_EVENTS
from resources.busy_queue import BusyQueueResource
from resources.settings import SENSOR_SECONDS
from sensors.at_work import runs_at_work

if TYPE_CHECKING:
    from privacy_assets.jobs import AssetJob


def events_sensor(job: "AssetJob") -> dg.SensorDefinition:
    """The sensor for the job of ingestion."""

    @dg.sensor(
        name="events",
        job=job,
        minimum_interval_seconds=max(1, round(SENSOR_SECONDS.number())),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Writes events to their table while any wait, one run at a time.",
    )
    def events(
        context: dg.SensorEvaluationContext, event_queue: BusyQueueResource
    ) -> dg.RunRequest | dg.SkipReason:
        waiting = event_queue.depths(in_flight=False)[event_queue.queue]
        if not waiting:
            return dg.SkipReason("no event waits")
        if runs_at_work(context.instance, INGEST_EVENTS):
            return dg.SkipReason(f"a run is at work; {waiting:,} messages wait")
        return dg.RunRequest(run_key=datetime.now(UTC).isoformat())

    return events
