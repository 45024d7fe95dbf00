"""What is wrong right now is told to CloudWatch as numbers, and so is that nothing is."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluation

from privacy_assets.definitions import build
from privacy_assets.estate import Estate
from privacy_assets.governed import governed_estate
from privacy_assets.snapshot import names
from resources.health import HealthResource
from resources.measures import CHECKS, MEASURES, NAMESPACE
from sensors.health import health_sensor
from tests.house import client

TODAY = date(2026, 3, 10)
WELL = {measure.name: 0 for measure in MEASURES}
REPORT = dg.AssetKey(["audit", "daily_report"])


@pytest.fixture
def instance(aws: str) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


class Told(HealthResource):
    """Hears what is told, and passes it on."""

    def tell(self, measured: dict[str, float]) -> None:  # type: ignore[override]
        HEARD.clear()
        HEARD.update(measured)
        super().tell(measured)


HEARD: dict[str, float] = {}


def estate() -> Estate:
    return governed_estate().model_copy(update={"start": TODAY - timedelta(days=30)})


def tick(instance: dg.DagsterInstance, now: datetime, estate: Estate) -> tuple[dict[str, float], str]:
    """What a tick measures, and what its line on the page says."""
    sensor = health_sensor(estate, lambda: now.timestamp())
    context = dg.build_sensor_context(
        instance=instance, definitions=build(estate, []), resources={"health": Told()}
    )
    result = sensor.evaluate_tick(context)
    assert result.skip_message is not None
    return dict(HEARD), result.skip_message


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(TODAY.year, TODAY.month, TODAY.day, hour, minute, tzinfo=UTC)


def wrong(instance: dg.DagsterInstance, now: datetime, estate: Estate) -> dict[str, float]:
    measured, _ = tick(instance, now, estate)
    assert set(measured) == set(WELL)
    return {name: value for name, value in measured.items() if value}


def made(instance: dg.DagsterInstance, key: dg.AssetKey, *days: date) -> None:
    for day in days:
        instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=day.isoformat()))


def all_days(instance: dg.DagsterInstance) -> None:
    """Exports and reports of the last days are all there."""
    days = [TODAY - timedelta(days=back) for back in range(1, 9)]
    made(instance, REPORT, *days)
    for noun in estate().nouns:
        made(instance, dg.AssetKey(names.export_key(noun)), *days)


def test_that_all_is_well_is_told_too(instance: dg.DagsterInstance) -> None:
    all_days(instance)
    measured, line = tick(instance, at(12), estate())
    assert (measured, line) == (WELL, "all is well")
    listed = client("cloudwatch").list_metrics(Namespace=NAMESPACE)["Metrics"]
    assert {each["MetricName"] for each in listed} == set(WELL)


def test_an_export_is_late_from_three_on(instance: dg.DagsterInstance) -> None:
    made(instance, REPORT, *(TODAY - timedelta(days=back) for back in range(1, 9)))
    noun = estate().nouns[0]
    made(instance, dg.AssetKey(names.export_key(noun)), TODAY - timedelta(days=2))
    assert wrong(instance, at(2, 59), estate()) == {}
    assert wrong(instance, at(3), estate()) == {"LateExports": len(estate().nouns)}
    assert tick(instance, at(3), estate())[1] == f"LateExports {len(estate().nouns)}"
    made(instance, dg.AssetKey(names.export_key(noun)), TODAY - timedelta(days=1))
    assert wrong(instance, at(3), estate()) == {}


def test_days_without_a_report_are_counted_from_their_deadline_on(instance: dg.DagsterInstance) -> None:
    all_days(instance)
    instance.wipe_assets([REPORT])
    made(instance, REPORT, *(TODAY - timedelta(days=back) for back in (2, 3, 4, 6, 7)))
    hour, minute = map(int, max(table.deadline for table in estate().tables).split(":"))
    before = at(hour, minute) - timedelta(minutes=1)
    assert wrong(instance, before, estate()) == {"OverdueAudits": 2}  # the 5th and the 8th day back
    assert wrong(instance, at(hour, minute), estate()) == {"OverdueAudits": 2}  # the last and the 5th
    young = estate().model_copy(update={"start": TODAY - timedelta(days=4)})
    assert wrong(instance, at(hour, minute), young) == {"OverdueAudits": 1}


@dg.op
def fails() -> None:
    raise RuntimeError("no")


@dg.job
def failing() -> None:
    fails()


def test_a_run_that_failed_counts_until_it_is_run_again(instance: dg.DagsterInstance) -> None:
    now = datetime.now(UTC)
    quiet = estate().model_copy(update={"start": now.date() + timedelta(days=10)})
    run = failing.execute_in_process(instance=instance, raise_on_error=False).dagster_run
    assert wrong(instance, now, quiet) == {"FailedRuns": 1}
    again = instance.create_run_for_job(failing, parent_run_id=run.run_id, root_run_id=run.run_id)
    assert wrong(instance, now, quiet) == {}
    instance.report_run_failed(again)
    assert wrong(instance, now, quiet) == {"FailedRuns": 1}
    assert wrong(instance, now + timedelta(days=2), quiet) == {}


def check(instance: dg.DagsterInstance, key: dg.AssetCheckKey, *, passed: bool) -> None:
    instance.report_runless_asset_event(
        AssetCheckEvaluation(
            asset_key=key.asset_key,
            check_name=key.name,
            passed=passed,
            metadata={},
            severity=dg.AssetCheckSeverity.ERROR,
        )
    )


def test_checks_that_fail_are_counted_by_group_until_they_pass(instance: dg.DagsterInstance) -> None:
    quiet = estate().model_copy(update={"start": TODAY + timedelta(days=1)})
    keys = build(quiet, []).resolve_asset_graph().asset_check_keys
    for measure in CHECKS:
        (key, *_) = sorted(key for key in keys if key.asset_key.path[0] == measure.group)
        check(instance, key, passed=False)
        assert wrong(instance, at(12), quiet) == {measure.name: 1}
        check(instance, key, passed=True)
        assert wrong(instance, at(12), quiet) == {}


def test_every_group_with_checks_is_measured() -> None:
    """What audits find is in their report and in its alerts, and no fault of the machinery."""
    keys = build(estate(), []).resolve_asset_graph().asset_check_keys
    assert {key.asset_key.path[0] for key in keys} - {"audit"} == {measure.group for measure in CHECKS}
