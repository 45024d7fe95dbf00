"""The lake bucket: list, read, write and delete objects, and the few things that must not load them whole."""

import hashlib
import io
import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from resources import clients

if TYPE_CHECKING:
    from pyarrow import RecordBatch

_THREADS = 16
_CHUNK = 1 << 20


@dataclass(frozen=True)
class LakeObject:
    """An object of the lake; ``size`` in bytes, ``etag`` without quotes, ``modified`` in UTC."""

    key: str
    size: int
    etag: str
    modified: datetime


class LakeResource(dg.ConfigurableResource[Any]):
    """The S3 bucket that exports, snapshots, audit results and reports are in. May be pickled."""

    bucket: str

    def __reduce__(self) -> tuple[Any, ...]:
        return _lake, (self.bucket,)

    @property
    def _client(self) -> Any:
        return clients.client("s3")

    def uri(self, key: str) -> str:
        """``s3://bucket/key``."""
        return f"s3://{self.bucket}/{key}"

    def key(self, uri: str) -> str:
        """The key in ``s3://bucket/key``.  Raises ValueError for another bucket's."""
        start = f"s3://{self.bucket}/"
        if not uri.startswith(start):
            raise ValueError(f"{uri}: not in the lake, expected {start}…")
        return uri.removeprefix(start)

    def console_url(self, prefix: str) -> str:
        """Where a person looks at ``prefix`` in a browser."""
        region = self._client.meta.region_name
        return f"https://{region}.console.aws.amazon.com/s3/buckets/{self.bucket}?prefix={prefix}"

    def object_url(self, key: str) -> str:
        """Where a person with an account finds one object in a browser; good as long as the object is."""
        region, path = self._client.meta.region_name, urllib.parse.quote(key)
        return f"https://{region}.console.aws.amazon.com/s3/object/{self.bucket}?prefix={path}"

    def signed_url(self, key: str, seconds: int = 7 * 24 * 3600) -> tuple[str, datetime]:
        """A link that opens one object in any browser, and until when.

        It dies after ``seconds``, at most seven days, or with the credentials that sign it, which a role's do
        within hours. Whoever has it may read the object: only for what holds no personal value.
        """
        import boto3

        now = datetime.now(UTC)
        expiry = now + timedelta(seconds=seconds)
        # botocore tells when a role's credentials die by this name alone.
        dies = getattr(boto3.session.Session().get_credentials(), "_expiry_time", None)
        if dies is not None:
            expiry = min(expiry, dies.astimezone(UTC))
        url = self._client.generate_presigned_url(
            "get_object",
            Params={"Bucket": self.bucket, "Key": key},
            ExpiresIn=max(1, int((expiry - now).total_seconds())),
        )
        return str(url), expiry.replace(microsecond=0)

    def list(self, prefix: str) -> Iterator[LakeObject]:
        """All objects under ``prefix``, in key order."""
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
            for item in page.get("Contents", ()):
                yield LakeObject(item["Key"], item["Size"], item["ETag"].strip('"'), item["LastModified"])

    def read(self, key: str) -> bytes:
        """The object's bytes.  Raises FileNotFoundError."""
        try:
            return bytes(self._client.get_object(Bucket=self.bucket, Key=key)["Body"].read())
        except self._client.exceptions.ClientError as error:
            if clients.error_code(error) in ("NoSuchKey", "404"):
                raise FileNotFoundError(self.uri(key)) from None
            raise

    def write(self, key: str, body: bytes, content_type: str) -> str:
        """Write an object whole; answers its URI."""
        self._client.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType=content_type)
        return self.uri(key)

    def delete(self, keys: Iterable[str]) -> int:
        """Delete objects, a thousand a call; answers how many."""
        names = list(keys)
        for start in range(0, len(names), 1000):
            batch = [{"Key": name} for name in names[start : start + 1000]]
            answer = self._client.delete_objects(Bucket=self.bucket, Delete={"Objects": batch, "Quiet": True})
            if failed := answer.get("Errors"):
                raise OSError(f"{len(failed)} of {len(batch)} objects not deleted: {failed[0].get('Code')}")
        return len(names)

    def md5(self, keys: Iterable[str]) -> dict[str, str]:
        """The MD5 of each object's bytes in hexadecimal, read in pieces of 1 MiB by several threads."""

        def digest(key: str) -> str:
            found = hashlib.md5(usedforsecurity=False)
            for chunk in self._client.get_object(Bucket=self.bucket, Key=key)["Body"].iter_chunks(_CHUNK):
                found.update(chunk)
            return found.hexdigest()

        names = list(keys)
        with ThreadPoolExecutor(_THREADS) as pool:
            return dict(zip(names, pool.map(digest, names), strict=True))

    def parquet_batches(
        self, objects: Iterable[LakeObject], columns: Sequence[str]
    ) -> "Iterator[RecordBatch]":
        """Some columns of Parquet files, a batch of 64 Ki rows at a time: memory is bounded by a row group's
        part of them.
        """
        from pyarrow.parquet import ParquetFile

        for item in objects:
            source = io.BufferedReader(_Ranged(self._client, self.bucket, item), 1 << 20)
            with ParquetFile(source, pre_buffer=False) as file:
                yield from file.iter_batches(1 << 16, columns=list(columns))

    def parquet_rows(self, objects: Iterable[LakeObject]) -> int:
        """The rows of Parquet files, from their footers alone.  Raises ValueError for a file that is none."""
        from pyarrow import ArrowInvalid
        from pyarrow.parquet import read_metadata

        def rows(item: LakeObject) -> int:
            try:
                return int(
                    read_metadata(
                        io.BufferedReader(_Ranged(self._client, self.bucket, item), 1 << 16)
                    ).num_rows
                )
            except ArrowInvalid:
                raise ValueError(f"{self.uri(item.key)}: not a whole Parquet file") from None

        with ThreadPoolExecutor(_THREADS) as pool:
            return sum(pool.map(rows, list(objects)))


def _lake(bucket: str) -> LakeResource:
    return LakeResource(bucket=bucket)


class _Ranged(io.RawIOBase):
    """An object as a file that fetches only what is read."""

    def __init__(self, client: Any, bucket: str, item: LakeObject) -> None:
        self._client, self._bucket, self._item, self._at = client, bucket, item, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._item.size}[whence] + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._at + len(buffer), self._item.size)
        if end <= self._at:
            return 0
        answer = self._client.get_object(
            Bucket=self._bucket, Key=self._item.key, Range=f"bytes={self._at}-{end - 1}"
        )
        data = answer["Body"].read()
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
