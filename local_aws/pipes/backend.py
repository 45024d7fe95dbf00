"""The API of EventBridge Pipes: what a pipe may be, and the states that it goes through.

Moto's accepts anything, a second pipe of the same name too, and starts a stopped one when it is described.

https://docs.aws.amazon.com/eventbridge/latest/pipes-reference/API_CreatePipe.html
"""

import json
import re
from typing import Any, ClassVar

from moto.pipes import urls
from moto.pipes.exceptions import ConflictException, NotFoundException, ValidationException
from moto.pipes.models import EventBridgePipesBackend, Pipe

from local_aws.pipes.engine import Engine

_NAME = re.compile(r"[\w.-]{1,64}\Z", re.ASCII)
_STREAM = re.compile(r"arn:aws:dynamodb:[a-z0-9-]+:\d{12}:table/[A-Za-z0-9_.-]{3,255}/stream/.+\Z")
_QUEUE = re.compile(r"arn:aws:sqs:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,80}(\.fifo)?\Z")
_RANGES = {
    "BatchSize": ((1, 10_000),),
    "MaximumBatchingWindowInSeconds": ((0, 300),),
    "MaximumRecordAgeInSeconds": ((-1, -1), (60, 604_800)),
    "MaximumRetryAttempts": ((-1, 10_000),),
    "ParallelizationFactor": ((1, 10),),
}
_KNOWN = {*_RANGES, "DeadLetterConfig", "OnPartialBatchItemFailure", "StartingPosition"}
_FILTERS = 5
_LONGEST_PATTERN = 4_096


class LivePipe(Pipe):
    """A pipe whose state is the one that is desired as soon as it is looked at again."""

    def advance(self) -> None:
        self.status = "STOPPED" if self.desired_state == "STOPPED" else "RUNNING"


class Backend(EventBridgePipesBackend):
    """Pipes of one account and region. ``engine`` runs them and is set once, before the first is made."""

    engine: ClassVar[Engine]

    @property
    def _url_module(self) -> Any:
        return urls  # moto looks for them beside the backend's own module

    def create_pipe(self, name: str, *args: Any, **kwargs: Any) -> Pipe:
        if name in self.pipes:
            raise ConflictException(f"Pipe {name} already exists", name, "pipe")
        _check(name, kwargs)
        pipe = super().create_pipe(name, *args, **kwargs)
        pipe.__class__ = LivePipe
        self.engine.created(pipe)
        return pipe

    def update_pipe(self, name: str, role_arn: str, *args: Any, **kwargs: Any) -> Pipe:
        pipe = self._pipe(name)
        wanted = {"source": pipe.source, "target": pipe.target, **_given(kwargs)}
        parameters = dict(kwargs.get("source_parameters") or {})
        stream = dict(parameters.get("DynamoDBStreamParameters") or {})
        held = dict((pipe.source_parameters or {})["DynamoDBStreamParameters"])
        if stream.get("StartingPosition", held["StartingPosition"]) != held["StartingPosition"]:
            raise ValidationException("StartingPosition: a pipe's can't be changed")
        parameters["DynamoDBStreamParameters"] = {**held, **stream}
        if "FilterCriteria" not in parameters and "FilterCriteria" in (pipe.source_parameters or {}):
            parameters["FilterCriteria"] = (pipe.source_parameters or {})["FilterCriteria"]
        _check(name, {**wanted, "source_parameters": parameters})
        kwargs["source_parameters"] = parameters
        pipe = super().update_pipe(name, role_arn, *args, **kwargs)
        pipe.status = "UPDATING"
        self.engine.changed(pipe)
        return pipe

    def delete_pipe(self, name: str) -> Pipe:
        pipe = super().delete_pipe(name)
        self.engine.deleted(pipe)
        return pipe

    def start_pipe(self, name: str) -> Pipe:
        return self._desire(name, "RUNNING", "STARTING")

    def stop_pipe(self, name: str) -> Pipe:
        return self._desire(name, "STOPPED", "STOPPING")

    def _desire(self, name: str, desired: str, meanwhile: str) -> Pipe:
        pipe = self._pipe(name)
        if pipe.desired_state == desired:
            raise ConflictException(f"Pipe {name} is {desired}", name, "pipe")
        pipe.desired_state, pipe.status = desired, meanwhile
        self.engine.changed(pipe)
        return pipe

    def _pipe(self, name: str) -> Pipe:
        if name not in self.pipes:
            raise NotFoundException(f"Pipe {name} not found")
        return self.pipes[name]


def _given(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}


def _check(name: str, pipe: dict[str, Any]) -> None:
    """Raises ValidationException for what AWS refuses, and for what local AWS doesn't run."""
    if not _NAME.match(name):
        raise ValidationException("Name: expected 1 to 64 letters, digits, '.', '-' and '_'")
    if not _STREAM.match(pipe["source"]):
        raise ValidationException("Source: local AWS runs pipes from DynamoDB streams alone")
    if not _QUEUE.match(pipe["target"]):
        raise ValidationException("Target: local AWS runs pipes to SQS queues alone")
    for unsupported in ("enrichment", "enrichment_parameters"):
        if pipe.get(unsupported):
            raise ValidationException(f"{unsupported} is not supported by local AWS")
    if (pipe.get("target_parameters") or {}).get("InputTemplate"):
        raise ValidationException("InputTemplate is not supported by local AWS")
    if pipe.get("desired_state") not in (None, "RUNNING", "STOPPED"):
        raise ValidationException("DesiredState: expected RUNNING or STOPPED")
    _check_source(pipe.get("source_parameters") or {})


def _check_source(parameters: dict[str, Any]) -> None:
    stream = parameters.get("DynamoDBStreamParameters") or {}
    if stream.get("StartingPosition") not in ("TRIM_HORIZON", "LATEST"):
        raise ValidationException("StartingPosition: expected TRIM_HORIZON or LATEST")
    if unknown := set(stream) - _KNOWN:
        raise ValidationException(f"DynamoDBStreamParameters: unknown {', '.join(sorted(unknown))}")
    for field, ranges in _RANGES.items():
        value = stream.get(field)
        if value is not None and not any(low <= value <= high for low, high in ranges):
            raise ValidationException(f"{field}: {value} is not within {ranges}")
    if stream.get("OnPartialBatchItemFailure") not in (None, "AUTOMATIC_BISECT"):
        raise ValidationException("OnPartialBatchItemFailure: expected AUTOMATIC_BISECT")
    dead_letters = (stream.get("DeadLetterConfig") or {}).get("Arn")
    if dead_letters is not None and not _QUEUE.match(dead_letters):
        raise ValidationException("DeadLetterConfig: local AWS knows queues alone")
    filters = (parameters.get("FilterCriteria") or {}).get("Filters") or []
    if len(filters) > _FILTERS:
        raise ValidationException(f"FilterCriteria: expected at most {_FILTERS} filters")
    for one in filters:
        pattern = one.get("Pattern") or ""
        try:
            is_object = isinstance(json.loads(pattern), dict)
        except ValueError:
            is_object = False
        if not is_object or len(pattern) > _LONGEST_PATTERN:
            raise ValidationException("FilterCriteria: expected a pattern that is a JSON object")
