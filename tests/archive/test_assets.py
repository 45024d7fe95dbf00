"""The archive in Dagster: the sensor's runs, the assets' checks, what two snapshots tell, and alerts."""

import json
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
import requests

from privacy_assets.archive.names import ARCHIVE_DELETIONS, DELETIONS_KEY, RECONCILIATION_KEY
from privacy_assets.archive.reconciliation import subject_in
from privacy_assets.archive.removal import erase, expire
from privacy_assets.archive.rows import DELETIONS
from privacy_assets.estate import ColumnType
from resources.sns import AlertResource
from tests.archive.conftest import Archive
from tests.house import at, client, days_ago, event, yesterday


def today() -> date:
    return datetime.now(UTC).date()


def materialize(archive: Archive, key: list[str], day: date, **overrides: Any) -> dg.ExecuteInProcessResult:
    from privacy_assets.definitions import build

    house = archive.house
    definitions = build(house.estate, [], {**house.resources, **overrides})
    return definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=house.instance, partition_key=day.isoformat(), asset_selection=[dg.AssetKey(key)]
    )


def checks(result: dg.ExecuteInProcessResult) -> dict[str, tuple[bool, str]]:
    return {
        each.check_name: (each.passed, each.severity.value) for each in result.get_asset_check_evaluations()
    }


def metadata(result: dg.ExecuteInProcessResult, key: list[str]) -> dict[str, Any]:
    (event_,) = result.asset_materializations_for_node("__".join(key))
    return {name: value.value for name, value in event_.metadata.items()}


def tick(archive: Archive, name: str, cursor: str | None = None, **overrides: Any) -> Any:
    definitions = archive.house.definitions
    context = dg.build_sensor_context(
        instance=archive.house.instance,
        cursor=cursor,
        definitions=definitions,
        resources={**archive.house.resources, **overrides},
    )
    return definitions.resolve_sensor_def(name).evaluate_tick(context)


def test_the_sensor_asks_for_one_run_while_deletions_wait(archive: Archive) -> None:
    assert not tick(archive, "deletions").run_requests
    archive.put_and_delete(event("a"), event("b"))
    archive.flush()
    (request,) = tick(archive, "deletions").run_requests
    assert request.partition_key == today().isoformat()
    assert request.run_key == f"{today()}:1"
    tags = {"dagster/partition": request.partition_key}
    run = dg.DagsterRun(job_name=ARCHIVE_DELETIONS, tags=tags, status=dg.DagsterRunStatus.STARTED)
    archive.house.instance.add_run(run)
    assert not tick(archive, "deletions").run_requests
    archive.house.instance.report_run_failed(run)
    (request,) = tick(archive, "deletions").run_requests
    assert request.run_key == f"{today()}:2"


def test_a_run_takes_all_that_waits_and_tells_each_day(archive: Archive) -> None:
    archive.put_and_delete(event("a"), event("b"), event("c"))
    archive.flush()
    first, *rest = (json.loads(body) for body in archive.bodies())
    first["dynamodb"]["ApproximateCreationDateTime"] -= 86_400
    archive.send([json.dumps(first), *map(json.dumps, rest), "{"])
    result = materialize(archive, DELETIONS_KEY, today())
    found = metadata_by_day(result)
    assert found[today().isoformat()]["dagster/row_count"] == 2
    assert found[today().isoformat()]["archived_by_this_run"] == 3
    assert found[yesterday().isoformat()]["dagster/row_count"] == 1
    assert checks(result) == {"no_dead_letters": (False, "ERROR"), "pipes_pass_all": (True, "WARN")}
    again = materialize(archive, DELETIONS_KEY, yesterday())
    assert metadata_by_day(again)[yesterday().isoformat()]["dagster/row_count"] == 1
    archive.is_whole(3)


