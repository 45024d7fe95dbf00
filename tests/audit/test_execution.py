"""What an engine says of a failed query is told without values of the data."""

import time

import pytest

from privacy_assets.audit.execution import without_values

SQL = "SELECT nowhere FROM privacy_logs"


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (
            "COLUMN_NOT_FOUND: line 1:8: Column 'nowhere' cannot be resolved",
            "COLUMN_NOT_FOUND: line 1:8: Column 'nowhere' cannot be resolved",
        ),
        (
            "INVALID_CAST_ARGUMENT: Cannot cast 'Jane Doe of Berlin' to BIGINT",
            "INVALID_CAST_ARGUMENT: Cannot cast 'Ja••••in' to BIGINT",
        ),
        (
            "INVALID_CAST_ARGUMENT: Value cannot be cast to date: Jane Doe of Berlin",
            "INVALID_CAST_ARGUMENT: Value cannot be cast to date: ••••",
        ),
        ("TYPE_MISMATCH: line 1:8: 'Jane Doe of Berlin", "TYPE_MISMATCH: line 1:8: 'Ja••••in'"),
        ("CANCELLED", "CANCELLED"),
    ],
)
def test_reasons_are_told_without_values(reason: str, told: str) -> None:
    assert without_values(reason, SQL) == told


@pytest.mark.parametrize("piece", ["'", "x", '"', "'x"])
def test_a_reason_of_any_length_is_read_at_once(piece: str) -> None:
    started = time.perf_counter()
    told = without_values(f"FAILED: line 1:1: '{piece * 200_000}", SQL)
    assert time.perf_counter() - started < 2
    assert len(told) <= 1_000
