"""The server: moto's WSGI application with our own engines installed, kept alive until it is told to stop."""

import argparse
import fcntl
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import IO, Any, NoReturn

from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.wrappers import Request, Response

from local_aws import (
    athena,
    calls,
    dynamodb,
    eventbridge,
    faults,
    glue,
    kms,
    objects,
    pipes,
    replay,
    s3,
    s3_events,
    sqs,
)
from local_aws.context import Context
from local_aws.control import SERVICE
from local_aws.http import HttpServer
from local_aws.journal import Journal
from local_aws.process import DEFAULT_PORT
from local_aws.settings import StartError
from local_aws.store import Store

ENGINES = (calls, s3, kms, faults, s3_events, eventbridge, sqs, dynamodb, pipes, glue, athena)

_OPEN_FILES = 65_536


class Application:
    """Our own routes and actions first, moto for the rest, by way of the journal when the state is kept."""

    def __init__(self, context: Context, stop: Callable[[], None]) -> None:
        self._context = context
        self._moto = DomainDispatcherApplication(create_backend_app)
        self.journal = Journal(context, self._dispatch) if context.persistent else None
        context.routes |= {"health": self._health, "reset": self._reset, "stop": self._stop}
        self._stop_server = stop

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path.startswith("/_local/"):
            return self._local(path.removeprefix("/_local/"), environ)(environ, start_response)
        if path == "/moto-api/reset" and environ["REQUEST_METHOD"] == "POST":
            return self._reset(Request(environ))(environ, start_response)
        if self._context.observe is not None:
            self._context.observe(environ)
        refused = self._context.intercept(environ)
        if refused is not None:
            return refused(environ, start_response)
        if self.journal is not None:
            return self.journal.run(environ, start_response)
        return self._dispatch(environ, start_response)

    def _dispatch(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        action = self._context.actions.get(environ.get("HTTP_X_AMZ_TARGET", ""))
        if action is None and environ["REQUEST_METHOD"] == "PUT":
            action = s3.put
        if action is not None:
            answer = action(environ, environ["wsgi.input"].getvalue())
            if answer is not None:
                status, headers, body = answer
                start_response(f"{status} {_PHRASES.get(status, 'Status')}", list(headers.items()))
                return [body]
        return self._moto(environ, start_response)  # type: ignore[no-any-return]  # moto does not type it

    def _local(self, name: str, environ: dict[str, Any]) -> Response:
        handler = self._context.routes.get(name)
        if handler is None:
            return Response(f"no such call: /_local/{name}\n", status=404)
        if "HTTP_ORIGIN" in environ:  # a page in a browser has no business here
            return Response("not for browsers\n", status=403)
        return handler(Request(environ))

    def _health(self, _: Request) -> Response:
        context = self._context
        counts = {name: count() for name, count in sorted(context.counts.items())}
        if self.journal is not None:
            counts["journal_entries"] = self.journal.count()
        state = str(context.store.directory.absolute()) if context.persistent else None
        version = metadata.version("privacy-assets")
        document = {"service": SERVICE, "version": version, "pid": os.getpid(), "endpoint": context.endpoint}
        return _json({**document, "state": state, "counts": counts})

    def _reset(self, request: Request) -> Response:
        if request.method != "POST":
            return Response("POST empties everything\n", status=405)
        if self.journal is None:
            self._empty()
        else:
            with self.journal.paused():
                self._empty()
        return _json({"status": "ok"})

    def _empty(self) -> None:
        moto_api_backend.reset()
        self._context.store.clear()
        for hook in self._context.on_reset:
            hook()

    def _stop(self, request: Request) -> Response:
        if request.method != "POST":
            return Response("POST stops the server\n", status=405)
        self._stop_server()
        return _json({"status": "stopping"})


_PHRASES = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 500: "Internal Server Error"}


def _json(document: dict[str, Any]) -> Response:
    return Response(json.dumps(document), content_type="application/json")


def serve(
    port: int, state: Path | None, ready: Callable[[str], None], stop: threading.Event | None = None
) -> None:
    """Serve until SIGTERM, SIGINT or ``stop``; ``ready`` is called with the endpoint once calls are answered.

    Must be called in the main thread. Raises StartError when the port or the state directory is taken.
    """
    stop = stop or threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    _open_many_files()
    with _scratch() as scratch, _state_lock(state):
        context = Context(Store(state or scratch), persistent=state is not None, scratch=scratch)
        objects.configure(scratch / "objects")
        if context.persistent:
            replay.install()
        for engine in ENGINES:
            engine.install(context)
        application = Application(context, stop.set)
        try:
            server = HttpServer(port, application)
        except OSError as error:
            raise StartError(
                f"port {port}: {error.strerror}: stop what listens there or choose another with --port"
            ) from None
        context.endpoint = f"http://127.0.0.1:{server.port}"
        if application.journal is not None:
            application.journal.replay()
        server.start()
        for hook in context.on_start:
            hook()
        ready(context.endpoint)
        stop.wait()
        for hook in context.on_stop:
            hook()
        server.stop()


def _open_many_files() -> None:
    """Moto keeps a file open for each object of five megabytes and more."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if most == resource.RLIM_INFINITY else min(most, _OPEN_FILES)
    if now < wanted:
        with suppress(OSError, ValueError):  # some systems allow less than they say
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


@contextmanager
def _scratch() -> Iterator[Path]:
    """A directory for this process's life; those that killed servers left behind are removed on the way."""
    base = Path(tempfile.gettempdir())
    for lock in base.glob("local-aws-*/lock"):
        with suppress(OSError), lock.open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory(prefix="local-aws-", ignore_cleanup_errors=True) as name,
        (Path(name) / "lock").open("w") as handle,
    ):
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield Path(name)


@contextmanager
def _state_lock(state: Path | None) -> Iterator[None]:
    """One server a state directory."""
    if state is None:
        yield
        return
    try:
        state.mkdir(parents=True, exist_ok=True)
        handle: IO[str] = (state / "lock").open("w")
    except OSError as error:
        if isinstance(error, FileExistsError):
            raise StartError(f"--state {state}: is no directory") from None
        raise StartError(f"--state {state}: can't be written: {error.strerror}") from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StartError(f"--state {state}: another local AWS uses it: stop that one first") from None
        yield


def _stop_at_end_of_input(stop: threading.Event) -> None:
    """Whoever started us holds the other end of standard input: when it dies, however it dies, so do we."""

    def watch() -> None:
        with suppress(OSError, ValueError):
            while os.read(0, 4096):
                pass
        stop.set()

    threading.Thread(target=watch, name="parent", daemon=True).start()


def end_process() -> NoReturn:
    """End a process that has served, at once: all is written and closed.

    A thread that is still at work would keep it, and DuckDB complains at the interpreter's end.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def main() -> None:
    """``python -m local_aws``: prints ``ready <endpoint>``, then serves."""
    parser = argparse.ArgumentParser(prog="local_aws", description="AWS on one machine")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 takes a free one")
    parser.add_argument("--state", type=Path, metavar="DIR", help="keep the state here between runs")
    parser.add_argument("--stop-at-eof", action="store_true", help="stop when standard input ends")
    arguments = parser.parse_args()
    stop = threading.Event()
    if arguments.stop_at_eof:
        _stop_at_end_of_input(stop)

    def ready(endpoint: str) -> None:
        sys.stdout.write(f"ready {endpoint}\n")
        sys.stdout.flush()

    try:
        serve(arguments.port, arguments.state, ready, stop)
    except StartError as error:
        sys.stderr.write(f"local_aws: {error}\n")
        sys.exit(2)
    end_process()
