"""Exports are found among many, and without asking for those that can't be meant."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from resources.dynamodb import ExportRefused
from tests.house import House, days_ago


@pytest.fixture
def house(aws: str, unique: str, tmp_path: Path) -> House:
    return House.build(aws, unique, tmp_path)


def midnight(days: int) -> datetime:
    day = days_ago(days)
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def test_one_of_many_is_found(house: House) -> None:
    exports, arn = house.exports, house.exports.table_arn(house.table)
    house.load([{"log_id": {"S": "a"}}], midnight(30))
    started = [exports.start(arn, midnight(1) - timedelta(minutes=n), "x", f"t{n}") for n in range(27)]
    assert [export.arn for export in exports.find(arn, midnight(1), "x")] == [started[0].arn]
    assert [export.arn for export in exports.find(arn, started[26].export_time, "x/")] == [started[26].arn]
    assert exports.find(arn, midnight(1), "y") == []
    assert exports.find(arn, midnight(2), "x") == []


def test_an_export_of_earlier_is_not_asked_for(house: House) -> None:
    """It can't be of an instant after its own start."""
    exports, arn = house.exports, house.exports.table_arn(house.table)
    exports.start(arn, midnight(0), "x", "t")
    asked: list[str] = []
    exports._client.meta.events.register(
        "before-call.dynamodb.DescribeExport", lambda **_: asked.append("asked")
    )
    assert exports.find(arn, datetime.now(UTC) + timedelta(hours=2), "x") == []
    assert asked == []
    exports.find(arn, midnight(0), "x")
    assert asked == ["asked"]


def test_other_refusals_are_told_in_dynamodbs_words(house: House) -> None:
    exports, arn = house.exports, house.exports.table_arn(house.table)
    exports.start(arn, midnight(0), "x", "token")
    with pytest.raises(
        ExportRefused, match=f"{house.table}: DynamoDB refused the export as of .*: ExportConflict"
    ):
        exports.start(arn, midnight(1), "x", "token")
