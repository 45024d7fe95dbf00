"""The register of requests: what may become of one, and the events that tell of it.

Each change is one conditional write of the request's item: its new state, and beside it the events that say
so, which wait in the item until they are in the ledger. A process that dies in between loses neither; an
event has a number within its request, by which the ledger takes it once.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Protocol

from privacy_assets.dsar.deadlines import RULE_SETS, Clock, Pause, rules_for
from privacy_assets.dsar.requests import JobId, Message, Submission
from privacy_assets.dsar.states import (
    FINAL,
    NEEDS_APPROVAL,
    RETRIED,
    TRANSITIONS,
    Action,
    State,
    StoreState,
)
from privacy_assets.errors import UserError

Job = dict[str, Any]
Event = Mapping[str, Any]
"""``seq, type, at, actor`` and what there is to say: counts, hashes, names of stores; never a value."""
Change = Callable[[Job], Sequence[tuple[str, Mapping[str, Any]]] | None]
"""Changes a job in place; answers the events, type and words; None when there is nothing to do."""

CLOSING = "CLOSING"
"""What a request that has ended, or stands still, is listed under until people were told (``work.close``)."""
_RACES = 30
MAX_ATTEMPTS = 3
"""A run that dies without saying why is followed by another until there were so many."""


class NoSuchRequest(UserError):  # noqa: N818  # what it is
    """There is no request of this id."""


class Refused(UserError):  # noqa: N818  # what it is
    """What was asked of a request can't be done in its state."""


class Untellable(UserError):  # noqa: N818  # what it is
    """What would be told of a request is nothing that the ledger takes."""


class Jobs(Protocol):
    """Where requests are kept."""

    def put(self, job: Mapping[str, Any]) -> bool: ...
    def get(self, job_id: str) -> Job | None: ...
    def replace(self, job: Mapping[str, Any]) -> bool: ...
    def in_state(self, state: str) -> Iterator[Job]: ...
    def all(self) -> Iterator[Job]: ...
    def seal(self, job_id: str, value: Any) -> bytes: ...
    def unseal(self, job_id: str, sealed: bytes) -> Any: ...


class Trail(Protocol):
    """The ledger, as far as requests need it."""

    def subject(self, value: str) -> str:
        """What stands for a subject in the ledger: a keyed HMAC."""
        ...

    def tell(self, job_id: str, events: Sequence[Event]) -> None:
        """Append those of a request's events that are not there yet, by their ``seq``."""
        ...

    def check(self, job_id: str, event: Event) -> None:
        """Raises Untellable for an event that ``tell`` would refuse, or that names a person."""
        ...


class Queue(Protocol):
    """The queue that work is asked for through."""

    def send(self, body: str) -> None: ...


def utc_now() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


