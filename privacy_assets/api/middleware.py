"""What holds for every request: its id, its line in the log, limits, security headers, and an answer to
whatever goes wrong.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from privacy_assets.api import logs
from privacy_assets.api.auth import too_many
from privacy_assets.api.problems import Problem, busy
from privacy_assets.api.services import Services

Headers = Sequence[tuple[bytes, bytes]]

PROBES = ("/healthz", "/readyz")
HEADERS: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
)
_UNLESS_TOLD: Headers = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)


class Frame:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app, self._services = app, services
        self._in_flight = 0
        self._salt = secrets.token_bytes(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0
        scope["request_id"] = request_id = secrets.token_hex(12)

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _with_ours(message.get("headers", ()), request_id)
            await send(message)

        self._in_flight += 1
        try:
            problem = await self._refused(scope)
            if problem is not None:
                await problem.response(request_id)(scope, receive, answer)
            else:
                await self._app(scope, receive, answer)
        except Exception as error:  # noqa: BLE001  # whatever it is, the caller gets an answer and no words of it
            logs.failed("request failed", error, request_id=request_id)
            if status:
                raise BrokenOff from None
            await Problem(500, "a mistake of ours").response(request_id)(scope, receive, answer)
        finally:
            self._in_flight -= 1
            _log(scope, status, time.perf_counter() - started)

    async def _refused(self, scope: Scope) -> Problem | None:
        if scope["path"] in PROBES:
            return None
        if self._in_flight > self._services.options.in_flight:
            return busy("too many requests at once", 1)
        seconds = await self._services.address_limit.wait(await self._address(scope))
        return too_many(seconds) if seconds else None

    async def _address(self, scope: Scope) -> str:
        """The caller's address as an HMAC: an address is personal data."""
        address = scope["client"][0] if scope.get("client") else ""
        try:
            salt = (await self._services.keys.get()).salt
        except Exception:  # noqa: BLE001  # who needs the keys will say what is wrong with them
            salt = self._salt
        return hmac.new(salt, address.encode(), hashlib.sha256).hexdigest()[:32]


class BrokenOff(Exception):  # noqa: N818  # what it is
    """An answer that had begun can't be ended; the server closes the connection."""


def _with_ours(headers: Headers, request_id: str) -> list[tuple[bytes, bytes]]:
    told = {name.lower() for name, _ in headers}
    return [
        *headers,
        *HEADERS,
        (b"x-request-id", request_id.encode()),
        *(header for header in _UNLESS_TOLD if header[0] not in told),
    ]


def _log(scope: Scope, status: int, seconds: float) -> None:
    route = scope.get("route")
    logs.tell(
        "request",
        request_id=scope["request_id"],
        method=scope["method"] if scope["method"] in _METHODS else "other",
        route=getattr(route, "path", None),
        status=status,
        ms=round(seconds * 1000, 2),
        client=scope.get("client_id"),
    )


_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
