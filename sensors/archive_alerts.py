"""Tells people, before a deletion is lost, that one may be.

A stream forgets after 24 hours and a queue after 14 days. So what has waited for half a day is told, once in
six hours and queue; and so are dead letters, each time that there are more of them, and records that a pipe
refused and that had to be read from the stream again. Counts and names of queues only, never a value.
"""

import json
import time
from collections.abc import Callable
from datetime import timedelta

import dagster as dg

from privacy_assets.archive.names import DELETIONS_KEY
from resources.deletions import DeletionQueueResource
from resources.settings import DELETION_ALERT_HOURS, SENSOR_SECONDS
from resources.sns import AlertResource

_AGAIN_SECONDS = 6 * 3600
_LEAST_SECONDS = 60
_BATCH = 50


def archive_alerts_sensor(clock: Callable[[], float] = time.time) -> dg.SensorDefinition:
    """The sensor; ``clock`` gives seconds since 1970."""

    @dg.sensor(
        name="archive_alerts",
        minimum_interval_seconds=max(_LEAST_SECONDS, round(SENSOR_SECONDS.number())),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells the alert topic of deletions that wait too long, or can't be archived.",
    )
    def archive_alerts(
        context: dg.SensorEvaluationContext,
        deletion_queue: DeletionQueueResource,
        alerts: AlertResource,
    ) -> dg.SensorResult | dg.SkipReason:
        kept = json.loads(context.cursor or "{}")
        lines: list[str] = []
        limit = timedelta(hours=DELETION_ALERT_HOURS.number())
        told: dict[str, float] = kept.get("told", {})
        for queue, age in deletion_queue.oldest().items():
            # What is among the dead letters is told by their number.
            if queue == deletion_queue.dead_letters or age < limit:
                continue
            if clock() - told.get(queue, 0.0) >= _AGAIN_SECONDS:
                told[queue] = clock()
                lines.append(
                    f"{queue}: the oldest message is {age.total_seconds() / 3600:.1f} hours old; "
                    "a stream forgets after 24"
                )
        letters = deletion_queue.depths()[deletion_queue.dead_letters]
        if letters > kept.get("letters", 0):
            lines.append(f"{deletion_queue.dead_letters}: {letters:,} deletions could not be archived")
        read, refused = _refused(context, kept.get("read"))
        if refused:
            lines.append(f"{refused:,} records were refused by a pipe and read from the stream again")
        if lines:
            alerts.publish("Archive of deletions", "\n".join(lines))
        cursor = json.dumps({"told": told, "letters": letters, "read": read})
        if cursor == context.cursor:
            return dg.SkipReason("nothing waits too long")
        return dg.SensorResult(cursor=cursor)

    return archive_alerts


def _refused(context: dg.SensorEvaluationContext, read: int | None) -> tuple[int | None, int]:
    """Up to where the record of materializations was read, and how many records pipes had refused."""
    records = context.instance.fetch_materializations(
        dg.AssetRecordsFilter(
            asset_key=dg.AssetKey(DELETIONS_KEY),
            after_storage_id=read,
            after_timestamp=time.time() - 24 * 3600 if read is None else None,
        ),
        limit=_BATCH,
        ascending=True,
    ).records
    refused = 0
    for record in records:
        read = record.storage_id
        found = record.asset_materialization
        value = found.metadata.get("read_from_streams") if found is not None else None
        refused += int(str(value.value)) if value is not None else 0
    return read, refused
