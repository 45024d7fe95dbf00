"""``events``: a row for each event, so that Athena answers what happened, to whom, and what came late.

    SELECT event_type, count(*) FROM events WHERE event_date = DATE '2026-01-31' GROUP BY 1

Times of events tell the files apart that a row may be in; nothing else is in Iceberg's own statistics, which
would keep the first letters of subjects outside of the rows.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import pyarrow as pa

from privacy_assets.ingest import schema
from privacy_assets.ingest.messages import Accepted
from privacy_assets.ingest.names import EVENTS

PROPERTIES = {
    "write.parquet.compression-codec": "snappy",
    "write.metadata.metrics.default": "none",
    "write.metadata.metrics.column.event_time": "full",
}
FILES, SMALL = 8, 4 << 20
CHUNK_BYTES = 256 << 20
"""An hour that is over is put together when it is in files of less than 4 MiB on average, one that goes on
when these are more than eight; a file has up to 256 MiB of rows as they are in memory."""
KEEP = timedelta(hours=1)
"""For how long snapshots are kept that are no longer the table: no query of Athena's lasts longer than half
of it. They are forgotten once an hour."""


class RowStore(Protocol):
    """Iceberg tables, as far as events need them."""

    def ensure(
        self,
        name: str,
        schema: pa.Schema,
        partition_by: Sequence[str],
        properties: Mapping[str, str] | None = None,
    ) -> None: ...
    def add(self, name: str, rows: pa.Table, *, identity: str, within: Sequence[str]) -> pa.Table: ...
    def files(self, name: str, by: Sequence[str], where: Any) -> dict[tuple[Any, ...], tuple[int, int]]: ...
    def compact(self, name: str, where: Any, *, files: int, bytes_each: int, chunk_bytes: int) -> int: ...
    def vacuum(self, name: str, keep: timedelta, *, slack: timedelta) -> int: ...


def ensure(store: RowStore) -> None:
    """Create the table where it is missing, add columns that it lacks."""
    store.ensure(EVENTS, schema.COLUMNS, schema.PARTITION_BY, PROPERTIES)


def table(events: Sequence[Accepted], now: datetime) -> pa.Table:
    """Rows of events; ``now`` is when they are written."""
    columns: dict[str, list[Any]] = {
        field.name: [_value(each.event.get(field.name), field) for each in events] for field in schema.FIELDS
    }
    times: list[datetime] = columns["event_time"]
    columns |= {
        "schema_version": [each.version for each in events],
        "client": [each.client for each in events],
        "accepted_at": [each.accepted_at for each in events],
        "size": [len(schema.text_of(each.event).encode()) for each in events],
        "stored_at": [now] * len(events),
        "event_date": [time.date() for time in times],
        "event_hour": [time.hour for time in times],
    }
    return pa.table(columns, schema=schema.COLUMNS)


def _value(value: Any, field: schema.Field) -> Any:
    convert = _CONVERT.get(field.name)
    return value if convert is None or value is None else convert(value)


_CONVERT: dict[str, Callable[[Any], Any]] = {
    "event_time": schema.instant,
    "retention_until": schema.instant,
    "subject_age": int,  # JSON Schema's integers may be written 34.0
    "extra": schema.text_of,
}
