"""Deletions as the queue tells them: a stream's record, or where in a stream the records are.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_Record.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-dynamodb.html
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from privacy_assets.archive.paths import Path, number, path_of
from privacy_assets.estate import Table

TTL_PRINCIPAL = "dynamodb.amazonaws.com"
OWN_IDENTITY = "privacy-assets"
BUCKETS = 256
_STREAM = re.compile(
    r"arn:[\w-]+:dynamodb:[\w-]+:\d{12}:table/(?P<table>[\w.-]+)/stream/[\w:.-]+\Z", re.ASCII
)
_NUMBER = re.compile(r"[0-9]{1,40}\Z")
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetShardIterator.html
_SHARD = re.compile(r"[!-~]{28,65}\Z")
_SEQUENCE = re.compile(r"[0-9]{21,40}\Z")
_END_OF_TIME = 1e18
_MOST_BYTES = 1 << 31


class MalformedRecord(ValueError):  # noqa: N818  # what it is called in the dead letters
    """A message that is no deletion of a governed table: what it is, what was expected, no value of it."""


class Cause(StrEnum):
    """Who or what deleted a record: a user or program, its time to live, an erasure that a subject asked for,
    or a restore that was told to overwrite it.
    """

    USER = "user"
    TTL = "ttl"
    DSAR = "dsar"
    OVERWRITE = "overwrite"


@dataclass(frozen=True)
class Deletion:
    """One record that was deleted.

    ``sequence`` tells two deletions of one key apart; ``body`` is the stream's record as it came; ``item``
    and ``keys`` are compact DynamoDB JSON; ``size`` is DynamoDB's, in bytes.
    """

    noun: str
    path: Path
    keys: str
    partition_key: str
    sort_key: str | None
    subject: str | None
    deleted_at: datetime
    cause: Cause
    sequence: str
    size: int
    item: str
    body: str

    @property
    def day(self) -> date:
        """The day of the deletion, in UTC."""
        return self.deleted_at.date()

    @property
    def id(self) -> str:
        """The same for the same record, however often and from wherever it comes; no other record's."""
        return f"{self.sequence}-{hashlib.sha256(self.path.encode()).hexdigest()[:24]}"


@dataclass(frozen=True)
class Pointer:
    """Records that a pipe could not pass on: they are in the stream, for 24 hours."""

    noun: str
    stream_arn: str
    shard: str
    first: str
    last: str


def bucket_of(path: str) -> int:
    """A number below 256 that spreads paths evenly: a restore goes through its records by it."""
    return hashlib.sha256(path.encode()).digest()[0]


def parse(body: str, tables: Mapping[str, Table]) -> Deletion | Pointer:
    """What a message says; ``tables`` are the governed ones by their names in DynamoDB.

    Raises MalformedRecord.
    """
    try:
        record = json.loads(body)
    except (ValueError, RecursionError):
        raise MalformedRecord("no JSON, expected a record of a DynamoDB stream") from None
    if not isinstance(record, dict):
        raise MalformedRecord("no JSON object, expected a record of a DynamoDB stream")
    if "DDBStreamBatchInfo" in record:
        return _pointer(record["DDBStreamBatchInfo"], tables)
    try:
        return deletion(record, body, tables)
    except RecursionError:
        raise MalformedRecord("an OldImage too deep, expected 32 levels at most") from None


def deletion(record: Mapping[str, Any], body: str, tables: Mapping[str, Table]) -> Deletion:
    """The deletion that a stream's record tells of. Raises MalformedRecord."""
    if record.get("eventName") != "REMOVE":
        raise MalformedRecord("another eventName, expected REMOVE")
    table = _table(record.get("eventSourceARN"), "eventSourceARN", tables)
    told = record.get("dynamodb")
    if not isinstance(told, dict):
        raise MalformedRecord("no dynamodb, expected the stream's record")
    sequence = told.get("SequenceNumber")
    if not isinstance(sequence, str) or not _NUMBER.match(sequence):
        raise MalformedRecord("no SequenceNumber, expected its digits")
    item = told.get("OldImage")
    if not isinstance(item, dict) or not item:
        raise MalformedRecord("no OldImage, expected a stream of NEW_AND_OLD_IMAGES")
    keys = _keys(told.get("Keys"), item, table)
    try:
        path = path_of(table.name, keys)
        texts = [_text(value) for value in keys.values()]
    except (ValueError, KeyError):
        raise MalformedRecord("Keys that are none, expected S, N or B") from None
    shown = compact(item)
    try:
        shown.encode()
    except UnicodeEncodeError:
        raise MalformedRecord("half a character in OldImage, expected Unicode") from None
    size = told.get("SizeBytes")
    return Deletion(
        noun=table.name,
        path=path,
        keys=compact(keys),
        partition_key=texts[0],
        sort_key=texts[1] if len(texts) == 2 else None,
        subject=subject_of(item, table),
        deleted_at=_moment(told.get("ApproximateCreationDateTime")),
        cause=_cause(record.get("userIdentity")),
        sequence=sequence,
        size=size if isinstance(size, int) and 0 < size < _MOST_BYTES else len(body.encode()),
        item=shown,
        body=body,
    )


