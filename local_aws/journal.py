"""The journal: each change that moto keeps in memory, written before its answer leaves, replayed at start.

Changes run one at a time, so that the journal's order is the order of their effects. What fails is not
journaled. Requests that change nothing, or whose effects an engine keeps in the store itself, pass freely.
"""

import io
import json
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from local_aws import replay
from local_aws.context import Context

Headers = list[tuple[str, str]]
WsgiApplication = Callable[[dict[str, Any], Any], Iterable[bytes]]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS journal (
    id INTEGER PRIMARY KEY,
    microseconds INTEGER NOT NULL,
    seed INTEGER NOT NULL,
    environ TEXT NOT NULL,
    body BLOB NOT NULL
)
"""

_NEXT = "SELECT id, microseconds, seed, environ, body FROM journal WHERE id > ? ORDER BY id LIMIT 1"

# The first word of an operation that changes nothing.
_READING = (
    "Get", "List", "Describe", "BatchGet", "Query", "Scan", "Head", "Select", "Lookup", "Search", "Filter",
    "TransactGet", "Estimate", "Preview", "Simulate", "Validate", "Check", "Test",
)  # fmt: skip

# Operations that leave nothing behind in moto though their names don't say so; those that deliver (a message,
# an event) must not deliver again when the journal is replayed.
_LEAVES_NOTHING = frozenset(
    {
        "kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt", "kms:Sign", "kms:Verify", "kms:GenerateMac",
        "kms:VerifyMac", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:GenerateRandom",
        "sns:Publish", "sns:PublishBatch", "events:PutEvents", "lambda:Invoke",
    }
)  # fmt: skip

_KEPT = (
    "REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "RAW_URI", "REQUEST_URI", "CONTENT_TYPE",
    "CONTENT_LENGTH", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "REMOTE_ADDR",
    "moto.preserved_header_names",
)  # fmt: skip


@dataclass(frozen=True)
class Operation:
    """What a request asks for: its X-Amz-Target, and ``service:Action`` as far as known."""

    target: str
    name: str
    changes: bool


def operation(environ: dict[str, Any], body: bytes) -> Operation:
    """The operation of a request, told from its headers, its form or its method."""
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    service = _service(environ.get("HTTP_AUTHORIZATION", ""))
    action = target.rpartition(".")[2]
    path = environ["PATH_INFO"]
    if not action and "/operation/" in path and path.startswith("/service/"):
        action = path.rpartition("/operation/")[2]  # Smithy's RPC over CBOR
    if not action and service != "s3":
        form = environ["QUERY_STRING"]
        if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
            form = body.decode("utf-8", "replace")
        action = parse_qs(form).get("Action", [""])[0]
    name = f"{service}:{action}"
    if action:
        return Operation(target, name, not action.startswith(_READING) and name not in _LEAVES_NOTHING)
    return Operation(target, name, _changes_by_method(environ, service))


def _service(authorization: str) -> str:
    scope = authorization.partition("Credential=")[2].partition(",")[0].split("/")
    return scope[3] if len(scope) >= 5 else ""


def _changes_by_method(environ: dict[str, Any], service: str) -> bool:
    if environ["REQUEST_METHOD"] in ("GET", "HEAD", "OPTIONS"):
        return False
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    if service == "lambda" and path.endswith("/invocations"):
        return False
    return not (environ["REQUEST_METHOD"] == "POST" and query.startswith("select"))


class Journal:
    """Runs requests on ``application``, keeping those that change something."""

    def __init__(self, context: Context, application: WsgiApplication) -> None:
        self._context = context
        self._application = application
        self._one_change = threading.RLock()
        with context.store.write() as connection:
            connection.execute(_SCHEMA)

    def run(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request, journaled if it needs to be."""
        body = environ["wsgi.input"].getvalue()
        asked = operation(environ, body)
        own = self._context.own_actions
        if not asked.changes or asked.target in own or asked.name in own:
            return self._application(environ, start_response)
        with self._one_change:
            seed, now = replay.fresh_seed(), time.time_ns() // 1000
            with replay.reproducible(seed, now) as writes:
                status, headers, content = _collect(self._application, environ)
            if status.startswith(("2", "3")):
                with self._context.store.write() as connection:
                    for write, _ in writes:
                        write(connection)
                    connection.execute(
                        "INSERT INTO journal (microseconds, seed, environ, body) VALUES (?, ?, ?, ?)",
                        (now, seed, json.dumps(_kept(environ)), body),
                    )
                for _, then in writes:
                    if then is not None:
                        then()
        start_response(status, headers)
        return [content]

    def replay(self) -> int:
        """Run all entries again; the number of them. Those that now fail are told on stderr."""
        count, after = 0, 0
        with replay.again():
            while rows := self._context.store.read(_NEXT, (after,)):
                after, microseconds, seed, kept, body = rows[0]
                environ = _environ(json.loads(kept), body)
                with replay.reproducible(seed, microseconds):
                    status, _, _ = _collect(self._application, environ)
                if not status.startswith(("2", "3")):
                    sys.stderr.write(
                        f"state: entry {after}, {environ['REQUEST_METHOD']} {environ['RAW_URI']}, "
                        f"was answered {status} when it was replayed\n"
                    )
                count += 1
        return count

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No journaled change is made during the block."""
        with self._one_change:
            yield

    def count(self) -> int:
        """The number of entries."""
        return int(self._context.store.read("SELECT count(*) FROM journal")[0][0])


def _collect(application: WsgiApplication, environ: dict[str, Any]) -> tuple[str, Headers, bytes]:
    started: list[tuple[str, Headers]] = []
    content: list[bytes] = []

    def start_response(status: str, headers: Headers, _: Any = None) -> Callable[[bytes], None]:
        started.append((status, headers))
        return content.append

    answer = application(environ, start_response)
    content.extend(answer)
    close = getattr(answer, "close", None)
    if close is not None:
        close()
    status, headers = started[-1]
    return status, headers, b"".join(content)


def _kept(environ: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in environ.items() if name in _KEPT or name.startswith("HTTP_")}


def _environ(kept: dict[str, Any], body: bytes) -> dict[str, Any]:
    return kept | {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
