"""Listing and reading any bucket: all of it, in pages, by place, and what can't be read by name."""

import random

import pytest

from resources import buckets
from resources.buckets import BucketObject, BucketsResource, ObjectUnreadable
from tests.house import client

STORE = BucketsResource()


@pytest.fixture
def bucket(aws: str, unique: str) -> str:
    client("s3").create_bucket(Bucket=f"b-{unique}")
    return f"b-{unique}"


def put(bucket: str, key: str, body: bytes = b"x") -> BucketObject:
    client("s3").put_object(Bucket=bucket, Key=key, Body=body)
    return STORE.head(bucket, key)


def keys(bucket: str, prefix: str = "") -> list[str]:
    return sorted(item.key for page in STORE.list(bucket, prefix) for item in page)


def test_folders_are_listed_and_nothing_twice(bucket: str) -> None:
    names = [f"{a}/{b}/{c}" for a in "abc" for b in "de" for c in "fg"] + ["top.txt", "a/", "a/d"]
    for name in names:
        put(bucket, name)
    assert keys(bucket) == sorted(names)
    assert keys(bucket, "a/d") == ["a/d", "a/d/f", "a/d/g"]
    assert keys(bucket, "none/") == []


def test_more_folders_than_are_worth_a_call_each(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "_FOLDERS", 2)
    names = [f"{a}/{b}/{c}" for a in "abcd" for b in "de" for c in "fg"]
    for name in names:
        put(bucket, name)
    assert keys(bucket) == sorted(names)


def test_a_folder_of_more_than_a_page(bucket: str) -> None:
    for number in range(1001):
        put(bucket, f"f/{number:04}/x")
    assert len(keys(bucket)) == len(set(keys(bucket))) == 1001


def test_an_object_is_read_in_order_and_by_place(bucket: str) -> None:
    body = random.Random(1).randbytes(3_000_000)
    item = put(bucket, "o", body)
    with STORE.open(bucket, item) as source:
        assert source.read() == body
        source.seek(-10, 2)
        assert source.read() == body[-10:]
        source.seek(1_234_567)
        assert source.read(100_000) == body[1_234_567:1_334_567]
        source.seek(0)
        assert source.read(5) == body[:5]
        assert source.tell() == 5


def test_windows_follow_each_other(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "_FIRST_WINDOW", 1000)
    monkeypatch.setattr(buckets, "_WINDOW", 5000)
    body = random.Random(2).randbytes(123_457)
    item = put(bucket, "o", body)
    with STORE.open(bucket, item) as source:
        pieces = []
        while piece := source.read(777):
            pieces.append(piece)
    assert b"".join(pieces) == body


def test_an_empty_object_has_nothing(bucket: str) -> None:
    with STORE.open(bucket, put(bucket, "o", b"")) as source:
        assert source.read() == b""


def test_a_version_that_was_replaced_is_not_read(bucket: str) -> None:
    item = put(bucket, "o", b"first")
    put(bucket, "o", b"second")
    with pytest.raises(ObjectUnreadable) as raised:
        STORE.open(bucket, item).read()
    assert (raised.value.why, raised.value.passes) == ("changed", False)


@pytest.mark.parametrize("call", ["read", "head"])
def test_what_is_gone_says_so(bucket: str, call: str) -> None:
    with pytest.raises(ObjectUnreadable) as raised:
        getattr(STORE, call)(bucket, "none")
    assert raised.value.why == "vanished"


def test_a_bucket_that_is_none_says_so(aws: str, unique: str) -> None:
    with pytest.raises(ObjectUnreadable) as raised:
        list(STORE.list(f"none-{unique}"))
    assert raised.value.why == "vanished"


def test_an_error_of_this_machine_is_no_objects_state() -> None:
    with pytest.raises(OSError, match="disk"):
        STORE.unreadable(OSError("disk"))
