"""SQS as clients see it, in both protocols, and what its calls cost in a long queue."""

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import boto3
import botocore.session
import pytest
import requests
from botocore.exceptions import ClientError

from local_aws.context import Context
from local_aws.sqs import messages as module
from local_aws.sqs.messages import Messages, New, Receiving, TooManyInFlight
from local_aws.store import Store

ACCOUNT = "123456789012"
MIB = 1_048_576


@pytest.fixture
def sqs(aws: str) -> Any:
    return boto3.client("sqs")


class Queue:
    """A queue with shorter words for its calls."""

    def __init__(self, sqs: Any, name: str, **attributes: str) -> None:
        self.sqs = sqs
        self.url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        self.arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"

    def send(self, body: str = "hello", **more: Any) -> Any:
        return self.sqs.send_message(QueueUrl=self.url, MessageBody=body, **more)

    def receive(self, count: int = 10, **more: Any) -> list[Any]:
        asked = {"MaxNumberOfMessages": count, "AttributeNames": ["All"], "MessageAttributeNames": ["All"]}
        return list(self.sqs.receive_message(QueueUrl=self.url, **asked, **more).get("Messages", []))

    def delete(self, message: Any) -> None:
        self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])

    def hide(self, message: Any, seconds: int) -> None:
        self.sqs.change_message_visibility(
            QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=seconds
        )

    def counts(self) -> tuple[int, int, int]:
        """Visible, in flight, delayed."""
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])["Attributes"]
        name = "ApproximateNumberOfMessages"
        return int(found[name]), int(found[f"{name}NotVisible"]), int(found[f"{name}Delayed"])


@pytest.fixture
def queue(sqs: Any, unique: str) -> Queue:
    return Queue(sqs, unique)


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


# --- one message's life


