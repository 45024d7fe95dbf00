"""AWS calls by the hundred thousand: Signature Version 4, connections kept open, answers parsed in C.

boto3 spends one to two milliseconds of processor time on a call, mostly on looking its parameters up in the
API's model and on signing; a thousand calls a second from one process are then out of reach however many
threads there are. Here a call takes a tenth of that. Credentials and endpoints are those that boto3 finds.
What belongs here is a request's way to AWS and back. Its meaning belongs to the resource that makes it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import json
import os
import random
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

import httptools

from resources import clients

_ATTEMPTS = 10
_LONGEST_PAUSE = 20.0
_TIMEOUT = 60.0
_RECEIVE = 256 * 1024
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
        version: str = "",
    ) -> Response:
        """A call of S3 on an object or a version. Raises CallFailed, whose ``status`` tells 404, 409, 412."""
        path = object_path(bucket, key, version)
        return self.call(method, path, headers or {}, body, what=f"{method} object")

    def call(self, method: str, path: str, headers: Mapping[str, str], body: bytes, *, what: str) -> Response:
        """Send until AWS has answered for good. Raises CallFailed for an answer of 300 and above."""
        for attempt in range(1, self._attempts + 1):
            try:
                answer = self._send(method, path, headers, body)
            except OSError as error:
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
        way = _way(self._service)
        held: _Connection | None = getattr(self._local, "held", None)
        if held is None or held.way is not way:
            self._drop()
            held = self._local.held = _Connection(way, self._timeout)
        return held.exchange(method, path, way.sign(method, path, headers, body), body)

    def _drop(self) -> None:
        held: _Connection | None = getattr(self._local, "held", None)
        if held is not None:
            held.close()
            self._local.held = None


@lru_cache
def caller(service: str) -> Caller:
    """The caller whose connections the whole process shares."""
    return Caller(service)


def object_path(bucket: str, key: str, version: str = "") -> str:
    """The path of an object in a request, encoded; no key leads out of its bucket."""
    path = f"/{bucket}/{quote(key, safe='/~')}"
    return f"{path}?versionId={quote(version, safe='~')}" if version else path


class _Way:
    """Where a service is, and whose signature its requests have."""

    def __init__(self, service: str) -> None:
        import boto3

        self._credentials: Any = boto3.session.Session().get_credentials()
        if self._credentials is None:
            from botocore.exceptions import NoCredentialsError

            raise NoCredentialsError
        meta = clients.client(service).meta
        parts = urlsplit(meta.endpoint_url)
        self.secure = parts.scheme == "https"
        self.name, self.port = parts.hostname or "", parts.port or (443 if self.secure else 80)
        # What is signed is the Host header, and that names no port which goes without saying.
        self.host = parts.netloc.removesuffix(":443" if self.secure else ":80")
        self.base = parts.path.rstrip("/")
        self._service, self._region = service, meta.region_name

    def sign(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, now: float | None = None
    ) -> dict[str, str]:
        """The headers of the signed request; ``path`` is encoded, and may have a query of one parameter."""
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        credentials = self._credentials.get_frozen_credentials()
        digest = hashlib.sha256(body).hexdigest()
        signed = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
        signed |= {"host": self.host, "x-amz-date": moment}
        if self._service == "s3":
            signed["x-amz-content-sha256"] = digest
        if credentials.token:
            signed["x-amz-security-token"] = credentials.token
        names = sorted(signed)
        resource, _, query = path.partition("?")
        canonical = "\n".join(
            [
                method, self.base + resource, query,
                *(f"{name}:{signed[name]}" for name in names),
                "", ";".join(names), digest,
            ]
        )  # fmt: skip
        scope = f"{moment[:8]}/{self._region}/{self._service}/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = _key(credentials.secret_key, moment[:8], self._region, self._service)
        signed["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={';'.join(names)}, Signature={hmac.digest(key, text.encode(), 'sha256').hex()}"
        )
        return signed


@lru_cache(maxsize=16)
def _key(secret: str, day: str, region: str, service: str) -> bytes:
    """The key that signs one day's requests."""
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


class _Connection:
    """One connection, kept open from call to call, of one thread."""

    def __init__(self, way: _Way, timeout: float) -> None:
        self.way, self._timeout = way, timeout
        self._socket: socket.socket | None = None

    def exchange(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Send a request and read its answer. Raises OSError when the connection broke."""
        connection = self._socket or self._open()
        lines = [f"{method} {self.way.base}{path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body or method in ("POST", "PUT"):
            lines.append(f"content-length: {len(body)}")
        connection.sendall("\r\n".join([*lines, "\r\n"]).encode("latin-1") + body)
        answer = _Answer(method)
        parser = httptools.HttpResponseParser(answer)
        try:
            while not answer.complete:
                data = connection.recv(_RECEIVE)
                if not data:
                    raise ConnectionResetError("closed before the answer was whole")
                parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise ConnectionError("no HTTP") from error
        if not answer.keep:
            self.close()
        return Response(parser.get_status_code(), answer.headers, b"".join(answer.parts))

    def _open(self) -> socket.socket:
        plain = socket.create_connection((self.way.name, self.way.port), timeout=self._timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # AWS closes what is idle without a word; keepalive tells of it before the next call is lost.
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._socket = _tls().wrap_socket(plain, server_hostname=self.way.name) if self.way.secure else plain
        return self._socket

    def close(self) -> None:
        """Close it; the next exchange opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class _Answer:
    """An answer as it comes: httptools calls the ``on_...`` methods."""

    def __init__(self, method: str) -> None:
        self._bodyless = method == "HEAD"
        self.headers: dict[str, str] = {}
        self.parts: list[bytes] = []
        self.complete = False
        self.keep = True

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.keep = self.headers.get("connection", "").lower() != "close"
        # The length of an answer to HEAD is that of a body that doesn't come.
        self.complete = self._bodyless

    def on_body(self, body: bytes) -> None:
        self.parts.append(body)

    def on_message_complete(self) -> None:
        self.complete = True


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE"))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


_lock = threading.Lock()
_ways: dict[tuple[str, ...], _Way] = {}


def _way(service: str) -> _Way:
    """The service as the environment says where it is and who calls."""
    key = (service, *clients.surroundings())
    found = _ways.get(key)
    if found is None:
        with _lock:
            found = _ways.get(key) or _ways.setdefault(key, _Way(service))
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
