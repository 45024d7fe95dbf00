"""HTTP/1.1 for a WSGI application: keep-alive, a thread a connection, requests parsed in C by httptools.

Werkzeug's server closes every connection and waits after each answer, and a pool of worker threads would be
used up by long polls; so the socket loop is ours and the parser is Node's.
"""

import io
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote_to_bytes

import httptools
from moto.core.request import (
    PRESERVED_HEADER_NAMES_ENVIRON_KEY,
    environ_key_for_header,
    should_preserve_original_header_name,
)

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]

_RECEIVE = 256 * 1024
_BODYLESS = (204, 304)
_COPY_LIMIT = 64 * 1024  # up to here one packet is worth a copy


class HttpServer:
    """Serves ``application`` on a loopback port. Raises OSError when the port is taken."""

    def __init__(self, port: int, application: Application) -> None:
        self.application = application
        self._socket = socket.create_server(("127.0.0.1", port), backlog=256)
        self.port: int = self._socket.getsockname()[1]
        self._idle = threading.Condition()
        self._busy = 0

    def start(self) -> None:
        """Accept connections from now on, in the background."""
        threading.Thread(target=self._accept, name="accept", daemon=True).start()

    def stop(self, patience: float = 5.0) -> None:
        """Accept no more, and give the requests under way ``patience`` seconds to finish."""
        # close() alone would leave the accepting thread, and with it the port, in accept().
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with self._idle:
            self._idle.wait_for(lambda: self._busy == 0, timeout=patience)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_Connection(self, connection).run, daemon=True).start()

    def answer(self, environ: dict[str, Any], send: Callable[[bytes], None], keep_alive: bool) -> None:
        """Run the application for one request and send what it says."""
        with self._idle:
            self._busy += 1
        try:
            for part in self._respond(environ, keep_alive):
                send(part)
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def _respond(self, environ: dict[str, Any], keep_alive: bool) -> list[bytes]:
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(
            status: str, headers: list[tuple[str, str]], _: Any = None
        ) -> Callable[[bytes], None]:
            started.append((status, headers))
            return body.append

        body: list[bytes] = []
        try:
            answer = self.application(environ, start_response)
            body.extend(answer)
            close = getattr(answer, "close", None)
            if close is not None:
                close()
            status, headers = started[-1]
        except Exception:  # noqa: BLE001 - a defect of one call must not end the connection's thread unanswered
            sys.stderr.write(f"{environ['REQUEST_METHOD']} {environ['RAW_URI']}\n{traceback.format_exc()}")
            status, headers, body = "500 Internal Server Error", [("Content-Type", "text/plain")], []
        content = b"".join(body)
        lines = [f"HTTP/1.1 {status}\r\n"]
        has_length = has_date = False
        for name, value in headers:
            lowered = name.lower()
            if lowered in ("connection", "transfer-encoding"):
                continue
            has_length = has_length or lowered == "content-length"
            has_date = has_date or lowered == "date"
            lines.append(f"{name}: {value}\r\n")
        code = int(status[:3])
        if not has_length and code not in _BODYLESS and code >= 200:
            lines.append(f"Content-Length: {len(content)}\r\n")
        if not has_date:
            lines.append(f"Date: {formatdate(usegmt=True)}\r\n")
        if not keep_alive:
            lines.append("Connection: close\r\n")
        lines.append("\r\n")
        if environ["REQUEST_METHOD"] == "HEAD" or code in _BODYLESS:
            content = b""
        head = "".join(lines).encode("latin-1")
        return [head, content] if len(content) > _COPY_LIMIT else [head + content]


class _Connection:
    """One client's connection: httptools calls the ``on_...`` methods while a request is read."""

    def __init__(self, server: HttpServer, connection: socket.socket) -> None:
        self._server = server
        self._connection = connection
        self._parser = httptools.HttpRequestParser(self)
        self._complete: list[tuple[dict[str, Any], bool]] = []
        self.on_message_begin()

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        for name, value in self._headers:
            if name.lower() == b"expect" and value.strip().lower() == b"100-continue":
                self._connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._complete.append((self._environ(), self._parser.should_keep_alive()))
        self.on_message_begin()  # an idle connection, or a closed one not yet collected, keeps no body

    def run(self) -> None:
        """Answer this client's requests until one of the two closes."""
        try:
            with self._connection:
                while data := self._connection.recv(_RECEIVE):
                    try:
                        self._parser.feed_data(data)
                    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
                        self._connection.sendall(
                            b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                        )
                        return
                    while self._complete:
                        environ, keep_alive = self._complete.pop(0)
                        self._server.answer(environ, self._connection.sendall, keep_alive)
                        environ.clear()  # requests refer to it and it to them: a body would stay for long
                        if not keep_alive:
                            return
        except OSError:
            return  # the client went away: nobody is left to be told

    def _environ(self) -> dict[str, Any]:
        """The request as WSGI wants it, with S3 metadata names kept as moto's own handler keeps them."""
        url = self._url.decode("latin-1")
        host = None
        if "://" in url.split("?", 1)[0] and not url.startswith("/"):
            host, _, rest = url.split("://", 1)[1].partition("/")
            url = f"/{rest}"
        path, _, query = url.partition("?")
        body = b"".join(self._body)
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self._parser.get_method().decode("ascii"),
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path.encode("latin-1")).decode("latin-1"),
            "QUERY_STRING": query,
            "RAW_URI": url,
            "REQUEST_URI": url,
            "REMOTE_ADDR": "127.0.0.1",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": str(self._server.port),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.input_terminated": True,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        preserved: dict[str, str] = {}
        for raw_name, raw_value in self._headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            key = environ_key_for_header(name)
            if "_" in name:
                if not should_preserve_original_header_name(name):
                    continue
                preserved[key] = name
            elif key in preserved:  # an underscored name never stands in for a dashed one
                del preserved[key], environ[key]
            environ[key] = f"{environ[key]},{value}" if key in environ else value
        environ[PRESERVED_HEADER_NAMES_ENVIRON_KEY] = preserved
        if host is not None:
            environ["HTTP_HOST"] = host
        environ.pop("HTTP_EXPECT", None)
        if environ.pop("HTTP_TRANSFER_ENCODING", None) is not None or body:
            environ["CONTENT_LENGTH"] = str(len(body))
        return environ