def test_a_message_goes_in_and_out(queue: Queue) -> None:
    attributes = {
        "text": {"DataType": "String", "StringValue": "grüße"},
        "number": {"DataType": "Number.int", "StringValue": "7"},
        "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    sent = queue.send("päyload", MessageAttributes=attributes)
    (message,) = queue.receive()
    assert message["Body"] == "päyload"
    assert message["MessageId"] == sent["MessageId"]
    assert message["MD5OfBody"] == sent["MD5OfMessageBody"] == hashlib.md5("päyload".encode()).hexdigest()
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert message["MessageAttributes"] == attributes
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert abs(int(message["Attributes"]["SentTimestamp"]) - time.time() * 1000) < 60_000
    assert queue.counts() == (0, 1, 0)
    queue.delete(message)
    queue.delete(message)
    assert queue.counts() == (0, 0, 0)


def test_attributes_md5_is_the_documented_one(queue: Queue) -> None:
    """The digest that AWS's own SDKs test themselves with, computed here from its description."""
    sent = queue.send(MessageAttributes={"a": {"DataType": "String", "StringValue": "b"}})
    spelt = b"\0\0\0\1a" + b"\0\0\0\6String" + b"\1" + b"\0\0\0\1b"
    assert sent["MD5OfMessageAttributes"] == hashlib.md5(spelt).hexdigest()


def test_only_attributes_that_are_asked_for_come_back(queue: Queue) -> None:
    value = {"DataType": "String", "StringValue": "x"}
    queue.send(MessageAttributes={"app.one": value, "app.two": value, "other": value})
    seen = []
    for names in (["app.*"], ["other"], []):
        (message,) = queue.sqs.receive_message(
            QueueUrl=queue.url, MessageAttributeNames=names, VisibilityTimeout=0
        )["Messages"]
        seen.append(sorted(message.get("MessageAttributes", {})))
        assert "Attributes" not in message
    assert seen == [["app.one", "app.two"], ["other"], []]


def test_visibility_and_receive_counts(queue: Queue) -> None:
    queue.send()
    (first,) = queue.receive(VisibilityTimeout=600)
    assert queue.receive() == []
    queue.hide(first, 0)
    (second,) = queue.receive(VisibilityTimeout=600)
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    name = "ApproximateFirstReceiveTimestamp"
    assert second["Attributes"][name] == first["Attributes"][name]
    assert second["ReceiptHandle"] != first["ReceiptHandle"]
    queue.delete(first)  # an old handle deletes too
    assert queue.counts() == (0, 0, 0)


def test_what_cannot_be_hidden_is_refused(queue: Queue, sqs: Any, unique: str) -> None:
    queue.send()
    (message,) = queue.receive(VisibilityTimeout=0)
    with pytest.raises(ClientError) as idle:
        queue.hide(message, 5)
    assert code(idle) == "AWS.SimpleQueueService.MessageNotInflight"
    (message,) = queue.receive()
    with pytest.raises(ClientError, match="43200"):
        queue.hide(message, 43_201)
    queue.delete(message)
    with pytest.raises(ClientError, match="does not exist"):
        queue.hide(message, 5)
    other = Queue(sqs, f"{unique}-other")
    with pytest.raises(ClientError) as foreign:
        other.delete(message)
    assert code(foreign) == "ReceiptHandleIsInvalid"
    with pytest.raises(ClientError) as nonsense:
        other.delete({"ReceiptHandle": "nonsense"})
    assert code(nonsense) == "ReceiptHandleIsInvalid"


def test_delays(queue: Queue, sqs: Any, unique: str) -> None:
    queue.send(DelaySeconds=900)
    queue.send("now")
    assert [message["Body"] for message in queue.receive()] == ["now"]
    assert queue.counts() == (0, 1, 1)
    slow = Queue(sqs, f"{unique}-slow", DelaySeconds="900")
    slow.send()
    slow.send("now", DelaySeconds=0)
    assert slow.counts() == (1, 0, 1)
    with pytest.raises(ClientError, match="DelaySeconds"):
        queue.send(DelaySeconds=901)


# --- waiting


def test_a_long_poll_ends_when_a_message_comes(queue: Queue) -> None:
    timer = threading.Timer(0.5, queue.send)
    started = time.monotonic()
    timer.start()
    (message,) = queue.receive(WaitTimeSeconds=20)
    assert message["Body"] == "hello"
    assert time.monotonic() - started < 15


def test_a_long_poll_ends_when_a_hidden_message_shows_again(queue: Queue) -> None:
    queue.send()
    queue.receive(VisibilityTimeout=1)
    started = time.monotonic()
    assert len(queue.receive(WaitTimeSeconds=20)) == 1
    assert 0.5 < time.monotonic() - started < 15


def test_a_long_poll_ends_when_a_message_is_let_go(queue: Queue) -> None:
    queue.send()
    (message,) = queue.receive(VisibilityTimeout=600)
    threading.Timer(0.5, queue.hide, (message, 0)).start()
    assert len(queue.receive(WaitTimeSeconds=20)) == 1


def test_an_empty_long_poll_lasts_as_long_as_asked(queue: Queue) -> None:
    started = time.monotonic()
    assert queue.receive(WaitTimeSeconds=1) == []
    assert 0.9 < time.monotonic() - started < 10


# --- batches


def test_batches(queue: Queue) -> None:
    entries = [{"Id": f"id-{n}", "MessageBody": f"body {n}"} for n in range(10)]
    sent = queue.sqs.send_message_batch(QueueUrl=queue.url, Entries=entries)
    assert [entry["Id"] for entry in sent["Successful"]] == [f"id-{n}" for n in range(10)]
    received = queue.receive()
    assert sorted(message["Body"] for message in received) == sorted(e["MessageBody"] for e in entries)
    let_go = [
        {"Id": str(n), "ReceiptHandle": m["ReceiptHandle"], "VisibilityTimeout": 0}
        for n, m in enumerate(received)
    ]
    answer = queue.sqs.change_message_visibility_batch(QueueUrl=queue.url, Entries=let_go)
    assert len(answer["Successful"]) == 10
    assert queue.counts() == (10, 0, 0)
    doomed = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(received)]
    doomed[3]["ReceiptHandle"] = "nonsense"
    answer = queue.sqs.delete_message_batch(QueueUrl=queue.url, Entries=doomed)
    assert len(answer["Successful"]) == 9
    assert [(failed["Id"], failed["Code"]) for failed in answer["Failed"]] == [
        ("3", "ReceiptHandleIsInvalid")
    ]
    assert queue.counts() == (1, 0, 0)


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([], "EmptyBatchRequest"),
        (["a", "a"], "BatchEntryIdsNotDistinct"),
        (["a b"], "InvalidBatchEntryId"),
        (list("abcdefghijk"), "TooManyEntriesInBatchRequest"),
    ],
    ids=["none", "twice", "not an id", "eleven"],
)
def test_batches_that_are_refused(queue: Queue, ids: list[str], expected: str) -> None:
    with pytest.raises(ClientError) as error:
        queue.sqs.send_message_batch(
            QueueUrl=queue.url, Entries=[{"Id": name, "MessageBody": "x"} for name in ids]
        )
    assert code(error).removeprefix("AWS.SimpleQueueService.") == expected.removeprefix(
        "AWS.SimpleQueueService."
    )
    assert queue.counts() == (0, 0, 0)


