"""Versions of a bucket's objects, listed by prefix while others write and delete."""

import random

import boto3
import pytest


@pytest.fixture
def bucket(aws: str, unique: str) -> str:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=unique)
    s3.put_bucket_versioning(Bucket=unique, VersioningConfiguration={"Status": "Enabled"})
    return unique


def listed(bucket: str, prefix: str) -> list[tuple[str, str]]:
    pages = boto3.client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
    return [(version["Key"], version["VersionId"]) for page in pages for version in page.get("Versions", ())]


def test_a_prefix_finds_what_was_put_before_and_after_it_was_asked_for(bucket: str) -> None:
    s3, chance = boto3.client("s3"), random.Random(1)
    held: dict[str, list[str]] = {}

    def put(key: str) -> None:
        held.setdefault(key, []).insert(0, s3.put_object(Bucket=bucket, Key=key, Body=b"x")["VersionId"])

    names = [f"{letter}/{number}.json" for letter in "ab" for number in range(20)]
    chance.shuffle(names)
    for round_ in range(3):
        for name in names[: 15 * (round_ + 1)]:
            put(name)
        for prefix in ("", "a/", "a/1", "b/19.json", "c"):
            expected = [(k, v) for k, vs in sorted(held.items()) if k.startswith(prefix) for v in vs]
            assert sorted(listed(bucket, prefix)) == sorted(expected)
            assert [key for key, _ in listed(bucket, prefix)] == [key for key, _ in expected]
    gone = names[0]
    for version in held.pop(gone):
        s3.delete_object(Bucket=bucket, Key=gone, VersionId=version)
    assert listed(bucket, gone) == []
    put(gone)
    assert listed(bucket, gone) == [(gone, held[gone][0])]


def test_many_keys_keep_their_order(bucket: str) -> None:
    from local_aws import s3_names

    names = [f"{number:04d}" for number in range(3000)]
    random.Random(2).shuffle(names)
    found = s3_names._Names(names[:100])
    for name in names[100:]:
        found.add(name)
    assert found.starting_with("") == sorted(names)
    assert found.starting_with("12") == [f"12{number:02d}" for number in range(100)]
    assert found.starting_with("3") == []
