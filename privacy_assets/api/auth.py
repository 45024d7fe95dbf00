"""Who calls, and whether they may: the bearer token (RFC 6750) of each request.

A scope is allowed when the token has it and the client's record still does; so what is taken from a client is
gone within half a minute, not when its tokens expire.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from privacy_assets.api import logs
from privacy_assets.api.clients import Client
from privacy_assets.api.problems import Problem
from privacy_assets.api.services import Services
from privacy_assets.api.tokens import OLD_KEY, Claims, TokenRefused, UnknownKey, named_issuer, verify

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="token",
    bearerFormat="JWT",
    description="A token of `POST /token`, or an access token of the OIDC issuer that the API knows.",
)


_Token = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]


@dataclass(frozen=True)
class Caller:
    """A program whose token is valid. ``buckets`` None: all of the estate."""

    client_id: str
    scopes: frozenset[str]
    buckets: frozenset[str] | None = None

    def may_see(self, bucket: str) -> bool:
        """Whether ``bucket`` is one of those that the client is confined to."""
        return self.buckets is None or bucket in self.buckets


def require(scope: str) -> Any:
    """A dependency: the Caller, who has ``scope``. Raises Problem 401, 403 and 429."""

    async def caller(request: Request, token: _Token) -> Caller:
        services: Services = request.app.state.services
        found = await authenticate(services, token.credentials if token else "")
        request.scope["client_id"] = found.client_id
        if scope not in found.scopes:
            challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
            raise Problem(403, f"the token lacks {scope}", headers={"WWW-Authenticate": challenge})
        seconds = await services.client_limit.wait(found.client_id)
        if seconds:
            raise too_many(seconds)
        return found

    return Depends(caller)


async def authenticate(services: Services, token: str) -> Caller:
    """Whose token it is. Raises Problem 401, one answer for whatever is wrong."""
    try:
        claims = await _claims(services, token)
        client = (await services.known(services.registry.get())).clients.get(claims.client_id)
        if client is None:
            client = (await services.known(services.registry.again())).clients.get(claims.client_id)
        return _caller(claims, client)
    except TokenRefused as refused:
        logs.tell("token refused", why=str(refused))
        raise unauthorized() from None


async def _claims(services: Services, token: str) -> Claims:
    if not token:
        raise TokenRefused("there is none")
    issuer, header = named_issuer(token)
    options = services.options
    if issuer == options.issuer:
        keys = await services.known(services.keys.get())
        named = {"issuer": options.issuer, "audience": options.audience}
        try:
            claims = verify(token, header, keys, now=services.now(), **named)
        except UnknownKey:
            keys = await services.known(services.keys.again())
            claims = verify(token, header, keys, now=services.now(), **named)
        if claims.key_is_old:
            services.tally.add(OLD_KEY)
        return claims
    if services.oidc is not None and issuer == services.oidc.issuer:
        return await services.known(services.oidc.verify(token, header))
    raise TokenRefused("is of an unknown issuer")


def _caller(claims: Claims, client: Client | None) -> Caller:
    if client is None or client.is_oidc is not claims.is_oidc:
        raise TokenRefused("is of an unknown client")
    buckets = None if client.buckets is None else frozenset(client.buckets)
    return Caller(client.id, claims.scopes & frozenset(client.scopes), buckets)


def unauthorized() -> Problem:
    """The one answer to a token that is missing or not valid."""
    return Problem(
        401,
        "no valid token: get one at POST /token",
        headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
    )


def too_many(seconds: int) -> Problem:
    """429."""
    return Problem(
        429, f"too many requests, expected the next in {seconds} s", headers={"Retry-After": str(seconds)}
    )
