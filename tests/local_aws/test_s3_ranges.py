"""Ranges of an object: the right bytes, and no more of the object than they."""

import random
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local_aws.dynamodb import client

BODY = random.Random(3).randbytes(1_000_000)


@pytest.fixture
def s3(aws: str, unique: str) -> Any:
    found = client("s3", aws)
    found.create_bucket(Bucket=f"ranges-{unique}")
    found.put_object(Bucket=f"ranges-{unique}", Key="o", Body=BODY)
    return found


def get(s3: Any, unique: str, asked: str) -> Any:
    return s3.get_object(Bucket=f"ranges-{unique}", Key="o", Range=asked)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=10-99", (10, 100)),
        ("bytes=999990-", (999_990, 1_000_000)),
        ("bytes=999990-5000000", (999_990, 1_000_000)),
        ("bytes=-7", (999_993, 1_000_000)),
    ],
)
def test_a_range_has_its_bytes(s3: Any, unique: str, asked: str, expected: tuple[int, int]) -> None:
    start, end = expected
    answer = get(s3, unique, asked)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert answer["ContentRange"] == f"bytes {start}-{end - 1}/1000000"
    assert answer["ContentLength"] == end - start
    assert answer["Body"].read() == BODY[start:end]


def test_several_ranges_are_the_whole_object(s3: Any, unique: str) -> None:
    answer = get(s3, unique, "bytes=0-1,5-6")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert answer["Body"].read() == BODY


def test_a_range_behind_the_end_is_refused(s3: Any, unique: str) -> None:
    with pytest.raises(ClientError, match="InvalidRange"):
        get(s3, unique, "bytes=1000000-")


def test_a_range_of_another_version_is_not_given(s3: Any, unique: str) -> None:
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.get_object(Bucket=f"ranges-{unique}", Key="o", Range="bytes=0-1", IfMatch='"0"')
