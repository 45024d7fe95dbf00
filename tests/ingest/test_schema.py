"""What is an event and what is none, and that nobody is told what was in it."""

import tracemalloc
from datetime import timedelta
from typing import Any

import jsonschema_rs
import pyarrow as pa
import pytest

from privacy_assets.estate import load_estate
from privacy_assets.governed import path_of
from privacy_assets.ingest.schema import COLUMNS, FIELDS, MOST, PARTITION_BY, SCHEMA, problems
from resources import settings
from tests.ingest.events import NOW, event


def nested(levels: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(levels):
        found = {"a": found}
    return found


def pointers(wrong: object) -> list[str]:
    return [problem.pointer for problem in problems(wrong, NOW)]


def test_the_schema_is_one_and_its_examples_are_events() -> None:
    jsonschema_rs.meta.validate(dict(SCHEMA))
    for example in SCHEMA["examples"]:
        assert not problems(example, NOW)
    for field in FIELDS:
        for example in field.json.get("examples", ()):
            assert not problems(event(**{field.name: example}), NOW), field.name


def test_every_field_is_a_column_and_says_what_it_is() -> None:
    assert [field.name for field in FIELDS] == list(SCHEMA["properties"])
    assert set(SCHEMA["properties"]) <= set(COLUMNS.names)
    assert set(PARTITION_BY) <= set(COLUMNS.names)
    assert all(column.metadata[b"doc"] for column in COLUMNS)
    assert all(SCHEMA["properties"][field.name]["description"] for field in FIELDS)
    kinds = {"string": pa.string(), "boolean": pa.bool_(), "integer": pa.int32()}
    for field in FIELDS:
        if field.name != "extra" and field.json.get("format") is None and "type" in field.json:
            assert kinds.get(field.json["type"], pa.list_(pa.string())) == field.column


def test_an_event_has_the_fields_of_the_governed_privacy_logs() -> None:
    logs = load_estate(path_of(settings.ESTATE)).by_name["privacy_logs"]
    ours = {field.name for field in FIELDS} - {"event_id", "extra"}
    assert ours == set(logs.columns) - {"log_id"}


@pytest.mark.parametrize(
    "fields",
    [
        {"event_time": "2026-01-31T10:30:00.123456789+01:00"},
        {"event_time": "2026-01-31t09:30:00z"},
        {"event_time": (NOW + timedelta(minutes=5)).isoformat()},
        {"event_time": "1970-01-01T00:00:00Z"},
        {"subject_age": 34.0},
        {"message": ""},
        {"data_categories": []},
        {"extra": {"größe": "groß", "n": 10**40, "deep": nested(90)}},
    ],
)
def test_at_the_boundary_it_is_an_event(fields: dict[str, Any]) -> None:
    assert not problems(event(**fields), NOW)


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"event_id": ""}, "/event_id"),
        ({"event_id": "x" * 129}, "/event_id"),
        ({"event_id": "planted value"}, "/event_id"),
        ({"subject_id": " "}, "/subject_id"),
        ({"subject_id": None}, "/subject_id"),
        ({"subject_id": 4711}, "/subject_id"),
        ({"event_time": "2026-01-31"}, "/event_time"),
        ({"event_time": "2026-01-31T09:30:00"}, "/event_time"),
        ({"event_time": "2016-12-31T23:59:60Z"}, "/event_time"),
        ({"event_time": "0001-01-01T00:00:00+23:00"}, "/event_time"),
        ({"event_time": "1969-12-31T23:59:59Z"}, "/event_time"),
        ({"event_time": (NOW + timedelta(minutes=5, seconds=1)).isoformat()}, "/event_time"),
        ({"event_type": "planted"}, "/event_type"),
        ({"jurisdiction": "Germany"}, "/jurisdiction"),
        ({"data_categories": ["contact", "contact"]}, "/data_categories"),
        ({"data_categories": ["contact", 7]}, "/data_categories/1"),
        ({"special_category": 1}, "/special_category"),
        ({"subject_age": 151}, "/subject_age"),
        ({"subject_age": 10**30}, "/subject_age"),
        ({"retention_until": "for ever"}, "/retention_until"),
        ({"message": "x" * 8193}, "/message"),
        ({"extra": []}, "/extra"),
        ({"extra": {"a": float("nan")}}, "/extra"),
        ({"extra": {"a": "\ud800"}}, "/extra"),
        ({"extra": nested(5000)}, "/extra"),
        ({"extra": {"a": "x" * 65_536}}, "/extra"),
        ({"consent/given~": True}, "/consent~1given~0"),
        ({"planted" * 20: True}, ""),
        ({"subject_id": "\ud800"}, ""),
    ],
)
def test_beyond_it_the_field_is_named_and_no_value(fields: dict[str, Any], where: str) -> None:
    found = problems(event(**fields), NOW)
    assert [problem.pointer for problem in found] == [where]
    assert found[0].detail
    assert "planted" not in str(found)


def test_all_that_is_wrong_is_told_at_once() -> None:
    assert set(pointers({"event_type": "x", "mail": 1})) == {
        "/subject_id",
        "/event_time",
        "/event_type",
        "/mail",
    }
    for nothing in ([], "event", None, 7):
        assert pointers(nothing) == [""]


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"data_categories": [7] * 500_000}, {"/data_categories"}),
        ({"data_categories": [7] * 64}, {f"/data_categories/{number}" for number in range(MOST)}),
        ({"subject_id": [7] * 500_000}, {"/subject_id"}),
        ({f"f{number}": 7 for number in range(200_000)}, {f"/f{number}" for number in range(MOST)}),
        ({"event_type": "x", "extra": {"a": [7] * 500_000}}, {"/event_type"}),
    ],
)
def test_of_much_that_is_wrong_a_part_is_told(fields: dict[str, Any], where: set[str]) -> None:
    assert set(pointers(event(**fields))) == where


def test_no_copy_of_an_event_is_made_to_say_what_is_wrong() -> None:
    """Each error of the validator's own list holds a copy of what it is about."""
    large = {"data_categories": [7] * 500_000, "mail": 1}
    tracemalloc.start()
    try:
        assert set(pointers(large)) >= {"/subject_id", "/data_categories", "/mail"}
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
