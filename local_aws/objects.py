"""S3 as the server's own engines see it: objects are read as local files and written through the front door.

Writes go over HTTP to the server itself, so that events, versions and persistence hold for them as for any
client's.
"""

import hashlib
import io
import os
import shutil
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from moto.s3.models import FakeKey, s3_backends

ACCOUNT = "123456789012"


@dataclass(frozen=True)
class Object:
    """An object of S3 with its content."""

    bucket: str
    key: str
    etag: str
    size: int
    last_modified: Any
    _fake: FakeKey

    def path(self) -> Path:
        """A local file with the object's bytes. It is shared and cached: read it, never change it.

        The least recently asked for are removed once all together are larger than the cache's limit, but
        never one that was asked for within the last ``RESERVED`` of other files: open it soon.
        """
        return _cache.path(self)

    def read(self) -> bytes:
        """The object's bytes. Raises KeyError when it was deleted or overwritten since it was listed."""
        try:
            return bytes(self._fake.value)
        except ValueError:  # moto has closed its buffer
            raise KeyError(f"s3://{self.bucket}/{self.key} is gone") from None

    def open(self) -> BinaryIO:
        """The object as a file, for who needs a part of it: only what is read is copied."""
        return cast("BinaryIO", io.BufferedReader(_Reader(self), 16 * 1024))


class _Reader(io.RawIOBase):
    """Reads an object's bytes where moto holds them. Raises KeyError when it is gone."""

    def __init__(self, item: Object) -> None:
        self._item = item
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._item.size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        fake = self._item._fake
        try:
            with fake.lock:
                fake._value_buffer.seek(self._position)
                data = fake._value_buffer.read(len(buffer))
        except ValueError:  # moto has closed its buffer
            raise KeyError(f"s3://{self._item.bucket}/{self._item.key} is gone") from None
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def list_objects(bucket: str, prefix: str = "") -> list[Object]:
    """The bucket's current objects under ``prefix``, in key order, without those a delete marker hides.

    Raises KeyError when there is no bucket.
    """
    keys = s3_backends[ACCOUNT]["aws"].buckets[bucket].keys
    found = []
    for name in sorted(name for name in list(keys) if name.startswith(prefix)):
        fake = keys.get(name)  # may be gone by now, or a FakeDeleteMarker
        if isinstance(fake, FakeKey):
            found.append(Object(bucket, name, fake.etag.strip('"'), fake.size, fake.last_modified, fake))
    return found


class _Cache:
    """Objects as files in one directory, by content: an object that changes becomes another file."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._directory: Path | None = None
        self._lock = threading.Lock()
        self._sizes: OrderedDict[Path, int] = OrderedDict()
        self._total = 0

    def configure(self, directory: Path) -> None:
        with self._lock:
            self._directory = directory
            self._forget()
            directory.mkdir(parents=True, exist_ok=True)

    def clear(self) -> None:
        with self._lock:
            if self._directory is not None:
                shutil.rmtree(self._directory, ignore_errors=True)
                self._directory.mkdir(parents=True, exist_ok=True)
            self._forget()

    def path(self, item: Object) -> Path:
        name = hashlib.sha256(f"{item.bucket}\0{item.key}\0{item.etag}\0{item.size}".encode()).hexdigest()
        suffix = "".join(Path(item.key.rsplit("/", 1)[-1]).suffixes[-2:])
        with self._lock:
            if self._directory is None:
                self._directory = Path(tempfile.mkdtemp(prefix="local-aws-"))
            path = self._directory / f"{name}{suffix}"
            if path not in self._sizes:
                partial = path.with_name(path.name + ".part")
                partial.write_bytes(item.read())
                partial.replace(path)
                self._sizes[path] = item.size
                self._total += item.size
            self._sizes.move_to_end(path)
            self._trim()
            return path

    def _trim(self) -> None:
        while self._total > self._limit and len(self._sizes) > RESERVED:
            oldest, size = self._sizes.popitem(last=False)
            self._total -= size
            oldest.unlink(missing_ok=True)

    def _forget(self) -> None:
        self._sizes.clear()
        self._total = 0


RESERVED = 4096
LIMIT = 8 * 1024**3
_cache = _Cache(LIMIT)
configure = _cache.configure
clear = _cache.clear
