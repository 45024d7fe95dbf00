"""How every AWS client of the product is made: one per service and endpoint, shared by threads, with retries.

boto3 reads endpoint, region and credentials from the environment, on a laptop and in production alike.
"""

import os
import threading
from collections.abc import Mapping
from typing import Any

_NAMES = ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID")

CHECKED = {"ChecksumAlgorithm": "CRC32"}
"""Said when an upload in parts is begun and with each part: where objects are locked S3 takes none without.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
"""

_lock = threading.Lock()
_clients: dict[tuple[str, ...], Any] = {}


def surroundings() -> tuple[str, ...]:
    """What a client is made for and can't be used beyond: this process, and what its environment says."""
    return (str(os.getpid()), *(os.environ.get(name, "") for name in _NAMES))


def client(service: str, attempts: int = 10, timeouts: tuple[float, float] = (60.0, 60.0)) -> Any:
    """The client of ``service``.  Throttled and broken calls are tried ``attempts`` times, with pauses.

    ``timeouts`` are the seconds to wait for a connection, and for an answer's next bytes.
    """
    key = (service, str(attempts), str(timeouts), *surroundings())
    with _lock:  # boto3's default session is not safe to make clients from in several threads
        if key not in _clients:
            import boto3
            from botocore.config import Config

            region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
            _clients[key] = boto3.session.Session().client(
                service,  # type: ignore[call-overload]  # the stubs want a literal
                region_name=region,
                config=Config(
                    retries={"mode": "standard", "total_max_attempts": attempts},
                    connect_timeout=timeouts[0],
                    read_timeout=timeouts[1],
                    max_pool_connections=32,
                    tcp_keepalive=True,
                    # In us-east-1 the SDK signs links with version 2, which buckets made since 2020 refuse.
                    signature_version="s3v4" if service == "s3" else None,
                ),
            )
        return _clients[key]


def part(number: int, said: Mapping[str, Any]) -> dict[str, Any]:
    """A part that was uploaded with ``CHECKED``, as the upload's end must name it."""
    return {"PartNumber": number, "ETag": said["ETag"], "ChecksumCRC32": said["ChecksumCRC32"]}


def error_code(error: Exception) -> str:
    """The code of a botocore ClientError, such as ``EntityNotFoundException``; empty for any other error."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def error_message(error: Exception) -> str:
    """What AWS said, without the SDK's own words around it."""
    response = getattr(error, "response", None)
    message = response.get("Error", {}).get("Message", "") if isinstance(response, dict) else ""
    return str(message) or str(error)


def troubles() -> tuple[type[Exception], ...]:
    """The exceptions by which a call says that AWS did not do it."""
    from botocore.exceptions import BotoCoreError, ClientError

    from resources.signed import CallFailed

    return (OSError, BotoCoreError, ClientError, CallFailed)
