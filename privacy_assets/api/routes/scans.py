"""Scans: asked for by ``POST /scan``, followed by ``GET /jobs/{job_id}``."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from privacy_assets.api import logs, problems
from privacy_assets.api.auth import Caller, require
from privacy_assets.api.body import described, read, statuses
from privacy_assets.api.idempotency import STATUSES, IdempotencyKey, Ids, once
from privacy_assets.api.problems import FieldError, Problem, invalid
from privacy_assets.api.services import Services
from privacy_assets.scan.requests import ScanRequest

_PREFIX_BYTES = 1024
QUEUED = "QUEUED"
JobId = Annotated[str, Path(min_length=1, max_length=128, pattern="^[A-Za-z0-9_-]{1,128}$")]


class ScanBody(BaseModel):
    """What to scan."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"bucket": "privacy-sample-data", "prefix": "logs/"}]},
    )

    bucket: str = Field(min_length=3, max_length=63, description="A bucket of the estate.")
    prefix: str = Field(
        "", max_length=_PREFIX_BYTES, description="Only keys that start so; all of the estate's if empty."
    )


class Asked(BaseModel):
    """A scan that was asked for."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "job_id": "9f0c1d0e-3f5a-4c1b-8a61-0d3b2c4e5f60",
                    "bucket": "privacy-sample-data",
                    "prefix": "logs/",
                    "total_objects": 0,
                    "messages_enqueued": 1,
                    "status": "QUEUED",
                }
            ]
        },
    )

    job_id: str
    bucket: str
    prefix: str
    total_objects: int = Field(description="0 until the scan has listed the bucket; `GET /jobs` tells.")
    messages_enqueued: int
    status: str


class Job(BaseModel):
    """A scan and its progress."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "examples": [
                {
                    "job_id": "9f0c1d0e-3f5a-4c1b-8a61-0d3b2c4e5f60",
                    "bucket": "privacy-sample-data",
                    "prefix": "logs/",
                    "status": "PROCESSING",
                    "attempt": 1,
                    "total_objects": 1200,
                    "queued": 300,
                    "processing": 100,
                    "succeeded": 790,
                    "failed": 1,
                    "skipped": 9,
                    "total_findings": 4711,
                    "progress_percent": 66.7,
                    "requested_at": "2026-01-31T09:30:00.000Z",
                    "started_at": "2026-01-31T09:30:04.000Z",
                    "ended_at": None,
                    "reason": None,
                }
            ]
        },
    )

    job_id: str
    bucket: str
    prefix: str
    status: str = Field(description="QUEUED, PROCESSING, SUCCEEDED or FAILED.")
    attempt: int = Field(description="How often it was asked for after it had failed, from 1.")
    total_objects: int = Field(description="Objects listed.")
    queued: int = Field(description="Objects that wait to be read.")
    processing: int
    succeeded: int
    failed: int
    skipped: int
    total_findings: int
    progress_percent: float
    requested_at: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    reason: str | None = Field(None, description="Why it failed.")


def router(services: Services) -> APIRouter:
    """The addresses."""
    made = APIRouter(tags=["scans"])

    @made.post(
        "/scan",
        status_code=202,
        summary="Scan a bucket",
        response_description="It is asked for.",
        response_model=Asked,
        responses=problems.responses(*statuses(401, 403), *STATUSES),
        openapi_extra=described(ScanBody),
    )
    async def scan(
        request: Request,
        caller: Annotated[Caller, require("scans:write")],
        _key: IdempotencyKey = "",
    ) -> Response:
        """What is new or changed is read; the scan starts within seconds. A bucket outside the estate is
        refused."""
        asked = await read(request, ScanBody)

        async def create(ids: Ids) -> Response:
            return await _ask(services, caller, asked, ids)

        return await once(services, request, caller, create)

    @made.get(
        "/jobs/{job_id}",
        summary="A scan's progress",
        response_description="The scan as it is.",
        response_model=Job,
        responses=problems.responses(401, 403, 404, 422),
    )
    async def job(job_id: JobId, caller: Annotated[Caller, require("scans:read")]) -> Job:
        """As the scanner keeps it, within two seconds."""
        found = await services.call(services.scan_jobs.get, job_id)
        if found is None or not caller.may_see(found["bucket"]):
            raise Problem(404, "no such job")
        return Job.model_validate(found)

    return made


async def _ask(services: Services, caller: Caller, asked: ScanBody, ids: Ids) -> Response:
    if not caller.may_see(asked.bucket):
        raise Problem(403, "the client may not see this bucket")
    governed = services.buckets().get(asked.bucket)
    if governed is None:
        raise invalid([FieldError("/bucket", "expected a bucket of the estate")])
    if len(asked.prefix.encode()) > _PREFIX_BYTES:
        raise invalid([FieldError("/prefix", f"expected at most {_PREFIX_BYTES} bytes")])
    if asked.prefix and not asked.prefix.startswith(governed):
        raise invalid([FieldError("/prefix", "expected a prefix within the one that the estate names")])
    wanted = ScanRequest(asked.bucket, asked.prefix or governed, ids.new())
    # The message first: a job without one would wait for ever, and the scanner makes the job it lacks.
    await services.call(services.scan_queue.send, wanted.body)
    job = await _recorded(services, wanted)
    answer = Asked(
        job_id=wanted.job_id,
        bucket=wanted.bucket,
        prefix=wanted.prefix,
        total_objects=job.get("total_objects", 0),
        messages_enqueued=1,
        status=job.get("status", QUEUED),
    )
    headers = {"Location": f"/jobs/{wanted.job_id}"}
    return Response(answer.model_dump_json(), 202, headers, "application/json")


async def _recorded(services: Services, wanted: ScanRequest) -> dict[str, Any]:
    try:
        return await services.call(services.scan_jobs.record, wanted.job_id, wanted.bucket, wanted.prefix)
    except Problem:
        logs.tell("a job is recorded later, by the scanner", job_id=wanted.job_id)
        return {}
