"""An hour's waiting, in no time."""

from collections.abc import Iterator

import pytest

from resources.backoff import Backoff, DeadlineExceeded


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def backoff(clock: Clock, deadline: float = 3600, chance: float = 0.0) -> Backoff:
    return Backoff(
        deadline, first=1, factor=2, cap=10, clock=lambda: clock.now, sleep=clock.sleep, chance=lambda: chance
    )


def answers(*values: str | None) -> Iterator[str | None]:
    yield from values


def test_pauses_grow_up_to_the_cap() -> None:
    clock, found = Clock(), answers(None, None, None, None, None, None, "there")
    assert backoff(clock).until(lambda: next(found), "it") == "there"
    assert clock.pauses == [1, 2, 4, 8, 10, 10]


def test_chance_shortens_a_pause_by_half_at_most() -> None:
    clock, found = Clock(), answers(None, None, "there")
    backoff(clock, chance=1.0).until(lambda: next(found), "it")
    assert clock.pauses == [0.5, 1]


def test_what_is_there_at_once_is_not_waited_for() -> None:
    clock = Clock()
    assert backoff(clock).until(lambda: 0, "it") == 0
    assert clock.pauses == []


def test_the_deadline_ends_it_after_a_last_look() -> None:
    clock = Clock()
    with pytest.raises(DeadlineExceeded, match="export x: not within 30 s"):
        backoff(clock, deadline=30).until(lambda: None, "export x")
    assert clock.now == 30
    looks = answers(*[None] * 5, "late")
    assert backoff(Clock(), deadline=25).until(lambda: next(looks), "it") == "late"
