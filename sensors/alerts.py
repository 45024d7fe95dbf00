"""Tells people, through an SNS topic, that a rule was broken or that a run failed.

An alert leaves the walls that personal data stays behind, so it names audits, counts, days, steps and
classes of errors, and never quotes what an error says: exceptions carry values. Both sensors read Dagster's
own record of events from where they stopped, and move on only past what was published. So each event is told
at least once, and once only unless the process dies in between; a report materialized again is a new event.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg
from dagster import DagsterEventType, DagsterRun
from dagster_shared.error import SerializableErrorInfo

from resources.settings import SENSOR_SECONDS
from resources.sns import AlertResource

DAILY_REPORT = dg.AssetKey(["audit", "daily_report"])
_BATCH = 50
_BUDGET_SECONDS = 20.0  # a tick is cut off after 60
_FIRST_LOOK_SECONDS = 24 * 3600  # a sensor that is new doesn't tell of what is long known

Alert = tuple[str, str]
"""Subject and message."""


def alert_sensors() -> list[dg.SensorDefinition]:
    """The sensors of both kinds of alert."""
    return [violation_alerts(), run_failure_alerts()]


def violation_alerts() -> dg.SensorDefinition:
    """One alert for each daily report that tells of a rule that is broken, or that could not be judged."""

    @dg.sensor(
        name="violation_alerts",
        minimum_interval_seconds=max(1, round(SENSOR_SECONDS.number())),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells the alert topic which rules a daily report found broken or could not judge.",
    )
    def sensor(context: dg.SensorEvaluationContext, alerts: AlertResource) -> dg.SensorResult | dg.SkipReason:
        records = context.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=DAILY_REPORT, **_from(context)), limit=_BATCH, ascending=True
        ).records
        return _tell(context, alerts, records, violation_alert)

    return sensor


def run_failure_alerts() -> dg.SensorDefinition:
    """One alert for each failed run of this code location.

    Dagster's own ``run_failure_sensor`` moves on when the function it calls fails: that alert would be lost.
    """

    @dg.sensor(
        name="run_failure_alerts",
        minimum_interval_seconds=max(1, round(SENSOR_SECONDS.number())),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells the alert topic which run failed, at which step, with which class of error.",
    )
    def sensor(context: dg.SensorEvaluationContext, alerts: AlertResource) -> dg.SensorResult | dg.SkipReason:
        records = context.instance.fetch_run_status_changes(
            dg.RunStatusChangeRecordsFilter(event_type=DagsterEventType.RUN_FAILURE, **_from(context)),
            limit=_BATCH,
            ascending=True,
        ).records
        return _tell(context, alerts, records, lambda record: _failed_run(context, record))

    return sensor


def _from(context: dg.SensorEvaluationContext) -> dict[str, Any]:
    """Where the last tick stopped, as a filter of records."""
    if context.cursor:
        return {"after_storage_id": int(context.cursor)}
    return {"after_timestamp": time.time() - _FIRST_LOOK_SECONDS}


def _tell(
    context: dg.SensorEvaluationContext,
    topic: AlertResource,
    records: Sequence[dg.EventLogRecord],
    alert: Callable[[dg.EventLogRecord], Alert | None],
) -> dg.SensorResult | dg.SkipReason:
    """Publish what ``alert`` makes of each record, in order, and stop at the first that can't be."""
    started, cursor, told = time.monotonic(), context.cursor, 0
    for record in records:
        made = alert(record)
        if made is not None:
            try:
                topic.publish(*made)
            except Exception:
                if cursor == context.cursor:
                    raise
                context.log.exception("an alert was not published; the next tick tries again")
                break
            told += 1
        cursor = str(record.storage_id)
        if time.monotonic() - started > _BUDGET_SECONDS:
            break
    if cursor == context.cursor:
        return dg.SkipReason("nothing new")
    context.log.info(f"{told} alerts published")
    return dg.SensorResult(cursor=cursor)


def violation_alert(record: dg.EventLogRecord) -> Alert | None:
    """The alert of a report's materialization; None when every rule that was audited holds for certain."""
    event = record.asset_materialization
    if event is None:
        return None
    found: dict[str, Any] = {name: value.value for name, value in event.metadata.items()}
    violated = found.get("violated_audits") or []
    unjudged = found.get("not_judged") or []
    if not violated and not unjudged:
        return None
    day = event.partition or "unknown day"
    lines = [
        f"{found.get('verdict', 'Rules are broken')} on {day}.",
        "",
        *(_violation(each) for each in violated),
        "",
        *(f"Not judged on all rows, since values could not be read: {audit_id}" for audit_id in unjudged),
        *(f"Not audited: {audit_id}" for audit_id in found.get("not_audited") or []),
        f"Report: {found.get('s3', 'none')}",
        f"Run: {record.run_id}",
    ]
    return f"Privacy audit {day}: {found.get('verdict', 'rules are broken')}", "\n".join(lines)


def _violation(audit: Mapping[str, Any]) -> str:
    allowed = f"{audit['violations']:,} violations, {audit['threshold']:,} allowed"
    return f"{audit['severity']}: {audit['id']}, {allowed}"


def _failed_run(context: dg.SensorEvaluationContext, record: dg.EventLogRecord) -> Alert | None:
    run = context.instance.get_run_by_id(record.run_id)
    if run is not None and not _is_ours(context, run):
        return None
    steps = context.instance.all_logs(record.run_id, of_type=DagsterEventType.STEP_FAILURE)
    return run_failure_alert(record.run_id, run, steps)


def _is_ours(context: dg.SensorEvaluationContext, run: DagsterRun) -> bool:
    """Whether the run is of the code location that this sensor is of, as far as both are known."""
    origin, here = run.remote_job_origin, context.code_location_origin
    if origin is None or here is None:
        return True
    return origin.repository_origin.code_location_origin.location_name == here.location_name


def run_failure_alert(run_id: str, run: DagsterRun | None, steps: Sequence[dg.EventLogEntry]) -> Alert:
    """The alert of a failed run: where it failed and the class of the error."""
    job = run.job_name if run else "unknown job"
    day = (run.tags.get("dagster/partition") if run else None) or "no partition"
    failed = [
        f"Step {entry.step_key}: {_error_class(entry.get_dagster_event().step_failure_data.error)}"
        for entry in steps
    ]
    lines = [
        f"Run {run_id} of {job} failed ({day}).",
        "",
        *(failed or ["No step failed: the run did not start, was lost, or was ended from outside."]),
        "",
        "What the errors say is in the run's log, for those who may read it.",
    ]
    return f"Failed: {job}, {day}", "\n".join(lines)


def _error_class(error: SerializableErrorInfo | None) -> str:
    """The class of the error that began it; Dagster wraps what a step raises."""
    if error is None:
        return "unknown error"
    while error.cause is not None:
        error = error.cause
    return error.cls_name or "unknown error"
