"""Findings: in pages that stay as they are while new ones arrive, and as whole files.

A cursor names a snapshot of the table and a place in it. Its pages are those of that snapshot, however deep;
where a snapshot was forgotten, after days, the answer is 410.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from itertools import chain, islice
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import iterate_in_threadpool

from privacy_assets.api import logs, problems
from privacy_assets.api.auth import Caller, require
from privacy_assets.api.problems import FieldError, Problem, invalid
from privacy_assets.api.services import Services, Where
from privacy_assets.scan import export
from privacy_assets.scan.tables import IDENTITY

LIMIT, MOST = 100, 1000
_CHUNK = 64 << 10
Severity = Literal["low", "medium", "high", "critical"]
Status = Literal["open", "gone", "allowed", "all"]
_Text = Annotated[str | None, Query(min_length=1, max_length=1024, pattern=r"^[^\x00]*$")]


class Finding(BaseModel):
    """Where personal data or a credential stands, masked."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "6b1f2c0d9e8a7b6c5d4e3f2a1b0c9d8e",
                    "job_id": "9f0c1d0e-3f5a-4c1b-8a61-0d3b2c4e5f60",
                    "bucket": "privacy-sample-data",
                    "key": "logs/2026-01-31.log",
                    "member": "",
                    "detector": "ssn",
                    "severity": "critical",
                    "confidence": "high",
                    "status": "open",
                    "masked_match": "***-**-6789",
                    "context": "request of ***-**-6789 was answered",
                    "byte_offset": 90210,
                    "length": 11,
                    "line": 812,
                    "column": None,
                    "row": None,
                    "created_at": "2026-01-31T09:31:00Z",
                    "last_seen": "2026-01-31T09:31:00Z",
                }
            ]
        },
    )

    id: str = Field(description="The same as long as the object is.")
    job_id: str = Field(description="The scan that read it last.")
    bucket: str
    key: str
    member: str = Field(description="The member of an archive; empty if the object is none.")
    detector: str
    severity: Severity
    confidence: str
    status: str = Field(description="open, gone or allowed.")
    masked_match: str
    context: str = Field(description="Masked, too.")
    byte_offset: int = Field(description="In the object, or in its member or column.")
    length: int
    line: int | None
    column: str | None = Field(description="The column of a table, and")
    row: int | None = Field(description="its row.")
    created_at: datetime = Field(description="When a scan first saw it.")
    last_seen: datetime


class Findings(BaseModel):
    """A page."""

    findings: list[Finding]
    total: int = Field(description="All that meet the filter.")
    limit: int
    cursor: str | None = Field(None, description="As it was asked for.")
    offset: int | None = Field(None, description="As it was asked for.")
    next_cursor: str | None = Field(description="Of the page after this one; none on the last.")
    has_more: bool


@dataclass(frozen=True)
class Filter:
    """Which findings."""

    job_id: str | None
    bucket: str | None
    key: str | None
    detector: str | None
    severity: str | None
    status: str

    def where(self, caller: Caller) -> Where:
        """The filter on the table, for what the caller may see. Raises Problem 403."""
        if self.bucket is not None and not caller.may_see(self.bucket):
            raise Problem(403, "the client may not see this bucket")
        found: dict[str, list[str]] = {}
        if self.bucket is not None:
            found["bucket"] = [self.bucket]
        elif caller.buckets is not None:
            found["bucket"] = sorted(caller.buckets)
        for name in ("job_id", "key", "detector", "severity"):
            value = getattr(self, name)
            if value is not None:
                found[name] = [value]
        if self.status != "all":
            found["status"] = [self.status]
        return found


def _filter(
    job_id: _Text = None,
    bucket: _Text = None,
    key: _Text = None,
    detector: _Text = None,
    severity: Severity | None = None,
    status: Annotated[Status, Query(description="Open ones if not told.")] = "open",
) -> Filter:
    return Filter(job_id, bucket, key, detector, severity, status)


_Which = Annotated[Filter, Depends(_filter)]
_Reader = Annotated[Caller, require("scans:read")]
_Form = tuple[str, str, Callable[[Services, Iterable[export.Record]], Iterator[str]], str]
"""What it is, its media type, how it is written, and what it is to JSON Schema."""


def router(services: Services) -> APIRouter:
    """The addresses."""
    made = APIRouter(tags=["scans"])

    @made.get(
        "/results",
        summary="Findings, in pages",
        response_description="A page.",
        response_model=Findings,
        responses=problems.responses(401, 403, 410, 422, 501),
    )
    async def results(
        caller: _Reader,
        which: _Which,
        limit: Annotated[int, Query(ge=1, le=MOST)] = LIMIT,
        cursor: Annotated[str | None, Query(max_length=512, description="`next_cursor` of a page.")] = None,
        offset: Annotated[int | None, Query(ge=0, le=10**12, description="Instead of a cursor.")] = None,
    ) -> Response:
        """Pages that follow one another by `next_cursor` are of one state of the table: findings that come
        and go meanwhile change none of them. `offset` looks at the table as it is now.
        """
        where = which.where(caller)
        place = await _place(services, where, cursor, offset)
        if place is None:
            page = Findings(findings=[], total=0, limit=limit, next_cursor=None, has_more=False)
        else:
            page = await _page(services, where, place, limit)
        page.cursor, page.offset = cursor, offset
        return Response(page.model_dump_json(), media_type="application/json")

    for suffix, form in _FORMS.items():
        made.get(
            f"/results.{suffix}",
            summary=f"All findings, as {form[0]}",
            response_class=StreamingResponse,
            responses={
                200: {"description": f"{form[0]}.", "content": {form[1]: {"schema": {"type": form[3]}}}},
                **problems.responses(401, 403, 410, 422, 501),
            },
        )(_export(services, form))
    return made


