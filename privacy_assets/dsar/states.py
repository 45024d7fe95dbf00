"""The states of a request, and of its work in one store."""

from enum import StrEnum


class Action(StrEnum):
    """What is asked for: a copy of the data (GDPR Art. 15, 20) or its erasure (Art. 17)."""

    EXPORT = "export"
    DELETE = "delete"


class State(StrEnum):
    """Where a request stands."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    PARTIALLY_FAILED = "PARTIALLY_FAILED"
    BLOCKED = "BLOCKED"
    REJECTED = "REJECTED"


class StoreState(StrEnum):
    """Where the work for a request stands in one store."""

    FOUND = "FOUND"
    """Searched; what was found waits for the request's approval."""
    DONE = "DONE"
    FAILED = "FAILED"
    BLOCKED = "BLOCKED"
    """Erased but for what is locked until a date."""


TRANSITIONS: dict[State, frozenset[State]] = {
    State.PENDING: frozenset(
        {
            State.RUNNING,
            State.PENDING,  # its run was over before it began
            State.FAILED,
            State.REJECTED,
        }
    ),
    State.RUNNING: frozenset(
        {
            State.RUNNING,  # another run takes over from one that died
            State.PENDING,
            State.COMPLETED,
            State.FAILED,
            State.PARTIALLY_FAILED,
            State.BLOCKED,
        }
    ),
    State.BLOCKED: frozenset({State.PENDING, State.REJECTED}),
    State.FAILED: frozenset({State.PENDING, State.REJECTED}),
    State.PARTIALLY_FAILED: frozenset({State.PENDING, State.REJECTED}),
    State.COMPLETED: frozenset(),
    State.REJECTED: frozenset(),
}
"""What may become of a request in each state."""

FINAL = frozenset(state for state, following in TRANSITIONS.items() if not following)
RETRIED = frozenset({State.FAILED, State.PARTIALLY_FAILED, State.BLOCKED})
"""States from which a new attempt may be made."""
NEEDS_APPROVAL = "approval"
"""The reason of a request that is BLOCKED until somebody approves it."""


def before(state: State) -> tuple[State, ...]:
    """The states that ``state`` may follow."""
    return tuple(first for first, following in TRANSITIONS.items() if state in following)
