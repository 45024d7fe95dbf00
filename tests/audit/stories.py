"""Stories told to an audit: a subject's few events, one of which the audit must find, or must let pass.

A story's name begins with ``bad`` or ``ok``; the name is the log id of the event that is judged, so that a
failed comparison says which story was judged wrongly.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from privacy_assets.audit.definition import load_audits

AUDITS = {audit.id: audit for audit in load_audits(Path(__file__).parents[2] / "audits")}

DAY = date(2026, 3, 4)
"""The snapshot's date, a Wednesday; its export is taken as the day ends."""
AS_OF = datetime(2026, 3, 5, tzinfo=UTC)

T = "2026-03-03 12:00:00"
BEFORE, AFTER = "2026-03-03 11:59:59.999", "2026-03-03 12:00:00.001"
"""A usual instant, the millisecond before it and the one after it."""

SCHEMA = pa.schema(
    [
        ("log_id", pa.string()),
        ("subject_id", pa.string()),
        ("event_time", pa.timestamp("ms")),
        ("event_type", pa.string()),
        ("purpose", pa.string()),
        ("legal_basis", pa.string()),
        ("jurisdiction", pa.string()),
        ("recipient", pa.string()),
        ("recipient_country", pa.string()),
        ("safeguard", pa.string()),
        ("data_categories", pa.list_(pa.string())),
        ("special_category", pa.bool_()),
        ("subject_age", pa.int64()),
        ("retention_until", pa.timestamp("ms")),
        ("message", pa.string()),
    ]
)
Row = dict[str, Any]


@dataclass(frozen=True)
class Found:
    """A violating row, as an audit returned it."""

    subject: str | None
    row_key: str
    reason: str


def event(event_type: str | None, when: str | datetime | None = T, **fields: Any) -> Row:
    """An event in which nothing is wrong, but for what ``fields`` say. Times are UTC, as text or datetime."""
    row: Row = dict.fromkeys(SCHEMA.names)
    row |= {"event_type": event_type, "event_time": when, "jurisdiction": "DE", "special_category": False}
    kind = (event_type or "").strip().lower()
    if kind in ("processing", "consent_given", "consent_withdrawn"):
        row |= {"purpose": "newsletter"}
    if kind == "processing":
        row |= {"legal_basis": "contract", "data_categories": ["contact"]}
    if kind == "sale_or_share":
        row |= {"recipient": "Acme Ads", "recipient_country": "DE"}
    if kind == "disclosure":
        row |= {"recipient": "subject"}
    assert fields.keys() <= row.keys()
    row |= fields
    for name in ("event_time", "retention_until"):
        if isinstance(row[name], str):
            row[name] = datetime.fromisoformat(row[name])
    return row


def story(name: str, *events: Row, judged: int = -1) -> list[Row]:
    """The events of one subject, who is called like the story unless an event says otherwise."""
    assert name.startswith(("bad", "ok"))
    rows = []
    for n, row in enumerate(events):
        log_id = name if n == judged % len(events) else f"{name} / {n}"
        subject = f"S {name}" if row["subject_id"] is None else row["subject_id"]
        rows.append(row | {"log_id": row["log_id"] or log_id, "subject_id": subject})
    return rows


def told(*stories: list[Row]) -> list[Row]:
    """All stories as the rows of one table."""
    return [row for events in stories for row in events]


def days_before(days: int, hour: int = 12) -> datetime:
    """Noon, or that hour, of the day so many days before the snapshot's."""
    return datetime.combine(DAY, time(hour)) - timedelta(days=days)


def names(found: Iterable[Found]) -> list[str]:
    """The row keys, in order; a row that was found twice stands twice."""
    return sorted(one.row_key for one in found)


def expected(rows: Iterable[Row]) -> list[str]:
    """What has to be found: the judged events of the bad stories."""
    return sorted(
        {row["log_id"] for row in rows if row["log_id"].startswith("bad") and " / " not in row["log_id"]}
    )
