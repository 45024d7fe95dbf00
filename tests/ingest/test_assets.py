"""Ingestion in Dagster: the sensor's runs, the hourly run, metadata, checks, dead letters sent again."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from privacy_assets.definitions import build
from privacy_assets.ingest.names import EVENTS_KEY, INGEST_EVENTS
from privacy_assets.ledger import open_log
from schedules.hourly_events import hourly_events_schedule
from sensors.events import events_sensor
from tests.ingest.conftest import Ingest
from tests.ingest.events import event

PLANTED = "planted-4711"


def materialize(ingest: Ingest) -> dg.ExecuteInProcessResult:
    definitions = build(ingest.house.estate, [], ingest.house.resources)
    job = definitions.resolve_job_def(INGEST_EVENTS)
    return job.execute_in_process(instance=ingest.house.instance)


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (found,) = result.asset_materializations_for_node("ingest__events")
    return {name: value.value for name, value in found.metadata.items()}


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {each.check_name: each for each in result.get_asset_check_evaluations()}


def recent(**fields: Any) -> dict[str, Any]:
    return event(**{"event_time": datetime.now(UTC).isoformat(), **fields})


def test_a_run_tells_what_it_wrote_and_nothing_of_anybody(ingest: Ingest) -> None:
    for number in range(3):
        ingest.send(
            recent(event_id=f"{number}", subject_id=PLANTED, message=PLANTED, extra={PLANTED: PLANTED})
        )
    ingest.send(recent(event_type="gpc_signal", event_time="2026-01-31T09:30:00Z"))
    result = materialize(ingest)
    told = metadata(result)
    assert (told["events"], told["messages"], told["dagster/row_count"]) == (4, 4, 4)
    assert told["bytes"] > 3 * 4 * len(PLANTED)
    assert 0 <= told["lag_p50_seconds"] <= told["lag_max_seconds"] < 300
    assert (told["files_put_together"], told["hours_left_to_put_together"]) == (0, 0)
    assert "| processing | 3 |" in told["by_type"]
    assert "| 2026-01-31 09:00 | 1 |" in told["by_hour"]
    found = checks(result)
    assert found["lag"].passed
    assert found["no_dead_letters"].passed
    everything = [str(record) for record in ingest.house.instance.all_logs(result.run_id)]
    assert everything
    assert PLANTED not in "".join(everything)
    (entry,) = open_log(ingest.house.ledger).entries(f"ingest-{result.run_id}")
    assert (entry.event.kind, entry.event.counts["events"]) == ("events.ingested", 4)
    assert PLANTED.encode() not in entry.leaf


def test_columns_have_the_types_that_athena_calls_them(ingest: Ingest) -> None:
    materialize(ingest)
    (asset,) = [
        each
        for each in build(ingest.house.estate, [], ingest.house.resources).resolve_all_asset_specs()
        if each.key.path == EVENTS_KEY
    ]
    shown = asset.metadata["dagster/column_schema"].columns  # type: ignore[attr-defined]
    said = {column.name: column.type for column in shown}
    types = ", ".join(f"typeof({name}) AS {name}" for name in said)
    (told,) = ingest.house.rows(f"SELECT {types} FROM (SELECT 1) LEFT JOIN events ON TRUE")
    words = {"varchar": "string", "integer": "int", "array(varchar)": "array<string>"}
    assert said == {name: words.get(kind, kind) for name, kind in told.items()}


def test_a_run_without_events_says_so_and_keeps_the_asset_fresh(ingest: Ingest) -> None:
    result = materialize(ingest)
    told = metadata(result)
    assert open_log(ingest.house.ledger).checkpoint() is None  # nothing was done
    assert (told["events"], told["dagster/row_count"], told["lag_max_seconds"]) == (0, 0, 0.0)
    assert told["by_type"] == told["by_hour"] == "No events were new."
    assert all(check.passed for check in checks(result).values())
    (asset,) = [
        each
        for each in build(ingest.house.estate, [], ingest.house.resources).resolve_all_asset_specs()
        if each.key.path == EVENTS_KEY
    ]
    policy: Any = asset.freshness_policy
    assert policy.fail_window.to_timedelta() == timedelta(hours=2)


def test_a_lag_beyond_the_limit_is_a_warning(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIVACY_ASSETS_EVENT_LAG_SECONDS", "60")
    ingest.send(recent(event_time="2026-01-31T09:30:00Z"), now=datetime.now(UTC) - timedelta(seconds=90))
    ingest.send(recent())
    lag = checks(materialize(ingest))["lag"]
    assert not lag.passed
    assert lag.severity == dg.AssetCheckSeverity.WARN
    told = {name: value.value for name, value in lag.metadata.items()}
    assert told["limit_seconds"] == 60
    assert told["p50_seconds"] < 60 <= told["max_seconds"]


def test_dead_letters_fail_the_check_until_they_are_sent_again(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from privacy_assets.cli import run

    ingest.sender.send(PLANTED)
    ingest.send(recent(event_id="1"))
    dead = checks(materialize(ingest))["no_dead_letters"]
    assert not dead.passed
    assert dead.metadata["dead_letters"].value == 1
    assert dead.metadata["reasons"].value == ["no JSON, expected a message of events"]
    assert not checks(materialize(ingest))["no_dead_letters"].passed, "it waits still"

    monkeypatch.setenv("PRIVACY_ASSETS_EVENT_QUEUE", ingest.names.queue)
    monkeypatch.setenv("PRIVACY_ASSETS_EVENT_DEAD_LETTER_QUEUE", ingest.names.dead_letters)
    assert run(["events", "redrive", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "redriven": 1,
        "reasons": {"no JSON, expected a message of events": 1},
    }
    (message,) = ingest.queue.receive()
    assert message.body == PLANTED
    ingest.queue.delete([message])
    assert checks(materialize(ingest))["no_dead_letters"].passed


def test_the_sensor_starts_one_run_while_events_wait(ingest: Ingest) -> None:
    definitions = build(ingest.house.estate, [], ingest.house.resources)
    sensor = events_sensor(definitions.resolve_job_def(INGEST_EVENTS))  # type: ignore[arg-type]

    def tick() -> Any:
        with dg.build_sensor_context(
            instance=ingest.house.instance, resources={"event_queue": ingest.queue}, definitions=definitions
        ) as context:
            return sensor.evaluate_tick(context)

    assert tick().skip_message == "no event waits"
    ingest.send(recent())
    (asked,) = tick().run_requests or ()
    assert asked.run_key
    job = definitions.resolve_job_def(INGEST_EVENTS)
    ingest.house.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert tick().skip_message == "a run is at work; 1 messages wait"


def test_the_hourly_run_comes_whether_events_wait_or_not(ingest: Ingest) -> None:
    definitions = build(ingest.house.estate, [], ingest.house.resources)
    job = definitions.resolve_job_def(INGEST_EVENTS)
    schedule = hourly_events_schedule(job)  # type: ignore[arg-type]
    hour = datetime(2026, 1, 31, 9, 5, tzinfo=UTC)
    with dg.instance_for_test() as instance:

        def tick() -> Any:
            return schedule.evaluate_tick(dg.build_schedule_context(instance, scheduled_execution_time=hour))

        (asked,) = tick().run_requests
        assert asked.run_key == "2026-01-31T09:05:00+00:00"
        instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        assert tick().skip_message == "a run is at work"
