"""The queue of events: as large as it may be, and brought to what is declared."""

import boto3
import pytest

from resources.busy_queue import BusyQueueResource
from resources.provision import Names, differences, provision
from resources.provision_ingest import IngestNames
from tests.house import ingest_names

LIMIT = 1 << 20


@pytest.fixture
def names(aws: str, unique: str) -> IngestNames:
    names = ingest_names(unique)
    provision([], all_names(names, unique))
    return names


def all_names(names: IngestNames, unique: str) -> Names:
    return Names(
        bucket=f"lake-{unique}",
        database=f"db_{unique}",
        workgroup=f"wg-{unique}",
        crawler_role=f"arn:aws:iam::123456789012:role/crawler-{unique}",
        queue=f"exports-{unique}",
        dead_letters=f"exports-{unique}-dead",
        topic=names.topic,
        rule=f"export-complete-{unique}",
        scan_requests=f"scans-{unique}",
        scan_dead_letters=f"scans-{unique}-dead",
        scan_jobs=f"scan-jobs-{unique}",
        ingest=names,
    )


@pytest.fixture
def queue(names: IngestNames) -> BusyQueueResource:
    return BusyQueueResource(queue=names.queue, dead_letters=names.dead_letters)


def test_what_was_changed_is_corrected(names: IngestNames, unique: str) -> None:
    everything = all_names(names, unique)
    assert differences([], everything) == []
    sqs, url = boto3.client("sqs"), boto3.client("sqs").get_queue_url(QueueName=names.queue)["QueueUrl"]
    sqs.set_queue_attributes(
        QueueUrl=url, Attributes={"MaximumMessageSize": "262144", "VisibilityTimeout": "30"}
    )
    assert differences([], everything) == [
        f"queue {names.queue}: message bytes is 262144, expected 1048576",
        f"queue {names.queue}: seconds hidden is 30, expected 300",
    ]
    provision([], everything)
    assert differences([], everything) == []


def test_a_dead_letter_as_large_as_a_message_may_be_keeps_what_it_can_of_its_reason(
    queue: BusyQueueResource,
) -> None:
    reason = "no JSON, expected a message of events"
    full = len("reason") + len("String")
    for size in (LIMIT, LIMIT - full, LIMIT - full - 7, 10):
        queue.bury("x" * size, reason)
        kept = {LIMIT: "none", LIMIT - full: "none", 10: reason}.get(size, "no JSON")
        assert list(queue.redrive()) == [kept]
        messages = queue.receive(wait=0)
        assert [len(message.body) for message in messages] == [size]
        queue.delete(messages)
