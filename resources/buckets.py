"""Any bucket's objects: list them fast, read them in order or by place, and say why one can't be read.

What belongs here is S3; what the bytes mean belongs to the scanner.
"""

import io
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import dagster as dg

from resources import clients

_WINDOW = 8 << 20
_FIRST_WINDOW = 256 << 10
_ATTEMPTS = 3  # an object that fails is tried again as a whole
_LISTERS = 16
_FOLDERS = 64


@dataclass(frozen=True, slots=True)
class BucketObject:
    """One version of an object: ``size`` in bytes, ``etag`` without quotes, ``modified`` in UTC."""

    key: str
    size: int
    etag: str
    modified: datetime
    storage_class: str = "STANDARD"


class Version(Protocol):
    """What it takes to read an object as it was listed."""

    @property
    def key(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def etag(self) -> str: ...


class ObjectUnreadable(OSError):  # noqa: N818  # said as a state
    """S3 does not give the object. ``why`` is one of *vanished, changed, access denied, key denied, archived,
    throttled, unavailable*; the last two may pass.
    """

    def __init__(self, why: str, detail: str) -> None:
        super().__init__(why, detail)
        self.why = why
        self.detail = detail

    @property
    def passes(self) -> bool:
        """Whether trying again later may help."""
        return self.why in ("throttled", "unavailable")


class BucketsResource(dg.ConfigurableResource[Any]):
    """Buckets that are read and never written. May be pickled, for processes that read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()

    @property
    def _client(self) -> Any:
        return clients.client("s3", _ATTEMPTS)

    def list(self, bucket: str, prefix: str = "") -> Iterator[list[BucketObject]]:
        """All objects under ``prefix`` in pages of up to 1,000, in no order; folders are listed at once.

        Raises ObjectUnreadable when there is no such bucket or it may not be listed.
        """
        with ThreadPoolExecutor(_LISTERS) as pool:
            pending: set[Future[_Page]] = {pool.submit(self._page, bucket, prefix, "/", None)}
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    page = future.result()
                    # Folders are opened until there is enough to do at once, not a million of them.
                    few = len(pending) + len(page.folders) < _FOLDERS
                    pending |= {
                        pool.submit(self._page, bucket, folder, "/" if few else "", None)
                        for folder in page.folders
                    }
                    if page.following is not None:
                        pending.add(pool.submit(self._page, bucket, *page.following))
                    if page.objects:
                        yield page.objects

    def _page(self, bucket: str, prefix: str, delimiter: str, token: str | None) -> "_Page":
        """One page, the folders beside it, and where it goes on."""
        arguments: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix}
        if delimiter:
            arguments["Delimiter"] = delimiter
        if token:
            arguments["ContinuationToken"] = token
        try:
            said = self._client.list_objects_v2(**arguments)
        except Exception as error:
            raise told(error) from error
        folders = [found["Prefix"] for found in said.get("CommonPrefixes", ())]
        objects = [
            BucketObject(
                item["Key"],
                item["Size"],
                item["ETag"].strip('"'),
                item["LastModified"],
                item.get("StorageClass", "STANDARD"),
            )
            for item in said.get("Contents", ())
        ]
        if not said.get("IsTruncated"):
            return _Page(objects, folders, None)
        if delimiter:  # more than a page of folders and files: all of it in one go
            return _Page([], [], (prefix, "", None))
        return _Page(objects, [], (prefix, "", said["NextContinuationToken"]))

    def head(self, bucket: str, key: str) -> BucketObject:
        """The object as it is now. Raises ObjectUnreadable."""
        try:
            said = self._client.head_object(Bucket=bucket, Key=key)
        except Exception as error:
            raise told(error) from error
        return BucketObject(
            key,
            said["ContentLength"],
            said["ETag"].strip('"'),
            said["LastModified"],
            said.get("StorageClass", "STANDARD"),
        )

    def open(self, bucket: str, item: Version) -> io.BufferedReader:
        """The object as a file that can seek; each read raises ObjectUnreadable if it can't be done.

        What is read in order is fetched ahead, 8 MiB at a time; memory is bounded by twice that.
        """
        return io.BufferedReader(Ahead(self._client, bucket, item), 128 << 10)

    def unreadable(self, error: OSError) -> ObjectUnreadable:
        """What a read's error says. Raises it again when it is none of S3's."""
        if isinstance(error, ObjectUnreadable):
            return error
        raise error

    def read(self, bucket: str, key: str) -> bytes:
        """A small object, whole. Raises ObjectUnreadable."""
        try:
            return bytes(self._client.get_object(Bucket=bucket, Key=key)["Body"].read())
        except Exception as error:
            raise told(error) from error


@dataclass(frozen=True, slots=True)
class _Page:
    objects: list[BucketObject]
    folders: list[str]
    following: tuple[str, str, str | None] | None


class Ahead(io.RawIOBase):
    """One version of an object by ranges: in order, the next range is fetched while this one is used."""

    def __init__(self, client: Any, bucket: str, item: Version) -> None:
        self._client, self._bucket, self._item = client, bucket, item
        self._at = 0
        self._start, self._window = 0, b""
        self._next: tuple[int, Future[bytes]] | None = None
        self._size = _FIRST_WINDOW
        self._pool: ThreadPoolExecutor | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(
            0, {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._item.size}[whence] + offset
        )
        return self._at

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._window = b""
        super().close()

    def readinto(self, buffer: Any) -> int:
        if self._at >= self._item.size:
            return 0
        inside = self._at - self._start
        if not 0 <= inside < len(self._window):
            self._move()
            inside = 0
        data = memoryview(self._window)[inside : inside + len(buffer)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _move(self) -> None:
        """Make the window begin at the position."""
        in_order = self._at == self._start + len(self._window)
        self._size = min(_WINDOW, self._size * 2) if in_order and self._window else _FIRST_WINDOW
        ahead, self._next = self._next, None
        self._window = b""
        if ahead is not None and ahead[0] == self._at:
            self._window = ahead[1].result()
        else:
            self._window = self._fetch(self._at, self._size)
        self._start = self._at
        following = self._start + len(self._window)
        if in_order and following < self._item.size:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
            self._next = following, self._pool.submit(self._fetch, following, self._size)

    def _fetch(self, start: int, size: int) -> bytes:
        end = min(start + size, self._item.size) - 1
        try:
            said = self._client.get_object(
                Bucket=self._bucket,
                Key=self._item.key,
                Range=f"bytes={start}-{end}",
                IfMatch=f'"{self._item.etag}"',
                **({"VersionId": version} if (version := getattr(self._item, "version_id", "")) else {}),
            )
            data = bytes(said["Body"].read())
        except Exception as error:
            raise told(error) from error
        if len(data) != end - start + 1:
            raise ObjectUnreadable("changed", f"{len(data)} bytes, expected {end - start + 1}")
        return data


_WHY = {
    "NoSuchKey": "vanished",
    "NoSuchBucket": "vanished",
    "NoSuchVersion": "vanished",
    "404": "vanished",
    "PreconditionFailed": "changed",
    "412": "changed",
    "InvalidRange": "changed",
    "416": "changed",
    "AccessDenied": "access denied",
    "AllAccessDisabled": "access denied",
    "403": "access denied",
    "InvalidObjectState": "archived",
    "SlowDown": "throttled",
    "503": "throttled",
    "ServiceUnavailable": "throttled",
    "RequestLimitExceeded": "throttled",
    "ThrottlingException": "throttled",
    "RequestTimeout": "unavailable",
    "InternalError": "unavailable",
    "500": "unavailable",
}


def told(error: Exception) -> ObjectUnreadable:
    """What S3's or the network's error means. Raises the error itself when it is none of theirs."""
    from botocore.exceptions import ClientError, HTTPClientError
    from urllib3.exceptions import HTTPError

    if isinstance(error, ObjectUnreadable):
        return error
    if isinstance(error, ClientError):
        code = clients.error_code(error)
        why = _WHY.get(code)
        if code.startswith("KMS.") or (
            why == "access denied" and "kms" in clients.error_message(error).lower()
        ):
            why = "key denied"
        if why is None:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            why = "unavailable" if status >= 500 else "access denied"
        return ObjectUnreadable(why, code)  # the message may quote the key
    if isinstance(error, HTTPClientError | HTTPError | ConnectionError | TimeoutError):
        return ObjectUnreadable("unavailable", type(error).__name__)
    raise error
