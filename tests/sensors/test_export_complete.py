"""The sensor against a real queue and real exports: events that come, come twice, late, never or garbled."""

import json
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from privacy_assets.jobs import DAILY_AUDIT, EXPORTS_TAG, NIGHTLY_EXPORTS
from resources import clients
from resources.dynamodb import Export, ExportsResource
from tests.house import House, client, days_ago, event, yesterday

DAY = days_ago(3)


@pytest.fixture
def house(aws: str, unique: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setenv("PRIVACY_ASSETS_EXPORT_POLL_SECONDS", "3600")
    house = House.build(aws, unique, tmp_path)
    url = client("sqs").get_queue_url(QueueName=house.names.queue)["QueueUrl"]
    # What a tick has not deleted is there again for the next, so that no test waits for a timeout.
    client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "0"})
    return house


class Ticks:
    """The sensor, tick by tick, with its cursor and the runs that it asked for."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.cursor: str | None = None

    def tick(self, **overrides: Any) -> list[dg.RunRequest]:
        definitions = self.house.definitions
        sensor = definitions.resolve_sensor_def("export_complete")
        context = dg.build_sensor_context(
            instance=self.house.instance,
            cursor=self.cursor,
            definitions=definitions,
            resources={**self.house.resources, **overrides},
        )
        result = sensor.evaluate_tick(context)
        self.cursor = result.cursor
        return list(result.run_requests or [])

    def start(
        self, request: dg.RunRequest, status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED
    ) -> None:
        """What the daemon does with a request."""
        assert request.job_name is not None
        tags = {**request.tags, "dagster/partition": request.partition_key or ""}
        self.house.instance.add_run(dg.DagsterRun(job_name=request.job_name, tags=tags, status=status))


@pytest.fixture
def ticks(house: House) -> Ticks:
    return Ticks(house)


def url(house: House, name: str) -> str:
    return str(client("sqs").get_queue_url(QueueName=name)["QueueUrl"])


def s3_event(house: House, day: date = DAY, noun: str = "visits", **changes: Any) -> str:
    key = f"exports/{noun}/snapshot_date={day}/AWSDynamoDB/01700000000000-0a1b2c3d/manifest-summary.json"
    body = {
        "version": "0",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "detail": {"bucket": {"name": house.names.bucket}, "object": {"key": changes.pop("key", key)}},
    }
    return json.dumps({**body, **changes})


def send(house: House, *bodies: str) -> None:
    for body in bodies:
        client("sqs").send_message(QueueUrl=url(house, house.names.queue), MessageBody=body)


def waiting(house: House, name: str = "") -> int:
    """Messages in the queue that are not deleted, seen or not."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    where = url(house, name or house.names.queue)
    found = client("sqs").get_queue_attributes(QueueUrl=where, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)


def dead_letters(house: House) -> list[tuple[str, str]]:
    answer = client("sqs").receive_message(
        QueueUrl=url(house, house.names.dead_letters), MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    )
    return [
        (message["Body"], message["MessageAttributes"]["reason"]["StringValue"])
        for message in answer.get("Messages", [])
    ]


def eventually(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def test_an_export_that_completes_starts_the_days_audit(house: House, ticks: Ticks) -> None:
    """The whole way: DynamoDB writes the manifest, S3 tells EventBridge, its rule tells the queue."""
    house.load([event("a")])
    house.materialize("visits_export")
    eventually(lambda: waiting(house) > 0)
    (request,) = ticks.tick()
    (summary,) = client("dynamodb").list_exports(TableArn=house.exports.table_arn(house.table))[
        "ExportSummaries"
    ]
    assert request.job_name == DAILY_AUDIT
    assert request.partition_key == yesterday().isoformat()
    assert request.run_key == f"{yesterday()}:1"
    assert request.tags[EXPORTS_TAG] == summary["ExportArn"].rsplit("/", 1)[-1]
    assert waiting(house) > 0, "the message was deleted before its run was there"
    ticks.start(request)
    assert ticks.tick() == []
    assert waiting(house) == 0


def test_an_event_twice_is_one_run(house: House, ticks: Ticks) -> None:
    send(house, s3_event(house), s3_event(house))
    (request,) = ticks.tick()
    ticks.start(request)
    assert ticks.tick() == []
    send(house, s3_event(house))
    assert ticks.tick() == []
    assert waiting(house) == 0


def test_a_request_that_became_no_run_is_made_again_under_its_key(house: House, ticks: Ticks) -> None:
    send(house, s3_event(house))
    (first,) = ticks.tick()
    ticks.cursor = None  # the tick died before its cursor was kept
    (second,) = ticks.tick()
    assert first.run_key == second.run_key


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS])
def test_a_late_event_of_a_day_that_had_its_run_is_deleted(
    house: House, ticks: Ticks, status: dg.DagsterRunStatus
) -> None:
    """Also when the run failed: it is run again by a person, not by a message that comes twice."""
    send(house, s3_event(house))
    (request,) = ticks.tick()
    ticks.start(request, status)
    ticks.cursor = None
    assert ticks.tick() == []
    assert waiting(house) == 0


