"""AWS calls that are made by the hundred thousand: signed as the SDK signs them, on connections kept open.

boto3 spends one to two milliseconds of processor time on a call, mostly on looking its parameters up in the
API's model; a thousand calls a second from one process are then out of reach however many threads there are.
What belongs here is a request's way to AWS and back. Its meaning belongs to the resource that makes it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
"""

import http.client
import json
import os
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from resources import clients

_ATTEMPTS = 10
_LONGEST_PAUSE = 20.0
_TIMEOUT = 60.0
_TARGETS = {
    "sqs": ("AmazonSQS", "1.0"),
    "dynamodb": ("DynamoDB_20120810", "1.0"),
}
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
_THROTTLED = (
    "Throttl",
    "ProvisionedThroughputExceeded",
    "RequestLimitExceeded",
    "TooManyRequests",
    "SlowDown",
    "TransactionInProgress",
    "RequestTimeout",
    "InternalServerError",
    "ServiceUnavailable",
)


class CallFailed(Exception):  # noqa: N818  # what it is
    """AWS refused a call, or could not be reached. ``code`` is AWS's, ``body`` its answer.

    The message names the call and the code and nothing that was sent or answered.
    """

    def __init__(self, what: str, status: int, code: str, body: bytes = b"") -> None:
        super().__init__(f"{what}: {code or f'HTTP {status}'}")
        self.status, self.code, self.body = status, code, body


@dataclass(frozen=True)
class Response:
    """What AWS answered, with header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Caller:
    """Calls of one service, from any number of threads; throttled and broken ones are tried ten times.

    Who has a caller waiting sets fewer ``attempts`` and seconds of ``timeout``.
    """

    def __init__(self, service: str, *, attempts: int = _ATTEMPTS, timeout: float = _TIMEOUT) -> None:
        self._service, self._attempts, self._timeout = service, attempts, timeout
        self._local = threading.local()

    def json(self, action: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """An action of a service that speaks JSON (SQS, DynamoDB). Raises CallFailed."""
        target, version = _TARGETS[self._service]
        headers = {"X-Amz-Target": f"{target}.{action}", "Content-Type": f"application/x-amz-json-{version}"}
        body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        answer = self.call("POST", "/", headers, body, what=action)
        found: dict[str, Any] = json.loads(answer.body) if answer.body else {}
        return found

    def object(
        self,
        method: str,
        bucket: str,
        key: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        query: str = "",
    ) -> Response:
        """A call of S3 on one object. Raises CallFailed, whose ``status`` tells 404, 409 and 412."""
        path = f"/{bucket}/{quote(key, safe='/~')}" + (f"?{query}" if query else "")
        return self.call(method, path, headers or {}, body, what=f"{method} object")

    def call(self, method: str, path: str, headers: Mapping[str, str], body: bytes, *, what: str) -> Response:
        """Send until AWS has answered for good. Raises CallFailed for an answer of 300 and above."""
        for attempt in range(1, self._attempts + 1):
            try:
                answer = self._send(method, path, headers, body)
            except (OSError, http.client.HTTPException) as error:
                self._drop()
                if attempt == self._attempts:
                    raise CallFailed(what, 0, type(error).__name__) from None
            else:
                if answer.status < 300:
                    return answer
                code = _code(answer)
                if attempt == self._attempts or not (answer.status >= 500 or code.startswith(_THROTTLED)):
                    raise CallFailed(what, answer.status, code, answer.body)
            time.sleep(random.uniform(0, min(0.05 * 2**attempt, _LONGEST_PAUSE)))  # noqa: S311  # no secret
        raise AssertionError("unreachable")

    def _send(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        signer, base, connection = self._signer(), *self._connection()
        request = signer.request(method, base + path, headers, body)
        connection.request(method, path, body=body or None, headers=request)
        answer = connection.getresponse()
        content = answer.read()
        return Response(answer.status, {name.lower(): value for name, value in answer.getheaders()}, content)

    def _connection(self) -> tuple[str, http.client.HTTPConnection]:
        held: tuple[str, int, http.client.HTTPConnection] | None = getattr(self._local, "held", None)
        base = clients.client(self._service).meta.endpoint_url.rstrip("/")
        if held is None or held[:2] != (base, os.getpid()):
            parts = urlsplit(base)
            kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
            connection = kind(parts.hostname or "", parts.port, timeout=self._timeout)
            held = self._local.held = (base, os.getpid(), connection)
        return base, held[2]

    def _drop(self) -> None:
        held = getattr(self._local, "held", None)
        if held is not None:
            held[2].close()  # it opens again by itself

    def _signer(self) -> "_Signer":
        return _signer(self._service)


class _Signer:
    """Signs with the credentials that the SDK finds and, where they expire, renews."""

    def __init__(self, service: str) -> None:
        import boto3
        from botocore.auth import S3SigV4Auth, SigV4Auth

        self._credentials: Any = boto3.session.Session().get_credentials()
        if self._credentials is None:
            from botocore.exceptions import NoCredentialsError

            raise NoCredentialsError
        self._kind: Any = S3SigV4Auth if service == "s3" else SigV4Auth
        self._service = service
        self._region = clients.client(service).meta.region_name

    def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """The headers of the signed request."""
        from botocore.awsrequest import AWSRequest

        request = AWSRequest(method=method, url=url, data=body, headers=dict(headers))
        frozen = self._credentials.get_frozen_credentials()
        self._kind(frozen, self._service, self._region).add_auth(request)
        return dict(request.headers.items())


_lock = threading.Lock()
_signers: dict[tuple[str, ...], _Signer] = {}


def _signer(service: str) -> _Signer:
    names = ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID")
    key = (service, *(os.environ.get(name, "") for name in names))
    found = _signers.get(key)
    if found is None:
        with _lock:
            found = _signers.setdefault(key, _Signer(service)) if key not in _signers else _signers[key]
    return found


def _code(answer: Response) -> str:
    """AWS's error code, of a JSON service or of S3's XML."""
    body = answer.body
    start = body.find(b"<Code>")
    if start >= 0:
        return body[start + 6 : body.find(b"</Code>", start)].decode("ascii", "replace")
    try:
        found = json.loads(body)
    except ValueError:
        return ""
    return str(found.get("__type", "")).rpartition("#")[2] if isinstance(found, dict) else ""
