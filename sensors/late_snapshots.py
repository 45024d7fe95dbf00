"""Tells people when yesterday's snapshot is not there by its deadline.

Every other alert is told by something that happened.  A night on which nothing happens - a schedule that was
turned off, a daemon that stood still, an export whose run was never started - is told by this one alone.  The
freshness that the UI shows would take a backfill of an old day for last night's work.
"""

import json
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from privacy_assets.estate import Estate, Table
from privacy_assets.snapshot import names
from resources.sns import AlertResource

_SECONDS = 300


def late_snapshots_sensor(estate: Estate, clock: Callable[[], float] = time.time) -> dg.SensorDefinition:
    """One alert a day and table, once its deadline has passed without yesterday's snapshot."""

    @dg.sensor(
        name="late_snapshots",
        minimum_interval_seconds=_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells the alert topic when yesterday's snapshot of a table is not there in time.",
    )
    def late_snapshots(
        context: dg.SensorEvaluationContext, alerts: AlertResource
    ) -> dg.SensorResult | dg.SkipReason:
        now = datetime.fromtimestamp(clock(), UTC)
        day = now.date() - timedelta(days=1)
        told: dict[str, str] = json.loads(context.cursor or "{}")
        late = [
            table
            for table in estate.tables
            if told.get(table.name) != day.isoformat()
            and day >= estate.start
            and now >= _deadline(table, now.date())
            and not _is_there(context.instance, table, day)
        ]
        if not late:
            return dg.SkipReason("no snapshot is late")
        lines = [f"{table.name}: expected by {table.deadline} UTC, owner {table.owner}" for table in late]
        alerts.publish(f"Late: snapshots of {day}", "\n".join([f"No snapshot of {day} yet.", *lines]))
        return dg.SensorResult(cursor=json.dumps({**told, **{table.name: day.isoformat() for table in late}}))

    return late_snapshots


def _deadline(table: Table, day: date) -> datetime:
    return datetime.fromisoformat(f"{day.isoformat()}T{table.deadline}:00+00:00")


def _is_there(instance: dg.DagsterInstance, table: Table, day: date) -> bool:
    found = instance.fetch_materializations(
        dg.AssetRecordsFilter(
            asset_key=dg.AssetKey(names.typed_key(table.name)), asset_partitions=[day.isoformat()]
        ),
        limit=1,
    )
    return bool(found.records)
