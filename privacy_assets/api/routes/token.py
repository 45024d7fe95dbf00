"""``POST /token``: a client's id and secret become a token of 20 minutes (RFC 6749 §4.4)."""

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from privacy_assets.api import clients, logs, problems
from privacy_assets.api.auth import too_many
from privacy_assets.api.body import described, read_json, statuses
from privacy_assets.api.problems import Problem, busy
from privacy_assets.api.services import Services
from privacy_assets.api.tokens import LIFETIME, issue

_BODY = 4096


class Credentials(BaseModel):
    """Who asks, and for which API."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"client_id": "shop", "client_secret": "from Secrets Manager", "audience": "privacy-assets"}
            ]
        },
    )

    client_id: str
    client_secret: str
    audience: str = Field(description="The API that the token is for: `privacy-assets` unless set otherwise.")


class Token(BaseModel):
    """A token."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "access_token": "header.claims.signature",
                    "token_type": "Bearer",
                    "expires_in": 1200,
                    "scope": "events:write scans:read",
                }
            ]
        },
    )

    access_token: str
    token_type: str = "Bearer"  # noqa: S105  # a kind
    expires_in: int = Field(description="Seconds.")
    scope: str = Field(description="What it allows, separated by spaces.")


def router(services: Services) -> APIRouter:
    """The address."""
    made = APIRouter(tags=["tokens"])

    @made.post(
        "/token",
        summary="Get a token",
        response_description="A token.",
        response_model=Token,
        responses=problems.responses(*statuses(401)),
        openapi_extra=described(Credentials),
    )
    async def token(request: Request) -> Response:
        """Whatever is wrong, the answer is the same 401 after the same work."""
        client_id, secret, audience = _said(await read_json(request, limit=_BODY))
        is_ours = audience == services.options.audience
        registry = await services.known(services.registry.get())
        client, is_newest = clients.check(registry, client_id, secret, services.now())
        if client is None or not is_ours:  # it may have been made, or given a new secret, just now
            registry = await services.known(services.registry.again())
            client, is_newest = clients.check(registry, client_id, secret, services.now())
        if client is None or not is_ours:
            raise Problem(401, "client id, secret or audience is not valid", headers=_CHALLENGE)
        request.scope["client_id"] = client.id
        if seconds := await services.client_limit.wait(client.id):
            raise too_many(seconds)
        if not is_newest:
            services.tally.add(clients.OLD_SECRET + client.id)
            logs.tell("an old secret was used", client=client.id)
        keys = await services.known(services.keys.get())
        try:
            text = issue(
                keys,
                client.id,
                client.scopes,
                issuer=services.options.issuer,
                audience=audience,
                now=services.now(),
            )
        except LookupError as error:
            logs.failed("no signing key is valid", error)
            raise busy("no token can be signed now; nothing was lost, try again") from None
        answer = Token(
            access_token=text,
            expires_in=int(LIFETIME.total_seconds()),
            scope=" ".join(client.scopes),
        )
        return Response(answer.model_dump_json(), media_type="application/json")

    return made


_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="privacy-assets"'}


def _said(document: Any) -> tuple[str, str, str]:
    """Id, secret and audience; what is missing or no text is one that nobody has."""
    found = document if isinstance(document, dict) else {}
    said = [found.get(name) for name in ("client_id", "client_secret", "audience")]
    client_id, secret, audience = (one if isinstance(one, str) else "" for one in said)
    return client_id, secret, audience
