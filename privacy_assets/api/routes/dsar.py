"""``/dsar``: requests of data subjects, submitted, followed, decided on and downloaded.

A client sees its own requests; another's is one that there is not. Whoever may approve may decide about any.
No answer names the subject.
"""

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal, Protocol, TypeVar

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from privacy_assets.api import problems
from privacy_assets.api.auth import Caller, require
from privacy_assets.api.body import described, read, statuses
from privacy_assets.api.idempotency import STATUSES, IdempotencyKey, Ids, once
from privacy_assets.api.problems import Problem
from privacy_assets.api.services import Services
from privacy_assets.dsar.register import Job, NoSuchRequest, Refused, Register
from privacy_assets.dsar.requests import JobId, Submission
from privacy_assets.dsar.states import State
from privacy_assets.dsar.view import detail, events, summary
from privacy_assets.errors import UserError

T = TypeVar("T")
_NAME = "answer.zip"


class Answers(Protocol):
    """The bucket of answers."""

    def exists(self, key: str) -> bool: ...

    def link(self, key: str, name: str) -> tuple[str, datetime]: ...


class Requests(Protocol):
    """What the routes stand on; ``log`` is the ledger, ``vkey`` what its signatures are verified with."""

    @property
    def register(self) -> Register: ...
    @property
    def answers(self) -> Answers: ...
    @property
    def log(self) -> Any: ...
    def close(self, job_id: str) -> Job: ...


class Submitted(BaseModel):
    """The request's id, by which everything else is asked."""

    jobId: str  # noqa: N815  # as programs know it


class Decision(BaseModel):
    """What was decided, and by whom: a person's id with you, which goes into the ledger."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"decision": "approve", "decided_by": "privacy-officer"}]},
    )

    decision: Literal["approve", "reject"]
    decided_by: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\w .,/-]+$")]
    reason: Annotated[str, Field(max_length=500)] = ""
    """Why it is rejected, which the subject must be told."""


class Event(BaseModel):
    """One thing that was done, as the ledger has it, with the proof that it is there."""

    model_config = ConfigDict(extra="allow")

    leaf: int
    type: str
    at: str
    actor: str
    proof: str = Field(description="A C2SP `.tlog-proof`, which is verified without us.")


class Events(BaseModel):
    """A request's events."""

    jobId: str  # noqa: N815  # as programs know it
    vkey: str = Field(
        description="The key that proofs are verified with, as `privacy-assets ledger` takes it."
    )
    events: list[Event]


_Id = Annotated[str, Path(description="The request's id.", min_length=1, max_length=64)]
_NOT_NOW: dict[int | str, dict[str, Any]] = {
    409: {**problems.responses(409)[409], "description": "Not in the request's state, which is said."},
}


def router(services: Services) -> APIRouter:
    """The addresses; none where the API has no requests to serve."""
    made = APIRouter(prefix="/dsar", tags=["subjects"])
    if services.requests is None:
        return made

    def requests() -> Requests:
        found: Requests = services.requests
        return found

    async def call(work: Callable[[], T]) -> T:
        try:
            return await services.call(work)
        except NoSuchRequest:
            raise _none() from None
        except Refused as refused:
            raise Problem(409, str(refused), kind="request-state") from None
        except UserError as error:
            raise Problem(422, str(error)) from None

    async def own(caller: Caller, job_id: str) -> Job:
        """The request, if it is the caller's. Raises Problem 404."""
        job = await call(lambda: requests().register.get(job_id))
        if job["client"] != caller.client_id:
            raise _none()
        return job

    @made.post(
        "",
        summary="Submit a request",
        response_model=Submitted,
        responses=problems.responses(*statuses(401, 403, *STATUSES)),
        openapi_extra=described(Submission),
    )
    async def submit(
        request: Request, caller: Annotated[Caller, require("dsar:write")], _: IdempotencyKey = ""
    ) -> Response:
        """Record a request of access (`export`) or erasure (`delete`) and have it worked on. An erasure needs
        a verified identity.
        """

        async def create(ids: Ids) -> Response:
            submission = await read(request, Submission)
            job_id = JobId(f"dsar-{uuid.UUID(ids.new()).hex}")
            job = await call(lambda: requests().register.submit(submission, caller.client_id, job_id))
            return JSONResponse({"jobId": job["job_id"]})

        return await once(services, request, caller, create)

    @made.get("/{job_id}", summary="One request", responses=problems.responses(401, 403, 404, 422))
    async def one(job_id: _Id, caller: Annotated[Caller, require("dsar:read")]) -> dict[str, Any]:
        """Its state, its clock, what each store gave or lost."""
        return detail(await own(caller, job_id))

    @made.get(
        "/{job_id}/events",
        summary="What was done about a request",
        response_model=Events,
        responses=problems.responses(401, 403, 404, 422),
    )
    async def told(job_id: _Id, caller: Annotated[Caller, require("dsar:read")]) -> Any:
        """Every event of the request in the ledger, in order, each with its proof."""
        await own(caller, job_id)
        log = requests().log
        found = await call(lambda: events(log, job_id, proofs=True))
        return {"jobId": job_id, "vkey": log.key.vkey, "events": found}

    @made.get(
        "/{job_id}/download",
        summary="The answer",
        status_code=302,
        response_class=Response,
        responses={
            **problems.responses(401, 403, 404, 410, 422),
            **_NOT_NOW,
            302: {
                "description": "Where the answer can be downloaded until `Link-Expires`, an hour from now.",
                "headers": {
                    "Location": {"schema": {"type": "string"}},
                    "Link-Expires": {"schema": {"type": "string", "format": "date-time"}},
                },
            },
            410: {**problems.responses(410)[410], "description": "The answer has been deleted since."},
        },
    )
    async def download(job_id: _Id, caller: Annotated[Caller, require("dsar:read")]) -> Response:
        """A link to the zip, signed now. Whoever has it may read the answer until it expires."""
        job = await own(caller, job_id)
        if job["state"] != State.COMPLETED:
            raise Problem(409, f"the request is {job['state']}, expected COMPLETED", kind="request-state")
        key = job["bundle"]["key"]
        if not await call(lambda: requests().answers.exists(key)):
            raise Problem(410, "the answer has been deleted; submit another request")
        url, until = await call(lambda: requests().answers.link(key, _NAME))
        await call(lambda: requests().register.downloaded(job_id, caller.client_id, until))
        headers = {
            "Location": url,
            "Link-Expires": until.isoformat().replace("+00:00", "Z"),
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
        }
        return Response(status_code=302, headers=headers)

    @made.post(
        "/{job_id}/approval",
        summary="Approve or reject",
        responses={**problems.responses(*statuses(401, 403, 404)), **_NOT_NOW},
        openapi_extra=described(Decision),
    )
    async def decide(
        job_id: _Id, request: Request, caller: Annotated[Caller, require("dsar:approve")]
    ) -> dict[str, Any]:
        """Decide about a request that waits for it. The same decision again changes nothing."""
        decision = await read(request, Decision)
        by = f"{decision.decided_by} ({caller.client_id})"
        register = requests().register
        if decision.decision == "approve":
            return summary(await call(lambda: register.approve(job_id, by)))
        job = await call(lambda: register.reject(job_id, by, decision.reason))
        await call(lambda: requests().close(job_id))
        return summary(job)

    return made


def _none() -> Problem:
    return Problem(404, "no such request")