def test_a_bad_entry_does_not_spoil_its_batch(queue: Queue) -> None:
    entries = [{"Id": "good", "MessageBody": "x"}, {"Id": "bad", "MessageBody": "a\x0bb"}]
    answer = queue.sqs.send_message_batch(QueueUrl=queue.url, Entries=entries)
    assert [entry["Id"] for entry in answer["Successful"]] == ["good"]
    assert [(entry["Id"], entry["Code"]) for entry in answer["Failed"]] == [("bad", "InvalidMessageContents")]


# --- limits


def test_a_mebibyte_is_the_limit_of_a_message_and_of_a_batch(queue: Queue) -> None:
    queue.send("x" * MIB)
    with pytest.raises(ClientError, match="shorter than 1048576 bytes"):
        queue.send("x" * (MIB + 1))
    attribute = {"a": {"DataType": "String", "StringValue": "b"}}
    queue.send("x" * (MIB - 8), MessageAttributes=attribute)
    with pytest.raises(ClientError, match="shorter than 1048576 bytes"):
        queue.send("x" * (MIB - 7), MessageAttributes=attribute)
    half = "é" * (MIB // 4)
    queue.sqs.send_message_batch(
        QueueUrl=queue.url, Entries=[{"Id": name, "MessageBody": half} for name in "ab"]
    )
    with pytest.raises(ClientError) as error:
        queue.sqs.send_message_batch(
            QueueUrl=queue.url,
            Entries=[{"Id": "a", "MessageBody": half}, {"Id": "b", "MessageBody": f"{half}x"}],
        )
    assert "BatchRequestTooLong" in code(error)
    assert queue.counts() == (4, 0, 0)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"MaxNumberOfMessages": 11}, "MaxNumberOfMessages"),
        ({"WaitTimeSeconds": 21}, "WaitTimeSeconds"),
        ({"VisibilityTimeout": 43_201}, "visibility timeout"),
    ],
    ids=["too many", "too patient", "too long hidden"],
)
def test_receive_refuses(queue: Queue, asked: dict[str, int], words: str) -> None:
    with pytest.raises(ClientError, match=words):
        queue.sqs.receive_message(QueueUrl=queue.url, **asked)


def test_a_queue_that_is_not_there(queue: Queue) -> None:
    queue.sqs.delete_queue(QueueUrl=queue.url)
    with pytest.raises(queue.sqs.exceptions.QueueDoesNotExist):
        queue.send()
    with pytest.raises(queue.sqs.exceptions.QueueDoesNotExist):
        queue.receive()


def test_a_queue_made_again_is_empty(queue: Queue, unique: str) -> None:
    queue.send()
    queue.sqs.delete_queue(QueueUrl=queue.url)
    again = Queue(queue.sqs, unique)
    assert again.receive() == []
    assert again.counts() == (0, 0, 0)


def test_purge(queue: Queue) -> None:
    for body in ("seen", "unseen"):
        queue.send(body)
    (seen,) = queue.receive(1)
    queue.sqs.purge_queue(QueueUrl=queue.url)
    assert queue.counts() == (0, 0, 0)
    queue.delete(seen)
    queue.send("after")
    assert [message["Body"] for message in queue.receive()] == ["after"]
    with pytest.raises(ClientError) as error:
        queue.sqs.purge_queue(QueueUrl=queue.url)
    assert "PurgeQueueInProgress" in code(error)


# --- dead letters


