"""What must be read, given what is listed and what is known; and how it is dealt into shards."""

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_assets.scan.plan import KNOWN, LISTING, WORK, Rules, chosen, listing, plan, shards
from resources.buckets import BucketObject

RULES = Rules({"ssn": 1, "email": 3}, allow="a1")
NOW = datetime(2026, 1, 31, tzinfo=UTC)


def listed(*objects: tuple[str, str]) -> pa.Table:
    return listing([[BucketObject(key, 10, etag, NOW) for key, etag in objects]])


def known(*rows: tuple[str, str, str, int, str]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(KNOWN.names, row, strict=True)) for row in rows], KNOWN)


def work(found: pa.Table) -> list[tuple[str, str]]:
    return sorted(zip(found["key"].to_pylist(), found["only"].to_pylist(), strict=True))


def test_new_changed_and_failed_objects_are_read() -> None:
    made = plan(
        listed(("new", "1"), ("same", "1"), ("changed", "2"), ("failed", "1")),
        known(
            ("same", "1", "clean", 0, RULES.text),
            ("changed", "1", "clean", 0, RULES.text),
            ("failed", "1", "failed", 0, RULES.text),
            ("deleted", "1", "findings", 3, RULES.text),
        ),
        RULES,
    )
    assert work(made.work) == [("changed", ""), ("failed", ""), ("new", "")]
    assert (made.listed, made.unchanged, made.gone) == (4, 1, ["deleted"])


@pytest.mark.parametrize(
    ("old", "findings", "expected"),
    [
        (Rules({"ssn": 1, "email": 2}, "a1"), 0, "email"),
        (Rules({"ssn": 1}, "a1"), 0, "email"),
        (Rules({"ssn": 1, "email": 3, "iban": 1}, "a1"), 5, None),  # a detector less is nothing to read for
        (Rules({"ssn": 0, "email": 2}, "a1"), 0, ""),
        (Rules({"ssn": 1, "email": 3}, "a0"), 0, None),  # nothing was found, so nothing can be allowed
        (Rules({"ssn": 1, "email": 3}, "a0"), 1, ""),
        (Rules({"ssn": 1, "email": 3}, "a1", reading=0), 0, ""),
    ],
)
def test_other_rules_read_for_what_they_changed(old: Rules, findings: int, expected: str | None) -> None:
    made = plan(listed(("a", "1")), known(("a", "1", "findings", findings, old.text)), RULES)
    assert work(made.work) == ([] if expected is None else [("a", expected)])


def test_rules_are_read_as_they_were_written() -> None:
    for rules in (RULES, Rules({}), Rules({"own": 7}, "", 2)):
        assert Rules.parse(rules.text) == rules


@pytest.mark.parametrize(
    ("prefix", "include", "exclude", "expected"),
    [
        ("", (), (), ["a/b.log", "a/c/d.log", "a.tmp", "x[1].log"]),
        ("a/", (), (), ["a/b.log", "a/c/d.log"]),
        ("", ("*.log",), (), ["a/b.log", "a/c/d.log", "x[1].log"]),
        ("", (), ("a/*",), ["a.tmp", "x[1].log"]),
        ("", ("?.tmp", "x[[]*"), (), ["a.tmp"]),
        ("", ("x[1].log",), (), ["x[1].log"]),
    ],
)
def test_a_part_of_a_bucket_can_be_asked_for(
    prefix: str, include: tuple[str, ...], exclude: tuple[str, ...], expected: list[str]
) -> None:
    everything = listed(*((key, "1") for key in ("a/b.log", "a/c/d.log", "a.tmp", "x[1].log")))
    assert chosen(everything, prefix, include, exclude)["key"].to_pylist() == expected


@settings(deadline=None, max_examples=40)  # a busy machine is no defect
@given(st.lists(st.integers(0, 10**9), max_size=200), st.integers(10**6, 10**9))
def test_shards_hold_every_object_once_and_are_balanced(sizes: list[int], size: int) -> None:
    rows: list[dict[str, Any]] = [
        {"key": f"{n:04}", "size": s, "etag": "e", "modified": NOW, "storage_class": "STANDARD", "only": ""}
        for n, s in enumerate(sizes)
    ]
    dealt = shards(pa.Table.from_pylist(rows, WORK), size)
    keys = [key for shard in dealt for key in shard["key"].to_pylist()]
    assert sorted(keys) == [row["key"] for row in rows]
    assert all(shard["key"].to_pylist() == sorted(shard["key"].to_pylist()) for shard in dealt)
    filled = [sum(shard["size"].to_pylist()) for shard in dealt]
    if filled:  # none has more than another by more than its largest object
        assert max(filled) - min(filled) <= max(sizes) + 200 * 128 * 1024


def test_an_empty_bucket_is_no_work() -> None:
    made = plan(LISTING.empty_table(), known(("a", "1", "clean", 0, RULES.text)), RULES)
    assert shards(made.work) == []
    assert made.gone == ["a"]
