"""Parts and known rows merged: nothing twice, nothing lost, the same however often it is done."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from privacy_assets.scan import commit
from privacy_assets.scan.commit import Results, merge_objects, results
from privacy_assets.scan.tables import FINDING_COLUMNS, OBJECT_COLUMNS
from privacy_assets.scan.work import FINDING_PART, OBJECT_PART

NOW = datetime(2026, 1, 31, tzinfo=UTC)
BEFORE = NOW - timedelta(days=1)
DETECTORS = ("ssn", "email")


def finding(key: str, offset: int, take: str = "", **others: Any) -> dict[str, Any]:
    return {
        "bucket": "b", "key": key, "member": "", "etag": "1", "detector": "ssn", "detector_version": 1,
        "byte_offset": offset, "length": 11, "line": 1, "column_name": None, "row_number": None,
        "masked_match": "XXX", "context": "XXX", "severity": "high", "confidence": "high",
        "first_seen": NOW, "last_seen": NOW, "closed_at": None, "status": "open", "allowed_because": None,
        "job_id": "j", "take": take, **others,
    }  # fmt: skip


def item(key: str, take: str, **others: Any) -> dict[str, Any]:
    return {
        "bucket": "b", "key": key, "etag": "1", "size": 1, "modified": NOW, "storage_class": "STANDARD",
        "state": "findings", "why": "", "detail": "", "findings": 0, "text_bytes": 1, "members": 1,
        "rules": "r", "scanned_at": NOW, "job_id": "j", "take": take, "only": "", **others,
    }  # fmt: skip


def parts(objects: list[dict[str, Any]], findings: list[dict[str, Any]]) -> Results:
    """Parts of one row each; an object says as many findings as there are of its take."""
    takes = [row["take"] for row in findings]
    return results(
        [
            pa.Table.from_pylist([{**row, "findings": takes.count(row["take"])}], OBJECT_PART)
            for row in objects
        ],
        lambda: [pa.Table.from_pylist([row], FINDING_PART) for row in findings],
    )


def merge_findings(known: pa.Table, *others: Any) -> pa.Table:
    """All pieces together; what is known comes a row at a time."""
    pieces = [known.slice(number, 1) for number in range(known.num_rows)]
    merged = list(commit.merge_findings(lambda: pieces, *others))
    return pa.concat_tables([FINDING_COLUMNS.empty_table(), *merged])


def offsets(found: Results) -> list[int]:
    return sorted(offset for part in found.findings() for offset in part["byte_offset"].to_pylist())


def stored(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(
        [{k: v for k, v in row.items() if k != "take"} for row in rows], FINDING_COLUMNS
    )


def told(table: pa.Table) -> list[tuple[Any, ...]]:
    names = ("key", "byte_offset", "status", "first_seen")
    return sorted(zip(*(table[name].to_pylist() for name in names), strict=True), key=str)


def test_findings_of_a_reading_that_broke_off_are_nobodys() -> None:
    found = parts([item("a", "t2")], [finding("a", 1, "t1"), finding("a", 2, "t2"), finding("z", 3, "t3")])
    assert offsets(found) == [2]
    merged = merge_findings(FINDING_COLUMNS.empty_table(), found, (), DETECTORS, NOW)
    assert merged["byte_offset"].to_pylist() == [2]


def test_an_object_read_twice_counts_as_it_was_read_last() -> None:
    found = parts(
        [item("a", "old", scanned_at=BEFORE), item("a", "new"), item("b", "other")],
        [finding("a", 1, "old"), finding("a", 2, "new"), finding("b", 3, "other")],
    )
    assert sorted(found.objects["take"].to_pylist()) == ["new", "other"]
    assert offsets(found) == [2, 3]


def test_merging_again_changes_nothing() -> None:
    new = parts([item("a", "t")], [finding("a", 1, "t"), finding("a", 1, "t"), finding("a", 2, "t")])
    known = stored(finding("a", 1, first_seen=BEFORE), finding("a", 9, first_seen=BEFORE))
    once = merge_findings(known, new, (), DETECTORS, NOW)
    assert told(once) == [("a", 1, "open", BEFORE), ("a", 2, "open", NOW), ("a", 9, "gone", BEFORE)]
    again = merge_findings(once, new, (), DETECTORS, NOW + timedelta(hours=1))
    assert told(again) == told(once)
    (closed,) = (row for row in again.to_pylist() if row["status"] == "gone")
    assert closed["closed_at"] == NOW


def test_columns_and_members_tell_findings_apart() -> None:
    rows = [
        finding("a", 1, "t", column_name="x"),
        finding("a", 1, "t", column_name="y"),
        finding("a", 1, "t", member="m"),
        finding("a", 1, "t"),
    ]
    merged = merge_findings(FINDING_COLUMNS.empty_table(), parts([item("a", "t")], rows), (), DETECTORS, NOW)
    assert merged.num_rows == 4


def test_what_was_not_read_keeps_its_findings_unless_it_was_replaced() -> None:
    known = stored(finding("same", 1), finding("replaced", 1), finding("partly", 1), finding("other", 1))
    new = parts(
        [
            item("same", "t1", state="failed", why="access denied"),
            item("replaced", "t2", state="failed", etag="2"),
            item("partly", "t3", state="partly read", why="broken"),
        ],
        [],
    )
    status = {key: state for key, _, state, _ in told(merge_findings(known, new, (), DETECTORS, NOW))}
    assert status == {"same": "open", "replaced": "gone", "partly": "open", "other": "open"}


def test_a_scan_for_one_detector_closes_that_ones_alone() -> None:
    known = stored(finding("a", 1), finding("a", 2, detector="email"), finding("a", 3, detector="dropped"))
    new = parts([item("a", "t", only="ssn", findings=0, state="clean")], [])
    merged = merge_findings(known, new, (), DETECTORS, NOW)
    assert [row[1:3] for row in told(merged)] == [(1, "gone"), (2, "open"), (3, "gone")]
    objects = merge_objects(OBJECT_COLUMNS.empty_table(), new, (), merged)
    assert objects.to_pylist()[0]["findings"] == 1
    assert objects.to_pylist()[0]["state"] == "findings"


def test_deleted_objects_go_and_their_findings_close() -> None:
    new = parts([], [])
    merged = merge_findings(stored(finding("a", 1), finding("b", 1)), new, ["a"], DETECTORS, NOW)
    assert [row[:3] for row in told(merged)] == [("a", 1, "gone"), ("b", 1, "open")]
    known = pa.Table.from_pylist([item("a", ""), item("b", "")], OBJECT_PART).select(OBJECT_COLUMNS.names)
    assert merge_objects(known, new, ["a"], merged)["key"].to_pylist() == ["b"]


def test_an_object_whose_findings_are_not_all_there_is_not_done() -> None:
    row = item("a", "t", findings=2)
    found = results(
        [pa.Table.from_pylist([row, item("b", "u")], OBJECT_PART)],
        lambda: [pa.Table.from_pylist([finding("a", 1, "t")], FINDING_PART)],
    )
    assert found.objects["key"].to_pylist() == ["b"]
    assert offsets(found) == []
