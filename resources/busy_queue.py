"""A queue of hundreds of messages a second and its dead letters, worked off from many threads.

A thousand messages a second are two hundred calls: they go through ``resources.signed``.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from resources import clients
from resources.signed import caller
from resources.sqs import Message

_BATCH = 10  # SQS takes no more messages a call
_BATCH_BYTES = 1 << 20  # nor more bytes, in one message or in all of a call; attributes count
REASON = "reason"


class BusyQueueResource(dg.ConfigurableResource[Any]):
    """The two queues, by name."""

    queue: str
    dead_letters: str

    @property
    def _queues(self) -> tuple[str, ...]:
        return (self.queue, self.dead_letters)

    def receive(self, wait: int = 1) -> list[Message]:
        """Up to ten messages; waits ``wait`` seconds for the first."""
        return receive(self.queue, wait)

    def delete(self, messages: Sequence[Message]) -> None:
        """Delete messages that are done. One that could not be deleted comes again, harmlessly."""
        delete(self.queue, messages)

    def bury(self, body: str, reason: str) -> None:
        """Put a body among the dead letters, ``reason`` beside it, as much of it as there is room for."""
        _send(self.dead_letters, body, reason)

    def dead_letter(self, message: Message, reason: str) -> None:
        """Move a message to the dead letters: sent there first, then deleted here."""
        self.bury(message.body, reason)
        self.delete([message])

    def redrive(self) -> Iterator[str]:
        """Send all dead letters that wait now back to the queue; gives the reason that each had."""
        waiting = self.depths()[self.dead_letters]
        while waiting > 0:
            messages = receive(self.dead_letters, 1, reasons=True)
            if not messages:
                return
            for message in messages:
                body, reason = message.body, message.reason or "none"
                _send(self.queue, body, None)
                delete(self.dead_letters, [message])
                waiting -= 1
                yield reason

    def reasons(self, limit: int = 10) -> list[str]:
        """Why some of the dead letters are there. They are shown again at once."""
        messages = receive(self.dead_letters, 0, reasons=True, visibility=0)
        return sorted({message.reason or "none" for message in messages[:limit]})

    def depths(self, *, in_flight: bool = True) -> dict[str, int]:
        """How many messages each queue holds, by the queue's name; approximately."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"][: 1 + in_flight]
        found = {}
        for queue in self._queues:
            request = {"QueueUrl": _url(queue), "AttributeNames": names}
            attributes = caller("sqs").json("GetQueueAttributes", request)["Attributes"]
            found[queue] = sum(int(attributes[name]) for name in names)
        return found

    def oldest(self) -> dict[str, timedelta]:
        """How old the oldest message of each queue is, by the queue's name, as CloudWatch has measured it
        within the last ten minutes; a queue that it has not measured is not named.

        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
        """
        cloudwatch, now = clients.client("cloudwatch"), datetime.now(UTC)
        found = {}
        for queue in self._queues:
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


def receive(queue: str, wait: int, *, reasons: bool = False, visibility: int | None = None) -> list[Message]:
    """Up to ten messages of a queue, hidden for ``visibility`` seconds or as long as the queue says."""
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
    answer = caller("sqs").json("ReceiveMessage", request)
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


def delete(queue: str, messages: Sequence[Message]) -> None:
    """Delete messages of a queue."""
    for start in range(0, len(messages), _BATCH):
        entries = [
            {"Id": str(number), "ReceiptHandle": message.receipt}
            for number, message in enumerate(messages[start : start + _BATCH])
        ]
        caller("sqs").json("DeleteMessageBatch", {"QueueUrl": _url(queue), "Entries": entries})


def _send(queue: str, body: str, reason: str | None) -> None:
    request: dict[str, Any] = {"QueueUrl": _url(queue), "MessageBody": body}
    room = _BATCH_BYTES - len(body.encode()) - len(REASON) - len("String")
    reason = reason.encode()[:room].decode(errors="ignore") if reason and room > 0 else None
    if reason:
        request["MessageAttributes"] = {REASON: {"DataType": "String", "StringValue": reason}}
    caller("sqs").json("SendMessage", request)
