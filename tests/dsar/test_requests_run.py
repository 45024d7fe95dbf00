"""What may happen to requests: told twice, wrongly, approved, rejected, failing, blocked, late, retired."""

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from privacy_assets.dsar import watch
from privacy_assets.dsar.names import APPROVAL_KEY, DSAR_APPROVAL, PARTITIONS
from privacy_assets.dsar.register import Refused
from privacy_assets.dsar.requests import JobId, Message
from privacy_assets.dsar.states import Action
from privacy_assets.dsar.stores.dynamodb import DynamoDb
from privacy_assets.dsar.stores.protocol import StoreError
from sensors import dsar_requests as sensors
from tests.dsar.desk import CUSTOMER, DEVICE, PLANTED, Desk
from tests.house import client


def subscribed(desk: Desk) -> str:
    """A queue that hears what the topic of requests is told; its URL."""
    sqs, sns = client("sqs"), client("sns")
    url = sqs.create_queue(QueueName=f"heard-{desk.unique}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=desk.resources.request_topic.topic_arn, Protocol="sqs", Endpoint=arn)
    return str(url)


def heard(url: str) -> list[dict[str, Any]]:
    found = []
    while messages := client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for each in messages:
            found.append(json.loads(each["Body"]))
            client("sqs").delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
    return found


def test_a_message_is_deleted_once_its_run_is_there(desk: Desk) -> None:
    job_id = desk.submit()
    for _ in range(3):
        desk.register.ask(job_id)
    (request,) = desk.tick("dsar_requests")
    assert (request.run_key, request.partition_key) == (f"{job_id}:1", job_id)
    assert desk.house.instance.get_dynamic_partitions(PARTITIONS) == [job_id]
    assert desk.waiting(f"dsar-{desk.unique}") == 4  # the tick may die before its run is made
    assert desk.tick("dsar_requests") == []
    tags = {**request.tags, "dagster/partition": job_id}
    desk.house.instance.add_run(
        dg.DagsterRun(job_name="dsar_request", tags=tags, status=dg.DagsterRunStatus.STARTED)
    )
    desk.tick("dsar_requests")
    assert desk.waiting(f"dsar-{desk.unique}") == 0


def test_malformed_messages_are_dead_letters(desk: Desk) -> None:
    job_id = desk.submit()
    queue = desk.resources.dsar_queue
    for body in (
        "{",
        Message(JobId("dsar-" + "0" * 32), Action.EXPORT).body,
        Message(JobId(job_id), Action.DELETE).body,
    ):
        queue.send(body)
    assert [request.partition_key for request in desk.tick("dsar_requests")] == [job_id]
    url = client("sqs").get_queue_url(QueueName=f"dsar-dead-{desk.unique}")["QueueUrl"]
    letters = client("sqs").receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    )["Messages"]
    assert sorted(each["MessageAttributes"]["reason"]["StringValue"] for each in letters) == [
        f"dsar-{'0' * 32}: there is no such request",
        f"{job_id}: another action than the request's",
        "no JSON, expected {jobId, action}",
    ]


def test_a_message_that_was_lost_is_made_up_for(desk: Desk) -> None:
    job_id = desk.submit()
    client("sqs").purge_queue(
        QueueUrl=client("sqs").get_queue_url(QueueName=f"dsar-{desk.unique}")["QueueUrl"]
    )
    desk.tick("dsar_jobs")
    assert desk.tick("dsar_requests") == []  # it may be on its way
    later = sensors.dsar_jobs_sensor(lambda: datetime.now(UTC) + timedelta(minutes=5))
    later._raw_fn(dg.build_sensor_context(instance=desk.house.instance, resources=desk.house.resources))
    assert [request.partition_key for request in desk.tick("dsar_requests")] == [job_id]


