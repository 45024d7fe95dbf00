"""What stands in a message that asks for a scan: ``{"bucket": …, "prefix": …, "job_id": …}``."""

import json
import re
from dataclasses import dataclass

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_KEY_BYTES = 1024  # as long as S3 lets a key be
FIELDS = ("bucket", "prefix", "job_id")


class MalformedRequest(ValueError):  # noqa: N818  # a message's state
    """A message that asks for no scan; one line that says what was expected, without what it holds."""


@dataclass(frozen=True)
class ScanRequest:
    """A scan of the keys of ``bucket`` that start with ``prefix``, known by ``job_id``."""

    bucket: str
    prefix: str
    job_id: str

    @property
    def body(self) -> str:
        """The message."""
        return json.dumps({"bucket": self.bucket, "prefix": self.prefix, "job_id": self.job_id})


def parse_request(body: str) -> ScanRequest:
    """The request in a message. ``prefix`` may be missing. Raises MalformedRequest."""
    try:
        said = json.loads(body)
    except ValueError:
        raise MalformedRequest("no JSON, expected {bucket, prefix, job_id}") from None
    if not isinstance(said, dict):
        raise MalformedRequest("no JSON object, expected {bucket, prefix, job_id}")
    if unknown := set(said) - set(FIELDS):
        raise MalformedRequest(f"{len(unknown)} unknown fields, expected bucket, prefix and job_id alone")
    bucket, prefix, job_id = said.get("bucket"), said.get("prefix", ""), said.get("job_id")
    if not isinstance(bucket, str) or not _BUCKET.fullmatch(bucket):
        raise MalformedRequest("bucket: expected the name of an S3 bucket")
    if not isinstance(prefix, str) or len(prefix.encode("utf-8", "replace")) > _KEY_BYTES:
        raise MalformedRequest(f"prefix: expected text of up to {_KEY_BYTES} bytes")
    if not isinstance(job_id, str) or not _JOB_ID.fullmatch(job_id):
        raise MalformedRequest("job_id: expected 1 to 128 letters, digits, _ and -")
    return ScanRequest(bucket, prefix, job_id)
