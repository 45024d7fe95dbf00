"""A queue that is worked off, and the one for what can't be understood."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from resources import clients

_BATCH = 10  # SQS takes no more messages a call


@dataclass(frozen=True)
class Message:
    """A received message.  It comes again once its visibility timeout is over, unless deleted.

    ``reason`` is why it is among the dead letters, where it was asked for and given.
    """

    id: str
    body: str
    receipt: str
    receives: int
    reason: str | None = None
    sent: datetime | None = None


class QueueResource(dg.ConfigurableResource[Any]):
    """A queue and its dead letter queue, by name."""

    queue: str
    dead_letters: str

    @property
    def _client(self) -> Any:
        return clients.client("sqs")

    def _url(self, name: str) -> str:
        return str(self._client.get_queue_url(QueueName=name)["QueueUrl"])

    def receive(self, limit: int = _BATCH) -> list[Message]:
        """Up to ten messages, without waiting for any."""
        answer = self._client.receive_message(
            QueueUrl=self._url(self.queue),
            MaxNumberOfMessages=min(limit, _BATCH),
            WaitTimeSeconds=0,
            MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
        )
        return [
            Message(
                item["MessageId"],
                item["Body"],
                item["ReceiptHandle"],
                int(item["Attributes"]["ApproximateReceiveCount"]),
                sent=datetime.fromtimestamp(int(item["Attributes"]["SentTimestamp"]) / 1000, UTC),
            )
            for item in answer.get("Messages", ())
        ]

    def delete(self, messages: Sequence[Message]) -> None:
        """Delete what is done.  A message that could not be deleted comes again, which is harmless."""
        for start in range(0, len(messages), _BATCH):
            entries = [
                {"Id": str(number), "ReceiptHandle": message.receipt}
                for number, message in enumerate(messages[start : start + _BATCH])
            ]
            self._client.delete_message_batch(QueueUrl=self._url(self.queue), Entries=entries)

    def postpone(self, messages: Sequence[Message], seconds: int) -> None:
        """Have the messages come again in ``seconds`` (at most 43,200)."""
        for start in range(0, len(messages), _BATCH):
            entries = [
                {"Id": str(number), "ReceiptHandle": message.receipt, "VisibilityTimeout": seconds}
                for number, message in enumerate(messages[start : start + _BATCH])
            ]
            self._client.change_message_visibility_batch(QueueUrl=self._url(self.queue), Entries=entries)

    def send(self, body: str) -> None:
        """Put a message into the queue."""
        self._client.send_message(QueueUrl=self._url(self.queue), MessageBody=body)

    def report(self, entries: Sequence[tuple[str, str]]) -> None:
        """Put what failed by itself, without a message, among the dead letters: (body, reason) each."""
        for start in range(0, len(entries), _BATCH):
            self._client.send_message_batch(
                QueueUrl=self._url(self.dead_letters),
                Entries=[
                    {
                        "Id": str(number),
                        "MessageBody": body,
                        "MessageAttributes": {"reason": {"DataType": "String", "StringValue": reason}},
                    }
                    for number, (body, reason) in enumerate(entries[start : start + _BATCH])
                ],
            )

    def dead_letter(self, message: Message, reason: str) -> None:
        """Move a message to the dead letters, ``reason`` beside it: sent there first, then deleted here."""
        self._client.send_message(
            QueueUrl=self._url(self.dead_letters),
            MessageBody=message.body,
            MessageAttributes={"reason": {"DataType": "String", "StringValue": reason}},
        )
        self.delete([message])
