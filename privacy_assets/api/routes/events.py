"""``POST /events``: what is accepted is durable in the queue before the answer leaves."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from privacy_assets.api import problems
from privacy_assets.api.auth import Caller, require
from privacy_assets.api.body import read_json, statuses
from privacy_assets.api.idempotency import STATUSES, IdempotencyKey, Ids, once
from privacy_assets.api.problems import FieldError, Problem, invalid
from privacy_assets.api.services import Services
from privacy_assets.ingest import schema
from privacy_assets.ingest.messages import MESSAGE_BYTES, Accepted, TooLarge, accept, pack

EVENTS = 500
ERRORS = 100
"""How many problems a request is told, besides one for each refused event."""
BODY = 5 * MESSAGE_BYTES
_EVENT = "#/components/schemas/Event"


class WrongField(BaseModel):
    """One thing that is wrong with an event."""

    pointer: str = Field(description="Where in the event (RFC 6901).")
    detail: str = Field(description="What was expected.")


class EventResult(BaseModel):
    """What became of one event: accepted as ``event_id``, or refused for ``errors``."""

    event_id: str | None = None
    errors: list[WrongField] | None = None


class EventsResult(BaseModel):
    """What became of the events, in the order in which they were sent."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "accepted": 1,
                    "refused": 1,
                    "events": [
                        {"event_id": "0198c5a0-7b1e-7c3a-9f00-1f2e3d4c5b6a"},
                        {"errors": [{"pointer": "/event_type", "detail": "missing; expected …"}]},
                    ],
                }
            ]
        },
    )

    accepted: int
    refused: int
    events: list[EventResult]


def router(services: Services) -> APIRouter:
    """The address."""
    made = APIRouter(tags=["events"])

    @made.post(
        "/events",
        status_code=202,
        summary="Send one event, or up to 500",
        response_description="All are accepted.",
        response_model=EventsResult,
        response_model_exclude_none=True,
        responses={
            207: {
                "description": "Some were refused, as told for each; the others are accepted.",
                "model": EventsResult,
            },
            **problems.responses(*statuses(401, 403), *STATUSES),
        },
        openapi_extra=_described(),
    )
    async def events(
        request: Request,
        caller: Annotated[Caller, require("events:write")],
        _key: IdempotencyKey = "",
    ) -> Response:
        """An accepted event is durable: it will be in the table `events`, once.

        Events of a batch are judged one by one. An event that is sent again with its `event_id` is the same
        event; without one, send an `Idempotency-Key`, so that a request can be repeated.
        """
        document = await read_json(request, limit=BODY)

        async def create(ids: Ids) -> Response:
            return await _accept(services, caller, document, ids)

        return await once(services, request, caller, create, limit=BODY)

    return made


async def _accept(services: Services, caller: Caller, document: Any, ids: Ids) -> Response:
    is_batch = isinstance(document, list)
    sent: Sequence[Any] = document if is_batch else [document]
    if not 1 <= len(sent) <= EVENTS:
        raise invalid([FieldError("", f"expected 1 to {EVENTS} events")])
    now = services.now()
    wrong = _told([schema.problems(event, now) for event in sent])
    if all(wrong):
        raise invalid(_errors(wrong, is_batch=is_batch))
    # An identifier for each place, whether it is used or not: what comes again has to find its own.
    given = [ids.new() for _ in sent] if ids.are_repeatable else None
    accepted: list[Accepted] = []
    results: list[EventResult] = []
    for number, event in enumerate(sent):
        if wrong[number]:
            errors = [WrongField(pointer=one.pointer, detail=one.detail) for one in wrong[number]]
            results.append(EventResult(errors=errors))
            continue
        named: Mapping[str, Any] = {"event_id": given[number], **event} if given else event
        accepted.append(accept(named, now, caller.client_id))
        results.append(EventResult(event_id=accepted[-1].event_id))
    try:
        bodies = pack(accepted)
    except TooLarge as error:
        raise Problem(413, str(error)) from None
    await services.call(services.events.send, bodies)
    refused = len(sent) - len(accepted)
    answer = EventsResult(accepted=len(accepted), refused=refused, events=results)
    return Response(
        answer.model_dump_json(exclude_none=True), 207 if refused else 202, media_type="application/json"
    )


def _told(wrong: Sequence[Sequence[schema.Problem]]) -> list[Sequence[schema.Problem]]:
    """All of them up to ``ERRORS``, then the first of each event."""
    left = ERRORS
    told = []
    for found in wrong:
        told.append(found[: max(left, 1)])
        left -= len(told[-1])
    return told


def _errors(wrong: Sequence[Sequence[schema.Problem]], *, is_batch: bool) -> list[FieldError]:
    return [
        FieldError((f"/{number}" if is_batch else "") + one.pointer, one.detail)
        for number, found in enumerate(wrong)
        for one in found
    ]


def _described() -> dict[str, Any]:
    first, second = schema.SCHEMA["examples"]
    content = {
        "schema": {
            "oneOf": [
                {"$ref": _EVENT},
                {"type": "array", "items": {"$ref": _EVENT}, "minItems": 1, "maxItems": EVENTS},
            ]
        },
        "examples": {
            "one": {"summary": "One event", "value": first},
            "several": {"summary": "Several", "value": [first, second]},
        },
    }
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def event_schema() -> dict[str, Any]:
    """The event for the OpenAPI document, whose dialect is the same."""
    return {name: value for name, value in schema.SCHEMA.items() if name != "$schema"}
