"""The typed snapshot of a day: right values, nothing lost, and a reader never sees half of it."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from privacy_assets.estate import Column, ColumnType
from privacy_assets.snapshot import assets
from resources.glue import GlueResource
from resources.s3 import LakeResource
from tests.house import House, at, days_ago, event, yesterday


def utc(*parts: int) -> datetime:
    """An instant as the catalog's timestamps have it: in UTC, without saying so."""
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)  # type: ignore[arg-type, misc]


EVERYTHING = ("visits_export", "visits_raw", "visits")


def metadata(result: dg.ExecuteInProcessResult, noun: str = "visits") -> dict[str, Any]:
    (materialization,) = result.asset_materializations_for_node(f"snapshot__{noun}")
    return {name: value.value for name, value in materialization.metadata.items()}


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {check.check_name: check for check in result.get_asset_check_evaluations()}


def read(house: House, columns: str = "*", day: date | None = None) -> list[dict[str, Any]]:
    parameter = f"DATE '{day or yesterday()}'"
    return house.rows(f"SELECT {columns} FROM visits WHERE snapshot_date = ? ORDER BY log_id", parameter)


def location(house: House) -> str:
    partition = house.glue.partition("visits", [yesterday().isoformat()])
    assert partition is not None
    return partition.location


def test_a_day_from_the_table_to_a_typed_snapshot(house: House) -> None:
    house.load(
        [
            event("a", event_time={"S": "2026-01-01T10:00:00+02:00"}, subject_age={"N": "41"}),
            event("b", subject="", message={"S": 'a "quoted"\nline, and ünïcode \u2028'}),
            event("c", message={"NULL": True}),
        ]
    )
    result = house.materialize(*EVERYTHING)
    assert {name: check.passed for name, check in checks(result).items()} == dict.fromkeys(
        (
            "data_files_intact",
            "crawl_agrees",
            "item_count",
            "keys_unique",
            "nothing_lost_in_typing",
            "schema_declared",
        ),
        True,
    )
    rows = read(house, "log_id, subject_id, event_time, subject_age, message")
    assert rows == [
        {
            "log_id": "a",
            "subject_id": "subject-1",
            "event_time": utc(2026, 1, 1, 8),
            "subject_age": 41,
            "message": None,
        },
        {
            "log_id": "b",
            "subject_id": "",
            "event_time": None,
            "subject_age": None,
            "message": 'a "quoted"\nline, and ünïcode \u2028',
        },
        {
            "log_id": "c",
            "subject_id": "subject-1",
            "event_time": None,
            "subject_age": None,
            "message": None,
        },
    ]
    said = metadata(result)
    raw = metadata(result, "visits_raw")
    assert said["dagster/row_count"] == raw["items"] == 3
    assert said["export_id"] == raw["export_id"]
    assert said["dagster/uri"] == location(house)
    assert said["dagster/uri"].startswith(
        f"s3://{house.names.bucket}/snapshots/visits/snapshot_date={yesterday()}/{said['export_id']}/{result.run_id}"
    )
    assert said["bytes_scanned"] > 0
    assert said["estimated_cost_usd"] > 0
    columns = {column.name: column for column in said["dagster/column_schema"].columns}
    assert columns["event_time"].type == "timestamp"
    assert columns["subject_id"].tags == {"personal_data/identifier": ""}
    partition = house.glue.partition("visits", [yesterday().isoformat()])
    assert partition is not None
    assert partition.parameters["export_id"] == said["export_id"]
    assert partition.parameters["item_count"] == "3"
    assert all(check.partition == yesterday().isoformat() for check in checks(result).values())


TYPES: dict[str, Any] = {
    "log_id": {"type": "string"},
    "subject_id": {"type": "string"},
    **{kind.value: {"type": kind.value, "column": f"c_{kind.value}"} for kind in ColumnType},
}


@pytest.fixture
def typed_house(aws: str, unique: str, tmp_path: Path) -> House:
    return House.build(aws, unique, tmp_path, columns=TYPES)


