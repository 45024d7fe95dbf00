"""Signed calls: the signature is the SDK's, and an answer is read whatever way it comes."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources import signed
from resources.signed import Caller, CallFailed

MOMENT = 1_790_000_000.0
_KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@pytest.fixture
def region(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ACCESS_KEY_ID", "local"), ("SECRET_ACCESS_KEY", "local"), ("REGION", "eu-west-1")):
        monkeypatch.setenv(f"AWS_{name}", value)


def of_the_sdk(way: Any, service: str, method: str, path: str, headers: dict[str, str], body: bytes) -> str:
    """The Authorization header that botocore makes of the same request."""
    from botocore import auth
    from botocore.awsrequest import AWSRequest

    kind: Any = auth.S3SigV4Auth if service == "s3" else auth.SigV4Auth
    scheme = "https" if way.secure else "http"
    request = AWSRequest(method=method, url=f"{scheme}://{way.host}{path}", data=body, headers=headers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth, "get_current_datetime", lambda: datetime.fromtimestamp(MOMENT, UTC))
        kind(way._credentials.get_frozen_credentials(), service, "eu-west-1").add_auth(request)
    return str(request.headers["Authorization"])


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:4566", "https://s3.eu-west-1.amazonaws.com"])
@pytest.mark.parametrize("token", ["", "a/session+token="])
@pytest.mark.usefixtures("region")
def test_a_signature_is_the_sdk_s(endpoint: str, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    if token:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    ways = {service: signed._Way(service) for service in ("s3", "sqs", "dynamodb")}

    @settings(deadline=None)
    @given(
        service=st.sampled_from(sorted(ways)),
        key=_KEYS,
        version=st.text("abcXYZ019._-+/ ", max_size=9),
        etag=st.text(' aZ~"', min_size=1).map(lambda text: f"'{text}'"),
        body=st.binary(max_size=99),
    )
    def check(service: str, key: str, version: str, etag: str, body: bytes) -> None:
        way = ways[service]
        method, path, headers = "POST", "/", {"Content-Type": "application/x-amz-json-1.0"}
        if service == "s3":
            method, headers = "PUT", {"If-Match": etag, "x-amz-meta-sequence": "0012"}
            path = signed.object_path("the-bucket", key, version.strip())
        ours = way.sign(method, path, headers, body, MOMENT)
        assert ours["authorization"] == of_the_sdk(way, service, method, path, headers, body)
        assert ours.get("x-amz-security-token", "") == token

    check()


@contextmanager
def answering(*answers: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives each request the next answer, in two parts, and closes behind an empty one."""
    listening, requests = socket.create_server(("127.0.0.1", 0)), list[bytes]()

    def serve() -> None:
        left = list(answers)
        while left:
            connection, _ = listening.accept()
            with connection:
                while left and (request := connection.recv(1 << 16)):
                    requests.append(request)
                    answer = left.pop(0)
                    if not answer:
                        break
                    connection.sendall(answer[:20])
                    connection.sendall(answer[20:])
                    if b"connection: close" in answer.lower():
                        break

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", requests
        thread.join(timeout=60)
        assert not thread.is_alive()


def call(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> Caller:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    return Caller("s3")


@pytest.mark.usefixtures("region")
def test_answers_of_every_kind_on_one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(
        b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 3\r\n\r\none',
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ntw\r\n1\r\no\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-amz-meta-sequence: 7\r\nContent-Length: 99\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 34\r\n\r\n<Error><Code>NoSuchKey</Code></Err",
    ) as (endpoint, requests):
        s3 = call(monkeypatch, endpoint)
        assert s3.object("GET", "b", "k").body == b"one"
        assert s3.object("GET", "b", "k").body == b"two"
        head = s3.object("HEAD", "b", "k")
        assert (head.headers["x-amz-meta-sequence"], head.body) == ("7", b"")
        assert s3.object("DELETE", "b", "k", version="v 1").status == 204
        with pytest.raises(CallFailed) as failed:
            s3.object("PUT", "b", "ä/%_", {"If-None-Match": "*"}, b"body")
    assert (failed.value.status, failed.value.code) == (404, "NoSuchKey")
    assert requests[3].startswith(b"DELETE /b/k?versionId=v%201 HTTP/1.1\r\n")
    assert requests[4].startswith(b"PUT /b/%C3%A4/%25_ HTTP/1.1\r\n")
    assert b"content-length: 4\r\n\r\nbody" in requests[4]


@pytest.mark.usefixtures("region")
def test_what_broke_or_was_throttled_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(
        b"",
        b"HTTP/1.1 503 Slow Down\r\nContent-Length: 21\r\n\r\n<Code>SlowDown</Code>",
        b"no HTTP, whatever it is\r\n\r\nConnection: close",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmore",
    ) as (endpoint, _):
        s3 = call(monkeypatch, endpoint)
        assert s3.object("GET", "b", "k").body == b"ok"
        assert s3.object("GET", "b", "k").body == b"more"


@pytest.mark.usefixtures("region")
def test_what_can_t_be_reached_is_said_after_ten_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setattr(signed, "_LONGEST_PAUSE", 0.001)
    with pytest.raises(CallFailed, match="GET object: ConnectionRefusedError"):
        call(monkeypatch, f"http://127.0.0.1:{port}").object("GET", "b", "k")
