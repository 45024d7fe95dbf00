"""Requests for scans: asked for once, twice, wrongly, and again after a failure; the job tells the end."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from privacy_assets.partitions import BUCKETS
from privacy_assets.scan.assets import JOB_TAG, SCAN_JOB
from privacy_assets.scan.requests import ScanRequest
from resources.scan_jobs import FAILED, SUCCEEDED, ScanJobsResource
from tests.house import House, client


@pytest.fixture
def house(aws: str, unique: str, tmp_path: Path) -> House:
    governed = {"name": f"governed-{unique}", "owner": "team:data"}
    house = House.build(aws, unique, tmp_path, buckets=[governed])
    url = client("sqs").get_queue_url(QueueName=house.names.scan_requests)["QueueUrl"]
    # What a tick has not deleted is there again for the next, so that no test waits for a timeout.
    client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "0"})
    return house


@pytest.fixture
def jobs(house: House) -> ScanJobsResource:
    found: ScanJobsResource = house.resources["scan_jobs"]
    return found


def ask(house: House, body: Any) -> None:
    house.resources["scan_queue"].send(body if isinstance(body, str) else json.dumps(body))


def tick(house: House, monkeypatch: pytest.MonkeyPatch) -> list[dg.RunRequest]:
    import sensors.scan_requests as module

    monkeypatch.setattr(module, "_AGAIN_SECONDS", 0)
    definitions = house.definitions
    context = dg.build_sensor_context(
        instance=house.instance, definitions=definitions, resources=house.resources
    )
    result = definitions.resolve_sensor_def("scan_requests")(context)
    for request in result.dynamic_partitions_requests or []:
        house.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
    return list(result.run_requests or [])


def start(house: House, request: dg.RunRequest) -> None:
    """What the daemon does with a request."""
    tags = {**request.tags, "dagster/partition": request.partition_key or ""}
    house.instance.add_run(dg.DagsterRun(job_name=SCAN_JOB, tags=tags, status=dg.DagsterRunStatus.STARTED))


def left(house: House, queue: str) -> int:
    url = client("sqs").get_queue_url(QueueName=queue)["QueueUrl"]
    said = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return int(said["ApproximateNumberOfMessages"]) + int(said["ApproximateNumberOfMessagesNotVisible"])


def test_a_request_is_a_job_and_a_run_however_often_it_comes(
    house: House, jobs: ScanJobsResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ScanRequest("data-bucket", "logs/", "job-1")
    for _ in range(3):
        ask(house, request.body)
    (asked,) = tick(house, monkeypatch)
    assert (asked.run_key, asked.partition_key) == ("job-1:1", "data-bucket")
    assert asked.tags[JOB_TAG] == "job-1"
    job = jobs.get("job-1")
    assert job is not None
    assert (job["bucket"], job["prefix"], job["status"], job["attempt"]) == (
        "data-bucket",
        "logs/",
        "QUEUED",
        1,
    )
    assert left(house, house.names.scan_requests) == 3  # the tick may die before its run is made
    (again,) = tick(house, monkeypatch)
    assert again.run_key == asked.run_key
    start(house, asked)
    assert tick(house, monkeypatch) == []
    assert left(house, house.names.scan_requests) == 0


def test_buckets_become_partitions(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(house, ScanRequest("data-bucket", "", "job-1").body)
    tick(house, monkeypatch)
    there = house.instance.get_dynamic_partitions(BUCKETS.name or "")
    assert set(there) == {"data-bucket", house.estate.buckets[0].name}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{", "no JSON, expected {bucket, prefix, job_id}"),
        ("[]", "no JSON object, expected {bucket, prefix, job_id}"),
        (
            {"bucket": "b-1", "job_id": "x", "more": 1},
            "1 unknown fields, expected bucket, prefix and job_id alone",
        ),
        ({"bucket": "../x", "job_id": "x"}, "bucket: expected the name of an S3 bucket"),
        ({"bucket": "b-1", "job_id": "a b"}, "job_id: expected 1 to 128 letters, digits, _ and -"),
        ({"bucket": "b-1"}, "job_id: expected 1 to 128 letters, digits, _ and -"),
        ({"bucket": "b-1", "job_id": "x", "prefix": "x" * 1025}, "prefix: expected text of up to 1024 bytes"),
    ],
)
def test_what_asks_for_nothing_is_a_dead_letter(
    house: House, monkeypatch: pytest.MonkeyPatch, body: Any, reason: str
) -> None:
    ask(house, body)
    assert tick(house, monkeypatch) == []
    assert left(house, house.names.scan_requests) == 0
    url = client("sqs").get_queue_url(QueueName=house.names.scan_dead_letters)["QueueUrl"]
    (letter,) = client("sqs").receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert letter["MessageAttributes"]["reason"]["StringValue"] == reason


def test_another_scan_under_a_known_id_is_refused(
    house: House, jobs: ScanJobsResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs.record("job-1", "data-bucket", "")
    ask(house, ScanRequest("other-bucket", "", "job-1").body)
    assert tick(house, monkeypatch) == []
    assert left(house, house.names.scan_dead_letters) == 1


def test_a_failed_scan_can_be_asked_for_again(
    house: House, jobs: ScanJobsResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ScanRequest("data-bucket", "", "job-1")
    ask(house, request.body)
    (first,) = tick(house, monkeypatch)
    start(house, first)
    tick(house, monkeypatch)
    jobs.end("job-1", FAILED, "run failed")
    ask(house, request.body)
    (second,) = tick(house, monkeypatch)
    assert second.run_key == "job-1:2"
    start(house, second)
    jobs.end("job-1", SUCCEEDED)
    ask(house, request.body)
    assert tick(house, monkeypatch) == []
    assert left(house, house.names.scan_requests) == 0


def test_a_run_that_failed_closes_its_job(house: House, jobs: ScanJobsResource) -> None:
    jobs.record("job-1", "data-bucket", "")
    definitions = house.definitions
    sensor = definitions.resolve_sensor_def("scan_failures")
    job = definitions.resolve_job_def(SCAN_JOB)
    house.instance.add_dynamic_partitions(BUCKETS.name or "", [f"none-{house.names.bucket}"])
    result = job.execute_in_process(
        instance=house.instance,
        partition_key=f"none-{house.names.bucket}",
        tags={JOB_TAG: "job-1"},
        raise_on_error=False,
    )
    assert not result.success
    (event,) = (event for event in result.all_events if event.event_type_value == "PIPELINE_FAILURE")
    context = dg.build_run_status_sensor_context(
        sensor_name="scan_failures",
        dagster_event=event,
        dagster_instance=house.instance,
        dagster_run=result.dagster_run,
        resources=house.resources,
    ).for_run_failure()
    sensor(context)
    found = jobs.get("job-1")
    assert found is not None
    assert (found["status"], found["reason"]) == ("FAILED", f"run {result.run_id} failed")


def test_shards_that_tell_twice_count_once(jobs: ScanJobsResource) -> None:
    jobs.record("job-1", "data-bucket", "")
    jobs.begin("job-1", "run", total=100, queued=40, shards=2)
    counts = {"succeeded": 10, "failed": 1, "skipped": 1, "total_findings": 7}
    for _ in range(3):
        jobs.advance("job-1", "shard_0000", 20, counts)
    jobs.advance("job-1", "shard_0001", 20, {**counts, "succeeded": 18})
    job = jobs.get("job-1")
    assert job is not None
    names = ("total_objects", "queued", "processing", "succeeded", "failed", "skipped", "total_findings")
    assert [job[name] for name in names] == [100, 0, 8, 28, 2, 2, 14]
    assert job["progress_percent"] == 80


def test_many_shards_at_once_lose_nothing(jobs: ScanJobsResource) -> None:
    from concurrent.futures import ThreadPoolExecutor

    jobs.record("job-1", "data-bucket", "")
    jobs.begin("job-1", "run", total=80, queued=80, shards=8)
    counts = {"succeeded": 10, "failed": 0, "skipped": 0, "total_findings": 1}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: jobs.advance("job-1", f"shard_{n:04}", 10, counts), range(8)))
    job = jobs.get("job-1")
    assert job is not None
    assert (job["succeeded"], job["total_findings"], job["progress_percent"]) == (80, 8, 100)
