"""What is gone from a table between two snapshots, and whether the archive knows of it.

A capture that loses a deletion loses it silently: nothing is left that could tell. Two snapshots tell. A key
that yesterday's has and today's has not was deleted in between, so the archive must have a deletion of it,
unless its subject was erased: of whom the archive has nothing.
"""

from datetime import date, datetime, time, timedelta
from typing import Final

import pyarrow as pa

from privacy_assets.archive.archiving import Erasures
from privacy_assets.archive.paths import number
from privacy_assets.estate import ColumnType, Table

MISSED = "unarchived_deletions"
"""The Iceberg table of keys that vanished without an archived deletion."""
MISSED_SCHEMA = pa.schema(
    [
        ("snapshot_date", pa.date32()),
        ("table_name", pa.string()),
        ("partition_key", pa.string()),
        ("sort_key", pa.string()),
    ]
)
MISSED_PARTITION_BY = ("snapshot_date", "table_name")
CLOCKS: Final = timedelta(minutes=1)
"""What a stream's time of a deletion, in whole seconds, and the snapshot's instant may be apart."""


def missed_sql(table: Table, day: date) -> str:
    """Athena SQL for the keys that vanished during ``day`` and that ``archived_deletions`` doesn't know.

    Compares the snapshots of the day before and of the day. Columns: ``partition_key``, ``sort_key`` and
    ``subject`` as text.
    """
    names = [f'"{column}"' for column in table.key_columns]
    kinds = [table.columns[key].type for key in table.keys]
    keys = ", ".join(f"{name} AS key{number}" for number, name in enumerate(names))
    first, last = (f"DATE '{each.isoformat()}'" for each in (day - timedelta(days=1), day))
    start = datetime.combine(day, time())
    since, until = (_instant(each) for each in (start - CLOCKS, start + timedelta(days=1) + CLOCKS))
    archived = ", ".join(
        f"{_typed(column, kind)} AS key{number}"
        for number, (column, kind) in enumerate(zip(("partition_key", "sort_key"), kinds, strict=False))
    )
    texts = [_text(f"before.key{number}", kind) for number, kind in enumerate(kinds)]
    shown = [*texts, "CAST(NULL AS varchar)"][:2]
    subject = f'"{table.column_name(table.subject_key)}"' if table.subject_key else "CAST(NULL AS varchar)"
    return f"""
SELECT {shown[0]} AS partition_key, {shown[1]} AS sort_key, CAST(before.subject AS varchar) AS subject
FROM (SELECT {keys}, {subject} AS subject FROM "{table.name}" WHERE snapshot_date = {first}) AS before
LEFT JOIN (SELECT {keys} FROM "{table.name}" WHERE snapshot_date = {last}) AS after
    ON {_same("before", "after", len(names))}
LEFT JOIN (
    SELECT DISTINCT {archived} FROM archived_deletions
    WHERE table_name = '{table.name}'
        AND deleted_on BETWEEN date_add('day', -1, {last}) AND date_add('day', 1, {last})
        AND deleted_at >= {since} AND deleted_at < {until}
) AS archived ON {_same("before", "archived", len(names))}
WHERE before.key0 IS NOT NULL AND after.key0 IS NULL AND archived.key0 IS NULL
""".strip()  # noqa: S608  # names and days of the estate, no value of a user


def not_erased(batch: pa.RecordBatch, table: Table, erasures: Erasures) -> pa.RecordBatch:
    """The rows of such a query that no erasure explains."""
    subjects = [subject_in(table, value) for value in batch.column("subject").to_pylist()]
    erased = erasures.of({(table.name, subject) for subject in subjects if subject})
    return batch.filter(pa.array([(table.name, subject) not in erased for subject in subjects], pa.bool_()))


def subject_in(table: Table, value: str | None) -> str | None:
    """A subject as the archive names it, from its column's text."""
    assert table.subject_key is not None or value is None
    if value is None or table.subject_key is None:
        return None
    kind = table.columns[table.subject_key].type
    return number(value) if kind in (ColumnType.NUMBER, ColumnType.INTEGER) else value


def _same(one: str, other: str, keys: int) -> str:
    return " AND ".join(f"{one}.key{number} = {other}.key{number}" for number in range(keys))


def _instant(moment: datetime) -> str:
    return f"TIMESTAMP '{moment.isoformat(sep=' ')} UTC'"


def _typed(column: str, kind: ColumnType) -> str:
    """An archived key as the typed snapshot has it."""
    match kind:
        case ColumnType.NUMBER:
            return f"TRY_CAST({column} AS decimal(38, 9))"
        case ColumnType.INTEGER:
            return f"TRY_CAST({column} AS bigint)"
        case ColumnType.DOUBLE:
            return f"TRY_CAST({column} AS double)"
        case ColumnType.BINARY:
            return f"TRY(from_base64({column}))"
        case ColumnType.TIMESTAMP:
            return f"TRY(CAST(from_iso8601_timestamp({column}) AT TIME ZONE 'UTC' AS timestamp))"
        case ColumnType.DATE:
            return f"TRY_CAST({column} AS date)"
        case _:
            return column


def _text(key: str, kind: ColumnType) -> str:
    return f"to_base64({key})" if kind is ColumnType.BINARY else f"CAST({key} AS varchar)"
