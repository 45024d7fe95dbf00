"""The archive bucket: deleted records as versions of objects, written once each by conditional writes.

A version carries its record's sequence number, and the highest of all that were written to its key before it.
So one look at the current version tells, nearly always, whether a record is there already.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg

from resources import clients
from resources.signed import CallFailed, Response, caller

_SEQUENCE, _HIGHEST = "x-amz-meta-sequence", "x-amz-meta-highest"


class ObjectRefused(Exception):  # noqa: N818  # a refusal, told as S3 tells it
    """S3 will never take this object, whoever writes it and when; ``code`` is S3's."""

    def __init__(self, code: str) -> None:
        super().__init__(f"S3 refused the object: {code}")
        self.code = code


@dataclass(frozen=True)
class Version:
    """One version of an object; ``sequence`` is its record's, ``highest`` of all up to it."""

    id: str
    etag: str
    sequence: str
    highest: str


class ArchiveResource(dg.ConfigurableResource[Any]):
    """The versioned bucket that deleted records are kept in."""

    bucket: str

    def uri(self, path: str) -> str:
        """``s3://bucket/path``."""
        return f"s3://{self.bucket}/{path}"

    def console_url(self, prefix: str) -> str:
        """Where a person looks at ``prefix`` in a browser."""
        region = clients.client("s3").meta.region_name
        return f"https://{region}.console.aws.amazon.com/s3/buckets/{self.bucket}?prefix={prefix}"

    def put(self, path: str, body: bytes, sequence: str, highest: str, after: Version | None) -> str | None:
        """Write a version behind the current one ``after``, or the first; its id.

        None when it was not written: the current version is another by now. Raises ObjectRefused, CallFailed.
        """
        headers = {"Content-Type": "application/json", _SEQUENCE: sequence, _HIGHEST: highest}
        headers |= {"If-None-Match": "*"} if after is None else {"If-Match": after.etag}
        try:
            answer = caller("s3").object("PUT", self.bucket, path, headers, body)
        except CallFailed as failed:
            if failed.status in (409, 412) or (failed.status == 404 and after is not None):
                return None
            if failed.status in (400, 413, 414):
                raise ObjectRefused(failed.code) from None
            raise
        return answer.headers["x-amz-version-id"]

    def current(self, path: str) -> Version | None:
        """The current version; None when there is none or a delete marker hides it."""
        return self._head(path, "")

    def find(self, path: str, sequence: str) -> str | None:
        """The id of the version that holds this record; looks at every version of the path."""
        for version in self.versions(path):
            found = self._head(path, version)
            if found is not None and found.sequence == sequence:
                return version
        return None

    def versions(self, path: str) -> Iterator[str]:
        """The ids of all versions of the path, the newest first, without delete markers."""
        pages = clients.client("s3").get_paginator("list_object_versions")
        for page in pages.paginate(Bucket=self.bucket, Prefix=path):
            for version in page.get("Versions", ()):
                if version["Key"] == path:
                    yield version["VersionId"]

    def read(self, path: str, version: str) -> bytes | None:
        """The bytes of a version; None when it is gone."""
        try:
            return caller("s3").object("GET", self.bucket, path, version=version).body
        except CallFailed as failed:
            if failed.status == 404 or failed.code == "NoSuchVersion":
                return None
            raise

    def remove(self, path: str, version: str) -> None:
        """Delete a version for good; fine when it is gone."""
        try:
            caller("s3").object("DELETE", self.bucket, path, version=version)
        except CallFailed as failed:
            if failed.status != 404:
                raise

    def _head(self, path: str, version: str) -> Version | None:
        try:
            found: Response = caller("s3").object("HEAD", self.bucket, path, version=version)
        except CallFailed as failed:
            if failed.status in (404, 405):
                return None
            raise
        headers = found.headers
        sequence = headers.get(_SEQUENCE, "")
        return Version(
            headers.get("x-amz-version-id", version),
            headers["etag"],
            sequence,
            headers.get(_HIGHEST, sequence),
        )
