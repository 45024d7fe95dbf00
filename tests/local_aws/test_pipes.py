"""EventBridge Pipes that run: filters, batches, retries, dead letters, positions that outlive a restart."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from local_aws.process import running
from tests.local_aws.dynamodb import Table, client

ACCOUNT = "123456789012"
REMOVED = {"Filters": [{"Pattern": json.dumps({"eventName": ["REMOVE"]})}]}


class Piped:
    """A table with a stream, a queue, a queue for dead letters, and a pipe."""

    def __init__(self, endpoint: str, unique: str, **parameters: Any) -> None:
        self.endpoint, self.name = endpoint, f"pipe-{unique}"
        self.table = Table(endpoint, f"table-{unique}", stream=True)
        self.sqs, self.pipes = client("sqs", endpoint), client("pipes", endpoint)
        self.queue, self.dead = f"queue-{unique}", f"dead-{unique}"
        self.parameters = {
            "StartingPosition": "TRIM_HORIZON",
            "BatchSize": 10,
            "MaximumBatchingWindowInSeconds": 5,
            "MaximumRetryAttempts": 3,
            "MaximumRecordAgeInSeconds": 3600,
            "OnPartialBatchItemFailure": "AUTOMATIC_BISECT",
            "DeadLetterConfig": {"Arn": self.arn(self.dead)},
            **parameters,
        }

    @staticmethod
    def arn(queue: str) -> str:
        return f"arn:aws:sqs:us-east-1:{ACCOUNT}:{queue}"

    def create(self, *, pipe: bool = True, criteria: dict[str, Any] = REMOVED) -> "Piped":
        self.table.create()
        self.sqs.create_queue(QueueName=self.queue)
        self.sqs.create_queue(QueueName=self.dead)
        if pipe:
            self.create_pipe(criteria)
        return self

    @property
    def stream(self) -> str:
        return self.table.client.describe_table(TableName=self.table.name)["Table"]["LatestStreamArn"]

    def create_pipe(self, criteria: dict[str, Any] = REMOVED, **changes: Any) -> dict[str, Any]:
        arguments = {
            "Name": self.name,
            "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/pipes",
            "Source": self.stream,
            "Target": self.arn(self.queue),
            "SourceParameters": {"DynamoDBStreamParameters": self.parameters, "FilterCriteria": criteria},
        }
        return self.pipes.create_pipe(**{**arguments, **changes})

    def put(self, *ids: str, **attributes: Any) -> None:
        for each in ids:
            self.table.client.put_item(TableName=self.table.name, Item={"id": {"S": each}, **attributes})

    def delete(self, *ids: str) -> None:
        for each in ids:
            self.table.client.delete_item(TableName=self.table.name, Key={"id": {"S": each}})

    def flush(self) -> None:
        answer = requests.post(f"{self.endpoint}/_local/pipes/flush", params={"name": self.name}, timeout=90)
        assert answer.ok, answer.text

    def messages(self, queue: str = "") -> list[dict[str, Any]]:
        """All messages of a queue, which is empty then."""
        url = self.sqs.get_queue_url(QueueName=queue or self.queue)["QueueUrl"]
        found = []
        while batch := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in batch:
                found.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found


@pytest.fixture
def piped(aws: str, unique: str) -> Piped:
    return Piped(aws, unique)


@contextmanager
def ahead(endpoint: str, seconds: float) -> Iterator[None]:
    """Streams and pipes believe that so much time has passed."""
    url = f"{endpoint}/_local/dynamodb/settings"
    assert requests.post(url, json={"stream_ahead_seconds": seconds}, timeout=60).ok
    try:
        yield
    finally:
        assert requests.post(url, json={"stream_ahead_seconds": 0}, timeout=60).ok


def keys(messages: list[dict[str, Any]]) -> list[str]:
    return [message["dynamodb"]["Keys"]["id"]["S"] for message in messages]


def test_only_deletions_pass_and_each_is_the_whole_record(piped: Piped) -> None:
    piped.create()
    piped.put("a", n={"N": "1"}, b={"B": b"\x00\xff"}, s={"SS": ["x", "y"]})
    piped.put("a", n={"N": "2"}, b={"B": b"\x00\xff"}, s={"SS": ["x", "y"]})
    piped.delete("a", "never there")
    piped.flush()
    (message,) = piped.messages()
    assert set(message) == {
        "eventID", "eventName", "eventVersion", "eventSource", "awsRegion", "dynamodb", "eventSourceARN",
    }  # fmt: skip
    assert message["eventName"] == "REMOVE"
    assert message["eventSourceARN"] == piped.stream
    told = message["dynamodb"]
    assert told["Keys"] == {"id": {"S": "a"}}
    assert told["OldImage"] == {
        "id": {"S": "a"}, "n": {"N": "2"}, "b": {"B": "AP8="}, "s": {"SS": ["x", "y"]},
    }  # fmt: skip
    assert "NewImage" not in told
    assert told["StreamViewType"] == "NEW_AND_OLD_IMAGES"
    assert isinstance(told["ApproximateCreationDateTime"], int)
    assert told["SizeBytes"] > 0
    assert told["SequenceNumber"].isdigit()


def test_without_a_filter_all_changes_pass_in_order(piped: Piped) -> None:
    piped.create(criteria={"Filters": []})
    piped.put("a")
    piped.put("a", n={"N": "1"})
    piped.delete("a")
    piped.flush()
    assert [message["eventName"] for message in piped.messages()] == ["INSERT", "MODIFY", "REMOVE"]


def test_a_filter_looks_into_the_item(piped: Piped) -> None:
    pattern = {"eventName": ["REMOVE"], "dynamodb": {"OldImage": {"kind": {"S": [{"prefix": "per"}]}}}}
    piped.create(criteria={"Filters": [{"Pattern": json.dumps(pattern)}]})
    piped.put("a", kind={"S": "person"})
    piped.put("b", kind={"S": "thing"})
    piped.delete("a", "b")
    piped.flush()
    assert keys(piped.messages()) == ["a"]


def test_a_full_batch_does_not_wait_for_its_window(piped: Piped) -> None:
    piped.parameters["MaximumBatchingWindowInSeconds"] = 300
    piped.create()
    ids = [f"{number:02}" for number in range(13)]
    piped.put(*ids)
    piped.delete(*ids)
    url = piped.sqs.get_queue_url(QueueName=piped.queue)["QueueUrl"]
    found = piped.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=20)["Messages"]
    assert len(found) == 10
    assert "Messages" not in piped.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    piped.flush()
    assert keys(piped.messages()) == ids[10:]


def test_latest_starts_behind_what_was_there(piped: Piped) -> None:
    piped.parameters["StartingPosition"] = "LATEST"
    piped.create(pipe=False)
    piped.put("old", "new")
    piped.delete("old")
    piped.create_pipe()
    piped.delete("new")
    piped.flush()
    assert keys(piped.messages()) == ["new"]


def test_what_the_queue_refuses_becomes_a_dead_letter_without_the_record(piped: Piped) -> None:
    piped.create()
    # 390 KB to DynamoDB, more than a mebibyte as a message.
    large = {"L": [{"N": "1"}] * 190_000}
    piped.put("small", "large")
    piped.put("large", many=large)
    piped.delete("small", "large")
    piped.flush()
    assert keys(piped.messages()) == ["small"]
    (letter,) = piped.messages(piped.dead)
    info = letter["DDBStreamBatchInfo"]
    assert letter["context"] == {
        "partnerResourceArn": f"arn:aws:pipes:us-east-1:{ACCOUNT}:pipe/{piped.name}",
        "condition": "RetryAttemptsExhausted",
    }
    assert set(info) == {
        "shardId", "startSequenceNumber", "endSequenceNumber", "approximateArrivalOfFirstRecord",
        "approximateArrivalOfLastRecord", "batchSize", "streamArn",
    }  # fmt: skip
    streams = client("dynamodbstreams", piped.endpoint)
    arguments = {"StreamArn": info["streamArn"], "ShardId": info["shardId"]}
    iterator = streams.get_shard_iterator(
        **arguments, ShardIteratorType="AT_SEQUENCE_NUMBER", SequenceNumber=info["startSequenceNumber"]
    )["ShardIterator"]
    record = streams.get_records(ShardIterator=iterator, Limit=1)["Records"][0]
    assert record["dynamodb"]["SequenceNumber"] == info["endSequenceNumber"]
    assert record["dynamodb"]["OldImage"]["many"] == large


def test_a_queue_that_is_gone_costs_no_record(piped: Piped) -> None:
    piped.create()
    piped.sqs.delete_queue(QueueUrl=piped.sqs.get_queue_url(QueueName=piped.queue)["QueueUrl"])
    piped.put("a", "b")
    piped.delete("a", "b")
    piped.flush()
    letters = [letter["DDBStreamBatchInfo"] for letter in piped.messages(piped.dead)]
    assert sum(letter["batchSize"] for letter in letters) == 2


def test_records_older_than_the_limit_are_not_sent(piped: Piped) -> None:
    piped.create(pipe=False)
    piped.put("a")
    piped.delete("a")
    with ahead(piped.endpoint, 3700):
        piped.create_pipe()
        piped.flush()
    assert piped.messages() == []
    (letter,) = piped.messages(piped.dead)
    assert letter["context"]["condition"] == "RecordAgeExceeded"


def test_a_stream_forgets_after_a_day(piped: Piped) -> None:
    piped.create(pipe=False)
    piped.put("a")
    piped.delete("a")
    streams, stream = client("dynamodbstreams", piped.endpoint), piped.stream
    shard = streams.describe_stream(StreamArn=stream)["StreamDescription"]["Shards"][0]["ShardId"]
    arguments = {"StreamArn": stream, "ShardId": shard}
    first = streams.get_shard_iterator(**arguments, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    number = streams.get_records(ShardIterator=first)["Records"][0]["dynamodb"]["SequenceNumber"]
    with ahead(piped.endpoint, 24 * 3600 + 60):
        assert streams.get_records(ShardIterator=first)["Records"] == []
        with pytest.raises(streams.exceptions.TrimmedDataAccessException):
            streams.get_shard_iterator(
                **arguments, ShardIteratorType="AT_SEQUENCE_NUMBER", SequenceNumber=number
            )
        piped.create_pipe()
        piped.flush()
    assert piped.messages() == []


def test_what_time_to_live_deletes_says_so(piped: Piped) -> None:
    piped.create()
    table = piped.table
    table.client.update_time_to_live(
        TableName=table.name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
    )
    piped.put("over", expires={"N": "1600000000"})
    piped.put("later", expires={"N": "4000000000"})
    piped.put("text", expires={"S": "1600000000"})
    url = f"{piped.endpoint}/_local/dynamodb/expire"
    at = {"table": table.name, "at": "2022-01-01T00:00:00Z"}
    assert requests.post(url, params=at, timeout=60).json() == {"Deleted": 1}
    assert requests.post(url, params=at, timeout=60).json() == {"Deleted": 0}
    piped.flush()
    (message,) = piped.messages()
    assert message["userIdentity"] == {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    assert keys([message]) == ["over"]


def test_a_stopped_pipe_goes_on_where_it_was(piped: Piped) -> None:
    piped.create()
    piped.put("a", "b")
    piped.delete("a")
    piped.flush()
    piped.pipes.stop_pipe(Name=piped.name)
    assert piped.pipes.describe_pipe(Name=piped.name)["CurrentState"] == "STOPPED"
    assert piped.pipes.describe_pipe(Name=piped.name)["CurrentState"] == "STOPPED"
    piped.delete("b")
    assert keys(piped.messages()) == ["a"]
    piped.pipes.start_pipe(Name=piped.name)
    assert piped.pipes.describe_pipe(Name=piped.name)["CurrentState"] == "RUNNING"
    piped.flush()
    assert keys(piped.messages()) == ["b"]


def test_a_deleted_pipe_runs_no_more(piped: Piped) -> None:
    piped.create()
    piped.pipes.delete_pipe(Name=piped.name)
    names = [pipe["Name"] for pipe in piped.pipes.list_pipes(NamePrefix=piped.name)["Pipes"]]
    assert names == []
    with pytest.raises(piped.pipes.exceptions.NotFoundException):
        piped.pipes.describe_pipe(Name=piped.name)


@pytest.mark.parametrize(
    "wrong",
    [
        {"BatchSize": 0},
        {"MaximumRecordAgeInSeconds": 59},
        {"StartingPosition": "AT_TIMESTAMP"},
        {"MaximumBatchingWindowInSeconds": 301},
    ],
)
def test_a_pipe_that_aws_would_refuse_is_refused(piped: Piped, wrong: dict[str, Any]) -> None:
    piped.parameters.update(wrong)
    with pytest.raises(Exception, match=next(iter(wrong))):
        piped.create()


def test_a_name_is_given_once(piped: Piped) -> None:
    piped.create()
    with pytest.raises(piped.pipes.exceptions.ConflictException):
        piped.create_pipe()


def test_a_restart_goes_on_where_the_pipe_was(tmp_path: Path) -> None:
    with running(state=tmp_path) as server:
        piped = Piped(server.endpoint, "kept").create()
        piped.put("a", "b", "c")
        piped.delete("a")
        piped.flush()
        assert keys(piped.messages()) == ["a"]
        piped.delete("b")
        piped.flush()
        piped.pipes.stop_pipe(Name=piped.name)
        piped.delete("c")
    with running(state=tmp_path) as server:
        piped = Piped(server.endpoint, "kept")
        assert piped.pipes.describe_pipe(Name=piped.name)["DesiredState"] == "STOPPED"
        assert keys(piped.messages()) == ["b"]
        piped.pipes.start_pipe(Name=piped.name)
        piped.flush()
        assert keys(piped.messages()) == ["c"]
    with running(state=tmp_path) as server:
        piped = Piped(server.endpoint, "kept")
        piped.flush()
        assert piped.messages() == []
