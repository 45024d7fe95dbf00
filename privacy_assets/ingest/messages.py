"""How accepted events travel: several in one message of the queue, each with when and by whom it was sent.

    {"version":1,"events":[{"accepted_at":"2026-01-31T09:30:01.250000Z","client":"shop","event":{…}}]}

A body is ASCII: the queue refuses some characters, and counts bytes.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
"""

import json
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from privacy_assets.ingest import schema

MESSAGE_BYTES = 1 << 20
"""SQS's limit for a message, and for the messages of one call together."""
_ENCODER = json.JSONEncoder(separators=(",", ":"))
_HEAD, _TAIL = '{"version":%d,"events":[', "]}"
_KEYS = {"accepted_at", "client", "event"}


class TooLarge(ValueError):  # noqa: N818  # what it is
    """An event that fits no message; ``position`` is its place in what was to be packed, from 0."""

    def __init__(self, position: int, size: int) -> None:
        super().__init__(f"{size:,} bytes, expected an event of at most {MESSAGE_BYTES:,} bytes in a message")
        self.position, self.size = position, size


class MalformedMessage(ValueError):  # noqa: N818  # what it is called in the dead letters
    """A message that holds no events: what was expected, and no value of it."""


@dataclass(frozen=True)
class Refused:
    """What stood in a message beside events and is none: a message of its own, and the reason."""

    body: str
    reason: str


@dataclass(frozen=True)
class Accepted:
    """An event that was checked; it has an ``event_id``."""

    event: Mapping[str, Any]
    accepted_at: datetime
    client: str | None = None
    version: int = schema.VERSION

    @property
    def event_id(self) -> str:
        return str(self.event["event_id"])


def accept(event: Mapping[str, Any], now: datetime, client: str | None = None) -> Accepted:
    """An event in which ``schema.problems`` found none, with an identity if it came without."""
    if "event_id" not in event:
        event = {"event_id": new_id(now), **event}
    return Accepted(event, now.astimezone(UTC), client)


def new_id(now: datetime) -> str:
    """A UUID of version 7: in the order of time, to the millisecond.

    https://www.rfc-editor.org/rfc/rfc9562#section-5.7
    """
    high, low = secrets.randbits(12), secrets.randbits(62)
    return str(uuid.UUID(int=int(now.timestamp() * 1000) << 80 | 7 << 76 | high << 64 | 2 << 62 | low))


def pack(events: Sequence[Accepted]) -> Sequence[str]:
    """Message bodies, in the events' order, as few as they fit in. Raises TooLarge, which names the limit."""
    bodies: list[str] = []
    head = _HEAD % schema.VERSION
    held: list[str] = []
    size = limit = len(head) + len(_TAIL)
    for position, each in enumerate(events):
        text = _ENCODER.encode(
            {
                "accepted_at": each.accepted_at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
                **({"client": each.client} if each.client is not None else {}),
                "event": each.event,
            }
        )
        if limit + len(text) > MESSAGE_BYTES:
            raise TooLarge(position, limit + len(text))
        if held and size + 1 + len(text) > MESSAGE_BYTES:
            bodies.append(head + ",".join(held) + _TAIL)
            held, size = [], limit
        size += len(text) + bool(held)
        held.append(text)
    if held:
        bodies.append(head + ",".join(held) + _TAIL)
    return bodies


def unpack(body: str) -> tuple[list[Accepted], list[Refused]]:
    """The events of a message, and what in it is none. Raises MalformedMessage for what is no message."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise MalformedMessage("no JSON, expected a message of events") from None
    if not isinstance(said, dict) or set(said) != {"version", "events"}:
        raise MalformedMessage("expected an object of version and events")
    version, events = said["version"], said["events"]
    if type(version) is not int or not 1 <= version <= schema.VERSION:
        raise MalformedMessage(f"version: expected 1 to {schema.VERSION}")
    if not isinstance(events, list) or not events:
        raise MalformedMessage("events: expected a list of at least one")
    good, refused = [], []
    for each in events:
        try:
            good.append(_read(each, version))
        except MalformedMessage as error:
            try:
                text = _ENCODER.encode(each)
            except RecursionError:
                raise MalformedMessage("nested too deep, expected a message of events") from None
            refused.append(Refused(_HEAD % version + text + _TAIL, str(error)))
    return good, refused


def _read(each: Any, version: int) -> Accepted:
    if not isinstance(each, dict) or not {"accepted_at", "event"} <= set(each) <= _KEYS:
        raise MalformedMessage("expected accepted_at, event and at most client besides")
    client = each.get("client")
    if client is not None and not (isinstance(client, str) and 0 < len(client) <= 256):
        raise MalformedMessage("/client: expected a text of 1 to 256 characters")
    try:
        accepted_at = schema.instant(each["accepted_at"])
    except (AttributeError, ValueError, TypeError, OverflowError):
        raise MalformedMessage("/accepted_at: expected a time as in RFC 3339") from None
    wrong = schema.problems(each["event"], accepted_at)
    if wrong:
        raise MalformedMessage(f"/event{wrong[0].pointer}: {wrong[0].detail}")
    if "event_id" not in each["event"]:
        raise MalformedMessage("/event/event_id: missing")
    return Accepted(each["event"], accepted_at, client, version)