def test_what_fails_too_often_becomes_a_dead_letter(queue: Queue, unique: str) -> None:
    policy = json.dumps({"deadLetterTargetArn": queue.arn, "maxReceiveCount": 2})
    work = Queue(queue.sqs, f"{unique}-work", RedrivePolicy=policy)
    sent = work.send("poison")
    work.send("fine")
    for _ in range(2):
        for message in work.receive(VisibilityTimeout=0):
            if message["Body"] == "fine":
                work.delete(message)
    assert work.counts() == (1, 0, 0)
    assert work.receive() == []
    assert work.counts() == (0, 0, 0)
    (dead,) = queue.receive()
    assert (dead["MessageId"], dead["Body"]) == (sent["MessageId"], "poison")
    assert dead["Attributes"]["DeadLetterQueueSourceArn"] == work.arn
    assert dead["Attributes"]["ApproximateReceiveCount"] == "3"
    urls = queue.sqs.list_dead_letter_source_queues(QueueUrl=queue.url)["queueUrls"]
    assert urls == [work.url]


def test_a_long_poll_on_the_dead_letter_queue_is_woken(queue: Queue, unique: str) -> None:
    policy = json.dumps({"deadLetterTargetArn": queue.arn, "maxReceiveCount": 1})
    work = Queue(queue.sqs, f"{unique}-work", RedrivePolicy=policy)
    work.send()
    work.receive(VisibilityTimeout=0)
    threading.Timer(0.5, work.receive).start()
    assert len(queue.receive(WaitTimeSeconds=20)) == 1


def moved(queue: Queue, **more: Any) -> Any:
    """What became of a task that sends dead letters back."""
    queue.sqs.start_message_move_task(SourceArn=queue.arn, **more)
    deadline = time.monotonic() + 60
    while True:
        (task,) = queue.sqs.list_message_move_tasks(SourceArn=queue.arn)["Results"]
        if task["Status"] != "RUNNING" or time.monotonic() > deadline:
            return task
        threading.Event().wait(0.01)


def test_dead_letters_are_sent_back(queue: Queue, unique: str) -> None:
    policy = json.dumps({"deadLetterTargetArn": queue.arn, "maxReceiveCount": 1})
    works = [Queue(queue.sqs, f"{unique}-{name}", RedrivePolicy=policy) for name in "ab"]
    for work in works:
        sent = work.send(work.arn)
        work.receive(VisibilityTimeout=0)
        assert work.receive() == []
    assert queue.counts() == (2, 0, 0)
    task = moved(queue)
    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 2)
    assert queue.counts() == (0, 0, 0)
    for work in works:
        (message,) = work.receive()
        assert message["Body"] == work.arn
        assert message["Attributes"]["ApproximateReceiveCount"] == "1"
        assert message["MessageId"] != sent["MessageId"]


def test_dead_letters_go_where_they_are_told(queue: Queue, unique: str) -> None:
    policy = json.dumps({"deadLetterTargetArn": queue.arn, "maxReceiveCount": 1})
    source = Queue(queue.sqs, f"{unique}-source", RedrivePolicy=policy)
    other = Queue(queue.sqs, f"{unique}-other")
    entries = [{"Id": str(n), "MessageBody": str(n)} for n in range(10)]
    queue.sqs.send_message_batch(QueueUrl=queue.url, Entries=entries)
    assert moved(queue, DestinationArn=other.arn)["ApproximateNumberOfMessagesMoved"] == 10
    assert (queue.counts(), other.counts()) == ((0, 0, 0), (10, 0, 0))
    with pytest.raises(ClientError, match="Dead Letter Queue"):
        moved(source)
    with pytest.raises(queue.sqs.exceptions.ResourceNotFoundException):
        moved(queue, DestinationArn=f"{other.arn}-not")
    queue.send("sent here by hand")
    task = moved(queue)
    assert (task["Status"], task["FailureReason"]) == ("FAILED", "CouldNotDetermineMessageSource")
    assert queue.counts() == (1, 0, 0)


def test_a_move_can_be_cancelled_and_is_alone(queue: Queue, unique: str) -> None:
    policy = json.dumps({"deadLetterTargetArn": queue.arn, "maxReceiveCount": 1})
    other = Queue(queue.sqs, f"{unique}-other", RedrivePolicy=policy)
    for _ in range(5):
        queue.send()
    slowly = {"SourceArn": queue.arn, "DestinationArn": other.arn, "MaxNumberOfMessagesPerSecond": 1}
    handle = queue.sqs.start_message_move_task(**slowly)["TaskHandle"]
    with pytest.raises(ClientError, match="already a task running"):
        queue.sqs.start_message_move_task(**slowly)
    queue.sqs.cancel_message_move_task(TaskHandle=handle)
    (task,) = queue.sqs.list_message_move_tasks(SourceArn=queue.arn)["Results"]
    assert task["Status"] == "CANCELLED"
    assert queue.counts()[0] + other.counts()[0] == 5
    assert queue.counts()[0] > 0


