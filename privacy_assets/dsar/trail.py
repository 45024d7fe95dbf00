"""Events of requests in the ledger: one stream a request, each event once."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from privacy_assets.dsar.register import Untellable
from privacy_assets.ledger.events import Event, EventError


class Log(Protocol):
    """The ledger, as far as it is needed here."""

    def append(self, batch: Sequence[Event], once: str = "") -> list[int]: ...


class Pseudonyms(Protocol):
    """Who can name a value without telling it."""

    def pseudonym(self, kind: str, value: str) -> str: ...


class LedgerTrail:
    """Fits ``register.Trail``."""

    def __init__(self, log: Log, pseudonyms: Pseudonyms) -> None:
        self._log, self._pseudonyms = log, pseudonyms

    def subject(self, value: str) -> str:
        """A keyed HMAC; hashed once more, into the form that the ledger asks for."""
        return hashlib.sha256(self._pseudonyms.pseudonym("subject", value).encode()).hexdigest()

    def check(self, job_id: str, event: Mapping[str, Any]) -> None:
        """Raises Untellable for an event that the ledger refuses, or whose actor is named by an address."""
        try:
            _event(job_id, {**event, "data": {**event["data"], "actor": event["actor"]}}).encode()
        except EventError as error:
            why = "names a person; say it without" if "e-mail" in str(error) else str(error)
            raise Untellable(f"request {job_id}: what is told of it ({event['type']}) {why}") from None

    def tell(self, job_id: str, events: Sequence[Mapping[str, Any]]) -> None:
        """Append those of a request's events that are not there yet.

        A batch is known by its first event. What was appended by who died before he could say so is found
        under that name, and what has come since follows.
        """
        left = list(events)
        while left:
            leaves = self._log.append([_event(job_id, each) for each in left], f"{job_id}#{left[0]['seq']}")
            left = left[len(leaves) :]


def _event(job_id: str, event: Mapping[str, Any]) -> Event:
    data = dict(event["data"])
    return Event(
        kind=event["type"],
        actor=event["actor"] or "dsar",
        at=datetime.fromisoformat(event["at"]),
        stream=job_id,
        run_id=data.pop("run_id", ""),
        subject=data.pop("subject", ""),
        counts=data.pop("counts", {}),
        artefacts=data.pop("artefacts", {}),
        details={name: value for name, value in data.items() if value is not None},
    )
