"""Says every five minutes what is wrong right now, in numbers that CloudWatch's alarms watch.

The alerts of other sensors tell of what happened. This one tells what *is*, and its silence is told by the
alarms themselves: a daemon that stands still, a code location that does not load.
"""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from privacy_assets.estate import Estate
from privacy_assets.snapshot import names
from resources.health import HealthResource
from resources.measures import CHECKS, FAILED_RUNS, LATE_EXPORTS, OVERDUE_AUDITS

_SECONDS = 300
_DAYS = 7
_EXPORT_HOUR = 3  # exports are asked for at 01:00 UTC
FAILED = AssetCheckExecutionRecordStatus.FAILED
_REPORT = dg.AssetKey(["audit", "daily_report"])


def health_sensor(estate: Estate, clock: Callable[[], float] = time.time) -> dg.SensorDefinition:
    """The sensor; ``clock`` gives seconds since 1970."""

    @dg.sensor(
        name="health",
        minimum_interval_seconds=_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells CloudWatch how many exports, audits, runs and checks are not as they should be.",
    )
    def health(context: dg.SensorEvaluationContext, health: HealthResource) -> dg.SkipReason:
        now = datetime.fromtimestamp(clock(), UTC)
        measured = {
            LATE_EXPORTS.name: _late_exports(context.instance, estate, now),
            OVERDUE_AUDITS.name: _overdue_audits(context.instance, estate, now),
            FAILED_RUNS.name: _failed_runs(context.instance, now),
            **_failing_checks(context),
        }
        health.tell(measured)
        wrong = [f"{name} {count:g}" for name, count in measured.items() if count]
        return dg.SkipReason(", ".join(wrong) or "all is well")

    return health


def _late_exports(instance: dg.DagsterInstance, estate: Estate, now: datetime) -> int:
    day = now.date() - timedelta(days=1)
    if now.hour < _EXPORT_HOUR or day < estate.start:
        return 0
    return sum(not _is_there(instance, dg.AssetKey(names.export_key(noun)), day) for noun in estate.nouns)


def _overdue_audits(instance: dg.DagsterInstance, estate: Estate, now: datetime) -> int:
    deadline = max((table.deadline for table in estate.tables), default="00:00")
    latest = now.date() - timedelta(days=1 if now.strftime("%H:%M") >= deadline else 2)
    days = [latest - timedelta(days=back) for back in range(_DAYS)]
    return sum(not _is_there(instance, _REPORT, day) for day in days if day >= estate.start)


def _is_there(instance: dg.DagsterInstance, key: dg.AssetKey, day: date) -> bool:
    found = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=key, asset_partitions=[day.isoformat()]), limit=1
    )
    return bool(found.records)


def _failed_runs(instance: dg.DagsterInstance, now: datetime) -> int:
    """Runs that failed and were not followed by one that succeeded, as their last attempt."""
    since = now - timedelta(days=1)
    failed = instance.get_runs(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=since), limit=1000
    )
    parents = {run.parent_run_id for run in instance.get_runs(dg.RunsFilter(created_after=since), limit=5000)}
    return sum(run.run_id not in parents for run in failed)


def _failing_checks(context: dg.SensorEvaluationContext) -> dict[str, int]:
    """By measure; a group that the code location does not have has no failing checks."""
    assert context.repository_def is not None
    keys = list(context.repository_def.asset_graph.asset_check_keys)
    latest = context.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    failing = [key.asset_key.path[0] for key, record in latest.items() if record.status == FAILED]
    return {measure.name: failing.count(measure.group) for measure in CHECKS}
