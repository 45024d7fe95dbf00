"""The bucket of answers to requests: written in parts as they grow, encrypted under a key of their own.

What is deleted here is gone with all its versions; what expires follows them within as many days again.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

import urllib.parse
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any

import dagster as dg

from resources import clients

LINK_SECONDS = 3600
_PART = 8 << 20
_GROWS_AFTER = 1_000
"""Parts after which they become larger by as much again: 10,000 of them hold 440 GB."""
_CHUNK = 1 << 20


class BundlesResource(dg.ConfigurableResource[Any]):
    """The bucket; ``key_id`` is the KMS key or alias that its objects are encrypted under (SSE-KMS)."""

    bucket: str
    key_id: str

    @property
    def _client(self) -> Any:
        return clients.client("s3")

    def uri(self, key: str) -> str:
        """``s3://bucket/key``."""
        return f"s3://{self.bucket}/{key}"

    def console_url(self, key: str) -> str:
        """Where a person with an account finds one object in a browser."""
        region, path = self._client.meta.region_name, urllib.parse.quote(key)
        return f"https://{region}.console.aws.amazon.com/s3/object/{self.bucket}?prefix={path}"

    def upload(self, key: str, content_type: str) -> "Upload":
        """A new object, to be written piece by piece; it is there once the block ends well."""
        return Upload(self, key, content_type)

    def write(self, key: str, body: bytes, content_type: str = "application/json") -> None:
        """Write a small object whole."""
        self._client.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType=content_type, **self._kms)

    def read(self, key: str) -> bytes:
        """The object's bytes. Raises FileNotFoundError."""
        return b"".join(self.chunks(key))

    def chunks(self, key: str) -> Iterator[bytes]:
        """The object's bytes in pieces of 1 MiB. Raises FileNotFoundError."""
        try:
            body = self._client.get_object(Bucket=self.bucket, Key=key)["Body"]
        except self._client.exceptions.ClientError as error:
            if clients.error_code(error) in ("NoSuchKey", "404"):
                raise FileNotFoundError(self.uri(key)) from None
            raise
        yield from body.iter_chunks(_CHUNK)

    def exists(self, key: str) -> bool:
        """Whether the object is there."""
        try:
            self._client.head_object(Bucket=self.bucket, Key=key)
        except self._client.exceptions.ClientError as error:
            if clients.error_code(error) in ("NoSuchKey", "404"):
                return False
            raise
        return True

    def delete(self, prefix: str) -> int:
        """Delete every version of all objects under ``prefix``, so that they are gone; answers how many."""
        deleted = 0
        pages = self._client.get_paginator("list_object_versions")
        for page in pages.paginate(Bucket=self.bucket, Prefix=prefix):
            found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
            if batch := [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]:
                answer = self._client.delete_objects(
                    Bucket=self.bucket, Delete={"Objects": batch, "Quiet": True}
                )
                if failed := answer.get("Errors"):
                    raise OSError(
                        f"{len(failed)} of {len(batch)} objects not deleted: {failed[0].get('Code')}"
                    )
                deleted += len(batch)
        return deleted

    def link(self, key: str, name: str, seconds: int = LINK_SECONDS) -> tuple[str, datetime]:
        """A link that downloads the object as a file called ``name``, and until when it does.

        It dies after ``seconds``, or with the credentials that sign it: a role's may have minutes left. So it
        is signed when asked for, with credentials renewed before if they can be.
        """
        import boto3

        credentials: Any = boto3.session.Session().get_credentials()
        credentials.get_frozen_credentials()  # renews those that are about to expire
        now = datetime.now(UTC)
        expiry = now + timedelta(seconds=seconds)
        # botocore tells when a role's credentials die by this name alone.
        dies = getattr(credentials, "_expiry_time", None)
        if dies is not None:
            expiry = min(expiry, dies.astimezone(UTC))
        url = self._client.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self.bucket,
                "Key": key,
                "ResponseContentDisposition": f'attachment; filename="{name}"',
                "ResponseCacheControl": "no-store",
            },
            ExpiresIn=max(1, int((expiry - now).total_seconds())),
        )
        return str(url), expiry.replace(microsecond=0)

    @property
    def _kms(self) -> dict[str, str]:
        return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.key_id}


class Upload:
    """An object that is being written. A small one is put at once; a large one goes up in parts."""

    def __init__(self, bundles: BundlesResource, key: str, content_type: str) -> None:
        self._client: Any = clients.client("s3")
        self._where = {"Bucket": bundles.bucket, "Key": key}
        self._how = {"ContentType": content_type, **bundles._kms}  # one module, one thing
        self._waiting, self._parts, self._id = bytearray(), list[dict[str, Any]](), ""

    def __enter__(self) -> "Upload":
        return self

    def write(self, data: bytes, /) -> int:
        """Take ``data``; a part is sent when there is enough for one."""
        self._waiting += data
        size = _PART * (1 + len(self._parts) // _GROWS_AFTER)
        while len(self._waiting) >= size:
            self._send(bytes(self._waiting[:size]))
            del self._waiting[:size]
        return len(data)

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is not None:
            self._abort()
            return
        try:
            self._end()
        except BaseException:
            self._abort()
            raise

    def _end(self) -> None:
        if not self._id:
            self._client.put_object(**self._where, Body=bytes(self._waiting), **self._how)
            return
        if self._waiting:
            self._send(bytes(self._waiting))
        self._client.complete_multipart_upload(
            **self._where, UploadId=self._id, MultipartUpload={"Parts": self._parts}
        )

    def _abort(self) -> None:
        if self._id:
            self._client.abort_multipart_upload(**self._where, UploadId=self._id)

    def _send(self, body: bytes) -> None:
        if not self._id:
            began = self._client.create_multipart_upload(**self._where, **self._how, **clients.CHECKED)
            self._id = began["UploadId"]
        number = len(self._parts) + 1
        answer = self._client.upload_part(
            **self._where, UploadId=self._id, PartNumber=number, Body=body, **clients.CHECKED
        )
        self._parts.append(clients.part(number, answer))
