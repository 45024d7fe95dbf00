"""Objects with all their versions: listed, read, rewritten on a condition, and deleted for good.

What belongs here is S3; which bytes are whose belongs to the domain. A bucket without versioning has one
version of each object, whose id is ``null``.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/versioning-workflows.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
"""

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, cast
from urllib.parse import urlencode

from resources import clients
from resources.buckets import Ahead, told

_WHOLE = 4 << 20
_MOST_PARTS = 10_000
_COPIED = ("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType")
_KEPT = ("StorageClass", "SSEKMSKeyId", "BucketKeyEnabled", "ServerSideEncryption", "WebsiteRedirectLocation")
_RETENTION = ("ObjectLockMode", "ObjectLockRetainUntilDate")
_LOCKS = (*_RETENTION, "ObjectLockLegalHoldStatus")


@dataclass(frozen=True, slots=True)
class FileVersion:
    """One version of an object, or a delete marker; ``etag`` without quotes, ``size`` in bytes."""

    bucket: str
    key: str
    version_id: str
    is_latest: bool
    is_marker: bool
    etag: str
    size: int
    modified: datetime

    @property
    def uri(self) -> str:
        """``s3://bucket/key``."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class Lock:
    """S3 Object Lock on a version: ``until`` when, None for a legal hold, which somebody has to lift."""

    until: datetime | None


@dataclass(frozen=True)
class Files:
    """Any bucket's objects. What is larger than ``one_call``, of which PutObject takes no more, is written in
    parts of ``part`` bytes, or of more where there would be too many of them.
    """

    one_call: int = 5 << 30
    part: int = 64 << 20

    @property
    def _client(self) -> Any:
        return clients.client("s3")

    def versions(self, bucket: str, prefix: str) -> Iterator[FileVersion]:
        """Every version and delete marker under a prefix, key by key, the newest of a key first.

        Raises ObjectUnreadable when there is no such bucket or it may not be listed.
        """
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
        try:
            for page in pages:
                found = [
                    *(_version(bucket, one) for one in page.get("Versions", ())),
                    *(_version(bucket, one) for one in page.get("DeleteMarkers", ())),
                ]
                yield from sorted(
                    found, key=lambda one: (one.key, not one.is_latest, -one.modified.timestamp())
                )
        except Exception as error:
            raise told(error) from error

    def current(self, bucket: str, key: str) -> FileVersion | None:
        """The object's current version; None when there is none."""
        for version in self.versions(bucket, key):
            if version.key != key:
                return None
            if version.is_latest:
                return None if version.is_marker else version
        return None

    def open(self, version: FileVersion) -> BinaryIO:
        """A version as a file that can seek; it, or each read, raises ObjectUnreadable if it can't be done.

        A small one is fetched at once: a call costs more than its bytes.
        """
        if version.size <= _WHOLE:
            try:
                return io.BytesIO(self._client.get_object(**_at(version))["Body"].read())
            except Exception as error:
                raise told(error) from error
        return cast("BinaryIO", io.BufferedReader(Ahead(self._client, version.bucket, version), 128 << 10))

    def replace(self, version: FileVersion, body: BinaryIO) -> str | None:
        """Put ``body`` as the new current version if ``version`` is the current one still; its id, ``null``
        where the bucket keeps no versions now, and None where somebody else was faster.

        Type, encoding, own metadata, tags, storage class, encryption and locks are those of ``version``.
        """
        try:
            beside = self._beside(version)
            size = body.seek(0, io.SEEK_END)
            body.seek(0)
            where = {"Bucket": version.bucket, "Key": version.key}
            if size <= self.one_call:
                said = self._client.put_object(**where, **beside, Body=body, IfMatch=f'"{version.etag}"')
            else:
                part = max(self.part, math.ceil(size / _MOST_PARTS))
                said = self._in_parts(where, beside, body, part, version.etag)
        except Exception as error:
            if clients.error_code(error) in _LOST:
                return None
            raise told(error) from error
        return str(said.get("VersionId", "null"))

    def remove(self, version: FileVersion) -> Lock | None:
        """Delete a version or a delete marker for good; fine when it is gone. Its lock if one holds it."""
        try:
            self._client.delete_object(Bucket=version.bucket, Key=version.key, VersionId=version.version_id)
        except Exception as error:
            if clients.error_code(error) in ("NoSuchVersion", "NoSuchKey"):
                return None
            if clients.error_code(error) in ("AccessDenied", "AccessDeniedByLock") and not version.is_marker:
                lock = self.lock(version)
                if lock is not None:
                    return lock
            raise told(error) from error
        return None

    def hide(self, version: FileVersion) -> None:
        """Put a delete marker before an object, whatever versions it has."""
        self._client.delete_object(Bucket=version.bucket, Key=version.key)

    def lock(self, version: FileVersion) -> Lock | None:
        """The lock that a version is under; None when it is under none, or gone."""
        try:
            said = self._head(version)
        except Exception as error:
            if clients.error_code(error) in _LOST:
                return None
            raise told(error) from error
        if said.get("ObjectLockLegalHoldStatus") == "ON":
            return Lock(None)
        until = said.get("ObjectLockRetainUntilDate")
        return Lock(until) if until is not None and until > datetime.now(UTC) else None

    def _head(self, version: FileVersion) -> dict[str, Any]:
        found: dict[str, Any] = self._client.head_object(**_at(version))
        return found

    def _beside(self, version: FileVersion) -> dict[str, Any]:
        """What S3 keeps beside the bytes. A lock that has run out is none: S3 refuses a date that is past."""
        said = self._head(version)
        until = said.get("ObjectLockRetainUntilDate")
        if until is not None and until <= datetime.now(UTC):
            said = {name: value for name, value in said.items() if name not in _RETENTION}
        found = {name: said[name] for name in (*_COPIED, *_KEPT, *_LOCKS) if said.get(name) is not None}
        if said.get("Expires"):
            found["Expires"] = said["Expires"]
        if said.get("Metadata"):
            found["Metadata"] = said["Metadata"]
        tags = self._client.get_object_tagging(**_at(version))["TagSet"]
        if tags:
            found["Tagging"] = urlencode({tag["Key"]: tag["Value"] for tag in tags})
        return found

    def _in_parts(
        self, where: dict[str, str], beside: dict[str, Any], body: BinaryIO, size: int, etag: str
    ) -> dict[str, Any]:
        began = self._client.create_multipart_upload(**where, **beside, **clients.CHECKED)
        upload = {**where, "UploadId": began["UploadId"]}
        try:
            parts: list[dict[str, Any]] = []
            while data := body.read(size):
                number = len(parts) + 1
                said = self._client.upload_part(**upload, PartNumber=number, Body=data, **clients.CHECKED)
                parts.append(clients.part(number, said))
            done: dict[str, Any] = self._client.complete_multipart_upload(
                **upload, MultipartUpload={"Parts": parts}, IfMatch=f'"{etag}"'
            )
        except BaseException:
            self._client.abort_multipart_upload(**upload)
            raise
        return done


_LOST = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409", "NoSuchKey", "404"})
"""That somebody else wrote or deleted the object meanwhile."""


def _at(version: FileVersion) -> dict[str, str]:
    """Where a version is; a bucket that never had versions is asked for none."""
    found = {"Bucket": version.bucket, "Key": version.key}
    if version.version_id != "null" or not version.is_latest:
        found["VersionId"] = version.version_id
    return found


def _version(bucket: str, said: dict[str, Any]) -> FileVersion:
    return FileVersion(
        bucket,
        said["Key"],
        said["VersionId"],
        said["IsLatest"],
        "ETag" not in said,
        said.get("ETag", "").strip('"'),
        said.get("Size", 0),
        said["LastModified"],
    )
