"""The record of calls: who called what on what, and nothing of what it held."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import requests

from local_aws.process import running

PLANTED = "planted-value-of-a-person"


@pytest.fixture
def endpoint() -> Iterator[str]:
    with running() as server:
        yield server.endpoint


def client(service: str, endpoint: str, key: str = "somebody") -> Any:
    return boto3.session.Session().client(
        service,  # type: ignore[call-overload]
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key="-",
    )


def recorded(endpoint: str) -> list[dict[str, Any]]:
    return [
        json.loads(line) for line in requests.get(f"{endpoint}/_local/calls", timeout=60).text.splitlines()
    ]


def test_calls_are_recorded_from_when_it_is_asked_for_until_it_ends(endpoint: str) -> None:
    sqs = client("sqs", endpoint)
    sqs.create_queue(QueueName="q")
    assert recorded(endpoint) == []
    requests.post(f"{endpoint}/_local/calls", timeout=60)
    sqs.get_queue_url(QueueName="q")
    (call,) = recorded(endpoint)
    assert (call["key"], call["service"], call["region"]) == ("somebody", "sqs", "us-east-1")
    assert (call["target"], call["parameters"]) == ("AmazonSQS.GetQueueUrl", {"QueueName": "q"})
    requests.delete(f"{endpoint}/_local/calls", timeout=60)
    sqs.get_queue_url(QueueName="q")
    assert recorded(endpoint) == []


def test_each_caller_is_told_apart_and_no_content_is_kept(endpoint: str) -> None:
    requests.post(f"{endpoint}/_local/calls", timeout=60)
    s3 = client("s3", endpoint, "first")
    s3.create_bucket(Bucket="bucket-b")
    s3.put_object(Bucket="bucket-b", Key="a key/with=all", Body=PLANTED.encode())
    s3.delete_objects(Bucket="bucket-b", Delete={"Objects": [{"Key": "a key/with=all"}, {"Key": "other"}]})
    table = client("dynamodb", endpoint, "second")
    table.create_table(
        TableName="t",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    table.put_item(TableName="t", Item={"id": {"S": PLANTED}})
    client("sns", endpoint, "third").create_topic(Name="alerts")
    found = recorded(endpoint)
    assert [(call["key"], call["method"], call["path"], call["target"]) for call in found] == [
        ("first", "PUT", "/bucket-b", ""),
        ("first", "PUT", "/bucket-b/a key/with=all", ""),
        ("first", "POST", "/bucket-b", ""),
        ("second", "POST", "/", "DynamoDB_20120810.CreateTable"),
        ("second", "POST", "/", "DynamoDB_20120810.PutItem"),
        ("third", "POST", "/", ""),
    ]
    assert found[2]["parameters"] == {"objects": [["a key/with=all", None], ["other", None]]}
    assert found[5]["parameters"]["Action"] == "CreateTopic"
    assert PLANTED not in json.dumps(found)


def test_a_link_is_its_signers_call(endpoint: str) -> None:
    s3 = client("s3", endpoint, "signer")
    s3.create_bucket(Bucket="bucket-b")
    link = s3.generate_presigned_url("get_object", Params={"Bucket": "bucket-b", "Key": "a"})
    requests.post(f"{endpoint}/_local/calls", timeout=60)
    requests.get(link, timeout=60)
    (call,) = recorded(endpoint)
    assert (call["key"], call["service"], call["path"]) == ("signer", "s3", "/bucket-b/a")
