"""What audits found is kept once, whole, however often and wherever a run dies."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pytest

from privacy_assets.audit.definition import Audit, Severity
from privacy_assets.audit.results import (
    REASON_LIMIT,
    RESULTS,
    RUNS,
    RUNS_SCHEMA,
    TEXT_LIMIT,
    Finding,
    Source,
    Unread,
    disagreements,
    masked,
    read_runs,
    record,
)
from resources.iceberg import IcebergResource

DAY = date(2026, 1, 31)
SOURCE = Source("privacy_logs", "e1", datetime(2026, 2, 1, tzinfo=UTC), 1000)
ROWS = pa.schema([("subject", pa.string()), ("row_key", pa.string()), ("reason", pa.string())])


@dataclass(frozen=True)
class Query:
    """A query as Athena tells of it."""

    query_id: str = "q1"
    bytes_scanned: int = 1234
    output_location: str | None = "s3://lake/q1.csv"
    milliseconds: int = 900
    dollars: float = 0.00005


@pytest.fixture
def store(aws: str, unique: str) -> IcebergResource:
    boto3.client("s3").create_bucket(Bucket=f"lake-{unique}")
    boto3.client("glue").create_database(DatabaseInput={"Name": unique})
    return IcebergResource(database=unique, bucket=f"lake-{unique}")


def finding(
    audit_id: str, *keys: str | None, rows: Callable[[], Iterable[pa.RecordBatch]] | None = None
) -> Finding:
    audit = Audit(
        id=audit_id,
        title="A title",
        severity=Severity.CRITICAL,
        regulation="GDPR Art. 5",
        threshold=1,
        owner="team:privacy",
        description="What it is about.",
        sql="SELECT 1",
        path=Path(f"{audit_id}.sql"),
        sha256="a" * 64,
        tables=("privacy_logs",),
    )
    batch = pa.RecordBatch.from_pylist(
        [{"subject": f"subject-of-{key}", "row_key": key, "reason": f"{key} broke it"} for key in keys],
        schema=ROWS,
    )
    return Finding(audit, (SOURCE,), Query(), datetime(2026, 2, 1, 1, tzinfo=UTC), rows or (lambda: [batch]))


def kept(store: IcebergResource) -> list[tuple[Any, ...]]:
    rows = store.read(RESULTS).to_pylist()
    return sorted((row["audit_id"], row["snapshot_date"].isoformat(), row["row_key"] or "") for row in rows)


def test_every_violating_row_is_kept_with_its_audit_day_and_export(store: IcebergResource) -> None:
    [run] = record(store, DAY, [finding("a.one", "log-2", None)])
    assert store.read(RESULTS).to_pylist() == [
        {
            "audit_id": "a.one",
            "snapshot_date": DAY,
            "export_id": "e1",
            "subject": "subject-of-log-2",
            "row_key": "log-2",
            "reason": "log-2 broke it",
            "severity": "critical",
        },
        {
            "audit_id": "a.one",
            "snapshot_date": DAY,
            "export_id": "e1",
            "subject": "subject-of-None",
            "row_key": None,
            "reason": "None broke it",
            "severity": "critical",
        },
    ]
    assert (run.violations, run.passed) == (2, False)
    assert read_runs(store, [DAY]) == [run]


def test_a_second_run_leaves_what_the_first_left(store: IcebergResource) -> None:
    def twice() -> list[Finding]:
        return [finding("a.one", "1", "2"), finding("a.two")]

    first = record(store, DAY, twice())
    before = kept(store)
    assert record(store, DAY, twice()) == first
    assert kept(store) == before
    assert read_runs(store, [DAY]) == first


def test_a_rule_that_holds_again_leaves_no_row(store: IcebergResource) -> None:
    record(store, DAY, [finding("a.one", "1", "2"), finding("a.two", "3")])
    record(store, DAY - timedelta(days=1), [finding("a.one", "0")])
    [run] = record(store, DAY, [finding("a.one")])
    assert kept(store) == [("a.one", "2026-01-30", "0"), ("a.two", "2026-01-31", "3")]
    assert (run.violations, run.sample) == (0, ())
    runs = read_runs(store, [DAY, DAY - timedelta(days=1)])
    assert [(each.snapshot_date.day, each.audit_id, each.violations) for each in runs] == [
        (30, "a.one", 1),
        (31, "a.one", 0),
        (31, "a.two", 1),
    ]


def test_a_run_killed_before_its_commit_leaves_the_old_findings(store: IcebergResource) -> None:
    old = record(store, DAY, [finding("a.one", "1"), finding("a.two", "2")])

    def killed() -> Iterator[pa.RecordBatch]:
        yield from finding("a.two", "8", "9").rows()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record(store, DAY, [finding("a.one"), finding("a.two", rows=killed)])
    assert kept(store) == [("a.one", "2026-01-31", "1"), ("a.two", "2026-01-31", "2")]
    assert read_runs(store, [DAY]) == old
    assert disagreements(store, DAY, old) == []


def test_a_run_killed_between_its_commits_is_told(
    store: IcebergResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(store, DAY, [finding("a.one", "1"), finding("a.two", "2")])
    replace = IcebergResource.replace

    def dies_at_runs(self: IcebergResource, name: str, *rest: Any) -> int:
        if name == RUNS:
            raise KeyboardInterrupt
        return replace(self, name, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(IcebergResource, "replace", dies_at_runs)
        with pytest.raises(KeyboardInterrupt):
            record(store, DAY, [finding("a.one"), finding("a.two", "3")])
    assert disagreements(store, DAY, read_runs(store, [DAY])) == ["a.one"]
    record(store, DAY, [finding("a.one"), finding("a.two", "3")])
    assert disagreements(store, DAY, read_runs(store, [DAY])) == []


def test_the_sample_is_masked_and_the_same_however_the_rows_come() -> None:
    keys = [f"log-{number:08d}" for number in range(100)]
    whole, parts = finding("a.one", *keys), finding("a.one")
    parts.rows = lambda: [batch for key in reversed(keys) for batch in finding("a.one", key).rows()]
    assert sum(batch.num_rows for batch in whole.batches(DAY)) == 100
    assert sum(batch.num_rows for batch in parts.batches(DAY)) == 100
    assert whole.run(DAY) == parts.run(DAY)
    sample = whole.run(DAY).sample
    assert len(sample) == 20
    assert sample[7].row_key == "lo••••07"
    assert sample[7].subject == "su••••07"
    assert sample[7].reason == "lo••••07 broke it"
    assert not any(key in str(row) for row in sample for key in keys)


def test_rows_are_counted_anew_when_they_are_read_again() -> None:
    found = finding("a.one", "1", "2")
    for _ in range(2):
        list(found.batches(DAY))
    assert found.run(DAY).violations == 2


def test_columns_of_other_types_are_kept_as_text(store: IcebergResource) -> None:
    batch = pa.RecordBatch.from_pylist(
        [{"extra": 1.5, "reason": "late", "row_key": 42, "subject": None}],
        schema=pa.schema(
            [
                ("extra", pa.float64()),
                ("reason", pa.string()),
                ("row_key", pa.int64()),
                ("subject", pa.null()),
            ]
        ),
    )
    record(store, DAY, [finding("a.one", rows=lambda: [batch])])
    [row] = store.read(RESULTS, ["subject", "row_key"]).to_pylist()
    assert row == {"subject": None, "row_key": "42"}


def test_audits_of_one_day_recorded_at_once_are_all_kept(store: IcebergResource) -> None:
    audits = ["a.one", "a.two", "a.three"]
    record(store, DAY, [finding(audit_id, "old") for audit_id in audits])
    with ThreadPoolExecutor(len(audits)) as pool:
        list(pool.map(lambda audit_id: record(store, DAY, [finding(audit_id, "1", "2")]), audits))
    runs = read_runs(store, [DAY])
    assert [(run.audit_id, run.violations) for run in runs] == [(each, 2) for each in sorted(audits)]
    assert disagreements(store, DAY, runs) == []


def test_nothing_found_by_nobody_writes_nothing(store: IcebergResource) -> None:
    assert record(store, DAY, []) == []
    assert read_runs(store, [DAY]) == []


def test_long_texts_are_cut(store: IcebergResource) -> None:
    long = "x" * 390_000
    rows = pa.RecordBatch.from_pylist(
        [{"subject": long, "row_key": f"log {long}", "reason": f"of {long}"}, dict.fromkeys(ROWS.names)],
        schema=ROWS,
    )
    [run] = record(store, DAY, [finding("a.one", rows=lambda: [rows])])
    kept = store.read(RESULTS, ["subject", "row_key", "reason"]).to_pylist()
    assert {name: len(value) for name, value in kept[0].items()} == dict.fromkeys(ROWS.names, TEXT_LIMIT)
    assert kept[0]["reason"] == "of " + "x" * (TEXT_LIMIT - 4) + "…"
    assert set(kept[1].values()) == {None}
    assert max(len(row.reason) for row in run.sample) <= REASON_LIMIT
    assert "xxxxx" not in run.sample[0].reason
    assert masked(None, None, "word " * 1000).reason == ("word " * 100)[:-1] + "…"


def test_runs_recorded_before_unread_values_were_counted_are_read(store: IcebergResource) -> None:
    older = pa.schema([each for each in RUNS_SCHEMA if each.name != "unread"])
    store.ensure(RUNS, older, ["snapshot_date"])
    record(store, DAY, [finding("a.one", "1")])
    [read] = read_runs(store, [DAY])
    assert (read.unread, read.unread_values) == ((), 0)


def test_what_is_read_back_is_what_was_found(store: IcebergResource) -> None:
    found = finding("a.one", "log-00000001", "log-00000002", "log-00000003")
    found.unread = (Unread("privacy_logs", "age", 1), Unread("privacy_logs", "message", 2))
    [run] = record(store, DAY, [found])
    assert [each.column for each in run.unread] == ["message", "age"], "the largest number first"
    [read] = read_runs(store, [DAY])
    assert read == run
    assert read.sources == (SOURCE,)
    assert read.sources[0].export_time.tzinfo is not None
    assert read.severity is Severity.CRITICAL
