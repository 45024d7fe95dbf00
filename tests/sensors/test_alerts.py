"""Alerts arrive at a queue that is subscribed to the topic, once, and carry no personal value."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import dagster as dg
import pytest

from resources.sns import AlertResource
from sensors.alerts import DAILY_REPORT, run_failure_alerts, violation_alerts

PLANTED = "jane.doe@example.com"
VIOLATED = [{"id": "consent.missing", "severity": "high", "violations": 1840, "threshold": 5}]


class Inbox:
    """A queue that is subscribed to a topic of its own."""

    def __init__(self, name: str) -> None:
        self._sns, self._sqs = boto3.client("sns"), boto3.client("sqs")
        self.topic = self._sns.create_topic(Name=name)["TopicArn"]
        self._queue = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        self._sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"])

    def messages(self) -> list[tuple[str, str]]:
        """Subject and text of what has come since the last look."""
        found = []
        while batch := self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for message in batch:
                body = json.loads(message["Body"])
                found.append((body["Subject"], body["Message"]))
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        return found


@pytest.fixture
def inbox(aws: str, unique: str) -> Inbox:
    return Inbox(f"alerts-{unique}")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def report(instance: dg.DagsterInstance, day: str, violated: list[dict[str, Any]]) -> None:
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            DAILY_REPORT,
            partition=day,
            metadata={
                "verdict": "1 of 14 rules is broken (1 high)" if violated else "All 14 rules hold",
                "violated_audits": dg.MetadataValue.json(violated),
                "not_audited": ["volume.anomaly"],
                "report": dg.MetadataValue.url("https://signed.example/report.html?X-Amz-Signature=secret"),
                "s3": dg.MetadataValue.url("https://console.example/report.html"),
                "summary": dg.MetadataValue.md(f"whatever {PLANTED}"),
            },
        )
    )


def tick(
    sensor: dg.SensorDefinition, instance: dg.DagsterInstance, topic: str, cursor: str | None = None
) -> str | None:
    """Evaluate once; the cursor after it."""
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, resources={"alerts": AlertResource(topic_arn=topic)}
    )
    return sensor.evaluate_tick(context).cursor


def test_a_broken_rule_is_told_once(inbox: Inbox, instance: dg.DagsterInstance) -> None:
    report(instance, "2026-01-30", [])
    report(instance, "2026-01-31", VIOLATED)
    sensor = violation_alerts()
    cursor = tick(sensor, instance, inbox.topic)
    [(subject, text)] = inbox.messages()
    assert subject == "Privacy audit 2026-01-31: 1 of 14 rules is broken (1 high)"
    assert "high: consent.missing, 1,840 violations, 5 allowed" in text
    assert "Not audited: volume.anomaly" in text
    assert "Report: https://console.example/report.html" in text
    assert PLANTED not in text
    assert "secret" not in text, "a link that opens for anybody stays out of mail"

    assert tick(sensor, instance, inbox.topic, cursor) == cursor
    assert inbox.messages() == []
    report(instance, "2026-01-31", VIOLATED)
    tick(sensor, instance, inbox.topic, cursor)
    assert [subject for subject, _ in inbox.messages()] == [subject], "another attempt is another alert"


def test_a_rule_that_could_not_be_judged_is_told(inbox: Inbox, instance: dg.DagsterInstance) -> None:
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            DAILY_REPORT,
            partition="2026-01-31",
            metadata={"verdict": "0 of 1 rules hold", "not_judged": ["minors.consent"]},
        )
    )
    tick(violation_alerts(), instance, inbox.topic)
    [(_, text)] = inbox.messages()
    assert "Not judged on all rows, since values could not be read: minors.consent" in text


def test_a_report_without_violations_is_not_told_but_read(inbox: Inbox, instance: dg.DagsterInstance) -> None:
    report(instance, "2026-01-31", [])
    assert tick(violation_alerts(), instance, inbox.topic) is not None
    assert inbox.messages() == []


def test_an_alert_that_fails_is_tried_again(
    inbox: Inbox, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in ("2026-01-29", "2026-01-30", "2026-01-31"):
        report(instance, day, VIOLATED)
    sensor, publish, calls = violation_alerts(), AlertResource.publish, []

    def breaks_once(self: AlertResource, subject: str, message: str) -> str:
        calls.append(subject)
        if len(calls) == 2:
            raise ConnectionError(PLANTED)
        return publish(self, subject, message)

    monkeypatch.setattr(AlertResource, "publish", breaks_once)
    cursor = tick(sensor, instance, inbox.topic)
    assert len(inbox.messages()) == 1
    tick(sensor, instance, inbox.topic, cursor)
    assert [subject[14:24] for subject, _ in inbox.messages()] == ["2026-01-30", "2026-01-31"]


def test_when_nothing_can_be_published_the_cursor_stays(
    aws: str, unique: str, instance: dg.DagsterInstance
) -> None:
    report(instance, "2026-01-31", VIOLATED)
    with pytest.raises(Exception, match="NotFound"):
        tick(violation_alerts(), instance, f"arn:aws:sns:us-east-1:123456789012:nowhere-{unique}")


def failed_run(instance: dg.DagsterInstance, day: str) -> str:
    @dg.op
    def audits() -> None:
        try:
            int(PLANTED)
        except ValueError as error:
            raise LookupError(f"row of {PLANTED}") from error

    @dg.job
    def daily_audit() -> None:
        audits()

    done = daily_audit.execute_in_process(
        instance=instance, raise_on_error=False, tags={"dagster/partition": day}
    )
    assert not done.success
    return done.run_id


def test_a_failed_run_is_told_without_what_its_error_says(inbox: Inbox, instance: dg.DagsterInstance) -> None:
    run_id = failed_run(instance, "2026-01-31")
    cursor = tick(run_failure_alerts(), instance, inbox.topic)
    [(subject, text)] = inbox.messages()
    assert subject == "Failed: daily_audit, 2026-01-31"
    assert run_id in text
    assert "Step audits: ValueError" in text
    assert PLANTED not in text

    assert tick(run_failure_alerts(), instance, inbox.topic, cursor) == cursor
    assert inbox.messages() == []
    failed_run(instance, "2026-02-01")
    tick(run_failure_alerts(), instance, inbox.topic, cursor)
    assert [subject for subject, _ in inbox.messages()] == ["Failed: daily_audit, 2026-02-01"]
