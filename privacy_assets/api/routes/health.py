"""``/healthz`` says that the process lives; ``/readyz`` that it can do its work."""

from fastapi import APIRouter
from pydantic import BaseModel

from privacy_assets.api import problems
from privacy_assets.api.problems import busy
from privacy_assets.api.services import Services

_SECONDS = 2.0
"""How long a probe is held while the process starts."""


class Health(BaseModel):
    """All is well."""

    status: str = "ok"


def router(services: Services) -> APIRouter:
    """The probes. They need no token and have no limit."""
    made = APIRouter(tags=["health"])

    @made.get("/healthz", summary="Whether the process lives")
    async def healthz() -> Health:
        return Health()

    @made.get("/readyz", summary="Whether it can work", responses=problems.responses())
    async def readyz() -> Health:
        """What first calls need is made, keys and clients are read, and DynamoDB answers, or did within the
        last seconds.
        """
        if not await services.preparation.over(_SECONDS):
            raise busy("it is starting", 1)
        await services.known(services.keys.get())
        await services.known(services.registry.get())
        await services.known(services.readiness.get())
        return Health()

    return made