def test_a_new_export_of_a_day_is_a_new_attempt(house: House, ticks: Ticks) -> None:
    send(house, s3_event(house))
    (first,) = ticks.tick()
    ticks.start(first, dg.DagsterRunStatus.FAILURE)
    key = f"exports/visits/snapshot_date={DAY}/AWSDynamoDB/01700000000001-ffffffff/manifest-summary.json"
    send(house, s3_event(house, key=key), s3_event(house))
    (second,) = ticks.tick()
    assert (first.run_key, second.run_key) == (f"{DAY}:1", f"{DAY}:2")


def test_a_run_that_a_person_started_is_not_doubled(house: House, ticks: Ticks) -> None:
    """A backfill's run exports, types and audits; its export's event must start nothing else."""
    everything = frozenset(
        dg.AssetKey(["snapshot", noun]) for noun in ("visits_export", "visits_raw", "visits")
    )
    house.instance.add_run(
        dg.DagsterRun(
            job_name="__ASSET_JOB",
            asset_selection=everything,
            tags={"dagster/partition": DAY.isoformat()},
            status=dg.DagsterRunStatus.STARTED,
        )
    )
    send(house, s3_event(house))
    assert ticks.tick() == []
    assert waiting(house) == 0


def test_a_run_that_only_exports_is_followed_by_the_audit(house: House, ticks: Ticks) -> None:
    for name, selection in (
        (NIGHTLY_EXPORTS, None),
        ("__ASSET_JOB", frozenset({dg.AssetKey(["snapshot", "visits_export"])})),
    ):
        tags = {"dagster/partition": DAY.isoformat()}
        house.instance.add_run(dg.DagsterRun(job_name=name, asset_selection=selection, tags=tags))
    send(house, s3_event(house))
    assert [request.job_name for request in ticks.tick()] == [DAILY_AUDIT]


def test_what_cannot_be_understood_goes_to_the_dead_letters_with_its_reason(
    house: House, ticks: Ticks
) -> None:
    tomorrow = days_ago(-1)
    garbled = {
        "no S3 event of EventBridge, expected detail.bucket.name and detail.object.key": "{not json",
        "another detail-type, expected 'Object Created'": s3_event(
            house, **{"detail-type": "Object Deleted"}
        ),
        f"another bucket, expected {house.names.bucket}": json.dumps(
            {"detail-type": "Object Created", "detail": {"bucket": {"name": "x"}, "object": {"key": "y"}}}
        ),
        (
            "another key, expected exports/<table>/snapshot_date=YYYY-MM-DD/AWSDynamoDB/<export id>/"
            "manifest-summary.json"
        ): s3_event(house, key="exports/visits/manifest-summary.json"),
        "a table that is not governed, expected one of visits": s3_event(house, noun="payroll"),
        "no such day, expected snapshot_date=YYYY-MM-DD": s3_event(
            house,
            key="exports/visits/snapshot_date=2026-02-30/AWSDynamoDB/01700000000000-0a1b2c3d/manifest-summary.json",
        ),
        "a day that has not ended or is before the estate's start, expected one between": s3_event(
            house, tomorrow
        ),
    }
    send(house, *garbled.values())
    assert ticks.tick() == []
    assert waiting(house) == 0
    assert sorted(dead_letters(house)) == sorted((body, reason) for reason, body in garbled.items())


def test_a_garbled_message_does_not_hold_up_a_good_one(house: House, ticks: Ticks) -> None:
    send(house, "null", s3_event(house), "[]")
    assert len(ticks.tick()) == 1
    assert len(dead_letters(house)) == 2


