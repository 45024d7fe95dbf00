"""The application: routers, and what holds for all of them."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware import Middleware

from privacy_assets.api import problems
from privacy_assets.api.middleware import Frame
from privacy_assets.api.routes import docs, dsar, events, health, results, scans, token
from privacy_assets.api.services import Services

Router = Callable[[Services], APIRouter]

_ROUTERS: tuple[Router, ...] = (
    token.router,
    events.router,
    scans.router,
    results.router,
    dsar.router,
    health.router,
    docs.router,
)
_TAGS = (
    ("tokens", "A client's id and secret become a token, which every other call carries."),
    ("events", "Privacy events: what is accepted is durable."),
    ("scans", "What the buckets hold: scans, their progress, their findings."),
    ("subjects", "Requests of data subjects (GDPR Art. 15 to 22)."),
    ("health", "For load balancers."),
)


def create_app(services: Services) -> FastAPI:
    """The API on these services."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        services.preparation.begin()
        yield
        await services.tally.tell()

    app = FastAPI(
        title="privacy-assets",
        version=version("privacy-assets"),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        middleware=[Middleware(Frame, services=services)],
    )
    app.state.services = services
    problems.install(app)
    for router in _ROUTERS:
        app.include_router(router(services))
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # FastAPI's own way to extend it
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(
            title="privacy-assets",
            version=app.version,
            summary="Privacy compliance on AWS: events, scans, requests of subjects.",
            description="Errors are `application/problem+json` (RFC 9457) and carry a `request_id`.",
            routes=app.routes,
            tags=[{"name": name, "description": description} for name, description in _TAGS],
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = dict(problems.SCHEMA)
        schemas["Event"] = events.event_schema()
        for unused in ("HTTPValidationError", "ValidationError"):
            if f'/{unused}"' not in json.dumps(document):
                schemas.pop(unused, None)
        app.openapi_schema = document
    return app.openapi_schema
