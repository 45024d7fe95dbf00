"""A night on which nothing happened is told once, after the deadline, and only then."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from privacy_assets.estate import Estate
from privacy_assets.governed import governed_estate
from resources.sns import AlertResource
from sensors.late_snapshots import late_snapshots_sensor
from tests.sensors.test_alerts import Inbox

TODAY = date(2026, 3, 10)
KEY = dg.AssetKey(["snapshot", "privacy_logs"])
ALERT = (
    "Late: snapshots of 2026-03-09",
    "No snapshot of 2026-03-09 yet.\nprivacy_logs: expected by 06:00 UTC, owner team:privacy",
)


@pytest.fixture
def inbox(aws: str, unique: str) -> Inbox:
    return Inbox(f"late-{unique}")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


class Watch:
    """The sensor at a time of day, with its cursor."""

    def __init__(self, instance: dg.DagsterInstance, inbox: Inbox, estate: Estate | None = None) -> None:
        self.instance, self.inbox = instance, inbox
        self.estate = estate or governed_estate()
        self.cursor: str | None = None

    def at(self, hour: int, minute: int = 0, day: date = TODAY) -> list[tuple[str, str]]:
        now = datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            resources={"alerts": AlertResource(topic_arn=self.inbox.topic)},
        )
        result = late_snapshots_sensor(self.estate, lambda: now.timestamp()).evaluate_tick(context)
        self.cursor = result.cursor or self.cursor
        return self.inbox.messages()

    def made(self, day: date) -> None:
        self.instance.report_runless_asset_event(dg.AssetMaterialization(KEY, partition=day.isoformat()))


def test_a_missing_night_is_told_once_after_its_deadline(inbox: Inbox, instance: dg.DagsterInstance) -> None:
    watch = Watch(instance, inbox)
    watch.made(TODAY - timedelta(days=2))  # an old day, made just now, is not last night's
    assert watch.at(5, 59) == []
    assert watch.at(6) == [ALERT]
    assert watch.at(7) == []
    tomorrow = TODAY + timedelta(days=1)
    assert [subject for subject, _ in watch.at(6, day=tomorrow)] == ["Late: snapshots of 2026-03-10"]


def test_a_night_that_is_there_is_not_told(inbox: Inbox, instance: dg.DagsterInstance) -> None:
    watch = Watch(instance, inbox)
    watch.made(TODAY - timedelta(days=1))
    assert watch.at(23) == []


def test_nothing_is_late_before_the_estates_start(inbox: Inbox, instance: dg.DagsterInstance) -> None:
    watch = Watch(instance, inbox, governed_estate().model_copy(update={"start": TODAY}))
    assert watch.at(12) == []
