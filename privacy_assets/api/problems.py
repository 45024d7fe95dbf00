"""Errors as RFC 9457 ``application/problem+json``: which field is wrong, never what lies inside.

https://www.rfc-editor.org/rfc/rfc9457
"""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"
_URN = "urn:privacy-assets:problem:"


class FieldError(NamedTuple):
    """One thing wrong with a request: the place in its body (RFC 6901) or the parameter, and what was
    expected.
    """

    where: str
    detail: str
    is_parameter: bool = False

    def document(self) -> dict[str, str]:
        return {"parameter" if self.is_parameter else "pointer": self.where, "detail": self.detail}


class Problem(Exception):  # noqa: N818  # what RFC 9457 calls it
    """An answer other than success. ``kind`` names those that a status alone doesn't tell apart."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str = "",
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.kind = status, detail, kind
        self.errors, self.headers = errors, dict(headers or {})

    def body(self, request_id: str) -> bytes:
        """The problem document."""
        document: dict[str, Any] = {
            "type": _URN + self.kind if self.kind else "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            **({"errors": [error.document() for error in self.errors]} if self.errors else {}),
            "request_id": request_id,
        }
        return json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")

    def response(self, request_id: str) -> Response:
        """The answer."""
        return Response(self.body(request_id), self.status, self.headers, MEDIA_TYPE)


def busy(detail: str, seconds: int = 5) -> Problem:
    """503: nothing was done or lost, and the request may come again after ``seconds``."""
    return Problem(503, detail, headers={"Retry-After": str(seconds)})


def invalid(errors: Sequence[FieldError]) -> Problem:
    """422 with a line for each field."""
    number = len(errors)
    return Problem(
        422, f"{number} {'field is' if number == 1 else 'fields are'} not as expected", errors=errors
    )


def pointer(path: Sequence[str | int]) -> str:
    """A place in a JSON document (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def field_errors(errors: Sequence[Mapping[str, Any]], *, parameters: bool = False) -> list[FieldError]:
    """Pydantic's errors, without the values that some of its messages repeat."""
    return [
        FieldError(
            ".".join(str(part) for part in error["loc"][1:]) if parameters else pointer(error["loc"]),
            _expected(error),
            parameters,
        )
        for error in errors
    ]


_SPEAKS_OF_VALUES = ("union_tag_invalid", "value_error", "assertion_error", "json_invalid")


def _expected(error: Mapping[str, Any]) -> str:
    kind = error["type"]
    if kind == "missing":
        return "missing"
    if kind == "extra_forbidden":
        return "unknown field"
    if kind == "value_error":  # our own validators', whose messages say what was expected
        return str(error.get("ctx", {}).get("error") or "not as expected")
    if kind in _SPEAKS_OF_VALUES:
        return "not as expected"
    return str(error["msg"])


SCHEMA: Mapping[str, Any] = {
    "title": "Problem",
    "description": "What went wrong, as in RFC 9457.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "request_id"],
    "examples": [
        {
            "type": "about:blank",
            "title": "Unprocessable Entity",
            "status": 422,
            "detail": "1 field is not as expected",
            "errors": [{"pointer": "/bucket", "detail": "expected a bucket of the estate"}],
            "request_id": "5f2b8c0a9d1e4f6a7b3c2d10",
        }
    ],
    "properties": {
        "type": {"type": "string", "description": "`about:blank`, or what kind of problem it is."},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "description": "The fields that are not as expected; values are never repeated.",
            "items": {
                "type": "object",
                "required": ["detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "Where in the body (RFC 6901)."},
                    "parameter": {"type": "string", "description": "Which parameter."},
                    "detail": {"type": "string"},
                },
            },
        },
        "request_id": {"type": "string", "description": "Name it when you ask about this answer."},
    },
}
_MEANINGS = {
    400: "The body is not JSON, or nested too deep.",
    401: "No valid token.",
    403: "The token does not allow this.",
    404: "There is no such thing, or the client may not see it.",
    406: "The answer comes in no form that was asked for.",
    408: "The body did not arrive in time.",
    409: "A request with this Idempotency-Key is being worked on.",
    410: "The cursor is too old: start again without one.",
    413: "The body is larger than the limit, which is named.",
    415: "Expected `Content-Type: application/json`.",
    422: "Fields that are not as expected, or an Idempotency-Key that was used with another body.",
    429: "Too many requests; `Retry-After` says when to come again.",
    500: "A mistake of ours; the request id finds it in the log.",
    501: "Another engine has deleted findings in a way that can't be read here.",
    503: "Not now; nothing was lost. `Retry-After` says when to come again.",
}
_RETRY = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's ``responses``: these, and what any request may be answered."""
    return {
        status: {
            "description": _MEANINGS[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            **({"headers": _RETRY} if status in (409, 429, 503) else {}),
        }
        for status in sorted({*statuses, 429, 500, 503})
    }


def request_id(request: Request) -> str:
    """The id that the middleware gave the request."""
    return str(request.scope.get("request_id", ""))


def install(app: FastAPI) -> None:
    """Every error of the application becomes a problem document."""

    @app.exception_handler(Problem)
    async def told(request: Request, problem: Problem) -> Response:
        return problem.response(request_id(request))

    @app.exception_handler(RequestValidationError)
    async def parameters(request: Request, error: RequestValidationError) -> Response:
        return invalid(field_errors(error.errors(), parameters=True)).response(request_id(request))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        details = {404: "no such address", 405: "not for this address"}
        detail = details.get(error.status_code, HTTPStatus(error.status_code).phrase.lower())
        return Problem(error.status_code, detail, headers=error.headers).response(request_id(request))
