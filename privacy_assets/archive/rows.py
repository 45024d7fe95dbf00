"""``archived_deletions``: a row for each archived record, so that Athena answers who deleted what, and when.

    SELECT keys, subject FROM archived_deletions
    WHERE table_name = 'orders' AND deleted_on = DATE '2026-01-27' AND cause = 'ttl'

Deletion times tell the file apart that a row may be in; nothing else is in Iceberg's own statistics, which
would keep the first letters of subjects and keys outside of the rows.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from privacy_assets.archive import names
from privacy_assets.archive.records import Cause, Deletion, bucket_of

DELETIONS = names.DELETIONS_TABLE
PARTITION_BY = ("deleted_on", "table_name")
_INSTANT = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        ("table_name", pa.string()),
        ("deleted_on", pa.date32()),
        ("deleted_at", _INSTANT),
        ("cause", pa.string()),
        ("subject", pa.string()),
        ("partition_key", pa.string()),
        ("sort_key", pa.string()),
        ("keys", pa.string()),
        ("sequence_number", pa.string()),
        ("object_path", pa.string()),
        ("object_version", pa.string()),
        ("size", pa.int64()),
        ("item", pa.string()),
        ("record_id", pa.string()),
        ("path_bucket", pa.int32()),
        ("archived_at", _INSTANT),
    ]
)
PROPERTIES = {
    "write.metadata.metrics.default": "none",
    "write.metadata.metrics.column.deleted_at": "full",
}

Where = Mapping[str, Collection[Any]]
Between = Mapping[str, tuple[Any, Any]]


class RowStore(Protocol):
    """Iceberg tables, as far as the archive needs them."""

    def ensure(
        self,
        name: str,
        schema: pa.Schema,
        partition_by: Sequence[str],
        properties: Mapping[str, str] | None = None,
    ) -> None: ...
    def add(
        self, name: str, rows: pa.Table, *, identity: str, within: Sequence[str], span: str
    ) -> pa.Table: ...
    def batches(
        self,
        name: str,
        columns: Sequence[str] = (),
        where: Where | None = None,
        between: Between | None = None,
    ) -> Iterator[pa.RecordBatch]: ...
    def count(
        self, name: str, by: Sequence[str], where: Where | None = None
    ) -> dict[tuple[Any, ...], int]: ...
    def compact(self, name: str, where: Where) -> int: ...
    def remove(self, name: str, where: Where, between: Between | None = None) -> None: ...
    def vacuum(self, name: str, keep: timedelta) -> int: ...
    def replace(self, name: str, where: Where, batches: Callable[[], Iterable[pa.RecordBatch]]) -> int: ...


def ensure(store: RowStore) -> None:
    """Create the table where it is missing."""
    store.ensure(DELETIONS, SCHEMA, PARTITION_BY, PROPERTIES)


def table(kept: Sequence[tuple[Deletion, str, Cause]], now: datetime | None = None) -> pa.Table:
    """Rows of deletions, the version that each object has, and the cause."""
    moment = now or datetime.now(UTC)
    deletions = [deletion for deletion, _, _ in kept]
    return pa.table(
        {
            "table_name": [each.noun for each in deletions],
            "deleted_on": [each.day for each in deletions],
            "deleted_at": [each.deleted_at for each in deletions],
            "cause": [cause.value for _, _, cause in kept],
            "subject": [each.subject for each in deletions],
            "partition_key": [each.partition_key for each in deletions],
            "sort_key": [each.sort_key for each in deletions],
            "keys": [each.keys for each in deletions],
            "sequence_number": [each.sequence for each in deletions],
            "object_path": [each.path for each in deletions],
            "object_version": [version for _, version, _ in kept],
            "size": [each.size for each in deletions],
            "item": [each.item for each in deletions],
            "record_id": [each.id for each in deletions],
            "path_bucket": [bucket_of(each.path) for each in deletions],
            "archived_at": [moment] * len(kept),
        },
        schema=SCHEMA,
    )


@dataclass(frozen=True)
class Day:
    """A day's deletions: how many of each table and cause, and the latest of them as (time, table, partition
    key, sort key, cause, bytes).
    """

    counts: Mapping[tuple[str, str], int]
    latest: Sequence[tuple[datetime, str, str, str | None, str, int]]


def of_day(store: RowStore, day: date, latest: int) -> Day:
    """What the archive has of a day; memory is bounded by a file, not by the day's rows."""
    counts: Counter[tuple[str, str]] = Counter()
    newest: list[tuple[Any, ...]] = []
    columns = ("deleted_at", "table_name", "partition_key", "sort_key", "cause", "size")
    for batch in store.batches(DELETIONS, columns, {"deleted_on": [day]}):
        rows = pa.Table.from_batches([batch])
        grouped = rows.group_by(["table_name", "cause"]).aggregate([([], "count_all")])
        for noun, cause, number in zip(*(column.to_pylist() for column in grouped.columns), strict=True):
            counts[noun, cause] += number
        newer = rows.take(pc.select_k_unstable(rows, latest, [("deleted_at", "descending")]))
        newest += zip(*(column.to_pylist() for column in newer.columns), strict=True)
        newest = sorted(newest, key=lambda row: row[0], reverse=True)[:latest]
    return Day(counts, newest)


def days_between(first: date, last: date) -> list[date]:
    """All days from ``first`` to ``last``, both included."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]
