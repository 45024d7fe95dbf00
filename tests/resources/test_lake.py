"""The lake: many objects, footers read without the files, digests of what is stored."""

import hashlib
import io

import boto3
import pyarrow as pa
import pytest
import requests
from pyarrow import parquet

from resources.s3 import LakeResource


@pytest.fixture
def lake(aws: str, unique: str) -> LakeResource:
    boto3.client("s3").create_bucket(Bucket=f"lake-{unique}")
    return LakeResource(bucket=f"lake-{unique}")


def test_an_object_goes_in_and_comes_out(lake: LakeResource) -> None:
    uri = lake.write("a/b c.txt", b"body", "text/plain")
    assert lake.read(lake.key(uri)) == b"body"
    (found,) = lake.list("a/")
    assert (found.key, found.size, found.etag) == ("a/b c.txt", 4, hashlib.md5(b"body").hexdigest())
    with pytest.raises(FileNotFoundError, match=f"s3://{lake.bucket}/a/none"):
        lake.read("a/none")
    with pytest.raises(ValueError, match="not in the lake, expected s3://"):
        lake.key("s3://other/a")


def test_more_is_deleted_than_a_call_takes(lake: LakeResource) -> None:
    for key in ("many/0000", "many/1002", "other"):
        lake.write(key, b"", "text/plain")
    assert lake.delete(f"many/{number:04}" for number in range(1003)) == 1003
    assert [item.key for item in lake.list("")] == ["other"]


def test_parquet_rows_are_counted_from_the_footers(lake: LakeResource) -> None:
    for number, rows in enumerate((3, 0, 200_000)):
        body = io.BytesIO()
        parquet.write_table(pa.table({"n": list(range(rows)), "s": [str(n) for n in range(rows)]}), body)
        lake.write(f"data/{number}", body.getvalue(), "application/octet-stream")
    fetched: list[int] = []
    objects = list(lake.list("data/"))
    heard = "after-call.s3.GetObject", lambda parsed, **_: fetched.append(parsed["ContentLength"])
    lake._client.meta.events.register(*heard)
    try:
        assert lake.parquet_rows(objects) == 200_003
    finally:  # the client is the process's
        lake._client.meta.events.unregister(*heard)
    assert sum(fetched) < sum(item.size for item in objects) / 5
    assert lake.parquet_rows([]) == 0


@pytest.mark.parametrize("body", [b"", b"PAR1", b"no parquet at all, but long enough to have a footer"])
def test_what_is_no_parquet_is_named(lake: LakeResource, body: bytes) -> None:
    lake.write("data/broken", body, "application/octet-stream")
    with pytest.raises(ValueError, match=f"s3://{lake.bucket}/data/broken: not a whole Parquet file"):
        lake.parquet_rows(lake.list("data/"))


def test_digests_are_of_the_bytes(lake: LakeResource) -> None:
    bodies = {"one": b"1" * 3_000_000, "two": b""}
    for key, body in bodies.items():
        lake.write(key, body, "application/octet-stream")
    assert lake.md5(bodies) == {key: hashlib.md5(body).hexdigest() for key, body in bodies.items()}


def test_links_are_signed_as_every_bucket_accepts(lake: LakeResource) -> None:
    """Buckets made since 2020 refuse version 2, which the SDK still signs links with in us-east-1."""
    lake.write("report.html", b"<p>fine</p>", "text/html")
    link, _ = lake.signed_url("report.html")
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in link
    assert requests.get(link, timeout=60).text == "<p>fine</p>"
