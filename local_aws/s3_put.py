"""The plain PutObject, answered at once: moto's way through a request takes five times as long as the work.

What is more than a body, a type, metadata and a condition is handed on to moto; so is what fails: the answer
to it is right there and need not be fast.
"""

import re
from collections.abc import Mapping
from typing import Any

from moto.s3.models import S3Backend, s3_backends
from moto.s3.utils import metadata_from_headers

from local_aws.context import Answer
from local_aws.objects import ACCOUNT

_SCOPE = re.compile(r"Credential=([^/]+)/[^/]+/[^/]+/s3/")
_ISSUED_KEY = re.compile(r"[A-Z0-9]{20}\Z")  # moto tells accounts apart by the keys it issued itself
_HEADERS = {"HTTP_X_AMZ_DATE", "HTTP_X_AMZ_CONTENT_SHA256", "HTTP_X_AMZ_SECURITY_TOKEN"}
_META = "HTTP_X_AMZ_META_"


def put_object(environ: Mapping[str, Any], body: bytes) -> Answer | None:
    """The answer to a plain PutObject; None for anything else. To be called with the key's lock held."""
    found = _plain(environ)
    if found is None:
        return None
    backend, bucket, key = found
    if not _holds(environ, backend.buckets[bucket].keys.get(key)):
        return None
    made = backend.put_object(bucket, key, body)
    metadata = {
        f"x-amz-meta-{name.removeprefix(_META).lower().replace('_', '-')}": value
        for name, value in environ.items()
        if name.startswith(_META)
    }
    if "CONTENT_TYPE" in environ:
        metadata["Content-Type"] = environ["CONTENT_TYPE"]
    made.set_metadata(metadata_from_headers(metadata))
    made.set_acl(backend.buckets[bucket].acl)
    headers = {name: str(value) for name, value in made.response_dict.items() if name != "content-length"}
    return 200, headers, b""


def key_of(environ: Mapping[str, Any]) -> str:
    """Bucket and key of a request in path style."""
    return str(environ["PATH_INFO"]).encode("latin-1").decode("utf-8", "replace").lstrip("/")


def _plain(environ: Mapping[str, Any]) -> tuple[S3Backend, str, str] | None:
    scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    if scope is None or _ISSUED_KEY.match(scope.group(1)) or environ["QUERY_STRING"]:
        return None
    if not environ.get("HTTP_HOST", "").startswith(("127.0.0.1", "localhost")):
        return None
    if environ.get("HTTP_X_AMZ_CONTENT_SHA256", "STREAMING").startswith("STREAMING"):
        return None
    for name in environ:
        if name.startswith("HTTP_X_") and name not in _HEADERS and not name.startswith(_META):
            return None
    if environ.get("moto.preserved_header_names") or "HTTP_CONTENT_MD5" in environ:
        return None
    if any(f"HTTP_{name}" in environ for name in ("CONTENT_ENCODING", "CACHE_CONTROL", "EXPIRES")):
        return None
    bucket, _, key = key_of(environ).partition("/")
    backend = s3_backends[ACCOUNT]["aws"]
    held = backend.buckets.get(bucket)
    if held is None or not key or held.object_lock_enabled:
        return None
    return backend, bucket, key


def _holds(environ: Mapping[str, Any], current: Any) -> bool:
    """Whether the request's condition holds for the current version; a delete marker is none."""
    matches, absent = environ.get("HTTP_IF_MATCH"), environ.get("HTTP_IF_NONE_MATCH")
    etag = getattr(current, "etag", None)
    if matches is not None and (etag is None or matches.strip('"') != etag.strip('"')):
        return False
    if absent is not None:
        return absent == "*" and etag is None
    return True
