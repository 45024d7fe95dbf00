"""Starts a day's audit once every governed table's export of that day is complete.

It hears of exports from a queue, which may deliver twice, late, out of order or never; and it asks DynamoDB
for those it should have heard of and did not.  Quiet is the normal state of this sensor and also its danger:
a night without exports is told by the snapshots' freshness, not from here.

A message is deleted only once a run of its day exists.  What can't be understood goes to the dead letters,
with the reason.  One set of exports starts one run, whatever became of it: a day that failed is run again by
a person, or by a new export, never by a message that comes twice.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from privacy_assets.estate import Estate
from privacy_assets.jobs import DAILY_AUDIT, EXPORTS_TAG, NIGHTLY_EXPORTS
from privacy_assets.partitions import daily
from privacy_assets.snapshot import names
from privacy_assets.snapshot.arrivals import Arrival, Arrivals, MalformedEvent, export_ids, parse_event
from resources.dynamodb import ExportsResource
from resources.s3 import LakeResource
from resources.settings import EXPORT_POLL_SECONDS, SENSOR_SECONDS
from resources.sqs import Message, QueueResource

if TYPE_CHECKING:
    from privacy_assets.jobs import AssetJob

_BUDGET_SECONDS = 20.0  # a tick is cut off after 60
_MESSAGES = 200
_POLLS = 20
_REQUESTS = 25
_RUNS = 200
_WAIT_SECONDS = 300  # until a message is looked at again whose day is not complete
_EXPORT_ATTEMPTS = 3
_HISTORY = timedelta(days=35)  # no export reaches back further

_PARTITION_TAG = "dagster/partition"


def export_complete_sensor(
    estate: Estate,
    exports_job: "AssetJob",
    audit_job: "AssetJob",
) -> dg.SensorDefinition:
    """The sensor for the tables of ``estate``."""

    @dg.sensor(
        name="export_complete",
        jobs=[audit_job, exports_job],
        minimum_interval_seconds=max(1, round(SENSOR_SECONDS.number())),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts a day's audit when the exports of all governed tables are complete.",
    )
    def export_complete(
        context: dg.SensorEvaluationContext,
        export_queue: QueueResource,
        dynamodb_exports: ExportsResource,
        lake: LakeResource,
    ) -> dg.SensorResult:
        tick = _Tick(context, estate, Arrivals.from_cursor(context.cursor))
        tick.read_started()
        tick.read_queue(export_queue, lake.bucket)
        tick.poll(dynamodb_exports)
        tick.request_runs()
        tick.settle(export_queue)
        return dg.SensorResult(run_requests=tick.requests, cursor=tick.arrivals.to_cursor())

    return export_complete


@dataclass
class _Tick:
    """One evaluation, in the order of its methods."""

    context: dg.SensorEvaluationContext
    estate: Estate
    arrivals: Arrivals
    clock: Callable[[], float] = time.time
    requests: list[dg.RunRequest] = field(default_factory=list)
    messages: list[tuple[Message, Arrival]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.started = self.clock()
        self.found: dict[date, list[dg.DagsterRun]] = {}
        self.partitions = daily(self.estate)

    def in_time(self) -> bool:
        return self.clock() - self.started < _BUDGET_SECONDS

    def is_partition(self, day: date) -> bool:
        return self.partitions.has_partition_key(day.isoformat())

    def read_started(self) -> None:
        """Await the exports that were started since the last tick, from the record of materializations."""
        first = EXPORT_POLL_SECONDS.number()
        for noun in self.estate.nouns:
            read = self.arrivals.read.get(noun)
            found = self.context.instance.fetch_materializations(
                dg.AssetRecordsFilter(
                    asset_key=dg.AssetKey(names.export_key(noun)),
                    after_storage_id=read,
                    after_timestamp=self.started - _HISTORY.total_seconds() if read is None else None,
                ),
                limit=1000,
                ascending=True,
            )
            for record in found.records:
                self.arrivals.read[noun] = record.storage_id
                materialization = record.asset_materialization
                if materialization is None or materialization.partition is None:
                    continue
                metadata = materialization.metadata
                arn, attempt = metadata.get("export_arn"), metadata.get("attempt")
                if arn is not None and attempt is not None:
                    day = date.fromisoformat(materialization.partition)
                    self.arrivals.expect(
                        str(arn.value), noun, day, int(str(attempt.value)), record.timestamp, first
                    )

    def read_queue(self, queue: QueueResource, bucket: str) -> None:
        """Take what the queue has, within the tick's caps."""
        seen: set[str] = set()
        while len(seen) < _MESSAGES and self.in_time():
            batch = [message for message in queue.receive() if message.id not in seen]
            if not batch:  # nothing, or what we hold already and did not keep hidden for long enough
                return
            seen |= {message.id for message in batch}
            for message in batch:
                try:
                    arrival = parse_event(message.body, bucket, self.estate.nouns, self.is_partition)
                except MalformedEvent as malformed:
                    self.context.log.warning(f"message {message.id}: {malformed}; moved to the dead letters")
                    queue.dead_letter(message, str(malformed))
                    continue
                self.messages.append((message, arrival))
                self.arrivals.arrive(arrival)

    def poll(self, exports: ExportsResource) -> None:
        """Ask for exports whose event should have come by now; a failed one is started again, twice."""
        for arn in self.arrivals.due(self.started, _POLLS):
            if not self.in_time():
                return
            awaited = self.arrivals.awaited[arn]
            if self.is_covered(awaited.day, None):
                del self.arrivals.awaited[arn]
                continue
            export = exports.describe_or_none(arn)
            if export is None:
                del self.arrivals.awaited[arn]
            elif export.status == "COMPLETED":
                self.arrivals.arrive(Arrival(awaited.noun, awaited.day, export.id))
            elif export.status == "FAILED":
                del self.arrivals.awaited[arn]
                self.context.log.error(f"{arn} failed: {export.failure}")
                if awaited.attempt < _EXPORT_ATTEMPTS:
                    self.requests.append(self.export_again(awaited.noun, awaited.day, awaited.attempt + 1))

    def export_again(self, noun: str, day: date, attempt: int) -> dg.RunRequest:
        return dg.RunRequest(
            run_key=f"{day}:{noun}_export:{attempt}",
            job_name=NIGHTLY_EXPORTS,
            partition_key=day.isoformat(),
            asset_selection=[dg.AssetKey(names.export_key(noun))],
        )

    def request_runs(self) -> None:
        """One run for each day whose exports are all there, unless these exports had one."""
        for day in self.arrivals.complete_days(self.estate.nouns):
            if len(self.requests) >= _REQUESTS:
                return
            ids = export_ids(self.arrivals.arrived[day], self.estate.nouns)
            if self.is_covered(day, ids):
                continue
            attempt = 1 + sum(run.job_name == DAILY_AUDIT for run in self.runs(day))
            self.requests.append(
                dg.RunRequest(
                    run_key=f"{day}:{attempt}",
                    job_name=DAILY_AUDIT,
                    partition_key=day.isoformat(),
                    tags={EXPORTS_TAG: ids},
                )
            )

    def settle(self, queue: QueueResource) -> None:
        """Delete the messages of days that have their run; look at the others again later."""
        done, waiting = [], []
        for message, arrival in self.messages:
            ids = self.arrivals.arrived[arrival.day]
            if set(self.estate.nouns) <= set(ids):
                if self.is_covered(arrival.day, export_ids(ids, self.estate.nouns)):
                    done.append(message)
            else:
                waiting.append(message)
        queue.delete(done)
        queue.postpone(waiting, _WAIT_SECONDS)
        for day in self.arrivals.complete_days(self.estate.nouns):
            if self.is_covered(day, export_ids(self.arrivals.arrived[day], self.estate.nouns)):
                self.arrivals.forget(day)

    def is_covered(self, day: date, ids: str | None) -> bool:
        """Whether the day has a run that reads these exports (any, when ``ids`` is None).

        A run that this sensor started names its exports, and counts whatever became of it.  A run that a
        person started does not; it counts unless it failed.
        """
        for run in self.runs(day):
            if EXPORTS_TAG in run.tags:
                if ids is None or run.tags[EXPORTS_TAG] == ids:
                    return True
            elif run.status not in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED):
                return True
        return False

    def runs(self, day: date) -> Sequence[dg.DagsterRun]:
        """The day's runs that make its typed snapshots, the newest first."""
        if day not in self.found:
            typed = {dg.AssetKey(names.typed_key(noun)) for noun in self.estate.nouns}
            filters = dg.RunsFilter(tags={_PARTITION_TAG: day.isoformat()})
            self.found[day] = [
                run
                for run in self.context.instance.get_runs(filters, limit=_RUNS)
                if (run.asset_selection is None and run.job_name == DAILY_AUDIT)
                or (run.asset_selection is not None and typed <= run.asset_selection)
            ]
        return self.found[day]
