"""Starts a run for each message about a request, and keeps requests, runs and partitions in step.

A message is deleted only once its run exists; until then it comes again. The run's key carries the attempt:
told twice, a request runs once, and a new attempt is a new run. What no message tells is seen by
``dsar_jobs``: a message that was lost, a run that died, a lock whose date has come, people who were not told,
and partitions of requests that ended long ago.
"""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from privacy_assets.dsar import composition, watch
from privacy_assets.dsar.assets import in_time_result
from privacy_assets.dsar.names import ATTEMPT_TAG, DSAR_REQUEST, PARTITIONS
from privacy_assets.dsar.register import CLOSING, Job, NoSuchRequest, Register
from privacy_assets.dsar.requests import MalformedMessage, parse_message
from privacy_assets.dsar.states import State
from privacy_assets.dsar.work import said
from privacy_assets.partitions import REQUESTS
from resources.settings import DSAR_BUNDLE_DAYS, SENSOR_SECONDS
from resources.sqs import Message

if TYPE_CHECKING:
    from privacy_assets.jobs import AssetJob

_BUDGET_SECONDS = 20.0  # a tick is cut off after 60
_MESSAGES = 100
_AGAIN_SECONDS = 30
_LOST_SECONDS = 120
"""A request that is PENDING for longer and has no run is asked for again."""
_RETIRED = 200
_ROOT_TAG = "dagster/root_run_id"
_PARTITION_TAG = "dagster/partition"
_OVER = frozenset({dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.SUCCESS})
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


def dsar_sensors(job: "AssetJob") -> list[dg.SensorDefinition]:
    """The sensors of requests."""
    return [dsar_requests_sensor(job), dsar_jobs_sensor(), dsar_due_sensor()]


def dsar_requests_sensor(job: "AssetJob") -> dg.SensorDefinition:
    """Reads the queue."""

    @dg.sensor(
        name="dsar_requests",
        job=job,
        minimum_interval_seconds=max(1, round(SENSOR_SECONDS.number())),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts a run for each {jobId, action} in the queue.",
        required_resource_keys=set(composition.RESOURCES),
    )
    def dsar_requests(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        queue, register = context.resources.dsar_queue, composition.register(context.resources)
        started = time.monotonic()
        runs: dict[str, dg.RunRequest] = {}
        seen: set[str] = set()
        done: list[Message] = []
        waiting: list[Message] = []
        while len(seen) < _MESSAGES and time.monotonic() - started < _BUDGET_SECONDS:
            batch = [message for message in queue.receive() if message.id not in seen]
            if not batch:
                break
            for message in batch:
                seen.add(message.id)
                try:
                    found = _asked(register, message.body)
                except MalformedMessage as malformed:
                    context.log.warning(f"message {message.id}: {malformed}; moved to the dead letters")
                    queue.dead_letter(message, str(malformed))
                    continue
                if found["state"] != State.PENDING or _run(context, found) is not None:
                    done.append(message)
                    continue
                waiting.append(message)
                request = _run_request(found)
                runs[str(request.run_key)] = request
        queue.delete(done)
        queue.postpone(waiting, _AGAIN_SECONDS)
        there = set(context.instance.get_dynamic_partitions(PARTITIONS))
        missing = sorted({str(request.partition_key) for request in runs.values()} - there)
        return dg.SensorResult(
            run_requests=list(runs.values()),
            dynamic_partitions_requests=[REQUESTS.build_add_request(missing)] if missing else [],
        )

    return dsar_requests


def _asked(register: Register, body: str) -> Job:
    """The request that a message is about. Raises MalformedMessage."""
    message = parse_message(body)
    try:
        job = register.get(message.job_id)
    except NoSuchRequest:
        raise MalformedMessage(f"{message.job_id}: there is no such request") from None
    if job["action"] != message.action:
        raise MalformedMessage(f"{message.job_id}: another action than the request's")
    return job


def _run_request(job: Job) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=f"{job['job_id']}:{job['attempt']}",
        partition_key=job["job_id"],
        tags={ATTEMPT_TAG: str(job["attempt"])},
    )


def _run(context: dg.SensorEvaluationContext, job: Job) -> dg.DagsterRun | None:
    """The run of a request's present attempt."""
    tags = {_PARTITION_TAG: job["job_id"], ATTEMPT_TAG: str(job["attempt"])}
    found = context.instance.get_runs(dg.RunsFilter(job_name=DSAR_REQUEST, tags=tags), limit=1)
    return found[0] if found else None


