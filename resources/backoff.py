"""Waiting for something that AWS does in its own time: exponential backoff with jitter, a cap and a deadline.

Clock, sleep and chance can be replaced, so that a test of an hour's waiting takes no time.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


class DeadlineExceeded(Exception):  # noqa: N818  # the name AWS and gRPC use
    """What was waited for did not come in time; the message says what it was and how long it had."""


@dataclass(frozen=True)
class Backoff:
    """How to wait, in seconds: ``first`` pause, each next ``factor`` times longer up to ``cap``.

    Each pause is shortened by up to half by chance, so that many waiting at once do not ask in step
    (https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/).
    """

    deadline: float
    first: float = 0.1
    factor: float = 1.6
    cap: float = 20.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random

    def until(self, probe: Callable[[], T | None], what: str) -> T:
        """The first answer of ``probe`` that is not None.  Raises DeadlineExceeded."""
        started = self.clock()
        pause = self.first
        while True:
            answer = probe()
            if answer is not None:
                return answer
            left = self.deadline - (self.clock() - started)
            if left <= 0:
                raise DeadlineExceeded(f"{what}: not within {self.deadline:g} s")
            self.sleep(min(pause * (1 - self.chance() / 2), left))
            pause = min(pause * self.factor, self.cap)
