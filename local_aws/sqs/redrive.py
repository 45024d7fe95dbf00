"""Dead letters sent back: StartMessageMoveTask, ListMessageMoveTasks, CancelMessageMoveTask.

A task is a row of the store and moves its messages in bites; one that the server's end cut off is taken up
when it starts again. A message that is sent back is a new one, with an id and an age of its own.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
"""

import base64
import json
import re
import sqlite3
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from moto.core.exceptions import ServiceException
from moto.sqs import models
from moto.sqs.exceptions import QueueDoesNotExist, SQSException

from local_aws.context import Action, Answer, Context
from local_aws.sqs.backend import Backend
from local_aws.sqs.messages import Messages, now_ms

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sqs_moves (
    task TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    destination TEXT,
    per_second INTEGER,
    status TEXT NOT NULL,
    started INTEGER NOT NULL,
    to_move INTEGER NOT NULL,
    moved INTEGER NOT NULL DEFAULT 0,
    failure TEXT
)
"""
_HEADERS = {"Content-Type": "application/x-amz-json-1.0"}
_ARN = re.compile(r"arn:aws:sqs:([a-z0-9-]+):(\d{12}):([A-Za-z0-9_.-]{1,80})\Z")
_BITE = 500
_HIGHEST_RATE = 500

Document = dict[str, Any]


class Redrive:
    """The tasks that move messages out of dead letter queues."""

    def __init__(self, context: Context, messages: Messages) -> None:
        self._store = context.store
        self._messages = messages
        self._stopping = threading.Event()
        with self._store.write() as connection:
            connection.execute(_SCHEMA)

    def actions(self) -> dict[str, Action]:
        """What answers which X-Amz-Target."""
        return {
            "AmazonSQS.StartMessageMoveTask": _action(self.start),
            "AmazonSQS.ListMessageMoveTasks": _action(self.list),
            "AmazonSQS.CancelMessageMoveTask": _action(self.cancel),
        }

    def resume(self) -> None:
        """Take up the tasks that were cut off."""
        for (task,) in self._store.read("SELECT task FROM sqs_moves WHERE status = 'RUNNING'"):
            self._work(task)

    def stop(self) -> None:
        """Leave tasks where they are."""
        self._stopping.set()

    def start(self, request: Document) -> Document:
        """Send a dead letter queue's messages back to where they came from, or to one queue."""
        source, destination = request["SourceArn"], request.get("DestinationArn")
        per_second = request.get("MaxNumberOfMessagesPerSecond")
        queue = _queue(source)
        if destination is not None:
            _queue(destination)
        if per_second is not None and not 1 <= per_second <= _HIGHEST_RATE:
            raise _invalid(f"Value {per_second} for parameter MaxNumberOfMessagesPerSecond is invalid.")
        if not _backend(source).list_dead_letter_source_queues(queue.name):
            raise _invalid("Source queue must be configured as a Dead Letter Queue.")
        waiting = self._messages.counts(source, queue.receiving.retention).visible
        task = str(uuid.uuid4())
        with self._store.write() as connection:
            running = "SELECT 1 FROM sqs_moves WHERE source = ? AND status = 'RUNNING'"
            if connection.execute(running, (source,)).fetchone():
                raise _invalid("There is already a task running; a queue has one at a time.")
            connection.execute(
                "INSERT INTO sqs_moves (task, source, destination, per_second, status, started, to_move)"
                " VALUES (?, ?, ?, ?, 'RUNNING', ?, ?)",
                (task, source, destination, per_second, now_ms(), waiting),
            )
        self._work(task)
        return {"TaskHandle": _handle(task, source)}

    def list(self, request: Document) -> Document:
        """The queue's latest tasks."""
        source = request["SourceArn"]
        _queue(source)
        limit = request.get("MaxResults", 1)
        if not 1 <= limit <= 10:
            raise _invalid(
                f"Value {limit} for parameter MaxResults is invalid. Reason: Must be between 1 and 10."
            )
        rows = self._store.read(
            "SELECT task, destination, per_second, status, started, to_move, moved, failure FROM sqs_moves"
            " WHERE source = ? ORDER BY started DESC, rowid DESC LIMIT ?",
            (source, limit),
        )
        return {"Results": [_described(source, *row) for row in rows]}

    def cancel(self, request: Document) -> Document:
        """Stop a task; what was moved stays moved."""
        task = _task(request["TaskHandle"])
        with self._store.write() as connection:
            found = connection.execute(
                "UPDATE sqs_moves SET status = 'CANCELLED'"
                " WHERE task = ? AND status = 'RUNNING' RETURNING moved",
                (task,),
            ).fetchall()
        if not found:
            raise SQSException("ResourceNotFoundException", "No running task has this handle.")
        return {"ApproximateNumberOfMessagesMoved": found[0][0]}

    def _work(self, task: str) -> None:
        threading.Thread(target=self._run, args=(task,), name="sqs-redrive", daemon=True).start()

    def _run(self, task: str) -> None:
        query = "SELECT source, destination, per_second FROM sqs_moves WHERE task = ?"
        source, destination, per_second = self._store.read(query, (task,))[0]
        bite = per_second or _BITE
        while not self._stopping.is_set():
            targets: set[str] = set()
            with self._store.write() as connection:
                going = self._bite(connection, task, source, destination, bite, targets)
            for arn in targets:
                self._messages.announce(arn)
            if not going:
                return
            if per_second:
                self._stopping.wait(1)

    def _bite(
        self,
        connection: sqlite3.Connection,
        task: str,
        source: str,
        destination: str | None,
        count: int,
        targets: set[str],
    ) -> bool:
        """Move up to ``count`` messages; whether the task goes on."""
        query = "SELECT to_move - moved FROM sqs_moves WHERE task = ? AND status = 'RUNNING'"
        row = connection.execute(query, (task,)).fetchone()
        if row is None:  # cancelled, or emptied with the rest
            return False
        left = row[0]
        moved, failure = 0, None
        sent_back = self._messages.send_back(connection, source, destination, min(count, left), _checked)
        try:
            for arn in sent_back:
                targets.add(arn)
                moved += 1
        except ServiceException as error:
            failure = error.code
        done = failure is not None or moved < count or moved == left
        outcome = "FAILED" if failure else "COMPLETED" if done else "RUNNING"
        connection.execute(
            "UPDATE sqs_moves SET moved = moved + ?, status = ?, failure = ? WHERE task = ?",
            (moved, outcome, failure, task),
        )
        return not done