def test_an_erasure_waits_for_its_approval(careful_desk: Desk, tmp_path: Path) -> None:
    desk = careful_desk
    url = subscribed(desk)
    job_id = desk.submit("delete")
    desk.settle()
    job = desk.job(job_id)
    assert (job["state"], job["reason"]) == ("BLOCKED", "approval")
    assert {name: each["before"] for name, each in job["stores"].items()} == {
        "crm": 3,
        "devices": 1,
        "logs": 5,
        "avatars": 1,
    }
    assert CUSTOMER.encode() in desk.holdings(tmp_path)
    assert [each["Subject"] for each in heard(url)] == [f"Request BLOCKED: {job_id}"]
    with pytest.raises(Refused, match="waits for approval"):
        desk.register.retry(job_id, "somebody")
    approval = desk.house.definitions.resolve_job_def(DSAR_APPROVAL)
    ran = approval.execute_in_process(
        instance=desk.house.instance,
        partition_key=job_id,
        run_config={"ops": {"__".join(APPROVAL_KEY): {"config": {"decided_by": "officer-7"}}}},
    )
    assert ran.success
    desk.settle()
    job = desk.job(job_id)
    assert (job["state"], job["attempt"], job["approval"]["by"]) == ("COMPLETED", 2, "officer-7")
    assert not [value for value in PLANTED if value.encode() in desk.holdings(tmp_path)]
    kinds = desk.kinds(job_id)
    assert kinds.index("dsar.approved") < kinds.index("dsar.store_erased")
    assert heard(url)[0]["Subject"] == f"Request COMPLETED: {job_id}"


def test_a_rejected_request_is_forgotten(careful_desk: Desk) -> None:
    desk = careful_desk
    job_id = desk.submit("delete")
    desk.settle()
    desk.register.reject(job_id, "officer-7", "the contract runs on")
    desk.tick("dsar_jobs")
    job = desk.job(job_id)
    assert (job["state"], job["reason"]) == ("REJECTED", "the contract runs on")
    assert "sealed" not in job
    assert not list(desk.objects(f"requests-{desk.unique}"))
    assert desk.kinds(job_id)[-1] == "dsar.rejected"
    with pytest.raises(Refused):
        desk.register.approve(job_id, "officer-7")


