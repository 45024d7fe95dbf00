"""Exports on their way: which are awaited, which have arrived, and when to ask for one that was not heard of.

What is kept between two ticks of the sensor is one small JSON document.  It can be lost: started exports are
read from the record of materializations again, and each is asked for its state.
"""

import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date

from pydantic import BaseModel, ConfigDict, Field, ValidationError

_KEY = re.compile(
    r"^exports/(?P<noun>[a-z][a-z0-9_]*)/snapshot_date=(?P<day>\d{4}-\d{2}-\d{2})"
    r"/AWSDynamoDB/(?P<id>[0-9]+-[0-9a-f]+)/manifest-summary\.json$"
)
_LONGEST_PAUSE = 900.0


class MalformedEvent(ValueError):  # noqa: N818  # what it is called on the queue
    """A message says nothing we understand; one line: what, what was expected, never the message's text."""


@dataclass(frozen=True)
class Arrival:
    """An export has written its last file."""

    noun: str
    day: date
    export_id: str


def parse_event(
    body: str, bucket: str, nouns: Collection[str], is_partition: Callable[[date], bool]
) -> Arrival:
    """The arrival that an S3 event in EventBridge's form tells.  Raises MalformedEvent.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    """
    try:
        event = json.loads(body)
        detail_type, found_bucket = event["detail-type"], event["detail"]["bucket"]["name"]
        key = event["detail"]["object"]["key"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise MalformedEvent(
            "no S3 event of EventBridge, expected detail.bucket.name and detail.object.key"
        ) from None
    if detail_type != "Object Created":
        raise MalformedEvent("another detail-type, expected 'Object Created'")
    if found_bucket != bucket:
        raise MalformedEvent(f"another bucket, expected {bucket}")
    match = _KEY.match(key) if isinstance(key, str) else None
    if match is None:
        raise MalformedEvent(
            "another key, expected exports/<table>/snapshot_date=YYYY-MM-DD/AWSDynamoDB/<export id>/"
            "manifest-summary.json"
        )
    if match["noun"] not in nouns:
        raise MalformedEvent(f"a table that is not governed, expected one of {', '.join(sorted(nouns))}")
    try:
        day = date.fromisoformat(match["day"])
    except ValueError:
        raise MalformedEvent("no such day, expected snapshot_date=YYYY-MM-DD") from None
    if not is_partition(day):
        raise MalformedEvent("a day that has not ended or is before the estate's start, expected one between")
    return Arrival(match["noun"], day, match["id"])


class Awaited(BaseModel):
    """A started export of which nothing was heard; ``due`` is when to ask for it, in seconds since 1970."""

    model_config = ConfigDict(extra="forbid")

    noun: str
    day: date
    attempt: int
    due: float
    pause: float


class Arrivals(BaseModel):
    """What the sensor remembers.  ``read`` is the last materialization read of each table's
    export, ``awaited`` is by ARN, ``arrived`` has the export's id by day and table."""

    model_config = ConfigDict(extra="forbid")

    read: dict[str, int] = Field(default_factory=dict)
    awaited: dict[str, Awaited] = Field(default_factory=dict)
    arrived: dict[date, dict[str, str]] = Field(default_factory=dict)

    @classmethod
    def from_cursor(cls, cursor: str | None) -> "Arrivals":
        """What was kept; empty when there is nothing or it can't be read."""
        try:
            return cls.model_validate_json(cursor) if cursor else cls()
        except ValidationError:
            return cls()

    def to_cursor(self) -> str:
        """What to keep."""
        return self.model_dump_json()

    def expect(self, arn: str, noun: str, day: date, attempt: int, now: float, pause: float) -> None:
        """An export was started."""
        if arn not in self.awaited and _id(arn) != self.arrived.get(day, {}).get(noun):
            self.awaited[arn] = Awaited(noun=noun, day=day, attempt=attempt, due=now + pause, pause=pause)

    def arrive(self, arrival: Arrival) -> None:
        """An export is complete.  Ids begin with the time of their start; the newest counts."""
        ids = self.arrived.setdefault(arrival.day, {})
        ids[arrival.noun] = max(arrival.export_id, ids.get(arrival.noun, ""))
        self.awaited = {arn: one for arn, one in self.awaited.items() if _id(arn) != arrival.export_id}

    def due(self, now: float, limit: int) -> list[str]:
        """The ARNs of exports to ask for now, the longest due first; each is put off for twice as long."""
        ready = sorted((one.due, arn) for arn, one in self.awaited.items() if one.due <= now)
        arns = [arn for _, arn in ready[:limit]]
        for arn in arns:
            one = self.awaited[arn]
            one.pause = min(one.pause * 2, _LONGEST_PAUSE)
            one.due = now + one.pause
        return arns

    def complete_days(self, nouns: Collection[str]) -> list[date]:
        """The days of which every table's export has arrived, oldest first."""
        return sorted(day for day, ids in self.arrived.items() if set(nouns) <= set(ids))

    def forget(self, day: date) -> None:
        """The day is done."""
        self.arrived.pop(day, None)
        self.awaited = {arn: one for arn, one in self.awaited.items() if one.day != day}


def export_ids(ids: dict[str, str], nouns: Collection[str]) -> str:
    """The exports a run reads, as one tag: the same exports always give the same text."""
    return "+".join(ids[noun] for noun in sorted(nouns))


def _id(arn: str) -> str:
    return arn.rsplit("/", 1)[-1]
