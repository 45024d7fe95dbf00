"""What is looked at again and again: deadlines that come near, dates that have come, answers that expired."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from privacy_assets.dsar.deadlines import warnings
from privacy_assets.dsar.register import CLOSING, Job, Register, clock
from privacy_assets.dsar.states import FINAL, State
from privacy_assets.dsar.work import Topic

OPEN = tuple(state for state in State if state not in FINAL)


def standing(register: Register) -> list[Job]:
    """Every request that is not answered, the earliest due first, as it is now."""
    listed = [job for state in (*OPEN, CLOSING) for job in register.jobs.in_state(state)]
    found = {job["job_id"]: job for job in listed if State(job["state"]) not in FINAL}
    return sorted(found.values(), key=lambda job: (job["due"], job["job_id"]))


def overdue(jobs: Sequence[Job], today: date) -> list[Job]:
    """Those whose last day is over."""
    return [job for job in jobs if clock(job).due(today) < today]


def warn(register: Register, topic: Topic, job: Job, now: datetime) -> str | None:
    """Tell of a request's deadline that comes near, once for each step; what was told.

    At least once: what was told is noted after it was.
    """
    new = [(name, words) for name, words in warnings(clock(job), now.date()) if name not in job["told"]]
    if not new:
        return None
    said = "; ".join(words for _, words in new)
    topic.publish(f"Request {job['job_id']}: {said}", _message(job, said))
    register.warned(job["job_id"], [name for name, _ in new])
    return said


def _message(job: Mapping[str, Any], said: str) -> str:
    reason = f" ({job['reason']})" if job.get("reason") else ""
    return "\n".join(
        [
            f"Request {job['job_id']} ({job['action']}, {job['jurisdiction']}) is {job['state']}{reason}.",
            f"{said[0].upper()}{said[1:]}.",
            "",
            f"See it: privacy-assets dsar show {job['job_id']}",
        ]
    )


def freed(register: Register, now: datetime) -> list[Job]:
    """Requests that were BLOCKED until a date that has come."""
    return [
        job
        for job in register.jobs.in_state(State.BLOCKED)
        if job.get("until") and datetime.fromisoformat(job["until"]) <= now
    ]


def expired(register: Register, now: datetime, days: int) -> list[Job]:
    """Requests that ended so long ago that their answer is deleted: their partitions are to be retired."""
    return [
        job
        for state in FINAL
        for job in register.jobs.in_state(state)
        if datetime.fromisoformat(job["ended_at"]) + timedelta(days=days) <= now
    ]
