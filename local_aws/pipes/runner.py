"""One pipe at work: it reads the stream, filters, gathers batches, sends them, and buries what can't be sent.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-dynamodb.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-error-troubleshooting.html
"""

import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from moto.core.exceptions import ServiceException
from moto.events.models import EventPattern
from moto.sqs.models import sqs_backends
from moto.utilities.arns import parse_arn

from local_aws.dynamodb.history import SECOND, Change
from local_aws.dynamodb.tables import HistoryShard, stream_clock

if TYPE_CHECKING:
    from local_aws.pipes.engine import Engine

_READ = 200  # items of 400 KB, with both images
_MESSAGES, _BYTES = 10, 1_048_576  # what SQS takes at once
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 30.0
_IDLE_SECONDS = 5.0


@dataclass(frozen=True)
class _Record:
    """A record that passed the filter."""

    sequence_number: int
    created: float
    body: str


@dataclass
class _Pending:
    """A batch that grows: the records, when the first came, and up to where the stream was read for it."""

    records: list[_Record] = field(default_factory=list)
    since: float = 0.0
    following: int = 0


class Runner:
    """A thread that runs a pipe until it is stopped. ``parameters`` are the pipe's SourceParameters."""

    def __init__(
        self, engine: "Engine", arn: str, source: str, target: str, parameters: dict[str, Any]
    ) -> None:
        stream = parameters["DynamoDBStreamParameters"]
        self._engine, self._arn, self._source, self._target = engine, arn, source, target
        self._size: int = stream.get("BatchSize") or 1
        self._window: float = stream.get("MaximumBatchingWindowInSeconds") or 0
        self._attempts = _or_endless(stream.get("MaximumRetryAttempts"))
        self._age = _or_endless(stream.get("MaximumRecordAgeInSeconds"))
        self._dead_letters: str | None = (stream.get("DeadLetterConfig") or {}).get("Arn")
        self._bisects = stream.get("OnPartialBatchItemFailure") == "AUTOMATIC_BISECT"
        filters = (parameters.get("FilterCriteria") or {}).get("Filters") or []
        self._patterns = [EventPattern.load(one["Pattern"]) for one in filters]
        self._names = _only_names(filters)
        self._stopping = threading.Event()
        self._flushing = 0
        self._flushed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=f"pipe {arn}", daemon=True)

    def start(self) -> None:
        """Begin, in the background."""
        self._thread.start()

    def stop(self) -> None:
        """End once the call under way is answered."""
        self._stopping.set()
        self._wake()
        with self._flushed:
            self._flushed.notify_all()
        if self._thread is not threading.current_thread():
            self._thread.join(10)

    def flush(self, patience: float) -> bool:
        """Send what waits for its batch to fill up; whether all that the stream held by now is dealt with."""
        shard = self._shard()
        if shard is None:
            return True
        last = shard.starting_sequence_number + len(shard.items) - 1
        with self._flushed:
            self._flushing += 1
        self._wake()
        try:
            with self._flushed:
                self._flushed.wait_for(
                    lambda: self._stopping.is_set() or self._engine.next(self._arn) > last, patience
                )
        finally:
            with self._flushed:
                self._flushing -= 1
        return self._engine.next(self._arn) > last

    def _wake(self) -> None:
        shard = self._shard()
        if shard is not None:
            with shard.table.history.written:
                shard.table.history.written.notify_all()

    def _shard(self) -> HistoryShard | None:
        from local_aws.pipes.engine import shard_of

        return shard_of(self._source)

    # --- the thread

    def _run(self) -> None:
        while not self._stopping.is_set():
            shard = self._shard()
            if shard is None:  # such a pipe is of no use any more, even when the stream is switched on again
                return
            try:
                self._follow(shard)
            except Exception as error:  # noqa: BLE001 - a defect must not end the pipe without a word
                sys.stderr.write(f"pipe {self._arn}: {type(error).__name__}: {error}\n")
                self._stopping.wait(_IDLE_SECONDS)

    def _follow(self, shard: HistoryShard) -> None:
        written = shard.table.history.written
        pending = _Pending(following=max(self._engine.next(self._arn), shard.starting_sequence_number))
        while not self._stopping.is_set() and self._shard() is shard:
            last = shard.starting_sequence_number + len(shard.items)
            changes = shard.changes(pending.following, _READ)
            for change in changes:
                record = self._passed(shard, change)
                pending.following = shard.starting_sequence_number + change.sequence + 1
                if record is not None:
                    pending.since = pending.since if pending.records else time.monotonic()
                    pending.records.append(record)
                if len(pending.records) >= self._size:
                    self._settle(shard, pending)
                if self._stopping.is_set():
                    return
            if changes:
                if not pending.records:
                    self._advance(pending.following)
                continue
            pending.following = max(pending.following, last)
            left = pending.since + self._window - time.monotonic() if pending.records else 0.0
            if left <= 0 or self._flushing:
                self._settle(shard, pending)
                left = _IDLE_SECONDS
            with written:
                if len(shard.items) + shard.starting_sequence_number == last and not self._stopping.is_set():
                    written.wait(left)

    def _passed(self, shard: HistoryShard, change: Change) -> _Record | None:
        if self._names is not None and _name(change) not in self._names:
            return None
        event = event_of(shard, change, self._source)
        if self._patterns and not any(pattern.matches_event(event) for pattern in self._patterns):  # type: ignore[arg-type]  # moto's type is an event's
            return None
        number = shard.starting_sequence_number + change.sequence
        return _Record(number, change.time / SECOND, json.dumps(event, ensure_ascii=False))

    def _settle(self, shard: HistoryShard, pending: _Pending) -> None:
        """Send the batch or bury it; then it is dealt with."""
        records, pending.records = pending.records, []
        now = stream_clock.now(shard.table.history.clock) / SECOND
        old = [record for record in records if now - record.created > self._age]
        self._bury(shard, old, "RecordAgeExceeded")
        fresh = [record for record in records if now - record.created <= self._age]
        if fresh:
            self._bury(shard, self._undelivered(fresh), "RetryAttemptsExhausted")
        if not self._stopping.is_set():
            self._advance(pending.following)

    def _advance(self, following: int) -> None:
        self._engine.advance(self._arn, following)
        with self._flushed:
            self._flushed.notify_all()

    def _undelivered(self, records: Sequence[_Record]) -> Sequence[_Record]:
        """Send until all is sent or the attempts are used up; the records to bury.

        Without bisecting, a batch of which one record is refused is sent again as a whole.
        """
        attempt, pause = 0, _FIRST_PAUSE
        while True:
            failed = [record for part in _parts(records) for record in self._send(part)]
            if not failed or self._stopping.is_set():
                return ()
            if self._bisects:
                records = failed
            if attempt >= self._attempts:
                return records
            attempt += 1
            if not self._flushing:
                self._stopping.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _send(self, records: Sequence[_Record]) -> list[_Record]:
        """Those that the queue did not take."""
        arn = parse_arn(self._target)
        entries = {
            str(number): {"Id": str(number), "MessageBody": record.body}
            for number, record in enumerate(records)
        }
        try:
            _, failed = sqs_backends[arn.account][arn.region].send_message_batch(arn.resource_id, entries)
        except ServiceException:
            return list(records)
        return [records[int(failure["Id"])] for failure in failed]

    def _bury(self, shard: HistoryShard, records: Sequence[_Record], condition: str) -> None:
        """Tell the dead letter queue which records they were; a message for each stretch of the stream."""
        if self._dead_letters is None:
            return
        arn = parse_arn(self._dead_letters)
        for stretch in [[record] for record in records] if self._bisects else [records] if records else []:
            letter = {
                "context": {"partnerResourceArn": self._arn, "condition": condition},
                "version": "1.0",
                "timestamp": _instant(time.time()),
                "DDBStreamBatchInfo": {
                    "shardId": shard.id,
                    "startSequenceNumber": str(stretch[0].sequence_number),
                    "endSequenceNumber": str(stretch[-1].sequence_number),
                    "approximateArrivalOfFirstRecord": _instant(stretch[0].created),
                    "approximateArrivalOfLastRecord": _instant(stretch[-1].created),
                    "batchSize": len(stretch),
                    "streamArn": self._source,
                },
            }
            try:
                sqs_backends[arn.account][arn.region].send_message(arn.resource_id, json.dumps(letter))
            except ServiceException as error:
                sys.stderr.write(f"pipe {self._arn}: dead letter lost: {error.message}\n")


