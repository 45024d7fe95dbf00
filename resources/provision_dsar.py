"""What data subject requests stand on: their part of ``resources.provision``, declared alike."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from resources import settings
from resources.dsar_jobs import OPEN_INDEX

if TYPE_CHECKING:
    from resources.provision import Place, Resource

ANSWERS, WORK = "dsar", "work"
"""Prefixes of the bucket: answers, and what a request needs while it is worked on."""
_WORK_DAYS = 120
"""What is worked on is deleted when it is done; this is what is left should that never come."""


@dataclass(frozen=True)
class DsarNames:
    """What the resources of requests are called."""

    jobs: str
    bucket: str
    key: str
    queue: str
    dead_letters: str
    topic: str
    days_kept: int = 30

    @classmethod
    def from_settings(cls) -> "DsarNames":
        """The names that the environment's settings give."""
        return cls(
            jobs=settings.DSAR_JOBS_TABLE.value(),
            bucket=settings.DSAR_BUCKET.value(),
            key=settings.DSAR_KEY.value(),
            queue=settings.DSAR_QUEUE.value(),
            dead_letters=settings.DSAR_DEAD_LETTER_QUEUE.value(),
            topic=settings.DSAR_TOPIC_ARN.value().rpartition(":")[2],
            days_kept=round(settings.DSAR_BUNDLE_DAYS.number()),
        )


def shapes(names: DsarNames, place: "Place") -> "list[Resource]":
    """Everything that must exist, in the order in which it is created."""
    from resources.provision import Resource

    queue = {"days kept": 14, "encrypted": True, "seconds hidden": 30}
    requests = {
        **queue,
        # A message stays until its run exists, which may take its turn behind many others.
        "dead letters": {"queue": place.arn("sqs", names.dead_letters), "receives": 1000},
    }
    return [
        Resource("key", names.key, {"state": "Enabled", "rotated": True}),
        Resource(
            "archive bucket",
            names.bucket,
            {
                "versioning": "Enabled",
                "public access": "blocked",
                "encryption": ["aws:kms", place.arn("kms", names.key)],
                "lifecycle": {
                    ANSWERS: {"colder": [], "days kept": names.days_kept},
                    WORK: {"colder": [], "days kept": _WORK_DAYS},
                },
            },
        ),
        Resource("queue", names.dead_letters, queue),
        Resource("queue", names.queue, requests),
        Resource("topic", names.topic, {}),
        Resource(
            "table",
            names.jobs,
            {
                "keys": [["job_id", "S"]],
                "billing": "PAY_PER_REQUEST",
                "point-in-time recovery": "ENABLED",
                "indexes": {OPEN_INDEX: ["open", "due"]},
            },
        ),
    ]
