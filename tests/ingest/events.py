"""Events for tests."""

from datetime import UTC, datetime
from typing import Any

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def event(**fields: Any) -> dict[str, Any]:
    """An event with nothing wrong, of half past nine."""
    return {
        "subject_id": "subject-1",
        "event_time": "2026-01-31T09:30:00Z",
        "event_type": "processing",
        **fields,
    }
