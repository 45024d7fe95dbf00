"""Answers that grow while they are written: in parts, whole or not at all."""

import re
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from resources import bundles
from resources.bundles import BundlesResource
from tests.house import client

PART = 5 << 20  # S3 takes no smaller one, but the last


@pytest.fixture
def store(aws: str, unique: str, monkeypatch: pytest.MonkeyPatch) -> BundlesResource:
    monkeypatch.setattr(bundles, "_PART", PART)
    client("s3").create_bucket(Bucket=f"answers-{unique}")
    key = client("kms").create_key()["KeyMetadata"]["KeyId"]
    return BundlesResource(bucket=f"answers-{unique}", key_id=key)


def unfinished(store: BundlesResource) -> list[Any]:
    return list(client("s3").list_multipart_uploads(Bucket=store.bucket).get("Uploads", []))


@pytest.mark.parametrize("size", [0, 10, 2 * PART, 2 * PART + 1])
def test_what_is_written_piece_by_piece_is_there_at_the_end(store: BundlesResource, size: int) -> None:
    with store.upload("a.zip", "application/zip") as sink:
        for start in range(0, size, 1 << 20):
            sink.write(b"x" * min(1 << 20, size - start))
        assert not store.exists("a.zip")
    assert len(store.read("a.zip")) == size
    said = client("s3").head_object(Bucket=store.bucket, Key="a.zip")
    assert (said["ContentType"], said["ServerSideEncryption"]) == ("application/zip", "aws:kms")
    assert store.key_id in said["SSEKMSKeyId"]
    assert unfinished(store) == []


@pytest.mark.parametrize("fails", ["writing", "the last part", "the end"])
def test_what_is_broken_off_leaves_no_part(
    store: BundlesResource, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    call = {"the last part": "UploadPart", "the end": "CompleteMultipartUpload"}.get(fails)
    ends = pytest.raises((KeyboardInterrupt, ClientError))
    with ends, store.upload("a.zip", "application/zip") as sink:
        sink.write(b"x" * (PART + 1))
        assert len(unfinished(store)) == 1
        if call is None:
            raise KeyboardInterrupt
        failing(monkeypatch, call)
    monkeypatch.undo()
    assert not store.exists("a.zip")
    assert unfinished(store) == []


def failing(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """From now on S3 refuses this call."""
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", call).lower()

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "InternalError"}}, call)

    monkeypatch.setattr(bundles.clients.client("s3"), name, refuse)


def test_parts_have_to_name_their_checksums(store: BundlesResource) -> None:
    """As S3 asks for of an upload that was begun with a checksum."""
    s3, where = boto3.client("s3"), {"Bucket": store.bucket, "Key": "a.zip"}
    upload = s3.create_multipart_upload(**where, ChecksumAlgorithm="CRC32")["UploadId"]
    part = s3.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"x", ChecksumAlgorithm="CRC32")
    named = {"PartNumber": 1, "ETag": part["ETag"]}
    with pytest.raises(ClientError, match="must include the checksum for each part"):
        s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": [named]})
    wrong = {**named, "ChecksumCRC32": "AAAAAA=="}
    with pytest.raises(ClientError, match="InvalidPart"):
        s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": [wrong]})
    right = {**named, "ChecksumCRC32": part["ChecksumCRC32"]}
    s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": [right]})
    assert store.read("a.zip") == b"x"
