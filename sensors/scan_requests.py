"""Starts a scan for each message that asks for one, and closes the job of a scan that failed.

A message is deleted only once its job is recorded and has its run; until then it comes again. The run's key
carries the job's attempt: asked for twice, a scan runs once, and one that failed can be asked for again.
"""

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import dagster as dg

from privacy_assets.estate import Estate
from privacy_assets.partitions import BUCKETS
from privacy_assets.scan.assets import JOB_TAG
from privacy_assets.scan.requests import MalformedRequest, parse_request
from resources.scan_jobs import FAILED, QUEUED, ScanJobsResource
from resources.settings import SENSOR_SECONDS
from resources.sqs import Message, QueueResource

_BUDGET_SECONDS = 20.0  # a tick is cut off after 60
_MESSAGES = 100
_AGAIN_SECONDS = 30


def scan_sensors(estate: Estate, job: Any) -> list[dg.SensorDefinition]:
    """The sensors of the domain."""
    return [scan_requests_sensor(estate, job), scan_failures_sensor(job)]


def scan_requests_sensor(estate: Estate, job: Any) -> dg.SensorDefinition:
    """Reads the queue, and sees to it that the estate's buckets are partitions."""

    @dg.sensor(
        name="scan_requests",
        job=job,
        minimum_interval_seconds=max(1, round(SENSOR_SECONDS.number())),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts a scan for each {bucket, prefix, job_id} in the queue.",
    )
    def scan_requests(
        context: dg.SensorEvaluationContext, scan_queue: QueueResource, scan_jobs: ScanJobsResource
    ) -> dg.SensorResult:
        started = time.monotonic()
        partitions = {bucket.name for bucket in estate.buckets}
        requests: dict[str, dg.RunRequest] = {}
        done: list[Message] = []
        waiting: list[Message] = []
        seen: set[str] = set()
        while len(seen) < _MESSAGES and time.monotonic() - started < _BUDGET_SECONDS:
            batch = [message for message in scan_queue.receive() if message.id not in seen]
            if not batch:
                break
            for message in batch:
                seen.add(message.id)
                try:
                    asked = parse_request(message.body)
                except MalformedRequest as malformed:
                    context.log.warning(f"message {message.id}: {malformed}; moved to the dead letters")
                    scan_queue.dead_letter(message, str(malformed))
                    continue
                found = scan_jobs.record(asked.job_id, asked.bucket, asked.prefix)
                if (found["bucket"], found["prefix"]) != (asked.bucket, asked.prefix):
                    reason = f"job_id {asked.job_id}: is another scan's, expected one of its own"
                    scan_queue.dead_letter(message, reason)
                    continue
                attempt = int(found["attempt"])
                if found["status"] == FAILED and _asks_again(message, found):
                    if scan_jobs.again(asked.job_id, attempt):
                        attempt += 1
                elif found["status"] != QUEUED or _has_run(context, asked.job_id, attempt):
                    done.append(message)
                    continue
                waiting.append(message)
                partitions.add(asked.bucket)
                key = f"{asked.job_id}:{attempt}"
                requests[key] = dg.RunRequest(
                    run_key=key,
                    partition_key=asked.bucket,
                    tags={JOB_TAG: asked.job_id, _ATTEMPT_TAG: str(attempt)},
                )
        scan_queue.delete(done)
        scan_queue.postpone(waiting, _AGAIN_SECONDS)
        missing = sorted(partitions - set(context.instance.get_dynamic_partitions(BUCKETS.name or "")))
        return dg.SensorResult(
            run_requests=list(requests.values()),
            dynamic_partitions_requests=[BUCKETS.build_add_request(missing)] if missing else [],
        )

    return scan_requests


_ATTEMPT_TAG = "privacy_assets/scan_attempt"


def _asks_again(message: Message, job: Mapping[str, Any]) -> bool:
    """Whether the message was sent after the job had failed, and is not the one that it was made for."""
    return message.sent is not None and message.sent > datetime.fromisoformat(job["ended_at"])


def _has_run(context: dg.SensorEvaluationContext, job_id: str, attempt: int) -> bool:
    tags = {JOB_TAG: job_id, _ATTEMPT_TAG: str(attempt)}
    return bool(context.instance.get_runs(dg.RunsFilter(tags=tags), limit=1))


def scan_failures_sensor(job: Any) -> dg.SensorDefinition:
    """A scan whose run failed for good has failed: its job says so."""

    @dg.run_failure_sensor(
        name="scan_failures",
        monitored_jobs=[job],
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Marks the job of a failed scan as failed.",
    )
    def scan_failures(context: dg.RunFailureSensorContext, scan_jobs: ScanJobsResource) -> None:
        run = context.dagster_run
        if run.tags.get("dagster/will_retry") == "true":
            return
        job_id = run.tags.get(JOB_TAG) or run.root_run_id or run.run_id
        # The words of an error may carry values; the run has them, for those who may see it.
        scan_jobs.end(job_id, FAILED, f"run {run.run_id} failed")

    return scan_failures
