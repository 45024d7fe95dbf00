"""The queue of deletions that pipes fill, its dead letters, and the dead letters of the pipes.

A thousand deletions a second are two hundred calls, from many threads: they go through ``resources.signed``.
"""

import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from resources import clients
from resources.signed import Caller
from resources.sqs import Message

_BATCH = 10  # SQS takes no more messages a call
_SHARED: dict[str, Caller] = {}
_lock = threading.Lock()
REASON = "reason"


class DeletionQueueResource(dg.ConfigurableResource[Any]):
    """The three queues, by name."""

    queue: str
    dead_letters: str
    pipe_dead_letters: str

    def receive(self, wait: int = 1) -> list[Message]:
        """Up to ten deletions; waits ``wait`` seconds for the first."""
        return _receive(self.queue, wait)

    def receive_from_pipe(self) -> list[Message]:
        """Up to ten dead letters of the pipes, without waiting for any."""
        return _receive(self.pipe_dead_letters, 0)

    def delete(self, messages: Sequence[Message], *, from_pipe: bool = False) -> None:
        """Delete up to ten messages that are done. One that could not be deleted comes again, harmlessly."""
        _delete(self.pipe_dead_letters if from_pipe else self.queue, messages)

    def dead_letter(self, message: Message, reason: str, *, from_pipe: bool = False) -> None:
        """Move a message to the dead letters, ``reason`` beside it: sent there first, then deleted here."""
        _send(self.dead_letters, message.body, reason)
        self.delete([message], from_pipe=from_pipe)

    def redrive(self) -> Iterator[str]:
        """Send all dead letters that wait now back to the queue; gives the reason that each had."""
        waiting = self.depths()[self.dead_letters]
        while waiting > 0:
            messages = _receive(self.dead_letters, 1, reasons=True)
            if not messages:
                return
            for message in messages:
                body, reason = message.body, message.reason or "none"
                _send(self.queue, body, None)
                _delete(self.dead_letters, [message])
                waiting -= 1
                yield reason

    def reasons(self, limit: int = 10) -> list[str]:
        """Why some of the dead letters are there. They are shown again at once."""
        messages = _receive(self.dead_letters, 0, reasons=True, visibility=0)
        return sorted({message.reason or "none" for message in messages[:limit]})

    def depths(self, *, in_flight: bool = True) -> dict[str, int]:
        """How many messages each queue holds, by the queue's name; approximately."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"][: 1 + in_flight]
        found = {}
        for queue in (self.queue, self.dead_letters, self.pipe_dead_letters):
            request = {"QueueUrl": _url(queue), "AttributeNames": names}
            attributes = _sqs().json("GetQueueAttributes", request)["Attributes"]
            found[queue] = sum(int(attributes[name]) for name in names)
        return found

    def oldest(self) -> dict[str, timedelta]:
        """How old the oldest message of each queue is, by the queue's name, as CloudWatch has measured it
        within the last ten minutes; a queue that it has not measured is not named.

        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
        """
        cloudwatch, now = clients.client("cloudwatch"), datetime.now(UTC)
        found = {}
        for queue in (self.queue, self.dead_letters, self.pipe_dead_letters):
            points = cloudwatch.get_metric_statistics(
                Namespace="AWS/SQS",
                MetricName="ApproximateAgeOfOldestMessage",
                Dimensions=[{"Name": "QueueName", "Value": queue}],
                StartTime=now - timedelta(minutes=10),
                EndTime=now + timedelta(minutes=1),
                Period=60,
                Statistics=["Maximum"],
            )["Datapoints"]
            if points:
                latest = max(points, key=lambda point: point["Timestamp"])
                found[queue] = timedelta(seconds=latest["Maximum"])
        return found


_urls: dict[tuple[str, str], str] = {}


def _url(queue: str) -> str:
    client = clients.client("sqs")
    key = (client.meta.endpoint_url, queue)
    if key not in _urls:
        _urls[key] = client.get_queue_url(QueueName=queue)["QueueUrl"]
    return _urls[key]


def _receive(queue: str, wait: int, *, reasons: bool = False, visibility: int | None = None) -> list[Message]:
    request: dict[str, Any] = {
        "QueueUrl": _url(queue),
        "MaxNumberOfMessages": _BATCH,
        "WaitTimeSeconds": wait,
        "MessageSystemAttributeNames": ["ApproximateReceiveCount"],
    }
    if reasons:
        request["MessageAttributeNames"] = [REASON]
    if visibility is not None:
        request["VisibilityTimeout"] = visibility
    answer = _sqs().json("ReceiveMessage", request)
    return [
        Message(
            item["MessageId"],
            item["Body"],
            item["ReceiptHandle"],
            int(item.get("Attributes", {}).get("ApproximateReceiveCount", 1)),
            item.get("MessageAttributes", {}).get(REASON, {}).get("StringValue"),
        )
        for item in answer.get("Messages") or ()
    ]


def _delete(queue: str, messages: Sequence[Message]) -> None:
    for start in range(0, len(messages), _BATCH):
        entries = [
            {"Id": str(number), "ReceiptHandle": message.receipt}
            for number, message in enumerate(messages[start : start + _BATCH])
        ]
        _sqs().json("DeleteMessageBatch", {"QueueUrl": _url(queue), "Entries": entries})


def _send(queue: str, body: str, reason: str | None) -> None:
    request: dict[str, Any] = {"QueueUrl": _url(queue), "MessageBody": body}
    if reason is not None:
        request["MessageAttributes"] = {REASON: {"DataType": "String", "StringValue": reason}}
    _sqs().json("SendMessage", request)


def _sqs() -> Caller:
    """One caller, whose connections all resources of the process share."""
    with _lock:
        return _SHARED.setdefault("sqs", Caller("sqs"))