@dataclass(frozen=True)
class _Place:
    snapshot: int
    start: int


async def _place(services: Services, where: Where, cursor: str | None, offset: int | None) -> _Place | None:
    """Where a page begins; None while there is no table. Raises Problem 422."""
    if cursor is not None and offset is not None:
        raise invalid([FieldError("cursor", "expected a cursor or an offset, not both", True)])
    if cursor is not None:
        return _decoded(cursor, where)
    snapshot = await services.call(services.findings.snapshot)
    return None if snapshot is None else _Place(snapshot, offset or 0)


async def _page(services: Services, where: Where, place: _Place, limit: int) -> Findings:
    store = services.findings

    def read() -> tuple[int, list[dict[str, Any]]]:
        total = store.count(place.snapshot, where)
        return total, store.rows(place.snapshot, where, place.start, limit)

    with _told(services):
        total, rows = await services.call(read)
    end = place.start + len(rows)
    has_more = bool(rows) and end < total
    return Findings(
        findings=[_finding(row) for row in rows],
        total=total,
        limit=limit,
        next_cursor=_encoded(_Place(place.snapshot, end), where) if has_more else None,
        has_more=has_more,
    )


@contextmanager
def _told(services: Services) -> Iterator[None]:
    """What can't be read. Raises Problem 410 and 501."""
    try:
        yield
    except services.snapshot_gone:
        detail = "what this cursor stands on is no longer kept: start again without one"
        raise Problem(410, detail, kind="cursor-gone") from None
    except services.rows_hidden as error:
        logs.failed("findings can't be read", error)
        detail = (
            "findings were deleted by equality, which can't be read here; to try again helps once the engine "
            "that deleted them has rewritten the table's files"
        )
        raise Problem(501, detail, kind="deletes-by-equality") from None


def _finding(row: Mapping[str, Any]) -> Finding:
    return Finding(
        id=finding_id(row),
        column=row["column_name"],
        row=row["row_number"],
        created_at=row["first_seen"],
        **{name: row[name] for name in _AS_THEY_ARE},
    )


_AS_THEY_ARE = (
    "job_id", "bucket", "key", "member", "detector", "severity", "confidence", "status", "masked_match",
    "context", "byte_offset", "length", "line", "last_seen",
)  # fmt: skip


def finding_id(row: Mapping[str, Any]) -> str:
    """What makes a finding one, as 32 hexadecimal digits."""
    identity = [row["bucket"], *(row[name] for name in IDENTITY)]
    return hashlib.sha256(json.dumps(identity, ensure_ascii=False).encode()).hexdigest()[:32]


def _digest(where: Where) -> str:
    text = json.dumps({name: sorted(values) for name, values in where.items()}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _encoded(place: _Place, where: Where) -> str:
    text = json.dumps([1, place.snapshot, place.start, _digest(where)], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def _decoded(cursor: str, where: Where) -> _Place:
    """The place. It tells nothing that the caller may not see: the filter is the request's own."""
    wrong = invalid([FieldError("cursor", "expected the next_cursor of a page with the same filter", True)])
    try:
        said = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        version_, snapshot, start, digest = said
    except (binascii.Error, ValueError, TypeError, RecursionError):
        raise wrong from None
    whole = all(type(one) is int and 0 <= one < 1 << 63 for one in (snapshot, start))
    if version_ != 1 or not whole or digest != _digest(where):
        raise wrong
    return _Place(snapshot, start)


_FORMS: Mapping[str, _Form] = {
    "jsonl": ("JSON lines", "application/jsonl", lambda _, found: export.json_text(found), "string"),
    "csv": ("CSV (RFC 4180)", "text/csv", lambda _, found: export.csv_text(found), "string"),
    "sarif": (
        "a SARIF 2.1.0 log",
        "application/sarif+json",
        lambda services, found: export.sarif_text(found, services.titles(), version("privacy-assets")),
        "object",
    ),
}


def _export(services: Services, form: _Form) -> Callable[..., Any]:
    _, media_type, text, _ = form

    async def exported(caller: _Reader, which: _Which) -> Response:
        """As the command `privacy-assets findings` prints them, of one state of the table, as a stream."""
        where = which.where(caller)
        snapshot = await services.call(services.findings.snapshot)
        found = _records(services, snapshot, where)
        with _told(services):  # what can go wrong does so before the answer begins
            first = await services.call(lambda: list(islice(found, 1)))
        lines = text(services, chain(first, found))
        return StreamingResponse(_chunks(lines), media_type=media_type)

    return exported


def _records(services: Services, snapshot: int | None, where: Where) -> Iterator[export.Record]:
    if snapshot is None:
        return
    for rows in services.findings.stream(snapshot, where):
        for row in rows:
            yield {"id": finding_id(row), **export.record(f"s3://{row['bucket']}/{row['key']}", row)}


async def _chunks(lines: Iterator[str]) -> AsyncIterator[bytes]:
    def chunks() -> Iterator[bytes]:
        held, size = list[str](), 0
        for line in lines:
            held.append(line)
            size += len(line)
            if size >= _CHUNK:
                yield "".join(held).encode()
                held, size = [], 0
        yield "".join(held).encode()

    async for chunk in iterate_in_threadpool(chunks()):
        yield chunk
