"""What moto's S3 leaves out and infrastructure code asks for."""

import copy
import os
import threading
import zlib
from collections.abc import Mapping
from typing import Any

from moto.core.common_types import TYPE_RESPONSE
from moto.core.responses import ActionResult
from moto.s3.models import FakeKey, S3Backend
from moto.s3.responses import S3Response
from moto.s3.utils import _VersionedKeyStore

from local_aws import s3_multipart, s3_names, s3_put
from local_aws.context import Answer, Context


def install(_: Context) -> None:
    """Put this engine into moto's place."""
    s3_names.install()
    S3Response.get_bucket_notification = _get_bucket_notification  # type: ignore[method-assign]  # no other way in
    FakeKey.etag = property(_etag)  # type: ignore[assignment, method-assign]  # no other way in
    S3Response.put_object = _put_object  # type: ignore[method-assign]  # no other way in
    S3Response.head_object = _head_object  # type: ignore[method-assign]  # no other way in
    S3Response.key_response = _key_response  # type: ignore[method-assign]  # no other way in
    S3Response._key_response_post = _key_response_post  # type: ignore[method-assign]  # no other way in
    FakeKey.value = property(_value, _moto_value.fset)  # type: ignore[assignment, method-assign]  # as above
    S3Backend.list_object_versions = _list_object_versions  # type: ignore[method-assign]  # as above


# Moto looks at the condition, stores the object, and then its metadata: two that write at once would both be
# first, and a reader might see an object that has none yet.
_ONE_AT_A_TIME = [threading.RLock() for _ in range(256)]
_moto_put_object = S3Response.put_object
_moto_head_object = S3Response.head_object
_moto_key_response = S3Response.key_response
_moto_value: Any = FakeKey.value
_moto_list_object_versions = S3Backend.list_object_versions


def _of_key(response: S3Response) -> Any:
    key = f"{response.bucket_name}/{response.parse_key_name()}"
    return _ONE_AT_A_TIME[zlib.crc32(key.encode()) % len(_ONE_AT_A_TIME)]


def put(environ: Mapping[str, Any], body: bytes) -> Answer | None:
    """A plain PutObject in moto's place; None hands the request on."""
    key = s3_put.key_of(environ)
    with _ONE_AT_A_TIME[zlib.crc32(key.encode()) % len(_ONE_AT_A_TIME)]:
        return s3_put.put_object(environ, body)


def _put_object(self: S3Response) -> TYPE_RESPONSE:
    with _of_key(self):
        return _moto_put_object(self)


def _head_object(self: S3Response, *args: Any, **kwargs: Any) -> TYPE_RESPONSE:
    with _of_key(self):
        return _moto_head_object(self, *args, **kwargs)


def _key_response_post(
    self: S3Response, request: Any, body: bytes, bucket_name: str, query: dict[str, Any], key_name: str
) -> TYPE_RESPONSE:
    with _of_key(self):
        return s3_multipart.key_response_post(self, request, body, bucket_name, query, key_name)


class _Content(bytes):
    """An object's bytes of which only what is asked for is read."""

    _key: FakeKey
    _size: int

    @classmethod
    def of(cls, key: FakeKey) -> "_Content":
        made = cls()
        made._key = key
        with key.lock:
            made._size = key._value_buffer.seek(0, os.SEEK_END)
        return made

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, asked: Any) -> bytes:  # type: ignore[override]  # slices alone
        start, stop, _ = asked.indices(self._size)
        with self._key.lock:
            self._key._value_buffer.seek(start)
            return bytes(self._key._value_buffer.read(stop - start))


_asked = threading.local()


def _value(key: FakeKey) -> bytes:
    if getattr(_asked, "for_a_range", False):
        return _Content.of(key)
    whole: bytes = _moto_value.fget(key)
    return whole


def _key_response(self: S3Response, request: Any, full_url: str, headers: dict[str, Any]) -> TYPE_RESPONSE:
    """Moto copies an object whole for each range that is asked of it."""
    if request.method != "GET" or not request.headers.get("range"):
        return _moto_key_response(self, request, full_url, headers)
    _asked.for_a_range = True
    try:
        status, told, content = _moto_key_response(self, request, full_url, headers)
    finally:
        _asked.for_a_range = False
    return status, told, content[:] if isinstance(content, _Content) else content


def _list_object_versions(
    self: S3Backend,
    bucket_name: str,
    delimiter: str | None = None,
    key_marker: str | None = None,
    max_keys: int | None = 1000,
    prefix: str = "",
    version_id_marker: str | None = None,
) -> Any:
    """Moto copies all objects of the bucket for each page, whatever is asked for."""
    bucket = self.get_bucket(bucket_name)
    narrow = copy.copy(bucket)
    narrow.keys = _VersionedKeyStore()
    for name in s3_names.starting_with(bucket.keys, prefix):
        narrow.keys.setlist(name, bucket.keys.getlist(name, []))
    one = copy.copy(self)
    one.get_bucket = lambda _: narrow  # type: ignore[assignment, method-assign]  # for this one call
    return _moto_list_object_versions(
        one, bucket_name, delimiter, key_marker, max_keys, prefix, version_id_marker
    )


_moto_etag = FakeKey.etag


def _etag(key: FakeKey) -> str:
    """Moto computes it when it is first asked for, from the file that another thread may be reading."""
    with key.lock:
        etag: str = _moto_etag.fget(key)  # type: ignore[attr-defined]  # it is a property
    return etag


_moto_get_bucket_notification = S3Response.get_bucket_notification


def _get_bucket_notification(self: S3Response) -> TYPE_RESPONSE:
    """GetBucketNotificationConfiguration, which in moto keeps quiet about EventBridge."""
    found = self.backend.get_bucket_notification_configuration(self.bucket_name)
    serialized = self.serialized

    def with_event_bridge(answer: ActionResult) -> TYPE_RESPONSE:
        if found is not None and found.event_bridge is not None and isinstance(answer.result, dict):
            answer = ActionResult({**answer.result, "EventBridgeConfiguration": {}})
        return serialized(answer)

    vars(self)["serialized"] = with_event_bridge  # for this one request
    return _moto_get_bucket_notification(self)