FITTING: list[tuple[str, dict[str, Any], Any]] = [
    ("string", {"S": ""}, ""),
    ("number", {"N": "-12.5"}, Decimal("-12.500000000")),
    (
        "number",
        {"N": "12345678901234567890123456789.123456789"},
        Decimal("12345678901234567890123456789.123456789"),
    ),
    ("integer", {"N": "9223372036854775807"}, 9223372036854775807),
    ("integer", {"N": "-1"}, -1),
    ("double", {"N": "1.5e3"}, 1500.0),
    ("boolean", {"BOOL": False}, False),
    ("boolean", {"BOOL": True}, True),
    ("timestamp", {"S": "2026-01-01T23:59:59.123Z"}, utc(2026, 1, 1, 23, 59, 59, 123000)),
    ("timestamp", {"S": "2026-01-01T00:00:00-05:00"}, utc(2026, 1, 1, 5)),
    ("timestamp", {"S": "2026-01-01"}, utc(2026, 1, 1)),
    ("timestamp", {"S": "2026-01-01 10:00:00"}, utc(2026, 1, 1, 10)),
    ("timestamp", {"S": "2026-01-01 10:00:00.250"}, utc(2026, 1, 1, 10, 0, 0, 250000)),
    ("timestamp", {"S": "2026-01-01 10:00:00.250987"}, utc(2026, 1, 1, 10, 0, 0, 250000)),
    ("timestamp", {"S": "2026-01-01 10:00:00+02:00"}, utc(2026, 1, 1, 8)),
    ("timestamp", {"S": "2026-01-01 10:00:00.5 UTC"}, utc(2026, 1, 1, 10, 0, 0, 500000)),
    ("timestamp", {"S": "2026-01-01T10:00"}, utc(2026, 1, 1, 10)),
    ("timestamp", {"S": " 2026-01-01T10:00:00Z\n"}, utc(2026, 1, 1, 10)),
    ("timestamp", {"S": "20260101T100000Z"}, utc(2026, 1, 1, 10)),
    ("timestamp", {"S": "20260101T100000.5+0200"}, utc(2026, 1, 1, 8, 0, 0, 500000)),
    ("timestamp", {"N": "1767225600"}, utc(2026, 1, 1)),
    ("timestamp", {"N": "1767225600.25"}, utc(2026, 1, 1, 0, 0, 0, 250000)),
    ("timestamp", {"N": "253402214400"}, utc(9999, 12, 31)),
    ("timestamp", {"N": "1767225600250"}, utc(2026, 1, 1, 0, 0, 0, 250000)),
    ("date", {"S": " 2024-02-29 "}, date(2024, 2, 29)),
    ("date", {"S": "2024-02-29"}, date(2024, 2, 29)),
    ("string_list", {"SS": ["a", "b"]}, "[a, b]"),
    ("string_list", {"L": [{"S": "b"}, {"S": "a"}]}, "[b, a]"),
    ("string_list", {"L": []}, "[]"),
    ("json", {"M": {"a": {"N": "1"}}}, '{"M":{"a":{"N":"1"}}}'),
    ("json", {"S": "text"}, '{"S":"text"}'),
    ("binary", {"B": "aGVsbG8="}, "hello"),
]
UNFITTING: list[tuple[str, dict[str, Any]]] = [
    ("string", {"N": "1"}),
    ("string", {"SS": ["a"]}),
    ("number", {"S": "1"}),
    ("number", {"N": "0.1234567891"}),
    ("number", {"N": "123456789012345678901234567890"}),
    ("integer", {"N": "1.5"}),
    ("integer", {"N": "9223372036854775808"}),
    ("integer", {"S": "41"}),
    ("double", {"S": "1.5"}),
    ("boolean", {"S": "true"}),
    ("boolean", {"N": "1"}),
    ("timestamp", {"S": "yesterday"}),
    ("timestamp", {"S": "2026-13-01T00:00:00Z"}),
    ("timestamp", {"S": "2026-01-01 25:00:00"}),
    ("timestamp", {"S": "2026-01-01 or so"}),
    ("timestamp", {"S": "20260101"}),
    ("timestamp", {"S": "1767225600"}),
    ("timestamp", {"S": "01/02/2026 10:00:00"}),
    ("timestamp", {"N": "1767225600000000"}),
    ("timestamp", {"BOOL": True}),
    ("date", {"S": "2023-02-29"}),
    ("date", {"S": "2026-1-1"}),
    ("date", {"S": "2026-01-01T00:00:00Z"}),
    ("date", {"N": "1767225600"}),
    ("string_list", {"S": "a"}),
    ("string_list", {"L": [{"S": "a"}, {"N": "1"}]}),
    ("string_list", {"L": [{"M": {"S": {"S": "a"}}}]}),
    ("binary", {"S": "aGVsbG8="}),
]


