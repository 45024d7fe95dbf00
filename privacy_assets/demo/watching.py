"""Following nights through Dagster's own records until each has been audited."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import NamedTuple, Protocol

import dagster as dg
from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus
from dagster._core.scheduler.instigation import InstigatorTick, InstigatorType, TickStatus

from privacy_assets.audit.assets import DAILY_REPORT
from privacy_assets.errors import UserError
from privacy_assets.jobs import DAILY_AUDIT, NIGHTLY_EXPORTS

POLL_SECONDS, TICKS_SECONDS = 0.7, 4.0
SENSOR_STUMBLES = 3
SLOW_SECONDS = 15.0
"""Seconds without anything new after which it is said how long it has been so."""
PARTITION_TAG = "dagster/partition"
FAILED = (DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)
ENDED = (*FAILED, DagsterRunStatus.SUCCESS)


class RunFailed(UserError):  # noqa: N818  # it is the run that failed
    """A run of a night failed; the message is the run's own reason."""


class Audited(NamedTuple):
    """A night's run that made its report; ``failure`` is why it failed all the same, or empty."""

    run_id: str
    failure: str = ""


class Tell(Protocol):
    """Where progress goes: a night, what it does now, and whether it is done."""

    def __call__(self, night: date, doing: str, *, done: bool = False) -> None: ...


def follow(nights: Sequence[date], tell: Tell, alive: Callable[[], None], patience: float) -> list[Audited]:
    """Wait until every night has its report; the runs that made them, some of which failed since an audit
    could not be run.

    ``alive`` raises when a process that is needed has ended. ``patience`` is how many seconds may pass
    without anything new. Raises RunFailed with the reason of the first run that failed without a report, and
    of a schedule or sensor that failed.
    """
    left = {night.isoformat(): night for night in nights}
    audited: list[Audited] = []
    said: dict[str, str] = {}
    with DagsterInstance.get() as instance:
        until, look_at_ticks = time.monotonic() + patience, 0.0
        while left:
            alive()
            if time.monotonic() > look_at_ticks:
                _refuse_failed_ticks(instance)
                look_at_ticks = time.monotonic() + TICKS_SECONDS
            for run in _runs(instance, list(left)):
                key = run.tags[PARTITION_TAG]
                if run.status in FAILED:
                    why = f"{run.job_name} of {key}: {reason(instance, run.run_id)}"
                    if not _reported(instance, run):
                        raise RunFailed(why)
                    audited.append(Audited(run.run_id, why))
                    tell(left.pop(key), "audited in part", done=True)
                    continue
                doing = _doing(instance, run)
                if said.get(key) != doing:
                    said[key] = doing
                    until = time.monotonic() + patience
                    tell(left[key], doing)
                elif (silent := time.monotonic() - until + patience) > SLOW_SECONDS:
                    tell(left[key], f"{doing} for {silent:.0f} s; given up after {patience:.0f} s of silence")
                if run.job_name == DAILY_AUDIT and run.status == DagsterRunStatus.SUCCESS:
                    tell(left.pop(key), "audited", done=True)
                    audited.append(Audited(run.run_id))
            if time.monotonic() > until:
                waiting = ", ".join(f"{key} ({said.get(key, 'not started')})" for key in left)
                raise RunFailed(f"nothing happened for {patience:g} s; waiting for {waiting}")
            time.sleep(POLL_SECONDS)
    return audited


def _reported(instance: DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the run made the day's report before it failed."""
    made = instance.get_records_for_run(run.run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION).records
    return any(record.asset_key == DAILY_REPORT for record in made)


def _runs(instance: DagsterInstance, keys: Sequence[str]) -> Iterator[dg.DagsterRun]:
    """The latest run of the furthest job of each night."""
    latest: dict[str, dg.DagsterRun] = {}
    for run in instance.get_runs(dg.RunsFilter(tags={PARTITION_TAG: list(keys)})):  # newest first
        key = run.tags[PARTITION_TAG]
        known = latest.get(key)
        if known is None or (known.job_name == NIGHTLY_EXPORTS and run.job_name == DAILY_AUDIT):
            latest[key] = run
    yield from latest.values()


def _doing(instance: DagsterInstance, run: dg.DagsterRun) -> str:
    """What a night is at, in words."""
    if run.job_name == NIGHTLY_EXPORTS:
        return "exporting" if run.status in ENDED else "asking for the export"
    if run.status in (DagsterRunStatus.QUEUED, DagsterRunStatus.NOT_STARTED):
        return "exported, audit is queued"
    started = instance.get_records_for_run(
        run.run_id, of_type=DagsterEventType.STEP_START, limit=1, ascending=False
    ).records
    if not started:
        return "exported, audit is starting"
    return f"at {started[0].event_log_entry.step_key}"


def reason(instance: DagsterInstance, run_id: str) -> str:
    """Why a run failed: the first failed step's innermost error, or what Dagster says of the run."""
    for kind in (DagsterEventType.STEP_FAILURE, DagsterEventType.RUN_FAILURE, DagsterEventType.RUN_CANCELED):
        for record in instance.get_records_for_run(run_id, of_type=kind, limit=1).records:
            event = record.event_log_entry.dagster_event
            error = getattr(event.event_specific_data, "error", None) if event else None
            while error is not None and error.cause is not None:
                error = error.cause
            where = f"{event.step_key}: " if event and event.step_key else ""
            message = error.message if error is not None else record.event_log_entry.user_message
            return where + _plain(message)
    return "it left no reason"


def _refuse_failed_ticks(instance: DagsterInstance) -> None:
    for state in instance.all_instigator_state():
        for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1):
            if tick.status == TickStatus.FAILURE and tick.error is not None and _given_up(tick):
                error = tick.error
                while error.cause is not None:
                    error = error.cause
                raise RunFailed(f"{state.instigator_name}: {_plain(error.message)}")


def _given_up(tick: InstigatorTick) -> bool:
    """A schedule's tick is evaluated once; a sensor may stumble."""
    stumbles = tick.consecutive_failure_count or tick.failure_count
    return tick.instigator_type == InstigatorType.SCHEDULE or stumbles >= SENSOR_STUMBLES


def _plain(message: str) -> str:
    """On one line, without the module of the error's class, and without the class where Dagster made it."""
    line = " ".join(message.split())
    return re.sub(r"^(?:\w+\.)+(?:Failure: )?(?=\w)", "", line)