def test_an_export_whose_event_never_came_is_asked_for(
    house: House, ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    client("events").disable_rule(Name=house.names.rule)
    house.load([event("a")])
    house.materialize("visits_export", day=DAY)
    assert ticks.tick() == [], "it was asked for before its event had the time to come"
    monkeypatch.setenv("PRIVACY_ASSETS_EXPORT_POLL_SECONDS", "0.001")
    ticks.cursor = None  # lost: the started exports are read again
    found: list[dg.RunRequest] = []

    def asked() -> bool:
        found.extend(ticks.tick())
        return bool(found)

    eventually(asked)
    assert [request.run_key for request in found] == [f"{DAY}:1"]
    ticks.start(found[0])
    assert ticks.tick() == []
    assert json.loads(ticks.cursor or "{}")["awaited"] == {}


class Scripted(ExportsResource):
    """Exports in a state that can't be ordered of DynamoDB; counts what it is asked."""

    status: str

    def describe_or_none(self, arn: str) -> Export | None:
        asked.append(arn)
        export = super().describe_or_none(arn)
        assert export is not None
        return Export(**{**vars(export), "status": self.status, "failure": "UNKNOWN: bucket gone"})


asked: list[str] = []


def test_a_failed_export_is_started_again_twice_at_most(
    house: House, ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    client("events").disable_rule(Name=house.names.rule)
    monkeypatch.setenv("PRIVACY_ASSETS_EXPORT_POLL_SECONDS", "0.001")
    house.load([event("a")])
    house.materialize("visits_export", day=DAY)
    failing = Scripted(bucket=house.names.bucket, status="FAILED")
    (request,) = ticks.tick(dynamodb_exports=failing)
    assert request.job_name == NIGHTLY_EXPORTS
    assert request.run_key == f"{DAY}:visits_export:2"
    assert request.partition_key == DAY.isoformat()
    assert request.asset_selection == [dg.AssetKey(["snapshot", "visits_export"])]
    assert ticks.tick(dynamodb_exports=failing) == []


def test_an_export_in_progress_is_asked_ever_less_often(
    house: House, ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    client("events").disable_rule(Name=house.names.rule)
    monkeypatch.setenv("PRIVACY_ASSETS_EXPORT_POLL_SECONDS", "0.001")
    house.load([event("a")])
    house.materialize("visits_export", day=DAY)
    monkeypatch.setenv("PRIVACY_ASSETS_EXPORT_POLL_SECONDS", "3600")
    slow = Scripted(bucket=house.names.bucket, status="IN_PROGRESS")
    asked.clear()
    assert ticks.tick(dynamodb_exports=slow) == []
    state = json.loads(ticks.cursor or "{}")
    assert asked == []
    (awaited,) = state["awaited"].values()
    awaited["due"] = 0
    ticks.cursor = json.dumps(state)
    assert ticks.tick(dynamodb_exports=slow) == []
    assert ticks.tick(dynamodb_exports=slow) == []
    assert len(asked) == 1


def test_all_tables_of_a_day_are_waited_for(aws: str, unique: str, tmp_path: Path) -> None:
    house = House.build(aws, unique, tmp_path, nouns=("visits", "orders"))
    ticks = Ticks(house)
    send(house, s3_event(house))
    assert ticks.tick() == []
    assert waiting(house) == 1
    send(house, s3_event(house, noun="orders"))
    (request,) = ticks.tick()
    assert request.tags[EXPORTS_TAG] == "01700000000000-0a1b2c3d+01700000000000-0a1b2c3d"


def test_many_days_are_asked_for_in_turn(house: House, ticks: Ticks) -> None:
    days = [DAY - timedelta(days=number) for number in range(30)]
    send(house, *(s3_event(house, day) for day in days))
    first = ticks.tick()
    assert [request.partition_key for request in first] == [str(day) for day in sorted(days)[:25]]
    for request in first:
        ticks.start(request)
    assert [request.partition_key for request in ticks.tick()] == [str(day) for day in sorted(days)[25:]]


def test_a_tick_with_nothing_to_do_is_cheap(ticks: Ticks) -> None:
    ticks.tick()
    calls: list[str] = []
    for service in ("sqs", "dynamodb", "s3", "glue", "athena"):
        events = clients.client(service).meta.events
        events.register(f"before-call.{service}", lambda model, **_: calls.append(model.name))
    assert ticks.tick() == []
    assert calls == ["GetQueueUrl", "ReceiveMessage"]


def test_a_cursor_that_cannot_be_read_is_as_none(house: House, ticks: Ticks) -> None:
    ticks.cursor = "{broken"
    send(house, s3_event(house))
    assert len(ticks.tick()) == 1