class Register:
    """The requests. What changes one raises NoSuchRequest, and Refused where its state forbids it."""

    def __init__(self, jobs: Jobs, trail: Trail, queue: Queue, now: Callable[[], datetime] = utc_now) -> None:
        self.jobs, self._trail, self._queue, self._now = jobs, trail, queue, now

    # --- a request comes in

    def submit(self, submission: Submission, client: str, job_id: JobId) -> Job:
        """Record a request and ask for its work; one of the same id is there already, and asked for again.

        ``client`` is who submits it, and may look at it.
        """
        now = self._now()
        received = submission.received_at or now
        rules = rules_for(submission.jurisdiction)
        job: Job = {
            "job_id": job_id,
            "client": client,
            "action": submission.action.value,
            "state": State.PENDING.value,
            "open": State.PENDING.value,
            "attempt": 1,
            "jurisdiction": submission.jurisdiction,
            "channel": submission.channel,
            "identity": submission.identity.model_dump(mode="json"),
            "rules": rules.id,
            "received_at": _text(received),
            "submitted_at": _text(now),
            "updated_at": _text(now),
            "due": rules.due(received.astimezone(UTC).date(), submission.jurisdiction).isoformat(),
            "subject": self._trail.subject(submission.user_id),
            "sealed": self.jobs.seal(
                job_id, {name: list(each) for name, each in submission.known_by.items()}
            ),
            "stores": {},
            "pauses": [],
            "told": [],
            "seq": 0,
            "outbox": [],
        }
        words = {
            name: job[name]
            for name in ("action", "jurisdiction", "channel", "rules", "received_at", "due", "subject")
        }
        self._note(job, client, [("dsar.received", {**words, "identity": job["identity"]})])
        if self.jobs.put(job):
            self.flush(job_id)
        found = self.get(job_id)
        if found["state"] == State.PENDING:
            self._ask(found)
        return found

    def get(self, job_id: str) -> Job:
        """The request as it is now."""
        job = self.jobs.get(job_id)
        if job is None:
            raise NoSuchRequest(f"request {job_id}: there is none of this id")
        return job

    def subject(self, job: Mapping[str, Any]) -> dict[str, frozenset[str]]:
        """What the subject of a request that is not ended is known by: kind to values."""
        if "sealed" not in job:
            raise Refused(f"request {job['job_id']}: {job['state']}, who it was about is no longer kept")
        known = self.jobs.unseal(job["job_id"], job["sealed"])
        return {str(kind): frozenset(values) for kind, values in known.items()}

    # --- its runs

    def begin(self, job_id: str, attempt: int | None, run_id: str) -> Job:
        """A run begins to work on the request. ``attempt`` None: whichever is next, as a person wants it.

        Raises Refused for a run of an attempt that is over, and for a request that waits or has ended.
        """

        def apply(job: Job) -> Any:
            events: list[tuple[str, Mapping[str, Any]]] = []
            state = State(job["state"])
            if attempt is None and state in RETRIED:
                self._require_approval(job)
                events.append(_again(job, "run by hand"))
                state = State.PENDING
            if attempt is not None and attempt != job["attempt"]:
                raise Refused(
                    f"request {job_id}: attempt {attempt} is over, {job['attempt']} is the present one"
                )
            if state is State.RUNNING and job.get("run_id") == run_id:
                return None
            if State.RUNNING not in TRANSITIONS[state]:
                raise Refused(f"request {job_id}: {state}, expected it to be PENDING")
            job.update(state=State.RUNNING.value, run_id=run_id)
            return [*events, ("dsar.started", {"attempt": job["attempt"], "run_id": run_id})]

        return self.change(job_id, f"run {run_id}", apply)

    def store(
        self, job_id: str, store: str, entry: Mapping[str, Any], event: str, words: Mapping[str, Any]
    ) -> Job:
        """What was done in one store. The event waits for the next flush."""

        def apply(job: Job) -> Any:
            job["stores"][store] = {**job["stores"].get(store, {}), **entry, "attempt": job["attempt"]}
            return [(event, {"store": store, "attempt": job["attempt"], **words})]

        job = self.get(job_id)
        return self.change(job_id, f"run {job.get('run_id', '')}", apply, flush=False)

    def block(self, job_id: str, reason: str, until: datetime | None) -> Job:
        """The request can't go on before ``until``, or before somebody does something about ``reason``."""

        def apply(job: Job) -> Any:
            _move(job, State.BLOCKED)
            job["reason"] = reason
            if until is not None:
                job["until"] = _text(until)
            return [
                ("dsar.blocked", {"reason": reason, "until": job.get("until"), "attempt": job["attempt"]})
            ]

        return self.change(job_id, f"run {self.get(job_id).get('run_id', '')}", apply)

    def note(self, job_id: str, entry: Mapping[str, Any], event: str, words: Mapping[str, Any]) -> Job:
        """Keep ``entry`` beside the request, and tell it."""

        def apply(job: Job) -> Any:
            job.update(entry)
            return [(event, {"attempt": job["attempt"], **words})]

        return self.change(job_id, f"run {self.get(job_id).get('run_id', '')}", apply)

    def complete(self, job_id: str) -> Job:
        """The request is answered; who it was about is forgotten."""

        def apply(job: Job) -> Any:
            if job["state"] == State.COMPLETED:
                return None
            _move(job, State.COMPLETED)
            self._end(job)
            return [("dsar.completed", {"attempt": job["attempt"]})]

        return self.change(job_id, f"run {self.get(job_id).get('run_id', '')}", apply)

    def fail(self, job_id: str, run_id: str, *, says_why: bool) -> Job:
        """The run of a RUNNING request has ended badly. One that died without a word is followed by another
        at once, up to MAX_ATTEMPTS; else the request is FAILED, or PARTIALLY_FAILED where something was done.
        """

        def apply(job: Job) -> Any:
            if job["state"] != State.RUNNING or job.get("run_id") != run_id:
                return None
            if not says_why and job["attempt"] < MAX_ATTEMPTS:
                return [_again(job, f"run {run_id} was lost")]
            states = [entry.get("state") for entry in job["stores"].values()]
            failed = sorted(
                name for name, entry in job["stores"].items() if entry.get("state") == StoreState.FAILED
            )
            some = bool(failed) and any(state != StoreState.FAILED for state in states)
            _move(job, State.PARTIALLY_FAILED if some else State.FAILED)
            job["reason"] = f"failed in {', '.join(failed)}" if failed else f"run {run_id} failed"
            kind = "dsar.partially_failed" if some else "dsar.failed"
            return [(kind, {"reason": job["reason"], "attempt": job["attempt"], "run_id": run_id})]

        job = self.change(job_id, "dsar_jobs", apply)
        if job["state"] == State.PENDING:
            self._ask(job)
        return job

    def never_began(self, job_id: str, attempt: int, run_id: str) -> Job:
        """The run of a PENDING request's attempt is over, before it took the request up. It is followed by
        another, up to MAX_ATTEMPTS; else the request is FAILED.
        """

        def apply(job: Job) -> Any:
            if job["state"] != State.PENDING or job["attempt"] != attempt:
                return None
            if attempt < MAX_ATTEMPTS:
                return [_again(job, f"run {run_id} never began")]
            _move(job, State.FAILED)
            job["reason"] = f"run {run_id} never began"
            return [("dsar.failed", {"reason": job["reason"], "attempt": attempt, "run_id": run_id})]

        job = self.change(job_id, "dsar_jobs", apply)
        if job["state"] == State.PENDING:
            self._ask(job)
        return job

    # --- what people decide

    def approve(self, job_id: str, by: str) -> Job:
        """Let an erasure that was searched for go on, of who the subject is known to be by now."""

        def apply(job: Job) -> Any:
            version = job.get("identified", {}).get("version")
            if job.get("approval") and job["approval"].get("identity") == version:
                return None
            self._require_waiting(job)
            job["approval"] = {"by": by, "at": _text(self._now()), "identity": version}
            return [("dsar.approved", {"by": by}), _again(job, "approved")]

        job = self.change(job_id, by, apply)
        if job["state"] == State.PENDING:
            self._ask(job)
        return job

    def reject(self, job_id: str, by: str, reason: str) -> Job:
        """Refuse the request; its answer to the subject must say why (GDPR Art. 12(4))."""
        if not reason.strip():
            raise UserError("reason: expected why the request is rejected")

        def apply(job: Job) -> Any:
            if job["state"] == State.REJECTED:
                return None
            _move(job, State.REJECTED)
            job["reason"] = reason
            self._end(job)
            return [("dsar.rejected", {"by": by, "reason": reason})]

        return self.change(job_id, by, apply)

    def retry(self, job_id: str, by: str, why: str = "asked for") -> Job:
        """Make a new attempt, which repeats only what is not done."""

        def apply(job: Job) -> Any:
            if job["state"] not in RETRIED:
                raise Refused(
                    f"request {job_id}: {job['state']}, expected one of {', '.join(sorted(RETRIED))}"
                )
            self._require_approval(job)
            return [_again(job, why)]

        job = self.change(job_id, by, apply)
        self._ask(job)
        return job

    def extend(self, job_id: str, by: str, reason: str) -> Job:
        """Take the longer period. The subject must be told within the first one (GDPR Art. 12(3))."""
        if not reason.strip():
            raise UserError("reason: expected why the request takes longer, which the subject must be told")

        def apply(job: Job) -> Any:
            self._require_open(job)
            if job.get("extension"):
                raise Refused(f"request {job_id}: extended already; no law extends twice")
            if self._now().date() > clock(job).due(self._now().date()):
                raise Refused(f"request {job_id}: its period is over, which can no longer be extended")
            job["extension"] = {"by": by, "reason": reason, "at": _text(self._now())}
            return [("dsar.extended", {"by": by, "reason": reason, "due": self._due(job)})]

        return self.change(job_id, by, apply)

    def pause(self, job_id: str, by: str, reason: str) -> Job:
        """Stop the clock, where the law lets one."""
        if not reason.strip():
            raise UserError("reason: expected why the clock stops")

        def apply(job: Job) -> Any:
            self._require_open(job)
            rules = RULE_SETS[job["rules"]]
            if not rules.pausable:
                raise Refused(f"request {job_id}: {rules.source} stops the clock for nothing")
            if clock(job).paused:
                return None
            job["pauses"].append({"start": _text(self._now()), "reason": reason, "by": by})
            return [("dsar.paused", {"by": by, "reason": reason})]

        return self.change(job_id, by, apply)

    def resume(self, job_id: str, by: str) -> Job:
        """Let the clock go on."""

        def apply(job: Job) -> Any:
            if not clock(job).paused:
                return None
            job["pauses"][-1]["end"] = _text(self._now())
            return [("dsar.resumed", {"by": by, "due": self._due(job)})]

        return self.change(job_id, by, apply)

    def acknowledge(self, job_id: str, by: str) -> Job:
        """Receipt was confirmed to the subject."""

        def apply(job: Job) -> Any:
            if job.get("acknowledged_at"):
                return None
            job["acknowledged_at"] = _text(self._now())
            return [("dsar.acknowledged", {"by": by})]

        return self.change(job_id, by, apply)

    def downloaded(self, job_id: str, by: str, until: datetime) -> Job:
        """A link to the answer was given out."""
        return self.change(job_id, by, lambda _: [("dsar.link_given", {"by": by, "until": _text(until)})])

    # --- what keeps the register in order

    def warned(self, job_id: str, names: Sequence[str]) -> Job:
        """These warnings of deadlines were told."""

        def apply(job: Job) -> Any:
            job["told"] = sorted({*job["told"], *names})
            return ()

        return self.change(job_id, "", apply)

    def closed(self, job_id: str) -> Job:
        """Everybody was told how the request stands."""

        def apply(job: Job) -> Any:
            return () if job.pop("tell", None) else None

        return self.change(job_id, "", apply)

    def retire(self, job_id: str) -> Job:
        """The partition of a request that has ended is gone; its record stays."""

        def apply(job: Job) -> Any:
            if "open" not in job:
                return None
            job["retired_at"] = _text(self._now())
            return ()

        return self.change(job_id, "", apply)

    def ask(self, job_id: str) -> None:
        """Ask for the work on a PENDING request again, whose message may have been lost."""
        job = self.get(job_id)
        if job["state"] == State.PENDING:
            self._ask(job)

    def flush(self, job_id: str) -> None:
        """Bring the events that wait into the ledger."""
        for _ in range(_RACES):
            job = self.get(job_id)
            waiting = job["outbox"]
            if not waiting:
                return
            self._trail.tell(job_id, waiting)
            last = waiting[-1]["seq"]
            if self.jobs.replace({**job, "outbox": [each for each in waiting if each["seq"] > last]}):
                return
        raise RuntimeError(f"request {job_id} was changed by others {_RACES} times, try again")

    def change(self, job_id: str, actor: str, apply: Change, *, flush: bool = True) -> Job:
        """One conditional write of a request; it is read and changed again when somebody was faster."""
        for _ in range(_RACES):
            job = self.get(job_id)
            changed = copy.deepcopy(job)
            events = apply(changed)
            if events is None:
                break
            self._note(changed, actor, events)
            changed["updated_at"] = _text(self._now())
            changed["due"] = self._due(changed)
            changed["open"] = CLOSING if changed.get("tell") else changed["state"]
            if "retired_at" in changed:
                changed.pop("open")
            if self.jobs.replace(changed):
                break
        else:
            raise RuntimeError(f"request {job_id} was changed by others {_RACES} times, try again")
        if flush:
            self.flush(job_id)
        return self.get(job_id)

    def _note(self, job: Job, actor: str, events: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        for kind, words in events:
            job["seq"] += 1
            event = {
                "seq": job["seq"],
                "type": kind,
                "at": _text(self._now()),
                "actor": actor,
                "data": dict(words),
            }
            # Before it is written: one that is refused then stays for ever.
            self._trail.check(job["job_id"], event)
            job["outbox"].append(event)

    def _ask(self, job: Mapping[str, Any]) -> None:
        self._queue.send(Message(JobId(job["job_id"]), Action(job["action"])).body)

    def _due(self, job: Mapping[str, Any]) -> str:
        return clock(job).due(self._now().date()).isoformat()

    def _end(self, job: Job) -> None:
        """Ended for good: what names the subject is taken away."""
        job["ended_at"] = _text(self._now())
        job.pop("sealed", None)

    def _require_open(self, job: Mapping[str, Any]) -> None:
        if State(job["state"]) in FINAL:
            raise Refused(f"request {job['job_id']}: {job['state']}, expected one that is open")

    def _require_waiting(self, job: Mapping[str, Any]) -> None:
        if job["state"] != State.BLOCKED or job.get("reason") != NEEDS_APPROVAL:
            raise Refused(f"request {job['job_id']}: {job['state']}, expected one that waits for approval")

    def _require_approval(self, job: Mapping[str, Any]) -> None:
        if job["state"] == State.BLOCKED and job.get("reason") == NEEDS_APPROVAL:
            raise Refused(f"request {job['job_id']}: waits for approval, expected it to be approved")


def clock(job: Mapping[str, Any]) -> Clock:
    """The request's time."""
    return Clock(
        rules=RULE_SETS[job["rules"]],
        jurisdiction=job["jurisdiction"],
        received=datetime.fromisoformat(job["received_at"]),
        extended=bool(job.get("extension")),
        pauses=tuple(Pause(_day(each["start"]), _day(each.get("end"))) for each in job["pauses"]),  # type: ignore[arg-type]
        acknowledged=bool(job.get("acknowledged_at")),
    )


def _day(instant: str | None) -> date | None:
    return datetime.fromisoformat(instant).date() if instant else None


def _again(job: Job, why: str) -> tuple[str, Mapping[str, Any]]:
    """Make the request PENDING for its next attempt."""
    _move(job, State.PENDING)
    job["attempt"] += 1
    return "dsar.queued", {"attempt": job["attempt"], "why": why}


def _move(job: Job, to: State) -> None:
    """Raises Refused for a transition that is not allowed."""
    if to not in TRANSITIONS[State(job["state"])]:
        raise Refused(f"request {job['job_id']}: {job['state']} can't become {to}")
    job["state"] = to.value
    for name in ("reason", "until"):
        job.pop(name, None)
    if to not in (State.PENDING, State.RUNNING):
        job["tell"] = True


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