def dsar_jobs_sensor(now: Clock = utc_now) -> dg.SensorDefinition:
    """Sees what no message tells."""

    @dg.sensor(
        name="dsar_jobs",
        minimum_interval_seconds=max(1, round(SENSOR_SECONDS.number())),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Takes up requests whose run died, whose message was lost or whose lock has ended.",
        required_resource_keys=set(composition.RESOURCES),
    )
    def dsar_jobs(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        register = composition.register(context.resources)
        done = [
            *_ended_runs(context, register),
            *_closed(context, register),
            *_freed(context, register, now()),
            *_lost(context, register, now()),
        ]
        retired = _retire(context, register, now())
        for line in done:
            context.log.info(line)
        if not done and not retired:
            return dg.SkipReason("requests, runs and partitions are in step")
        return dg.SensorResult(
            dynamic_partitions_requests=[REQUESTS.build_delete_request(retired)] if retired else []
        )

    return dsar_jobs


def _each(
    context: dg.SensorEvaluationContext, listed: Iterable[Job], work: Callable[[Job], str | None]
) -> list[str]:
    """What was done about each; one that goes wrong keeps no other waiting, and is tried again."""
    lines = []
    for job in list(listed):
        try:
            line = work(job)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is this request's alone
            context.log.error(f"{job['job_id']}: {said(error)}")  # noqa: TRY400  # no trace: it may quote a value
            continue
        if line is not None:
            lines.append(f"{job['job_id']}: {line}")
    return lines


def _ended_runs(context: dg.SensorEvaluationContext, register: Register) -> list[str]:
    """RUNNING requests whose run is over without having said so."""

    def look(listed: Job) -> str | None:
        run = _newest(context, listed["run_id"])
        if run is not None and not _over(run):
            return None
        events = (
            context.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE) if run else []
        )
        job = register.fail(listed["job_id"], listed["run_id"], says_why=bool(events))
        return f"run {listed['run_id']} is over, now {job['state']}"

    return _each(context, register.jobs.in_state(State.RUNNING), look)


def _newest(context: dg.SensorEvaluationContext, run_id: str) -> dg.DagsterRun | None:
    """The newest of a run and all that were started to go on from it: a retry may die before it has taken
    the request up.
    """
    run = context.instance.get_run_by_id(run_id)
    if run is None:
        return None
    tags = {_ROOT_TAG: run.tags.get(_ROOT_TAG, run_id)}
    later = context.instance.get_runs(dg.RunsFilter(tags=tags), limit=1)
    return later[0] if later else run


def _over(run: dg.DagsterRun) -> bool:
    return run.status in _OVER and run.tags.get("dagster/will_retry") != "true"


def _closed(context: dg.SensorEvaluationContext, register: Register) -> list[str]:
    def look(listed: Job) -> str:
        return f"{composition.close(context.resources, listed['job_id'])['state']}, told"

    return _each(context, register.jobs.in_state(CLOSING), look)


def _freed(context: dg.SensorEvaluationContext, register: Register, now: datetime) -> list[str]:
    def look(listed: Job) -> str:
        register.retry(listed["job_id"], "dsar_jobs", "its date has come")
        return "taken up again, its date has come"

    return _each(context, watch.freed(register, now), look)


def _lost(context: dg.SensorEvaluationContext, register: Register, now: datetime) -> list[str]:
    """PENDING requests whose message was lost, or whose run was over before it began."""
    limit = now - timedelta(seconds=_LOST_SECONDS)

    def look(listed: Job) -> str | None:
        run = _run(context, listed)
        if run is not None:
            if not _over(run):
                return None
            job = register.never_began(listed["job_id"], listed["attempt"], run.run_id)
            return f"run {run.run_id} is over, now {job['state']}"
        if datetime.fromisoformat(listed["updated_at"]) >= limit:
            return None
        register.ask(listed["job_id"])
        register.flush(listed["job_id"])
        return "asked for again"

    return _each(context, register.jobs.in_state(State.PENDING), look)


def _retire(context: dg.SensorEvaluationContext, register: Register, now: datetime) -> list[str]:
    """Partitions of requests whose answer is deleted by now; the records stay, and say so once it is done."""
    expired = watch.expired(register, now, round(DSAR_BUNDLE_DAYS.number()))[:_RETIRED]
    there = set(context.instance.get_dynamic_partitions(PARTITIONS)) if expired else set()

    def gone(listed: Job) -> None:
        register.retire(listed["job_id"])

    _each(context, (job for job in expired if job["job_id"] not in there), gone)
    return [str(job["job_id"]) for job in expired if job["job_id"] in there]


def dsar_due_sensor(now: Clock = utc_now) -> dg.SensorDefinition:
    """Tells of deadlines before they are over, and keeps the check ``in_time`` fresh."""

    @dg.sensor(
        name="dsar_due",
        minimum_interval_seconds=max(_DUE_SECONDS, round(SENSOR_SECONDS.number())),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells the topic of requests that fall due in 7, 3 or 1 days, and of late ones.",
        required_resource_keys=set(composition.RESOURCES),
    )
    def dsar_due(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        register = composition.register(context.resources)
        topic = context.resources.request_topic

        def look(listed: Job) -> str | None:
            return watch.warn(register, topic, listed, now())

        told = _each(context, watch.standing(register), look)
        day = now().date().isoformat()
        if not told and context.cursor == day:
            return dg.SkipReason("no deadline has come nearer")
        result: Any = in_time_result(register)
        evaluation = dg.AssetCheckEvaluation(
            check_name=result.check_name,
            asset_key=result.asset_key,
            passed=result.passed,
            metadata=result.metadata,
            severity=result.severity,
        )
        return dg.SensorResult(asset_events=[evaluation], cursor=day)

    return dsar_due


_DUE_SECONDS = 60
