"""Uploads in parts: moto forgets locks and bucket keys that are said at their beginning, and at their end
asks neither whether the object is the one that was looked at nor for the parts' checksums.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
"""

import re
from collections.abc import Mapping
from typing import Any

from moto.core.common_types import TYPE_RESPONSE
from moto.s3.exceptions import InvalidPart, LockNotEnabled, MissingKey, PreconditionFailed, S3ClientError
from moto.s3.models import FakeMultipart
from moto.s3.responses import S3Response
from moto.s3.utils import compute_checksum

_UPLOAD = re.compile(rb"<UploadId>([^<]+)</UploadId>")
_PART = re.compile(rb"<Part>.*?</Part>", re.DOTALL)
_moto_key_response_post = S3Response._key_response_post


def key_response_post(
    self: S3Response, request: Any, body: bytes, bucket_name: str, query: dict[str, Any], key_name: str
) -> TYPE_RESPONSE:
    """POST to an object, in moto's place. To be called with the key's lock held."""
    uploads = self.backend.get_bucket(bucket_name).multiparts
    if body == b"" and "uploads" in query:
        beside = _beside(self, bucket_name)
        answer = _moto_key_response_post(self, request, body, bucket_name, query, key_name)
        begun = _UPLOAD.search(answer[2] if isinstance(answer[2], bytes) else answer[2].encode())
        assert begun is not None
        vars(uploads[begun.group(1).decode()])["beside"] = beside
        return answer
    upload = uploads.get(query["uploadId"][0]) if query.get("uploadId") else None
    if upload is None:  # nothing of ours, or one that has ended
        return _moto_key_response_post(self, request, body, bucket_name, query, key_name)
    _require_unchanged(self, bucket_name, key_name)
    _require_checksums(upload, body)
    answer = _moto_key_response_post(self, request, body, bucket_name, query, key_name)
    if answer[0] == 200:
        made = self.backend.get_object(bucket_name, key_name)
        vars(made).update(vars(upload)["beside"])
    return answer


def _beside(response: S3Response, bucket_name: str) -> Mapping[str, Any]:
    """What the object will have that moto forgets, by moto's names for it."""
    bucket = response.backend.get_bucket(bucket_name)
    hold, mode, until = response._get_lock_details(bucket, bucket.object_lock_enabled)
    if (mode or until or hold == "ON") and not bucket.object_lock_enabled:
        raise LockNotEnabled
    bucket_key = response.headers.get("x-amz-server-side-encryption-bucket-key-enabled")
    return {
        "lock_mode": mode,
        "lock_until": until,
        "lock_legal_status": hold,
        "bucket_key_enabled": None if bucket_key is None else str(bucket_key).lower(),
        "website_redirect_location": response.headers.get("x-amz-website-redirect-location"),
    }


def _require_unchanged(response: S3Response, bucket_name: str, key_name: str) -> None:
    wanted = response.headers.get("If-Match")
    if not wanted:
        return
    current = response.backend.get_object(bucket_name, key_name)
    if current is None:
        raise MissingKey(key_name)
    if current.etag.strip('"') != wanted.strip('"'):
        raise PreconditionFailed("If-Match")


def _require_checksums(upload: FakeMultipart, body: bytes) -> None:
    """Of an upload that was begun with a checksum, each part has to name its own."""
    algorithm = upload.metadata.get("x-amz-checksum-algorithm")
    if not algorithm or upload.metadata.get("x-amz-checksum-type") == "FULL_OBJECT":
        return
    for part in _PART.findall(body):
        number = int(_said(part, "PartNumber") or 0)
        said = _said(part, f"Checksum{algorithm.upper()}")
        if said is None:
            raise S3ClientError(
                "InvalidRequest",
                f"The upload was created using a {algorithm.lower()} checksum. The complete request must "
                f"include the checksum for each part. It was missing for part {number} in the request.",
            )
        there = upload.parts.get(number)
        if there is None or compute_checksum(there.value, algorithm).decode() != said:
            raise InvalidPart


def _said(part: bytes, name: str) -> str | None:
    found = re.search(rf"<{name}>([^<]*)</{name}>".encode(), part)
    return found.group(1).decode() if found else None