def test_after_a_rejection_nobody_is_being_erased(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an attempt has deleted may be restored then; who was erased by another request stays erased."""
    erase = DynamoDb.erase

    def fails(store: DynamoDb, *arguments: Any) -> Any:
        if store.name == "logs":
            raise StoreError("logs: not now")
        return erase(store, *arguments)

    monkeypatch.setattr(DynamoDb, "erase", fails)
    job_id = desk.submit("delete")
    desk.settle()
    erasures = desk.resources.erasures
    assert desk.job(job_id)["state"] == "PARTIALLY_FAILED"
    assert erasures.of([("visits", DEVICE)])["visits", DEVICE].request_id == job_id
    erasures.begin("visits", "device-2", "another-request")
    erasures.complete("visits", "device-3", job_id)
    desk.register.reject(job_id, "officer-7", "somebody else was meant")
    desk.settle()
    assert desk.job(job_id)["state"] == "REJECTED"
    asked = [("visits", name) for name in (DEVICE, "device-2", "device-3")]
    assert {subject for _, subject in erasures.of(asked)} == {"device-2", "device-3"}


def test_a_store_that_fails_keeps_no_other_from_its_work(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = subscribed(desk)
    crm = tmp_path / "crm.sqlite"
    crm.rename(tmp_path / "away.sqlite")
    crm.mkdir()  # no database can be opened here
    job_id = desk.submit("export", identifiers={"customer_id": CUSTOMER})
    desk.settle()
    job = desk.job(job_id)
    assert (job["state"], job["reason"]) == ("PARTIALLY_FAILED", "failed in crm"), job
    states = {name: each["state"] for name, each in job["stores"].items()}
    assert states == {"crm": "FAILED", "devices": "DONE", "logs": "DONE", "avatars": "DONE"}
    assert len(list(desk.objects(f"requests-{desk.unique}", f"dsar/{job_id}/"))) == 3
    assert [each["Subject"] for each in heard(url)] == [f"Request PARTIALLY_FAILED: {job_id}"]
    crm.rmdir()
    (tmp_path / "away.sqlite").rename(crm)
    desk.register.retry(job_id, "somebody")
    desk.settle()
    job = desk.job(job_id)
    assert (job["state"], job["attempt"]) == ("COMPLETED", 2)
    assert job["bundle"]["records"] == 10
    # The CRM was asked who it is about, and told of nothing that the others had not searched for.
    assert {name: each["attempt"] for name, each in job["stores"].items()}["crm"] == 2


def test_a_run_that_a_person_starts_is_a_new_attempt(desk: Desk, tmp_path: Path) -> None:
    crm = tmp_path / "crm.sqlite"
    crm.rename(tmp_path / "away.sqlite")
    crm.mkdir()
    job_id = desk.submit()
    desk.settle()
    assert desk.job(job_id)["state"] in ("FAILED", "PARTIALLY_FAILED")
    crm.rmdir()
    (tmp_path / "away.sqlite").rename(crm)
    assert desk.execute(dg.RunRequest(partition_key=job_id)).success
    assert (desk.job(job_id)["state"], desk.job(job_id)["attempt"]) == ("COMPLETED", 2)


def test_what_a_lock_holds_is_taken_up_again_on_its_date(aws: str, unique: str, tmp_path: Path) -> None:
    s3 = client("s3")
    bucket = f"locked-{unique}"
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    until = datetime.now(UTC) + timedelta(days=3)
    s3.put_object(
        Bucket=bucket,
        Key=f"users/{CUSTOMER}/contract.pdf",
        Body=b"contract",
        ObjectLockMode="GOVERNANCE",
        ObjectLockRetainUntilDate=until,
    )
    from tests.dsar.desk import stores_of

    locked = {
        "name": "vault",
        "kind": "s3_prefix",
        "bucket": bucket,
        "keys": "users/{customer_id}/",
        "owner": "team:a",
    }
    desk = Desk.build(aws, unique, tmp_path, stores=[stores_of(unique)[0], locked])
    job_id = desk.submit("delete")
    desk.settle()
    job = desk.job(job_id)
    assert job["state"] == "BLOCKED", job
    assert abs(datetime.fromisoformat(job["until"]) - until) < timedelta(seconds=2)
    assert job["reason"].startswith("vault: ")
    desk.tick("dsar_jobs")
    assert desk.job(job_id)["state"] == "BLOCKED"
    (version,) = s3.list_object_versions(Bucket=bucket)["Versions"]
    s3.put_object_retention(
        Bucket=bucket,
        Key=version["Key"],
        VersionId=version["VersionId"],
        Retention={},
        BypassGovernanceRetention=True,
    )
    after = sensors.dsar_jobs_sensor(lambda: until + timedelta(minutes=1))
    after._raw_fn(dg.build_sensor_context(instance=desk.house.instance, resources=desk.house.resources))
    assert desk.job(job_id)["state"] == "PENDING"
    desk.settle()
    job = desk.job(job_id)
    assert (job["state"], job["attempt"]) == ("COMPLETED", 2), job
    assert not s3.list_object_versions(Bucket=bucket).get("Versions")


def test_erased_subjects_are_registered(desk: Desk) -> None:
    job_id = desk.submit("delete")
    desk.settle()
    erasures = desk.resources.erasures
    (found,) = erasures.of([("visits", DEVICE), ("visits", "device-2")]).items()
    assert found[0] == ("visits", DEVICE)
    assert found[1].request_id == job_id
    assert found[1].completed is not None


def test_an_erasure_that_is_repeated_says_that_nothing_was_there(desk: Desk) -> None:
    desk.submit("delete")
    desk.settle()
    again = desk.submit("delete")
    desk.settle()
    job = desk.job(again)
    assert job["state"] == "COMPLETED"
    assert {(each["before"], each["erased"], each["after"]) for each in job["stores"].values()} == {(0, 0, 0)}


def test_deadlines_are_told_before_they_are_over(desk: Desk) -> None:
    url = subscribed(desk)
    received = datetime.now(UTC) - timedelta(days=42)
    job_id = desk.submit("export", jurisdiction="US-CA", received_at=received.isoformat())
    desk.submit("export")
    topic = desk.resources.request_topic

    def told_of(now: datetime) -> list[str]:
        return [
            job["job_id"]
            for job in watch.standing(desk.register)
            if watch.warn(desk.register, topic, job, now)
        ]

    assert told_of(datetime.now(UTC)) == [job_id]
    assert told_of(datetime.now(UTC)) == []
    (told,) = heard(url)
    assert "Answer due in 3 days" in told["Message"]
    assert "acknowledgement overdue" in told["Message"]
    desk.register.acknowledge(job_id, "somebody")
    late = datetime.now(UTC) + timedelta(days=4)
    assert told_of(late) == [job_id]
    assert "Answer overdue since" in heard(url)[0]["Message"]
    due = sensors.dsar_due_sensor(lambda: late)
    ticked = due._raw_fn(
        dg.build_sensor_context(instance=desk.house.instance, resources=desk.house.resources)
    )
    assert ticked.asset_events[0].check_name == "in_time"


def test_a_clock_can_be_paused_and_extended(desk: Desk) -> None:
    received = datetime.now(UTC) - timedelta(days=10)
    job_id = desk.submit("export", received_at=received.isoformat())
    before = desk.job(job_id)["due"]
    desk.register.extend(job_id, "somebody", "many systems")
    assert desk.job(job_id)["due"] > before
    with pytest.raises(Refused, match="extended already"):
        desk.register.extend(job_id, "somebody", "many systems")
    desk.register.pause(job_id, "somebody", "asked for proof of identity")
    assert desk.job(job_id)["pauses"][0].get("end") is None
    desk.register.resume(job_id, "somebody")
    assert desk.kinds(job_id) == ["dsar.received", "dsar.extended", "dsar.paused", "dsar.resumed"]
    california = desk.submit("export", jurisdiction="US-CA")
    with pytest.raises(Refused, match="stops the clock for nothing"):
        desk.register.pause(california, "somebody", "asked for proof of identity")


def test_partitions_are_retired_and_records_stay(desk: Desk) -> None:
    job_id = desk.submit()
    desk.settle()
    assert desk.house.instance.get_dynamic_partitions(PARTITIONS) == [job_id]
    late = sensors.dsar_jobs_sensor(lambda: datetime.now(UTC) + timedelta(days=31))
    context = dg.build_sensor_context(instance=desk.house.instance, resources=desk.house.resources)
    (request,) = late._raw_fn(context).dynamic_partitions_requests
    assert list(request.partition_keys) == [job_id]
    desk.house.instance.delete_dynamic_partition(PARTITIONS, job_id)
    late._raw_fn(context)
    assert desk.job(job_id)["retired_at"]
    assert late._raw_fn(context).__class__ is dg.SkipReason
    assert [job["job_id"] for job in desk.register.jobs.all()] == [job_id]


def test_submitted_twice_is_one_request(desk: Desk) -> None:
    job_id = desk.submit()
    assert desk.submit(job_id=job_id) == job_id
    assert desk.kinds(job_id) == ["dsar.received"]
    desk.settle()
    assert desk.submit(job_id=job_id) == job_id
    assert desk.waiting(f"dsar-{desk.unique}") == 0


@pytest.mark.parametrize("action", ["export", "delete"])
def test_nothing_of_the_subject_is_left_behind(desk: Desk, tmp_path: Path, action: str) -> None:
    """In the event log, tags, the register, the ledger, queues and notices; in an answer it is."""
    url = subscribed(desk)
    with sqlite3.connect(tmp_path / "crm.sqlite") as crm:  # an error that quotes what it was about
        crm.execute("ALTER TABLE orders RENAME TO hidden")
    job_id = desk.submit(action)
    desk.settle()
    # Nothing is erased for a subject who is half known.
    assert desk.job(job_id)["state"] == ("FAILED" if action == "delete" else "PARTIALLY_FAILED")
    with sqlite3.connect(tmp_path / "crm.sqlite") as crm:
        crm.execute("ALTER TABLE hidden RENAME TO orders")
    desk.register.retry(job_id, "somebody")
    desk.settle()
    assert desk.job(job_id)["state"] == "COMPLETED"
    instance = desk.house.instance
    told = [repr(desk.job(job_id)), repr(heard(url)), *map(repr, instance.get_runs())]
    for run in instance.get_runs():
        told += [
            entry.to_json() if hasattr(entry, "to_json") else repr(entry)
            for entry in instance.all_logs(run.run_id)
        ]
    told += [repr(body) for _, body in desk.objects(f"evidence-{desk.unique}")]
    told += [repr(item) for item in desk.items(f"requests-{desk.unique}")]
    told += [repr(item) for item in desk.items(f"ledger-{desk.unique}")]
    for value in (*PLANTED, "nobody-knows-this"):
        assert not [text for text in told if value in text]
    assert not list(desk.objects(f"requests-{desk.unique}", "work/"))
