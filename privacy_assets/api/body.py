"""A request's JSON body: read within limits of size, depth and time, and checked against a model."""

import asyncio
import json
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from privacy_assets.api.problems import Problem, field_errors, invalid

BYTES = 64 << 10
"""Of a body, unless a route says otherwise."""
DEPTH = 32
SECONDS = 30.0
"""In which a body must have arrived."""
_PROBLEMS = (400, 408, 413, 415, 422)

M = TypeVar("M", bound=BaseModel)


async def read(request: Request, model: type[M], *, limit: int = BYTES) -> M:
    """The body as a ``model``. Raises Problem: 400, 408, 413, 415, 422."""
    document = await read_json(request, limit=limit)
    try:
        return model.model_validate(document, strict=False)
    except ValidationError as error:
        raise invalid(field_errors(error.errors(include_url=False, include_input=False))) from None


async def read_json(request: Request, *, limit: int = BYTES) -> Any:
    """The body as Python values. Raises Problem: 400, 408, 413, 415."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, "expected Content-Type: application/json")
    return parse(await read_bytes(request, limit))


async def read_bytes(request: Request, limit: int) -> bytes:
    """The whole body, kept for a second reader. Raises Problem: 400, 408, 413."""
    if "body" in request.scope:
        return bytes(request.scope["body"])
    too_large = Problem(413, f"the body is too large, expected at most {limit:,} bytes")
    said = request.headers.get("content-length", "")
    if said.isdigit() and int(said) > limit:
        raise too_large
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    raise too_large
                parts.append(part)
    except TimeoutError:
        raise Problem(408, f"the body did not arrive within {SECONDS:g} seconds") from None
    except ClientDisconnect:
        raise Problem(400, "the body broke off") from None
    body = request.scope["body"] = b"".join(parts)
    return body


def parse(body: bytes) -> Any:
    """JSON as RFC 8259 has it: no NaN, no number out of range, valid Unicode, nested at most 32 deep.

    Raises Problem 400.
    """
    try:
        document = json.loads(body.decode(), parse_constant=_no_constant, parse_float=_finite)
        if b"\\u" in body:
            json.dumps(document, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        raise Problem(400, "the body is not valid JSON in UTF-8") from None
    if _depth_exceeds(document, DEPTH):
        raise _too_deep()
    return document


def described(model: type[BaseModel]) -> dict[str, Any]:
    """For a route's ``openapi_extra``: its body. The schema's examples are the documentation's."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def statuses(*more: int) -> tuple[int, ...]:
    """The statuses that reading a body may end with, and ``more``."""
    return (*_PROBLEMS, *more)


def _too_deep() -> Problem:
    return Problem(400, f"the body is nested too deep, expected at most {DEPTH} levels")


def _no_constant(_: str) -> Any:
    raise ValueError("no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError("out of range")
    return number


def _depth_exceeds(document: Any, limit: int) -> bool:
    level = [document]
    for _ in range(limit + 1):
        below: list[Any] = []
        for value in level:
            if type(value) is dict:
                below += [one for one in value.values() if type(one) is dict or type(one) is list]
            elif type(value) is list:
                below += [one for one in value if type(one) is dict or type(one) is list]
        if not below:
            return False
        level = below
    return True