def metadata_by_day(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    return {
        str(each.partition): {name: value.value for name, value in each.metadata.items()}
        for each in result.asset_materializations_for_node("archive__deletions")
    }


def test_the_day_is_told_by_table_and_cause_and_its_latest_deletions_masked(archive: Archive) -> None:
    archive.dynamodb.update_time_to_live(
        TableName=archive.table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
    )
    archive.put(event("over-and-gone", expires={"N": "1600000000"}))
    url = f"{archive.endpoint}/_local/dynamodb/expire"
    requests.post(url, params={"table": archive.table, "at": "2022-01-01T00:00:00Z"}, timeout=60)
    archive.put_and_delete(*(event(f"record|*{number}*", f"subject-{number}") for number in range(11)))
    archive.flush()
    found = metadata_by_day(materialize(archive, DELETIONS_KEY, today()))[today().isoformat()]
    assert found["dagster/row_count"] == 12
    assert found["deleted_by"].splitlines() == [
        "| table | user | ttl | all |",
        "|---|--:|--:|--:|",
        "| visits | 11 | 1 | 12 |",
    ]
    _, _, *latest = found["latest"].splitlines()
    assert len(latest) == 10
    by_user = re.compile(r"\| \d\d:\d\d:\d\d \| visits \| r••••\\\* \| user \| \d+ \|")
    assert sum(bool(by_user.fullmatch(line)) for line in latest) >= 9  # the other's second may be the same
    assert {"were_there_already", "of_erased_subjects", "read_from_streams", "expired"}.isdisjoint(found)


def test_nothing_personal_is_in_metadata_or_logs(archive: Archive, capfd: pytest.CaptureFixture[str]) -> None:
    archive.put_and_delete(event("log-of-jane", "jane.doe@example.com"))
    archive.flush()
    archive.send(['{"eventName": "REMOVE", "jane.doe@example.com": 1}'])
    result = materialize(archive, DELETIONS_KEY, today())
    logs = archive.house.instance.all_logs(result.run_id)
    text = " ".join(str(entry) for entry in logs) + "".join(capfd.readouterr())
    assert "jane" not in text


def test_what_is_beyond_its_retention_goes_and_the_rest_stays(archive: Archive) -> None:
    archive.put_and_delete(event("old"), event("new"))
    archive.flush()
    old, new = (json.loads(body) for body in archive.bodies())
    old["dynamodb"]["ApproximateCreationDateTime"] -= 366 * 86_400
    archive.send([json.dumps(old), json.dumps(new)])
    result = materialize(archive, DELETIONS_KEY, today())
    assert metadata_by_day(result)[today().isoformat()]["expired"] == 1
    archive.is_whole(1)
    assert [row["partition_key"] for row in archive.rows()] == ["new"]


def snapshots(archive: Archive, before: list[str], after: list[str]) -> None:
    """Snapshots of the day before yesterday and of yesterday, the second without what was deleted."""
    house = archive.house
    house.load([event(key) for key in before], at(days_ago(3)))
    for key in set(before) - set(after):
        house.delete(key, at(yesterday()))
    for day in (days_ago(2), yesterday()):
        for noun in ("visits_export", "visits_raw", "visits"):
            house.materialize(noun, day=day)


def archived_yesterday(archive: Archive, *keys: str) -> None:
    """The archive of yesterday has these keys."""
    archive.put_and_delete(*(event(key) for key in keys))
    archive.flush()
    for body in archive.bodies():
        record = json.loads(body)
        record["dynamodb"]["ApproximateCreationDateTime"] = int(at(yesterday()).timestamp())
        archive.send([json.dumps(record)])
    archive.drain()


def test_a_key_that_vanished_without_an_archived_deletion_is_told(archive: Archive) -> None:
    archived_yesterday(archive, "known")
    snapshots(archive, ["stays", "known", "subject-of-nobody-4711"], ["stays"])
    if datetime.now(UTC).hour >= 2:  # what waits since today can't be a deletion of yesterday
        archive.send(["today's"])
    result = materialize(archive, RECONCILIATION_KEY, yesterday())
    assert checks(result) == {
        "every_deletion_archived": (False, "ERROR"),
        "archived_once": (True, "ERROR"),
    }
    found = archive.house.rows("SELECT partition_key, table_name FROM unarchived_deletions")
    assert found == [{"partition_key": "subject-of-nobody-4711", "table_name": "visits"}]
    shown = str(metadata(result, RECONCILIATION_KEY))
    assert "nobody" not in shown
    assert "su••••11" in shown


def test_a_key_that_vanished_by_an_erasure_is_not_missed(archive: Archive) -> None:
    """The archive has nothing of who was erased, and names nobody who was."""
    house = archive.house
    house.load([event("a", "jane"), event("b", "john"), event("c", "jane")], at(days_ago(3)))
    for key in "ab":
        house.delete(key, at(yesterday()))
    for day in (days_ago(2), yesterday()):
        for noun in ("visits_export", "visits_raw", "visits"):
            house.materialize(noun, day=day)
    archive.erasures.begin("visits", "jane", "request-1")
    result = materialize(archive, RECONCILIATION_KEY, yesterday())
    assert not checks(result)["every_deletion_archived"][0]
    found = archive.house.rows("SELECT partition_key FROM unarchived_deletions")
    assert found == [{"partition_key": "b"}]
    told = metadata(result, RECONCILIATION_KEY)
    assert (told["dagster/row_count"], told["of_erased_subjects"]) == (1, 1)


@pytest.mark.parametrize(
    ("kind", "value", "subject"),
    [
        ("number", "7.500000000", "7.5"),
        ("integer", "7", "7"),
        ("string", "7.50", "7.50"),
        ("string", None, None),
    ],
)
def test_a_subject_of_a_snapshot_is_the_one_that_the_archive_names(
    archive: Archive, kind: str, value: str | None, subject: str | None
) -> None:
    table = archive.house.estate.tables[0]
    column = table.columns["subject_id"].model_copy(update={"type": ColumnType(kind)})
    columns = {**table.columns, "subject_id": column}
    assert subject_in(table.model_copy(update={"columns": columns}), value) == subject


def test_when_all_that_vanished_is_archived_the_check_passes(archive: Archive) -> None:
    archived_yesterday(archive, "known")
    snapshots(archive, ["stays", "known"], ["stays"])
    result = materialize(archive, RECONCILIATION_KEY, yesterday())
    assert checks(result)["every_deletion_archived"] == (True, "WARN")
    first = materialize(archive, RECONCILIATION_KEY, days_ago(2))
    assert checks(first)["every_deletion_archived"] == (False, "WARN")  # nothing to compare with


def test_erasing_a_subject_leaves_nothing_of_it_and_all_of_others(archive: Archive) -> None:
    archive.put_and_delete(event("a", "jane"), event("b", "jane"), event("c", "john"))
    archive.put_and_delete(event("a", "john"))
    archive.flush()
    archive.drain()
    archive.is_whole(4)
    table = archive.house.estate.tables[0]
    removed = erase(archive.iceberg, archive.objects, table, "jane")
    assert (removed.objects, removed.rows) == (2, 2)
    archive.is_whole(2)
    assert {row["subject"] for row in archive.rows()} == {"john"}
    assert erase(archive.iceberg, archive.objects, table, "jane").rows == 0
    # Neither an object's older version, nor a data file, nor a manifest of either bucket has the name.
    for bucket in (archive.names.bucket, archive.house.names.bucket):
        for page in archive.s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for version in page.get("Versions", ()):
                body = archive.s3.get_object(
                    Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"]
                )["Body"].read()
                assert b"jane" not in body, version["Key"]


def test_an_erasure_that_was_killed_is_completed_by_the_next(archive: Archive) -> None:
    class Stopping(type(archive.iceberg)):  # type: ignore[misc]
        def vacuum(self, *_: Any) -> int:
            raise KeyboardInterrupt

    archive.put_and_delete(event("a", "jane"), event("c", "john"))
    archive.flush()
    archive.drain()
    table = archive.house.estate.tables[0]
    with pytest.raises(KeyboardInterrupt):
        erase(Stopping(**archive.iceberg.model_dump()), archive.objects, table, "jane")
    erase(archive.iceberg, archive.objects, table, "jane")
    archive.is_whole(1)
    assert (
        len(
            list(archive.iceberg._catalog().load_table((archive.house.names.database, DELETIONS)).snapshots())
        )
        == 1
    )
    assert expire(archive.iceberg, archive.objects, "visits", today() + timedelta(days=1)).rows == 1
    archive.is_whole(0)


@pytest.fixture
def inbox(archive: Archive) -> str:
    """A queue that hears what the alert topic is told."""
    name = f"inbox-{archive.names.topic}"
    client("sqs").create_queue(QueueName=name)
    arn = f"arn:aws:sqs:us-east-1:123456789012:{name}"
    client("sns").subscribe(TopicArn=topic(archive), Protocol="sqs", Endpoint=arn)
    return name


def topic(archive: Archive) -> str:
    return f"arn:aws:sns:us-east-1:123456789012:{archive.names.topic}"


def test_deletions_that_wait_too_long_and_dead_letters_are_told_once(
    archive: Archive, inbox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    alerts = AlertResource(topic_arn=topic(archive))
    assert tick(archive, "archive_alerts", alerts=alerts).cursor
    monkeypatch.setenv("PRIVACY_ASSETS_DELETION_ALERT_HOURS", "0.0000001")
    archive.put_and_delete(event("a"))
    archive.flush()
    archive.send(["{"], archive.names.dead_letters)
    first = tick(archive, "archive_alerts", alerts=alerts)
    tick(archive, "archive_alerts", first.cursor, alerts=alerts)
    url = archive.url(inbox)
    messages = client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert len(messages) == 1
    told = json.loads(messages[0]["Body"])["Message"]
    assert f"{archive.names.queue}: the oldest message is 0.0 hours old" in told
    assert f"{archive.names.dead_letters}: 1 deletions could not be archived" in told
