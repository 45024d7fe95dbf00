"""The export of a day is started once and found again, whatever happened in between."""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from privacy_assets.snapshot.exports import client_token, export_instant, export_prefix
from resources.dynamodb import ExportsResource
from tests.house import House, client, days_ago, event, yesterday


def metadata(result: dg.ExecuteInProcessResult, noun: str) -> dict[str, Any]:
    (materialization,) = result.asset_materializations_for_node(f"snapshot__{noun}")
    return {name: value.value for name, value in materialization.metadata.items()}


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event_,) = [e for e in result.all_events if e.is_step_failure]
    data = event_.step_failure_data
    assert data.user_failure_data is not None, data.error
    return str(data.user_failure_data.description)


def exports(house: House) -> list[dict[str, Any]]:
    found = client("dynamodb").list_exports(TableArn=house.exports.table_arn(house.table))
    return list(found["ExportSummaries"])


def test_it_starts_the_export_for_the_end_of_the_day_and_returns(house: House) -> None:
    house.exports_take(3600)
    house.load([event("a")])
    said = metadata(house.materialize("visits_export"), "visits_export")
    assert said["export_status"] == "IN_PROGRESS"
    assert said["export_time"] == f"{yesterday() + timedelta(days=1)}T00:00:00+00:00"
    assert said["attempt"] == 1
    assert said["reused"] is False
    assert said["s3_uri"] == (
        f"s3://{house.names.bucket}/exports/visits/snapshot_date={yesterday()}/AWSDynamoDB/{said['export_id']}/"
    )


def test_twice_is_once(house: House) -> None:
    house.load([event("a")])
    first = metadata(house.materialize("visits_export"), "visits_export")
    second = metadata(house.materialize("visits_export"), "visits_export")
    house.materialize("visits_raw")
    third = metadata(house.materialize("visits_export"), "visits_export")
    assert first["export_arn"] == second["export_arn"] == third["export_arn"]
    assert (second["reused"], third["reused"], third["export_status"]) == (True, True, "COMPLETED")
    assert len(exports(house)) == 1


def test_an_export_is_found_when_its_token_is_forgotten(house: House) -> None:
    """After eight hours DynamoDB takes a token for a new one; an export made by hand never had ours."""
    house.load([event("a")])
    by_hand = house.exports.start(
        house.exports.table_arn(house.table),
        export_instant(yesterday()),
        export_prefix("visits", yesterday()),
        "by-hand",
    )
    said = metadata(house.materialize("visits_export"), "visits_export")
    assert (said["export_arn"], said["reused"]) == (by_hand.arn, True)
    assert len(exports(house)) == 1


def test_another_instant_or_place_is_another_export(house: House) -> None:
    house.load([event("a")])
    arn = house.exports.table_arn(house.table)
    instant, prefix = export_instant(yesterday()), export_prefix("visits", yesterday())
    others = [
        house.exports.start(arn, instant - timedelta(hours=1), prefix, "earlier").arn,
        house.exports.start(arn, instant, "elsewhere", "elsewhere").arn,
    ]
    assert metadata(house.materialize("visits_export"), "visits_export")["export_arn"] not in others


class FailingOnce(ExportsResource):
    """DynamoDB as it answers once the day's first export has failed; a real failure can't be ordered."""

    failed: str

    def describe(self, arn: str) -> Any:
        export = super().describe(arn)
        if arn != self.failed:
            return export
        return type(export)(**{**vars(export), "status": "FAILED", "failure": "UNKNOWN: bucket gone"})


def test_a_failed_export_is_tried_again_and_its_reason_kept(house: House) -> None:
    house.load([event("a")])
    first = metadata(house.materialize("visits_export"), "visits_export")
    failing = FailingOnce(bucket=house.names.bucket, failed=first["export_arn"])
    second = metadata(house.materialize("visits_export", dynamodb_exports=failing), "visits_export")
    assert second["export_arn"] != first["export_arn"]
    assert (second["attempt"], second["reused"]) == (2, False)
    assert second["failed_attempts"] == [f"{first['export_arn']}: UNKNOWN: bucket gone"]
    third = metadata(house.materialize("visits_export", dynamodb_exports=failing), "visits_export")
    assert (third["export_arn"], third["attempt"], third["reused"]) == (second["export_arn"], 2, True)
    result = house.materialize("visits_raw", dynamodb_exports=failing)
    assert metadata(result, "visits_raw")["export_arn"] == second["export_arn"]


def test_raw_says_why_when_the_only_export_failed(house: House) -> None:
    house.load([event("a")])
    first = metadata(house.materialize("visits_export"), "visits_export")
    failing = FailingOnce(bucket=house.names.bucket, failed=first["export_arn"])
    result = house.materialize("visits_raw", dynamodb_exports=failing, raise_on_error=False)
    assert failure(result) == (
        f"{house.table}: the export FAILED (UNKNOWN: bucket gone); materialize snapshot/visits_export first"
    )


def test_raw_says_so_when_there_is_no_export(house: House) -> None:
    result = house.materialize("visits_raw", raise_on_error=False)
    assert failure(result) == (
        f"{house.table}: there is no export of this day; materialize snapshot/visits_export first"
    )


def test_raw_waits_for_the_export_no_longer_than_its_deadline(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.exports_take(3600)
    monkeypatch.setenv("PRIVACY_ASSETS_EXPORT_DEADLINE_SECONDS", "0.1")
    house.load([event("a")])
    result = house.materialize("visits_export", "visits_raw", raise_on_error=False)
    assert "not within 0.1 s; it goes on" in failure(result)


def test_without_point_in_time_recovery_it_says_how_to_turn_it_on(house: House) -> None:
    client("dynamodb").update_continuous_backups(
        TableName=house.table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False}
    )
    result = house.materialize("visits_export", raise_on_error=False)
    assert "point-in-time recovery is off" in failure(result)
    assert f"aws dynamodb update-continuous-backups --table-name {house.table}" in failure(result)


def test_a_day_too_long_ago_is_refused_with_the_reason(house: House) -> None:
    result = house.materialize("visits_export", day=days_ago(40), raise_on_error=False)
    assert f"{house.table}: {days_ago(39)}T00:00:00+00:00 can't be exported" in failure(result)
    assert "35 days" in failure(result)


def test_a_missing_table_is_named(house: House) -> None:
    client("dynamodb").delete_table(TableName=house.table)
    result = house.materialize("visits_export", raise_on_error=False)
    assert failure(result) == f"{house.table}: no such table in DynamoDB"


@pytest.mark.parametrize("change", ["table", "instant", "bucket", "prefix", "attempt"])
def test_every_part_of_an_export_is_in_its_token(change: str) -> None:
    parts: dict[str, Any] = {
        "table": "arn:aws:dynamodb:us-east-1:123456789012:table/a",
        "instant": datetime(2026, 1, 1, tzinfo=UTC),
        "bucket": "lake",
        "prefix": "exports/a",
        "attempt": 1,
    }
    others: dict[str, Any] = {"instant": datetime(2026, 1, 2, tzinfo=UTC), "attempt": 2}
    token = client_token(*parts.values())
    assert client_token(*parts.values()) == token
    assert client_token(*{**parts, change: others.get(change, "other")}.values()) != token