def _action(run: Callable[[Document], Document]) -> Action:
    def answer(_: Mapping[str, Any], body: bytes) -> Answer:
        try:
            return 200, _HEADERS, json.dumps(run(json.loads(body))).encode()
        except ServiceException as error:
            headers = {**_HEADERS, "x-amzn-query-error": f"{error.code};Sender"}
            document = {"__type": f"com.amazonaws.sqs#{error.code}", "message": error.message}
            return 400, headers, json.dumps(document).encode()

    return answer


def _backend(arn: str) -> Backend:
    found = _ARN.match(arn)
    if found is None:
        raise _invalid(f"Value {arn} is not the ARN of a queue.")
    backend = models.sqs_backends[found.group(2)][found.group(1)]
    assert isinstance(backend, Backend)  # ``install`` has moto make no others
    return backend


def _queue(arn: str) -> Any:
    try:
        return _backend(arn).get_queue(arn.rpartition(":")[2])
    except QueueDoesNotExist:
        raise SQSException(
            "ResourceNotFoundException", f"The resource that you specified for {arn} doesn't exist."
        ) from None


def _checked(arn: str | None) -> str:
    """The queue to send to. Raises SQSException when it isn't known, or isn't there."""
    if arn is None:
        raise SQSException("CouldNotDetermineMessageSource", "The message came from no queue.")
    _backend(arn).get_queue(arn.rpartition(":")[2])
    return arn


def _invalid(words: str) -> SQSException:
    return SQSException("InvalidParameterValue", words)


def _handle(task: str, source: str) -> str:
    return base64.b64encode(json.dumps({"taskId": task, "sourceArn": source}).encode()).decode()


def _task(handle: str) -> str:
    try:
        return str(json.loads(base64.b64decode(handle))["taskId"])
    except (ValueError, KeyError, TypeError):
        raise _invalid("Value for parameter TaskHandle is invalid.") from None


def _described(
    source: str,
    task: str,
    destination: str | None,
    per_second: int | None,
    status: str,
    started: int,
    to_move: int,
    moved: int,
    failure: str | None,
) -> Document:
    described = {
        "TaskHandle": _handle(task, source) if status == "RUNNING" else None,
        "Status": status,
        "SourceArn": source,
        "DestinationArn": destination,
        "MaxNumberOfMessagesPerSecond": per_second,
        "ApproximateNumberOfMessagesMoved": moved,
        "ApproximateNumberOfMessagesToMove": to_move,
        "FailureReason": failure,
        "StartedTimestamp": started,
    }
    return {name: value for name, value in described.items() if value is not None}