def compact(value: Any) -> str:
    """JSON without spaces, the letters of all scripts as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def by_table_name(tables: Mapping[str, Table]) -> dict[str, Table]:
    """The estate's tables by their names in DynamoDB; ``tables`` are by noun."""
    return {table.table: table for table in tables.values()}


def _pointer(info: Any, tables: Mapping[str, Table]) -> Pointer:
    if not isinstance(info, dict):
        raise MalformedRecord("DDBStreamBatchInfo that is none, expected shard and sequence numbers")
    table = _table(info.get("streamArn"), "streamArn", tables)
    shard, first, last = (info.get(name) for name in ("shardId", "startSequenceNumber", "endSequenceNumber"))
    if not (
        isinstance(shard, str)
        and _SHARD.match(shard)
        and all(isinstance(each, str) and _SEQUENCE.match(each) for each in (first, last))
        and int(str(first)) <= int(str(last))
    ):
        raise MalformedRecord("DDBStreamBatchInfo that is none, expected shard and sequence numbers")
    return Pointer(table.name, info["streamArn"], shard, str(first), str(last))


def _table(arn: Any, field: str, tables: Mapping[str, Table]) -> Table:
    match = _STREAM.match(arn) if isinstance(arn, str) else None
    if match is None:
        raise MalformedRecord(f"no {field}, expected a DynamoDB stream's ARN")
    table = tables.get(match["table"])
    if table is None:
        raise MalformedRecord("a table that is not governed, expected one of estate.yaml")
    return table


def _keys(found: Any, item: Mapping[str, Any], table: Table) -> dict[str, dict[str, str]]:
    if not isinstance(found, dict) or set(found) != set(table.keys):
        raise MalformedRecord(f"other Keys, expected {', '.join(table.keys)}")
    keys = {name: found[name] for name in table.keys}
    if any(
        not isinstance(value, dict) or len(value) != 1 or item.get(name) != value
        for name, value in keys.items()
    ):
        raise MalformedRecord("Keys that are not the OldImage's, expected the same")
    return keys


def _text(value: Mapping[str, str]) -> str:
    """A key's value as a person asks for it: text, a number in its shortest form, binary in base64."""
    ((kind, content),) = value.items()
    return number(content) if kind == "N" else content


def subject_of(item: Mapping[str, Any], table: Table) -> str | None:
    """Whom an item is about, by its table's subject key; None when it names nobody."""
    value = item.get(table.subject_key) if table.subject_key else None
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("S"), str):
        return str(value["S"])
    return number(value["N"]) if isinstance(value.get("N"), str) else None


def _moment(seconds: Any) -> datetime:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < _END_OF_TIME:
        raise MalformedRecord("no ApproximateCreationDateTime, expected seconds since 1970")
    try:
        # Seconds from a stream of DynamoDB; tables may be set to tell milliseconds or microseconds.
        while seconds > 1e11:
            seconds /= 1000
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        raise MalformedRecord("no ApproximateCreationDateTime, expected seconds since 1970") from None


def _cause(identity: Any) -> Cause:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html"""
    if isinstance(identity, dict):
        names = {str(name).lower(): value for name, value in identity.items()}
        if names.get("type") == "Service" and names.get("principalid") == TTL_PRINCIPAL:
            return Cause.TTL
        if names.get("type") == OWN_IDENTITY:
            return Cause.OVERWRITE
    return Cause.USER
