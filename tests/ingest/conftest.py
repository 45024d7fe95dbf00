"""A house that takes events in, and the drainer between its queue and its table."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from privacy_assets.ingest.draining import Drained, Drainer
from privacy_assets.ingest.messages import accept, pack
from privacy_assets.ingest.names import EVENTS
from resources.busy_queue import BusyQueueResource
from resources.iceberg import IcebergResource
from resources.queue_sender import QueueSender
from tests.house import House, client


class Ingest:
    """What a test does with a house that takes events in."""

    def __init__(self, house: House) -> None:
        names = house.names.ingest
        assert names is not None
        self.house, self.names = house, names
        self.queue = BusyQueueResource(queue=names.queue, dead_letters=names.dead_letters)
        self.sender = QueueSender(names.queue)
        self.iceberg = IcebergResource(database=house.names.database, bucket=house.names.bucket)
        self.sqs = client("sqs")
        self.hide(2)  # what a killed run held is there again soon, so that no test waits for a timeout

    def hide(self, seconds: int) -> None:
        """Have the queue hide a message that was received for so long."""
        attributes = {"VisibilityTimeout": str(seconds)}
        self.sqs.set_queue_attributes(QueueUrl=self.url(self.names.queue), Attributes=attributes)

    def url(self, queue: str) -> str:
        return str(self.sqs.get_queue_url(QueueName=queue)["QueueUrl"])

    def send(
        self, *events: Mapping[str, Any], now: datetime | None = None, client: str | None = None
    ) -> None:
        """Accept events and send them in as few messages as they fit in."""
        moment = now or datetime.now(UTC)
        self.sender.send(pack([accept(event, moment, client) for event in events]))

    def drain(self, **overrides: Any) -> Drained:
        parts: dict[str, Any] = {"queue": self.queue, "store": self.iceberg, "wait": 0}
        return Drainer(**{**parts, **overrides}).drain()

    def rows(self) -> list[dict[str, Any]]:
        """All rows, as Athena tells them."""
        return self.house.rows("SELECT * FROM events ORDER BY event_time, event_id")

    def ids(self) -> list[str]:
        return [row["event_id"] for row in self.rows()]

    def files(self) -> dict[tuple[Any, ...], int]:
        found = self.iceberg.files(EVENTS, ["event_date", "event_hour"])
        return {key: files for key, (files, _) in sorted(found.items())}

    def letters(self) -> list[tuple[str, str]]:
        """Bodies and reasons of the dead letters."""
        found: list[tuple[str, str]] = []
        url = self.url(self.names.dead_letters)
        while messages := self._receive(url):
            found += [
                (each["Body"], each.get("MessageAttributes", {}).get("reason", {}).get("StringValue", ""))
                for each in messages
            ]
        return sorted(found)

    def _receive(self, url: str) -> Sequence[Any]:
        answer = self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], VisibilityTimeout=20
        )
        return list(answer.get("Messages", ()))

    def waiting(self) -> int:
        return self.queue.depths()[self.names.queue]


@pytest.fixture
def ingest(aws: str, unique: str, tmp_path: Path) -> Ingest:
    return Ingest(House.build(aws, unique, tmp_path, nouns=("privacy_logs",), ingest=True))
