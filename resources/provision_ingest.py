"""What the ingestion of events stands on: its part of ``resources.provision``, declared alike."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from resources import settings
from resources.provision_archive import age_alarm

if TYPE_CHECKING:
    from resources.provision import Place, Resource


@dataclass(frozen=True)
class IngestNames:
    """What the queues of events are called; ``topic`` hears of what waits ``alert_seconds``."""

    queue: str
    dead_letters: str
    topic: str
    alert_seconds: float = 3600.0

    @classmethod
    def from_settings(cls) -> "IngestNames":
        """The names that the environment's settings give."""
        return cls(
            queue=settings.EVENT_QUEUE.value(),
            dead_letters=settings.EVENT_DEAD_LETTER_QUEUE.value(),
            topic=settings.ALERT_TOPIC_ARN.value().rpartition(":")[2],
            alert_seconds=settings.EVENT_ALERT_SECONDS.number(),
        )


def shapes(names: IngestNames, place: "Place") -> "list[Resource]":
    """Everything that must exist, in the order in which it is created."""
    from resources.provision import Resource

    queue = {"days kept": 14, "encrypted": True, "message bytes": 1 << 20}
    events = {
        **queue,
        # A run holds a bite of messages while it writes them; while Iceberg is away they come again.
        "seconds hidden": 300,
        "dead letters": {"queue": place.arn("sqs", names.dead_letters), "receives": 1000},
    }
    age = age_alarm(names.queue, names.alert_seconds, place.arn("sns", names.topic))
    return [
        Resource("queue", names.dead_letters, {**queue, "seconds hidden": 30}),
        Resource("queue", names.queue, events),
        Resource("alarm", f"{names.queue}-age", age),
    ]
