"""Which export is a day's: find it, start it once, never pay twice.

DynamoDB remembers a client token for eight hours only, so before an export is started the table's exports are
looked through for one of the same instant and place.  A FAILED one is tried again with the token of the next
attempt, and its reason is kept.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Generic, NewType, Protocol, TypeVar

SnapshotDate = NewType("SnapshotDate", date)
"""The day whose end a snapshot shows."""


class Export(Protocol):
    """What is known of an export."""

    @property
    def arn(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def failure(self) -> str | None: ...


E = TypeVar("E", bound=Export)


class Exports(Protocol[E]):
    """Where exports are found and started."""

    def table_arn(self, table: str) -> str: ...
    def find(self, table_arn: str, export_time: datetime, prefix: str) -> list[E]: ...
    def start(self, table_arn: str, export_time: datetime, prefix: str, token: str) -> E: ...


@dataclass(frozen=True)
class Started(Generic[E]):
    """A day's export: the how manieth attempt it is, whether it was there before, why earlier ones failed."""

    export: E
    attempt: int
    reused: bool
    failures: tuple[str, ...]


def export_instant(day: date) -> datetime:
    """The end of ``day`` in UTC, which is the first instant of the next."""
    return datetime.combine(day + timedelta(days=1), time(), UTC)


def export_prefix(noun: str, day: date) -> str:
    """The key prefix that a day's export is written under."""
    return f"exports/{noun}/snapshot_date={day.isoformat()}"


def client_token(table_arn: str, instant: datetime, bucket: str, prefix: str, attempt: int) -> str:
    """The token of an attempt: the same for the same export, so that a repeated call starts nothing."""
    text = "\0".join((table_arn, instant.isoformat(), bucket, prefix))
    return f"{hashlib.sha256(text.encode()).hexdigest()[:40]}-{attempt}"


def best(found: Sequence[E]) -> E | None:
    """Of the exports of one instant the one to read: a completed one, else one in progress."""
    for status in ("COMPLETED", "IN_PROGRESS"):
        for export in found:
            if export.status == status:
                return export
    return None


def find_or_start(exports: Exports[E], table: str, bucket: str, noun: str, day: date) -> Started[E]:
    """The export of ``table`` as of the end of ``day``, started unless it is there.

    Raises what ``exports`` raises when DynamoDB refuses.
    """
    arn, instant, prefix = exports.table_arn(table), export_instant(day), export_prefix(noun, day)
    found = exports.find(arn, instant, prefix)
    failures = tuple(f"{export.arn}: {export.failure}" for export in found if export.status == "FAILED")
    there = best(found)
    if there is not None:
        return Started(there, len(failures) + 1, reused=True, failures=failures)
    attempt = len(failures) + 1
    token = client_token(arn, instant, bucket, prefix, attempt)
    return Started(exports.start(arn, instant, prefix, token), attempt, reused=False, failures=failures)