def event_of(shard: HistoryShard, change: Change, source: str) -> dict[str, Any]:
    """A record as a pipe passes it on: as the stream has it, with the stream's ARN."""
    record = shard.record(change)
    if change.identity is not None:
        record["userIdentity"] = {"type": "Service", "principalId": change.identity}
    record["eventSourceARN"] = source
    return record


def _name(change: Change) -> str:
    return "INSERT" if change.old is None else "REMOVE" if change.new is None else "MODIFY"


def _only_names(filters: Sequence[dict[str, Any]]) -> set[str] | None:
    """The event names that can pass, where every filter names some; a look at them spares making records."""
    names: set[str] = set()
    for one in filters:
        wanted = json.loads(one["Pattern"]).get("eventName")
        if not isinstance(wanted, list) or not all(isinstance(name, str) for name in wanted):
            return None
        names |= set(wanted)
    return names if filters else None


def _parts(records: Sequence[_Record]) -> Iterator[list[_Record]]:
    """As many at once as SQS takes; one that is too large goes alone, and is refused alone."""
    part: list[_Record] = []
    size = 0
    for record in records:
        length = len(record.body.encode())
        if part and (len(part) == _MESSAGES or size + length > _BYTES):
            yield part
            part, size = [], 0
        part.append(record)
        size += length
    if part:
        yield part


def _or_endless(value: int | None) -> float:
    return float("inf") if value is None or value < 0 else value


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