# --- FIFO


def test_fifo_keeps_the_order_of_each_group(sqs: Any, unique: str) -> None:
    queue = Queue(sqs, f"{unique}.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    for body in ("a1", "a2", "b1", "a3"):
        queue.send(body, MessageGroupId=body[0])
    first = queue.receive(1)
    assert [message["Body"] for message in first] == ["a1"]
    others = queue.receive()
    assert [message["Body"] for message in others] == ["b1"]  # group a waits for a1
    queue.delete(first[0])
    rest = queue.receive()
    assert [message["Body"] for message in rest] == ["a2", "a3"]
    numbers = [m["Attributes"]["SequenceNumber"] for m in (*first, *rest)]
    assert numbers == sorted(numbers)
    assert {len(number) for number in numbers} == {20}


def test_fifo_takes_a_message_once_in_five_minutes(sqs: Any, unique: str) -> None:
    queue = Queue(sqs, f"{unique}.fifo", FifoQueue="true")
    first = queue.send("one", MessageGroupId="g", MessageDeduplicationId="same")
    again = queue.send("two", MessageGroupId="g", MessageDeduplicationId="same")
    assert (again["MessageId"], again["SequenceNumber"]) == (first["MessageId"], first["SequenceNumber"])
    (message,) = queue.receive()
    assert message["Body"] == "one"
    queue.delete(message)
    queue.send("three", MessageGroupId="g", MessageDeduplicationId="same")
    assert queue.receive() == []  # also after it was deleted
    with pytest.raises(ClientError, match="MessageGroupId"):
        queue.send("four")
    with pytest.raises(ClientError, match="ContentBasedDeduplication"):
        queue.send("four", MessageGroupId="g")


# --- the other protocol, and other senders


class QueryProtocol:
    """SQS's older protocol: forms and XML, as clients before 2023 speak it."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        session = botocore.session.get_session()
        loader = session.get_component("data_loader")
        self.version = loader.load_service_model("sqs", "service-2")["metadata"]["apiVersion"]

    def call(self, action: str, **fields: str) -> str:
        scope = "Credential=local/20260101/us-east-1/sqs/aws4_request"
        answer = requests.post(
            self.endpoint,
            data=urlencode({"Action": action, "Version": self.version, **fields}),
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                "Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=none",
            },
            timeout=30,
        )
        return answer.text


def test_the_query_protocol_reaches_the_same_messages(aws: str, queue: Queue) -> None:
    old = QueryProtocol(aws)
    answer = old.call(
        "SendMessage",
        QueueUrl=queue.url,
        MessageBody="old",
        **{
            "MessageAttribute.1.Name": "bin",
            "MessageAttribute.1.Value.DataType": "Binary",
            "MessageAttribute.1.Value.BinaryValue": "AP8=",
        },
    )
    assert hashlib.md5(b"old").hexdigest() in answer
    (message,) = queue.receive(VisibilityTimeout=0)
    assert message["MessageAttributes"]["bin"]["BinaryValue"] == b"\x00\xff"
    answer = old.call(
        "ReceiveMessage", QueueUrl=queue.url, VisibilityTimeout="0", **{"MessageAttributeName.1": "All"}
    )
    assert "<Body>old</Body>" in answer
    assert "AP8=" in answer
    assert message["MD5OfMessageAttributes"] in answer
    answer = old.call("DeleteMessage", QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"])
    assert "<DeleteMessageResponse" in answer
    assert queue.counts() == (0, 0, 0)
    assert "NonExistentQueue" in old.call("SendMessage", QueueUrl=f"{queue.url}-no", MessageBody="x")


def test_topics_deliver_to_queues(queue: Queue, unique: str) -> None:
    sns = boto3.client("sns")
    topic = sns.create_topic(Name=unique)["TopicArn"]
    sns.subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=queue.arn, Attributes={"RawMessageDelivery": "true"}
    )
    attributes = {"a": {"DataType": "Binary", "BinaryValue": b"\x01"}}
    sns.publish(TopicArn=topic, Message="news", MessageAttributes=attributes)
    (message,) = queue.receive()
    assert message["Body"] == "news"
    assert message["MessageAttributes"] == attributes


# --- what calls cost


ARN = "arn:aws:sqs:us-east-1:123456789012:long"
STANDARD = Receiving(fifo=False, retention=4 * 86_400_000)


@pytest.fixture
def messages(tmp_path: Path) -> Messages:
    return Messages(Context(Store(tmp_path)))


def fill(messages: Messages, count: int, **more: Any) -> None:
    start = module.now_ms()
    messages.send(ARN, [New(message_id=f"m{n}", body="x", sent_at=start, **more) for n in range(count)])


def steps(messages: Messages, work: Any) -> int:
    """Steps of SQLite's virtual machine that ``work`` takes, in tens."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    connection = messages._store.connection()
    connection.set_progress_handler(step, 10)
    work()
    connection.set_progress_handler(None, 0)
    return count


def test_no_call_takes_longer_in_a_longer_queue(messages: Messages) -> None:
    def life() -> None:
        messages.send(ARN, [New(message_id="one more", body="x", sent_at=module.now_ms())])
        taken = messages.receive(ARN, STANDARD, 10, 60_000, 0)
        assert len(taken) == 10
        messages.hide(ARN, taken[0].id, taken[0].message_id, 0)
        messages.delete(ARN, [(message.id, message.message_id) for message in taken])
        assert messages.counts(ARN, STANDARD.retention).in_flight == 0

    fill(messages, 100)
    life()
    short = steps(messages, life)
    fill(messages, 20_000)
    long = steps(messages, life)
    assert long < short * 1.5, (short, long)
    assert steps(messages, lambda: messages.purge(ARN)) < short


@pytest.mark.parametrize(
    ("statement", "parameters", "index"),
    [
        (module.RECEIVE, 3, "sqs_visible (queue=? AND visible_at<?)"),
        (module.NEXT_VISIBLE, 2, "sqs_visible (queue=? AND visible_at>?)"),
        (module.EXPIRED, 3, "sqs_sent (queue=? AND sent_at<?)"),
        (module.HIDDEN, 2, "sqs_visible (queue=? AND visible_at>?)"),
        (module.LITTERED, 2, "sqs_visible (queue=?)"),
    ],
    ids=["receive", "next visible", "expired", "hidden", "litter"],
)
def test_plans_use_an_index_range(messages: Messages, statement: str, parameters: int, index: str) -> None:
    plan = messages._store.read(f"EXPLAIN QUERY PLAN {statement}", (1,) * parameters)
    words = [row[3] for row in plan]
    assert len(words) == 1, words  # no sort, no second pass
    assert words[0].endswith(index), words


def test_no_more_than_120000_are_in_flight(messages: Messages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IN_FLIGHT_LIMIT", 30)
    fill(messages, 50)
    taken = [messages.receive(ARN, STANDARD, 10, 60_000, 0) for _ in range(3)]
    with pytest.raises(TooManyInFlight):
        messages.receive(ARN, STANDARD, 10, 60_000, 0)
    messages.delete(ARN, [(taken[0][0].id, taken[0][0].message_id)])
    assert len(messages.receive(ARN, STANDARD, 1, 60_000, 0)) == 1


def test_messages_older_than_the_retention_are_gone(messages: Messages) -> None:
    fill(messages, 3)
    old = module.now_ms() - 61_000
    messages.send(ARN, [New(message_id=f"old{n}", body="x", sent_at=old) for n in range(3_000)])
    short = Receiving(fifo=False, retention=60_000)
    assert {message.message_id for message in messages.receive(ARN, short, 10, 0, 0)} == {"m0", "m1", "m2"}
    assert messages.counts(ARN, short.retention).visible == 3


@pytest.fixture
def swept(messages: Messages) -> Iterator[Messages]:
    thread = threading.Thread(target=messages.sweep)
    thread.start()
    yield messages
    messages.wake()
    thread.join()


def test_what_a_purge_leaves_is_swept_up(swept: Messages) -> None:
    fill(swept, 2_500)
    swept.purge(ARN)
    deadline = time.monotonic() + 30
    while swept._store.read("SELECT 1 FROM sqs_messages LIMIT 1") and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert swept._store.read("SELECT count(*) FROM sqs_messages") == [(0,)]
