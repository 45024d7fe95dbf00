"""What somebody asks for, and the messages that work for it is asked with.

A submission names a person. It is kept encrypted while it is worked on and no longer; messages, run keys,
partitions and tags carry the job's id alone.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, NewType

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from privacy_assets.dsar.deadlines import rules_for
from privacy_assets.dsar.states import Action
from privacy_assets.errors import UserError

JobId = NewType("JobId", str)
"""A request's id: what partitions, keys and messages carry in place of a person."""

JOB_ID = re.compile(r"dsar-[0-9a-f]{32}")
_IDENTIFIER = r"^[a-z][a-z0-9_]{0,62}$"
_CLOCKS_DIFFER = timedelta(minutes=5)
_OLDEST = timedelta(days=365)

Text = Annotated[str, Field(min_length=1, max_length=1024)]
Channel = Literal["web", "email", "phone", "post", "in_person", "agent", "api"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Identity(_Model):
    """How it was made sure that the one who asks is the subject (GDPR Art. 12(6); 11 CCR § 7060)."""

    verified: bool = False
    method: Annotated[str, Field(max_length=100, pattern=r"^[\w .,/-]*$")] = ""
    """In general words, such as ``login`` or ``id document``; no number of a document."""
    verified_at: AwareDatetime | None = None


class Submission(_Model):
    """A request as it is submitted. ``identifiers`` are more of what the subject is known by: name to
    value or values, such as ``{"email": ["jane@example.com"]}``; ``user_id`` is one too.
    """

    user_id: Text
    action: Action
    identifiers: Annotated[
        dict[
            Annotated[str, Field(pattern=_IDENTIFIER)],
            Text | Annotated[tuple[Text, ...], Field(max_length=50)],
        ],
        Field(max_length=20),
    ] = Field(default_factory=dict)
    jurisdiction: Annotated[str, Field(pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$")] = "DE"
    channel: Channel = "api"
    identity: Identity = Identity()
    received_at: AwareDatetime | None = None
    """When the subject asked, from which deadlines count; now if not told."""

    @model_validator(mode="after")
    def _allowed(self) -> "Submission":
        rules_for(self.jurisdiction)
        now = datetime.now(UTC)
        if self.received_at is not None and not now - _OLDEST <= self.received_at <= now + _CLOCKS_DIFFER:
            raise ValueError("received_at: expected an instant of the last 365 days")
        if self.action is Action.DELETE and not self.identity.verified:
            raise ValueError("identity.verified: expected true, an erasure needs a verified identity")
        return self

    @property
    def known_by(self) -> dict[str, tuple[str, ...]]:
        """All that the subject is known by, ``user_id`` among them, each value once."""
        found: dict[str, tuple[str, ...]] = {"user_id": (self.user_id,)}
        for name, values in self.identifiers.items():
            given = (values,) if isinstance(values, str) else values
            found[name] = tuple(dict.fromkeys((*found.get(name, ()), *given)))
        return found


def parse_submission(document: Any) -> Submission:
    """The submission in a JSON document. Raises UserError with one line a mistake, without what it holds."""
    try:
        return Submission.model_validate(document)
    except ValidationError as error:
        raise UserError("; ".join(_words(dict(each)) for each in error.errors(include_input=False))) from None


def _words(error: Mapping[str, Any]) -> str:
    said = str(error["msg"]).removeprefix("Value error, ")
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown, expected one of {', '.join(Submission.model_fields)}"
    if not where:
        return said
    return f"{where}: {said[0].lower()}{said[1:]}"


class MalformedMessage(ValueError):  # noqa: N818  # a message's state
    """A message that asks for nothing; one line that says what was expected, without what it holds."""


@dataclass(frozen=True)
class Message:
    """What stands in a message: ``{"jobId": …, "action": …}``."""

    job_id: JobId
    action: Action

    @property
    def body(self) -> str:
        """The message."""
        return json.dumps({"jobId": self.job_id, "action": self.action.value})


def parse_message(body: str) -> Message:
    """The request that a message is about. Raises MalformedMessage."""
    try:
        said = json.loads(body)
    except ValueError:
        raise MalformedMessage("no JSON, expected {jobId, action}") from None
    if not isinstance(said, dict):
        raise MalformedMessage("no JSON object, expected {jobId, action}")
    if unknown := set(said) - {"jobId", "action"}:
        raise MalformedMessage(f"{len(unknown)} unknown fields, expected jobId and action alone")
    job_id, action = said.get("jobId"), said.get("action")
    if not isinstance(job_id, str) or not JOB_ID.fullmatch(job_id):
        raise MalformedMessage("jobId: expected dsar- and 32 hexadecimal digits")
    if action not in tuple(Action):
        raise MalformedMessage("action: expected export or delete")
    return Message(JobId(job_id), Action(action))
