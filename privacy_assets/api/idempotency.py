"""``Idempotency-Key``: a POST that is sent again creates nothing a second time.

The same key and body get the stored answer, another body 422, a request that is still being worked on 409.
Answers other than success are not stored: what was refused created nothing and may be tried again.
A claim has an owner: who was so slow that another took over neither stores an answer nor gives anything up.
https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

import hashlib
import hmac
import re
import secrets
import uuid
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Header, Request, Response

from privacy_assets.api import logs
from privacy_assets.api.auth import Caller
from privacy_assets.api.body import BYTES, read_bytes
from privacy_assets.api.problems import FieldError, Problem, invalid
from privacy_assets.api.services import Services

LEASE_SECONDS = 60
"""How long a request may work before another of its key takes over: it then was broken off."""
KEPT_SECONDS = 24 * 3600
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_STORED_BYTES = 300_000  # an item of DynamoDB holds 400 KB
STATUSES = (409, 422)

IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        description="1 to 255 visible ASCII characters, a new one for each thing to create. The same key and "
        "body within 24 hours get the answer of the first request.",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]{1,255}$",
    ),
]
"""A route's parameter, so that the header is documented."""


class Ids:
    """Identifiers of what a request creates: the same for one that comes again with its key, else random."""

    def __init__(self, seed: bytes | None = None) -> None:
        self._seed, self._number = seed, 0

    @property
    def are_repeatable(self) -> bool:
        """Whether the same request gets the same ones again."""
        return self._seed is not None

    def new(self) -> str:
        """The next one: a UUID of version 4 or, by its key, 8 (RFC 9562)."""
        self._number += 1
        if self._seed is None:
            return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))
        digest = hmac.new(self._seed, str(self._number).encode(), hashlib.sha256).digest()
        value = int.from_bytes(digest[:16], "big") & ~(0xF << 76 | 3 << 62) | 8 << 76 | 2 << 62
        return str(uuid.UUID(int=value))


async def once(
    services: Services,
    request: Request,
    caller: Caller,
    create: Callable[[Ids], Awaitable[Response]],
    *,
    limit: int = BYTES,
) -> Response:
    """``create``'s answer, or that of the first request with this key. Raises Problem 409 and 422."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return await create(Ids())
    if not _KEY.fullmatch(key):
        raise invalid([FieldError("Idempotency-Key", "expected 1 to 255 visible ASCII characters", True)])
    body = await read_bytes(request, limit)
    name = "once#" + _digest(caller.client_id, request.method, request.url.path, key)
    fingerprint = hashlib.sha256(body).hexdigest()
    now, owner = int(services.now().timestamp()), secrets.token_hex(16)
    there = await services.call(
        services.state.begin, name, owner, fingerprint, now, LEASE_SECONDS, KEPT_SECONDS
    )
    if there is not None:
        return _again(there, fingerprint, now)
    try:
        response = await create(Ids(f"{name}#{fingerprint}".encode()))
    except BaseException:
        await _abandon(services, name, owner)
        raise
    answer = bytes(response.body)
    if response.status_code >= 300 or len(answer) > _STORED_BYTES:
        await _abandon(services, name, owner)
        return response
    kept = {"content-type": response.headers.get("content-type", "application/json")}
    if "location" in response.headers:
        kept["location"] = response.headers["location"]
    try:
        if not await services.call(services.state.finish, name, owner, response.status_code, kept, answer):
            logs.tell("an answer was not stored: it took too long, and another request took over")
    except Problem:  # it is created; whoever asks again finds the claim, and after it the same identifiers
        logs.tell("an answer was not stored")
    return response


def _again(there: Any, fingerprint: str, now: int) -> Response:
    if there["body_hash"] != fingerprint:
        raise Problem(
            422,
            "this Idempotency-Key was used with another body, expected a new key for another thing",
            kind="idempotency-key-reused",
            errors=[FieldError("Idempotency-Key", "was used with another body", True)],
        )
    if not there["done"]:
        seconds = max(1, there["lease_until"] - now + 1)
        raise Problem(
            409,
            f"a request with this Idempotency-Key is being worked on, for {seconds} s more at most",
            headers={"Retry-After": str(seconds)},
        )
    return Response(there["body"], there["status"], {**there["headers"], "Idempotency-Replayed": "true"})


async def _abandon(services: Services, name: str, owner: str) -> None:
    try:
        await services.call(services.state.abandon, name, owner)
    except Problem:
        logs.tell("a claim was not given up; it ends by itself")


def _digest(*parts: str) -> str:
    """The key may be anything, even a person's name: it is kept as a hash."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
