"""Objects too large for one call are rewritten with all that stands beside their bytes, and never by half."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from resources.files import Files, FileVersion
from tests.house import client

PART = 5 << 20  # S3 takes no smaller one, but the last
FILES = Files(one_call=PART, part=PART)
KEY = "large/object.bin"
BESIDE: dict[str, Any] = {
    "ContentType": "application/x-private",
    "ContentEncoding": "zstd",
    "ContentLanguage": "de",
    "ContentDisposition": "attachment",
    "CacheControl": "no-store",
    "Metadata": {"owner": "team-privacy"},
    "Tagging": "class=personal&of=a%20person",
    "StorageClass": "STANDARD_IA",
}


@pytest.fixture
def bucket(aws: str, unique: str) -> str:
    s3, name = client("s3"), f"large-{unique}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)  # which makes it versioned
    return name


def put(bucket: str, body: bytes, **beside: Any) -> FileVersion:
    client("s3").put_object(Bucket=bucket, Key=KEY, Body=body, **beside)
    found = FILES.current(bucket, KEY)
    assert found is not None
    return found


def unfinished(bucket: str) -> list[Any]:
    return list(client("s3").list_multipart_uploads(Bucket=bucket).get("Uploads", []))


def versions(bucket: str) -> list[str]:
    return [version.version_id for version in FILES.versions(bucket, KEY)]


def beside(bucket: str, version: str) -> dict[str, Any]:
    """What S3 tells of a version, but for what its bytes make different."""
    s3, where = client("s3"), {"Bucket": bucket, "Key": KEY, "VersionId": version}
    said = s3.head_object(**where)
    own = {"ResponseMetadata", "ETag", "VersionId", "ContentLength", "LastModified", "ChecksumType"}
    found = {name: value for name, value in said.items() if name not in own and "CRC" not in name}
    return {**found, "tags": s3.get_object_tagging(**where)["TagSet"]}


@pytest.mark.parametrize("size", [2 * PART + 1, 2 * PART])
def test_what_stands_beside_the_bytes_is_kept(bucket: str, size: int) -> None:
    key = client("kms").create_key()["KeyMetadata"]["KeyId"]
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    before = put(
        bucket,
        b"old",
        **BESIDE,
        Expires=until,
        ServerSideEncryption="aws:kms",
        SSEKMSKeyId=key,
        BucketKeyEnabled=True,
        ObjectLockMode="GOVERNANCE",
        ObjectLockRetainUntilDate=until,
        ObjectLockLegalHoldStatus="ON",
    )
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    made = FILES.replace(before, io.BytesIO(body))
    assert made is not None
    assert versions(bucket) == [made, before.version_id]
    s3 = client("s3")
    assert s3.get_object(Bucket=bucket, Key=KEY)["Body"].read() == body
    assert s3.get_object(Bucket=bucket, Key=KEY, VersionId=before.version_id)["Body"].read() == b"old"
    said = beside(bucket, made)
    assert said == beside(bucket, before.version_id)
    assert said["ObjectLockRetainUntilDate"] == until
    assert (said["ObjectLockMode"], said["ObjectLockLegalHoldStatus"]) == ("GOVERNANCE", "ON")
    assert (said["ServerSideEncryption"], said["BucketKeyEnabled"]) == ("aws:kms", True)
    assert key in said["SSEKMSKeyId"]
    assert {each["Key"]: each["Value"] for each in said["tags"]} == {"class": "personal", "of": "a person"}
    assert unfinished(bucket) == []


def test_whoever_was_faster_wins_and_no_part_is_left(bucket: str) -> None:
    before = put(bucket, b"old")

    class Overtaken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if not self.tell():
                put(bucket, b"somebody else's")
            return super().read(size)

    assert FILES.replace(before, Overtaken(b"x" * (PART + 1))) is None
    assert client("s3").get_object(Bucket=bucket, Key=KEY)["Body"].read() == b"somebody else's"
    assert len(versions(bucket)) == 2
    assert unfinished(bucket) == []


def test_a_failure_half_way_leaves_the_object_and_no_part(bucket: str) -> None:
    before = put(bucket, b"old")

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                assert len(unfinished(bucket)) == 1
                raise KeyboardInterrupt
            return super().read(size)

    with pytest.raises(KeyboardInterrupt):
        FILES.replace(before, Broken(b"x" * (2 * PART)))
    assert versions(bucket) == [before.version_id]
    assert unfinished(bucket) == []


def test_there_are_never_too_many_parts(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.files._MOST_PARTS", 2)
    made = FILES.replace(put(bucket, b"old"), io.BytesIO(b"x" * (3 * PART)))
    said = client("s3").head_object(Bucket=bucket, Key=KEY, VersionId=made)
    assert said["ETag"].strip('"').endswith("-2")