def test_each_type_takes_what_fits_and_keeps_what_does_not(typed_house: House) -> None:
    house = typed_house
    items = [event(f"fit-{n:02}", **{kind: value}) for n, (kind, value, _) in enumerate(FITTING)]
    items += [event(f"not-{n:02}", **{kind: value}) for n, (kind, value) in enumerate(UNFITTING)]
    items += [event("null", **{kind.value: {"NULL": True} for kind in ColumnType}), event("none")]
    house.load(items)
    result = house.materialize(*EVERYTHING)
    columns = ", ".join(
        "from_utf8(c_binary) AS c_binary" if kind is ColumnType.BINARY else f"c_{kind.value}"
        for kind in ColumnType
    )
    rows = {
        row["log_id"]: row
        for row in read(house, f"log_id, {columns}, json_format(CAST(misfits AS JSON)) AS misfits")
    }
    for number, (kind, value, expected) in enumerate(FITTING):
        row = rows[f"fit-{number:02}"]
        assert row[f"c_{kind}"] == expected, (kind, value)
        assert row["misfits"] is None, (kind, value)
    for number, (kind, value) in enumerate(UNFITTING):
        row = rows[f"not-{number:02}"]
        assert row[f"c_{kind}"] is None, (kind, value)
        assert {name: json.loads(kept) for name, kept in json.loads(row["misfits"]).items()} == {kind: value}
    for name in ("null", "none"):
        assert set(rows[name].values()) == {name, None}
    check = checks(result)["nothing_lost_in_typing"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert check.metadata["misfits"].value == len(UNFITTING)
    assert check.metadata["by_attribute"].value == {
        kind: sum(one == kind for one, _ in UNFITTING) for kind in dict(UNFITTING)
    }
    assert checks(result)["item_count"].passed


def test_misfits_below_the_threshold_are_a_warning(house: House) -> None:
    (table,) = house.estate.tables
    house.estate = house.estate.model_copy(
        update={"tables": (table.model_copy(update={"misfit_threshold": 1}),)}
    )
    house.load([event("a", subject_age={"S": "old"}), event("b")])
    check = checks(house.materialize(*EVERYTHING))["nothing_lost_in_typing"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)


def test_an_attribute_that_nobody_declared_is_named_and_counted(house: House) -> None:
    house.load(
        [event("a", Subject_ID={"S": "x"}, nickname={"S": "y"}), event("b", nickname={"S": "z"}), event("c")]
    )
    result = house.materialize(*EVERYTHING)
    check = checks(result)["schema_declared"]
    assert not check.passed
    assert check.description == "not in estate.yaml: nickname (2 rows), Subject_ID (1 rows)"
    assert check.metadata["by_attribute"].value == {"nickname": 2, "Subject_ID": 1}
    rows = read(house, "log_id, cardinality(undeclared) AS others")
    assert [row["others"] for row in rows] == [2, 1, None]


def test_what_a_snapshot_lost_is_kept_with_its_partition(house: House) -> None:
    (table,) = house.estate.tables
    renamed = {**table.columns, "Age At Event": Column(type=ColumnType.INTEGER)}
    house.estate = house.estate.model_copy(
        update={"tables": (table.model_copy(update={"columns": renamed}),)}
    )
    wrong = {"S": "old"}
    house.load(
        [event("a", subject_age=wrong, **{"Age At Event": wrong}), event("b", subject_age=wrong, nick=wrong)]
    )
    house.materialize(*EVERYTHING)
    partition = house.glue.partition("visits", [yesterday().isoformat()])
    assert partition is not None
    assert json.loads(partition.parameters["misfits"]) == {"age_at_event": 1, "subject_age": 2}
    assert json.loads(partition.parameters["undeclared"]) == {"nick": 1}


def test_an_empty_table_is_an_empty_snapshot(house: House) -> None:
    result = house.materialize(*EVERYTHING)
    assert all(check.passed for check in checks(result).values())
    assert metadata(result)["dagster/row_count"] == 0
    assert read(house, "log_id") == []


def test_again_is_a_new_place_and_the_same_rows(house: House) -> None:
    house.load([event("a"), event("b")])
    house.materialize(*EVERYTHING)
    first, rows = location(house), read(house)
    house.materialize("visits")
    assert location(house) != first
    assert read(house) == rows
    assert [item.key for item in house.lake.list(house.lake.key(first))], (
        "a reader may still be in the middle of it"
    )


def test_what_earlier_attempts_left_is_removed_once_it_has_rested(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.load([event("a")])
    house.materialize(*EVERYTHING)
    first = location(house)
    monkeypatch.setattr(assets, "_ORPHANS_REST", timedelta(seconds=-5))
    said = metadata(house.materialize("visits"))
    assert said["orphans_removed"] > 0
    assert list(house.lake.list(house.lake.key(first))) == []
    assert len(read(house)) == 1


class Killed(BaseException):
    """The process ends here."""


class DyingGlue(GlueResource):
    """Dies where the partition of the typed snapshot would be pointed."""

    def point(self, table: str, *arguments: Any, **named: Any) -> None:
        if table == "visits":
            raise Killed
        super().point(table, *arguments, **named)


def test_a_run_killed_before_the_partition_is_pointed_shows_the_old_day(house: House) -> None:
    house.load([event("a")])
    house.materialize(*EVERYTHING)
    before, rows = location(house), read(house)
    with pytest.raises(Killed):
        house.materialize("visits", glue=DyingGlue(database=house.names.database))
    assert (location(house), read(house)) == (before, rows)
    house.materialize("visits")
    assert location(house) != before
    assert read(house) == rows


def test_a_run_killed_between_any_two_steps_is_run_again(house: House) -> None:
    house.load([event("a"), event("b")])
    arns = []
    for nouns in (EVERYTHING[:1], EVERYTHING[:2], EVERYTHING):
        result = house.materialize(*nouns)
        arns.append(metadata(result, "visits_export")["export_arn"])
    assert len(set(arns)) == 1
    assert len(read(house)) == 2


class ForgetfulLake(LakeResource):
    """Counts a row less than Athena wrote."""

    def parquet_rows(self, objects: Any) -> int:
        return super().parquet_rows(objects) - 1


def test_a_snapshot_that_lost_a_row_is_not_shown(house: House) -> None:
    house.load([event("a"), event("b")])
    house.materialize(*EVERYTHING)
    before = location(house)
    lake = ForgetfulLake(bucket=house.names.bucket)
    result = house.materialize("visits", lake=lake, raise_on_error=False)
    assert not result.success
    check = checks(result)["item_count"]
    assert (check.passed, check.metadata["rows"].value, check.metadata["items"].value) == (False, 1, 2)
    assert location(house) == before


def test_a_data_file_that_changed_on_the_way_stops_the_day(house: House) -> None:
    house.load([event("a"), event("b")])
    said = metadata(house.materialize("visits_export", "visits_raw"), "visits_raw")
    (data, *_) = [item for item in house.lake.list(house.lake.key(said["dagster/uri"])) if item.size > 60]
    house.lake.write(data.key, b"tampered", "application/gzip")
    result = house.materialize(*EVERYTHING, raise_on_error=False)
    assert not result.success
    assert not checks(result)["data_files_intact"].passed
    assert list(checks(result)["data_files_intact"].metadata["wrong"].value) == [data.key]
    assert "visits" not in {
        step.step_key.removeprefix("snapshot__") for step in result.get_step_success_events()
    }


def test_a_key_that_stands_twice_stops_the_day(house: House) -> None:
    (table,) = house.estate.tables
    wrong = table.model_copy(update={"keys": ("subject_id",)})
    house.estate = house.estate.model_copy(update={"tables": (wrong,)})
    house.load([event("a"), event("b"), event("c", subject="other")])
    result = house.materialize(*EVERYTHING, raise_on_error=False)
    assert not result.success
    check = checks(result)["keys_unique"]
    assert (check.passed, check.blocking) == (False, True)
    assert check.metadata["keys_more_than_once"].value == 1


def test_a_column_that_is_declared_later_is_null_before(house: House) -> None:
    house.load([event("a", nickname={"S": "x"})], at(days_ago(3)))
    house.materialize(*EVERYTHING, day=days_ago(2))
    (table,) = house.estate.tables
    columns = {**table.columns, "nickname": Column(type=ColumnType.STRING)}
    changed = table.model_copy(update={"columns": columns})
    house.estate = house.estate.model_copy(update={"tables": (changed,)})
    result = house.materialize(*EVERYTHING)
    assert checks(result)["schema_declared"].passed
    assert read(house, "log_id, nickname") == [{"log_id": "a", "nickname": "x"}]
    assert read(house, "log_id, nickname", days_ago(2)) == [{"log_id": "a", "nickname": None}]


def test_five_missed_days_get_each_its_own_state(house: House) -> None:
    """A backfill of past nights: what was written, changed and deleted shows in the nights after it alone."""
    days = [days_ago(number) for number in (6, 5, 4, 3, 2)]
    for number, day in enumerate(days):
        house.load([event(f"new-{number}"), event("changed", subject=f"night-{number}")], at(day))
    house.delete("new-0", at(days[3]))
    for day in reversed(days):
        house.materialize(*EVERYTHING, day=day)
    found = {day: {row["log_id"]: row["subject_id"] for row in read(house, day=day)} for day in days}
    for number, day in enumerate(days):
        new = {f"new-{n}": "subject-1" for n in range(number + 1) if n > 0 or number < 3}
        assert found[day] == {**new, "changed": f"night-{number}"}, day


PERSONAL = ("Jane-Q-Doe", "jane.doe@example.com", "123-45-6789", "+1 415 555 0100")


def test_no_personal_value_leaves_the_lake(house: House, capfd: pytest.CaptureFixture[str]) -> None:
    """Not in metadata, checks, logs, tags or errors: of good rows, misfits or attributes' names."""
    name, mail, number, phone = PERSONAL
    house.load(
        [
            event("a", subject=name, message={"S": f"write to {mail}"}, subject_age={"S": number}),
            event("b", subject=phone, **{mail: {"S": "value"}}, event_time={"S": phone}),
        ]
    )
    house.materialize(*EVERYTHING)
    (table,) = house.estate.tables
    wrong = table.model_copy(update={"keys": ("subject_id",)})
    house.estate = house.estate.model_copy(update={"tables": (wrong,)})
    broken = GlueResource(database="no_such_database")
    assert not house.materialize("visits", glue=broken, raise_on_error=False).success
    lake = ForgetfulLake(bucket=house.names.bucket)
    assert not house.materialize("visits", lake=lake, raise_on_error=False).success
    told = [capfd.readouterr().out, capfd.readouterr().err]
    for run in house.instance.get_runs():
        told += [repr(run), *(repr(entry) for entry in house.instance.all_logs(run.run_id))]
    everything = "\n".join(told)
    assert "nothing_lost_in_typing" in everything
    for value in PERSONAL:
        assert value not in everything
